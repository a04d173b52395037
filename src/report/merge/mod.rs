//! Reports of several machines that share a fleet → one report.
//!
//! * `document`: the text of one report → what counts of it. The nodes themselves stay as they were written.
//! * `mistake`: what is wrong with one.
//! * this file: several of them → one, with the counts and the exit code that one command over all of their nodes would have had.

mod document;
mod mistake;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde::Serializer;
use serde_json::Map;
use serde_json::Value;

use crate::engine::FailureCode;
use crate::engine::NotBegunCode;
use crate::report::json;
use crate::report::recap;
use crate::report::recap::Row;
use crate::report::style;
use crate::report::style::paint;
use crate::report::style::sanitize;
use crate::report::summary;
use crate::report::summary::Summary;

pub use document::Report;
pub use document::read;
pub use mistake::Mistake;

use document::Head;
use document::Kind;
use document::Node;
use document::interrupted;

/// The exit code if no machine has started its part.
const NOTHING_TOUCHED: u8 = 1;

/// Several reports as one. Their nodes are in the order of the reports.
#[derive(Debug)]
pub struct Merged<'t> {
    documents: Vec<Report<'t>>,
    kind: Kind,
    /// Each kind of warning once.
    warnings: Vec<Value>,
    /// Each kind of error once.
    errors: Vec<Value>,
}

/// Merges reports; `names` are those of their files, for messages.
///
/// # Errors
///
/// Reports of different commands, and a node that is in two reports: it was worked on twice, or a report is there twice.
///
/// # Panics
///
/// Without any document.
pub fn merge<'t>(documents: Vec<Report<'t>>, names: &[String]) -> Result<Merged<'t>, Vec<Mistake>> {
    let first = documents.first().expect("at least one document");
    let kind = first.kind;
    let mut mistakes = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (report, document) in documents.iter().enumerate() {
        if document.kind != kind {
            mistakes.push(Mistake {
                report,
                at: None,
                message: format!(
                    "it is a report of `{}`, and {} is one of `{}`",
                    document.kind.word(),
                    names[0],
                    kind.word()
                ),
                hint: Some("merge the reports of one command"),
            });
            continue;
        }
        let twice = document.nodes.iter().find_map(|node| {
            let before = seen.insert(&node.head.node, report)?;
            Some((node, before))
        });
        if let Some((node, before)) = twice {
            let whose = match before == report {
                true => "this report".to_string(),
                false => names[before].clone(),
            };
            mistakes.push(Mistake {
                report,
                at: Some(node.at),
                message: format!("node `{}` is in {whose} already", node.head.node),
                hint: Some(
                    "merge each report once; a node is in one shard of the same `--limit` and the same N",
                ),
            });
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    drop(seen);
    Ok(Merged {
        warnings: once(documents.iter().flat_map(|document| &document.warnings)),
        errors: once(documents.iter().flat_map(|document| &document.errors)),
        kind,
        documents,
    })
}

/// The warnings or errors, those that say the same as one with the nodes of all.
fn once<'v>(remarks: impl Iterator<Item = &'v Value>) -> Vec<Value> {
    let nodes = |value: &Value| value.get("nodes").and_then(Value::as_u64);
    let mut once: Vec<Value> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for remark in remarks {
        let mut plain = remark.clone();
        if let Value::Object(fields) = &mut plain {
            fields.shift_remove("nodes");
        }
        match places.entry(plain.to_string()) {
            Entry::Vacant(vacant) => {
                vacant.insert(once.len());
                once.push(remark.clone());
            }
            Entry::Occupied(occupied) => {
                let same = &mut once[*occupied.get()];
                if let (Some(some), Some(more)) = (nodes(same), nodes(remark)) {
                    same["nodes"] = Value::from(some.saturating_add(more));
                }
            }
        }
    }
    once
}

