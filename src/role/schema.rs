//! What a role specifies for one container on one node, every value with its location.

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
use crate::model::net::NetError;

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

/// The other side of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// An address or a network, and perhaps a port.
    Peer(Peer),
    /// The node that the container runs on: the word `node`.
    Node,
}

impl FromStr for Party {
    type Err = NetError;

    /// Reads the word `node`, or a [`Peer`].
    ///
    /// # Errors
    /// As [`Peer`].
    fn from_str(text: &str) -> Result<Self, NetError> {
        match text {
            "node" => Ok(Party::Node),
            _ => text.parse().map(Party::Peer),
        }
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
    /// Where the entry names the node itself, if it does: its own programs. They open the container's port.
    pub from_node: Option<Location>,
    /// The port of the node; without one, every port of the container.
    pub port: Option<Located<Service>>,
    /// The port of the container, if it differs.
    pub to_port: Option<Located<Port>>,
}

impl Inbound {
    /// The port of the container that the node's port leads to; `None` if the entry is about every port.
    pub fn container_service(&self) -> Option<Service> {
        let service = self.port.as_ref()?.value;
        Some(Service {
            port: self.to_port.as_ref().map_or(service.port, |to| to.value),
            protocol: service.protocol,
        })
    }
}

/// Outbound peers, and the port on which they may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// A word for the entry; it becomes part of each rule's comment.
    pub what: Located<String>,
    /// The peers. A peer with a port of its own may be reached at that port.
    pub to: Vec<Located<Peer>>,
    /// Where the entry names the node itself, if it does.
    pub to_node: Option<Location>,
    /// The peers' port; without one, every port of a peer that has none of its own.
    pub port: Option<Located<Service>>,
}

impl Outbound {
    /// Where a peer of the entry may be reached: at its own port, else at the entry's; `None` is every port.
    pub fn service_of(&self, peer: Peer) -> Option<Service> {
        let entry = self.port.as_ref().map(|port| port.value);
        match peer.port {
            Some(port) => Some(Service {
                port,
                protocol: entry.map_or(Protocol::Tcp, |entry| entry.protocol),
            }),
            None => entry,
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
pub struct Side {
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
    pub fn sides(&self) -> impl Iterator<Item = Side> + '_ {
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
                Some(Side {
                    family,
                    subnet,
                    container,
                    covered,
                })
            })
    }

    /// The policy in one family; `None` if the network has no subnet in it.
    pub fn side(&self, family: Family) -> Option<Side> {
        self.sides().find(|side| side.family == family)
    }
}
