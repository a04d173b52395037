//! Making a node fit for a run, before it is planned for: one recovery after the other, a fresh look between them.

use std::cell::RefCell;

use crate::engine::applied::End;
use crate::engine::code::FailureCode;
use crate::engine::condition::NodeCondition;
use crate::engine::failure::Failure;
use crate::engine::job::Job;
use crate::engine::operation::Operation;
use crate::engine::operation::Prepared;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::session::WriteSession;
use crate::engine::session::WriteSessions;
use crate::engine::stage::Stage;
use crate::engine::transaction::Attempt;
use crate::engine::transaction::Transaction;
use crate::engine::transaction::Verification;
use crate::engine::transaction::retry_while_stale;
use crate::model::NodeState;
use crate::node::Ending;
use crate::plan::Change as Difference;
use crate::plan::Finding;
use crate::plan::Permission;
use crate::plan::Recovery;
use crate::plan::recover::recovery;

/// What was repaired on a node.
#[derive(Debug, Default)]
pub(super) struct Mended {
    changes: Vec<Difference>,
    findings: Vec<Finding>,
}

impl Mended {
    /// The outcome of the run that followed, with what was repaired before it.
    pub(super) fn told(self, mut outcome: Outcome) -> Outcome {
        if outcome.verdict == Verdict::Ok && !self.changes.is_empty() {
            outcome.verdict = Verdict::Changed;
        }
        outcome.changes.splice(0..0, self.changes);
        outcome.findings.splice(0..0, self.findings);
        outcome
    }
}

/// Repairs what can be repaired, if the operator allows it. A node on which the repair failed gets its outcome here.
pub(super) fn node(job: &Job, sessions: &WriteSessions<'_>) -> Result<Mended, Box<Outcome>> {
    let mut mended = Mended::default();
    let mut last: Option<Recovery> = None;
    if sessions.context.allowed.recover == Permission::Withheld {
        return Ok(mended);
    }
    loop {
        let tried = RefCell::new(None);
        let outcome = retry_while_stale(job, sessions, || {
            let (now, one) = once(job, sessions, last.as_ref());
            *tried.borrow_mut() = now;
            one
        });
        if outcome.failure.is_some() {
            return Err(Box::new(mended.told(outcome)));
        }
        mended.changes.extend(outcome.changes);
        mended.findings.extend(outcome.findings);
        match tried.into_inner() {
            Some(recovery) => last = Some(recovery),
            None => return Ok(mended),
        }
    }
}

/// One look, and the recovery that it calls for, if any. What was just done and is called for again is left to the run, which refuses.
fn once(
    job: &Job,
    sessions: &WriteSessions<'_>,
    last: Option<&Recovery>,
) -> (Option<Recovery>, Attempt) {
    let outcome = Outcome::new(job.node(), Verdict::Ok);
    let (looked, session) = match sessions.look(job) {
        Ok(looked) => looked,
        Err(failure) => return (None, Attempt::done(outcome.failed(*failure))),
    };
    let (before, found) = (looked.state, looked.plan.findings);
    let allowed = &sessions.context.allowed;
    let wanted = recovery(&before, &job.desired(), allowed);
    let Some(recovery) = wanted.filter(|r| !last.is_some_and(|last| last.is_like(r))) else {
        return (None, Attempt::done(outcome));
    };
    let tried = match &recovery {
        Recovery::Restore { number } => {
            Attempt::done(restored(&recovery, *number, session, outcome))
        }
        Recovery::Release { .. } => Attempt::done(released(
            &recovery,
            &sessions.prepare(job, &before, &Operation::Recovery(&recovery)),
            session,
            outcome,
        )),
        _ => {
            let operation = Operation::Recovery(&recovery);
            let transaction = Transaction::new(job, sessions, &before, &operation);
            transaction.finish(session, outcome, |now, _| {
                judge(&now.state, job, sessions, &recovery)
            })
        }
    };
    let tried = match tried {
        // A repair that did not last is not reported; the fault of the node is.
        Attempt::Done(outcome) if outcome.failure.is_some() => Attempt::done(Outcome {
            changes: Vec::new(),
            findings: found,
            ..*outcome
        }),
        other => other,
    };
    (Some(recovery), tried)
}

/// A recovery stays if the node does not call for the same one again, seen through a new connection.
fn judge(
    now: &NodeState,
    job: &Job,
    sessions: &WriteSessions<'_>,
    done: &Recovery,
) -> Verification {
    // Our own lease would hide what else there is.
    let mut now = now.clone();
    if let Some(records) = now.records.known_mut() {
        records.lease = None;
    }
    match recovery(&now, &job.desired(), &sessions.context.allowed) {
        Some(again) if again.is_like(done) => Err(Box::new(
            Failure::new(
                Stage::Verifying,
                FailureCode::NotRecovered,
                "all steps were done, but the verification shows the same problem as before",
            )
            .hint("another program on the node may undo the repair; run again with `-v`"),
        )),
        _ => Ok(None),
    }
}

/// Runs the rollback of an unfinished run to its end.
fn restored(
    recovery: &Recovery,
    number: u64,
    mut session: WriteSession<'_>,
    outcome: Outcome,
) -> Outcome {
    let failed = |message: String| {
        Failure::new(Stage::RollingBack, FailureCode::RestoreFailed, message.clone())
            .hint(format!(
                "fix what the answer names on the node, and run again; or abandon that run and keep the node as it is, with `rm /var/lib/fwdeploy/armed` there (the previous state stays in snapshots/{number})"
            ))
            .condition(NodeCondition::Unknown(message))
    };
    match session.retry_restore(number) {
        // In each of these cases the lease is gone, and the node is read again.
        Ok(Ending::Restored(_) | Ending::Disarmed | Ending::Unknown { .. }) => Outcome {
            changes: recovery.changes(&[]),
            verdict: Verdict::Changed,
            ..outcome
        },
        Ok(Ending::Still { trouble }) => outcome.failed(failed(format!(
            "the state before the unfinished run could not be restored: {}",
            match trouble.as_slice() {
                [] => "the restore is still running, or does not report why".to_string(),
                said => said.join("; "),
            }
        ))),
        Err(failure) => {
            let condition = NodeCondition::Unknown(failure.text());
            outcome.failed(failure.condition(condition))
        }
    }
}

/// Abandons an unfinished run that cannot be rolled back.
fn released(
    recovery: &Recovery,
    prepared: &Prepared,
    mut session: WriteSession<'_>,
    outcome: Outcome,
) -> Outcome {
    let doing = prepared.doing(0);
    let stage = Stage::Applying {
        step: 1,
        of: 1,
        doing,
    };
    match session.apply(prepared).end {
        End::All => Outcome {
            changes: recovery.changes(&[]),
            verdict: Verdict::Changed,
            ..outcome
        },
        End::NotArmed { said, .. } | End::Stopped { said, .. } => outcome.failed(
            Failure::new(
                stage,
                FailureCode::StepFailed,
                format!("{doing} failed: {said}"),
            )
            .hint("fix what the answer names on the node, and run again"),
        ),
        End::Lost { error, .. } => {
            let condition = NodeCondition::Unknown(error.to_string());
            let message = format!("{doing} has no answer");
            let failure = Failure::new(stage, FailureCode::StepLost, message).because(error);
            outcome.failed(failure.condition(condition))
        }
    }
}
