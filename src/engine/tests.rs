//! The dangerous paths first: half applied, lost connection, locked out, a second look that disagrees.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::engine::fake::Fake;
use crate::engine::fake::Trouble;
use crate::engine::fake::Way;
use crate::engine::fake::open_node;
use crate::engine::transaction::busy;
use crate::model::Audit;
use crate::model::DirectRule;
use crate::model::Family;
use crate::model::Rule;
use crate::model::records::Lease;
use crate::model::records::Records;
use crate::model::records::Snapshot;
use crate::model::state::Container;
use crate::model::state::Endpoint;
use crate::model::state::Observed;
use crate::plan;
use crate::plan::Allowed;
use crate::plan::Severity;
use crate::plan::compare;

/// Calls a function with everything that a run of this simulated fleet needs, and returns the events.
pub(super) fn with<T>(
    fake: &Arc<Fake>,
    stop: &Stop,
    f: impl FnOnce(&RunContext<'_>) -> T,
) -> (T, Vec<Event>) {
    let (sender, receiver) = mpsc::channel();
    let way = Way(Arc::clone(fake));
    let result = f(&RunContext {
        transport: &way,
        forks: NonZeroUsize::new(3).unwrap(),
        rollout: &Rollout::default(),
        limit: Duration::from_secs(60),
        pause: Duration::from_millis(1),
        confirm: Duration::from_secs(60),
        operator: "eva@desk",
        allowed: Allowed::default(),
        transcript: Transcript::Off,
        differences: Differences::Kept,
        sink: &sender,
        stop,
    });
    drop(sender);
    (result, receiver.iter().collect())
}

fn run_all(fake: &Arc<Fake>) -> Vec<Outcome> {
    with(fake, &Stop::default(), |c| {
        run_with(&fake.jobs(), c, &**fake)
    })
    .0
}

fn check_all(fake: &Arc<Fake>) -> Vec<Outcome> {
    with(fake, &Stop::default(), |c| {
        check_with(&fake.jobs(), c, &**fake)
    })
    .0
}

fn run_one(trouble: Trouble) -> (Arc<Fake>, Outcome) {
    let fake = Fake::new(&[("a", trouble)]);
    let outcome = run_all(&fake).remove(0);
    (fake, outcome)
}

fn failure(outcome: &Outcome) -> &Failure {
    outcome.failure.as_ref().expect("it failed")
}

/// How many steps the fake node needs.
fn steps() -> usize {
    plan::plan(&open_node(), &fake::desired(), &Allowed::default())
        .actions
        .len()
}

#[test]
fn a_check_changes_nothing_and_opens_one_connection_with_one_exec() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    let outcome = check_all(&fake).remove(0);
    assert_eq!(outcome.verdict, Verdict::Drift, "{outcome:#?}");
    assert!(!outcome.changes.is_empty());
    assert_eq!(fake.state("a"), open_node());
    assert_eq!(fake.visits("a"), (1, 1));
}

#[test]
fn a_run_says_changed_only_after_a_look_on_a_new_connection() {
    let (fake, outcome) = run_one(Trouble::None);
    assert_eq!(outcome.verdict, Verdict::Changed, "{outcome:#?}");
    // Look and apply; look again and confirm.
    assert_eq!(fake.visits("a"), (2, 4));
    let again = run_all(&fake).remove(0);
    assert_eq!(again.verdict, Verdict::Ok);
    assert_eq!(again.changes, []);
    // A network, an attachment, five direct rules and a rich one.
    assert_eq!(again.holds, 8);
    assert_eq!(check_all(&fake).remove(0).verdict, Verdict::Ok);
}

