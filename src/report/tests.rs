//! Every message of a report, as a person and as a script sees it.

use std::time::Duration;

use crate::engine::BudgetExceeded;
use crate::engine::Event;
use crate::engine::Failure;
use crate::engine::FailureCode;
use crate::engine::NodeCondition;
use crate::engine::NotBegun;
use crate::engine::Outcome;
use crate::engine::Stage;
use crate::engine::Verdict;
use crate::engine::Wave;
use crate::model::records::Snapshot;
use crate::model::state::View;
use crate::plan::Change;
use crate::plan::Finding;
use crate::plan::FindingCode;
use crate::plan::Severity;
use crate::plan::Sign;
use crate::report::Purpose;
use crate::report::json;
use crate::report::json::Remark;
use crate::report::lines::Plain;
use crate::report::lines::lines;
use crate::report::progress::Verbosity;
use crate::report::recap;
use crate::report::text;
use crate::report::text::Diff;

fn change(sign: Sign, view: View, text: &str) -> Change {
    Change {
        sign,
        view,
        text: text.to_string(),
    }
}

fn applying() -> Stage {
    Stage::Applying {
        step: 3,
        of: 13,
        doing: "adding rules",
    }
}

/// One node for each way in which it can end.
fn outcomes() -> Vec<Outcome> {
    let changes = vec![
        change(
            Sign::Add,
            View::Permanent,
            "ipv4 filter DOCKER-USER 200 -s 172.20.0.2/32 -d 192.0.2.7/32 -j ACCEPT",
        ),
        change(
            Sign::Remove,
            View::Runtime,
            "ipv4 filter DOCKER-USER 0 -s 172.20.0.2/32 -j REJECT",
        ),
        change(
            Sign::Replace,
            View::Kernel,
            "ipv4 filter FORWARD -j DOCKER-USER: from position 4 to position 1, ahead of rules that accept",
        ),
    ];
    let with = |name: &str, verdict| Outcome {
        holds: 7,
        duration: Duration::from_millis(1234),
        ..Outcome::new(name, verdict)
    };
    let down = Failure::new(
        Stage::Connecting,
        FailureCode::ConnectionRefused,
        "cannot connect to node `cyb-4` (192.0.2.4:22): connection refused",
    )
    .hint("check `ansible_port`, that sshd runs there, and that its firewall lets this machine in");
    let step = |condition| {
        Failure::new(
            applying(),
            FailureCode::StepFailed,
            "step 3 of 13 (adding rules) failed: COMMAND_FAILED: \x1b[31mno such chain",
        )
        .condition(condition)
    };
    let remaining = Failure::new(
        Stage::Verifying,
        FailureCode::NotAsWanted,
        "all steps were done, but the verification shows that the node is still not in the desired state",
    )
    .hint("run it again")
    .condition(NodeCondition::Applied(changes[..1].to_vec()));
    let refusal = Finding::new(
        FindingCode::FirewalldFailed,
        View::Runtime,
        "firewalld is in state FAILED: it refuses permanent changes",
    )
    .hint("journalctl -u firewalld names the rule it could not load");
    let defeat = Finding::with_severity(
        Severity::NotEnforced,
        FindingCode::ForeignAccept,
        View::Permanent,
        "a rule that is not managed by fwdeploy accepts everything ahead of the whitelist: ipv4 filter DOCKER-USER -1 -j ACCEPT",
    );
    vec![
        with("cyb-1", Verdict::Ok),
        Outcome {
            changes: changes.clone(),
            ..with("cyb-2", Verdict::Changed)
        },
        Outcome {
            changes: changes.clone(),
            ..with("cyb-3", Verdict::Drift)
        },
        Outcome::new("cyb-4", Verdict::Ok).failed(down),
        Outcome {
            changes: changes.clone(),
            ..with("cyb-5", Verdict::Ok)
        }
        .failed(step(NodeCondition::AsBefore {
            since: "2026-11-22T12:00:00Z".to_string(),
        })),
        Outcome {
            findings: vec![refusal],
            ..with("cyb-6", Verdict::Refused)
        },
        Outcome {
            changes: changes.clone(),
            ..with("cyb-7", Verdict::Ok)
        }
        .failed(remaining),
        Outcome {
            findings: vec![defeat],
            ..with("cyb-8", Verdict::Drift)
        },
        with("cyb-9", Verdict::Ok).failed(step(NodeCondition::Different(changes[1..2].to_vec()))),
        with("cyb-10", Verdict::Ok).failed(step(NodeCondition::Unknown(
            "cannot connect to node `cyb-10`: no answer within 10s".to_string(),
        ))),
        with("cyb-11", Verdict::Ok).failed(step(NodeCondition::Untouched)),
        Outcome::new("cyb-12", Verdict::Skipped),
        with("cyb-13", Verdict::Ok).failed(step(NodeCondition::GoesBack {
            why: "no answer within 10s".to_string(),
            within: 41,
        })),
        taken_back(),
        Outcome {
            snapshot: Some(snapshot()),
            changes: changes[..1].to_vec(),
            ..with("cyb-15", Verdict::Changed)
        },
    ]
}

