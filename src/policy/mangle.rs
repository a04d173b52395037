//! The guard → direct rules of iptables' table mangle, which enforce it where nft cannot.
//!
//! They mean what the table of [`policy::guard`](crate::policy::guard) means, but that mangle has no REJECT, so that what is refused is
//! dropped. A packet that is allowed goes back to the built-in chain (RETURN): there the rules of others in mangle still see it. A drop is
//! final, whatever comes later.
//!
//! They are in chains of their own. So firewalld and the kernel have them at the same place with each of firewalld's backends, only packets of
//! managed networks pass the lists of flows, and nothing is in force before the jump to the chains, which comes last.

use std::net::IpAddr;

use crate::model::Cidr;
use crate::model::CtDirection;
use crate::model::CtState;
use crate::model::DirectRule;
use crate::model::Family;
use crate::model::Match;
use crate::model::Rule;
use crate::model::Sense;
use crate::model::Target;
use crate::model::Traffic;
use crate::model::guard::Guard;
use crate::model::guard::GuardedFlow;
use crate::model::guard::GuardedNetwork;
use crate::model::guard::Refusal;
use crate::model::guard::mangle::MangleChain;
use crate::model::guard::mangle::TABLE;
use crate::policy::evaluate::is_met;
use crate::policy::guard::GuardPacket;
use crate::policy::names::tag;

/// The jump to the chains, ahead of the direct rules of others: an ACCEPT in mangle would end the table.
pub const JUMP: i32 = -1000;
/// Inside of a network nothing is closed. In `INPUT`: the answers to flows that the node has opened.
pub const INSIDE: i32 = 0;
/// Addresses on the wrong side of a bridge.
pub const FORGED: i32 = 10;
/// Two managed networks are closed to each other.
pub const BETWEEN: i32 = 20;
/// Flows that a peer may open.
pub const INBOUND: i32 = 100;
/// Flows that a container may open.
pub const OUTBOUND: i32 = 200;
/// ICMP errors about a flow, such as that a packet was too big, and what a network needs of the node to work at all.
pub const RELATED: i32 = 300;
/// From here on a packet is judged, or refused.
pub const OTHERWISE: i32 = 900;

/// The types of ICMPv6 by which a network finds the node and others (RFC 4861), and is told of groups (RFC 3810).
const NEIGHBOURS: [u8; 6] = [131, 132, 133, 135, 136, 143];

/// The rules that enforce the guard, in the order in which they are added: what refuses comes after what allows, and the jumps come last.
/// Nothing where no network is managed, or where all of them are in audit: nothing could record what passes.
pub fn rules(guard: &Guard) -> Vec<DirectRule> {
    let mut out = Vec::new();
    if guard.networks.iter().all(|network| network.is_audited) {
        return out;
    }
    for family in Family::ALL {
        let mut networks = guard.networks.iter();
        // A network that is closed as a whole is so in both families, also where it has no addresses.
        if networks.any(|network| network.is_closed() || closed(network, family).next().is_some()) {
            let mut rules = Rules {
                guard,
                family,
                out: Vec::new(),
            };
            rules.flows();
            rules.forward();
            rules.input();
            rules.jumps();
            out.extend(rules.out);
        }
    }
    out
}

fn closed(network: &GuardedNetwork, family: Family) -> impl Iterator<Item = Cidr> + '_ {
    let closed = network.closed.iter().copied();
    closed.filter(move |net| net.family() == family)
}

fn input(device: &str) -> Match {
    Match::In(Sense::Is, device.to_string())
}

fn output(device: &str) -> Match {
    Match::Out(Sense::Is, device.to_string())
}

fn source(net: Cidr) -> Match {
    Match::Source(Sense::Is, net)
}

fn destination(net: Cidr) -> Match {
    Match::Destination(Sense::Is, net)
}

fn protocol(name: &str) -> Match {
    Match::Protocol(Sense::Is, name.to_string())
}

/// A packet from the one end to the other, by the address and port of the flow's ends.
struct Ends {
    from: Cidr,
    to: Cidr,
    direction: CtDirection,
}

impl Ends {
    /// The conditions; `traffic` is by the ports of the end that did not open the flow.
    fn matches(&self, traffic: Option<Traffic>) -> Vec<Match> {
        let mut out = vec![
            source(self.from),
            destination(self.to),
            Match::Direction(self.direction),
        ];
        if let Some(traffic) = traffic {
            out.push(protocol(traffic.protocol(self.from.family())));
        }
        if let Some(service) = traffic.and_then(Traffic::service) {
            let (first, last) = (service.ports.first().get(), service.ports.last().get());
            out.push(match self.direction {
                CtDirection::Original => Match::DestinationPort(Sense::Is, first, last),
                CtDirection::Reply => Match::SourcePort(Sense::Is, first, last),
            });
        }
        out
    }
}

