//! The content of a host certificate (OpenSSH's PROTOCOL.certkeys): the key itself, and the key that signed it.

use openssl::bn::BigNum;
use openssl::bn::BigNumContext;
use openssl::ec::EcGroup;
use openssl::ec::EcKey;
use openssl::ec::EcPoint;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::hash::hash;
use openssl::nid::Nid;
use openssl::pkey::Id;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sign::Verifier;

use super::key::HostKey;

/// What the name of a certificate's type ends with.
const ENDING: &str = "-cert-v01@openssh.com";

/// SSH2_CERT_TYPE_HOST
const HOST: u32 = 2;

/// A host certificate. [`Certificate::check`] says whether it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The node's own key, as it would present it without the certificate.
    pub key: HostKey,
    /// The key of the authority that signed it.
    pub authority: HostKey,
    /// What it is for: 2 for hosts.
    kind: u32,
    /// The names that it is good for; none is all of them.
    principals: Vec<String>,
    /// Since when and until when, in seconds since 1970.
    valid: (u64, u64),
    /// Conditions that a client must understand. There are none for hosts.
    critical: Vec<u8>,
    /// What is signed, and the signature.
    signed: Vec<u8>,
    signature: Vec<u8>,
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
        rest = rest.get(8..)?;
        let kind = u32::from_be_bytes(*rest.first_chunk()?);
        rest = rest.get(4..)?;
        let _name = string(&mut rest)?;
        let mut names = string(&mut rest)?;
        let mut principals = Vec::new();
        while !names.is_empty() {
            principals.push(String::from_utf8_lossy(string(&mut names)?).into_owned());
        }
        let since = u64::from_be_bytes(*rest.first_chunk()?);
        rest = rest.get(8..)?;
        let until = u64::from_be_bytes(*rest.first_chunk()?);
        rest = rest.get(8..)?;
        let critical = string(&mut rest)?.to_vec();
        for _ in 0..2 {
            string(&mut rest)?;
        }
        let authority = HostKey::from_blob(string(&mut rest)?.to_vec())?;
        let signed = certificate.blob()[..certificate.blob().len() - rest.len()].to_vec();
        let signature = string(&mut rest)?.to_vec();
        rest.is_empty().then_some(())?;
        Some(Self {
            key: HostKey::from_blob(blob)?,
            authority,
            kind,
            principals,
            valid: (since, until),
            critical,
            signed,
            signature,
        })
    }

    /// Whether the authority that it names has signed it, and it is good for a host of this name at this time, in seconds since 1970.
    ///
    /// # Errors
    /// Why it is not, as the end of a sentence.
    pub fn check(&self, name: &str, now: u64) -> Result<(), String> {
        if self.kind != HOST {
            return Err("it is no host certificate".to_owned());
        }
        if !self.is_signed() {
            return Err("its signature is wrong, or of a kind that is not accepted".to_owned());
        }
        if !self.critical.is_empty() {
            return Err("it has critical options, and there are none for hosts".to_owned());
        }
        let (since, until) = self.valid;
        if now < since {
            return Err("it is not valid yet".to_owned());
        }
        if now >= until {
            return Err("it has expired".to_owned());
        }
        let name = name.to_ascii_lowercase();
        if !self.principals.is_empty() && !self.principals.contains(&name) {
            return Err(format!("it is for {}", self.principals.join(", ")));
        }
        Ok(())
    }

    fn is_signed(&self) -> bool {
        let mut rest = self.signature.as_slice();
        let parts = string(&mut rest).zip(string(&mut rest));
        let Some((algorithm, signature)) = parts.filter(|_| rest.is_empty()) else {
            return false;
        };
        let verified = match algorithm {
            b"ssh-ed25519" => self.is_signed_by_ed25519(signature),
            b"rsa-sha2-512" => self.is_signed_by_rsa(signature, MessageDigest::sha512()),
            b"rsa-sha2-256" => self.is_signed_by_rsa(signature, MessageDigest::sha256()),
            b"ecdsa-sha2-nistp256" => {
                let curve = (Nid::X9_62_PRIME256V1, MessageDigest::sha256());
                self.is_signed_by_ecdsa(algorithm, signature, curve)
            }
            b"ecdsa-sha2-nistp384" => {
                let curve = (Nid::SECP384R1, MessageDigest::sha384());
                self.is_signed_by_ecdsa(algorithm, signature, curve)
            }
            b"ecdsa-sha2-nistp521" => {
                let curve = (Nid::SECP521R1, MessageDigest::sha512());
                self.is_signed_by_ecdsa(algorithm, signature, curve)
            }
            _ => return false,
        };
        verified.unwrap_or(false)
    }

    /// The parts of the authority's key after its type, if it is of this type.
    fn authority_parts(&self, algorithm: &[u8]) -> Option<Vec<&[u8]>> {
        let mut rest = self.authority.blob();
        (string(&mut rest)? == algorithm).then_some(())?;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            parts.push(string(&mut rest)?);
        }
        Some(parts)
    }

    fn is_signed_by_ed25519(&self, signature: &[u8]) -> Result<bool, ErrorStack> {
        let parts = self.authority_parts(b"ssh-ed25519");
        let Some([key]) = parts.as_deref() else {
            return Ok(false);
        };
        let key = PKey::public_key_from_raw_bytes(key, Id::ED25519)?;
        Verifier::new_without_digest(&key)?.verify_oneshot(signature, &self.signed)
    }

    fn is_signed_by_rsa(
        &self,
        signature: &[u8],
        digest: MessageDigest,
    ) -> Result<bool, ErrorStack> {
        let parts = self.authority_parts(b"ssh-rsa");
        let Some([exponent, modulus]) = parts.as_deref() else {
            return Ok(false);
        };
        if self.authority.is_too_short() {
            return Ok(false);
        }
        let (modulus, exponent) = (BigNum::from_slice(modulus)?, BigNum::from_slice(exponent)?);
        let key = PKey::from_rsa(Rsa::from_public_components(modulus, exponent)?)?;
        Verifier::new(digest, &key)?.verify_oneshot(signature, &self.signed)
    }

    fn is_signed_by_ecdsa(
        &self,
        algorithm: &[u8],
        mut signature: &[u8],
        (curve, digest): (Nid, MessageDigest),
    ) -> Result<bool, ErrorStack> {
        let parts = self.authority_parts(algorithm);
        let (Some([_, point]), Some((r, s))) = (
            parts.as_deref(),
            string(&mut signature).zip(string(&mut signature)),
        ) else {
            return Ok(false);
        };
        let group = EcGroup::from_curve_name(curve)?;
        let point = EcPoint::from_bytes(&group, point, &mut *BigNumContext::new()?)?;
        let key = EcKey::from_public_key(&group, &point)?;
        key.check_key()?;
        let (r, s) = (BigNum::from_slice(r)?, BigNum::from_slice(s)?);
        let signature = EcdsaSig::from_private_components(r, s)?;
        signature.verify(&hash(digest, &self.signed)?, &key)
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
            let read_again = Certificate::read(&certificate).unwrap();
            assert_eq!(read_again.key, read(&public), "{kind}");
            assert_eq!(read_again.authority, read("ca.pub"), "{kind}");
            assert!(!Certificate::is_one(&read(&public)));
        }
    }

    /// Tried with each condition of `check` removed.
    #[test]
    fn a_certificate_is_good_for_its_names_in_its_time_and_with_its_signature() {
        let folder = tempdir().unwrap();
        let keygen = |arguments: &[&str]| {
            let mut command = Command::new("ssh-keygen");
            command.arg("-q").args(arguments).current_dir(folder.path());
            assert!(command.status().unwrap().success());
        };
        let read = || {
            let text = fs::read_to_string(folder.path().join("host-cert.pub")).unwrap();
            let blob = base64::decode_block(text.split(' ').nth(1).unwrap()).unwrap();
            HostKey::from_blob(blob).unwrap()
        };
        let check = |name: &str, now: u64| Certificate::read(&read()).unwrap().check(name, now);
        keygen(&["-t", "ed25519", "-N", "", "-f", "host"]);
        let authorities: [(&str, &[&str]); 6] = [
            ("ed", &["-t", "ed25519"]),
            ("ec", &["-t", "ecdsa", "-b", "256"]),
            ("ec384", &["-t", "ecdsa", "-b", "384"]),
            ("ec521", &["-t", "ecdsa", "-b", "521"]),
            ("rsa", &["-t", "rsa", "-b", "2048"]),
            ("rsa256", &["-t", "rsa", "-b", "2048"]),
        ];
        for (name, arguments) in authorities {
            keygen(&[arguments, &["-N", "", "-f", name]].concat());
            let by: &[&str] = match name {
                "rsa256" => &["-t", "rsa-sha2-256"],
                _ => &[],
            };
            let sign = [
                "-s",
                name,
                "-I",
                "x",
                "-h",
                "-n",
                "web,192.0.2.1",
                "host.pub",
            ];
            keygen(&[by, &sign].concat());
            let now = 1_800_000_000;
            assert_eq!(check("web", now), Ok(()), "{name}");
            assert_eq!(check("WEB", now), Ok(()), "{name}");
            assert_eq!(check("192.0.2.1", now), Ok(()), "{name}");
            assert!(check("other", now).unwrap_err().contains("it is for web"));
            // Every byte is signed.
            let whole = read();
            for at in (40..whole.blob().len()).step_by(7) {
                let mut blob = whole.blob().to_vec();
                blob[at] ^= 1;
                let forged = HostKey::from_blob(blob).and_then(|key| Certificate::read(&key));
                assert!(
                    forged.is_none_or(|it| it.check("web", now).is_err()),
                    "{name} {at}"
                );
            }
        }
        let sign = |arguments: &[&str]| {
            keygen(&[&["-s", "ed", "-I", "x"], arguments, &["host.pub"]].concat());
        };
        sign(&["-h", "-n", "web", "-V", "20300101000000Z:20310101000000Z"]);
        assert!(
            check("web", 1_800_000_000)
                .unwrap_err()
                .contains("not valid yet")
        );
        assert_eq!(check("web", 1_900_000_000), Ok(()));
        assert!(check("web", 2_000_000_000).unwrap_err().contains("expired"));
        sign(&["-n", "web"]);
        assert!(
            check("web", 1_800_000_000)
                .unwrap_err()
                .contains("no host certificate")
        );
        sign(&["-h", "-n", "web", "-O", "critical:x=y"]);
        assert!(
            check("web", 1_800_000_000)
                .unwrap_err()
                .contains("critical")
        );
        sign(&["-h"]);
        assert_eq!(check("any", 1_800_000_000), Ok(()));
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
