//! Texts → who there is, and with which variables.
//!
//! An Ansible YAML inventory, with `group_vars/` and `host_vars/` beside it, is read as Ansible reads it, but strictly: what Ansible passes over in
//! silence is a mistake here, shown with file, line and column. All is read before anything is done: a mistake costs no connection.

mod assemble;
pub mod connection;
mod declared;
pub mod document;
pub mod error;
pub mod extra;
mod files;
mod graph;
mod load;
pub mod location;
mod members;
pub mod name;
mod owners;
pub mod pattern;
pub mod range;
mod read;
pub mod secret;
pub mod suggest;
mod tree;
mod variable;
pub mod vars;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

pub use self::connection::ConnectionMethod;
pub use self::connection::ConnectionVars;
pub use self::error::InputError;
pub use self::error::InputErrors;
pub use self::extra::ExtraVars;
pub use self::location::Located;
pub use self::location::Location;
pub use self::pattern::Pattern;
pub use self::vars::Var;
pub use self::vars::Vars;

/// All nodes and groups, and what is said about them.
#[derive(Clone, Debug)]
pub struct Inventory {
    directory: PathBuf,
    nodes: Vec<InventoryNode>,
    by_name: BTreeMap<String, usize>,
    groups: BTreeMap<String, Vec<String>>,
}

/// A node, with what the inventory says about it.
#[derive(Clone, Debug)]
pub struct InventoryNode {
    /// Its name in the inventory: `inventory_hostname`.
    pub name: String,
    /// Where it is named first.
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
    /// Reads an inventory, the variables beside it, and those of the command line.
    ///
    /// `path` is a file, or a directory whose YAML files are read in the order of their names.
    ///
    /// # Errors
    ///
    /// All mistakes that are found; where a file cannot be understood, at least one for it.
    pub fn load(path: &Path, extra: &[ExtraVars]) -> Result<Self, InputErrors> {
        load::load(path, extra)
    }

    /// The directory of the inventory, where `roles/` may stand; empty for a file in the current directory.
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

    /// The nodes that a pattern selects, in the order of the group `all`.
    ///
    /// # Errors
    ///
    /// A part of the pattern that matches nothing, or a pattern that selects nothing.
    pub fn select(&self, pattern: &Pattern) -> Result<Vec<&InventoryNode>, InputErrors> {
        pattern.select(self)
    }
}
