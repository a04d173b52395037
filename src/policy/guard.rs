//! Policies → the guard, and the guard → the nftables table that enforces it.
//!
//! Each packet is judged by the flow it belongs to: who opened it, to whom, at which port. No state lets a packet pass by itself, so that a
//! flow ends with the entry that allowed it. In the hooks of the guard both directions of a flow show the container's own address: the
//! destination is rewritten (DNAT) before, and the source of an answer after them.

mod disjoint;
pub mod usage;

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::Cidr;
use crate::model::DesiredNetwork;
use crate::model::Family;
use crate::model::Peer;
use crate::model::Protocol;
use crate::model::Sense;
use crate::model::Traffic;
use crate::model::guard::Guard;
use crate::model::guard::GuardTable;
use crate::model::guard::GuardedFlow;
use crate::model::guard::GuardedNetwork;
use crate::model::guard::Refusal;
use crate::model::guard::table::AUDITED;
use crate::model::guard::table::Dynamic;
use crate::model::guard::table::Field;
use crate::model::guard::table::GuardChain;
use crate::model::guard::table::GuardHook;
use crate::model::guard::table::GuardMatch;
use crate::model::guard::table::GuardRule;
use crate::model::guard::table::GuardSet;
use crate::model::guard::table::GuardVerdict;
use crate::model::guard::table::Key;
use crate::model::guard::table::LOG_PREFIX_MAX;
use crate::model::guard::table::PRIORITY;
use crate::model::guard::table::Part;
use crate::model::guard::table::Right;
use crate::model::guard::table::SetElement;
use crate::model::mark::FirewallMark;
use crate::role::Enforce;
use crate::role::Located;
use crate::role::Log;
use crate::role::NodeAccess;
use crate::role::Otherwise;
use crate::role::Policy;

/// How many refused flows the kernel remembers in each family, and for how long (in seconds) after the last packet.
const REFUSED: Dynamic = Dynamic {
    size: 4096,
    timeout: 86_400,
};

/// The guard of a node with these policies on these networks.
pub(super) fn guard(policies: &[Policy], networks: &[DesiredNetwork]) -> Guard {
    let mut guard = Guard::default();
    for network in networks {
        let on_it: Vec<&Policy> = policies
            .iter()
            .filter(|policy| policy.network.name.value == network.name)
            .collect();
        let Some(first) = on_it.first() else {
            continue;
        };
        let sides = on_it.iter().flat_map(|policy| policy.sides());
        guard.networks.push(GuardedNetwork {
            bridge: network.bridge.clone(),
            subnets: network.subnets().collect(),
            closed: sides.map(|side| side.covered).collect(),
            // Roles on one network agree about it (lint).
            refusal: match first.otherwise.value {
                Otherwise::Reject => Refusal::Reject,
                Otherwise::Drop => Refusal::Drop,
            },
            reaches_node: first.network.node.value == NodeAccess::Open,
            log: (first.network.log.value == Log::Refused).then(|| network.name.clone()),
            is_audited: first.enforce.value == Enforce::Audit,
        });
    }
    guard.networks.sort_by(|a, b| a.bridge.cmp(&b.bridge));
    let (mut inbound, mut outbound) = (Vec::new(), Vec::new());
    for policy in policies {
        for side in policy.sides() {
            let Some(container) = side.container else {
                continue;
            };
            let flow = |peer: Peer, traffic: Option<Traffic>| GuardedFlow {
                container,
                traffic,
                peer: peer.net,
            };
            for entry in &policy.inbound {
                for traffic in entry.container_traffic() {
                    let peers = peers_of(&entry.from, side.family);
                    inbound.extend(peers.map(|peer| flow(peer, traffic)));
                    if entry.from_node.is_some() {
                        guard.from_node.insert((container, traffic));
                    }
                }
            }
            for entry in &policy.outbound {
                for peer in peers_of(&entry.to, side.family) {
                    let flows = entry.traffic_of(peer).into_iter();
                    outbound.extend(flows.map(|traffic| flow(peer, traffic)));
                }
                if entry.to_node.is_some() {
                    let traffic = entry.node_traffic().into_iter();
                    guard.to_node.extend(traffic.map(|one| (container, one)));
                }
            }
        }
    }
    guard.inbound = disjoint::flows(inbound);
    guard.outbound = disjoint::flows(outbound);
    guard.to_node = disjoint::with_node(guard.to_node);
    guard.from_node = disjoint::with_node(guard.from_node);
    guard
}

