//! Where vault passwords come from and who runs the commands: the command line, which this room knows nothing of.

use std::fmt;

use crate::model::Secret;

/// A vault password that the user has named: a label, and where the password is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultIdentity {
    /// The vault id that it is for; [`DEFAULT`](Self::DEFAULT) where none was given.
    pub label: String,
    /// A file, a program, or `prompt`, as the user wrote it.
    pub source: String,
}

impl VaultIdentity {
    /// The vault id of a value that names none, and of a password without a label. The name is Ansible's.
    pub const DEFAULT: &'static str = "default";
}

/// `LABEL@SOURCE`, as `--vault-id` takes it.
impl fmt::Display for VaultIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.label, self.source)
    }
}

/// Why a command did not give a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandFailure {
    /// What was tried and what happened, without a secret.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// Gets passwords from files, programs and people, and runs commands.
pub trait SecretSource: Send + Sync {
    /// The vault passwords that there are, in the order in which they are tried. Nothing is read for it.
    fn identities(&self) -> Vec<VaultIdentity>;

    /// Reads the password of one of them, runs its program, or asks for it.
    ///
    /// # Errors
    ///
    /// What was tried and what happened, in words without a secret.
    fn password(&self, identity: &VaultIdentity) -> Result<Secret, String>;

    /// Whether only passwords with a value's own vault id are tried: Ansible's `vault_id_match`.
    fn is_id_matched(&self) -> bool;

    /// Runs a command, and returns the one line that it prints.
    ///
    /// # Errors
    ///
    /// It cannot be run, fails, takes too long, or does not print one line.
    fn run(&self, command: &[String]) -> Result<Secret, CommandFailure>;

    /// Is told of every text that came out of a vault or a command, so that no output shows it.
    fn revealed(&self, text: &str);
}

/// No passwords, and no commands.
#[derive(Clone, Copy, Debug)]
pub struct NoSecrets;

impl SecretSource for NoSecrets {
    fn identities(&self) -> Vec<VaultIdentity> {
        Vec::new()
    }

    fn password(&self, identity: &VaultIdentity) -> Result<Secret, String> {
        Err(format!("{identity}: there is no password"))
    }

    fn is_id_matched(&self) -> bool {
        false
    }

    fn run(&self, _: &[String]) -> Result<Secret, CommandFailure> {
        Err(CommandFailure {
            message: "commands are not run here".to_owned(),
            hint: None,
        })
    }

    fn revealed(&self, _: &str) {}
}
