//! The bridge devices of existing networks: each keeps its name, and the rules that name
//! a device use it.

use std::collections::BTreeMap;

use crate::model::desired::Desired;
use crate::model::rule::DirectRule;
use crate::model::rule::Match;
use crate::model::rule::Rule;
use crate::model::state::NodeState;
use crate::plan::allowed::Allowed;
use crate::plan::allowed::Permission;
use crate::plan::docker;
use crate::plan::passage;
use crate::plan::simulate::BRIDGE_NAME;

/// The desired state, with each bridge under the name that it has on this node, and with the way past Docker's rules there.
pub(super) fn named_as_there(desired: &Desired, state: &NodeState, allowed: &Allowed) -> Desired {
    let mut out = desired.clone();
    out.passage = passage::of(state);
    let names = names(&out, state, allowed);
    if names.is_empty() {
        return out;
    }
    for network in &mut out.networks {
        if let Some(name) = names.get(&network.bridge) {
            network.bridge.clone_from(name);
        }
    }
    for network in &mut out.guard.networks {
        if let Some(name) = names.get(&network.bridge) {
            network.bridge.clone_from(name);
        }
    }
    for rule in &mut out.rules {
        if let (Some(family), Some(parsed)) = (rule.family, rule.rule())
            && let Some(renamed) = renamed(parsed, &names)
        {
            *rule = DirectRule::ours(family, rule.priority, &renamed);
        }
    }
    out
}

/// The names that differ: desired → actual. A network that is recreated takes the desired one, unless it has a name of its own.
fn names(desired: &Desired, state: &NodeState, allowed: &Allowed) -> BTreeMap<String, String> {
    let Some(seen) = state.docker.known() else {
        return BTreeMap::new();
    };
    desired
        .networks
        .iter()
        .filter_map(|wanted| {
            let there = seen.network(&wanted.name)?;
            // A recreated network keeps the name that its creator has set.
            let stays = allowed.replace_network == Permission::Withheld
                || docker::differences(wanted, there, desired.passage).is_empty()
                || there.driver == "bridge" && there.options.contains_key(BRIDGE_NAME);
            let other = !there.bridge.is_empty() && there.bridge != wanted.bridge;
            (stays && other).then(|| (wanted.bridge.clone(), there.bridge.clone()))
        })
        .collect()
}

/// The rule under the new names, or `None` if it names none of them.
fn renamed(rule: &Rule, names: &BTreeMap<String, String>) -> Option<Rule> {
    let mut changed = false;
    let matches: Vec<Match> = rule
        .matches()
        .map(|condition| {
            let new = match condition {
                Match::In(sense, name) => names.get(name).map(|n| Match::In(*sense, n.clone())),
                Match::Out(sense, name) => names.get(name).map(|n| Match::Out(*sense, n.clone())),
                _ => None,
            };
            changed |= new.is_some();
            new.unwrap_or_else(|| condition.clone())
        })
        .collect();
    let out = Rule::new(matches, rule.target.clone());
    changed.then(|| match &rule.comment {
        Some(comment) => out.with_comment(comment.clone()),
        None => out,
    })
}
