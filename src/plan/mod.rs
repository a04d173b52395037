//! Desired and observed state → the steps, what they change, and what prevents them.
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
mod guard;
mod in_place;
mod ipsets;
mod mangle;
mod motion;
pub mod ownership;
mod passage;
mod pending;
mod planned;
mod preflight;
mod printed;
mod reach;
mod records;
pub mod recover;
mod reload;
mod removal;
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
pub use compare::Reading;
pub use compare::compare;
pub use finding::Finding;
pub use guard::GuardKind;
pub use ipsets::fold as fold_into_sets;
pub use motion::Motion;
pub use motion::motion;
pub use planned::Plan;
pub use printed::Question;
pub use printed::questions;
pub use records::active_lease;
pub use recover::Recovery;
pub use removal::is_seen;
pub use removal::managed;
pub use removal::orphaned;
pub use removal::purged;
pub use severity::Severity;
pub use simulate::simulate;

use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::state::NodeState;
use crate::model::state::View;
use crate::plan::diagnosis::Trouble;
use crate::plan::diagnosis::diagnose;
use crate::plan::ownership::Ours;
use crate::plan::views::Views;

/// Decides what to do on a node.
///
/// Rules that accept are added first, then forwards change, then rules that refuse are added; containers move once their rules
/// are in place, and stale rules are removed last. So nothing is open during the run that was closed before or will be after it.
pub fn plan(state: &NodeState, desired: &Desired, allowed: &Allowed) -> Plan {
    let mut plan = planned(state, desired, allowed);
    plan.findings.extend(motion::told(state, &plan));
    plan
}

/// Decides how to take away everything that fwdeploy has made on a node; `roles` is what its roles still ask for, if it has any.
///
/// Everything of ours goes, whether or not a role asks for it. The guard goes last: whatever fails before, nothing is open that was closed.
pub fn removal(state: &NodeState, roles: &Desired, allowed: &Allowed) -> Plan {
    let nothing = &Desired {
        zone: roles.zone.clone(),
        ..Desired::default()
    };
    // A reload would also load what others have written, for rules that only have to go.
    let allowed = &Allowed {
        reload: Reload::Never,
        ..*allowed
    };
    let ours = removal::owned(roles, state);
    let mut troubles = diagnose(nothing, state);
    if troubles.is_empty() {
        troubles.extend(removal::unreadable(state, &ours));
        troubles.extend(removal::unread_sets(state));
    }
    let Some(views) = Views::of(state).filter(|_| troubles.is_empty()) else {
        return refused(state, nothing, allowed, &troubles);
    };
    let node = Node {
        mangle: mangle::wanted(state, nothing, views.permanent.direct),
        state,
        desired: nothing,
        whitelist: nothing,
        placed: nothing,
        views,
        ours,
        allowed,
    };
    let docker = node.views.docker;
    let mut findings: Vec<Finding> = active_lease(state).into_iter().collect();
    findings.extend(records::leftovers(state));
    // What others let in ahead of the whitelist matters no more.
    let chains = node.chains();
    let mut actions = node.permanent().actions();
    actions.extend(node.leftover_latch());
    let runtime = node.runtime(&actions, chains.steps, chains.rich, Vec::new());
    actions.extend(runtime.actions);
    actions.extend(ipsets::emptied(state));
    findings.extend(removal::of_steps(runtime.findings));
    if !actions.is_empty() || removal::orphaned(state).is_some() {
        let then = simulate::simulate_all(state, &actions);
        actions.extend(removal::released(&then));
    }
    actions.extend(removal::networks(docker));
    actions.extend(guard::guard(state, nothing).action);
    if !actions.is_empty() {
        findings.push(removal::opens());
        findings.extend(docker::opened(nothing, docker, &node.ours));
    }
    findings.extend(removal::left(state, docker, &node.ours));
    // There is no whitelist that an edit could take from.
    let edits =
        unloaded_edits::findings(state, &node.views, &actions, &findings, |_| Plan::default());
    findings.extend(edits);
    concluded(actions, findings)
}

/// Why firewalld's files must not be written on the node, whatever its roles require: everything that prevents planning,
/// and files that were edited by hand.
pub fn refusals_to_write(state: &NodeState) -> Vec<Finding> {
    let nothing = Desired::default();
    let troubles = diagnose(&nothing, state);
    match Views::of(state).filter(|_| troubles.is_empty()) {
        Some(views) => unloaded_edits::refusals(state, &views),
        None => refused(state, &nothing, &Allowed::default(), &troubles).refusals_to_write(),
    }
}

