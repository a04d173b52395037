//! Whether what the whitelist allows really passes, and what it refuses really does not: each allowed flow is followed
//! through all that decides it on the node.

mod edge;
mod flows;
mod input;
mod landing;
mod listeners;
mod routing;
mod steps;
mod tables;
mod walk;
mod world;
mod zones;

use crate::model::desired::Desired;
use crate::model::state::NodeState;
use crate::plan::finding::Finding;
use crate::plan::ownership::Ours;

/// What was found about the flows of the whitelist.
pub(super) fn findings(desired: &Desired, state: &NodeState, ours: &Ours) -> Vec<Finding> {
    let edges = edge::edges(desired);
    let world = world::World::new(desired, state);
    let flows = flows::flows(&edges, &world.tables);
    let (mut out, elsewhere) = tables::findings(&flows, &world);
    out.extend(listeners::findings(&flows, &world, &elsewhere));
    out.extend(routing::findings(&flows, &world));
    let routing = state.system.routing.known();
    let interface = |peer| routing?.device_to(peer);
    out.extend(zones::findings(desired, state, ours, &edges, &interface));
    out
}

#[cfg(test)]
mod tests;
