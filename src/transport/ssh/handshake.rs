//! The handshake, and the message for one that fails.
//!
//! libssh2 reports the same error for a mail server, for a lost connection and for an sshd without a common cipher. What the node
//! sends is in clear, so it is parsed here.

use std::time::Duration;

use super::methods;
use super::step::StepError;
use super::step::Wire;
use crate::transport::Cancel;
use crate::transport::ConnectError;
use crate::transport::Host;
use crate::transport::wait::Deadline;
use crate::transport::wait::Stopped;

/// SSH_MSG_DISCONNECT
const DISCONNECT: u8 = 1;
/// SSH_MSG_KEXINIT
const KEXINIT: u8 = 20;

/// Comes to terms with the node about a key.
pub(super) fn shake_hands(
    wire: &Wire,
    at: &Host,
    host_keys: &str,
    limit: Duration,
    cancel: &Cancel,
) -> Result<(), ConnectError> {
    let mut session = wire.session.clone();
    let shaken = wire.retry_eagain(&Deadline::new(limit, cancel), || session.handshake());
    let Err(halt) = shaken else { return Ok(()) };
    let at = at.clone();
    if matches!(halt, StepError::Stopped(Stopped::Cancelled)) {
        return Err(ConnectError::Cancelled { at });
    }
    let first = wire.first();
    let heard = Heard::read(&first);
    let key_exchanges = methods::key_exchanges(&wire.session);
    if let Heard::Ssh {
        kexinit: Some(theirs),
        ..
    } = &heard
        && let Some((what, offered)) = theirs.nothing_in_common(&key_exchanges, host_keys)
    {
        let (theirs, ours) = offered;
        return Err(ConnectError::NoCommon {
            at,
            what,
            theirs: visible(theirs.as_bytes(), 300),
            ours: ours.to_owned(),
        });
    }
    let told = heard.words();
    Err(match halt {
        StepError::Stopped(Stopped::TimedOut) => ConnectError::HandshakeTimedOut {
            at,
            after: limit,
            told,
        },
        halt => ConnectError::Handshake {
            at,
            said: [Some(wire.words(&halt)), told]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("; "),
        },
    })
}

/// Whether the server closed the connection before it said anything about keys: it has too many visitors at a time (`MaxStartups`), is
/// just starting, or punishes this machine for failed logins (`PerSourcePenalties`). From OpenSSH 9.8 on the first and the last look the same.
/// A connection that is closed so makes no punishment longer.
pub(super) fn is_turned_away(wire: &Wire) -> bool {
    let first = wire.first();
    wire.has_ended()
        && match Heard::read(&first) {
            Heard::Nothing => true,
            Heard::Other(said) => is_busy(said),
            Heard::Ssh {
                before,
                kexinit: None,
                farewell: None,
                ..
            } => before.is_empty() || is_busy(before),
            Heard::Ssh { .. } => false,
        }
}

/// What sshd says, instead of its banner, to a connection that it closes: the first before 9.8.
const BUSY: [&[u8]; 2] = [b"Exceeded MaxStartups", b"Not allowed at this time"];

fn is_busy(said: &[u8]) -> bool {
    BUSY.iter().any(|words| said.starts_with(words))
}

/// What a node sent in clear.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    Nothing,
    /// Lines without an SSH banner.
    Other(&'a [u8]),
    Ssh {
        /// Lines before the banner; sshd gives its reason for closing the connection there.
        before: &'a [u8],
        banner: &'a [u8],
        kexinit: Option<Lists<'a>>,
        /// The reason of SSH_MSG_DISCONNECT.
        farewell: Option<&'a [u8]>,
    },
}

/// What a node offers, in the order of RFC 4253 §7.1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lists<'a>(Vec<&'a str>);

