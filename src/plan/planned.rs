//! A plan, as a value.

use serde::Serialize;

use crate::plan::action::Action;
use crate::plan::action::Change;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::severity::Severity;

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

    /// The refusals of whoever writes to firewalld's files whatever the actions are: an edited file is one of them.
    pub fn refusals_to_write(&self) -> Vec<Finding> {
        let refusals = self
            .findings
            .iter()
            .filter(|f| f.severity == Severity::Refuse || f.code == FindingCode::EditedByHand);
        refusals
            .map(|finding| Finding {
                severity: Severity::Refuse,
                ..finding.clone()
            })
            .collect()
    }

    /// The findings because of which the whitelist does not hold, whatever the actions do.
    pub fn not_enforced(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|f| f.severity == Severity::NotEnforced)
    }

    /// The differences that the actions remove, in order.
    pub fn changes(&self) -> Vec<Change> {
        self.actions.iter().flat_map(Action::changes).collect()
    }
}
