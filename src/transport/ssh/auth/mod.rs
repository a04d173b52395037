//! Logging in, with public keys only.
//!
//! The order is that of a careful person: the key that the inventory names and no other; else the agent's keys one by one, then the
//! default files. A passphrase is asked for only when the node has said that it would take the key.

mod attempt;

use std::path::Path;

use ssh2::Agent;
use ssh2::PublicKey;

use super::key::KeyFile;
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
