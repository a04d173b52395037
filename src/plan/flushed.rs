//! What the kernel should hold and does not, because somebody flushed it: Docker's rules, and firewalld's own.

use crate::model::CHAIN;
use crate::model::net::Family;
use crate::model::rule::Target;
use crate::model::state::Docker;
use crate::model::state::NodeState;
use crate::model::state::Tables;
use crate::model::state::View;
use crate::plan::finding::Finding;
use crate::plan::finding::Severity;

/// Docker's rules are gone from iptables.
pub(super) const DOCKER: &str = "docker-rules-gone";

/// firewalld's rules are gone from the kernel.
pub(super) const FIREWALLD: &str = "firewalld-flushed";

/// What of Docker's is missing in iptables, in words; `None` if nothing is, or if Docker was told to have nothing there.
pub(super) fn of_docker(docker: &Docker, tables: &Tables) -> Option<&'static str> {
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

/// Docker's rules, if they are gone. A Docker that does not hear of a reload cannot be told to put them back.
pub(super) fn docker(docker: &Docker, state: &NodeState, deaf: bool) -> Option<Finding> {
    // Where firewalld is not there either, its start brings them back.
    state.firewalld.known()?;
    let tables = state.kernel.v4.known()?;
    let what = of_docker(docker, tables)?;
    let hint = if deaf {
        "restart Docker, which stops the containers unless live-restore is on: it does not listen to firewalld, so that run --recover cannot let it put them back"
    } else {
        "run --recover reloads firewalld with the latch on, upon which Docker puts them back; restarting Docker does the same"
    };
    Some(
        Finding::new(
            Severity::Refuse,
            DOCKER,
            View::Kernel,
            format!("Docker's rules are gone, flushed by somebody or by a reload of firewalld that failed: {what}"),
        )
        .hint(hint),
    )
}

/// firewalld's rules, if they are gone.
pub(super) fn firewalld(state: &NodeState) -> Option<Finding> {
    let firewalld = state.firewalld.known()?;
    let gone = firewalld.state == "RUNNING" && firewalld.in_kernel.known() == Some(&false);
    let what = match firewalld.backend.as_str() {
        "nftables" => "the kernel has no table `inet firewalld`",
        _ => "nothing in INPUT leads to its chains",
    };
    gone.then(|| {
        Finding::new(
            Severity::Refuse,
            FIREWALLD,
            View::Kernel,
            format!("firewalld's rules are gone, flushed by somebody behind its back: {what}, so that nothing is forwarded and nothing is closed"),
        )
        .hint("run --recover reloads firewalld with the latch on; firewall-cmd --reload does it without")
    })
}
