//! Laws of the policy room, for random policies, packets and values.
//!
//! *Meaning*: for every policy and every packet, the verdict of the compiled rules is the one that the policy requires.
//! The same holds for the guard, except that it also ends the flows that are not allowed any more, and drops what comes from outside under an
//! address of a managed network.
//!
//! *Audit*: what a network in audit would refuse passes, and is recorded once; and it opens no network that is enforced. `guard.rs` takes away
//! each rule of the table that this needs.
//!
//! *Names*: a peer by its name is the peer at the addresses of the name.
//!
//! *Spelling*: `parse(render(x)) == x`.
//!
//! Each was seen to fail with the code broken on purpose:
//!
//! * Meaning, with `ESTABLISHED` set to 1100: an answer from a listed peer is refused.
//! * Meaning, with the `DNAT` condition left out of `add_inbound`: a listed peer reaches the container directly.
//! * Meaning, with `port` for `to_port` in `container_service`: a forwarded packet is let in at the wrong port.
//! * Meaning, without `add_between`: a role that any host may reach is reached from the other role's network.
//! * Meaning, without `add_forged`: a container reaches an unlisted host with an address that is not its network's.
//! * Meaning, without `! -s` in `add_otherwise`: traffic inside the subnet is refused.
//! * Meaning, with the entry's port before the peer's own in `outbound_service`: a peer's port is not reached.
//! * Spelling, with `!` left out of rules, with brackets left out around a peer's IPv6 address, and with the prefix left
//!   out of a rich rule's source.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::sync::Arc;

use proptest::prelude::*;

use fwdeploy::inventory::location::Location;
use fwdeploy::inventory::location::Source;
use fwdeploy::inventory::location::Span;
use fwdeploy::model::Cidr;
use fwdeploy::model::CtDirection;
use fwdeploy::model::CtState;
use fwdeploy::model::Desired;
use fwdeploy::model::DirectRule;
use fwdeploy::model::Family;
use fwdeploy::model::Match;
use fwdeploy::model::Peer;
use fwdeploy::model::Port;
use fwdeploy::model::PortRange;
use fwdeploy::model::Protocol;
use fwdeploy::model::RichRule;
use fwdeploy::model::RichSource;
use fwdeploy::model::Rule;
use fwdeploy::model::Sense;
use fwdeploy::model::Service;
use fwdeploy::model::Target;
use fwdeploy::model::Traffic;
use fwdeploy::model::guard::Refusal;
use fwdeploy::model::guard::table::Part;
use fwdeploy::model::host_name::HostName;
use fwdeploy::model::host_name::Names;
use fwdeploy::model::mark::FirewallMark;
use fwdeploy::model::peer::About;
use fwdeploy::policy::Evaluation;
use fwdeploy::policy::NodeContext;
use fwdeploy::policy::Packet;
use fwdeploy::policy::PacketVerdict;
use fwdeploy::policy::compile;
use fwdeploy::policy::evaluate;
use fwdeploy::policy::evaluate::Flow;
use fwdeploy::policy::evaluate::Rewritten;
use fwdeploy::policy::guard;
use fwdeploy::policy::guard::GuardPacket;
use fwdeploy::policy::mangle;
use fwdeploy::role::ContainerPolicy;
use fwdeploy::role::Covers;
use fwdeploy::role::Enforce;
use fwdeploy::role::Inbound;
use fwdeploy::role::ListedPeer;
use fwdeploy::role::Located;
use fwdeploy::role::Log;
use fwdeploy::role::NetworkPolicy;
use fwdeploy::role::NodeAccess;
use fwdeploy::role::Otherwise;
use fwdeploy::role::Outbound;
use fwdeploy::role::PeerHost;
use fwdeploy::role::Policy;

fn place() -> Location {
    let source = Arc::new(Source::file("role.yml", ""));
    Location::new(source, Span { start: 0, end: 0 })
}

