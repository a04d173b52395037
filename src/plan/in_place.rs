//! What the steps on a chain need around them: the latch while it is put in force, and what the kernel's chain still lacks after them.

use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::state::NodeState;
use crate::plan::action::Action;
use crate::plan::firewall;
use crate::plan::ownership::Ours;
use crate::plan::simulate::simulate_all;

/// Additions to a chain that is in force need no latch; a chain that is being put in force does. `None`: the guard is in force, and nothing
/// passes meanwhile that is on no list.
pub(super) fn latched(chain: Vec<Action>, subnets: Option<Vec<Cidr>>) -> Vec<Action> {
    let in_force = chain.iter().all(|a| {
        matches!(
            a,
            Action::AddRule(_)
                | Action::AddRich { .. }
                | Action::AddChain { .. }
                | Action::SetEntries { .. }
                | Action::SettleSet { .. }
                | Action::SetMangle { .. }
        )
    });
    let Some(subnets) = subnets.filter(|_| !in_force) else {
        return chain;
    };
    let mut out = vec![Action::Latch {
        subnets: subnets.clone(),
    }];
    out.extend(chain);
    out.push(Action::Unlatch { subnets });
    out
}

/// What the kernel's chain still needs after the additions: firewalld counts only its own rules when it inserts,
/// so rules that only the kernel holds shift the positions.
pub(super) fn settle(
    state: &NodeState,
    chain: &[Action],
    desired: &Desired,
    ours: &Ours,
) -> Vec<Action> {
    let then = simulate_all(state, chain);
    let Some(runtime) = then.runtime.direct.known() else {
        return Vec::new();
    };
    desired
        .families()
        .into_iter()
        .filter_map(|family| {
            let tables = then.kernel.tables(family).known()?;
            firewall::settle(family, runtime, tables, ours)
        })
        .collect()
}
