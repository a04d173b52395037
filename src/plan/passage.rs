//! How what firewalld forwards gets into a container: by rules in DOCKER-USER, or past the rules of Docker's nftables backend. It is decided
//! here, from what the node shows.
//!
//! That backend (Docker 29, nftabler/network.go) has the tables `ip docker-bridges` and `ip6 docker-bridges`, which nothing but Docker changes. What goes
//! to a bridge passes the chain `filter-forward-in__BRIDGE`. It accepts answers, then packets with the mark of `bridge-accept-fwmark`, then those to published
//! ports; the last rule accepts everything else if the network has the gateway mode `nat-unprotected`, and drops it otherwise. Such a drop is final
//! whatever firewalld accepts. A reload of firewalld does not touch these tables.

use std::collections::BTreeSet;

use crate::model::CHAIN;
use crate::model::desired::Desired;
use crate::model::desired::Passage;
use crate::model::guard::GuardedNetwork;
use crate::model::mark::FirewallMark;
use crate::model::net::Family;
use crate::model::state::Docker;
use crate::model::state::Network;
use crate::model::state::NodeState;
use crate::model::state::View;
use crate::model::step::Act;
use crate::model::step::NftChain;
use crate::model::step::NftTable;
use crate::model::step::Test;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;

/// The name of Docker's tables of nft, in the families `ip` and `ip6`.
pub(super) const TABLE: &str = "docker-bridges";

/// The gateway mode in which Docker lets everything into a network.
pub(super) const UNPROTECTED: &str = "nat-unprotected";

/// The option of a network that holds its gateway mode.
pub(super) fn gateway_mode(family: Family) -> &'static str {
    match family {
        Family::V4 => "com.docker.network.bridge.gateway_mode_ipv4",
        Family::V6 => "com.docker.network.bridge.gateway_mode_ipv6",
    }
}

/// Whether Docker filters with its nftables backend.
pub(super) fn is_docker_nft(docker: &Docker) -> bool {
    docker.firewall.starts_with("nftables")
}

/// The same of a node; no if its Docker does not answer.
pub(super) fn has_docker_nft(state: &NodeState) -> bool {
    state.docker.known().is_some_and(is_docker_nft)
}

/// How it is on this node.
///
/// A mark is preferred, because with it the network stays closed by Docker, too, and no network has to be recreated.
pub(super) fn of(state: &NodeState) -> Passage {
    if !has_docker_nft(state) {
        return Passage::DockerUser;
    }
    let marks = marks(state);
    match marks.first() {
        Some(mark) if marks.len() == 1 && mark.can_be_set() => Passage::Mark(*mark),
        _ => Passage::Unprotected,
    }
}

/// The desired state without rules in DOCKER-USER, for a node that has no such chain.
pub(super) fn without_chain(desired: &Desired) -> Desired {
    Desired {
        rules: Vec::new(),
        zone: desired.zone.clone(),
        networks: desired.networks.clone(),
        attachments: desired.attachments.clone(),
        rich: desired.rich.clone(),
        guard: desired.guard.clone(),
        audits: desired.audits.clone(),
        known: desired.known.clone(),
        passage: desired.passage,
        ipsets: desired.ipsets,
        sets: desired.sets.clone(),
    }
}

/// Docker's table of a family; `None` if there is none, or if it is unknown.
pub(super) fn table(state: &NodeState, family: Family) -> Option<&NftTable> {
    let name = match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    let tables = state.system.networking.nft.known()?;
    tables
        .iter()
        .find(|table| table.name == TABLE && table.family == name)
}

/// The beginning of the names of the chains for what goes to a bridge.
const INTO: &str = "filter-forward-in__";

/// The marks that Docker lets in.
fn marks(state: &NodeState) -> BTreeSet<FirewallMark> {
    let tables = Family::ALL
        .into_iter()
        .filter_map(|family| table(state, family));
    let chains = tables.flat_map(|table| &table.chains);
    let into = chains.filter(|(name, _)| name.starts_with(INTO));
    into.filter_map(|(_, chain)| accepted_mark(chain)).collect()
}

/// The mark that a chain accepts, whatever else the packet is.
fn accepted_mark(chain: &NftChain) -> Option<FirewallMark> {
    for step in &chain.steps {
        match (&step.act, &step.tests[..]) {
            (Act::Accept, [Test::Mark(true, mark)]) => return Some(*mark),
            (Act::Refuse, _) => return None,
            _ => {}
        }
    }
    None
}

/// Whether a chain accepts what no rule of its own is about.
fn accepts_the_rest(chain: &NftChain) -> bool {
    for step in &chain.steps {
        match (&step.act, step.tests.is_empty()) {
            (Act::Accept, true) => return true,
            (Act::Refuse | Act::Elsewhere, _) => return false,
            _ => {}
        }
    }
    // The chain that calls it has the policy accept.
    true
}

/// Why a node whose Docker filters with its nftables backend cannot be managed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Without a guard by nft nothing would enforce the whitelist; what is there instead.
    NoGuard(String),
    /// firewalld does not filter with nft.
    FirewalldIptables,
    /// Docker's tables could not be read.
    Unread(String),
    /// They accept several marks.
    Marks,
}

impl Obstacle {
    /// Why, as the rest of a sentence.
    pub(super) fn text(&self) -> String {
        match self {
            Obstacle::NoGuard(nft) => {
                format!("has no {CHAIN}, and {nft}, so nothing could enforce the whitelist")
            }
            Obstacle::FirewalldIptables => {
                "is not supported together with firewalld's iptables backend".to_string()
            }
            Obstacle::Unread(why) => {
                format!("has tables of its own, which could not be read: {why}")
            }
            Obstacle::Marks => {
                "accepts several marks in its tables, so it is unknown which of them lets peers in"
                    .to_string()
            }
        }
    }

