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
enum Standing {
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

    fn standing(&self) -> Standing {
        match (self.outcome.verdict, self.lease()) {
            (Verdict::Unreachable, _) => Standing::Unreachable,
            (Verdict::Skipped, _) => Standing::Skipped,
            _ if self.records.is_none() => Standing::Unknown,
            (_, None) => Standing::Free,
            (_, Some(lease)) if lease.alive => Standing::Held,
            (_, Some(_)) => Standing::Unfinished,
        }
    }
}

/// The exit code of the whole: as with a check, 4 goes before 1, and 1 before 2, which here means an unfinished run.
pub fn exit_code(nodes: &[NodeStatus]) -> u8 {
    let any = |standing| nodes.iter().any(|node| node.standing() == standing);
    match () {
        () if any(Standing::Unreachable) => 4,
        () if any(Standing::Unknown) => 1,
        () if any(Standing::Unfinished) => 2,
        () => 0,
    }
}
