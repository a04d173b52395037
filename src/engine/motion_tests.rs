//! A node that is read while something on it is changing.

use std::sync::Arc;

use super::*;
use crate::engine::fake::Fake;
use crate::engine::fake::Trouble;
use crate::engine::tests::with;
use crate::model::Observed;
use crate::model::state::Daemon;
use crate::model::state::KernelRule;
use crate::plan::Allowed;
use crate::plan::Permission;

type Moment = fn(&mut NodeState);

/// Docker's rules are flushed, and it has not put the first one back.
fn flushed(state: &mut NodeState) {
    let tables = state.kernel.v4.known_mut().unwrap();
    let filter = tables.tables.get_mut("filter").unwrap();
    filter.remove("DOCKER");
    filter.get_mut("FORWARD").unwrap().rules.clear();
}

/// Docker has put its own jump ahead of the one to DOCKER-USER again, and will correct that in a moment.
fn jump_behind(state: &mut NodeState) {
    let tables = state.kernel.v4.known_mut().unwrap();
    let filter = tables.tables.get_mut("filter").unwrap();
    let own = KernelRule::new("-i br-cybex ! -o br-cybex -j ACCEPT");
    filter.get_mut("FORWARD").unwrap().rules.insert(0, own);
}

/// Rules change while the look lasts, and some are missing.
fn moving(state: &mut NodeState) {
    state.system.moving = true;
    let rich = state.runtime.rich.known_mut().unwrap();
    rich.clear();
}

/// A boot, or a restart.
fn docker_starts(state: &mut NodeState) {
    state.system.docker_daemon = Daemon::Stopped("activating".to_string());
    state.docker = Observed::Unreadable("docker is not running (activating)".to_string());
}

/// firewalld has not loaded anything yet.
fn init(state: &mut NodeState) {
    state.firewalld.known_mut().unwrap().state = "INIT".to_string();
}

/// firewalld restarts.
fn firewalld_stopped(state: &mut NodeState) {
    state.system.firewalld_daemon = Daemon::Stopped("inactive".to_string());
    state.firewalld = Observed::Unreadable("firewalld is not running (inactive)".to_string());
}

/// firewalld reloads, and its table is not there for a moment.
fn no_table(state: &mut NodeState) {
    state.firewalld.known_mut().unwrap().in_kernel = Observed::Known(false);
}

/// Something could not be read.
fn unread(state: &mut NodeState) {
    state.kernel.v4 = Observed::Unreadable("iptables-save: another app holds the lock".to_string());
}

/// Every way in which a node was seen to move.
const MOMENTS: [Moment; 8] = [
    flushed,
    jump_behind,
    moving,
    docker_starts,
    init,
    firewalld_stopped,
    no_table,
    unread,
];

/// A node that is as its roles say.
fn at_rest() -> Arc<Fake> {
    let fake = Fake::new(&[("a", Trouble::None)]);
    let run = run_all(&fake, Allowed::default());
    assert_eq!(run.verdict, Verdict::Changed, "{run:#?}");
    fake
}

fn run_all(fake: &Arc<Fake>, allowed: Allowed) -> Outcome {
    let outcomes = with(fake, &Stop::default(), |context| {
        let context = RunContext {
            allowed,
            ..*context
        };
        run_with(&fake.jobs(), &context, &**fake)
    });
    outcomes.0.into_iter().next().expect("one node")
}

fn check_all(fake: &Arc<Fake>) -> Outcome {
    let outcomes = with(fake, &Stop::default(), |c| {
        check_with(&fake.jobs(), c, &**fake)
    });
    outcomes.0.into_iter().next().expect("one node")
}

/// Tried without the second look: each of these is drift or a refusal then.
#[test]
fn what_is_gone_a_second_later_is_never_said() {
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        for lasting in 1..=2 {
            let fake = at_rest();
            let (connections, runs) = fake.visits("a");
            fake.moves("a", &vec![moment; lasting]);
            let outcome = check_all(&fake);
            let case = format!("moment {number}, {lasting} times: {outcome:#?}");
            assert_eq!(outcome.verdict, Verdict::Ok, "{case}");
            assert_eq!(
                (outcome.findings.len(), outcome.changes.len()),
                (0, 0),
                "{case}"
            );
            // One connection, whatever the number of looks.
            assert_eq!(
                fake.visits("a"),
                (connections + 1, runs + lasting + 1),
                "{case}"
            );
        }
    }
}

#[test]
fn a_run_plans_on_its_last_look() {
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let fake = at_rest();
        let before = fake.state("a");
        fake.moves("a", &[moment]);
        let outcome = run_all(&fake, Allowed::default());
        assert_eq!(
            outcome.verdict,
            Verdict::Ok,
            "moment {number}: {outcome:#?}"
        );
        assert_eq!(fake.state("a"), before, "moment {number}");
    }
}

