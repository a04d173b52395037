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
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted.sort_by(|a, b| a.node.cmp(&b.node));
    let width = sorted
        .iter()
        .map(|o| sanitize(&o.node).chars().count())
        .max()
        .unwrap_or(0);
    let mut text = format!("{}\n", paint(style::BOLD, "RECAP"));
    for outcome in sorted {
        // Padded before it is painted: escapes have no width, and `{:<}` would count them.
        let name = format!("{:<width$}", sanitize(&outcome.node));
        let _ = write!(text, "{} :", paint(style::verdict(outcome.verdict), name));
        for (word, count, style) in counts(outcome) {
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
        if !outcome.audit.is_empty() {
            let _ = write!(text, " {}", paint(style::YELLOW, Verdict::Audit));
        }
        text.push('\n');
    }
    text.push_str(&not_begun(outcomes));
    let _ = writeln!(text, "{}", fleet(&Summary::of(outcomes), elapsed));
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
    told.map(|(why, count)| {
        let nodes = nodes(*count);
        paint(style::CYAN, format!("{nodes} not started: {why}")) + "\n"
    })
    .collect()
}

fn nodes(count: usize) -> String {
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

fn counts(outcome: &Outcome) -> [(&'static str, usize, Style); 5] {
    let is = |verdicts: &[Verdict]| usize::from(verdicts.contains(&outcome.verdict));
    [
        ("ok", outcome.holds, style::GREEN),
        ("changed", outcome.changed(), style::YELLOW),
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
