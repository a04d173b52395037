//! Every way in which a node's records are shown.

use std::time::Duration;

use crate::engine::Failure;
use crate::engine::FailureCode;
use crate::engine::Outcome;
use crate::engine::Stage;
use crate::engine::Verdict;
use crate::model::Records;
use crate::model::records::Lease;
use crate::model::records::RunOutcome;
use crate::model::records::Snapshot;
use crate::report::status;
use crate::report::status::NodeStatus;

const HASH: &str = "0f3c5a7b9d1e2468";

fn snapshot(number: u64, what: &str, changes: u64, outcome: RunOutcome) -> Snapshot {
    let went_back = outcome == RunOutcome::Restored;
    let text = |text: &str| text.to_string();
    Snapshot {
        number,
        operator: text("eva@desk"),
        since: text("2026-11-22T12:00:00Z"),
        until: text("2026-11-22T12:01:00Z"),
        node: String::new(),
        run: text("1-2"),
        what: text(what),
        changes,
        policy: text(HASH),
        outcome,
        late: None,
        ended: match outcome {
            RunOutcome::Armed => String::new(),
            _ => text("2026-11-22T12:00:04Z"),
        },
        why: text(if went_back { "timer" } else { "" }),
        how: text(if went_back { "in place" } else { "" }),
        remarks: Vec::new(),
        trouble: Vec::new(),
    }
}

fn node(name: &str, snapshots: Vec<Snapshot>, lease: Option<Lease>, wanted: &str) -> NodeStatus {
    NodeStatus {
        outcome: Outcome::new(name, Verdict::Ok),
        records: Some(Records {
            last: snapshots.last().map_or(0, |snapshot| snapshot.number),
            lease,
            snapshots,
            ..Records::default()
        }),
        wanted: (!wanted.is_empty()).then(|| wanted.to_string()),
    }
}

fn lease(alive: bool, left: Option<i64>, restore_failed: bool, step: &str) -> Option<Lease> {
    Some(Lease {
        number: 10,
        alive,
        left,
        restore_failed,
        trouble: Vec::new(),
        missing: Vec::new(),
        step: step.to_string(),
    })
}

fn nodes() -> Vec<NodeStatus> {
    use RunOutcome::Armed;
    use RunOutcome::Confirmed;
    use RunOutcome::Failed;
    use RunOutcome::Restored;
    let armed = |outcome| vec![snapshot(10, "run", 19, outcome)];
    let down = Failure::new(
        Stage::Connecting,
        FailureCode::ConnectionRefused,
        "cannot connect to node `cyb-9`: connection refused",
    );
    vec![
        node("cyb-1", vec![], None, HASH),
        node(
            "cyb-2",
            vec![
                snapshot(9, "run", 19, Confirmed),
                snapshot(10, "drill", 1, Restored),
                Snapshot {
                    operator: "\u{1b}[2Jmallory".to_string(),
                    policy: String::new(),
                    ..snapshot(11, "rollback to 9", 0, Failed)
                },
            ],
            None,
            HASH,
        ),
        node(
            "cyb-3",
            vec![snapshot(1, "run", 3, Confirmed)],
            None,
            "0123",
        ),
        node("cyb-4", vec![snapshot(1, "run", 3, Confirmed)], None, ""),
        node(
            "cyb-5",
            armed(Armed),
            lease(true, Some(41), false, "3"),
            HASH,
        ),
        node(
            "cyb-6",
            armed(Armed),
            lease(true, Some(-2), false, "done"),
            HASH,
        ),
        node("cyb-7", armed(Failed), lease(false, None, true, ""), HASH),
        node("cyb-8", vec![snapshot(1, "run", 3, Restored)], None, HASH),
        NodeStatus {
            outcome: Outcome::new("cyb-9", Verdict::Ok).failed(down),
            records: None,
            wanted: None,
        },
        NodeStatus {
            outcome: Outcome::new("cyb-10", Verdict::Ok).unreadable_records("permission denied"),
            records: None,
            wanted: None,
        },
    ]
}

#[test]
fn who_is_at_work_and_what_was_left_is_said_in_lines() {
    let text = status::text(&nodes(), Duration::from_millis(800));
    insta::assert_snapshot!(anstream::adapter::strip_str(&text));
}

#[test]
fn what_is_not_wholly_as_before_is_said() {
    let said = |node: NodeStatus| {
        let text = status::text(&[node], Duration::from_millis(800));
        anstream::adapter::strip_str(&text).to_string()
    };
    let lines = |texts: &[&str]| {
        texts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<String>>()
    };
    let restored = Snapshot {
        remarks: lines(&["container guest no longer exists", "x\u{1b}[2J"]),
        ..snapshot(1, "run", 3, RunOutcome::Restored)
    };
    let text = said(node("a", vec![restored], None, HASH));
    assert!(
        text.contains(
            "(timer, in place), but not completely as before: container guest no longer exists; x"
        ),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let failed = Snapshot {
        trouble: lines(&[
            "container cybex has 172.20.0.9 on network cybex where it had 172.20.0.2",
        ]),
        ..snapshot(10, "rollback to 9", 0, RunOutcome::Failed)
    };
    let text = said(node("a", vec![failed.clone()], None, HASH));
    assert!(
        text.contains("rollback failed: container cybex has 172.20.0.9"),
        "{text}"
    );
    let text = said(node("a", vec![failed], lease(false, None, true, ""), HASH));
    assert!(
        text.contains("unfinished") && text.contains("the rollback failed: container cybex has"),
        "{text}"
    );
    let mut trying = lease(true, Some(3), false, "0");
    if let Some(lease) = &mut trying {
        lease.trouble = lines(&["docker does not answer"]);
    }
    let text = said(node(
        "a",
        vec![snapshot(10, "run", 1, RunOutcome::Armed)],
        trying,
        HASH,
    ));
    assert!(
        text.contains(
            "rolling back, not finished yet; the last attempt failed: docker does not answer"
        ),
        "{text}"
    );
}

#[test]
fn a_script_reads_the_same() {
    let some = [nodes().swap_remove(1), nodes().swap_remove(4)];
    let mut document = Vec::new();
    status::document(&mut document, &some, Duration::from_millis(800), 0).unwrap();
    insta::assert_snapshot!(String::from_utf8(document).unwrap());
}

#[test]
fn the_exit_code_is_that_of_the_manual() {
    let code = |which: &[usize]| {
        let all = nodes();
        let some: Vec<NodeStatus> = which.iter().map(|n| all[*n].clone()).collect();
        status::exit_code(&some)
    };
    assert_eq!(code(&[0, 1, 2, 3, 4, 5, 7]), 0);
    assert_eq!(code(&[0, 6]), 2);
    assert_eq!(code(&[6, 9]), 1);
    assert_eq!(code(&[6, 9, 8]), 4);
}
