//! One node's outcome as text: what differs, what was found, what went wrong.

use std::fmt::Write as _;

use crate::engine::Failure;
use crate::engine::FailureCode;
use crate::engine::NodeCondition;
use crate::engine::Outcome;
use crate::engine::Verdict;
use crate::engine::differences;
use crate::model::peer::KnownPeer;
use crate::model::peer::label_in;
use crate::plan::Change;
use crate::plan::Finding;
use crate::report::style;
use crate::report::style::paint;
use crate::report::style::sanitize;

/// Whether the differences are shown one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diff {
    /// Each on a line.
    Shown,
    /// Only counted, in the recap.
    Counted,
}

/// One node's outcome; empty if there is nothing to say beyond the recap.
pub fn node(outcome: &Outcome, diff: Diff) -> String {
    let changes: &[Change] = match diff {
        Diff::Shown => &outcome.changes,
        Diff::Counted => &[],
    };
    if changes.is_empty()
        && outcome.findings.is_empty()
        && outcome.failure.is_none()
        && outcome.snapshot.is_none()
    {
        return String::new();
    }
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: {}",
        paint(style::BOLD, sanitize(&outcome.node)),
        paint(style::verdict(outcome.verdict), headline(outcome))
    );
    if let Some(snapshot) = &outcome.snapshot {
        let _ = writeln!(
            text,
            "  snapshot {}: {}",
            snapshot.number,
            sanitize(&format!(
                "the state before `{}` of {}, {}",
                snapshot.what, snapshot.operator, snapshot.since
            ))
        );
    }
    if let Some(guard) = outcome.guard {
        let _ = writeln!(text, "  guard: {guard}");
    }
    for change in changes {
        line(&mut text, "  ", change, &outcome.known);
    }
    for finding in &outcome.findings {
        found(&mut text, finding);
    }
    if let Some(failure) = &outcome.failure {
        failed(&mut text, failure, &outcome.known);
    }
    text
}

fn headline(outcome: &Outcome) -> String {
    if let Some(failure) = outcome
        .failure
        .as_ref()
        .filter(|f| f.code == FailureCode::Stopped)
    {
        return format!("abandoned, {}", stands(&failure.condition));
    }
    let count = || differences(outcome.changes.len());
    let text = match outcome.verdict {
        // *Would change*, never "skipped": nothing was left out but the doing.
        Verdict::Drift if outcome.changes.is_empty() => "not enforced".to_string(),
        Verdict::Drift => format!("would change, {}", count()),
        Verdict::Changed => format!("changed, {}", count()),
        Verdict::Audit if outcome.changes.is_empty() => return Verdict::Audit.to_string(),
        Verdict::Audit => format!("changed, {}", count()),
        verdict => verdict.to_string(),
    };
    match outcome.verdict {
        Verdict::Audit | Verdict::Drift if !outcome.audit.is_empty() => {
            format!("{}, {text}", Verdict::Audit)
        }
        _ => text,
    }
}

/// The condition of a node that the operator has abandoned, in a few words.
fn stands(condition: &NodeCondition) -> String {
    match condition {
        NodeCondition::Untouched => "untouched".to_string(),
        NodeCondition::AsBefore { .. } => "as it was before".to_string(),
        NodeCondition::GoesBack { within: 0, .. } => "should have rolled back by now".to_string(),
        NodeCondition::GoesBack { within, .. } => format!("rolls back in {within} s"),
        NodeCondition::Applied(_) => "changed".to_string(),
        NodeCondition::Different(_) => "not as it was before".to_string(),
        NodeCondition::Unknown(_) => "condition unknown".to_string(),
    }
}

fn line(text: &mut String, indent: &str, change: &Change, known: &[KnownPeer]) {
    let mut line = change.to_string();
    if let Some(label) = label_in(known, &line) {
        let _ = write!(line, "  ({label})");
    }
    let line = sanitize(&line);
    let _ = writeln!(text, "{indent}{}", paint(style::sign(change.sign), line));
}

fn found(text: &mut String, finding: &Finding) {
    let severity = paint(style::severity(finding.severity), finding.severity);
    let _ = writeln!(
        text,
        "  {severity}: {} [{}]",
        sanitize(&finding.text),
        finding.code
    );
    hint(text, finding.hint.as_deref());
}

pub(super) fn failed(text: &mut String, failure: &Failure, known: &[KnownPeer]) {
    let _ = writeln!(
        text,
        "  {}: {} [{}]",
        paint(style::ERROR, "error"),
        sanitize(&failure.text()),
        failure.code
    );
    hint(text, failure.hint.as_deref());
    // Of a node that was never entered there is nothing to say.
    if failure.condition == NodeCondition::Untouched
        && failure.stage.as_str() != "apply"
        && failure.code != FailureCode::Stopped
    {
        return;
    }
    let _ = writeln!(
        text,
        "    {}: {}",
        paint(style::BOLD, "now"),
        sanitize(&failure.condition.to_string())
    );
    for change in failure.condition.changes() {
        line(text, "      ", change, known);
    }
}

pub(super) fn hint(text: &mut String, hint: Option<&str>) {
    if let Some(hint) = hint {
        let _ = writeln!(
            text,
            "    {}: {}",
            paint(style::HINT, "hint"),
            sanitize(hint)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::peer::About;
    use crate::model::state::View;
    use crate::plan::Sign;

    #[test]
    fn a_difference_names_the_peer_that_it_is_about() {
        let change = |text: &str| Change {
            sign: Sign::Add,
            view: View::Kernel,
            text: text.to_string(),
        };
        let about = About {
            name: Some("fra-2".to_string()),
            owner: Some("Acme".to_string()),
            ..About::default()
        };
        let outcome = Outcome {
            changes: vec![
                change("-s 203.0.113.7/32 -d 172.20.0.2/32 -j ACCEPT"),
                change("-s 203.0.113.8/32 -d 172.20.0.2/32 -j ACCEPT"),
            ],
            known: vec![KnownPeer {
                net: "203.0.113.7".parse().unwrap(),
                about,
            }],
            ..Outcome::new("n1", Verdict::Drift)
        };
        let text = node(&outcome, Diff::Shown);
        let named: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("(fra-2, Acme)"))
            .collect();
        assert_eq!(named.len(), 1, "{text}");
        assert!(named[0].contains("203.0.113.7/32"), "{text}");
    }
}
