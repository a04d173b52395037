//! One document for scripts. Its shape is a promise: `version` grows when a field changes its meaning or goes away.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use crate::engine::Failure;
use crate::engine::FailureCode;
use crate::engine::NotBegun;
use crate::engine::NotBegunCode;
use crate::engine::Outcome;
use crate::engine::Verdict;
use crate::model::NodeState;
use crate::model::records::Snapshot;
use crate::plan::Change;
use crate::plan::Finding;
use crate::plan::GuardKind;
use crate::report::Purpose;
use crate::report::json_writer::DocumentWriter;
use crate::report::nodes_document::NodesDocument;
use crate::report::summary::Summary;

pub use crate::report::json_writer::pretty;
pub use crate::report::json_writer::write;
pub use crate::report::nodes_document::VERSION;

/// Something about the user's own texts: a mistake, or a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The error, as a sentence without its location.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
    /// The file or argument that it is about.
    pub file: Option<String>,
    /// The line there, from 1.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// How many nodes it is about; `None` if it is not about nodes.
    pub nodes: Option<usize>,
    /// The DNS name of a peer that has moved, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
}

/// A DNS name of a peer that leads elsewhere than in the last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The name.
    pub name: String,
    /// The addresses that the last run has used.
    pub from: Vec<String>,
    /// Those to which it leads now.
    pub to: Vec<String>,
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
    /// `nft` or `mangle`, by what the node's guard is enforced.
    #[serde(skip_serializing_if = "Option::is_none")]
    guard: Option<GuardKind>,
    /// The roles in audit.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    audit: &'a [String],
    error: Option<Problem<'a>>,
    not_begun: Option<Reason>,
    /// What a rollback has restored, or would restore.
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
    code: NotBegunCode,
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
    code: FailureCode,
    stage: &'static str,
    message: String,
    hint: Option<&'a str>,
    #[serde(rename = "standing")]
    condition: &'static str,
    now: String,
    differences: &'a [Change],
}

impl<'a> From<&'a Failure> for Problem<'a> {
    fn from(failure: &'a Failure) -> Self {
        Problem {
            code: failure.code,
            stage: failure.stage.as_str(),
            message: failure.text(),
            hint: failure.hint.as_deref(),
            condition: failure.condition.as_str(),
            now: failure.condition.to_string(),
            differences: failure.condition.changes(),
        }
    }
}

impl<'a> From<&'a Outcome> for Node<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        Node {
            node: &outcome.node,
            status: outcome.verdict,
            ok: outcome.holds,
            changed: outcome.changed(),
            changes: &outcome.changes,
            findings: &outcome.findings,
            guard: outcome.guard,
            audit: &outcome.audit,
            error: outcome.failure.as_ref().map(Problem::from),
            not_begun: outcome.not_begun.map(Reason::from),
            snapshot: outcome.snapshot.as_ref(),
            seconds: seconds(outcome.duration),
        }
    }
}

/// What became of the nodes, written while they are done, in the order of the inventory. Nothing is written before the first of them: until then
/// the command may end with an error, which is another document.
pub struct OutcomesDocument<W> {
    purpose: Purpose,
    places: BTreeMap<String, usize>,
    /// Where it is to be begun.
    to: Option<W>,
    begun: Option<NodesDocument<W>>,
}

impl<W: Write> OutcomesDocument<W> {
    /// A document in which nodes have these places, by their names. What becomes of others is written at its end.
    pub fn new(to: W, purpose: Purpose, places: BTreeMap<String, usize>) -> Self {
        OutcomesDocument {
            purpose,
            places,
            to: Some(to),
            begun: None,
        }
    }

    fn begun(&mut self) -> io::Result<&mut NodesDocument<W>> {
        if let Some(to) = self.to.take() {
            self.begun = Some(NodesDocument::begin(to, self.purpose)?);
        }
        self.begun.as_mut().ok_or(io::ErrorKind::BrokenPipe.into())
    }

    /// Writes what became of a node that has a place, once all nodes before it are written.
    ///
    /// # Errors
    /// It cannot be written: nobody reads it any more.
    pub fn put(&mut self, outcome: &Outcome) -> io::Result<()> {
        match self.places.get(&outcome.node).copied() {
            Some(at) => self.begun()?.put(at, &Node::from(outcome)),
            None => Ok(()),
        }
    }

