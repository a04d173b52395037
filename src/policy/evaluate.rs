//! Rules and a packet → the verdict, and the rule that gave it. Works on any list of rules.

use std::net::IpAddr;

use crate::model::CtDirection;
use crate::model::CtState;
use crate::model::Family;
use crate::model::Match;
use crate::model::Rule;
use crate::model::Sense;
use crate::model::Target;

/// A packet on its way through FORWARD, as DOCKER-USER sees it: after its destination was rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its source.
    pub source: IpAddr,
    /// Its destination, after DNAT.
    pub destination: IpAddr,
    /// `tcp`, `udp`, `icmp`, … as iptables calls it.
    pub protocol: String,
    /// The source port, if the protocol has ports.
    pub source_port: Option<u16>,
    /// The destination port after DNAT, if the protocol has ports.
    pub destination_port: Option<u16>,
    /// The state of its flow in conntrack.
    pub flow: Flow,
    /// Whether its destination was rewritten.
    pub destination_rewritten: Rewritten,
    /// The device it came in by; `None` is unknown.
    pub interface_in: Option<String>,
    /// The device it leaves by; `None` is unknown.
    pub interface_out: Option<String>,
}

impl Packet {
    /// The family.
    pub fn family(&self) -> Family {
        Family::of(&self.source)
    }
}

/// The state of a packet's flow in conntrack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flow {
    /// The first packet of a flow.
    New,
    /// A packet of a flow that was answered.
    Established,
    /// The first packet of a flow that another one announced, or an ICMP error about it.
    Related,
    /// A packet of no flow.
    Invalid,
}

impl Flow {
    fn state(self) -> CtState {
        match self {
            Flow::New => CtState::New,
            Flow::Established => CtState::Established,
            Flow::Related => CtState::Related,
            Flow::Invalid => CtState::Invalid,
        }
    }
}

/// Whether a packet's destination was rewritten (DNAT) on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rewritten {
    /// It was, by firewalld's forward-port or a port that Docker publishes.
    Yes,
    /// It was not: it was sent to this destination.
    No,
}

/// What a chain does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketVerdict {
    /// A rule lets it through.
    Accept,
    /// A rule refuses it.
    Reject,
    /// A rule throws it away.
    Drop,
    /// A rule sends it back to the calling chain.
    Return,
    /// No rule is about it.
    FellThrough,
}

/// What a list of rules does with a packet, as far as it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluation {
    /// The verdict, and the index of the rule that gave it; no index if the packet fell through.
    Decided(PacketVerdict, Option<usize>),
    /// It depends on this rule, whose condition or target is not understood here.
    Unknown(usize),
}

/// Three values: a condition that is not understood may hold or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    Unknown,
}

impl Truth {
    fn of(holds: Option<bool>, sense: Sense) -> Self {
        match (holds, sense) {
            (None, _) => Truth::Unknown,
            (Some(true), Sense::Is) | (Some(false), Sense::Not) => Truth::Yes,
            _ => Truth::No,
        }
    }
}

/// Asks the rules, in order, about a packet of their own family.
///
/// A rule with a condition that is not understood counts both ways: if the verdict is the same either way it is decided,
/// otherwise it is [`Evaluation::Unknown`]. So is a jump to a chain, whose rules are not here.
pub fn evaluate(rules: &[Rule], packet: &Packet) -> Evaluation {
    let mut perhaps: Vec<(usize, Option<PacketVerdict>)> = Vec::new();
    let mut last = (PacketVerdict::FellThrough, None);
    for (index, rule) in rules.iter().enumerate() {
        let effect = match effect(&rule.target) {
            Effect::GoesOn => continue,
            Effect::Ends(verdict) => Some(verdict),
            Effect::Elsewhere => None,
        };
        match (meets(rule, packet, None), effect) {
            (Truth::No, _) => {}
            (Truth::Yes, Some(verdict)) => {
                last = (verdict, Some(index));
                break;
            }
            (Truth::Yes | Truth::Unknown, effect) => perhaps.push((index, effect)),
        }
    }
    match perhaps.iter().find(|(_, effect)| *effect != Some(last.0)) {
        Some((index, _)) => Evaluation::Unknown(*index),
        None => Evaluation::Decided(last.0, last.1),
    }
}

