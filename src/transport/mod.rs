//! The seam to a node: connect to it, and run one script there.
//!
//! [`Transport`] and [`Connection`] are all that the rest of the program sees. [`System`] is the real thing: over SSH, or on this
//! very machine where the inventory says so. Whoever tests what stands above implements the two traits with a node that is made up.
//!
//! Four promises hold whatever happens to the network:
//!
//! * [`Connection::run`] answers with a status only when the node itself said that the script came to its end. libssh2 reports
//!   status 0 for a command whose connection died, so a status on its own means nothing here.
//! * Nothing of a script runs before the node has read all of it. A connection that dies while sending leaves the node as it was.
//! * Whatever a node or an agent does, it is left at the end of its time, and its answer takes no more than 64 MiB.
//! * A password reaches `sudo` and nobody else: it is sent after sudo's own prompt was seen, and only once.

mod cancel;
mod connect_error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod known_hosts;
mod local;
#[cfg(test)]
mod messages;
mod run_error;
mod script_protocol;
mod secret;
mod settings;
mod ssh;
mod sudo;
mod system;
mod target;
mod wait;

use std::time::Duration;

pub use cancel::Cancel;
pub use connect_error::ConnectError;
pub use connect_error::KeyProblem;
pub use connect_error::Presented;
pub use run_error::Executed;
pub use run_error::Partial;
pub use run_error::RunError;
pub use run_error::ShellEnd;
pub use secret::Secrets;
pub use settings::HostKeyChecking;
pub use settings::Settings;
pub use sudo::SudoProblem;
pub use system::System;
pub use target::Endpoint;
pub use target::Privilege;
pub use target::Target;
pub use target::Via;

/// The way to nodes.
///
/// One value serves a whole run and all its threads.
pub trait Transport: Send + Sync {
    /// Connects to a node, makes sure that it is that node, and logs in. Nothing is run there.
    ///
    /// # Errors
    /// One variant of [`ConnectError`] for each way in which this can fail.
    fn connect(
        &self,
        target: &Target,
        cancel: &Cancel,
    ) -> Result<Box<dyn Connection>, ConnectError>;
}

/// A node that was reached. It belongs to the thread that connected.
///
/// Dropping it closes the connection at once and never waits for the node.
pub trait Connection {
    /// Runs a POSIX shell script on the node, as the user that the target asks for, and returns all that it said.
    ///
    /// The script is fed to the shell's standard input; it is no argument, and so nobody on the node reads it in a process list.
    /// It starts after the node has read all of it, runs in a subshell (an `exit 3` in it gives status 3), in the C locale, and
    /// finds nothing on its own standard input. It must be whole: a command, quote or here-document left open is a syntax error, and
    /// then nothing runs.
    ///
    /// `on_stdout` is called with each piece of standard output as it arrives; the pieces together are [`Output::stdout`].
    /// `limit` covers everything from the moment at which the node took the command to the last byte; for opening a session
    /// until then it has [`Settings::connect_timeout`].
    ///
    /// A node that answers with more than 32 MiB on standard output, or 8 MiB on standard error, is cut off.
    ///
    /// After [`RunError::Lost`], [`RunError::TimedOut`], [`RunError::TooMuch`], [`RunError::Cancelled`] and a wrong password the connection is closed. What was running on the
    /// node may run on: a node over SSH gets no signal when its connection ends, only an output that nobody reads any more. On
    /// this machine it is ended.
    ///
    /// # Errors
    /// [`RunError`] when no status came; [`RunError::executed`] says whether the node can have begun.
    fn run(
        &mut self,
        script: &str,
        limit: Duration,
        on_stdout: &mut dyn FnMut(&[u8]),
        cancel: &Cancel,
    ) -> Result<Output, RunError>;
}

/// What a script said that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Standard output, byte for byte, without what the login shell printed before.
    pub stdout: Vec<u8>,
    /// Standard error, byte for byte, without what the login shell and sudo printed before.
    pub stderr: Vec<u8>,
    /// The exit status as the shell counts it: 0 to 255, and 128 + N for a script that was ended by signal N.
    pub status: i32,
}
