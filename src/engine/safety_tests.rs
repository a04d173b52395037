//! Intended rollbacks: to a snapshot, of a change that is never confirmed, and because other nodes failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::*;
use crate::engine::fake::Fake;
use crate::engine::fake::Trouble;
use crate::engine::fake::open_node;
use crate::engine::machines::SecondName;
use crate::engine::tests::with;
use crate::model::File;
use crate::model::Files;
use crate::model::Observed;
use crate::model::rule::Passthrough;
use crate::plan::FindingCode;
use crate::plan::compare;

fn run(fake: &Arc<Fake>) -> Outcome {
    let (mut outcomes, _) = with(fake, &Stop::default(), |c| {
        run_with(&fake.jobs(), c, &**fake)
    });
    outcomes.remove(0)
}

fn roll_back(fake: &Arc<Fake>, to: Option<u64>) -> Outcome {
    let (mut outcomes, _) = with(fake, &Stop::default(), |c| {
        rollback_with(&fake.jobs(), c, &**fake, to)
    });
    outcomes.remove(0)
}

fn drill(fake: &Arc<Fake>) -> Outcome {
    let (mut outcomes, _) = with(fake, &Stop::default(), |c| {
        let confirm = Duration::ZERO;
        drill_with(&fake.jobs(), &RunContext { confirm, ..*c }, &**fake)
    });
    outcomes.remove(0)
}

fn code(outcome: &Outcome) -> &'static str {
    outcome.failure.as_ref().map_or("none", |f| f.code.as_str())
}

fn condition(outcome: &Outcome) -> &'static str {
    outcome
        .failure
        .as_ref()
        .map_or("none", |f| f.condition.as_str())
}

fn policies(fake: &Arc<Fake>) -> Vec<(String, String)> {
    let state = fake.state("a");
    let snapshots = &state.records.known().unwrap().snapshots;
    snapshots
        .iter()
        .map(|s| (s.what.clone(), s.policy.clone()))
        .collect()
}

#[test]
fn a_rollback_brings_the_state_before_the_last_run_and_can_be_rolled_back() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    assert_eq!(run(&fake).verdict, Verdict::Changed);
    let closed = fake.state("a");

    let outcome = roll_back(&fake, None);
    assert_eq!(outcome.verdict, Verdict::Changed, "{outcome:#?}");
    assert_eq!(outcome.snapshot.as_ref().map(|s| s.number), Some(1));
    assert_eq!(outcome.changes, compare(&closed, &open_node()));
    assert_eq!(compare(&open_node(), &fake.state("a")), []);

    let outcome = roll_back(&fake, None);
    assert_eq!(outcome.snapshot.map(|s| s.number), Some(2));
    assert_eq!(compare(&closed, &fake.state("a")), []);
    // The policy before the first run is unknown; before the second rollback no policy of fwdeploy was in force.
    let hash = "0123456789abcdef";
    assert_eq!(
        policies(&fake),
        [
            ("run", hash),
            ("rollback to 1", ""),
            ("rollback to 2", hash)
        ]
        .map(|(what, policy)| (what.to_string(), policy.to_string()))
    );
}

#[test]
fn without_a_snapshot_nothing_is_touched() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    assert_eq!(code(&roll_back(&fake, None)), "no-snapshot");
    assert_eq!(code(&roll_back(&fake, Some(3))), "no-snapshot");
    assert_eq!(fake.state("a"), open_node());
    assert_eq!(fake.visits("a"), (2, 2));
}

#[test]
fn a_rollback_that_fails_leaves_the_state_before_the_rollback() {
    for trouble in [Trouble::Fails(0), Trouble::Late] {
        let fake = Fake::new(&[("a", Trouble::None)]);
        run(&fake);
        let closed = fake.state("a");
        fake.has("a", trouble);
        let outcome = roll_back(&fake, None);
        assert_eq!(outcome.verdict, Verdict::Failed);
        assert_eq!(condition(&outcome), "as_before", "{outcome:#?}");
        assert_eq!(compare(&closed, &fake.state("a")), []);
    }
}

