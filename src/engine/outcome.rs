//! What became of one node.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::engine::code::FailureCode;
use crate::engine::code::NotBegunCode;
use crate::engine::condition::NodeCondition;
use crate::engine::failure::Failure;
use crate::engine::job::Job;
use crate::engine::rollout::BudgetExceeded;
use crate::engine::stage::Stage;
use crate::model::peer::KnownPeer;
use crate::model::records::Snapshot;
use crate::plan::Change;
use crate::plan::Finding;
use crate::plan::GuardKind;
use crate::plan::Reading;

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
    /// How many more there were, which were told and are not kept.
    pub told: usize,
    /// What the operator must know.
    pub findings: Vec<Finding>,
    /// By what the node's guard is enforced; `None` if the node was not read, or has no managed network.
    pub guard: Option<GuardKind>,
    /// The roles in audit, whose whitelist is watched and not enforced.
    pub audit: Vec<String>,
    /// What is known of the peers that the changes name.
    pub known: Vec<KnownPeer>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// Why the node was not started, if it was not.
    pub not_begun: Option<NotBegun>,
    /// The snapshot that a rollback has restored, or would restore.
    pub snapshot: Option<Snapshot>,
    /// What is needed to undo a confirmed run, if that may be requested.
    pub revert_point: Option<RevertPoint>,
    /// How long the node took.
    pub duration: Duration,
}

/// What a confirmed run keeps for a later rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevertPoint {
    /// The number of its snapshot.
    pub number: u64,
    /// What the node was like before it.
    pub before: Arc<Reading>,
}

impl Outcome {
    /// The outcome of a node of which only the verdict is known.
    pub fn new(node: impl Into<String>, verdict: Verdict) -> Self {
        Outcome {
            node: node.into(),
            verdict,
            holds: 0,
            changes: Vec::new(),
            told: 0,
            findings: Vec::new(),
            guard: None,
            audit: Vec::new(),
            known: Vec::new(),
            failure: None,
            not_begun: None,
            snapshot: None,
            revert_point: None,
            duration: Duration::ZERO,
        }
    }

    /// The outcome of a node that was not started.
    pub fn not_begun(node: impl Into<String>, why: NotBegun) -> Self {
        Outcome {
            not_begun: Some(why),
            ..Outcome::new(node, Verdict::Skipped)
        }
    }

    /// Whether it counts as a failure of its wave: failed, refused or unreachable. A node that was abandoned because the operator
    /// stopped the run did not fail.
    pub fn is_failure(&self) -> bool {
        let failed = [Verdict::Failed, Verdict::Refused, Verdict::Unreachable];
        failed.contains(&self.verdict) && !self.was_interrupted()
    }

    /// Whether the operator's wish to stop left it undone, or in the middle.
    pub fn was_interrupted(&self) -> bool {
        self.not_begun == Some(NotBegun::Stopped)
            || self
                .failure
                .as_ref()
                .is_some_and(|f| f.code == FailureCode::Stopped)
    }

    /// How many differences are gone, or would be: none of a node that was rolled back.
    pub fn changed(&self) -> usize {
        match (&self.verdict, &self.failure) {
            (Verdict::Changed | Verdict::Audit | Verdict::Drift, _) => self.differences(),
            (Verdict::Failed, Some(failure)) => match &failure.condition {
                NodeCondition::Applied(rest) => self.differences().saturating_sub(rest.len()),
                _ => 0,
            },
            _ => 0,
        }
    }

    fn differences(&self) -> usize {
        self.changes.len() + self.told
    }

    /// The same outcome for the recap, which counts: thousands of nodes may have thousands of differences each.
    #[must_use]
    pub(super) fn counted(&self) -> Self {
        Outcome {
            holds: self.holds,
            told: self.differences(),
            findings: self.findings.clone(),
            guard: self.guard,
            audit: self.audit.clone(),
            failure: self.failure.clone(),
            not_begun: self.not_begun,
            snapshot: self.snapshot.clone(),
            revert_point: self.revert_point.clone(),
            duration: self.duration,
            ..Outcome::new(&*self.node, self.verdict)
        }
    }

    /// The same outcome with what the roles tell: it is never ok if one is in audit, and its peers may have names.
    #[must_use]
    pub(super) fn told_by_roles(mut self, job: &Job) -> Self {
        let desired = job.desired();
        self.known.clone_from(&desired.known);
        let audits = desired.audits.iter();
        self.audit = audits.map(|audit| audit.role.clone()).collect();
        if !self.audit.is_empty() && matches!(self.verdict, Verdict::Ok | Verdict::Changed) {
            self.verdict = Verdict::Audit;
        }
        self
    }

    /// The same outcome for a reading of a node that does not report its records.
    #[must_use]
    pub fn unreadable_records(self, why: &str) -> Self {
        let message = format!("the node's records could not be read: {why}");
        self.failed(
            Failure::new(Stage::Looking, FailureCode::RecordsUnreadable, message)
                .hint("only root may read /var/lib/fwdeploy: `ansible_become: true`, or `-b`"),
        )
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

/// Why a node was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotBegun {
    /// No role applies to it.
    NoRole,
    /// The operator stopped the run before.
    Stopped,
    /// Too many nodes had failed before.
    TooManyFailures(BudgetExceeded),
}

impl NotBegun {
    /// A short fixed name, for scripts and the manual.
    pub fn code(&self) -> NotBegunCode {
        match self {
            NotBegun::NoRole => NotBegunCode::NoRole,
            NotBegun::Stopped => NotBegunCode::Stopped,
            NotBegun::TooManyFailures(_) => NotBegunCode::TooManyFailures,
        }
    }
}

impl fmt::Display for NotBegun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotBegun::NoRole => f.write_str("no role"),
            NotBegun::Stopped => f.write_str("the run was stopped"),
            NotBegun::TooManyFailures(exceeded) => exceeded.fmt(f),
        }
    }
}

/// What became of a node, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// In the desired state, and nothing had to be done.
    Ok,
    /// In the desired state after changes, verified by a new reading.
    Changed,
    /// As its roles require, with changes or without, but a role is in audit, so that its whitelist is not enforced.
    Audit,
    /// Not in the desired state. Only a check reports this; a run changes the node or fails.
    Drift,
    /// The node was not started.
    Skipped,
    /// The login failed, or the connection was lost before anything was changed.
    Unreachable,
    /// In a state in which nothing may be touched, or cannot be judged.
    Refused,
    /// Was in the desired state, and was rolled back because other nodes failed.
    RolledBack,
    /// Something went wrong.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Ok => "ok",
            Verdict::Changed => "changed",
            Verdict::Audit => "AUDIT",
            Verdict::Drift => "drift",
            Verdict::Skipped => "skipped",
            Verdict::Unreachable => "unreachable",
            Verdict::Refused => "refused",
            Verdict::RolledBack => "rolled back",
            Verdict::Failed => "failed",
        })
    }
}
