//! What prevents a node from being changed: one diagnosis, as values.
//!
//! [`preflight`](crate::plan::preflight) turns each trouble into a finding, [`recover`](crate::plan::recover) picks those that can be
//! repaired.

use crate::model::desired::Desired;
use crate::model::net::Family;
use crate::model::records::Lease;
use crate::model::records::Snapshot;
use crate::model::state::Daemon;
use crate::model::state::Docker;
use crate::model::state::Firewalld;
use crate::model::state::NO_IPTABLES;
use crate::model::state::NO_ZONE;
use crate::model::state::NodeState;
use crate::model::state::Observed;
use crate::model::state::View;
use crate::plan::backend_rules;
use crate::plan::flushed;
use crate::plan::passage;
use crate::plan::passage::Obstacle;
use crate::plan::records;

/// A daemon that a node needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// firewalld.
    Firewalld,
    /// Docker.
    Docker,
}

/// One reason for which nothing may be touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The node was read as this user, who cannot see the packet filter.
    NotRoot { uid: u32 },
    /// `busctl` is missing, through which firewalld is asked.
    NoBusctl,
    /// A daemon does not answer.
    NotAnswering {
        service: Service,
        daemon: Daemon,
        /// What was answered instead.
        why: String,
        /// Whether it was killed or broke down, and is meant to run.
        died: bool,
    },
    /// firewalld is in another state than RUNNING.
    FirewalldState { state: String },
    /// firewalld drops everything.
    FirewalldPanic,
    /// firewalld is older than 0.6.
    FirewalldOld { version: String },
    /// firewalld runs, and the kernel does not hold its rules.
    FirewalldFlushed(flushed::Flushed),
    /// firewalld's rules are in the kernel twice, first in these chains.
    FirewalldDoubled { chains: Vec<String> },
    /// Docker filters with its nftables backend, and why that is not supported on this node.
    DockerNftables { version: String, obstacle: Obstacle },
    /// Docker filters with its nftables backend, and its table is gone.
    DockerTableGone,
    /// Docker is older than 18.02.
    DockerOld { version: String },
    /// Docker is too old for firewalld's nftables backend.
    DockerNftMix { version: String },
    /// Docker does not listen to firewalld.
    DockerDeaf,
    /// Docker's rules are missing in iptables: which ones, and whether Docker would not be notified of a reload either.
    DockerFlushed { what: &'static str, deaf: bool },
    /// Docker leaves a wanted family alone.
    DockerWithoutIptables { family: Family },
    /// The zone is not there; the rest of the sentence names it and those that are.
    NoZone { rest: String },
    /// iptables is not installed.
    NoIptables,
    /// Something that a plan needs could not be read.
    Unreadable {
        what: &'static str,
        view: View,
        why: String,
    },
    /// A run was never ended, and nothing on the node ends it.
    Unfinished(Box<(Lease, Snapshot)>),
    /// DOCKER-USER is in both backends of iptables.
    SplitIptables,
}

/// All that keeps a node from being worked on; empty where a plan can be made.
pub(super) fn diagnose(desired: &Desired, state: &NodeState) -> Vec<Trouble> {
    let uid = state.system.uid;
    if uid != 0 {
        return vec![Trouble::NotRoot { uid }];
    }
    let mut out = Vec::new();
    if !state.system.busctl {
        out.push(Trouble::NoBusctl);
    }
    match state.firewalld.as_result() {
        Ok(seen) => out.extend(firewalld(seen)),
        Err(_) if !state.system.busctl => {}
        Err(why) => out.push(Trouble::NotAnswering {
            service: Service::Firewalld,
            daemon: state.system.firewalld_daemon.clone(),
            why: why.to_string(),
            died: has_died(state),
        }),
    }
    out.extend(flushed::firewalld(state).map(Trouble::FirewalldFlushed));
    let tables = backend_rules::state_of_tables(state);
    if let [_, ..] = tables.doubled {
        let chains = tables.doubled.to_vec();
        out.push(Trouble::FirewalldDoubled { chains });
    }
    if let [_, ..] = tables.bare {
        let bare = flushed::Flushed::Chains(tables.bare.to_vec());
        out.push(Trouble::FirewalldFlushed(bare));
    }
    match state.docker.as_result() {
        Ok(seen) => out.extend(docker(desired, seen, state)),
        Err(why) => out.push(Trouble::NotAnswering {
            service: Service::Docker,
            daemon: state.system.docker_daemon.clone(),
            why: why.to_string(),
            died: false,
        }),
    }
    if out.is_empty() {
        out.extend(unreadable(desired, state));
    }
    out.extend(
        records::unfinished(state)
            .map(|(lease, snapshot)| Trouble::Unfinished(Box::new((lease.clone(), snapshot)))),
    );
    if state.kernel.split.known() == Some(&true) {
        out.push(Trouble::SplitIptables);
    }
    out
}

/// Whether firewalld was killed or broke down, on a node that starts it at each boot. One that was stopped was meant to be.
pub(super) fn has_died(state: &NodeState) -> bool {
    state.system.firewalld_enabled
        && matches!(&state.system.firewalld_daemon, Daemon::Stopped(how) if how.starts_with("failed"))
}