#[test]
fn a_rollback_to_a_node_that_is_not_well_is_taken_back() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    run(&fake);
    let closed = fake.state("a");
    fake.snapshot("a", 1, |state| {
        state.firewalld.known_mut().unwrap().state = "FAILED".to_string();
    });
    let outcome = roll_back(&fake, None);
    assert_eq!(code(&outcome), "not-well");
    assert_eq!(condition(&outcome), "as_before", "{outcome:#?}");
    assert_eq!(compare(&closed, &fake.state("a")), []);
}

#[test]
fn what_a_rollback_would_bring_back_is_said_without_touching_anything() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    run(&fake);
    let (before, visits) = (fake.state("a"), fake.visits("a"));
    let (outcomes, _) = with(&fake, &Stop::default(), |c| {
        let sessions = ReadSessions::new(c, &*fake);
        check::rollback(&fake.jobs()[0], &sessions, None)
    });
    assert_eq!(outcomes.verdict, Verdict::Ok);
    assert_eq!(outcomes.snapshot.map(|s| s.number), Some(1));
    assert_eq!(fake.state("a"), before);
    assert_eq!(fake.visits("a"), (visits.0 + 1, visits.1 + 1));
}

#[test]
fn a_drill_is_won_by_a_node_that_comes_back_by_itself() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    let outcome = drill(&fake);
    assert_eq!(outcome.verdict, Verdict::Ok, "{outcome:#?}");
    assert_eq!(outcome.findings[0].code.as_str(), "came-back");
    assert!(
        outcome.findings[0].text.contains("2 s after"),
        "{}",
        outcome.findings[0].text
    );
    assert_eq!(compare(&open_node(), &fake.state("a")), []);
    assert_eq!(policies(&fake)[0].0, "drill");
}

#[test]
fn a_drill_is_lost_by_a_node_that_does_not_and_it_is_brought_back_all_the_same() {
    let fake = Fake::new(&[("a", Trouble::NeverBack)]);
    let leave = Arc::new(AtomicBool::new(true));
    let stop = Stop::sharing(Arc::default(), leave);
    let job = &fake.jobs()[0];
    // An abandoned node is not waited for until its last second.
    let (outcome, _) = with(&fake, &stop, |c| {
        let confirm = Duration::ZERO;
        let context = RunContext { confirm, ..*c };
        drill::node(
            job,
            &WriteSessions::new(&context, &*fake, SecondName::Waits),
        )
    });
    assert_eq!(code(&outcome), "did-not-come-back");
    assert_eq!(condition(&outcome), "as_before", "{outcome:#?}");
    assert_eq!(compare(&open_node(), &fake.state("a")), []);
}

#[test]
fn a_drill_that_comes_back_to_something_else_is_lost() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    fake.comes_back_as("a", |state| {
        state.runtime.rich = Observed::Unreadable("no answer".to_string());
    });
    let outcome = drill(&fake);
    assert_eq!(code(&outcome), "came-back-different");
    assert_eq!(condition(&outcome), "different");
}

#[test]
fn a_drill_is_not_won_by_a_boot() {
    let fake = Fake::new(&[("a", Trouble::Boots)]);
    let outcome = drill(&fake);
    assert_eq!(code(&outcome), "not-by-itself");
    assert_eq!(condition(&outcome), "as_before");
}

#[test]
fn a_node_that_may_not_be_touched_is_neither_rolled_back_nor_drilled() {
    let fake = Fake::new(&[("a", Trouble::None)]);
    run(&fake);
    fake.change("a", |state| {
        state.firewalld.known_mut().unwrap().state = "FAILED".to_string();
    });
    let visits = fake.visits("a");
    assert_eq!(roll_back(&fake, None).verdict, Verdict::Refused);
    assert_eq!(drill(&fake).verdict, Verdict::Refused);
    assert_eq!(fake.visits("a"), (visits.0 + 2, visits.1 + 2));
}

/// Another user adds a passthrough to direct.xml, and firewalld does not read it.
fn edit(state: &mut NodeState) {
    let mut direct = state.permanent.direct.known().unwrap().clone();
    let passthrough = Passthrough::new("ipv4", vec!["-L".to_string()]);
    direct.passthroughs.push(passthrough);
    let path = |name: &str| format!("/etc/firewalld/{name}");
    state.files = Observed::Known(Files {
        direct: File {
            path: path("direct.xml"),
            says: Observed::Known(direct),
        },
        default_zone: File {
            path: path("firewalld.conf"),
            says: Observed::Unreadable("nobody looked".to_string()),
        },
        zones: BTreeMap::new(),
        policies: BTreeMap::new(),
        services: BTreeMap::new(),
        ipsets: BTreeMap::new(),
    });
}

