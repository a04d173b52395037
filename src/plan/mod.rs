//! Desired and observed → what to do, what it changes, and what stands in the way.
//!
//! Planning is a function of values: it reads no clock, no file and no socket, and the same input gives the same plan.

pub mod action;
mod allowed;
mod backend_rules;
mod blocked_peers;
mod bridge;
mod bypass;
mod code;
mod compare;
mod diagnosis;
mod docker;
pub mod finding;
mod firewall;
mod flushed;
mod foreign;
mod in_place;
mod motion;
pub mod ownership;
mod pending;
mod planned;
mod preflight;
mod printed;
mod reach;
mod records;
pub mod recover;
mod reload;
mod rich_match;
pub mod rollback_plan;
mod satisfied;
mod severity;
mod shadow;
pub mod simulate;
mod ssh;
mod unloaded_edits;
mod views;

pub use action::Action;
pub use action::Change;
pub use action::Sign;
pub use allowed::Allowed;
pub use allowed::Permission;
pub use allowed::Reload;
pub use code::FindingCase;
pub use code::FindingCode;
pub use compare::compare;
pub use finding::Finding;
pub use motion::Motion;
pub use motion::motion;
pub use planned::Plan;
pub use printed::Question;
pub use printed::questions;
pub use records::active_lease;
pub use recover::Recovery;
pub use severity::Severity;
pub use simulate::simulate;

use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::state::NodeState;
use crate::model::state::View;
use crate::plan::diagnosis::Trouble;
use crate::plan::diagnosis::diagnose;
use crate::plan::ownership::Ours;
use crate::plan::views::Views;

/// Decides what to do on a node.
///
/// What opens goes first, then what rebinds, then what closes; containers move when their rules stand, and stale rules
/// go last, so that nothing is open on the way that was closed before or shall be closed after.
pub fn plan(state: &NodeState, desired: &Desired, allowed: &Allowed) -> Plan {
    let mut plan = planned(state, desired, allowed);
    plan.findings.extend(motion::told(state, &plan));
    plan
}

/// Why nobody may touch the node and write firewalld's files, whatever its roles ask for: all that keeps it from being planned
/// for, and the files that somebody has edited.
pub fn refusals_to_write(state: &NodeState) -> Vec<Finding> {
    let nothing = Desired::default();
    let troubles = diagnose(&nothing, state);
    match Views::of(state).filter(|_| troubles.is_empty()) {
        Some(views) => unloaded_edits::told(state, &views, Severity::Refuse),
        None => refused(state, &nothing, &Allowed::default(), &troubles).refusals_to_write(),
    }
}

fn planned(state: &NodeState, desired: &Desired, allowed: &Allowed) -> Plan {
    let desired = &bridge::named_as_there(desired, state, allowed);
    let troubles = diagnose(desired, state);
    let Some(views) = Views::of(state).filter(|_| troubles.is_empty()) else {
        return refused(state, desired, allowed, &troubles);
    };
    let ours = Ours::new(desired, state);
    let node = Node {
        state,
        desired,
        views,
        ours,
        allowed,
    };
    let mut findings = node.seen();
    let permanent = node.permanent();
    let docker = docker::docker(desired, node.views.docker, allowed);
    findings.extend(docker.findings);
    let chains = node.chains();
    findings.extend(chains.findings);

    let mut actions = permanent.actions();
    actions.extend(docker.create);
    actions.extend(node.leftover_latch());
    let runtime = node.runtime(&actions, chains.steps, chains.rich, docker.moves);
    findings.extend(runtime.findings);
    actions.extend(runtime.actions);

    findings.extend(unloaded_edits::findings(state, &node.views, &actions));
    concluded(actions, findings)
}

/// The plan for a node that cannot be worked on: why, and why not even its recovery may be made.
fn refused(state: &NodeState, desired: &Desired, allowed: &Allowed, troubles: &[Trouble]) -> Plan {
    let mut findings: Vec<Finding> = troubles.iter().map(preflight::finding).collect();
    findings.extend(recover::obstacles(state, desired, troubles, allowed));
    findings.extend(active_lease(state));
    Plan {
        actions: Vec::new(),
        findings,
    }
}

/// The plan, the worst finding first. Where one refuses, nothing is done.
fn concluded(mut actions: Vec<Action>, mut findings: Vec<Finding>) -> Plan {
    findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    if findings.iter().any(|f| f.severity == Severity::Refuse) {
        actions.clear();
    }
    Plan { actions, findings }
}

/// A node that can be planned for, and what is wanted of it.
struct Node<'a> {
    state: &'a NodeState,
    desired: &'a Desired,
    views: Views<'a>,
    ours: Ours,
    allowed: &'a Allowed,
}

/// Step 1: firewalld's files, each written whole; `None` where it is as wanted.
struct Permanent {
    direct: Option<Action>,
    rich: Option<Action>,
}