fn at<T>(value: T) -> Located<T> {
    Located::new(value, place())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

// ---- random policies, from few values, so that packets often match them ------------------------------------------

const PEERS: [&str; 12] = [
    "203.0.113.7",
    "203.0.113.8",
    "203.0.113.0/24",
    "198.51.100.0/25",
    "0.0.0.0/0",
    "172.16.0.0/12",
    "10.0.0.0/8",
    "203.0.113.7:9876",
    "198.51.100.3:443",
    "2001:db8::7",
    "2001:db8::/32",
    "::/0",
];

const PORTS: [u16; 5] = [443, 5000, 8090, 9876, 15000];

fn peers() -> impl Strategy<Value = Vec<Located<Peer>>> {
    let one = prop::sample::select(PEERS.to_vec()).prop_map(|text| at(text.parse().unwrap()));
    prop::collection::vec(one, 0..4)
}

/// One port, or a range from it to another one.
fn ports() -> impl Strategy<Value = PortRange> {
    let one = || prop::sample::select(PORTS.to_vec());
    (one(), prop::option::weighted(0.3, one())).prop_map(|(one, other)| {
        let other = other.unwrap_or(one);
        PortRange::new(port(one.min(other)), port(one.max(other))).unwrap()
    })
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let protocol = prop_oneof![3 => Just(Protocol::Tcp), 1 => Just(Protocol::Udp)];
    let service = (ports(), protocol)
        .prop_map(|(ports, protocol)| Traffic::Service(Service { ports, protocol }));
    prop_oneof![6 => service, 1 => Just(Traffic::Icmp)]
}

/// The key `port` of an entry.
fn listed() -> impl Strategy<Value = Option<Vec<Located<Traffic>>>> {
    let list = prop::collection::vec(traffic().prop_map(at), 1..4);
    prop::option::weighted(0.7, list)
}

fn what() -> impl Strategy<Value = Located<String>> {
    prop::sample::select(vec!["p2p", "rpc", "trusted"]).prop_map(|what| at(what.to_string()))
}

fn inbound() -> impl Strategy<Value = Inbound> {
    let to_port = prop::option::weighted(0.3, prop::sample::select(PORTS.to_vec()));
    (
        what(),
        peers(),
        prop::bool::weighted(0.3),
        listed(),
        to_port,
    )
        .prop_map(|(what, from, from_node, ports, to_port)| {
            // A list or a range keeps its ports.
            let is_one = matches!(ports.as_deref(), Some([one])
                if one.value.service().is_some_and(|service| service.ports.single().is_some()));
            Inbound {
                what,
                from,
                listed: Vec::new(),
                named: Vec::new(),
                from_node: from_node.then(place),
                to_port: to_port.filter(|_| is_one).map(|number| at(port(number))),
                ports,
            }
        })
}

fn outbound() -> impl Strategy<Value = Outbound> {
    (what(), peers(), listed()).prop_map(|(what, to, ports)| Outbound {
        what,
        to,
        listed: Vec::new(),
        named: Vec::new(),
        to_node: None,
        ports,
    })
}

/// A role on the network of number `net`, its container at number `host`.
fn policy(name: &'static str, net: u8, host: u8, v6: bool) -> impl Strategy<Value = Policy> {
    (
        prop::collection::vec(inbound(), 0..4),
        prop::collection::vec(outbound(), 0..4),
    )
        .prop_map(move |(inbound, outbound)| {
            let keep = |peers: &[Located<Peer>]| -> Vec<Located<Peer>> {
                let fits = |peer: &&Located<Peer>| v6 || peer.value.net.family() == Family::V4;
                peers.iter().filter(fits).cloned().collect()
            };
            Policy {
                role: at(name.to_string()),
                summary: String::new(),
                network: NetworkPolicy {
                    name: at(format!("net{net}")),
                    subnet: at(format!("172.{net}.0.0/16").parse().unwrap()),
                    gateway: None,
                    bridge: None,
                    subnet6: v6.then(|| at(format!("fd00:{net}::/64").parse().unwrap())),
                    node: at(NodeAccess::Closed),
                    log: at(Log::Nothing),
                },
                container: ContainerPolicy {
                    name: at(name.to_string()),
                    address: at(ip(&format!("172.{net}.0.{host}"))),
                    address6: v6.then(|| at(ip(&format!("fd00:{net}::{host}")))),
                },
                inbound: inbound
                    .into_iter()
                    .map(|entry| Inbound {
                        from: keep(&entry.from),
                        ..entry
                    })
                    .collect(),
                outbound: outbound
                    .into_iter()
                    .map(|entry| Outbound {
                        to: keep(&entry.to),
                        ..entry
                    })
                    .collect(),
                otherwise: at(Otherwise::Reject),
                covers: at(Covers::Network),
                enforce: at(Enforce::Yes),
                until: None,
                known: Vec::new(),
            }
        })
}

/// One or two roles, on one network or on two.
fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let manner = || {
        (
            prop::sample::select(Otherwise::ALL.map(|(value, _)| value).to_vec()),
            prop::sample::select(Covers::ALL.map(|(value, _)| value).to_vec()),
            prop::sample::select(Log::ALL.map(|(value, _)| value).to_vec()),
        )
    };
    (any::<bool>(), 1..3_usize, any::<bool>(), manner(), manner())
        .prop_flat_map(|(v6, count, shared, one, two)| {
            let second = if shared { 20 } else { 21 };
            let both = (policy("cybex", 20, 2, v6), policy("eos", second, 3, v6));
            (both, Just((count, [one, if shared { one } else { two }])))
        })
        .prop_map(|((one, two), (count, manners))| {
            let mut all: Vec<Policy> = [one, two].into_iter().take(count).collect();
            for (policy, (otherwise, covers, log)) in all.iter_mut().zip(manners) {
                policy.otherwise = at(otherwise);
                policy.covers = at(covers);
                policy.network.log = at(log);
            }
            all
        })
}

const ADDRESSES: [&str; 12] = [
    "203.0.113.7",
    "203.0.113.8",
    "203.0.113.200",
    "198.51.100.3",
    "198.51.100.200",
    "192.0.2.1",
    "172.20.0.2",
    "172.20.0.3",
    "172.20.0.9",
    "172.21.0.3",
    "172.21.0.9",
    "172.22.0.2",
];

const ADDRESSES6: [&str; 7] = [
    "2001:db8::7",
    "2001:db9::7",
    "fd00:20::2",
    "fd00:20::3",
    "fd00:20::9",
    "fd00:21::3",
    "fd00:21::9",
];

