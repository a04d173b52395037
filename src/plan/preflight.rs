//! What stands in the way: states in which nothing may be touched, and what keeps the whitelist from being enforced.

use std::net::IpAddr;

use crate::model::CHAIN;
use crate::model::desired::Desired;
use crate::model::net::Family;
use crate::model::net::Port;
use crate::model::net::Protocol;
use crate::model::rich::RichRule;
use crate::model::state::Daemon;
use crate::model::state::Docker;
use crate::model::state::Firewalld;
use crate::model::state::NO_ZONE;
use crate::model::state::NodeState;
use crate::model::state::Observed;
use crate::model::state::Tables;
use crate::model::state::View;
use crate::plan::backend_rules;
use crate::plan::finding::Finding;
use crate::plan::finding::Severity;
use crate::plan::flushed;
use crate::plan::records;
use crate::plan::recover;

fn refuse(code: &'static str, view: View, text: impl Into<String>) -> Finding {
    Finding::new(Severity::Refuse, code, view, text)
}

/// The reasons for which nothing may be touched, before any planning.
pub fn refusals(desired: &Desired, state: &NodeState) -> Vec<Finding> {
    let mut out = Vec::new();
    if state.system.uid != 0 {
        out.push(
            refuse(
                "not-root",
                View::Kernel,
                format!(
                    "the look ran as user {}, who cannot see the packet filter",
                    state.system.uid
                ),
            )
            .hint("use --become, or set ansible_become: true"),
        );
        return out;
    }
    if !state.system.busctl {
        out.push(
            refuse(
                "no-busctl",
                View::Runtime,
                "busctl is not there, by which firewalld is asked (it is part of systemd)",
            )
            .hint("install systemd's tools on the node; CentOS 7 and everything since has them"),
        );
    }
    match state.firewalld.as_result() {
        Ok(firewalld) => out.extend(firewalld_refusals(firewalld)),
        Err(_) if !state.system.busctl => {}
        Err(why) => {
            let finding = not_answering(&FIREWALLD, &state.system.firewalld_daemon, why);
            out.push(if recover::has_died(state) {
                finding.hint("run --recover starts it with the latch on; journalctl -u firewalld tells why it died")
            } else {
                finding
            });
        }
    }
    out.extend(flushed::firewalld(state));
    out.extend(backend_rules::refusals(state));
    match state.docker.as_result() {
        Ok(docker) => out.extend(docker_refusals(desired, docker, state)),
        Err(why) => out.push(not_answering(&DOCKER, &state.system.docker_daemon, why)),
    }
    if out.is_empty() {
        out.extend(unreadable(desired, state));
    }
    out.extend(records::unfinished(state));
    if state.kernel.split.known() == Some(&true) {
        out.push(
            refuse(
                "split-iptables",
                View::Kernel,
                format!("{CHAIN} exists both in iptables-legacy and in iptables-nft, so that rules in one are not seen in the other"),
            )
            .hint("choose one with update-alternatives --config iptables, and reboot the node"),
        );
    }
    out
}

/// What a node needs running, and what to call its troubles.
struct Needed {
    name: &'static str,
    view: View,
    missing: &'static str,
    stopped: &'static str,
    silent: &'static str,
}

const FIREWALLD: Needed = Needed {
    name: "firewalld",
    view: View::Runtime,
    missing: "firewalld-missing",
    stopped: "firewalld-stopped",
    silent: "firewalld-silent",
};

const DOCKER: Needed = Needed {
    name: "docker",
    view: View::Docker,
    missing: "docker-missing",
    stopped: "docker-stopped",
    silent: "docker-silent",
};