impl Permanent {
    fn actions(self) -> Vec<Action> {
        self.direct.into_iter().chain(self.rich).collect()
    }
}

/// What the chains need at runtime: of both families and in the zone.
struct Chains {
    steps: firewall::Runtime,
    rich: RichSteps,
    /// Rules of others on the way to the whitelist.
    findings: Vec<Finding>,
}

/// Rich rules to add and to remove at runtime.
struct RichSteps {
    adds: Vec<Action>,
    removes: Vec<Action>,
}

/// Steps 3 to 5: runtime as wanted, the containers moved, and what is stale removed.
struct Runtime {
    actions: Vec<Action>,
    findings: Vec<Finding>,
}

impl Node<'_> {
    /// What is seen on the node, whatever is to be done.
    fn seen(&self) -> Vec<Finding> {
        let (state, desired, docker) = (self.state, self.desired, self.views.docker);
        let mut out = preflight::hazards(state);
        out.extend(preflight::locks_out(desired, state));
        out.extend(active_lease(state));
        out.extend(records::leftovers(state));
        out.extend(blocked_peers::troubles(desired, state));
        out.extend(reach::findings(desired, state, &self.ours));
        out.extend(docker::opened(desired, docker, &self.ours));
        out.extend(docker::beside(desired, docker));
        out.extend(docker::leaves(desired, docker, &state.system.resolvers));
        out.extend(shadow::shadowed(desired, docker, state));
        out
    }

    fn permanent(&self) -> Permanent {
        let Views {
            permanent, zone, ..
        } = &self.views;
        Permanent {
            direct: firewall::permanent_direct(self.desired, permanent.direct, &self.ours),
            rich: firewall::permanent_rich(self.desired, zone, permanent.rich, &self.ours),
        }
    }

    fn chains(&self) -> Chains {
        let (desired, ours) = (self.desired, &self.ours);
        let (permanent, runtime) = (self.views.permanent.direct, self.views.runtime.direct);
        let mut steps = firewall::Runtime::default();
        let mut findings = Vec::new();
        for family in Family::ALL {
            let Some(tables) = self.state.kernel.tables(family).known() else {
                continue;
            };
            steps.extend(firewall::chain(desired, family, runtime, tables, ours));
            for (view, direct) in [(View::Permanent, permanent), (View::Runtime, runtime)] {
                let admitting = foreign::admits(desired, view, direct, tables, family, ours);
                findings.extend(admitting);
            }
            findings.extend(foreign::after_a_reload(permanent, tables, family, ours));
            findings.extend(foreign::not_compared(runtime, tables, family, ours));
            if desired.families().contains(&family) {
                let docker = self.views.docker;
                findings.extend(foreign::kept_behind(runtime, tables, family, ours, docker));
            }
        }
        let rich = self.views.runtime.rich;
        let (adds, removes) = firewall::runtime_rich(desired, self.views.zone, rich, ours);
        Chains {
            steps,
            rich: RichSteps { adds, removes },
            findings,
        }
    }

    /// A latch that an interrupted run left behind goes first.
    fn leftover_latch(&self) -> Option<Action> {
        let left = self.state.kernel.latch.known() == Some(&true);
        left.then(|| Action::Unlatch {
            subnets: Vec::new(),
        })
    }

    /// The managed networks and addresses, which the latch closes.
    fn subnets(&self) -> Vec<Cidr> {
        let families = Family::ALL.into_iter();
        families
            .flat_map(|family| self.ours.managed(family))
            .collect()
    }

    /// Runtime, by one reload or rule by rule. `before` are the steps that go ahead of it.
    fn runtime(
        &self,
        before: &[Action],
        steps: firewall::Runtime,
        rich: RichSteps,
        moves: Vec<Action>,
    ) -> Runtime {
        let (state, desired, ours) = (self.state, self.desired, &self.ours);
        let calls = [&steps.adds, &steps.removes, &rich.adds, &rich.removes];
        let work = reload::Work {
            calls: calls.iter().map(|actions| actions.len()).sum(),
            rebinds: steps.rebinds.len() + steps.jump.len(),
            moves: moves.len(),
        };
        let reloading = reload::decide(state, &self.views, ours, self.allowed, &work);
        let mut findings = reloading.findings;
        let subnets = self.subnets();
        if reloading.chosen {
            let mut actions = reload::steps(state, before, desired, ours, subnets);
            actions.extend(moves);
            return Runtime { actions, findings };
        }
        findings.extend(backend_rules::troubles(desired, state, ours));
        let mut chain = steps.rebinds;
        chain.extend(steps.adds);
        let settled = in_place::settle(state, &chain, desired, ours);
        chain.extend(settled);
        chain.extend(steps.jump);
        chain.extend(rich.adds);
        let mut actions = in_place::latched(chain, subnets);
        actions.extend(moves);
        actions.extend(steps.removes);
        actions.extend(rich.removes);
        Runtime { actions, findings }
    }
}
