//! The status for a person.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::Style;

use crate::engine::differences;
use crate::model::records::Lease;
use crate::model::records::RunOutcome;
use crate::model::records::Snapshot;
use crate::report::status::node::LeaseState;
use crate::report::status::node::NodeStatus;
use crate::report::style;
use crate::report::style::paint;
use crate::report::style::sanitize;
use crate::report::summary::duration;
use crate::report::text;

/// The nodes one by one, each with its snapshots below it, the oldest first, and a line for the fleet.
pub fn text(nodes: &[NodeStatus], elapsed: Duration) -> String {
    let mut out = String::new();
    for node in nodes {
        let (style, headline) = headline(node);
        let name = paint(style::BOLD, &node.outcome.node);
        let _ = writeln!(out, "{name}: {}", paint(style, sanitize(&headline)));
        if let Some(failure) = &node.outcome.failure {
            text::failed(&mut out, failure, &[]);
        }
        if node.lease_state() == LeaseState::Unfinished {
            text::hint(
                &mut out,
                Some("`fwdeploy run --recover` restores the state before that run"),
            );
        }
        snapshots(&mut out, node);
    }
    let count = |lease_state| {
        nodes
            .iter()
            .filter(|n| n.lease_state() == lease_state)
            .count()
    };
    let counts = [
        (count(LeaseState::Free), "free"),
        (count(LeaseState::Held), "at work"),
        (count(LeaseState::Unfinished), "unfinished"),
        (count(LeaseState::Unknown), "failed"),
        (count(LeaseState::Unreachable), "unreachable"),
        (count(LeaseState::Skipped), "skipped"),
    ];
    let words: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let total = match nodes.len() {
        1 => "1 node".to_string(),
        n => format!("{n} nodes"),
    };
    let _ = writeln!(out, "{total}: {} ({})", words.join(", "), duration(elapsed));
    out
}

fn headline(node: &NodeStatus) -> (Style, String) {
    let Some(records) = &node.records else {
        let verdict = node.outcome.verdict;
        return (style::verdict(verdict), verdict.to_string());
    };
    if let Some(lease) = &records.lease {
        return held(lease, records.snapshot(lease.number));
    }
    match (node.confirmed(), node.is_as_asked()) {
        (None, _) if records.last == 0 => (style::CYAN, "never changed by fwdeploy".to_string()),
        (None, _) => (style::CYAN, "no known confirmed run".to_string()),
        (Some(run), None) => (
            style::CYAN,
            format!("has no role; last confirmed {}", run.ended),
        ),
        (Some(run), Some(true)) => (
            style::GREEN,
            format!("confirmed {}, with what the roles require now", run.ended),
        ),
        (Some(run), Some(false)) => (
            style::YELLOW,
            format!(
                "confirmed {}, but the roles require something else now",
                run.ended
            ),
        ),
    }
}

fn held(lease: &Lease, snapshot: Option<&Snapshot>) -> (Style, String) {
    let none = Snapshot::default();
    let run = snapshot.unwrap_or(&none);
    let step = match lease.step.parse::<u64>() {
        Ok(step) => format!(", at step {}", step + 1),
        Err(_) if lease.step == "done" => ", all steps done".to_string(),
        Err(_) if lease.step == "arm" => ", before its first step".to_string(),
        // A boot has removed it.
        Err(_) => String::new(),
    };
    let who = format!("{}, {}, since {}", run.operator, run.what, run.since);
    if lease.alive {
        let left = match lease.left {
            Some(left) if left > 0 && lease.trouble.is_empty() => {
                format!("{left} s left to confirm")
            }
            _ if lease.trouble.is_empty() => "rolling back".to_string(),
            _ => format!(
                "rolling back, not finished yet; the last attempt failed: {}",
                lease.trouble.join("; ")
            ),
        };
        return (
            style::YELLOW,
            format!("at work: {who}, until {}; {left}{step}", run.until),
        );
    }
    let trouble = match lease.trouble.as_slice() {
        [] => &run.trouble,
        told => told,
    };
    let why = match lease.restore_failed {
        true if trouble.is_empty() => "the rollback failed".to_string(),
        true => format!("the rollback failed: {}", trouble.join("; ")),
        false => "nothing will end it".to_string(),
    };
    (style::ERROR, format!("unfinished: {who}{step}; {why}"))
}

fn snapshots(out: &mut String, node: &NodeStatus) {
    let Some(records) = &node.records else { return };
    let armed = records.lease.as_ref().map(|lease| lease.number);
    let rows: Vec<[String; 6]> = records
        .snapshots
        .iter()
        .map(|snapshot| {
            let changes = match snapshot.changes {
                0 => String::new(),
                n => differences(usize::try_from(n).unwrap_or(usize::MAX)),
            };
            let policy: String = snapshot.policy.chars().take(8).collect();
            [
                snapshot.number.to_string(),
                snapshot.since.clone(),
                snapshot.operator.clone(),
                snapshot.what.clone(),
                changes,
                match policy.is_empty() {
                    true => "-".to_string(),
                    false => policy,
                },
            ]
            .map(|text| sanitize(&text))
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or(0)).collect();
    for (row, snapshot) in rows.iter().zip(&records.snapshots) {
        let mut line = format!("  {:>1$}", row[0], widths[0]);
        for column in 1..6 {
            let _ = write!(line, "  {:<1$}", row[column], widths[column]);
        }
        let (style, how) = ending(snapshot, armed == Some(snapshot.number));
        let _ = writeln!(out, "{line}  {}", paint(style, sanitize(&how)));
    }
}

fn ending(snapshot: &Snapshot, is_armed: bool) -> (Style, String) {
    match snapshot.outcome {
        RunOutcome::Confirmed if snapshot.remarks.is_empty() => {
            (style::GREEN, "confirmed".to_string())
        }
        RunOutcome::Confirmed => (
            style::GREEN,
            format!("confirmed, with remarks: {}", snapshot.remarks.join("; ")),
        ),
        RunOutcome::Restored => {
            let about: Vec<&str> = [&*snapshot.why, &*snapshot.how]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect();
            let about = match about.is_empty() {
                true => String::new(),
                false => format!(" ({})", about.join(", ")),
            };
            let remarks = match snapshot.remarks.as_slice() {
                [] => String::new(),
                remarks => format!(", but not completely as before: {}", remarks.join("; ")),
            };
            (
                style::YELLOW,
                format!("rolled back {}{about}{remarks}", snapshot.ended),
            )
        }
        RunOutcome::Failed if snapshot.trouble.is_empty() => {
            (style::RED, "rollback failed".to_string())
        }
        RunOutcome::Failed => (
            style::RED,
            format!("rollback failed: {}", snapshot.trouble.join("; ")),
        ),
        RunOutcome::Armed if is_armed => (style::YELLOW, "armed".to_string()),
        RunOutcome::Armed => (style::YELLOW, "unknown result".to_string()),
    }
}
