//! A host key that was looked at, and not yet trusted.

use std::io;
use std::path::PathBuf;

use super::known_hosts::HostKey;
use super::known_hosts::HostKeyStatus;
use super::known_hosts::Spelling;
use super::known_hosts::append;

/// The host key of a node, with what the files of known host keys say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// The key that the node has proved to own.
    pub key: HostKey,
    /// The name and port under which it is looked up and written down.
    pub known_as: (String, u16),
    /// What the files say.
    pub status: HostKeyStatus,
    /// The file that a new key is written to; `None` if no file is configured.
    pub file: Option<PathBuf>,
    /// Whether the name is written as a hash.
    pub(super) hashes_names: bool,
}

impl Scanned {
    /// Writes the key down unless the file has a key of that name by now. Returns what the file said just before: only
    /// [`HostKeyStatus::Unknown`] adds a line.
    ///
    /// # Errors
    /// There is no file, or it cannot be written.
    pub fn write_down(&self) -> io::Result<HostKeyStatus> {
        let Some(file) = &self.file else {
            return Err(io::Error::other("no file of known host keys is configured"));
        };
        let spelling = match self.hashes_names {
            true => Spelling::Hashed,
            false => Spelling::Plain,
        };
        append(file, &self.known_as.0, self.known_as.1, &self.key, spelling)
    }
}
