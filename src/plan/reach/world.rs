//! What there is on the node that decides about a packet, made ready for many walks.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::steps;
use super::walk::Chains;
use super::walk::Device;
use super::walk::NodeAddresses;
use crate::model::CHAIN;
use crate::model::desired::Desired;
use crate::model::net::Family;
use crate::model::ranges::Ranges;
use crate::model::state::Docker;
use crate::model::state::KernelRule;
use crate::model::state::NodeState;
use crate::model::state::Tables;
use crate::model::step::Act;
use crate::model::step::Hook;
use crate::model::step::NftTable;
use crate::model::step::Step;
use crate::model::step::Test;
use crate::plan::ownership::Ours;
use crate::plan::ownership::tag;
use crate::plan::passage;
use crate::plan::simulate::is_jump;

/// firewalld's own table, and its place at the hook where destinations are rewritten.
pub(super) const FIREWALLD: (&str, i64) = ("firewalld", -90);
/// How the names of our own tables begin.
const OURS: &str = "fwdeploy";
/// The place of iptables' table nat at that hook.
pub(super) const DSTNAT: i64 = -100;

/// Whose table it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// The iptables that the node uses.
    Iptables,
    /// The other backend of iptables.
    Other,
    /// nft; firewalld's own table is not among the foreign ones.
    Nft,
    /// The tables of Docker's nftables backend.
    Docker,
    /// firewalld's table.
    Firewalld,
    /// An nft table of fwdeploy: what it refuses is refused intentionally.
    Ours,
}

/// A chain that the kernel enters directly, with those that it leads to.
pub(super) struct Base {
    /// Whose it is.
    pub(super) owner: Owner,
    /// Its family; `None` is both.
    pub(super) family: Option<Family>,
    /// The table, as it is called in a message.
    pub(super) table: String,
    /// The chain.
    pub(super) chain: String,
    /// Where it is hooked.
    pub(super) hook: Hook,
    /// The chains of its table.
    pub(super) chains: usize,
}

/// The node.
pub(super) struct World<'a> {
    /// The desired state.
    pub(super) desired: &'a Desired,
    /// The observed state.
    pub(super) state: &'a NodeState,
    /// Docker, if it answers.
    pub(super) docker: Option<&'a Docker>,
    /// The chains that the kernel enters, in the order of iptables' tables, then the others.
    pub(super) bases: Vec<Base>,
    /// The chains of each table.
    pub(super) tables: Vec<Chains>,
    /// The node's addresses.
    pub(super) node: NodeAddresses,
    /// The devices that lead out of the node, as far as they are known.
    names: Vec<String>,
    /// The bridges of its containers.
    bridges: Vec<String>,
}

/// The tables of iptables in which a packet can be refused or sent elsewhere, and the built-in chains that count.
const TABLES: [(&str, &[&str]); 5] = [
    ("raw", &["PREROUTING"]),
    ("mangle", &["PREROUTING", "INPUT", "FORWARD", "POSTROUTING"]),
    ("nat", &["PREROUTING", "POSTROUTING"]),
    ("filter", &["INPUT", "FORWARD"]),
    ("security", &["INPUT", "FORWARD"]),
];

impl<'a> World<'a> {
    pub(super) fn new(desired: &'a Desired, state: &'a NodeState) -> Self {
        let docker = state.docker.known();
        let bridges: BTreeSet<String> = docker
            .iter()
            .flat_map(|docker| &docker.networks)
            .map(|network| network.bridge.clone())
            .chain(
                desired
                    .networks
                    .iter()
                    .map(|network| network.bridge.clone()),
            )
            .filter(|name| !name.is_empty())
            .collect();
        let zones = state.firewalld.known().map(|f| &f.active_zones);
        let active = zones.into_iter().flat_map(|zones| zones.values().flatten());
        let ssh = Some(&state.system.ssh_interface).filter(|name| !name.is_empty());
        let names: BTreeSet<String> = active
            .chain(ssh)
            .filter(|name| !bridges.contains(*name) && *name != "lo")
            .cloned()
            .collect();
        let subnets = |family| {
            let seen = docker.iter().flat_map(|docker| &docker.networks);
            let seen = seen.flat_map(|network| network.subnets.iter().copied());
            Ranges::of(family, seen.chain(desired.subnets(family)))
        };
        let mut world = World {
            desired,
            state,
            docker,
            bases: Vec::new(),
            tables: Vec::new(),
            node: NodeAddresses {
                known: came_to(state),
                elsewhere: Family::ALL.into_iter().map(subnets).collect(),
            },
            names: names.into_iter().collect(),
            bridges: bridges.into_iter().collect(),
        };
        world.read();
        world
    }

