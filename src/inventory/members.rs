//! Which nodes a group has, in which order.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::declared::DeclaredGroup;

/// What the groups of an order hold, by their positions in it.
#[derive(Debug)]
pub(super) struct Members {
    /// The nodes of each group itself.
    pub(super) own: Vec<Vec<usize>>,
    /// The groups right below each group.
    pub(super) children: Vec<Vec<usize>>,
    /// The nodes of each group and of those below it.
    pub(super) all: Vec<Vec<usize>>,
}

/// The nodes of each group of `order` and of the groups below it: its own ones in the order of the text, then those of its children, level by level.
///
/// The order is that of Ansible's `Group.get_hosts` (`inventory/group.py`), which `group[0]` counts by. `all` has the nodes of no group first, then
/// the groups below it in the text, then those that are below no other group.
pub(super) fn members(order: &[(&str, &DeclaredGroup)], groups_of: &[BTreeSet<usize>]) -> Members {
    let positions: BTreeMap<&str, usize> = order
        .iter()
        .enumerate()
        .map(|(position, (name, _))| (*name, position))
        .collect();
    let mut children: Vec<Vec<usize>> = order
        .iter()
        .map(|(_, group)| {
            group
                .children
                .listed
                .iter()
                .filter_map(|child| positions.get(child.value.as_str()).copied())
                .collect()
        })
        .collect();
    let below: BTreeSet<usize> = children.iter().flatten().copied().collect();
    let mut tops: Vec<usize> = (1..order.len())
        .filter(|position| !below.contains(position))
        .collect();
    tops.sort_by_key(|position| order[*position].1.number);
    if let Some(all) = children.first_mut() {
        all.extend(tops);
        all.sort_by_key(|position| order[*position].0 != "ungrouped");
    }
    let own_of = |position: usize| -> Vec<usize> {
        let listed = &order[position].1.nodes.listed;
        if order[position].0 != "ungrouped" {
            return listed.clone();
        }
        // A node in no other group is a member without being listed.
        let is_member = |node: &usize| groups_of[*node].contains(&position);
        let known: BTreeSet<usize> = listed.iter().copied().collect();
        let others = (0..groups_of.len()).filter(|node| !known.contains(node));
        listed
            .iter()
            .copied()
            .chain(others)
            .filter(is_member)
            .collect()
    };
    let own: Vec<Vec<usize>> = (0..order.len()).map(own_of).collect();
    let all_of = |top: usize| {
        let mut groups = vec![top];
        let mut seen_groups = BTreeSet::from([top]);
        let mut nodes = Vec::new();
        let mut seen_nodes = BTreeSet::new();
        let mut next = 0;
        while next < groups.len() {
            let group = groups[next];
            next += 1;
            nodes.extend(
                own[group]
                    .iter()
                    .copied()
                    .filter(|node| seen_nodes.insert(*node)),
            );
            groups.extend(
                children[group]
                    .iter()
                    .filter(|child| seen_groups.insert(**child)),
            );
        }
        nodes
    };
    let all = (0..order.len()).map(all_of).collect();
    Members { own, children, all }
}