/// A daemon that tells nothing, and what can be done about it.
fn not_answering(needed: &Needed, daemon: &Daemon, why: &str) -> Finding {
    let name = needed.name;
    let (code, hint) = match daemon {
        Daemon::Missing => (
            needed.missing,
            format!("fwdeploy works through {name}: install it on the node, then run again"),
        ),
        Daemon::Stopped(_) => (
            needed.stopped,
            format!(
                "systemctl enable --now {name} on the node; journalctl -u {name} tells why it stopped"
            ),
        ),
        Daemon::Running | Daemon::Silent(_) | Daemon::Unknown(_) => (
            needed.silent,
            format!("see systemctl status {name} and journalctl -u {name} on the node"),
        ),
    };
    let text = daemon.trouble(name).unwrap_or_else(|| why.to_string());
    refuse(code, needed.view, text).hint(hint)
}

fn firewalld_refusals(firewalld: &Firewalld) -> Vec<Finding> {
    let mut out = Vec::new();
    if firewalld.state != "RUNNING" {
        out.push(
            refuse(
                "firewalld-failed",
                View::Runtime,
                format!("firewalld is in state {}: it refuses permanent changes, and Docker's rules may be gone", firewalld.state),
            )
            .hint("run --recover reloads it with the latch on, and sets aside what cannot be loaded; or mend what journalctl -u firewalld names, then firewall-cmd --reload"),
        );
    }
    if firewalld.panic {
        out.push(
            refuse(
                "firewalld-panic",
                View::Runtime,
                "firewalld is in panic mode and drops everything",
            )
            .hint("firewall-cmd --panic-off"),
        );
    }
    let version = firewalld.major_minor();
    if version != (0, 0) && version < (0, 6) {
        out.push(refuse(
            "firewalld-old",
            View::Runtime,
            format!("firewalld {} is older than 0.6", firewalld.version),
        ));
    }
    out
}

fn docker_refusals(desired: &Desired, docker: &Docker, state: &NodeState) -> Vec<Finding> {
    let mut out = Vec::new();
    if docker.firewall.starts_with("nftables") {
        out.push(
            refuse(
                "docker-nftables",
                View::Docker,
                format!("Docker {} filters with its nftables backend, which has no {CHAIN}", docker.version),
            )
            .hint("set \"firewall-backend\": \"iptables\" in /etc/docker/daemon.json and restart Docker"),
        );
    }
    let version = docker.major_minor();
    if version != (0, 0) && version < (18, 2) {
        out.push(refuse(
            "docker-old",
            View::Docker,
            format!(
                "Docker {} is older than 18.02 and loses its rules at each reload",
                docker.version
            ),
        ));
    }
    if let Some(firewalld) = state.firewalld.known()
        && firewalld.backend == "nftables"
        && version != (0, 0)
        && version < (20, 10)
    {
        out.push(
            refuse(
                "docker-nft-mix",
                View::Docker,
                format!(
                    "Docker {} does not work with firewalld's nftables backend (firewalld#534)",
                    docker.version
                ),
            )
            .hint(
                "set FirewallBackend=iptables in /etc/firewalld/firewalld.conf, or upgrade Docker",
            ),
        );
    }
    let deaf = is_deaf(docker, state);
    if deaf {
        out.push(
            refuse(
                "docker-deaf",
                View::Docker,
                "Docker does not listen to firewalld, because it started before firewalld was ready: its bridges are in no zone, so that firewalld rejects what containers send, and any reload takes Docker's rules away",
            )
            .hint("systemctl restart docker, which stops the containers unless live-restore is on; \"After=firewalld.service\" in a drop-in of docker.service helps at the next boot"),
        );
    }
    let gone = flushed::docker(docker, state, deaf);
    let all_gone = gone.is_some();
    out.extend(gone);
    for family in Family::ALL {
        let Some(tables) = state.kernel.tables(family).known() else {
            continue;
        };
        let manages = tables.chain("filter", "DOCKER").is_some();
        let wanted = !desired.subnets(family).is_empty();
        let told = family == Family::V6 || docker.unfiltered.contains(&family);
        if wanted && !manages && told && !all_gone {
            let (text, hint) = match family {
                Family::V4 => (
                    "Docker was told not to manage iptables here, and its own chains are missing",
                    "remove \"iptables\": false from /etc/docker/daemon.json, or --iptables=false from dockerd's command line, and restart Docker",
                ),
                Family::V6 => (
                    "Docker does not manage ip6tables here, so nothing would jump to the IPv6 whitelist",
                    "set \"ip6tables\": true (and \"experimental\": true before Docker 27) in /etc/docker/daemon.json and restart Docker, or remove the IPv6 subnet",
                ),
            };
            out.push(refuse("docker-without-iptables", View::Docker, text).hint(hint));
        }
    }
    out
}

