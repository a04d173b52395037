//! A node that is armed: the run is confirmed or rolled back, and what is reported if neither can be verified.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::engine::code::FailureCode;
use crate::engine::condition::NodeCondition;
use crate::engine::failure::Failure;
use crate::engine::job::Job;
use crate::engine::session::WriteSession;
use crate::engine::session::WriteSessions;
use crate::engine::stage::Stage;
use crate::node::Ending;
use crate::plan::Change;
use crate::plan::Reading;

/// How often a new connection is tried after something was changed. One refusal may be sshd's `MaxStartups`; three are an answer.
const TRIES: usize = 3;

/// How often a node that is not as it was before is read again before that is reported.
const LOOKS: usize = 5;

/// How long the rollback may take once the time to confirm is over.
const ROLLBACK: Duration = Duration::from_secs(15);

/// How long a rollback that runs is waited for, in minutes; the node ends each wait after one (disarm.sh).
const REVERT_MINUTES: usize = 5;

/// A node that rolls itself back unless the run is confirmed.
pub(super) struct PendingConfirm<'a> {
    pub(super) job: &'a Job,
    pub(super) sessions: &'a WriteSessions<'a>,
    /// The node before the operation.
    pub(super) before: Arc<Reading>,
    /// The number of its last snapshot then.
    pub(super) last: u64,
    /// The snapshot that a rollback restores; `None` if it is not known whether the node was armed.
    pub(super) number: Option<u64>,
    /// When it was armed at the latest.
    pub(super) since: Instant,
}

impl<'a> PendingConfirm<'a> {
    /// Confirms the run: tries until the node has acknowledged it or has rolled back.
    pub(super) fn confirm(
        &self,
        session: WriteSession<'a>,
        number: u64,
    ) -> Result<(), Box<Failure>> {
        let mut session = Some(session);
        loop {
            let told = match session.take() {
                Some(session) => Ok(session),
                None => self.sessions.open(self.job, &Stage::Confirming),
            }
            .and_then(|mut session| session.disarm(number));
            match told {
                Ok(Ending::Disarmed) => return Ok(()),
                Ok(Ending::Restored(restored)) => {
                    let late = Failure::new(
                        Stage::Confirming,
                        FailureCode::ConfirmedTooLate,
                        format!(
                            "the node was rolled back, because the run was not confirmed within {} s",
                            self.sessions.context.confirm.as_secs()
                        ),
                    )
                    .hint("allow more time with --confirm-timeout, and run again");
                    return Err(Box::new(late.condition(self.seen(Some(restored.ended)))));
                }
                Ok(Ending::Unknown { said }) => {
                    return Err(Box::new(
                        Failure::new(
                            Stage::Confirming,
                            FailureCode::NotConfirmed,
                            format!(
                                "the node is no longer armed, and does not report whether the run was confirmed or rolled back (it says: {said})"
                            ),
                        )
                        .hint("check that /var/lib/fwdeploy on the node has free space; the changes may be in force: run with --check to see")
                        .condition(self.seen(None)),
                    ));
                }
                Ok(Ending::Still { trouble }) => {
                    return Err(Box::new(
                        Failure::new(
                            Stage::Confirming,
                            FailureCode::NotConfirmed,
                            format!(
                                "the node did not accept the confirmation: {}",
                                trouble.join("; ")
                            ),
                        )
                        .condition(self.unreachable("it is rolling back".to_string())),
                    ));
                }
                Err(failure) if self.is_over() || self.leaving() => {
                    let code = if self.leaving() {
                        FailureCode::Stopped
                    } else {
                        FailureCode::NotConfirmed
                    };
                    let condition = self.unreachable(failure.text());
                    let message = "all steps were done and verified, but the run could not be confirmed on the node";
                    return Err(Box::new(failure.within(code, message).condition(condition).hint("run again once the node can be reached: it may already have accepted the confirmation")));
                }
                Err(_) => self.wait(self.sessions.context.pause),
            }
        }
    }

    /// Rolls the node back immediately, over `session` if that connection still works, and returns the verified condition.
    pub(super) fn roll_back(&self, session: Option<WriteSession<'a>>) -> NodeCondition {
        let mut session = session;
        let mut told = None;
        loop {
            let condition = match session.take() {
                Some(session) => Ok(session),
                None => self.sessions.open(self.job, &Stage::RollingBack),
            }
            .and_then(|session| self.gone_back(session, &mut told));
            match condition {
                Ok(condition) => return condition,
                Err(failure) if self.is_over() || self.leaving() => {
                    return match told {
                        Some(since) => unlooked(&since, &failure.text()),
                        None => self.unreachable(failure.text()),
                    };
                }
                Err(_) => self.wait(self.sessions.context.pause),
            }
        }
    }

