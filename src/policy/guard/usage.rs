//! What the guard has counted, in the words of the policy: how much each entry of the whitelist was used, and which entry would allow
//! what was refused.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::Way;
use super::digit;
use crate::model::Cidr;
use crate::model::Family;
use crate::model::NodeState;
use crate::model::Peer;
use crate::model::Port;
use crate::model::PortRange;
use crate::model::Protocol;
use crate::model::Service;
use crate::model::Traffic;
use crate::model::guard::GuardTable;
use crate::model::guard::GuardUsage;
use crate::model::guard::table::Part;
use crate::model::guard::table::SetElement;
use crate::model::guard::usage::Count;
use crate::model::guard::usage::RefusedFlow;

/// Who opens a flow to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A peer to a container.
    Inbound,
    /// A container to a peer.
    Outbound,
    /// A container to the node itself.
    ToNode,
    /// A program on the node itself to a container.
    FromNode,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
            Direction::ToNode => "to node",
            Direction::FromNode => "from node",
        })
    }
}

/// An entry of the whitelist as a node holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryUse {
    /// Who may open a flow to whom.
    pub direction: Direction,
    /// The container, or the containers.
    pub container: Cidr,
    /// Protocol and ports of the side that does not open the flow; `None` is every one.
    pub traffic: Option<Traffic>,
    /// The peer; `None` is the node.
    pub peer: Option<Cidr>,
    /// The packets of its flows in both directions, of those with the node only what their opener sends; `None` where they are not counted.
    pub count: Option<Count>,
}

/// The entries that a table holds, in order.
///
/// A peer within a network that is on the same list has no entry of its own ([`super::table`]).
pub fn entries(table: &GuardTable, usage: &GuardUsage) -> Vec<EntryUse> {
    let mut out = Vec::new();
    for (name, direction) in sets() {
        let Some(set) = table.sets.get(&name) else {
            continue;
        };
        let counted = usage.elements.get(&name).into_iter().flatten();
        let counts: BTreeMap<&SetElement, Count> = counted
            .map(|counted| (&counted.element, counted.count))
            .collect();
        out.extend(set.elements.iter().filter_map(|element| {
            let count = counts.get(element).copied();
            entry(direction, element, count)
        }));
    }
    out.sort();
    out
}

/// The names of the sets that hold entries.
fn sets() -> impl Iterator<Item = (String, Direction)> {
    let begun = [
        (Way::In.name(), Direction::Inbound),
        (Way::Out.name(), Direction::Outbound),
        (super::NODE, Direction::ToNode),
        (super::FROM_NODE, Direction::FromNode),
    ];
    begun.into_iter().flat_map(|(name, direction)| {
        Family::ALL.into_iter().flat_map(move |family| {
            let digit = digit(family);
            ["", "_icmp", "_any"].map(|kind| (format!("{name}{kind}{digit}"), direction))
        })
    })
}

fn entry(direction: Direction, element: &[Part], count: Option<Count>) -> Option<EntryUse> {
    let (peer, container, rest) = match (direction, element) {
        (Direction::Inbound, [Part::Net(peer), Part::Net(container), rest @ ..])
        | (Direction::Outbound, [Part::Net(container), Part::Net(peer), rest @ ..]) => {
            (Some(*peer), *container, rest)
        }
        (Direction::ToNode | Direction::FromNode, [Part::Net(container), rest @ ..]) => {
            (None, *container, rest)
        }
        _ => return None,
    };
    let traffic = match rest {
        [] => None,
        [Part::Protocol(protocol), ports] => Some(Traffic::Service(Service {
            ports: match ports {
                Part::Port(port) => Port::new(*port)?.into(),
                Part::Ports(first, last) => PortRange::new(Port::new(*first)?, Port::new(*last)?)?,
                _ => return None,
            },
            protocol: *protocol,
        })),
        [Part::Icmp(_)] => Some(Traffic::Icmp),
        _ => return None,
    };
    Some(EntryUse {
        direction,
        container,
        traffic,
        peer,
        count,
    })
}

/// A refused flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedUse {
    /// Who wanted to open it to whom.
    pub direction: Direction,
    /// The container.
    pub container: IpAddr,
    /// The other end: the peer, or an address of the node.
    pub remote: IpAddr,
    /// The protocol, as the node names it.
    pub protocol: String,
    /// The port of the side that does not open the flow, for an inbound flow that of the container; `None` for a protocol without ports.
    pub port: Option<u16>,
    /// Its packets; `None` where they are not counted.
    pub count: Option<Count>,
    /// How many seconds ago the last one came; `None` if that is not known.
    pub idle: Option<u32>,
    /// What a whitelist would have to hold to allow it; `None` if nothing does, since two managed networks are closed to each other.
    pub entry: Option<Entry>,
}

/// An entry for a whitelist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// An element for the list of peers.
    pub peer: EntryPeer,
    /// The key `port` of the entry; `None` if only an entry without one allows the flow, which opens every port and protocol.
    pub port: Option<Traffic>,
}

/// An element of a list of peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryPeer {
    /// A peer; of an outbound entry with its own port.
    Peer(Peer),
    /// The node itself.
    Node,
}

impl fmt::Display for EntryPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryPeer::Peer(peer) => peer.fmt(f),
            EntryPeer::Node => f.write_str("node"),
        }
    }
}

