//! Who is at work on the nodes, and what earlier runs have left there: as text and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::Style;
use serde::Serialize;

use crate::engine::Outcome;
use crate::engine::Verdict;
use crate::engine::differences;
use crate::model::NodeState;
use crate::model::Records;
use crate::model::records::Lease;
use crate::model::records::RunOutcome;
use crate::model::records::Snapshot;
use crate::report::Purpose;
use crate::report::json;
use crate::report::json::Problem;
use crate::report::json::Reason;
use crate::report::style;
use crate::report::style::clean;
use crate::report::style::paint;
use crate::report::summary::duration;
use crate::report::text;

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

/// The nodes one by one, each with its snapshots below it, the oldest first, and a line for the fleet.
pub fn text(nodes: &[NodeStatus], took: Duration) -> String {
    let mut out = String::new();
    for node in nodes {
        let (style, headline) = headline(node);
        let name = paint(style::BOLD, &node.outcome.node);
        let _ = writeln!(out, "{name}: {}", paint(style, clean(&headline)));
        if let Some(failure) = &node.outcome.failure {
            text::failed(&mut out, failure);
        }
        if node.standing() == Standing::Unfinished {
            text::hint(
                &mut out,
                Some("fwdeploy run --recover brings the node back to the state before that run"),
            );
        }
        snapshots(&mut out, node);
    }
    let count = |standing| nodes.iter().filter(|n| n.standing() == standing).count();
    let counts = [
        (count(Standing::Free), "free"),
        (count(Standing::Held), "at work"),
        (count(Standing::Unfinished), "unfinished"),
        (count(Standing::Unknown), "failed"),
        (count(Standing::Unreachable), "unreachable"),
        (count(Standing::Skipped), "skipped"),
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
    let _ = writeln!(out, "{total}: {} ({})", words.join(", "), duration(took));
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
        (None, _) => (
            style::CYAN,
            "no confirmed run that is still known".to_string(),
        ),
        (Some(run), None) => (
            style::CYAN,
            format!("has no role; last confirmed {}", run.ended),
        ),
        (Some(run), Some(true)) => (
            style::GREEN,
            format!("confirmed {}, with what the roles ask for now", run.ended),
        ),
        (Some(run), Some(false)) => (
            style::YELLOW,
            format!(
                "confirmed {}, with something else than the roles ask for now",
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
        // A boot has taken it.
        Err(_) => String::new(),
    };
    let who = format!("{}, {}, since {}", run.operator, run.what, run.since);
    if lease.alive {
        let left = match lease.left {
            Some(left) if left > 0 => format!("{left} s left to confirm"),
            _ => "going back".to_string(),
        };
        return (
            style::YELLOW,
            format!("at work: {who}, until {}; {left}{step}", run.until),
        );
    }
    let why = match lease.restore_failed {
        true => "the node could not go back",
        false => "nothing will end it",
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
            .map(|text| clean(&text))
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
        let _ = writeln!(out, "{line}  {}", paint(style, clean(&how)));
    }
}

fn ending(snapshot: &Snapshot, is_armed: bool) -> (Style, String) {
    match snapshot.outcome {
        RunOutcome::Confirmed => (style::GREEN, "confirmed".to_string()),
        RunOutcome::Restored => {
            let about: Vec<&str> = [&*snapshot.why, &*snapshot.how]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect();
            let about = match about.is_empty() {
                true => String::new(),
                false => format!(" ({})", about.join(", ")),
            };
            (
                style::YELLOW,
                format!("went back {}{about}", snapshot.ended),
            )
        }
        RunOutcome::Failed => (style::RED, "could not go back".to_string()),
        RunOutcome::Armed if is_armed => (style::YELLOW, "armed".to_string()),
        RunOutcome::Armed => (style::YELLOW, "how it ended is not known".to_string()),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    command: &'static str,
    nodes: Vec<Node<'a>>,
    summary: Totals,
}

#[derive(Serialize)]
struct Totals {
    nodes: usize,
    free: usize,
    held: usize,
    unfinished: usize,
    failed: usize,
    unreachable: usize,
    skipped: usize,
    seconds: f64,
    exit_code: u8,
}

#[derive(Serialize)]
struct Node<'a> {
    node: &'a str,
    status: Standing,
    policy: Policy<'a>,
    lease: Option<&'a Lease>,
    snapshots: &'a [Snapshot],
    error: Option<Problem<'a>>,
    not_begun: Option<Reason>,
    seconds: f64,
}

#[derive(Serialize)]
struct Policy<'a> {
    wanted: Option<&'a str>,
    confirmed: Option<&'a str>,
    as_asked: Option<bool>,
}

/// One document for scripts, in the order of the inventory.
pub fn document(nodes: &[NodeStatus], took: Duration, exit_code: u8) -> String {
    let count = |standing| nodes.iter().filter(|n| n.standing() == standing).count();
    let seen = nodes.iter().map(|node| Node {
        node: &node.outcome.node,
        status: node.standing(),
        policy: Policy {
            wanted: node.wanted.as_deref(),
            confirmed: node.confirmed().map(|snapshot| &*snapshot.policy),
            as_asked: node.is_as_asked(),
        },
        lease: node.lease(),
        snapshots: node
            .records
            .as_ref()
            .map_or(&[], |records| &records.snapshots),
        error: node.outcome.failure.as_ref().map(Problem::from),
        not_begun: node.outcome.not_begun.map(Reason::from),
        seconds: json::seconds(node.outcome.took),
    });
    let document = Document {
        version: json::VERSION,
        command: Purpose::Status.word(),
        nodes: seen.collect(),
        summary: Totals {
            nodes: nodes.len(),
            free: count(Standing::Free),
            held: count(Standing::Held),
            unfinished: count(Standing::Unfinished),
            failed: count(Standing::Unknown),
            unreachable: count(Standing::Unreachable),
            skipped: count(Standing::Skipped),
            seconds: json::seconds(took),
            exit_code,
        },
    };
    json::pretty(&document)
}
