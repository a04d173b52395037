//! Logging in, with public keys only.
//!
//! The order of attempts: the key that the inventory names and no other; otherwise the agent's keys one by one, then the
//! default files. A passphrase is asked for only after the node has said that it would accept the key.

mod attempt;

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use ssh2::Agent;
use ssh2::PublicKey;

use super::agent::AgentWatch;
use super::agent::Door;
use super::key::KeyFile;
use super::step::StepError;
use super::step::Wire;
use crate::transport::Cancel;
use crate::transport::ConnectError;
use crate::transport::Endpoint;
use crate::transport::KeyProblem;
use crate::transport::Settings;
use crate::transport::Target;
use crate::transport::known_hosts::HostKey;
use crate::transport::known_hosts::fingerprint;
use crate::transport::secret::Vault;
use crate::transport::wait::Deadline;
use crate::transport::wait::Stopped;

/// The default key files, strongest first, of the types that libssh2 reads.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// Logs in on one node.
pub(super) struct Login<'a> {
    pub(super) wire: &'a Wire,
    pub(super) clock: Clock<'a>,
    pub(super) target: &'a Target,
    pub(super) settings: &'a Settings,
    pub(super) vault: &'a Vault,
    pub(super) user: String,
    /// The methods that the node accepts.
    pub(super) accepts: String,
    pub(super) tried: Vec<String>,
}

/// How long the node may take for the whole of a login. What a person or an agent takes does not count.
pub(super) struct Clock<'a> {
    pub(super) limit: Duration,
    pub(super) spent: Cell<Duration>,
    pub(super) cancel: &'a Cancel,
}

/// An agent with its keys.
struct OpenAgent {
    agent: Agent,
    keys: Vec<PublicKey>,
    watch: AgentWatch,
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
        self.accepts = self.methods()?;
        if self.wire.session.authenticated() {
            return Ok(());
        }
        if !takes_keys(&self.accepts) {
            return Err(self.refused());
        }

        let mut looked = Vec::new();
        let mut agent = match self.open_agent() {
            Ok(agent) => agent,
            Err(reason) => {
                looked.push(reason);
                None
            }
        };
        let in_agent = agent.as_ref().map_or(0, |agent| agent.keys.len());
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
            _ => Err(self.refused()),
        }
    }

    /// One step, on the clock of the login.
    fn retry_eagain<T>(
        &self,
        step: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<T, StepError> {
        let left = self.clock.limit.saturating_sub(self.clock.spent.get());
        let since = Instant::now();
        let result = self
            .wire
            .retry_eagain(&Deadline::new(left, self.clock.cancel), step);
        self.clock
            .spent
            .set(self.clock.spent.get() + since.elapsed());
        result
    }

    /// The methods that the node accepts now.
    fn methods(&self) -> Result<String, ConnectError> {
        let session = &self.wire.session;
        let ask = || {
            // ssh2 panics at a list that is not UTF-8.
            let asked = catch_unwind(AssertUnwindSafe(|| {
                session.auth_methods(&self.user).map(str::to_owned)
            }));
            match asked {
                Ok(methods) => methods.map(Some),
                Err(_) => Ok(None),
            }
        };
        match self.retry_eagain(ask) {
            Ok(Some(methods)) => Ok(methods.chars().filter(|c| !c.is_control()).collect()),
            Ok(None) => Err(ConnectError::HungUp {
                at: self.place(),
                user: self.user.clone(),
                said: "its list of login methods is not text".to_owned(),
            }),
            Err(halt) => Err(self.halted(halt)),
        }
    }

    /// The agent and its keys, or why there is none.
    fn open_agent(&self) -> Result<Option<OpenAgent>, String> {
        let Some(path) = &self.settings.agent else {
            return Err("no agent (SSH_AUTH_SOCK is not set)".to_owned());
        };
        let fails = |why: &str| format!("the agent at {} does not answer: {why}", path.display());
        // One that kept silent once would keep each node waiting.
        if let Some(why) = self.vault.silent_agent() {
            return Err(fails(&why));
        }
        let open = || -> Result<OpenAgent, String> {
            let said = |error: ssh2::Error| error.message().to_owned();
            // With a key file its key is wanted, and no others are tried.
            let file = self.target.key_file.as_deref();
            let wanted = match file.and_then(|file| KeyFile::read(file).ok()) {
                Some(KeyFile::Public(key)) => Some(key),
                Some(KeyFile::Private(key)) => key.public,
                None => None,
            };
            let door = Door::open(path, wanted, self.clock.limit, self.clock.cancel)?;
            let mut agent = self.wire.session.agent().map_err(said)?;
            agent.set_identity_path(&door.path()).map_err(said)?;
            agent.connect().map_err(said)?;
            let watch = door.serve().map_err(|error| error.to_string())?;
            let listed = agent.list_identities();
            if let Some(trouble) = watch.trouble() {
                return Err(trouble);
            }
            listed.map_err(|error| format!("it lists no keys ({})", error.message()))?;
            let keys = agent.identities().map_err(said)?;
            Ok(OpenAgent { agent, keys, watch })
        };
        match open() {
            Ok(agent) => Ok(Some(agent)),
            Err(why) => {
                if why.starts_with("no answer") {
                    self.vault.remember_silent_agent(&why);
                }
                Err(fails(&why))
            }
        }
    }

    fn with_agent(
        &mut self,
        open: &mut OpenAgent,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Outcome, ConnectError> {
        let OpenAgent { agent, keys, watch } = open;
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
            let waited = watch.waited();
            let outcome = self.attempt(&name, || agent.userauth(&user, key))?;
            let spent = self.clock.spent.get();
            let elsewhere = watch.waited().saturating_sub(waited);
            self.clock.spent.set(spent.saturating_sub(elsewhere));
            match outcome {
                Outcome::LoggedIn => return Ok(Outcome::LoggedIn),
                Outcome::Refused => self.tried.push(format!("{name}: refused")),
                Outcome::Unsigned => {
                    let why = watch
                        .trouble()
                        .map_or_else(String::new, |why| format!(" ({why})"));
                    self.tried
                        .push(format!("{name}: the agent did not sign{why}"));
                    if !why.is_empty() {
                        break;
                    }
                }
            }
        }
        Ok(Outcome::Refused)
    }

    fn with_named_key(
        &mut self,
        path: &Path,
        agent: Option<&mut OpenAgent>,
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
        let held = agent.filter(|agent| {
            agent
                .keys
                .iter()
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

    fn refused(&mut self) -> ConnectError {
        let tried = std::mem::take(&mut self.tried);
        ConnectError::Authentication {
            at: self.place(),
            user: self.user.clone(),
            tried,
            accepts: self.accepts.clone(),
        }
    }

    fn halted(&self, halt: StepError) -> ConnectError {
        let (at, user) = (self.place(), self.user.clone());
        match halt {
            StepError::Stopped(Stopped::Cancelled) => ConnectError::Cancelled { at },
            StepError::Stopped(Stopped::TimedOut) => ConnectError::LoginTimedOut {
                at,
                user,
                after: self.clock.limit,
            },
            halt => ConnectError::HungUp {
                at,
                user,
                said: self.wire.words(&halt),
            },
        }
    }

    fn place(&self) -> Endpoint {
        self.target.place()
    }
}

fn takes_keys(methods: &str) -> bool {
    methods.split(',').any(|method| method == "publickey")
}
