//! What a role specifies for one container on one node, every value with its location.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::model::Cidr;
use crate::model::Date;
use crate::model::Family;
use crate::model::Peer;
use crate::model::Port;
use crate::model::Protocol;
use crate::model::Service;
use crate::model::Traffic;
use crate::model::host_name::HostName;
use crate::model::net::NetError;
use crate::model::peer::About;
use crate::model::peer::KnownPeer;

use crate::inventory::location::Location;

pub use crate::inventory::location::Located;

/// One role, resolved for one node.
///
/// The place kept with each value is the one that its author can change: the variable it came from, or `role.yml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The role's name.
    pub role: Located<String>,
    /// What the role is, in one line for people.
    pub summary: String,
    /// The Docker network.
    pub network: NetworkPolicy,
    /// The container on it.
    pub container: ContainerPolicy,
    /// The inbound peers.
    pub inbound: Vec<Inbound>,
    /// The outbound peers.
    pub outbound: Vec<Outbound>,
    /// What becomes of everything else.
    pub otherwise: Located<Otherwise>,
    /// Which addresses "everything else" is about.
    pub covers: Located<Covers>,
    /// Whether it is refused at all.
    pub enforce: Located<Enforce>,
    /// The last day on which the role is meant to be in audit; only with [`Enforce::Audit`].
    pub until: Option<Located<Date>>,
    /// What is known of peers, by their address; [`Policy::on`] collects it.
    pub known: Vec<KnownPeer>,
}

/// The Docker network of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Its name.
    pub name: Located<String>,
    /// Its IPv4 subnet.
    pub subnet: Located<Cidr>,
    /// Its IPv4 gateway; Docker takes the first address without it.
    pub gateway: Option<Located<IpAddr>>,
    /// The name of its bridge device; derived from the network's name without it.
    pub bridge: Option<Located<String>>,
    /// Its IPv6 subnet, if it has one.
    pub subnet6: Option<Located<Cidr>>,
    /// Whether its containers reach the node itself.
    pub node: Located<NodeAccess>,
    /// What the node's kernel logs of it.
    pub log: Located<Log>,
}

/// Whether the containers of a network reach the node itself: its sshd, an RPC or a daemon's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeAccess {
    /// Only what outbound entries with `to: node` name, and the answers to the node's own connections.
    Closed,
    /// Everything, as Docker and firewalld leave it.
    Open,
}

impl NodeAccess {
    /// Both, the default first, with the words of `role.yml`.
    pub const ALL: [(NodeAccess, &'static str); 2] =
        [(NodeAccess::Closed, "closed"), (NodeAccess::Open, "open")];
}

impl fmt::Display for NodeAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(&NodeAccess::ALL, *self))
    }
}

/// What the node's kernel logs of a network's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Log {
    /// Nothing.
    Nothing,
    /// Packets that the guard refuses, a few lines a minute.
    Refused,
}

impl Log {
    /// Both, the default first, with the words of `role.yml`.
    pub const ALL: [(Log, &'static str); 2] =
        [(Log::Nothing, "nothing"), (Log::Refused, "refused")];
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(&Log::ALL, *self))
    }
}

/// A peer that is more than an address: a DNS name, or the mapping `{ address, port, name, owner, reason, until }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPeer {
    /// Where it is.
    pub host: PeerHost,
    /// Its own port, as that of [`Peer`].
    pub port: Option<Port>,
    /// What is said about it.
    pub about: About,
}

impl fmt::Display for ListedPeer {
    /// As the bare form is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (PeerHost::Net(net), port) => Peer { net: *net, port }.fmt(f),
            (PeerHost::Name(name), Some(port)) => write!(f, "{name}:{port}"),
            (PeerHost::Name(name), None) => name.fmt(f),
        }
    }
}

/// Where a peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerHost {
    /// At an address, or in a network.
    Net(Cidr),
    /// At the addresses of a DNS name.
    Name(HostName),
}

/// The other side of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// An address or a network, and perhaps a port.
    Peer(Peer),
    /// A DNS name, and perhaps a port.
    Name(HostName, Option<Port>),
    /// The node that the container runs on: the word `node`.
    Node,
}

impl FromStr for Party {
    type Err = NetError;

