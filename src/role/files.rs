//! Roles on disk. The only place of this room that touches files.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use crate::inventory::document::MAX_FILE_BYTES;
use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::role::source::DEFAULTS;
use crate::role::source::README;
use crate::role::source::Role;
use crate::role::source::RoleOrigin;
use crate::role::source::TEMPLATE;

/// The directory beside an inventory.
const FOLDER: &str = "roles";

/// Reads every directory of `beside/roles/` that contains a role. If there is no such directory, that is no error.
pub(super) fn read(beside: &Path) -> Result<Vec<Role>, InputErrors> {
    let folder = beside.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&folder, &error).into()),
    };
    let mut errors = InputErrors::none();
    let mut roles = Vec::new();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                errors.push(unreadable(&folder, &error));
                continue;
            }
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        // Files beside the directories, and those that an editor or git keeps there.
        if entry.path().is_dir() && !name.starts_with('.') {
            roles.extend(errors.take(read_role(name, entry.path())));
        }
    }
    roles.sort_by(|a, b| a.name.cmp(&b.name));
    errors.or(roles)
}

fn read_role(name: String, folder: PathBuf) -> Result<Role, InputErrors> {
    let mut errors = InputErrors::none();
    let mut files = BTreeMap::new();
    for file in [TEMPLATE, DEFAULTS, README] {
        if let Some(Some(text)) = errors.take(read_file(&folder.join(file))) {
            files.insert(file.to_string(), text);
        }
        let other = Path::new(file).with_extension("yaml");
        if file != README && folder.join(&other).exists() {
            let path = folder.join(other).display().to_string();
            let error = InputError::in_file(path, "this file would not be read");
            errors.push(error.hint(format!("name it `{file}`")));
        }
    }
    errors.or(Role {
        name,
        origin: RoleOrigin::Folder(folder),
        files,
    })
}

fn read_file(path: &Path) -> Result<Option<String>, InputErrors> {
    match fs::metadata(path) {
        Ok(about) if about.len() > MAX_FILE_BYTES => {
            let name = path.display().to_string();
            return Err(InputError::in_file(name, "the file is too large").into());
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(unreadable(path, &error).into()),
    }
}

/// The working directory, as an absolute path if it has one.
pub(super) fn working_directory() -> PathBuf {
    std::env::current_dir().unwrap_or_default()
}

/// The first of these files that is there, for `lookup('file', …)`.
pub(super) fn first_text(paths: &[PathBuf]) -> Result<Option<String>, InputErrors> {
    for path in paths {
        if let Some(text) = read_file(path)? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// A variable of the environment that fwdeploy was started in, for `lookup('env', …)`.
pub(super) fn environment(name: &str) -> Option<String> {
    // No variable has such a name, and asking for one is a panic in some versions of the standard library.
    let is_name = !name.is_empty() && !name.contains(['=', '\0']);
    is_name
        .then(|| std::env::var_os(name))
        .flatten()
        .map(|value| value.to_string_lossy().into_owned())
}

fn unreadable(path: &Path, error: &std::io::Error) -> InputError {
    InputError::in_file(
        path.display().to_string(),
        format!("cannot be read: {error}"),
    )
}

/// Writes a role's files into a new folder.
pub(super) fn write(role: &Role, into: &Path) -> Result<Vec<PathBuf>, InputError> {
    let folder = into.join(&role.name);
    let failed = |path: &Path, error: &std::io::Error| {
        let name = path.display().to_string();
        if error.kind() == ErrorKind::AlreadyExists {
            InputError::in_file(name, "is there already, and is left as it is")
                .hint("move it away first, or choose another directory")
        } else {
            InputError::in_file(name, format!("cannot be written: {error}"))
        }
    };
    fs::create_dir_all(into).map_err(|error| failed(into, &error))?;
    // `create_dir` and `create_new` fail where something is, with no moment between looking and writing.
    fs::create_dir(&folder).map_err(|error| failed(&folder, &error))?;
    let mut written = Vec::new();
    for (file, text) in &role.files {
        let path = folder.join(file);
        fs::File::create_new(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| failed(&path, &error))?;
        written.push(path);
    }
    Ok(written)
}
