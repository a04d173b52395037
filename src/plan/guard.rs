//! The guard: what is there, what shall be there, and the step between them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::model::Audit;
use crate::model::Desired;
use crate::model::NodeState;
use crate::model::Passage;
use crate::model::guard::Guard;
use crate::model::guard::GuardBoot;
use crate::model::guard::GuardState;
use crate::model::guard::GuardTable;
use crate::model::guard::InstalledGuard;
use crate::model::guard::NftVersion;
use crate::model::guard::NftablesService;
use crate::model::guard::UNIT;
use crate::model::guard::mangle::MangleChain;
use crate::model::state::View;
use crate::model::visible::visible;
use crate::plan::action::Action;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::severity::Severity;
use crate::policy::guard::Capabilities;
use crate::policy::guard::table;

/// The guard that the roles ask for, as this node's nft can hold it; nothing where no network is managed.
pub(super) fn wanted(
    desired: &Desired,
    nft: NftVersion,
    service: Option<&NftablesService>,
) -> InstalledGuard {
    if desired.guard.networks.is_empty() {
        return InstalledGuard::default();
    }
    let can = Capabilities {
        element_counters: nft.counts_elements(),
        mark: match desired.passage {
            Passage::Mark(mark) => Some(mark),
            Passage::DockerUser | Passage::Unprotected => None,
        },
    };
    let table = table(&desired.guard, can);
    InstalledGuard {
        boot: GuardBoot {
            script: Some(sha256(&table.script())),
            unit: Some(sha256(UNIT)),
            drop_in: service.and_then(NftablesService::drop_in),
            is_enabled: true,
            is_active: true,
            is_masked: false,
            is_changed: false,
        },
        table: Some(table),
    }
}

/// The table, if it is as a run has written it: the file that loads it at boot holds the same.
pub(super) fn as_written(state: &NodeState) -> Option<&GuardTable> {
    let seen = &state.kernel.guard;
    let table = seen.table.known()?.as_ref()?;
    let script = seen.boot.known()?.script.as_ref()?;
    (*script == sha256(&table.script())).then_some(table)
}

fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// By which packet filter of the node the guard is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardKind {
    /// By a table of nft of its own.
    Nft,
    /// By direct rules of firewalld in iptables' table mangle.
    Mangle,
}

impl GuardKind {
    /// What this node's guard is enforced by: nft where it can hold the guard, else mangle.
    pub fn of(state: &NodeState) -> Self {
        match state.kernel.guard.nft {
            Some(nft) if nft.can_guard() => GuardKind::Nft,
            _ => GuardKind::Mangle,
        }
    }

    /// The same, if there is a guard to be enforced.
    pub fn wanted(state: &NodeState, desired: &Desired) -> Option<Self> {
        (!desired.guard.networks.is_empty()).then(|| GuardKind::of(state))
    }
}

impl fmt::Display for GuardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GuardKind::Nft => "nft",
            GuardKind::Mangle => "mangle",
        })
    }
}

/// What is to be done about the guard, and what the operator must know of it.
#[derive(Debug, Default)]
pub(super) struct GuardPlan {
    /// The step that makes it as desired; `None` if it is.
    pub action: Option<Action>,
    /// The findings.
    pub findings: Vec<Finding>,
}

/// Decides about the guard of a node.
pub(super) fn guard(state: &NodeState, desired: &Desired) -> GuardPlan {
    let seen = &state.kernel.guard;
    let mut plan = GuardPlan {
        findings: audits(desired, GuardKind::of(state)),
        ..GuardPlan::default()
    };
    if desired.guard.networks.is_empty() {
        // Also where nft is gone, and has left its files.
        plan.action = removed(state);
        return plan;
    }
    let Some(nft) = seen.nft.filter(|nft| nft.can_guard()) else {
        plan.findings.push(in_mangle(seen.nft, &desired.guard));
        plan.findings.extend(from_node_in_mangle(&desired.guard));
        plan.findings.extend(left(seen));
        plan.findings
            .extend(node_access(state, desired, is_new(state)));
        return plan;
    };
    let known = (
        seen.table.known(),
        seen.boot.known(),
        seen.nftables_service.known(),
    );
    let (Some(table), Some(boot), Some(service)) = known else {
        return plan;
    };
    let before = InstalledGuard {
        table: table.clone(),
        boot: boot.clone(),
    };
    let mut after = wanted(desired, nft, service.as_ref());
    plan.findings.extend(flushed(service.as_ref()));
    if before.boot.is_changed {
        // Somebody's own files are not removed.
        after.boot.is_changed = true;
        plan.findings.push(Finding::new(
            FindingCode::GuardOverridden,
            View::Guard,
            "files in fwdeploy-guard.service.d change how the guard is loaded at boot",
        ));
    }
    plan.findings
        .extend(node_access(state, desired, is_new(state)));
    plan.findings.extend(audit_ends(&before, &after));
    let listed = |table: &Option<GuardTable>| match table {
        Some(table) if !nft.lists_short_networks() => Some(table.clone().as_listed_before_1_0()),
        table => table.clone(),
    };
    if before.boot != after.boot || listed(&before.table) != listed(&after.table) {
        plan.action = Some(Action::SetGuard {
            before: Box::new(before),
            after: Box::new(after),
        });
    }
    plan
}