    /// Reads the word `node`, a [`Peer`], or a DNS name that may have a port.
    ///
    /// # Errors
    /// As [`Peer`].
    fn from_str(text: &str) -> Result<Self, NetError> {
        if text == "node" {
            return Ok(Party::Node);
        }
        text.parse().map(Party::Peer).or_else(|error| {
            let (name, port) = match text.rsplit_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            };
            match name.parse() {
                Ok(name) => Ok(Party::Name(name, port.map(str::parse).transpose()?)),
                Err(_) => Err(error),
            }
        })
    }
}

/// The container of a role, at its fixed addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPolicy {
    /// Its name.
    pub name: Located<String>,
    /// Its IPv4 address.
    pub address: Located<IpAddr>,
    /// Its IPv6 address, if it has one.
    pub address6: Option<Located<IpAddr>>,
}

/// Inbound peers, and the port that they may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// A word for the entry; it becomes part of each rule's comment.
    pub what: Located<String>,
    /// The peers. The port of a peer has no meaning here: a client chooses its source port.
    pub from: Vec<Located<Peer>>,
    /// More peers: names, and those that may be listed up to a day only. [`Policy::on`] puts their addresses of a day among the others.
    pub listed: Vec<Located<ListedPeer>>,
    /// The names whose addresses [`Policy::on`] has put among the peers, if there were any.
    pub named: Vec<Located<HostName>>,
    /// Where the entry names the node itself, if it does: its own programs. They open the container's port.
    pub from_node: Option<Location>,
    /// The ports of the node, and ICMP; at least one. Without any, every port and protocol of the container.
    pub ports: Option<Vec<Located<Traffic>>>,
    /// The port of the container, if it differs; only where each of the node's ports is one port and no range.
    pub to_port: Option<Located<Port>>,
}

/// What an inbound entry allows: as the node gets it, and as the container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// What a peer sends to the node.
    pub node: Traffic,
    /// The same after its destination was rewritten. A range keeps its ports.
    pub container: Traffic,
}

impl Way {
    /// Whether some packet to the node is of both.
    pub fn meets(self, other: Way) -> bool {
        match (self.node.service(), other.node.service()) {
            (Some(one), Some(two)) => one.overlaps(two),
            _ => false,
        }
    }

    /// Whether a packet that is of both comes to the same port of the container by either: both lead to it, or both keep the port.
    pub fn leads_as(self, other: Way) -> bool {
        let keeps = |way: Way| way.node == way.container;
        self.container == other.container || (keeps(self) && keeps(other))
    }
}

impl Inbound {
    /// What the entry allows, part by part; `None` if it is about every port and protocol.
    pub fn ways(&self) -> Option<Vec<Way>> {
        let ports = self.ports.as_ref()?.iter();
        Some(ports.map(|port| self.way(port.value)).collect())
    }

    /// Where a part of the entry leads.
    pub fn way(&self, node: Traffic) -> Way {
        let container = match (node, &self.to_port) {
            (Traffic::Service(service), Some(to)) => {
                Traffic::Service(Service::at(to.value, service.protocol))
            }
            _ => node,
        };
        Way { node, container }
    }

    /// What the container gets, part by part; one `None` is everything.
    pub fn container_traffic(&self) -> Vec<Option<Traffic>> {
        match self.ways() {
            Some(ways) => ways.into_iter().map(|way| Some(way.container)).collect(),
            None => vec![None],
        }
    }
}

/// Outbound peers, and the port on which they may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// A word for the entry; it becomes part of each rule's comment.
    pub what: Located<String>,
    /// The peers. A peer with a port of its own may be reached at that port.
    pub to: Vec<Located<Peer>>,
    /// More peers, as those of [`Inbound::listed`].
    pub listed: Vec<Located<ListedPeer>>,
    /// Their names, as those of [`Inbound::named`].
    pub named: Vec<Located<HostName>>,
    /// Where the entry names the node itself, if it does.
    pub to_node: Option<Location>,
    /// The peers' ports, and ICMP; at least one. Without any, every port and protocol of a peer that has no port of its own.
    pub ports: Option<Vec<Located<Traffic>>>,
}

