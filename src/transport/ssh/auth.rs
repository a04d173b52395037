//! Logging in, with public keys only.
//!
//! The order is that of a careful person: the key that the inventory names and no other; else the agent's keys one by one, then the
//! default files. A passphrase is asked for only when the node has said that it would take the key.

use std::path::Path;

use ssh2::Agent;
use ssh2::ErrorCode;
use ssh2::PublicKey;

use super::key::KeyFile;
use super::key::PrivateKey;
use super::key::Protection;
use super::step::Halt;
use super::step::Steps;
use crate::transport::ConnectError;
use crate::transport::KeyProblem;
use crate::transport::Place;
use crate::transport::Settings;
use crate::transport::Target;
use crate::transport::known_hosts::HostKey;
use crate::transport::known_hosts::fingerprint;
use crate::transport::secret::Vault;
use crate::transport::wait::Stopped;

/// The default key files, strongest first, of the types that libssh2 reads.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// `LIBSSH2_ERROR_AUTHENTICATION_FAILED`: the node refused a key on sight.
const AUTHENTICATION_FAILED: i32 = -18;
/// `LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED`: what libssh2 says of all else that can happen to a key; the text tells them apart.
const PUBLICKEY_UNVERIFIED: i32 = -19;
/// `LIBSSH2_ERROR_FILE`: the private key can't be read, or its passphrase is wrong.
const FILE: i32 = -16;

/// Logs in on one node.
pub(super) struct Login<'a> {
    pub(super) steps: Steps<'a>,
    pub(super) target: &'a Target,
    pub(super) settings: &'a Settings,
    pub(super) vault: &'a Vault,
    pub(super) user: String,
    pub(super) tried: Vec<String>,
}

/// What became of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    LoggedIn,
    /// The node does not take this key.
    Refused,
    /// The node would take the key, and this side could not sign with it.
    Unsigned,
}

