//! Inventory and role files → the desired state of each selected node. Everything is read before the first connection.

use std::collections::BTreeSet;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

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
use crate::model::Date;
use crate::model::Desired;
use crate::model::Port;
use crate::policy;
use crate::policy::NodeContext;
use crate::role::Policy;
use crate::role::Roles;

/// sshd's port if the inventory does not set `ansible_port`.
const SSH: u16 = 22;

/// Whether the whitelists are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enforcing {
    /// As each role says.
    AsWritten,
    /// None of them: every role is in audit (`--audit`).
    Audit,
}

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
    /// Leaves out the nodes that have a role, and returns their names.
    pub(super) fn without_roles(&mut self) -> Vec<String> {
        let members = std::mem::take(&mut self.members);
        let (with, without): (Vec<Member>, Vec<Member>) = members
            .into_iter()
            .partition(|member| member.desired.is_some());
        self.members = without;
        with.into_iter().map(|member| member.name).collect()
    }

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
pub(super) fn read(selection: &SelectionArgs, enforcing: Enforcing) -> Result<Fleet, CliError> {
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
    let today = today();
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
            today,
        };
        let policies: Vec<Policy> = match enforcing {
            Enforcing::AsWritten => policies,
            Enforcing::Audit => policies.into_iter().map(Policy::in_audit).collect(),
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

/// The day, in UTC.
fn today() -> Date {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Date::at(now.unwrap_or_default().as_secs())
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_flag_puts_every_role_in_audit() {
        let folder = tempfile::tempdir().unwrap();
        let inventory = folder.path().join("inventory.yml");
        let text = "all:
  hosts:
    a: {ansible_host: 192.0.2.1, fwdeploy_roles: [cybex]}
    b: {ansible_host: 192.0.2.2, fwdeploy_roles: [cybex, eos], eos_enforce: audit}
    c: {ansible_host: 192.0.2.3}
";
        fs::write(&inventory, text).unwrap();
        let selection = SelectionArgs {
            inventory,
            limit: None,
            extra_vars: Vec::new(),
        };
        let audits = |enforcing| {
            let members = read(&selection, enforcing).unwrap().members.into_iter();
            let desired = members.map(|member| member.desired);
            let roles = |desired: Desired| (desired.audits.len(), desired.is_audit());
            desired
                .map(|desired| desired.map(roles))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            audits(Enforcing::AsWritten),
            [Some((0, false)), Some((1, false)), None]
        );
        assert_eq!(
            audits(Enforcing::Audit),
            [Some((1, true)), Some((2, true)), None]
        );
    }
}
