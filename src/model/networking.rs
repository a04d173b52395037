//! What else decides about a packet, apart from iptables and firewalld: listeners, routing, sets, other tables.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::observed::Observed;
use crate::model::ranges::Ranges;
use crate::model::step::NftTable;
use crate::model::tables::Tables;

/// A process of the node that waits for packets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Listener {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The address that it is bound to; `None` is every address of both families.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// The program's name; empty if it is not known.
    pub program: String,
}

/// What the node's routing contains apart from the main table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RoutingSettings {
    /// The lines of `ip rule` that a fresh system does not have.
    pub rules: Vec<String>,
    /// net.ipv6.conf.all.forwarding; `None` where there is no IPv6.
    pub forwarding6: Option<bool>,
    /// The devices whose reverse path filter is strict (net.ipv4.conf.*.rp_filter is 1).
    pub strict: Vec<String>,
}

/// What else decides about packets, apart from iptables and firewalld. A reading that did not query it leaves it unreadable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Networking {
    /// The listeners on the node.
    pub listeners: Observed<Vec<Listener>>,
    /// Its routing.
    pub routing: Observed<RoutingSettings>,
    /// The address sets that rules of iptables ask, by name; `None` is one that is not of addresses alone.
    pub sets: Observed<BTreeMap<String, Option<Ranges>>>,
    /// The tables of nft that iptables does not show, with firewalld's. `nft list ruleset` shows them better.
    #[serde(skip)]
    pub nft: Observed<Vec<NftTable>>,
    /// The tables of the other iptables backend, IPv4 and IPv6.
    pub other: Observed<[Tables; 2]>,
}

/// The value for a reading that did not query it.
const NOT_ASKED: &str = "not asked";

impl Default for Networking {
    fn default() -> Self {
        fn not_asked<T>() -> Observed<T> {
            Observed::Unreadable(NOT_ASKED.to_string())
        }
        Networking {
            listeners: not_asked(),
            routing: not_asked(),
            sets: not_asked(),
            nft: not_asked(),
            other: not_asked(),
        }
    }
}

impl Networking {
    /// Whether the reading did not query any of it.
    pub fn is_not_asked(&self) -> bool {
        *self == Networking::default()
    }
}
