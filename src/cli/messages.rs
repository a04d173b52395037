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
use crate::report::redact::redacted;
use crate::report::sanitize;

const ERROR: Paint = AnsiColor::BrightRed.on_default().effects(Effects::BOLD);
const WARNING: Paint = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
const HINT: Paint = AnsiColor::Cyan.on_default().effects(Effects::BOLD);

/// Prints mistakes in the user's files or arguments.
pub(super) fn input_errors(errors: &InputErrors) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{}", redacted(&errors.render(Style::Colored)));
}

/// Prints an error, and a hint what to do about it.
pub(super) fn error(message: &str, hint: Option<&str>) {
    let mut stderr = anstream::stderr().lock();
    let hint = match hint {
        Some(hint) => format!("\n{HINT}hint{HINT:#}: {}", sanitize(hint)),
        None => String::new(),
    };
    let message = sanitize(message);
    let text = format!("{ERROR}error{ERROR:#}: {message}{hint}");
    let _ = writeln!(stderr, "{}", redacted(&text));
}

/// Prints a warning, and how many nodes it is about.
pub(super) fn warn(warning: &Warning) {
    let nodes = match warning.nodes {
        None | Some(1) => String::new(),
        Some(n) => format!(" ({n} nodes)"),
    };
    let mut stderr = anstream::stderr().lock();
    let text = format!("{WARNING}warning{WARNING:#}: {}{nodes}", warning.error);
    let _ = writeln!(stderr, "{}", redacted(&text));
}

/// Prints a hint on its own line, after an error that was printed elsewhere.
pub(super) fn hint(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let text = format!("{HINT}hint{HINT:#}: {}", sanitize(text));
    let _ = writeln!(stderr, "{}", redacted(&text));
}

/// Prints a note: nothing is wrong.
pub(super) fn note(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let text = format!("{HINT}note{HINT:#}: {}", sanitize(text));
    let _ = writeln!(stderr, "{}", redacted(&text));
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

/// A number of things: `1 node`, `2 nodes`.
pub(super) fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}
