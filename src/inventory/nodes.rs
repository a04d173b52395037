//! The nodes and groups of an inventory that was read.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use super::connection::ConnectionVars;
use super::location::Located;
use super::location::Location;
use super::vars::Vars;

/// All nodes and groups, and their variables.
#[derive(Clone, Debug)]
pub struct Inventory {
    pub(super) directory: PathBuf,
    pub(super) nodes: Vec<InventoryNode>,
    pub(super) by_name: BTreeMap<String, usize>,
    pub(super) groups: BTreeMap<String, Vec<String>>,
}

/// A node, with its variables from the inventory.
#[derive(Clone, Debug)]
pub struct InventoryNode {
    /// Its name in the inventory: `inventory_hostname`.
    pub name: String,
    /// The location where it is first named.
    pub location: Location,
    /// The groups it is in, sorted, without `all`: Ansible's `group_names`.
    pub groups: Vec<String>,
    /// Its variables, by Ansible's precedence; without passwords and without `fwdeploy_roles`.
    pub vars: Vars,
    /// The union of `fwdeploy_roles` over its groups, the outer ones first, and itself; each role once.
    pub roles: Vec<Located<String>>,
    /// How it is reached.
    pub connection: ConnectionVars,
}

impl Inventory {
    /// The directory of the inventory, which may contain `roles/`; empty for a file in the current directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The nodes in the order of the group `all`. There is at least one.
    pub fn nodes(&self) -> impl Iterator<Item = &InventoryNode> {
        self.nodes.iter()
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&InventoryNode> {
        self.by_name
            .get(name)
            .map(|position| &self.nodes[*position])
    }

    /// The groups with the names of their nodes and those of the groups below, in Ansible's order: first a group's own nodes as they
    /// are written, then those of its children, level by level. With `all` and `ungrouped`: Ansible's `groups`.
    pub fn groups(&self) -> &BTreeMap<String, Vec<String>> {
        &self.groups
    }
}
