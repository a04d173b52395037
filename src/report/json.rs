//! One document for scripts. Its shape is a promise: `version` grows when a field changes its meaning or goes away.

use std::time::Duration;

use serde::Serialize;

use crate::engine::Failure;
use crate::engine::NotBegun;
use crate::engine::Outcome;
use crate::engine::Verdict;
use crate::model::NodeState;
use crate::model::records::Snapshot;
use crate::plan::Change;
use crate::plan::Finding;
use crate::report::Purpose;
use crate::report::summary::Summary;

/// The version of the document's shape.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a, N> {
    version: u32,
    command: &'static str,
    nodes: Vec<N>,
    summary: Totals<'a>,
}

#[derive(Serialize)]
struct Totals<'a> {
    #[serde(flatten)]
    counts: &'a Summary,
    seconds: f64,
    exit_code: u8,
}

#[derive(Serialize)]
struct Node<'a> {
    node: &'a str,
    status: Verdict,
    ok: usize,
    changed: usize,
    changes: &'a [Change],
    findings: &'a [Finding],
    error: Option<Problem<'a>>,
    not_begun: Option<Reason>,
    /// What a rollback brought back, or would.
    snapshot: Option<&'a Snapshot>,
    seconds: f64,
}

#[derive(Serialize)]
struct Seen<'a> {
    node: &'a str,
    status: Verdict,
    state: Option<&'a NodeState>,
    error: Option<Problem<'a>>,
    not_begun: Option<Reason>,
    seconds: f64,
}

#[derive(Serialize)]
pub(super) struct Reason {
    code: &'static str,
    message: String,
}

impl From<NotBegun> for Reason {
    fn from(why: NotBegun) -> Self {
        Reason {
            code: why.code(),
            message: why.to_string(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Problem<'a> {
    code: &'static str,
    stage: &'static str,
    message: &'a str,
    hint: Option<&'a str>,
    standing: &'static str,
    now: String,
    differences: &'a [Change],
}

impl<'a> From<&'a Failure> for Problem<'a> {
    fn from(failure: &'a Failure) -> Self {
        Problem {
            code: failure.code,
            stage: failure.stage.word(),
            message: &failure.message,
            hint: failure.hint.as_deref(),
            standing: failure.standing.word(),
            now: failure.standing.to_string(),
            differences: failure.standing.changes(),
        }
    }
}

/// What became of every node, in the order of the inventory. `exit_code` is the program's, which a signal may have decided.
pub fn outcomes(outcomes: &[Outcome], purpose: Purpose, took: Duration, exit_code: u8) -> String {
    let nodes = outcomes.iter().map(|outcome| Node {
        node: &outcome.node,
        status: outcome.verdict,
        ok: outcome.holds,
        changed: outcome.changed(),
        changes: &outcome.changes,
        findings: &outcome.findings,
        error: outcome.failure.as_ref().map(Problem::from),
        not_begun: outcome.not_begun.map(Reason::from),
        snapshot: outcome.snapshot.as_ref(),
        seconds: seconds(outcome.took),
    });
    document(nodes, &Summary::of(outcomes), purpose, took, exit_code)
}

/// What was seen on every node, in the order of the inventory.
pub fn facts(seen: &[(Outcome, Option<NodeState>)], took: Duration, exit_code: u8) -> String {
    let nodes = seen.iter().map(|(outcome, state)| Seen {
        node: &outcome.node,
        status: outcome.verdict,
        state: state.as_ref(),
        error: outcome.failure.as_ref().map(Problem::from),
        not_begun: outcome.not_begun.map(Reason::from),
        seconds: seconds(outcome.took),
    });
    let summary = Summary::of(seen.iter().map(|(outcome, _)| outcome));
    document(nodes, &summary, Purpose::Facts, took, exit_code)
}

fn document<N: Serialize>(
    nodes: impl Iterator<Item = N>,
    summary: &Summary,
    purpose: Purpose,
    took: Duration,
    exit_code: u8,
) -> String {
    let document = Document {
        version: VERSION,
        command: purpose.word(),
        nodes: nodes.collect(),
        summary: Totals {
            counts: summary,
            seconds: seconds(took),
            exit_code,
        },
    };
    pretty(&document)
}

/// The document as text.
pub(super) fn pretty(document: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(document);
    // Only a map with keys that are no strings, or a failing `Serialize`, could fail; the values above have neither.
    text.expect("the report's values are plain") + "\n"
}

/// Milliseconds are enough.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
