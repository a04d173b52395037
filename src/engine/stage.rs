//! Where a node is on its way through a run.

use std::fmt;

/// Where a node is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Connecting and logging in.
    Connecting,
    /// Reading the state.
    Looking,
    /// Changing it.
    Applying {
        /// The number of this step, from 1.
        step: usize,
        /// How many steps there are.
        of: usize,
        /// What it does, such as `adding rules`.
        doing: &'static str,
    },
    /// Looking again, on a new connection.
    Verifying,
    /// Saying that the run stays.
    Confirming,
    /// Removing the node's records.
    Purging,
    /// Waiting until the node has rolled itself back.
    Waiting,
    /// Rolling the node back.
    RollingBack,
    /// Checking the condition of the node after something went wrong.
    Settling,
}

impl Stage {
    /// The stage as one word for scripts.
    pub fn as_str(&self) -> &'static str {
        match self {
            Stage::Connecting => "connect",
            Stage::Looking => "look",
            Stage::Applying { .. } => "apply",
            Stage::Verifying => "verify",
            Stage::Confirming => "confirm",
            Stage::Purging => "purge",
            Stage::Waiting => "wait",
            Stage::RollingBack => "roll back",
            Stage::Settling => "settle",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Connecting => f.write_str("connecting"),
            Stage::Looking => f.write_str("looking"),
            Stage::Applying { step, of, doing } => write!(f, "step {step} of {of}: {doing}"),
            Stage::Verifying => f.write_str("verifying over a new connection"),
            Stage::Confirming => f.write_str("confirming"),
            Stage::Purging => f.write_str("removing the records"),
            Stage::Waiting => f.write_str("waiting for the automatic rollback"),
            Stage::RollingBack => f.write_str("rolling back"),
            Stage::Settling => f.write_str("checking the condition of the node"),
        }
    }
}