    /// What can be done.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Obstacle::NoGuard(_) => "install nftables 0.9.4 or later on the node",
            Obstacle::FirewalldIptables => {
                "set FirewallBackend=nftables in /etc/firewalld/firewalld.conf and restart firewalld"
            }
            Obstacle::Unread(_) => "run again, with -v to see what the node answered",
            Obstacle::Marks => {
                "restart Docker, which writes its tables again, with the one mark of daemon.json"
            }
        }
    }
}

/// What stands in the way on such a node.
pub(super) fn obstacle(state: &NodeState) -> Option<Obstacle> {
    match state.kernel.guard.nft {
        None => return Some(Obstacle::NoGuard("nft is not installed".to_string())),
        Some(nft) if !nft.can_guard() => {
            let what = format!("nft {nft} cannot hold the guard");
            return Some(Obstacle::NoGuard(what));
        }
        Some(_) => {}
    }
    let firewalld = state.firewalld.known();
    if firewalld.is_some_and(|firewalld| firewalld.backend != "nftables") {
        return Some(Obstacle::FirewalldIptables);
    }
    if let Err(why) = state.system.networking.nft.as_result() {
        return Some(Obstacle::Unread(why.to_string()));
    }
    (marks(state).len() > 1).then_some(Obstacle::Marks)
}

/// Docker's table of IPv4 if it is gone; Docker has no other way to filter.
pub(super) fn lost_table(docker: &Docker, state: &NodeState) -> bool {
    is_docker_nft(docker)
        && state.system.networking.nft.known().is_some()
        && !docker.unfiltered.contains(&Family::V4)
        && table(state, Family::V4).is_none()
}

/// Whether Docker masquerades what leaves a bridge; yes as well if it has no chain for that bridge yet.
pub(super) fn masquerades(state: &NodeState, bridge: &str) -> bool {
    let name = format!("nat-postrouting-out__{bridge}");
    let chain = table(state, Family::V4).and_then(|table| table.chains.get(&name));
    chain.is_none_or(|chain| chain.steps.iter().any(|step| step.act == Act::Snat))
}

/// What the operator must know of it.
pub(super) fn findings(desired: &Desired, state: &NodeState) -> Vec<Finding> {
    let Some(docker) = state.docker.known().filter(|docker| is_docker_nft(docker)) else {
        return Vec::new();
    };
    if desired.networks.is_empty() {
        return Vec::new();
    }
    let lets_in = match desired.passage {
        Passage::Mark(mark) => {
            format!("the guard gives what peers send the mark {mark}, which Docker lets in")
        }
        _ => format!(
            "Docker lets everything into a network of gateway mode {UNPROTECTED}, and the guard refuses what is on no list"
        ),
    };
    let mut out = vec![Finding::new(
        FindingCode::GuardAlone,
        View::Guard,
        format!(
            "Docker {} filters with its nftables backend, which has no {CHAIN}, so the guard alone enforces the whitelist; {lets_in}",
            docker.version
        ),
    )];
    if desired.passage == Passage::Unprotected {
        let networks = desired.guard.networks.iter();
        out.extend(
            networks
                .filter(|network| !network.is_closed())
                .map(opens_others),
        );
    }
    for wanted in &desired.networks {
        let Some(network) = docker.network(&wanted.name) else {
            continue;
        };
        for family in wanted.subnets().map(|subnet| subnet.family()) {
            out.extend(refused(desired.passage, network, family, state));
        }
    }
    out
}

/// What Docker lets into the whole network, the guard refuses only for the containers of the roles.
fn opens_others(network: &GuardedNetwork) -> Finding {
    Finding::new(
        FindingCode::DockerNftables,
        View::Docker,
        format!(
            "the network of bridge {} is closed for single containers only (`covers: container`): the gateway mode {UNPROTECTED}, which Docker's nftables backend needs here, would open the others",
            network.bridge
        ),
    )
    .hint("set \"bridge-accept-fwmark\": \"0x400/0x400\" in /etc/docker/daemon.json and restart Docker, with any bit that nothing else on the node uses; or remove `covers: container` from the role")
}

/// Docker's rules refuse what they should let in.
fn refused(
    passage: Passage,
    network: &Network,
    family: Family,
    state: &NodeState,
) -> Option<Finding> {
    let table = table(state, family)?;
    let chain = table.chains.get(&format!("{INTO}{}", network.bridge))?;
    let lets_in = match passage {
        Passage::DockerUser => true,
        Passage::Mark(mark) => accepted_mark(chain) == Some(mark) || accepts_the_rest(chain),
        // Otherwise the network is to be recreated first.
        Passage::Unprotected => !is_unprotected(network, family) || accepts_the_rest(chain),
    };
    (!lets_in).then(|| {
        Finding::new(
            FindingCode::DockerRefuses,
            View::Kernel,
            format!(
                "Docker refuses what firewalld forwards to network `{}`: chain `{INTO}{}` of nft table {} {TABLE} drops it",
                network.name, network.bridge, table.family
            ),
        )
        .hint(format!("restart Docker, which writes its rules again; see: nft list table {} {TABLE}", table.family))
    })
}

/// Whether Docker lets everything of a family into a network.
pub(super) fn is_unprotected(network: &Network, family: Family) -> bool {
    let mode = network.options.get(gateway_mode(family));
    mode.is_some_and(|mode| mode == UNPROTECTED)
}
