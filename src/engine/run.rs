//! One node, stage by stage: look, plan, apply, look again; and rolled back where a step failed.

use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::engine::Job;
use crate::engine::event::Stage;
use crate::engine::failure::Failure;
use crate::engine::hands::Applied;
use crate::engine::hands::Hands;
use crate::engine::hands::Maker;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::standing::Standing;
use crate::engine::standing::compare;
use crate::engine::tally;
use crate::model::NodeState;
use crate::model::state::View;
use crate::plan;
use crate::plan::Action;
use crate::plan::Allowed;
use crate::plan::Finding;
use crate::plan::Plan;
use crate::plan::Reload;
use crate::plan::Severity;
use crate::transport::Executed;

/// How often a new connection is tried after something was changed. One refusal may be sshd's `MaxStartups`; three are an answer.
const TRIES: usize = 3;

/// How often a node is looked at until two looks agree, when a script may still be running there.
const LOOKS: usize = 20;

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
                && matches!(failure.standing, Standing::Untouched | Standing::AsBefore)
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
    let mut outcome = Outcome::new(job.node(), Verdict::Ok);
    let looked = maker
        .open(job, &Stage::Connecting)
        .and_then(|mut hands| Ok((hands.look(&Stage::Looking)?, hands)));
    let (before, hands) = match looked {
        Ok(looked) => looked,
        Err(failure) => return outcome.failed(*failure),
    };
    let plan = plan::plan(&before, &job.desired, allowed);
    outcome.findings = plan.findings.clone();
    if plan.refusals().next().is_some() {
        outcome.verdict = Verdict::Refused;
        return outcome;
    }
    outcome.holds = tally::holding(&job.desired, &plan.actions);
    if plan.is_empty() {
        return match not_enforced(&plan, Stage::Looking) {
            Some(failure) => outcome.failed(failure),
            None => outcome,
        };
    }
    outcome.changes = plan.changes();
    Work {
        job,
        maker,
        before: &before,
        actions: &plan.actions,
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
    actions: &'a [Action],
}

impl<'a> Work<'a> {
    fn finish(&self, mut hands: Hands<'a>, outcome: Outcome) -> Outcome {
        match hands.apply(self.actions) {
            Applied::All => self.verify(hands, outcome),
            Applied::Busy { said } => outcome.failed(
                Failure::new(Stage::Looking, "busy", said)
                    .hint("wait for the other run to end, and run it again"),
            ),
            Applied::Stopped { done, said } => {
                let code = match self.actions.get(done) {
                    Some(Action::OwnChain { .. }) => NO_CHAIN,
                    _ => "step-failed",
                };
                let failure = self
                    .step_failure(done, code, "failed", &said)
                    .hint("mend on the node what the answer names, then run again; `-v` shows each step and its answer");
                let standing = self.go_back(Some(hands), done, Running::No);
                outcome.failed(failure.standing(standing))
            }
            Applied::Lost { done, error } => {
                let mut failure =
                    self.step_failure(done, "step-lost", "has no answer", &error.to_string());
                failure.hint = error.hint();
                drop(hands);
                let running = match error.executed() {
                    Executed::Never => Running::No,
                    Executed::Perhaps => Running::Perhaps,
                };
                let standing = self.go_back(None, done, running);
                outcome.failed(failure.standing(standing))
            }
        }
    }

    /// Which step, and what was answered.
    fn step_failure(&self, done: usize, code: &'static str, verb: &str, said: &str) -> Failure {
        let (step, of) = ((done + 1).min(self.actions.len()), self.actions.len());
        let doing = self
            .actions
            .get(step - 1)
            .map_or("", |action| action.doing());
        Failure::new(
            Stage::Applying { step, of, doing },
            code,
            format!("step {step} of {of} ({doing}) {verb}: {said}"),
        )
    }

    /// A new connection, a second look, and a plan that must be empty.
    fn verify(&self, hands: Hands<'a>, mut outcome: Outcome) -> Outcome {
        let mut fresh = match self.reopen(&Stage::Verifying) {
            Ok(fresh) => fresh,
            Err(failure) => {
                // The old connection may be the only one there will ever be: it is used while it lasts.
                let standing = self.go_back(Some(hands), self.actions.len(), Running::No);
                let message = format!(
                    "every step was done, and then no new connection could be made: {}",
                    failure.message
                );
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
                let standing =
                    Standing::Unknown("every step was done, and nobody saw the result".to_string());
                return outcome.failed(Failure {
                    message,
                    standing,
                    ..*failure
                });
            }
        };
        let plan = self.maker.plan(&now, self.job);
        outcome.holds = tally::holding(&self.job.desired, &plan.actions);
        // What the steps themselves brought about is not there to be found again.
        outcome.findings.retain(Finding::is_of_a_step);
        outcome.findings.extend(plan.findings.iter().cloned());
        if plan.is_empty() && plan.refusals().next().is_none() {
            if let Some(failure) = not_enforced(&plan, Stage::Verifying) {
                return outcome.failed(failure.standing(Standing::Applied(Vec::new())));
            }
            outcome.verdict = Verdict::Changed;
            return outcome;
        }
        // It stays as it is: every step said that it was done, so what took it back would rest on the same words, and the
        // state before was the more open one.
        outcome.failed(
            Failure::new(
                Stage::Verifying,
                "not-as-wanted",
                "every step was done, and a second look shows that the node is still not as wanted",
            )
            .hint("somebody else may be changing the node; run it again, and with `-v` if it stays so")
            .standing(Standing::Applied(plan.changes())),
        )
    }

