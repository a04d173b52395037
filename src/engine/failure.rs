//! Why a node failed: what was tried, what the node answered, what to do about it, and the condition of the node.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::engine::code::FailureCode;
use crate::engine::condition::NodeCondition;
use crate::engine::stage::Stage;
use crate::transport::ConnectError;
use crate::transport::KeyProblem;
use crate::transport::OpenSshFailure;
use crate::transport::RunError;

/// Why a node failed. As an [`Error`] it says its message alone, and its cause is its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where on its way.
    pub stage: Stage,
    /// What kind of failure it is, such as `connection-refused`.
    pub code: FailureCode,
    /// What was tried and what was answered, as a sentence without a full stop. [`text`](Self::text) adds the causes.
    pub message: String,
    /// What can be done about it; `None` where nothing has to be done.
    pub hint: Option<String>,
    /// The condition of the node.
    pub condition: NodeCondition,
    /// The error behind it, where there is one.
    pub cause: Option<Cause>,
}

/// The error behind a failure.
#[derive(Debug, Clone)]
pub enum Cause {
    /// The login failed.
    Connect(Arc<ConnectError>),
    /// A script returned no exit status.
    Run(Arc<RunError>),
    /// A part of what was tried has failed.
    Failure(Box<Failure>),
}

impl Cause {
    fn error(&self) -> &(dyn Error + 'static) {
        match self {
            Cause::Connect(error) => &**error,
            Cause::Run(error) => &**error,
            Cause::Failure(failure) => &**failure,
        }
    }
}

/// Causes are equal if they say the same.
impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        chain(self.error()) == chain(other.error())
    }
}

impl Eq for Cause {}

impl Failure {
    /// Makes a failure that left the node as it was. Its hint is the code's remedy.
    pub fn new(stage: Stage, code: FailureCode, message: impl Into<String>) -> Self {
        Failure {
            stage,
            code,
            message: message.into(),
            hint: code.explanation().hint().map(String::from),
            condition: NodeCondition::Untouched,
            cause: None,
        }
    }

    /// The same failure with a hint of its own.
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
    pub(super) fn connect(stage: Stage, error: ConnectError) -> Self {
        let failure = Failure::new(stage, connect_code(&error), error.to_string());
        Failure {
            hint: error.hint().or(failure.hint),
            cause: Some(Cause::Connect(Arc::new(error))),
            ..failure
        }
    }

    /// A script returned no exit status.
    pub(super) fn run(stage: Stage, error: RunError) -> Self {
        let message = error.to_string();
        Failure::new(stage, run_code(&error), message).because(error)
    }

    /// The same failure with the error of a script behind it, and with the hint of that error if it has one.
    #[must_use]
    pub(super) fn because(self, error: RunError) -> Self {
        Failure {
            hint: error.hint().or(self.hint),
            cause: Some(Cause::Run(Arc::new(error))),
            ..self
        }
    }

    /// The failure of what this one was a part of: `message` says what was tried. Stage, hint and condition stay.
    #[must_use]
    pub(super) fn within(self, code: FailureCode, message: impl Into<String>) -> Self {
        let whole = Failure::new(self.stage.clone(), code, message);
        Failure {
            hint: self.hint.clone().or(whole.hint),
            condition: self.condition.clone(),
            cause: Some(Cause::Failure(Box::new(self))),
            ..whole
        }
    }

    /// The message and all causes in one line, for people and scripts.
    pub fn text(&self) -> String {
        chain(self)
    }

