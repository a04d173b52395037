//! Plans the three views of the packet filter: permanent, runtime, kernel.

use crate::model::CHAIN;
use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::state::Chain;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::model::state::KernelRule;
use crate::model::state::RichText;
use crate::model::state::Tables;
use crate::plan::action::Action;
use crate::plan::admit::could_admit;
use crate::plan::after::is_jump;
use crate::plan::after::kernel_line;
use crate::plan::ownership::Ours;

/// The permanent direct configuration as it shall be, or `None` if it is so: everything foreign as it stands, ours as
/// the roles want it.
pub fn permanent_direct(desired: &Desired, seen: &Direct, ours: &Ours) -> Option<Action> {
    let mut after = seen.clone();
    for family in desired.families() {
        let chain = DirectChain::ours(family);
        if !after.chains.contains(&chain) {
            after.chains.push(chain);
        }
    }
    after.rules = merged(&desired.rules, &seen.rules, ours);
    (after != *seen).then(|| Action::SetPermanentDirect {
        before: seen.clone(),
        after,
    })
}

/// What is there, less what is ours and stale, plus what is missing.
fn merged(wanted: &[DirectRule], seen: &[DirectRule], ours: &Ours) -> Vec<DirectRule> {
    let mut out: Vec<DirectRule> = Vec::new();
    for rule in seen {
        let keep = if ours.direct(rule) {
            // One spelling of a rule is enough.
            wanted.iter().any(|w| w.means(rule)) && !out.iter().any(|o| o.means(rule))
        } else {
            true
        };
        if keep {
            out.push(rule.clone());
        }
    }
    for rule in wanted {
        if !out.iter().any(|o| o.means(rule)) {
            out.push(rule.clone());
        }
    }
    out
}

/// The permanent rich rules of the zone as they shall be, or `None` if they are so.
pub fn permanent_rich(
    desired: &Desired,
    zone: &str,
    seen: &[RichText],
    ours: &Ours,
) -> Option<Action> {
    let mut after: Vec<RichText> = seen
        .iter()
        .filter(|r| !ours.rich(&r.rule) || desired.rich.contains(&r.rule))
        .cloned()
        .collect();
    for rule in &desired.rich {
        if !after.iter().any(|r| r.rule == *rule) {
            after.push(RichText::from(rule));
        }
    }
    (after != seen).then(|| Action::SetPermanentRich {
        zone: zone.to_string(),
        before: seen.to_vec(),
        after,
    })
}

/// Steps on the runtime view, split by what they do.
#[derive(Debug, Default)]
pub struct Runtime {
    /// Steps that make firewalld and the kernel agree on the chain before anything is added to it.
    pub rebinds: Vec<Action>,
    /// Additions.
    pub adds: Vec<Action>,
    /// The jump.
    pub jump: Vec<Action>,
    /// Removals.
    pub removes: Vec<Action>,
}

/// Plans DOCKER-USER of one family.
pub fn chain(
    desired: &Desired,
    family: Family,
    runtime: &Direct,
    tables: &Tables,
    ours: &Ours,
) -> Runtime {
    let mut out = Runtime::default();
    let wanted: Vec<&DirectRule> = desired.rules_of(family).collect();
    let tracked = runtime.chain(family);
    if wanted.is_empty() && !tracked.iter().any(|r| ours.direct(r)) {
        return out;
    }
    let managed = ours.managed(family);
    let seen = tables.chain("filter", CHAIN);
    if !wanted.is_empty() && !runtime.owns(family) {
        if seen.is_none() {
            out.rebinds.push(set_chain(family, None, Vec::new()));
        }
        out.rebinds.push(Action::OwnChain { family });
    }
    let between = out
        .rebinds
        .iter()
        .fold(tables.clone(), |tables, action| match action {
            // Only the missing chain was made; everything else stands as it was.
            Action::SetKernelChain { .. } => with_empty_chain(tables),
            _ => tables,
        });
    out.rebinds.extend(settle(family, runtime, &between, ours));
    for rule in &wanted {
        if !tracked.iter().any(|r| r.means(rule)) {
            out.adds.push(Action::AddRule((*rule).clone()));
        }
    }
    let mut kept: Vec<&DirectRule> = Vec::new();
    for rule in &tracked {
        let stale = ours.direct(rule)
            && (!wanted.iter().any(|w| w.means(rule)) || kept.iter().any(|k| k.means(rule)));
        if stale {
            out.removes.push(Action::RemoveRule((*rule).clone()));
        } else {
            kept.push(rule);
        }
    }
    if !wanted.is_empty() {
        out.jump.extend(jump(family, tables, &managed));
    }
    out
}

fn set_chain(family: Family, before: Option<Vec<String>>, after: Vec<String>) -> Action {
    Action::SetKernelChain {
        family,
        before,
        after: Some(after),
    }
}

