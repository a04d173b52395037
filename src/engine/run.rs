//! One node, stage by stage: look, plan, arm, apply, look again, confirm; and back to the state before where that fails.

use std::time::Duration;
use std::time::Instant;

use crate::engine::Job;
use crate::engine::armed::Armed;
use crate::engine::event::Stage;
use crate::engine::failure::Failure;
use crate::engine::hands::Deed;
use crate::engine::hands::End;
use crate::engine::hands::Hands;
use crate::engine::hands::Maker;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::standing::Standing;
use crate::engine::tally;
use crate::model::NodeState;
use crate::model::state::View;
use crate::node::BUSY;
use crate::node::STALE;
use crate::node::UNFINISHED;
use crate::plan;
use crate::plan::Action;
use crate::plan::Allowed;
use crate::plan::Finding;
use crate::plan::Plan;
use crate::plan::Reload;
use crate::plan::Severity;
use crate::transport::Executed;

/// From sending the script to the node's being armed, at most, on a busy node. A node that goes back is waited for so much longer.
const ARMED_WITHIN: Duration = Duration::from_secs(5);

/// How often a plan is made anew because somebody else has changed the node since it was looked at.
const PLANS: usize = 5;

/// The failure of the one step for which there is another way.
const NO_CHAIN: &str = "chain-not-recreated";

/// Makes a node as wanted: in place, and where the chain cannot be recreated in place, by a reload with the latch on.
pub(super) fn node(job: &Job, maker: &Maker<'_>) -> Outcome {
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
    let mut plans = 1;
    loop {
        match once(job, maker, allowed) {
            Tried::Stale if plans < PLANS && !maker.conditions.stop.is_draining() => plans += 1,
            Tried::Stale => {
                return Outcome::new(job.node(), Verdict::Failed).failed(
                    Failure::new(
                        Stage::Looking,
                        "busy",
                        "other runs have changed this node again and again since it was looked at",
                    )
                    .hint("wait for the other runs to end, and run it again"),
                );
            }
            Tried::Done(outcome) => return *outcome,
        }
    }
}

/// What became of one look, plan and change.
enum Tried {
    Done(Box<Outcome>),
    /// Nothing was done: another run has changed the node in between.
    Stale,
}

fn once(job: &Job, maker: &Maker<'_>, allowed: &Allowed) -> Tried {
    let mut outcome = Outcome::new(job.node(), Verdict::Ok);
    let done = |outcome| Tried::Done(Box::new(outcome));
    let looked = maker
        .open(job, &Stage::Connecting)
        .and_then(|mut hands| Ok((hands.look(&Stage::Looking)?, hands)));
    let (before, hands) = match looked {
        Ok(looked) => looked,
        Err(failure) => return done(outcome.failed(*failure)),
    };
    let plan = plan::plan(&before, &job.desired, allowed);
    outcome.findings = plan.findings.clone();
    if plan.refusals().next().is_some() {
        outcome.verdict = Verdict::Refused;
        return done(outcome);
    }
    // What is seen while somebody else is at work is no ground to plan on.
    if let Some(held) = plan.findings.iter().find(|f| f.code == "leased") {
        let busy = not_armed(BUSY, held.text.clone());
        outcome.findings.retain(|f| f.code != "leased");
        return done(outcome.failed(busy));
    }
    outcome.holds = tally::holding(&job.desired, &plan.actions);
    if plan.is_empty() {
        return done(match not_enforced(&plan, Stage::Looking) {
            Some(failure) => outcome.failed(failure),
            None => outcome,
        });
    }
    outcome.changes = plan.changes();
    Work {
        job,
        maker,
        before: &before,
        deed: Deed::Steps(&plan.actions),
    }
    .finish(hands, outcome)
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

/// A node with something to do.
struct Work<'a> {
    job: &'a Job,
    maker: &'a Maker<'a>,
    before: &'a NodeState,
    deed: Deed<'a>,
}

