//! Which nodes a group has, in which order.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::declared::DeclaredGroup;

/// The nodes of each group of `order` and of the groups below it: its own ones in the order of the text, then those of its children, level by level.
///
/// The order is that of Ansible's `Group.get_hosts` (`inventory/group.py`), which `group[0]` counts by. `all` has the nodes of no group first, then
/// the groups below it in the text, then those that are below no other group.
pub(super) fn members(
    order: &[(&str, &DeclaredGroup)],
    groups_of: &[BTreeSet<usize>],
) -> Vec<Vec<usize>> {
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
    let own = |position: usize| -> Vec<usize> {
        match order[position].0 {
            // A node in no other group is a member without being listed.
            "ungrouped" => (0..groups_of.len())
                .filter(|node| groups_of[*node].contains(&position))
                .collect(),
            _ => order[position].1.nodes.listed.clone(),
        }
    };
    (0..order.len())
        .map(|top| {
            let mut groups = vec![top];
            let mut seen_groups = BTreeSet::from([top]);
            let mut nodes = Vec::new();
            let mut seen_nodes = BTreeSet::new();
            let mut next = 0;
            while next < groups.len() {
                let group = groups[next];
                next += 1;
                nodes.extend(
                    own(group)
                        .into_iter()
                        .filter(|node| seen_nodes.insert(*node)),
                );
                groups.extend(
                    children[group]
                        .iter()
                        .filter(|child| seen_groups.insert(**child)),
                );
            }
            nodes
        })
        .collect()
}
