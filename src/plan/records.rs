//! What the lease of another run means for this one.

use crate::model::records::Lease;
use crate::model::records::Snapshot;
use crate::model::state::NodeState;
use crate::model::state::View;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;

/// A run that was never ended and that nothing on the node will end.
pub(super) fn unfinished(state: &NodeState) -> Option<(&Lease, Snapshot)> {
    lease(state).filter(|(lease, _)| !lease.alive)
}

/// Somebody is at work just now: what is seen may be half done.
pub fn active_lease(state: &NodeState) -> Option<Finding> {
    let (lease, snapshot) = lease(state)?;
    lease.alive.then(|| {
        Finding::new(
            FindingCode::Leased,
            View::Runtime,
            who(lease, &snapshot),
        )
        .hint("this state may be incomplete; wait until that run ends or the node has rolled itself back")
    })
}

/// What a run that was killed while it was being armed has left on the node. It does nothing there.
pub(super) fn leftovers(state: &NodeState) -> Option<Finding> {
    let left = &state.records.known()?.leftovers;
    (!left.is_empty()).then(|| {
        Finding::new(
            FindingCode::LeftBehind,
            View::Permanent,
            format!(
                "a run was killed while it was arming the node, and has left {} behind",
                left.join(", ")
            ),
        )
        .hint("the next run that changes the node, or the next boot, removes it")
    })
}

fn lease(state: &NodeState) -> Option<(&Lease, Snapshot)> {
    let records = state.records.known()?;
    let lease = records.lease.as_ref()?;
    let snapshot = records.snapshot(lease.number).cloned();
    Some((lease, snapshot.unwrap_or_default()))
}

fn who(lease: &Lease, snapshot: &Snapshot) -> String {
    let left = match lease.left {
        Some(left) if left > 0 && lease.alive => format!(" ({left} s from now)"),
        _ => String::new(),
    };
    format!(
        "{} has been changing this node since {}, until {} at the latest{left} ({})",
        snapshot.operator, snapshot.since, snapshot.until, snapshot.what
    )
}
