//! A private key file: its type, determined before the passphrase is asked for.
//!
//! libssh2 reports the same error for a wrong passphrase and for a file that is not a key, so the header is parsed here.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use openssl::base64;
use rustix::process::getuid;
use zeroize::Zeroizing;

use crate::transport::KeyProblem;
use crate::transport::known_hosts::HostKey;

/// The largest file that is accepted as a key: a 16384 bit RSA key has 13 KB.
const LARGEST: u64 = 64 * 1024;

/// A file that holds a key.
pub(super) enum KeyFile {
    /// A private key.
    Private(PrivateKey),
    /// The public half; an agent may have the other.
    Public(HostKey),
}

/// A private key as its file has it.
pub(super) struct PrivateKey {
    pub(super) path: PathBuf,
    pub(super) text: Zeroizing<String>,
    pub(super) protection: Protection,
    /// The public half, if the file or the `.pub` file next to it has it in clear.
    pub(super) public: Option<HostKey>,
    /// The line of the `-cert.pub` file next to it.
    pub(super) certificate: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    Clear,
    Encrypted,
}

impl KeyFile {
    pub(super) fn read(path: &Path) -> Result<Self, KeyProblem> {
        let mut text = Zeroizing::new(String::new());
        let file = fs::File::open(path).map_err(KeyProblem::Unreadable)?;
        let metadata = file.metadata().map_err(KeyProblem::Unreadable)?;
        if !metadata.is_file() {
            return Err(KeyProblem::NotAKey);
        }
        let read = file.take(LARGEST).read_to_string(&mut text);
        match read {
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(KeyProblem::NotAKey);
            }
            Err(error) => return Err(KeyProblem::Unreadable(error)),
            Ok(_) => {}
        }
        if let Some(public) = public_line(&text) {
            return Ok(Self::Public(public));
        }
        let (protection, public) = inspect(&text).ok_or(KeyProblem::NotAKey)?;
        // As ssh does: a key that others can read is not secret, and its owner should know.
        let mode = metadata.mode() & 0o7777;
        if metadata.uid() == getuid().as_raw() && mode & 0o077 != 0 {
            return Err(KeyProblem::Exposed { mode });
        }
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            fs::read_to_string(PathBuf::from(name)).ok()
        };
        let public = public.or_else(|| public_line(&beside(".pub")?));
        let certificate = beside("-cert.pub").map(|line| line.trim().to_owned());
        Ok(Self::Private(PrivateKey {
            path: path.to_owned(),
            text,
            protection,
            public,
            certificate,
        }))
    }
}

/// `TYPE BASE64 COMMENT`
pub(super) fn public_line(text: &str) -> Option<HostKey> {
    let mut words = text.split_ascii_whitespace();
    let algorithm = words.next()?;
    let key = HostKey::from_blob(base64::decode_block(words.next()?).ok()?)?;
    (key.algorithm() == algorithm).then_some(key)
}

/// Whether the key is encrypted, and its public half; `None` if it is not a private key.
fn inspect(text: &str) -> Option<(Protection, Option<HostKey>)> {
    let text = text.trim_start();
    let label = text.strip_prefix("-----BEGIN ")?.split_once("-----")?.0;
    match label {
        "OPENSSH PRIVATE KEY" => {
            let (cipher, public) = openssh_header(text)?;
            let protection = match cipher.as_slice() {
                b"none" => Protection::Clear,
                _ => Protection::Encrypted,
            };
            Some((protection, Some(public)))
        }
        "ENCRYPTED PRIVATE KEY" => Some((Protection::Encrypted, None)),
        // RFC 1421: `Proc-Type: 4,ENCRYPTED` on the second line.
        _ if label.ends_with("PRIVATE KEY") => {
            let second = text.lines().nth(1).unwrap_or_default();
            let encrypted = second.starts_with("Proc-Type:") && second.contains("ENCRYPTED");
            Some((
                if encrypted {
                    Protection::Encrypted
                } else {
                    Protection::Clear
                },
                None,
            ))
        }
        _ => None,
    }
}

/// The cipher's name and the first public key of the format in OpenSSH's PROTOCOL.key; both are in clear in every such file.
fn openssh_header(text: &str) -> Option<(Vec<u8>, HostKey)> {
    let body: Zeroizing<String> = Zeroizing::new(
        text.lines()
            .skip(1)
            .take_while(|line| !line.starts_with("-----"))
            .map(str::trim)
            .collect(),
    );
    let bytes = Zeroizing::new(base64::decode_block(&body).ok()?);
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let cipher = string(&mut rest)?.to_vec();
    let _function = string(&mut rest)?;
    let _options = string(&mut rest)?;
    rest = rest.get(4..)?;
    Some((cipher, HostKey::from_blob(string(&mut rest)?.to_vec())?))
}

/// An SSH string: its length in four bytes, then its bytes (RFC 4251 §5).
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
    let bytes = rest.get(4..)?.get(..length)?;
    *rest = &rest[4 + length..];
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pem_headers_tell_whether_a_key_is_encrypted() {
        let clear = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(inspect(clear), Some((Protection::Clear, None)));
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIE\n";
        assert_eq!(inspect(old), Some((Protection::Encrypted, None)));
        let new = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n";
        assert_eq!(inspect(new), Some((Protection::Encrypted, None)));
    }

    #[test]
    fn a_certificate_of_a_web_server_is_no_private_key() {
        assert_eq!(inspect("-----BEGIN CERTIFICATE-----\nMIIE\n"), None);
        assert_eq!(inspect(""), None);
        assert_eq!(inspect("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".*", bytes in any::<Vec<u8>>()) {
            let _ = inspect(&text);
            let _ = public_line(&text);
            let wrapped = format!(
                "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
                base64::encode_block(&[b"openssh-key-v1\0".as_slice(), &bytes].concat()),
            );
            let _ = inspect(&wrapped);
        }
    }
}