#[test]
fn a_second_look_that_sees_a_moment_takes_no_run_back() {
    for moment in [flushed as Moment, jump_behind, moving, no_table, unread] {
        let fake = Fake::new(&[("a", Trouble::None)]);
        // The first look is of the node as it is.
        fake.moves("a", &[|_| {}, moment]);
        let outcome = run_all(&fake, Allowed::default());
        assert_eq!(outcome.verdict, Verdict::Changed, "{outcome:#?}");
    }
}

#[test]
fn nothing_is_recovered_that_comes_back_by_itself() {
    let allowed = Allowed {
        recover: Permission::Granted,
        ..Allowed::default()
    };
    for moment in [flushed as Moment, no_table, firewalld_stopped] {
        let fake = at_rest();
        fake.moves("a", &[moment]);
        let outcome = run_all(&fake, allowed);
        assert_eq!(outcome.verdict, Verdict::Ok, "{outcome:#?}");
        assert_eq!(fake.recoveries(), 0);
    }
}

#[test]
fn what_stays_is_said_after_the_looks_that_show_it() {
    let stays = |change: Moment| {
        let fake = at_rest();
        let (_, runs) = fake.visits("a");
        fake.change("a", change);
        let outcome = check_all(&fake);
        (outcome.verdict, fake.visits("a").1 - runs)
    };
    assert_eq!(stays(flushed), (Verdict::Refused, 3));
    assert_eq!(stays(jump_behind), (Verdict::Drift, 3));
    // A ban list changes all the time.
    assert_eq!(stays(moving), (Verdict::Drift, 3));
    // After a boot it may take a while.
    assert_eq!(stays(docker_starts), (Verdict::Refused, 16));
    assert_eq!(stays(init), (Verdict::Refused, 16));
}

#[test]
fn an_ordinary_difference_and_a_lasting_refusal_are_seen_in_one_look() {
    let looks = |change: Moment| {
        let fake = at_rest();
        let (_, runs) = fake.visits("a");
        fake.change("a", change);
        let outcome = check_all(&fake);
        assert_ne!(outcome.verdict, Verdict::Ok, "{outcome:#?}");
        fake.visits("a").1 - runs
    };
    assert_eq!(
        looks(|state| state.permanent.rich.known_mut().unwrap().clear()),
        1
    );
    assert_eq!(
        looks(|state| state.runtime.rich.known_mut().unwrap().clear()),
        1
    );
    assert_eq!(
        looks(|state| state.firewalld.known_mut().unwrap().panic = true),
        1
    );
    assert_eq!(looks(|state| state.system.uid = 1000), 1);
}

#[test]
fn a_zone_that_is_not_there_is_a_mistake_of_the_inventory() {
    let fake = at_rest();
    fake.change("a", |state| {
        let why = "firewalld has no zone `publik`; it has: docker, public".to_string();
        state.permanent.rich = Observed::Unreadable(why.clone());
        state.runtime.rich = Observed::Unreadable(why);
    });
    let mut jobs = fake.jobs();
    jobs[0].zone_at = Some("inventory.yml:7:22".to_string());
    for outcome in with(&fake, &Stop::default(), |c| {
        let run = run_with(&jobs, c, &*fake);
        [run, check_with(&jobs, c, &*fake)].concat()
    })
    .0
    {
        assert_eq!(outcome.verdict, Verdict::Refused);
        let said: Vec<&str> = outcome.findings.iter().map(|f| f.text.as_str()).collect();
        assert_eq!(
            said,
            ["inventory.yml:7:22: the node has no zone `publik`; it has: docker, public"]
        );
    }
}

#[test]
fn a_node_that_never_rests_says_so() {
    let fake = at_rest();
    // Another rule is missing at each look.
    let moments: [Moment; 6] = [
        |state| drop_rule(state, 0),
        |state| drop_rule(state, 1),
        |state| drop_rule(state, 2),
        |state| drop_rule(state, 3),
        |state| drop_rule(state, 0),
        |state| drop_rule(state, 1),
    ];
    fake.moves("a", &moments);
    let outcome = check_all(&fake);
    assert_eq!(outcome.verdict, Verdict::Drift);
    assert!(
        outcome
            .findings
            .iter()
            .any(|finding| finding.code.as_str() == "in-motion"),
        "{outcome:#?}"
    );
}

fn drop_rule(state: &mut NodeState, at: usize) {
    state.system.moving = true;
    let tables = state.kernel.v4.known_mut().unwrap();
    let filter = tables.tables.get_mut("filter").unwrap();
    let rules: &mut Vec<KernelRule> = &mut filter.get_mut("DOCKER-USER").unwrap().rules;
    rules.remove(at);
}
