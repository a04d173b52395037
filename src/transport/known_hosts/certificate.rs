//! The content of a host certificate (OpenSSH's PROTOCOL.certkeys): the key itself, and the key that signed it.

use super::key::HostKey;

/// What the name of a certificate's type ends with.
const ENDING: &str = "-cert-v01@openssh.com";

/// The two keys in a host certificate. Its validity is not checked, because host certificates are not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The node's own key, as it would present it without the certificate.
    pub key: HostKey,
    /// The key of the authority that signed it.
    pub authority: HostKey,
}

impl Certificate {
    /// Whether a key of this type is a certificate.
    pub fn is_one(key: &HostKey) -> bool {
        key.algorithm().ends_with(ENDING)
    }

    /// Takes a certificate apart; `None` if it is malformed or of an unknown type.
    pub fn read(certificate: &HostKey) -> Option<Self> {
        let algorithm = certificate.algorithm().strip_suffix(ENDING)?;
        let mut rest = certificate.blob();
        let _type = string(&mut rest)?;
        let _nonce = string(&mut rest)?;
        // How many parts the key itself has.
        let parts = match algorithm {
            "ssh-ed25519" => 1,
            "ssh-rsa" => 2,
            _ if algorithm.starts_with("ecdsa-sha2-nistp") => 2,
            _ => return None,
        };
        let mut blob = written(algorithm.as_bytes())?;
        for _ in 0..parts {
            blob.extend(written(string(&mut rest)?)?);
        }
        // Serial number and kind; name, principals; validity; options, extensions, reserved.
        rest = rest.get(8 + 4..)?;
        let _name = string(&mut rest)?;
        let _principals = string(&mut rest)?;
        rest = rest.get(8 + 8..)?;
        for _ in 0..3 {
            string(&mut rest)?;
        }
        Some(Self {
            key: HostKey::from_blob(blob)?,
            authority: HostKey::from_blob(string(&mut rest)?.to_vec())?,
        })
    }
}

/// An SSH string: its length in four bytes, then its bytes (RFC 4251 §5).
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
    let bytes = rest.get(4..)?.get(..length)?;
    *rest = &rest[4 + length..];
    Some(bytes)
}

fn written(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = u32::try_from(bytes.len()).ok()?.to_be_bytes().to_vec();
    text.extend(bytes);
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use openssl::base64;
    use proptest::prelude::*;
    use tempfile::tempdir;

    use super::*;

    #[test]
    fn the_keys_of_every_certificate_are_found() {
        let folder = tempdir().unwrap();
        let read = |name: &str| {
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            let blob = text.split(' ').nth(1).unwrap();
            HostKey::from_blob(base64::decode_block(blob).unwrap()).unwrap()
        };
        let keygen = |arguments: &[&str]| {
            let mut command = Command::new("ssh-keygen");
            command.arg("-q").args(arguments).current_dir(folder.path());
            assert!(command.status().unwrap().success());
        };
        keygen(&["-t", "ed25519", "-N", "", "-f", "ca"]);
        for kind in ["ed25519", "ecdsa", "rsa"] {
            keygen(&["-t", kind, "-N", "", "-f", kind]);
            let public = format!("{kind}.pub");
            keygen(&["-s", "ca", "-I", "x", "-h", "-n", "a,b", &public]);
            let certificate = read(&format!("{kind}-cert.pub"));
            assert!(Certificate::is_one(&certificate));
            let wanted = Certificate {
                key: read(&public),
                authority: read("ca.pub"),
            };
            assert_eq!(Certificate::read(&certificate), Some(wanted), "{kind}");
            assert!(!Certificate::is_one(&read(&public)));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in any::<Vec<u8>>()) {
            let mut blob = written(b"ssh-ed25519-cert-v01@openssh.com").unwrap();
            blob.extend(&bytes);
            let _ = Certificate::read(&HostKey::from_blob(blob).unwrap());
        }
    }
}
