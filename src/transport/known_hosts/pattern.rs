//! The first column of a known_hosts line: for which nodes it holds.

use openssl::base64;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rand::rand_bytes;
use openssl::sign::Signer;

/// The length of a salt and of a hash.
const HASHED: usize = 20;

/// The shortest pattern that OpenSSH has no room for.
const LONGEST: usize = 1023;

/// The nodes of one line.
#[derive(Debug)]
pub(super) enum Hosts {
    /// `|1|salt|hash`: one name, as HMAC-SHA1 under the salt, as it is written.
    Hashed { salt: Vec<u8>, written: Vec<u8> },
    /// Patterns: one must match, and no negated one may match.
    Listed(Vec<HostPattern>),
}

#[derive(Debug)]
pub(super) struct HostPattern {
    sense: Sense,
    glob: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sense {
    Holds,
    Excludes,
}

/// A name as `|1|salt|hash`, with a new salt.
pub(super) fn hashed(name: &str) -> Result<String, ErrorStack> {
    let mut salt = [0; HASHED];
    rand_bytes(&mut salt)?;
    let key = PKey::hmac(&salt)?;
    let mut signer = Signer::new(MessageDigest::sha1(), &key)?;
    let hash = signer.sign_oneshot_to_vec(name.as_bytes())?;
    Ok(format!(
        "|1|{}|{}",
        base64::encode_block(&salt),
        base64::encode_block(&hash)
    ))
}

impl Hosts {
    /// `None` if the column is malformed.
    pub(super) fn parse(column: &[u8]) -> Option<Self> {
        if let Some(rest) = column.strip_prefix(b"|1|") {
            let (salt, _) = str::from_utf8(rest).ok()?.split_once('|')?;
            let salt = base64::decode_block(salt).ok()?;
            // As long as what HMAC-SHA1 gives; OpenSSH makes and takes no other.
            return (salt.len() == HASHED).then_some(Self::Hashed {
                salt,
                written: column.to_vec(),
            });
        }
        if column.starts_with(b"|") {
            return None;
        }
        let patterns = column
            .split(|byte| *byte == b',')
            .filter(|glob| !glob.is_empty());
        let patterns: Vec<HostPattern> = patterns
            .map(|glob| match glob.strip_prefix(b"!") {
                Some(glob) => HostPattern {
                    sense: Sense::Excludes,
                    glob: glob.to_ascii_lowercase(),
                },
                None => HostPattern {
                    sense: Sense::Holds,
                    glob: glob.to_ascii_lowercase(),
                },
            })
            .collect();
        // OpenSSH gives up on a list with a longer one.
        let bearable = patterns.iter().all(|pattern| pattern.glob.len() < LONGEST);
        (!patterns.is_empty() && bearable).then_some(Self::Listed(patterns))
    }

    /// Whether the line holds for a name in lower case, as [`lookup_name`](super::lookup_name) makes it.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, written } => {
                let Some(hash) = hmac_sha1(salt, name.as_bytes()) else {
                    return false;
                };
                let ours = format!(
                    "|1|{}|{}",
                    base64::encode_block(salt),
                    base64::encode_block(&hash)
                );
                ours.as_bytes() == written
            }
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

/// `*` is any text, `?` any one character. Backtracks to the last `*` only, so no pattern takes exponential time.
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
