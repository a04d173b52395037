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
mod jump;
mod key;
mod methods;
pub(super) mod pace;
mod proxy;
mod pump;
mod relay;
mod socket;
mod step;

use std::cell::Cell;
use std::time::Duration;

use ssh2::Session;

use self::auth::Clock;
use self::auth::Login;
use self::jump::Jumps;
use self::pace::Again;
use self::pace::Halt;
use self::pace::Pacer;
use self::pace::Retries;
use self::proxy::Proxy;
use self::pump::Unopened;
use self::step::StepError;
use self::step::Wire;
use super::Cancel;
use super::ConnectError;
use super::Connection;
use super::Destination;
use super::Host;
use super::Output;
use super::Privilege;
use super::RunError;
use super::Scanned;
use super::hop::Hop;
use super::hop::Resolver;
use super::hop::Way;
use super::known_hosts::KnownHosts;
use super::script_protocol::ScriptProtocol;
use super::script_protocol::StreamEnd;
use super::secret::SecretCache;
use super::system_user::system_user;
use super::wait::Deadline;
use super::wait::Stopped;
use crate::model::Secret;

/// A session that is logged in.
pub(super) struct Ssh {
    at: Host,
    privilege: Privilege,
    password: Option<Secret>,
    wire: Wire,
    /// The process that carries the connection.
    _proxy: Option<Proxy>,
    /// How long the node may take to open a channel and to take the command.
    opening: Duration,
    /// After how long a silence the connection is lost, where the system does not notice it.
    patience: Option<Duration>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

/// What the connections of a run share.
pub(super) struct Ways {
    pub(super) resolver: Resolver,
    pub(super) vault: SecretCache,
    jumps: Jumps,
    pacer: Pacer,
}

impl Ways {
    pub(super) fn new(resolver: Resolver, vault: SecretCache) -> Self {
        Self {
            resolver,
            vault,
            jumps: Jumps::default(),
            pacer: Pacer::default(),
        }
    }
}

/// Connects, makes sure that it is that node, and logs in.
pub(super) fn connect(
    destination: &Destination,
    ways: &Ways,
    cancel: &Cancel,
) -> Result<Ssh, ConnectError> {
    let hop = ways.resolver.destination(destination, cancel)?;
    let session = log_in(&hop, ways, 0, cancel)?;
    let password = match destination.privilege {
        Privilege::Sudo { .. } => ways.vault.become_password(&destination.node),
        Privilege::AsIs => None,
    };
    let patience = (hop.way != Way::Direct).then(|| hop.keepalive * hop.unanswered);
    Ok(Ssh {
        at: hop.at,
        privilege: destination.privilege.clone(),
        password,
        wire: session.wire,
        _proxy: session.proxy,
        opening: hop.connect_timeout,
        patience: patience.filter(|patience| !patience.is_zero()),
        state: State::Open,
    })
}

/// The host key of a server, as it proves to own it; nothing is compared, and nobody logs in.
pub(super) fn scan(
    destination: &Destination,
    ways: &Ways,
    cancel: &Cancel,
) -> Result<Scanned, ConnectError> {
    let hop = ways.resolver.destination(destination, cancel)?;
    let known = host_key::read(&hop)?;
    let asked = Asked {
        // As for a login, so that the key that is seen is the one that a login would be shown.
        algorithms: host_key::algorithms(&known, &hop),
    };
    let session = paced(&hop, ways, cancel, || begin(&hop, ways, 0, cancel, &asked))?;
    let presented = host_key::presented(&session.wire.session);
    session.wire.hang_up();
    match presented {
        Ok(presented) => Ok(Scanned {
            status: host_key::status(&hop, &known, &presented).0,
            key: presented.key,
            known_as: hop.known_as,
            file: hop.known_hosts.into_iter().next(),
            hashes_names: hop.hashes_names,
        }),
        Err(said) => Err(ConnectError::Handshake { at: hop.at, said }),
    }
}

/// A session, and the process that carries it if there is one. Without an owner it is closed.
struct Begun {
    wire: Wire,
    proxy: Option<Proxy>,
}

/// What is asked of a server in the handshake.
struct Asked {
    algorithms: String,
}

/// Connects to a node or a jump host, makes sure that it is that one, and logs in.
fn log_in(hop: &Hop, ways: &Ways, depth: usize, cancel: &Cancel) -> Result<Begun, ConnectError> {
    let user = user(hop)?;
    let known = host_key::read(hop)?;
    let asked = Asked {
        algorithms: host_key::algorithms(&known, hop),
    };
    paced(hop, ways, cancel, || {
        let session = begin(hop, ways, depth, cancel, &asked)?;
        let done = prove(hop, ways, &session, &known, &user, cancel);
        match done {
            Ok(()) => Ok(session),
            Err(error) => {
                session.wire.hang_up();
                Err(Halt::from(error))
            }
        }
    })
}

/// Does it again where the server had too many visitors at a time, or was not there for a moment.
fn paced<T>(
    hop: &Hop,
    ways: &Ways,
    cancel: &Cancel,
    mut attempt: impl FnMut() -> Result<T, Halt>,
) -> Result<T, ConnectError> {
    let deadline = Deadline::new(hop.connect_timeout, cancel);
    let _slot = ways.pacer.enter(hop, &deadline);
    let mut retries = Retries::default();
    loop {
        let halt = match attempt() {
            Ok(value) => return Ok(value),
            Err(halt) => halt,
        };
        if !retries.wait(halt.again, &deadline) {
            return Err(*halt.error);
        }
    }
}

/// Reaches the server and shakes hands.
fn begin(
    hop: &Hop,
    ways: &Ways,
    depth: usize,
    cancel: &Cancel,
    asked: &Asked,
) -> Result<Begun, Halt> {
    let at = &hop.at;
    let (socket, proxy) = match &hop.way {
        Way::Direct => (socket::reach(hop, cancel)?, None),
        Way::Jump(chain) => {
            let key = jump::key(chain, &hop.config, depth);
            let open = || jump_host(chain, hop, ways, depth, cancel);
            (ways.jumps.reach(&key, hop, cancel, &open)?, None)
        }
        Way::Command { command, .. } => {
            let (socket, proxy) = Proxy::start(command).map_err(|source| ConnectError::Proxy {
                at: at.clone(),
                source,
            })?;
            (socket, Some(proxy))
        }
    };
    let failed = |said: String| ConnectError::Session {
        at: at.clone(),
        said,
    };
    let session = Session::new().map_err(|error| failed(error.message().to_owned()))?;
    methods::set(&session, &asked.algorithms)
        .map_err(|error| failed(error.message().to_owned()))?;
    let wire = Wire::new(session, socket).map_err(|error| failed(error.to_string()))?;
    let limit = hop.connect_timeout;
    match handshake::shake_hands(&wire, at, &asked.algorithms, limit, cancel) {
        Ok(()) => Ok(Begun { wire, proxy }),
        Err(error) => {
            let again = handshake::is_turned_away(&wire);
            wire.hang_up();
            Err(Halt {
                error: Box::new(with_words_of(proxy, error)),
                again: match again {
                    true => Again::TurnedAway,
                    false => Again::Never,
                },
            })
        }
    }
}

/// Adds what a proxy command complained about.
fn with_words_of(proxy: Option<Proxy>, error: ConnectError) -> ConnectError {
    let said = proxy.map(Proxy::last_words).unwrap_or_default();
    match error {
        ConnectError::Handshake { at, said: first } if !said.is_empty() => {
            ConnectError::Handshake {
                at,
                said: format!("{first}; its ProxyCommand said `{said}`"),
            }
        }
        other => other,
    }
}

/// Makes sure that it is that server, and logs in.
fn prove(
    hop: &Hop,
    ways: &Ways,
    session: &Begun,
    known: &KnownHosts,
    user: &str,
    cancel: &Cancel,
) -> Result<(), ConnectError> {
    let wire = &session.wire;
    host_key::verify(&wire.session, hop, known)?;
    Login {
        wire,
        clock: Clock {
            limit: hop.connect_timeout,
            spent: Cell::default(),
            forgiven: Cell::default(),
            cancel,
        },
        hop,
        vault: &ways.vault,
        user: user.to_owned(),
        accepts: String::new(),
        tried: Vec::new(),
        took: None,
        offered_password: false,
    }
    .log_in()?;
    wire.is_logged_in();
    // Not before: servers may refuse a client that sends keepalives while it is logging in (libssh2#1810).
    if let Ok(seconds) = u32::try_from(hop.keepalive.as_secs()) {
        wire.session.set_keepalive(true, seconds);
    }
    Ok(())
}

/// Logs in to the jump host that a node is behind.
fn jump_host(
    chain: &str,
    node: &Hop,
    ways: &Ways,
    depth: usize,
    cancel: &Cancel,
) -> Result<(Host, Wire, Option<Proxy>), ConnectError> {
    let hop = ways.resolver.jump(chain, &node.config, depth, cancel)?;
    let session = log_in(&hop, ways, depth + 1, cancel)?;
    Ok((hop.at, session.wire, session.proxy))
}

/// The user that was said, or the user who runs this program, as with ssh.
fn user(hop: &Hop) -> Result<String, ConnectError> {
    let user = hop.user.clone().or_else(system_user);
    user.ok_or_else(|| ConnectError::User { at: hop.at.clone() })
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
                let flow = pump::Flow {
                    wire: &self.wire,
                    deadline: &deadline,
                    patience: self.patience,
                };
                flow.pump(channel, &mut protocol, on_stdout)
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