impl<'a> Heard<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        if bytes.is_empty() {
            return Self::Nothing;
        }
        let mut start = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b"SSH-") && line.ends_with(b"\n") {
                let (kexinit, farewell) = packets(&bytes[start + line.len()..]);
                return Self::Ssh {
                    before: bytes[..start].trim_ascii(),
                    banner: line.trim_ascii(),
                    kexinit,
                    farewell,
                };
            }
            start += line.len();
        }
        Self::Other(bytes)
    }

    /// Additional information for the operator.
    pub(super) fn words(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Other(bytes) if visible(bytes, 80).is_empty() => {
                Some("what answers there does not speak SSH".to_owned())
            }
            Self::Other(bytes) if is_busy(bytes) => {
                Some(format!("it said `{}`", visible(bytes, 80)))
            }
            Self::Other(bytes) => Some(format!(
                "what answers there does not speak SSH but says `{}`",
                visible(bytes, 80)
            )),
            Self::Ssh {
                farewell: Some(reason),
                ..
            } => Some(format!("it said `{}`", visible(reason, 200))),
            Self::Ssh { banner, .. }
                if !banner.starts_with(b"SSH-2.") && !banner.starts_with(b"SSH-1.99") =>
            {
                Some(format!("it speaks `{}` only", visible(banner, 80)))
            }
            Self::Ssh { before, .. } if !before.is_empty() => {
                Some(format!("it said `{}`", visible(before, 200)))
            }
            Self::Ssh { banner, .. } => Some(format!("it is `{}`", visible(banner, 80))),
        }
    }
}

/// The packets after the banner, as far as they are in clear and whole.
fn packets(mut rest: &[u8]) -> (Option<Lists<'_>>, Option<&[u8]>) {
    let mut kexinit = None;
    while let Some(length) = rest.first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some(packet) = rest.get(4..).and_then(|rest| rest.get(..length)) else {
            break;
        };
        // A byte of padding length, the payload, the padding.
        let padding = packet.first().map_or(0, |byte| usize::from(*byte));
        let payload = packet
            .get(1..length.saturating_sub(padding))
            .unwrap_or_default();
        match payload.first() {
            Some(&KEXINIT) if kexinit.is_none() => kexinit = lists(payload),
            Some(&DISCONNECT) => {
                let reason = payload.get(5..).and_then(|mut rest| string(&mut rest));
                return (kexinit, reason);
            }
            _ => {}
        }
        rest = &rest[4 + length..];
    }
    (kexinit, None)
}

fn lists(payload: &[u8]) -> Option<Lists<'_>> {
    // After the cookie.
    let mut rest = payload.get(17..)?;
    let mut lists = Vec::new();
    for _ in 0..6 {
        lists.push(str::from_utf8(string(&mut rest)?).ok()?);
    }
    Some(Lists(lists))
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
    let bytes = rest.get(4..)?.get(..length)?;
    *rest = &rest[4 + length..];
    Some(bytes)
}

impl Lists<'_> {
    /// What the node and this side have not a single one of in common, with what each offers.
    pub(super) fn nothing_in_common<'a>(
        &'a self,
        key_exchanges: &'a str,
        host_keys: &'a str,
    ) -> Option<(&'static str, (&'a str, &'a str))> {
        let kinds = [
            ("key exchange", key_exchanges),
            ("host key algorithm", host_keys),
            ("cipher", methods::CIPHERS),
            ("cipher", methods::CIPHERS),
            ("message authentication code", methods::MACS),
            ("message authentication code", methods::MACS),
        ];
        // These ciphers authenticate by themselves.
        let alone = |name: &&str| name.contains("-gcm@") || name.starts_with("chacha20-");
        let mut alone_agreed = [false; 2];
        for (index, ((what, ours), theirs)) in kinds.into_iter().zip(&self.0).enumerate() {
            let common = ours
                .split(',')
                .find(|name| theirs.split(',').any(|theirs| theirs == *name));
            match (index, common) {
                (2 | 3, Some(name)) => alone_agreed[index - 2] = alone(&name),
                (4 | 5, None) if alone_agreed[index - 4] => {}
                (_, None) => return Some((what, (theirs, ours))),
                _ => {}
            }
        }
        None
    }
}

