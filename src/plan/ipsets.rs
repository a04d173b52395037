//! Large whitelists: the peers of a list as an address set of firewalld's, to which one rule refers.
//!
//! firewalld creates a set at runtime only when it loads its permanent configuration, so the first rule that refers to a new set needs a
//! reload. From then on a peer that comes or goes is one entry, which changes no rule. Where a set cannot be had, each peer keeps its rule.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::desired::Desired;
use crate::model::desired::Ipsets;
use crate::model::ipset;
use crate::model::ipset::IpSet;
use crate::model::ipset::IpSetEntry;
use crate::model::ipset::IpSetKind;
use crate::model::ipset::IpSets;
use crate::model::ipset::SetViews;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rich::RichRule;
use crate::model::rich::RichSource;
use crate::model::rule::DirectRule;
use crate::model::rule::Match;
use crate::model::rule::Rule;
use crate::model::rule::Sense;
use crate::model::state::Firewalld;
use crate::model::state::NodeState;
use crate::model::state::View;
use crate::plan::action::Action;
use crate::plan::action::SetHolder;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::policy::compile;

/// What becomes of the rules on this node.
pub(super) struct Folded<'a> {
    /// The desired state with sets in place of the rules of large lists.
    pub desired: Cow<'a, Desired>,
    /// Why a large list stays with a rule for each peer, or cannot be judged.
    pub findings: Vec<Finding>,
}

/// The desired state as it is for this node. `reload` says why firewalld may not be reloaded, if it may not.
pub(super) fn folded<'a>(
    desired: &'a Desired,
    state: &NodeState,
    reload: impl FnOnce() -> Option<String>,
) -> Folded<'a> {
    let as_it_is = |findings| Folded {
        desired: Cow::Borrowed(desired),
        findings,
    };
    let Ipsets::Above(above) = desired.ipsets else {
        return as_it_is(Vec::new());
    };
    // A list is no longer than all rules, and one that is a set already stays one down to half the threshold.
    if desired.rules.len().max(desired.rich.len()) <= above / 2 {
        return as_it_is(Vec::new());
    }
    let views = &state.sets;
    let none = IpSets::new();
    let out = fold(desired, above, views.permanent.known().unwrap_or(&none));
    if out.sets.is_empty() {
        return as_it_is(Vec::new());
    }
    let stays = |why: &str| {
        let count = match out.sets.len() {
            1 => "a list of peers would be an address set".to_string(),
            n => format!("{n} lists of peers would be address sets"),
        };
        let text = format!("{count}, and stay as a rule for each peer: {why}");
        Finding::new(FindingCode::IpsetsUnused, View::Permanent, text)
            .hint("each peer has its rules, which takes longer; `fwdeploy_ipset_threshold: never` asks for no sets")
    };
    match views.usable.as_result() {
        Ok(true) => {}
        Ok(false) => return as_it_is(vec![stays("firewalld cannot use ipset on this node")]),
        Err(why) => return as_it_is(vec![unreadable("whether sets can be used", why)]),
    }
    let unread = [
        ("the permanent ipsets", views.permanent.as_result().err()),
        ("the runtime ipsets", views.runtime.as_result().err()),
        ("the kernel's ipsets", views.kernel.as_result().err()),
        (
            "the sets of firewalld's nft tables",
            views.nft.as_result().err(),
        ),
    ];
    if let Some((what, why)) = unread
        .into_iter()
        .find_map(|(what, why)| why.map(|why| (what, why)))
    {
        return as_it_is(vec![unreadable(what, why)]);
    }
    if need_reload(&out, state)
        && let Some(why) = reload()
    {
        // Sets that firewalld has already are used; only the others stay rules.
        let finding = stays(&format!(
            "firewalld creates a set only when it is reloaded, and {why}"
        ));
        let there = views.permanent.known().unwrap_or(&none);
        let mut but = BTreeSet::new();
        let mut out = out;
        // What is no set of addresses could still be one of addresses and ports, which is not there either.
        while need_reload(&out, state) {
            but.extend(lacking(&out, state));
            out = fold_but(desired, above, there, &but);
        }
        return Folded {
            desired: Cow::Owned(out),
            findings: vec![finding],
        };
    }
    Folded {
        desired: Cow::Owned(out),
        findings: Vec::new(),
    }
}

