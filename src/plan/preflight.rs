//! Preconditions: states in which nothing may be changed, and what prevents the whitelist from being enforced.

use std::net::IpAddr;

use crate::model::CHAIN;
use crate::model::desired::Desired;
use crate::model::net::Family;
use crate::model::net::Port;
use crate::model::net::Protocol;
use crate::model::networking::Listener;
use crate::model::records::Lease;
use crate::model::records::Snapshot;
use crate::model::rich::RichRule;
use crate::model::state::Daemon;
use crate::model::state::Docker;
use crate::model::state::NodeState;
use crate::model::state::Tables;
use crate::model::state::View;
use crate::plan::code::FindingCode;
use crate::plan::diagnosis::Service;
use crate::plan::diagnosis::Trouble;
use crate::plan::finding::Finding;
use crate::plan::passage;

/// The program that takes ssh connections.
const SSHD: &str = "sshd";

/// A trouble as a finding: why nothing may be touched, and what can be done about it.
pub(super) fn finding(trouble: &Trouble) -> Finding {
    match trouble {
        Trouble::NotRoot { uid } => Finding::new(
            FindingCode::NotRoot,
            View::Kernel,
            format!("the node was read as user {uid}, who cannot see the packet filter"),
        )
        .hint("use --become, or set ansible_become: true"),
        Trouble::NoBusctl => Finding::new(
            FindingCode::NoBusctl,
            View::Runtime,
            "busctl is missing; fwdeploy needs it to query firewalld (it is part of systemd)",
        )
        .hint("install systemd's tools on the node; CentOS 7 and everything since has them"),
        Trouble::NotAnswering {
            service,
            daemon,
            why,
            died,
        } => {
            let finding = not_answering(words(*service), daemon, why);
            if *died {
                finding.hint("`run --recover` starts it while blocking new flows; `journalctl -u firewalld` shows why it died")
            } else {
                finding
            }
        }
        Trouble::FirewalldState { state } => Finding::new(
            FindingCode::FirewalldFailed,
            View::Runtime,
            format!("firewalld is in state {state}: it refuses permanent changes, and Docker's rules may be gone"),
        )
        .hint("`run --recover` reloads it while blocking new flows, and sets aside what cannot be loaded; or fix what `journalctl -u firewalld` names, then `firewall-cmd --reload`"),
        Trouble::FirewalldPanic => Finding::new(
            FindingCode::FirewalldPanic,
            View::Runtime,
            "firewalld is in panic mode and drops everything",
        )
        .hint("firewall-cmd --panic-off"),
        Trouble::FirewalldOld { version } => Finding::new(
            FindingCode::FirewalldOld,
            View::Runtime,
            format!("firewalld {version} is older than 0.6"),
        ),
        Trouble::FirewalldFlushed(flushed) => Finding::new(
            FindingCode::FirewalldFlushed,
            View::Kernel,
            format!("firewalld's rules are missing, flushed by another program: {flushed}"),
        )
        .hint("`run --recover` reloads firewalld while blocking new flows; `firewall-cmd --reload` reloads it without blocking them"),
        Trouble::FirewalldDoubled { chains } => {
            let first = chains.first().map_or("", String::as_str);
            let more = match chains.len() {
                1 => String::new(),
                all => format!(" and {} more", all - 1),
            };
            Finding::new(
                FindingCode::FirewalldDoubled,
                View::Kernel,
                format!("firewalld's rules are in the kernel twice (chain {first}{more}): firewalld was killed, and the new instance added its rules to the same table; the older forwards take precedence, and removed ports stay open"),
            )
            .hint("`run --recover` reloads firewalld while blocking new flows; `firewall-cmd --reload` reloads it without blocking them")
        }
        Trouble::DockerNftables { version, obstacle } => Finding::new(
            FindingCode::DockerNftables,
            View::Docker,
            format!(
                "Docker {version} filters with its nftables backend, which {}",
                obstacle.text()
            ),
        )
        .hint(obstacle.hint()),
        Trouble::DockerTableGone => Finding::new(
            FindingCode::DockerRulesGone,
            View::Kernel,
            format!(
                "Docker's rules are missing, flushed by another program: nft has no table `ip {}`",
                passage::TABLE
            ),
        )
        .hint("restart Docker, which stops the containers unless live-restore is on; a reload of firewalld does not restore this table"),
        Trouble::DockerOld { version } => Finding::new(
            FindingCode::DockerOld,
            View::Docker,
            format!("Docker {version} is older than 18.02 and loses its rules at each reload"),
        ),
        Trouble::DockerNftMix { version } => Finding::new(
            FindingCode::DockerNftMix,
            View::Docker,
            format!("Docker {version} does not work with firewalld's nftables backend (firewalld#534)"),
        )
        .hint("set FirewallBackend=iptables in /etc/firewalld/firewalld.conf, or upgrade Docker"),
        Trouble::DockerDeaf => Finding::new(
            FindingCode::DockerDeaf,
            View::Docker,
            "Docker started before firewalld was ready and is not notified by it: its bridges are in no zone, so firewalld rejects what containers send, and any reload removes Docker's rules",
        )
        .hint("systemctl restart docker, which stops the containers unless live-restore is on; \"After=firewalld.service\" in a drop-in of docker.service helps at the next boot"),
        Trouble::DockerFlushed { what, deaf } => Finding::new(
            FindingCode::DockerRulesGone,
            View::Kernel,
            format!("Docker's rules are missing, flushed by another program or by a failed reload of firewalld: {what}"),
        )
        .hint(match deaf {
            true => "restart Docker, which stops the containers unless live-restore is on; it is not notified by firewalld, so `run --recover` cannot restore its rules",
            false => "`run --recover` reloads firewalld while blocking new flows, and Docker then restores its rules; restarting Docker does the same",
        }),
        Trouble::DockerWithoutIptables { family } => {
            let (text, hint) = match family {
                Family::V4 => (
                    "Docker is configured not to manage iptables here, and its own chains are missing",
                    "remove \"iptables\": false from /etc/docker/daemon.json, or --iptables=false from dockerd's command line, and restart Docker",
                ),
                Family::V6 => (
                    "Docker does not manage ip6tables here, so nothing would jump to the IPv6 whitelist",
                    "set \"ip6tables\": true (and \"experimental\": true before Docker 27) in /etc/docker/daemon.json and restart Docker, or remove the IPv6 subnet",
                ),
            };
            Finding::new(FindingCode::DockerWithoutIptables, View::Docker, text).hint(hint)
        }
        Trouble::NoZone { rest } => Finding::new(
            FindingCode::NoZone,
            View::Permanent,
            format!("the node has no zone{rest}"),
        ),
        Trouble::NoIptables => Finding::new(
            FindingCode::NoIptables,
            View::Kernel,
            "iptables is not installed: firewalld would take direct rules, report success, and have none of them in force",
        )
        .hint("install the package `iptables` (`iptables-nft` on Red Hat's systems), then restart firewalld; Docker may keep its nftables backend"),
        Trouble::Unreadable { what, view, why } => Finding::new(
            FindingCode::Unreadable,
            *view,
            format!("{what} could not be read: {why}"),
        )
        .hint("nothing was changed; run again, with -v to see what the node answered"),
        Trouble::Unfinished(run) => unfinished(&run.0, &run.1),
        Trouble::SplitIptables => Finding::new(
            FindingCode::SplitIptables,
            View::Kernel,
            format!("{CHAIN} exists both in iptables-legacy and in iptables-nft, so rules in one are not visible in the other"),
        )
        .hint("choose one with update-alternatives --config iptables, and reboot the node"),
    }
}