impl<'a> Work<'a> {
    fn finish(&self, mut hands: Hands<'a>, outcome: Outcome) -> Tried {
        let since = Instant::now();
        let applied = hands.apply(self.before, &self.deed);
        let armed = Armed {
            job: self.job,
            maker: self.maker,
            before: self.before,
            number: applied.armed,
            since: since + ARMED_WITHIN,
        };
        let done = |outcome| Tried::Done(Box::new(outcome));
        match applied.end {
            End::All => match applied.armed {
                Some(number) => done(self.verify(&armed, number, hands, outcome)),
                None => done(
                    outcome.failed(
                        self.step_failure(
                            0,
                            "step-failed",
                            "failed",
                            "the node did not say that it was armed",
                        )
                        .standing(armed.go_back(Some(hands))),
                    ),
                ),
            },
            End::NotArmed { code: STALE, .. } => Tried::Stale,
            End::NotArmed { code, said } => done(outcome.failed(not_armed(code, said))),
            End::Stopped { done: steps, said } => {
                let code = match self.deed {
                    Deed::Steps(actions)
                        if matches!(actions.get(steps), Some(Action::OwnChain { .. })) =>
                    {
                        NO_CHAIN
                    }
                    _ => "step-failed",
                };
                let failure = self
                    .step_failure(steps, code, "failed", &said)
                    .hint("mend on the node what the answer names, then run again; `-v` shows each step and its answer");
                done(outcome.failed(failure.standing(armed.go_back(Some(hands)))))
            }
            End::Lost { done: steps, error } => {
                let mut failure =
                    self.step_failure(steps, "step-lost", "has no answer", &error.to_string());
                failure.hint = error.hint();
                drop(hands);
                let standing = match error.executed() {
                    Executed::Never => Standing::Untouched,
                    Executed::Perhaps => armed.go_back(None),
                };
                done(outcome.failed(failure.standing(standing)))
            }
        }
    }

    /// Which step, and what was answered.
    fn step_failure(&self, done: usize, code: &'static str, verb: &str, said: &str) -> Failure {
        let (step, of) = ((done + 1).min(self.deed.len()), self.deed.len());
        let doing = self.deed.doing(step - 1);
        Failure::new(
            Stage::Applying { step, of, doing },
            code,
            format!("step {step} of {of} ({doing}) {verb}: {said}"),
        )
    }

    /// A new connection, a second look, a plan that must be empty, and only then the word that the run stays.
    fn verify(
        &self,
        armed: &Armed<'a>,
        number: u64,
        hands: Hands<'a>,
        mut outcome: Outcome,
    ) -> Outcome {
        let mut fresh = match armed.reopen(&Stage::Verifying) {
            Ok(fresh) => fresh,
            Err(failure) => {
                let message = format!(
                    "every step was done, and then no new connection could be made: {}",
                    failure.message
                );
                // The old connection may be the only one there will ever be: it is used while it lasts.
                let standing = armed.go_back(Some(hands));
                return outcome.failed(Failure {
                    code: "no-way-back-in",
                    message,
                    standing,
                    ..*failure
                });
            }
        };
        let now = match fresh.look(&Stage::Verifying) {
            Ok(now) => now,
            Err(failure) => {
                let message = format!(
                    "every step was done, and then the second look failed: {}",
                    failure.message
                );
                drop(fresh);
                let standing = armed.go_back(Some(hands));
                return outcome.failed(Failure {
                    message,
                    standing,
                    ..*failure
                });
            }
        };
        let plan = self.maker.plan(&now, self.job);
        if !plan.is_empty() || plan.refusals().next().is_some() {
            let rest = match plan.changes().first() {
                Some(change) => format!(": {change}"),
                None => plan
                    .refusals()
                    .next()
                    .map_or_else(String::new, |f| format!(": {}", f.text)),
            };
            let failure = Failure::new(
                Stage::Verifying,
                "not-as-wanted",
                format!("every step was done, and a second look shows that the node is still not as wanted{rest}"),
            )
            .hint("somebody else may be changing the node; run it again, and with `-v` if it stays so");
            return outcome.failed(failure.standing(armed.go_back(Some(fresh))));
        }
        outcome.holds = tally::holding(&self.job.desired, &plan.actions);
        // What the steps themselves brought about is not there to be found again.
        outcome.findings.retain(Finding::is_of_a_step);
        // The lease is our own.
        outcome
            .findings
            .extend(plan.findings.iter().filter(|f| f.code != "leased").cloned());
        if let Err(failure) = armed.confirm(fresh, number) {
            return outcome.failed(*failure);
        }
        if let Some(failure) = not_enforced(&plan, Stage::Verifying) {
            return outcome.failed(failure.standing(Standing::Applied(Vec::new())));
        }
        outcome.verdict = Verdict::Changed;
        outcome
    }
}

/// Why the node was not armed.
fn not_armed(code: i32, said: String) -> Failure {
    match code {
        BUSY => Failure::new(Stage::Looking, "busy", said).hint("wait for the other run to end, and run it again"),
        UNFINISHED => Failure::new(Stage::Looking, "unfinished", said)
            .hint("run --recover brings the node back to the state before that run"),
        _ => Failure::new(Stage::Looking, "not-armed", said)
            .hint("without a way back by itself no node is changed; make room for /var/lib/fwdeploy, or mend what the answer names"),
    }
}
