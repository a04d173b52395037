//! In which order the places of variables count: a later one wins.
//!
//! The order is that of `get_vars` in Ansible's `vars/manager.py`: the inventory's own variables of `all` and of the groups, the files of `all`, the files of
//! the groups, the inventory's own variables of the host, its files. Of several directories with files a later one wins, whichever groups they are about.

use std::collections::BTreeMap;

use super::declared::DeclaredGroup;
use super::vars::Vars;

/// The variables that nodes in these groups have from them. `groups` goes from `all` inwards, `files` has those of each directory.
pub(super) fn of_groups<'t>(
    groups: &[(&str, &'t DeclaredGroup)],
    files: &'t [BTreeMap<String, Vars>],
) -> Vec<&'t Vars> {
    let mut layers: Vec<&Vars> = groups.iter().map(|(_, group)| &group.vars).collect();
    for is_all in [true, false] {
        for of_groups in files {
            let names = groups.iter().map(|(name, _)| *name);
            let named = names.filter(|name| (*name == "all") == is_all);
            layers.extend(named.filter_map(|name| of_groups.get(name)));
        }
    }
    layers
}

/// The variables that a node has of its own.
pub(super) fn of_node<'t>(
    name: &str,
    own: &'t Vars,
    files: &'t [BTreeMap<String, Vars>],
) -> Vec<&'t Vars> {
    let of_files = files.iter().filter_map(|of_nodes| of_nodes.get(name));
    std::iter::once(own).chain(of_files).collect()
}
