//! One node, stage by stage: look, plan, arm, apply, look again, confirm; and back to the state before where that fails.

use crate::engine::code::FailureCode;
use crate::engine::condition::NodeCondition;
use crate::engine::failure::Failure;
use crate::engine::job::Job;
use crate::engine::operation::Operation;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::recover;
use crate::engine::session::WriteSessions;
use crate::engine::stage::Stage;
use crate::engine::transaction::Attempt;
use crate::engine::transaction::Transaction;
use crate::engine::transaction::Verification;
use crate::engine::transaction::busy;
use crate::engine::transaction::retry_while_stale;
use crate::model::state::View;
use crate::plan::Allowed;
use crate::plan::Finding;
use crate::plan::FindingCode;
use crate::plan::Plan;
use crate::plan::Reload;

/// Brings a node to the desired state: in place, or by a reload under the latch if the chain cannot be recreated in place.
///
/// What prevents a run is repaired first, if that is allowed.
pub(super) fn node(job: &Job, sessions: &WriteSessions<'_>) -> Outcome {
    match recover::node(job, sessions) {
        Ok(mended) => mended.told(converge(job, sessions)),
        Err(outcome) => *outcome,
    }
}

fn converge(job: &Job, sessions: &WriteSessions<'_>) -> Outcome {
    let allowed = sessions.context.allowed;
    let first = attempt(job, sessions, &allowed);
    let by_reload = Allowed {
        reload: Reload::Always,
        ..allowed
    };
    match &first.failure {
        Some(failure)
            if failure.code == FailureCode::ChainNotRecreated
                && allowed.reload == Reload::Auto
                && matches!(
                    failure.condition,
                    NodeCondition::Untouched | NodeCondition::AsBefore { .. }
                )
                && !sessions.context.stop.leave().is_cancelled() =>
        {
            let mut second = attempt(job, sessions, &by_reload);
            second.findings.insert(
                0,
                Finding::new(
                    FindingCode::ReloadedInstead,
                    View::Runtime,
                    format!(
                        "switched to a reload of firewalld, with new flows blocked, because {}",
                        failure.text()
                    ),
                ),
            );
            second
        }
        _ => first,
    }
}

/// One attempt to bring a node to the desired state, from the first reading to the verification.
fn attempt(job: &Job, sessions: &WriteSessions<'_>, allowed: &Allowed) -> Outcome {
    retry_while_stale(job, sessions, || attempt_once(job, sessions, allowed))
}

fn attempt_once(job: &Job, sessions: &WriteSessions<'_>, allowed: &Allowed) -> Attempt {
    let mut outcome = Outcome::new(job.node(), Verdict::Ok);
    let (before, session) = match sessions.look(job) {
        Ok(looked) => looked,
        Err(failure) => return Attempt::done(outcome.failed(*failure)),
    };
    // A chain that is just being recreated looks like a chain that is gone.
    if let Some(busy) = busy(&before, &sessions.run) {
        return Attempt::done(outcome.failed(busy));
    }
    let plan = job.plan(&before, allowed);
    outcome.findings = plan.findings.clone();
    if plan.refusals().next().is_some() {
        outcome.verdict = Verdict::Refused;
        return Attempt::done(outcome);
    }
    outcome.holds = plan.satisfied(&job.desired);
    if plan.is_empty() {
        return Attempt::done(match not_enforced(&plan, Stage::Looking) {
            Some(failure) => outcome.failed(failure),
            None => outcome,
        });
    }
    outcome.changes = plan.changes();
    let transaction = Transaction {
        job,
        sessions,
        before: &before,
        operation: Operation::Steps(&plan.actions),
    };
    transaction.finish(session, outcome, |now, outcome| {
        judge(&sessions.plan(now, job), job, outcome)
    })
}

/// The plan of a second look must be empty.
fn judge(plan: &Plan, job: &Job, outcome: &mut Outcome) -> Verification {
    if !plan.is_empty() || plan.refusals().next().is_some() {
        let rest = match plan.changes().first() {
            Some(change) => format!(": {change}"),
            None => plan
                .refusals()
                .next()
                .map_or_else(String::new, |f| format!(": {}", f.text)),
        };
        return Err(Box::new(Failure::new(
            Stage::Verifying,
            FailureCode::NotAsWanted,
            format!("all steps were done, but the verification shows that the node is still not in the desired state{rest}"),
        )
        .hint("another program may be changing the node; run again, and with `-v` if this persists")));
    }
    outcome.holds = plan.satisfied(&job.desired);
    // Findings about the effects of the steps themselves are not found again by a new reading.
    outcome.findings.retain(Finding::is_of_a_step);
    // The lease is our own.
    let found = plan
        .findings
        .iter()
        .filter(|f| f.code != FindingCode::Leased);
    outcome.findings.extend(found.cloned());
    Ok(not_enforced(plan, Stage::Verifying))
}

/// The failure of a node on which nothing is to be done, but the whitelist is not enforced.
fn not_enforced(plan: &Plan, stage: Stage) -> Option<Failure> {
    let count = plan.not_enforced().count();
    (count > 0).then(|| {
        Failure::new(
            stage,
            FailureCode::NotEnforced,
            "the whitelist is not enforced, for a reason that fwdeploy may not change",
        )
        .hint("see the findings above; fwdeploy reports what it does not manage, and never changes it")
    })
}
