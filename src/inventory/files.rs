//! The only place of the room that reads files and the environment.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use super::connection::Surroundings;
use super::document::Document;
use super::document::MAX_FILE_BYTES;
use super::document::too_long;
use super::error::InputError;
use super::error::InputErrors;
use super::suggest::closest;

/// Directories in directories below `group_vars/`: a link to its own parent would never end.
const MAX_LEVELS: usize = 8;

/// Files that may be beside YAML files in an inventory directory, or among variables, and are ignored, as Ansible does.
const PASSED_OVER: [&str; 12] = [
    "md", "txt", "rst", "bak", "orig", "swp", "sample", "example", "dist", "rpmnew", "rpmsave",
    "retry",
];

/// Directories that may be in an inventory directory, and are read elsewhere or only by Ansible.
const NO_INVENTORY: [&str; 6] = [
    "group_vars",
    "host_vars",
    "roles",
    "files",
    "templates",
    "playbooks",
];

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

/// The location of the inventory, and the user who reads it.
pub(super) fn surroundings(inventory: &Path) -> Surroundings {
    let directory = if inventory.is_dir() {
        inventory
    } else {
        inventory.parent().unwrap_or(Path::new(""))
    };
    Surroundings {
        directory: directory.to_owned(),
        home: std::env::home_dir().filter(|home| home.is_absolute()),
    }
}

/// Reads the inventory: a file, or all YAML files of a directory in the order of their names.
pub(super) fn inventory(path: &Path) -> Result<Vec<Document>, InputErrors> {
    if !path.is_dir() {
        return Ok(vec![document(path)?]);
    }
    let mut errors = InputErrors::none();
    let mut documents = Vec::new();
    for listed in list(path)? {
        match listed.kind {
            ListedKind::File if is_yaml(&listed.name) => {
                documents.extend(errors.take(document(&listed.path)))
            }
            ListedKind::File if is_passed_over(&listed.name) => {}
            ListedKind::Directory if NO_INVENTORY.contains(&listed.name.as_str()) => {}
            ListedKind::File => {
                let error = InputError::in_file(
                    shown(&listed.path),
                    "not a YAML file, and so no part of this inventory",
                );
                errors.push(
                    error.hint(
                        "end its name in `.yml`, or move it out of the inventory's directory",
                    ),
                );
            }
            ListedKind::Directory => {
                let error = InputError::in_file(
                    shown(&listed.path),
                    "a directory in an inventory directory is not read",
                );
                errors.push(
                    error.hint("move its files up, or move it out of the inventory's directory"),
                );
            }
        }
    }
    if documents.is_empty() && errors.is_empty() {
        errors.push(InputError::in_file(
            shown(path),
            "no `*.yml` file in this directory",
        ));
    }
    errors.or(documents)
}

/// Reads one file.
pub(super) fn document(path: &Path) -> Result<Document, InputErrors> {
    Document::from_bytes(shown(path), &bytes(path)?)
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

/// Reads a file of variables, or all of a directory in the order of the names: a later one wins.
pub(super) fn variable_files(listed: &Listed) -> Result<Vec<Document>, InputErrors> {
    let mut documents = Vec::new();
    collect(listed, 0, &mut documents)?;
    Ok(documents)
}

fn collect(
    listed: &Listed,
    level: usize,
    documents: &mut Vec<Document>,
) -> Result<(), InputErrors> {
    if listed.kind == ListedKind::File {
        documents.push(document(&listed.path)?);
        return Ok(());
    }
    if level == MAX_LEVELS {
        let message = format!("more than {MAX_LEVELS} directories in each other");
        return Err(InputError::in_file(shown(&listed.path), message).into());
    }
    let mut errors = InputErrors::none();
    for inner in list(&listed.path)? {
        let read = inner.kind == ListedKind::Directory
            || is_yaml(&inner.name)
            || !inner.name.contains('.');
        if read {
            errors.take(collect(&inner, level + 1, documents));
        } else if !is_passed_over(&inner.name) {
            let error = InputError::in_file(
                shown(&inner.path),
                "not read: its name does not end in `.yml`, `.yaml` or `.json`",
            );
            errors.push(error.hint("rename it, or begin its name with a dot"));
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
