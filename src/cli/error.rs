//! What is wrong before the first connection, as a person sees it.

use std::io::Write;

use anstyle::AnsiColor;
use anstyle::Effects;
use anstyle::Style as Paint;

use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::inventory::error::Style;
use crate::report::clean;

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

    /// Prints it to stderr. The stream takes the colours out where nobody wants them.
    pub(super) fn print(&self) {
        let mut stderr = anstream::stderr().lock();
        // Nobody is left to tell when stderr is closed.
        let _ = match self {
            CliError::Input(errors) => writeln!(stderr, "{}", errors.render(Style::Colored)),
            CliError::Other { message, hint } => {
                let hint = match hint {
                    Some(hint) => format!("\n{HINT}hint{HINT:#}: {}", clean(hint)),
                    None => String::new(),
                };
                let message = clean(message);
                writeln!(stderr, "{ERROR}error{ERROR:#}: {message}{hint}")
            }
        };
    }
}

/// Prints what works and may not be meant.
pub(super) fn warn(warning: &InputError) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{WARNING}warning{WARNING:#}: {warning}");
}

/// Prints something good to know.
pub(super) fn note(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{HINT}note{HINT:#}: {}", clean(text));
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
