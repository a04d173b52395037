//! A managed subnet against the node's own addresses and routes.
//!
//! A bridge with a subnet is a route, and the longest prefix wins: the node then looks for the operator, for its gateway or for a
//! neighbour among the containers. And where a subnet is wider than a network that the node is on, the rules take the hosts there
//! for containers, between which nothing is filtered.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::desired::Desired;
use crate::model::desired::DesiredNetwork;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::routing::Route;
use crate::model::routing::RouteKind;
use crate::model::routing::Routing;
use crate::model::rule::Match;
use crate::model::rule::Sense;
use crate::model::state::Docker;
use crate::model::state::NodeState;
use crate::model::state::Observed;
use crate::model::state::View;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::severity::Severity;

/// One subnet of a managed network.
struct Subnet<'a> {
    network: &'a DesiredNetwork,
    net: Cidr,
    /// Whether it is yet to be made.
    is_new: bool,
}

/// What each managed subnet hides of the node's own networks, or takes for its own.
pub fn shadowed(desired: &Desired, docker: &Docker, state: &NodeState) -> Vec<Finding> {
    let subnets: Vec<Subnet> = desired
        .networks
        .iter()
        .flat_map(|network| {
            let there = docker.network(&network.name);
            network.subnets().map(move |net| Subnet {
                network,
                net,
                is_new: !there.is_some_and(|n| n.subnets.contains(&net)),
            })
        })
        .collect();
    let mut out: Vec<Finding> = subnets
        .iter()
        .filter_map(|subnet| peers_inside(subnet, desired))
        .collect();
    let routing = match &state.system.routing {
        Observed::Known(routing) => routing,
        Observed::Unreadable(why) => {
            out.extend(unread(&subnets, why));
            return out;
        }
    };
    // Docker's own bridges are compared as networks. One that is left of a network that is gone, as when dockerd was killed while it
    // removed it, is no network that the node is on either, and Docker takes the one with the wanted name for its own again.
    let mut devices: BTreeSet<&str> = docker.networks.iter().map(|n| n.bridge.as_str()).collect();
    devices.remove("");
    devices.extend(desired.networks.iter().map(|n| n.bridge.as_str()));
    let named = routing.addresses.iter().map(|a| a.device.as_str());
    let named = named.chain(routing.routes.iter().map(|r| r.device.as_str()));
    devices.extend(named.filter(|device| is_dockers(device)));
    if !routing.complete {
        out.extend(unread(&subnets, "it has more entries than are read"));
    }
    for subnet in &subnets {
        let node = Node {
            routing,
            devices: &devices,
            state,
        };
        let worst = node
            .locks_out(subnet)
            .or_else(|| node.own_network(subnet))
            .or_else(|| node.routed(subnet));
        out.extend(worst.or_else(|| node.hidden(subnet)));
    }
    out
}