/// What a node needs running, and what to call its troubles.
struct Needed {
    name: &'static str,
    view: View,
    missing: FindingCode,
    stopped: FindingCode,
    silent: FindingCode,
}

const FIREWALLD: Needed = Needed {
    name: "firewalld",
    view: View::Runtime,
    missing: FindingCode::FirewalldMissing,
    stopped: FindingCode::FirewalldStopped,
    silent: FindingCode::FirewalldSilent,
};

const DOCKER: Needed = Needed {
    name: "docker",
    view: View::Docker,
    missing: FindingCode::DockerMissing,
    stopped: FindingCode::DockerStopped,
    silent: FindingCode::DockerSilent,
};

fn words(service: Service) -> &'static Needed {
    match service {
        Service::Firewalld => &FIREWALLD,
        Service::Docker => &DOCKER,
    }
}

/// A daemon that does not answer, and what can be done about it.
fn not_answering(needed: &Needed, daemon: &Daemon, why: &str) -> Finding {
    let name = needed.name;
    let (code, hint) = match daemon {
        Daemon::Missing => (
            needed.missing,
            format!("fwdeploy needs {name}: install it on the node, then run again"),
        ),
        Daemon::Stopped(_) => (
            needed.stopped,
            format!(
                "systemctl enable --now {name} on the node; journalctl -u {name} shows why it stopped"
            ),
        ),
        Daemon::Running | Daemon::Silent(_) | Daemon::Unknown(_) if is_of_an_old_cli(why) => (
            needed.silent,
            "the docker command of the node is older than its engine: upgrade the package that contains it (docker-ce-cli, docker-cli)"
                .to_string(),
        ),
        Daemon::Running | Daemon::Silent(_) | Daemon::Unknown(_) => (
            needed.silent,
            format!("see systemctl status {name} and journalctl -u {name} on the node"),
        ),
    };
    let text = daemon.trouble(name).unwrap_or_else(|| why.to_string());
    Finding::new(code, needed.view, text).hint(hint)
}

