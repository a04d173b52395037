//! Waves of a simulated fleet: which nodes are started when, and which are not started.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use super::*;
use crate::engine::FailureCode;
use crate::engine::fake::Fake;
use crate::engine::fake::Trouble;
use crate::engine::tests::with;

fn rollout(serial: &[Amount], max_fail: Option<usize>) -> Rollout {
    Rollout {
        serial: serial.to_vec(),
        max_fail: max_fail.map(Amount::Count),
        ..Rollout::default()
    }
}

/// Runs the fleet, so many nodes at a time.
fn run_in(fake: &Arc<Fake>, rollout: &Rollout, forks: usize) -> (Vec<Outcome>, Vec<Event>) {
    with(fake, &Stop::default(), |c| {
        let forks = NonZeroUsize::new(forks).unwrap();
        let context = RunContext {
            rollout,
            forks,
            ..*c
        };
        run_with(&fake.jobs(), &context, &**fake)
    })
}

/// A letter a node: how it ended.
fn ends(outcomes: &[Outcome]) -> String {
    let letter = |outcome: &Outcome| match outcome.verdict {
        Verdict::Skipped => '-',
        verdict => verdict.to_string().chars().next().unwrap(),
    };
    outcomes.iter().map(letter).collect()
}

fn reason(outcome: &Outcome) -> String {
    outcome.not_begun.expect("it was not begun").to_string()
}

/// Five nodes; those named here have troubles.
fn five(troubles: &[(&str, Trouble)]) -> Arc<Fake> {
    let trouble = |name: &str| {
        let found = troubles.iter().find(|(node, _)| *node == name);
        found.map_or(Trouble::None, |(_, trouble)| *trouble)
    };
    Fake::new(&["a", "b", "c", "d", "e"].map(|name| (name, trouble(name))))
}

#[test]
fn a_wave_begins_when_the_one_before_is_finished() {
    let fake = five(&[]);
    let serial = [Amount::Count(1), Amount::Percent(50)];
    let (outcomes, events) = run_in(&fake, &rollout(&serial, None), 3);
    assert_eq!(ends(&outcomes), "ccccc");
    let mut waves: Vec<(Wave, Vec<String>)> = Vec::new();
    let mut finished = 0;
    for event in events {
        match event {
            Event::Wave(wave) => {
                let before: usize = waves.iter().map(|(wave, _)| wave.nodes).sum();
                assert_eq!(finished, before, "{wave} came too early");
                waves.push((wave, Vec::new()));
            }
            Event::Stage {
                node,
                stage: Stage::Connecting,
            } => waves.last_mut().expect("a wave").1.push(node),
            Event::Finished(_) => finished += 1,
            _ => {}
        }
    }
    let told = waves.iter_mut().map(|(wave, nodes)| {
        nodes.sort();
        format!("{wave}: {}", nodes.join(" "))
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "wave 1 of 3, 1 node: a",
            "wave 2 of 3, 2 nodes: b c",
            "wave 3 of 3, 2 nodes: d e",
        ]
    );
}

#[test]
fn one_wave_is_no_wave_worth_telling() {
    let (_, events) = run_in(&five(&[]), &rollout(&[Amount::Percent(100)], Some(0)), 3);
    assert!(!events.iter().any(|event| matches!(event, Event::Wave(_))));
}

#[test]
fn a_wave_with_failures_stops_the_waves_after_it() {
    for trouble in [Trouble::Down, Trouble::Busy, Trouble::Panics] {
        let fake = five(&[("b", trouble)]);
        let (outcomes, events) = run_in(&fake, &rollout(&[Amount::Count(2)], Some(0)), 3);
        assert_eq!(&ends(&outcomes)[2..], "---", "{trouble:?}");
        assert_eq!(fake.visits("c"), (0, 0));
        for outcome in &outcomes[2..] {
            assert_eq!(reason(outcome), "wave 1 of 3 had 1 failure, 0 allowed");
        }
        let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
        assert_eq!(count(|event| matches!(event, Event::Wave(_))), 1);
        assert_eq!(count(|event| matches!(event, Event::BudgetExceeded(_))), 1);
        assert_eq!(count(|event| matches!(event, Event::Finished(_))), 5);
    }
}

#[test]
fn a_refused_node_is_a_failure_of_its_wave() {
    let fake = five(&[]);
    fake.change("a", |state| {
        state.firewalld.known_mut().unwrap().state = "FAILED".to_string();
    });
    let (outcomes, _) = run_in(&fake, &rollout(&[Amount::Count(1)], Some(0)), 3);
    assert_eq!(ends(&outcomes), "r----");
}

#[test]
fn so_many_failures_as_are_allowed_stop_nothing() {
    let troubles = [
        ("a", Trouble::Down),
        ("b", Trouble::Down),
        ("d", Trouble::Down),
    ];
    let fake = five(&troubles);
    // Two of the first wave, one of the second: each wave counts for itself.
    let (outcomes, events) = run_in(&fake, &rollout(&[Amount::Count(3)], Some(2)), 1);
    assert_eq!(ends(&outcomes), "uucuc");
    assert!(!events.iter().any(|e| matches!(e, Event::BudgetExceeded(_))));
    let (outcomes, _) = run_in(&five(&troubles), &rollout(&[Amount::Count(3)], Some(1)), 1);
    assert_eq!(ends(&outcomes), "uu---");
}