    /// Whether the node was unreachable, in Ansible's sense: the login failed, or the connection was lost before anything
    /// was changed.
    pub(super) fn is_unreachable(&self) -> bool {
        match (&self.stage, self.code) {
            (Stage::Connecting, code) => code != FailureCode::Stopped,
            (
                Stage::Looking,
                FailureCode::ConnectionLost | FailureCode::NoChannel | FailureCode::NoSession,
            ) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(Cause::error)
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

fn connect_code(error: &ConnectError) -> FailureCode {
    match error {
        ConnectError::Resolve { .. } => FailureCode::NameUnknown,
        ConnectError::Refused { .. } => FailureCode::ConnectionRefused,
        ConnectError::TimedOut { .. } => FailureCode::NoAnswer,
        ConnectError::NoRoute { .. } => FailureCode::NoRoute,
        ConnectError::Socket { .. } => FailureCode::NoSocket,
        ConnectError::Handshake { .. } | ConnectError::HandshakeTimedOut { .. } => {
            FailureCode::NoHandshake
        }
        ConnectError::NoCommon { .. } => FailureCode::NoCommonAlgorithm,
        ConnectError::KnownHosts { .. } => FailureCode::KnownHosts,
        ConnectError::HostKeyUnknown { .. } | ConnectError::HostKeyCertified { .. } => {
            FailureCode::HostKeyUnknown
        }
        ConnectError::HostKeyChanged { .. } => FailureCode::HostKeyChanged,
        ConnectError::HostKeyRevoked { .. } => FailureCode::HostKeyRevoked,
        ConnectError::User { .. } => FailureCode::NoUser,
        ConnectError::Key {
            problem: KeyProblem::PassphraseNeeded | KeyProblem::PassphraseWrong,
            ..
        } => FailureCode::Passphrase,
        ConnectError::Key { .. } => FailureCode::KeyUnusable,
        ConnectError::NoKey { .. } => FailureCode::NoKey,
        ConnectError::Authentication { .. }
        | ConnectError::TooManyKeys { .. }
        | ConnectError::FurtherMethod { .. } => FailureCode::LoginRefused,
        ConnectError::HungUp { .. } | ConnectError::LoginTimedOut { .. } => FailureCode::LoginLost,
        ConnectError::Session { .. } => FailureCode::SshSession,
        ConnectError::Config { .. } => FailureCode::SshOptions,
        ConnectError::Jump { source, .. } => connect_code(source),
        ConnectError::Forward { .. } => FailureCode::JumpRefused,
        ConnectError::Proxy { .. } => FailureCode::NoProxy,
        ConnectError::OpenSsh { kind, .. } => match kind {
            OpenSshFailure::Unreachable => FailureCode::NoAnswer,
            OpenSshFailure::HostKey => FailureCode::HostKeyUnknown,
            OpenSshFailure::Login | OpenSshFailure::Password | OpenSshFailure::Question => {
                FailureCode::LoginRefused
            }
            OpenSshFailure::TurnedAway => FailureCode::NoHandshake,
            OpenSshFailure::Program => FailureCode::SshSession,
        },
        ConnectError::Cancelled { .. } => FailureCode::Stopped,
    }
}

fn run_code(error: &RunError) -> FailureCode {
    match error {
        RunError::Closed { .. } | RunError::Start { .. } => FailureCode::NoChannel,
        RunError::NoSession { .. } => FailureCode::NoSession,
        RunError::Shell { .. } => FailureCode::LoginShell,
        RunError::Sudo { .. } => FailureCode::Sudo,
        RunError::Lost { .. } => FailureCode::ConnectionLost,
        RunError::TimedOut { .. } => FailureCode::TimedOut,
        RunError::TooMuch { .. } => FailureCode::AnswerTooLong,
        RunError::Cancelled { .. } => FailureCode::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::transport::Host;
    use crate::transport::HostKind;

    fn unresolved() -> Failure {
        let at = Host {
            kind: HostKind::Node,
            node: "n1".to_string(),
            address: "n1.example:22".into(),
        };
        let source = io::Error::other("no such name");
        Failure::connect(Stage::Connecting, ConnectError::Resolve { at, source })
    }

    /// Tried with the chain flattened into the message: no source is left.
    #[test]
    fn a_failure_keeps_the_error_behind_it() {
        let failure = unresolved().within(FailureCode::NoWayBackIn, "every step was done");
        let mut sources = Vec::new();
        let mut next = failure.source();
        while let Some(error) = next {
            sources.push(error);
            next = error.source();
        }
        assert!(sources[0].is::<Failure>());
        assert!(sources[1].is::<ConnectError>());
        assert!(sources[2].is::<io::Error>());
        assert_eq!(sources.len(), 3);
    }

    #[test]
    fn the_text_of_a_failure_says_each_cause_once() {
        let failure = unresolved();
        let said = "cannot resolve the address of node `n1` (n1.example:22): no such name";
        assert_eq!(failure.text(), said);
        let whole = failure.within(FailureCode::NoWayBackIn, "every step was done");
        assert_eq!(whole.text(), format!("every step was done: {said}"));
        assert_eq!(whole.to_string(), "every step was done");
    }

    #[test]
    fn a_failure_without_a_hint_of_its_own_has_the_remedy_of_its_code() {
        let failure = |code| Failure::new(Stage::Looking, code, "");
        let hint = failure(FailureCode::LookFailed).hint;
        assert_eq!(hint.as_deref(), Some("run again with `-v`"));
        assert_eq!(failure(FailureCode::NotOurs).hint, None);
    }
}
