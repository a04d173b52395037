//! Outcomes and events → text, JSON, bars.
//!
//! Results go to stdout: differences, errors, the recap. Progress goes to stderr: bars on a terminal, plain lines
//! elsewhere. The text contains colours; the stream that it is written to removes them where they are not wanted.

mod bars;
pub mod json;
mod json_writer;
mod lines;
pub mod merge;
mod nodes_document;
pub mod output;
pub mod progress;
pub mod recap;
pub mod redact;
pub mod render;
mod screen;
pub mod status;
mod style;
pub mod summary;
pub mod text;
mod unread;
pub mod usage;

#[cfg(test)]
mod status_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod visible_tests;

pub use progress::Progress;
pub use screen::Verbosity;
pub use style::sanitize;
pub use summary::Summary;
pub use text::Diff;
pub use unread::unread;

/// What a fleet was asked for; the words of the report follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `run`.
    Run,
    /// `run --check`.
    Check,
    /// `facts`.
    Facts,
    /// `status`.
    Status,
    /// `peers`.
    Peers,
    /// `refused`.
    Refused,
    /// `rollback`.
    Rollback,
    /// `rollback --check`.
    RollbackCheck,
    /// `drill`.
    Drill,
    /// `remove`.
    Remove,
    /// `remove --check`.
    RemoveCheck,
}

impl Purpose {
    /// The word for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Run => "run",
            Purpose::Check => "check",
            Purpose::Facts => "facts",
            Purpose::Status => "status",
            Purpose::Peers => "peers",
            Purpose::Refused => "refused",
            Purpose::Rollback => "rollback",
            Purpose::RollbackCheck => "rollback_check",
            Purpose::Drill => "drill",
            Purpose::Remove => "remove",
            Purpose::RemoveCheck => "remove_check",
        }
    }

    /// What has this word for scripts; `None` if nothing has.
    pub fn of_word(word: &str) -> Option<Self> {
        [
            Purpose::Run,
            Purpose::Check,
            Purpose::Facts,
            Purpose::Status,
            Purpose::Peers,
            Purpose::Refused,
            Purpose::Rollback,
            Purpose::RollbackCheck,
            Purpose::Drill,
            Purpose::Remove,
            Purpose::RemoveCheck,
        ]
        .into_iter()
        .find(|purpose| purpose.as_str() == word)
    }

    /// Whether it is about what became of each node, and not about what was read there.
    pub fn has_outcomes(self) -> bool {
        match self {
            Purpose::Facts | Purpose::Status | Purpose::Peers | Purpose::Refused => false,
            Purpose::Run
            | Purpose::Check
            | Purpose::Rollback
            | Purpose::RollbackCheck
            | Purpose::Drill
            | Purpose::Remove
            | Purpose::RemoveCheck => true,
        }
    }

    /// Whether nodes may be changed for it.
    pub fn is_change(self) -> bool {
        matches!(
            self,
            Purpose::Run | Purpose::Rollback | Purpose::Drill | Purpose::Remove
        )
    }
}