/// To see it fail: let `changed` count those that are kept.
#[test]
fn differences_that_were_told_are_counted_and_not_kept() {
    let fake = Fake::new(&[("a", Trouble::None), ("b", Trouble::None)]);
    let (outcomes, events) = with(&fake, &Stop::default(), |c| {
        let differences = Differences::Counted;
        let context = RunContext { differences, ..*c };
        run_with(&fake.jobs(), &context, &*fake)
    });
    let told = events.into_iter().filter_map(|event| match event {
        Event::Finished(outcome) => Some(*outcome),
        _ => None,
    });
    let mut told: Vec<Outcome> = told.collect();
    told.sort_by(|a, b| a.node.cmp(&b.node));
    assert_eq!(told.len(), outcomes.len());
    for (told, kept) in told.iter().zip(&outcomes) {
        assert!(told.changes.len() > 3);
        assert_eq!(kept.changes, []);
        assert_eq!(kept.changed(), told.changed());
        // The recap says the same.
        let of_all = Outcome {
            changes: told.changes.clone(),
            known: told.known.clone(),
            told: 0,
            ..kept.clone()
        };
        assert_eq!(of_all, *told);
    }
}

/// A check, a run, and a check again of a node whose role is in audit.
fn audit(is_over: bool) -> [Outcome; 3] {
    let fake = Fake::new(&[("a", Trouble::None)]);
    let mut jobs = fake.jobs();
    let mut desired = (*jobs[0].requires.desired()).clone();
    desired.audits = vec![Audit {
        role: "cybex".to_string(),
        until: Some("2027-01-31".parse().unwrap()),
        is_over,
    }];
    jobs[0].requires = Arc::new(Compiled {
        desired: Arc::new(desired),
        policy: jobs[0].requires.policy(),
    });
    let next = |is_run: bool| {
        let one = |c: &RunContext<'_>| match is_run {
            true => run_with(&jobs, c, &*fake),
            false => check_with(&jobs, c, &*fake),
        };
        let outcome = with(&fake, &Stop::default(), one).0.remove(0);
        assert_eq!(outcome.audit, ["cybex"]);
        outcome
    };
    [next(false), next(true), next(false)]
}

#[test]
fn a_node_in_audit_is_as_asked_and_never_ok() {
    let [before, run, after] = audit(false);
    assert_eq!(before.verdict, Verdict::Drift, "{before:#?}");
    assert_eq!(run.verdict, Verdict::Audit, "{run:#?}");
    assert!(run.changed() > 0 && !run.is_failure());
    assert_eq!(after.verdict, Verdict::Audit, "{after:#?}");
    assert_eq!(after.changed(), 0);
    for outcome in [before, run, after] {
        let codes = outcome.findings.iter().map(|finding| finding.code);
        assert_eq!(
            codes
                .filter(|code| *code == plan::FindingCode::Audit)
                .count(),
            1
        );
    }
}

/// What the operator has asked for is done and stays, and yet it is not what the role says of the day.
#[test]
fn a_forgotten_audit_is_never_as_asked() {
    let [_, run, after] = audit(true);
    assert_eq!(run.verdict, Verdict::Failed, "{run:#?}");
    let failure = failure(&run);
    assert_eq!(failure.code, FailureCode::NotEnforced);
    assert_eq!(failure.condition, NodeCondition::Applied(Vec::new()));
    assert_eq!(
        (after.verdict, after.changes.len()),
        (Verdict::Drift, 0),
        "{after:#?}"
    );
}

/// The steps but the one that there is another way for.
fn steps_without_another_way() -> impl Iterator<Item = usize> {
    let plan = plan::plan(&open_node(), &fake::desired(), &Allowed::default());
    plan.actions
        .into_iter()
        .enumerate()
        .filter(|(_, action)| !matches!(action, plan::Action::OwnChain { .. }))
        .map(|(step, _)| step)
}

#[test]
fn a_chain_that_cannot_be_recreated_in_place_comes_by_a_reload_under_the_latch() {
    let step = (0..steps())
        .find(|step| steps_without_another_way().all(|other| other != *step))
        .expect("the fake node's chain is recreated");
    let (fake, outcome) = run_one(Trouble::Fails(step));
    assert_eq!(outcome.verdict, Verdict::Changed, "{outcome:#?}");
    assert_eq!(outcome.findings[0].code.as_str(), "reloaded-instead");
    assert!(outcome.changes.iter().any(|c| c.text.contains("(reload)")));
    assert_eq!(run_all(&fake).remove(0).verdict, Verdict::Ok);

    let fake = Fake::new(&[("a", Trouble::Fails(step))]);
    let never = with(&fake, &Stop::default(), |c| {
        let allowed = Allowed {
            reload: plan::Reload::Never,
            ..c.allowed
        };
        run_with(&fake.jobs(), &RunContext { allowed, ..*c }, &*fake)
    });
    assert_eq!(failure(&never.0[0]).code.as_str(), "chain-not-recreated");
    assert_eq!(compare(&open_node(), &fake.state("a")), []);
}

