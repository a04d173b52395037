//! Counts how many of the wanted things hold, for the recap.

use std::collections::BTreeSet;

use crate::model::Desired;
use crate::model::DirectRule;
use crate::model::Family;
use crate::model::RichRule;
use crate::model::state::KernelRule;
use crate::plan::Plan;
use crate::plan::action::Action;

impl Plan {
    /// How many of the wanted things (networks, attachments, direct rules and rich rules) need none of the plan's actions. One that
    /// is missing in three views is missing once.
    pub fn satisfied(&self, desired: &Desired) -> usize {
        let missing: BTreeSet<String> = self
            .actions
            .iter()
            .flat_map(|action| missing(desired, action))
            .collect();
        wanted(desired).saturating_sub(missing.len())
    }
}

fn wanted(desired: &Desired) -> usize {
    desired.networks.len() + desired.attachments.len() + desired.rules.len() + desired.rich.len()
}

/// The wanted things that an action brings about, each under a name of its own.
fn missing(desired: &Desired, action: &Action) -> Vec<String> {
    let direct = |family: Option<Family>, has: &dyn Fn(&DirectRule) -> bool| {
        desired
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| (family.is_none() || rule.family == family) && has(rule))
            .map(|(n, _)| format!("rule {n}"))
            .collect::<Vec<_>>()
    };
    let rich = |has: &dyn Fn(&RichRule) -> bool| {
        desired
            .rich
            .iter()
            .enumerate()
            .filter(|(_, rule)| has(rule))
            .map(|(n, _)| format!("rich rule {n}"))
            .collect::<Vec<_>>()
    };
    match action {
        Action::SetPermanentDirect { before, after } => {
            let before: BTreeSet<_> = before.rules.iter().collect();
            let after: BTreeSet<_> = after.rules.iter().collect();
            direct(None, &|rule| after.contains(rule) && !before.contains(rule))
        }
        Action::SetPermanentRich { before, after, .. } => {
            let before: BTreeSet<_> = before.iter().map(|r| &r.rule).collect();
            let after: BTreeSet<_> = after.iter().map(|r| &r.rule).collect();
            rich(&|rule| after.contains(rule) && !before.contains(rule))
        }
        Action::AddRule(added) => direct(None, &|rule| rule == added),
        Action::AddRich { rule: added, .. } => rich(&|rule| added.rule == *rule),
        Action::SetKernelChain {
            family,
            before,
            after,
        } => {
            let read = |lines: &Option<Vec<String>>| {
                lines
                    .iter()
                    .flatten()
                    .filter_map(|line| KernelRule::new(line.as_str()).rule)
                    .collect::<BTreeSet<_>>()
            };
            let (before, after) = (read(before), read(after));
            direct(Some(*family), &|rule| {
                rule.rule()
                    .is_some_and(|r| after.contains(r) && !before.contains(r))
            })
        }
        Action::CreateNetwork(spec) => vec![format!("network {}", spec.name)],
        Action::Connect {
            container,
            endpoint,
        } => desired
            .attachments
            .iter()
            .filter(|a| a.container == *container && a.network == endpoint.network)
            .map(|a| format!("attachment {} {}", a.container, a.network))
            .collect(),
        // Without its jump, or without a chain of firewalld's, no rule of the family does what it says.
        Action::PlaceJump { family, .. } => direct(Some(*family), &|_| true),
        _ => Vec::new(),
    }
}
