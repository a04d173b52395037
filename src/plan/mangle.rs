//! The guard in iptables' table mangle, where nft cannot hold it: what shall be there, and the steps to it.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::model::desired::Desired;
use crate::model::guard::mangle::MangleChain;
use crate::model::guard::mangle::MangleState;
use crate::model::guard::mangle::TABLE;
use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::rule::Rule;
use crate::model::rule::Target;
use crate::model::state::Direct;
use crate::model::state::KernelRule;
use crate::model::state::NodeState;
use crate::model::state::Tables;
use crate::model::state::View;
use crate::plan::action::Action;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::firewall::chains_of;
use crate::plan::firewall::meaning;
use crate::plan::guard::GuardKind;
use crate::plan::ownership::Ours;
use crate::plan::printed::Line;
use crate::plan::printed::Places;
use crate::plan::simulate::held;
use crate::policy::Edge;
use crate::policy::mangle::JUMP;
use crate::policy::mangle::rules;
use crate::policy::may_match;

/// The guard's rules, in each family that the kernel has; none where nft holds it. Where that is not known, or its tables are not, the permanent configuration
/// stays as it is: an answer that is missing changes nothing.
pub(super) fn wanted(state: &NodeState, desired: &Desired, permanent: &Direct) -> Vec<DirectRule> {
    let mut out = Vec::new();
    if GuardKind::of(state) == GuardKind::Nft {
        return out;
    }
    let asked = rules(&desired.guard);
    for family in Family::ALL {
        let of_family = |rule: &&DirectRule| rule.family == Some(family);
        match is_spoken(state, family) {
            Some(true) => out.extend(asked.iter().filter(of_family).cloned()),
            Some(false) => {}
            None => {
                let kept = permanent.rules.iter().filter(of_family);
                out.extend(kept.filter(|rule| MangleChain::holds(rule)).cloned());
            }
        }
    }
    out
}

/// Whether the kernel has the family at all: firewalld takes no rule of IPv6 on a node that was booted without it
/// (`ipv6.disable=1`), where `ip6tables-save` may still print nothing and end well. `None` if it is not known.
fn is_spoken(state: &NodeState, family: Family) -> Option<bool> {
    state.kernel.tables(family).known()?;
    match family {
        Family::V4 => Some(true),
        Family::V6 => {
            let routing = state.system.networking.routing.known()?;
            Some(routing.forwarding6.is_some())
        }
    }
}

/// The steps at runtime.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The step that makes the kernel hold what firewalld believes it does.
    pub settle: Vec<Action>,
    /// Additions: the chains, then what allows, then what refuses, and the jumps last.
    pub adds: Vec<Action>,
    /// Removals, the other way round.
    pub removes: Vec<Action>,
}

impl Steps {
    /// The steps of both families.
    pub(super) fn of(state: &NodeState, wanted: &[DirectRule], runtime: &Direct) -> Self {
        let mut out = Steps::default();
        for family in Family::ALL {
            if is_spoken(state, family).is_some()
                && let Some(tables) = state.kernel.tables(family).known()
            {
                out.family(family, wanted, runtime, tables);
            }
        }
        out
    }

    /// How many calls of firewalld they are.
    pub(super) fn calls(&self) -> usize {
        self.adds.len() + self.removes.len()
    }

    fn family(&mut self, family: Family, wanted: &[DirectRule], runtime: &Direct, tables: &Tables) {
        let before = MangleState::of(tables);
        let after = held(runtime, family, tables);
        // firewalld's own jumps matter where there is a guard behind them, or shall be.
        let is_guarded = wanted.iter().any(|rule| rule.family == Some(family))
            || !before.is_empty()
            || !after.is_empty();
        if is_guarded && !agrees(&before, runtime, family, tables) {
            self.settle.push(Action::SetMangle {
                family,
                before,
                after,
            });
        }
        let of_family = |rule: &&DirectRule| rule.family == Some(family);
        let wanted: Vec<&DirectRule> = wanted.iter().filter(of_family).collect();
        let owned: Vec<DirectRule> = wanted.iter().map(|rule| (*rule).clone()).collect();
        let chains = chains_of(&owned);
        for chain in MangleChain::ALL {
            let direct = chain.direct(family);
            if chains.contains(&direct) && !runtime.chains.contains(&direct) {
                self.adds.push(Action::AddChain { family, chain });
            }
        }
        let tracked: Vec<&DirectRule> = tracked(runtime, family);
        let there: BTreeSet<_> = tracked.iter().filter_map(|rule| meaning(rule)).collect();
        let missing = wanted
            .iter()
            .filter(|rule| meaning(rule).is_none_or(|m| !there.contains(&m)));
        self.adds
            .extend(missing.map(|rule| Action::AddRule((*rule).clone())));
        let meant: BTreeSet<_> = wanted.iter().filter_map(|rule| meaning(rule)).collect();
        let mut kept = BTreeSet::new();
        let mut stale: Vec<&DirectRule> = Vec::new();
        for rule in tracked {
            match meaning(rule).filter(|m| meant.contains(m) && !kept.contains(m)) {
                Some(meaning) => {
                    kept.insert(meaning);
                }
                None => stale.push(rule),
            }
        }
        stale.sort_by_key(|rule| (Reverse(rank(rule)), Reverse(rule.priority)));
        self.removes.extend(
            stale
                .into_iter()
                .map(|rule| Action::RemoveRule(rule.clone())),
        );
        for chain in MangleChain::ALL.into_iter().rev() {
            let direct = chain.direct(family);
            if runtime.chains.contains(&direct) && !chains.contains(&direct) {
                self.removes.push(Action::RemoveChain { family, chain });
            }
        }
    }
}