fn peers_of(peers: &[Located<Peer>], family: Family) -> impl Iterator<Item = Peer> + '_ {
    let peers = peers.iter().map(|peer| peer.value);
    peers.filter(move |peer| peer.net.family() == family)
}

/// What the nft of a node can do, and what its Docker needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether elements of sets can have counters.
    pub element_counters: bool,
    /// The mark by which Docker lets in what is on the whitelist, where it needs one.
    pub mark: Option<FirewallMark>,
}

/// The table that enforces the guard.
pub fn table(guard: &Guard, can: Capabilities) -> GuardTable {
    let mut table = Builder {
        guard,
        can,
        table: GuardTable::default(),
    };
    table.sets();
    table.chains();
    table.table
}

struct Builder<'a> {
    guard: &'a Guard,
    can: Capabilities,
    table: GuardTable,
}

/// The set of the bridges of networks that are closed as a whole.
const BRIDGES: &str = "bridges";

/// The set of the bridges from which the node itself is closed.
const NODE_BRIDGES: &str = "node_bridges";

/// The chain that judges packets from a container to the node.
const NODE: &str = "node";

/// The chain that judges packets from the node's own programs to a container that is closed to them, and the beginning of the names of the sets
/// of what they may open.
const FROM_NODE: &str = "from_node";

/// The beginning of the names of the sets of containers that are closed to the node's own programs.
const CLOSED_TO_NODE: &str = "closed_to_node";
/// The chain that marks what peers send to containers.
const LET_IN: &str = "let_in";

/// The chain that records refused packets.
const RECORD: &str = "record";

/// The way of a packet: out of a managed network, or into one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    In,
}

impl Way {
    /// The chain that judges it, and the beginning of the names of the sets of flows that are opened this way.
    fn name(self) -> &'static str {
        match self {
            Way::Out => "outbound",
            Way::In => "inbound",
        }
    }

    /// The chain that refuses it.
    fn refuse(self) -> String {
        format!("refuse_{}", self.name())
    }
}

/// `4` or `6`, by which the sets of the two families are told apart.
fn digit(family: Family) -> char {
    match family {
        Family::V4 => '4',
        Family::V6 => '6',
    }
}

fn word(field: Field, word: &str) -> GuardMatch {
    GuardMatch {
        left: vec![field],
        sense: Sense::Is,
        right: Right::Words(BTreeSet::from([word.to_string()])),
    }
}

fn words(field: Field, words: &[&str]) -> GuardMatch {
    GuardMatch {
        left: vec![field],
        sense: Sense::Is,
        right: Right::Words(words.iter().map(ToString::to_string).collect()),
    }
}

fn not_word(field: Field, word: &str) -> GuardMatch {
    GuardMatch {
        left: vec![field],
        sense: Sense::Not,
        right: Right::Words(BTreeSet::from([word.to_string()])),
    }
}

fn is_in(left: Vec<Field>, set: impl Into<String>) -> GuardMatch {
    GuardMatch {
        left,
        sense: Sense::Is,
        right: Right::Set(set.into()),
    }
}

fn net(field: fn(Family) -> Field, sense: Sense, net: Cidr) -> GuardMatch {
    GuardMatch {
        left: vec![field(net.family())],
        sense,
        right: Right::Net(net),
    }
}

fn rule(matches: Vec<GuardMatch>, verdict: GuardVerdict) -> GuardRule {
    GuardRule::Known {
        matches,
        is_counted: false,
        verdict,
    }
}

fn counted(matches: Vec<GuardMatch>, verdict: GuardVerdict) -> GuardRule {
    GuardRule::Known {
        matches,
        is_counted: true,
        verdict,
    }
}

