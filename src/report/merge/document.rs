//! The text of one report → what counts of it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::engine::Verdict;
use crate::report::Purpose;
use crate::report::json;
use crate::report::merge::mistake::Mistake;
use crate::report::summary::Summary;

/// The exit codes of signals: 128 and the number of SIGHUP, SIGINT, SIGTERM.
const SIGNALS: [u8; 3] = [129, 130, 143];

/// The word of `render`, whose document is no report of a fleet that was asked for anything.
const RENDER: &str = "render";

/// The statuses of `status`, and the word that counts each in the summary.
const LEASES: [(&str, &str); 6] = [
    ("free", "free"),
    ("held", "held"),
    ("unfinished", "unfinished"),
    ("unknown", "failed"),
    ("unreachable", "unreachable"),
    ("skipped", "skipped"),
];

/// The same of `peers`.
const READINGS: [(&str, &str); 6] = [
    ("counted", "counted"),
    ("not_counted", "not_counted"),
    ("no_guard", "no_guard"),
    ("unknown", "failed"),
    ("unreachable", "unreachable"),
    ("skipped", "skipped"),
];

/// The same of all others.
const VERDICTS: [(&str, Verdict); 9] = [
    ("ok", Verdict::Ok),
    ("changed", Verdict::Changed),
    ("audit", Verdict::Audit),
    ("drift", Verdict::Drift),
    ("refused", Verdict::Refused),
    ("rolled_back", Verdict::RolledBack),
    ("failed", Verdict::Failed),
    ("unreachable", Verdict::Unreachable),
    ("skipped", Verdict::Skipped),
];

/// What kind of report it is: what its nodes can have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What became of each node.
    Nodes(Purpose),
    /// The state of each node.
    Facts,
    /// Who is changing each node.
    Status,
    /// What each node has counted.
    Peers,
    /// What the roles require.
    Render,
}

impl Kind {
    /// The kind with that word for scripts.
    fn of(command: &str) -> Result<Self, String> {
        match (command, Purpose::of_word(command)) {
            (RENDER, _) => Ok(Kind::Render),
            (_, Some(Purpose::Facts)) => Ok(Kind::Facts),
            (_, Some(Purpose::Status)) => Ok(Kind::Status),
            (_, Some(Purpose::Peers)) => Ok(Kind::Peers),
            (_, Some(Purpose::Refused)) => Err(
                "a report of `refused` cannot be merged: it has the first flows of each list only"
                    .to_string(),
            ),
            (_, Some(purpose)) => Ok(Kind::Nodes(purpose)),
            (_, None) => Err(format!("the command `{command}` is not known")),
        }
    }

    /// The word for scripts.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Nodes(purpose) => purpose.as_str(),
            Kind::Facts => Purpose::Facts.as_str(),
            Kind::Status => Purpose::Status.as_str(),
            Kind::Peers => Purpose::Peers.as_str(),
            Kind::Render => RENDER,
        }
    }

    /// Whether its document has a summary.
    pub(super) fn has_summary(self) -> bool {
        self != Kind::Render
    }

    /// The word under which the summary counts a status; `None` if there is no such status.
    fn counts_as(self, status: &str) -> Option<&'static str> {
        let found = |table: &[(&'static str, &'static str)]| {
            let mut table = table.iter();
            table.find(|(word, _)| *word == status).map(|(_, key)| *key)
        };
        match self {
            Kind::Status => found(&LEASES),
            Kind::Peers => found(&READINGS),
            Kind::Nodes(_) | Kind::Facts => VERDICTS
                .map(|(word, _)| word)
                .into_iter()
                .find(|word| *word == status),
            Kind::Render => None,
        }
    }

    /// The counts of the summary, in its order.
    pub(super) fn count<'h, 't: 'h>(
        self,
        heads: impl Iterator<Item = &'h Head<'t>>,
    ) -> Vec<(&'static str, u64)> {
        let words: Vec<&'static str> = match self {
            Kind::Status => LEASES.map(|(_, key)| key).to_vec(),
            Kind::Peers => READINGS.map(|(_, key)| key).to_vec(),
            Kind::Nodes(_) | Kind::Facts => VERDICTS.map(|(word, _)| word).to_vec(),
            Kind::Render => Vec::new(),
        };
        let mut counts: Vec<(&'static str, u64)> =
            words.into_iter().map(|word| (word, 0)).collect();
        for head in heads {
            let word = self.counts_as(&head.status);
            if let Some((_, count)) = counts.iter_mut().find(|(key, _)| Some(*key) == word) {
                *count += 1;
            }
        }
        counts
    }

    /// The exit code of a command whose nodes came to this; `not_started` parts of the fleet have no nodes.
    pub(super) fn exit_code<'h, 't: 'h>(
        self,
        heads: impl Iterator<Item = &'h Head<'t>>,
        not_started: usize,
    ) -> u8 {
        let purpose = match self {
            Kind::Nodes(purpose) => purpose,
            Kind::Facts => Purpose::Facts,
            Kind::Status | Kind::Peers => {
                let counts = self.count(heads);
                let is_any = |word: &str| counts.iter().any(|(key, n)| *key == word && *n > 0);
                // Both go as a check: 4 before 1, and 1 before 2.
                return match () {
                    () if is_any("unreachable") => 4,
                    () if is_any("failed") || not_started > 0 => 1,
                    () if is_any("unfinished") => 2,
                    () => 0,
                };
            }
            Kind::Render => return u8::from(not_started > 0),
        };
        let mut summary = Summary::default();
        for head in heads {
            summary.add(head.verdict());
        }
        for _ in 0..not_started {
            summary.add(Verdict::Failed);
        }
        summary.exit_code(purpose)
    }
}