impl<'t> Merged<'t> {
    fn nodes(&self) -> impl Iterator<Item = &Node<'t>> {
        self.documents.iter().flat_map(|document| &document.nodes)
    }

    fn heads(&self) -> impl Iterator<Item = &Head<'t>> {
        self.nodes().map(|node| &node.head)
    }

    /// How many reports it is made of: those that were merged before count as many as they were.
    pub fn reports(&self) -> u64 {
        let reports = self.documents.iter().map(|document| document.reports);
        reports.fold(0, u64::saturating_add)
    }

    /// How many of them say that their command was not started.
    fn not_started(&self) -> usize {
        let documents = self.documents.iter();
        documents.filter(|d| !d.errors.is_empty()).count()
    }

    /// The time of the one that took longest: they ran side by side.
    fn elapsed(&self) -> Duration {
        let seconds = self.documents.iter().map(|document| document.seconds);
        let longest = seconds.fold(0.0, f64::max);
        Duration::try_from_secs_f64(longest).unwrap_or_default()
    }

    /// The exit code that one command over all of their nodes would have had.
    ///
    /// The code of a signal is that of the first report which has one. A part that was not started is worse than one with failed nodes and has no
    /// code of its own: its nodes count as failed, unless no part was started at all.
    pub fn exit_code(&self) -> u8 {
        let mut signals = self.documents.iter().filter_map(interrupted);
        if let Some(code) = signals.next() {
            return code;
        }
        let not_started = self.not_started();
        if not_started == self.documents.len() && self.nodes().next().is_none() {
            return NOTHING_TOUCHED;
        }
        self.kind.exit_code(self.heads(), not_started)
    }

    /// What a person reads: each node with an error, then the recap.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for head in self.heads() {
            failed(&mut out, head);
        }
        let elapsed = self.elapsed();
        if let Kind::Nodes(_) = self.kind {
            let rows = self.heads().map(|head| Row {
                node: &head.node,
                verdict: head.verdict(),
                ok: head.ok,
                changed: head.changed,
                is_audit: head.is_audit(),
            });
            out.push_str(&recap::rows(rows.collect()));
            let mut reasons: Vec<(&str, usize)> = Vec::new();
            // Nodes without a role were named at the start.
            let whys = self.heads().filter_map(|head| head.not_begun.as_ref());
            for why in whys.filter(|why| why.code != NotBegunCode::NoRole.as_str()) {
                match reasons.iter_mut().find(|(text, _)| *text == why.message) {
                    Some((_, count)) => *count += 1,
                    None => reasons.push((&why.message, 1)),
                }
            }
            for (why, count) in reasons {
                out.push_str(&recap::not_started(count, &sanitize(why)));
            }
            let _ = writeln!(out, "{}", recap::fleet(&self.summary(), elapsed));
        } else if self.kind == Kind::Facts {
            let _ = writeln!(out, "{}", recap::fleet(&self.summary(), elapsed));
        } else {
            let nodes = recap::nodes(self.heads().count());
            let words: Vec<String> = self
                .kind
                .count(self.heads())
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(word, count)| format!("{count} {}", said(word)))
                .collect();
            let words = match words.is_empty() {
                true => String::new(),
                false => format!(": {}", words.join(", ")),
            };
            let _ = writeln!(out, "{nodes}{words} ({})", summary::duration(elapsed));
        }
        let not_started = self.not_started();
        if not_started > 0 {
            let text = match not_started {
                1 => "1 report says that its command was not started".to_string(),
                n => format!("{n} reports say that their command was not started"),
            };
            let _ = writeln!(out, "{}", paint(style::ERROR, text));
            for error in &self.errors {
                let message = error.get("message").and_then(Value::as_str);
                let _ = writeln!(out, "  {}", sanitize(message.unwrap_or_default()));
            }
        }
        out
    }

    fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for head in self.heads() {
            summary.add(head.verdict());
        }
        summary
    }

    /// The document for scripts, in the shape of those that it is made of. It can be merged again.
    pub fn document(&self) -> String {
        json::pretty(&AsDocument(self))
    }
}

/// The word of a summary's count, as the texts of `status` and `peers` say it.
fn said(word: &str) -> &str {
    match word {
        "held" => "at work",
        "not_counted" => "without counters",
        "no_guard" => "without a guard",
        word => word,
    }
}

/// One node with an error, as a run prints it.
fn failed(out: &mut String, head: &Head<'_>) {
    let Some(error) = &head.error else { return };
    let status = head.status.replace('_', " ");
    let _ = writeln!(
        out,
        "{}: {}",
        paint(style::BOLD, sanitize(&head.node)),
        paint(style::RED, sanitize(&status))
    );
    let _ = writeln!(
        out,
        "  {}: {} [{}]",
        paint(style::ERROR, "error"),
        sanitize(&error.message),
        sanitize(&error.code)
    );
    if let Some(hint) = &error.hint {
        let _ = writeln!(
            out,
            "    {}: {}",
            paint(style::HINT, "hint"),
            sanitize(hint)
        );
    }
    // As of a run: of a node that was never entered there is nothing to say.
    if error.standing != "untouched"
        || error.stage == "apply"
        || error.code == FailureCode::Stopped.as_str()
    {
        let _ = writeln!(
            out,
            "    {}: {}",
            paint(style::BOLD, "now"),
            sanitize(&error.now)
        );
    }
}

/// The document: its nodes are read and written one by one.
struct AsDocument<'a>(&'a Merged<'a>);

impl Serialize for AsDocument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a, N> {
            version: u32,
            command: &'static str,
            reports: u64,
            nodes: N,
            warnings: &'a [Value],
            errors: &'a [Value],
            #[serde(skip_serializing_if = "Option::is_none")]
            summary: Option<Map<String, Value>>,
        }
        let merged = self.0;
        let summary = merged.kind.has_summary().then(|| {
            let mut summary = Map::new();
            summary.insert("nodes".to_string(), merged.heads().count().into());
            for (word, count) in merged.kind.count(merged.heads()) {
                summary.insert(word.to_string(), count.into());
            }
            summary.insert(
                "seconds".to_string(),
                json::seconds(merged.elapsed()).into(),
            );
            summary.insert("exit_code".to_string(), merged.exit_code().into());
            summary
        });
        Shape {
            version: json::VERSION,
            command: merged.kind.word(),
            reports: merged.reports(),
            nodes: AsNodes(merged),
            warnings: &merged.warnings,
            errors: &merged.errors,
            summary,
        }
        .serialize(serializer)
    }
}

struct AsNodes<'a>(&'a Merged<'a>);

impl Serialize for AsNodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As a value, and not as it was written: what is written may have characters that a terminal obeys.
        serializer.collect_seq(self.0.nodes().map(Node::value))
    }
}
