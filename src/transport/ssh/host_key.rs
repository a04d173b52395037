//! Is it that node?

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use ssh2::Session;

use crate::transport::ConnectError;
use crate::transport::HostKeyChecking;
use crate::transport::Presented;
use crate::transport::hop::Hop;
use crate::transport::known_hosts::Certificate;
use crate::transport::known_hosts::HostKey;
use crate::transport::known_hosts::HostKeyStatus;
use crate::transport::known_hosts::KnownHosts;
use crate::transport::known_hosts::Spelling;
use crate::transport::known_hosts::append;
use crate::transport::known_hosts::lookup_name;

/// The host key algorithms of libssh2 1.11.2 for plain keys, each with the type of its key.
const ALGORITHMS: [(&str, &str); 6] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "ssh-rsa"),
    ("rsa-sha2-256", "ssh-rsa"),
];

/// Those for host certificates. They are requested if an authority is trusted for the node, or if a revocation is known, which may be
/// that of its authority.
const CERTIFICATES: [&str; 6] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
];

/// The algorithms to ask for in this known_hosts' sense, in OpenSSH's order.
pub(super) fn algorithms(known: &KnownHosts, hop: &Hop) -> String {
    let (name, port) = (hop.known_as.0.as_str(), hop.known_as.1);
    preference(
        &known.algorithms(name, port),
        known.revokes_some(name, port) || known.certifies(name, port),
    )
}

/// The algorithms of the known keys first, so that a node with several keys presents one that can be compared; the default order if
/// the best of them is known.
fn preference(known: &[&str], certificates: bool) -> String {
    let plain = ALGORITHMS.into_iter();
    let certified = CERTIFICATES
        .into_iter()
        .zip(ALGORITHMS.map(|(_, key)| key))
        .filter(|_| certificates);
    let all: Vec<_> = certified.chain(plain).collect();
    let (first, others): (Vec<_>, Vec<_>) = match known.contains(&"ssh-ed25519") {
        true => (all, Vec::new()),
        false => all.into_iter().partition(|(_, key)| known.contains(key)),
    };
    first
        .into_iter()
        .chain(others)
        .map(|(name, _)| name)
        .collect::<Vec<_>>()
        .join(",")
}

pub(super) fn read(hop: &Hop) -> Result<KnownHosts, ConnectError> {
    KnownHosts::read(&hop.known_hosts).map_err(|(path, source)| ConnectError::KnownHosts {
        at: hop.at.clone(),
        path,
        source,
    })
}

/// Compares the key that the node has just proved to own with the known ones, and writes down a new one where that is wanted.
pub(super) fn verify(session: &Session, hop: &Hop, known: &KnownHosts) -> Result<(), ConnectError> {
    let at = hop.at.clone();
    let (name, port) = (hop.known_as.0.as_str(), hop.known_as.1);
    let presented = match presented(session) {
        Ok(presented) => presented,
        Err(said) => return Err(ConnectError::Handshake { at, said }),
    };
    let (mut status, uncertified) = status(hop, known, &presented);
    let key = presented.key;
    let may_append = hop.checking == HostKeyChecking::AcceptNew;
    if let (HostKeyStatus::Unknown { .. }, true, Some(path)) =
        (&status, may_append, hop.known_hosts.first())
    {
        // Another thread may have met the node under the same name meanwhile, with this key or with another.
        let spelling = match hop.hashes_names {
            true => Spelling::Hashed,
            false => Spelling::Plain,
        };
        status = match append(path, name, port, &key, spelling) {
            Ok(HostKeyStatus::Unknown { .. }) => HostKeyStatus::Known,
            Ok(status) => status,
            Err(source) => {
                return Err(ConnectError::KnownHosts {
                    at,
                    path: path.clone(),
                    source,
                });
            }
        };
    }

    let presented = Box::new(Presented {
        algorithm: key.algorithm().to_owned(),
        fingerprint: key.fingerprint(),
        name: lookup_name(name, port),
    });
    Err(match status {
        HostKeyStatus::Known => return Ok(()),
        HostKeyStatus::Unknown { authority: None } => ConnectError::HostKeyUnknown {
            at,
            presented,
            file: hop.known_hosts.first().cloned(),
            malformed: known.malformed().len(),
        },
        HostKeyStatus::Unknown {
            authority: Some(authority),
        } => ConnectError::HostKeyCertified {
            at,
            presented,
            authority,
            why: uncertified.unwrap_or_else(|| "the node presents no certificate".to_owned()),
        },
        HostKeyStatus::Changed {
            known,
            algorithm: known_algorithm,
        } => ConnectError::HostKeyChanged {
            at,
            presented,
            known,
            known_algorithm,
        },
        HostKeyStatus::Revoked { location } => ConnectError::HostKeyRevoked {
            at,
            presented,
            location,
        },
    })
}

/// What the files say of a key, and why its certificate does not count.
pub(super) fn status(
    hop: &Hop,
    known: &KnownHosts,
    presented: &PresentedKey,
) -> (HostKeyStatus, Option<String>) {
    let (name, port) = (hop.known_as.0.as_str(), hop.known_as.1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    match &presented.certificate {
        Some(certificate) => known.check_certified(name, port, certificate, now),
        None => (known.check(name, port, &presented.key), None),
    }
}

/// The key that a node has proved to own, perhaps with a certificate that is not judged yet.
pub(super) struct PresentedKey {
    pub(super) key: HostKey,
    pub(super) certificate: Option<Certificate>,
}

/// Takes the node's key from the session.
pub(super) fn presented(session: &Session) -> Result<PresentedKey, String> {
    let blob = session.host_key().map(|(blob, _)| blob.to_vec());
    let Some(key) = blob.and_then(HostKey::from_blob) else {
        return Err("its host key is malformed".to_owned());
    };
    let certificate = match Certificate::is_one(&key) {
        false => None,
        true => match Certificate::read(&key) {
            Some(certificate) => Some(certificate),
            None => return Err("its host certificate is malformed".to_owned()),
        },
    };
    let key = certificate.as_ref().map_or(key, |it| it.key.clone());
    if key.is_too_short() {
        return Err(
            "its host key is an RSA key of less than 1024 bits, which can be forged".to_owned(),
        );
    }
    Ok(PresentedKey { key, certificate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_key_types_are_asked_for_first_and_certificates_only_where_a_key_is_revoked() {
        assert_eq!(
            preference(&["ssh-rsa", "sk-ssh-ed25519@openssh.com"], false),
            "rsa-sha2-512,rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521"
        );
        assert!(preference(&[], false).starts_with("ssh-ed25519,"));
        assert!(!preference(&[], false).contains("cert"));
        assert_eq!(
            preference(&["ssh-rsa", "ssh-ed25519"], false),
            preference(&[], false)
        );
        let asked = preference(&["ssh-rsa"], true);
        let first = "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,rsa-sha2-512,rsa-sha2-256,ssh-ed25519-cert-v01@openssh.com,";
        assert!(asked.starts_with(first), "{asked}");
        assert!(
            asked.ends_with(
                "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521"
            )
        );
    }
}
