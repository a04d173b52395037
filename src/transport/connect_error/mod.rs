//! The ways in which connecting to a node can fail.

mod hint;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::destination::Host;
use super::known_hosts::FileLine;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The address is a name that leads nowhere.
    #[error("cannot resolve the address of {at}")]
    Resolve {
        /// The node.
        at: Host,
        /// The error of the resolver.
        source: io::Error,
    },
    /// The machine answers, and nothing listens on the port, or a firewall rejects.
    #[error("cannot connect to {at}: connection refused")]
    Refused {
        /// The node.
        at: Host,
    },
    /// Nothing answers.
    #[error("cannot connect to {at}: no answer within {after:?}")]
    TimedOut {
        /// The node.
        at: Host,
        /// How long each address was given.
        after: Duration,
    },
    /// The network has no way there.
    #[error("cannot connect to {at}")]
    NoRoute {
        /// The node.
        at: Host,
        /// The error of the system.
        source: io::Error,
    },
    /// The system did not let us try.
    #[error("cannot open a socket to {at}")]
    Socket {
        /// The node.
        at: Host,
        /// The error of the system.
        source: io::Error,
    },
    /// Something accepted and did not speak SSH to the end of the handshake.
    #[error("no SSH handshake with {at}: {said}")]
    Handshake {
        /// The node.
        at: Host,
        /// What went wrong.
        said: String,
    },
    /// Something accepted and did not come to the end of the handshake.
    #[error("no SSH handshake with {at}: {}", silence(*after, told.as_deref()))]
    HandshakeTimedOut {
        /// The node.
        at: Host,
        /// How long it was given.
        after: Duration,
        /// What it sent until then.
        told: Option<String>,
    },
    /// The node and this program have no algorithm in common.
    #[error("no SSH handshake with {at}: no common {what}; it offers: {theirs}")]
    NoCommon {
        /// The node.
        at: Host,
        /// The kind of algorithm.
        what: &'static str,
        /// What the node offers.
        theirs: String,
        /// What this program offers.
        ours: String,
    },
    /// A file of known host keys can't be read or written.
    #[error("cannot use the known host keys in {} for {at}", path.display())]
    KnownHosts {
        /// The node.
        at: Host,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// No known_hosts file has the node's host key.
    #[error("the host key of {at} is unknown: {presented}{}", ignored(*malformed))]
    HostKeyUnknown {
        /// The node.
        at: Host,
        /// The key it presents.
        presented: Box<Presented>,
        /// The first of the files that were read.
        file: Option<PathBuf>,
        /// How many lines of the files could not be understood.
        malformed: usize,
    },
    /// Only a certificate authority vouches for the node, and the node has no certificate of it that is good.
    #[error(
        "the host key of {at} is known only through the certificate authority at {authority}, and {why}: {presented}"
    )]
    HostKeyCertified {
        /// The node.
        at: Host,
        /// The key it presents.
        presented: Box<Presented>,
        /// The line with the authority.
        authority: FileLine,
        /// Why its certificate does not count, as the end of a sentence.
        why: String,
    },
    /// Another host key of the node is known: it was reinstalled, or the connection is intercepted.
    #[error(
        "the host key of {at} is not the one that is known: it presents {presented}, and {known} has another one ({known_algorithm})"
    )]
    HostKeyChanged {
        /// The node.
        at: Host,
        /// The key it presents.
        presented: Box<Presented>,
        /// The location of the other key.
        known: FileLine,
        /// The type of the other key.
        known_algorithm: String,
    },
    /// The host key was revoked.
    #[error("the host key of {at} is revoked at {location}: {presented}")]
    HostKeyRevoked {
        /// The node.
        at: Host,
        /// The key it presents.
        presented: Box<Presented>,
        /// Where it is revoked.
        location: FileLine,
    },
    /// It is unknown as which user to log in.
    #[error(
        "no user to log in as on {at}: the inventory names none, and the system has no name for this one"
    )]
    User {
        /// The node.
        at: Host,
    },
    /// The key file that the inventory names can't be used.
    #[error("cannot use the key {} for {at}: {problem}", path.display())]
    Key {
        /// The node.
        at: Host,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// There is nothing to log in with.
    #[error("no key to log in with on {at}: {}", looked.join("; "))]
    NoKey {
        /// The node.
        at: Host,
        /// Where keys were searched, and why none was there.
        looked: Vec<String>,
    },
    /// The node took none of the keys.
    #[error(
        "{user} may not log in on {at}: {}; the node accepts: {accepts}",
        tried_text(tried)
    )]
    Authentication {
        /// The node.
        at: Host,
        /// The user to log in as.
        user: String,
        /// Each key with its result.
        tried: Vec<String>,
        /// The methods that the node accepts, such as `publickey,password`.
        accepts: Box<str>,
    },
    /// The node hung up after too many keys (`MaxAuthTries`, mostly 6).
    #[error("{at} closed the connection after {} keys for {user}: {}", tried.len(), tried_text(tried))]
    TooManyKeys {
        /// The node.
        at: Host,
        /// The user to log in as.
        user: String,
        /// Each key with its result.
        tried: Vec<String>,
    },
    /// The node accepted a key or an answer and requires another method in addition (`AuthenticationMethods`), which failed or is missing.
    #[error(
        "{user} cannot log in on {at} so: it accepted {key}, and also requires: {wants}{}",
        also_tried(tried)
    )]
    FurtherMethod {
        /// The node.
        at: Host,
        /// The user to log in as.
        user: Box<str>,
        /// The key that it took.
        key: Box<str>,
        /// The methods of which it requires one, such as `password`.
        wants: Box<str>,
        /// What was tried in vain.
        tried: Box<[String]>,
    },
    /// The connection ended while logging in.
    #[error("the login of {user} on {at} was interrupted: {said}")]
    HungUp {
        /// The node.
        at: Host,
        /// The user to log in as.
        user: String,
        /// What went wrong.
        said: String,
    },
    /// The node did not come to the end of the login.
    #[error("the login of {user} on {at} took more than {after:?}")]
    LoginTimedOut {
        /// The node.
        at: Host,
        /// The user to log in as.
        user: String,
        /// How long it was given.
        after: Duration,
    },
    /// libssh2 could not be set up, which is not the node's fault.
    #[error("cannot set up an SSH session for {at}: {said}")]
    Session {
        /// The node.
        at: Host,
        /// The error of libssh2.
        said: String,
    },
    /// ssh's configuration, or what the inventory says to ssh, cannot be used.
    #[error("cannot use the ssh options for {at}: {said}")]
    Config {
        /// The node or the jump host.
        at: Host,
        /// What is wrong.
        said: String,
    },
    /// A jump host on the way could not be reached or logged in to.
    #[error("cannot reach {at}")]
    Jump {
        /// The node.
        at: Host,
        /// What happened at the jump host.
        source: Arc<ConnectError>,
    },
    /// The jump host could not connect to the node, or may not.
    #[error("cannot connect to {at}: {jump} said `{said}`")]
    Forward {
        /// The node.
        at: Host,
        /// The jump host.
        jump: Box<Host>,
        /// Its answer.
        said: String,
    },
    /// The command that is to reach the node could not be started (`ProxyCommand`).
    #[error("cannot connect to {at}: its ProxyCommand does not start")]
    Proxy {
        /// The node.
        at: Host,
        /// The error of the system.
        source: io::Error,
    },
    /// The system's ssh could not log in.
    #[error("ssh cannot log in on {at}: {said}")]
    OpenSsh {
        /// The node.
        at: Host,
        /// What it printed.
        said: String,
        /// What kind of failure it is.
        kind: OpenSshFailure,
    },
    /// A stop was requested.
    #[error("stopped connecting to {at}, as asked")]
    Cancelled {
        /// The node.
        at: Host,
    },
}

