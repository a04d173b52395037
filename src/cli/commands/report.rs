//! `report`: makes one report of those of several machines.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;

use crate::cli::error::CliError;
use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::report::merge;
use crate::report::merge::Mistake;
use crate::report::merge::Report;
use crate::report::progress::print;
use crate::report::sanitize;

/// The longest report: a hundred thousand nodes have some tens of MiB.
const LARGEST: u64 = 1 << 30;

/// The ending of the reports in a directory.
const ENDING: &str = "json";

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Make one report of those of several machines that share a fleet
    ///
    /// Reads what `--json` has printed on each machine, and prints the recap of all nodes, or with --json one document, which can be merged
    /// again. The exit code is that which one command over all nodes would have had.
    Merge(MergeArgs),
}

#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Reports; of a directory, those in it that end in .json; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// How many reports there have to be: if there are fewer, a machine has not reported
    #[arg(long, value_name = "N")]
    expect: Option<u64>,

    /// Print one JSON document to stdout, and nothing else there
    #[arg(long)]
    json: bool,
}

/// Executes `fwdeploy report`.
pub(super) fn execute(command: &ReportCommand) -> Result<u8, CliError> {
    let ReportCommand::Merge(args) = command;
    let mut errors = InputErrors::none();
    let mut texts = Vec::new();
    for file in &args.files {
        let Some(paths) = errors.take(reports(file).map_err(InputErrors::from)) else {
            continue;
        };
        for path in paths {
            if let Some(text) = errors.take(text(&path).map_err(InputErrors::from)) {
                texts.push(text);
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors.into());
    }
    let mut documents: Vec<Report<'_>> = Vec::with_capacity(texts.len());
    for (report, (_, text)) in texts.iter().enumerate() {
        match merge::read(text, report) {
            Ok(document) => documents.push(document),
            Err(mistake) => errors.push(error(&mistake, &texts)),
        }
    }
    if !errors.is_empty() {
        return Err(errors.into());
    }
    let names: Vec<String> = texts.iter().map(|(name, _)| name.clone()).collect();
    let merged = merge::merge(documents, &names).map_err(|mistakes| {
        let mut errors = InputErrors::none();
        for mistake in &mistakes {
            errors.push(error(mistake, &texts));
        }
        CliError::from(errors)
    })?;
    if let Some(expected) = args.expect
        && merged.reports() != expected
    {
        let (found, be) = match merged.reports() {
            1 => ("1 report".to_string(), "is"),
            n => (format!("{n} reports"), "are"),
        };
        return Err(
            CliError::new(format!("there {be} {found}, and {expected} are expected")).hint(
                "a machine without a report may have done nothing, or a part of its shard: run that shard again",
            ),
        );
    }
    print(&match args.json {
        true => merged.document(),
        false => merged.text(),
    });
    Ok(merged.exit_code())
}

/// The reports that an argument names.
fn reports(file: &Path) -> Result<Vec<PathBuf>, InputError> {
    if !file.is_dir() {
        return Ok(vec![file.to_path_buf()]);
    }
    let unreadable = |error: io::Error| {
        InputError::in_file(
            shown(file),
            format!("the directory cannot be read: {error}"),
        )
    };
    let mut found = Vec::new();
    for entry in file.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(InputError::in_file(
            shown(file),
            format!("no file in this directory ends in .{ENDING}"),
        ));
    }
    Ok(found)
}

/// A report, and what to call it.
fn text(path: &Path) -> Result<(String, String), InputError> {
    let is_stdin = path == Path::new("-");
    let name = match is_stdin {
        true => "stdin".to_string(),
        false => shown(path),
    };
    let mut bytes = Vec::new();
    let read = match is_stdin {
        true => io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)),
    };
    if let Err(error) = read {
        return Err(InputError::in_file(
            name,
            format!("cannot be read: {error}"),
        ));
    }
    if bytes.len() as u64 > LARGEST {
        let message = format!("it has more than {} MiB", LARGEST >> 20);
        return Err(InputError::in_file(name, message));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let message = "it is no report of fwdeploy's: it is not UTF-8";
            let text = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
            Err(InputError::in_file(place(&name, &text, at), message))
        }
    }
}

/// The mistake as an error at its place.
fn error(mistake: &Mistake, texts: &[(String, String)]) -> InputError {
    let (name, text) = &texts[mistake.report];
    let file = match mistake.at {
        Some(at) => place(name, text, at),
        None => name.clone(),
    };
    let error = InputError::in_file(file, sanitize(&mistake.message));
    match mistake.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// `FILE:LINE:COLUMN`. The line itself is not shown: a report may be a single one.
fn place(name: &str, text: &str, at: usize) -> String {
    let before = &text.as_bytes()[..at.min(text.len())];
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let newline = before.iter().rposition(|byte| *byte == b'\n');
    let within = &before[newline.map_or(0, |newline| newline + 1)..];
    let column = String::from_utf8_lossy(within).chars().count() + 1;
    format!("{name}:{}:{column}", lines + 1)
}

fn shown(path: &Path) -> String {
    sanitize(&path.display().to_string())
}
