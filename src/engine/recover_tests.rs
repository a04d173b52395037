//! Recovery, on a fleet that behaves.

use std::sync::Arc;

use crate::engine::NodeCondition;
use crate::engine::Outcome;
use crate::engine::RunContext;
use crate::engine::Stop;
use crate::engine::Verdict;
use crate::engine::fake::Fake;
use crate::engine::fake::Trouble;
use crate::engine::run_with;
use crate::engine::tests::with;
use crate::model::NodeState;
use crate::model::Observed;
use crate::model::records::Lease;
use crate::model::rule::DirectRule;
use crate::model::state::Direct;
use crate::plan::Allowed;
use crate::plan::Permission;

fn run(fake: &Arc<Fake>, recover: Permission) -> Outcome {
    with(fake, &Stop::default(), |c| {
        let allowed = Allowed {
            recover,
            ..c.allowed
        };
        run_with(&fake.jobs(), &RunContext { allowed, ..*c }, &**fake)
    })
    .0
    .remove(0)
}

fn fail(state: &mut NodeState) {
    state.firewalld.known_mut().unwrap().state = "FAILED".to_string();
    let rule = |text: &str| DirectRule {
        family: Some(crate::model::Family::V4),
        table: "filter".to_string(),
        chain: "FORWARD".to_string(),
        priority: 0,
        args: text.split(' ').map(String::from).collect(),
    };
    state.permanent.direct = Observed::Known(Direct {
        rules: vec![rule("-s 192.0.2.9/32 -j ACCEPT"), rule("-j NOWHERE")],
        ..Direct::default()
    });
}

fn lease(missing: &[&str]) -> Option<Lease> {
    Some(Lease {
        number: 3,
        alive: false,
        left: None,
        restore_failed: false,
        trouble: Vec::new(),
        missing: missing.iter().map(ToString::to_string).collect(),
        step: "2".to_string(),
    })
}

fn codes(outcome: &Outcome) -> Vec<&str> {
    outcome.findings.iter().map(|f| f.code.as_str()).collect()
}

#[test]
fn without_the_flag_nothing_is_mended() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    fake.change("a", fail);
    let outcome = run(&fake, Permission::Withheld);
    assert_eq!(outcome.verdict, Verdict::Refused, "{outcome:#?}");
    assert_eq!(codes(&outcome), ["firewalld-failed"]);
    assert_eq!(fake.visits("a"), (1, 1));
}

#[test]
fn a_well_node_has_nothing_to_mend() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    let outcome = run(&fake, Permission::Granted);
    assert_eq!(outcome.verdict, Verdict::Changed, "{outcome:#?}");
    assert_eq!(fake.recoveries(), 0);
}

#[test]
fn what_is_mended_is_told_ahead_of_what_is_changed_then() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    fake.change("a", fail);
    let outcome = run(&fake, Permission::Granted);
    assert_eq!(outcome.verdict, Verdict::Changed, "{outcome:#?}");
    let texts: Vec<String> = outcome.changes.iter().map(ToString::to_string).collect();
    assert!(texts[0].contains("-j NOWHERE"), "{texts:#?}");
    assert!(texts[1].contains("was in state FAILED"), "{texts:#?}");
    assert!(
        texts[2].contains("chain ipv4 filter DOCKER-USER"),
        "{texts:#?}"
    );
    assert_eq!(codes(&outcome)[0], "set-aside");
    let text = &outcome.findings[0].text;
    assert!(text.contains("no such chain"), "{text}");
    let kept = fake.state("a").permanent.direct.known().unwrap().clone();
    assert!(
        kept.rules
            .iter()
            .any(|r| r.args[0] == "-s" && r.args[1] == "192.0.2.9/32")
    );
    assert_eq!(fake.recoveries(), 1);
    assert_eq!(run(&fake, Permission::Granted).verdict, Verdict::Ok);
}

#[test]
fn a_recovery_that_fails_goes_back_and_is_not_told_as_done() {
    for (trouble, code) in [
        (Trouble::Fails(1), "step-failed"),
        (Trouble::Pretends(1), "not-recovered"),
    ] {
        let fake = Fake::new(&[("a", trouble)]);
        fake.change("a", fail);
        let before = fake.state("a");
        let outcome = run(&fake, Permission::Granted);
        assert_eq!(outcome.verdict, Verdict::Failed, "{outcome:#?}");
        let failure = outcome.failure.as_ref().unwrap();
        assert_eq!(failure.code.as_str(), code, "{outcome:#?}");
        assert!(
            matches!(failure.condition, NodeCondition::AsBefore { .. }),
            "{outcome:#?}"
        );
        assert_eq!(outcome.changes, []);
        assert_eq!(codes(&outcome), ["firewalld-failed"]);
        assert_eq!(fake.state("a").permanent, before.permanent);
    }
}

#[test]
fn an_unfinished_run_is_taken_back_or_let_go_before_another_begins() {
    for (missing, words) in [
        (&[][..], "rolled back"),
        (&["restore.sh"][..], "lacks restore.sh"),
    ] {
        let fake = Fake::new(&[("a", Trouble::None)]);
        fake.change("a", |state| {
            state.records.known_mut().unwrap().lease = lease(missing)
        });
        let outcome = run(&fake, Permission::Withheld);
        assert_eq!(outcome.verdict, Verdict::Refused, "{outcome:#?}");
        let outcome = run(&fake, Permission::Granted);
        assert_eq!(outcome.verdict, Verdict::Changed, "{outcome:#?}");
        assert!(outcome.changes[0].text.contains(words), "{outcome:#?}");
    }
}

#[test]
fn a_restore_that_fails_again_leaves_the_lease_and_says_so() {
    let fake = Fake::new(&[("a", Trouble::FailsBack(0))]);
    fake.change("a", |state| {
        state.records.known_mut().unwrap().lease = lease(&[])
    });
    let outcome = run(&fake, Permission::Granted);
    assert_eq!(outcome.verdict, Verdict::Failed, "{outcome:#?}");
    assert_eq!(
        outcome.failure.as_ref().unwrap().code.as_str(),
        "restore-failed"
    );
    assert!(fake.state("a").records.known().unwrap().lease.is_some());
}
