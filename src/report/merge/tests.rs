use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::engine::NotBegun;
use crate::engine::Outcome;
use crate::engine::Verdict;
use crate::report::Purpose;

const VERDICTS: [Verdict; 9] = [
    Verdict::Ok,
    Verdict::Changed,
    Verdict::Audit,
    Verdict::Drift,
    Verdict::Skipped,
    Verdict::Unreachable,
    Verdict::Refused,
    Verdict::RolledBack,
    Verdict::Failed,
];

const PURPOSES: [Purpose; 7] = [
    Purpose::Run,
    Purpose::Check,
    Purpose::Rollback,
    Purpose::RollbackCheck,
    Purpose::Drill,
    Purpose::Remove,
    Purpose::RemoveCheck,
];

/// What a command prints whose nodes came to this.
fn report(purpose: Purpose, outcomes: &[Outcome], seconds: u64) -> String {
    let code = Summary::of(outcomes).exit_code(purpose);
    printed(outcomes, purpose, &[], Duration::from_secs(seconds), code)
}

fn printed(
    outcomes: &[Outcome],
    purpose: Purpose,
    warnings: &[json::Remark],
    elapsed: Duration,
    code: u8,
) -> String {
    let mut bytes = Vec::new();
    json::outcomes(&mut bytes, outcomes, purpose, warnings, elapsed, code).expect("memory");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

fn outcome(node: &str, verdict: Verdict) -> Outcome {
    Outcome {
        holds: node.len(),
        not_begun: (verdict == Verdict::Skipped).then_some(NotBegun::Stopped),
        ..Outcome::new(node, verdict)
    }
}

fn merged(texts: &[String]) -> Result<Merged<'_>, Vec<Mistake>> {
    let read = texts.iter().enumerate().map(|(at, text)| read(text, at));
    let documents = read
        .collect::<Result<Vec<_>, _>>()
        .map_err(|mistake| vec![mistake])?;
    let names: Vec<String> = (1..=texts.len()).map(|at| format!("{at}.json")).collect();
    merge(documents, &names)
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// The document without the number of reports, which a single one does not have.
fn without_reports(text: &str) -> Value {
    let mut value = value(text);
    value.as_object_mut().unwrap().shift_remove("reports");
    value
}

fn fleets() -> impl Strategy<Value = (Purpose, Vec<Vec<Outcome>>)> {
    let parts = prop::collection::vec(prop::collection::vec(0..VERDICTS.len(), 0..5), 1..5);
    (0..PURPOSES.len(), parts).prop_map(|(purpose, parts)| {
        let mut number = 0;
        let mut node = |verdict: usize| {
            number += 1;
            outcome(&format!("n{number}"), VERDICTS[verdict])
        };
        let part = |part: Vec<usize>| part.into_iter().map(&mut node).collect();
        (PURPOSES[purpose], parts.into_iter().map(part).collect())
    })
}

proptest! {
    /// To see it fail: count a verdict under another word, or leave a report out.
    #[test]
    fn the_parts_of_a_fleet_make_the_report_of_the_whole((purpose, parts) in fleets()) {
        let texts: Vec<String> = parts.iter().map(|part| report(purpose, part, 7)).collect();
        let all: Vec<Outcome> = parts.concat();
        let whole = report(purpose, &all, 7);
        let merged = merged(&texts).unwrap();
        prop_assert_eq!(merged.exit_code(), Summary::of(&all).exit_code(purpose));
        prop_assert_eq!(without_reports(&merged.document()), value(&whole));
        prop_assert_eq!(merged.reports(), parts.len() as u64);
        let recap = recap::recap(&all, Duration::from_secs(7));
        prop_assert_eq!(merged.text(), recap);
    }

    /// To see it fail: count each report as one.
    #[test]
    fn what_was_merged_before_is_merged_again((purpose, parts) in fleets(), at in 0usize..5) {
        let texts: Vec<String> = parts.iter().map(|part| report(purpose, part, 7)).collect();
        let (first, rest) = texts.split_at(at.clamp(1, texts.len()));
        let mut stepwise = vec![merged(first).unwrap().document()];
        stepwise.extend_from_slice(rest);
        prop_assert_eq!(merged(&stepwise).unwrap().document(), merged(&texts).unwrap().document());
    }

    #[test]
    fn no_cut_report_counts((purpose, parts) in fleets(), cut in 0usize..4000) {
        let text = report(purpose, &parts.concat(), 7);
        let cut = cut % text.trim_end().len();
        let mistakes = merged(&[text[..cut].to_string()]).unwrap_err();
        let message = &mistakes[0].message;
        let expected = match cut {
            0 => "it is empty",
            _ => "it ends in the middle of the document",
        };
        prop_assert_eq!(message.as_str(), expected);
    }
}

fn mistake(texts: &[String]) -> String {
    let mistakes = merged(texts).unwrap_err();
    let lines = mistakes.iter().map(|mistake| {
        let text = &texts[mistake.report];
        let at = mistake.at.map_or(String::new(), |at| {
            format!(" at `{}`", text[at..].chars().take(12).collect::<String>())
        });
        format!("{}{at}: {}", mistake.report + 1, mistake.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_does_not_belong_together_is_told_apart() {
    let run = |nodes: &[&str]| {
        let outcomes: Vec<Outcome> = nodes.iter().map(|n| outcome(n, Verdict::Ok)).collect();
        report(Purpose::Run, &outcomes, 1)
    };
    let check = report(Purpose::Check, &[outcome("c", Verdict::Ok)], 1);
    assert_eq!(
        mistake(&[run(&["a"]), check]),
        "2: it is a report of `check`, and 1.json is one of `run`"
    );
    let twice = mistake(&[run(&["a", "b"]), run(&["c", "b"])]);
    assert!(twice.starts_with("2 at `{"), "{twice}");
    assert!(twice.ends_with("node `b` is in 1.json already"), "{twice}");
    let within = mistake(&[run(&["a", "a"])]);
    assert!(
        within.ends_with("node `a` is in this report already"),
        "{within}"
    );
    // A node that two machines have worked on is found, however far apart they are.
    assert!(merged(&[run(&[]), run(&["a"]), run(&[])]).is_ok());
}

#[test]
fn what_is_no_report_says_why() {
    let good = report(Purpose::Run, &[outcome("a", Verdict::Ok)], 1);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut document = value(&good);
        change(&mut document);
        document.to_string()
    };
    for (text, part) in [
        (" \n".to_string(), "it is empty"),
        (
            "RECAP\n".to_string(),
            "it is no report of fwdeploy's: expected value",
        ),
        ("[]".to_string(), "it is no report of fwdeploy's"),
        ("{}".to_string(), "missing field `version`"),
        (good.clone() + &good, "trailing characters"),
        (
            with(&|d| d["version"] = json!(3)),
            "the document has version 3, and this fwdeploy reads version 2",
        ),
        // A version with another shape.
        (
            "{\"version\": 9, \"command\": \"run\"}".to_string(),
            "version 9",
        ),
        (
            with(&|d| d["command"] = json!("fly\u{1b}[2J")),
            "the command `fly",
        ),
        (
            with(&|d| d["command"] = json!("refused")),
            "cannot be merged",
        ),
        (
            with(&|d| d["command"] = json!("status")),
            "has the status `ok`, which a report of `status` does not have",
        ),
        (
            with(&|d| d["nodes"] = json!({})),
            "it is no report of fwdeploy's: invalid type: map",
        ),
        (
            with(&|d| d["nodes"][0] = json!(1)),
            "it is no report of fwdeploy's: invalid type: integer",
        ),
        (
            with(&|d| d["nodes"][0]["node"] = json!(null)),
            "invalid type: null",
        ),
        (
            with(&|d| d["nodes"][0]["status"] = json!("fine")),
            "node `a` has the status `fine`",
        ),
        (
            with(&|d| d["nodes"] = json!([])),
            "its summary counts 1 nodes, and it has 0",
        ),
        (
            with(&|d| d["nodes"][0]["status"] = json!("failed")),
            "its summary counts 1 as `ok`, and it has 0",
        ),
        (
            with(&|d| {
                d.as_object_mut().unwrap().shift_remove("summary");
            }),
            "it has no `summary`",
        ),
        (
            with(&|d| d["summary"]["exit_code"] = json!(300)),
            "it is no report of fwdeploy's: invalid value",
        ),
        ("[".repeat(100_000), "it is no report of fwdeploy's"),
        (
            good.replace(
                "\"findings\": []",
                &format!("\"findings\": {}1{}", "[".repeat(200), "]".repeat(200)),
            ),
            "recursion limit",
        ),
    ] {
        let why = mistake(std::slice::from_ref(&text));
        assert!(
            why.contains(part),
            "{}: {why}",
            text.chars().take(80).collect::<String>()
        );
    }
}

/// A document is shown on terminals, and what nodes have sent is in it.
#[test]
fn what_a_terminal_obeys_stays_escaped() {
    let text = report(Purpose::Run, &[outcome("a", Verdict::Failed)], 1);
    let mut document = value(&text);
    document["nodes"][0]["error"] = json!({"code": "x\u{9b}2J", "stage": "look", "message": "\u{202e}evil\u{1b}[2J", "hint": "\u{7f}", "standing": "unknown", "now": "\u{200b}"});
    document["warnings"] = json!([{"message": "\u{202e}"}]);
    // serde_json writes these characters as they are.
    let raw = document.to_string();
    assert!(raw.contains('\u{202e}') && raw.contains('\u{9b}'));
    let texts = [raw];
    let merged = merged(&texts).unwrap();
    for shown in [
        merged.document(),
        anstream::adapter::strip_str(&merged.text()).to_string(),
    ] {
        let is_shown = |c: char| crate::model::visible::is_visible(c) || c == '\n';
        assert!(shown.chars().all(is_shown), "{shown:?}");
    }
    assert_eq!(
        value(&merged.document())["nodes"][0]["error"]["message"],
        "\u{202e}evil\u{1b}[2J"
    );
}

fn not_started(message: &str) -> String {
    let remark = json::Remark {
        message: message.to_string(),
        hint: None,
        file: None,
        line: None,
        column: None,
        nodes: None,
        moved: None,
    };
    json::not_begun(&[remark], Purpose::Run, 1)
}

#[test]
fn a_part_that_was_not_started_is_never_success() {
    let ok = report(Purpose::Run, &[outcome("a", Verdict::Ok)], 1);
    let code = |texts: &[String]| merged(texts).unwrap().exit_code();
    assert_eq!(code(std::slice::from_ref(&ok)), 0);
    assert_eq!(code(&[not_started("no key"), not_started("no key")]), 1);
    assert_eq!(code(&[ok.clone(), not_started("no key")]), 2);
    let texts = [ok, not_started("no key"), not_started("no key")];
    let whole = merged(&texts).unwrap();
    let text = anstream::adapter::strip_str(&whole.text()).to_string();
    assert!(
        text.ends_with("2 reports say that their command was not started\n  no key\n"),
        "{text}"
    );
    // Also once it is merged.
    let again = [whole.document()];
    assert_eq!(code(&again), 2);
}

#[test]
fn the_first_signal_counts() {
    let outcomes = [outcome("a", Verdict::Skipped)];
    let stopped = |node: &str, code| {
        let outcomes = [outcome(node, Verdict::Skipped)];
        printed(&outcomes, Purpose::Run, &[], Duration::ZERO, code)
    };
    let failed = report(Purpose::Run, &[outcome("f", Verdict::Failed)], 1);
    let texts = [
        failed,
        report(Purpose::Run, &outcomes, 1),
        stopped("b", 143),
        stopped("c", 130),
    ];
    let merged = merged(&texts).unwrap();
    assert_eq!(merged.exit_code(), 143);
    assert_eq!(value(&merged.document())["summary"]["exit_code"], 143);
}

#[test]
fn a_warning_of_every_machine_is_one_with_the_nodes_of_all() {
    let part = |node: &str, nodes: Option<usize>, line| {
        let warning = json::Remark {
            message: "unused".to_string(),
            hint: None,
            file: Some("inventory.yml".to_string()),
            line: Some(line),
            column: Some(1),
            nodes,
            moved: None,
        };
        printed(
            &[outcome(node, Verdict::Ok)],
            Purpose::Run,
            &[warning],
            Duration::ZERO,
            0,
        )
    };
    let texts = [
        part("a", Some(3), 1),
        part("b", Some(4), 1),
        part("c", None, 2),
        part("d", None, 2),
    ];
    let document = value(&merged(&texts).unwrap().document());
    let warnings: Vec<(&Value, &Value)> = document["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| (&w["line"], &w["nodes"]))
        .collect();
    assert_eq!(
        warnings,
        [(&json!(1), &json!(7)), (&json!(2), &Value::Null)]
    );
}