/// Bytes as one line that can be shown.
fn visible(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut line: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(most + 1)
        .collect();
    if line.chars().count() > most {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut packet = u32::try_from(payload.len() + 5)
            .unwrap()
            .to_be_bytes()
            .to_vec();
        packet.push(4);
        packet.extend(payload);
        packet.extend([0; 4]);
        packet
    }

    fn kexinit(names: [&str; 6]) -> Vec<u8> {
        let mut payload = vec![KEXINIT];
        payload.extend([7; 16]);
        for name in names {
            payload.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
            payload.extend(name.as_bytes());
        }
        [b"SSH-2.0-x\r\n".to_vec(), packet(&payload)].concat()
    }

    const CENTOS7: [&str; 6] = [
        "curve25519-sha256,diffie-hellman-group1-sha1",
        "ssh-rsa,rsa-sha2-512,ssh-ed25519",
        "chacha20-poly1305@openssh.com,aes128-cbc",
        "chacha20-poly1305@openssh.com,aes128-cbc",
        "hmac-sha1",
        "hmac-sha1",
    ];

    fn missing(names: [&str; 6]) -> Option<&'static str> {
        let bytes = kexinit(names);
        let Heard::Ssh {
            kexinit: Some(lists),
            ..
        } = Heard::read(&bytes)
        else {
            panic!("no lists");
        };
        lists
            .nothing_in_common("curve25519-sha256", "ssh-ed25519,rsa-sha2-512")
            .map(|(what, _)| what)
    }

    #[test]
    fn what_two_sides_lack_in_common_is_named() {
        assert_eq!(missing(CENTOS7), None);
        let cases = [
            (0, "diffie-hellman-group1-sha1", "key exchange"),
            (0, "mlkem768x25519-sha256", "key exchange"),
            (1, "ssh-dss", "host key algorithm"),
            (2, "aes128-cbc,3des-cbc", "cipher"),
            (3, "aes128-cbc,3des-cbc", "cipher"),
            // With a cipher that needs one.
            (2, "aes256-ctr", "message authentication code"),
            (3, "aes256-ctr", "message authentication code"),
        ];
        for (index, theirs, what) in cases {
            let mut names = CENTOS7;
            names[index] = theirs;
            assert_eq!(missing(names), Some(what), "{theirs}");
        }
    }

    #[test]
    fn what_is_no_ssh_is_quoted_and_a_farewell_is_told() {
        let words = |bytes: &[u8]| Heard::read(bytes).words();
        assert_eq!(words(b""), None);
        let http = words(b"HTTP/1.1 400 Bad Request\r\n\r\n\x1b[31m").unwrap();
        assert!(
            http.contains("`HTTP/1.1 400 Bad Request") && !http.contains('\x1b'),
            "{http}"
        );
        let busy = words(b"Exceeded MaxStartups\r\nSSH-2.0-OpenSSH_9.2\r\n").unwrap();
        assert_eq!(busy, "it said `Exceeded MaxStartups`");
        let shut_out = words(b"Not allowed at this time\r\n").unwrap();
        assert_eq!(shut_out, "it said `Not allowed at this time`");
        assert_eq!(
            words(b"SSH-1.5-old\n").unwrap(),
            "it speaks `SSH-1.5-old` only"
        );
        let mut payload = vec![DISCONNECT, 0, 0, 0, 2, 0, 0, 0, 8];
        payload.extend(b"too many\0\0\0\0");
        let farewell = [b"SSH-2.0-x\n".to_vec(), packet(&payload)].concat();
        assert_eq!(words(&farewell).unwrap(), "it said `too many`");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in any::<Vec<u8>>(), tail in any::<Vec<u8>>()) {
            let _ = Heard::read(&bytes).words();
            let mut ssh = b"SSH-2.0-x\n".to_vec();
            ssh.extend(&tail);
            let _ = Heard::read(&ssh).words();
            let payload = [&[KEXINIT][..], &tail].concat();
            let ssh = [b"SSH-2.0-x\n".to_vec(), packet(&payload)].concat();
            if let Heard::Ssh { kexinit: Some(lists), .. } = Heard::read(&ssh) {
                let _ = lists.nothing_in_common("curve25519-sha256", "ssh-ed25519");
            }
        }
    }
}
