//! Plans the three views of the packet filter: permanent, runtime, kernel.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::CHAIN;
use crate::model::desired::Desired;
use crate::model::guard::mangle::MangleChain;
use crate::model::net::Family;
use crate::model::rich::RichRule;
use crate::model::rule::DirectRule;
use crate::model::rule::Rule;
use crate::model::rule::Target;
use crate::model::state::Chain;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::model::state::KernelRule;
use crate::model::state::Printed;
use crate::model::state::RichText;
use crate::model::state::Tables;
use crate::plan::action::Action;
use crate::plan::bypass::could_admit;
use crate::plan::ownership::Edge;
use crate::plan::ownership::Ours;
use crate::plan::printed::Form;
use crate::plan::printed::Line;
use crate::plan::printed::Places;
use crate::plan::printed::form;
use crate::plan::simulate::is_jump;

/// The desired permanent direct configuration, or `None` if it is already so: foreign entries unchanged, managed ones as
/// the roles require. `mangle` is the guard, if it is held there.
pub fn permanent_direct(
    desired: &Desired,
    mangle: &[DirectRule],
    seen: &Direct,
    ours: &Ours,
) -> Option<Action> {
    let mut after = seen.clone();
    for family in desired.families() {
        let chain = DirectChain::ours(family);
        if !after.chains.contains(&chain) {
            after.chains.push(chain);
        }
    }
    let of_guard = chains_of(mangle);
    after
        .chains
        .retain(|chain| !MangleChain::is(chain) || of_guard.contains(chain));
    for chain in of_guard {
        if !after.chains.contains(&chain) {
            after.chains.push(chain);
        }
    }
    let wanted: Vec<&DirectRule> = desired.rules.iter().chain(mangle).collect();
    after.rules = merged(&wanted, &seen.rules, ours);
    (after != *seen).then(|| Action::SetPermanentDirect {
        before: seen.clone(),
        after,
    })
}

/// The key by which rules are compared: two of one chain, meaning and priority are one rule, whatever their spelling.
type Meaning<'a> = (Family, &'a str, &'a str, i32, &'a Rule);

/// The key of a rule; `None` if it is not understood.
pub(super) fn meaning(rule: &DirectRule) -> Option<Meaning<'_>> {
    let (table, chain) = (rule.table.as_str(), rule.chain.as_str());
    Some((rule.family?, table, chain, rule.priority, rule.rule()?))
}

/// The chains of the guard that hold these rules, in the order in which they are created.
pub(super) fn chains_of(mangle: &[DirectRule]) -> Vec<DirectChain> {
    let mut out = Vec::new();
    for family in Family::ALL {
        let is_used = |chain: &MangleChain| {
            mangle
                .iter()
                .any(|rule| rule.family == Some(family) && rule.chain == chain.name())
        };
        let used = MangleChain::ALL.into_iter().filter(is_used);
        out.extend(used.map(|chain| chain.direct(family)));
    }
    out
}

/// The present rules, without stale managed ones, with the missing ones.
fn merged(wanted: &[&DirectRule], seen: &[DirectRule], ours: &Ours) -> Vec<DirectRule> {
    let meant: BTreeSet<Meaning<'_>> = wanted.iter().filter_map(|rule| meaning(rule)).collect();
    let mut there: BTreeSet<Meaning<'_>> = BTreeSet::new();
    let mut out: Vec<DirectRule> = Vec::new();
    for rule in seen {
        // One spelling of a rule is enough.
        let keep = !ours.direct(rule)
            || meaning(rule).is_some_and(|m| meant.contains(&m) && !there.contains(&m));
        if keep {
            there.extend(meaning(rule));
            out.push(rule.clone());
        }
    }
    let missing = wanted
        .iter()
        .filter(|rule| meaning(rule).is_none_or(|m| there.insert(m)));
    out.extend(missing.map(|rule| (*rule).clone()));
    out
}

