//! What blocks whitelisted peers although all rules of fwdeploy are in place: it is reported, and not changed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::net::PortRange;
use crate::model::rich::RichRule;
use crate::model::rich::RichSource;
use crate::model::rule::Match;
use crate::model::rule::Rule;
use crate::model::rule::Sense;
use crate::model::rule::Target;
use crate::model::state::Docker;
use crate::model::state::Firewalld;
use crate::model::state::Network;
use crate::model::state::NodeState;
use crate::model::state::RichText;
use crate::model::state::Tables;
use crate::model::state::View;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::passage;

/// Everything of the kind on this node.
pub(super) fn troubles(desired: &Desired, state: &NodeState) -> Vec<Finding> {
    let mut out = Vec::new();
    if let (Some(firewalld), Some(docker)) = (state.firewalld.known(), state.docker.known()) {
        out.extend(unzoned(desired, firewalld, docker));
    }
    if let (Some(docker), Some(tables)) = (state.docker.known(), state.kernel.v4.known()) {
        out.extend(if passage::is_docker_nft(docker) {
            let masks = |network: &Network, _| passage::masquerades(state, &network.bridge);
            unmasked(desired, docker, masks)
        } else {
            masked_by_iptables(desired, docker, tables)
        });
    }
    if let (Some(firewalld), Some(rich)) = (state.firewalld.known(), state.runtime.rich.known())
        && firewalld.backend == "iptables"
    {
        out.extend(unforwarded(desired, rich, state));
    }
    out
}

/// The desired networks that exist.
fn there<'a>(desired: &'a Desired, docker: &'a Docker) -> impl Iterator<Item = &'a Network> {
    desired
        .networks
        .iter()
        .filter_map(|wanted| docker.network(&wanted.name))
}

/// firewalld's nftables backend rejects what a bridge sends that is in no zone of its own, because the default zone is meant for
/// external hosts. Docker puts its bridges in zone `docker`, unless it lost the race for it at boot (moby#53346).
fn unzoned(desired: &Desired, firewalld: &Firewalld, docker: &Docker) -> Vec<Finding> {
    if firewalld.backend != "nftables" {
        return Vec::new();
    }
    let zoned = |bridge: &String| {
        firewalld
            .active_zones
            .values()
            .any(|list| list.contains(bridge))
    };
    there(desired, docker)
        .filter(|network| !network.bridge.is_empty() && !zoned(&network.bridge))
        .map(|network| {
            let bridge = &network.bridge;
            Finding::new(
                FindingCode::BridgeUnzoned,
                View::Runtime,
                format!("bridge `{bridge}` of network `{}` is in no zone, so firewalld rejects what its containers send, even to a peer", network.name),
            )
            .hint(format!("firewall-cmd --zone=docker --add-interface={bridge}; restarting Docker does the same"))
        })
        .collect()
}

/// Without it a container's packets leave with an address that cannot be answered.
fn masked_by_iptables(desired: &Desired, docker: &Docker, tables: &Tables) -> Vec<Finding> {
    let Some(chain) = tables.chain("nat", "POSTROUTING") else {
        return Vec::new();
    };
    unmasked(desired, docker, |_, subnet| {
        chain.rules.iter().any(|line| match &line.rule {
            None => true,
            Some(rule) => match &rule.target {
                Target::Jump(name, _) if name == "MASQUERADE" || name == "SNAT" => {
                    rule.matches().all(|condition| match condition {
                        Match::Source(sense, net) => (*sense == Sense::Is) == net.overlaps(subnet),
                        _ => true,
                    })
                }
                _ => false,
            },
        })
    })
}

fn unmasked(
    desired: &Desired,
    docker: &Docker,
    masks: impl Fn(&Network, Cidr) -> bool,
) -> Vec<Finding> {
    let wants = |network: &&Network| {
        let option = "com.docker.network.bridge.enable_ip_masquerade";
        network.options.get(option).map(String::as_str) != Some("false")
    };
    there(desired, docker)
        .filter(wants)
        .flat_map(|network| network.subnets.iter().map(move |subnet| (network, *subnet)))
        .filter(|(network, subnet)| subnet.family() == Family::V4 && !masks(network, *subnet))
        .map(|(network, subnet)| unmasked_subnet(network, subnet))
        .collect()
}

