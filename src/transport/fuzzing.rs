//! The script protocol with a node's shell, piece by piece, and what is read before it, for fuzz targets; not part of the library.

use std::time::Duration;

use super::Host;
use super::HostKind;
use super::Output;
use super::Privilege;
use super::RunError;
use super::script_protocol::ScriptProtocol;
use super::script_protocol::StreamEnd;
pub use super::ssh::fuzzing::FailedExchange;
pub use super::ssh::fuzzing::agent_answer;
pub use super::ssh::fuzzing::said;
use super::wait::Stopped;
use crate::model::Secret;

/// One script, one run.
pub struct Talk<'a>(ScriptProtocol<'a>);

impl<'a> Talk<'a> {
    /// Begins; `None` where the machine has no randomness.
    pub fn new(
        script: &'a str,
        privilege: &'a Privilege,
        password: Option<Secret>,
    ) -> Option<Self> {
        ScriptProtocol::new(script, privilege, password)
            .ok()
            .map(Talk)
    }

    /// The program that greets, with the marks that are valid now.
    pub fn arguments(&self) -> Vec<String> {
        self.0.arguments()
    }

    /// Takes standard output, and returns the script's part of it.
    pub fn hear_stdout(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut heard = Vec::new();
        self.0
            .hear_stdout(bytes, &mut |piece| heard.extend_from_slice(piece));
        heard
    }

    /// Takes in standard error.
    pub fn hear_stderr(&mut self, bytes: &[u8]) {
        self.0.hear_stderr(bytes);
    }

    /// All that is to be sent now.
    pub fn take(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while self.0.has_input() {
            let piece = self.0.offer().to_vec();
            self.0.sent(piece.len());
            all.extend(piece);
        }
        all
    }

    /// Whether a transport would stop here.
    pub fn is_over(&self) -> bool {
        self.0.has_ended() || self.0.is_refused()
    }

    /// The result if the shell ends with this status; without one, if the connection is lost, or the time is up.
    ///
    /// # Errors
    /// The meaning of an exchange that ended without a status.
    pub fn conclude(self, status: Option<i32>, late: bool) -> Result<Output, RunError> {
        let end = match (status, late) {
            (Some(status), _) => StreamEnd::Closed {
                status: Some(status),
                signal: None,
            },
            (None, true) => StreamEnd::Stopped(Stopped::TimedOut),
            (None, false) => StreamEnd::Broken("it is gone".to_owned()),
        };
        let at = Host {
            kind: HostKind::Node,
            node: "node".to_owned(),
            address: "192.0.2.1:22".into(),
        };
        self.0.conclude(end, &at, Duration::from_secs(1))
    }
}
