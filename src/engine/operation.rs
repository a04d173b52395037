//! The change that is made on a node between arming and confirming it.

use crate::engine::applied::Applied;
use crate::engine::job::Job;
use crate::engine::outcome::Outcome;
use crate::plan::Action;
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
    /// How many steps it has.
    pub(super) fn len(&self) -> usize {
        match self {
            Operation::Steps(actions) | Operation::Drill(actions) => actions.len(),
            Operation::Snapshot { .. } => 1,
            Operation::Recovery(recovery) => recovery.doing().len(),
        }
    }

    /// What a step does.
    pub(super) fn doing(&self, step: usize) -> &'static str {
        match self {
            Operation::Steps(actions) | Operation::Drill(actions) => {
                actions.get(step).map_or("", Action::doing)
            }
            Operation::Snapshot { .. } => "restoring the snapshot",
            Operation::Recovery(recovery) => recovery.doing().get(step).copied().unwrap_or(""),
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

    /// Adds to the outcome what the operation has done, for operations that only know it afterwards.
    pub(super) fn tell(&self, applied: &Applied, outcome: &mut Outcome) {
        if let Operation::Recovery(recovery) = self {
            outcome.changes = recovery.changes(&applied.aside);
            outcome.findings = recovery.findings(&applied.aside, applied.armed);
        }
    }
}