/// Nodes with a role in audit, at each end that is not a failure.
fn in_audit() -> Vec<Outcome> {
    let finding = |code, text: &str| Finding::new(code, View::Guard, text);
    let audit = || {
        finding(
            FindingCode::Audit,
            "AUDIT: what is on no list of role `cybex` passes and is recorded",
        )
    };
    let node = |name: &str, verdict, changes: usize, findings| Outcome {
        holds: 7,
        changes: vec![change(Sign::Add, View::Guard, "table inet fwdeploy"); changes],
        findings,
        audit: vec!["cybex".to_string()],
        ..Outcome::new(name, verdict)
    };
    let expired = finding(
        FindingCode::AuditExpired,
        "AUDIT, which was to end on 2027-01-31: what is on no list of role `cybex` passes and is recorded",
    );
    let not_enforced = Failure::new(Stage::Verifying, FailureCode::NotEnforced, "it has expired")
        .condition(NodeCondition::Applied(Vec::new()));
    vec![
        node("cyb-1", Verdict::Audit, 0, vec![audit()]),
        node("cyb-2", Verdict::Audit, 1, vec![audit()]),
        node("cyb-3", Verdict::Drift, 1, vec![audit()]),
        node("cyb-4", Verdict::Drift, 0, vec![expired.clone()]),
        node("cyb-5", Verdict::Audit, 1, vec![expired]).failed(not_enforced),
    ]
}

#[test]
fn a_node_in_audit_is_never_just_ok() {
    let outcomes = in_audit();
    let elapsed = Duration::from_secs(2);
    let mut said: String = outcomes
        .iter()
        .map(|o| text::node(o, Diff::Shown))
        .collect();
    said.push_str(&recap::recap(&outcomes, elapsed));
    let said = plain(&said);
    let lines = said.lines().filter(|line| line.starts_with("cyb-"));
    assert!(lines.clone().count() == 10 && lines.clone().all(|line| !line.ends_with(": ok")));
    let document = document(&outcomes, Purpose::Check, elapsed, 2);
    assert!(!document.contains("\"status\": \"ok\""));
    insta::assert_snapshot!(format!("{said}{document}"));
}

