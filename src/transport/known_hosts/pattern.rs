//! The first column of a known_hosts line: for which nodes it holds.

use openssl::base64;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// The nodes of one line.
#[derive(Debug)]
pub(super) enum Hosts {
    /// `|1|salt|hash`: one name, as HMAC-SHA1 under the salt.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
    /// Patterns, of which one must match and no negated one may.
    Listed(Vec<Pattern>),
}

#[derive(Debug)]
pub(super) struct Pattern {
    sense: Sense,
    glob: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sense {
    Holds,
    Excludes,
}

impl Hosts {
    /// `None` if the column is malformed.
    pub(super) fn parse(column: &[u8]) -> Option<Self> {
        if let Some(rest) = column.strip_prefix(b"|1|") {
            let (salt, hash) = str::from_utf8(rest).ok()?.split_once('|')?;
            let salt = base64::decode_block(salt).ok()?;
            let hash = base64::decode_block(hash).ok()?;
            // HMAC-SHA1 gives 20 bytes; OpenSSL takes no empty key.
            return (hash.len() == 20 && !salt.is_empty()).then_some(Self::Hashed { salt, hash });
        }
        if column.starts_with(b"|") {
            return None;
        }
        let patterns = column
            .split(|byte| *byte == b',')
            .filter(|glob| !glob.is_empty());
        let patterns: Vec<Pattern> = patterns
            .map(|glob| match glob.strip_prefix(b"!") {
                Some(glob) => Pattern {
                    sense: Sense::Excludes,
                    glob: glob.to_ascii_lowercase(),
                },
                None => Pattern {
                    sense: Sense::Holds,
                    glob: glob.to_ascii_lowercase(),
                },
            })
            .collect();
        (!patterns.is_empty()).then_some(Self::Listed(patterns))
    }

    /// Whether the line holds for a name in lower case, as [`lookup_name`](super::lookup_name) makes it.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, hash } => hmac_sha1(salt, name.as_bytes())
                .is_some_and(|ours| ours.len() == hash.len() && memcmp::eq(&ours, hash)),
            Self::Listed(patterns) => {
                let fits = |sense: Sense| {
                    let mut some = patterns.iter().filter(|pattern| pattern.sense == sense);
                    some.any(|pattern| glob_matches(&pattern.glob, name.as_bytes()))
                };
                fits(Sense::Holds) && !fits(Sense::Excludes)
            }
        }
    }
}

fn hmac_sha1(key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let key = PKey::hmac(key).ok()?;
    Signer::new(MessageDigest::sha1(), &key)
        .ok()?
        .sign_oneshot_to_vec(text)
        .ok()
}

/// `*` is any text, `?` any one character. Steps back to the last `*` only, so that no pattern takes exponential time.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                g += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                g = at + 1;
                t = from + 1;
            }
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}
