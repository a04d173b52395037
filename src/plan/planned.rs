//! A plan, as a value.

use serde::Serialize;

use crate::model::desired::Desired;
use crate::plan::action::Action;
use crate::plan::action::Change;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::severity::Severity;

/// The steps for a node, and the findings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// The steps, in order. Empty if the node is in the desired state.
    pub actions: Vec<Action>,
    /// What the operator must know.
    pub findings: Vec<Finding>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The findings because of which nothing may be changed.
    pub fn refusals(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|f| f.severity == Severity::Refuse)
    }

    /// The refusals that apply to every change of firewalld's files, whatever the actions are: an edited file is one of them.
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

    /// The findings because of which the whitelist is not enforced, whatever the actions do, although it is to be. On a node that is
    /// wholly in audit only an audit that has expired is one of them.
    pub fn not_enforced(&self, desired: &Desired) -> impl Iterator<Item = &Finding> {
        let is_audit = desired.is_audit();
        self.findings
            .iter()
            .filter(|f| f.severity == Severity::NotEnforced)
            .filter(move |f| !is_audit || f.code == FindingCode::AuditExpired)
    }

    /// The differences that the actions remove, in order.
    pub fn changes(&self) -> Vec<Change> {
        self.actions.iter().flat_map(Action::changes).collect()
    }
}
