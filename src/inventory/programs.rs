//! The programs that an inventory may need: inventory scripts, and Ansible's own.

use std::path::Path;
use std::path::PathBuf;

/// Runs programs for the inventory. The caller implements it: this room starts none by itself.
pub trait Programs {
    /// Runs a program without a shell, and returns what it printed to stdout.
    ///
    /// `environment` is set beside the own environment.
    ///
    /// # Errors
    ///
    /// The program cannot be executed, takes too long, prints too much or exits with an error.
    fn run(
        &self,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Vec<u8>, ProgramError>;

    /// The path of a program that is found by its name.
    fn find(&self, name: &str) -> Option<PathBuf>;
}

/// Why a program gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramError {
    /// The system does not know how to execute it: it is a text with an executable bit.
    NotAProgram,
    /// Anything else.
    Failed {
        /// What happened, such as `exited with 1`.
        what: String,
        /// The end of what it printed to stderr, which is not trusted; perhaps empty.
        stderr: String,
    },
}

/// No programs at all: executable inventories are read as texts, and plugins are refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrograms;

impl Programs for NoPrograms {
    fn run(
        &self,
        _program: &Path,
        _arguments: &[&str],
        _environment: &[(&str, &str)],
    ) -> Result<Vec<u8>, ProgramError> {
        Err(ProgramError::NotAProgram)
    }

    fn find(&self, _name: &str) -> Option<PathBuf> {
        None
    }
}
