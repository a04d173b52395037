//! Desired and observed → what to do, what it changes, and what stands in the way.
//!
//! Planning is a function of values: it reads no clock, no file and no socket, and the same input gives the same plan.

pub mod action;
pub mod finding;

pub use action::Action;
pub use action::Change;
pub use action::Sign;
pub use finding::Finding;
pub use finding::Severity;

use serde::Serialize;

/// What is to be done on a node, and what was found on the way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// The steps, in order. Empty when the node is as wanted.
    pub actions: Vec<Action>,
    /// What the operator must know.
    pub findings: Vec<Finding>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The findings because of which nothing may be touched.
    pub fn refusals(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|f| f.severity == Severity::Refuse)
    }

    /// The findings because of which the whitelist does not hold, whatever the actions do.
    pub fn defeats(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|f| f.severity == Severity::Defeat)
    }

    /// The differences that the actions remove, in order.
    pub fn changes(&self) -> Vec<Change> {
        self.actions.iter().flat_map(Action::changes).collect()
    }
}

/// What the operator allows beyond the ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Whether a network with another subnet may be made anew.
    pub replace_network: Permission,
}

/// A yes or no of the operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Permission {
    /// Not given.
    #[default]
    Withheld,
    /// Given by a flag.
    Granted,
}
