//! The change that is made on a node between arming and confirming it.

use std::sync::Arc;

use crate::engine::applied::Applied;
use crate::engine::job::Job;
use crate::engine::outcome::Outcome;
use crate::plan::Action;
use crate::plan::Reading;
use crate::plan::Recovery;

/// The change that is made on a node between arming and confirming it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation<'a> {
    /// The steps of a plan.
    Steps(&'a [Action]),
    /// A change that is never confirmed.
    Drill(&'a [Action]),
    /// An older snapshot is restored.
    Snapshot {
        /// Its number.
        to: u64,
        /// The hash of the policy that is in force then, as far as it is known.
        policy: &'a str,
    },
    /// The node is made fit for a run.
    Recovery(&'a Recovery),
}

impl Operation<'_> {
    /// Its steps, in order.
    pub(super) fn steps(&self) -> Vec<Step> {
        match self {
            Operation::Steps(actions) | Operation::Drill(actions) => {
                actions.iter().map(Step::of).collect()
            }
            Operation::Snapshot { .. } => vec![Step::named("restoring the snapshot")],
            Operation::Recovery(recovery) => {
                recovery.doing().iter().copied().map(Step::named).collect()
            }
        }
    }

    /// What the node writes down about it.
    pub(super) fn what(&self, job: &Job) -> String {
        match self {
            Operation::Steps(_) => job.what().to_string(),
            Operation::Drill(_) => "drill".to_string(),
            Operation::Snapshot { to, .. } => format!("rollback to {to}"),
            Operation::Recovery(_) => "recovery".to_string(),
        }
    }

    /// The hash of the policy that is in force once it is done.
    pub(super) fn policy(&self, job: &Job) -> String {
        match self {
            Operation::Steps(_) | Operation::Drill(_) => job.requires.policy(),
            // What was in force is not known on a node that is not well.
            Operation::Recovery(_) => String::new(),
            Operation::Snapshot { policy, .. } => (*policy).to_string(),
        }
    }

    /// How many differences it is to remove.
    pub(super) fn changes(&self) -> usize {
        match self {
            Operation::Steps(actions) | Operation::Drill(actions) => {
                actions.iter().map(|a| a.changes().len()).sum()
            }
            // It is only known afterwards.
            Operation::Snapshot { .. } => 0,
            Operation::Recovery(recovery) => recovery.changes(&[]).len(),
        }
    }
}

/// What is asked of a step once it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// What it does.
    pub(super) doing: &'static str,
    /// Whether it changes Docker's networks, or who is on them.
    pub(super) changes_docker: bool,
    /// Whether it makes DOCKER-USER a chain of firewalld's.
    pub(super) owns_chain: bool,
}

impl Step {
    pub(super) fn of(action: &Action) -> Self {
        Step {
            doing: action.doing(),
            changes_docker: action.changes_docker(),
            owns_chain: matches!(action, Action::OwnChain { .. }),
        }
    }

    fn named(doing: &'static str) -> Self {
        Step {
            doing,
            changes_docker: false,
            owns_chain: false,
        }
    }
}

/// An operation that is ready to be sent, and all that is asked afterwards of the node's state before it. That state and the plan take
/// megabytes, and the steps take seconds on as many nodes as there are forks, so neither is kept.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    /// The program that arms the node and does the steps.
    pub(super) script: String,
    /// The steps, in order.
    pub(super) steps: Vec<Step>,
    /// The node before them.
    pub(super) before: Arc<Reading>,
    /// The number of the last snapshot then; 0 if there was none.
    pub(super) last: u64,
    /// The recovery that it is, if it is one.
    pub(super) recovery: Option<Recovery>,
}

impl Prepared {
    /// What a step does.
    pub(super) fn doing(&self, step: usize) -> &'static str {
        self.steps.get(step).map_or("", |step| step.doing)
    }

    /// Adds to the outcome what the operation has done, for operations that only know it afterwards.
    pub(super) fn tell(&self, applied: &Applied, outcome: &mut Outcome) {
        if let Some(recovery) = &self.recovery {
            outcome.changes = recovery.changes(&applied.aside);
            outcome.findings = recovery.findings(&applied.aside, applied.armed);
        }
    }
}