impl Builder<'_> {
    fn set(
        &mut self,
        name: String,
        key: Vec<Key>,
        elements: BTreeSet<SetElement>,
    ) -> &mut GuardSet {
        let is_interval = key.iter().any(|key| matches!(key, Key::Address(_)));
        self.table.sets.entry(name).or_insert(GuardSet {
            key,
            is_interval,
            is_counted: false,
            dynamic: None,
            elements,
        })
    }

    fn sets(&mut self) {
        let (guard, counters) = (self.guard, self.can.element_counters);
        let closed = guard.networks.iter().filter(|network| network.is_closed());
        let bridge = |network: &GuardedNetwork| vec![Part::Interface(network.bridge.clone())];
        let bridges = closed.clone().map(bridge).collect();
        self.set(BRIDGES.to_string(), vec![Key::Interface], bridges);
        let node = closed.filter(|network| !network.reaches_node).map(bridge);
        self.set(
            NODE_BRIDGES.to_string(),
            vec![Key::Interface],
            node.collect(),
        );
        for family in Family::ALL {
            let (address, digit) = (Key::Address(family), digit(family));
            let closed = guard.networks.iter().flat_map(|network| &network.closed);
            let closed = closed.filter(|net| net.family() == family);
            self.set(
                format!("closed{digit}"),
                vec![address],
                closed.map(|net| vec![Part::Net(*net)]).collect(),
            );
            for (way, flows) in [(Way::In, &guard.inbound), (Way::Out, &guard.outbound)] {
                let (mut at_port, mut icmp, mut any) = (Vec::new(), Vec::new(), Vec::new());
                for flow in flows.iter().filter(|flow| flow.family() == family) {
                    let (container, peer) = (Part::from(flow.container), Part::Net(flow.peer));
                    let (from, to) = match way {
                        Way::In => (peer, container),
                        Way::Out => (container, peer),
                    };
                    match flow.traffic {
                        Some(Traffic::Service(service)) => {
                            let protocol = Part::Protocol(service.protocol);
                            at_port.push(vec![from, to, protocol, service.ports.into()]);
                        }
                        Some(Traffic::Icmp) => icmp.push(vec![from, to, Part::Icmp(family)]),
                        None => any.push(vec![from, to]),
                    }
                }
                let at_port = BTreeSet::from_iter(at_port);
                let icmp = BTreeSet::from_iter(icmp);
                let any = BTreeSet::from_iter(any);
                let key = vec![address, address, Key::Protocol, Key::Port];
                self.set(format!("{}{digit}", way.name()), key, at_port)
                    .is_counted = counters;
                self.set(
                    format!("{}_any{digit}", way.name()),
                    vec![address, address],
                    any,
                )
                .is_counted = counters;
                if has_icmp(guard, way) {
                    let key = vec![address, address, Key::Protocol];
                    self.set(format!("{}_icmp{digit}", way.name()), key, icmp)
                        .is_counted = counters;
                }
            }
            self.node_sets(NODE, &guard.to_node, family);
            if !guard.from_node.is_empty() {
                self.node_sets(FROM_NODE, &guard.from_node, family);
                let containers = guard.from_node.iter().map(|(container, _)| container);
                let containers = containers.filter(|container| Family::of(container) == family);
                let elements = containers.map(|container| vec![Part::from(*container)]);
                let name = format!("{CLOSED_TO_NODE}{digit}");
                self.set(name, vec![address], elements.collect())
                    .is_interval = false;
            }
            for (name, key) in [
                ("refused", vec![address, address, Key::Protocol, Key::Port]),
                ("refused_portless", vec![address, address, Key::Protocol]),
            ] {
                let set = self.set(format!("{name}{digit}"), key, BTreeSet::new());
                set.is_interval = false;
                set.is_counted = counters;
                set.dynamic = Some(REFUSED);
            }
        }
    }

    /// The sets of flows between containers and the node, by container and by the port of the side that does not open them.
    fn node_sets(
        &mut self,
        name: &str,
        flows: &BTreeSet<(IpAddr, Option<Traffic>)>,
        family: Family,
    ) {
        let (address, digit) = (Key::Address(family), digit(family));
        let (mut at_port, mut icmp) = (BTreeSet::new(), BTreeSet::new());
        let mut any = BTreeSet::new();
        for (container, traffic) in flows.iter().filter(|(of, _)| Family::of(of) == family) {
            let mut element = vec![Part::from(*container)];
            match traffic {
                Some(Traffic::Service(service)) => {
                    let protocol = Part::Protocol(service.protocol);
                    element.extend([protocol, service.ports.into()]);
                    at_port.insert(element);
                }
                Some(Traffic::Icmp) => {
                    element.push(Part::Icmp(family));
                    icmp.insert(element);
                }
                None => drop(any.insert(element)),
            }
        }
        let counters = self.can.element_counters;
        let mut sets = vec![
            (
                format!("{name}{digit}"),
                vec![address, Key::Protocol, Key::Port],
                at_port,
            ),
            (format!("{name}_any{digit}"), vec![address], any),
        ];
        if has_icmp_with_node(flows) {
            let key = vec![address, Key::Protocol];
            sets.push((format!("{name}_icmp{digit}"), key, icmp));
        }
        for (name, key, elements) in sets {
            let has_range = |element: &SetElement| {
                let mut parts = element.iter();
                parts.any(|part| matches!(part, Part::Ports(..)))
            };
            let is_interval = elements.iter().any(has_range);
            let set = self.set(name, key, elements);
            set.is_interval = is_interval;
            set.is_counted = counters;
        }
    }

    fn chain(&mut self, name: &str, hook: Option<&str>, rules: Vec<GuardRule>) {
        let hook = hook.map(|name| GuardHook {
            name: name.to_string(),
            priority: PRIORITY,
        });
        let chain = GuardChain { hook, rules };
        self.table.chains.insert(name.to_string(), chain);
    }

    fn chains(&mut self) {
        let mut forward = Vec::new();
        // Inside of a network nothing is closed.
        let inside = |bridge: &str| {
            let both = vec![word(Field::In, bridge), word(Field::Out, bridge)];
            rule(both, GuardVerdict::Accept)
        };
        forward.extend(self.audited().map(|network| inside(&network.bridge)));
        // Those in audit come last: what an enforced network drops does not pass because of another one.
        for network in self.enforced().chain(self.audited()) {
            let bridge = &network.bridge;
            if !network.is_audited {
                forward.push(inside(bridge));
            }
            let forged = |matches| match network.is_audited {
                true => rule(matches, GuardVerdict::Goto(AUDITED.to_string())),
                // Nobody is there to be told.
                false => counted(matches, GuardVerdict::Drop),
            };
            for subnet in &network.subnets {
                forward.push(forged(vec![
                    word(Field::In, bridge),
                    net(Field::Source, Sense::Not, *subnet),
                ]));
                forward.push(forged(vec![
                    not_word(Field::In, bridge),
                    net(Field::Source, Sense::Is, *subnet),
                ]));
            }
        }
        for family in Family::ALL {
            let closed = format!("closed{}", digit(family));
            // Two managed networks are closed to each other, however wide a peer of one of them is.
            forward.push(rule(
                vec![
                    is_in(vec![Field::Source(family)], &closed),
                    is_in(vec![Field::Destination(family)], &closed),
                ],
                GuardVerdict::Goto(Way::Out.refuse()),
            ));
        }
        for (way, device, address) in [
            (Way::Out, Field::In, Field::Source as fn(Family) -> Field),
            (Way::In, Field::Out, Field::Destination),
        ] {
            let jump = GuardVerdict::Jump(way.name().to_string());
            forward.push(rule(vec![is_in(vec![device], BRIDGES)], jump.clone()));
            // Also if the bridge has another name than expected, and where single containers are closed.
            for family in Family::ALL {
                let closed = format!("closed{}", digit(family));
                // Nothing is judged twice, or its counter would count it twice.
                let mut other_device = is_in(vec![device], BRIDGES);
                other_device.sense = Sense::Not;
                let matches = vec![other_device, is_in(vec![address(family)], closed)];
                forward.push(rule(matches, jump.clone()));
            }
        }
        self.chain("forward", Some("forward"), forward);
        let input = self.input();
        self.chain("input", Some("input"), input);
        let node = self.node();
        self.chain(NODE, None, node);
        if !self.guard.from_node.is_empty() {
            self.chain("output", Some("output"), output());
            let from_node = from_node(self.guard);
            self.chain(FROM_NODE, None, from_node);
        }
        let outbound = self.judge(Way::Out, GuardVerdict::Return);
        self.chain(Way::Out.name(), None, outbound);
        let let_in = match self.can.mark {
            None => GuardVerdict::Return,
            Some(mark) => {
                self.chain(
                    LET_IN,
                    None,
                    vec![rule(Vec::new(), GuardVerdict::Mark(mark))],
                );
                // Its end is the end of the chain that it is entered from, as with a return.
                GuardVerdict::Goto(LET_IN.to_string())
            }
        };
        let inbound = self.judge(Way::In, let_in);
        self.chain(Way::In.name(), None, inbound);
        for (way, device) in [(Way::Out, Field::In), (Way::In, Field::Out)] {
            let refuse = self.refuse(way, device);
            self.chain(&way.refuse(), None, refuse);
        }
        self.chain(RECORD, None, record());
        if self.audited().next().is_some() {
            let pass = self.pass();
            self.chain(AUDITED, None, pass);
        }
    }

    fn enforced(&self) -> impl Iterator<Item = &GuardedNetwork> {
        self.guard.networks.iter().filter(|one| !one.is_audited)
    }

    fn audited(&self) -> impl Iterator<Item = &GuardedNetwork> {
        self.guard.networks.iter().filter(|one| one.is_audited)
    }

    /// What comes from a managed network to the node itself.
    fn input(&self) -> Vec<GuardRule> {
        let jump = GuardVerdict::Jump(NODE.to_string());
        let mut rules = vec![rule(
            vec![is_in(vec![Field::In], NODE_BRIDGES)],
            jump.clone(),
        )];
        let single = self.guard.networks.iter();
        for network in single.filter(|network| !network.is_closed() && !network.reaches_node) {
            for address in &network.closed {
                let from = vec![
                    word(Field::In, &network.bridge),
                    net(Field::Source, Sense::Is, *address),
                ];
                rules.push(rule(from, jump.clone()));
            }
        }
        rules
    }

    /// Records a packet that is on no list, and logs and refuses it as the network wants it whose bridge is `device`; or lets it pass where
    /// that network is in audit.
    fn refuse(&self, way: Way, device: Field) -> Vec<GuardRule> {
        let mut rules = Vec::new();
        for network in self.audited() {
            let audited = || GuardVerdict::Goto(AUDITED.to_string());
            rules.push(rule(vec![word(device, &network.bridge)], audited()));
            // Also if the bridge has another name than expected. What comes from it under another name is forged.
            for address in network.closed.iter().filter(|_| way == Way::In) {
                let to = vec![net(Field::Destination, Sense::Is, *address)];
                rules.push(rule(to, audited()));
            }
        }
        rules.push(rule(Vec::new(), GuardVerdict::Jump(RECORD.to_string())));
        for network in self.enforced() {
            if let Some(name) = &network.log {
                let is_it = vec![word(device, &network.bridge)];
                rules.push(rule(is_it, GuardVerdict::Log(prefix(name))));
            }
        }
        for network in self.enforced().filter(|one| one.refusal == Refusal::Drop) {
            rules.push(counted(
                vec![word(device, &network.bridge)],
                GuardVerdict::Drop,
            ));
        }
        rules.push(counted(Vec::new(), GuardVerdict::Reject));
        rules
    }

    /// Records a packet of a network in audit that is on no list, and lets it pass; but not into a network that is enforced.
    fn pass(&self) -> Vec<GuardRule> {
        let record = || GuardVerdict::Jump(RECORD.to_string());
        let mut rules = Vec::new();
        for network in self.enforced() {
            let bridge = word(Field::Out, &network.bridge);
            let bridge = network.is_closed().then_some(bridge);
            let addresses = network.closed.iter();
            let addresses = addresses.map(|to| net(Field::Destination, Sense::Is, *to));
            for into in bridge.into_iter().chain(addresses) {
                rules.push(rule(vec![into.clone()], record()));
                rules.push(counted(
                    vec![into],
                    match network.refusal {
                        Refusal::Reject => GuardVerdict::Reject,
                        Refusal::Drop => GuardVerdict::Drop,
                    },
                ));
            }
        }
        // The flow was recorded by its first packet. An answer would be recorded as a flow of its own, to any port.
        let answers = vec![word(Field::Direction, "reply")];
        rules.push(counted(answers, GuardVerdict::Accept));
        rules.push(rule(Vec::new(), record()));
        rules.push(counted(Vec::new(), GuardVerdict::Accept));
        rules
    }

    /// The chain for packets from a container to the node: back to the caller if they are allowed, refused if not.
    fn node(&self) -> Vec<GuardRule> {
        let mut rules = with_node(NODE, has_icmp_with_node(&self.guard.to_node));
        for network in self.audited().filter(|one| !one.reaches_node) {
            let from = || vec![word(Field::In, &network.bridge)];
            rules.push(rule(from(), GuardVerdict::Jump(RECORD.to_string())));
            rules.push(counted(from(), GuardVerdict::Accept));
        }
        rules.push(rule(Vec::new(), GuardVerdict::Goto(Way::Out.refuse())));
        rules
    }

    /// The chain for packets that go one way: back to the caller if their flow is allowed, refused if not.
    ///
    /// `opens` is what becomes of the packets of the side that has opened an allowed flow.
    fn judge(&self, way: Way, opens: GuardVerdict) -> Vec<GuardRule> {
        let mut rules = Vec::new();
        for family in Family::ALL {
            let (source, destination) = (Field::Source(family), Field::Destination(family));
            // A packet of an answer shows both ends the other way round, and the port that was opened as its source.
            for (direction, opened, ends, port, verdict) in [
                (
                    "original",
                    way,
                    [source, destination],
                    Field::DestinationPort,
                    opens.clone(),
                ),
                (
                    "reply",
                    match way {
                        Way::Out => Way::In,
                        Way::In => Way::Out,
                    },
                    [destination, source],
                    Field::SourcePort,
                    GuardVerdict::Return,
                ),
            ] {
                let (name, digit) = (opened.name(), digit(family));
                let mut matches = vec![word(Field::Direction, direction)];
                if opened == Way::In {
                    // Who routes to the container's address directly is not who firewalld's forward let in.
                    matches.push(word(Field::Status, "dnat"));
                }
                let mut key = ends.to_vec();
                key.extend([Field::Protocol, port]);
                matches.push(is_in(key, format!("{name}{digit}")));
                rules.push(rule(matches, verdict.clone()));
                if has_icmp(self.guard, opened) {
                    let mut key = ends.to_vec();
                    key.push(Field::Protocol);
                    let set = format!("{name}_icmp{digit}");
                    let matches = vec![word(Field::Direction, direction), is_in(key, set)];
                    rules.push(rule(matches, verdict.clone()));
                }
                rules.push(rule(
                    vec![
                        word(Field::Direction, direction),
                        is_in(ends.to_vec(), format!("{name}_any{digit}")),
                    ],
                    verdict,
                ));
            }
        }
        rules.push(related());
        rules.push(rule(Vec::new(), GuardVerdict::Goto(way.refuse())));
        rules
    }
}

