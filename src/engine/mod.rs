//! Drives the fleet: connects, looks, plans, applies, looks again; many nodes at a time, each for itself.
//!
//! [`check`] and [`run`] are two paths, not one path with a switch. What `check` works with can look at a node and judge it; it
//! holds nothing that can change one. What can, is in `hands`, and only `run` has it.
//!
//! One node's failure is its [`Outcome`], never an error of the fleet.

mod armed;
mod change;
mod check;
mod choice;
mod clock;
mod craft;
mod deed;
mod drill;
mod event;
mod failure;
mod fleet;
mod hands;
mod look;
mod outcome;
mod recover;
mod rollback;
mod run;
mod standing;
mod tally;
mod waves;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod motion_tests;
#[cfg(test)]
mod recover_tests;
#[cfg(test)]
mod safety_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod waves_tests;

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::model::Desired;
use crate::model::NodeState;
use crate::plan::Allowed;
use crate::transport::Target;
use crate::transport::Transport;

pub use event::Event;
pub use event::Sink;
pub use event::Stage;
pub use event::Talk;
pub use failure::Failure;
pub use fleet::Stop;
pub use outcome::Kept;
pub use outcome::NotBegun;
pub use outcome::Outcome;
pub use outcome::Verdict;
pub use standing::Standing;
pub use standing::differences;
pub use waves::Amount;
pub use waves::Exceeded;
pub use waves::Rollout;
pub use waves::Wave;
pub use waves::WhenFailed;

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
pub struct Conditions<'a> {
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
    pub talk: Talk,
    /// Where everything that happens is told.
    pub sink: &'a dyn Sink,
    /// The operator's wish to stop.
    pub stop: &'a Stop,
}

/// Looks at every node and says what differs. Nothing is changed: the values on this path cannot.
pub fn check(jobs: &[Job], conditions: &Conditions<'_>) -> Vec<Outcome> {
    check_with(jobs, conditions, &craft::Rooms)
}

/// Makes every node as wanted, and looks again.
pub fn run(jobs: &[Job], conditions: &Conditions<'_>) -> Vec<Outcome> {
    run_with(jobs, conditions, &craft::Rooms)
}

/// Looks at every node and returns what was seen, where it could be seen.
pub fn facts(jobs: &[Job], conditions: &Conditions<'_>) -> Vec<(Outcome, Option<NodeState>)> {
    let looker = look::Looker::new(conditions, &craft::Rooms);
    fleet::all(jobs, conditions, |job| check::facts(job, &looker))
}

/// Brings every node back to a snapshot: to the one of that number, or to the state before the last confirmed run.
pub fn rollback(jobs: &[Job], conditions: &Conditions<'_>, to: Option<u64>) -> Vec<Outcome> {
    rollback_with(jobs, conditions, &craft::Rooms, to)
}

/// Looks at every node and says to which snapshot [`rollback`] would bring it.
pub fn check_rollback(jobs: &[Job], conditions: &Conditions<'_>, to: Option<u64>) -> Vec<Outcome> {
    let looker = look::Looker::new(conditions, &craft::Rooms);
    let seen = fleet::all(jobs, conditions, |job| {
        (check::way_back(job, &looker, to), None)
    });
    seen.into_iter().map(|(outcome, _)| outcome).collect()
}

/// Lets every node go back by itself from a change that nobody confirms, and sees whether it has.
pub fn drill(jobs: &[Job], conditions: &Conditions<'_>) -> Vec<Outcome> {
    drill_with(jobs, conditions, &craft::Rooms)
}

fn check_with(jobs: &[Job], conditions: &Conditions<'_>, sight: &dyn craft::Sight) -> Vec<Outcome> {
    let looker = look::Looker::new(conditions, sight);
    let seen = fleet::all(jobs, conditions, |job| (check::node(job, &looker), None));
    seen.into_iter().map(|(outcome, _)| outcome).collect()
}

fn run_with(jobs: &[Job], conditions: &Conditions<'_>, craft: &dyn craft::Craft) -> Vec<Outcome> {
    let maker = hands::Maker::new(conditions, craft);
    let mut outcomes = waves::run(jobs, conditions, |job| run::node(job, &maker)).outcomes;
    // No node is at work any more.
    if conditions.rollout.when_failed == WhenFailed::RollBackAll {
        rollback::all(jobs, &mut outcomes, conditions, craft, &maker.run);
    }
    outcomes
}

fn rollback_with(
    jobs: &[Job],
    conditions: &Conditions<'_>,
    craft: &dyn craft::Craft,
    to: Option<u64>,
) -> Vec<Outcome> {
    let maker = hands::Maker::new(conditions, craft);
    waves::run(jobs, conditions, |job| rollback::node(job, &maker, to)).outcomes
}

fn drill_with(jobs: &[Job], conditions: &Conditions<'_>, craft: &dyn craft::Craft) -> Vec<Outcome> {
    let maker = hands::Maker::new(conditions, craft);
    waves::run(jobs, conditions, |job| drill::node(job, &maker)).outcomes
}
