//! Changing a node: arm it, do the operation, look again on a new connection, confirm; and back to the state before where that fails.
//!
//! What the operation is, and what a fresh look has to show, is the caller's.

use std::time::Duration;
use std::time::Instant;

use crate::engine::applied::End;
use crate::engine::code::FailureCode;
use crate::engine::condition::NodeCondition;
use crate::engine::confirm::PendingConfirm;
use crate::engine::failure::Failure;
use crate::engine::job::Job;
use crate::engine::operation::Operation;
use crate::engine::operation::Prepared;
use crate::engine::operation::Step;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::RevertPoint;
use crate::engine::outcome::Verdict;
use crate::engine::rollout::WhenFailed;
use crate::engine::session::Looked;
use crate::engine::session::WriteSession;
use crate::engine::session::WriteSessions;
use crate::engine::stage::Stage;
use crate::model::NodeState;
use crate::node::BUSY;
use crate::node::EDITED;
use crate::node::GONE;
use crate::node::NO_SNAPSHOT;
use crate::node::STALE;
use crate::node::UNFINISHED;
use crate::plan;
use crate::transport::Executed;
use crate::transport::RunError;

/// The longest time from sending the script until a busy node is armed. A node that rolls back is waited for that much longer.
const ARMED_WITHIN: Duration = Duration::from_secs(5);

/// How often a node is read again because another run has changed it since.
const LOOKS: usize = 5;

/// The exit code of what took too long.
const TOO_LONG: i32 = 124;

/// What the exit code of a step means. Any number that the node sends maps to one of these codes.
fn step_code(exit_code: i32, step: Option<&Step>) -> FailureCode {
    match (exit_code, step) {
        (EDITED, _) => FailureCode::EditedByHand,
        (TOO_LONG, Some(step)) if step.changes_docker => FailureCode::DockerHangs,
        // Without firewalld a reload does not help either.
        (GONE, _) => FailureCode::StepFailed,
        (_, Some(step)) if step.owns_chain => FailureCode::ChainNotRecreated,
        _ => FailureCode::StepFailed,
    }
}

/// What became of one look and what followed from it.
pub(super) enum Attempt {
    /// The node's outcome.
    Done(Box<Outcome>),
    /// Nothing was done: another run has changed the node in between.
    Stale,
}

impl Attempt {
    pub(super) fn done(outcome: Outcome) -> Self {
        Attempt::Done(Box::new(outcome))
    }
}

/// Reads the node again until no other run has changed it between the reading and the arming.
pub(super) fn retry_while_stale(
    job: &Job,
    sessions: &WriteSessions<'_>,
    once: impl Fn() -> Attempt,
) -> Outcome {
    let mut looks = 1;
    loop {
        match once() {
            Attempt::Stale if looks < LOOKS && !sessions.context.stop.is_draining() => looks += 1,
            Attempt::Stale => {
                return Outcome::new(job.node(), Verdict::Failed).failed(
                    Failure::new(
                        Stage::Looking,
                        FailureCode::Busy,
                        "other runs have changed this node several times since it was read",
                    )
                    .hint("wait for the other runs to end, and run again"),
                );
            }
            Attempt::Done(outcome) => return *outcome,
        }
    }
}

/// A node with something to do.
pub(super) struct Transaction<'a> {
    pub(super) job: &'a Job,
    pub(super) sessions: &'a WriteSessions<'a>,
    pub(super) prepared: Prepared,
    /// Whether another run was changing the node when it was read.
    pub(super) busy: Option<Failure>,
}

/// A node on which the operation is done, and that rolls back unless it is confirmed.
pub(super) struct Unconfirmed<'a> {
    pub(super) armed: PendingConfirm<'a>,
    /// When it was armed at the earliest.
    pub(super) begun: Instant,
    /// The snapshot that a rollback restores.
    pub(super) number: u64,
    /// The connection over which it was done.
    pub(super) session: WriteSession<'a>,
    pub(super) outcome: Outcome,
}

/// The result of a new reading: an error rolls the node back; a failure is reported, but the node stays as it is now.
pub(super) type Verification = Result<Option<Failure>, Box<Failure>>;

impl<'a> Transaction<'a> {
    /// The operation on a node that was in that state when it was read.
    pub(super) fn new(
        job: &'a Job,
        sessions: &'a WriteSessions<'a>,
        before: &NodeState,
        operation: &Operation<'_>,
    ) -> Self {
        Transaction {
            job,
            sessions,
            prepared: sessions.prepare(job, before, operation),
            busy: busy(before, &sessions.run),
        }
    }