/// The document of outcomes without warnings.
fn document(outcomes: &[Outcome], purpose: Purpose, elapsed: Duration, exit_code: u8) -> String {
    let mut bytes = Vec::new();
    json::outcomes(&mut bytes, outcomes, purpose, &[], elapsed, exit_code).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A node that was in the desired state, in a run that failed elsewhere.
fn taken_back() -> Outcome {
    let failure = Failure::new(
        Stage::RollingBack,
        FailureCode::RolledBack,
        "the node was in the desired state, and was rolled back because the run failed elsewhere (--rollback-all)",
    );
    Outcome {
        verdict: Verdict::RolledBack,
        failure: Some(failure.condition(NodeCondition::AsBefore {
            since: String::new(),
        })),
        snapshot: Some(snapshot()),
        ..Outcome::new("cyb-14", Verdict::Ok)
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        number: 7,
        operator: "eva@desk".to_string(),
        since: "2026-11-22T12:00:00Z".to_string(),
        what: "run".to_string(),
        ..Snapshot::default()
    }
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn every_end_of_a_node_is_said() {
    let text: String = outcomes()
        .iter()
        .map(|o| text::node(o, Diff::Shown))
        .collect();
    insta::assert_snapshot!(plain(&text));
}

#[test]
fn a_node_that_was_left_says_how_it_stands() {
    let left = |stage: Stage, condition| {
        let message = "stopped waiting for node `cyb-1` (192.0.2.1:22), as asked";
        let failure = Failure::new(stage, FailureCode::Stopped, message).condition(condition);
        let outcome = Outcome::new("cyb-1", Verdict::Ok).failed(failure);
        plain(&text::node(&outcome, Diff::Counted))
    };
    let goes_back = |within| NodeCondition::GoesBack {
        why: "stopped, as asked".to_string(),
        within,
    };
    insta::assert_snapshot!(
        [
            left(Stage::Connecting, NodeCondition::Untouched),
            left(Stage::Looking, NodeCondition::Untouched),
            left(applying(), goes_back(57)),
            left(applying(), goes_back(0)),
            left(
                Stage::RollingBack,
                NodeCondition::AsBefore {
                    since: String::new()
                }
            ),
            left(
                Stage::Confirming,
                NodeCondition::Unknown("no answer".to_string())
            ),
        ]
        .concat()
    );
}

#[test]
fn without_diff_only_what_matters_is_said() {
    let quiet = |n: usize| text::node(&outcomes()[n], Diff::Counted);
    assert_eq!(quiet(0), "");
    assert_eq!(quiet(1), "");
    assert!(plain(&quiet(5)).contains("refused: firewalld is in state FAILED"));
}

#[test]
fn the_recap_is_in_ansibles_words() {
    let text = recap::recap(&outcomes(), Duration::from_secs(41));
    insta::assert_snapshot!(plain(&text));
}

#[test]
fn colours_say_the_same_as_words() {
    let text = recap::recap(&outcomes()[..2], Duration::from_secs(41));
    insta::assert_snapshot!(text.replace('\x1b', "␛"));
}

fn exceeded() -> BudgetExceeded {
    BudgetExceeded {
        wave: Wave {
            number: 1,
            of: 4,
            nodes: 10,
        },
        failed: 2,
        allowed: 0,
    }
}

/// Nodes that were not started: after a wave with failures, after a stop, and without a role.
fn left() -> Vec<Outcome> {
    let why = NotBegun::TooManyFailures(exceeded());
    vec![
        outcomes().swap_remove(4),
        outcomes().swap_remove(3),
        Outcome::not_begun("cyb-20", why),
        Outcome::not_begun("cyb-21", NotBegun::NoRole),
        Outcome::not_begun("cyb-22", why),
        Outcome::not_begun("cyb-23", NotBegun::Stopped),
    ]
}

#[test]
fn why_nodes_were_not_begun_is_said_once_for_all_of_them() {
    let text = recap::recap(&left(), Duration::from_secs(41));
    insta::assert_snapshot!(plain(&text));
}

#[test]
fn a_script_reads_why_a_node_was_not_begun() {
    let text = document(&left()[2..4], Purpose::Run, Duration::from_secs(41), 2);
    insta::assert_snapshot!(text);
}

fn remark() -> Remark {
    Remark {
        message: "nothing uses the variable `cybx_peers`".to_string(),
        hint: Some("did you mean `cybex_peers`?".to_string()),
        file: Some("inventory.yml".to_string()),
        line: Some(7),
        column: Some(3),
        nodes: Some(58),
        moved: None,
    }
}

#[test]
fn a_command_that_was_not_begun_says_why_to_scripts() {
    let remark = Remark {
        nodes: None,
        ..remark()
    };
    insta::assert_snapshot!(json::not_begun(&[remark], Purpose::Check, 1));
}

#[test]
fn the_document_for_scripts_keeps_its_shape() {
    let all = outcomes();
    let few = [&all[1], &all[4], &all[5], &taken_back()].map(Clone::clone);
    let (mut bytes, elapsed) = (Vec::new(), Duration::from_secs(41));
    json::outcomes(&mut bytes, &few, Purpose::Run, &[remark()], elapsed, 2).unwrap();
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
}

#[test]
fn the_journey_is_told_as_loudly_as_asked() {
    let node = || "cyb-1".to_string();
    let stage = |stage| Event::Stage {
        node: node(),
        stage,
    };
    let long = "line\n".repeat(50);
    let events = [
        Event::Wave(Wave {
            number: 2,
            of: 4,
            nodes: 10,
        }),
        Event::BudgetExceeded(exceeded()),
        Event::TakingBack(vec![(node(), Verdict::Changed)]),
        stage(Stage::Connecting),
        stage(Stage::Applying {
            step: 1,
            of: 13,
            doing: "adding rules",
        }),
        stage(applying()),
        stage(Stage::Settling),
        Event::Sent {
            node: node(),
            script: "set -eu\necho done\n".to_string(),
        },
        Event::Answered {
            node: node(),
            status: Ok(0),
            stdout: "done 1\n".to_string(),
            stderr: "a warning\x07\n".to_string(),
        },
        Event::Answered {
            node: node(),
            status: Err("lost".to_string()),
            stdout: long,
            stderr: String::new(),
        },
    ];
    let mut told = String::new();
    for (title, verbosity, plain) in [
        ("bars", Verbosity::Quiet, Plain::Bars),
        ("lines", Verbosity::Quiet, Plain::Lines),
        ("bars -v", Verbosity::Steps, Plain::Bars),
        ("lines -v", Verbosity::Steps, Plain::Lines),
    ] {
        told.push_str(&format!("== {title}\n"));
        for text in events.iter().filter_map(|e| lines(e, verbosity, plain)) {
            told.push_str(&text);
            told.push('\n');
        }
    }
    insta::assert_snapshot!(told);
    let everything = lines(&events[9], Verbosity::Everything, Plain::Lines);
    assert_eq!(everything.map_or(0, |text| text.lines().count()), 51);
}