/// What a target does to the packets that reach it.
enum Effect {
    /// The packet goes on to the next rule.
    GoesOn,
    Ends(PacketVerdict),
    /// Another chain decides.
    Elsewhere,
}

/// Extensions after which the packet goes on (iptables-extensions(8)).
const PASSING: [&str; 13] = [
    "LOG",
    "NFLOG",
    "ULOG",
    "MARK",
    "CONNMARK",
    "CONNSECMARK",
    "SECMARK",
    "CLASSIFY",
    "TRACE",
    "AUDIT",
    "SET",
    "DSCP",
    "TCPMSS",
];

fn effect(target: &Target) -> Effect {
    match target {
        Target::Accept => Effect::Ends(PacketVerdict::Accept),
        Target::Drop => Effect::Ends(PacketVerdict::Drop),
        Target::Reject(_) => Effect::Ends(PacketVerdict::Reject),
        Target::Return => Effect::Ends(PacketVerdict::Return),
        Target::Nothing => Effect::GoesOn,
        Target::Jump(name, _) if PASSING.contains(&name.as_str()) => Effect::GoesOn,
        // REJECT with options that are not understood still refuses.
        Target::Jump(name, _) if name == "REJECT" => Effect::Ends(PacketVerdict::Reject),
        Target::Jump(..) | Target::Goto(_) => Effect::Elsewhere,
    }
}

/// Whether a packet meets every condition of a rule; `None` if it depends on one that is not understood. `direction` says from which end of its
/// flow it comes.
pub(super) fn is_met(rule: &Rule, packet: &Packet, direction: CtDirection) -> Option<bool> {
    match meets(rule, packet, Some(direction)) {
        Truth::Yes => Some(true),
        Truth::No => Some(false),
        Truth::Unknown => None,
    }
}

fn meets(rule: &Rule, packet: &Packet, direction: Option<CtDirection>) -> Truth {
    let mut all = Truth::Yes;
    for condition in rule.matches() {
        match holds(condition, packet, direction) {
            Truth::Yes => {}
            Truth::No => return Truth::No,
            Truth::Unknown => all = Truth::Unknown,
        }
    }
    all
}

fn holds(condition: &Match, packet: &Packet, direction: Option<CtDirection>) -> Truth {
    match condition {
        Match::Source(sense, net) => Truth::of(Some(net.contains(&packet.source)), *sense),
        Match::Destination(sense, net) => {
            Truth::of(Some(net.contains(&packet.destination)), *sense)
        }
        Match::In(sense, name) => {
            Truth::of(is_interface(name, packet.interface_in.as_deref()), *sense)
        }
        Match::Out(sense, name) => {
            Truth::of(is_interface(name, packet.interface_out.as_deref()), *sense)
        }
        Match::Protocol(sense, name) => {
            let same = protocol(name) == protocol(&packet.protocol);
            Truth::of(Some(same), *sense)
        }
        Match::SourcePort(sense, from, to) => in_range(packet.source_port, *from, *to, *sense),
        Match::DestinationPort(sense, from, to) => {
            in_range(packet.destination_port, *from, *to, *sense)
        }
        Match::State(sense, states) => {
            let rewritten =
                packet.destination_rewritten == Rewritten::Yes && states.contains(&CtState::Dnat);
            // Whether the source will be rewritten is not known in FORWARD's packets here.
            let source_rewritten = states.contains(&CtState::Snat).then_some(Truth::Unknown);
            match (
                rewritten || states.contains(&packet.flow.state()),
                source_rewritten,
            ) {
                (false, Some(unknown)) => unknown,
                (met, _) => Truth::of(Some(met), *sense),
            }
        }
        // A packet of no flow has no direction (conntrack_mt of the kernel's xt_conntrack.c).
        Match::Direction(_) if packet.flow == Flow::Invalid => Truth::No,
        Match::Direction(of) => Truth::of(direction.map(|is| is == *of), Sense::Is),
        Match::Other(_) => Truth::Unknown,
    }
}

