//! Logging in.
//!
//! Keys first: the key that the inventory names and no other; otherwise the agent's keys one by one, then the configured or the default
//! files. A passphrase is asked for only after the node has said that it would accept the key. Then what the node asks
//! (keyboard-interactive), then the password. A password is offered once, so that no account is locked.

mod attempt;
mod words;

use std::cell::Cell;
use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;
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
use crate::transport::Host;
use crate::transport::KeyProblem;
use crate::transport::hop::Hop;
use crate::transport::hop::Identities;
use crate::transport::known_hosts::HostKey;
use crate::transport::known_hosts::fingerprint;
use crate::transport::secret::SecretCache;
use crate::transport::wait::Deadline;
use crate::transport::wait::Stopped;

/// The default key files, strongest first, of the types that libssh2 reads.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// Logs in on one node.
pub(super) struct Login<'a> {
    pub(super) wire: &'a Wire,
    pub(super) clock: Clock<'a>,
    pub(super) hop: &'a Hop,
    pub(super) vault: &'a SecretCache,
    pub(super) user: String,
    /// The methods that the node accepts.
    pub(super) accepts: String,
    pub(super) tried: Vec<String>,
    /// What the node took as the first of several factors.
    pub(super) took: Option<String>,
    /// Whether the password was sent.
    pub(super) offered_password: bool,
}

/// How long the node may take for the whole of a login. What a person or an agent takes does not count.
pub(super) struct Clock<'a> {
    pub(super) limit: Duration,
    pub(super) spent: Cell<Duration>,
    /// What a person took of the step that is being done.
    pub(super) forgiven: Cell<Duration>,
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
    /// The node took it, and wants another method in addition.
    FirstFactor,
}

