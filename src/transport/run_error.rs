//! The ways in which a run can fail to return a status.

use std::time::Duration;

use thiserror::Error;

use super::destination::Host;
use super::sudo::SudoProblem;

/// Why there is no status.
///
/// A script that ran and failed is not an error here but an [`Output`](super::Output) with its status.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RunError {
    /// An earlier run closed the connection; connect again.
    #[error("cannot run anything more on {at}: an earlier run closed the connection")]
    Closed {
        /// The node.
        at: Host,
    },
    /// The node did not open a channel or take the command.
    #[error("cannot run anything on {at}: {said}")]
    Start {
        /// The node.
        at: Host,
        /// Its answer.
        said: String,
    },
    /// The node logged the user in and did not open a session or take the command in time.
    #[error("{at} let the user in, and did not {wanted} within {after:?}")]
    NoSession {
        /// The node.
        at: Host,
        /// What it was expected to do.
        wanted: &'static str,
        /// How long it was given.
        after: Duration,
    },
    /// The login shell did not run the command that it was given.
    #[error("the login shell of {at} {} without running what it was given{said}", ShellEnd::words(*end))]
    Shell {
        /// The node.
        at: Host,
        /// How it ended.
        end: ShellEnd,
        /// The end of its output, as `: …`, or empty.
        said: String,
    },
    /// sudo did not let the user through.
    #[error("cannot become {user} on {at}: {}{said}", problem.words())]
    Sudo {
        /// The node.
        at: Host,
        /// The user to become.
        user: String,
        /// The problem.
        problem: SudoProblem,
        /// The end of its output, as `: …`, or empty.
        said: String,
    },
    /// The connection or the shell was gone before the script came to its end.
    #[error("lost {at} in the middle of a run: {reason}")]
    Lost {
        /// The node.
        at: Host,
        /// What ended.
        reason: String,
        /// What had arrived.
        partial: Box<Partial>,
    },
    /// The script was not done in time.
    #[error("{at} was not done within {limit:?}")]
    TimedOut {
        /// The node.
        at: Host,
        /// The limit of this run.
        limit: Duration,
        /// What had arrived.
        partial: Box<Partial>,
    },
    /// The node answered with more than anything here can have to say, and was cut off.
    #[error("the answer of {at} was cut off: more than {} MiB on {stream}", most / 1024 / 1024)]
    TooMuch {
        /// The node.
        at: Host,
        /// The stream with too much output, such as `standard output`.
        stream: &'static str,
        /// How many bytes it may say there.
        most: usize,
        /// The beginning of what had arrived.
        partial: Box<Partial>,
    },
    /// A stop was requested.
    #[error("stopped waiting for {at}, as asked")]
    Cancelled {
        /// The node.
        at: Host,
        /// What had arrived.
        partial: Box<Partial>,
    },
}

/// How a login shell ended that did not run its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellEnd {
    /// With this status.
    Status(i32),
    /// It went on until the limit of the run.
    StillRunning(Duration),
}

impl ShellEnd {
    fn words(self) -> String {
        match self {
            Self::Status(status) => format!("ended with status {status}"),
            Self::StillRunning(limit) => format!("ran for {limit:?}"),
        }
    }
}

/// The output of a run that returned no status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// Standard output as far as it came.
    pub stdout: Vec<u8>,
    /// Standard error as far as it came.
    pub stderr: Vec<u8>,
    /// Whether any of the script can have run.
    pub executed: Executed,
}

/// Whether any of a script can have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executed {
    /// Certainly not: the node never had all of it, and nothing runs before that.
    Never,
    /// A part of it or all of it, and it may still be running.
    Perhaps,
}

impl RunError {
    /// Whether any of the script can have run on the node.
    pub fn executed(&self) -> Executed {
        self.partial()
            .map_or(Executed::Never, |partial| partial.executed)
    }

    /// What had arrived, where something can have.
    pub fn partial(&self) -> Option<&Partial> {
        match self {
            Self::Closed { .. }
            | Self::Start { .. }
            | Self::NoSession { .. }
            | Self::Shell { .. }
            | Self::Sudo { .. } => None,
            Self::Lost { partial, .. }
            | Self::TooMuch { partial, .. }
            | Self::TimedOut { partial, .. }
            | Self::Cancelled { partial, .. } => Some(partial),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Start { .. } => Some(
                "a node that refuses channels may be at its limit of sessions (`MaxSessions` in its sshd_config)".to_owned(),
            ),
            Self::NoSession { .. } => Some(
                "logins are slow there (PAM, systemd-logind, a home directory on the network): see the log of sshd, or allow more time with `-T`".to_owned(),
            ),
            Self::Shell { end, .. } => Some(match end {
                ShellEnd::Status(_) => "the login user needs a usual shell there: see its entry in /etc/passwd, an `exit` in its `.bashrc`, and `ForceCommand` in sshd_config".to_owned(),
                ShellEnd::StillRunning(_) => "something else took its place: see `exec` or a menu in the login user's `.bashrc` (only for `[[ $- == *i* ]]`), and `ForceCommand` in sshd_config".to_owned(),
            }),
            Self::TooMuch { .. } => Some(
                "none of it was used; check what prints so much: the login user's shell, or a program that replaces another".to_owned(),
            ),
            Self::Sudo { problem, user, .. } => problem.hint(user),
            Self::Lost { partial, .. } | Self::TimedOut { partial, .. } => match partial.executed {
                Executed::Never => Some("nothing was run there; try again".to_owned()),
                Executed::Perhaps => None,
            },
            Self::Closed { .. } | Self::Cancelled { .. } => None,
        }
    }
}
