//! One node: which run is changing it, and what its last run was.

use serde::Serialize;

use crate::engine::Outcome;
use crate::engine::Verdict;
use crate::model::NodeState;
use crate::model::Records;
use crate::model::records::Lease;
use crate::model::records::RunOutcome;
use crate::model::records::Snapshot;

/// One node.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// What became of the look.
    pub outcome: Outcome,
    /// What was read; `None` if nothing was.
    pub records: Option<Records>,
    /// The hash of what its roles ask for now; `None` without a role.
    pub wanted: Option<String>,
}

/// The state of a node, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LeaseState {
    /// No run holds the node.
    Free,
    /// A run holds it.
    Held,
    /// A run was never ended, and nothing on the node will end it.
    Unfinished,
    /// Its records could not be read.
    Unknown,
    /// The login failed.
    Unreachable,
    /// The node was not read.
    Skipped,
}

impl NodeStatus {
    /// The result of a reading.
    pub fn of(outcome: Outcome, state: Option<&NodeState>, wanted: Option<String>) -> Self {
        let read = state.map(|state| state.records.as_result().map_err(ToString::to_string));
        let (outcome, records) = match read {
            Some(Ok(records)) => (outcome, Some(records.clone())),
            Some(Err(why)) => (outcome.unreadable_records(&why), None),
            None => (outcome, None),
        };
        NodeStatus {
            outcome,
            records,
            wanted,
        }
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        self.records.as_ref()?.lease.as_ref()
    }

    /// The last confirmed run that the snapshots contain.
    pub(super) fn confirmed(&self) -> Option<&Snapshot> {
        let mut snapshots = self.records.as_ref()?.snapshots.iter().rev();
        snapshots.find(|snapshot| snapshot.outcome == RunOutcome::Confirmed)
    }

    /// Whether the last confirmed run had what the roles ask for now.
    pub(super) fn is_as_asked(&self) -> Option<bool> {
        Some(self.confirmed()?.policy == *self.wanted.as_ref()?)
    }

    pub(super) fn lease_state(&self) -> LeaseState {
        match (self.outcome.verdict, self.lease()) {
            (Verdict::Unreachable, _) => LeaseState::Unreachable,
            (Verdict::Skipped, _) => LeaseState::Skipped,
            _ if self.records.is_none() => LeaseState::Unknown,
            (_, None) => LeaseState::Free,
            (_, Some(lease)) if lease.alive => LeaseState::Held,
            (_, Some(_)) => LeaseState::Unfinished,
        }
    }
}