struct Rules<'a> {
    guard: &'a Guard,
    family: Family,
    out: Vec<DirectRule>,
}

impl Rules<'_> {
    fn add(&mut self, chain: &str, priority: i32, matches: Vec<Match>, target: Target, what: &str) {
        let rule = Rule::new(matches, target).with_comment(tag("guard", what));
        self.out.push(DirectRule {
            family: Some(self.family),
            table: TABLE.to_string(),
            chain: chain.to_string(),
            priority,
            args: (&rule).into(),
        });
    }

    /// Adds a rule that leads to a chain of the guard.
    fn lead(
        &mut self,
        chain: &str,
        priority: i32,
        matches: Vec<Match>,
        to: MangleChain,
        what: &str,
    ) {
        let target = Target::Jump(to.name().to_string(), Vec::new());
        self.add(chain, priority, matches, target, what);
    }

    /// The chains that judge: back to the caller if the packet's flow is allowed, refused if not.
    fn flows(&mut self) {
        let guard = self.guard;
        let flows = [
            (INBOUND, "inbound", &guard.inbound),
            (OUTBOUND, "outbound", &guard.outbound),
        ];
        let family = self.family;
        for (priority, what, flows) in flows {
            for flow in flows.iter().filter(|flow| flow.family() == family) {
                self.flow(priority, what, flow);
            }
        }
        for chain in [MangleChain::Outbound, MangleChain::Inbound] {
            let chain = chain.name();
            self.related(chain);
            self.add(chain, OTHERWISE, Vec::new(), Target::Drop, "otherwise");
        }
    }

    /// One flow: the packets from the container go out, those from the peer come in, whoever has opened it.
    fn flow(&mut self, priority: i32, what: &str, flow: &GuardedFlow) {
        let is_inbound = priority == INBOUND;
        let (container, peer) = (Cidr::host(flow.container), flow.peer);
        for (chain, from, to, is_opener) in [
            (MangleChain::Outbound, container, peer, !is_inbound),
            (MangleChain::Inbound, peer, container, is_inbound),
        ] {
            let direction = match is_opener {
                true => CtDirection::Original,
                false => CtDirection::Reply,
            };
            let ends = Ends {
                from,
                to,
                direction,
            };
            let mut matches = ends.matches(flow.traffic);
            if is_inbound && flow.traffic.and_then(Traffic::service).is_some() {
                // Who routes to the container's address directly is not who firewalld's forward let in.
                matches.push(Match::State(Sense::Is, [CtState::Dnat].into()));
            }
            self.add(chain.name(), priority, matches, Target::Return, what);
        }
    }

    fn related(&mut self, chain: &str) {
        let matches = vec![
            protocol(self.family.icmp()),
            Match::State(Sense::Is, [CtState::Related].into()),
        ];
        self.add(chain, RELATED, matches, Target::Return, "related");
    }

    fn forward(&mut self) {
        let (guard, family) = (self.guard, self.family);
        let chain = MangleChain::Forward.name();
        for network in &guard.networks {
            let bridge = &network.bridge;
            let inside = vec![input(bridge), output(bridge)];
            self.add(chain, INSIDE, inside, Target::Return, "inside");
            let subnets = network.subnets.iter().copied();
            for subnet in subnets.filter(|subnet| subnet.family() == family) {
                for matches in [
                    vec![input(bridge), Match::Source(Sense::Not, subnet)],
                    vec![Match::In(Sense::Not, bridge.clone()), source(subnet)],
                ] {
                    if !network.is_audited {
                        self.add(chain, FORGED, matches, Target::Drop, "forged");
                        continue;
                    }
                    // What is in audit refuses nothing, and does not open the networks that are enforced.
                    for into in self.ways_into_enforced() {
                        let matches = [matches.clone(), vec![into]].concat();
                        self.add(chain, FORGED, matches, Target::Drop, "forged");
                    }
                }
            }
        }
        let all = || {
            let networks = guard.networks.iter();
            networks.flat_map(|one| closed(one, family).map(move |net| (one.is_audited, net)))
        };
        for (is_audited, from) in all() {
            for (_, to) in all().filter(|(other, _)| !(is_audited && *other)) {
                let matches = vec![source(from), destination(to)];
                self.add(chain, BETWEEN, matches, Target::Drop, "between");
            }
        }
        for network in guard.networks.iter().filter(|one| !one.is_audited) {
            let bridge = &network.bridge;
            let (out, into) = (MangleChain::Outbound, MangleChain::Inbound);
            if network.is_closed() {
                self.lead(chain, OTHERWISE, vec![input(bridge)], out, "outbound");
                self.lead(chain, OTHERWISE, vec![output(bridge)], into, "inbound");
            }
            // Also if the bridge has another name than expected, and where single containers are closed.
            for address in closed(network, family) {
                let mut from = vec![source(address)];
                let mut to = vec![destination(address)];
                if network.is_closed() {
                    from.push(Match::In(Sense::Not, bridge.clone()));
                    to.push(Match::Out(Sense::Not, bridge.clone()));
                }
                self.lead(chain, OTHERWISE, from, out, "outbound");
                self.lead(chain, OTHERWISE, to, into, "inbound");
            }
        }
    }

    /// The ways into the networks that are enforced, by their bridges and addresses.
    fn ways_into_enforced(&self) -> Vec<Match> {
        let networks = self.guard.networks.iter();
        let enforced = networks.filter(|network| !network.is_audited);
        let ways = enforced.flat_map(|network| {
            let bridge = network.is_closed().then(|| output(&network.bridge));
            let addresses = closed(network, self.family).map(destination);
            bridge.into_iter().chain(addresses)
        });
        ways.collect()
    }

    /// What comes from a managed network to the node itself.
    fn input(&mut self) {
        let (guard, family) = (self.guard, self.family);
        let chain = MangleChain::Input.name();
        let answers = vec![Match::Direction(CtDirection::Reply)];
        self.add(chain, INSIDE, answers, Target::Return, "answers");
        for (container, traffic) in &guard.to_node {
            if Family::of(container) == family {
                let matches = to_node(*container, *traffic);
                self.add(chain, OUTBOUND, matches, Target::Return, "to-node");
            }
        }
        self.related(chain);
        if family == Family::V6 {
            for number in NEIGHBOURS {
                let number = number.to_string();
                let words = ["-m", "icmp6", "--icmpv6-type", &number].map(String::from);
                let matches = vec![protocol("ipv6-icmp"), Match::Other(words.to_vec())];
                self.add(chain, RELATED, matches, Target::Return, "neighbours");
            }
        }
        let closed_to = guard.networks.iter();
        for network in closed_to.filter(|one| !one.reaches_node && !one.is_audited) {
            let device = input(&network.bridge);
            if network.is_closed() {
                self.add(chain, OTHERWISE, vec![device], Target::Drop, "node");
                continue;
            }
            for address in closed(network, family) {
                let matches = vec![device.clone(), source(address)];
                self.add(chain, OTHERWISE, matches, Target::Drop, "node");
            }
        }
    }

    fn jumps(&mut self) {
        for chain in MangleChain::ALL {
            if let Some(hook) = chain.hook() {
                self.lead(hook, JUMP, Vec::new(), chain, "jump");
            }
        }
    }
}

