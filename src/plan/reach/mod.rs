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

use std::collections::BTreeSet;
use std::net::IpAddr;

use flows::Flows;

use crate::model::desired::Desired;
use crate::model::state::NodeState;
use crate::plan::finding::Finding;
use crate::plan::ownership::Ours;

/// What was found about the flows of the whitelist.
pub(super) fn findings(desired: &Desired, state: &NodeState, ours: &Ours) -> Vec<Finding> {
    let world = world::World::new(desired, state);
    let edges = edge::edges(desired, &marks(&world));
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

/// The ports at which something on the node begins or ends: rules, listeners, forwards of firewalld. Only the flows of ranges need them.
fn marks(world: &world::World<'_>) -> BTreeSet<u16> {
    let mut ends: BTreeSet<u32> = BTreeSet::new();
    if !edge::has_ranges(world.desired) {
        return BTreeSet::new();
    }
    ends.extend(flows::bounds(&world.tables));
    let listeners = world.state.system.networking.listeners.known();
    let listening = listeners.into_iter().flatten().map(|one| one.port);
    let containers = world
        .docker
        .into_iter()
        .flat_map(|docker| &docker.containers);
    let published = containers.flat_map(|container| &container.published);
    let settings = world.state.runtime.settings.known().into_iter();
    let zones = settings.flat_map(|one| one.zones.values().chain(one.policies.values()));
    let told = zones.flat_map(|options| {
        let keys = ["rules_str", "rich_rules", "forward_ports", "ports"];
        keys.into_iter().flat_map(|key| options.all(key))
    });
    // Each number in such a text may be a port. One that is none costs a flow more.
    let texts = published.map(String::as_str).chain(told);
    let numbers = texts.flat_map(|text| text.split(|c: char| !c.is_ascii_digit()));
    let numbers = numbers.filter_map(|word| word.parse::<u16>().ok());
    for port in listening.chain(numbers) {
        ends.extend([u32::from(port), u32::from(port) + 1]);
    }
    let ends = ends.into_iter().map(u16::try_from);
    ends.filter_map(Result::ok).collect()
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
