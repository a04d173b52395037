//! Passwords and passphrases, from the inventory or from the user at the terminal.

use std::collections::BTreeMap;
use std::io;
use std::io::IsTerminal;
use std::path::Path;

use crate::cli::error::CliError;
use crate::cli::fleet::Fleet;
use crate::model::Secret;
use crate::report::progress::Handle;
use crate::report::sanitize;
use crate::transport::Secrets;

/// Provides secrets to the transport when a key or sudo needs one.
pub(super) struct SecretProvider {
    of_nodes: BTreeMap<String, Secret>,
    of_all: Option<Secret>,
    screen: Handle,
}

/// Asks for sudo's password, for `-K`.
pub(super) fn ask_become_password() -> Result<Secret, CliError> {
    if !is_somebody_there() {
        return Err(
            CliError::new("`-K` asks for a password, but stdin is not a terminal").hint(
                "let the user run sudo without a password there, or set `ansible_become_password`",
            ),
        );
    }
    let password = rpassword::prompt_password("sudo password: ")
        .map_err(|error| CliError::new(format!("cannot ask for the password: {error}")))?;
    // sudo reads one line; anything after it would be read by root's shell.
    if password.contains(['\n', '\r', '\0']) {
        return Err(CliError::new(
            "the password contains a line end or a NUL, which is not allowed",
        ));
    }
    Ok(Secret::new(password))
}

impl SecretProvider {
    /// Creates the provider for a run; `of_all` is the password for nodes whose inventory sets none.
    pub(super) fn new(fleet: &Fleet, of_all: Option<Secret>, screen: Handle) -> Self {
        let of_nodes = fleet
            .members
            .iter()
            .filter_map(|member| {
                let password = member.connection.escalate_password.as_ref()?;
                Some((member.name.clone(), password.value.clone()))
            })
            .collect();
        SecretProvider {
            of_nodes,
            of_all,
            screen,
        }
    }
}

impl Secrets for SecretProvider {
    fn passphrase(&self, key: &Path) -> Option<Secret> {
        if !is_somebody_there() {
            return None;
        }
        let prompt = sanitize(&format!("passphrase of {}: ", key.display()));
        self.screen
            .ask(move || rpassword::prompt_password(prompt).ok())
            .flatten()
            .filter(|passphrase| !passphrase.is_empty())
            .map(Secret::new)
    }

    fn become_password(&self, node: &str) -> Option<Secret> {
        self.of_nodes.get(node).or(self.of_all.as_ref()).cloned()
    }
}

/// Whether the user can be asked. Prompts go to the terminal itself, so stdout may be a pipe.
fn is_somebody_there() -> bool {
    io::stdin().is_terminal()
}