/// Whether a reason is what a docker command says of an engine that is newer than itself: it does not know a field that it was asked for, or the
/// engine takes no requests of its age.
fn is_of_an_old_cli(why: &str) -> bool {
    let signs = [
        "can't evaluate field",
        "map has no entry for key",
        "client version",
    ];
    signs.iter().any(|sign| why.contains(sign))
}

/// Why the node must not be changed until it is recovered.
fn unfinished(lease: &Lease, snapshot: &Snapshot) -> Finding {
    let who = match snapshot.operator.as_str() {
        "" => format!("unknown operator, snapshot {}", lease.number),
        operator => format!("{operator}, {} since {}", snapshot.what, snapshot.since),
    };
    let (code, text) = if !lease.missing.is_empty() {
        (
            FindingCode::SnapshotDamaged,
            format!(
                "a run was never ended ({who}), and the node cannot be rolled back: snapshot {} lacks {}",
                lease.number,
                lease.missing.join(", ")
            ),
        )
    } else if lease.restore_failed {
        (
            FindingCode::RestoreUnfinished,
            format!("the rollback of a run ({who}) has failed on the node"),
        )
    } else {
        (
            FindingCode::LeaseWithoutOwner,
            format!(
                "a run was never ended ({who}), and nothing on the node will end it: its timer is gone"
            ),
        )
    };
    let hint = match code {
        FindingCode::SnapshotDamaged => {
            "`run --recover` abandons that run and leaves the node as it is; then it applies the roles"
        }
        _ => {
            "`run --recover` restores the state before that run; `journalctl -u 'fwdeploy-restore*'` shows what the node has tried"
        }
    };
    Finding::new(code, View::Runtime, text).hint(hint)
}