/// Docker does not masquerade a network that is `routed`, and restarting it changes nothing.
fn unmasked_subnet(network: &Network, subnet: Cidr) -> Finding {
    let mode = network
        .options
        .get("com.docker.network.bridge.gateway_mode_ipv4");
    let name = &network.name;
    match mode.map(String::as_str) {
        Some(mode @ ("routed" | "isolated")) => Finding::new(
            FindingCode::NoMasquerade,
            View::Kernel,
            format!("network `{name}` is {mode}, so Docker does not masquerade {subnet}: only a peer that has a route to it can answer its containers"),
        )
        .hint(format!("give the peers a route to {subnet} via this node, or recreate the network without gateway_mode_ipv4={mode}")),
        _ => Finding::new(
            FindingCode::NoMasquerade,
            View::Kernel,
            format!("Docker's MASQUERADE for {subnet} of network `{name}` is missing, so no peer can answer its containers"),
        )
        .hint("restart Docker; if masquerading is done elsewhere on purpose, recreate the network with enable_ip_masquerade=false"),
    }
}

/// firewalld's iptables backend forwards in table nat, which can be read. What its memory holds but the kernel does
/// not was removed by another program.
fn unforwarded(desired: &Desired, memory: &[RichText], state: &NodeState) -> Vec<Finding> {
    let believed: BTreeSet<&RichRule> = memory.iter().map(|r| &r.rule).collect();
    let nat = |family| state.kernel.tables(family).known().map(Forwards::of);
    let (v4, v6) = (nat(Family::V4), nat(Family::V6));
    let missing = desired.rich.iter().filter(|rule| {
        let RichRule::Forward {
            family,
            source,
            service,
            to_ports,
            to,
        } = rule
        else {
            return false;
        };
        let nat = match family {
            Family::V4 => &v4,
            Family::V6 => &v6,
        };
        nat.as_ref().is_some_and(|nat| {
            believed.contains(rule) && !nat.has(source.as_ref(), service.ports, *to, *to_ports)
        })
    });
    missing
        .map(|rule| {
            Finding::new(
                FindingCode::ForwardLost,
                View::Kernel,
                format!("firewalld has `{rule}`, but the kernel does not forward it: another program changed table nat"),
            )
            .hint("firewall-cmd --reload, then run again")
        })
        .collect()
}

/// The forwards of table nat by where they lead, then by the network that they are for: one question for each of thousands.
struct Forwards<'a> {
    to: BTreeMap<&'a str, BTreeMap<Option<RichSource>, Vec<&'a Rule>>>,
    /// Whether there is a line that cannot be read, which may forward anything.
    unread: bool,
}

impl<'a> Forwards<'a> {
    fn of(tables: &'a Tables) -> Self {
        let mut forwards = Forwards {
            to: BTreeMap::new(),
            unread: false,
        };
        let chains = tables.tables.get("nat").into_iter().flatten();
        for line in chains.flat_map(|(_, chain)| &chain.rules) {
            let Some(rule) = &line.rule else {
                forwards.unread = true;
                continue;
            };
            let Target::Jump(name, args) = &rule.target else {
                continue;
            };
            if let (true, Some(place)) = (name == "DNAT", args.last()) {
                let source = rule.matches().find_map(|m| match m {
                    Match::Source(Sense::Is, net) => Some(RichSource::Net(*net)),
                    other => match other.as_set() {
                        Some((name, "src")) => Some(RichSource::Set(name.to_string())),
                        _ => None,
                    },
                });
                let sources = forwards.to.entry(place).or_default();
                sources.entry(source).or_default().push(rule);
            }
        }
        forwards
    }

    /// Whether packets from `source` (`None` is any address) to these ports of the node are forwarded to that address and these ports.
    fn has(
        &self,
        source: Option<&RichSource>,
        ports: PortRange,
        to: IpAddr,
        to_ports: PortRange,
    ) -> bool {
        let places = match to {
            IpAddr::V4(to) => [format!("{to}:{to_ports}"), to.to_string()],
            IpAddr::V6(to) => [format!("[{to}]:{to_ports}"), to.to_string()],
        };
        // Those for a network hold the peer if the network does.
        let holders: Vec<RichSource> = match source {
            Some(RichSource::Net(peer)) => (0..=peer.prefix())
                .filter_map(|prefix| Cidr::around(peer.address(), prefix))
                .map(RichSource::Net)
                .collect(),
            set => set.cloned().into_iter().collect(),
        };
        let holders: Vec<Option<RichSource>> =
            holders.into_iter().map(Some).chain([None]).collect();
        let there = places
            .iter()
            .filter_map(|place| self.to.get(place.as_str()));
        self.unread
            || there
                .flat_map(|sources| holders.iter().filter_map(|holder| sources.get(holder)))
                .flatten()
                .any(|rule| is_for(rule, source, ports))
    }
}

