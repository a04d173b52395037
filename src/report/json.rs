//! One document for scripts. Its shape is a promise: `version` grows when a field changes its meaning or goes away.

use std::cell::RefCell;
use std::io;
use std::io::Write;
use std::time::Duration;

use serde::Serialize;
use serde::Serializer;
use serde_json::ser::Formatter;
use serde_json::ser::PrettyFormatter;

use crate::engine::Failure;
use crate::engine::FailureCode;
use crate::engine::NotBegun;
use crate::engine::NotBegunCode;
use crate::engine::Outcome;
use crate::engine::Verdict;
use crate::model::NodeState;
use crate::model::records::Snapshot;
use crate::model::visible::is_visible;
use crate::plan::Change;
use crate::plan::Finding;
use crate::plan::GuardKind;
use crate::report::Purpose;
use crate::report::summary::Summary;

/// The version of the document's shape.
pub const VERSION: u32 = 2;

#[derive(Serialize)]
#[serde(bound = "")]
struct Document<'a, I: Iterator<Item: Serialize>> {
    version: u32,
    command: &'static str,
    nodes: Each<I>,
    /// What works and may not be meant.
    warnings: &'a [Remark],
    /// Why the command was not started.
    errors: &'a [Remark],
    summary: Totals<'a>,
}

/// Values that are made one by one, each when it is written.
pub(super) struct Each<I>(RefCell<Option<I>>);

impl<I> Each<I> {
    pub(super) fn new(values: I) -> Self {
        Each(RefCell::new(Some(values)))
    }
}

/// Once: they are gone then.
impl<I: Iterator<Item: Serialize>> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.take().into_iter().flatten())
    }
}

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

/// Writes what became of every node, in the order of the inventory. `exit_code` is the program's, which a signal may have decided.
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
    let nodes = outcomes.iter().map(|outcome| Node {
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
    });
    let summary = Summary::of(outcomes);
    let remarks = (warnings, &[][..]);
    document(to, nodes, &summary, purpose, remarks, elapsed, exit_code)
}

/// The document of a command that was not started because of errors in the user's input.
pub fn not_begun(errors: &[Remark], command: Purpose, exit_code: u8) -> String {
    let none = std::iter::empty::<Node<'_>>();
    let summary = Summary::default();
    let (remarks, elapsed) = ((&[][..], errors), Duration::ZERO);
    let mut bytes = Vec::new();
    let written = document(
        &mut bytes, none, &summary, command, remarks, elapsed, exit_code,
    );
    written.expect("memory takes every document");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Writes what was seen on every node, in the order of the inventory.
///
/// # Errors
/// As [`outcomes`].
pub fn facts(
    to: &mut impl Write,
    seen: &[(Outcome, Option<NodeState>)],
    warnings: &[Remark],
    elapsed: Duration,
    exit_code: u8,
) -> io::Result<()> {
    let nodes = seen.iter().map(|(outcome, state)| Seen {
        node: &outcome.node,
        status: outcome.verdict,
        state: state.as_ref(),
        error: outcome.failure.as_ref().map(Problem::from),
        not_begun: outcome.not_begun.map(Reason::from),
        seconds: seconds(outcome.duration),
    });
    let summary = Summary::of(seen.iter().map(|(outcome, _)| outcome));
    let remarks = (warnings, &[][..]);
    let purpose = Purpose::Facts;
    document(to, nodes, &summary, purpose, remarks, elapsed, exit_code)
}

fn document<N: Serialize>(
    to: &mut impl Write,
    nodes: impl Iterator<Item = N>,
    summary: &Summary,
    purpose: Purpose,
    (warnings, errors): (&[Remark], &[Remark]),
    elapsed: Duration,
    exit_code: u8,
) -> io::Result<()> {
    let document = Document {
        version: VERSION,
        command: purpose.as_str(),
        nodes: Each::new(nodes),
        warnings,
        errors,
        summary: Totals {
            counts: summary,
            seconds: seconds(elapsed),
            exit_code,
        },
    };
    write(to, &document)
}

/// The document as text.
pub fn pretty(document: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    // Only a map with keys that are no strings, or a failing `Serialize`, could fail; the report's values have neither.
    write(&mut bytes, document).expect("memory takes every document");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Writes a document, and an end of line.
///
/// # Errors
/// It cannot be written.
pub fn write(to: &mut impl Write, document: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *to, Visible::default());
    document.serialize(&mut serializer)?;
    to.write_all(b"\n")?;
    to.flush()
}

/// Indented JSON in which every character is visible: other characters are escaped, so the values are unchanged and a terminal
/// executes nothing.
#[derive(Default)]
struct Visible(PrettyFormatter<'static>);

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
        if fragment.as_bytes().iter().all(is_plain) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| !is_visible(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// Milliseconds are enough.
pub(super) fn seconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1000.0).round() / 1000.0
}
