//! The interface to a node: connect to it, and run one script there.
//!
//! [`Transport`] and [`Connection`] are all that the rest of the program sees. [`SystemTransport`] is the real implementation: over SSH, or on this
//! machine if the inventory says so. Tests of the layers above implement the two traits with a simulated node.
//!
//! Four guarantees hold whatever happens to the network:
//!
//! * [`Connection::run`] returns a status only if the node itself reported that the script ended. libssh2 reports
//!   status 0 for a command whose connection was lost, so that status alone has no meaning.
//! * Nothing of a script runs before the node has read all of it. A connection that is lost while sending leaves the node unchanged.
//! * Whatever a node or an agent does, it is dropped when its time is over, and its answer takes no more than 64 MiB.
//! * A password is sent only to `sudo`: after sudo's own prompt was seen, and only once.

pub mod askpass;
mod cancel;
mod connect_error;
mod connect_options;
mod destination;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hop;
pub mod known_hosts;
mod local;
#[cfg(test)]
mod messages;
mod openssh;
mod run_error;
mod scan;
mod script_protocol;
mod secret;
mod ssh;
mod sudo;
mod system;
mod system_user;
mod wait;

use std::time::Duration;

pub use cancel::Cancel;
pub use connect_error::ConnectError;
pub use connect_error::KeyProblem;
pub use connect_error::OpenSshFailure;
pub use connect_error::Presented;
pub use connect_options::Client;
pub use connect_options::ConnectOptions;
pub use connect_options::HostKeyChecking;
pub use connect_options::SshConfig;
pub use destination::Destination;
pub use destination::Host;
pub use destination::HostKind;
pub use destination::Privilege;
pub use destination::Via;
pub use run_error::Executed;
pub use run_error::Partial;
pub use run_error::RunError;
pub use run_error::ShellEnd;
pub use scan::Scanned;
pub use secret::LoginPrompt;
pub use secret::Secrets;
pub use sudo::SudoProblem;
pub use system::SystemTransport;

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
        destination: &Destination,
        cancel: &Cancel,
    ) -> Result<Box<dyn Connection>, ConnectError>;
}

/// A node that was reached. It belongs to the thread that connected.
///
/// Dropping it closes the connection immediately and never waits for the node.
pub trait Connection {
    /// Runs a POSIX shell script on the node, as the user that the destination requests, and returns its output.
    ///
    /// The script is fed to the shell's standard input; it is not an argument, so no process list on the node shows it.
    /// It starts after the node has read all of it, runs in a subshell (an `exit 3` in it gives status 3), in the C locale, and
    /// finds nothing on its own standard input. It must be whole: a command, quote or here-document left open is a syntax error, and
    /// then nothing runs.
    ///
    /// `on_stdout` is called with each piece of standard output as it arrives; the pieces together are [`Output::stdout`].
    /// `limit` covers everything from the moment at which the node accepted the command to the last byte; opening a session
    /// before that is limited by [`ConnectOptions::connect_timeout`].
    ///
    /// A node that sends more than 32 MiB on standard output, or 8 MiB on standard error, is cut off.
    ///
    /// After [`RunError::Lost`], [`RunError::TimedOut`], [`RunError::TooMuch`], [`RunError::Cancelled`] and a wrong password the
    /// connection is closed. What was running on the
    /// node may continue: a node over SSH gets no signal when its connection ends, only an output that is no longer read. On
    /// this machine it is terminated.
    ///
    /// # Errors
    /// [`RunError`] if no status arrived; [`RunError::executed`] says whether the node may have started.
    fn run(
        &mut self,
        script: &str,
        limit: Duration,
        on_stdout: &mut dyn FnMut(&[u8]),
        cancel: &Cancel,
    ) -> Result<Output, RunError>;
}

/// The output of a script that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Standard output, byte for byte, without what the login shell printed before.
    pub stdout: Vec<u8>,
    /// Standard error, byte for byte, without what the login shell and sudo printed before.
    pub stderr: Vec<u8>,
    /// The exit status as the shell counts it: 0 to 255, and 128 + N for a script that was ended by signal N.
    pub status: i32,
}