fn unreadable(what: &str, why: &str) -> Finding {
    Finding::new(
        FindingCode::Unreadable,
        View::Runtime,
        format!("{what} could not be read: {why}"),
    )
}

/// The peer of a rule of ours, and its place; `None` if the rule is about no single peer.
fn peer(rule: &DirectRule) -> Option<(Family, &'static str, &Rule, Cidr)> {
    let (family, parsed) = (rule.family?, rule.rule()?);
    let mut networks = parsed.matches().filter_map(|m| match (rule.priority, m) {
        (compile::INBOUND, Match::Source(Sense::Is, net))
        | (compile::OUTBOUND, Match::Destination(Sense::Is, net)) => Some(*net),
        _ => None,
    });
    let place = match rule.priority {
        compile::INBOUND => "in",
        compile::OUTBOUND => "out",
        _ => return None,
    };
    Some((family, place, parsed, networks.next()?))
}

/// The rule without the conditions that `is_left_out` names, and with another one.
fn without(rule: &Rule, is_left_out: impl Fn(&Match) -> bool, more: Option<Match>) -> Rule {
    let matches = rule.matches().filter(|m| !is_left_out(m)).cloned();
    let out = Rule::new(matches.chain(more), rule.target.clone());
    match &rule.comment {
        Some(comment) => out.with_comment(comment.clone()),
        None => out,
    }
}

/// Rules that differ in nothing but their entry.
struct Group {
    kind: IpSetKind,
    family: Family,
    name: String,
    /// What is left out of each, and with what the set is asked.
    ends: &'static str,
    /// The place of each among the rules.
    members: Vec<(usize, IpSetEntry)>,
}

impl Group {
    /// Whether it becomes a set. One that exists is given up only when the list is half as long: a list that grows and shrinks by one peer
    /// would make firewalld reload each time.
    fn is_large(&self, above: usize, there: &IpSets) -> bool {
        let above = if there.contains_key(&self.name) {
            above / 2
        } else {
            above
        };
        self.members.len() > above
    }

    fn set(&self) -> IpSet {
        let entries = self.members.iter().map(|(_, entry)| *entry);
        IpSet::new(self.kind, self.family, disjoint(entries.collect()))
    }
}

/// The entries without those that others cover: firewalld refuses such a set.
fn disjoint(entries: BTreeSet<IpSetEntry>) -> BTreeSet<IpSetEntry> {
    let prefixes: BTreeSet<u8> = entries
        .iter()
        .filter_map(|entry| match entry {
            IpSetEntry::Net(net) => Some(net.prefix()),
            IpSetEntry::Port(..) => None,
        })
        .collect();
    let is_covered = |entry: &IpSetEntry| match entry {
        IpSetEntry::Net(net) => prefixes.range(..net.prefix()).any(|prefix| {
            Cidr::around(net.address(), *prefix)
                .is_some_and(|around| entries.contains(&IpSetEntry::Net(around)))
        }),
        IpSetEntry::Port(..) => false,
    };
    entries
        .iter()
        .filter(|entry| !is_covered(entry))
        .copied()
        .collect()
}

/// The desired state with a set for each list of more than so many peers. `there` are the sets that the node has.
pub fn fold(desired: &Desired, above: usize, there: &IpSets) -> Desired {
    fold_but(desired, above, there, &BTreeSet::new())
}

/// The same without the sets of these names.
fn fold_but(desired: &Desired, above: usize, there: &IpSets, but: &BTreeSet<String>) -> Desired {
    let mut out = desired.clone();
    let mut sets = IpSets::new();
    let is_large = |group: &Group| !but.contains(&group.name) && group.is_large(above, there);
    fold_rules(&mut out.rules, &is_large, &mut sets, by_address);
    fold_rules(&mut out.rules, &is_large, &mut sets, by_port);
    fold_rich(&mut out.rich, &is_large, &mut sets);
    out.sets = sets;
    out
}