/// Docker asks for firewalld once, when it starts (firewalld.go, 20.10 to 29). From 28.1 on it says how that went; before,
/// its own bridge in firewalld's zone `docker` tells.
fn is_deaf(docker: &Docker, state: &NodeState) -> bool {
    let Some(firewalld) = state.firewalld.known() else {
        return false;
    };
    if !docker.firewall.is_empty() {
        return docker.firewall == "iptables";
    }
    // A reload that failed took the bridges out of the zone, and says nothing about who listens.
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
fn unreadable(desired: &Desired, state: &NodeState) -> Vec<Finding> {
    fn why<T>(what: &str, view: View, seen: &Observed<T>) -> Option<Finding> {
        let why = seen.as_result().err()?;
        Some(
            refuse(
                "unreadable",
                view,
                format!("{what} could not be read: {why}"),
            )
            .hint("nothing was changed; run again, with -v to see what the node answered"),
        )
    }
    // Both views lack a zone that is not there: that is one mistake, of the inventory.
    if let Err(why) = state.permanent.rich.as_result()
        && let Some(rest) = why.strip_prefix(NO_ZONE)
    {
        return vec![
            refuse(
                "no-zone",
                View::Permanent,
                format!("the node has no zone{rest}"),
            )
            .hint("set `fwdeploy_zone` to the zone of the public interface"),
        ];
    }
    let v6 = desired.families().contains(&Family::V6);
    [
        why("the zone", View::Permanent, &state.zone),
        why(
            "the permanent direct rules",
            View::Permanent,
            &state.permanent.direct,
        ),
        why(
            "the permanent rich rules",
            View::Permanent,
            &state.permanent.rich,
        ),
        why(
            "the runtime direct rules",
            View::Runtime,
            &state.runtime.direct,
        ),
        why("the runtime rich rules", View::Runtime, &state.runtime.rich),
        why("iptables", View::Kernel, &state.kernel.v4),
        why(
            "the other iptables backend",
            View::Kernel,
            &state.kernel.split,
        ),
        why("the latch", View::Kernel, &state.kernel.latch),
        why("the snapshots", View::Permanent, &state.records),
    ]
    .into_iter()
    .flatten()
    .chain(
        v6.then(|| why("ip6tables", View::Kernel, &state.kernel.v6))
            .flatten(),
    )
    .collect()
}

/// The forward that would take this very ssh connection's peer away from sshd, which is where it comes in now.
///
/// The peer and the port are the node's own view of them, so that a bastion or a translated address counts as it must.
pub fn locks_out(desired: &Desired, state: &NodeState) -> Option<Finding> {
    let mut words = state.system.ssh_connection.split(' ');
    let peer: IpAddr = words.next()?.parse().ok()?;
    let port: Port = words.nth(2)?.parse().ok()?;
    let rule = desired.rich.iter().find(|rule| match rule {
        RichRule::Forward {
            family,
            source,
            service,
            ..
        } => {
            service.port == port
                && service.protocol == Protocol::Tcp
                && *family == Family::of(&peer)
                && source.is_none_or(|net| net.contains(&peer))
        }
        RichRule::Accept { .. } | RichRule::Other(_) => false,
    })?;
    Some(
        refuse(
            "locks-out",
            View::Runtime,
            format!("`{rule}` would send {peer}, from where this connection comes, to the container instead of sshd on port {port}"),
        )
        .hint("forward another port of the node (`port` with `to_port`), or let sshd listen at another one"),
    )
}

/// Hazards of this node that the operator should know of.
pub fn hazards(state: &NodeState) -> Vec<Finding> {
    let mut out = Vec::new();
    if state.kernel.ip_forward.known() == Some(&false) {
        out.push(
            Finding::new(
                Severity::Warning,
                "no-forwarding",
                View::Kernel,
                "net.ipv4.ip_forward is 0: nothing reaches a container, whitelisted or not",
            )
            .hint("sysctl -w net.ipv4.ip_forward=1, and see what turned it off"),
        );
    }
    if let (Some(firewalld), Some(zone)) = (state.firewalld.known(), state.zone.known())
        && !firewalld.active_zones.contains_key(zone)
        && *zone != firewalld.default_zone
    {
        out.push(
                Finding::new(
                    Severity::Warning,
                    "zone-inactive",
                    View::Runtime,
                    format!("zone `{zone}` has no interface, so that its rich rules see no packet"),
                )
                .hint("set fwdeploy_zone to the zone of the public interface (firewall-cmd --get-active-zones)"),
            );
    }
    if let (Some(docker), Some(tables)) = (state.docker.known(), state.kernel.v4.known()) {
        out.extend(lost_isolation(docker, tables));
    }
    if let Some(docker) = state.docker.known() {
        let families = Family::ALL.into_iter();
        out.extend(families.filter_map(|family| left_over(docker, state, family)));
    }
    out
}

/// Docker was told to leave a family alone, and its rules from before still stand.
fn left_over(docker: &Docker, state: &NodeState, family: Family) -> Option<Finding> {
    let tables = state.kernel.tables(family).known()?;
    let stands = tables.chain("filter", "DOCKER").is_some();
    let told = docker.unfiltered.contains(&family);
    (stands && told).then(|| {
        let (program, option) = match family {
            Family::V4 => ("iptables", "\"iptables\": false"),
            Family::V6 => ("ip6tables", "\"ip6tables\": false"),
        };
        Finding::new(
            Severity::Warning,
            "docker-unfiltered",
            View::Docker,
            format!("Docker was told not to manage {program}, and its rules from before still stand: the next reload of firewalld, or boot, takes them away with the jump to {CHAIN}, and then nothing filters its containers"),
        )
        .hint(format!("remove {option} from /etc/docker/daemon.json, or the option from dockerd's command line, and restart Docker"))
    })
}

/// Whether this Docker puts its isolation between networks back after a reload by itself.
pub(super) fn puts_isolation_back(docker: &Docker) -> bool {
    docker.major_minor() >= (28, 0)
}

/// Docker before 25.0.13 and 28.0 does not put its isolation between networks back after a reload (CVE-2025-54410).
fn lost_isolation(docker: &Docker, tables: &Tables) -> Option<Finding> {
    let chain = tables.chain("filter", "DOCKER-ISOLATION-STAGE-1")?;
    let bridges = docker
        .networks
        .iter()
        .filter(|n| n.driver == "bridge" && !n.internal);
    let isolates = chain
        .rules
        .iter()
        .any(|r| r.text.contains("DOCKER-ISOLATION-STAGE-2"));
    (bridges.count() > 1 && !isolates).then(|| {
        Finding::new(
            Severity::Warning,
            "isolation-lost",
            View::Kernel,
            format!(
                "Docker {}'s isolation between networks is gone since a firewalld reload: networks without a whitelist reach each other",
                docker.version
            ),
        )
        .hint(match puts_isolation_back(docker) {
            true => "restart Docker, which puts it back",
            false => "restart Docker, or upgrade it to 28 or later (CVE-2025-54410)",
        })
    })
}
