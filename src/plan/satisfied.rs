//! Counts how many of the desired items are in place, for the recap.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::Desired;
use crate::model::DirectRule;
use crate::model::Family;
use crate::model::RichRule;
use crate::model::Rule;
use crate::model::ipset::IpSet;
use crate::model::ipset::IpSetEntry;
use crate::model::state::KernelRule;
use crate::model::state::NodeState;
use crate::plan::action::Action;
use crate::plan::passage;
use crate::plan::planned::Plan;

impl Plan {
    /// How many of the wanted things (networks, attachments, direct rules and rich rules) need none of the plan's actions. One that
    /// is missing in three views is missing once. Rules of DOCKER-USER are wanted only on a node that has the chain.
    pub fn satisfied(&self, desired: &Desired, state: &NodeState) -> usize {
        let without_chain;
        let desired = if passage::has_docker_nft(state) {
            without_chain = passage::without_chain(desired);
            &without_chain
        } else {
            desired
        };
        let wanted = Wanted::of(desired);
        let missing: BTreeSet<Thing> = self
            .actions
            .iter()
            .flat_map(|action| wanted.missing(action))
            .collect();
        wanted.count().saturating_sub(missing.len())
    }
}

/// One wanted thing: a rule by its place among the wanted ones, anything else by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Rule(usize),
    RichRule(usize),
    /// The entry of a set, which is there in place of a rule.
    Entry(String, IpSetEntry),
    Network(String),
    Attachment(String, String),
}

/// The desired items, with the positions of each rule: an action with thousands of rules finds each of them without a search.
struct Wanted<'a> {
    desired: &'a Desired,
    rules: BTreeMap<&'a DirectRule, Vec<usize>>,
    rich: BTreeMap<&'a RichRule, Vec<usize>>,
}

fn places<T: Ord>(things: &[T]) -> BTreeMap<&T, Vec<usize>> {
    let mut places: BTreeMap<&T, Vec<usize>> = BTreeMap::new();
    for (place, thing) in things.iter().enumerate() {
        places.entry(thing).or_default().push(place);
    }
    places
}

impl<'a> Wanted<'a> {
    fn of(desired: &'a Desired) -> Self {
        Wanted {
            desired,
            rules: places(&desired.rules),
            rich: places(&desired.rich),
        }
    }

    fn count(&self) -> usize {
        let desired = self.desired;
        desired.networks.len()
            + desired.attachments.len()
            + desired.rules.len()
            + desired.rich.len()
    }

    fn rule(&self, rule: &DirectRule) -> Vec<Thing> {
        let places = self.rules.get(rule).into_iter().flatten();
        places.map(|n| Thing::Rule(*n)).collect()
    }

    fn rich(&self, rule: &RichRule) -> Vec<Thing> {
        let places = self.rich.get(rule).into_iter().flatten();
        places.map(|n| Thing::RichRule(*n)).collect()
    }

    fn of_family(&self, family: Family, has: impl Fn(&DirectRule) -> bool) -> Vec<Thing> {
        let rules = self.desired.rules.iter().enumerate();
        rules
            .filter(|(_, rule)| rule.family == Some(family) && has(rule))
            .map(|(n, _)| Thing::Rule(n))
            .collect()
    }

    /// The desired items that an action creates.
    fn missing(&self, action: &Action) -> Vec<Thing> {
        match action {
            Action::SetPermanentDirect { before, after } => {
                let before: BTreeSet<&DirectRule> = before.rules.iter().collect();
                let added = after.rules.iter().filter(|rule| !before.contains(rule));
                added.flat_map(|rule| self.rule(rule)).collect()
            }
            Action::SetPermanentRich { before, after, .. } => {
                let before: BTreeSet<&RichRule> = before.iter().map(|r| &r.rule).collect();
                let added = after.iter().filter(|r| !before.contains(&r.rule));
                added.flat_map(|r| self.rich(&r.rule)).collect()
            }
            Action::SetPermanentSet {
                name,
                before,
                after,
            } => added(name, before.as_ref(), after.as_ref()),
            Action::RewriteSet { name, file, set } => added(name, file.as_ref(), Some(set)),
            Action::SetEntries {
                name,
                before,
                after,
            } => added(name, Some(before), Some(after)),
            Action::AddRule(added) => self.rule(added),
            Action::AddRich { rule: added, .. } => self.rich(&added.rule),
            Action::SetKernelChain {
                family,
                before,
                after,
            } => {
                let (before, after) = (meanings(before), meanings(after));
                self.of_family(*family, |rule| {
                    rule.rule()
                        .is_some_and(|r| after.contains(r) && !before.contains(r))
                })
            }
            Action::CreateNetwork(spec) => vec![Thing::Network(spec.name.clone())],
            Action::Connect {
                container,
                endpoint,
            } => self
                .desired
                .attachments
                .iter()
                .filter(|a| a.container == *container && a.network == endpoint.network)
                .map(|a| Thing::Attachment(a.container.clone(), a.network.clone()))
                .collect(),
            // Without its jump, or without a chain owned by firewalld, no rule of the family has an effect.
            Action::PlaceJump { family, .. } => self.of_family(*family, |_| true),
            _ => Vec::new(),
        }
    }
}

/// The entries that a set gets.
fn added(name: &str, before: Option<&IpSet>, after: Option<&IpSet>) -> Vec<Thing> {
    let has = |entry: &&IpSetEntry| before.is_some_and(|set| set.entries.contains(entry));
    let entries = after.into_iter().flat_map(|set| &set.entries);
    let added = entries.filter(|entry| !has(entry));
    added
        .map(|entry| Thing::Entry(name.to_string(), *entry))
        .collect()
}

fn meanings(lines: &Option<Vec<KernelRule>>) -> BTreeSet<&Rule> {
    let lines = lines.iter().flatten();
    lines.filter_map(|line| line.rule.as_ref()).collect()
}
