//! The way of many packets, which differ in their peer alone, through the chains of one table.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::net::Family;
use crate::model::ranges::Ranges;
use crate::model::rule::CtState;
use crate::model::step::Act;
use crate::model::step::Step;
use crate::model::step::Test;

/// Chains may not call themselves, but a listing taken while another program rewrites them may look as if they did.
const DEEPEST: usize = 32;

/// The range of ports that a client chooses by itself (net.ipv4.ip_local_port_range, and what others have).
const EPHEMERAL: (u16, u16) = (32768, 60999);

/// Chains by name.
pub(super) type Chains = BTreeMap<String, Vec<Step>>;

/// The end of a flow that is not the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Near {
    /// An address of a container.
    Container(IpAddr),
    /// Any address of the node.
    Node,
}

/// What is known of the addresses of the node.
#[derive(Debug, Clone)]
pub(super) struct NodeAddresses {
    /// The one that the controller came to, if it is known.
    pub(super) known: Option<IpAddr>,
    /// Where none of them is: the networks of its containers.
    pub(super) elsewhere: Vec<Ranges>,
}

impl NodeAddresses {
    fn among(&self, ranges: &Ranges) -> Truth {
        let every = *ranges == Ranges::every(ranges.family());
        if every || self.known.is_some_and(|address| ranges.contains(address)) {
            return Truth::Yes;
        }
        let apart = |networks: &Ranges| {
            let mut left = ranges.clone();
            left.remove(networks);
            left.is_empty()
        };
        if ranges.is_empty() || loopback(ranges) || self.elsewhere.iter().any(apart) {
            Truth::No
        } else {
            Truth::Unknown
        }
    }
}

/// A device that packets pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Device<'a> {
    /// A bridge of Docker's.
    Bridge(&'a str),
    /// One that leads out of the node: the names that are known for such, and those of the bridges, which do not.
    Outside {
        names: &'a [String],
        bridges: &'a [String],
    },
    /// None: in PREROUTING and INPUT no packet has one to leave by.
    None,
}

/// A port of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// This one.
    Port(u16),
    /// One that a client chooses by itself.
    Ephemeral,
    /// Any.
    Any,
}

/// Packets that differ in their peer alone.
#[derive(Debug, Clone)]
pub(super) struct Packets<'a> {
    /// The family.
    pub(super) family: Family,
    /// Whether the peer is the source.
    pub(super) from_peer: bool,
    /// The other end.
    pub(super) near: Near,
    /// The node's addresses.
    pub(super) node: &'a NodeAddresses,
    /// The protocol; `None` is any.
    pub(super) protocol: Option<&'a str>,
    /// The source port.
    pub(super) source_port: At,
    /// The destination port.
    pub(super) destination_port: At,
    /// The device they come in by.
    pub(super) input: Device<'a>,
    /// The device they leave by.
    pub(super) output: Device<'a>,
    /// Whether they answer an earlier one.
    pub(super) reply: bool,
    /// Whether their destination was rewritten.
    pub(super) rewritten: bool,
}

/// What happened to some of the packets, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Met<'a> {
    /// The chain.
    pub(super) chain: &'a str,
    /// The rule.
    pub(super) step: &'a Step,
    /// The peers.
    pub(super) peers: Ranges,
    /// Whether it is certain; otherwise a condition on the way is not understood here.
    pub(super) sure: bool,
}

/// The walk through one table.
pub(super) struct Walk<'a> {
    chains: &'a Chains,
    packets: &'a Packets<'a>,
    marked: bool,
    /// Peers that may have left the table already.
    doubtful: Ranges,
    /// The rules that did something, in order.
    pub(super) met: Vec<Met<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    Unknown,
}

impl Truth {
    fn of(holds: bool, sense: bool) -> Self {
        if holds == sense {
            Truth::Yes
        } else {
            Truth::No
        }
    }

