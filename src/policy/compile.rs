//! Policy → rules, one priority band per kind of rule, so the order never depends on the order of addition.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::Attachment;
use crate::model::Audit;
use crate::model::Cidr;
use crate::model::CtState;
use crate::model::Desired;
use crate::model::DesiredNetwork;
use crate::model::DirectRule;
use crate::model::Family;
use crate::model::Match;
use crate::model::Passage;
use crate::model::Peer;
use crate::model::RichRule;
use crate::model::Rule;
use crate::model::Sense;
use crate::model::Target;
use crate::model::Traffic;
use crate::model::ipset::IpSets;
use crate::model::peer::KnownPeer;
use crate::model::rich::RichSource;
use crate::policy::context::NodeContext;
use crate::policy::guard::guard;
use crate::policy::lint;
use crate::policy::names::default_bridge;
use crate::policy::names::tag;
use crate::role::FamilyPolicy;
use crate::role::Inbound;
use crate::role::InputErrors;
use crate::role::Located;
use crate::role::Otherwise;
use crate::role::Policy;
use crate::role::Way;

/// Replies of connections that were accepted before. First: without it the replies to whitelisted peers are refused.
pub const ESTABLISHED: i32 = 0;
/// Nothing leaves a bridge under an address that is not of its network: all other rules go by address, and a container may
/// write any (Docker gives it raw sockets).
pub const FORGED: i32 = 40;
/// Nothing passes from one managed network to another, however wide a peer's network is. Only made where one is that wide.
pub const BETWEEN: i32 = 50;
/// Inbound peers. Docker from 28 on, and a FORWARD policy of DROP, would drop what firewalld forwarded.
pub const INBOUND: i32 = 100;
/// Outbound peers.
pub const OUTBOUND: i32 = 200;
/// All other inbound traffic is refused, even to a port that was published by mistake.
pub const OTHERWISE_IN: i32 = 900;
/// All other outbound traffic is refused, whatever address a container gives itself.
pub const OTHERWISE_OUT: i32 = 1000;

/// Computes what the policies of one node require.
///
/// # Errors
/// Every contradiction that [`lint::check`] finds.
pub fn compile(policies: &[Policy], node: &NodeContext) -> Result<Desired, InputErrors> {
    lint::check(policies, node)?;
    Ok(compile_checked(policies, node))
}

/// The same for policies in which [`lint::check`] has found no contradiction.
pub fn compile_checked(policies: &[Policy], node: &NodeContext) -> Desired {
    let mut rules = Rules::default();
    let mut rich = Vec::new();
    for policy in policies {
        for side in policy.sides() {
            rules.add_established(side.family);
            rules.add_inbound(policy, side);
            rules.add_outbound(policy, side);
            if !policy.is_audit() {
                rules.add_otherwise(policy, side);
            }
            rules.add_between(policy, side, policies);
            rich.extend(rich_rules(policy, side));
        }
    }
    let networks = networks(policies);
    for network in &networks {
        rules.add_forged(policies, network);
    }
    // What two entries both ask for is asked for once.
    rich.sort();
    rich.dedup();
    Desired {
        zone: node.zone.as_ref().map(|zone| zone.value.clone()),
        guard: guard(policies, &networks),
        networks,
        attachments: attachments(policies),
        rules: rules.sorted(),
        rich,
        audits: audits(policies, node),
        known: known(policies),
        passage: Passage::default(),
        ipsets: node.ipsets,
        sets: IpSets::new(),
    }
}

fn audits(policies: &[Policy], node: &NodeContext) -> Vec<Audit> {
    let audited = policies.iter().filter(|policy| policy.is_audit());
    audited
        .map(|policy| {
            let until = policy.until.as_ref().map(|until| until.value);
            Audit {
                role: policy.role.value.clone(),
                until,
                is_over: until.is_some_and(|last| node.today > last),
            }
        })
        .collect()
}

fn known(policies: &[Policy]) -> Vec<KnownPeer> {
    let known = policies.iter().flat_map(|policy| policy.known.clone());
    let known: BTreeSet<KnownPeer> = known.collect();
    known.into_iter().collect()
}

/// As many conditions has the longest of our rules.
const CONDITIONS: usize = 5;

/// What the policy does with a packet that is on no list.
fn target(otherwise: Otherwise) -> Target {
    match otherwise {
        Otherwise::Reject => Target::Reject(None),
        Otherwise::Drop => Target::Drop,
    }
}

/// `-s` or `-d`, or nothing where every address is meant: iptables takes `0.0.0.0/0` and never prints it back.
fn net(make: fn(Sense, Cidr) -> Match, net: Cidr) -> Option<Match> {
    (!net.is_everything()).then(|| make(Sense::Is, net))
}