fn planned(state: &NodeState, asked: &Desired, allowed: &Allowed) -> Plan {
    let whitelist = &bridge::named_as_there(asked, state, allowed);
    let without_chain;
    let desired = if whitelist.passage.is_docker_nft() {
        without_chain = passage::without_chain(whitelist);
        &without_chain
    } else {
        whitelist
    };
    let troubles = diagnose(desired, state);
    let Some(views) = Views::of(state).filter(|_| troubles.is_empty()) else {
        return refused(state, desired, allowed, &troubles);
    };
    let may_not = || reload::may_not(state, &views, &Ours::new(desired, state), allowed);
    let folded = ipsets::folded(desired, state, may_not);
    let ours = Ours::new(&folded.desired, state);
    let node = Node {
        mangle: mangle::wanted(state, desired, views.permanent.direct),
        state,
        desired,
        whitelist,
        placed: &folded.desired,
        views,
        ours,
        allowed,
    };
    let mut findings = node.seen();
    findings.extend(folded.findings);
    let permanent = node.permanent();
    let docker = docker::docker(desired, node.views.docker, allowed);
    findings.extend(docker.findings);
    let chains = node.chains();
    findings.extend(chains.findings);

    // First: from here on nothing passes that is on no list, whatever happens to the chains.
    let guard = guard::guard(state, desired);
    findings.extend(guard.findings);
    let mut actions: Vec<Action> = guard.action.into_iter().collect();
    actions.extend(permanent.actions());
    actions.extend(docker.create);
    actions.extend(node.leftover_latch());
    let runtime = node.runtime(&actions, chains.steps, chains.rich, docker.moves);
    findings.extend(runtime.findings);
    actions.extend(runtime.actions);
    let passed = mangle::passed(state, desired, &node.ours);
    if passed.is_empty() && !desired.guard.networks.is_empty() {
        guard::soften(&mut findings, desired);
    }
    findings.extend(passed);

    let edits = unloaded_edits::findings(state, &node.views, &actions, &findings, |then| {
        planned(then, asked, allowed)
    });
    findings.extend(edits);
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

/// A node that can be planned for, and its desired state.
struct Node<'a> {
    state: &'a NodeState,
    desired: &'a Desired,
    /// The same with the rules of DOCKER-USER, also where the node has no such chain: who may come in, and who may be reached.
    whitelist: &'a Desired,
    /// The desired state with sets in place of the rules of large lists: what the node's configuration is compared with.
    placed: &'a Desired,
    views: Views<'a>,
    /// The guard's rules in table mangle; none where nft holds the guard.
    mangle: Vec<DirectRule>,
    ours: Ours,
    allowed: &'a Allowed,
}

/// Step 1: firewalld's files, each written as a whole; `None` if it is in the desired state.
struct Permanent {
    /// Sets that rules refer to.
    sets: Vec<Action>,
    direct: Option<Action>,
    rich: Option<Action>,
    /// Sets that no rule refers to any more.
    stale: Vec<Action>,
}

impl Permanent {
    fn actions(self) -> Vec<Action> {
        let rules = self.direct.into_iter().chain(self.rich);
        let before = self.sets.into_iter().chain(rules);
        before.chain(self.stale).collect()
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

/// Steps 3 to 5: the runtime configuration, the moves of containers, and the removal of stale rules.
struct Runtime {
    actions: Vec<Action>,
    findings: Vec<Finding>,
}

impl Node<'_> {
    /// The findings on the node that do not depend on the steps.
    fn seen(&self) -> Vec<Finding> {
        let (state, desired, docker) = (self.state, self.desired, self.views.docker);
        let mut out = preflight::hazards(state);
        out.extend(preflight::locks_out(desired, state));
        out.extend(active_lease(state));
        out.extend(records::leftovers(state));
        out.extend(blocked_peers::troubles(self.placed, state));
        out.extend(passage::findings(desired, state));
        out.extend(reach::findings(self.whitelist, state, &self.ours));
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
        let (sets, stale) = ipsets::permanent(&self.placed.sets, self.state);
        Permanent {
            sets,
            stale,
            direct: firewall::permanent_direct(
                self.placed,
                &self.mangle,
                permanent.direct,
                &self.ours,
            ),
            rich: firewall::permanent_rich(self.placed, zone, permanent.rich, &self.ours),
        }
    }

    fn chains(&self) -> Chains {
        let (desired, ours) = (self.placed, &self.ours);
        let (permanent, runtime) = (self.views.permanent.direct, self.views.runtime.direct);
        let mut steps = firewall::Runtime::default();
        let mut findings = Vec::new();
        for family in Family::ALL {
            let Some(tables) = self.state.kernel.tables(family).known() else {
                continue;
            };
            steps.extend(firewall::chain(desired, family, runtime, tables, ours));
            // Without a jump nothing is ahead of it; whatever others accept, the guard decides first.
            if desired.passage.is_docker_nft() {
                continue;
            }
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

    /// The runtime configuration, by one reload or rule by rule. `before` are the steps that precede it.
    fn runtime(
        &self,
        before: &[Action],
        steps: firewall::Runtime,
        rich: RichSteps,
        moves: Vec<Action>,
    ) -> Runtime {
        let (state, desired, ours) = (self.state, self.placed, &self.ours);
        let mangle = mangle::Steps::of(state, &self.mangle, self.views.runtime.direct);
        let calls = [&steps.adds, &steps.removes, &rich.adds, &rich.removes];
        let calls: usize = calls.iter().map(|actions| actions.len()).sum();
        let work = reload::Work {
            calls: calls + mangle.calls(),
            rebinds: steps.rebinds.len() + steps.jump.len() + mangle.settle.len(),
            moves: moves.len(),
            needs_reload: ipsets::need_reload(desired, state),
        };
        let reloading = reload::decide(state, &self.views, ours, self.allowed, &work);
        let mut findings = reloading.findings;
        let subnets = self.subnets();
        // In audit nothing is to be refused, not even for a moment.
        let is_guarded = guard::is_held_by_nft(state, desired) || desired.is_audit();
        if reloading.chosen {
            let mut actions = reload::steps(state, before, desired, ours, subnets, is_guarded);
            actions.extend(moves);
            return Runtime { actions, findings };
        }
        findings.extend(backend_rules::troubles(desired, state, ours));
        let sets = ipsets::runtime(&desired.sets, state);
        let mut chain = sets.first;
        chain.extend(steps.rebinds);
        chain.extend(steps.adds);
        let settled = in_place::settle(state, &chain, desired, ours);
        chain.extend(settled);
        chain.extend(steps.jump);
        chain.extend(rich.adds);
        chain.extend(mangle.settle);
        chain.extend(mangle.adds);
        let mut actions = in_place::latched(chain, (!is_guarded).then_some(subnets));
        actions.extend(moves);
        actions.extend(steps.removes);
        actions.extend(rich.removes);
        actions.extend(mangle.removes);
        actions.extend(sets.last);
        Runtime { actions, findings }
    }
}
