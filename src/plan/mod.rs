//! Desired and observed → what to do, what it changes, and what stands in the way.
//!
//! Planning is a function of values: it reads no clock, no file and no socket, and the same input gives the same plan.

pub mod action;
mod backend_rules;
mod blocked_peers;
mod bridge;
mod bypass;
mod docker;
pub mod finding;
mod firewall;
mod flushed;
mod foreign;
mod motion;
pub mod ownership;
mod pending;
mod preflight;
mod printed;
mod reach;
mod records;
pub mod recover;
mod reload;
mod rich_match;
pub mod rollback_plan;
mod shadow;
pub mod simulate;
mod ssh;
mod unloaded_edits;

pub use action::Action;
pub use action::Change;
pub use action::Sign;
pub use finding::Finding;
pub use finding::Severity;
pub use motion::Motion;
pub use motion::motion;
pub use printed::Question;
pub use printed::questions;
pub use recover::Recovery;
pub use unloaded_edits::EDITED;

use serde::Serialize;

use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::settings::Settings;
use crate::model::state::Direct;
use crate::model::state::Docker;
use crate::model::state::Firewall;
use crate::model::state::NodeState;
use crate::model::state::RichText;
use crate::model::state::View;
use crate::plan::ownership::Ours;

pub use records::active_lease;
pub use simulate::simulate;

/// What is to be done on a node, and what was found on the way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// The steps, in order. Empty when the node is as wanted.
    pub actions: Vec<Action>,
    /// What the operator must know.
    pub findings: Vec<Finding>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The findings because of which nothing may be touched.
    pub fn refusals(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|f| f.severity == Severity::Refuse)
    }

    /// The refusals of whoever writes to firewalld's files whatever the actions are: an edited file is one of them.
    pub fn refusals_to_write(&self) -> Vec<Finding> {
        let refusals = self
            .findings
            .iter()
            .filter(|f| f.severity == Severity::Refuse || f.code == EDITED);
        refusals
            .map(|finding| Finding {
                severity: Severity::Refuse,
                ..finding.clone()
            })
            .collect()
    }

    /// The findings because of which the whitelist does not hold, whatever the actions do.
    pub fn not_enforced(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|f| f.severity == Severity::NotEnforced)
    }

    /// The differences that the actions remove, in order.
    pub fn changes(&self) -> Vec<Change> {
        self.actions.iter().flat_map(Action::changes).collect()
    }
}

/// What the operator allows beyond the ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Whether a network with another subnet may be made anew.
    pub replace_network: Permission,
    /// Whether firewalld may be reloaded.
    pub reload: Reload,
    /// Whether a node on which nothing can be planned is made fit for it first.
    pub recover: Permission,
    /// Whether a reload may activate what others have written permanently and not loaded.
    pub pending: Permission,
}

/// When runtime may be brought about by one reload of firewalld, with the latch on, instead of rule by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reload {
    /// Never.
    Never,
    /// When it is cheaper: hundreds of rules, and nothing of anybody else's waiting in the permanent configuration.
    #[default]
    Auto,
    /// Whenever something is to be done at runtime.
    Always,
}

/// A yes or no of the operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Permission {
    /// Not given.
    #[default]
    Withheld,
    /// Given by a flag.
    Granted,
}

/// The views that a plan is made of, all of them read.
struct Views<'a> {
    zone: &'a str,
    permanent: Side<'a>,
    runtime: Side<'a>,
    docker: &'a Docker,
}

/// One of firewalld's two views. Its settings are needed for a reload only.
#[derive(Clone, Copy)]
struct Side<'a> {
    direct: &'a Direct,
    rich: &'a [RichText],
    settings: Result<&'a Settings, &'a str>,
}

impl<'a> Side<'a> {
    fn of(firewall: &'a Firewall) -> Option<Self> {
        Some(Side {
            direct: firewall.direct.known()?,
            rich: firewall.rich.known()?,
            settings: firewall.settings.as_result(),
        })
    }
}

/// Decides what to do on a node.
///
/// What opens goes first, then what rebinds, then what closes; containers move when their rules stand, and stale rules
/// go last, so that nothing is open on the way that was closed before or shall be closed after.
pub fn plan(state: &NodeState, desired: &Desired, allowed: &Allowed) -> Plan {
    let mut plan = planned(state, desired, allowed);
    plan.findings.extend(motion::told(state, &plan));
    plan
}

