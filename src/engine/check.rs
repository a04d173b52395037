//! One node, stage by stage, without changing it.

use crate::engine::job::Job;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::session::ReadSessions;
use crate::engine::snapshot_select;

/// Reports what differs on a node: one connection, and one exec, or more if the node may be in motion.
pub(super) fn node(job: &Job, sessions: &ReadSessions<'_>) -> Outcome {
    let outcome = Outcome::new(job.node(), Verdict::Ok);
    let state = match sessions.look(job) {
        Ok((state, _)) => state,
        Err(failure) => return outcome.failed(*failure),
    };
    let plan = sessions.plan(&state, job);
    let verdict = if plan.refusals().next().is_some() {
        Verdict::Refused
    } else if plan.is_empty() && plan.not_enforced().next().is_none() {
        Verdict::Ok
    } else {
        Verdict::Drift
    };
    let holds = match verdict {
        Verdict::Refused => 0,
        _ => plan.satisfied(&job.desired),
    };
    Outcome {
        verdict,
        holds,
        changes: plan.changes(),
        findings: plan.findings,
        ..outcome
    }
}

/// Reports the snapshot that a rollback would restore on a node.
pub(super) fn rollback(job: &Job, sessions: &ReadSessions<'_>, to: Option<u64>) -> Outcome {
    let mut outcome = Outcome::new(job.node(), Verdict::Ok);
    let state = match sessions.look(job) {
        Ok((state, _)) => state,
        Err(failure) => return outcome.failed(*failure),
    };
    outcome.findings = snapshot_select::refusals(&state);
    if !outcome.findings.is_empty() {
        outcome.verdict = Verdict::Refused;
        return outcome;
    }
    match snapshot_select::of(&state, to) {
        Ok(snapshot) => outcome.snapshot = Some(snapshot),
        Err(failure) => return outcome.failed(*failure),
    }
    outcome
}