#[test]
fn neither_a_rollback_nor_a_drill_writes_over_an_edit() {
    for closed in [true, false] {
        let fake = Fake::new(&[("a", Trouble::None)]);
        run(&fake);
        if !closed {
            roll_back(&fake, None);
        }
        fake.change("a", edit);
        let edited = fake.state("a");
        for outcome in [roll_back(&fake, None), drill(&fake)] {
            assert_eq!(outcome.verdict, Verdict::Refused, "{outcome:#?}");
            assert_eq!(outcome.findings[0].code, FindingCode::EditedByHand);
        }
        let outcome = run(&fake);
        let expected = if closed {
            Verdict::Ok
        } else {
            Verdict::Refused
        };
        assert_eq!(outcome.verdict, expected, "{outcome:#?}");
        assert!(
            outcome
                .findings
                .iter()
                .any(|f| f.code == FindingCode::EditedByHand)
        );
        assert_eq!(fake.state("a"), edited);
    }
}

/// Runs the fleet with `--rollback-all`.
fn run_or_none(fake: &Arc<Fake>, stop: &Stop) -> (Vec<Outcome>, Vec<Event>) {
    let rollout = Rollout {
        when_failed: WhenFailed::RollBackAll,
        ..Rollout::default()
    };
    with(fake, stop, |c| {
        let rollout = &rollout;
        run_with(&fake.jobs(), &RunContext { rollout, ..*c }, &**fake)
    })
}

#[test]
fn when_one_fails_the_others_are_taken_back_and_say_so() {
    for trouble in [Trouble::Down, Trouble::Fails(0), Trouble::Busy] {
        let fake = Fake::new(&[("a", Trouble::None), ("b", trouble), ("c", Trouble::None)]);
        let (outcomes, events) = run_or_none(&fake, &Stop::default());
        for outcome in [&outcomes[0], &outcomes[2]] {
            assert_eq!(outcome.verdict, Verdict::RolledBack, "{outcome:#?}");
            assert_eq!(code(outcome), "rolled-back");
            assert_eq!(condition(outcome), "as_before");
            assert_eq!(outcome.changed(), 0);
            assert_eq!(compare(&open_node(), &fake.state(&outcome.node)), []);
        }
        assert_ne!(outcomes[1].verdict, Verdict::RolledBack);
        let taken = events.iter().find_map(|event| match event {
            Event::TakingBack(nodes) => Some(nodes.clone()),
            _ => None,
        });
        let changed = |node: &str| (node.to_string(), Verdict::Changed);
        assert_eq!(taken, Some(vec![changed("a"), changed("c")]));
    }
}

#[test]
fn when_none_fails_all_stay() {
    let fake = Fake::new(&[("a", Trouble::None), ("b", Trouble::None)]);
    let (outcomes, _) = run_or_none(&fake, &Stop::default());
    assert!(outcomes.iter().all(|o| o.verdict == Verdict::Changed));
    // A node that was in the desired state from the start is not rolled back.
    fake.has("b", Trouble::Down);
    let closed = fake.state("a");
    let (outcomes, _) = run_or_none(&fake, &Stop::default());
    assert_eq!(outcomes[0].verdict, Verdict::Ok);
    assert_eq!(fake.state("a"), closed);
}

#[test]
fn a_node_that_cannot_be_taken_back_is_said_to_stay_changed() {
    let fake = Fake::new(&[("a", Trouble::FailsOnceConfirmed), ("b", Trouble::Down)]);
    let (outcomes, _) = run_or_none(&fake, &Stop::default());
    assert_eq!(code(&outcomes[0]), "not-rolled-back", "{:#?}", outcomes[0]);
    assert_eq!(condition(&outcomes[0]), "applied");
    assert_eq!(outcomes[0].verdict, Verdict::Failed);
    assert_ne!(compare(&open_node(), &fake.state("a")), []);
}

#[test]
fn without_the_flag_nobody_is_taken_back() {
    let fake = Fake::new(&[("a", Trouble::None), ("b", Trouble::Down)]);
    assert_eq!(run(&fake).verdict, Verdict::Changed);
    assert_ne!(compare(&open_node(), &fake.state("a")), []);
}