/// Whether some flow that is opened this way is ICMP alone. The sets for it are only made where they are needed.
fn has_icmp(guard: &Guard, way: Way) -> bool {
    let flows = match way {
        Way::In => &guard.inbound,
        Way::Out => &guard.outbound,
    };
    let mut traffic = flows.iter().map(|flow| flow.traffic);
    traffic.any(|traffic| traffic == Some(Traffic::Icmp))
}

/// The same for flows between containers and the node.
fn has_icmp_with_node(flows: &BTreeSet<(IpAddr, Option<Traffic>)>) -> bool {
    let mut traffic = flows.iter().map(|(_, traffic)| *traffic);
    traffic.any(|traffic| traffic == Some(Traffic::Icmp))
}

/// The text ahead of what is logged of a network. A name of Docker's may be longer than the kernel takes.
fn prefix(network: &str) -> String {
    const LEAD: &str = "fwdeploy refused ";
    const END: &str = ": ";
    let room = LOG_PREFIX_MAX - LEAD.len() - END.len();
    let name: String = network.chars().take(room).collect();
    format!("{LEAD}{name}{END}")
}

/// What the node's own programs send to a container that is closed to them. By its address: where the node's own connection to one of its
/// addresses was rewritten (DNAT) in this hook, the device is still that of the address before.
fn output() -> Vec<GuardRule> {
    let to = |family| {
        let closed = format!("{CLOSED_TO_NODE}{}", digit(family));
        let is_closed = is_in(vec![Field::Destination(family)], closed);
        rule(vec![is_closed], GuardVerdict::Jump(FROM_NODE.to_string()))
    };
    Family::ALL.map(to).into()
}

