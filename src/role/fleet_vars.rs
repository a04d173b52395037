//! The fleet as templates see it: every node's variables, its groups, and the address that its peers know.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

use minijinja::Value;

use crate::inventory::InputError;
use crate::inventory::Inventory;
use crate::inventory::location::Located;
use crate::inventory::location::Location;
use crate::inventory::vars::Vars;
use crate::inventory::vault::Vault;
use crate::role::files;

/// All nodes and groups. Made once for a fleet and shared by all that is rendered for it.
pub(super) struct FleetVars {
    pub(super) nodes: BTreeMap<String, NodeVars>,
    pub(super) groups: BTreeMap<String, Vec<String>>,
    /// `groups`, made once: templates of every node ask for it.
    pub(super) groups_value: Value,
    /// The working directory: `playbook_dir`, as for Ansible's programs that run no playbook.
    pub(super) folder: String,
    /// What opens encrypted values.
    pub(super) vault: Arc<Vault>,
    /// The addresses of groups, once those of all their nodes are known.
    addresses: Mutex<BTreeMap<String, Arc<GroupAddresses>>>,
}

/// The addresses of a group's nodes, which each of them asks for where a role lists its fleet.
pub(super) struct GroupAddresses {
    /// The name and the address of each node, in the order of the group.
    pub(super) members: Vec<(String, Value)>,
    /// Where each address is written.
    pub(super) places: BTreeMap<String, Location>,
}

/// One node.
pub(super) struct NodeVars {
    /// Its variables; cheap to clone, values are shared.
    pub(super) vars: Vars,
    /// The names of its groups.
    pub(super) groups: Vec<String>,
    /// The address that its peers see, once somebody has asked for it.
    pub(super) address: OnceLock<Result<Option<Located<IpAddr>>, InputError>>,
    /// The location where it is first named.
    pub(super) location: Location,
    /// What of its variables cannot be opened: then none of them is known.
    pub(super) locked: Vec<InputError>,
}

impl NodeVars {
    /// The address that its peers see, if somebody has asked for it, and it has one.
    pub(super) fn known_address(&self) -> Option<&Located<IpAddr>> {
        self.address.get()?.as_ref().ok()?.as_ref()
    }
}

impl FleetVars {
    /// Takes what templates may ask for out of an inventory.
    pub(super) fn new(inventory: &Inventory) -> Self {
        let nodes = inventory.nodes().map(|node| {
            let member = NodeVars {
                vars: node.vars.clone(),
                groups: node.groups.clone(),
                address: OnceLock::new(),
                location: node.location.clone(),
                locked: node.locked.clone(),
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
            vault: Arc::clone(inventory.vault()),
            nodes: nodes.collect(),
            groups,
            addresses: Mutex::default(),
            folder: files::working_directory().display().to_string(),
        }
    }

    /// The addresses of a group's nodes; `None` as long as one of them is not known, or cannot be.
    pub(super) fn addresses_of(&self, group: &str) -> Option<Arc<GroupAddresses>> {
        let known = self.addresses.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if let Some(addresses) = known.get(group) {
            return Some(Arc::clone(addresses));
        }
        let mut addresses = GroupAddresses {
            members: Vec::new(),
            places: BTreeMap::new(),
        };
        for name in self.groups.get(group)? {
            let member = self.nodes.get(name)?;
            let address = member
                .known_address()
                .filter(|_| member.locked.is_empty())?;
            let text = address.value.to_string();
            let value = Value::from(text.as_str());
            addresses.members.push((name.clone(), value));
            let place = addresses.places.entry(text);
            place.or_insert_with(|| address.location.clone());
        }
        let addresses = Arc::new(addresses);
        known.insert(group.to_string(), Arc::clone(&addresses));
        Some(addresses)
    }

    /// `inventory_file`: the file where a node is first named.
    pub(super) fn file_of(&self, node: &str) -> Option<String> {
        let member = self.nodes.get(node)?;
        let path = Path::new(&self.folder).join(member.location.source().name());
        Some(path.display().to_string())
    }

    /// `inventory_dir`: the directory of that file.
    pub(super) fn folder_of(&self, node: &str) -> Option<String> {
        let file = self.file_of(node)?;
        let folder = Path::new(&file).parent()?;
        Some(folder.display().to_string())
    }
}