/// One report.
#[derive(Debug)]
pub struct Report<'t> {
    pub(super) kind: Kind,
    /// How many reports it was made of.
    pub(super) reports: u64,
    pub(super) nodes: Vec<Node<'t>>,
    pub(super) warnings: Vec<Value>,
    pub(super) errors: Vec<Value>,
    pub(super) seconds: f64,
    exit_code: u8,
}

/// A node in a report.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) head: Head<'t>,
    /// The byte at which it begins in the text.
    pub(super) at: usize,
    written: &'t RawValue,
}

impl Node<'_> {
    /// All that the report says of it.
    pub(super) fn value(&self) -> Value {
        // It was read before.
        serde_json::from_str(self.written.get()).unwrap_or_default()
    }
}

/// What counts of a node.
#[derive(Debug, Deserialize)]
pub(super) struct Head<'t> {
    #[serde(borrow)]
    pub(super) node: Cow<'t, str>,
    #[serde(borrow, default)]
    pub(super) status: Cow<'t, str>,
    /// `render` has other things by these names.
    #[serde(default)]
    pub(super) ok: usize,
    #[serde(default)]
    pub(super) changed: usize,
    /// The roles in audit.
    #[serde(default)]
    audit: Value,
    #[serde(default)]
    pub(super) error: Option<Problem>,
    #[serde(default)]
    pub(super) not_begun: Option<Reason>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    #[serde(default)]
    pub(super) stage: String,
    #[serde(default)]
    pub(super) standing: String,
    #[serde(default)]
    pub(super) now: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    pub(super) code: String,
    pub(super) message: String,
}

impl Head<'_> {
    /// Whether a role is in audit.
    pub(super) fn is_audit(&self) -> bool {
        self.audit.as_array().is_some_and(|roles| !roles.is_empty())
    }

    /// What became of it; of a report that has none, a node is as good as skipped.
    pub(super) fn verdict(&self) -> Verdict {
        let known = VERDICTS.iter().find(|(word, _)| *word == self.status);
        known.map_or(Verdict::Skipped, |(_, verdict)| *verdict)
    }
}

/// The document as it is written.
#[derive(Deserialize)]
struct Written<'t> {
    #[serde(borrow)]
    nodes: Vec<&'t RawValue>,
    #[serde(default)]
    warnings: Vec<Value>,
    #[serde(default)]
    errors: Vec<Value>,
    #[serde(default)]
    summary: Option<Totals>,
    #[serde(default = "one")]
    reports: u64,
}

fn one() -> u64 {
    1
}

#[derive(Deserialize)]
struct Totals {
    nodes: u64,
    seconds: f64,
    exit_code: u8,
    #[serde(flatten)]
    counts: serde_json::Map<String, Value>,
}

/// What tells whether the rest can be understood.
#[derive(Deserialize)]
struct Beginning {
    version: u64,
    command: String,
}

