//! The graph of groups: parents, members, and the order of precedence.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::declared::DeclaredGroup;
use super::declared::DeclaredNode;
use super::declared::Tree;
use super::error::InputError;
use super::error::InputErrors;
use super::members::Members;
use super::members::members;
use super::suggest::closest;

/// Groups below groups; deeper ones are a mistake, and would cost more than they mean.
const MAX_LEVELS: usize = 64;

/// The groups of an inventory, sorted out.
#[derive(Debug)]
pub(super) struct Graph<'t> {
    /// From `all` to the innermost ones: in this order they speak, and the last word wins.
    pub(super) order: Vec<(&'t str, &'t DeclaredGroup)>,
    /// By node: positions in `order` of the groups that it is in, `all` among them.
    pub(super) groups_of: Vec<BTreeSet<usize>>,
    /// The nodes and groups of each group, in Ansible's order.
    pub(super) members: Members,
}

impl<'t> Graph<'t> {
    /// Sorts out the groups.
    ///
    /// Follows Ansible's `inventory/data.py` (`reconcile_inventory`) and `inventory/helpers.py` (`sort_groups`): groups are ordered by their depth,
    /// then by `ansible_group_priority`, then by name; depth is the longest way from `all`.
    ///
    /// # Errors
    ///
    /// Groups that are above themselves.
    pub(super) fn new(tree: &'t Tree) -> Result<Self, InputErrors> {
        let depths = depths(tree)?;
        let mut order: Vec<(&str, &DeclaredGroup)> = tree
            .groups
            .iter()
            .map(|(name, group)| (name.as_str(), group))
            .collect();
        order.sort_by_key(|(name, group)| (depths.get(name).copied(), group.priority(), *name));
        let ancestors = ancestors(&order);
        let groups_of = memberships(tree, &order, &ancestors);
        let members = members(&order, &groups_of);
        Ok(Self {
            order,
            groups_of,
            members,
        })
    }
}

/// The warnings about names that are both a group and a node, which Ansible warns of too.
pub(super) fn shared_names(tree: &Tree) -> Vec<InputError> {
    let both = |node: &DeclaredNode| {
        let group = tree.groups.get(&node.name)?;
        let message = format!("`{}` is both a group and a node", node.name);
        let error = InputError::at(node.location.clone(), message)
            .label("the node")
            .hint("alone in a pattern it is the node, after `&` and `!` the group; rename one of them");
        Some(match &group.location {
            Some(location) => error.context(location.clone(), "the group"),
            None => error,
        })
    };
    tree.nodes.iter().filter_map(both).collect()
}

/// The longest path from `all` to each group: `all` has 0, and groups without a parent are below it.
fn depths(tree: &Tree) -> Result<BTreeMap<&str, usize>, InputError> {
    let mut parents_left: BTreeMap<&str, usize> =
        tree.groups.keys().map(|name| (name.as_str(), 0)).collect();
    for child in tree
        .groups
        .values()
        .flat_map(|group| &group.children.listed)
    {
        *parents_left.entry(child.value.as_str()).or_default() += 1;
    }
    let mut ready: Vec<&str> = parents_left
        .iter()
        .filter(|(_, parents)| **parents == 0)
        .map(|(name, _)| *name)
        .collect();
    let mut depths: BTreeMap<&str, usize> = ready
        .iter()
        .map(|name| (*name, usize::from(*name != "all")))
        .collect();
    while let Some(name) = ready.pop() {
        let depth = depths.get(name).copied().unwrap_or_default();
        for child in tree
            .groups
            .get(name)
            .map(|group| group.children.listed.as_slice())
            .unwrap_or_default()
        {
            let known = depths.entry(&child.value).or_default();
            // A group below `all` in the text has depth 1, like a group without a parent.
            *known = (*known).max(depth + 1);
            if *known > MAX_LEVELS {
                let message = format!("more than {MAX_LEVELS} levels of groups");
                return Err(InputError::at(child.location.clone(), message));
            }
            if let Some(left) = parents_left.get_mut(child.value.as_str()) {
                *left -= 1;
                if *left == 0 {
                    ready.push(&child.value);
                }
            }
        }
    }
    match parents_left.iter().find(|(_, left)| **left > 0) {
        Some((name, _)) => Err(cycle(tree, name, &parents_left)),
        None => Ok(depths),
    }
}

