//! The fleet as templates see it: every node's variables, its groups, and the address that its peers know.

use std::collections::BTreeMap;
use std::net::IpAddr;

use minijinja::Value;

use crate::inventory::Inventory;
use crate::inventory::location::Located;
use crate::inventory::location::Location;
use crate::inventory::vars::Vars;

/// All nodes and groups. Made once for a fleet and shared by all that is rendered for it.
pub(super) struct FleetVars {
    pub(super) nodes: BTreeMap<String, NodeVars>,
    pub(super) groups: BTreeMap<String, Vec<String>>,
    /// `groups`, made once: templates of every node ask for it.
    pub(super) groups_value: Value,
}

/// One node.
pub(super) struct NodeVars {
    /// Its variables; cheap to clone, values are shared.
    pub(super) vars: Vars,
    /// The names of its groups.
    pub(super) groups: Vec<String>,
    /// The address that its peers see.
    pub(super) address: Option<Located<IpAddr>>,
    /// The location where it is first named.
    pub(super) location: Location,
}

impl FleetVars {
    /// Takes what templates may ask for out of an inventory.
    pub(super) fn new(inventory: &Inventory) -> Self {
        let nodes = inventory.nodes().map(|node| {
            let member = NodeVars {
                vars: node.vars.clone(),
                groups: node.groups.clone(),
                address: node.connection.address.clone(),
                location: node.location.clone(),
            };
            (node.name.clone(), member)
        });
        let groups = inventory.groups().clone();
        let as_value = |names: &Vec<String>| Value::from(names.clone());
        FleetVars {
            groups_value: Value::from_pairs(
                groups
                    .iter()
                    .map(|(group, names)| (group.clone(), as_value(names))),
            ),
            nodes: nodes.collect(),
            groups,
        }
    }
}