/// What a rule has in common with others, and its entry.
struct Shape {
    kind: IpSetKind,
    family: Family,
    place: &'static str,
    ends: &'static str,
    entry: IpSetEntry,
}

/// The peer of a rule, as an address or a network.
fn by_address(rule: &DirectRule) -> Option<Shape> {
    let (family, place, _, net) = peer(rule)?;
    Some(Shape {
        kind: IpSetKind::Net,
        family,
        place,
        ends: if place == "in" { "src" } else { "dst" },
        entry: IpSetEntry::Net(net),
    })
}

/// The peer of a rule with its port: peers outside may have a port each.
fn by_port(rule: &DirectRule) -> Option<Shape> {
    let (family, place, parsed, net) = peer(rule)?;
    let mut protocol = None;
    let mut port = None;
    for condition in parsed.matches() {
        match condition {
            Match::Protocol(Sense::Is, name) => protocol = name.parse().ok(),
            Match::DestinationPort(Sense::Is, first, last) if first == last => port = Some(*first),
            _ => {}
        }
    }
    (place == "out" && net.is_host()).then_some(())?;
    Some(Shape {
        kind: IpSetKind::IpPort,
        family,
        place,
        ends: "dst,dst",
        entry: IpSetEntry::Port(net.address(), protocol?, port?),
    })
}

/// Whether a set of that kind takes the place of the condition, in a rule of that place.
fn is_in_entry(kind: IpSetKind, place: &str, condition: &Match) -> bool {
    match condition {
        Match::Source(Sense::Is, _) => place == "in",
        Match::Destination(Sense::Is, _) => place == "out",
        Match::DestinationPort(..) => kind == IpSetKind::IpPort,
        _ => false,
    }
}

fn fold_rules(
    rules: &mut Vec<DirectRule>,
    is_large: &dyn Fn(&Group) -> bool,
    sets: &mut IpSets,
    shape: fn(&DirectRule) -> Option<Shape>,
) {
    let mut groups: BTreeMap<(Family, i32, Rule), Group> = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate() {
        let (Some(shape), Some(parsed)) = (shape(rule), rule.rule()) else {
            continue;
        };
        let rest = without(
            parsed,
            |condition| is_in_entry(shape.kind, shape.place, condition),
            None,
        );
        let group = groups
            .entry((shape.family, rule.priority, rest))
            .or_insert_with_key(|(family, priority, rest)| Group {
                kind: shape.kind,
                family: *family,
                name: ipset::name(
                    shape.place,
                    *family,
                    &format!("{} {priority} {rest}", shape.kind.name()),
                ),
                ends: shape.ends,
                members: Vec::new(),
            });
        group.members.push((at, shape.entry));
    }
    groups.retain(|_, group| is_large(group));
    let mut gone: BTreeSet<usize> = BTreeSet::new();
    let mut made: BTreeMap<usize, DirectRule> = BTreeMap::new();
    for ((family, priority, rest), group) in groups {
        let condition = Match::in_set(&group.name, group.ends);
        let rule = without(&rest, |_| false, Some(condition));
        let first = group.members.first().map_or(0, |(at, _)| *at);
        made.insert(first, DirectRule::ours(family, priority, rule));
        gone.extend(group.members.iter().map(|(at, _)| *at));
        sets.insert(group.name.clone(), group.set());
    }
    if made.is_empty() {
        return;
    }
    let old = std::mem::take(rules);
    for (at, rule) in old.into_iter().enumerate() {
        let kept = (!gone.contains(&at)).then_some(rule);
        rules.extend(made.remove(&at).or(kept));
    }
}