    /// Writes the nodes that are not written yet, each at its place in the list, and what follows them. `exit_code` is the program's, which a
    /// signal may have decided.
    ///
    /// # Errors
    /// As [`OutcomesDocument::put`].
    pub fn end(
        mut self,
        outcomes: &[Outcome],
        warnings: &[Remark],
        elapsed: Duration,
        exit_code: u8,
    ) -> io::Result<()> {
        let nodes = self.begun()?;
        for (at, outcome) in outcomes.iter().enumerate() {
            if !nodes.has(at) {
                nodes.put(at, &Node::from(outcome))?;
            }
        }
        let summary = Summary::of(outcomes);
        match self.begun {
            Some(nodes) => {
                nodes.end(|rest| tail(rest, warnings, &[], &summary, elapsed, exit_code))
            }
            None => Ok(()),
        }
    }
}

/// Writes what became of every node, in the order of the inventory, when all are done.
///
/// # Errors
/// It cannot be written: nobody reads it any more.
pub fn outcomes(
    to: &mut impl Write,
    outcomes: &[Outcome],
    purpose: Purpose,
    warnings: &[Remark],
    elapsed: Duration,
    exit_code: u8,
) -> io::Result<()> {
    let document = OutcomesDocument::new(to, purpose, BTreeMap::new());
    document.end(outcomes, warnings, elapsed, exit_code)
}

/// The document of a command that was not started because of errors in the user's input.
pub fn not_begun(errors: &[Remark], command: Purpose, exit_code: u8) -> String {
    let mut bytes = Vec::new();
    let summary = Summary::default();
    let written = NodesDocument::begin(&mut bytes, command).and_then(|nodes| {
        nodes.end(|rest| tail(rest, &[], errors, &summary, Duration::ZERO, exit_code))
    });
    written.expect("memory takes every document");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// What was seen on the nodes, written while they are read, in the order of the inventory.
pub struct FactsDocument<W>(NodesDocument<W>);

impl<W: Write> FactsDocument<W> {
    /// Begins a document.
    ///
    /// # Errors
    /// It cannot be written: nobody reads it any more.
    pub fn begin(to: W) -> io::Result<Self> {
        NodesDocument::begin(to, Purpose::Facts).map(FactsDocument)
    }

    /// Writes what was seen on the node at this place, once all nodes before it are written.
    ///
    /// # Errors
    /// As [`FactsDocument::begin`].
    pub fn put(
        &mut self,
        at: usize,
        outcome: &Outcome,
        state: Option<&NodeState>,
    ) -> io::Result<()> {
        let seen = Seen {
            node: &outcome.node,
            status: outcome.verdict,
            state,
            error: outcome.failure.as_ref().map(Problem::from),
            not_begun: outcome.not_begun.map(Reason::from),
            seconds: seconds(outcome.duration),
        };
        self.0.put(at, &seen)
    }

    /// Writes what follows the nodes. `outcomes` are those of all of them.
    ///
    /// # Errors
    /// As [`FactsDocument::begin`].
    pub fn end(
        self,
        outcomes: &[Outcome],
        warnings: &[Remark],
        elapsed: Duration,
        exit_code: u8,
    ) -> io::Result<()> {
        let summary = Summary::of(outcomes);
        self.0
            .end(|rest| tail(rest, warnings, &[], &summary, elapsed, exit_code))
    }
}

/// What follows the nodes: what works and may not be meant, why the command was not started, and the counts.
fn tail<W: Write>(
    document: &mut DocumentWriter<W>,
    warnings: &[Remark],
    errors: &[Remark],
    counts: &Summary,
    elapsed: Duration,
    exit_code: u8,
) -> io::Result<()> {
    document.field("warnings", &warnings)?;
    document.field("errors", &errors)?;
    let totals = Totals {
        counts,
        seconds: seconds(elapsed),
        exit_code,
    };
    document.field("summary", &totals)
}

/// Milliseconds are enough.
pub(super) fn seconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1000.0).round() / 1000.0
}
