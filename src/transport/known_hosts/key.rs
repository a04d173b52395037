//! A host key and its fingerprint.

use openssl::base64;
use openssl::sha::sha256;

/// A host key, as the wire and the files carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey(Vec<u8>);

impl HostKey {
    /// Takes over a key blob, which begins with the length and the name of its type (RFC 4253 §6.6). `None` if it doesn't.
    pub fn from_blob(blob: Vec<u8>) -> Option<Self> {
        let length = u32::from_be_bytes(*blob.first_chunk()?);
        let name = blob.get(4..)?.get(..usize::try_from(length).ok()?)?;
        let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b',';
        (!name.is_empty() && name.iter().all(plain)).then_some(Self(blob))
    }

    /// The type, such as `ssh-ed25519`.
    pub fn algorithm(&self) -> &str {
        let length = self
            .0
            .first_chunk()
            .map_or(0, |chunk| u32::from_be_bytes(*chunk));
        let name = self.0.get(4..4 + length as usize).unwrap_or_default();
        str::from_utf8(name).unwrap_or_default()
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.0)
    }

    /// The blob.
    pub fn blob(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is an RSA key of less than 1,024 bits, which can be forged. OpenSSH takes such a key for none.
    pub fn is_too_short(&self) -> bool {
        if self.algorithm() != "ssh-rsa" {
            return false;
        }
        // After the name come the exponent and the modulus, each with its length (RFC 4253 §6.6).
        let modulus = || {
            let mut rest = self.0.get(4 + "ssh-rsa".len()..)?;
            let exponent = u32::from_be_bytes(*rest.first_chunk()?);
            rest = rest.get(4..)?.get(usize::try_from(exponent).ok()?..)?;
            let length = u32::from_be_bytes(*rest.first_chunk()?);
            rest.get(4..)?.get(..usize::try_from(length).ok()?)
        };
        let Some(modulus) = modulus() else {
            return true;
        };
        let first = modulus.iter().position(|byte| *byte != 0);
        let significant = &modulus[first.unwrap_or(modulus.len())..];
        let bits = significant.first().map_or(0, |byte| {
            significant.len() * 8 - byte.leading_zeros() as usize
        });
        bits < 1024
    }

    /// The key in base64, as the files have it.
    pub fn to_base64(&self) -> String {
        base64::encode_block(&self.0)
    }
}

/// `SHA256:…` of any public key blob, as `ssh-keygen -l` prints it.
pub fn fingerprint(blob: &[u8]) -> String {
    format!(
        "SHA256:{}",
        base64::encode_block(&sha256(blob)).trim_end_matches('=')
    )
}
