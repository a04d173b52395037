//! One node, stage by stage, without changing it.

use crate::engine::job::Job;
use crate::engine::outcome::NotBegun;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::session::Looked;
use crate::engine::session::ReadSessions;
use crate::engine::snapshot_select;
use crate::engine::stage::Stage;
use crate::plan;
use crate::plan::GuardKind;

/// Reports what differs on a node: one connection, and one exec, or more if the node may be in motion.
pub(super) fn node(job: &Job, sessions: &ReadSessions<'_>) -> Outcome {
    let outcome = Outcome::new(job.node(), Verdict::Ok);
    let Looked { state, plan } = match sessions.look(job) {
        Ok((looked, _)) => looked,
        Err(failure) => return outcome.failed(*failure),
    };
    let required = job.required();
    let purged = job.purged(&state);
    let verdict = if plan.refusals().next().is_some() {
        Verdict::Refused
    } else if plan.is_empty() && purged.is_none() && plan.not_enforced(&required).next().is_none() {
        Verdict::Ok
    } else {
        Verdict::Drift
    };
    let holds = match verdict {
        Verdict::Refused => 0,
        _ => plan.satisfied(&required, &state),
    };
    Outcome {
        verdict,
        holds,
        changes: plan.changes().into_iter().chain(purged).collect(),
        findings: plan.findings,
        guard: GuardKind::wanted(&state, &required),
        ..outcome
    }
    .told_by_roles(job)
}

/// Reads a node without a role once: what an earlier run has left there is a finding. It is skipped whatever is read; the other value is
/// whether that is known.
pub(super) fn orphaned(job: &Job, sessions: &ReadSessions<'_>) -> (Outcome, bool) {
    let mut outcome = Outcome::not_begun(job.node(), NotBegun::NoRole);
    let looked = sessions
        .open(job, &Stage::Connecting)
        .and_then(|mut session| session.look(&Stage::Looking));
    let Ok(state) = looked else {
        return (outcome, false);
    };
    outcome.findings = plan::orphaned(&state).into_iter().collect();
    let is_known = !outcome.findings.is_empty() || plan::is_seen(&state);
    (outcome, is_known)
}

/// Reports the snapshot that a rollback would restore on a node.
pub(super) fn rollback(job: &Job, sessions: &ReadSessions<'_>, to: Option<u64>) -> Outcome {
    let mut outcome = Outcome::new(job.node(), Verdict::Ok);
    let state = match sessions.look(job) {
        Ok((looked, _)) => looked.state,
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
