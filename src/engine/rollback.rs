//! Going to an older snapshot, armed like any other change; and taking back what a failed run has changed elsewhere.

use crate::engine::code::FailureCode;
use crate::engine::condition::NodeCondition;
use crate::engine::context::RunContext;
use crate::engine::event::Event;
use crate::engine::failure::Failure;
use crate::engine::job::Job;
use crate::engine::machines::SecondName;
use crate::engine::operation::Operation;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::pool;
use crate::engine::scripts::WriteScripts;
use crate::engine::session::WriteSessions;
use crate::engine::snapshot_select;
use crate::engine::stage::Stage;
use crate::engine::transaction::Attempt;
use crate::engine::transaction::Transaction;
use crate::engine::transaction::Verification;
use crate::engine::transaction::retry_while_stale;
use crate::model::NodeState;
use crate::model::records::Snapshot;
use crate::plan::Reading;

/// Restores a node to that snapshot, or to the state before the last confirmed run.
pub(super) fn node(job: &Job, sessions: &WriteSessions<'_>, to: Option<u64>) -> Outcome {
    let choose = |before: &NodeState| snapshot_select::of(before, to);
    retry_while_stale(job, sessions, || attempt_once(job, sessions, choose, None))
}

/// The changes of the outcome are those since the reading before the rollback, or since `origin`.
fn attempt_once(
    job: &Job,
    sessions: &WriteSessions<'_>,
    choose: impl Fn(&NodeState) -> Result<Snapshot, Box<Failure>>,
    origin: Option<&Reading>,
) -> Attempt {
    let mut outcome = Outcome::new(job.node(), Verdict::Ok);
    let (before, session) = match sessions.look(job) {
        Ok((looked, session)) => (looked.state, session),
        Err(failure) => return Attempt::done(outcome.failed(*failure)),
    };
    outcome.findings = snapshot_select::refusals(&before);
    if !outcome.findings.is_empty() {
        outcome.verdict = Verdict::Refused;
        return Attempt::done(outcome);
    }
    let snapshot = match choose(&before) {
        Ok(snapshot) => snapshot,
        Err(failure) => return Attempt::done(outcome.failed(*failure)),
    };
    let (to, policy) = (
        snapshot.number,
        snapshot_select::policy_at(&before, snapshot.number),
    );
    outcome.snapshot = Some(snapshot);
    let restored = Operation::Snapshot {
        to,
        policy: &policy,
    };
    let transaction = Transaction::new(job, sessions, &before, &restored);
    drop(before);
    let before = transaction.prepared.before.clone();
    transaction.finish(session, outcome, |now, outcome| {
        judge(origin.unwrap_or(&before), &now.state, outcome)
    })
}

/// The plan need not be empty here: the node must only be readable and safe to change, and the outcome lists the differences.
fn judge(before: &Reading, now: &NodeState, outcome: &mut Outcome) -> Verification {
    outcome.changes = before.changes_to(now);
    match snapshot_select::ailments(now).first() {
        None => Ok(None),
        Some(finding) => Err(Box::new(
            Failure::new(
                Stage::Verifying,
                FailureCode::NotWell,
                format!(
                    "the snapshot was restored, but the verification found a problem: {}",
                    finding.text
                ),
            )
            .hint("check on the node what the verification found, or choose another snapshot with --to"),
        )),
    }
}

/// Takes the nodes that a failed run has changed back to the state before it. Nothing to do where no node failed.
pub(super) fn all(
    jobs: &[Job],
    outcomes: &mut [Outcome],
    context: &RunContext<'_>,
    scripts: &dyn WriteScripts,
    run: &str,
) {
    if !outcomes.iter().any(Outcome::is_failure) {
        return;
    }
    let (places, changed): (Vec<usize>, Vec<Job>) = outcomes
        .iter()
        .zip(jobs)
        .enumerate()
        .filter(|(_, (outcome, _))| outcome.revert_point.is_some())
        .map(|(place, (_, job))| (place, job.clone()))
        .unzip();
    if changed.is_empty() {
        return;
    }
    let nodes = places.iter().map(|place| &outcomes[*place]);
    let nodes = nodes.map(|o| (o.node.clone(), o.verdict)).collect();
    context.sink.emit(Event::TakingBack(nodes));
    let sessions = WriteSessions::new(context, scripts, SecondName::Refused);
    let before: Vec<Outcome> = places.iter().map(|p| outcomes[*p].clone()).collect();
    let work = |job: &Job| {
        let outcome = before.iter().find(|outcome| outcome.node == job.node());
        take_back(job, &sessions, outcome, run)
    };
    let taken = pool::all(&changed, context, work);
    for (place, after) in places.into_iter().zip(taken) {
        outcomes[place] = match after.not_begun {
            None => after,
            Some(why) => revert_failed(
                outcomes[place].clone(),
                Failure::new(Stage::RollingBack, FailureCode::Stopped, why.to_string()),
            ),
        };
    }
}

/// Rolls back one node that was changed and confirmed.
fn take_back(
    job: &Job,
    sessions: &WriteSessions<'_>,
    outcome: Option<&Outcome>,
    run: &str,
) -> Outcome {
    let Some((outcome, kept)) = outcome.and_then(|o| Some((o, o.revert_point.as_ref()?))) else {
        return Outcome::new(job.node(), Verdict::Ok);
    };
    let choose = |now: &NodeState| snapshot_select::ours(now, kept, run);
    let gone = retry_while_stale(job, sessions, || {
        attempt_once(job, sessions, choose, Some(&kept.before))
    });
    let mut taken = Outcome {
        duration: outcome.duration + gone.duration,
        ..outcome.clone()
    };
    if let Some(failure) = &gone.failure {
        return revert_failed(taken, failure.clone());
    }
    if let Some(finding) = gone
        .findings
        .first()
        .filter(|_| gone.verdict == Verdict::Refused)
    {
        let failure = Failure::new(Stage::Looking, FailureCode::NotWell, finding.text.clone());
        return revert_failed(taken, failure);
    }
    let condition = match gone.changes {
        differences if differences.is_empty() => NodeCondition::AsBefore {
            since: String::new(),
        },
        differences => NodeCondition::Different(differences),
    };
    let rolled_back = || {
        Failure::new(
            Stage::RollingBack,
            FailureCode::RolledBack,
            "the node was in the desired state, and was rolled back because the run failed elsewhere (--rollback-all)",
        )
    };
    // One that failed after it was confirmed has a reason of its own.
    let failure = taken.failure.take().unwrap_or_else(rolled_back);
    Outcome {
        verdict: Verdict::RolledBack,
        holds: 0,
        changes: Vec::new(),
        failure: Some(failure.condition(condition)),
        snapshot: gone.snapshot,
        revert_point: None,
        ..taken
    }
}

/// The outcome of a node that could not be rolled back, and is as the run left it.
fn revert_failed(outcome: Outcome, failure: Failure) -> Outcome {
    let condition = match &failure.condition {
        NodeCondition::Untouched | NodeCondition::AsBefore { .. } => {
            NodeCondition::Applied(Vec::new())
        }
        // Its text about the state before refers to the state that the run has made.
        other => NodeCondition::Unknown(other.to_string()),
    };
    let message = "the node stays changed: it could not be rolled back after the run failed elsewhere (--rollback-all)";
    let failure = Failure {
        stage: Stage::RollingBack,
        ..failure.within(FailureCode::NotRolledBack, message)
    };
    outcome.failed(
        failure
            .condition(condition)
            .hint("`fwdeploy rollback` rolls it back once it can be reached"),
    )
}
