//! The only place of the room that reads files and the environment.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use super::connection::Surroundings;
use super::document::Document;
use super::document::MAX_FILE_BYTES;
use super::document::text;
use super::document::too_long;
use super::error::InputError;
use super::error::InputErrors;
use super::location::Source;
use super::suggest::closest;
use super::vault::Vault;
use super::vault::is_encrypted;
use super::vault::locked;

/// Directories in directories below `group_vars/`: a link to its own parent would never end.
const MAX_LEVELS: usize = 8;

/// Files that may be beside YAML files in an inventory directory, or among variables, and are ignored, as Ansible does.
const PASSED_OVER: [&str; 12] = [
    "md", "txt", "rst", "bak", "orig", "swp", "sample", "example", "dist", "rpmnew", "rpmsave",
    "retry",
];

/// Endings that Ansible ignores in an inventory directory (`INVENTORY_IGNORE_EXTS`).
const IGNORED_ENDINGS: [&str; 12] = [
    ".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry",
];

/// Directories that may be in an inventory directory, and are read elsewhere or only by Ansible's playbooks.
const NO_INVENTORY: [&str; 7] = [
    "group_vars",
    "host_vars",
    "vars_plugins",
    "roles",
    "files",
    "templates",
    "playbooks",
];

/// The file beside an inventory in which fwdeploy pins the addresses of names. It may be in a directory of inventories, and is none.
pub const LOCK_FILE: &str = "fwdeploy.lock";

/// A file or directory that may hold variables.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    /// Its own name, without the way to it.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) kind: ListedKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListedKind {
    File,
    Directory,
}

/// What a source of an inventory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// A file that somebody may execute.
    Executable,
    /// A directory of inventories.
    Directory,
}

/// What is at a path.
pub(super) fn kind(path: &Path) -> Result<Kind, InputError> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    Ok(if metadata.is_dir() {
        Kind::Directory
    } else if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        Kind::Executable
    } else {
        Kind::Text
    })
}

/// Returns whether something is at a path.
pub(super) fn exists(path: &Path) -> bool {
    path.exists()
}

/// The directory of a source: itself, or the one it is in.
pub(super) fn directory(source: &Path) -> PathBuf {
    if source.is_dir() {
        source.to_owned()
    } else {
        source.parent().unwrap_or(Path::new("")).to_owned()
    }
}

/// Returns whether two directories are one.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        fs::canonicalize(path).ok()
    };
    one == other || matches!((real(one), real(other)), (Some(one), Some(other)) if one == other)
}

/// A path from the root on, so that it is never looked up in PATH.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The ending of a file's name, without its dot.
pub(super) fn ending(path: &Path) -> Option<String> {
    path.extension()
        .map(|ending| ending.to_string_lossy().into_owned())
}

/// The location of the inventory, and the user who reads it.
pub(super) fn surroundings(directory: PathBuf) -> Surroundings {
    Surroundings {
        directory,
        home: std::env::home_dir().filter(|home| home.is_absolute()),
    }
}

/// The files and directories of an inventory directory that may be inventories, in the order of their names.
pub(super) fn inventories(directory: &Path) -> Result<Vec<PathBuf>, InputErrors> {
    let mut listed = list(directory)?;
    listed.retain(|listed| {
        let is_ignored = IGNORED_ENDINGS
            .iter()
            .any(|ending| listed.name.ends_with(ending));
        let is_elsewhere = NO_INVENTORY.contains(&listed.name.as_str());
        !(is_ignored
            || listed.name == LOCK_FILE
            || is_elsewhere && listed.kind == ListedKind::Directory)
    });
    Ok(listed.into_iter().map(|listed| listed.path).collect())
}

/// Reads one file as YAML.
pub(super) fn document(path: &Path, vault: &Vault) -> Result<Document, InputErrors> {
    Document::from_source(source(path, vault)?)
}

/// Reads the text of one file, which may be encrypted.
pub(super) fn source(path: &Path, vault: &Vault) -> Result<Source, InputErrors> {
    let (name, bytes) = (shown(path), bytes(path)?);
    match encrypted(&bytes) {
        Some(encrypted) => Ok(vault.open_file(&name, encrypted)?),
        None => {
            let text = text(&name, &bytes)?.to_owned();
            Ok(Source::file(name, text))
        }
    }
}

/// Reads one file of variables. One that is encrypted and cannot be opened is [`locked`]: only its nodes have to know.
fn variable_file(path: &Path, vault: &Vault) -> Result<Document, InputErrors> {
    let (name, bytes) = (shown(path), bytes(path)?);
    match encrypted(&bytes) {
        Some(text) => match vault.open_file(&name, text) {
            Ok(source) => Document::from_source(source),
            Err(_) => Ok(locked(&name, text)),
        },
        None => Document::from_bytes(name, &bytes),
    }
}

/// The text of a file that is encrypted as a whole.
fn encrypted(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    is_encrypted(text).then_some(text)
}