impl Outbound {
    /// Where a peer of the entry may be reached, part by part: at its own port, else at the entry's; one `None` is everything.
    ///
    /// A peer's own port is of each protocol that the entry names, and of TCP where it names none. ICMP has no port.
    pub fn traffic_of(&self, peer: Peer) -> Vec<Option<Traffic>> {
        let entry = self.ports.as_ref().map(|ports| {
            let ports = ports.iter().map(|port| port.value);
            ports.collect::<Vec<Traffic>>()
        });
        let at = |port, protocol| Traffic::Service(Service::at(port, protocol));
        let parts: BTreeSet<Traffic> = match (entry, peer.port) {
            (None, None) => return vec![None],
            (None, Some(port)) => [at(port, Protocol::Tcp)].into(),
            (Some(entry), None) => entry.into_iter().collect(),
            (Some(entry), Some(port)) => entry
                .into_iter()
                .map(|part| match part {
                    Traffic::Service(service) => at(port, service.protocol),
                    Traffic::Icmp => Traffic::Icmp,
                })
                .collect(),
        };
        parts.into_iter().map(Some).collect()
    }

    /// What the entry allows to the node itself, part by part; one `None` is everything.
    pub fn node_traffic(&self) -> Vec<Option<Traffic>> {
        match &self.ports {
            Some(ports) => ports.iter().map(|port| Some(port.value)).collect(),
            None => vec![None],
        }
    }
}

/// What becomes of a packet that is on no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Otherwise {
    /// The sender is informed (ICMP port unreachable).
    Reject,
    /// The sender is not informed.
    Drop,
}

impl Otherwise {
    /// Both, the default first, with the words of `role.yml`.
    pub const ALL: [(Otherwise, &'static str); 2] =
        [(Otherwise::Reject, "reject"), (Otherwise::Drop, "drop")];
}

impl fmt::Display for Otherwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(&Otherwise::ALL, *self))
    }
}

/// Which addresses are closed to all hosts that are not on the whitelist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Covers {
    /// The whole subnet: whatever address a container gives itself, it reaches nothing.
    Network,
    /// The container's own address; others on the network are left alone.
    Container,
}

impl Covers {
    /// Both, the default first, with the words of `role.yml`.
    pub const ALL: [(Covers, &'static str); 2] = [
        (Covers::Network, "network"),
        (Covers::Container, "container"),
    ];
}

impl fmt::Display for Covers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(&Covers::ALL, *self))
    }
}

/// Whether a packet that is on no list is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Enforce {
    /// It is refused.
    Yes,
    /// It passes, as far as others let it, and is recorded.
    Audit,
}

impl Enforce {
    /// Both, the default first, with the words of `role.yml`. YAML's other words for `yes` mean the same.
    pub const ALL: [(Enforce, &'static str); 2] =
        [(Enforce::Yes, "yes"), (Enforce::Audit, "audit")];
}

impl fmt::Display for Enforce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(&Enforce::ALL, *self))
    }
}

fn word<T: PartialEq>(all: &[(T, &'static str)], value: T) -> &'static str {
    all.iter()
        .find(|(one, _)| *one == value)
        .map_or("", |(_, word)| word)
}

/// A policy in one address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyPolicy {
    /// The family.
    pub family: Family,
    /// The network's subnet.
    pub subnet: Cidr,
    /// The container's address; `None` where the network has IPv6 and the container no fixed address in it.
    pub container: Option<IpAddr>,
    /// The addresses that are closed to all hosts that are not on the whitelist.
    pub covered: Cidr,
}

impl Policy {
    /// The same policy in audit, whatever the role says.
    #[must_use]
    pub fn in_audit(mut self) -> Self {
        self.enforce.value = Enforce::Audit;
        self
    }

    /// Whether nothing is refused.
    pub fn is_audit(&self) -> bool {
        self.enforce.value == Enforce::Audit
    }

    /// The families in which the network has a subnet, IPv4 first.
    pub fn sides(&self) -> impl Iterator<Item = FamilyPolicy> + '_ {
        let v4 = (
            Family::V4,
            Some(self.network.subnet.value),
            Some(self.container.address.value),
        );
        let v6 = (
            Family::V6,
            self.network.subnet6.as_ref().map(|net| net.value),
            self.container
                .address6
                .as_ref()
                .map(|address| address.value),
        );
        [v4, v6]
            .into_iter()
            .filter_map(move |(family, subnet, container)| {
                let subnet = subnet?;
                let covered = match (self.covers.value, container) {
                    (Covers::Container, Some(address)) => Cidr::host(address),
                    _ => subnet,
                };
                Some(FamilyPolicy {
                    family,
                    subnet,
                    container,
                    covered,
                })
            })
    }

    /// The policy in one family; `None` if the network has no subnet in it.
    pub fn side(&self, family: Family) -> Option<FamilyPolicy> {
        self.sides().find(|side| side.family == family)
    }
}
