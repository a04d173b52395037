//! Flows → the same flows without any that are in two of them: the kernel takes no overlapping elements of a set.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::Cidr;
use crate::model::Port;
use crate::model::PortRange;
use crate::model::Protocol;
use crate::model::Service;
use crate::model::Traffic;
use crate::model::guard::GuardedFlow;

/// What flows have in common whose peers and ports are compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Everything,
    Icmp,
    Ports(Protocol),
}

fn kind(traffic: Option<Traffic>) -> Kind {
    match traffic {
        None => Kind::Everything,
        Some(Traffic::Icmp) => Kind::Icmp,
        Some(Traffic::Service(service)) => Kind::Ports(service.protocol),
    }
}

/// The flows, each once. A peer keeps the ports that no wider network around it has.
pub(super) fn flows(flows: Vec<GuardedFlow>) -> BTreeSet<GuardedFlow> {
    let ports = |flow: &GuardedFlow| {
        let service = flow.traffic.and_then(Traffic::service);
        service.map(|service| service.ports)
    };
    let mut flows: Vec<_> = flows
        .iter()
        .map(|flow| ((flow.container, kind(flow.traffic)), flow.peer, ports(flow)))
        .collect();
    flows.sort_unstable();
    flows.dedup();
    let mut out = Vec::with_capacity(flows.len());
    for of_kind in flows.chunk_by(|one, other| one.0 == other.0) {
        let (container, kind) = of_kind[0].0;
        // The networks around the one that is looked at, the widest first, each with the ports of all of them.
        let mut around: Vec<(Cidr, Vec<PortRange>)> = Vec::new();
        // In order, a network comes right before those that are in it.
        let mut peers = of_kind.chunk_by(|one, other| one.1 == other.1).peekable();
        while let Some(of_peer) = peers.next() {
            let peer = of_peer[0].1;
            let has_others = peers.peek().is_some_and(|next| peer.covers(next[0].1));
            while around.last().is_some_and(|(net, _)| !net.covers(peer)) {
                around.pop();
            }
            let flow = |traffic| GuardedFlow {
                container,
                traffic,
                peer,
            };
            let Kind::Ports(protocol) = kind else {
                if around.is_empty() {
                    let traffic = (kind == Kind::Icmp).then_some(Traffic::Icmp);
                    out.push(flow(traffic));
                    around.push((peer, Vec::new()));
                }
                continue;
            };
            // Most peers are one address at one port, and nothing is around them.
            if let ([(_, _, Some(ports))], true, false) = (of_peer, around.is_empty(), has_others) {
                let ports = *ports;
                out.push(flow(Some(Traffic::Service(Service { ports, protocol }))));
                continue;
            }
            let own = of_peer.iter().filter_map(|flow| flow.2).collect();
            let taken = around.last().map_or(&[][..], |(_, taken)| taken);
            let left = without(merged(own), taken);
            out.extend(left.iter().map(|ports| {
                let ports = *ports;
                flow(Some(Traffic::Service(Service { ports, protocol })))
            }));
            let all = merged([taken, &left].concat());
            around.push((peer, all));
        }
    }
    out.into_iter().collect()
}

/// What a container and the node may open to each other, each flow once.
pub(super) fn with_node(
    flows: BTreeSet<(IpAddr, Option<Traffic>)>,
) -> BTreeSet<(IpAddr, Option<Traffic>)> {
    let mut ports: BTreeMap<(IpAddr, Protocol), Vec<PortRange>> = BTreeMap::new();
    let mut out = BTreeSet::new();
    for (container, traffic) in flows {
        match traffic.and_then(Traffic::service) {
            Some(service) => {
                let key = (container, service.protocol);
                ports.entry(key).or_default().push(service.ports);
            }
            None => drop(out.insert((container, traffic))),
        }
    }
    for ((container, protocol), ranges) in ports {
        let merged = merged(ranges).into_iter();
        out.extend(merged.map(|ports| {
            let service = Service { ports, protocol };
            (container, Some(Traffic::Service(service)))
        }));
    }
    out
}

/// The ranges in order, those that overlap made one. Neighbours such as 22 and 23 stay apart: each has its own counter.
fn merged(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_unstable();
    let mut out: Vec<PortRange> = Vec::new();
    for range in ranges {
        match out.last_mut() {
            Some(last) if last.overlaps(range) => {
                let end = last.last().max(range.last());
                if let Some(both) = PortRange::new(last.first(), end) {
                    *last = both;
                }
            }
            _ => out.push(range),
        }
    }
    out
}

/// The parts of ranges that are in none of `taken`, both in order and without overlaps.
fn without(ranges: Vec<PortRange>, taken: &[PortRange]) -> Vec<PortRange> {
    let mut out = Vec::new();
    for range in ranges {
        let mut first = Some(range.first());
        for other in taken.iter().filter(|other| other.overlaps(range)) {
            let Some(from) = first else { break };
            let before = Port::new(other.first().get() - 1);
            out.extend(before.and_then(|before| PortRange::new(from, before)));
            let after = other.last().get().checked_add(1);
            first = after.and_then(Port::new);
        }
        out.extend(first.and_then(|from| PortRange::new(from, range.last())));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(peer: &str, traffic: &str) -> GuardedFlow {
        GuardedFlow {
            container: "172.20.0.2".parse().unwrap(),
            traffic: (traffic != "all").then(|| traffic.parse().unwrap()),
            peer: peer.parse().unwrap(),
        }
    }

    #[test]
    fn a_peer_keeps_the_ports_that_no_network_around_it_has() {
        let all = [
            ("10.0.0.0/8", "8000-8020/tcp"),
            ("10.0.0.0/8", "1/tcp"),
            ("10.1.0.0/16", "8010-8030/tcp"),
            ("10.1.1.1", "7999-8040/tcp"),
            ("10.1.1.1", "8010/udp"),
            ("10.1.1.1", "icmp"),
            ("10.1.1.1", "all"),
            ("10.2.0.1", "1-65535/tcp"),
            ("10.2.0.2", "8001/tcp"),
            ("11.0.0.1", "22/tcp"),
            ("11.0.0.1", "23/tcp"),
            ("11.0.0.1", "22-22/tcp"),
            ("10.0.0.0/9", "icmp"),
        ];
        let all = all.map(|(peer, traffic)| flow(peer, traffic));
        let left: Vec<String> = flows(all.into())
            .iter()
            .map(|flow| {
                let traffic = flow
                    .traffic
                    .map_or("all".to_string(), |one| one.to_string());
                format!("{} {traffic}", flow.peer.short())
            })
            .collect();
        let mut wanted = vec![
            "10.0.0.0/8 8000-8020/tcp",
            "10.0.0.0/8 1/tcp",
            "10.1.0.0/16 8021-8030/tcp",
            "10.1.1.1 7999/tcp",
            "10.1.1.1 8031-8040/tcp",
            "10.1.1.1 8010/udp",
            "10.0.0.0/9 icmp",
            "10.1.1.1 all",
            "10.2.0.1 2-7999/tcp",
            "10.2.0.1 8021-65535/tcp",
            "11.0.0.1 22/tcp",
            "11.0.0.1 23/tcp",
        ];
        wanted.sort_unstable();
        let mut left: Vec<&str> = left.iter().map(String::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, wanted);
    }
}
