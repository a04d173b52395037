//! What the tables of the kernel do with the flows of the whitelist: which rules refuse them, redirect them, or exempt
//! them from connection tracking.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::edge::Direction;
use super::flows::Flows;
use super::flows::Leg;
use super::walk::Met;
use super::walk::Walk;
use super::world::Base;
use super::world::DSTNAT;
use super::world::FIREWALLD;
use super::world::Owner;
use super::world::World;
use crate::model::net::Family;
use crate::model::ranges::Ranges;
use crate::model::rule::split_saved;
use crate::model::state::Firewalld;
use crate::model::state::View;
use crate::model::step::Act;
use crate::model::step::Test;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::finding::command;
use crate::plan::severity::Severity;

/// What a rule does to flows that the whitelist allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Harm {
    /// It refuses them.
    Refuses,
    /// It sends them to another destination.
    Elsewhere(Option<(IpAddr, Option<u16>)>),
    /// No flow is made of them.
    Untracks,
    /// It ends the table before their source is rewritten.
    Unmasks,
    /// It refuses packets to the container's own address.
    Portless,
}

/// A foreign rule, regardless of the number of flows that match it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Culprit {
    owner: Owner,
    family: Option<Family>,
    table: String,
    chain: String,
    rule: String,
    harm: Harm,
}

/// What is reported about it: the first flows that match it, and whether that is certain.
struct Told {
    whom: String,
    sure: bool,
    port: Option<u16>,
}

/// Follows every flow. Returns the findings, and the containers that get the packets of a whitelisted one.
pub(super) fn findings<'a>(
    flows: &[Flows],
    world: &World<'a>,
) -> (Vec<Finding>, BTreeSet<&'a str>) {
    let mut culprits: BTreeMap<Culprit, Told> = BTreeMap::new();
    for group in flows {
        for half in group.legs(world).chunks(3) {
            follow(group, half, world, &mut culprits);
        }
    }
    let elsewhere = culprits.keys().filter_map(|culprit| match culprit.harm {
        Harm::Elsewhere(Some((address, _))) => world.container_at(address),
        _ => None,
    });
    let found = culprits.iter();
    let found = found.map(|(culprit, told)| finding(culprit, told, world));
    (found.collect(), elsewhere.collect())
}

/// Follows the packets of one direction from hook to hook.
fn follow(group: &Flows, legs: &[Leg], world: &World, culprits: &mut BTreeMap<Culprit, Told>) {
    let portless = group.direction == Direction::In && group.node_port.is_none();
    let mut live = group.peers.clone();
    let nftables = world
        .state
        .firewalld
        .known()
        .is_some_and(Firewalld::is_nftables);
    for leg in legs {
        let mut rewritten = Ranges::none(group.family);
        for base in world.at(leg.hook, group.family) {
            let nat = base.hook.kind == "nat";
            let judged = match base.owner {
                // Whether firewalld accepts what it forwards is checked with the zones.
                Owner::Firewalld if nat => leg.hook == "prerouting" && group.node_port.is_some(),
                Owner::Firewalld => {
                    portless && nftables && leg.hook == "forward" && !leg.packets.reply
                }
                Owner::Other => !nat,
                Owner::Ours => false,
                // Whether its last rule lets in what is forwarded is checked with the networks.
                Owner::Docker if leg.hook == "forward" => false,
                Owner::Docker | Owner::Nft if nat => {
                    base.hook.priority < if nftables { FIREWALLD.1 } else { DSTNAT }
                }
                Owner::Iptables | Owner::Docker | Owner::Nft => true,
            };
            // Answers are rewritten back by the flow that they belong to.
            if !judged || (nat && leg.packets.reply) || live.is_empty() {
                continue;
            }
            if nat && leg.hook == "postrouting" {
                if group.direction == Direction::Out && base.owner == Owner::Iptables {
                    unmasked(group, leg, base, world, &live, culprits);
                }
                continue;
            }
            let mut fresh = live.clone();
            if nat {
                fresh.remove(&rewritten);
            }
            let mut walk = Walk::new(&world.tables[base.chains], &leg.packets);
            let through = walk.enter(&base.chain, fresh);
            for met in &walk.met {
                let Some(harm) = harm(met, group, leg, base, portless) else {
                    if nat && met.sure {
                        rewritten.add(&met.peers);
                    }
                    continue;
                };
                if met.sure && matches!(harm, Harm::Refuses | Harm::Elsewhere(_) | Harm::Portless) {
                    live.remove(&met.peers);
                }
                tell(
                    culprits,
                    base,
                    met.chain,
                    &met.step.text,
                    harm,
                    group,
                    &met.peers,
                    met.sure,
                );
            }
            if base.hook.drops && !nat && !through.is_empty() {
                live.remove(&through);
                tell(
                    culprits,
                    base,
                    &base.chain,
                    "",
                    Harm::Refuses,
                    group,
                    &through,
                    true,
                );
            }
        }
    }
}