/// Whether a device has a name as Docker gives it to a bridge: `br-` and the first twelve digits of the network's id.
fn is_dockers(device: &str) -> bool {
    device.strip_prefix("br-").is_some_and(|id| {
        id.len() == 12
            && id
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// What the node is connected to.
struct Node<'a> {
    routing: &'a Routing,
    devices: &'a BTreeSet<&'a str>,
    state: &'a NodeState,
}

impl Node<'_> {
    fn routes(&self) -> impl Iterator<Item = &Route> {
        let routes = self.routing.routes.iter();
        routes.filter(|route| !self.devices.contains(route.device.as_str()))
    }

    /// The route by which an address is reached now: the longest prefix of any table, since policies could choose any.
    fn route_to(&self, address: &IpAddr) -> Option<&Route> {
        let leads = |r: &&Route| r.kind == RouteKind::Unicast && r.to.contains(address);
        self.routes().filter(leads).max_by_key(|r| r.to.prefix())
    }

    /// The peer of this very connection, or a gateway, among the containers.
    fn locks_out(&self, subnet: &Subnet) -> Option<Finding> {
        if !subnet.is_new {
            return None;
        }
        let connection = self.state.system.ssh_connection.split(' ').next();
        let peer: Option<IpAddr> = connection.and_then(|peer| peer.parse().ok());
        if let Some(peer) = peer.filter(|peer| subnet.net.contains(peer)) {
            let route = self.route_to(&peer);
            let now = route.map_or(String::new(), |r| format!(" (now: `{}`)", r.text));
            return Some(
                found(
                    FindingCode::LocksOut,
                    format!(
                        "{} contains {peer}, the address of this connection: the node would look for it among the containers{now}",
                        said(subnet)
                    ),
                )
                .hint(other(subnet)),
            );
        }
        let gateway = self.routes().find_map(|route| {
            let inside = route.via.iter().find(|via| subnet.net.contains(via))?;
            Some((route, inside))
        });
        let (route, via) = gateway?;
        Some(
            found(
                FindingCode::LocksOut,
                format!(
                    "{} contains {via}, the gateway of `{}`: the node would look for it among the containers",
                    said(subnet),
                    route.text
                ),
            )
            .hint(other(subnet)),
        )
    }

    /// A network that the node itself is on, within the subnet or around it.
    fn own_network(&self, subnet: &Subnet) -> Option<Finding> {
        let addresses = self.routing.addresses.iter();
        let foreign = |device: &str| !self.devices.contains(device);
        let meets = |net: Cidr| net.overlaps(subnet.net);
        let own = addresses
            .filter(|a| foreign(&a.device))
            .find(|a| meets(a.network) || subnet.net.contains(&a.address))
            .map(|a| format!("{} on {} ({})", a.network, a.device, a.address));
        // A whole network that is the node's own (AnyIP) has no address that tells of it.
        let any = |r: &&Route| r.kind == RouteKind::Local && !r.to.is_host() && meets(r.to);
        let own = own.or_else(|| Some(format!("`{}`", self.routes().find(any)?.text)))?;
        Some(
            Finding::with_severity(
                broken(subnet),
                FindingCode::SubnetShadows,
                View::Docker,
                format!(
                    "{} overlaps the node's own network {own}: hosts there are treated as containers, between which nothing is filtered, or can no longer be reached",
                    said(subnet)
                ),
            )
            .hint(other(subnet)),
        )
    }

    /// A route to others into the subnet: whoever is there counts as a container.
    fn routed(&self, subnet: &Subnet) -> Option<Finding> {
        let inside = |r: &&Route| r.kind == RouteKind::Unicast && subnet.net.covers(r.to);
        let route = self.routes().find(inside)?;
        Some(
            Finding::with_severity(
                broken(subnet),
                FindingCode::SubnetShadows,
                View::Docker,
                format!(
                    "{} holds {}, which the node sends elsewhere (`{}`): hosts there are treated as containers, between which nothing is filtered, or can no longer be reached",
                    said(subnet),
                    route.to,
                    route.text
                ),
            )
            .hint(other(subnet)),
        )
    }

    /// What is hidden and hurts neither ssh nor the whitelist.
    fn hidden(&self, subnet: &Subnet) -> Option<Finding> {
        if !subnet.is_new {
            return None;
        }
        let resolvers = self.state.system.resolvers.known();
        let mut servers = resolvers
            .iter()
            .flat_map(|r| r.servers.iter().chain(&r.upstream));
        let server = servers.find(|server| subnet.net.contains(server));
        let what = match server {
            Some(server) => format!("{server}, a DNS server of the node"),
            None => {
                let part = |r: &&Route| {
                    r.kind != RouteKind::Local && !is_rest(r.to) && r.to.overlaps(subnet.net)
                };
                format!("a part of `{}`", self.routes().find(part)?.text)
            }
        };
        Some(
            found(
                FindingCode::RouteShadowed,
                format!(
                    "{} hides {what} from the node and from its containers",
                    said(subnet)
                ),
            )
            .hint(format!("if anything there is needed, {}", other(subnet))),
        )
    }
}

/// Whether a route is for all that no other is for: the default, or what tunnels put in its place (`0.0.0.0/1`, `2000::/3`).
fn is_rest(to: Cidr) -> bool {
    let longest = match to.family() {
        Family::V4 => 1,
        Family::V6 => 3,
    };
    to.prefix() <= longest
}

fn found(code: FindingCode, text: String) -> Finding {
    Finding::new(code, View::Docker, text)
}

fn said(subnet: &Subnet) -> String {
    format!("{} of network `{}`", subnet.net, subnet.network.name)
}

fn other(subnet: &Subnet) -> String {
    format!(
        "give network `{}` another subnet in the inventory, one that is in neither `ip route` nor `ip addr` of the node",
        subnet.network.name
    )
}

/// A network that is there already is there to be left; the rules can be kept up meanwhile.
fn broken(subnet: &Subnet) -> Severity {
    if subnet.is_new {
        Severity::Refuse
    } else {
        Severity::NotEnforced
    }
}

fn unread(subnets: &[Subnet], why: &str) -> Option<Finding> {
    let new = subnets.iter().find(|subnet| subnet.is_new)?;
    Some(
        found(
            FindingCode::RoutesUnread,
            format!(
                "whether {} hides a network of the node is unknown: its routes could not be read: {why}",
                said(new)
            ),
        )
        .hint("compare it with `ip route` and `ip addr` on the node"),
    )
}

/// Peers of the whitelist within the subnet: no packet of theirs meets a rule.
fn peers_inside(subnet: &Subnet, desired: &Desired) -> Option<Finding> {
    let peers: BTreeSet<Cidr> = desired
        .rules
        .iter()
        .filter_map(|rule| Some((rule.priority, rule.rule()?)))
        .flat_map(|(priority, rule)| {
            let peer = |m: &Match| match (priority, m) {
                (100, Match::Source(Sense::Is, net))
                | (200, Match::Destination(Sense::Is, net)) => Some(*net),
                _ => None,
            };
            rule.matches().filter_map(peer).collect::<Vec<_>>()
        })
        .filter(|peer| subnet.net.covers(*peer))
        .collect();
    let first = peers.first()?;
    let more = match peers.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    Some(
        found(
            FindingCode::PeerInside,
            format!(
                "peer {}{more} of the whitelist is within {}: the node looks for it among the containers, and a host elsewhere is never reached",
                first.short(),
                said(subnet)
            ),
        )
        .hint("take it off the whitelist if it is a container there, since nothing is filtered between them; or choose another subnet"),
    )
}
