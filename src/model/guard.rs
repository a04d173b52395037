//! The guard: what a node enforces by a packet filter of fwdeploy's own, beside firewalld and Docker.
//!
//! [`Guard`] says what is enforced, without saying how. [`table`] is the nftables table that does it, [`mangle`] names the
//! chains that do it where nft cannot, and [`usage`] is what the table has counted.

pub mod mangle;
pub mod nftables_service;
pub mod table;
pub mod usage;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;
use serde::Serializer;

use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::net::Traffic;
use crate::model::observed::Observed;

pub use nftables_service::NftablesService;
pub use table::GuardTable;
pub use usage::GuardUsage;

/// What the guard lets pass from, to and between the managed networks. Everything else about them is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Guard {
    /// The networks, by the name of their bridge.
    pub networks: Vec<GuardedNetwork>,
    /// The flows that peers may open to containers.
    pub inbound: BTreeSet<GuardedFlow>,
    /// The flows that containers may open to peers.
    pub outbound: BTreeSet<GuardedFlow>,
    /// What containers may open on the node itself: their address, and the port; `None` is everything.
    pub to_node: BTreeSet<(IpAddr, Option<Traffic>)>,
    /// What the node's own programs may open on containers: the container's address, and its port; `None` is everything. To a container that
    /// is not named here, they may open everything.
    pub from_node: BTreeSet<(IpAddr, Option<Traffic>)>,
}

/// A Docker network that the guard closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardedNetwork {
    /// The name of its bridge device.
    pub bridge: String,
    /// Its subnets, IPv4 first.
    pub subnets: Vec<Cidr>,
    /// The addresses that are closed: the subnets, or single containers.
    pub closed: BTreeSet<Cidr>,
    /// How a packet that is on no list is refused.
    pub refusal: Refusal,
    /// Whether its containers reach the node itself, whatever [`Guard::to_node`] says.
    pub reaches_node: bool,
    /// The name under which refused packets are logged, that of the network; `None`: they are not.
    pub log: Option<String>,
    /// Whether nothing is refused here: what is on no list is recorded, and passes.
    pub is_audited: bool,
}

impl GuardedNetwork {
    /// Whether everything behind the bridge is closed, whatever its address, and not only single containers.
    pub fn is_closed(&self) -> bool {
        self.subnets
            .iter()
            .all(|subnet| self.closed.contains(subnet))
    }
}

/// How a packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The sender gets an ICMP message, `admin-prohibited`.
    Reject,
    /// The sender gets no answer.
    Drop,
}

/// Flows between a container and a peer, by who may open them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct GuardedFlow {
    /// The container's address.
    pub container: IpAddr,
    /// What it carries, by the ports of the side that does not open the flow; for an inbound flow those of the container, after its
    /// destination was rewritten. `None`: any protocol.
    #[serde(rename = "service")]
    pub traffic: Option<Traffic>,
    /// The peer.
    pub peer: Cidr,
}

impl GuardedFlow {
    /// The family.
    pub fn family(&self) -> Family {
        Family::of(&self.container)
    }
}

/// How the guard of a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardState {
    /// The version of nft; `None` where it is not installed.
    pub nft: Option<NftVersion>,
    /// The table that the kernel holds; `None` if there is none.
    pub table: Observed<Option<GuardTable>>,
    /// What that table has counted; nothing if there is none. No plan and no comparison depends on it.
    pub usage: Observed<GuardUsage>,
    /// What loads it at boot.
    pub boot: Observed<GuardBoot>,
    /// What flushes it, with all other tables; `None` if there is no such unit.
    pub nftables_service: Observed<Option<NftablesService>>,
}

impl Default for GuardState {
    fn default() -> Self {
        GuardState {
            nft: None,
            table: Observed::Known(None),
            usage: Observed::Known(GuardUsage::default()),
            boot: Observed::Known(GuardBoot::default()),
            nftables_service: Observed::Known(None),
        }
    }
}

/// The guard as it is installed on a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct InstalledGuard {
    /// The table that the kernel holds.
    pub table: Option<GuardTable>,
    /// What loads it at boot.
    pub boot: GuardBoot,
}

/// The systemd unit that loads the guard at boot.
pub const UNIT: &str = include_str!("guard/fwdeploy-guard.service");

/// The files that load the guard at boot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GuardBoot {
    /// The SHA-256 of the script for nft, in hexadecimal; `None` if there is no such file.
    pub script: Option<String>,
    /// The same of the systemd unit.
    pub unit: Option<String>,
    /// What is in the drop-in for `nftables.service` ([`NftablesService::drop_in`]); `None` if there is no such file.
    pub drop_in: Option<String>,
    /// Whether systemd starts the unit at boot.
    pub is_enabled: bool,
    /// Whether systemd regards it as active. Only then does the unit follow `nftables.service`, which flushes all tables.
    pub is_active: bool,
    /// Whether somebody has masked the unit, so that systemd does not start it.
    pub is_masked: bool,
    /// Whether somebody has changed the unit by files of his own (`systemctl edit`).
    pub is_changed: bool,
}

impl GuardBoot {
    /// Whether any of fwdeploy's own files is there.
    pub fn is_installed(&self) -> bool {
        self.script.is_some() || self.unit.is_some() || self.drop_in.is_some() || self.is_enabled
    }
}

/// A version of nft, such as 1.0.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NftVersion(pub u32, pub u32, pub u32);

impl NftVersion {
    /// The oldest with which elements that count, and IPv6 networks of any size in elements of several fields, were seen to be listed as they
    /// are. 0.9.8 crashes at the one (`nft -j list table`) and lists the other wrongly.
    const LISTS_ALL: NftVersion = NftVersion(1, 0, 6);

    /// The oldest that takes networks in elements of several fields (nftables 0.9.4).
    const TAKES_NETWORKS: NftVersion = NftVersion(0, 9, 4);

    /// Whether elements of a set can count their packets.
    pub fn counts_elements(self) -> bool {
        self >= NftVersion::LISTS_ALL
    }

    /// Whether it lists IPv6 networks of fewer than 64 bits as they are.
    pub fn lists_short_networks(self) -> bool {
        self >= NftVersion::LISTS_ALL
    }

    /// Whether it can hold the guard at all.
    pub fn can_guard(self) -> bool {
        self >= NftVersion::TAKES_NETWORKS
    }
}

/// As text, `1.0.6`.
impl Serialize for NftVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for NftVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}
