//! A drill: a node is armed and changed, the run is not confirmed, and the node must roll itself back.

use std::time::Instant;

use crate::engine::code::FailureCode;
use crate::engine::condition::NodeCondition;
use crate::engine::confirm::PendingConfirm;
use crate::engine::failure::Failure;
use crate::engine::job::Job;
use crate::engine::operation::Operation;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::session::Looked;
use crate::engine::session::WriteSessions;
use crate::engine::stage::Stage;
use crate::engine::transaction::Attempt;
use crate::engine::transaction::Transaction;
use crate::engine::transaction::Unconfirmed;
use crate::engine::transaction::retry_while_stale;
use crate::model::DirectRule;
use crate::model::Family;
use crate::model::NodeState;
use crate::model::records::RunOutcome;
use crate::model::records::Snapshot;
use crate::model::state::View;
use crate::plan::Action;
use crate::plan::Finding;
use crate::plan::FindingCode;

/// Provokes an automatic rollback, and checks that the node performs it.
pub(super) fn node(job: &Job, sessions: &WriteSessions<'_>) -> Outcome {
    retry_while_stale(job, sessions, || once(job, sessions))
}

fn once(job: &Job, sessions: &WriteSessions<'_>) -> Attempt {
    let mut outcome = Outcome::new(job.node(), Verdict::Ok);
    let (before, plan, session) = match sessions.look(job) {
        Ok((Looked { state, plan }, session)) => (state, plan, session),
        Err(failure) => return Attempt::done(outcome.failed(*failure)),
    };
    // The harmless change is written permanently.
    outcome.findings = plan.refusals_to_write();
    if !outcome.findings.is_empty() {
        outcome.verdict = Verdict::Refused;
        return Attempt::done(outcome);
    }
    outcome.holds = plan.satisfied(&job.desired(), &before);
    let actions: Vec<Action> = harmless(&before).into_iter().collect();
    let drill = Operation::Drill(&actions);
    let transaction = Transaction::new(job, sessions, &before, &drill);
    // They are not needed while the node's timer runs.
    drop((before, plan, actions));
    match transaction.begin(session, outcome) {
        Ok(pending) => Attempt::done(wait(*pending)),
        Err(tried) => tried,
    }
}

/// A rule in firewalld's files that does nothing, and that firewalld does not even load.
fn harmless(before: &NodeState) -> Option<Action> {
    let before = before.permanent.direct.known()?;
    let mut after = before.clone();
    let args = ["-m", "comment", "--comment", "fwdeploy:drill"];
    after.rules.push(DirectRule {
        family: Some(Family::V4),
        table: "mangle".to_string(),
        chain: "FORWARD".to_string(),
        priority: 0,
        args: args.map(String::from).to_vec().into(),
    });
    Some(Action::SetPermanentDirect {
        before: before.clone(),
        after,
    })
}

/// Leaves the node alone until it must have rolled back, then reads it.
fn wait(pending: Unconfirmed<'_>) -> Outcome {
    let Unconfirmed {
        armed,
        begun,
        number,
        session,
        outcome,
    } = pending;
    // As a lost connection would.
    drop(session);
    let context = armed.sessions.context;
    context.emit_stage(armed.job, Stage::Waiting);
    armed.wait((begun + context.confirm).saturating_duration_since(Instant::now()));
    loop {
        let now = armed
            .sessions
            .open(armed.job, &Stage::Verifying)
            .and_then(|mut session| session.look(&Stage::Verifying));
        let at_home = now.as_ref().is_ok_and(|now| !is_armed(now, number));
        match now {
            Ok(now) if at_home => return judge(&armed, &now, number, outcome),
            Ok(_) if armed.is_over() || armed.leaving() => {
                let late = Failure::new(
                    Stage::Settling,
                    FailureCode::DidNotComeBack,
                    format!(
                        "the drill failed: the node did not roll itself back within {} s plus {} s",
                        context.confirm.as_secs(),
                        armed.allowed_for_the_rollback(),
                    ),
                )
                .hint("journalctl -u 'fwdeploy-restore*' on the node shows what its timer did");
                return outcome.failed(late.condition(armed.roll_back(None)));
            }
            Err(failure) if armed.is_over() || armed.leaving() => {
                let condition = armed.unreachable(failure.text());
                let message = "the drill has no result: the node could not be read";
                let failure = failure.within(FailureCode::DidNotComeBack, message);
                return outcome.failed(failure.condition(condition));
            }
            _ => armed.wait(context.pause),
        }
    }
}

fn is_armed(now: &NodeState, number: u64) -> bool {
    let records = now.records.known();
    records.is_none_or(|records| records.lease.as_ref().is_some_and(|l| l.number == number))
}

/// Checks that the node is as it was before, and that its own timer restored it.
fn judge(
    armed: &PendingConfirm<'_>,
    now: &NodeState,
    number: u64,
    mut outcome: Outcome,
) -> Outcome {
    let records = now.records.known();
    let none = Snapshot::default();
    let told = records.and_then(|r| r.snapshot(number)).unwrap_or(&none);
    let differences = armed.before.changes_to(now);
    if !differences.is_empty() {
        let failure = Failure::new(
            Stage::Settling,
            FailureCode::CameBackDifferent,
            "the drill failed: the node rolled itself back, but is not as it was before",
        )
        .hint("was another run or program changing the node? if not, this is a bug in fwdeploy: please report it");
        return outcome.failed(failure.condition(NodeCondition::Different(differences)));
    }
    let since = told.ended.clone();
    if told.outcome != RunOutcome::Restored || told.why != "timer" {
        let failure = Failure::new(
            Stage::Settling,
            FailureCode::NotByItself,
            format!(
                "the drill failed: the node is as it was before, but it was not its timer that restored it: {}{}{}",
                told.outcome.as_str(),
                if told.why.is_empty() { "" } else { " by " },
                told.why
            ),
        )
        .hint("was the node rebooted, or changed by another run, during the drill? run the drill again");
        return outcome.failed(failure.condition(NodeCondition::AsBefore { since }));
    }
    let within = match told.late {
        Some(seconds) => format!("{seconds} s after"),
        None => "after".to_string(),
    };
    outcome.findings.push(Finding::new(
        FindingCode::CameBack,
        View::Runtime,
        format!(
            "drill passed: the node rolled itself back ({}), {within} the {} s without confirmation, and is as it was before",
            told.how,
            armed.sessions.context.confirm.as_secs(),
        ),
    ));
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::open_node;

    #[test]
    fn the_change_of_a_drill_is_one_rule_that_decides_nothing() {
        let action = harmless(&open_node()).expect("a node that can be read");
        let changes = action.changes();
        let said: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            ["+ permanent ipv4 mangle FORWARD 0 -m comment --comment fwdeploy:drill"]
        );
    }
}
