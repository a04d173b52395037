//! One node, stage by stage: look, plan, arm, apply, look again, confirm; and back to the state before where that fails.

use std::collections::BTreeSet;

use crate::engine::code::FailureCode;
use crate::engine::condition::NodeCondition;
use crate::engine::failure::Failure;
use crate::engine::job::Goal;
use crate::engine::job::Job;
use crate::engine::job::Snapshots;
use crate::engine::operation::Operation;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::recover;
use crate::engine::session::Looked;
use crate::engine::session::WriteSessions;
use crate::engine::stage::Stage;
use crate::engine::transaction::Attempt;
use crate::engine::transaction::Transaction;
use crate::engine::transaction::Verification;
use crate::engine::transaction::busy;
use crate::engine::transaction::retry_while_stale;
use crate::engine::turn::Turn;
use crate::model::state::View;
use crate::plan::Allowed;
use crate::plan::Finding;
use crate::plan::FindingCode;
use crate::plan::GuardKind;
use crate::plan::Plan;
use crate::plan::Reload;

/// Brings a node to the desired state: in place, or by a reload under the latch if the chain cannot be recreated in place.
///
/// What prevents a run is repaired first, if that is allowed.
pub(super) fn node(job: &Job, sessions: &WriteSessions<'_>) -> Outcome {
    match recover::node(job, sessions) {
        Ok(mended) => {
            purged(job, sessions, mended.told(converge(job, sessions))).told_by_roles(job)
        }
        Err(outcome) => *outcome,
    }
}

/// The outcome of a removal, once the node's records are gone too, if they are to be. Until then a rollback may need them.
fn purged(job: &Job, sessions: &WriteSessions<'_>, outcome: Outcome) -> Outcome {
    let is_done = matches!(outcome.verdict, Verdict::Ok | Verdict::Changed);
    if job.goal != Goal::Removal(Snapshots::Purged) || !is_done || outcome.changes.is_empty() {
        return outcome;
    }
    let gone = sessions.open(job, &Stage::Purging);
    match gone.and_then(|mut session| session.purge()) {
        Ok(()) => Outcome {
            verdict: Verdict::Changed,
            ..outcome
        },
        Err(failure) => {
            let message = "everything else was removed, but the records of the node were not";
            let failure = failure.within(FailureCode::NotPurged, message);
            outcome.failed(failure.condition(NodeCondition::Applied(Vec::new())))
        }
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
    let (before, plan, session) = match sessions.look(job) {
        Ok((Looked { state, plan }, session)) => (state, plan, session),
        Err(failure) => return Attempt::done(outcome.failed(*failure)),
    };
    // A chain that is just being recreated looks like a chain that is gone.
    if let Some(busy) = busy(&before, &sessions.run) {
        return Attempt::done(outcome.failed(busy));
    }
    let plan = match *allowed == sessions.context.allowed {
        true => plan,
        false => {
            let _turn = Turn::wait();
            job.plan(&before, allowed)
        }
    };
    outcome.findings = plan.findings.clone();
    outcome.guard = GuardKind::wanted(&before, &job.required());
    if plan.refusals().next().is_some() {
        outcome.verdict = Verdict::Refused;
        return Attempt::done(outcome);
    }
    outcome.holds = plan.satisfied(&job.required(), &before);
    outcome.changes = plan.changes();
    outcome.changes.extend(job.purged(&before));
    if plan.is_empty() {
        return Attempt::done(match not_enforced(&plan, job, Stage::Looking) {
            Some(failure) => outcome.failed(failure),
            None => outcome,
        });
    }
    let steps = Operation::Steps(&plan.actions);
    let transaction = Transaction::new(job, sessions, &before, &steps);
    // Megabytes, and the steps take seconds.
    drop((before, plan));
    transaction.finish(session, outcome, |now, outcome| judge(now, job, outcome))
}

/// The plan of a second look must be empty.
fn judge(now: &Looked, job: &Job, outcome: &mut Outcome) -> Verification {
    let plan = &now.plan;
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
    outcome.holds = plan.satisfied(&job.required(), &now.state);
    // Findings about the effects of the steps themselves are not found again by a new reading.
    outcome.findings.retain(Finding::is_of_a_step);
    // A node can have thousands, one for each foreign rule.
    let mut known: BTreeSet<&Finding> = outcome.findings.iter().collect();
    // The lease is our own.
    let others = plan.findings.iter();
    let others = others.filter(|other| other.code != FindingCode::Leased && known.insert(other));
    let others: Vec<Finding> = others.cloned().collect();
    outcome.findings.extend(others);
    Ok(not_enforced(plan, job, Stage::Verifying))
}

/// The failure of a node on which nothing is to be done, but the whitelist is not enforced.
fn not_enforced(plan: &Plan, job: &Job, stage: Stage) -> Option<Failure> {
    let desired = job.desired();
    let mut findings = plan.not_enforced(&desired).peekable();
    findings.peek()?;
    let failure = |message: &str| Failure::new(stage, FailureCode::NotEnforced, message);
    Some(match findings.all(|finding| finding.code == FindingCode::AuditExpired) {
        true => failure("the whitelist is not enforced, because a role is still in audit")
            .hint("see the findings above"),
        false => failure("the whitelist is not enforced, for a reason that fwdeploy may not change")
            .hint("see the findings above; fwdeploy reports what it does not manage, and never changes it"),
    })
}