fn firewalld(firewalld: &Firewalld) -> Vec<Trouble> {
    let mut out = Vec::new();
    if firewalld.state != "RUNNING" {
        out.push(Trouble::FirewalldState {
            state: firewalld.state.clone(),
        });
    }
    if firewalld.panic {
        out.push(Trouble::FirewalldPanic);
    }
    let version = firewalld.major_minor();
    if version != (0, 0) && version < (0, 6) {
        out.push(Trouble::FirewalldOld {
            version: firewalld.version.clone(),
        });
    }
    out
}

fn docker(desired: &Desired, docker: &Docker, state: &NodeState) -> Vec<Trouble> {
    let mut out = Vec::new();
    let told = || docker.version.clone();
    let is_docker_nft = passage::is_docker_nft(docker);
    if let Some(obstacle) = is_docker_nft.then(|| passage::obstacle(state)).flatten() {
        let version = told();
        out.push(Trouble::DockerNftables { version, obstacle });
    }
    if passage::lost_table(docker, state) {
        out.push(Trouble::DockerTableGone);
    }
    let version = docker.major_minor();
    if version != (0, 0) && version < (18, 2) {
        out.push(Trouble::DockerOld { version: told() });
    }
    if let Some(firewalld) = state.firewalld.known()
        && firewalld.is_nftables()
        && version != (0, 0)
        && version < (20, 10)
    {
        out.push(Trouble::DockerNftMix { version: told() });
    }
    let deaf = is_deaf(docker, state);
    if deaf {
        out.push(Trouble::DockerDeaf);
    }
    let gone = flushed::docker(docker, state);
    out.extend(gone.map(|what| Trouble::DockerFlushed { what, deaf }));
    for family in Family::ALL {
        let manages = if is_docker_nft {
            let nft = state.system.networking.nft.known();
            nft.map(|_| passage::table(state, family).is_some())
        } else {
            let tables = state.kernel.tables(family).known();
            tables.map(|tables| tables.chain("filter", "DOCKER").is_some())
        };
        let Some(manages) = manages else {
            continue;
        };
        let wanted = !desired.subnets(family).is_empty();
        let told = family == Family::V6 || docker.unfiltered.contains(&family);
        if wanted && !manages && told && gone.is_none() {
            out.push(Trouble::DockerWithoutIptables { family });
        }
    }
    out
}

/// Docker asks for firewalld once, when it starts (firewalld.go, 20.10 to 29). From 28.1 on it reports the result; before,
/// the membership of its own bridge in firewalld's zone `docker` shows it.
fn is_deaf(docker: &Docker, state: &NodeState) -> bool {
    let Some(firewalld) = state.firewalld.known() else {
        return false;
    };
    if !docker.firewall.is_empty() {
        return docker.firewall == "iptables";
    }
    // A reload that failed took the bridges out of the zone, so the zone does not show whether Docker is notified.
    if firewalld.state != "RUNNING" {
        return false;
    }
    let zoned = firewalld.active_zones.get("docker");
    let version = docker.major_minor();
    version >= (20, 10)
        && docker
            .network("bridge")
            .is_some_and(|network| !zoned.is_some_and(|list| list.contains(&network.bridge)))
}

/// What must be known before anything is planned.
fn unreadable(desired: &Desired, state: &NodeState) -> Vec<Trouble> {
    fn why<T>(what: &'static str, view: View, seen: &Observed<T>) -> Option<Trouble> {
        let why = seen.as_result().err()?.to_string();
        Some(Trouble::Unreadable { what, view, why })
    }
    // Both views lack a zone that is not there: that is one mistake, of the inventory.
    if let Err(why) = state.permanent.rich.as_result()
        && let Some(rest) = why.strip_prefix(NO_ZONE)
    {
        let rest = rest.to_string();
        return vec![Trouble::NoZone { rest }];
    }
    let (permanent, runtime) = (&state.permanent, &state.runtime);
    let kernel = &state.kernel;
    if kernel.v4.as_result().is_err_and(|why| why == NO_IPTABLES) {
        return vec![Trouble::NoIptables];
    }
    let v6 = desired.families().contains(&Family::V6);
    [
        why("the zone", View::Permanent, &state.zone),
        why(
            "the permanent direct rules",
            View::Permanent,
            &permanent.direct,
        ),
        why("the permanent rich rules", View::Permanent, &permanent.rich),
        why("the runtime direct rules", View::Runtime, &runtime.direct),
        why("the runtime rich rules", View::Runtime, &runtime.rich),
        why("iptables", View::Kernel, &kernel.v4),
        why("the other iptables backend", View::Kernel, &kernel.split),
        why("the latch", View::Kernel, &kernel.latch),
        why("the guard's table", View::Guard, &kernel.guard.table),
        why("the guard's files", View::Guard, &kernel.guard.boot),
        why("the snapshots", View::Permanent, &state.records),
    ]
    .into_iter()
    .flatten()
    .chain(
        v6.then(|| why("ip6tables", View::Kernel, &kernel.v6))
            .flatten(),
    )
    .collect()
}