/// That `nftables.service` is not known to load the guard again when it flushes it.
fn flushed(service: Option<&NftablesService>) -> Option<Finding> {
    let service = service?;
    service.drop_in().is_none().then(|| {
        let commands: Vec<String> = service.commands.iter().map(|line| visible(line)).collect();
        Finding::new(
            FindingCode::GuardFlushed,
            View::Guard,
            format!(
                "the guard is missing for a moment when nftables.service is started, reloaded or stopped: its commands are not understood: {}",
                commands.join("; ")
            ),
        )
    })
}

/// Whether there has been no guard, neither in nft nor in mangle.
fn is_new(state: &NodeState) -> bool {
    let runtime = state.runtime.direct.known();
    let in_mangle = runtime.is_some_and(|direct| direct.chains.iter().any(MangleChain::is));
    let table = state.kernel.guard.table.known();
    // A guard in audit has closed nothing yet.
    let closes = |table: &GuardTable| !table.is_audit();
    !in_mangle && !table.is_some_and(|table| table.as_ref().is_some_and(closes))
}

/// The step that takes the guard away; `None` if there is none. Files that somebody has added to the unit stay.
fn removed(state: &NodeState) -> Option<Action> {
    let seen = &state.kernel.guard;
    let (table, boot) = (seen.table.known()?, seen.boot.known()?);
    let after = InstalledGuard {
        table: None,
        boot: GuardBoot {
            is_changed: boot.is_changed,
            ..GuardBoot::default()
        },
    };
    (table.is_some() || boot.is_installed()).then(|| Action::SetGuard {
        before: Box::new(InstalledGuard {
            table: table.clone(),
            boot: boot.clone(),
        }),
        after: Box::new(after),
    })
}

/// Whether nft holds the guard from the first step of the plan on.
pub(super) fn is_held_by_nft(state: &NodeState, desired: &Desired) -> bool {
    GuardKind::wanted(state, desired) == Some(GuardKind::Nft)
}

/// The roles that are not enforced, and those that should be by now.
fn audits(desired: &Desired, kind: GuardKind) -> Vec<Finding> {
    let finding = |audit: &Audit| {
        let role = &audit.role;
        let and_recorded = match kind {
            GuardKind::Nft => "and is recorded",
            GuardKind::Mangle => "and is not recorded, because the guard is not held by nft",
        };
        let passes = format!("what is on no list of role `{role}` passes {and_recorded}");
        match audit.until {
            Some(last) if audit.is_over => Finding::new(
                FindingCode::AuditExpired,
                View::Guard,
                format!("AUDIT, which was to end on {last}: {passes}"),
            ),
            Some(last) => Finding::new(
                FindingCode::Audit,
                View::Guard,
                format!("AUDIT until {last}: {passes}"),
            ),
            None => Finding::new(FindingCode::Audit, View::Guard, format!("AUDIT: {passes}")),
        }
    };
    desired.audits.iter().map(finding).collect()
}

/// That the node lets everything pass before the plan, and no longer after it.
fn audit_ends(before: &InstalledGuard, after: &InstalledGuard) -> Option<Finding> {
    let is_audit = |guard: &InstalledGuard| guard.table.as_ref().is_some_and(GuardTable::is_audit);
    (is_audit(before) && after.table.is_some() && !is_audit(after)).then(|| {
        Finding::new(
            FindingCode::AuditEnds,
            View::Guard,
            "the guard on the node is in AUDIT: what is on no list passes and is recorded, and is refused by a run",
        )
    })
}

