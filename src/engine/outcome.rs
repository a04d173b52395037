//! What became of one node.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::engine::failure::Failure;
use crate::engine::standing::Standing;
use crate::plan::Change;
use crate::plan::Finding;

/// What became of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The node.
    pub node: String,
    /// In one word.
    pub verdict: Verdict,
    /// How many of the wanted things (networks, attachments, rules) hold now.
    pub holds: usize,
    /// The differences that were removed; in a check, those that would be.
    pub changes: Vec<Change>,
    /// What the operator must know.
    pub findings: Vec<Finding>,
    /// Why it went wrong, where it did.
    pub failure: Option<Failure>,
    /// How long the node took.
    pub took: Duration,
}

impl Outcome {
    /// The outcome of a node of which nothing is known yet but its verdict.
    pub fn new(node: impl Into<String>, verdict: Verdict) -> Self {
        Outcome {
            node: node.into(),
            verdict,
            holds: 0,
            changes: Vec::new(),
            findings: Vec::new(),
            failure: None,
            took: Duration::ZERO,
        }
    }

    /// How many differences are gone, or would be: none of a node that was rolled back.
    pub fn changed(&self) -> usize {
        match (&self.verdict, &self.failure) {
            (Verdict::Changed | Verdict::Drift, _) => self.changes.len(),
            (Verdict::Failed, Some(failure)) => match &failure.standing {
                Standing::Applied(rest) => self.changes.len().saturating_sub(rest.len()),
                _ => 0,
            },
            _ => 0,
        }
    }

    /// The same outcome with a failure, and with the verdict that the failure calls for.
    #[must_use]
    pub fn failed(mut self, failure: Failure) -> Self {
        self.verdict = if failure.is_unreachable() {
            Verdict::Unreachable
        } else {
            Verdict::Failed
        };
        self.failure = Some(failure);
        self
    }
}

/// What became of a node, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As wanted, and nothing had to be done.
    Ok,
    /// As wanted now, after changes that a fresh look confirmed.
    Changed,
    /// Not as wanted. Only a check says so; a run changes it or fails.
    Drift,
    /// Nothing was begun on it.
    Skipped,
    /// Nobody could log in, or the connection was lost before anything was changed.
    Unreachable,
    /// In a state in which nothing may be touched, or cannot be judged.
    Refused,
    /// Something went wrong.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Ok => "ok",
            Verdict::Changed => "changed",
            Verdict::Drift => "drift",
            Verdict::Skipped => "skipped",
            Verdict::Unreachable => "unreachable",
            Verdict::Refused => "refused",
            Verdict::Failed => "failed",
        })
    }
}