/// A forward that would send the peer of this ssh connection to the container instead of sshd.
///
/// The peer and the port are those that the node sees, so a bastion or a translated address is handled correctly. A run on the node itself has no ssh
/// connection: there whoever comes by ssh otherwise is looked after.
pub fn locks_out(desired: &Desired, state: &NodeState) -> Option<Finding> {
    if state.system.ssh_connection.is_empty() {
        return locks_others_out(desired, state);
    }
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
            service.ports.contains(port)
                && service.protocol == Protocol::Tcp
                && *family == Family::of(&peer)
                && source
                    .as_ref()
                    .is_none_or(|source| source.net().is_none_or(|net| net.contains(&peer)))
        }
        RichRule::Accept { .. } | RichRule::Other(_) => false,
    })?;
    Some(takes_the_port_of_sshd(format!(
        "`{rule}` would send {peer}, the address of this connection, to the container instead of sshd on port {port}"
    )))
}

/// A forward of a port on which sshd listens, for a run that did not come by ssh.
fn locks_others_out(desired: &Desired, state: &NodeState) -> Option<Finding> {
    let listeners = state.system.networking.listeners.known()?;
    // sshd listens on the loopback too, for what its sessions forward.
    let is_sshd = |listener: &&Listener| {
        listener.program == SSHD
            && listener.protocol == "tcp"
            && listener
                .address
                .is_none_or(|address| !address.is_loopback())
    };
    let sshd = listeners.iter().filter(is_sshd);
    let mut ports = sshd.filter_map(|listener| Port::new(listener.port));
    ports.find_map(|port| {
        let rule = desired.rich.iter().find(|rule| match rule {
            RichRule::Forward { service, .. } => {
                service.ports.contains(port) && service.protocol == Protocol::Tcp
            }
            RichRule::Accept { .. } | RichRule::Other(_) => false,
        })?;
        Some(takes_the_port_of_sshd(format!(
            "`{rule}` would send its peers to the container instead of sshd, which listens on port {port}"
        )))
    })
}

/// The finding about a forward of a port on which sshd listens.
fn takes_the_port_of_sshd(text: String) -> Finding {
    Finding::new(FindingCode::LocksOut, View::Runtime, text)
        .hint("forward another port of the node (`port` with `to_port`), or let sshd listen on another one")
}

/// Hazards of this node that the operator should know of.
pub fn hazards(state: &NodeState) -> Vec<Finding> {
    let mut out = Vec::new();
    if state.kernel.ip_forward.known() == Some(&false) {
        out.push(
            Finding::new(
                FindingCode::NoForwarding,
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
                    FindingCode::ZoneInactive,
                    View::Runtime,
                    format!("zone `{zone}` has no interface, so its rich rules match no packet"),
                )
                .hint("set fwdeploy_zone to the zone of the public interface (firewall-cmd --get-active-zones)"),
            );
    }
    // What the other backend has left in iptables filters nothing any more.
    let docker = state.docker.known();
    let docker = docker.filter(|docker| !passage::is_docker_nft(docker));
    if let (Some(docker), Some(tables)) = (docker, state.kernel.v4.known()) {
        out.extend(lost_isolation(docker, tables));
    }
    if let Some(docker) = docker {
        let families = Family::ALL.into_iter();
        out.extend(families.filter_map(|family| left_over(docker, state, family)));
    }
    out
}

/// Docker is configured not to manage a family, but its earlier rules remain.
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
            FindingCode::DockerUnfiltered,
            View::Docker,
            format!("Docker is configured not to manage {program}, but its earlier rules remain: the next reload of firewalld, or boot, removes them with the jump to {CHAIN}, and then nothing filters its containers"),
        )
        .hint(format!("remove {option} from /etc/docker/daemon.json, or the option from dockerd's command line, and restart Docker"))
    })
}

/// Whether this Docker restores its isolation between networks by itself after a reload.
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
            FindingCode::IsolationLost,
            View::Kernel,
            format!(
                "Docker {}'s isolation between networks has been missing since a firewalld reload: networks without a whitelist can reach each other",
                docker.version
            ),
        )
        .hint(match puts_isolation_back(docker) {
            true => "restart Docker, which restores it",
            false => "restart Docker, or upgrade it to 28 or later (CVE-2025-54410)",
        })
    })
}
