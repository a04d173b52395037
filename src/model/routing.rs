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

impl Routing {
    /// The device over which the node sends to an address or a network, and on which packets from there are assumed to arrive: that of
    /// the longest route that contains all of it.
    ///
    /// `None` if no route with a device does, or if routes of the same length name several: policy routing decides there.
    pub fn device_to(&self, net: Cidr) -> Option<&str> {
        let holding = || self.routes.iter().filter(|route| route.to.covers(net));
        let longest = holding().map(|route| route.to.prefix()).max()?;
        let mut devices = holding()
            .filter(|route| route.to.prefix() == longest)
            .map(|route| (route.kind, route.device.as_str()));
        let (kind, device) = devices.next()?;
        let one = devices.all(|other| other == (kind, device));
        (one && kind == RouteKind::Unicast && !device.is_empty()).then_some(device)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_arrive_by_the_device_of_the_longest_route() {
        let route = |to: &str, device: &str, kind| Route {
            to: to.parse().unwrap(),
            device: device.to_string(),
            via: Vec::new(),
            kind,
            text: String::new(),
        };
        let unicast = RouteKind::Unicast;
        let routing = Routing {
            routes: vec![
                route("0.0.0.0/0", "eth0", unicast),
                route("10.0.0.0/8", "eth1", unicast),
                route("10.9.0.0/16", "", unicast),
                route("10.8.0.0/16", "wg0", unicast),
                route("10.8.0.0/16", "wg1", unicast),
                route("192.0.2.1/32", "lo", RouteKind::Local),
                route("198.51.100.0/24", "", RouteKind::Refused),
            ],
            ..Routing::default()
        };
        let device = |net: &str| routing.device_to(net.parse().unwrap());
        assert_eq!(device("203.0.113.7"), Some("eth0"));
        assert_eq!(device("0.0.0.0/0"), Some("eth0"));
        assert_eq!(device("10.7.0.1"), Some("eth1"));
        assert_eq!(device("10.0.0.0/7"), Some("eth0"), "not all of it is there");
        for unknown in [
            "10.9.0.1",
            "10.8.0.1",
            "192.0.2.1",
            "198.51.100.7",
            "2001:db8::1",
        ] {
            assert_eq!(device(unknown), None, "{unknown}");
        }
    }
}
