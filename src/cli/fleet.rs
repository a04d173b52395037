//! Inventory and role files → the desired state of each selected node. Everything is read before the first connection.

use std::collections::BTreeSet;

use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::warning::Warning;
use crate::cli::warning::Warnings;
use crate::inventory::ConnectionVars;
use crate::inventory::ExtraVars;
use crate::inventory::InputErrors;
use crate::inventory::Inventory;
use crate::inventory::InventoryNode;
use crate::inventory::Pattern;
use crate::model::Desired;
use crate::model::Port;
use crate::policy;
use crate::policy::NodeContext;
use crate::role::Roles;

/// sshd's port if the inventory does not set `ansible_port`.
const SSH: u16 = 22;

/// A selected node.
pub(super) struct Member {
    /// Its name.
    pub(super) name: String,
    /// Its connection variables in the inventory.
    pub(super) connection: ConnectionVars,
    /// What its roles require; `None` if it has no role.
    pub(super) desired: Option<Desired>,
}

/// The selected nodes, as the files describe them.
pub(super) struct Fleet {
    /// The selected nodes, in the order of the inventory.
    pub(super) members: Vec<Member>,
    /// Warnings about things that work but may not be intended.
    pub(super) warnings: Vec<Warning>,
}

impl Fleet {
    /// The names of the nodes without a role.
    pub(super) fn names_without_role(&self) -> Vec<&str> {
        let without = self.members.iter().filter(|m| m.desired.is_none());
        without.map(|m| m.name.as_str()).collect()
    }
}

/// Reads the inventory and resolves the roles of the selected nodes.
///
/// # Errors
///
/// All mistakes in the inventory and `--extra-vars`; if there are none, those in `--limit`; then those in the roles. A mistake that several
/// nodes share is listed once.
pub(super) fn read(selection: &SelectionArgs) -> Result<Fleet, CliError> {
    let extra: Vec<ExtraVars> = selection
        .extra_vars
        .iter()
        .map(|argument| ExtraVars::from_argument(argument))
        .collect();
    let inventory = Inventory::load(&selection.inventory, &extra)?;
    let nodes: Vec<&InventoryNode> = match &selection.limit {
        Some(pattern) => inventory.select(&Pattern::load(pattern)?)?,
        None => inventory.nodes().collect(),
    };
    let roles = Roles::load(inventory.directory())?;
    let resolver = roles.resolver(&inventory);
    let mut errors = InputErrors::none();
    let mut members = Vec::new();
    let mut warnings = Warnings::default();
    for node in nodes {
        let Some((policies, doubtful)) = errors.take(resolver.resolve_all(node)) else {
            continue;
        };
        warnings.add(doubtful.into_iter().chain(policy::warnings(&policies)));
        let context = NodeContext {
            node: node.name.clone(),
            zone: node.connection.zone.clone(),
            ssh_port: ssh_port(node)?,
        };
        let Some(desired) = errors.take(policy::compile(&policies, &context)) else {
            continue;
        };
        members.push(Member {
            name: node.name.clone(),
            connection: node.connection.clone(),
            desired: (!node.roles.is_empty()).then_some(desired),
        });
    }
    errors = unique(errors);
    Ok(errors.or(Fleet {
        members,
        warnings: warnings.into_found(),
    })?)
}

/// Keeps one of several equal errors: a mistake in a group is found once for each of its nodes.
pub(super) fn unique(errors: InputErrors) -> InputErrors {
    let mut once = InputErrors::none();
    let mut said = BTreeSet::new();
    for error in errors {
        if said.insert(error.to_string()) {
            once.push(error);
        }
    }
    once
}

fn ssh_port(node: &InventoryNode) -> Result<Port, CliError> {
    let port = sshd_port(&node.connection);
    Port::new(port).ok_or_else(|| CliError::new(format!("node `{}` has port 0", node.name)))
}

/// Returns the port of a node's sshd: `ansible_port`, or 22.
pub(super) fn sshd_port(connection: &ConnectionVars) -> u16 {
    connection.port.as_ref().map_or(SSH, |port| port.value)
}