#[test]
fn a_step_that_fails_anywhere_leaves_the_node_as_it_was() {
    for step in steps_without_another_way() {
        let (fake, outcome) = run_one(Trouble::Fails(step));
        assert_eq!(outcome.verdict, Verdict::Failed);
        let failure = failure(&outcome);
        assert_eq!(failure.condition, as_before(), "step {step}");
        assert!(
            failure
                .message
                .starts_with(&format!("step {} of", step + 1))
        );
        assert!(failure.message.ends_with("COMMAND_FAILED: no such chain"));
        assert_eq!(compare(&open_node(), &fake.state("a")), [], "step {step}");
    }
}

/// The node has gone back, and a fresh look showed it.
fn as_before() -> NodeCondition {
    NodeCondition::AsBefore {
        since: "12:00".to_string(),
    }
}

#[test]
fn a_node_that_cannot_go_back_is_not_called_as_before() {
    for step in steps_without_another_way() {
        let (_, outcome) = run_one(Trouble::FailsBack(step));
        let NodeCondition::Unknown(why) = &failure(&outcome).condition else {
            panic!("{outcome:#?}");
        };
        assert!(why.ends_with("firewalld did not reload"), "{why}");
    }
}

#[test]
fn a_node_that_cannot_be_armed_is_not_touched() {
    let (fake, outcome) = run_one(Trouble::CannotArm);
    assert_eq!(failure(&outcome).code.as_str(), "not-armed");
    assert!(
        failure(&outcome)
            .message
            .contains("No space left on device")
    );
    assert_eq!(failure(&outcome).condition, NodeCondition::Untouched);
    assert_eq!(fake.state("a"), open_node());
}

#[test]
fn what_another_run_has_changed_in_between_is_planned_anew() {
    let (fake, outcome) = run_one(Trouble::Stale(2));
    assert_eq!(outcome.verdict, Verdict::Changed, "{outcome:#?}");
    assert_eq!(fake.visits("a"), (4, 8));
    let (_, outcome) = run_one(Trouble::Stale(100));
    assert_eq!(failure(&outcome).code.as_str(), "busy");
}

#[test]
fn a_run_that_is_confirmed_too_late_is_no_changed_node() {
    let (fake, outcome) = run_one(Trouble::Late);
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(failure(&outcome).code.as_str(), "confirmed-too-late");
    assert_eq!(failure(&outcome).condition, as_before());
    assert_eq!(compare(&open_node(), &fake.state("a")), []);
}

#[test]
fn as_before_is_said_of_a_node_only_after_a_look() {
    // Seen to fail with `confirm` that takes the node's own word for it.
    let (fake, outcome) = run_one(Trouble::LateByWord);
    assert_eq!(failure(&outcome).code.as_str(), "confirmed-too-late");
    let NodeCondition::Different(changes) = &failure(&outcome).condition else {
        panic!("{outcome:#?}");
    };
    assert_eq!(*changes, compare(&open_node(), &fake.state("a")));

    let (_, outcome) = run_one(Trouble::LateAndGone);
    assert_eq!(failure(&outcome).code.as_str(), "confirmed-too-late");
    let NodeCondition::Unknown(why) = &failure(&outcome).condition else {
        panic!("{outcome:#?}");
    };
    assert!(
        why.starts_with(
            "the node reports that it was rolled back at 12:00, but this could not be verified: "
        ),
        "{why}"
    );
}

#[test]
fn an_ending_that_is_not_told_is_no_confirmation() {
    let (_, outcome) = run_one(Trouble::Forgets);
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(failure(&outcome).code.as_str(), "not-confirmed");
    assert_eq!(
        failure(&outcome).condition,
        NodeCondition::AsBefore {
            since: String::new()
        }
    );
}

