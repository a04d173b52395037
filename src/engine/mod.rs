//! Drives the fleet: connects, looks, plans, applies, looks again; many nodes at a time, each for itself.
//!
//! [`check`] and [`run`] are two paths, not one path with a switch. [`check`], [`check_rollback`] and [`facts`] only get
//! `session::ReadSessions` and `scripts::ReadScripts`, which read a node. Only [`run`], [`rollback`] and [`drill`] get
//! `session::WriteSessions`, which can change one.
//!
//! One node's failure is its [`Outcome`], never an error of the fleet.
//!
//! The files, from the values to what uses them:
//!
//! | files | what they hold |
//! |---|---|
//! | `job` `context` `stop` `rollout` | what is asked for |
//! | `code` `stage` `condition` `failure` `outcome` `event` | what is reported |
//! | `scripts` `session` | the scripts that run on a node, and the connections that they run over |
//! | `operation` `applied` `transaction` `confirm` | one change of one node: arm, apply, look again, confirm or roll back |
//! | `check` `facts` `run` `recover` `rollback` `drill` | one node, command by command; `snapshot_select` chooses the snapshot of a rollback |
//! | `failure_budget` `pool` `machines` `turn` | many nodes at a time |

mod applied;
mod check;
mod code;
mod condition;
mod confirm;
mod context;
mod drill;
mod event;
mod facts;
mod failure;
mod failure_budget;
mod job;
mod machines;
mod operation;
mod outcome;
mod pool;
mod recover;
mod rollback;
mod rollout;
mod run;
mod scripts;
mod session;
mod snapshot_select;
mod stage;
mod stop;
mod transaction;
mod turn;

#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod motion_tests;
#[cfg(test)]
mod recover_tests;
#[cfg(test)]
mod remove_tests;
#[cfg(test)]
mod rollout_tests;
#[cfg(test)]
mod safety_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::engine::machines::SecondName;
use crate::engine::scripts::ReadScripts;
use crate::engine::scripts::ShellScripts;
use crate::engine::scripts::WriteScripts;
use crate::engine::session::ReadSessions;
use crate::engine::session::WriteSessions;
use crate::model::NodeState;

pub use code::FailureCode;
pub use code::NotBegunCode;
pub use condition::NodeCondition;
pub use condition::differences;
pub use context::Differences;
pub use context::RunContext;
pub use event::Event;
pub use event::EventSink;
pub use event::Transcript;
pub use failure::Cause;
pub use failure::Failure;
pub use job::Compiled;
pub use job::Goal;
pub use job::Job;
pub use job::Requires;
pub use job::Snapshots;
pub use outcome::NotBegun;
pub use outcome::Outcome;
pub use outcome::RevertPoint;
pub use outcome::Verdict;
pub use rollout::Amount;
pub use rollout::BudgetExceeded;
pub use rollout::Rollout;
pub use rollout::Wave;
pub use rollout::WhenFailed;
pub use stage::Stage;
pub use stop::Stop;

/// Reads every node and reports what differs. Nothing is changed: the types on this path cannot change a node.
pub fn check(jobs: &[Job], context: &RunContext<'_>) -> Vec<Outcome> {
    check_with(jobs, context, &ShellScripts)
}

/// Brings every node to the desired state, and verifies it.
pub fn run(jobs: &[Job], context: &RunContext<'_>) -> Vec<Outcome> {
    run_with(jobs, context, &ShellScripts)
}

/// Reads nodes without a role, and reports what earlier runs have left there. Each outcome is a node that was skipped, and whether it is
/// known what is left.
pub fn orphaned(jobs: &[Job], context: &RunContext<'_>) -> Vec<(Outcome, bool)> {
    orphaned_with(jobs, context, &ShellScripts)
}