/// What a rule that was met does to them; `None` is nothing that hurts.
fn harm(met: &Met, group: &Flows, leg: &Leg, base: &Base, portless: bool) -> Option<Harm> {
    match &met.step.act {
        // What Docker drops, and what firewalld refuses, because it was sent to the container's own address.
        Act::Refuse if base.owner == Owner::Firewalld => Some(Harm::Portless),
        Act::Refuse if portless && base.owner == Owner::Docker => Some(Harm::Portless),
        Act::Refuse if portless && is_dockers(&met.step.tests, group) => Some(Harm::Portless),
        Act::Refuse => Some(Harm::Refuses),
        Act::Untrack => Some(Harm::Untracks),
        Act::Dnat(Some((address, port))) => {
            let wanted = group.port.is_none() || port.is_none_or(|port| Some(port) == group.port);
            // To the same port, where the rule names none.
            let same = port.is_some() || group.node_port.is_none_or(|own| Some(own) == group.port);
            let right = *address == group.container && wanted && same;
            let rightly = group.direction == Direction::In && right;
            (!rightly).then_some(Harm::Elsewhere(Some((*address, *port))))
        }
        Act::Dnat(None) | Act::Redirect => Some(Harm::Elsewhere(None)),
        // firewalld's own forward is later in the same table of iptables.
        Act::Accept if base.hook.kind == "nat" && leg.hook == "prerouting" => None,
        _ => None,
    }
}

/// `-d CONTAINER ! -i BRIDGE -j DROP`, as Docker from 28 on has it in table raw.
fn is_dockers(tests: &[Test], group: &Flows) -> bool {
    let one = |test: &Test| match test {
        Test::Destination(true, ranges) => ranges.is_one() && ranges.contains(group.container),
        Test::In(false, _) => true,
        _ => false,
    };
    tests.len() == 2 && tests.iter().all(one)
}

/// A packet that leaves table nat before Docker's MASQUERADE keeps an address that cannot be answered.
fn unmasked(
    group: &Flows,
    leg: &Leg,
    base: &Base,
    world: &World,
    live: &Ranges,
    culprits: &mut BTreeMap<Culprit, Told>,
) {
    let mut walk = Walk::new(&world.tables[base.chains], &leg.packets);
    walk.enter(&base.chain, live.clone());
    for met in walk
        .met
        .iter()
        .filter(|met| met.step.act == Act::Accept && met.sure)
    {
        tell(
            culprits,
            base,
            met.chain,
            &met.step.text,
            Harm::Unmasks,
            group,
            &met.peers,
            true,
        );
    }
}

#[allow(clippy::too_many_arguments)] // One place that puts them together.
fn tell(
    culprits: &mut BTreeMap<Culprit, Told>,
    base: &Base,
    chain: &str,
    rule: &str,
    harm: Harm,
    group: &Flows,
    peers: &Ranges,
    sure: bool,
) {
    let culprit = Culprit {
        owner: base.owner,
        family: base.family,
        table: base.table.clone(),
        chain: chain.to_string(),
        rule: rule.to_string(),
        harm,
    };
    let told = culprits.entry(culprit).or_insert_with(|| Told {
        whom: group.named(peers),
        sure,
        port: group.node_port,
    });
    if sure && !told.sure {
        told.sure = true;
        told.whom = group.named(peers);
    }
}

