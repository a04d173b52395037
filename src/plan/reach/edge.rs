//! The flows that the whitelist allows, one for each peer and entry.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::desired::Attachment;
use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::net::Port;
use crate::model::net::PortRange;
use crate::model::rich::RichRule;
use crate::model::rich::RichSource;
use crate::model::rule::Match;
use crate::model::rule::Rule;
use crate::model::rule::Sense;
use crate::model::rule::Tag;
use crate::model::rule::Target;

/// The direction of a flow, seen from the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    /// A peer opens it to the container, through a port of the node.
    In,
    /// The container opens it to a peer.
    Out,
}

/// One flow that the whitelist allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    /// Which side opens it.
    pub(super) direction: Direction,
    /// The address family.
    pub(super) family: Family,
    /// The peer; every address of the family where the entry allows everyone.
    pub(super) peer: Cidr,
    /// The container's address.
    pub(super) container: IpAddr,
    /// The protocol, as iptables calls it; `None` is any.
    pub(super) protocol: Option<String>,
    /// The port at the far end of the flow: of the container for [`Direction::In`], of the peer for [`Direction::Out`]; `None` is
    /// any.
    pub(super) port: Option<u16>,
    /// For [`Direction::In`]: the port of the node that firewalld forwards; `None` where the peer addresses the container itself.
    pub(super) node_port: Option<Port>,
    /// The entry that allows it, `ROLE/WHAT`.
    pub(super) entry: String,
}

/// The place of the container that has this address.
pub(super) fn attachment(desired: &Desired, container: IpAddr) -> Option<&Attachment> {
    desired
        .attachments
        .iter()
        .find(|a| a.address == container || a.address6 == Some(container))
}

/// Whether some rule is about a range of ports.
pub(super) fn has_ranges(desired: &Desired) -> bool {
    let rules = desired.rules.iter().filter_map(|direct| direct.rule());
    let mut matches = rules.flat_map(Rule::matches);
    matches.any(|m| matches!(m, Match::DestinationPort(_, first, last) if first != last))
}

/// Every flow that the whitelist allows.
///
/// Of a range, a port stands for all those after it up to the next of `marks`, the ports at which something on the node begins or ends.
pub(super) fn edges(desired: &Desired, marks: &BTreeSet<u16>) -> Vec<Edge> {
    let mut out = Vec::new();
    let forwards = forwards(desired);
    for direct in &desired.rules {
        let (Some(family), Some(rule)) = (direct.family, direct.rule()) else {
            continue;
        };
        if let Some((edge, ports)) = edge(desired, family, rule) {
            let Some(ports) = ports else {
                out.push(edge);
                continue;
            };
            let inside = marks.iter().filter_map(|mark| Port::new(*mark));
            let inside = inside.filter(|mark| ports.contains(*mark) && *mark != ports.first());
            for port in std::iter::once(ports.first()).chain(inside) {
                out.extend(at_port(&forwards, &edge, ports, port));
            }
        }
    }
    out
}

/// The flow that an accepting rule is about; `None` if it is about no container of the node.
fn edge(desired: &Desired, family: Family, rule: &Rule) -> Option<(Edge, Option<PortRange>)> {
    if rule.target != Target::Accept {
        return None;
    }
    let everyone = match family {
        Family::V4 => "0.0.0.0/0",
        Family::V6 => "::/0",
    };
    let (mut source, mut destination, mut protocol, mut ports) = (None, None, None, None);
    for condition in rule.matches() {
        match condition {
            Match::Source(Sense::Is, net) => source = Some(*net),
            Match::Destination(Sense::Is, net) => destination = Some(*net),
            Match::Protocol(Sense::Is, name) => protocol = Some(name.clone()),
            Match::DestinationPort(Sense::Is, first, last) => {
                ports = Port::new(*first)
                    .zip(Port::new(*last))
                    .and_then(|(first, last)| PortRange::new(first, last));
            }
            _ => {}
        }
    }
    let container = |net: Option<Cidr>| {
        let of_attachments = desired
            .attachments
            .iter()
            .flat_map(|a| std::iter::once(a.address).chain(a.address6));
        of_attachments
            .into_iter()
            .find(|address| net == Some(Cidr::host(*address)))
    };
    let everyone = everyone.parse().ok()?;
    let (direction, address, peer) = match (container(destination), container(source)) {
        (Some(address), _) => (Direction::In, address, source),
        (None, Some(address)) => (Direction::Out, address, destination),
        (None, None) => return None,
    };
    let entry = rule.comment.as_deref().and_then(Tag::parse);
    let edge = Edge {
        direction,
        family,
        peer: peer.unwrap_or(everyone),
        container: address,
        protocol,
        port: None,
        node_port: None,
        entry: entry.map_or_else(String::new, |tag| format!("{}/{}", tag.role, tag.what)),
    };
    Some((edge, ports))
}