    fn turned(self, sense: bool) -> Self {
        match (self, sense) {
            (Truth::Yes, false) => Truth::No,
            (Truth::No, false) => Truth::Yes,
            (same, _) => same,
        }
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(chains: &'a Chains, packets: &'a Packets<'a>) -> Self {
        Walk {
            chains,
            packets,
            marked: false,
            doubtful: Ranges::none(packets.family),
            met: Vec::new(),
        }
    }

    /// Sends the packets of these peers into a chain. Returns those that fall through at its end, without those that certainly
    /// matched a rule that ends the table.
    pub(super) fn enter(&mut self, chain: &str, peers: Ranges) -> Ranges {
        self.through(chain, peers, true, 0)
    }

    fn through(&mut self, chain: &str, mut live: Ranges, sure: bool, depth: usize) -> Ranges {
        let chains = self.chains;
        let Some((name, steps)) = chains.get_key_value(chain).filter(|_| depth < DEEPEST) else {
            return live;
        };
        let mut returned = Ranges::none(live.family());
        for step in steps {
            if live.is_empty() {
                break;
            }
            if matches!(step.act, Act::GoOn | Act::Elsewhere) {
                continue;
            }
            let Some((peers, truth)) = self.met_by(step, &live) else {
                continue;
            };
            let certain = truth == Truth::Yes;
            let sure_here = sure && certain && peers.and(&self.doubtful).is_empty();
            match &step.act {
                Act::Mark => self.marked = true,
                Act::Jump(to) | Act::Goto(to) => {
                    let back = self.through(to, peers.clone(), sure_here, depth + 1);
                    if certain {
                        live.remove(&peers);
                        if matches!(step.act, Act::Goto(_)) {
                            returned.add(&back);
                        } else {
                            live.add(&back);
                        }
                    }
                }
                Act::Return if certain => {
                    live.remove(&peers);
                    returned.add(&peers);
                }
                Act::Return => self.doubtful.add(&peers),
                act => {
                    if *act != Act::Untrack {
                        if certain {
                            live.remove(&peers);
                        } else {
                            self.doubtful.add(&peers);
                        }
                    }
                    self.met.push(Met {
                        chain: name,
                        step,
                        peers,
                        sure: sure_here,
                    });
                }
            }
        }
        live.add(&returned);
        live
    }

    /// Those of the peers whose packets meet the rule; `None` if none does.
    fn met_by(&self, step: &Step, live: &Ranges) -> Option<(Ranges, Truth)> {
        let mut truth = Truth::Yes;
        for test in &step.tests {
            match self.holds(test) {
                Some(Truth::No) => return None,
                Some(Truth::Unknown) => truth = Truth::Unknown,
                Some(Truth::Yes) | None => {}
            }
        }
        let mut peers: Option<Ranges> = None;
        for test in &step.tests {
            let (sense, ranges) = match test {
                Test::Source(sense, ranges) if self.packets.from_peer => (sense, ranges),
                Test::Destination(sense, ranges) if !self.packets.from_peer => (sense, ranges),
                _ => continue,
            };
            let before = peers.as_ref().unwrap_or(live);
            peers = Some(if *sense {
                before.and(ranges)
            } else {
                let mut left = before.clone();
                left.remove(ranges);
                left
            });
        }
        let peers = peers.unwrap_or_else(|| live.clone());
        (!peers.is_empty()).then_some((peers, truth))
    }

    /// Whether a condition holds for all the packets; `None` if it is about the peer.
    fn holds(&self, test: &Test) -> Option<Truth> {
        let packets = self.packets;
        Some(match test {
            Test::Family(family) => Truth::of(*family == packets.family, true),
            Test::Source(..) if packets.from_peer => return None,
            Test::Destination(..) if !packets.from_peer => return None,
            Test::Source(sense, ranges) | Test::Destination(sense, ranges) => match packets.near {
                Near::Container(address) => Truth::of(ranges.contains(address), *sense),
                Near::Node => packets.node.among(ranges).turned(*sense),
            },
            Test::In(sense, names) => device(&packets.input, names).turned(*sense),
            Test::Out(sense, names) => device(&packets.output, names).turned(*sense),
            Test::Protocol(sense, names) => match packets.protocol {
                None if names.iter().any(|name| is_ported(name)) => Truth::Unknown,
                // Rules about ICMP and similar protocols do not concern the services of a container.
                None => Truth::No.turned(*sense),
                Some(own) => Truth::of(names.iter().any(|name| protocol(name) == own), *sense),
            },
            Test::SourcePort(sense, ranges) => port(packets.source_port, ranges).turned(*sense),
            Test::DestinationPort(sense, ranges) => {
                port(packets.destination_port, ranges).turned(*sense)
            }
            Test::State(sense, states) => {
                let flow = if packets.reply {
                    CtState::Established
                } else {
                    CtState::New
                };
                let dnat = packets.rewritten && states.contains(&CtState::Dnat);
                Truth::of(dnat || states.contains(&flow), *sense)
            }
            Test::Local(sense) => match packets.near {
                Near::Node => Truth::of(packets.from_peer, *sense),
                Near::Container(_) => Truth::of(false, *sense),
            },
            Test::Marked if !self.marked => Truth::No,
            Test::Mark(sense, mark) if !self.marked && *sense == (mark.value != 0) => Truth::No,
            Test::Never => Truth::No,
            Test::Marked | Test::Mark(..) | Test::Unknown => Truth::Unknown,
        })
    }
}

/// Whether all of them are of the loopback device.
fn loopback(ranges: &Ranges) -> bool {
    ranges.first().is_some_and(|address| address.is_loopback())
}

/// Whether a protocol is one that carries the services of a container.
fn is_ported(name: &str) -> bool {
    matches!(protocol(name), "tcp" | "udp" | "sctp" | "udplite" | "dccp")
}

/// One name for each protocol that old versions print as a number (/etc/protocols).
fn protocol(name: &str) -> &str {
    match name {
        "6" => "tcp",
        "17" => "udp",
        "132" => "sctp",
        "1" => "icmp",
        "58" | "icmpv6" => "ipv6-icmp",
        other => other,
    }
}

fn port(at: At, ranges: &[(u16, u16)]) -> Truth {
    let (first, last) = match at {
        At::Port(port) => (port, port),
        At::Ephemeral => EPHEMERAL,
        At::Any => (1, u16::MAX),
    };
    if ranges
        .iter()
        .any(|(from, to)| *from <= first && last <= *to)
    {
        Truth::Yes
    } else if ranges
        .iter()
        .any(|(from, to)| *from <= last && first <= *to)
    {
        Truth::Unknown
    } else {
        Truth::No
    }
}

fn device(device: &Device, patterns: &[String]) -> Truth {
    let means = |name: &str| {
        patterns
            .iter()
            .any(|pattern| match pattern.strip_suffix(['+', '*']) {
                Some(beginning) => name.starts_with(beginning),
                None => name == pattern,
            })
    };
    match device {
        Device::None => Truth::No,
        Device::Bridge(name) => Truth::of(means(name), true),
        Device::Outside { names, bridges } => {
            if !names.is_empty() && names.iter().all(|name| means(name)) {
                Truth::Yes
            } else if names.iter().any(|name| means(name)) {
                Truth::Unknown
            } else if !names.is_empty() || means("lo") || bridges.iter().any(|b| means(b)) {
                Truth::No
            } else {
                Truth::Unknown
            }
        }
    }
}
