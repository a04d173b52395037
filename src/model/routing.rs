//! Where a node sends what: its addresses, its routes, and the DNS servers that it asks.

use std::net::IpAddr;

use serde::Serialize;

use crate::model::net::Cidr;

/// The node's own addresses and routes, of both families and of every table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Routing {
    /// The addresses.
    pub addresses: Vec<Address>,
    /// The routes.
    pub routes: Vec<Route>,
    /// Whether that is all; a node may have too many routes to be read.
    pub complete: bool,
}

/// An address of the node's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The device.
    pub device: String,
    /// The address.
    pub address: IpAddr,
    /// The network around it; the other end's, on a link from point to point.
    pub network: Cidr,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Where to.
    pub to: Cidr,
    /// The device; empty if none is named.
    pub device: String,
    /// The gateways.
    pub via: Vec<IpAddr>,
    /// What becomes of what takes it.
    pub kind: RouteKind,
    /// As the node printed it.
    pub text: String,
}

/// What becomes of a packet that takes a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteKind {
    /// It is sent on.
    Unicast,
    /// It is the node's own.
    Local,
    /// It is refused or dropped: `unreachable`, `blackhole`, `prohibit`, `throw`.
    Refused,
}

/// The DNS servers of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Resolvers {
    /// Those of /etc/resolv.conf.
    pub servers: Vec<IpAddr>,
    /// Those that systemd-resolved asks.
    pub upstream: Vec<IpAddr>,
}
