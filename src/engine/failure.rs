//! Why a node failed: what was tried, what the node answered, what to do about it, and the condition of the node.

use std::error::Error;

use crate::engine::condition::NodeCondition;
use crate::engine::stage::Stage;
use crate::transport::ConnectError;
use crate::transport::KeyProblem;
use crate::transport::RunError;

/// Why a node failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where on its way.
    pub stage: Stage,
    /// A short fixed name, such as `connection-refused`, for scripts and the manual.
    pub code: &'static str,
    /// What was tried and what was answered, as a sentence without a full stop.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
    /// The condition of the node.
    pub condition: NodeCondition,
}

impl Failure {
    /// Makes a failure that left the node as it was.
    pub fn new(stage: Stage, code: &'static str, message: impl Into<String>) -> Self {
        Failure {
            stage,
            code,
            message: message.into(),
            hint: None,
            condition: NodeCondition::Untouched,
        }
    }

    /// The same failure with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure with this condition of the node.
    #[must_use]
    pub fn condition(mut self, condition: NodeCondition) -> Self {
        self.condition = condition;
        self
    }

    /// The login failed.
    pub(super) fn connect(stage: Stage, error: &ConnectError) -> Self {
        let mut failure = Failure::new(stage, connect_code(error), chain(error));
        failure.hint = error.hint();
        failure
    }

    /// A script returned no exit status.
    pub(super) fn run(stage: Stage, error: &RunError) -> Self {
        let mut failure = Failure::new(stage, run_code(error), chain(error));
        failure.hint = error.hint();
        failure
    }

    /// Whether the node was unreachable, in Ansible's sense: the login failed, or the connection was lost before anything
    /// was changed.
    pub(super) fn is_unreachable(&self) -> bool {
        match self.stage {
            Stage::Connecting => !matches!(self.code, "stopped"),
            Stage::Looking => matches!(self.code, "connection-lost" | "no-channel" | "no-session"),
            _ => false,
        }
    }
}

/// An error with all its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        // Some errors repeat their cause in their own words.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

fn connect_code(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::Resolve { .. } => "name-unknown",
        ConnectError::Refused { .. } => "connection-refused",
        ConnectError::TimedOut { .. } => "no-answer",
        ConnectError::NoRoute { .. } => "no-route",
        ConnectError::Socket { .. } => "no-socket",
        ConnectError::Handshake { .. } | ConnectError::HandshakeTimedOut { .. } => "no-handshake",
        ConnectError::NoCommon { .. } => "no-common-algorithm",
        ConnectError::KnownHosts { .. } => "known-hosts",
        ConnectError::HostKeyUnknown { .. } | ConnectError::HostKeyCertified { .. } => {
            "host-key-unknown"
        }
        ConnectError::HostKeyChanged { .. } => "host-key-changed",
        ConnectError::HostKeyRevoked { .. } => "host-key-revoked",
        ConnectError::User { .. } => "no-user",
        ConnectError::Key {
            problem: KeyProblem::PassphraseNeeded | KeyProblem::PassphraseWrong,
            ..
        } => "passphrase",
        ConnectError::Key { .. } => "key-unusable",
        ConnectError::NoKey { .. } => "no-key",
        ConnectError::Authentication { .. }
        | ConnectError::TooManyKeys { .. }
        | ConnectError::FurtherMethod { .. } => "login-refused",
        ConnectError::HungUp { .. } | ConnectError::LoginTimedOut { .. } => "login-lost",
        ConnectError::Session { .. } => "ssh-session",
        ConnectError::Cancelled { .. } => "stopped",
    }
}

fn run_code(error: &RunError) -> &'static str {
    match error {
        RunError::Closed { .. } | RunError::Start { .. } => "no-channel",
        RunError::NoSession { .. } => "no-session",
        RunError::Shell { .. } => "login-shell",
        RunError::Sudo { .. } => "sudo",
        RunError::Lost { .. } => "connection-lost",
        RunError::TimedOut { .. } => "timed-out",
        RunError::TooMuch { .. } => "answer-too-long",
        RunError::Cancelled { .. } => "stopped",
    }
}