impl Login<'_> {
    /// Tries key after key.
    pub(super) fn log_in(mut self) -> Result<(), ConnectError> {
        let session = self.steps.session.clone();
        let methods = self
            .steps
            .again(|| session.auth_methods(&self.user).map(str::to_owned));
        let accepts = methods.map_err(|halt| self.halted(halt))?;
        if session.authenticated() {
            return Ok(());
        }
        if !accepts.split(',').any(|method| method == "publickey") {
            return Err(self.refused(accepts));
        }

        let mut looked = Vec::new();
        let mut agent = match self.open_agent() {
            Ok(agent) => agent,
            Err(reason) => {
                looked.push(reason);
                None
            }
        };
        let in_agent = agent.as_ref().map_or(0, |(_, keys)| keys.len());
        let outcome = match &self.target.key_file {
            Some(path) => self.with_named_key(path, agent.as_mut(), looked.first())?,
            None => {
                let outcome = match &mut agent {
                    Some(agent) => self.with_agent(agent, |_| true)?,
                    None => Outcome::Refused,
                };
                match outcome {
                    Outcome::LoggedIn => outcome,
                    _ => self.with_default_keys(&mut looked)?,
                }
            }
        };
        match outcome {
            Outcome::LoggedIn => Ok(()),
            _ if self.tried.is_empty() => {
                if agent.is_some() && in_agent == 0 {
                    looked.insert(0, "the agent has no keys".to_owned());
                }
                Err(ConnectError::NoKey {
                    at: self.place(),
                    looked,
                })
            }
            _ => Err(self.refused(accepts)),
        }
    }

    /// `None` without an agent, or the agent and its keys.
    fn open_agent(&self) -> Result<Option<(Agent, Vec<PublicKey>)>, String> {
        let Some(path) = &self.settings.agent else {
            return Err("no agent (SSH_AUTH_SOCK is not set)".to_owned());
        };
        let open = || {
            let mut agent = self.steps.session.agent()?;
            agent.set_identity_path(path)?;
            agent.connect()?;
            agent.list_identities()?;
            let keys = agent.identities()?;
            Ok((agent, keys))
        };
        let open = open().map_err(|error: ssh2::Error| {
            format!(
                "the agent at {} does not answer: {}",
                path.display(),
                error.message()
            )
        });
        open.map(Some)
    }

    fn with_agent(
        &mut self,
        (agent, keys): &mut (Agent, Vec<PublicKey>),
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Outcome, ConnectError> {
        for key in keys.iter().filter(|key| wanted(key.blob())) {
            let mut name = format!("the agent's key {}", fingerprint(key.blob()));
            if !key.comment().is_empty() {
                name = format!("{name} ({})", key.comment());
            }
            let algorithm = HostKey::from_blob(key.blob().to_vec());
            if algorithm.is_some_and(|key| key.algorithm().starts_with("sk-")) {
                // libssh2's agent code drops the counter that such a signature needs.
                self.tried
                    .push(format!("{name}: hardware keys are not supported"));
                continue;
            }
            let user = self.user.clone();
            match self.attempt(&name, || agent.userauth(&user, key))? {
                Outcome::LoggedIn => return Ok(Outcome::LoggedIn),
                Outcome::Refused => self.tried.push(format!("{name}: refused")),
                Outcome::Unsigned => self.tried.push(format!("{name}: the agent did not sign")),
            }
        }
        Ok(Outcome::Refused)
    }

    fn with_named_key(
        &mut self,
        path: &Path,
        agent: Option<&mut (Agent, Vec<PublicKey>)>,
        no_agent: Option<&String>,
    ) -> Result<Outcome, ConnectError> {
        let fails = |problem| ConnectError::Key {
            at: self.place(),
            path: path.to_owned(),
            problem,
        };
        let key = KeyFile::read(path).map_err(fails)?;
        let public = match &key {
            KeyFile::Public(key) => Some(key),
            KeyFile::Private(key) => key.public.as_ref(),
        };
        // An agent that has the key spares its owner the passphrase.
        let held = agent.filter(|(_, keys)| {
            keys.iter()
                .any(|held| public.is_some_and(|key| key.blob() == held.blob()))
        });
        if let (Some(agent), Some(public)) = (held, public) {
            let outcome = self.with_agent(agent, |blob| blob == public.blob())?;
            // What the node refuses from the agent it refuses from the file.
            if outcome == Outcome::LoggedIn
                || self.tried.last().is_some_and(|t| t.ends_with("refused"))
            {
                return Ok(outcome);
            }
        } else if matches!(key, KeyFile::Public(_)) {
            let reason = no_agent.map_or_else(String::new, |reason| format!(" ({reason})"));
            return Err(fails(KeyProblem::PublicHalf(reason)));
        }
        match key {
            KeyFile::Public(_) => Ok(Outcome::Refused),
            KeyFile::Private(key) => match self.with_private_key(&key)? {
                Ok(outcome) => Ok(outcome),
                Err(problem) => Err(ConnectError::Key {
                    at: self.place(),
                    path: key.path,
                    problem,
                }),
            },
        }
    }

    fn with_default_keys(&mut self, looked: &mut Vec<String>) -> Result<Outcome, ConnectError> {
        let Some(folder) = &self.settings.key_folder else {
            return Ok(Outcome::Refused);
        };
        let mut found = 0;
        for path in DEFAULT_KEYS.map(|name| folder.join(name)) {
            if !path.exists() {
                continue;
            }
            found += 1;
            let outcome = match KeyFile::read(&path) {
                Ok(KeyFile::Private(key)) => self.with_private_key(&key)?,
                Ok(KeyFile::Public(_)) => Err(KeyProblem::NotAKey),
                Err(problem) => Err(problem),
            };
            match outcome {
                Ok(Outcome::LoggedIn) => return Ok(Outcome::LoggedIn),
                Ok(_) => {}
                Err(problem) => self.tried.push(format!("{}: {problem}", path.display())),
            }
        }
        if found == 0 {
            looked.push(format!(
                "no {} in {}",
                DEFAULT_KEYS.join(", "),
                folder.display()
            ));
        }
        Ok(Outcome::Refused)
    }

    /// Tries one private key, first under its certificate if it has one.
    fn with_private_key(
        &mut self,
        key: &PrivateKey,
    ) -> Result<Result<Outcome, KeyProblem>, ConnectError> {
        let name = key.path.display().to_string();
        let plain = key
            .public
            .as_ref()
            .map(|key| format!("{} {}", key.algorithm(), key.to_base64()));
        for (name, public) in [
            (format!("{name}-cert.pub"), key.certificate.as_ref()),
            (name, plain.as_ref()),
        ] {
            if name.ends_with("-cert.pub") && public.is_none() {
                continue;
            }
            let public = public.map(String::as_str);
            let user = self.user.clone();
            let session = self.steps.session.clone();
            let sign = |passphrase: Option<&str>| {
                session.userauth_pubkey_memory(&user, public, &key.text, passphrase)
            };
            let outcome = match key.protection {
                Protection::Clear => match self.attempt(&name, || sign(None))? {
                    Outcome::Unsigned => return Ok(Err(KeyProblem::NotAKey)),
                    outcome => outcome,
                },
                Protection::Encrypted => {
                    // Without a passphrase the node is asked about the public half only, if that is known in clear.
                    let wanted = match public {
                        Some(_) => self.attempt(&name, || sign(None))?,
                        None => Outcome::Unsigned,
                    };
                    match (wanted, self.vault_passphrase(wanted, key)) {
                        (Outcome::Unsigned, None) => return Ok(Err(KeyProblem::PassphraseNeeded)),
                        (Outcome::Unsigned, Some(passphrase)) => {
                            match self.attempt(&name, || sign(Some(passphrase.expose())))? {
                                Outcome::Unsigned => return Ok(Err(KeyProblem::PassphraseWrong)),
                                outcome => outcome,
                            }
                        }
                        (outcome, _) => outcome,
                    }
                }
            };
            match outcome {
                Outcome::LoggedIn => return Ok(Ok(outcome)),
                _ => self.tried.push(format!("{name}: refused")),
            }
        }
        Ok(Ok(Outcome::Refused))
    }

    fn vault_passphrase(
        &self,
        wanted: Outcome,
        key: &PrivateKey,
    ) -> Option<crate::transport::Secret> {
        (wanted == Outcome::Unsigned)
            .then(|| self.vault.passphrase(&key.path))
            .flatten()
    }

    /// One try, as far as the node's answer.
    fn attempt(
        &mut self,
        name: &str,
        step: impl FnMut() -> Result<(), ssh2::Error>,
    ) -> Result<Outcome, ConnectError> {
        match self.steps.again(step) {
            Ok(()) => Ok(Outcome::LoggedIn),
            Err(Halt::Ssh(error)) => match (error.code(), error.message()) {
                (ErrorCode::Session(AUTHENTICATION_FAILED), _) => Ok(Outcome::Refused),
                (ErrorCode::Session(FILE), _) => Ok(Outcome::Unsigned),
                (ErrorCode::Session(PUBLICKEY_UNVERIFIED), said)
                    if said.starts_with("Callback") =>
                {
                    Ok(Outcome::Unsigned)
                }
                (ErrorCode::Session(PUBLICKEY_UNVERIFIED), said) if said.starts_with("Invalid") => {
                    Ok(Outcome::Refused)
                }
                // sshd counts each refused key and hangs up at MaxAuthTries. libssh2 drops the reason that it gives.
                _ if !self.tried.is_empty() => {
                    self.tried.push(format!("{name}: not answered"));
                    let tried = std::mem::take(&mut self.tried);
                    Err(ConnectError::TooManyKeys {
                        at: self.place(),
                        user: self.user.clone(),
                        tried,
                    })
                }
                _ => Err(self.halted(Halt::Ssh(error))),
            },
            Err(halt) => Err(self.halted(halt)),
        }
    }

    fn refused(&mut self, accepts: String) -> ConnectError {
        let tried = std::mem::take(&mut self.tried);
        ConnectError::Authentication {
            at: self.place(),
            user: self.user.clone(),
            tried,
            accepts,
        }
    }

    fn halted(&self, halt: Halt) -> ConnectError {
        let (at, user) = (self.place(), self.user.clone());
        match halt {
            Halt::Stopped(Stopped::Cancelled) => ConnectError::Cancelled { at },
            Halt::Stopped(Stopped::TimedOut) => ConnectError::LoginTimedOut {
                at,
                user,
                after: self.settings.connect_timeout,
            },
            Halt::Stopped(Stopped::Failed(errno)) => ConnectError::HungUp {
                at,
                user,
                said: errno.to_string(),
            },
            Halt::Ssh(error) => ConnectError::HungUp {
                at,
                user,
                said: error.message().to_owned(),
            },
            Halt::Stream(error) => ConnectError::HungUp {
                at,
                user,
                said: error.to_string(),
            },
        }
    }

    fn place(&self) -> Place {
        self.target.place()
    }
}