    fn read(&mut self) {
        let networking = &self.state.system.networking;
        let sets = networking.sets.known();
        let ours = Ours::new(self.desired, self.state);
        for family in Family::ALL {
            if let Some(tables) = self.state.kernel.tables(family).known() {
                self.add(Owner::Iptables, family, tables, sets, Some(&ours));
            }
        }
        if let Some(other) = networking.other.known() {
            for (family, tables) in Family::ALL.into_iter().zip(other) {
                self.add(Owner::Other, family, tables, sets, None);
            }
        }
        for table in networking.nft.known().into_iter().flatten() {
            self.add_nft(table);
        }
    }

    fn add(
        &mut self,
        owner: Owner,
        family: Family,
        tables: &Tables,
        sets: steps::Sets,
        ours: Option<&Ours>,
    ) {
        for (name, hooks) in TABLES {
            let Some(table) = tables.tables.get(name) else {
                continue;
            };
            let mut chains = steps::chains(family, table, sets);
            // A managed, tagged rule is the latch, on a node without nft.
            for (chain, lines) in table {
                let tagged =
                    |line: &KernelRule| line.rule.as_ref().is_some_and(|r| tag(r).is_some());
                if lines.rules.iter().any(tagged) {
                    let kept = lines.rules.iter().filter(|line| !tagged(line));
                    let kept = kept.map(|line| steps::step(family, line, sets)).collect();
                    chains.insert(chain.clone(), kept);
                }
            }
            let mut ends: BTreeSet<&str> = BTreeSet::new();
            // Without DOCKER-USER, table filter is passed like any other.
            let is_cut = name == "filter" && !self.desired.passage.is_docker_nft();
            if let Some(ours) = ours.filter(|_| is_cut) {
                cut(family, tables, &mut chains, sets, ours, self.desired);
                // Ahead of the managed chain nothing falls through.
                ends.insert("FORWARD");
            }
            for hook in hooks {
                let Some(chain) = table.get(*hook) else {
                    continue;
                };
                self.bases.push(Base {
                    owner,
                    family: Some(family),
                    table: match owner {
                        Owner::Other => format!("{name} of the other iptables backend"),
                        _ => name.to_string(),
                    },
                    chain: (*hook).to_string(),
                    hook: Hook {
                        kind: if name == "nat" { "nat" } else { "filter" }.to_string(),
                        hook: hook.to_ascii_lowercase(),
                        priority: if name == "nat" { DSTNAT } else { 0 },
                        drops: chain.policy.as_deref() == Some("DROP") && !ends.contains(hook),
                    },
                    chains: self.tables.len(),
                });
            }
            self.tables.push(chains);
        }
    }

    fn add_nft(&mut self, table: &NftTable) {
        let family = match table.family.as_str() {
            "ip" => Some(Family::V4),
            "ip6" => Some(Family::V6),
            _ => None,
        };
        let firewalld = table.name == FIREWALLD.0 && table.family == "inet";
        for (name, chain) in &table.chains {
            let Some(hook) = &chain.hook else { continue };
            let hook = Hook {
                // A device's own hook is passed before all others.
                hook: match hook.hook.as_str() {
                    "ingress" => "prerouting".to_string(),
                    other => other.to_string(),
                },
                ..hook.clone()
            };
            self.bases.push(Base {
                owner: match table.name.as_str() {
                    _ if firewalld => Owner::Firewalld,
                    passage::TABLE => Owner::Docker,
                    name if name.starts_with(OURS) => Owner::Ours,
                    _ => Owner::Nft,
                },
                family,
                table: format!("nft table {} {}", table.family, table.name),
                chain: name.clone(),
                hook,
                chains: self.tables.len(),
            });
        }
        let chains = table.chains.iter();
        self.tables.push(
            chains
                .map(|(name, chain)| (name.clone(), chain.steps.clone()))
                .collect(),
        );
    }

