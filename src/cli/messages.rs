//! Errors, warnings, hints and notes on stderr. The stream removes the colours where they are not wanted.
//!
//! Failed writes are ignored: if stderr is closed, there is nowhere to report it.

use std::io::Write;

use anstyle::AnsiColor;
use anstyle::Effects;
use anstyle::Style as Paint;

use crate::cli::warning::Warning;
use crate::inventory::InputErrors;
use crate::inventory::error::Style;
use crate::report::sanitize;

const ERROR: Paint = AnsiColor::BrightRed.on_default().effects(Effects::BOLD);
const WARNING: Paint = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
const HINT: Paint = AnsiColor::Cyan.on_default().effects(Effects::BOLD);

/// Prints mistakes in the user's files or arguments.
pub(super) fn input_errors(errors: &InputErrors) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{}", errors.render(Style::Colored));
}

/// Prints an error, and a hint what to do about it.
pub(super) fn error(message: &str, hint: Option<&str>) {
    let mut stderr = anstream::stderr().lock();
    let hint = match hint {
        Some(hint) => format!("\n{HINT}hint{HINT:#}: {}", sanitize(hint)),
        None => String::new(),
    };
    let message = sanitize(message);
    let _ = writeln!(stderr, "{ERROR}error{ERROR:#}: {message}{hint}");
}

/// Prints a warning, and how many nodes it is about.
pub(super) fn warn(warning: &Warning) {
    let nodes = match warning.nodes {
        1 => String::new(),
        n => format!(" ({n} nodes)"),
    };
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(
        stderr,
        "{WARNING}warning{WARNING:#}: {}{nodes}",
        warning.error
    );
}

/// Prints a hint on its own line, after an error that was printed elsewhere.
pub(super) fn hint(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{HINT}hint{HINT:#}: {}", sanitize(text));
}

/// Prints a note: nothing is wrong.
pub(super) fn note(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{HINT}note{HINT:#}: {}", sanitize(text));
}

/// Joins names of nodes: the first five, and how many more there are.
pub(super) fn names(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = names
        .iter()
        .take(SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