    /// Does the operation, and lets it stay if a fresh look is judged well.
    pub(super) fn finish(
        &self,
        session: WriteSession<'a>,
        outcome: Outcome,
        judge: impl Fn(&Looked, &mut Outcome) -> Verification,
    ) -> Attempt {
        match self.begin(session, outcome) {
            Ok(pending) => Attempt::done(self.verify(*pending, judge)),
            Err(tried) => tried,
        }
    }

    /// Arms the node and executes the operation. If that fails, the node is back in the state before, or is reported not to be.
    pub(super) fn begin(
        &self,
        mut session: WriteSession<'a>,
        mut outcome: Outcome,
    ) -> Result<Box<Unconfirmed<'a>>, Attempt> {
        if let Some(busy) = &self.busy {
            return Err(Attempt::done(outcome.failed(busy.clone())));
        }
        let since = Instant::now();
        let prepared = &self.prepared;
        let applied = session.apply(prepared);
        prepared.tell(&applied, &mut outcome);
        let armed = PendingConfirm {
            job: self.job,
            sessions: self.sessions,
            before: prepared.before.clone(),
            last: prepared.last,
            number: applied.armed,
            since: since + ARMED_WITHIN,
        };
        let failed = |failure| Err(Attempt::done(outcome.clone().failed(failure)));
        match applied.end {
            End::All => match applied.armed {
                Some(number) => Ok(Box::new(Unconfirmed {
                    armed,
                    begun: since,
                    number,
                    session,
                    outcome,
                })),
                None => {
                    let how = "failed: the node did not report that it was armed";
                    let failure = self.step_failure(0, FailureCode::StepFailed, how);
                    failed(failure.condition(armed.roll_back(Some(session))))
                }
            },
            End::NotArmed { code: STALE, .. } => Err(Attempt::Stale),
            // Only another reading shows who has held it since the first: it may be this very run, under another name of the machine.
            End::NotArmed { code: BUSY, said } => {
                let seen = session.look(&Stage::Looking).ok();
                let busy = seen.and_then(|seen| busy(&seen, &self.sessions.run));
                failed(busy.unwrap_or_else(|| not_armed(BUSY, said)))
            }
            End::NotArmed { code, said } => failed(not_armed(code, said)),
            End::Stopped {
                code,
                done: steps,
                said,
            } => {
                let code = step_code(code, prepared.steps.get(steps));
                let hint = match code {
                    FailureCode::EditedByHand => {
                        let kept = match applied.armed {
                            Some(number) => format!("/var/lib/fwdeploy/snapshots/{number}/kept"),
                            None => "the file itself".to_string(),
                        };
                        format!("the edit is kept on the node in {kept}; put it in place and load it with `firewall-cmd --reload`, or ignore it, then run again")
                    }
                    FailureCode::DockerHangs => "dockerd is blocked, perhaps permanently: this can happen with Docker 28.1 to 28.5 if firewalld reloads while a network changes (moby#50619); if `docker network ls` on the node does not answer either, restart Docker there, which stops the containers unless live-restore is on; then run again".to_string(),
                    _ => "fix what the answer names on the node, then run again; `-v` shows each step and its answer".to_string(),
                };
                let failure = self.step_failure(steps, code, &format!("failed: {said}"));
                failed(failure.hint(hint).condition(armed.roll_back(Some(session))))
            }
            End::Lost { done: steps, error } => {
                let code = match error {
                    RunError::Cancelled { .. } => FailureCode::Stopped,
                    _ => FailureCode::StepLost,
                };
                let executed = error.executed();
                let failure = self
                    .step_failure(steps, code, "has no answer")
                    .because(error);
                drop(session);
                let condition = match executed {
                    Executed::Never => NodeCondition::Untouched,
                    Executed::Perhaps => armed.roll_back(None),
                };
                failed(failure.condition(condition))
            }
        }
    }

    /// Which step, and what was answered.
    fn step_failure(&self, done: usize, code: FailureCode, how: &str) -> Failure {
        let of = self.prepared.steps.len();
        let step = (done + 1).min(of);
        let doing = self.prepared.doing(step - 1);
        Failure::new(
            Stage::Applying { step, of, doing },
            code,
            format!("step {step} of {of} ({doing}) {how}"),
        )
    }

    /// A new connection, a second look that is judged, and only then the word that the run stays.
    fn verify(
        &self,
        pending: Unconfirmed<'a>,
        judge: impl Fn(&Looked, &mut Outcome) -> Verification,
    ) -> Outcome {
        let Unconfirmed {
            armed,
            number,
            session,
            mut outcome,
            ..
        } = pending;
        let mut fresh = match armed.reopen(&Stage::Verifying) {
            Ok(fresh) => fresh,
            Err(failure) => {
                let code = match failure.code {
                    // The attempt was cut short.
                    FailureCode::Stopped => FailureCode::Stopped,
                    _ => FailureCode::NoWayBackIn,
                };
                let failure = failure.within(
                    code,
                    "all steps were done, but then no new connection could be made",
                );
                // The old connection may be the only one there will ever be: it is used while it lasts.
                let condition = armed.roll_back(Some(session));
                return outcome.failed(failure.condition(condition));
            }
        };
        let now = match fresh.look_until_still(&Stage::Verifying) {
            Ok(now) => now,
            Err(failure) => {
                let code = failure.code;
                let failure =
                    failure.within(code, "all steps were done, but the verification failed");
                drop(fresh);
                let condition = armed.roll_back(Some(session));
                return outcome.failed(failure.condition(condition));
            }
        };
        let judged = judge(&now, &mut outcome);
        // Megabytes, and the node is waited for.
        drop(now);
        let told = match judged {
            Ok(told) => told,
            Err(failure) => {
                return outcome.failed(failure.condition(armed.roll_back(Some(fresh))));
            }
        };
        if let Err(failure) = armed.confirm(fresh, number) {
            return outcome.failed(*failure);
        }
        if self.sessions.context.rollout.when_failed == WhenFailed::RollBackAll {
            outcome.revert_point = Some(RevertPoint {
                number,
                before: self.prepared.before.clone(),
            });
        }
        if let Some(failure) = told {
            return outcome.failed(failure.condition(NodeCondition::Applied(Vec::new())));
        }
        outcome.verdict = match outcome.changes.as_slice() {
            [] => Verdict::Ok,
            _ => Verdict::Changed,
        };
        outcome
    }
}