/// The conditions on the protocol and the destination port.
fn carried(traffic: Traffic, family: Family) -> impl Iterator<Item = Match> {
    let protocol = traffic.protocol(family).to_string();
    let port = traffic.service().map(|service| {
        let (first, last) = (service.ports.first().get(), service.ports.last().get());
        Match::DestinationPort(Sense::Is, first, last)
    });
    std::iter::once(Match::Protocol(Sense::Is, protocol)).chain(port)
}

/// The peers of one family.
fn peers_of(peers: &[Located<Peer>], family: Family) -> impl Iterator<Item = Peer> + '_ {
    peers
        .iter()
        .map(|peer| peer.value)
        .filter(move |peer| peer.net.family() == family)
}

/// Rules by place and meaning, each with its tag.
#[derive(Default)]
struct Rules(Vec<((Family, i32, Rule), String)>);

impl Rules {
    fn add(&mut self, family: Family, priority: i32, rule: Rule, tag: String) {
        self.0.push(((family, priority, rule), tag));
    }

    fn add_established(&mut self, family: Family) {
        let states = BTreeSet::from([CtState::Related, CtState::Established]);
        let rule = Rule::new([Match::State(Sense::Is, states)], Target::Accept);
        self.add(family, ESTABLISHED, rule, tag("node", "established"));
    }

    fn add_inbound(&mut self, policy: &Policy, side: FamilyPolicy) {
        let Some(container) = side.container.map(Cidr::host) else {
            return;
        };
        for entry in &policy.inbound {
            let parts = entry.container_traffic();
            let tag = tag(&policy.role.value, &entry.what.value);
            for peer in peers_of(&entry.from, side.family) {
                for part in &parts {
                    let mut matches = Vec::with_capacity(CONDITIONS);
                    matches.push(Match::Destination(Sense::Is, container));
                    matches.extend(net(Match::Source, peer.net));
                    if let Some(to) = part {
                        matches.extend(carried(*to, side.family));
                    }
                    if part.and_then(Traffic::service).is_some() {
                        // The container's port: a packet passes here after its destination was rewritten. And only such
                        // a packet: a host that routes to the container's address directly was not let in by firewalld.
                        matches.push(Match::State(Sense::Is, BTreeSet::from([CtState::Dnat])));
                    }
                    let rule = Rule::new(matches, Target::Accept);
                    self.add(side.family, INBOUND, rule, tag.clone());
                }
            }
        }
    }

    fn add_outbound(&mut self, policy: &Policy, side: FamilyPolicy) {
        let Some(container) = side.container.map(Cidr::host) else {
            return;
        };
        for entry in &policy.outbound {
            let tag = tag(&policy.role.value, &entry.what.value);
            for peer in peers_of(&entry.to, side.family) {
                for part in entry.traffic_of(peer) {
                    let mut matches = Vec::with_capacity(CONDITIONS);
                    matches.push(Match::Source(Sense::Is, container));
                    matches.extend(net(Match::Destination, peer.net));
                    // No source port, ever: cybex dials from its listening port, others from any.
                    let at = part.map(|part| carried(part, side.family));
                    matches.extend(at.into_iter().flatten());
                    let rule = Rule::new(matches, Target::Accept);
                    self.add(side.family, OUTBOUND, rule, tag.clone());
                }
            }
        }
    }

    fn add_otherwise(&mut self, policy: &Policy, side: FamilyPolicy) {
        // Addresses, not the bridge device: they apply whatever the device is called, and before it exists.
        let into = [
            Match::Destination(Sense::Is, side.covered),
            Match::Source(Sense::Not, side.subnet),
        ];
        let out = [
            Match::Source(Sense::Is, side.covered),
            Match::Destination(Sense::Not, side.subnet),
        ];
        let target = target(policy.otherwise.value);
        let role = &policy.role.value;
        self.add(
            side.family,
            OTHERWISE_IN,
            Rule::new(into, target.clone()),
            tag(role, "otherwise-in"),
        );
        self.add(
            side.family,
            OTHERWISE_OUT,
            Rule::new(out, target),
            tag(role, "otherwise-out"),
        );
    }

    /// Refuses packets that leave the network with a source address of another. The sender cannot be informed, so they are dropped.
    fn add_forged(&mut self, policies: &[Policy], network: &DesiredNetwork) {
        let Some(policy) = policies
            .iter()
            .find(|policy| policy.network.name.value == network.name)
        else {
            return;
        };
        for subnet in network.subnets() {
            let family = subnet.family();
            let matches = vec![
                Match::In(Sense::Is, network.bridge.clone()),
                Match::Out(Sense::Not, network.bridge.clone()),
                Match::Source(Sense::Not, subnet),
            ];
            let mut add = |matches| {
                let rule = Rule::new(matches, Target::Drop);
                self.add(family, FORGED, rule, tag(&policy.role.value, "forged"));
            };
            if !policy.is_audit() {
                add(matches);
                continue;
            }
            // What is in audit refuses nothing, and does not open the networks that are enforced.
            let enforced = policies.iter().filter(|other| !other.is_audit());
            for side in enforced.filter_map(|other| other.side(family)) {
                let into = Match::Destination(Sense::Is, side.covered);
                add([matches.clone(), vec![into]].concat());
            }
        }
    }