/// The desired permanent rich rules of the zone, or `None` if they are already so.
pub fn permanent_rich(
    desired: &Desired,
    zone: &str,
    seen: &[RichText],
    ours: &Ours,
) -> Option<Action> {
    let wanted: BTreeSet<&RichRule> = desired.rich.iter().collect();
    let mut after: Vec<RichText> = seen
        .iter()
        .filter(|r| !ours.rich(&r.rule) || wanted.contains(&r.rule))
        .cloned()
        .collect();
    let there: BTreeSet<&RichRule> = seen.iter().map(|r| &r.rule).collect();
    let missing = desired.rich.iter().filter(|rule| !there.contains(rule));
    after.extend(missing.map(RichText::from));
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

impl Runtime {
    /// Adds the steps of another family.
    pub fn extend(&mut self, other: Runtime) {
        self.rebinds.extend(other.rebinds);
        self.adds.extend(other.adds);
        self.jump.extend(other.jump);
        self.removes.extend(other.removes);
    }
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
    let seen = tables.chain("filter", CHAIN);
    let is_ours = |line: &KernelRule| line.rule.as_ref().is_some_and(|r| ours.rule(family, r));
    let left = seen.is_some_and(|chain| chain.rules.iter().any(is_ours));
    if wanted.is_empty() && !left && !tracked.iter().any(|r| ours.direct(r)) {
        return out;
    }
    let edges = ours.edges(family);
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
            // Only the missing chain was created; everything else is unchanged.
            Action::SetKernelChain { .. } => with_empty_chain(tables),
            _ => tables,
        });
    out.rebinds.extend(settle(family, runtime, &between, ours));
    let there: BTreeSet<Meaning<'_>> = tracked.iter().filter_map(|r| meaning(r)).collect();
    let missing = wanted
        .iter()
        .filter(|rule| meaning(rule).is_none_or(|m| !there.contains(&m)));
    out.adds
        .extend(missing.map(|rule| Action::AddRule((*rule).clone())));
    let meant: BTreeSet<Meaning<'_>> = wanted.iter().filter_map(|r| meaning(r)).collect();
    let mut kept: BTreeSet<Meaning<'_>> = BTreeSet::new();
    for rule in &tracked {
        let stale = ours.direct(rule)
            && meaning(rule).is_none_or(|m| !meant.contains(&m) || kept.contains(&m));
        if stale {
            out.removes.push(Action::RemoveRule((*rule).clone()));
        } else {
            kept.extend(meaning(rule));
        }
    }
    if !wanted.is_empty() {
        out.jump.extend(jump(family, tables, &edges));
    }
    out
}

fn set_chain(family: Family, before: Option<Vec<KernelRule>>, after: Vec<KernelRule>) -> Action {
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
    let lines = chain_lines(&tracked, seen, ours, family, tables)?;
    let before = seen.map(|chain| chain.rules.clone());
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

/// The kernel's chain, compared with firewalld's view of it.
struct Compared<'a> {
    /// The forms of the rules that firewalld tracks, in order of priority.
    forms: Vec<Form<'a>>,
    /// Those that the kernel may hold in a spelling that could not be determined: among the foreign lines.
    unprintable: BTreeSet<usize>,
    /// Whether the kernel lacks a line of one.
    lacks: bool,
    /// Whether those it holds are in order of priority.
    in_order: bool,
    /// Whether it holds a line that is ours and that firewalld does not know of.
    stray: bool,
    /// The lines of others that firewalld does not know of.
    foreign: Vec<(usize, &'a KernelRule)>,
    /// The places of the first and the last line that firewalld knows of.
    known: Option<(usize, usize)>,
}

fn compared<'a>(
    tracked: &[&'a DirectRule],
    seen: &'a Chain,
    ours: &Ours,
    family: Family,
    tables: &'a Tables,
) -> Compared<'a> {
    let forms: Vec<Form<'_>> = tracked.iter().map(|rule| form(rule, tables)).collect();
    let lines = forms.iter().enumerate();
    let mut places = Places::of(
        lines.flat_map(|(n, form)| form.lines.iter().map(move |line| (n, line.clone()))),
    );
    let mut found: BTreeMap<usize, usize> = BTreeMap::new();
    let mut highest = i32::MIN;
    let mut out = Compared {
        unprintable: BTreeSet::new(),
        lacks: false,
        in_order: true,
        stray: false,
        foreign: Vec::new(),
        known: None,
        forms: Vec::new(),
    };
    for (at, line) in seen.rules.iter().enumerate() {
        // Equal rules of different priority: the one that keeps the order is the one that is meant.
        match places.take(&Line::from(line)) {
            Some(n) => {
                *found.entry(n).or_default() += 1;
                out.in_order &= tracked[n].priority >= highest;
                highest = tracked[n].priority;
                out.known = Some((out.known.map_or(at, |(first, _)| first), at));
            }
            None => match &line.rule {
                Some(rule) if ours.rule(family, rule) => out.stray = true,
                _ => out.foreign.push((at, line)),
            },
        }
    }
    let lacking = |n: &usize| found.get(n).copied().unwrap_or_default() < forms[*n].lines.len();
    let (lacking, doubtful): (Vec<usize>, Vec<usize>) = (0..forms.len())
        .filter(lacking)
        .partition(|n| forms[*n].certain);
    // A rule whose spelling is unknown may be any line that no other rule accounts for.
    let unaccounted = out
        .foreign
        .iter()
        .filter(|(_, line)| !is_return(line))
        .count();
    if doubtful.len() <= unaccounted {
        out.unprintable = doubtful.into_iter().collect();
        out.lacks = !lacking.is_empty();
    } else {
        out.lacks = true;
    }
    out.forms = forms;
    out
}

/// Docker up to 28.2.1 ends the chain with it.
fn is_return(line: &KernelRule) -> bool {
    line.rule
        .as_ref()
        .is_some_and(|r| r.target == Target::Return && r.matches().next().is_none())
}