fn fold_rich(rules: &mut Vec<RichRule>, is_large: &dyn Fn(&Group) -> bool, sets: &mut IpSets) {
    let mut groups: BTreeMap<RichRule, Group> = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate() {
        let Some((family, net, rest)) = from_network(rule) else {
            continue;
        };
        let group = groups.entry(rest).or_insert_with_key(|rest| Group {
            kind: IpSetKind::Net,
            family,
            name: ipset::name("zone", family, &rest.to_string()),
            ends: "src",
            members: Vec::new(),
        });
        group.members.push((at, IpSetEntry::Net(net)));
    }
    groups.retain(|_, group| is_large(group));
    if groups.is_empty() {
        return;
    }
    let gone: BTreeSet<usize> = groups
        .values()
        .flat_map(|group| group.members.iter().map(|(at, _)| *at))
        .collect();
    let mut at = 0;
    rules.retain(|_| {
        at += 1;
        !gone.contains(&(at - 1))
    });
    for (rest, group) in groups {
        rules.push(asking(rest, &group.name));
        sets.insert(group.name.clone(), group.set());
    }
    rules.sort();
}

/// The network that a rule is for, and the rule without it.
fn from_network(rule: &RichRule) -> Option<(Family, Cidr, RichRule)> {
    let mut rest = rule.clone();
    let (RichRule::Forward { family, source, .. } | RichRule::Accept { family, source, .. }) =
        &mut rest
    else {
        return None;
    };
    let net = source.take()?.net()?;
    Some((*family, net, rest))
}

/// The rule for what comes from an address in that set.
fn asking(mut rule: RichRule, name: &str) -> RichRule {
    if let RichRule::Forward { source, .. } | RichRule::Accept { source, .. } = &mut rule {
        *source = Some(RichSource::Set(name.to_string()));
    }
    rule
}

/// Whether firewalld has to be reloaded for the sets: one is missing where a rule will ask it, or is of another kind.
pub(super) fn need_reload(desired: &Desired, state: &NodeState) -> bool {
    !lacking(desired, state).is_empty()
}

/// The names of those sets.
fn lacking(desired: &Desired, state: &NodeState) -> BTreeSet<String> {
    let views = &state.sets;
    let by_rules: BTreeSet<&str> = desired
        .rules
        .iter()
        .filter_map(DirectRule::rule)
        .flat_map(Rule::matches)
        .filter_map(|condition| Some(condition.as_set()?.0))
        .collect();
    let by_zone: BTreeSet<&str> = desired.rich.iter().filter_map(RichRule::set).collect();
    let firewalld = state.firewalld.known();
    let is_nft = firewalld.is_some_and(Firewalld::is_nftables);
    let has = |sets: Option<&IpSets>, name: &str, set: &IpSet| {
        sets.and_then(|sets| sets.get(name))
            .is_some_and(|there| there.is_alike(set))
    };
    let is_lacking = |(name, set): &(&String, &IpSet)| {
        let name: &String = name;
        let asks_kernel = by_rules.contains(name.as_str()) || !is_nft;
        let asks_nft = by_zone.contains(name.as_str()) && is_nft;
        let in_nft = || {
            let tables = views.nft.known();
            tables.is_some_and(|tables| tables.values().any(|sets| sets.contains_key(name)))
        };
        !has(views.runtime.known(), name, set)
            || asks_kernel && !has(views.kernel.known(), name, set)
            || asks_nft && !in_nft()
    };
    let lacking = desired.sets.iter().filter(is_lacking);
    lacking.map(|(name, _)| name.clone()).collect()
}

/// What firewalld's files need: the sets first, since rules refer to them; and, once no rule does, those that nobody wants any more.
pub(super) fn permanent(wanted: &IpSets, state: &NodeState) -> (Vec<Action>, Vec<Action>) {
    let Some(there) = state.sets.permanent.known() else {
        return Default::default();
    };
    let files = state.files.known();
    let edited = there
        .iter()
        // What is written anyway is written as a whole.
        .filter(|(name, set)| wanted.get(*name).is_none_or(|wanted| wanted == *set))
        .filter_map(|(name, set)| {
            let says = files?.ipsets.get(name)?.says.known();
            let file = says.cloned().flatten();
            (file.as_ref() != Some(set)).then(|| Action::RewriteSet {
                name: name.clone(),
                file,
                set: set.clone(),
            })
        });
    let sets = wanted
        .iter()
        .filter(|(name, set)| there.get(*name) != Some(*set))
        .map(|(name, set)| Action::SetPermanentSet {
            name: name.clone(),
            before: there.get(name).cloned(),
            after: Some(set.clone()),
        });
    let stale = there
        .iter()
        .filter(|(name, _)| !wanted.contains_key(*name))
        .map(|(name, set)| Action::SetPermanentSet {
            name: name.clone(),
            before: Some(set.clone()),
            after: None,
        });
    (edited.chain(sets).collect(), stale.collect())
}