    /// The chains that packets of a family pass at a hook.
    pub(super) fn at(&self, hook: &str, family: Family) -> impl Iterator<Item = &Base> {
        let hook = hook.to_string();
        self.bases.iter().filter(move |base| {
            base.hook.hook == hook && base.family.is_none_or(|own| own == family)
        })
    }

    /// A device that leads out of the node.
    pub(super) fn outside(&self) -> Device<'_> {
        Device::Outside {
            names: &self.names,
            bridges: &self.bridges,
        }
    }

    /// The bridge of a container's network.
    pub(super) fn bridge(&self, container: IpAddr) -> Device<'_> {
        let place = self
            .desired
            .attachments
            .iter()
            .find(|a| a.address == container || a.address6 == Some(container));
        let network =
            place.and_then(|a| self.desired.networks.iter().find(|n| n.name == a.network));
        network.map_or(Device::None, |network| Device::Bridge(&network.bridge))
    }

    /// The container that has an address, managed or not.
    pub(super) fn container_at(&self, address: IpAddr) -> Option<&'a str> {
        let containers = self
            .docker
            .into_iter()
            .flat_map(|docker| &docker.containers);
        let mut at = containers.filter(|container| {
            let has = |e: &crate::model::state::Endpoint| {
                e.address == Some(address) || e.address6 == Some(address)
            };
            container.endpoints.iter().any(has)
        });
        at.next().map(|container| container.name.as_str())
    }
}

/// The address of the node that the controller came to.
fn came_to(state: &NodeState) -> Option<IpAddr> {
    state.system.ssh_connection.split(' ').nth(2)?.parse().ok()
}

/// Keeps of table filter's FORWARD what is ahead of the managed chain, and of that chain the foreign rules that are ahead of
/// its last managed accept. A packet that gets past them is accepted.
fn cut(
    family: Family,
    tables: &Tables,
    chains: &mut BTreeMap<String, Vec<Step>>,
    sets: steps::Sets,
    ours: &Ours,
    desired: &Desired,
) {
    let end = Step {
        text: CHAIN.to_string(),
        tests: Vec::<Test>::new(),
        act: Act::Accept,
    };
    let forward = tables
        .chain("filter", "FORWARD")
        .map(|c| c.rules.as_slice());
    let forward = forward.unwrap_or_default();
    let until = forward.iter().position(is_jump).unwrap_or(0);
    let mut kept: Vec<Step> = forward[..until]
        .iter()
        .map(|line| steps::step(family, line, sets))
        .collect();
    kept.push(Step {
        act: Act::Jump(CHAIN.to_string()),
        ..end.clone()
    });
    kept.push(end.clone());
    chains.insert("FORWARD".to_string(), kept);
    let accepts: BTreeSet<_> = desired
        .rules_of(family)
        .filter_map(|rule| rule.rule())
        .filter(|rule| {
            rule.target == crate::model::rule::Target::Accept && rule.networks().next().is_some()
        })
        .collect();
    let rules = tables.chain("filter", CHAIN).map(|c| c.rules.as_slice());
    let rules = rules.unwrap_or_default();
    let accepted = |line: &KernelRule| line.rule.as_ref().is_some_and(|r| accepts.contains(r));
    let until = rules.iter().rposition(accepted).unwrap_or(0);
    let is_ours = |line: &&KernelRule| line.rule.as_ref().is_some_and(|r| ours.rule(family, r));
    let mut kept: Vec<Step> = rules[..until]
        .iter()
        .filter(|line| !is_ours(line))
        .map(|line| steps::step(family, line, sets))
        .collect();
    kept.push(end);
    chains.insert(CHAIN.to_string(), kept);
}