/// What a network needs of the node to work at all: to find it and each other (RFC 4861), and to be told of groups (RFC 3810).
const NEIGHBOURS: [&str; 6] = [
    "mld-listener-done",
    "mld-listener-report",
    "mld2-listener-report",
    "nd-neighbor-advert",
    "nd-neighbor-solicit",
    "nd-router-solicit",
];

/// What a container needs of the node: to be found, and to be told the way (RFC 4861).
const NEIGHBOURS_OF_CONTAINER: [&str; 4] = [
    "nd-neighbor-advert",
    "nd-neighbor-solicit",
    "nd-redirect",
    "nd-router-advert",
];

/// What the node's own programs may send to a container that is closed to them: back to the caller if it is allowed, refused if not.
fn from_node(guard: &Guard) -> Vec<GuardRule> {
    let mut rules = with_node(FROM_NODE, has_icmp_with_node(&guard.from_node));
    rules.push(rule(Vec::new(), GuardVerdict::Goto(Way::In.refuse())));
    rules
}

/// What is allowed in the chain [`NODE`] or [`FROM_NODE`], for packets between a container and the node.
fn with_node(chain: &str, has_icmp: bool) -> Vec<GuardRule> {
    let (container, way, neighbours): (fn(Family) -> Field, _, _) = match chain {
        NODE => (Field::Source, Way::Out, &NEIGHBOURS[..]),
        _ => (Field::Destination, Way::In, &NEIGHBOURS_OF_CONTAINER[..]),
    };
    let mut rules = vec![
        // The other side has opened the flow.
        rule(vec![word(Field::Direction, "reply")], GuardVerdict::Return),
        rule(vec![words(Field::Icmp6, neighbours)], GuardVerdict::Return),
        related(),
    ];
    if way == Way::In {
        // The kernel's own answer to a packet that belongs to no flow, which the guard has refused.
        rules.push(icmp("invalid"));
    }
    for family in Family::ALL {
        let (container, digit) = (container(family), digit(family));
        let key = vec![container, Field::Protocol, Field::DestinationPort];
        rules.push(rule(
            vec![is_in(key, format!("{chain}{digit}"))],
            GuardVerdict::Return,
        ));
        if has_icmp {
            let key = vec![container, Field::Protocol];
            let set = format!("{chain}_icmp{digit}");
            rules.push(rule(vec![is_in(key, set)], GuardVerdict::Return));
        }
        rules.push(rule(
            vec![is_in(vec![container], format!("{chain}_any{digit}"))],
            GuardVerdict::Return,
        ));
    }
    rules
}