/// Reads every node, and gives the state that was read to `keep`, with the place of its job, as soon as the node is done. Returns what `keep`
/// has made of each: the states of thousands of nodes are gigabytes.
pub fn facts<K: Send>(
    jobs: &[Job],
    context: &RunContext<'_>,
    keep: impl Fn(usize, &Outcome, Option<NodeState>) -> K + Sync,
) -> Vec<K> {
    let sessions = ReadSessions::new(context, &ShellScripts);
    pool::all_seen(jobs, context, |job| facts::node(job, &sessions), keep)
}

/// Restores every node to the snapshot with this number, or to the state before the last confirmed run.
pub fn rollback(jobs: &[Job], context: &RunContext<'_>, to: Option<u64>) -> Vec<Outcome> {
    rollback_with(jobs, context, &ShellScripts, to)
}

/// Reads every node and reports the snapshot that [`rollback`] would restore.
pub fn check_rollback(jobs: &[Job], context: &RunContext<'_>, to: Option<u64>) -> Vec<Outcome> {
    let sessions = ReadSessions::new(context, &ShellScripts);
    pool::all(jobs, context, |job| check::rollback(job, &sessions, to))
}

/// Makes a change on every node that is never confirmed, and checks that the node rolls itself back.
pub fn drill(jobs: &[Job], context: &RunContext<'_>) -> Vec<Outcome> {
    drill_with(jobs, context, &ShellScripts)
}

fn check_with(jobs: &[Job], context: &RunContext<'_>, scripts: &dyn ReadScripts) -> Vec<Outcome> {
    let sessions = ReadSessions::new(context, scripts);
    pool::all(jobs, context, |job| check::node(job, &sessions))
}

fn orphaned_with(
    jobs: &[Job],
    context: &RunContext<'_>,
    scripts: &dyn ReadScripts,
) -> Vec<(Outcome, bool)> {
    let sessions = ReadSessions::new(context, scripts);
    let unknown = Mutex::new(BTreeSet::new());
    let read = pool::all(jobs, context, |job| {
        let (outcome, is_known) = check::orphaned(job, &sessions);
        if !is_known {
            let mut unknown = unknown.lock().unwrap_or_else(PoisonError::into_inner);
            unknown.insert(outcome.node.clone());
        }
        outcome
    });
    let unknown = unknown.into_inner().unwrap_or_else(PoisonError::into_inner);
    let told = read.into_iter().map(|outcome| {
        // One that was not read, or on which this program broke, is no failure of the command.
        if outcome.not_begun == Some(NotBegun::NoRole) {
            let is_known = !unknown.contains(&outcome.node);
            return (outcome, is_known);
        }
        (Outcome::not_begun(outcome.node, NotBegun::NoRole), false)
    });
    told.collect()
}

fn run_with(jobs: &[Job], context: &RunContext<'_>, scripts: &dyn WriteScripts) -> Vec<Outcome> {
    let sessions = WriteSessions::new(context, scripts, SecondName::Waits);
    let mut outcomes = pool::in_waves(jobs, context, |job| {
        sessions.work(job, || run::node(job, &sessions))
    });
    // All nodes are finished here.
    if context.rollout.when_failed == WhenFailed::RollBackAll {
        rollback::all(jobs, &mut outcomes, context, scripts, &sessions.run);
    }
    outcomes
}

fn rollback_with(
    jobs: &[Job],
    context: &RunContext<'_>,
    scripts: &dyn WriteScripts,
    to: Option<u64>,
) -> Vec<Outcome> {
    // A second rollback of the same machine would take the first one back.
    let sessions = WriteSessions::new(context, scripts, SecondName::Refused);
    pool::in_waves(jobs, context, |job| {
        sessions.work(job, || rollback::node(job, &sessions, to))
    })
}

fn drill_with(jobs: &[Job], context: &RunContext<'_>, scripts: &dyn WriteScripts) -> Vec<Outcome> {
    let sessions = WriteSessions::new(context, scripts, SecondName::Waits);
    pool::in_waves(jobs, context, |job| {
        sessions.work(job, || drill::node(job, &sessions))
    })
}