    /// Closes what a wide peer such as `0.0.0.0/0` would open between two managed networks: a packet from one to the
    /// other leaves the first and enters the second, and an accept for the one half is none for the other.
    fn add_between(&mut self, policy: &Policy, side: FamilyPolicy, all: &[Policy]) {
        for other in all {
            let Some(there) = other
                .side(side.family)
                .filter(|there| there.subnet != side.subnet)
                .filter(|_| !(policy.is_audit() && other.is_audit()))
            else {
                continue;
            };
            let goes = policy
                .outbound
                .iter()
                .flat_map(|entry| peers_of(&entry.to, side.family))
                .any(|peer| peer.net.overlaps(there.covered));
            let comes = other
                .inbound
                .iter()
                .flat_map(|entry| peers_of(&entry.from, side.family))
                .any(|peer| peer.net.overlaps(side.covered));
            if goes || comes {
                let matches = [
                    Match::Source(Sense::Is, side.covered),
                    Match::Destination(Sense::Is, there.covered),
                ];
                let rule = Rule::new(matches, target(policy.otherwise.value));
                self.add(
                    side.family,
                    BETWEEN,
                    rule,
                    tag(&policy.role.value, "between"),
                );
            }
        }
    }

    /// In order. What two entries both ask for is asked for once, in the words of the first.
    fn sorted(mut self) -> Vec<DirectRule> {
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.0.dedup_by(|(later, _), (first, _)| later == first);
        self.0
            .into_iter()
            .map(|((family, priority, rule), tag)| {
                DirectRule::ours(family, priority, rule.with_comment(tag))
            })
            .collect()
    }
}

/// The rich rules of one policy in one family.
fn rich_rules(policy: &Policy, side: FamilyPolicy) -> Vec<RichRule> {
    let Some(container) = side.container else {
        return Vec::new();
    };
    let of_entry = |entry: &Inbound| -> Vec<RichRule> {
        let ways = entry.ways();
        let of_peer = |peer: Peer| -> Vec<RichRule> {
            let source = (!peer.net.is_everything()).then_some(RichSource::Net(peer.net));
            let Some(ways) = &ways else {
                return vec![RichRule::Accept {
                    family: side.family,
                    source,
                    destination: Some(Cidr::host(container)),
                }];
            };
            let forward = |way: &Way| {
                // firewalld forwards ports only. ICMP comes to the container's own address, by the rule in DOCKER-USER.
                let (service, to) = (way.node.service()?, way.container.service()?);
                Some(RichRule::Forward {
                    family: side.family,
                    source: source.clone(),
                    service,
                    to_ports: to.ports,
                    to: container,
                })
            };
            ways.iter().filter_map(forward).collect()
        };
        peers_of(&entry.from, side.family)
            .flat_map(of_peer)
            .collect()
    };
    policy.inbound.iter().flat_map(of_entry).collect()
}

/// The networks by name; a setting that only one of the roles on a network has applies to all of them.
fn networks(policies: &[Policy]) -> Vec<DesiredNetwork> {
    let mut networks: BTreeMap<&str, DesiredNetwork> = BTreeMap::new();
    for policy in policies {
        let said = &policy.network;
        let network = networks
            .entry(&said.name.value)
            .or_insert_with(|| DesiredNetwork {
                name: said.name.value.clone(),
                subnet: said.subnet.value,
                gateway: None,
                subnet6: None,
                bridge: default_bridge(&said.name.value),
            });
        if let Some(gateway) = &said.gateway {
            network.gateway = Some(gateway.value);
        }
        if let Some(bridge) = &said.bridge {
            network.bridge.clone_from(&bridge.value);
        }
        if let Some(subnet6) = &said.subnet6 {
            network.subnet6 = Some(subnet6.value);
        }
    }
    networks.into_values().collect()
}

fn attachments(policies: &[Policy]) -> Vec<Attachment> {
    let mut attachments: Vec<Attachment> = policies
        .iter()
        .map(|policy| Attachment {
            role: policy.role.value.clone(),
            container: policy.container.name.value.clone(),
            network: policy.network.name.value.clone(),
            address: policy.container.address.value,
            address6: policy.container.address6.as_ref().map(|a| a.value),
        })
        .collect();
    attachments.sort_by(|a, b| (&a.network, &a.container).cmp(&(&b.network, &b.container)));
    attachments
}