fn planned(state: &NodeState, desired: &Desired, allowed: &Allowed) -> Plan {
    let desired = &bridge::named_as_there(desired, state, allowed);
    let refusals = preflight::refusals(desired, state);
    let Some(views) = views(state).filter(|_| refusals.is_empty()) else {
        let mut findings = refusals;
        findings.extend(recover::obstacles(state, desired, allowed));
        findings.extend(records::active_lease(state));
        return Plan {
            actions: Vec::new(),
            findings,
        };
    };
    let ours = Ours::new(desired, state);
    let mut findings = preflight::hazards(state);
    findings.extend(preflight::locks_out(desired, state));
    findings.extend(records::active_lease(state));
    findings.extend(records::leftovers(state));
    findings.extend(blocked_peers::troubles(desired, state));
    findings.extend(reach::findings(desired, state, &ours));
    findings.extend(docker::opened(desired, views.docker, &ours));
    findings.extend(docker::beside(desired, views.docker));
    let resolvers = &state.system.resolvers;
    findings.extend(docker::leaves(desired, views.docker, resolvers));
    findings.extend(shadow::shadowed(desired, views.docker, state));
    let docker = docker::docker(desired, views.docker, allowed);
    findings.extend(docker.findings);

    let mut actions = Vec::new();
    actions.extend(firewall::permanent_direct(
        desired,
        views.permanent.direct,
        &ours,
    ));
    actions.extend(firewall::permanent_rich(
        desired,
        views.zone,
        views.permanent.rich,
        &ours,
    ));
    actions.extend(docker.create);

    let mut runtime = firewall::Runtime::default();
    for family in Family::ALL {
        let Some(tables) = state.kernel.tables(family).known() else {
            continue;
        };
        let one = firewall::chain(desired, family, views.runtime.direct, tables, &ours);
        runtime.rebinds.extend(one.rebinds);
        runtime.adds.extend(one.adds);
        runtime.jump.extend(one.jump);
        runtime.removes.extend(one.removes);
        for (view, direct) in [
            (View::Permanent, views.permanent.direct),
            (View::Runtime, views.runtime.direct),
        ] {
            findings.extend(foreign::admits(
                desired, view, direct, tables, family, &ours,
            ));
        }
        let (permanent, runtime) = (views.permanent.direct, views.runtime.direct);
        findings.extend(foreign::after_a_reload(permanent, tables, family, &ours));
        findings.extend(foreign::not_compared(runtime, tables, family, &ours));
        if desired.families().contains(&family) {
            let docker = views.docker;
            findings.extend(foreign::kept_behind(runtime, tables, family, &ours, docker));
        }
    }
    let (add_rich, remove_rich) =
        firewall::runtime_rich(desired, views.zone, views.runtime.rich, &ours);
    if state.kernel.latch.known() == Some(&true) {
        actions.push(Action::Unlatch {
            subnets: Vec::new(),
        });
    }
    let subnets: Vec<Cidr> = Family::ALL
        .into_iter()
        .flat_map(|family| ours.managed(family))
        .collect();
    let calls = [
        runtime.adds.len(),
        runtime.removes.len(),
        add_rich.len(),
        remove_rich.len(),
    ];
    let work = reload::Work {
        calls: calls.iter().sum(),
        rebinds: runtime.rebinds.len() + runtime.jump.len(),
        moves: docker.moves.len(),
    };
    let reloading = reload::decide(state, &views, &ours, allowed, &work);
    findings.extend(reloading.findings);
    if !reloading.chosen {
        findings.extend(backend_rules::troubles(desired, state, &ours));
    }
    if reloading.chosen {
        let reloaded = reload::steps(state, &actions, desired, &ours, subnets);
        actions.extend(reloaded);
        actions.extend(docker.moves);
    } else {
        let mut chain = runtime.rebinds;
        chain.extend(runtime.adds);
        let settled = settle(state, &chain, desired, &ours);
        chain.extend(settled);
        chain.extend(runtime.jump);
        chain.extend(add_rich);
        actions.extend(latched(chain, subnets));
        actions.extend(docker.moves);
        actions.extend(runtime.removes);
        actions.extend(remove_rich);
    }

    findings.extend(unloaded_edits::findings(state, &views, &actions));
    findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    if findings.iter().any(|f| f.severity == Severity::Refuse) {
        actions.clear();
    }
    Plan { actions, findings }
}

/// Additions to a chain that is in force need no latch; a chain that is being put in force does.
fn latched(chain: Vec<Action>, subnets: Vec<Cidr>) -> Vec<Action> {
    let in_force = chain
        .iter()
        .all(|a| matches!(a, Action::AddRule(_) | Action::AddRich { .. }));
    if in_force {
        return chain;
    }
    let mut out = vec![Action::Latch {
        subnets: subnets.clone(),
    }];
    out.extend(chain);
    out.push(Action::Unlatch { subnets });
    out
}

/// What the kernel's chain still needs when the additions are done: firewalld counts only its own rules when it inserts,
/// so that rules which only the kernel holds shift what it adds.
fn settle(state: &NodeState, chain: &[Action], desired: &Desired, ours: &Ours) -> Vec<Action> {
    let then = simulate::simulate_all(state, chain);
    let Some(runtime) = then.runtime.direct.known() else {
        return Vec::new();
    };
    desired
        .families()
        .into_iter()
        .filter_map(|family| {
            let tables = then.kernel.tables(family).known()?;
            firewall::settle(family, runtime, tables, ours)
        })
        .collect()
}

fn views(state: &NodeState) -> Option<Views<'_>> {
    Some(Views {
        zone: state.zone.known()?,
        permanent: Side::of(&state.permanent)?,
        runtime: Side::of(&state.runtime)?,
        docker: state.docker.known()?,
    })
}