#[test]
fn a_percentage_is_of_the_wave_and_rounded_down() {
    let troubles = [("a", Trouble::Down), ("e", Trouble::Down)];
    let rollout = Rollout {
        serial: vec![Amount::Count(3), Amount::Count(2)],
        max_fail: Some(Amount::Percent(34)),
        ..Rollout::default()
    };
    // 34 % of three nodes are one, of two nodes none.
    let more = [("a", Trouble::Down), ("d", Trouble::Down)];
    assert_eq!(ends(&run_in(&five(&troubles), &rollout, 1).0), "ucccu");
    let (outcomes, _) = run_in(&five(&more), &rollout, 1);
    assert_eq!(ends(&outcomes), "uccu-");
    assert_eq!(reason(&outcomes[4]), "wave 2 of 2 had 1 failure, 0 allowed");
}

#[test]
fn without_waves_no_new_node_is_begun_after_too_many_failures() {
    let troubles = [("a", Trouble::Down), ("c", Trouble::Down)];
    let most = |most| ends(&run_in(&five(&troubles), &rollout(&[], most), 1).0);
    assert_eq!(most(None), "ucucc");
    assert_eq!(most(Some(2)), "ucucc");
    assert_eq!(most(Some(1)), "ucu--");
    assert_eq!(most(Some(0)), "u----");
    let (outcomes, _) = run_in(&five(&troubles), &rollout(&[], Some(1)), 1);
    assert_eq!(reason(&outcomes[3]), "the run had 2 failures, 1 allowed");
}

/// How many events report that too many nodes have failed.
fn told_as_exceeded(events: &[Event]) -> usize {
    let exceeded = |event: &&Event| matches!(event, Event::BudgetExceeded(_));
    events.iter().filter(exceeded).count()
}

#[test]
fn nodes_at_work_are_finished_when_another_fails() {
    // All five are started before the first failure is counted, regardless of how the threads are scheduled.
    let barrier = std::sync::Barrier::new(5);
    let jobs = five(&[]).jobs();
    let (outcomes, events) = with(&five(&[]), &Stop::default(), |c| {
        let context = RunContext {
            rollout: &rollout(&[], Some(0)),
            forks: NonZeroUsize::new(5).unwrap(),
            ..*c
        };
        pool::in_waves(&jobs, &context, |job| {
            barrier.wait();
            let failed = job.node() < "c";
            Outcome::new(
                job.node(),
                if failed {
                    Verdict::Failed
                } else {
                    Verdict::Changed
                },
            )
        })
    });
    assert_eq!(ends(&outcomes), "ffccc");
    assert_eq!(told_as_exceeded(&events), 1, "a failed run is known as one");
}

#[test]
fn a_wish_to_stop_ends_the_waves_and_is_the_reason() {
    let drain = Arc::new(AtomicBool::new(false));
    let stop = Stop::sharing(Arc::clone(&drain), Arc::default());
    let begun = Mutex::new(Vec::new());
    let jobs = five(&[]).jobs();
    let (outcomes, events) = with(&five(&[]), &stop, |c| {
        let context = RunContext {
            rollout: &rollout(&[Amount::Count(2)], Some(0)),
            forks: NonZeroUsize::new(1).unwrap(),
            ..*c
        };
        pool::in_waves(&jobs, &context, |job| {
            begun.lock().unwrap().push(job.node().to_string());
            drain.store(true, Ordering::SeqCst);
            // It fails too, but the operator was first.
            Outcome::new(job.node(), Verdict::Failed)
        })
    });
    let waves = events.iter().filter(|e| matches!(e, Event::Wave(_)));
    assert_eq!(waves.count(), 1);
    assert_eq!(*begun.lock().unwrap(), ["a"]);
    assert_eq!(ends(&outcomes), "f----");
    assert_eq!(told_as_exceeded(&events), 0);
    for outcome in &outcomes[1..] {
        assert_eq!(outcome.not_begun, Some(NotBegun::Stopped));
        assert!(outcome.was_interrupted());
    }
}

#[test]
fn a_node_that_was_left_at_the_operators_wish_did_not_fail() {
    let ended = |code| {
        let failure = Failure::new(Stage::Verifying, code, "no answer");
        let outcome = Outcome::new("a", Verdict::Changed).failed(failure);
        (outcome.was_interrupted(), outcome.is_failure())
    };
    assert_eq!(ended(FailureCode::Stopped), (true, false));
    assert_eq!(ended(FailureCode::TimedOut), (false, true));
}

#[test]
fn a_check_looks_at_every_node_whatever_fails() {
    let fake = five(&[("a", Trouble::Down)]);
    let (outcomes, events) = with(&fake, &Stop::default(), |c| {
        let rollout = &rollout(&[Amount::Count(1)], Some(0));
        check_with(&fake.jobs(), &RunContext { rollout, ..*c }, &*fake)
    });
    assert_eq!(ends(&outcomes), "udddd");
    assert!(!events.iter().any(|event| matches!(event, Event::Wave(_))));
}