/// The step that makes the kernel's chain what firewalld believes it to be, or `None` if it is so.
pub fn settle(family: Family, runtime: &Direct, tables: &Tables, ours: &Ours) -> Option<Action> {
    let seen = tables.chain("filter", CHAIN);
    let tracked = runtime.chain(family);
    if tracked.is_empty() && seen.is_none() && !runtime.owns(family) {
        return None;
    }
    let managed = ours.managed(family);
    let lines = chain_lines(&tracked, seen, ours, family, &managed, tables)?;
    let before = seen.map(|c| c.rules.iter().map(|r| r.text.clone()).collect());
    Some(set_chain(family, before, lines))
}

fn with_empty_chain(mut tables: Tables) -> Tables {
    tables
        .tables
        .entry("filter".to_string())
        .or_default()
        .insert(CHAIN.to_string(), Chain::default());
    tables
}

/// The kernel's chain as it must be for firewalld's view of it to be true, or `None` if it is so already.
///
/// It is so when it holds every rule that firewalld tracks, in order of priority; no rule that is ours and that
/// firewalld does not know of; and nothing foreign ahead of them that could admit a managed packet.
fn chain_lines(
    tracked: &[&DirectRule],
    seen: Option<&Chain>,
    ours: &Ours,
    family: Family,
    managed: &[Cidr],
    tables: &Tables,
) -> Option<Vec<String>> {
    let Some(seen) = seen else {
        return Some(tracked.iter().map(|r| kernel_line(r)).collect());
    };
    let mut missing: Vec<&DirectRule> = tracked.to_vec();
    let mut highest = i32::MIN;
    let mut in_order = true;
    let mut foreign: Vec<(usize, &KernelRule)> = Vec::new();
    let mut stray = false;
    let mut last_tracked = 0;
    for (at, line) in seen.rules.iter().enumerate() {
        // Equal rules of different priority: the one that keeps the order is the one that is meant.
        let found = missing
            .iter()
            .position(|r| line.rule.is_some() && r.rule() == line.rule);
        match found {
            Some(n) => {
                let rule = missing.remove(n);
                in_order &= rule.priority >= highest;
                highest = rule.priority;
                last_tracked = at;
            }
            None => match &line.rule {
                Some(rule) if ours.rule(family, rule) => stray = true,
                _ => foreign.push((at, line)),
            },
        }
    }
    let admitted = !tracked.is_empty()
        && foreign
            .iter()
            .any(|(at, line)| *at < last_tracked && could_admit(line, managed, tables));
    if missing.is_empty() && in_order && !stray && !admitted {
        return None;
    }
    let first_tracked = seen.rules.iter().position(|line| {
        tracked
            .iter()
            .any(|r| line.rule.is_some() && r.rule() == line.rule)
    });
    let stays_ahead = |at: usize, line: &KernelRule| {
        first_tracked.is_some_and(|first| at < first) && !could_admit(line, managed, tables)
    };
    let (ahead, behind): (Vec<_>, Vec<_>) = foreign
        .into_iter()
        .partition(|(at, line)| stays_ahead(*at, line));
    let text = |(_, line): &(usize, &KernelRule)| line.text.clone();
    let mut lines: Vec<String> = ahead.iter().map(text).collect();
    lines.extend(tracked.iter().map(|r| kernel_line(r)));
    lines.extend(behind.iter().map(text));
    Some(lines)
}

/// The jump goes first, unless it stands ahead of everything that could let a managed packet through already.
pub fn jump(family: Family, tables: &Tables, managed: &[Cidr]) -> Option<Action> {
    let empty = Chain::default();
    let forward = tables.chain("filter", "FORWARD").unwrap_or(&empty);
    let jumps: Vec<usize> = (0..forward.rules.len())
        .filter(|n| is_jump(&forward.rules[*n]))
        .collect();
    let admits = forward
        .rules
        .iter()
        .position(|r| !is_jump(r) && could_admit(r, managed, tables))
        .unwrap_or(usize::MAX);
    let good = jumps.first().is_some_and(|first| *first < admits);
    (!good).then(|| Action::PlaceJump {
        family,
        before: jumps,
        after: vec![0],
    })
}

/// Plans the runtime rich rules of the zone: additions, then removals.
pub fn runtime_rich(
    desired: &Desired,
    zone: &str,
    seen: &[RichText],
    ours: &Ours,
) -> (Vec<Action>, Vec<Action>) {
    let zone = zone.to_string();
    let adds = desired
        .rich
        .iter()
        .filter(|rule| !seen.iter().any(|r| r.rule == **rule))
        .map(|rule| Action::AddRich {
            zone: zone.clone(),
            rule: RichText::from(rule),
        })
        .collect();
    let removes = seen
        .iter()
        .filter(|r| ours.rich(&r.rule) && !desired.rich.contains(&r.rule))
        .map(|rule| Action::RemoveRich {
            zone: zone.clone(),
            rule: rule.clone(),
        })
        .collect();
    (adds, removes)
}
