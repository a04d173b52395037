//! What a node is asked to be: compiled from its roles before any connection.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::date::Date;
use crate::model::guard::Guard;
use crate::model::ipset::IpSets;
use crate::model::mark::FirewallMark;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::peer::KnownPeer;
use crate::model::rich::RichRule;
use crate::model::rule::DirectRule;

/// Everything that a node's roles require.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Desired {
    /// The firewalld zone that holds the rich rules; `None` is the node's default zone.
    pub zone: Option<String>,
    /// The networks, by name.
    pub networks: Vec<DesiredNetwork>,
    /// Which container has which address.
    pub attachments: Vec<Attachment>,
    /// The rules of DOCKER-USER in both families, in the order in which the kernel must hold them.
    pub rules: Vec<DirectRule>,
    /// The rich rules of the zone, sorted.
    pub rich: Vec<RichRule>,
    /// What a packet filter of fwdeploy's own enforces, beside firewalld and Docker.
    pub guard: Guard,
    /// The roles whose whitelist is not enforced, but watched.
    pub audits: Vec<Audit>,
    /// What is known of the peers, in order. It is for people, and in no hash.
    #[serde(skip)]
    pub known: Vec<KnownPeer>,
    /// How what firewalld forwards gets into a container. It is decided once the node is known; the roles leave it at the default.
    #[serde(skip)]
    pub passage: Passage,
    /// From how many peers on the peers of a list are put into a set.
    #[serde(skip)]
    pub ipsets: Ipsets,
    /// The sets that the rules refer to. Which lists become sets is decided once the node is known; the roles require none.
    #[serde(skip)]
    pub sets: IpSets,
}

/// When the peers of a list are put into an address set of firewalld's, to which one rule refers, instead of a rule for each peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipsets {
    /// Never.
    Never,
    /// When there are more than that many.
    Above(usize),
}

impl Ipsets {
    /// How many peers have a rule each, if nothing else was said: see decision 0017 for what was measured.
    pub const DEFAULT: usize = 100;
}

impl Default for Ipsets {
    fn default() -> Self {
        Ipsets::Above(Ipsets::DEFAULT)
    }
}

/// A role in audit: what its whitelist forbids passes, and is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// The role.
    pub role: String,
    /// The last day on which that is meant to be so; `None` if no end was set.
    pub until: Option<Date>,
    /// Whether that day is over. It is no part of what the role requires, and so of no hash.
    #[serde(skip)]
    pub is_over: bool,
}

/// How what firewalld has forwarded to a container gets past Docker's own rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Passage {
    /// By rules in DOCKER-USER, which Docker's iptables backend asks first.
    #[default]
    DockerUser,
    /// Docker's nftables backend has no such chain. It lets in packets with this mark (`bridge-accept-fwmark`).
    Mark(FirewallMark),
    /// The same backend without such a mark lets everything into a network with the gateway mode `nat-unprotected`.
    Unprotected,
}

impl Passage {
    /// Whether Docker filters with its nftables backend, so that the node has no DOCKER-USER.
    pub fn is_docker_nft(self) -> bool {
        self != Passage::DockerUser
    }
}

/// A Docker bridge network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredNetwork {
    /// The network's name.
    pub name: String,
    /// Its IPv4 subnet.
    pub subnet: Cidr,
    /// Its gateway; `None` lets Docker take the first address.
    pub gateway: Option<IpAddr>,
    /// Its IPv6 subnet, if it has one.
    pub subnet6: Option<Cidr>,
    /// The name of the bridge device, at most 15 characters (IFNAMSIZ), used when the network is made.
    pub bridge: String,
}

impl DesiredNetwork {
    /// The subnets, IPv4 first.
    pub fn subnets(&self) -> impl Iterator<Item = Cidr> {
        std::iter::once(self.subnet).chain(self.subnet6)
    }
}

/// A container at its fixed address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// The role that asks for it.
    pub role: String,
    /// The container's name.
    pub container: String,
    /// The network's name.
    pub network: String,
    /// The IPv4 address.
    pub address: IpAddr,
    /// The IPv6 address, if the network has IPv6.
    pub address6: Option<IpAddr>,
}

impl Desired {
    /// Every address and subnet that the roles manage: a rule that names one of them is ours.
    pub fn managed(&self) -> BTreeSet<Cidr> {
        let subnets = self.networks.iter().flat_map(DesiredNetwork::subnets);
        let addresses = self
            .attachments
            .iter()
            .flat_map(|a| std::iter::once(a.address).chain(a.address6))
            .map(Cidr::host);
        subnets.chain(addresses).collect()
    }

    /// Whether nothing is enforced: each network is in audit.
    pub fn is_audit(&self) -> bool {
        let networks = &self.guard.networks;
        !networks.is_empty() && networks.iter().all(|network| network.is_audited)
    }

    /// The rules of one family, in order.
    pub fn rules_of(&self, family: Family) -> impl Iterator<Item = &DirectRule> {
        self.rules.iter().filter(move |r| r.family == Some(family))
    }

    /// The families that have rules, and so need the chain.
    pub fn families(&self) -> Vec<Family> {
        Family::ALL
            .into_iter()
            .filter(|family| self.rules_of(*family).next().is_some())
            .collect()
    }

    /// The subnets of one family.
    pub fn subnets(&self, family: Family) -> Vec<Cidr> {
        self.networks
            .iter()
            .flat_map(DesiredNetwork::subnets)
            .filter(|net| net.family() == family)
            .collect()
    }
}