/// Whether a rule of table nat is about what comes from there to those ports.
fn is_for(rule: &Rule, source: Option<&RichSource>, ports: PortRange) -> bool {
    rule.matches().all(|m| match m {
        Match::Source(Sense::Is, net) => source
            .and_then(RichSource::net)
            .is_some_and(|source| net.covers(source)),
        Match::DestinationPort(Sense::Is, first, last) => {
            *first <= ports.first().get() && ports.last().get() <= *last
        }
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::net::Port;
    use crate::model::node_builder::cybex_network;
    use crate::model::state::Chain;
    use crate::model::state::KernelRule;

    fn desired() -> Desired {
        Desired {
            networks: vec![cybex_network()],
            ..Desired::default()
        }
    }

    fn tables(table: &str, chains: &[(&str, &[&str])]) -> Tables {
        let chains = chains.iter().map(|(name, lines)| {
            let rules = lines.iter().map(|line| KernelRule::new(*line)).collect();
            (
                name.to_string(),
                Chain {
                    policy: None,
                    rules,
                },
            )
        });
        Tables {
            tables: BTreeMap::from([(table.to_string(), chains.collect())]),
            ..Tables::default()
        }
    }

    #[test]
    fn a_lost_masquerade_is_said() {
        let docker = Docker {
            networks: vec![Network {
                name: "cybex".into(),
                subnets: vec!["172.20.0.0/16".parse().unwrap()],
                ..Network::default()
            }],
            ..Docker::default()
        };
        for (line, says) in [
            ("-s 172.20.0.0/16 ! -o br-cybex -j MASQUERADE", 0),
            ("-o eth0 -j SNAT --to-source 192.0.2.1", 0),
            ("-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", 1),
        ] {
            let seen = tables("nat", &[("POSTROUTING", &[line])]);
            assert_eq!(
                masked_by_iptables(&desired(), &docker, &seen).len(),
                says,
                "{line}"
            );
        }
    }

    #[test]
    fn a_forward_is_known_by_where_it_leads() {
        let seen = tables(
            "nat",
            &[(
                "PRE_public_allow",
                &[
                    "-s 192.0.2.7/32 -p tcp -m tcp --dport 5000 -j DNAT --to-destination 172.20.0.2:5001",
                    "-s 198.51.100.0/24 -p tcp -m tcp --dport 5000 -j DNAT --to-destination 172.20.0.2",
                    "-p tcp -m tcp --dport 6000:6010 -j DNAT --to-destination 172.20.0.2:6000",
                ],
            )],
        );
        let forwards = Forwards::of(&seen);
        let to = "172.20.0.2".parse().unwrap();
        let peer = |text: &str| Some(RichSource::Net(text.parse().unwrap()));
        let at = |port: u16| PortRange::from(Port::new(port).unwrap());
        assert!(forwards.has(peer("192.0.2.7").as_ref(), at(5000), to, at(5001)));
        assert!(!forwards.has(peer("192.0.2.8").as_ref(), at(5000), to, at(5001)));
        assert!(!forwards.has(None, at(5000), to, at(5001)));
        assert!(!forwards.has(peer("192.0.2.7").as_ref(), at(5001), to, at(5001)));
        assert!(!forwards.has(peer("192.0.2.7").as_ref(), at(5000), to, at(5000)));
        assert!(forwards.has(peer("198.51.100.8").as_ref(), at(5000), to, at(5000)));
        assert!(forwards.has(peer("203.0.113.9").as_ref(), at(6001), to, at(6000)));
        assert!(forwards.has(None, at(6001), to, at(6000)));
        assert!(!forwards.has(None, at(6011), to, at(6000)));
        let unread = tables("nat", &[("PREROUTING", &["-s nowhere -j DNAT"])]);
        assert!(Forwards::of(&unread).has(None, at(1), to, at(1)));
    }

    #[test]
    fn nobody_is_told_to_restart_docker_for_a_network_that_is_routed() {
        let said = |mode: &str| {
            let mut network = Network {
                name: "cybex".to_string(),
                ..Network::default()
            };
            let option = "com.docker.network.bridge.gateway_mode_ipv4".to_string();
            network.options.insert(option, mode.to_string());
            let finding = unmasked_subnet(&network, "172.20.0.0/16".parse().unwrap());
            finding.hint.unwrap()
        };
        assert!(said("nat").contains("restart Docker"));
        assert!(said("routed").starts_with("give the peers a route to 172.20.0.0/16"));
        assert!(said("isolated").ends_with("gateway_mode_ipv4=isolated"));
    }
}
