//! A node over SSH, with libssh2.
//!
//! The session never blocks, and receives a node's bytes in pieces that this side controls, so every step has its limit in time and
//! in memory and can be cancelled. One thread owns a session and everything created from it, because ssh2 frees a channel without the
//! session's lock (ssh2-rs#322).

mod agent;
mod auth;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod handshake;
mod host_key;
mod key;
mod methods;
mod pump;
mod relay;
mod socket;
mod step;

use std::cell::Cell;
use std::env;
use std::process::Command;
use std::time::Duration;

use ssh2::Session;

use self::auth::Clock;
use self::auth::Login;
use self::pump::Unopened;
use self::step::StepError;
use self::step::Wire;
use super::Cancel;
use super::ConnectError;
use super::Connection;
use super::Endpoint;
use super::Output;
use super::Privilege;
use super::RunError;
use super::Settings;
use super::Target;
use super::script_protocol::ScriptProtocol;
use super::script_protocol::StreamEnd;
use super::secret::Vault;
use super::wait::Deadline;
use super::wait::Stopped;
use crate::model::Secret;

/// A session that is logged in.
pub(super) struct Ssh {
    at: Endpoint,
    privilege: Privilege,
    password: Option<Secret>,
    wire: Wire,
    /// How long the node may take to open a channel and to take the command.
    opening: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

/// Connects, makes sure that it is that node, and logs in.
pub(super) fn connect(
    target: &Target,
    settings: &Settings,
    vault: &Vault,
    cancel: &Cancel,
) -> Result<Ssh, ConnectError> {
    let at = target.place();
    let user = user(target)?;
    let known = host_key::read(target, settings)?;
    let socket = socket::reach(target, settings, cancel)?;

    let failed = |said: String| ConnectError::Session {
        at: at.clone(),
        said,
    };
    let session = Session::new().map_err(|error| failed(error.message().to_owned()))?;
    let algorithms = host_key::algorithms(&known, target);
    methods::set(&session, &algorithms).map_err(|error| failed(error.message().to_owned()))?;
    let wire = Wire::new(session, socket).map_err(|error| failed(error.to_string()))?;
    // From here on every error closes the connection.
    let mut ssh = Ssh {
        at: at.clone(),
        privilege: target.privilege.clone(),
        password: None,
        wire,
        opening: settings.connect_timeout,
        state: State::Open,
    };

    handshake::shake_hands(
        &ssh.wire,
        &at,
        &algorithms,
        settings.connect_timeout,
        cancel,
    )?;
    host_key::verify(&ssh.wire.session, target, settings, &known)?;
    Login {
        wire: &ssh.wire,
        clock: Clock {
            limit: settings.connect_timeout,
            spent: Cell::default(),
            cancel,
        },
        target,
        settings,
        vault,
        user,
        accepts: String::new(),
        tried: Vec::new(),
    }
    .log_in()?;
    ssh.wire.is_logged_in();

    // Not before: servers may refuse a client that sends keepalives while it is logging in (libssh2#1810).
    if let Ok(seconds) = u32::try_from(settings.keepalive.as_secs()) {
        ssh.wire.session.set_keepalive(true, seconds);
    }
    if matches!(target.privilege, Privilege::Sudo { .. }) {
        ssh.password = vault.become_password(&target.node);
    }
    Ok(ssh)
}

/// The user that the target names, or the user who runs this program, as with ssh.
fn user(target: &Target) -> Result<String, ConnectError> {
    if let Some(user) = &target.user {
        return Ok(user.clone());
    }
    let named = |name: &str| env::var(name).ok().filter(|user| !user.is_empty());
    if let Some(user) = named("USER").or_else(|| named("LOGNAME")) {
        return Ok(user);
    }
    // A service or a container may have neither; the system's own answer comes from its list of users.
    let answer = Command::new("id")
        .arg("-un")
        .output()
        .ok()
        .filter(|it| it.status.success());
    let user = answer.and_then(|it| String::from_utf8(it.stdout).ok());
    match user.as_deref().map(str::trim) {
        Some(user) if !user.is_empty() => Ok(user.to_owned()),
        _ => Err(ConnectError::User { at: target.place() }),
    }
}

impl Connection for Ssh {
    fn run(
        &mut self,
        script: &str,
        limit: Duration,
        on_stdout: &mut dyn FnMut(&[u8]),
        cancel: &Cancel,
    ) -> Result<Output, RunError> {
        let refuse = |said: String| RunError::Start {
            at: self.at.clone(),
            said,
        };
        if self.state == State::Closed {
            return Err(RunError::Closed {
                at: self.at.clone(),
            });
        }
        let privilege = self.privilege.clone();
        let mut protocol = ScriptProtocol::new(script, &privilege, self.password.clone())
            .map_err(|error| refuse(error.to_string()))?;
        let command = protocol
            .command_line()
            .map_err(|error| refuse(error.to_string()))?;
        let opened = pump::open(&self.wire, &Deadline::new(self.opening, cancel), &command);
        let end = match opened {
            Ok(channel) => {
                let deadline = Deadline::new(limit, cancel);
                pump::pump(&self.wire, channel, &mut protocol, on_stdout, &deadline)
            }
            // The channel alone failed: the session lives, and nothing was sent.
            Err(Unopened {
                halt: StepError::Ssh(error),
                ..
            }) if pump::is_refusal(&error) => {
                return Err(refuse(error.message().to_owned()));
            }
            Err(Unopened {
                halt: StepError::Stopped(Stopped::TimedOut),
                wanted,
            }) => {
                self.hang_up();
                return Err(RunError::NoSession {
                    at: self.at.clone(),
                    wanted,
                    after: self.opening,
                });
            }
            Err(Unopened {
                halt: StepError::Stopped(stopped),
                ..
            }) => StreamEnd::Stopped(stopped),
            Err(Unopened { halt, .. }) => StreamEnd::Broken(self.wire.words(&halt)),
        };
        // A sudo that still asks would keep the channel for as long as it likes.
        if protocol.is_refused() || !matches!(end, StreamEnd::Closed { .. }) {
            self.hang_up();
        }
        protocol.conclude(end, &self.at, limit)
    }
}

impl Ssh {
    /// Closes the connection under libssh2. Without this, dropping a channel waits for the node, possibly forever (ssh2-rs#165).
    fn hang_up(&mut self) {
        self.state = State::Closed;
        self.wire.hang_up();
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        if self.state == State::Open {
            // A message for the node's log; it does not matter whether it can be sent immediately.
            let _ = self.wire.session.disconnect(None, "done", None);
            self.wire.flush();
        }
        self.hang_up();
    }
}
