//! One node and its desired state.

use std::sync::LazyLock;

use crate::model::Cidr;
use crate::model::Desired;
use crate::model::DesiredNetwork;
use crate::model::NodeState;
use crate::plan;
use crate::plan::Allowed;
use crate::plan::Change;
use crate::plan::FindingCode;
use crate::plan::Plan;
use crate::transport::Destination;

/// One node and its desired state. Everything in it is known before the first connection.
#[derive(Debug, Clone)]
pub struct Job {
    /// Where the node is, and its name.
    pub destination: Destination,
    /// The state that its roles require.
    pub desired: Desired,
    /// The hash of the state that its roles require, for the node's records.
    pub policy: String,
    /// What is to become of the node.
    pub goal: Goal,
    /// Where the inventory names the node's zone, as `file:line:column`; `None` if it names none.
    pub zone_at: Option<String>,
}

/// What is to become of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Goal {
    /// The state that its roles require.
    #[default]
    Roles,
    /// Nothing of fwdeploy's is left; [`Job::desired`] only helps to know what is.
    Removal(Snapshots),
}

/// What becomes of the records of a node, `/var/lib/fwdeploy`, when everything else is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshots {
    /// They stay, so that the removal can be rolled back.
    Kept,
    /// They are removed as well.
    Purged,
}

/// Nothing is required.
static NOTHING: LazyLock<Desired> = LazyLock::new(Desired::default);

impl Job {
    /// The node's name in the inventory.
    pub fn node(&self) -> &str {
        &self.destination.node
    }

    /// Plans from an observed state. A finding about the inventory begins with its place there.
    pub(super) fn plan(&self, state: &NodeState, allowed: &Allowed) -> Plan {
        let mut plan = match self.goal {
            Goal::Roles => plan::plan(state, &self.desired, allowed),
            Goal::Removal(_) => plan::removal(state, &self.desired, allowed),
        };
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

    /// What the node must hold in the end.
    pub(super) fn required(&self) -> &Desired {
        match self.goal {
            Goal::Roles => &self.desired,
            Goal::Removal(_) => &NOTHING,
        }
    }

    /// The managed subnets, which a rollback closes while it reloads firewalld.
    pub(super) fn managed(&self, before: &NodeState) -> Vec<Cidr> {
        match self.goal {
            Goal::Roles => {
                let networks = self.desired.networks.iter();
                networks.flat_map(DesiredNetwork::subnets).collect()
            }
            Goal::Removal(_) => plan::managed(&self.desired, before),
        }
    }

    /// What the node writes down about the steps of its plan.
    pub(super) fn what(&self) -> &'static str {
        match self.goal {
            Goal::Roles => "run",
            Goal::Removal(_) => "remove",
        }
    }

    /// The difference that is gone with the node's records; `None` if they stay, or if there are none.
    pub(super) fn purged(&self, before: &NodeState) -> Option<Change> {
        match self.goal {
            Goal::Removal(Snapshots::Purged) => plan::purged(before.records.known()?),
            Goal::Roles | Goal::Removal(Snapshots::Kept) => None,
        }
    }
}