impl Login<'_> {
    /// Tries key after key.
    pub(super) fn log_in(mut self) -> Result<(), ConnectError> {
        self.accepts = self.methods()?;
        if self.wire.session.authenticated() {
            return Ok(());
        }
        let mut looked = Vec::new();
        // Each factor that the node takes changes what it accepts; three are more than anybody wants.
        for _ in 0..4 {
            if takes_keys(&self.accepts)
                && self.hop.methods.keys
                && self.with_keys(&mut looked)? == Outcome::LoggedIn
            {
                return Ok(());
            }
            match self.with_words()? {
                Outcome::LoggedIn => return Ok(()),
                Outcome::FirstFactor => {}
                Outcome::Refused | Outcome::Unsigned => break,
            }
        }
        Err(match self.took.take() {
            Some(took) => ConnectError::FurtherMethod {
                at: self.place(),
                user: self.user.as_str().into(),
                key: took.into(),
                wants: self.accepts.as_str().into(),
                tried: std::mem::take(&mut self.tried).into(),
            },
            None if self.tried.is_empty() && takes_keys(&self.accepts) && self.hop.methods.keys => {
                ConnectError::NoKey {
                    at: self.place(),
                    looked,
                }
            }
            None => self.refused(),
        })
    }

    fn with_keys(&mut self, looked: &mut Vec<String>) -> Result<Outcome, ConnectError> {
        looked.clear();
        let mut agent = match self.open_agent() {
            Ok(agent) => agent,
            Err(reason) => {
                looked.push(reason);
                None
            }
        };
        if agent.as_ref().is_some_and(|agent| agent.keys.is_empty()) {
            looked.push("the agent has no keys".to_owned());
        }
        let hop = self.hop;
        match (&hop.key_file, &hop.identities) {
            (Some(path), _) => self.with_named_key(path, agent.as_mut(), looked.first()),
            (None, Identities::Default(folder)) => {
                let outcome = match &mut agent {
                    Some(agent) => self.with_agent(agent, |_| true)?,
                    None => Outcome::Refused,
                };
                match outcome {
                    Outcome::LoggedIn | Outcome::FirstFactor => Ok(outcome),
                    _ => self.with_default_keys(folder.as_deref(), looked),
                }
            }
            (None, Identities::Named(paths)) => self.with_identities(paths, agent, looked),
        }
    }

    /// One step, on the clock of the login.
    fn retry_eagain<T>(
        &self,
        mut step: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<T, StepError> {
        loop {
            let left = self.clock.limit.saturating_sub(self.clock.spent.get());
            let since = Instant::now();
            self.clock.forgiven.set(Duration::ZERO);
            let deadline = Deadline::new(left, self.clock.cancel);
            let result = self.wire.retry_eagain(&deadline, &mut step);
            let forgiven = self.clock.forgiven.get();
            let spent = since.elapsed().saturating_sub(forgiven);
            self.clock.spent.set(self.clock.spent.get() + spent);
            // What a person took is not the node's: the step goes on where it was.
            if matches!(result, Err(StepError::Stopped(Stopped::TimedOut)))
                && !forgiven.is_zero()
                && self.clock.spent.get() < self.clock.limit
            {
                continue;
            }
            return result;
        }
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
        let Some(path) = &self.hop.agent else {
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
            let file = self.hop.key_file.as_deref();
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
                Outcome::LoggedIn | Outcome::FirstFactor => return Ok(outcome),
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
            if matches!(outcome, Outcome::LoggedIn | Outcome::FirstFactor)
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

    /// The configured key files as OpenSSH takes them: first those of them that the agent has, then the agent's others, then the files.
    fn with_identities(
        &mut self,
        paths: &[PathBuf],
        agent: Option<OpenAgent>,
        looked: &mut Vec<String>,
    ) -> Result<Outcome, ConnectError> {
        let mut keys = Vec::new();
        for path in paths {
            match KeyFile::read(path) {
                Ok(key) => keys.push(key),
                Err(KeyProblem::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {
                    looked.push(format!("no {}", path.display()));
                }
                Err(problem) => self.tried.push(format!("{}: {problem}", path.display())),
            }
        }
        let public = |key: &KeyFile| match key {
            KeyFile::Public(key) => Some(key.clone()),
            KeyFile::Private(key) => key.public.clone(),
        };
        let wanted: Vec<HostKey> = keys.iter().filter_map(public).collect();
        let mut held: Vec<Vec<u8>> = Vec::new();
        if let Some(mut agent) = agent {
            held = agent.keys.iter().map(|key| key.blob().to_vec()).collect();
            for wanted in &wanted {
                let outcome = self.with_agent(&mut agent, |blob| blob == wanted.blob())?;
                if matches!(outcome, Outcome::LoggedIn | Outcome::FirstFactor) {
                    return Ok(outcome);
                }
            }
            if !self.hop.identities_only {
                let other = |blob: &[u8]| wanted.iter().all(|wanted| wanted.blob() != blob);
                let outcome = self.with_agent(&mut agent, other)?;
                if matches!(outcome, Outcome::LoggedIn | Outcome::FirstFactor) {
                    return Ok(outcome);
                }
            }
        }
        for key in &keys {
            let is_held = |public: &HostKey| held.iter().any(|held| held == public.blob());
            if public(key).is_some_and(|key| is_held(&key)) {
                continue;
            }
            let KeyFile::Private(key) = key else {
                looked.push("a public key, and no agent with its private half".to_owned());
                continue;
            };
            match self.with_private_key(key)? {
                Ok(outcome @ (Outcome::LoggedIn | Outcome::FirstFactor)) => return Ok(outcome),
                Ok(_) => {}
                Err(problem) => self
                    .tried
                    .push(format!("{}: {problem}", key.path.display())),
            }
        }
        Ok(Outcome::Refused)
    }

    fn with_default_keys(
        &mut self,
        folder: Option<&Path>,
        looked: &mut Vec<String>,
    ) -> Result<Outcome, ConnectError> {
        let Some(folder) = folder else {
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
                Ok(outcome @ (Outcome::LoggedIn | Outcome::FirstFactor)) => return Ok(outcome),
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
            accepts: self.accepts.as_str().into(),
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

    fn place(&self) -> Host {
        self.hop.at.clone()
    }
}

fn takes_keys(methods: &str) -> bool {
    methods.split(',').any(|method| method == "publickey")
}
