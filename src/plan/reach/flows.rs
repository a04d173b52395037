//! The flows of the whitelist in groups whose packets differ in their peer alone, and the legs of their way.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::edge::Direction;
use super::edge::Edge;
use super::walk::At;
use super::walk::Chains;
use super::walk::Device;
use super::walk::Near;
use super::walk::Packets;
use super::world::World;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::ranges::Ranges;
use crate::model::step::Test;

/// Flows that differ in their peer alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flows {
    /// Which side opens them.
    pub(super) direction: Direction,
    /// The family.
    pub(super) family: Family,
    /// The container's address.
    pub(super) container: IpAddr,
    /// The protocol; `None` is any.
    pub(super) protocol: Option<String>,
    /// The port at the far end; `None` is any. One port represents all ports that no rule distinguishes from it.
    pub(super) port: Option<u16>,
    /// The port of the node that is forwarded.
    pub(super) node_port: Option<u16>,
    /// The peers.
    pub(super) peers: Ranges,
    /// The entries that allow them, `ROLE/WHAT`.
    pub(super) entries: BTreeSet<String>,
}

/// What makes flows differ in more than their peer.
type Key = (
    Direction,
    Family,
    IpAddr,
    Option<String>,
    Option<u16>,
    Option<u16>,
);

/// The flows in groups: regardless of the number of peers and of their ports, a container has no more groups than
/// rules distinguish ports.
pub(super) fn flows(edges: &[Edge], tables: &[Chains]) -> Vec<Flows> {
    let bounds = bounds(tables);
    let mut stand_in: BTreeMap<usize, u16> = BTreeMap::new();
    let mut groups: BTreeMap<Key, (Vec<Cidr>, BTreeSet<String>)> = BTreeMap::new();
    for edge in edges {
        let port = match edge.direction {
            Direction::In => edge.port,
            Direction::Out => edge.port.map(|port| {
                let cell = bounds.partition_point(|bound| *bound <= u32::from(port));
                *stand_in.entry(cell).or_insert(port)
            }),
        };
        let key = (
            edge.direction,
            edge.family,
            edge.container,
            edge.protocol.clone(),
            port,
            edge.node_port.map(crate::model::Port::get),
        );
        let (peers, entries) = groups.entry(key).or_default();
        peers.push(edge.peer);
        entries.insert(edge.entry.clone());
    }
    groups
        .into_iter()
        .map(
            |((direction, family, container, protocol, port, node_port), (peers, entries))| Flows {
                direction,
                family,
                container,
                protocol,
                port,
                node_port,
                peers: Ranges::of(family, peers),
                entries,
            },
        )
        .collect()
}

/// The ports at which rules start to distinguish.
pub(super) fn bounds(tables: &[Chains]) -> Vec<u32> {
    let mut bounds = BTreeSet::new();
    let steps = tables.iter().flat_map(|chains| chains.values().flatten());
    for test in steps.flat_map(|step| &step.tests) {
        if let Test::SourcePort(_, ranges) | Test::DestinationPort(_, ranges) = test {
            for (first, last) in ranges {
                bounds.extend([u32::from(*first), u32::from(*last) + 1]);
            }
        }
    }
    bounds.into_iter().collect()
}

/// One leg of the way: packets at a hook.
pub(super) struct Leg<'a> {
    /// The hook, as nft calls it.
    pub(super) hook: &'static str,
    /// The packets there.
    pub(super) packets: Packets<'a>,
}

impl Flows {
    /// The way of the packets that open the flows, then that of their answers.
    pub(super) fn legs<'a>(&'a self, world: &'a World) -> Vec<Leg<'a>> {
        let bridge = || world.bridge(self.container);
        let container = Near::Container(self.container);
        let far = self.port.map_or(At::Any, At::Port);
        let packets = |from_peer, near, reply| Packets {
            family: self.family,
            from_peer,
            near,
            node: &world.node,
            protocol: self.protocol.as_deref(),
            source_port: if reply { far } else { At::Ephemeral },
            destination_port: if reply { At::Ephemeral } else { far },
            input: if from_peer { world.outside() } else { bridge() },
            output: Device::None,
            reply,
            rewritten: false,
        };
        let onward = |packets: &Packets<'a>| Packets {
            near: container,
            output: if packets.from_peer {
                bridge()
            } else {
                world.outside()
            },
            ..packets.clone()
        };
        let mut legs = Vec::new();
        let incoming = self.direction == Direction::In;
        for reply in [false, true] {
            let from_peer = incoming != reply;
            // What a peer sends goes to the node, unless it knows the container's own address.
            let near = if from_peer && (self.node_port.is_some() || !incoming) {
                Near::Node
            } else {
                container
            };
            let mut first = packets(from_peer, near, reply);
            let mut second = onward(&first);
            if incoming
                && !reply
                && let Some(port) = self.node_port
            {
                first.destination_port = At::Port(port);
                second.rewritten = true;
            }
            legs.push(Leg {
                hook: "prerouting",
                packets: first,
            });
            legs.push(Leg {
                hook: "forward",
                packets: second.clone(),
            });
            legs.push(Leg {
                hook: "postrouting",
                packets: second,
            });
        }
        legs
    }

    /// The flows in a message: some of the peers, or all.
    pub(super) fn named(&self, peers: &Ranges) -> String {
        let entries: Vec<&str> = self.entries.iter().map(String::as_str).collect();
        let entries = entries.join(", ");
        match peers.first() {
            Some(first) if *peers != self.peers || self.peers.is_one() => {
                format!("{first} ({entries})")
            }
            _ => format!("every peer of {entries}"),
        }
    }
}