/// A port condition; the extension behind it never matches a packet without ports, negated or not.
fn in_range(port: Option<u16>, from: u16, to: u16, sense: Sense) -> Truth {
    match port {
        Some(port) => Truth::of(Some((from..=to).contains(&port)), sense),
        None => Truth::No,
    }
}

/// Whether a device matches a name, in which a trailing `+` matches any rest.
fn is_interface(pattern: &str, device: Option<&str>) -> Option<bool> {
    let device = device?;
    Some(match pattern.strip_suffix('+') {
        Some(beginning) => device.starts_with(beginning),
        None => device == pattern,
    })
}

/// One name for each protocol that old versions print as a number (/etc/protocols).
fn protocol(name: &str) -> &str {
    match name {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" | "icmpv6" => "ipv6-icmp",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<Rule> {
        texts
            .iter()
            .map(|text| Rule::parse_text(text).unwrap())
            .collect()
    }

    fn packet(source: &str, destination: &str) -> Packet {
        Packet {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol: "tcp".to_string(),
            source_port: Some(5000),
            destination_port: Some(5000),
            flow: Flow::New,
            destination_rewritten: Rewritten::No,
            interface_in: None,
            interface_out: None,
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules = rules(&[
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-s 10.0.0.1 -p 6 --dport 5000 -j ACCEPT",
            "-j LOG --log-prefix x",
            "! -s 10.0.0.0/8 -d 172.20.0.0/16 -j REJECT",
        ]);
        let ask = |packet: &Packet| evaluate(&rules, packet);
        let mut from_peer = packet("10.0.0.1", "172.20.0.2");
        assert_eq!(
            ask(&from_peer),
            Evaluation::Decided(PacketVerdict::Accept, Some(1))
        );
        from_peer.protocol = "udp".to_string();
        assert_eq!(
            ask(&from_peer),
            Evaluation::Decided(PacketVerdict::FellThrough, None)
        );
        let stranger = packet("192.0.2.1", "172.20.0.2");
        assert_eq!(
            ask(&stranger),
            Evaluation::Decided(PacketVerdict::Reject, Some(3))
        );
    }

    #[test]
    fn what_is_not_understood_is_unknown_unless_it_makes_no_difference() {
        let packet = packet("192.0.2.1", "172.20.0.2");
        let differs = rules(&["-m mark --mark 1 -j ACCEPT", "-j DROP"]);
        assert_eq!(evaluate(&differs, &packet), Evaluation::Unknown(0));
        let same = rules(&["-m mark --mark 1 -j DROP", "-j DROP"]);
        assert_eq!(
            evaluate(&same, &packet),
            Evaluation::Decided(PacketVerdict::Drop, Some(1))
        );
        let device = rules(&["-i eth0 -j ACCEPT"]);
        assert_eq!(evaluate(&device, &packet), Evaluation::Unknown(0));
        let elsewhere = rules(&["-j f2b-sshd", "-j DROP"]);
        assert_eq!(evaluate(&elsewhere, &packet), Evaluation::Unknown(0));
    }

    #[test]
    fn devices_match_by_their_beginning() {
        let mut packet = packet("192.0.2.1", "172.20.0.2");
        packet.interface_in = Some("eth0".to_string());
        let wild = rules(&["-i eth+ -j DROP"]);
        assert_eq!(
            evaluate(&wild, &packet),
            Evaluation::Decided(PacketVerdict::Drop, Some(0))
        );
    }
}