/// What the sets need at runtime.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// What makes the kernel agree with firewalld on them, and adds what is missing: ahead of the rules.
    pub first: Vec<Action>,
    /// What removes entries: behind the rules.
    pub last: Vec<Action>,
}

/// The steps at runtime for sets that firewalld has. Additions first: a peer that comes from a rule into a set, or goes from a set into a rule,
/// passes all the time.
pub(super) fn runtime(wanted: &IpSets, state: &NodeState) -> Steps {
    let views = &state.sets;
    let mut out = Steps::default();
    let Some(memory) = views.runtime.known() else {
        return out;
    };
    for (name, set) in wanted {
        let Some(there) = memory.get(name) else {
            continue;
        };
        settle(&mut out.first, name, there, views);
        let between = between(there, set);
        if between != *there {
            out.first.push(entries(name, there, &between));
        }
        if between != *set {
            out.last.push(entries(name, &between, set));
        }
    }
    out
}

fn entries(name: &str, before: &IpSet, after: &IpSet) -> Action {
    Action::SetEntries {
        name: name.to_string(),
        before: before.clone(),
        after: after.clone(),
    }
}

/// The set with what is missing, and still with what has to go. firewalld takes no entry that overlaps another, so what is in the way goes first.
fn between(there: &IpSet, wanted: &IpSet) -> IpSet {
    let missing: Vec<IpSetEntry> = wanted.entries.difference(&there.entries).copied().collect();
    let stale = there.entries.difference(&wanted.entries);
    let is_in_the_way = |entry: &&IpSetEntry| missing.iter().any(|new| new.overlaps(**entry));
    let kept = stale.filter(|entry| !is_in_the_way(entry)).copied();
    IpSet {
        entries: wanted.entries.iter().copied().chain(kept).collect(),
        odd: there.odd.clone(),
        ..wanted.clone()
    }
}

/// Where the kernel holds other entries than firewalld's memory, it is made to hold those: firewalld cannot add an entry that the kernel has.
fn settle(out: &mut Vec<Action>, name: &str, memory: &IpSet, views: &SetViews) {
    let mut push = |holder, there: Option<&IpSet>| {
        let differs =
            |there: &&IpSet| (&there.entries, &there.odd) != (&memory.entries, &memory.odd);
        if let Some(there) = there.filter(differs) {
            out.push(Action::SettleSet {
                name: name.to_string(),
                holder,
                before: there.clone(),
                after: IpSet {
                    kind: there.kind.clone(),
                    options: there.options.clone(),
                    ..memory.clone()
                },
            });
        }
    };
    push(
        SetHolder::Ipset,
        views.kernel.known().and_then(|sets| sets.get(name)),
    );
    for (family, sets) in views.nft.known().into_iter().flatten() {
        push(SetHolder::Nft(family.clone()), sets.get(name));
    }
}

/// What empties the sets of firewalld's memory: it keeps a set until it is reloaded.
pub(super) fn emptied(state: &NodeState) -> Vec<Action> {
    let memory = state.sets.runtime.known();
    let mut out = Vec::new();
    for (name, there) in memory.into_iter().flatten() {
        let nothing = there.with(BTreeSet::new());
        if *there != nothing {
            settle(&mut out, name, there, &state.sets);
            out.push(entries(name, there, &nothing));
        }
    }
    out
}

#[cfg(test)]
mod tests;