    /// `told` is set to the time of the rollback, as reported by the node.
    fn gone_back(
        &self,
        mut session: WriteSession<'a>,
        told: &mut Option<String>,
    ) -> Result<NodeCondition, Box<Failure>> {
        let number = match self.number {
            Some(number) => Some(number),
            None => self.taken(&mut session)?,
        };
        if let Some(number) = number {
            let mut ending = session.revert(number)?;
            // It is running. With thousands of rules firewalld takes minutes.
            for _ in 1..REVERT_MINUTES {
                match &ending {
                    Ending::Still { trouble } if trouble.is_empty() => {
                        ending = session.revert(number)?;
                    }
                    _ => break,
                }
            }
            match ending {
                Ending::Restored(restored) => *told = Some(restored.ended),
                // No one else confirms this run; the reading below shows the state.
                Ending::Disarmed | Ending::Unknown { .. } => {}
                Ending::Still { trouble } => {
                    let message = match trouble.as_slice() {
                        [] => format!(
                            "the rollback was still running after {REVERT_MINUTES} minutes; `fwdeploy status` tells how it ended"
                        ),
                        said => format!("the node could not be rolled back: {}", said.join("; ")),
                    };
                    return Ok(NodeCondition::Unknown(message));
                }
            }
        }
        // What the old connection shows may not be what a new one can see.
        drop(session);
        let changes = self.differences()?;
        Ok(match changes {
            changes if !changes.is_empty() => NodeCondition::Different(changes),
            _ if number.is_none() => NodeCondition::Untouched,
            _ => NodeCondition::AsBefore {
                since: told.clone().unwrap_or_default(),
            },
        })
    }

    /// What a new connection shows to be different from before.
    fn differences(&self) -> Result<Vec<Change>, Box<Failure>> {
        let mut fresh = self.sessions.open(self.job, &Stage::Settling)?;
        let mut changes = self.before.changes_to(&fresh.look(&Stage::Settling)?);
        // Docker may still be putting its rules back: it does so after a boot, and when firewalld has started again.
        for _ in 0..LOOKS {
            if changes.is_empty() || self.leaving() {
                break;
            }
            self.wait(self.sessions.context.pause);
            changes = self.before.changes_to(&fresh.look(&Stage::Settling)?);
        }
        Ok(changes)
    }

    /// The condition of a node that is no longer armed: what a new reading shows, or without a connection only what the node
    /// reported. `since` is the reported time of its rollback.
    fn seen(&self, since: Option<String>) -> NodeCondition {
        let mut tried = 1;
        loop {
            match self.differences() {
                Ok(changes) if changes.is_empty() => {
                    return NodeCondition::AsBefore {
                        since: since.unwrap_or_default(),
                    };
                }
                Ok(changes) => return NodeCondition::Different(changes),
                Err(_) if tried < TRIES && !self.leaving() => {
                    tried += 1;
                    self.wait(self.sessions.context.pause);
                }
                Err(failure) => {
                    return match since {
                        Some(since) => unlooked(&since, &failure.text()),
                        None => NodeCondition::Unknown(failure.text()),
                    };
                }
            }
        }
    }

    /// The snapshot that the node took for us, if it did before the connection was lost.
    fn taken(&self, session: &mut WriteSession<'a>) -> Result<Option<u64>, Box<Failure>> {
        let now = session.look(&Stage::Settling)?;
        let snapshots = now.records.known().map(|records| &records.snapshots);
        let mut ours = snapshots
            .into_iter()
            .flatten()
            .filter(|snapshot| snapshot.number > self.last && snapshot.run == self.sessions.run);
        Ok(ours.next_back().map(|snapshot| snapshot.number))
    }

    /// A new connection, tried a few times.
    pub(super) fn reopen(&self, stage: &Stage) -> Result<WriteSession<'a>, Box<Failure>> {
        let mut tried = 1;
        loop {
            match self.sessions.open(self.job, stage) {
                Err(_) if tried < TRIES && !self.leaving() => {
                    tried += 1;
                    self.wait(self.sessions.context.pause);
                }
                result => return result,
            }
        }
    }

    /// The condition of a node that cannot be reached.
    pub(super) fn unreachable(&self, why: String) -> NodeCondition {
        let within = (self.since + self.sessions.context.confirm + ROLLBACK)
            .saturating_duration_since(Instant::now())
            .as_secs();
        NodeCondition::GoesBack { why, within }
    }

    /// How many seconds the rollback may take once the time to confirm is over.
    pub(super) fn allowed_for_the_rollback(&self) -> u64 {
        ROLLBACK.as_secs()
    }

    /// Whether the node should have rolled back by now.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.since + self.sessions.context.confirm + ROLLBACK
    }

    pub(super) fn leaving(&self) -> bool {
        self.sessions.context.stop.leave().is_cancelled()
    }

    /// Waits, but not when the operator leaves.
    pub(super) fn wait(&self, pause: Duration) {
        self.sessions.context.stop.wait(pause);
    }
}

/// The condition of a node that reports its rollback, but could not be read since.
fn unlooked(since: &str, why: &str) -> NodeCondition {
    NodeCondition::Unknown(format!(
        "the node reports that it was rolled back at {since}, but this could not be verified: {why}"
    ))
}
