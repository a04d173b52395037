//! Rules that the kernel should hold but does not, because they were flushed: Docker's, and firewalld's own.

use std::fmt;

use crate::model::CHAIN;
use crate::model::net::Family;
use crate::model::rule::Target;
use crate::model::state::Docker;
use crate::model::state::NodeState;
use crate::model::state::Tables;

/// Which rules of Docker are missing in iptables, as a text; `None` if none are, or if Docker is configured to have none there.
fn of_docker(docker: &Docker, tables: &Tables) -> Option<&'static str> {
    if docker.unfiltered.contains(&Family::V4) || docker.firewall.starts_with("nftables") {
        return None;
    }
    if tables.chain("filter", "DOCKER").is_none() {
        return Some("Docker's own chains are missing in iptables");
    }
    let leads = |table: &str, chain: &str, to: &dyn Fn(&str) -> bool| {
        tables.chain(table, chain).is_some_and(|chain| {
            chain.rules.iter().any(|line| {
                let target = line.rule.as_ref().map(|rule| &rule.target);
                matches!(target, Some(Target::Jump(name, _) | Target::Goto(name)) if to(name))
            })
        })
    };
    // Docker fills these chains with its first network that leads out.
    let has_network = docker
        .networks
        .iter()
        .any(|network| network.driver == "bridge" && !network.internal);
    if !has_network {
        None
    } else if !leads("filter", "FORWARD", &|name| {
        name.starts_with("DOCKER") && name != CHAIN
    }) {
        Some("nothing in FORWARD leads to Docker's own chains")
    } else if !leads("nat", "PREROUTING", &|name| name == "DOCKER") {
        Some("nothing in nat PREROUTING leads to Docker's own chain")
    } else {
        None
    }
}

/// What of Docker's rules is gone; `None` if nothing is.
pub(super) fn docker(docker: &Docker, state: &NodeState) -> Option<&'static str> {
    // If firewalld is not running either, its start restores them.
    state.firewalld.known()?;
    of_docker(docker, state.kernel.v4.known()?)
}

/// How firewalld's rules are seen to be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Its table of nft is missing.
    Table,
    /// Nothing in iptables leads to its chains.
    Unreached,
    /// These chains of its table of nft are empty.
    Chains(Vec<String>),
}

impl fmt::Display for Flushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let so = "so nothing is forwarded and nothing is blocked";
        match self {
            Flushed::Table => write!(f, "the kernel has no table `inet firewalld`, {so}"),
            Flushed::Unreached => write!(f, "nothing in INPUT leads to its chains, {so}"),
            Flushed::Chains(chains) => write!(
                f,
                "{} in its nft table {} empty",
                chains.join(", "),
                if chains.len() == 1 { "is" } else { "are" }
            ),
        }
    }
}

/// Whether firewalld runs without a rule of its own in the kernel.
pub(super) fn firewalld(state: &NodeState) -> Option<Flushed> {
    let firewalld = state.firewalld.known()?;
    let gone = firewalld.state == "RUNNING" && firewalld.in_kernel.known() == Some(&false);
    let how = match firewalld.backend.as_str() {
        "nftables" => Flushed::Table,
        _ => Flushed::Unreached,
    };
    gone.then_some(how)
}