#[test]
fn a_confirmation_without_an_answer_is_asked_for_again() {
    let (_, outcome) = run_one(Trouble::LostConfirming);
    assert_eq!(outcome.verdict, Verdict::Changed, "{outcome:#?}");
}

#[test]
fn a_node_out_of_reach_is_said_to_go_back_by_itself() {
    let fake = Fake::new(&[("a", Trouble::CutOff)]);
    let leave = Arc::new(AtomicBool::new(false));
    let stop = Stop::sharing(Arc::default(), Arc::clone(&leave));
    // An abandoned node is not waited for.
    let leaving = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        leave.store(true, Ordering::SeqCst);
    });
    let (outcomes, _) = with(&fake, &stop, |c| run_with(&fake.jobs(), c, &*fake));
    leaving.join().unwrap();
    let failure = failure(&outcomes[0]);
    assert_eq!(failure.code.as_str(), "no-way-back-in");
    let NodeCondition::GoesBack { within, .. } = failure.condition else {
        panic!("{failure:#?}");
    };
    assert!((60..=80).contains(&within), "{within}");
}

#[test]
fn a_node_that_another_run_holds_is_left_to_it() {
    let (fake, outcome) = run_one(Trouble::Busy);
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(failure(&outcome).code.as_str(), "busy");
    assert_eq!(failure(&outcome).condition, NodeCondition::Untouched);
    // The last reading shows who holds it.
    assert_eq!(fake.visits("a"), (1, 3));
}

#[test]
fn a_machine_under_a_second_name_is_told_from_somebody_elses_run() {
    let mut seen = open_node();
    let snapshot = Snapshot {
        number: 3,
        run: "1-2".to_string(),
        node: "edge-1".to_string(),
        operator: "eva@desk".to_string(),
        ..Snapshot::default()
    };
    let lease = Lease {
        number: 3,
        alive: true,
        left: Some(50),
        step: "0".to_string(),
        restore_failed: false,
        missing: Vec::new(),
        trouble: Vec::new(),
    };
    seen.records = Observed::Known(Records {
        last: 3,
        lease: Some(lease),
        snapshots: vec![snapshot],
        ..Records::default()
    });
    let ours = busy(&seen, "1-2").unwrap();
    assert_eq!(ours.code.as_str(), "same-machine");
    assert!(
        ours.message.contains("the same machine as edge-1"),
        "{}",
        ours.message
    );
    let theirs = busy(&seen, "9-9").unwrap();
    assert_eq!(theirs.code.as_str(), "busy");
    assert!(theirs.message.contains("eva@desk"), "{}", theirs.message);
}

#[test]
fn a_connection_lost_anywhere_is_found_out_and_taken_back() {
    for step in 0..steps() {
        for trouble in [Trouble::LostAfter(step), Trouble::LostThere(step)] {
            let (fake, outcome) = run_one(trouble);
            assert_eq!(outcome.verdict, Verdict::Failed);
            assert_eq!(failure(&outcome).code.as_str(), "step-lost");
            assert_eq!(failure(&outcome).condition, as_before(), "{trouble:?}");
            assert_eq!(compare(&open_node(), &fake.state("a")), [], "{trouble:?}");
        }
    }
}

#[test]
fn who_cannot_come_in_again_takes_back_over_the_old_connection() {
    let (fake, outcome) = run_one(Trouble::LocksOut);
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(failure(&outcome).code.as_str(), "no-way-back-in");
    assert_eq!(failure(&outcome).condition, as_before());
    assert_eq!(compare(&open_node(), &fake.state("a")), []);
}

#[test]
fn a_step_without_effect_is_found_by_the_second_look() {
    let plan = plan::plan(&open_node(), &fake::desired(), &Allowed::default());
    for (step, action) in plan.actions.iter().enumerate() {
        // The latch is gone at the end, whether it was ever there or not.
        if matches!(action, plan::Action::Latch { .. }) {
            continue;
        }
        let (fake, outcome) = run_one(Trouble::Pretends(step));
        assert_eq!(outcome.verdict, Verdict::Failed, "step {step}");
        assert_eq!(
            failure(&outcome).code.as_str(),
            "not-as-wanted",
            "step {step}"
        );
        assert_eq!(failure(&outcome).condition, as_before(), "step {step}");
        assert_eq!(compare(&open_node(), &fake.state("a")), [], "step {step}");
    }
}

