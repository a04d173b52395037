//! Nothing that is printed contains a character that a terminal executes or that is invisible, whatever a node or an inventory contains.

use std::time::Duration;

use proptest::prelude::*;

use crate::engine::Event;
use crate::engine::Failure;
use crate::engine::FailureCode;
use crate::engine::NodeCondition;
use crate::engine::Outcome;
use crate::engine::Stage;
use crate::engine::Verdict;
use crate::model::Desired;
use crate::model::Records;
use crate::model::records::Lease;
use crate::model::records::RunOutcome;
use crate::model::records::Snapshot;
use crate::model::state::View;
use crate::model::visible::is_visible;
use crate::plan::Change;
use crate::plan::Finding;
use crate::plan::FindingCode;
use crate::plan::Sign;
use crate::report::Purpose;
use crate::report::json;
use crate::report::json::FactsDocument;
use crate::report::json::Remark;
use crate::report::lines::Plain;
use crate::report::lines::lines;
use crate::report::progress::Verbosity;
use crate::report::recap;
use crate::report::render;
use crate::report::status;
use crate::report::status::NodeStatus;
use crate::report::text;
use crate::report::text::Diff;

fn snapshot(said: &str, outcome: RunOutcome) -> Snapshot {
    Snapshot {
        number: 7,
        changes: 7,
        run: said.to_string(),
        operator: said.to_string(),
        since: said.to_string(),
        until: said.to_string(),
        what: said.to_string(),
        policy: said.to_string(),
        why: said.to_string(),
        how: said.to_string(),
        late: None,
        ended: said.to_string(),
        outcome,
        node: said.to_string(),
        remarks: vec![said.to_string()],
        trouble: vec![said.to_string()],
    }
}

/// Outcomes of nodes that say this wherever they can say something.
fn outcomes(said: &str) -> Vec<Outcome> {
    let change = Change {
        sign: Sign::Add,
        view: View::Kernel,
        text: said.to_string(),
    };
    let standings = [
        NodeCondition::Untouched,
        NodeCondition::AsBefore {
            since: said.to_string(),
        },
        NodeCondition::GoesBack {
            why: said.to_string(),
            within: 7,
        },
        NodeCondition::Different(vec![change.clone()]),
        NodeCondition::Applied(vec![change.clone()]),
        NodeCondition::Unknown(said.to_string()),
    ];
    let applying = Stage::Applying {
        step: 1,
        of: 2,
        doing: "adding rules",
    };
    let outcome = |condition| {
        Outcome {
            changes: vec![change.clone()],
            findings: vec![Finding::new(FindingCode::NoForwarding, View::Docker, said).hint(said)],
            snapshot: Some(snapshot(said, RunOutcome::Restored)),
            ..Outcome::new(said, Verdict::Ok)
        }
        .failed(
            Failure::new(applying.clone(), FailureCode::StepFailed, said)
                .hint(said)
                .condition(condition),
        )
    };
    standings.into_iter().map(outcome).collect()
}

fn remark(said: &str) -> Remark {
    Remark {
        message: said.to_string(),
        hint: Some(said.to_string()),
        file: Some(said.to_string()),
        line: Some(7),
        column: Some(7),
        nodes: None,
        moved: None,
    }
}

/// Everything that is printed about nodes with this text, with colours if there are any.
fn printed(said: &str) -> Vec<String> {
    let outcomes = outcomes(said);
    let elapsed = Duration::from_secs(1);
    let mut out: Vec<String> = outcomes
        .iter()
        .map(|outcome| text::node(outcome, Diff::Shown))
        .collect();
    out.push(recap::recap(&outcomes, elapsed));
    let (mut document, remarks) = (Vec::new(), [remark(said)]);
    json::outcomes(&mut document, &outcomes, Purpose::Run, &remarks, elapsed, 2).unwrap();
    out.push(String::from_utf8(document).unwrap());
    let mut bytes = Vec::new();
    let mut document = FactsDocument::begin(&mut bytes).unwrap();
    for (at, outcome) in outcomes.iter().enumerate() {
        document.put(at, outcome, None).unwrap();
    }
    document.end(&outcomes, &remarks, elapsed, 1).unwrap();
    out.push(String::from_utf8(bytes).unwrap());
    let node = || said.to_string();
    for event in [
        Event::Stage {
            node: node(),
            stage: Stage::Settling,
        },
        Event::Sent {
            node: node(),
            script: said.to_string(),
        },
        Event::Answered {
            node: node(),
            status: Ok(0),
            stdout: said.to_string(),
            stderr: said.to_string(),
        },
        Event::Answered {
            node: node(),
            status: Err(said.to_string()),
            stdout: String::new(),
            stderr: String::new(),
        },
    ] {
        out.extend(lines(&event, Verbosity::Everything, Plain::Lines));
    }
    out.extend(records(said));
    let desired = Desired {
        zone: Some(said.to_string()),
        ..Desired::default()
    };
    out.push(render::json(&desired));
    out.push(json::not_begun(&[remark(said)], Purpose::Drill, 1));
    out.push(json::pretty(
        &serde_json::json!({ said: [said, { "a": said }] }),
    ));
    out
}

