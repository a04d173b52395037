//! Who is at work on the nodes, and what earlier runs have left there: as text and as JSON.

mod document;
mod lines;

use serde::Serialize;

use crate::engine::Outcome;
use crate::engine::Verdict;
use crate::model::NodeState;
use crate::model::Records;
use crate::model::records::Lease;
use crate::model::records::RunOutcome;
use crate::model::records::Snapshot;

pub use document::document;
pub use lines::text;

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

/// How a node stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum LeaseState {
    /// Nobody is at work.
    Free,
    /// Somebody is.
    Held,
    /// A run was never ended, and nothing on the node will end it.
    Unfinished,
    /// Its records could not be read.
    Unknown,
    /// Nobody could log in.
    Unreachable,
    /// Nobody looked.
    Skipped,
}

impl NodeStatus {
    /// What a look has found.
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

    fn lease(&self) -> Option<&Lease> {
        self.records.as_ref()?.lease.as_ref()
    }

    /// The last confirmed run, as far as the snapshots tell.
    fn confirmed(&self) -> Option<&Snapshot> {
        let mut snapshots = self.records.as_ref()?.snapshots.iter().rev();
        snapshots.find(|snapshot| snapshot.outcome == RunOutcome::Confirmed)
    }

    /// Whether the last confirmed run had what the roles ask for now.
    fn is_as_asked(&self) -> Option<bool> {
        Some(self.confirmed()?.policy == *self.wanted.as_ref()?)
    }

    fn lease_state(&self) -> LeaseState {
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

/// The exit code of the whole: as with a check, 4 goes before 1, and 1 before 2, which here means an unfinished run.
pub fn exit_code(nodes: &[NodeStatus]) -> u8 {
    let any = |lease_state| nodes.iter().any(|node| node.lease_state() == lease_state);
    match () {
        () if any(LeaseState::Unreachable) => 4,
        () if any(LeaseState::Unknown) => 1,
        () if any(LeaseState::Unfinished) => 2,
        () => 0,
    }
}
