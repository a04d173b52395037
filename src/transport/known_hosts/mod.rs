//! Known host keys, parsed and decided as OpenSSH does.
//!
//! libssh2 has a matcher of its own; it accepts a revoked key, treats a second key type as an attack, does not know wildcards, and
//! stops reading at the first malformed line. So the files are read here. The format is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
//!
//! What OpenSSH ignores is ignored here, and what it reads is read: a line that only one of the two understands would
//! be a key that is accepted, or a revocation that is missed. Three rules are stricter: a key of a type that OpenSSH does not know
//! still makes a node known, a revocation under the bare name applies to every port, and the names in a host certificate are no patterns.

mod append;
mod certificate;
mod key;
mod pattern;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use openssl::base64;

pub use append::Spelling;
pub use append::append;
pub use certificate::Certificate;
pub use key::HostKey;
pub use key::fingerprint;
use pattern::Hosts;

/// A line of a file, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileLine {
    /// The file.
    pub path: PathBuf,
    /// The line.
    pub line: usize,
}

impl fmt::Display for FileLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// What the files say about a key that a node presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyStatus {
    /// It is the node's key.
    Known,
    /// The files have no key of this node.
    Unknown {
        /// A certificate authority that the files trust for this node, and that does not vouch for this key.
        authority: Option<FileLine>,
    },
    /// The files have another key of this node.
    Changed {
        /// The location of that key; of one of the same type if there is one.
        known: FileLine,
        /// The type of that key.
        algorithm: String,
    },
    /// The files say that this key must not be trusted any more.
    Revoked {
        /// Where they say so.
        location: FileLine,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    Plain,
    Revoked,
    Authority,
}

#[derive(Debug)]
struct Entry {
    marker: Marker,
    hosts: Hosts,
    key: HostKey,
    location: FileLine,
}

/// The host keys of several files.
#[derive(Debug, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
    malformed: Vec<FileLine>,
}

impl KnownHosts {
    /// Reads the files in order. One that does not exist is empty.
    ///
    /// # Errors
    /// A file that exists cannot be read: it may contain a revocation.
    pub fn read(paths: &[PathBuf]) -> Result<Self, (PathBuf, io::Error)> {
        let mut known = Self::default();
        for path in paths {
            match fs::read(path) {
                Ok(bytes) => known.add(path, &bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err((path.clone(), error)),
            }
        }
        Ok(known)
    }

    /// Adds what a file holds. A malformed line is left out and remembered.
    pub fn add(&mut self, path: &Path, bytes: &[u8]) {
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            // OpenSSH reads a line as a C string: it ends at a NUL, and only blanks and tabs part its columns.
            let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
            let start = line.iter().position(|byte| !is_blank(byte));
            let line = &line[start.unwrap_or(line.len())..];
            if line.trim_ascii().is_empty() || line.starts_with(b"#") {
                continue;
            }
            let location = FileLine {
                path: path.to_owned(),
                line: index + 1,
            };
            match parse(line) {
                Some((marker, hosts, key)) => {
                    self.entries.push(Entry {
                        marker,
                        hosts,
                        key,
                        location,
                    });
                }
                None => self.malformed.push(location),
            }
        }
    }

    /// The lines that could not be understood.
    pub fn malformed(&self) -> &[FileLine] {
        &self.malformed
    }

    /// The status of `key` from the node at this address.
    pub fn check(&self, address: &str, port: u16, key: &HostKey) -> HostKeyStatus {
        let name = lookup_name(address, port);
        let bare = lookup_name(address, 22);
        let of = |marker: Marker, name: &str| {
            let entries = self
                .entries
                .iter()
                .filter(move |entry| entry.marker == marker);
            let name = name.to_owned();
            entries.filter(move |entry| entry.hosts.matches(&name))
        };

        if let Some(entry) = self.revoked(address, port).find(|entry| entry.key == *key) {
            return HostKeyStatus::Revoked {
                location: entry.location.clone(),
            };
        }
        let exact: Vec<&Entry> = of(Marker::Plain, &name).collect();
        if exact.iter().any(|entry| entry.key == *key) {
            return HostKeyStatus::Known;
        }
        let alike = exact
            .iter()
            .find(|entry| entry.key.algorithm() == key.algorithm());
        if let Some(entry) = alike.or(exact.first()) {
            let algorithm = entry.key.algorithm().to_owned();
            return HostKeyStatus::Changed {
                known: entry.location.clone(),
                algorithm,
            };
        }
        // Only where nothing is known of the port does the bare name count: it vouches for its key, and makes another one no attack.
        if of(Marker::Plain, &bare).any(|entry| entry.key == *key) {
            return HostKeyStatus::Known;
        }
        let mut authorities = self.authorities(address, port);
        HostKeyStatus::Unknown {
            authority: authorities.next().map(|entry| entry.location.clone()),
        }
    }

