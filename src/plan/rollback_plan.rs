//! The way back from a plan, wherever it stopped: what the program on the node does when nobody confirms.

use crate::model::Observed;
use crate::model::state::Network;
use crate::model::state::NodeState;
use crate::plan::action::Action;
use crate::plan::simulate::simulate_all;

/// The way back from a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RollbackPlan {
    /// What takes back each step, with that step's place in the plan, in the order in which it must run. Only the steps that had
    /// begun are taken back. `None` where there is no way in place, because the plan reloads firewalld.
    pub in_place: Option<Vec<(usize, Action)>>,
    /// What of it is Docker's: the rest comes back with firewalld's files and the kernel's tables as a whole. Each may be done
    /// whether or not its step was.
    pub docker: Vec<Action>,
}

/// The way back from this plan.
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
        .filter(|action| is_docker(action))
        .cloned()
        .collect();
    let reloads = actions.iter().any(|a| matches!(a, Action::Reload { .. }));
    RollbackPlan {
        in_place: (!reloads).then_some(undo),
        docker,
    }
}

impl RollbackPlan {
    /// The node after going back in place, from a plan of which so many steps had begun.
    pub fn simulate(&self, state: &NodeState, begun: usize) -> Option<NodeState> {
        let steps = self.in_place.as_ref()?;
        let steps = steps.iter().filter(|(n, _)| *n < begun);
        let mut state = simulate_all(state, steps.map(|(_, action)| action));
        // The way back ends with the latch off, whatever it found.
        if state.kernel.latch.known().is_some() {
            state.kernel.latch = Observed::Known(false);
        }
        Some(state)
    }
}

/// Whether somebody made this network: Docker's own are always there.
pub fn is_made(network: &Network) -> bool {
    network.driver == "bridge" && network.name != "bridge"
}

fn is_docker(action: &Action) -> bool {
    matches!(
        action,
        Action::CreateNetwork(_)
            | Action::RemoveNetwork(_)
            | Action::Connect { .. }
            | Action::Disconnect { .. }
    )
}