/// Reads one report; `report` is its number, for messages.
///
/// # Errors
///
/// It is no JSON, no report, one of another version, or one that contradicts itself.
pub fn read(text: &str, report: usize) -> Result<Report<'_>, Mistake> {
    let mistake = |at, message: String, hint| Mistake {
        report,
        at,
        message,
        hint,
    };
    let broken = |error: serde_json::Error, text: &str, begin: usize| {
        let at = begin + offset(text, error.line(), error.column());
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or_default();
        // Of a number that the text ends in, serde_json says that it is none.
        let is_last = begin == 0 && at + 1 >= text.trim_end().len();
        let is_cut = error.is_eof() || is_last && said == "invalid number";
        let message = match (is_cut, text.trim().is_empty()) {
            (_, true) => "it is empty".to_string(),
            (true, false) => "it ends in the middle of the document".to_string(),
            (false, false) => format!("it is no report of fwdeploy's: {said}"),
        };
        let hint = match is_cut {
            true => "the command that wrote it was killed, or is not done yet: run its shard again",
            false => "merge what `--json` has printed on stdout, and nothing else",
        };
        mistake(Some(at), message, Some(hint))
    };
    let beginning: Beginning =
        serde_json::from_str(text).map_err(|error| broken(error, text, 0))?;
    if beginning.version != u64::from(json::VERSION) {
        return Err(mistake(
            None,
            format!(
                "the document has version {}, and this fwdeploy reads version {}",
                beginning.version,
                json::VERSION
            ),
            Some("use the same fwdeploy on all machines, and to merge"),
        ));
    }
    let kind = Kind::of(&beginning.command).map_err(|why| mistake(None, why, None))?;
    let written: Written<'_> =
        serde_json::from_str(text).map_err(|error| broken(error, text, 0))?;
    let mut nodes = Vec::with_capacity(written.nodes.len());
    for node in written.nodes {
        let at = node.get().as_ptr().addr() - text.as_ptr().addr();
        let head: Head<'_> =
            serde_json::from_str(node.get()).map_err(|error| broken(error, node.get(), at))?;
        // The rest of it is only read when it is printed, where no mistake can be told.
        serde_json::from_str::<Value>(node.get()).map_err(|error| broken(error, node.get(), at))?;
        if kind.has_summary() && kind.counts_as(&head.status).is_none() {
            return Err(mistake(
                Some(at),
                format!(
                    "node `{}` has the status `{}`, which a report of `{}` does not have",
                    head.node,
                    head.status,
                    kind.word()
                ),
                None,
            ));
        }
        nodes.push(Node {
            head,
            at,
            written: node,
        });
    }
    let document = Report {
        kind,
        reports: written.reports,
        nodes,
        warnings: written.warnings,
        errors: written.errors,
        seconds: written.summary.as_ref().map_or(0.0, |s| s.seconds),
        exit_code: written.summary.as_ref().map_or(0, |s| s.exit_code),
    };
    let why = match &written.summary {
        None if kind.has_summary() => Some("it has no `summary`".to_string()),
        Some(summary) => document.contradiction(summary),
        None => None,
    };
    match why {
        Some(why) => Err(mistake(
            None,
            why,
            Some("it was cut or edited: run its shard again"),
        )),
        None => Ok(document),
    }
}

impl Report<'_> {
    /// What its summary says that its nodes do not.
    fn contradiction(&self, summary: &Totals) -> Option<String> {
        if summary.nodes != self.nodes.len() as u64 {
            return Some(format!(
                "its summary counts {} nodes, and it has {}",
                summary.nodes,
                self.nodes.len()
            ));
        }
        // Of a command that was not started, the summary is that of a run.
        if self.nodes.is_empty() {
            return None;
        }
        let counted = self.kind.count(self.nodes.iter().map(|node| &node.head));
        counted.into_iter().find_map(|(word, count)| {
            let said = summary.counts.get(word).and_then(Value::as_u64)?;
            (said != count)
                .then(|| format!("its summary counts {said} as `{word}`, and it has {count}"))
        })
    }
}

/// The exit code of a report whose command was ended by a signal before all nodes were done.
pub(super) fn interrupted(document: &Report<'_>) -> Option<u8> {
    Some(document.exit_code).filter(|code| SIGNALS.contains(code))
}

/// The byte at a line and column of serde_json's: both from 1, the column in bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1));
    let before: usize = lines.map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}