/// What a table has refused, most packets first; where they are not counted, the last one first.
///
/// `node` are the node's own addresses. A flow between addresses that the table does not close (any more) is left out.
pub fn refused(table: &GuardTable, usage: &GuardUsage, node: &BTreeSet<IpAddr>) -> Vec<RefusedUse> {
    let world = World {
        closed: closed(table),
        is_closed_to_node: table.chains.contains_key(super::FROM_NODE),
        node,
    };
    let flows = usage.refused.iter();
    let mut out: Vec<RefusedUse> = flows.filter_map(|flow| world.meaning(flow)).collect();
    out.sort_by(|a, b| {
        let packets = |flow: &RefusedUse| flow.count.map(|count| count.packets);
        let idle = |flow: &RefusedUse| flow.idle.unwrap_or(u32::MAX);
        let rest = |flow: &RefusedUse| (flow.direction, flow.remote, flow.port, flow.container);
        packets(b)
            .cmp(&packets(a))
            .then_with(|| idle(a).cmp(&idle(b)))
            .then_with(|| rest(a).cmp(&rest(b)))
            .then_with(|| a.protocol.cmp(&b.protocol))
    });
    out
}

/// Whether the kernel may have refused flows that it had no room to remember.
pub fn is_full(table: &GuardTable, usage: &GuardUsage) -> bool {
    let kinds = Family::ALL
        .map(|family| [("refused", true), ("refused_portless", false)].map(|kind| (family, kind)));
    kinds
        .into_iter()
        .flatten()
        .any(|(family, (name, has_port))| {
            let set = table.sets.get(&format!("{name}{}", digit(family)));
            let Some(room) = set.and_then(|set| set.dynamic) else {
                return false;
            };
            let is_in = |flow: &&RefusedFlow| {
                Family::of(&flow.source) == family && flow.port.is_some() == has_port
            };
            let held = usage.refused.iter().filter(is_in).count();
            u32::try_from(held).is_ok_and(|held| held >= room.size)
        })
}

/// The addresses that a table closes.
fn closed(table: &GuardTable) -> Vec<Cidr> {
    let names = Family::ALL.map(|family| format!("closed{}", digit(family)));
    let sets = names.iter().filter_map(|name| table.sets.get(name));
    sets.flat_map(|set| &set.elements)
        .filter_map(|element| match element[..] {
            [Part::Net(net)] => Some(net),
            _ => None,
        })
        .collect()
}

/// Which addresses are whose.
struct World<'a> {
    /// The addresses that the table closes.
    closed: Vec<Cidr>,
    /// Whether it refuses what the node's own programs send.
    is_closed_to_node: bool,
    /// The node's own addresses. Those of its bridges are within what is closed.
    node: &'a BTreeSet<IpAddr>,
}

impl World<'_> {
    fn is_closed(&self, address: IpAddr) -> bool {
        self.closed.iter().any(|net| net.contains(&address))
    }

    fn meaning(&self, flow: &RefusedFlow) -> Option<RefusedUse> {
        let (source, destination) = (flow.source, flow.destination);
        let reaches_node = || {
            self.node.contains(&destination)
                || destination.is_multicast()
                || is_broadcast(destination, &self.closed)
        };
        let is_of_node = || self.is_closed_to_node && self.node.contains(&source);
        let traffic = traffic(flow);
        let peer = |address: IpAddr, port: Option<Port>| {
            let net = Cidr::host(address);
            EntryPeer::Peer(Peer { net, port })
        };
        let (from_closed, to_closed) = (self.is_closed(source), self.is_closed(destination));
        let (direction, container, remote, peer) = if from_closed && reaches_node() {
            let node = Some(EntryPeer::Node);
            (Direction::ToNode, source, destination, node)
        } else if to_closed && is_of_node() {
            let node = Some(EntryPeer::Node);
            (Direction::FromNode, destination, source, node)
        } else if from_closed {
            let own = traffic.and_then(Traffic::service);
            let own = own.map(|service| service.ports.first());
            let peer = (!to_closed).then(|| peer(destination, own));
            (Direction::Outbound, source, destination, peer)
        } else if to_closed {
            let peer = Some(peer(source, None));
            (Direction::Inbound, destination, source, peer)
        } else {
            return None;
        };
        Some(RefusedUse {
            direction,
            container,
            remote,
            protocol: flow.protocol.clone(),
            port: flow.port,
            count: flow.count,
            idle: flow.idle,
            entry: peer.map(|peer| Entry {
                peer,
                port: traffic,
            }),
        })
    }
}

/// Whether it is an address of everybody on a network, which the node hears too.
fn is_broadcast(address: IpAddr, closed: &[Cidr]) -> bool {
    let IpAddr::V4(v4) = address else {
        return false;
    };
    let mut nets = closed.iter().filter(|net| !net.is_host());
    v4.is_broadcast() || nets.any(|net| net.last() == address)
}

/// What a flow carries, if an entry can name it: ports of TCP and UDP, and ICMP.
fn traffic(flow: &RefusedFlow) -> Option<Traffic> {
    if Family::of(&flow.source).icmp() == flow.protocol {
        return Some(Traffic::Icmp);
    }
    let protocols = [Protocol::Tcp, Protocol::Udp];
    let protocol = protocols.into_iter().find(|p| p.name() == flow.protocol)?;
    let port = Port::new(flow.port?)?;
    Some(Traffic::Service(Service::at(port, protocol)))
}

/// The node's own addresses, as far as they are known: those of its devices, and the gateways of its bridge networks.
pub fn node_addresses(state: &NodeState) -> BTreeSet<IpAddr> {
    let routing = state.system.routing.known();
    let own = routing.into_iter().flat_map(|routing| &routing.addresses);
    let docker = state.docker.known();
    let networks = docker.into_iter().flat_map(|docker| &docker.networks);
    let bridges = networks.filter(|network| network.driver == "bridge");
    own.map(|address| address.address)
        .chain(bridges.flat_map(|network| network.gateways.iter().copied()))
        .collect()
}
