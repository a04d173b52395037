//! One node and what is wanted of it.

use crate::model::Desired;
use crate::model::NodeState;
use crate::plan;
use crate::plan::Allowed;
use crate::plan::FindingCode;
use crate::plan::Plan;
use crate::transport::Target;

/// One node and its desired state. Everything in it is known before the first connection.
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

    /// Plans from an observed state. A finding about the inventory begins with its place there.
    pub(super) fn plan(&self, state: &NodeState, allowed: &Allowed) -> Plan {
        let mut plan = plan::plan(state, &self.desired, allowed);
        if let Some(place) = &self.zone_at {
            for finding in plan
                .findings
                .iter_mut()
                .filter(|f| f.code == FindingCode::NoZone)
            {
                finding.text = format!("{place}: {}", finding.text);
            }
        }
        plan
    }
}
