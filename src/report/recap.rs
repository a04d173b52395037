//! The recap in Ansible's words, and one line for the fleet.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::Style;

use crate::engine::NotBegun;
use crate::engine::Outcome;
use crate::engine::Verdict;
use crate::report::style;
use crate::report::style::paint;
use crate::report::style::sanitize;
use crate::report::summary::Summary;
use crate::report::summary::duration;

/// One line a node, sorted by name, and one for the fleet.
///
/// `ok` counts the wanted things (networks, attachments, rules) that hold at the end; `changed` the differences that were removed,
/// or that would be.
pub fn recap(outcomes: &[Outcome], elapsed: Duration) -> String {
    let mut text = rows(outcomes.iter().map(Row::of).collect());
    text.push_str(&not_begun(outcomes));
    let _ = writeln!(text, "{}", fleet(&Summary::of(outcomes), elapsed));
    text
}

/// A node in the recap.
pub(super) struct Row<'a> {
    pub(super) node: &'a str,
    pub(super) verdict: Verdict,
    pub(super) ok: usize,
    pub(super) changed: usize,
    /// Whether a role is in audit.
    pub(super) is_audit: bool,
}

impl<'a> Row<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        Row {
            node: &outcome.node,
            verdict: outcome.verdict,
            ok: outcome.holds,
            changed: outcome.changed(),
            is_audit: !outcome.audit.is_empty(),
        }
    }
}

/// The headline, and one line a node, sorted by name.
pub(super) fn rows(mut sorted: Vec<Row<'_>>) -> String {
    sorted.sort_by(|a, b| a.node.cmp(b.node));
    let width = sorted
        .iter()
        .map(|row| sanitize(row.node).chars().count())
        .max()
        .unwrap_or(0);
    let mut text = format!("{}\n", paint(style::BOLD, "RECAP"));
    for row in sorted {
        // Padded before it is painted: escapes have no width, and `{:<}` would count them.
        let name = format!("{:<width$}", sanitize(row.node));
        let _ = write!(text, "{} :", paint(style::verdict(row.verdict), name));
        for (word, count, style) in counts(&row) {
            let field = format!("{word}={count}");
            let pad = " ".repeat(word.len().saturating_add(5).saturating_sub(field.len()));
            let field = if count > 0 {
                paint(style, field)
            } else {
                field
            };
            let _ = write!(text, " {field}{pad}");
        }
        text.truncate(text.trim_end().len());
        if row.is_audit {
            let _ = write!(text, " {}", paint(style::YELLOW, Verdict::Audit));
        }
        text.push('\n');
    }
    text
}

/// A line for each reason for which nodes were not started. Nodes without a role were named at the start.
fn not_begun(outcomes: &[Outcome]) -> String {
    let mut reasons: Vec<(NotBegun, usize)> = Vec::new();
    for why in outcomes.iter().filter_map(|outcome| outcome.not_begun) {
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, count)) => *count += 1,
            None => reasons.push((why, 1)),
        }
    }
    let told = reasons.iter().filter(|(why, _)| *why != NotBegun::NoRole);
    told.map(|(why, count)| not_started(*count, &why.to_string()))
        .collect()
}

/// So many nodes were not started for a reason.
pub(super) fn not_started(count: usize, why: &str) -> String {
    let nodes = nodes(count);
    paint(style::CYAN, format!("{nodes} not started: {why}")) + "\n"
}

pub(super) fn nodes(count: usize) -> String {
    match count {
        1 => "1 node".to_string(),
        n => format!("{n} nodes"),
    }
}

/// `6 nodes: 3 changed, 1 unreachable, 2 failed (41 s)`.
pub fn fleet(summary: &Summary, elapsed: Duration) -> String {
    let nodes = nodes(summary.nodes);
    let words = match summary.nodes {
        0 => String::new(),
        _ => format!(": {}", summary.words()),
    };
    format!("{nodes}{words} ({})", duration(elapsed))
}

fn counts(row: &Row<'_>) -> [(&'static str, usize, Style); 5] {
    let is = |verdicts: &[Verdict]| usize::from(verdicts.contains(&row.verdict));
    [
        ("ok", row.ok, style::GREEN),
        ("changed", row.changed, style::YELLOW),
        (
            "unreachable",
            is(&[Verdict::Unreachable]),
            style::BRIGHT_RED,
        ),
        (
            "failed",
            is(&[Verdict::Failed, Verdict::Refused, Verdict::RolledBack]),
            style::RED,
        ),
        ("skipped", is(&[Verdict::Skipped]), style::CYAN),
    ]
}