fn finding(culprit: &Culprit, told: &Told, world: &World) -> Finding {
    let Culprit {
        table, chain, rule, ..
    } = culprit;
    let family = match culprit.family {
        Some(Family::V6) => "IPv6 ",
        _ => "",
    };
    let place = match (culprit.owner, table.as_str()) {
        (Owner::Iptables, "filter") if rule.is_empty() => {
            format!("the policy of {family}`{chain}`")
        }
        _ if rule.is_empty() => format!("the policy of {family}`{chain}` in table {table}"),
        (Owner::Iptables, "filter") => format!("{family}`{chain} {rule}`"),
        (Owner::Iptables | Owner::Other, _) => format!("{family}`{chain} {rule}` in table {table}"),
        (Owner::Nft | Owner::Docker | Owner::Firewalld | Owner::Ours, _) => {
            format!("{table}, chain `{chain}`, {rule},")
        }
    };
    let whom = &told.whom;
    let found = |code, text| Finding::new(code, View::Kernel, text);
    let (does, may) = if told.sure {
        ("", "")
    } else {
        ("may ", ", as far as its conditions can be judged")
    };
    let found = match culprit.harm {
        // A set that cannot be read may well contain a peer; a warning would be repeated forever.
        Harm::Refuses if !told.sure && rule.contains("--match-set") => Finding::with_severity(
            Severity::Note,
            FindingCode::ForeignDrop,
            View::Kernel,
            format!(
                "{place} refuses the entries of a set, and it is not known whether {whom} is in it: the set could not be read"
            ),
        ),
        Harm::Refuses => {
            let verb = if told.sure { "refuses" } else { "refuse" };
            Finding::with_severity(
                Severity::Warning,
                FindingCode::ForeignDrop,
                View::Kernel,
                format!(
                    "{place} is not managed by fwdeploy and {does}{verb} what is on the whitelist: {whom}{may}"
                ),
            )
        }
        Harm::Untracks => found(
            FindingCode::Untracked,
            format!(
                "{place} takes {whom} out of connection tracking: it is not forwarded, and its answers are refused"
            ),
        ),
        Harm::Unmasks => found(
            FindingCode::NoMasquerade,
            format!("{place} is ahead of Docker's MASQUERADE: {whom} cannot answer the container"),
        ),
        Harm::Elsewhere(to) => {
            let to = match to {
                Some((address, port)) => {
                    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                    let name = world.container_at(address);
                    let name = name
                        .map(|name| format!(" (container `{name}`)"))
                        .unwrap_or_default();
                    format!("{}{port}{name}", bracketed(address))
                }
                None => "the node itself".to_string(),
            };
            let port = told
                .port
                .map(|port| format!(" at port {port} of the node"))
                .unwrap_or_default();
            let verb = if told.sure { "sends" } else { "send" };
            found(
                FindingCode::ForwardTaken,
                format!(
                    "{place} {does}{verb} {whom}{port} to {to}, and not where the whitelist says"
                ),
            )
        }
        Harm::Portless => return portless(culprit, whom),
    };
    match remedy(culprit, world) {
        Some(hint) => found.hint(hint),
        None => found,
    }
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// What to do about it, if the rule is not needed.
fn remedy(culprit: &Culprit, world: &World) -> Option<String> {
    if let Harm::Elsewhere(Some((address, _))) = culprit.harm
        && let Some(name) = world.container_at(address)
        && world
            .desired
            .attachments
            .iter()
            .all(|a| a.container != name)
    {
        return Some(format!(
            "let container `{name}` publish another port, or forward another one to the whitelisted container"
        ));
    }
    match culprit.owner {
        Owner::Iptables if !culprit.rule.is_empty() => {
            let mut words = vec![culprit.family?.iptables().to_string()];
            if culprit.table != "filter" {
                words.extend(["-t".to_string(), culprit.table.clone()]);
            }
            words.extend(["-D".to_string(), culprit.chain.clone()]);
            words.extend(split_saved(&culprit.rule)?);
            Some(format!("if it is not needed: {}", command(words)))
        }
        Owner::Firewalld => Some(
            "`firewall-cmd --list-all-zones` shows the forwards; remove the one that is not needed"
                .to_string(),
        ),
        Owner::Iptables if culprit.table == "filter" && world.desired.passage.is_docker_nft() => {
            let program = culprit.family?.iptables();
            Some(format!(
                "Docker's iptables backend has left this policy, until the next boot: {program} -P FORWARD ACCEPT"
            ))
        }
        Owner::Nft | Owner::Docker => {
            let mut words = culprit.table.split(' ').skip(2);
            let (family, table) = (words.next()?, words.next()?);
            Some(format!(
                "see: {}",
                command(["nft", "-a", "list", "table", family, table])
            ))
        }
        Owner::Iptables | Owner::Other | Owner::Ours => None,
    }
}

/// A peer of an entry without a port must address the container itself, which Docker and firewalld refuse by default.
fn portless(culprit: &Culprit, whom: &str) -> Finding {
    let (who, helps) = match culprit.owner {
        Owner::Firewalld => (
            format!("firewalld (chain `{}`)", culprit.chain),
            "or let firewalld forward it: a policy with target ACCEPT from the peer's zone to the zone of the bridge",
        ),
        _ => (
            format!(
                "Docker (`{} {}` in table {})",
                culprit.chain, culprit.rule, culprit.table
            ),
            "or recreate the network with -o com.docker.network.bridge.trusted_host_interfaces=DEVICE, or set \"allow-direct-routing\": true in daemon.json (Docker 28.2 and later)",
        ),
    };
    Finding::new(
        FindingCode::PortlessRefused,
        View::Kernel,
        format!("{whom} has no port, so the peer must send to the container's own address, and {who} refuses that"),
    )
    .hint(format!("give the entry a port, so that a port of the node is forwarded; {helps}"))
}