    /// Rolls back what was done, and says truthfully how the node stands then.
    ///
    /// `hands` is the connection that the steps went through, if it lives; `done` how many of them were certainly done.
    fn go_back(&self, hands: Option<Hands<'a>>, done: usize, mut running: Running) -> Standing {
        let undo = plan::roll_back(&self.actions[..done]);
        let rest = match hands {
            Some(_) if undo.is_empty() => Rest::Known(Vec::new()),
            Some(mut hands) => match hands.roll_back(&undo) {
                Applied::All => Rest::Known(Vec::new()),
                Applied::Busy { .. } => Rest::Known(undo),
                Applied::Stopped { done, .. } => Rest::Known(undo[done..].to_vec()),
                Applied::Lost { done, .. } => {
                    running = Running::Perhaps;
                    Rest::Known(undo[done..].to_vec())
                }
            },
            None => Rest::Unknown,
        };
        let (mut hands, now) = match self.settle(running) {
            Ok(settled) => settled,
            Err(failure) => return Standing::Unknown(failure.message),
        };
        let changes = compare(self.before, &now);
        if changes.is_empty() {
            return if done == 0 && running == Running::No {
                Standing::Untouched
            } else {
                Standing::AsBefore
            };
        }
        let undo = match rest {
            Rest::Known(rest) => rest,
            Rest::Unknown => self.how_far(&now, done),
        };
        // What is different and not of our doing is somebody else's, and stays.
        if undo.is_empty() {
            return Standing::Different(changes);
        }
        hands.roll_back(&undo);
        drop(hands);
        match self.settle(Running::No) {
            Ok((_, now)) => match compare(self.before, &now) {
                changes if changes.is_empty() => Standing::AsBefore,
                changes => Standing::Different(changes),
            },
            Err(failure) => Standing::Unknown(failure.message),
        }
    }

    /// What rolls back the steps that lead from the state before to what is seen now, of which so many were certainly
    /// done; nothing if no number of them leads there.
    fn how_far(&self, now: &NodeState, done: usize) -> Vec<Action> {
        let states = self.maker.states(self.before, self.actions);
        let far = (done..states.len()).find(|n| compare(&states[*n], now).is_empty());
        far.map_or_else(Vec::new, |far| plan::roll_back(&self.actions[..far]))
    }

    /// A new connection and a look through it. Where a script may still be running, looks until two agree.
    fn settle(&self, running: Running) -> Result<(Hands<'a>, NodeState), Box<Failure>> {
        let mut hands = self.reopen(&Stage::Settling)?;
        if running == Running::Perhaps {
            hands.wait()?;
        }
        let mut now = hands.look(&Stage::Settling)?;
        if running == Running::Perhaps {
            for _ in 0..LOOKS {
                self.wait(self.maker.conditions.pause);
                let next = hands.look(&Stage::Settling)?;
                let calm = compare(&now, &next).is_empty();
                now = next;
                if calm {
                    break;
                }
            }
        }
        Ok((hands, now))
    }

    fn reopen(&self, stage: &Stage) -> Result<Hands<'a>, Box<Failure>> {
        let mut tried = 1;
        loop {
            match self.maker.open(self.job, stage) {
                Err(_) if tried < TRIES && !self.leaving() => {
                    tried += 1;
                    self.wait(self.maker.conditions.pause);
                }
                result => return result,
            }
        }
    }

    fn leaving(&self) -> bool {
        self.maker.conditions.stop.leave().is_cancelled()
    }

    /// Waits, but not when the operator leaves.
    fn wait(&self, pause: Duration) {
        let end = Instant::now() + pause;
        while !self.leaving() && Instant::now() < end {
            thread::sleep(Duration::from_millis(20).min(pause));
        }
    }
}

/// What is still to be rolled back.
enum Rest {
    /// These steps.
    Known(Vec<Action>),
    /// The connection was lost, so what is seen must tell.
    Unknown,
}

/// Whether a script may still be running on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Running {
    /// It ended.
    No,
    /// Its connection ended, which says nothing about the script.
    Perhaps,
}
