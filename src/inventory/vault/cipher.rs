//! One encrypted text and one password → the plain text.
//!
//! ansible-vault's `VaultAES256`: PBKDF2-HMAC-SHA256 makes two keys and the first counter of a password and a salt. The HMAC is that of
//! the ciphertext, and is compared first: a wrong password decrypts nothing. The cipher is AES-256 in counter mode, its plain text
//! padded as in PKCS #7.

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::symm;
use openssl::symm::Cipher;
use zeroize::Zeroizing;

use super::envelope::BLOCK_BYTES;
use super::envelope::Envelope;
use super::failure::Failure;
use crate::model::Secret;

/// Ansible's number of rounds; three to four milliseconds.
const ROUNDS: usize = 10_000;

/// Bytes of a key of AES-256, and of one for the HMAC.
const KEY_BYTES: usize = 32;

/// Opens a text with a password; `None` if it is not the right one.
pub(super) fn open(
    envelope: &Envelope,
    password: &Secret,
) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let refused = |error: ErrorStack| Failure::general(format!("OpenSSL refuses: {error}"));
    let decrypted = decrypt(envelope, password).map_err(refused)?;
    let Some(mut bytes) = decrypted else {
        return Ok(None);
    };
    match padding(&bytes) {
        Some(padding) => {
            let length = bytes.len() - padding;
            bytes.truncate(length);
            Ok(Some(bytes))
        }
        None => Err(Failure::damaged(
            "the password is the right one, but what it opens is damaged".to_owned(),
            None,
        )),
    }
}

fn decrypt(
    envelope: &Envelope,
    password: &Secret,
) -> Result<Option<Zeroizing<Vec<u8>>>, ErrorStack> {
    let mut derived = Zeroizing::new([0; 2 * KEY_BYTES + BLOCK_BYTES]);
    pbkdf2_hmac(
        password.expose().as_bytes(),
        &envelope.salt,
        ROUNDS,
        MessageDigest::sha256(),
        &mut derived[..],
    )?;
    let (key, rest) = derived.split_at(KEY_BYTES);
    let (hmac_key, counter) = rest.split_at(KEY_BYTES);
    let hmac_key = PKey::hmac(hmac_key)?;
    let mut signer = Signer::new(MessageDigest::sha256(), &hmac_key)?;
    signer.update(&envelope.ciphertext)?;
    let hmac = signer.sign_to_vec()?;
    // In constant time: how long a wrong password takes tells nothing. The lengths are both 32, so it does not panic.
    if hmac.len() != envelope.hmac.len() || !memcmp::eq(&hmac, &envelope.hmac) {
        return Ok(None);
    }
    let plain = symm::decrypt(
        Cipher::aes_256_ctr(),
        key,
        Some(counter),
        &envelope.ciphertext,
    )?;
    Ok(Some(Zeroizing::new(plain)))
}

/// How many bytes of padding there are, from 1 to a whole block, each with that number in it.
fn padding(bytes: &[u8]) -> Option<usize> {
    let last = *bytes.last()?;
    let length = usize::from(last);
    let padded = (1..=BLOCK_BYTES).contains(&length) && length <= bytes.len();
    let all = padded && bytes.iter().rev().take(length).all(|byte| *byte == last);
    all.then_some(length)
}
