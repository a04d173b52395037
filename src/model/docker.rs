//! What a node's Docker is seen to hold: its networks and its containers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::version::major_minor;

/// Docker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Docker {
    /// The engine's version, such as `28.5.2`.
    pub version: String,
    /// `iptables`, `iptables+firewalld`, `nftables` as Docker 28.1 and later say; empty before.
    pub firewall: String,
    /// The families that it is configured to leave unfiltered: `"iptables": false`, `--ip6tables=false`.
    pub unfiltered: Vec<Family>,
    /// Whether DNS servers are configured for its containers (`"dns"` of daemon.json); `None` if that is unknown.
    #[serde(skip_serializing_if = "is_not_told")]
    pub told_dns: Option<bool>,
    /// The networks, by name.
    pub networks: Vec<Network>,
    /// The containers, running or not, by name.
    pub containers: Vec<Container>,
}

impl Docker {
    /// A network by its name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|n| n.name == name)
    }

    /// A container by its name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// Major and minor version; `(0, 0)` if it cannot be read.
    pub fn major_minor(&self) -> (u32, u32) {
        major_minor(&self.version)
    }
}

/// A Docker network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its id, in full.
    pub id: String,
    /// `bridge`, `host`, `null`, `overlay` …
    pub driver: String,
    /// Its subnets.
    pub subnets: Vec<Cidr>,
    /// Its gateways.
    pub gateways: Vec<IpAddr>,
    /// The bridge device: the option `com.docker.network.bridge.name`, or `br-` and twelve digits of the id.
    pub bridge: String,
    /// Whether it has no way out (`--internal`).
    pub internal: bool,
    /// Whether IPv6 is on.
    pub ipv6: bool,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What containers without a fixed address get their addresses from (`--ip-range`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Cidr>,
    /// Addresses that no container can have (`--aux-address`), by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reserved: BTreeMap<String, IpAddr>,
    /// The driver that assigns the addresses; empty for `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ipam_driver: String,
    /// Options of that driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ipam_options: BTreeMap<String, String>,
    /// Whether containers outside of a swarm's services may join (`--attachable`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attachable: bool,
}

impl Network {
    /// Whether containers that are only on this network can neither reach anything outside of it nor be reached.
    ///
    /// `--internal` means that for the driver `bridge` alone: an internal macvlan or ipvlan is on its parent's wire.
    pub fn is_closed(&self) -> bool {
        self.internal && self.driver == "bridge" || self.driver == "null"
    }
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Container {
    /// Its name, without the leading slash.
    pub name: String,
    /// Its id, in full.
    pub id: String,
    /// Whether it runs.
    pub running: bool,
    /// HostConfig.NetworkMode: `bridge`, `host`, `none`, a network's name, `container:ID`.
    pub network_mode: String,
    /// Its endpoints, by network.
    pub endpoints: Vec<Endpoint>,
    /// Published ports such as `0.0.0.0:8090->8090/tcp`.
    pub published: Vec<String>,
    /// Docker's word for how it is: `running`, `restarting`, `paused`, `exited`, `created`, `dead`, `removing`; empty if it
    /// was not asked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The DNS servers that are configured for it; `None` if that was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Vec<String>>,
    /// Whether it has all of root's rights.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Capabilities beyond the ordinary, as they were named: `NET_ADMIN`, `ALL` …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The service of Compose or of a swarm that it is of; empty if it is of none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Whether Compose made it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub of_compose: bool,
}

impl Container {
    /// Whether it has ended and Docker will start it again: it counts as running, has no address, and can be neither
    /// detached nor attached.
    pub fn is_restarting(&self) -> bool {
        self.status == "restarting"
    }

    /// Whether it is being removed, or its removal has failed: nothing can be done with it.
    pub fn is_going(&self) -> bool {
        matches!(self.status.as_str(), "dead" | "removing")
    }

    /// Whether it may change its own addresses and routes.
    pub fn is_net_admin(&self) -> bool {
        let gives = |name: &String| {
            let name = name.to_ascii_uppercase();
            matches!(name.trim_start_matches("CAP_"), "NET_ADMIN" | "ALL")
        };
        self.privileged || self.capabilities.iter().any(gives)
    }

    /// Its place on a network.
    pub fn endpoint(&self, network: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|e| e.network == network)
    }
}

/// A container's place on a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Endpoint {
    /// The network's name.
    pub network: String,
    /// The address it has now; `None` while it does not run.
    pub address: Option<IpAddr>,
    /// Its configured address (IPAMConfig), which survives a restart.
    pub fixed: Option<IpAddr>,
    /// The IPv6 address it has now.
    pub address6: Option<IpAddr>,
    /// Its configured IPv6 address.
    pub fixed6: Option<IpAddr>,
    /// Extra names on that network, without the container's id.
    pub aliases: Vec<String>,
    /// Links of the old kind, `NAME:ALIAS`.
    pub links: Vec<String>,
    /// The network's id, which distinguishes it from another one of the same name; empty if it is unknown, or not created yet.
    #[serde(skip_serializing)]
    pub network_id: String,
    /// The MAC address that it has now; empty while it does not run.
    #[serde(skip_serializing)]
    pub mac: String,
    /// Options of the driver for this place (`--driver-opt`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_options: BTreeMap<String, String>,
    /// Link-local addresses (`--link-local-ip`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link_local: Vec<IpAddr>,
    /// Which of its networks has the default gateway: the highest (Docker 28 and later).
    #[serde(skip_serializing_if = "is_zero")]
    pub gateway_priority: i64,
}

fn is_not_told(told: &Option<bool>) -> bool {
    *told != Some(true)
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands it a reference"
)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}
