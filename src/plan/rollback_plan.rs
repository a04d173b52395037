//! The rollback of a plan that stopped at any step: what the program on the node does if the run is not confirmed.

use crate::model::Observed;
use crate::model::state::Network;
use crate::model::state::NodeState;
use crate::plan::action::Action;
use crate::plan::simulate::simulate_all;

/// The rollback of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RollbackPlan {
    /// The undo of each step, with that step's number in the plan, in the order of execution. Only steps that had
    /// started are undone. `None` if it cannot be done in place, because the plan reloads firewalld.
    pub in_place: Option<Vec<(usize, Action)>>,
    /// The part that concerns Docker: the rest is restored with firewalld's files and the kernel's tables as a whole. Each may be undone
    /// whether or not its step was executed.
    pub docker: Vec<Action>,
}

/// The rollback of this plan.
pub fn rollback_plan(actions: &[Action]) -> RollbackPlan {
    let undo: Vec<(usize, Action)> = actions
        .iter()
        .enumerate()
        .rev()
        .map(|(n, action)| (n, action.undo()))
        // A latch that an interrupted run left behind is not put back.
        .filter(|(_, undo)| !matches!(undo, Action::Latch { subnets } if subnets.is_empty()))
        .collect();
    let docker = undo
        .iter()
        .map(|(_, action)| action)
        .filter(|action| action.changes_docker())
        .cloned()
        .collect();
    let reloads = actions.iter().any(|a| matches!(a, Action::Reload { .. }));
    RollbackPlan {
        in_place: (!reloads).then_some(undo),
        docker,
    }
}

impl RollbackPlan {
    /// The node after a rollback in place, from a plan of which this many steps had started.
    pub fn simulate(&self, state: &NodeState, begun: usize) -> Option<NodeState> {
        let steps = self.in_place.as_ref()?;
        let steps = steps.iter().filter(|(n, _)| *n < begun);
        let mut state = simulate_all(state, steps.map(|(_, action)| action));
        // The rollback ends with the latch removed, whatever state it started from.
        if state.kernel.latch.known().is_some() {
            state.kernel.latch = Observed::Known(false);
        }
        Some(state)
    }
}

/// Whether the network was created by a user: Docker's own always exist.
pub fn is_made(network: &Network) -> bool {
    network.driver == "bridge" && network.name != "bridge"
}