/// Errors about a flow, such as a message that a packet was too big.
fn related() -> GuardRule {
    icmp("related")
}

/// Messages of ICMP in a state.
fn icmp(state: &str) -> GuardRule {
    rule(
        vec![
            word(Field::State, state),
            words(Field::Protocol, &["icmp", "ipv6-icmp"]),
        ],
        GuardVerdict::Return,
    )
}

/// Records where a packet was to go.
fn record() -> Vec<GuardRule> {
    let mut rules = Vec::new();
    let with_ports = words(Field::Protocol, &["dccp", "sctp", "tcp", "udp", "udplite"]);
    for family in Family::ALL {
        let digit = digit(family);
        let mut key = vec![
            Field::Source(family),
            Field::Destination(family),
            Field::Protocol,
        ];
        let portless = GuardMatch {
            sense: Sense::Not,
            ..with_ports.clone()
        };
        rules.push(rule(
            // nft itself adds that the packet is of the addresses' family, and does not list that.
            vec![portless],
            GuardVerdict::Record(key.clone(), format!("refused_portless{digit}")),
        ));
        key.push(Field::DestinationPort);
        rules.push(rule(
            vec![with_ports.clone()],
            GuardVerdict::Record(key, format!("refused{digit}")),
        ));
    }
    rules
}

