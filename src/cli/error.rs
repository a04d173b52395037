//! Errors before the first connection.

use crate::cli::messages;
use crate::cli::remarks;
use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::report::json::Remark;

/// Why a command was not started. No connection was made, and nothing was changed.
#[derive(Debug)]
pub(super) enum CliError {
    /// Mistakes in the user's files or arguments.
    Input(InputErrors),
    /// Anything else.
    Other {
        /// The error, as a sentence without a full stop.
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

    /// Returns the error in the form that JSON documents have.
    pub(super) fn remarks(&self) -> Vec<Remark> {
        match self {
            CliError::Input(errors) => errors
                .iter()
                .map(|error| remarks::remark(error, None))
                .collect(),
            CliError::Other { message, hint } => vec![Remark {
                message: message.clone(),
                hint: hint.clone(),
                file: None,
                line: None,
                column: None,
                nodes: None,
                moved: None,
            }],
        }
    }

    /// Prints it to stderr.
    pub(super) fn print(&self) {
        match self {
            CliError::Input(errors) => messages::input_errors(errors),
            CliError::Other { message, hint } => messages::error(message, hint.as_deref()),
        }
    }
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
