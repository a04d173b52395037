//! What is wrong before the first connection, as a person sees it.

use std::io::Write;

use anstyle::AnsiColor;
use anstyle::Effects;
use anstyle::Style as Paint;

use crate::cli::fleet::Warning;
use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::inventory::error::Style;
use crate::report::json::Remark;
use crate::report::sanitize;

const ERROR: Paint = AnsiColor::BrightRed.on_default().effects(Effects::BOLD);
const WARNING: Paint = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
const HINT: Paint = AnsiColor::Cyan.on_default().effects(Effects::BOLD);

/// Why nothing was begun.
#[derive(Debug)]
pub(super) enum CliError {
    /// Mistakes in the user's files or arguments.
    Input(InputErrors),
    /// Anything else.
    Other {
        /// What is wrong, as a sentence without a full stop.
        message: String,
        /// What can be done about it.
        hint: Option<String>,
    },
}

impl CliError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        CliError::Other {
            message: message.into(),
            hint: None,
        }
    }

    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            CliError::Other { message, .. } => CliError::Other {
                message,
                hint: Some(hint.into()),
            },
            input @ CliError::Input(_) => input,
        }
    }

    /// The same for scripts.
    pub(super) fn remarks(&self) -> Vec<Remark> {
        match self {
            CliError::Input(errors) => errors.iter().map(|error| remark(error, None)).collect(),
            CliError::Other { message, hint } => vec![Remark {
                message: message.clone(),
                hint: hint.clone(),
                file: None,
                line: None,
                column: None,
                nodes: None,
            }],
        }
    }

    /// Prints it to stderr. The stream takes the colours out where nobody wants them.
    pub(super) fn print(&self) {
        let mut stderr = anstream::stderr().lock();
        // Nobody is left to tell when stderr is closed.
        let _ = match self {
            CliError::Input(errors) => writeln!(stderr, "{}", errors.render(Style::Colored)),
            CliError::Other { message, hint } => {
                let hint = match hint {
                    Some(hint) => format!("\n{HINT}hint{HINT:#}: {}", sanitize(hint)),
                    None => String::new(),
                };
                let message = sanitize(message);
                writeln!(stderr, "{ERROR}error{ERROR:#}: {message}{hint}")
            }
        };
    }
}

/// Prints what works and may not be meant.
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

/// Warnings for scripts.
pub(super) fn remarks(warnings: &[Warning]) -> Vec<Remark> {
    let remark = |warning: &Warning| remark(&warning.error, Some(warning.nodes));
    warnings.iter().map(remark).collect()
}

fn remark(error: &InputError, nodes: Option<usize>) -> Remark {
    let place = error.place();
    Remark {
        message: error.message().to_string(),
        hint: error.hint_text().map(ToString::to_string),
        file: error.file().map(ToString::to_string),
        line: place.map(|place| place.line),
        column: place.map(|place| place.column),
        nodes,
    }
}

/// Names of nodes that are many: the first of them, and how many more there are.
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

/// Prints what may help, after what was wrong.
pub(super) fn hint(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{HINT}hint{HINT:#}: {}", sanitize(text));
}

/// Prints something good to know.
pub(super) fn note(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{HINT}note{HINT:#}: {}", sanitize(text));
}

impl From<InputErrors> for CliError {
    fn from(errors: InputErrors) -> Self {
        CliError::Input(errors)
    }
}

impl From<InputError> for CliError {
    fn from(error: InputError) -> Self {
        CliError::Input(error.into())
    }
}
