//! One node and its desired state.

use std::fmt;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::PoisonError;

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

/// What the roles of a node require. It is compiled when it is asked for: thousands of nodes wait for their turn, and few are at work.
pub trait Requires: fmt::Debug + Send + Sync {
    /// The state that the roles require, the same each time. Whoever keeps it spares the next one the work.
    fn desired(&self) -> Arc<Desired>;

    /// Its hash, for the node's records.
    fn policy(&self) -> String;
}

/// A desired state that need not be compiled any more.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The state.
    pub desired: Arc<Desired>,
    /// Its hash.
    pub policy: String,
}

impl Requires for Compiled {
    fn desired(&self) -> Arc<Desired> {
        Arc::clone(&self.desired)
    }

    fn policy(&self) -> String {
        self.policy.clone()
    }
}

/// One node and its desired state. Everything in it is known, and was found to be right, before the first connection.
#[derive(Debug, Clone)]
pub struct Job {
    /// Where the node is, and its name.
    pub destination: Destination,
    /// What its roles require.
    pub requires: Arc<dyn Requires>,
    /// What is to become of the node.
    pub goal: Goal,
    /// Where the inventory names the node's zone, as `file:line:column`; `None` if it names none.
    pub zone_at: Option<String>,
    /// What was compiled, while the node is at work.
    pub(super) kept: Kept,
}

/// The desired state of a node that is at work. A copy of its job is another one's turn.
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<Arc<Desired>>>);

impl Clone for Kept {
    fn clone(&self) -> Self {
        Kept::default()
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

/// What is to become of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Goal {
    /// The state that its roles require.
    #[default]
    Roles,
    /// Nothing of fwdeploy's is left; [`Job::requires`] only helps to know what is.
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
static NOTHING: LazyLock<Arc<Desired>> = LazyLock::new(Arc::default);

impl Job {
    /// The node's name in the inventory.
    pub fn node(&self) -> &str {
        &self.destination.node
    }

    /// A job that brings a node to the state that its roles require.
    pub fn new(destination: Destination, requires: Arc<dyn Requires>) -> Self {
        Job {
            destination,
            requires,
            goal: Goal::Roles,
            zone_at: None,
            kept: Kept::default(),
        }
    }

    /// The state that its roles require: compiled when it is asked for first, which is once the node is reached, and kept while the node is
    /// at work.
    pub(super) fn desired(&self) -> Arc<Desired> {
        let mut kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kept.get_or_insert_with(|| self.requires.desired()))
    }

    /// Lets go of it: the node is done.
    pub(super) fn let_go(&self) {
        *self.kept.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Plans from an observed state. A finding about the inventory begins with its place there.
    pub(super) fn plan(&self, state: &NodeState, allowed: &Allowed) -> Plan {
        let desired = self.desired();
        let mut plan = match self.goal {
            Goal::Roles => plan::plan(state, &desired, allowed),
            Goal::Removal(_) => plan::removal(state, &desired, allowed),
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
    pub(super) fn required(&self) -> Arc<Desired> {
        match self.goal {
            Goal::Roles => self.desired(),
            Goal::Removal(_) => Arc::clone(&NOTHING),
        }
    }

    /// The managed subnets, which a rollback closes while it reloads firewalld.
    pub(super) fn managed(&self, before: &NodeState) -> Vec<Cidr> {
        let desired = self.desired();
        match self.goal {
            Goal::Roles => {
                let networks = desired.networks.iter();
                networks.flat_map(DesiredNetwork::subnets).collect()
            }
            Goal::Removal(_) => plan::managed(&desired, before),
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
