//! One node, stage by stage: look, plan, arm, apply, look again, confirm; and back to the state before where that fails.

use crate::engine::Job;
use crate::engine::change::Change;
use crate::engine::change::Judged;
use crate::engine::change::NO_CHAIN;
use crate::engine::change::Tried;
use crate::engine::change::busy;
use crate::engine::change::until_fresh;
use crate::engine::deed::Deed;
use crate::engine::event::Stage;
use crate::engine::failure::Failure;
use crate::engine::hands::Maker;
use crate::engine::look;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::recover;
use crate::engine::standing::Standing;
use crate::engine::tally;
use crate::model::state::View;
use crate::plan::Allowed;
use crate::plan::Finding;
use crate::plan::Plan;
use crate::plan::Reload;
use crate::plan::Severity;

/// Makes a node as wanted: in place, and where the chain cannot be recreated in place, by a reload with the latch on.
///
/// What keeps any run from it is mended first, if that is allowed.
pub(super) fn node(job: &Job, maker: &Maker<'_>) -> Outcome {
    match recover::node(job, maker) {
        Ok(mended) => mended.told(made(job, maker)),
        Err(outcome) => *outcome,
    }
}

fn made(job: &Job, maker: &Maker<'_>) -> Outcome {
    let allowed = maker.conditions.allowed;
    let first = attempt(job, maker, &allowed);
    let by_reload = Allowed {
        reload: Reload::Always,
        ..allowed
    };
    match &first.failure {
        Some(failure)
            if failure.code == NO_CHAIN
                && allowed.reload == Reload::Auto
                && matches!(
                    failure.standing,
                    Standing::Untouched | Standing::AsBefore { .. }
                )
                && !maker.conditions.stop.leave().is_cancelled() =>
        {
            let mut second = attempt(job, maker, &by_reload);
            second.findings.insert(
                0,
                Finding::new(
                    Severity::Note,
                    "reloaded-instead",
                    View::Runtime,
                    format!(
                        "firewalld was to be reloaded with the latch on, because {}",
                        failure.message
                    ),
                ),
            );
            second
        }
        _ => first,
    }
}

/// One way of making a node as wanted, from the first look to the last.
fn attempt(job: &Job, maker: &Maker<'_>, allowed: &Allowed) -> Outcome {
    until_fresh(job, maker, || once(job, maker, allowed))
}

fn once(job: &Job, maker: &Maker<'_>, allowed: &Allowed) -> Tried {
    let mut outcome = Outcome::new(job.node(), Verdict::Ok);
    let (before, hands) = match maker.look(job) {
        Ok(looked) => looked,
        Err(failure) => return Tried::done(outcome.failed(*failure)),
    };
    // A chain that is just being recreated looks like a chain that is gone.
    if let Some(busy) = busy(&before, &maker.run) {
        return Tried::done(outcome.failed(busy));
    }
    let plan = look::judged(&before, job, allowed);
    outcome.findings = plan.findings.clone();
    if plan.refusals().next().is_some() {
        outcome.verdict = Verdict::Refused;
        return Tried::done(outcome);
    }
    outcome.holds = tally::holding(&job.desired, &plan.actions);
    if plan.is_empty() {
        return Tried::done(match not_enforced(&plan, Stage::Looking) {
            Some(failure) => outcome.failed(failure),
            None => outcome,
        });
    }
    outcome.changes = plan.changes();
    let change = Change {
        job,
        maker,
        before: &before,
        deed: Deed::Steps(&plan.actions),
    };
    change.finish(hands, outcome, |now, outcome| {
        judge(&maker.plan(now, job), job, outcome)
    })
}

/// The plan of a second look must be empty.
fn judge(plan: &Plan, job: &Job, outcome: &mut Outcome) -> Judged {
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
            "not-as-wanted",
            format!("every step was done, and a second look shows that the node is still not as wanted{rest}"),
        )
        .hint("somebody else may be changing the node; run it again, and with `-v` if it stays so")));
    }
    outcome.holds = tally::holding(&job.desired, &plan.actions);
    // What the steps themselves brought about is not there to be found again.
    outcome.findings.retain(Finding::is_of_a_step);
    // The lease is our own.
    let found = plan.findings.iter().filter(|f| f.code != "leased");
    outcome.findings.extend(found.cloned());
    Ok(not_enforced(plan, Stage::Verifying))
}

/// The failure of a node on which nothing is to be done and the whitelist does not hold all the same.
fn not_enforced(plan: &Plan, stage: Stage) -> Option<Failure> {
    let count = plan.defeats().count();
    (count > 0).then(|| {
        Failure::new(
            stage,
            "not-enforced",
            "the whitelist does not hold, for a reason that is not fwdeploy's to repair",
        )
        .hint("see what was found above; what is not ours is shown and never changed")
    })
}