fn packet() -> impl Strategy<Value = Packet> {
    let of = |all: &[&'static str]| prop::sample::select(all.to_vec()).prop_map(ip);
    let ends = prop_oneof![
        2 => (of(&ADDRESSES), of(&ADDRESSES)),
        1 => (of(&ADDRESSES6), of(&ADDRESSES6)),
    ];
    let flow = prop_oneof![
        5 => Just(Flow::New),
        1 => Just(Flow::Established),
        1 => Just(Flow::Related),
        1 => Just(Flow::Invalid),
    ];
    let rewritten = prop::sample::select(vec![Rewritten::Yes, Rewritten::No]);
    let protocol = prop::sample::select(vec!["tcp", "tcp", "udp", "icmp"]);
    (
        ends,
        flow,
        rewritten,
        protocol,
        prop_oneof![
            3 => prop::sample::select(PORTS.to_vec()),
            1 => prop::sample::select(vec![442, 444, 6000, 9877, 14999, 15001]),
        ],
        prop::bool::weighted(0.8),
    )
        .prop_map(
            |((source, destination), flow, destination_rewritten, protocol, number, honest)| {
                let has_ports = protocol != "icmp";
                let protocol = match has_ports {
                    true => protocol,
                    false => Family::of(&source).icmp(),
                };
                Packet {
                    source,
                    destination,
                    protocol: protocol.to_string(),
                    source_port: has_ports.then_some(40000),
                    destination_port: has_ports.then_some(number),
                    flow,
                    destination_rewritten,
                    interface_in: Some(if honest {
                        device(source)
                    } else {
                        "br-net20".into()
                    }),
                    interface_out: Some(device(destination)),
                }
            },
        )
}

/// The device behind which an address is.
fn device(address: IpAddr) -> String {
    let nets = [
        ("172.20.0.0/16", "br-net20"),
        ("fd00:20::/64", "br-net20"),
        ("172.21.0.0/16", "br-net21"),
        ("fd00:21::/64", "br-net21"),
    ];
    let on = |net: &str| net.parse::<Cidr>().unwrap().contains(&address);
    let found = nets.iter().find(|(net, _)| on(net));
    found.map_or("eth0", |(_, bridge)| bridge).to_string()
}

/// Whether the packet leaves the policy's network under an address that is not of it.
fn is_forged(policy: &Policy, packet: &Packet) -> bool {
    let bridge = Some(format!("br-{}", policy.network.name.value));
    subnet(policy, packet.family()).is_some()
        && packet.interface_in == bridge
        && packet.interface_out != bridge
        && !in_subnet(policy, packet.source)
}

// ---- what the policy requires, without any rule ------------------------------------------------------------------

#[derive(Debug, PartialEq, Eq)]
enum Says {
    Passes,
    Refused(Otherwise),
    /// Between two managed networks; either one's word for a refusal will do.
    RefusedSomehow,
    /// Inside of a network: not ours to refuse.
    NotRefused,
    /// Touches no managed network.
    Nothing,
}

fn subnet(policy: &Policy, family: Family) -> Option<Cidr> {
    match family {
        Family::V4 => Some(policy.network.subnet.value),
        Family::V6 => policy.network.subnet6.as_ref().map(|net| net.value),
    }
}

fn container(policy: &Policy, family: Family) -> Option<IpAddr> {
    match family {
        Family::V4 => Some(policy.container.address.value),
        Family::V6 => policy.container.address6.as_ref().map(|a| a.value),
    }
}

/// Whether `address` is one that the role closes.
fn closes(policy: &Policy, address: IpAddr) -> bool {
    let family = Family::of(&address);
    match policy.covers.value {
        Covers::Network => subnet(policy, family).is_some_and(|net| net.contains(&address)),
        Covers::Container => container(policy, family) == Some(address),
    }
}

fn in_subnet(policy: &Policy, address: IpAddr) -> bool {
    subnet(policy, Family::of(&address)).is_some_and(|net| net.contains(&address))
}

fn is_icmp(packet: &Packet) -> bool {
    packet.protocol == Family::of(&packet.source).icmp()
}

/// Whether a packet is one of these, at the port `to` if that is given.
fn carries(packet: &Packet, traffic: Traffic, to: Option<Port>) -> bool {
    let Traffic::Service(service) = traffic else {
        return is_icmp(packet);
    };
    let number = packet.destination_port.and_then(Port::new);
    packet.protocol == service.protocol.name()
        && number.is_some_and(|number| match to {
            Some(to) => number == to,
            None => service.ports.contains(number),
        })
}

/// Whether an inbound entry is about a packet as the container gets it.
fn brings(entry: &Inbound, packet: &Packet) -> bool {
    let to = entry.to_port.as_ref().map(|to| to.value);
    entry.ports.as_ref().is_none_or(|ports| {
        let mut ports = ports.iter();
        ports.any(|port| carries(packet, port.value, to))
    })
}

fn may_come_in(policy: &Policy, packet: &Packet) -> bool {
    let to_container = container(policy, packet.family()) == Some(packet.destination);
    to_container
        && policy.inbound.iter().any(|entry| {
            let listed = entry
                .from
                .iter()
                .any(|p| p.value.net.contains(&packet.source));
            // firewalld forwards ports; everything else comes to the container's own address.
            let comes_in = packet.destination_rewritten == Rewritten::Yes
                || entry.ports.is_none()
                || is_icmp(packet);
            listed && brings(entry, packet) && comes_in
        })
}

fn may_be_reached(policy: &Policy, packet: &Packet) -> bool {
    let from_container = container(policy, packet.family()) == Some(packet.source);
    from_container
        && policy.outbound.iter().any(|entry| {
            entry.to.iter().any(|peer| {
                let own = peer.value.port;
                let at_port = match &entry.ports {
                    Some(ports) => ports.iter().any(|port| carries(packet, port.value, own)),
                    None => own.is_none_or(|own| {
                        let tcp = Traffic::Service(Service::at(own, Protocol::Tcp));
                        carries(packet, tcp, None)
                    }),
                };
                peer.value.net.contains(&packet.destination) && at_port
            })
        })
}

fn says(policies: &[Policy], packet: &Packet) -> Says {
    if matches!(packet.flow, Flow::Established | Flow::Related) {
        // The chain exists in a family only if a network has it.
        let known = policies
            .iter()
            .any(|p| subnet(p, packet.family()).is_some());
        return if known { Says::Passes } else { Says::Nothing };
    }
    if policies.iter().any(|p| is_forged(p, packet)) {
        return Says::Refused(Otherwise::Drop);
    }
    let leaves: Vec<&Policy> = policies
        .iter()
        .filter(|p| closes(p, packet.source) && !in_subnet(p, packet.destination))
        .collect();
    let enters: Vec<&Policy> = policies
        .iter()
        .filter(|p| closes(p, packet.destination) && !in_subnet(p, packet.source))
        .collect();
    let verdict = |crossed: &[&Policy], may: fn(&Policy, &Packet) -> bool| {
        if crossed.iter().any(|p| may(p, packet)) {
            Says::Passes
        } else {
            Says::Refused(crossed[0].otherwise.value)
        }
    };
    match (leaves.is_empty(), enters.is_empty()) {
        (false, false) => Says::RefusedSomehow,
        (false, true) => verdict(&leaves, may_be_reached),
        (true, false) => verdict(&enters, may_come_in),
        (true, true) => {
            let inside = policies
                .iter()
                .any(|p| in_subnet(p, packet.source) && in_subnet(p, packet.destination));
            if inside {
                Says::NotRefused
            } else {
                Says::Nothing
            }
        }
    }
}

// ---- the guard ---------------------------------------------------------------------------------------------------

/// A packet of the flow that `packet` opens: itself, or one of its answers.
fn seen(packet: &Packet, is_original: bool) -> GuardPacket {
    let packet = packet.clone();
    let packet = if is_original {
        packet
    } else {
        Packet {
            source: packet.destination,
            destination: packet.source,
            source_port: packet.destination_port,
            destination_port: packet.source_port,
            interface_in: packet.interface_out,
            interface_out: packet.interface_in,
            ..packet
        }
    };
    GuardPacket {
        packet,
        is_original,
    }
}

/// What the policy says about `seen`, a packet of the flow that `opening` opens.
fn guard_says(policies: &[Policy], opening: &Packet, seen: &Packet) -> Says {
    let bridge = |p: &Policy| Some(format!("br-{}", p.network.name.value));
    let is_inside = |p: &Policy| seen.interface_in == bridge(p) && seen.interface_out == bridge(p);
    if policies.iter().any(is_inside) {
        return Says::NotRefused;
    }
    let from_outside = |p: &Policy| in_subnet(p, seen.source) && seen.interface_in != bridge(p);
    if policies
        .iter()
        .any(|p| from_outside(p) || is_forged(p, seen))
    {
        return Says::Refused(Otherwise::Drop);
    }
    let new = Packet {
        flow: Flow::New,
        ..opening.clone()
    };
    // A bridge is closed in both families, also where its network has one only.
    let crosses = |p: &Policy| seen.interface_in == bridge(p) || seen.interface_out == bridge(p);
    let closed = |p: &Policy| p.covers.value == Covers::Network && crosses(p);
    let verdict = match says(policies, &new) {
        Says::Nothing if policies.iter().any(closed) => Says::Refused(Otherwise::Reject),
        says => says,
    };
    match verdict {
        // An error about a flow passes, and a packet of no flow does not.
        Says::Refused(_) if seen.flow == Flow::Related && is_icmp(seen) => Says::Passes,
        Says::Passes if seen.flow == Flow::Invalid => Says::RefusedSomehow,
        other => other,
    }
}

/// What the policies say about `seen`, a packet that the node itself sends.
fn says_of_the_node(policies: &[Policy], seen: &GuardPacket) -> Says {
    let packet = &seen.packet;
    let is_closed = |p: &&Policy| {
        let is_named = p.inbound.iter().any(|entry| entry.from_node.is_some());
        is_named && container(p, packet.family()) == Some(packet.destination)
    };
    let Some(policy) = policies.iter().find(is_closed) else {
        return Says::Nothing;
    };
    let is_answer = !seen.is_original && packet.flow != Flow::Invalid;
    // An error about a flow, and the kernel's own answer to a packet of none.
    let is_error = matches!(packet.flow, Flow::Related | Flow::Invalid) && is_icmp(packet);
    let mut inbound = policy.inbound.iter();
    let is_listed = inbound.any(|entry| entry.from_node.is_some() && brings(entry, packet));
    match is_answer || is_error || is_listed {
        true => Says::Passes,
        false => Says::Refused(policy.otherwise.value),
    }
}

// ---- audit -------------------------------------------------------------------------------------------------------

/// The same policies with some of them in audit; roles on one network agree about it.
fn audited(mut policies: Vec<Policy>, mut which: [bool; 2]) -> Vec<Policy> {
    let names: BTreeSet<&String> = policies.iter().map(|p| &p.network.name.value).collect();
    if names.len() == 1 {
        which[1] = which[0];
    }
    for (policy, is_audit) in policies.iter_mut().zip(which) {
        policy.enforce = at(if is_audit {
            Enforce::Audit
        } else {
            Enforce::Yes
        });
    }
    policies
}

fn enforced(policies: &[Policy]) -> impl Iterator<Item = &Policy> {
    policies.iter().filter(|p| !p.is_audit())
}

/// Whether a packet that is not inside of a network has to do with one that is enforced: by its addresses, or by a bridge that is closed.
fn touches_enforced(policies: &[Policy], packet: &Packet) -> bool {
    enforced(policies).any(|p| {
        let bridge = Some(format!("br-{}", p.network.name.value));
        let crosses = packet.interface_in == bridge || packet.interface_out == bridge;
        let from_outside = in_subnet(p, packet.source) && packet.interface_in != bridge;
        closes(p, packet.source)
            || closes(p, packet.destination)
            || p.covers.value == Covers::Network && crosses
            || from_outside
            || is_forged(p, packet)
    })
}

fn is_refused(says: &Says) -> bool {
    matches!(says, Says::Refused(_) | Says::RefusedSomehow)
}

fn node() -> NodeContext {
    NodeContext {
        ipsets: fwdeploy::model::Ipsets::default(),
        node: "edge-1".to_string(),
        zone: None,
        ssh_port: port(22),
        today: "2027-01-31".parse().unwrap(),
    }
}

/// The same policies, with each peer that is one address behind a name of its own.
fn by_names(mut policies: Vec<Policy>) -> (Vec<Policy>, Names) {
    let mut names = Names::default();
    let mut take = |peers: &mut Vec<Located<Peer>>, listed: &mut Vec<Located<ListedPeer>>| {
        peers.retain(|peer| {
            let Peer { net, port } = peer.value;
            if net != Cidr::host(net.address()) {
                return true;
            }
            let address = net.address();
            let name = format!("n{}.org", address.to_string().replace(['.', ':'], "-"));
            let name: HostName = name.parse().unwrap();
            names
                .current
                .insert(name.clone(), BTreeSet::from([address]));
            let host = PeerHost::Name(name);
            let about = About::default();
            listed.push(at(ListedPeer { host, port, about }));
            false
        });
    };
    for policy in &mut policies {
        for entry in &mut policy.inbound {
            take(&mut entry.from, &mut entry.listed);
        }
        for entry in &mut policy.outbound {
            take(&mut entry.to, &mut entry.listed);
        }
    }
    (policies, names)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    /// To see it fail: leave the port of a name out of `settle.rs`.
    #[test]
    fn a_name_is_its_addresses(policies in policies()) {
        let plain = compile(&policies, &node());
        let (policies, names) = by_names(policies);
        let settle = |policy: Policy| policy.on(node().today, &names).0;
        let policies: Vec<Policy> = policies.into_iter().map(settle).collect();
        match (plain, compile(&policies, &node())) {
            (Ok(plain), Ok(named)) => {
                prop_assert_eq!(Desired { known: Vec::new(), ..named }, plain);
            }
            (plain, named) => prop_assert_eq!(plain.is_ok(), named.is_ok()),
        }
    }

    #[test]
    fn compiled_rules_mean_what_the_policy_says(
        policies in policies(),
        packets in prop::collection::vec(packet(), 40),
    ) {
        // Two entries of random ports may well want one port of the node; that is another test's matter.
        let Ok(desired) = compile(&policies, &node()) else {
            return Err(TestCaseError::reject("contradicts"));
        };
        for packet in packets {
            let rules: Vec<Rule> = desired
                .rules_of(packet.family())
                .map(|rule| rule.rule().unwrap().clone())
                .collect();
            let Evaluation::Decided(verdict, by) = evaluate(&rules, &packet) else {
                panic!("our own rules are understood");
            };
            let right = match says(&policies, &packet) {
                Says::Passes => verdict == PacketVerdict::Accept,
                Says::Refused(Otherwise::Reject) => verdict == PacketVerdict::Reject,
                Says::Refused(Otherwise::Drop) => verdict == PacketVerdict::Drop,
                Says::RefusedSomehow => matches!(verdict, PacketVerdict::Reject | PacketVerdict::Drop),
                Says::NotRefused => matches!(verdict, PacketVerdict::Accept | PacketVerdict::FellThrough),
                Says::Nothing => verdict == PacketVerdict::FellThrough,
            };
            prop_assert!(
                right,
                "{packet:?}\nsays {:?}\nis {verdict:?} by {:?}",
                says(&policies, &packet),
                by.map(|index| rules[index].to_string()),
            );
        }
    }

    #[test]
    fn firewalld_forwards_what_the_policy_says(
        policies in policies(),
        packets in prop::collection::vec(packet(), 40),
    ) {
        let Ok(desired) = compile(&policies, &node()) else {
            return Err(TestCaseError::reject("contradicts"));
        };
        // A packet to a port of the node: where the rich rules send it, and where the entries want it.
        for packet in packets {
            let (Some(number), family) = (packet.destination_port.and_then(Port::new), packet.family()) else {
                continue;
            };
            let sent: BTreeSet<(IpAddr, Port)> = desired.rich.iter().filter_map(|rule| match rule {
                RichRule::Forward { family: of, source, service, to_ports, to } => {
                    let is_about = *of == family
                        && source.as_ref().is_none_or(|source| source.net().is_some_and(|net| net.contains(&packet.source)))
                        && service.protocol.name() == packet.protocol
                        && service.ports.contains(number);
                    is_about.then(|| (*to, to_ports.single().unwrap_or(number)))
                }
                _ => None,
            }).collect();
            let packet = &packet;
            let wanted: BTreeSet<(IpAddr, Port)> = policies.iter().flat_map(|policy| {
                let to = container(policy, family);
                policy.inbound.iter().filter_map(move |entry| {
                    let is_listed = entry.from.iter().any(|peer| peer.value.net.contains(&packet.source));
                    let is_about = entry.ports.iter().flatten().any(|port| carries(packet, port.value, None));
                    let port = entry.to_port.as_ref().map_or(number, |to| to.value);
                    to.filter(|_| is_listed && is_about).map(|to| (to, port))
                }).collect::<Vec<_>>()
            }).collect();
            prop_assert_eq!(sent, wanted, "{:?}\n{:#?}", packet, desired.rich.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_two_elements_of_the_guards_sets_have_a_flow_in_common(policies in policies()) {
        let Ok(desired) = compile(&policies, &node()) else {
            return Err(TestCaseError::reject("contradicts"));
        };
        let table = guard::table(&desired.guard, guard::Capabilities { element_counters: true, mark: None });
        let ends = |part: &Part| match part {
            Part::Port(port) => Some((*port, *port)),
            Part::Ports(first, last) => Some((*first, *last)),
            _ => None,
        };
        let meet = |one: &Part, two: &Part| match (one, two) {
            (Part::Net(one), Part::Net(two)) => one.overlaps(*two),
            _ => match (ends(one), ends(two)) {
                (Some(one), Some(two)) => one.0 <= two.1 && two.0 <= one.1,
                _ => one == two,
            },
        };
        for (name, set) in &table.sets {
            let elements: Vec<_> = set.elements.iter().collect();
            for (number, one) in elements.iter().enumerate() {
                for two in &elements[number + 1..] {
                    let both = one.iter().zip(two.iter()).all(|(a, b)| meet(a, b));
                    prop_assert!(!both, "{}: {:?} and {:?}", name, one, two);
                }
            }
        }
    }

    #[test]
    fn the_guard_means_what_the_policy_says(
        policies in policies(),
        packets in prop::collection::vec((packet(), any::<bool>()), 40),
        is_marking in any::<bool>(),
    ) {
        let Ok(desired) = compile(&policies, &node()) else {
            return Err(TestCaseError::reject("contradicts"));
        };
        // A mark for Docker changes nothing about what passes.
        let mark = is_marking.then_some(FirewallMark { value: 0x400, mask: 0x400 });
        let table = guard::table(&desired.guard, guard::Capabilities { element_counters: true, mark });
        for (packet, is_original) in packets {
            if !is_original && policies.iter().any(|p| is_forged(p, &packet)) {
                // There is no such flow: no packet under a forged address has ever opened one.
                continue;
            }
            let seen = seen(&packet, is_original);
            let refusal = guard::evaluate(&table, "forward", &seen).refusal;
            let says = guard_says(&policies, &packet, &seen.packet);
            let is_known = policies.iter().any(|p| subnet(p, packet.family()).is_some());
            let right = match says {
                Says::Passes | Says::NotRefused | Says::Nothing => refusal.is_none(),
                // An answer goes the other way, through the other network's door.
                Says::Refused(_) if !is_original || !is_known => refusal.is_some(),
                Says::Refused(Otherwise::Reject) => refusal == Some(Refusal::Reject),
                Says::Refused(Otherwise::Drop) => refusal == Some(Refusal::Drop),
                Says::RefusedSomehow => refusal.is_some(),
            };
            prop_assert!(right, "{packet:?} original {is_original}\nsays {says:?}\nis {refusal:?}\n{table}");
        }
    }

    #[test]
    fn the_guard_means_in_mangle_what_the_policy_says(
        policies in policies(),
        packets in prop::collection::vec((packet(), any::<bool>()), 40),
    ) {
        let Ok(desired) = compile(&policies, &node()) else {
            return Err(TestCaseError::reject("contradicts"));
        };
        let rules = mangle::rules(&desired.guard);
        for (packet, is_original) in packets {
            if !is_original && policies.iter().any(|p| is_forged(p, &packet)) {
                continue;
            }
            let seen = seen(&packet, is_original);
            let says = guard_says(&policies, &packet, &seen.packet);
            // mangle has no REJECT.
            let is_refused = matches!(says, Says::Refused(_) | Says::RefusedSomehow);
            let by_mangle = mangle::evaluate(&rules, "forward", &seen);
            prop_assert_eq!(
                by_mangle, is_refused.then_some(Refusal::Drop),
                "{:?} original {}\nsays {:?}\n{:#?}",
                packet, is_original, says, rules.iter().map(ToString::to_string).collect::<Vec<_>>(),
            );
        }
    }

    #[test]
    fn the_guard_means_what_the_policy_says_of_the_nodes_own_packets(
        policies in policies(),
        which in any::<[bool; 2]>(),
        packets in prop::collection::vec((packet(), any::<bool>()), 40),
    ) {
        let policies = audited(policies, which);
        let Ok(desired) = compile(&policies, &node()) else {
            return Err(TestCaseError::reject("contradicts"));
        };
        let table = guard::table(&desired.guard, guard::Capabilities { element_counters: true, mark: None });
        for (packet, is_original) in packets {
            let seen = GuardPacket { packet: Packet { interface_in: None, ..packet }, is_original };
            let wanted = match says_of_the_node(&policies, &seen) {
                Says::Refused(Otherwise::Reject) => Some(Refusal::Reject),
                Says::Refused(Otherwise::Drop) => Some(Refusal::Drop),
                _ => None,
            };
            let to = |p: &Policy| container(p, seen.packet.family()) == Some(seen.packet.destination);
            let is_audit = policies.iter().any(|p| p.is_audit() && to(p));
            let judged = guard::evaluate(&table, "output", &seen);
            prop_assert_eq!(judged.refusal, wanted.filter(|_| !is_audit), "{:?}\n{}", seen, table);
            prop_assert_eq!(judged.records, usize::from(wanted.is_some()), "{:?}\n{}", seen, table);
        }
    }

    #[test]
    fn the_guard_closes_the_node_alike_in_nft_and_in_mangle(
        policies in policies(),
        packets in prop::collection::vec((packet(), any::<bool>()), 40),
        open in any::<bool>(),
        to_node in prop::option::of(prop::option::of(traffic())),
    ) {
        let Ok(mut desired) = compile(&policies, &node()) else {
            return Err(TestCaseError::reject("contradicts"));
        };
        desired.guard.networks[0].reaches_node = open;
        desired.guard.to_node.extend(to_node.map(|traffic| (ip("172.20.0.2"), traffic)));
        let table = guard::table(&desired.guard, guard::Capabilities { element_counters: true, mark: None });
        let rules = mangle::rules(&desired.guard);
        for (packet, is_original) in packets {
            let seen = GuardPacket { packet: Packet { interface_out: None, ..packet }, is_original };
            let by_nft = guard::evaluate(&table, "input", &seen);
            let by_mangle = mangle::evaluate(&rules, "input", &seen);
            prop_assert_eq!(by_nft.refusal.is_some(), by_mangle.is_some(), "{:?}", seen);
        }
    }

    #[test]
    fn compiled_rules_refuse_nothing_of_a_network_in_audit(
        policies in policies(),
        which in any::<[bool; 2]>(),
        packets in prop::collection::vec(packet(), 40),
    ) {
        let policies = audited(policies, which);
        let Ok(desired) = compile(&policies, &node()) else {
            return Err(TestCaseError::reject("contradicts"));
        };
        for packet in packets {
            let rules: Vec<Rule> = desired
                .rules_of(packet.family())
                .map(|rule| rule.rule().unwrap().clone())
                .collect();
            let Evaluation::Decided(verdict, _) = evaluate(&rules, &packet) else {
                panic!("our own rules are understood");
            };
            let refused = matches!(verdict, PacketVerdict::Reject | PacketVerdict::Drop);
            let says = says(&policies, &packet);
            let leaves_or_enters = enforced(&policies).any(|p| {
                closes(p, packet.source) && !in_subnet(p, packet.destination)
                    || closes(p, packet.destination) && !in_subnet(p, packet.source)
            });
            let is_forged = policies.iter().any(|p| is_forged(p, &packet));
            let right = match () {
                () if !is_refused(&says) => !refused && (says != Says::Passes || verdict == PacketVerdict::Accept),
                () if enforced(&policies).next().is_none() => !refused,
                // It is judged as if its address were its own: the guard does more.
                () if is_forged => refused || !enforced(&policies).any(|p| closes(p, packet.destination)),
                () => refused == leaves_or_enters,
            };
            prop_assert!(right, "{packet:?}\nsays {says:?}\nis {verdict:?}\n{rules:#?}");
        }
    }

    #[test]
    fn what_a_network_in_audit_would_refuse_passes_and_is_recorded(
        policies in policies(),
        which in any::<[bool; 2]>(),
        packets in prop::collection::vec((packet(), any::<bool>()), 40),
    ) {
        let policies = audited(policies, which);
        let Ok(desired) = compile(&policies, &node()) else {
            return Err(TestCaseError::reject("contradicts"));
        };
        let table = guard::table(&desired.guard, guard::Capabilities { element_counters: true, mark: None });
        let rules = mangle::rules(&desired.guard);
        for (packet, is_original) in packets {
            if !is_original && policies.iter().any(|p| is_forged(p, &packet)) {
                continue;
            }
            let seen = seen(&packet, is_original);
            let is_listed = !is_refused(&guard_says(&policies, &packet, &seen.packet));
            let shall_pass = is_listed || !touches_enforced(&policies, &seen.packet);
            let judged = guard::evaluate(&table, "forward", &seen);
            prop_assert_eq!(
                judged.refusal.is_none(), shall_pass,
                "{:?} original {}\n{:?}\n{}", packet, is_original, judged, table
            );
            if shall_pass {
                // The answers are those of a flow that is recorded.
                let is_first = is_original || packet.flow == Flow::Invalid;
                let records = usize::from(!is_listed && is_first);
                prop_assert_eq!(judged.records, records, "{:?}\n{}", packet, table);
            }
            let by_mangle = mangle::evaluate(&rules, "forward", &seen);
            prop_assert_eq!(
                by_mangle.is_none(), shall_pass,
                "{:?} original {}\n{:#?}", packet, is_original, rules.iter().map(ToString::to_string).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn what_a_network_in_audit_sends_to_the_node_passes_and_is_recorded(
        policies in policies(),
        which in any::<[bool; 2]>(),
        packets in prop::collection::vec((packet(), any::<bool>()), 40),
    ) {
        let tables = |policies: &[Policy]| {
            let guard = compile(policies, &node()).ok()?.guard;
            let table = guard::table(&guard, guard::Capabilities { element_counters: true, mark: None });
            Some((table, mangle::rules(&guard)))
        };
        let Some((strict, _)) = tables(&policies) else {
            return Err(TestCaseError::reject("contradicts"));
        };
        let policies = audited(policies, which);
        let (table, rules) = tables(&policies).unwrap();
        for (packet, is_original) in packets {
            let seen = GuardPacket { packet: Packet { interface_out: None, ..packet }, is_original };
            let from = seen.packet.interface_in.clone();
            let is_audit = policies.iter().any(|p| p.is_audit() && from == Some(format!("br-{}", p.network.name.value)));
            let strictly = guard::evaluate(&strict, "input", &seen);
            let judged = guard::evaluate(&table, "input", &seen);
            prop_assert_eq!(judged.records, strictly.records, "{:?}\n{}", seen, table);
            prop_assert_eq!(strictly.records, usize::from(strictly.refusal.is_some()));
            let refusal = strictly.refusal.filter(|_| !is_audit);
            prop_assert_eq!(judged.refusal, refusal, "{:?}\n{}", seen, table);
            let by_mangle = mangle::evaluate(&rules, "input", &seen);
            prop_assert_eq!(by_mangle.is_some(), refusal.is_some());
        }
    }

    #[test]
    fn compiled_rules_are_sorted_and_said_once(policies in policies()) {
        let Ok(desired) = compile(&policies, &node()) else {
            return Err(TestCaseError::reject("contradicts"));
        };
        let keys: Vec<_> = desired
            .rules
            .iter()
            .map(|r| (r.family, r.priority, r.rule().unwrap().meaning()))
            .collect();
        prop_assert!(keys.is_sorted());
        prop_assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        prop_assert!(desired.rich.is_sorted());
        let mut reversed = policies.clone();
        reversed.reverse();
        let other = compile(&reversed, &node()).unwrap();
        let meaning = |d: &fwdeploy::model::Desired| -> Vec<_> {
            d.rules.iter().map(|r| (r.priority, r.rule().unwrap().meaning())).collect()
        };
        prop_assert_eq!(meaning(&desired), meaning(&other));
        prop_assert_eq!(desired.rich, other.rich);
    }

    #[test]
    fn addresses_read_back(cidr in cidr(), peer in any_peer()) {
        prop_assert_eq!(cidr.to_string().parse::<Cidr>().unwrap(), cidr);
        prop_assert_eq!(cidr.short().parse::<Cidr>().unwrap(), cidr);
        prop_assert_eq!(peer.to_string().parse::<Peer>().unwrap(), peer);
    }

    #[test]
    fn rules_read_back(rule in rule(), priority in any::<i32>()) {
        prop_assert_eq!(Rule::parse_text(&rule.to_string()).unwrap(), rule.clone());
        prop_assert_eq!(Rule::parse_args(&rule.args()).unwrap(), rule.clone());
        let direct = DirectRule::ours(Family::V4, priority, &rule);
        prop_assert_eq!(direct.rule().unwrap(), &rule);
    }

    #[test]
    fn rich_rules_read_back(rule in rich_rule()) {
        prop_assert_eq!(RichRule::parse(&rule.to_string()), rule);
    }
}

// ---- random values -----------------------------------------------------------------------------------------------

fn v4() -> impl Strategy<Value = IpAddr> {
    any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits)))
}

fn v6() -> impl Strategy<Value = IpAddr> {
    any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits)))
}

fn cidr4() -> impl Strategy<Value = Cidr> {
    (v4(), 0..=32_u8).prop_map(|(address, prefix)| Cidr::around(address, prefix).unwrap())
}

fn cidr6() -> impl Strategy<Value = Cidr> {
    (v6(), 0..=128_u8).prop_map(|(address, prefix)| Cidr::around(address, prefix).unwrap())
}

fn cidr() -> impl Strategy<Value = Cidr> {
    prop_oneof![cidr4(), cidr6()]
}

fn any_port() -> impl Strategy<Value = Port> {
    (1..=u16::MAX).prop_map(port)
}

fn any_peer() -> impl Strategy<Value = Peer> {
    (cidr(), prop::option::of(any_port())).prop_map(|(net, port)| Peer { net, port })
}

fn rule() -> impl Strategy<Value = Rule> {
    let sense = || prop::sample::select(vec![Sense::Is, Sense::Not]);
    let states = prop::collection::btree_set(
        prop::sample::select(CtState::ALL.map(|(state, _)| state).to_vec()),
        1..4,
    );
    let range = (any::<u16>(), any::<u16>()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let protocol = prop::sample::select(vec!["tcp", "udp"]).prop_map(str::to_string);
    // One condition of each kind, as iptables takes them.
    let matches = (
        prop::option::of((sense(), cidr4())),
        prop::option::of((sense(), cidr4())),
        prop::option::of((sense(), "[a-z][a-z0-9-]{0,13}\\+?")),
        prop::option::of((sense(), "[a-z][a-z0-9-]{0,13}\\+?")),
        prop::option::of((sense(), protocol)),
        prop::option::of((sense(), range.clone())),
        prop::option::of((sense(), range)),
        prop::option::of((sense(), states)),
        prop::option::of(prop::sample::select(CtDirection::ALL.to_vec())),
    );
    let target = prop_oneof![
        Just(Target::Accept),
        Just(Target::Drop),
        Just(Target::Reject(None)),
        Just(Target::Reject(Some("icmp-host-prohibited".to_string()))),
        Just(Target::Return),
        Just(Target::Goto("other".to_string())),
        Just(Target::Jump("DOCKER".to_string(), Vec::new())),
        Just(Target::Nothing),
    ];
    (matches, prop::option::of("\\PC{1,40}"), target).prop_map(|(m, comment, target)| {
        let mut all = Vec::new();
        all.extend(m.0.map(|(sense, net)| Match::Source(sense, net)));
        all.extend(m.1.map(|(sense, net)| Match::Destination(sense, net)));
        all.extend(m.2.map(|(sense, name)| Match::In(sense, name)));
        all.extend(m.3.map(|(sense, name)| Match::Out(sense, name)));
        all.extend(m.4.map(|(sense, name)| Match::Protocol(sense, name)));
        all.extend(m.5.map(|(sense, (a, b))| Match::SourcePort(sense, a, b)));
        all.extend(m.6.map(|(sense, (a, b))| Match::DestinationPort(sense, a, b)));
        all.extend(m.7.map(|(sense, states)| Match::State(sense, states)));
        all.extend(m.8.map(Match::Direction));
        let rule = Rule::new(all, target);
        match comment {
            Some(comment) => rule.with_comment(comment),
            None => rule,
        }
    })
}

fn rich_rule() -> impl Strategy<Value = RichRule> {
    let set = || "fwdeploy-zone[46]-[0-9a-f]{12}".prop_map(RichSource::Set);
    let four = prop_oneof![3 => cidr4().prop_map(RichSource::Net), 1 => set()];
    let six = prop_oneof![3 => cidr6().prop_map(RichSource::Net), 1 => set()];
    let v4 = (Just(Family::V4), prop::option::of(four), v4()).boxed();
    let v6 = (Just(Family::V6), prop::option::of(six), v6()).boxed();
    let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp]);
    let range = || {
        (any_port(), any_port())
            .prop_map(|(one, two)| PortRange::new(one.min(two), one.max(two)).unwrap())
    };
    let one = any_port().prop_map(PortRange::from);
    let to = prop::option::of(any_port().prop_map(PortRange::from));
    let service = (prop_oneof![one, range()], protocol, to);
    (prop_oneof![v4, v6], prop::option::of(service)).prop_map(|((family, source, to), service)| {
        match service {
            Some((ports, protocol, to_ports)) => RichRule::Forward {
                family,
                source,
                service: Service { ports, protocol },
                // A range keeps its ports.
                to_ports: to_ports
                    .filter(|_| ports.single().is_some())
                    .unwrap_or(ports),
                to,
            },
            None => RichRule::Accept {
                family,
                source,
                destination: Some(Cidr::host(to)),
            },
        }
    })
}
