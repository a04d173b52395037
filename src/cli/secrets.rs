//! Passwords and passphrases, from the inventory or from the user at the terminal.

use std::collections::BTreeMap;
use std::io;
use std::io::BufRead;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::cli::error::CliError;
use crate::cli::fleet;
use crate::cli::fleet::Member;
use crate::cli::terminal::is_somebody_there;
use crate::inventory::InputErrors;
use crate::model::Secret;
use crate::report::progress::Handle;
use crate::report::sanitize;
use crate::role::LazyPassword;
use crate::transport::LoginPrompt;
use crate::transport::Secrets;

/// Provides secrets to the transport when a key or sudo needs one.
pub(super) struct SecretProvider {
    of_nodes: NodePasswords,
    of_all: Asked,
    screen: Option<Handle>,
}

/// Passwords that hold for all nodes whose inventory sets none.
#[derive(Default)]
pub(super) struct Asked {
    /// To log in with (`-k`).
    pub(super) login: Option<Secret>,
    /// sudo's (`-K`).
    pub(super) escalate: Option<Secret>,
}

/// Asks for the passwords of `-k` and `-K`. With both, an empty answer for sudo is the login's password, as with Ansible.
pub(super) fn ask_passwords(login: bool, escalate: bool) -> Result<Asked, CliError> {
    let mut asked = Asked::default();
    if login {
        asked.login = Some(ask_password("-k", "SSH password: ", "ansible_password")?);
    }
    if escalate {
        let prompt = match login {
            true => "sudo password [default: the SSH password]: ",
            false => "sudo password: ",
        };
        let password = ask_password("-K", prompt, "ansible_become_password")?;
        asked.escalate = match (password.expose().is_empty(), &asked.login) {
            (true, Some(login)) => Some(login.clone()),
            _ => Some(password),
        };
    }
    Ok(asked)
}

fn ask_password(flag: &str, prompt: &str, variable: &str) -> Result<Secret, CliError> {
    if !is_somebody_there() {
        let hint = match flag {
            "-K" => {
                "let the user run sudo without a password there, or set `ansible_become_password`"
                    .to_owned()
            }
            _ => format!("log in with a key or an agent, or set `{variable}`"),
        };
        return Err(CliError::new(format!(
            "`{flag}` asks for a password, but stdin is not a terminal"
        ))
        .hint(hint));
    }
    let password = rpassword::prompt_password(prompt)
        .map_err(|error| CliError::new(format!("cannot ask for the password: {error}")))?;
    // sudo reads one line; anything after it would be read by root's shell.
    if password.contains(['\n', '\r', '\0']) {
        return Err(CliError::new(
            "the password contains a line end or a NUL, which is not allowed",
        ));
    }
    Ok(Secret::new(password))
}

/// Passwords that the inventory gives for single nodes, by their names.
#[derive(Default)]
pub(super) struct NodePasswords {
    /// To log in with.
    login: BTreeMap<String, Secret>,
    /// sudo's.
    escalate: BTreeMap<String, Secret>,
}

impl NodePasswords {
    /// Opens the passwords of the nodes that are logged in to, and sudo's of those where somebody else does the work: those that are encrypted,
    /// templates, or printed by a command.
    ///
    /// # Errors
    ///
    /// Every password that cannot be opened.
    pub(super) fn open<'f>(
        connecting: impl Iterator<Item = &'f Member>,
        escalating: impl Iterator<Item = &'f Member>,
    ) -> Result<NodePasswords, CliError> {
        let mut errors = InputErrors::none();
        let mut passwords = NodePasswords::default();
        for member in connecting {
            let password = member.password.as_ref().map(LazyPassword::reveal);
            if let Some(secret) = password.and_then(|password| errors.take(password)) {
                passwords.login.insert(member.name.clone(), secret);
            }
        }
        for member in escalating {
            let password = member.become_password.as_ref().map(LazyPassword::reveal);
            if let Some(secret) = password.and_then(|password| errors.take(password)) {
                passwords.escalate.insert(member.name.clone(), secret);
            }
        }
        Ok(fleet::unique(errors).or(passwords)?)
    }
}

impl SecretProvider {
    /// Creates the provider for a run.
    pub(super) fn new(of_nodes: NodePasswords, asked: Asked, screen: Handle) -> Self {
        SecretProvider {
            screen: Some(screen),
            ..Self::without_screen(of_nodes, asked)
        }
    }

    /// The same for a command that draws nothing.
    pub(super) fn without_screen(of_nodes: NodePasswords, asked: Asked) -> Self {
        SecretProvider {
            of_nodes,
            of_all: asked,
            screen: None,
        }
    }
}

impl SecretProvider {
    /// Asks at the terminal, one question at a time, and without the bars.
    fn ask(&self, ask: impl FnOnce() -> Option<String> + Send + 'static) -> Option<String> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        match &self.screen {
            Some(screen) => screen.ask(ask).flatten(),
            None => {
                let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
                ask()
            }
        }
    }
}

impl Secrets for SecretProvider {
    fn passphrase(&self, key: &Path) -> Option<Secret> {
        if !is_somebody_there() {
            return None;
        }
        let prompt = sanitize(&format!("passphrase of {}: ", key.display()));
        self.ask(move || rpassword::prompt_password(prompt).ok())
            .filter(|passphrase| !passphrase.is_empty())
            .map(Secret::new)
    }

    fn become_password(&self, node: &str) -> Option<Secret> {
        let own = self.of_nodes.escalate.get(node);
        own.or(self.of_all.escalate.as_ref()).cloned()
    }

    fn login_password(&self, node: &str) -> Option<Secret> {
        let own = self.of_nodes.login.get(node);
        own.or(self.of_all.login.as_ref()).cloned()
    }

    fn answer(&self, question: &LoginPrompt) -> Option<Secret> {
        if !is_somebody_there() {
            return None;
        }
        let LoginPrompt {
            at,
            user,
            text,
            echo,
        } = question.clone();
        let prompt = sanitize(&format!("{user} on {at}: {text} "));
        self.ask(move || match echo {
            true => read_line(&prompt),
            false => rpassword::prompt_password(prompt).ok(),
        })
        .map(Secret::new)
    }
}

/// Asks for a line that may be seen while it is typed.
fn read_line(prompt: &str) -> Option<String> {
    let mut terminal = io::stderr().lock();
    write!(terminal, "{prompt}").ok()?;
    terminal.flush().ok()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).ok()?;
    Some(line.trim_end_matches(['\n', '\r']).to_owned())
}