/// What kind of failure the system's ssh reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenSshFailure {
    /// The node was not reached.
    Unreachable,
    /// The host key is unknown, or another one is known.
    HostKey,
    /// The node did not let the user in.
    Login,
    /// The node does not take the password.
    Password,
    /// The node or a jump host asks something that ssh gets no answer to.
    Question,
    /// The connection was closed before the server said what it is.
    TurnedAway,
    /// `ssh` could not be started, or does not accept its options.
    Program,
}

/// A host key as a node presents it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// Its type, such as `ssh-ed25519`.
    pub algorithm: String,
    /// Its fingerprint, `SHA256:…`.
    pub fingerprint: String,
    /// The node's name in known_hosts, with the port if that isn't 22.
    pub name: String,
}

impl fmt::Display for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.fingerprint)
    }
}

/// What is wrong with a private key file.
#[derive(Debug, Error)]
pub enum KeyProblem {
    /// It can't be read, or isn't there.
    #[error("{0}")]
    Unreadable(io::Error),
    /// Others may read it.
    #[error("its mode {mode:04o} lets others read it")]
    Exposed {
        /// The permission bits.
        mode: u32,
    },
    /// It holds no private key, or one in a format that libssh2 does not read.
    #[error("it is not a private key that can be read")]
    NotAKey,
    /// It holds the public half, and the agent has no private one for it.
    #[error("it is a public key, and the agent does not have its private half{0}")]
    PublicHalf(String),
    /// It is encrypted, and no passphrase was given.
    #[error("it is encrypted, and no passphrase was given")]
    PassphraseNeeded,
    /// The passphrase that was given does not open it.
    #[error("the passphrase is wrong")]
    PassphraseWrong,
}

impl ConnectError {
    /// Whether the network, and not a person's setting, kept the node out of reach: trying again later can help.
    pub fn is_unreachable(&self) -> bool {
        if let Self::Jump { source, .. } = self {
            return source.is_unreachable();
        }
        matches!(
            self,
            Self::Resolve { .. }
                | Self::Refused { .. }
                | Self::TimedOut { .. }
                | Self::NoRoute { .. }
                | Self::Handshake { .. }
                | Self::HandshakeTimedOut { .. }
                | Self::NoCommon { .. }
                | Self::HungUp { .. }
                | Self::LoginTimedOut { .. }
                | Self::Forward { .. }
                | Self::OpenSsh {
                    kind: OpenSshFailure::Unreachable | OpenSshFailure::TurnedAway,
                    ..
                }
        )
    }
}

fn silence(after: Duration, told: Option<&str>) -> String {
    match told {
        None => format!("it accepted and said nothing for {after:?}"),
        Some(told) => format!("it did not end within {after:?}; {told}"),
    }
}

fn also_tried(tried: &[String]) -> String {
    match tried {
        [] => String::new(),
        _ => format!(" ({})", tried.join("; ")),
    }
}

fn tried_text(tried: &[String]) -> String {
    match tried {
        [] => "nothing was tried".to_owned(),
        _ => tried.join("; "),
    }
}

fn ignored(malformed: usize) -> String {
    match malformed {
        0 => String::new(),
        1 => " (1 line of known_hosts could not be understood)".to_owned(),
        _ => format!(" ({malformed} lines of known_hosts could not be understood)"),
    }
}