// ---- what the table does with a packet ------------------------------------------------------------------------------

/// A packet as the guard's hook sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardPacket {
    /// The packet, with the flow's destination rewritten already.
    pub packet: super::Packet,
    /// Whether it goes the way of the flow's first packet.
    pub is_original: bool,
}

/// What the table does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// How it is refused; `None`: it passes.
    pub refusal: Option<Refusal>,
    /// How often its flow is put into a set of those that are on no list.
    pub records: usize,
}

/// What the table does with a packet in a hook: `forward`, `input` for one to the node itself, or `output` for one of its own.
pub fn evaluate(table: &GuardTable, hook: &str, packet: &GuardPacket) -> Judgement {
    let mut records = 0;
    let refusal = match run(table, hook, packet, 0, &mut records) {
        Some(GuardVerdict::Reject) => Some(Refusal::Reject),
        Some(GuardVerdict::Drop) => Some(Refusal::Drop),
        _ => None,
    };
    Judgement { refusal, records }
}

/// More chains than that are never called in each other; the kernel allows 16 (NFT_JUMP_STACK_SIZE).
const DEEPEST: usize = 16;

/// The final verdict of a chain; `None` if it goes back to its caller, or accepts as a base chain's policy does.
fn run(
    table: &GuardTable,
    chain: &str,
    packet: &GuardPacket,
    depth: usize,
    records: &mut usize,
) -> Option<GuardVerdict> {
    if depth > DEEPEST {
        return None;
    }
    for rule in &table.chains.get(chain)?.rules {
        let GuardRule::Known {
            matches, verdict, ..
        } = rule
        else {
            continue;
        };
        if !matches
            .iter()
            .all(|condition| holds(table, condition, packet))
        {
            continue;
        }
        match verdict {
            GuardVerdict::Accept | GuardVerdict::Drop | GuardVerdict::Reject => {
                return Some(verdict.clone());
            }
            GuardVerdict::Return => return None,
            GuardVerdict::Log(_) | GuardVerdict::Mark(_) => {}
            GuardVerdict::Record(fields, _) => {
                // Of a packet that lacks one of the fields, nft records nothing.
                let has_all = fields.iter().all(|field| value(*field, packet).is_some());
                *records += usize::from(has_all);
            }
            GuardVerdict::Jump(to) => {
                if let Some(verdict) = run(table, to, packet, depth + 1, records) {
                    return Some(verdict);
                }
            }
            GuardVerdict::Goto(to) => return run(table, to, packet, depth + 1, records),
        }
    }
    None
}

