//! Removal: armed like a run, verified, and rolled back where it fails; nodes without a role are only read.

use std::sync::Arc;

use super::*;
use crate::engine::fake::Fake;
use crate::engine::fake::Trouble;
use crate::engine::tests::with;
use crate::model::Desired;
use crate::model::Records;
use crate::plan;
use crate::plan::FindingCode;
use crate::plan::compare;

/// The jobs of a removal: with what the roles ask for, or without a role.
fn jobs(fake: &Fake, snapshots: Snapshots, desired: &Desired) -> Vec<Job> {
    let job = |job| Job {
        goal: Goal::Removal(snapshots),
        requires: Arc::new(Compiled {
            desired: Arc::new(desired.clone()),
            policy: "nothing".to_string(),
        }),
        ..job
    };
    fake.jobs().into_iter().map(job).collect()
}

fn run(fake: &Arc<Fake>, jobs: &[Job]) -> Outcome {
    let (mut outcomes, _) = with(fake, &Stop::default(), |c| run_with(jobs, c, &**fake));
    outcomes.remove(0)
}

/// A node after a run.
fn deployed() -> Arc<Fake> {
    let fake = Fake::new(&[("a", Trouble::None)]);
    assert_eq!(run(&fake, &fake.jobs()).verdict, Verdict::Changed);
    fake
}

fn remove(fake: &Arc<Fake>, snapshots: Snapshots) -> Outcome {
    run(fake, &jobs(fake, snapshots, &Desired::default()))
}

fn has(outcome: &Outcome, code: FindingCode) -> bool {
    outcome.findings.iter().any(|finding| finding.code == code)
}

#[test]
fn a_removal_is_armed_verified_and_said_and_a_second_has_nothing_to_do() {
    let fake = deployed();
    let outcome = remove(&fake, Snapshots::Kept);
    assert_eq!(outcome.verdict, Verdict::Changed, "{outcome:#?}");
    assert!(has(&outcome, FindingCode::Opened));
    // The container is on it.
    let stays = outcome.findings.iter();
    let stays = stays.filter(|finding| finding.code == FindingCode::NotRemoved);
    assert_eq!(stays.count(), 1, "{:#?}", outcome.findings);
    let state = fake.state("a");
    assert_eq!(plan::orphaned(&state), None);
    let records = state.records.known().unwrap();
    let last = records.snapshots.last().unwrap();
    assert_eq!(
        (last.what.as_str(), last.policy.as_str()),
        ("remove", "nothing")
    );
    let again = remove(&fake, Snapshots::Kept);
    assert_eq!((again.verdict, again.changes.len()), (Verdict::Ok, 0));
    assert_eq!(run(&fake, &fake.jobs()).verdict, Verdict::Changed);
}

#[test]
fn the_rollback_of_a_removal_knows_what_was_managed() {
    let fake = deployed();
    let state = fake.state("a");
    let job = &jobs(&fake, Snapshots::Kept, &Desired::default())[0];
    let managed: Vec<String> = job
        .managed(&state)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        managed.contains(&"172.20.0.0/16".to_string()),
        "{managed:?}"
    );
}

#[test]
fn a_check_of_a_removal_changes_nothing() {
    let fake = deployed();
    let before = fake.state("a");
    let jobs = jobs(&fake, Snapshots::Purged, &fake::desired());
    let (mut outcomes, _) = with(&fake, &Stop::default(), |c| check_with(&jobs, c, &*fake));
    let outcome = outcomes.remove(0);
    assert_eq!(outcome.verdict, Verdict::Drift);
    assert!(
        outcome
            .changes
            .last()
            .unwrap()
            .text
            .contains("/var/lib/fwdeploy")
    );
    assert_eq!(fake.state("a"), before);
}

#[test]
fn a_removal_that_fails_at_any_step_is_rolled_back() {
    let steps = plan::removal(
        &deployed().state("a"),
        &Desired::default(),
        &plan::Allowed::default(),
    );
    for step in 0..steps.actions.len() {
        let fake = deployed();
        let before = fake.state("a");
        fake.has("a", Trouble::Fails(step));
        let outcome = remove(&fake, Snapshots::Purged);
        assert_eq!(outcome.verdict, Verdict::Failed, "{step}");
        let failure = outcome.failure.unwrap();
        assert_eq!(failure.condition.as_str(), "as_before", "{step}");
        assert_eq!(compare(&before, &fake.state("a")), [], "{step}");
        // Its records are what it was rolled back with.
        assert_ne!(
            *fake.state("a").records.known().unwrap(),
            Records::default()
        );
    }
}

#[test]
fn a_removal_that_is_not_confirmed_in_time_is_rolled_back() {
    let fake = deployed();
    let before = fake.state("a");
    fake.has("a", Trouble::Late);
    let outcome = remove(&fake, Snapshots::Purged);
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(compare(&before, &fake.state("a")), []);
}

#[test]
fn the_records_go_last_and_only_if_that_is_asked_for() {
    let fake = deployed();
    assert_eq!(remove(&fake, Snapshots::Kept).verdict, Verdict::Changed);
    assert_eq!(fake.state("a").records.known().unwrap().snapshots.len(), 2);
    // Nothing else is left to remove.
    let outcome = remove(&fake, Snapshots::Purged);
    assert_eq!(
        (outcome.verdict, outcome.changes.len()),
        (Verdict::Changed, 1),
        "{outcome:#?}"
    );
    assert_eq!(
        *fake.state("a").records.known().unwrap(),
        Records::default()
    );
    let outcome = remove(&fake, Snapshots::Purged);
    assert_eq!((outcome.verdict, outcome.changes.len()), (Verdict::Ok, 0));
}

#[test]
fn records_that_stay_are_a_failure_of_a_node_that_stays_open() {
    let fake = deployed();
    fake.has("a", Trouble::CannotPurge);
    let outcome = remove(&fake, Snapshots::Purged);
    let failure = outcome.failure.unwrap();
    assert_eq!(failure.code, FailureCode::NotPurged);
    assert!(
        failure.text().contains("Read-only file system"),
        "{}",
        failure.text()
    );
    assert_eq!(failure.condition.as_str(), "applied");
    assert_eq!(plan::orphaned(&fake.state("a")), None);
}

#[test]
fn a_node_without_a_role_is_only_read_and_what_is_left_there_is_a_warning() {
    let fake = deployed();
    let before = fake.state("a");
    let visits = fake.visits("a");
    let read = |fake: &Arc<Fake>| {
        let (mut read, _) = with(fake, &Stop::default(), |c| {
            orphaned_with(&fake.jobs(), c, &**fake)
        });
        read.remove(0)
    };
    let (outcome, is_known) = read(&fake);
    assert_eq!(outcome.not_begun, Some(NotBegun::NoRole));
    assert_eq!(outcome.verdict, Verdict::Skipped);
    assert!(has(&outcome, FindingCode::Orphaned) && is_known);
    assert_eq!(fake.state("a"), before);
    assert_eq!(fake.visits("a"), (visits.0 + 1, visits.1 + 1));
    remove(&fake, Snapshots::Kept);
    assert_eq!(read(&fake).0.findings, []);
    // A node that cannot be read is no failure of a run in which it has no part.
    for trouble in [Trouble::Down, Trouble::Hangs, Trouble::Panics] {
        fake.has("a", trouble);
        let (outcome, is_known) = read(&fake);
        let is_skipped = outcome.not_begun == Some(NotBegun::NoRole);
        assert!(is_skipped && outcome.failure.is_none() && outcome.findings.is_empty());
        assert!(!is_known);
    }
}
