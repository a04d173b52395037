//! Whether what the whitelist allows really passes, and what it refuses really does not: each allowed flow is followed
//! through everything that decides about it on the node.

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

use std::net::IpAddr;

use flows::Flows;

use crate::model::desired::Desired;
use crate::model::state::NodeState;
use crate::plan::finding::Finding;
use crate::plan::ownership::Ours;

/// What was found about the flows of the whitelist.
pub(super) fn findings(desired: &Desired, state: &NodeState, ours: &Ours) -> Vec<Finding> {
    let edges = edge::edges(desired);
    let world = world::World::new(desired, state);
    let flows = flows::flows(&edges, &world.tables);
    // As long as a bridge does not exist, no rule about it does either.
    let bridged: Vec<Flows> = flows
        .iter()
        .filter(|flows| is_bridged(desired, state, flows.container))
        .cloned()
        .collect();
    let (mut out, elsewhere) = tables::findings(&bridged, &world);
    out.extend(listeners::findings(&flows, &world, &elsewhere));
    out.extend(routing::findings(&flows, &world));
    let routing = state.system.routing.known();
    let interface = |peer| routing?.device_to(peer);
    out.extend(zones::findings(desired, state, ours, &edges, &interface));
    out
}

/// Whether the network of a container exists, with its bridge: only then is a packet's path through the tables final.
fn is_bridged(desired: &Desired, state: &NodeState, container: IpAddr) -> bool {
    let Some(docker) = state.docker.known() else {
        return true;
    };
    edge::attachment(desired, container)
        .is_none_or(|attachment| docker.network(&attachment.network).is_some())
}

#[cfg(test)]
mod tests;
