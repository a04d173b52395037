//! A node over SSH, by libssh2.
//!
//! The session never blocks: this side polls, so that every step has its limit and can be cancelled. One thread owns a session and
//! all that is made from it, because ssh2 frees a channel without the session's lock (ssh2-rs#322).

mod auth;
mod host_key;
mod key;
mod pump;
mod socket;
mod step;

use std::env;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::Shutdown;
use rustix::net::shutdown;
use ssh2::MethodType;
use ssh2::Session;

use self::auth::Login;
use self::step::Halt;
use self::step::Steps;
use super::Cancel;
use super::ConnectError;
use super::Connection;
use super::Output;
use super::Place;
use super::Privilege;
use super::RunError;
use super::Settings;
use super::Target;
use super::dialogue::Dialogue;
use super::dialogue::End;
use super::secret::Vault;
use super::wait::Patience;
use super::wait::Stopped;
use crate::model::Secret;

/// A session that is logged in.
pub(super) struct Ssh {
    at: Place,
    privilege: Privilege,
    password: Option<Secret>,
    session: Session,
    socket: Arc<OwnedFd>,
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
    let socket = Arc::new(socket::reach(target, settings, cancel)?);

    let failed = |error: ssh2::Error| {
        let said = error.message().to_owned();
        ConnectError::Session {
            at: at.clone(),
            said,
        }
    };
    let mut session = Session::new().map_err(failed)?;
    session.set_blocking(false);
    let algorithms = host_key::preference(&known.algorithms(&target.address, target.port));
    session
        .method_pref(MethodType::HostKey, &algorithms)
        .map_err(failed)?;
    session.set_tcp_stream(Arc::clone(&socket));
    // From here on whatever goes wrong hangs up.
    let mut ssh = Ssh {
        at: at.clone(),
        privilege: target.privilege.clone(),
        password: None,
        session: session.clone(),
        socket: Arc::clone(&socket),
        state: State::Open,
    };

    let steps = Steps {
        session: session.clone(),
        socket,
        limit: settings.connect_timeout,
        cancel,
    };
    steps
        .again(|| session.handshake())
        .map_err(|halt| match halt {
            Halt::Stopped(Stopped::Cancelled) => ConnectError::Cancelled { at: at.clone() },
            Halt::Stopped(Stopped::TimedOut) => ConnectError::HandshakeTimedOut {
                at: at.clone(),
                after: settings.connect_timeout,
            },
            Halt::Stopped(Stopped::Failed(errno)) => ConnectError::Handshake {
                at: at.clone(),
                said: errno.to_string(),
            },
            Halt::Ssh(error) => ConnectError::Handshake {
                at: at.clone(),
                said: error.message().to_owned(),
            },
            Halt::Stream(error) => ConnectError::Handshake {
                at: at.clone(),
                said: error.to_string(),
            },
        })?;
    host_key::verify(&session, target, settings, &known)?;
    Login {
        steps,
        target,
        settings,
        vault,
        user,
        tried: Vec::new(),
    }
    .log_in()?;

    // Not before: servers may refuse a client that sends keepalives while it is logging in (libssh2#1810).
    if let Ok(seconds) = u32::try_from(settings.keepalive.as_secs()) {
        session.set_keepalive(true, seconds);
    }
    if matches!(target.privilege, Privilege::Sudo { .. }) {
        ssh.password = vault.become_password(&target.node);
    }
    Ok(ssh)
}

/// The user that the target names, or the one who runs this program, as ssh does.
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
        let patience = Patience::new(limit, cancel);
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
        let mut dialogue = Dialogue::new(script, &privilege, self.password.clone())
            .map_err(|error| refuse(error.to_string()))?;
        let command = dialogue
            .command_line()
            .map_err(|error| refuse(error.to_string()))?;
        let end = match pump::open(&self.session, &self.socket, &patience, &command) {
            Ok(channel) => pump::pump(
                &self.session,
                &self.socket,
                channel,
                &mut dialogue,
                on_stdout,
                &patience,
            ),
            Err(Halt::Stopped(stopped)) => End::Stopped(stopped),
            // The channel alone failed: the session lives, and nothing was sent.
            Err(Halt::Ssh(error)) if pump::is_refusal(&error) => {
                return Err(refuse(error.message().to_owned()));
            }
            Err(Halt::Ssh(error)) => End::Broken(error.message().to_owned()),
            Err(Halt::Stream(error)) => End::Broken(error.to_string()),
        };
        // A sudo that still asks would keep the channel for as long as it likes.
        if dialogue.is_refused() || !matches!(end, End::Closed { .. }) {
            self.hang_up();
        }
        dialogue.conclude(end, &self.at, limit)
    }
}

impl Ssh {
    /// Closes the connection under libssh2. Without this, dropping a channel waits for the node, possibly for ever (ssh2-rs#165).
    fn hang_up(&mut self) {
        self.state = State::Closed;
        let _ = shutdown(&self.socket, Shutdown::Both);
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        if self.state == State::Open {
            // A word to the node's log; whether it can be sent at once makes no difference.
            let _ = self.session.disconnect(None, "done", None);
        }
        self.hang_up();
    }
}