/// The kernel's chain as firewalld's view of it requires, or `None` if it is already so.
///
/// It is so if it holds every rule that firewalld tracks, in order of priority; no managed rule that
/// firewalld does not have; and no foreign rule ahead of them that could accept a managed packet.
fn chain_lines(
    tracked: &[&DirectRule],
    seen: Option<&Chain>,
    ours: &Ours,
    family: Family,
    tables: &Tables,
) -> Option<Vec<KernelRule>> {
    let edges = ours.edges(family);
    let Some(seen) = seen else {
        let lines = tracked.iter().map(|rule| form(rule, tables));
        return Some(
            lines
                .flat_map(|form| form.kernel_rules().collect::<Vec<_>>())
                .collect(),
        );
    };
    let compared = compared(tracked, seen, ours, family, tables);
    let (first, last) = compared.known.unwrap_or((0, 0));
    let admitted = !tracked.is_empty()
        && compared
            .foreign
            .iter()
            .any(|(at, line)| *at < last && could_admit(line, &edges, tables));
    if !compared.lacks && compared.in_order && !compared.stray && !admitted {
        return None;
    }
    let (ahead, behind): (Vec<_>, Vec<_>) = compared
        .foreign
        .into_iter()
        .partition(|(at, line)| *at < first && !could_admit(line, &edges, tables));
    let line = |(_, line): &(usize, &KernelRule)| (*line).clone();
    let mut lines: Vec<KernelRule> = ahead.iter().map(line).collect();
    let told = compared.forms.iter().enumerate();
    let told = told.filter(|(n, _)| !compared.unprintable.contains(n));
    lines.extend(told.flat_map(|(_, form)| form.kernel_rules()));
    lines.extend(behind.iter().map(line));
    Some(lines)
}

/// Foreign rules in the kernel ahead of the whitelist, at a position from which they could accept other traffic.
pub fn passed<'a>(
    family: Family,
    runtime: &'a Direct,
    tables: &'a Tables,
    ours: &Ours,
) -> Vec<(&'static str, &'a KernelRule)> {
    let edges = ours.edges(family);
    let tracked = runtime.chain(family);
    let mut out = Vec::new();
    if let Some(seen) = tables.chain("filter", CHAIN)
        && !tracked.is_empty()
    {
        let compared = compared(&tracked, seen, ours, family, tables);
        let last = compared.known.map_or(0, |(_, last)| last);
        let ahead = compared.foreign.iter().filter(|(at, _)| *at < last);
        out.extend(ahead.map(|(_, line)| (CHAIN, *line)));
    }
    let forward = tables.chain("filter", "FORWARD");
    let forward = forward.map_or(&[][..], |chain| &chain.rules);
    let jump = forward.iter().position(is_jump).unwrap_or(0);
    out.extend(forward[..jump].iter().map(|line| ("FORWARD", line)));
    out.retain(|(_, line)| could_admit(line, &edges, tables));
    out
}

/// The rules that firewalld tracks and that cannot be compared with the kernel, each with the reason.
pub fn unprintable<'a>(
    family: Family,
    runtime: &'a Direct,
    tables: &Tables,
    ours: &Ours,
) -> Vec<(&'a DirectRule, String)> {
    let tracked = runtime.chain(family);
    let Some(seen) = tables.chain("filter", CHAIN) else {
        return Vec::new();
    };
    let compared = compared(&tracked, seen, ours, family, tables);
    let why = |rule: &DirectRule| match tables.printed.get(&*rule.args) {
        Some(Printed::Unknown(why)) => why.clone(),
        _ => "it was not asked".to_string(),
    };
    let rules = compared.unprintable.iter().map(|n| tracked[*n]);
    rules.map(|rule| (rule, why(rule))).collect()
}

/// The jump goes first, unless it is already ahead of everything that could accept a managed packet.
pub fn jump(family: Family, tables: &Tables, edges: &[Edge]) -> Option<Action> {
    let empty = Chain::default();
    let forward = tables.chain("filter", "FORWARD").unwrap_or(&empty);
    let jumps: Vec<usize> = (0..forward.rules.len())
        .filter(|n| is_jump(&forward.rules[*n]))
        .collect();
    let admits = forward
        .rules
        .iter()
        .position(|r| !is_jump(r) && could_admit(r, edges, tables))
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
    let there: BTreeSet<&RichRule> = seen.iter().map(|r| &r.rule).collect();
    let wanted: BTreeSet<&RichRule> = desired.rich.iter().collect();
    let adds = desired
        .rich
        .iter()
        .filter(|rule| !there.contains(rule))
        .map(|rule| Action::AddRich {
            zone: zone.clone(),
            rule: RichText::from(rule),
        })
        .collect();
    let removes = seen
        .iter()
        .filter(|r| ours.rich(&r.rule) && !wanted.contains(&r.rule))
        .map(|rule| Action::RemoveRich {
            zone: zone.clone(),
            rule: rule.clone(),
        })
        .collect();
    (adds, removes)
}
