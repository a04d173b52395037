//! Drives the fleet: connects, looks, plans, applies, looks again; many nodes at a time, each for itself.
//!
//! [`check`] and [`run`] are two paths, not one path with a switch. What `check` works with can look at a node and judge it; it
//! holds nothing that can change one. What can, is in `write_session`, and only `run`, `rollback` and `drill` have it.
//!
//! One node's failure is its [`Outcome`], never an error of the fleet.

mod check;
mod clock;
mod condition;
mod confirm;
mod drill;
mod event;
mod failure;
mod operation;
mod outcome;
mod pool;
mod read_session;
mod recover;
mod rollback;
mod rollout;
mod run;
mod satisfied;
mod scripts;
mod snapshot_select;
mod transaction;
mod write_session;

#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod motion_tests;
#[cfg(test)]
mod recover_tests;
#[cfg(test)]
mod rollout_tests;
#[cfg(test)]
mod safety_tests;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::model::Desired;
use crate::model::NodeState;
use crate::plan::Allowed;
use crate::transport::Target;
use crate::transport::Transport;

pub use condition::NodeCondition;
pub use condition::differences;
pub use event::Event;
pub use event::EventSink;
pub use event::Stage;
pub use event::Transcript;
pub use failure::Failure;
pub use outcome::NotBegun;
pub use outcome::Outcome;
pub use outcome::RevertPoint;
pub use outcome::Verdict;
pub use pool::Stop;
pub use rollout::Amount;
pub use rollout::BudgetExceeded;
pub use rollout::Rollout;
pub use rollout::Wave;
pub use rollout::WhenFailed;

/// One node and what is wanted of it. Everything in it was said before the first connection.
#[derive(Debug, Clone)]
pub struct Job {
    /// Where the node is, and its name.
    pub target: Target,
    /// What its roles ask of it.
    pub desired: Desired,
    /// The hash of what its roles ask of it, for the node's records.
    pub policy: String,
    /// Where the inventory names the node's zone, as `file:line:column`; `None` if it names none.
    pub zone_at: Option<String>,
}

impl Job {
    /// The node's name in the inventory.
    pub fn node(&self) -> &str {
        &self.target.node
    }
}

/// What holds for every node of a run.
pub struct RunContext<'a> {
    /// The way to the nodes.
    pub transport: &'a dyn Transport,
    /// How many nodes are worked on at a time.
    pub forks: NonZeroUsize,
    /// In which waves a run takes the nodes, and how many of them may fail. A check looks at all of them.
    pub rollout: &'a Rollout,
    /// How long one script on one node may take.
    pub limit: Duration,
    /// How long to wait between two tries.
    pub pause: Duration,
    /// How long an armed node waits for a run to be confirmed, before it goes back by itself. Whole seconds.
    pub confirm: Duration,
    /// Who runs, for the node's records and for whoever else comes: a user and a machine.
    pub operator: &'a str,
    /// What the operator allows beyond the ordinary.
    pub allowed: Allowed,
    /// Whether scripts and answers are sent to the sink too.
    pub transcript: Transcript,
    /// Where everything that happens is told.
    pub sink: &'a dyn EventSink,
    /// The operator's wish to stop.
    pub stop: &'a Stop,
}

/// Looks at every node and says what differs. Nothing is changed: the values on this path cannot.
pub fn check(jobs: &[Job], context: &RunContext<'_>) -> Vec<Outcome> {
    check_with(jobs, context, &scripts::ShellScripts)
}

/// Makes every node as wanted, and looks again.
pub fn run(jobs: &[Job], context: &RunContext<'_>) -> Vec<Outcome> {
    run_with(jobs, context, &scripts::ShellScripts)
}

/// Looks at every node and returns what was seen, where it could be seen.
pub fn facts(jobs: &[Job], context: &RunContext<'_>) -> Vec<(Outcome, Option<NodeState>)> {
    let sessions = read_session::ReadSessions::new(context, &scripts::ShellScripts);
    pool::all(jobs, context, |job| check::facts(job, &sessions))
}

/// Brings every node back to a snapshot: to the one of that number, or to the state before the last confirmed run.
pub fn rollback(jobs: &[Job], context: &RunContext<'_>, to: Option<u64>) -> Vec<Outcome> {
    rollback_with(jobs, context, &scripts::ShellScripts, to)
}

/// Looks at every node and says to which snapshot [`rollback`] would bring it.
pub fn check_rollback(jobs: &[Job], context: &RunContext<'_>, to: Option<u64>) -> Vec<Outcome> {
    let sessions = read_session::ReadSessions::new(context, &scripts::ShellScripts);
    let seen = pool::all(jobs, context, |job| {
        (check::rollback(job, &sessions, to), None)
    });
    seen.into_iter().map(|(outcome, _)| outcome).collect()
}

/// Lets every node go back by itself from a change that nobody confirms, and sees whether it has.
pub fn drill(jobs: &[Job], context: &RunContext<'_>) -> Vec<Outcome> {
    drill_with(jobs, context, &scripts::ShellScripts)
}

fn check_with(
    jobs: &[Job],
    context: &RunContext<'_>,
    scripts: &dyn scripts::ReadScripts,
) -> Vec<Outcome> {
    let sessions = read_session::ReadSessions::new(context, scripts);
    let seen = pool::all(jobs, context, |job| (check::node(job, &sessions), None));
    seen.into_iter().map(|(outcome, _)| outcome).collect()
}

fn run_with(
    jobs: &[Job],
    context: &RunContext<'_>,
    scripts: &dyn scripts::WriteScripts,
) -> Vec<Outcome> {
    let sessions = write_session::WriteSessions::new(context, scripts);
    let mut outcomes = rollout::run(jobs, context, |job| run::node(job, &sessions)).outcomes;
    // No node is at work any more.
    if context.rollout.when_failed == WhenFailed::RollBackAll {
        rollback::all(jobs, &mut outcomes, context, scripts, &sessions.run);
    }
    outcomes
}

fn rollback_with(
    jobs: &[Job],
    context: &RunContext<'_>,
    scripts: &dyn scripts::WriteScripts,
    to: Option<u64>,
) -> Vec<Outcome> {
    let sessions = write_session::WriteSessions::new(context, scripts);
    rollout::run(jobs, context, |job| rollback::node(job, &sessions, to)).outcomes
}

fn drill_with(
    jobs: &[Job],
    context: &RunContext<'_>,
    scripts: &dyn scripts::WriteScripts,
) -> Vec<Outcome> {
    let sessions = write_session::WriteSessions::new(context, scripts);
    rollout::run(jobs, context, |job| drill::node(job, &sessions)).outcomes
}
