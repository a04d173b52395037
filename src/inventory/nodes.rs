//! The nodes and groups of an inventory that was read.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::connection::ConnectionVars;
use super::connection::Render;
use super::connection::Unread;
use super::error::InputError;
use super::error::InputErrors;
use super::location::Located;
use super::location::Location;
use super::vars::Vars;
use super::vault::Vault;

/// All nodes and groups, and their variables.
#[derive(Clone, Debug)]
pub struct Inventory {
    pub(super) directory: PathBuf,
    pub(super) nodes: Vec<InventoryNode>,
    pub(super) by_name: BTreeMap<String, usize>,
    pub(super) groups: BTreeMap<String, Vec<String>>,
    pub(super) first_named: FirstNamed,
    pub(super) warnings: Vec<InputError>,
    pub(super) vault: Arc<Vault>,
}

/// All groups and nodes in the order in which they were first named: patterns go through Ansible's dictionaries in this order.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstNamed {
    pub(super) groups: Vec<String>,
    pub(super) nodes: Vec<String>,
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
    /// The union of `fwdeploy_roles` over its groups, the outer ones first, and itself; each role once. `!role` takes one off that came before, and `[]` on
    /// the node itself takes all of them off.
    pub roles: Vec<Located<String>>,
    /// The names that were written as `!role`.
    pub roles_taken_off: Vec<Located<String>>,
    /// What of its variables no vault password opens: encrypted files. Such a node cannot be worked on.
    pub locked: Vec<InputError>,
    /// How it is reached, which is read for the nodes that are used.
    pub(super) connection: Unread,
}

impl InventoryNode {
    /// Reads how the node is reached. `render` renders what is a template, in the eyes of this node.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with its connection variables, or that some of its variables cannot be opened.
    pub fn connection(&self, render: &dyn Render) -> Result<ConnectionVars, InputErrors> {
        let mut locked = InputErrors::none();
        locked.extend(self.locked.iter().cloned());
        locked.or(())?;
        self.connection
            .read(&self.name, &self.location, &self.vars, render)
    }
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

    /// What works and may not be meant, whichever nodes are selected.
    pub fn warnings(&self) -> &[InputError] {
        &self.warnings
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&InventoryNode> {
        self.by_name
            .get(name)
            .map(|position| &self.nodes[*position])
    }

    /// What opens the encrypted values among the variables.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// The groups with the names of their nodes and those of the groups below, in Ansible's order: first a group's own nodes as they
    /// are written, then those of its children, level by level. With `all` and `ungrouped`: Ansible's `groups`.
    pub fn groups(&self) -> &BTreeMap<String, Vec<String>> {
        &self.groups
    }
}
