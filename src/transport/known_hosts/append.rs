//! Writing down a key that was seen for the first time.

use std::fs;
use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::HostKey;
use super::HostKeyStatus;
use super::KnownHosts;
use super::lookup_name;
use super::pattern;

/// How a name is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// As it is.
    Plain,
    /// As a hash, so that the file does not tell where its owner goes (`HashKnownHosts`).
    Hashed,
}

/// Appends a node's key to a file unless it is there by now, and returns the status of the key just before.
///
/// The file is locked while it is read and written, so two threads or two programs never write a key twice, nor two keys for one node:
/// only [`HostKeyStatus::Unknown`] adds a line. A missing directory is created with mode 0700 and a missing file with 0600, as in OpenSSH.
///
/// # Errors
/// The file can't be read, locked or written, or the address would be read as a pattern or a column of its own.
pub fn append(
    path: &Path,
    address: &str,
    port: u16,
    key: &HostKey,
    spelling: Spelling,
) -> io::Result<HostKeyStatus> {
    // OpenSSH writes down no such name either.
    if address.is_empty() || address.contains(|c: char| c <= ' ' || "@?*#[]|'\"\\!,".contains(c)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the address `{}` cannot be written down there",
                address.escape_debug()
            ),
        ));
    }
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    // Released when the file is closed, also by a program that dies.
    file.lock()?;
    let bytes = fs::read(path)?;
    let mut known = KnownHosts::default();
    known.add(path, &bytes);
    let status = known.check(address, port, key);
    if matches!(status, HostKeyStatus::Unknown { .. }) {
        let before = if bytes.last().is_none_or(|byte| *byte == b'\n') {
            ""
        } else {
            "\n"
        };
        let name = lookup_name(address, port);
        let name = match spelling {
            Spelling::Plain => name,
            Spelling::Hashed => pattern::hashed(&name).map_err(io::Error::other)?,
        };
        let line = format!("{before}{name} {} {}\n", key.algorithm(), key.to_base64());
        file.write_all(line.as_bytes())?;
    }
    Ok(status)
}