/// What `status` prints about a node whose records say this.
fn records(said: &str) -> Vec<String> {
    let lease = |alive| {
        Some(Lease {
            number: 7,
            alive,
            left: Some(7),
            restore_failed: false,
            missing: vec![said.to_string()],
            step: said.to_string(),
            trouble: vec![said.to_string()],
        })
    };
    let node = |lease: Option<Lease>, outcome| NodeStatus {
        outcome: Outcome::new("cyb-1", Verdict::Ok),
        records: Some(Records {
            last: 7,
            lease,
            snapshots: vec![snapshot(said, outcome)],
            leftovers: vec![said.to_string()],
        }),
        wanted: Some(said.to_string()),
    };
    let nodes = [
        node(lease(true), RunOutcome::Armed),
        node(lease(false), RunOutcome::Armed),
        node(None, RunOutcome::Confirmed),
        node(None, RunOutcome::Restored),
    ];
    let elapsed = Duration::from_secs(1);
    let mut document = Vec::new();
    status::document(&mut document, &nodes, elapsed, 0).unwrap();
    vec![
        status::text(&nodes, elapsed),
        String::from_utf8(document).unwrap(),
    ]
}

/// Whether everything is visible but line ends, tabs, and the escape sequences of our own colours.
fn is_clean(text: &str) -> bool {
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\x1b' {
            if rest.next() != Some('[')
                || !rest
                    .by_ref()
                    .take_while(|c| *c != 'm')
                    .all(|c| c.is_ascii_digit() || c == ';')
            {
                return false;
            }
        } else if c != '\n' && c != '\t' && !is_visible(c) {
            return false;
        }
    }
    true
}

/// The number of escape sequences: the same for any input, since all of them are fwdeploy's own.
fn escapes(printed: &[String]) -> usize {
    printed
        .iter()
        .map(|text| text.matches('\x1b').count())
        .sum()
}

/// Characters that an attacker could want to have printed.
fn hostile() -> impl Strategy<Value = String> {
    let any = any::<char>().boxed();
    let chosen = proptest::sample::select(vec![
        '\0',
        '\x07',
        '\x08',
        '\n',
        '\r',
        '\t',
        '\x1b',
        '[',
        'm',
        '3',
        ';',
        'J',
        '\x7f',
        '\u{9b}',
        '\u{9d}',
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{200e}',
        '\u{202e}',
        '\u{2028}',
        '\u{2029}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{feff}',
        '\u{fe0f}',
        '\u{e0041}',
        '\u{e007f}',
        '\u{e0100}',
        '\u{fffe}',
        '"',
        '\\',
        'a',
        ' ',
    ])
    .boxed();
    proptest::collection::vec(prop_oneof![1 => any, 4 => chosen], 1..12)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    /// Verified with calls of `sanitize` removed, one by one.
    #[test]
    fn nothing_unseen_is_ever_printed(said in hostile()) {
        let printed = printed(&said);
        for text in &printed {
            prop_assert!(is_clean(text), "{text:?}");
        }
        let one_line = said.replace('\n', "\r");
        prop_assert_eq!(escapes(&self::printed(&one_line)), escapes(&self::printed("x")));
    }

    #[test]
    fn json_keeps_every_value_exact(said in hostile()) {
        let value = serde_json::json!({ said.clone(): said });
        let back: serde_json::Value = serde_json::from_str(&json::pretty(&value)).unwrap();
        prop_assert_eq!(back, value);
    }
}
