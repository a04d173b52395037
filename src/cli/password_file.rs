//! Files with a password in them, and programs that print one, as Ansible has them.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::cli::error::CliError;
use crate::cli::program;
use crate::cli::program::Printed;
use crate::cli::program::Terminal;
use crate::model::Secret;

/// A password is not longer; an encrypted one is a few hundred bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// The exit code with which a client script says that it knows no password of a vault id.
const NO_SUCH_ID: i32 = 2;

/// Reads the password of a vault id: from a file; or, if that can be executed, from what it prints. A program whose name ends in
/// `-client`, with or without an ending, is given `--vault-id LABEL`.
///
/// # Errors
///
/// The file and what is wrong with it, in words without the password.
pub(super) fn of_vault(file: &Path, label: &str) -> Result<Secret, String> {
    let path = with_home(file);
    let of = |why: String| format!("`{}`: {why}", file.display());
    if !is_program(&path).map_err(of)? {
        return text(&contents(&path).map_err(of)?, Strip::Blanks).map_err(of);
    }
    let is_client = file
        .file_stem()
        .is_some_and(|stem| stem.to_string_lossy().ends_with("-client"));
    // A client has no terminal; another script may ask a person, and tells its troubles itself.
    let (arguments, terminal) = match is_client {
        true => (vec!["--vault-id", label], Terminal::Apart),
        false => (Vec::new(), Terminal::Shared),
    };
    let printed = run(&path, &arguments, terminal).map_err(of)?;
    if is_client && printed.status.code() == Some(NO_SUCH_ID) {
        return Err(of(format!("it has no password for the vault id `{label}`")));
    }
    match printed.failure() {
        Some(why) => Err(of(why)),
        None => text(&printed.stdout, Strip::LineEnds).map_err(of),
    }
}

/// Reads a password of `--become-password-file`, and of any flag like it: from a file, from what a program prints, or with `-` from
/// stdin.
///
/// # Errors
///
/// The file cannot be read, the program fails, or the password is not one line.
pub(super) fn read(file: &Path, flag: &str) -> Result<Secret, CliError> {
    let failed = |why: String| {
        CliError::new(format!(
            "no password from `{flag} {}`: {why}",
            file.display()
        ))
    };
    let (bytes, strip) = if file == Path::new("-") {
        let mut bytes = Zeroizing::new(Vec::new());
        let stdin = std::io::stdin()
            .lock()
            .take(MAX_BYTES)
            .read_to_end(&mut bytes);
        stdin.map_err(|error| failed(error.to_string()))?;
        (bytes, Strip::LineEnds)
    } else {
        let path = with_home(file);
        match is_program(&path).map_err(failed)? {
            true => {
                let none: [&str; 0] = [];
                let printed = run(&path, &none, Terminal::Apart).map_err(failed)?;
                match printed.failure() {
                    Some(why) => return Err(failed(why)),
                    None => (printed.stdout, Strip::LineEnds),
                }
            }
            false => (contents(&path).map_err(failed)?, Strip::Blanks),
        }
    };
    let password = text(&bytes, strip).map_err(failed)?;
    // sudo reads one line; anything after it would be read by root's shell.
    if password.expose().contains(char::is_control) {
        return Err(failed("the password is not one line of text".to_string()));
    }
    Ok(password)
}

/// Runs a program; one without a `/` is in the current directory, as the file is.
fn run(path: &Path, arguments: &[&str], terminal: Terminal) -> Result<Printed, String> {
    let path = match path.components().count() {
        1 => Path::new(".").join(path),
        _ => path.to_path_buf(),
    };
    program::run(path.as_os_str(), arguments, terminal, program::LIMIT).map_err(|why| {
        let is_text = why.contains("cannot be started");
        let hint = "; if it is no program, take its permission to be executed away";
        format!("{why}{}", if is_text { hint } else { "" })
    })
}

/// Whether a file can be executed by somebody, which is all that Ansible asks.
fn is_program(path: &Path) -> Result<bool, String> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_string(),
        _ => format!("cannot be read: {error}"),
    })?;
    if metadata.is_dir() {
        return Err("a directory, where a file is expected".to_string());
    }
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// What a file holds; pipes and devices are read up to the limit.
fn contents(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("cannot be read: {error}"))?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(format!("more than {} KiB", MAX_BYTES / 1024)),
        false => Ok(bytes),
    }
}

/// What around a password is no part of it; the rules are Ansible's.
#[derive(Clone, Copy)]
enum Strip {
    /// In a file.
    Blanks,
    /// In what a program prints, and on stdin.
    LineEnds,
}

/// The password without what surrounds it.
fn text(bytes: &[u8], strip: Strip) -> Result<Secret, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_string())?;
    let password = match strip {
        Strip::Blanks => text.trim(),
        Strip::LineEnds => text.trim_matches(['\r', '\n']),
    };
    match password {
        "" => Err("it is empty".to_string()),
        password => Ok(Secret::new(password)),
    }
}

/// The path with `~/` replaced by the home directory.
fn with_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_path_buf(),
    }
}