/// The destination of a forward, and its peer: family, address, ports, protocol, peer.
type Place = (Family, IpAddr, PortRange, &'static str, Option<Cidr>);

/// The ports of the node by where they are forwarded to.
fn forwards(desired: &Desired) -> BTreeMap<Place, Vec<PortRange>> {
    let mut out: BTreeMap<Place, Vec<PortRange>> = BTreeMap::new();
    for rule in &desired.rich {
        if let RichRule::Forward {
            family,
            source,
            service,
            to_ports,
            to,
        } = rule
        {
            // The roles ask for networks; what becomes of them on the node is no matter here.
            let source = source.as_ref().and_then(RichSource::net);
            let place = (*family, *to, *to_ports, service.protocol.name(), source);
            out.entry(place).or_default().push(service.ports);
        }
    }
    out
}

/// The flow at one of its ports, by each port of the node that is forwarded to it.
fn at_port(
    forwards: &BTreeMap<Place, Vec<PortRange>>,
    edge: &Edge,
    ports: PortRange,
    port: Port,
) -> Vec<Edge> {
    let edge = Edge {
        port: Some(port.get()),
        ..edge.clone()
    };
    if edge.direction == Direction::Out {
        return vec![edge];
    }
    let protocol = match edge.protocol.as_deref() {
        Some("udp") => "udp",
        _ => "tcp",
    };
    let source = (!edge.peer.is_everything()).then_some(edge.peer);
    let place = (edge.family, edge.container, ports, protocol, source);
    let of_node = forwards.get(&place).into_iter().flatten();
    of_node
        .map(|of_node| Edge {
            // A range keeps its ports.
            node_port: Some(of_node.single().unwrap_or(port)),
            ..edge.clone()
        })
        .collect()
}

/// The peers of some flows and their entries, as a phrase: at most three, and how many more.
pub(super) fn peers(edges: &[&Edge]) -> String {
    let mut named: Vec<String> = edges
        .iter()
        .map(|edge| {
            let who = if edge.peer.is_everything() {
                "everyone".to_string()
            } else {
                edge.peer.short()
            };
            format!("{who} of `{}`", edge.entry)
        })
        .collect();
    named.sort();
    named.dedup();
    let more = named.len().saturating_sub(3);
    named.truncate(3);
    let named = named.join(", ");
    match more {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::node_builder::cybex_attachment;
    use crate::model::rule::DirectRule;

    #[test]
    fn each_peer_and_entry_is_one_flow() {
        let rule = |priority: i32, text: &str| {
            DirectRule::ours(Family::V4, priority, Rule::parse_text(text).unwrap())
        };
        let desired = Desired {
            attachments: vec![cybex_attachment("wit")],
            rules: vec![
                rule(0, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
                rule(
                    100,
                    "-s 192.0.2.7 -d 172.20.0.2 -p tcp --dport 5000 -m conntrack --ctstate DNAT -m comment --comment fwdeploy:cybex/p2p -j ACCEPT",
                ),
                rule(
                    100,
                    "-d 172.20.0.2 -s 192.0.2.8 -m comment --comment fwdeploy:cybex/trusted -j ACCEPT",
                ),
                rule(
                    200,
                    "-s 172.20.0.2 -p udp --dport 53 -m comment --comment fwdeploy:cybex/dns -j ACCEPT",
                ),
                rule(1000, "-s 172.20.0.0/16 ! -d 172.20.0.0/16 -j REJECT"),
            ],
            rich: vec![RichRule::parse(
                "rule family=\"ipv4\" source address=\"192.0.2.7\" forward-port port=\"15000\" protocol=\"tcp\" to-port=\"5000\" to-addr=\"172.20.0.2\"",
            )],
            ..Desired::default()
        };
        let told: Vec<String> = edges(&desired, &BTreeSet::new())
            .iter()
            .map(|e| {
                format!(
                    "{:?} {} {:?} {:?} {:?} {}",
                    e.direction,
                    e.peer,
                    e.protocol.as_deref(),
                    e.port,
                    e.node_port.map(Port::get),
                    e.entry
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "In 192.0.2.7/32 Some(\"tcp\") Some(5000) Some(15000) cybex/p2p",
                "In 192.0.2.8/32 None None None cybex/trusted",
                "Out 0.0.0.0/0 Some(\"udp\") Some(53) None cybex/dns",
            ]
        );
    }

    #[test]
    fn a_range_is_a_flow_for_each_port_at_which_something_begins() {
        let rule = |priority: i32, text: &str| {
            DirectRule::ours(Family::V4, priority, Rule::parse_text(text).unwrap())
        };
        let desired = Desired {
            attachments: vec![cybex_attachment("wit")],
            rules: vec![
                rule(
                    100,
                    "-s 192.0.2.7 -d 172.20.0.2 -p tcp --dport 8000:8020 -m conntrack --ctstate DNAT -j ACCEPT",
                ),
                rule(100, "-s 192.0.2.7 -d 172.20.0.2 -p icmp -j ACCEPT"),
                rule(
                    200,
                    "-s 172.20.0.2 -d 192.0.2.7 -p udp --dport 8000:8020 -j ACCEPT",
                ),
            ],
            rich: vec![RichRule::parse(
                "rule family=\"ipv4\" source address=\"192.0.2.7\" forward-port port=\"8000-8020\" protocol=\"tcp\" to-addr=\"172.20.0.2\"",
            )],
            ..Desired::default()
        };
        assert!(has_ranges(&desired));
        let marks = [22, 8000, 8010, 8011, 8020, 8021].into();
        let told: Vec<String> = edges(&desired, &marks)
            .iter()
            .map(|e| {
                let protocol = e.protocol.as_deref().unwrap_or_default();
                let of_node = e.node_port.map(Port::get);
                format!("{:?} {protocol} {:?} {of_node:?}", e.direction, e.port)
            })
            .collect();
        assert_eq!(
            told,
            [
                "In tcp Some(8000) Some(8000)",
                "In tcp Some(8010) Some(8010)",
                "In tcp Some(8011) Some(8011)",
                "In tcp Some(8020) Some(8020)",
                "In icmp None None",
                "Out udp Some(8000) None",
                "Out udp Some(8010) None",
                "Out udp Some(8011) None",
                "Out udp Some(8020) None",
            ]
        );
    }
}