/// The value of a field of a packet; `None` if it has no such field, so that no condition about it holds.
fn value(
    field: Field,
    GuardPacket {
        packet,
        is_original,
    }: &GuardPacket,
) -> Option<Part> {
    use super::evaluate::Flow;
    use super::evaluate::Rewritten;
    let interface = |name: &Option<String>| name.clone().map(Part::Interface);
    let text = |text: &str| Some(Part::Interface(text.to_string()));
    let family = packet.family();
    match field {
        Field::In => interface(&packet.interface_in),
        Field::Out => interface(&packet.interface_out),
        Field::Source(of) => (of == family).then(|| packet.source.into()),
        Field::Destination(of) => (of == family).then(|| packet.destination.into()),
        Field::Protocol => match packet.protocol.as_str() {
            "tcp" => Some(Part::Protocol(Protocol::Tcp)),
            "udp" => Some(Part::Protocol(Protocol::Udp)),
            "icmp" => Some(Part::Icmp(Family::V4)),
            "ipv6-icmp" => Some(Part::Icmp(Family::V6)),
            other => text(other),
        },
        Field::SourcePort => packet.source_port.map(Part::Port),
        Field::DestinationPort => packet.destination_port.map(Part::Port),
        Field::Direction if packet.flow == Flow::Invalid => None,
        Field::Direction => text(if *is_original { "original" } else { "reply" }),
        Field::State => text(match packet.flow {
            Flow::New => "new",
            Flow::Established => "established",
            Flow::Related => "related",
            Flow::Invalid => "invalid",
        }),
        Field::Status => text(match packet.destination_rewritten {
            Rewritten::Yes => "dnat",
            Rewritten::No => "",
        }),
        Field::Icmp6 => None,
    }
}

fn holds(table: &GuardTable, condition: &GuardMatch, packet: &GuardPacket) -> bool {
    let values: Option<Vec<Part>> = condition
        .left
        .iter()
        .map(|field| value(*field, packet))
        .collect();
    let Some(values) = values else {
        return false;
    };
    let is = match &condition.right {
        Right::Net(net) => is_within(&values[0], &Part::Net(*net)),
        Right::Words(words) => match &values[0] {
            Part::Interface(word) => words.contains(word),
            Part::Protocol(protocol) => words.contains(protocol.name()),
            Part::Icmp(family) => words.contains(family.icmp()),
            _ => false,
        },
        Right::Set(name) => table.sets.get(name).is_some_and(|set| {
            set.elements.iter().any(|element| {
                element.len() == values.len()
                    && values.iter().zip(element).all(|(v, e)| is_within(v, e))
            })
        }),
    };
    is == (condition.sense == Sense::Is)
}

fn is_within(value: &Part, range: &Part) -> bool {
    match (value, range) {
        (Part::Net(one), Part::Net(net)) => net.family() == one.family() && net.covers(*one),
        (Part::Port(port), Part::Ports(first, last)) => (first..=last).contains(&port),
        _ => value == range,
    }
}