    /// Whether any key is revoked for a node.
    pub fn revokes_some(&self, address: &str, port: u16) -> bool {
        self.revoked(address, port).next().is_some()
    }

    /// Whether an authority is trusted for a node.
    pub fn certifies(&self, address: &str, port: u16) -> bool {
        self.authorities(address, port).next().is_some()
    }

    /// The same as [`check`](Self::check) for a certificate at this time, in seconds since 1970: with a revoked authority the key is
    /// revoked, too; a certificate that is good for `address` makes the node known; with any other, the key in it counts as if it were
    /// presented without. The text says why the certificate does not count.
    pub fn check_certified(
        &self,
        address: &str,
        port: u16,
        certificate: &Certificate,
        now: u64,
    ) -> (HostKeyStatus, Option<String>) {
        let mut revoked = self.revoked(address, port);
        let is_revoked =
            |entry: &&Entry| entry.key == certificate.authority || entry.key == certificate.key;
        if let Some(entry) = revoked.find(is_revoked) {
            let location = entry.location.clone();
            return (HostKeyStatus::Revoked { location }, None);
        }
        let mut authorities = self.authorities(address, port);
        let why = match authorities.any(|entry| entry.key == certificate.authority) {
            true => match certificate.check(address, now) {
                Ok(()) => return (HostKeyStatus::Known, None),
                Err(why) => why,
            },
            false => "it is signed by another authority".to_owned(),
        };
        (self.check(address, port, &certificate.key), Some(why))
    }

    /// The authorities that are trusted for a node, under its name with the port and under the bare name.
    fn authorities(&self, address: &str, port: u16) -> impl Iterator<Item = &Entry> {
        let (name, bare) = (lookup_name(address, port), lookup_name(address, 22));
        self.entries.iter().filter(move |entry| {
            entry.marker == Marker::Authority
                && (entry.hosts.matches(&name) || entry.hosts.matches(&bare))
        })
    }

    /// A revocation under the bare name holds for every port.
    fn revoked(&self, address: &str, port: u16) -> impl Iterator<Item = &Entry> {
        let (name, bare) = (lookup_name(address, port), lookup_name(address, 22));
        self.entries.iter().filter(move |entry| {
            entry.marker == Marker::Revoked
                && (entry.hosts.matches(&name) || entry.hosts.matches(&bare))
        })
    }

    /// The types of the keys that are known of a node under its name and port, in the order of the files.
    ///
    /// The bare name has no say, as with OpenSSH: the key that it is asked about is the one that OpenSSH would be shown.
    pub fn algorithms(&self, address: &str, port: u16) -> Vec<&str> {
        let name = lookup_name(address, port);
        self.entries
            .iter()
            .filter(|entry| entry.marker == Marker::Plain && entry.hosts.matches(&name))
            .map(|entry| entry.key.algorithm())
            .collect()
    }
}

/// The name of a node in the files: lower case, and in brackets with its port unless that is 22.
pub fn lookup_name(address: &str, port: u16) -> String {
    let address = address.to_ascii_lowercase();
    match port {
        22 => address,
        _ => format!("[{address}]:{port}"),
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn parse(line: &[u8]) -> Option<(Marker, Hosts, HostKey)> {
    let mut words = line.split(is_blank).filter(|word| !word.is_empty());
    let first = words.next()?;
    let (marker, hosts) = match first {
        b"@revoked" => (Marker::Revoked, words.next()?),
        b"@cert-authority" => (Marker::Authority, words.next()?),
        _ => (Marker::Plain, first),
    };
    // At most one marker, so no name starts with `@`.
    (!hosts.starts_with(b"@")).then_some(())?;
    let algorithm = words.next()?;
    let key = HostKey::from_blob(decode(words.next()?)?)?;
    let fits = match algorithm {
        // The names of its signatures are good for an RSA key, too.
        b"rsa-sha2-256" | b"rsa-sha2-512" => key.algorithm() == "ssh-rsa",
        _ => key.algorithm().as_bytes() == algorithm,
    };
    (fits && !key.is_too_short()).then_some(())?;
    Some((marker, Hosts::parse(hosts)?, key))
}

/// Base64 as `b64_pton` reads it: white space inside does not count (a line may end with a carriage return), all else must be as an
/// encoder would have written it.
fn decode(word: &[u8]) -> Option<Vec<u8>> {
    let text: String = word
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace() && **byte != 0x0b)
        .map(|byte| char::from(*byte))
        .collect();
    let bytes = base64::decode_block(&text).ok()?;
    (base64::encode_block(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests;