/// A node that another run is changing cannot be planned for.
pub(super) fn busy(seen: &NodeState, run: &str) -> Option<Failure> {
    let held = plan::active_lease(seen)?;
    let records = seen.records.known()?;
    let lease = records.lease.as_ref()?;
    let ours = records.snapshot(lease.number);
    Some(match ours.filter(|snapshot| snapshot.run == run) {
        Some(snapshot) => Failure::new(
            Stage::Looking,
            FailureCode::SameMachine,
            format!(
                "it is the same machine as {}, which this run is changing",
                snapshot.node
            ),
        )
        .hint("name each machine once in the inventory"),
        None => not_armed(BUSY, held.text),
    })
}

/// Why the node was not armed.
pub(super) fn not_armed(code: i32, said: String) -> Failure {
    match code {
        BUSY => Failure::new(Stage::Looking, FailureCode::Busy, said).hint("wait for the other run to end, and run again"),
        NO_SNAPSHOT => Failure::new(Stage::Looking, FailureCode::NoSnapshot, said).hint("choose another snapshot with --to; `fwdeploy status` shows them"),
        UNFINISHED => Failure::new(Stage::Looking, FailureCode::Unfinished, said)
            .hint("`run --recover` restores the state before that run"),
        _ => Failure::new(Stage::Looking, FailureCode::NotArmed, said)
            .hint("a node without an automatic rollback is not changed; free some space for /var/lib/fwdeploy, or fix what the answer names"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use crate::plan::Action;
    use crate::plan::action::NetworkSpec;

    #[test]
    fn any_exit_code_of_a_step_means_one_of_the_known_failures() {
        let chain = Action::OwnChain { family: Family::V4 };
        let network = Action::CreateNetwork(NetworkSpec::default());
        for (exit_code, step, means) in [
            (EDITED, &chain, FailureCode::EditedByHand),
            (GONE, &chain, FailureCode::StepFailed),
            (1, &chain, FailureCode::ChainNotRecreated),
            (TOO_LONG, &chain, FailureCode::ChainNotRecreated),
            (TOO_LONG, &network, FailureCode::DockerHangs),
            (GONE, &network, FailureCode::StepFailed),
            (i32::MIN, &network, FailureCode::StepFailed),
        ] {
            let step = Step::of(step);
            assert_eq!(step_code(exit_code, Some(&step)), means, "{exit_code}");
        }
        assert_eq!(step_code(TOO_LONG, None), FailureCode::StepFailed);
    }
}