#[test]
fn what_no_step_explains_is_listed_and_not_called_as_before() {
    let (_, outcome) = run_one(Trouble::Spoils(1));
    let NodeCondition::Different(changes) = &failure(&outcome).condition else {
        panic!("{outcome:#?}");
    };
    assert!(!changes.is_empty());
}

#[test]
fn one_bad_node_stops_no_other() {
    let fake = Fake::new(&[
        ("a", Trouble::Down),
        ("b", Trouble::None),
        ("c", Trouble::Hangs),
        ("d", Trouble::Panics),
        ("e", Trouble::None),
    ]);
    let outcomes = run_all(&fake);
    let verdicts: Vec<_> = outcomes
        .iter()
        .map(|o| (o.node.as_str(), o.verdict))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("a", Verdict::Unreachable),
            ("b", Verdict::Changed),
            ("c", Verdict::Failed),
            ("d", Verdict::Failed),
            ("e", Verdict::Changed),
        ]
    );
    assert_eq!(failure(&outcomes[0]).code.as_str(), "connection-refused");
    assert_eq!(failure(&outcomes[2]).code.as_str(), "timed-out");
    assert_eq!(failure(&outcomes[3]).code.as_str(), "internal");
}

#[test]
fn a_node_that_may_not_be_touched_is_refused_and_untouched() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    fake.change("a", |state| {
        state.firewalld.known_mut().unwrap().state = "FAILED".to_string();
    });
    let outcome = run_all(&fake).remove(0);
    assert_eq!(outcome.verdict, Verdict::Refused);
    assert_eq!(outcome.findings[0].severity, Severity::Refuse);
    assert_eq!(fake.visits("a"), (1, 1));
    assert_eq!(check_all(&fake).remove(0).verdict, Verdict::Refused);
}

#[test]
fn after_the_wish_to_stop_no_node_is_begun() {
    let fake = Fake::new(&[("a", Trouble::None), ("b", Trouble::None)]);
    let stop = Stop::sharing(Arc::new(AtomicBool::new(true)), Arc::default());
    let (outcomes, events) = with(&fake, &stop, |c| run_with(&fake.jobs(), c, &*fake));
    assert!(outcomes.iter().all(|o| o.verdict == Verdict::Skipped));
    assert_eq!(fake.visits("a"), (0, 0));
    assert_eq!(events.len(), 2, "each node finishes, begun or not");
}

#[test]
fn the_stages_are_told_in_order() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    let (_, events) = with(&fake, &Stop::default(), |c| {
        run_with(&fake.jobs(), c, &*fake)
    });
    let told: Vec<String> = events
        .iter()
        .map(|event| match event {
            Event::Stage { stage, .. } => stage.to_string(),
            Event::Finished(outcome) => format!("finished: {}", outcome.verdict),
            other => panic!("{other:?}"),
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_the_steps_bring_about_is_said_after_the_second_look() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    fake.change("a", |state| {
        let rule = "-s 172.21.0.0/16 ! -d 172.21.0.0/16 -m comment --comment fwdeploy:eos/otherwise-out -j REJECT";
        let rule = Rule::parse_text(rule).unwrap();
        let direct = state.permanent.direct.known_mut().unwrap();
        direct.rules.push(DirectRule::ours(Family::V4, 1000, &rule));
        let endpoint = Endpoint {
            network: "eos".to_string(),
            address: "172.21.0.2".parse().ok(),
            ..Endpoint::default()
        };
        state.docker.known_mut().unwrap().containers.push(Container {
            name: "eos".to_string(),
            running: true,
            endpoints: vec![endpoint],
            ..Container::default()
        });
    });
    let count = |outcome: &Outcome| {
        let findings = outcome.findings.iter();
        findings.filter(|f| f.code.as_str() == "opened").count()
    };
    assert_eq!(count(&run_all(&fake)[0]), 1);
    assert_eq!(count(&run_all(&fake)[0]), 0, "once is enough");
}