fn to_node(container: IpAddr, traffic: Option<Traffic>) -> Vec<Match> {
    let mut matches = vec![source(Cidr::host(container))];
    if let Some(traffic) = traffic {
        matches.push(protocol(traffic.protocol(Family::of(&container))));
    }
    if let Some(service) = traffic.and_then(Traffic::service) {
        let (first, last) = (service.ports.first().get(), service.ports.last().get());
        matches.push(Match::DestinationPort(Sense::Is, first, last));
    }
    matches
}

/// What the rules do with a packet in a hook: `forward`, or `input` for one to the node itself. `None`: it passes.
pub fn evaluate(rules: &[DirectRule], hook: &str, packet: &GuardPacket) -> Option<Refusal> {
    let chain = match hook {
        "input" => MangleChain::Input,
        _ => MangleChain::Forward,
    };
    let is_refused = run(rules, chain, packet);
    is_refused.then_some(Refusal::Drop)
}

/// Whether a chain drops the packet. A condition that is not understood, a type of ICMPv6, counts as not met.
fn run(rules: &[DirectRule], chain: MangleChain, packet: &GuardPacket) -> bool {
    let family = packet.packet.family();
    let direction = match packet.is_original {
        true => CtDirection::Original,
        false => CtDirection::Reply,
    };
    let here = rules
        .iter()
        .filter(|rule| rule.family == Some(family) && rule.chain == chain.name());
    let mut here: Vec<&DirectRule> = here.collect();
    here.sort_by_key(|rule| rule.priority);
    for rule in here.iter().filter_map(|rule| rule.rule()) {
        if is_met(rule, &packet.packet, direction) != Some(true) {
            continue;
        }
        match (&rule.target, MangleChain::target(rule)) {
            (Target::Drop, _) => return true,
            (Target::Return, _) => return false,
            // No chain of the guard leads back to one that leads to it.
            (_, Some(to)) if to < chain && run(rules, to, packet) => return true,
            _ => {}
        }
    }
    false
}
