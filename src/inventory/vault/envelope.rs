//! The text of an encrypted value → its parts.
//!
//! The format is that of ansible-vault (`lib/ansible/parsing/vault/__init__.py` of ansible-core, and "Format of files encrypted with
//! Ansible Vault" in its documentation): a line `$ANSIBLE_VAULT;1.1;AES256`, in 1.2 with `;VAULT-ID`, then lines of hexadecimal
//! digits. Their bytes are three lines of hexadecimal digits again: the salt, the HMAC, and the ciphertext.

use super::failure::Damage;
use super::failure::Failure;
use crate::inventory::error::shown;

/// What an encrypted text begins with.
const HEADER: &str = "$ANSIBLE_VAULT";

/// Bytes of an HMAC-SHA256.
const HMAC_BYTES: usize = 32;

/// Bytes of a block of AES, to which the plain text is padded.
pub(super) const BLOCK_BYTES: usize = 16;

/// The parts of an encrypted text.
pub(super) struct Envelope {
    /// The vault id, in format 1.2.
    pub(super) id: Option<String>,
    pub(super) salt: Vec<u8>,
    pub(super) hmac: Vec<u8>,
    /// At least one block, and whole blocks only.
    pub(super) ciphertext: Vec<u8>,
}

/// Returns whether a text is encrypted: ansible-vault looks at no more than its beginning.
pub(in crate::inventory) fn is_encrypted(text: &str) -> bool {
    text.starts_with(HEADER)
}

impl Envelope {
    /// Reads an encrypted text. Lines may end as on any system.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut lines = text.lines().map(str::trim_end);
        let header = lines.next().unwrap_or_default();
        let fields: Vec<&str> = header.split(';').map(str::trim).collect();
        let wrong = |message: String| Failure::damaged(message, Damage::of_line(0, header));
        let (version, cipher, id) = match fields[..] {
            [HEADER, version, cipher] => (version, cipher, None),
            [HEADER, version, cipher, id, ..] => (version, cipher, Some(id)),
            _ => {
                return Err(wrong(
                    "this is not the first line of an encrypted text".to_owned(),
                ));
            }
        };
        if !matches!(version, "1.1" | "1.2") {
            return Err(wrong(format!(
                "the format `{}` of ansible-vault is not known",
                shown(version)
            )));
        }
        if cipher != "AES256" {
            return Err(wrong(format!(
                "the cipher `{}` is not one of ansible-vault's",
                shown(cipher)
            )));
        }
        let inner = Self::body(lines)?;
        let cut = || Failure::damaged("the encrypted text is damaged or cut off".to_owned(), None);
        let mut parts = inner.splitn(3, |byte| *byte == b'\n');
        let mut next = || {
            let part = parts.next().and_then(unhex);
            part.ok_or_else(cut)
        };
        let (salt, hmac, ciphertext) = (next()?, next()?, next()?);
        let whole = !ciphertext.is_empty() && ciphertext.len().is_multiple_of(BLOCK_BYTES);
        if salt.is_empty() || hmac.len() != HMAC_BYTES || !whole {
            return Err(cut());
        }
        Ok(Self {
            id: id.filter(|id| !id.is_empty()).map(str::to_owned),
            salt,
            hmac,
            ciphertext,
        })
    }

    /// The bytes of the lines after the first.
    fn body<'t>(lines: impl Iterator<Item = &'t str>) -> Result<Vec<u8>, Failure> {
        let mut digits = Vec::new();
        let mut last = None;
        for (number, line) in (1..).zip(lines) {
            for (column, character) in line.char_indices() {
                let Some(digit) = character.to_digit(16) else {
                    let damage = Damage {
                        line: number,
                        column,
                        length: character.len_utf8(),
                    };
                    return Err(Failure::damaged(
                        format!(
                            "`{}` is no hexadecimal digit",
                            shown(&character.to_string())
                        ),
                        Some(damage),
                    ));
                };
                // At most 15.
                digits.push(digit.to_le_bytes()[0]);
                last = Some((number, line));
            }
        }
        let (pairs, rest) = digits.as_chunks::<2>();
        if !rest.is_empty() || pairs.is_empty() {
            let place = last.and_then(|(number, line)| Damage::of_line(number, line));
            return Err(Failure::damaged(
                "the encrypted text is cut off".to_owned(),
                place,
            ));
        }
        Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
    }
}

/// The bytes that hexadecimal digits stand for; `None` if they are none.
fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| u8::try_from(value(*high)? << 4 | value(*low)?).ok();
    rest.is_empty()
        .then(|| pairs.iter().map(byte).collect())
        .flatten()
}