/// Reads one file, but never more than the limit: a file of gigabytes is refused before it is in memory.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, InputError> {
    let length = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if length.is_dir() {
        return Err(InputError::in_file(
            shown(path),
            "a directory, where a file is expected",
        ));
    }
    let refuse = |bytes: u64| {
        let error = InputError::in_file(shown(path), too_long(bytes));
        error.hint("is this the right file?")
    };
    if length.len() > MAX_FILE_BYTES {
        return Err(refuse(length.len()));
    }
    let mut bytes = Vec::new();
    // A pipe or a device has no length, and a file may have grown since.
    let read =
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        Err(refuse(bytes.len() as u64))
    } else {
        Ok(bytes)
    }
}

/// Lists a directory in the order of the names; empty if it does not exist. Hidden files and editors' backups are left out, as Ansible does.
pub(super) fn list(directory: &Path) -> Result<Vec<Listed>, InputErrors> {
    if fs::symlink_metadata(directory).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(directory, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let path = directory.join(entry.file_name());
        let kind = if path.is_dir() {
            ListedKind::Directory
        } else {
            ListedKind::File
        };
        listed.push(Listed { name, path, kind });
    }
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(listed)
}

/// The files of variables that were found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) documents: Vec<Document>,
    /// About files that are not read, as Ansible does not.
    pub(super) warnings: Vec<InputError>,
}

/// Reads a file of variables, or all of a directory in the order of the names: a later one wins.
pub(super) fn variable_files(listed: &Listed, vault: &Vault) -> Result<Found, InputErrors> {
    let mut found = Found::default();
    collect(listed, 0, vault, &mut found)?;
    Ok(found)
}

/// Follows `_get_dir_vars_files` of Ansible's `parsing/dataloader.py`: names without a dot, and those that end as YAML does.
fn collect(
    listed: &Listed,
    level: usize,
    vault: &Vault,
    found: &mut Found,
) -> Result<(), InputErrors> {
    if listed.kind == ListedKind::File {
        found.documents.push(variable_file(&listed.path, vault)?);
        return Ok(());
    }
    if level == MAX_LEVELS {
        let message = format!("more than {MAX_LEVELS} directories in each other");
        return Err(InputError::in_file(shown(&listed.path), message).into());
    }
    let mut errors = InputErrors::none();
    for inner in list(&listed.path)? {
        let plain = !inner.name.contains('.');
        let read = plain || (inner.kind == ListedKind::File && is_yaml(&inner.name));
        if read {
            errors.take(collect(&inner, level + 1, vault, found));
        } else if !is_passed_over(&inner.name) {
            let (message, hint) = match inner.kind {
                ListedKind::File => (
                    "not read, as by Ansible: its name does not end in `.yml`, `.yaml` or `.json`",
                    "rename it; a dot before its name says that it is left out on purpose",
                ),
                ListedKind::Directory => (
                    "not read, as by Ansible: a directory whose name has a dot",
                    "name it without a dot",
                ),
            };
            let warning = InputError::in_file(shown(&inner.path), message);
            found.warnings.push(warning.hint(hint));
        }
    }
    errors.or(())
}

/// Returns whether a file of this name holds YAML; JSON is YAML too.
pub(super) fn is_yaml(name: &str) -> bool {
    yaml_stem(name).is_some()
}

/// The name without its ending, if that is one of YAML.
pub(super) fn yaml_stem(name: &str) -> Option<&str> {
    [".yml", ".yaml", ".json"]
        .into_iter()
        .find_map(|ending| name.strip_suffix(ending))
        .filter(|stem| !stem.is_empty())
}

/// Returns whether a file of this name is known to hold something else.
pub(super) fn is_passed_over(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| PASSED_OVER.contains(&ending))
        || ["README", "LICENSE", "Makefile"].contains(&name)
}

/// A path as the user wrote it, with nothing in it that a terminal would obey.
pub(super) fn shown(path: &Path) -> String {
    path.display()
        .to_string()
        .chars()
        .flat_map(|character| {
            if character.is_control() {
                character.escape_default().collect()
            } else {
                vec![character]
            }
        })
        .collect()
}

fn unreadable(path: &Path, error: &io::Error) -> InputError {
    let dangling = error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_ok();
    let message = match error.kind() {
        _ if dangling => "a link to a file that does not exist".to_owned(),
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "the permission to read it is missing".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let error = InputError::in_file(shown(path), message);
    if dangling {
        error
    } else {
        error.did_you_mean(neighbour(path).as_deref())
    }
}

/// A file beside `path` with a similar name.
fn neighbour(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let directory = path.parent()?;
    let listing = if directory.as_os_str().is_empty() {
        list(Path::new("."))
    } else {
        list(directory)
    };
    let names: Vec<String> = listing
        .ok()?
        .into_iter()
        .map(|listed| listed.name)
        .filter(|known| known != name)
        .collect();
    closest(name, names.iter().map(String::as_str)).map(|meant| shown(&directory.join(meant)))
}
