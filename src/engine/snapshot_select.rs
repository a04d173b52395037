//! Which snapshot a rollback restores, and whether the node may be changed for it. Nothing here changes a node.

use crate::engine::code::FailureCode;
use crate::engine::failure::Failure;
use crate::engine::outcome::RevertPoint;
use crate::engine::stage::Stage;
use crate::model::NodeState;
use crate::model::Records;
use crate::model::records::RunOutcome;
use crate::model::records::Snapshot;
use crate::plan;
use crate::plan::Finding;
use crate::plan::FindingCode;

/// Why firewalld's files must not be written on this node, whatever its roles require.
pub(super) fn refusals(state: &NodeState) -> Vec<Finding> {
    plan::refusals_to_write(state)
}

/// What is wrong with a node after the files of a snapshot were restored. A file that was edited by hand is not the snapshot's fault.
pub(super) fn ailments(state: &NodeState) -> Vec<Finding> {
    let mut found = refusals(state);
    found.retain(|finding| finding.code != FindingCode::EditedByHand);
    found
}

/// That snapshot, or the one of the last confirmed run.
pub(super) fn of(state: &NodeState, to: Option<u64>) -> Result<Snapshot, Box<Failure>> {
    let records = records(state)?;
    let failure = |message: String| {
        let hint = "`fwdeploy status` shows the snapshots of each node";
        Box::new(Failure::new(Stage::Looking, FailureCode::NoSnapshot, message).hint(hint))
    };
    let numbers: Vec<String> = records
        .snapshots
        .iter()
        .map(|snapshot| snapshot.number.to_string())
        .collect();
    let there = match numbers.as_slice() {
        [] => "the node has none".to_string(),
        numbers => format!("the node has {}", numbers.join(", ")),
    };
    match to {
        Some(number) => records
            .snapshot(number)
            .cloned()
            .ok_or_else(|| failure(format!("there is no snapshot {number}: {there}"))),
        None => confirmed_before(records, u64::MAX).cloned().ok_or_else(|| {
            failure(format!(
                "the snapshots hold no confirmed run to roll back: {there}"
            ))
        }),
    }
}

/// The snapshot of that run, if no other run has changed the node since.
pub(super) fn ours(
    state: &NodeState,
    revert_point: &RevertPoint,
    run: &str,
) -> Result<Snapshot, Box<Failure>> {
    let records = records(state)?;
    let snapshot = records.snapshot(revert_point.number);
    if let Some(snapshot) = snapshot
        && snapshot.run == run
        && records.last == revert_point.number
    {
        return Ok(snapshot.clone());
    }
    let since = match records.snapshots.last() {
        Some(last) if last.run != run => {
            format!(" ({}, {}, {})", last.operator, last.what, last.since)
        }
        _ => String::new(),
    };
    Err(Box::new(Failure::new(
        Stage::Looking,
        FailureCode::NotOurs,
        format!("another run has changed the node since{since}"),
    )))
}

/// The hash of the policy that was in force at a snapshot, if the snapshots before it are kept; empty if it is unknown.
pub(super) fn policy_at(state: &NodeState, number: u64) -> String {
    let records = state.records.known();
    let before = records.and_then(|records| confirmed_before(records, number));
    before
        .map(|snapshot| snapshot.policy.clone())
        .unwrap_or_default()
}

fn records(state: &NodeState) -> Result<&Records, Box<Failure>> {
    state.records.as_result().map_err(|why| {
        let message = format!("the node's records could not be read: {why}");
        Box::new(Failure::new(
            Stage::Looking,
            FailureCode::RecordsUnreadable,
            message,
        ))
    })
}

/// The last confirmed run whose snapshot has a lower number.
fn confirmed_before(records: &Records, number: u64) -> Option<&Snapshot> {
    let mut confirmed = records.snapshots.iter().rev();
    confirmed.find(|s| s.number < number && s.outcome == RunOutcome::Confirmed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::open_node;
    use crate::plan::Reading;

    fn with(snapshots: &[(u64, RunOutcome, &str)]) -> NodeState {
        let mut state = open_node();
        let records = state.records.known_mut().unwrap();
        records.last = snapshots.last().map_or(0, |s| s.0);
        records.snapshots = snapshots
            .iter()
            .map(|(number, outcome, policy)| Snapshot {
                number: *number,
                outcome: *outcome,
                policy: policy.to_string(),
                run: format!("run {number}"),
                ..Snapshot::default()
            })
            .collect();
        state
    }

    #[test]
    fn by_default_it_is_the_state_before_the_last_confirmed_run() {
        use RunOutcome::Confirmed;
        use RunOutcome::Restored;
        let state = with(&[(3, Confirmed, "a"), (5, Confirmed, "b"), (6, Restored, "c")]);
        assert_eq!(of(&state, None).unwrap().number, 5);
        assert_eq!(of(&state, Some(6)).unwrap().number, 6);
        assert_eq!(policy_at(&state, 5), "a");
        assert_eq!(policy_at(&state, 6), "b");
        assert_eq!(policy_at(&state, 3), "");
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let state = with(&[(3, RunOutcome::Restored, ""), (4, RunOutcome::Restored, "")]);
        let said = |to| of(&state, to).unwrap_err().message;
        assert_eq!(said(Some(7)), "there is no snapshot 7: the node has 3, 4");
        assert!(said(None).contains("no confirmed run"));
        let none = of(&with(&[]), Some(1)).unwrap_err();
        assert_eq!(none.message, "there is no snapshot 1: the node has none");
    }

    #[test]
    fn what_another_run_has_changed_since_is_not_ours_any_more() {
        let kept = |number| RevertPoint {
            number,
            before: Reading::of(&open_node()).into(),
        };
        let state = with(&[
            (3, RunOutcome::Confirmed, ""),
            (4, RunOutcome::Restored, ""),
        ]);
        assert_eq!(ours(&state, &kept(4), "run 4").unwrap().number, 4);
        assert_eq!(
            ours(&state, &kept(3), "run 3").unwrap_err().code.as_str(),
            "not-ours"
        );
        assert_eq!(
            ours(&state, &kept(4), "run 5").unwrap_err().code.as_str(),
            "not-ours"
        );
    }
}