/// How far from the lists of flows a rule is: those that lead to others come last when they are added, and go first.
fn rank(rule: &DirectRule) -> usize {
    match MangleChain::of(&rule.chain) {
        None => 2,
        Some(chain) if chain.hook().is_some() => 1,
        Some(_) => 0,
    }
}

/// The guard's rules that firewalld holds, by priority.
fn tracked(direct: &Direct, family: Family) -> Vec<&DirectRule> {
    let mut out: Vec<&DirectRule> = direct.rules.iter().collect();
    out.retain(|rule| rule.family == Some(family) && MangleChain::holds(rule));
    out.sort_by_key(|rule| rule.priority);
    out
}

/// Whether the kernel holds what firewalld believes: each line, none more, in order of priority, and the jumps ahead of what could accept.
fn agrees(seen: &MangleState, runtime: &Direct, family: Family, tables: &Tables) -> bool {
    let wanted = held(runtime, family, tables);
    let tracked = tracked(runtime, family);
    let same_chains = seen.chains.keys().eq(wanted.chains.keys());
    let same_lines = || {
        seen.chains.iter().all(|(chain, lines)| {
            let mut here = tracked.clone();
            here.retain(|rule| rule.chain == chain.name());
            in_order(lines, &here, &wanted.chains[chain])
        })
    };
    let same_jumps = || {
        let (seen, wanted) = (&seen.jumps, &wanted.jumps);
        seen.len() == wanted.len()
            && wanted.iter().all(|wanted| {
                seen.iter().any(|seen| {
                    seen.chain == wanted.chain && Line::from(&seen.line) == Line::from(&wanted.line)
                })
            })
            && seen.iter().all(|jump| {
                let lines = tables.chain(TABLE, &jump.chain);
                let ahead = lines.map_or(&[][..], |chain| &chain.rules[..jump.place]);
                !ahead
                    .iter()
                    .any(|line| could_accept(line.rule.as_ref(), tables))
            })
    };
    same_chains && same_lines() && same_jumps()
}

/// Whether the lines are those of these rules, in order of priority: equal priorities have no order.
fn in_order(lines: &[KernelRule], rules: &[&DirectRule], forms: &[KernelRule]) -> bool {
    if lines.len() != forms.len() || rules.len() != forms.len() {
        return false;
    }
    let mut places = Places::of(forms.iter().map(Line::from).enumerate());
    let mut highest = i32::MIN;
    lines.iter().all(|line| {
        let Some(n) = places.take(&Line::from(line)) else {
            return false;
        };
        let goes_on = rules[n].priority >= highest;
        highest = rules[n].priority;
        goes_on
    })
}

/// Whether a rule could take a packet past what comes after it in mangle. One that is not understood could.
fn could_accept(rule: Option<&Rule>, tables: &Tables) -> bool {
    let Some(rule) = rule else {
        return true;
    };
    match &rule.target {
        Target::Drop | Target::Reject(_) | Target::Nothing => false,
        Target::Jump(name, _) if name == "QUEUE" || name == "NFQUEUE" => true,
        // An extension, such as MARK or TCPMSS: the packet goes on.
        Target::Jump(name, _) if tables.chain(TABLE, name).is_none() => false,
        _ => MangleChain::target(rule).is_none(),
    }
}

/// Direct rules of others that could accept a packet of a managed network ahead of the guard: after a reload of firewalld it never sees it.
/// What only the kernel holds is put behind the guard.
pub(super) fn passed(state: &NodeState, desired: &Desired, ours: &Ours) -> Vec<Finding> {
    let mut out = Vec::new();
    if GuardKind::wanted(state, desired) != Some(GuardKind::Mangle) {
        return out;
    }
    for family in Family::ALL {
        let (Some(tables), Some(direct)) = (
            state.kernel.tables(family).known(),
            state.permanent.direct.known(),
        ) else {
            continue;
        };
        let edges = ours.edges(family);
        let is_hook = |rule: &DirectRule| {
            let mut hooks = MangleChain::ALL.into_iter().filter_map(MangleChain::hook);
            rule.table == TABLE && hooks.any(|hook| hook == rule.chain)
        };
        let is_ahead = |rule: &&DirectRule| {
            rule.family == Some(family)
                && is_hook(rule)
                && rule.priority <= JUMP
                && !MangleChain::holds(rule)
        };
        let accepts = |rule: &&DirectRule| {
            could_accept(rule.rule(), tables) && could_be_managed(rule.rule(), &edges)
        };
        let rules = direct.rules.iter().filter(is_ahead).filter(accepts);
        out.extend(rules.map(|rule| {
            let text = format!(
                "`{rule}` is ahead of the guard after a reload, which does not see what it accepts"
            );
            Finding::new(FindingCode::GuardPassed, View::Permanent, text)
        }));
    }
    out
}

fn could_be_managed(rule: Option<&Rule>, edges: &[Edge]) -> bool {
    rule.is_none_or(|rule| may_match(rule, edges))
}