/// Groups whose parents were never done are in a cycle or below one: from any of them upwards one comes around.
fn cycle(tree: &Tree, start: &str, parents_left: &BTreeMap<&str, usize>) -> InputError {
    let undone = |name: &&str| parents_left.get(name).is_some_and(|left| *left > 0);
    let mut way = vec![start];
    loop {
        let name = way[way.len() - 1];
        let parent = tree.groups.iter().find_map(|(parent, group)| {
            let is_child = group
                .children
                .listed
                .iter()
                .any(|child| child.value == name);
            Some(parent.as_str()).filter(|parent| is_child && undone(parent))
        });
        let Some(parent) = parent else {
            return InputError::general(format!("group `{name}` is below itself"));
        };
        let seen = way.iter().position(|known| *known == parent);
        way.push(parent);
        if let Some(seen) = seen {
            let mut circle: Vec<&str> = way.split_off(seen);
            circle.reverse();
            let edge = tree
                .groups
                .get(circle[0])
                .into_iter()
                .flat_map(|group| &group.children.listed)
                .find(|child| child.value == circle[1]);
            let message = format!(
                "group `{}` is below itself: {}",
                circle[0],
                circle.join(" → ")
            );
            return match edge {
                Some(edge) => InputError::at(edge.location.clone(), message)
                    .label(format!("made a child of `{}` here", circle[0])),
                None => InputError::general(message),
            };
        }
    }
}

/// For each group the positions of all groups above it, itself included. Parents come before children in `order`.
fn ancestors(order: &[(&str, &DeclaredGroup)]) -> Vec<BTreeSet<usize>> {
    let positions: BTreeMap<&str, usize> = order
        .iter()
        .enumerate()
        .map(|(position, (name, _))| (*name, position))
        .collect();
    let mut ancestors: Vec<BTreeSet<usize>> = (0..order.len())
        .map(|position| BTreeSet::from([0, position]))
        .collect();
    for (position, (_, group)) in order.iter().enumerate() {
        for child in &group.children.listed {
            if let Some(child) = positions.get(child.value.as_str()) {
                let above = ancestors[position].clone();
                ancestors[*child].extend(above);
            }
        }
    }
    ancestors
}

/// For each node its groups; a node that is in no other is in `ungrouped`.
fn memberships(
    tree: &Tree,
    order: &[(&str, &DeclaredGroup)],
    ancestors: &[BTreeSet<usize>],
) -> Vec<BTreeSet<usize>> {
    let mut groups_of = vec![BTreeSet::from([0]); tree.nodes.len()];
    let ungrouped = order.iter().position(|(name, _)| *name == "ungrouped");
    for (position, (_, group)) in order.iter().enumerate() {
        for node in &group.nodes.listed {
            groups_of[*node].extend(&ancestors[position]);
        }
    }
    for groups in groups_of.iter_mut() {
        let Some(ungrouped) = ungrouped else { continue };
        let grouped = groups
            .iter()
            .any(|group| *group != 0 && *group != ungrouped);
        if grouped {
            groups.remove(&ungrouped);
        } else {
            groups.insert(ungrouped);
        }
    }
    groups_of
}

/// The hint for a name that belongs to no group or node.
pub(super) fn did_you_mean<'a>(
    error: InputError,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
) -> InputError {
    match closest(name, known) {
        Some(meant) => error.did_you_mean(Some(meant)),
        None => error.hint(otherwise),
    }
}