/// What others let in ahead of the whitelist is a warning where the guard refuses it all the same: a drop there is final.
pub(super) fn soften(findings: &mut [Finding], desired: &Desired) {
    let instead = match desired.audits.is_empty() {
        true => "; the guard refuses what it would let in",
        false => "; the guard refuses what it would let in to a network that is not in audit",
    };
    for finding in findings {
        let is_refused = matches!(
            finding.code,
            FindingCode::ForeignAccept | FindingCode::AdmitsAfterReload | FindingCode::ForwardLeft
        );
        if is_refused && finding.severity == Severity::NotEnforced {
            finding.severity = Severity::Warning;
            finding.text.push_str(instead);
        }
    }
}

fn in_mangle(nft: Option<NftVersion>, guard: &Guard) -> Finding {
    let why = match nft {
        None => "nft is not installed".to_string(),
        Some(version) => format!("nft {version} does not support it"),
    };
    let logged = match guard.networks.iter().any(|network| network.log.is_some()) {
        true => " or logged (`log: refused`)",
        false => "",
    };
    Finding::new(
        FindingCode::GuardInMangle,
        View::Guard,
        format!(
            "{why}, so the guard is held in iptables' table mangle: what it refuses is dropped without an answer, and is not recorded{logged}"
        ),
    )
}

/// nft was there, and has gone: the kernel keeps a table until the next boot, and nobody can change it.
fn left(seen: &GuardState) -> Option<Finding> {
    seen.boot.known()?.is_installed().then(|| {
        Finding::new(
            FindingCode::GuardLeft,
            View::Guard,
            "nft, which held the guard, is gone: until the next boot the kernel may keep its table, which refuses peers that were added since",
        )
    })
}

/// What mangle cannot close. Its OUTPUT comes before the destination of the node's own connections is rewritten (NF_IP_PRI_MANGLE is ahead of
/// NF_IP_PRI_NAT_DST in linux/netfilter_ipv4.h), so a connection to a port that the container publishes would not be seen.
fn from_node_in_mangle(guard: &Guard) -> Option<Finding> {
    let containers: BTreeSet<IpAddr> = guard.from_node.iter().map(|(of, _)| *of).collect();
    let containers: Vec<String> = containers.iter().map(ToString::to_string).collect();
    (!containers.is_empty()).then(|| {
        Finding::new(
            FindingCode::FromNodeNeedsNft,
            View::Guard,
            format!(
                "the role closes {} to programs of the node (`from: node`), which the guard in iptables' table mangle cannot do",
                containers.join(", ")
            ),
        )
    })
}

/// What becomes of the node's own services: closed to containers, or open on purpose.
fn node_access(state: &NodeState, desired: &Desired, is_new: bool) -> Vec<Finding> {
    let mut out = Vec::new();
    for network in desired.guard.networks.iter().filter(|one| !one.is_audited) {
        let bridge = &network.bridge;
        if network.reaches_node {
            out.push(Finding::new(
                FindingCode::NodeOpen,
                View::Guard,
                format!("the containers on bridge {bridge} reach the services of the node (`node: open`)"),
            ));
        } else if is_new {
            let services = services(state);
            let listening = match &services[..] {
                [] => String::new(),
                services => format!("; now listening: {}", services.join(", ")),
            };
            out.push(Finding::new(
                FindingCode::NodeClosed,
                View::Guard,
                format!("the containers on bridge {bridge} no longer reach the services of the node{listening}"),
            ));
        }
    }
    out
}

/// The services are too many to be read beyond that.
const SHOWN: usize = 12;

/// The node's services that a container could reach.
fn services(state: &NodeState) -> Vec<String> {
    let listeners = state.system.networking.listeners.known();
    let mut all: BTreeSet<(u16, String)> = BTreeSet::new();
    for listener in listeners.into_iter().flatten() {
        if listener
            .address
            .is_some_and(|address| address.is_loopback())
        {
            continue;
        }
        let program = match listener.program.as_str() {
            "" => String::new(),
            program => format!(" ({})", visible(program)),
        };
        let text = format!("{}/{}{program}", listener.port, visible(&listener.protocol));
        all.insert((listener.port, text));
    }
    let more = all.len().saturating_sub(SHOWN);
    let mut texts: Vec<String> = all.into_iter().take(SHOWN).map(|(_, text)| text).collect();
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    texts
}
