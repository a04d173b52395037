//! Inventory and role files → the desired state of each selected node. Everything is read before the first connection.

use std::collections::BTreeSet;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::cli::args::SelectionArgs;
use crate::cli::configuration;
use crate::cli::error::CliError;
use crate::cli::programs::SystemPrograms;
use crate::cli::sources;
use crate::cli::warning::Warning;
use crate::cli::warning::Warnings;
use crate::inventory::ConnectionVars;
use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::inventory::Inventory;
use crate::inventory::InventoryNode;
use crate::inventory::Located;
use crate::inventory::Pattern;
use crate::model::Date;
use crate::model::Desired;
use crate::model::Port;
use crate::model::SshArguments;
use crate::policy;
use crate::policy::NodeContext;
use crate::role::LazyPassword;
use crate::role::Policy;
use crate::role::Roles;

/// The variable with the login's password, for messages.
const PASSWORD: &str = "ansible_password";

/// The variable with sudo's password, for messages.
const BECOME_PASSWORD: &str = "ansible_become_password";

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

/// Which of the selected nodes a command does something with, apart from naming them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Used {
    /// All of them. A node without a role whose connection variables cannot be used is left out with a warning.
    All,
    /// Those that have a role.
    WithRole,
}

/// A node that the command uses.
pub(super) struct Member {
    /// Its name.
    pub(super) name: String,
    /// Its connection variables in the inventory.
    pub(super) connection: ConnectionVars,
    /// Its password to log in with, still closed; `None` if the inventory gives none.
    pub(super) password: Option<LazyPassword>,
    /// Its password for sudo, still closed; `None` if the inventory gives none.
    pub(super) become_password: Option<LazyPassword>,
    /// What its roles require; `None` if it has no role.
    pub(super) desired: Option<Desired>,
}

/// The selected nodes, as the files describe them.
pub(super) struct Fleet {
    /// The nodes that the command uses, in the order of the inventory.
    pub(super) members: Vec<Member>,
    /// The other selected nodes, in the same order. None of them has a role, and nobody has read how they are reached.
    pub(super) unused: Vec<String>,
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
        let unused = self.unused.iter().map(String::as_str);
        without.map(|m| m.name.as_str()).chain(unused).collect()
    }

    /// How many nodes are selected.
    pub(super) fn selected(&self) -> usize {
        self.members.len() + self.unused.len()
    }
}

/// Reads the inventory and resolves the roles of the selected nodes.
///
/// # Errors
///
/// All mistakes in the inventory and `--extra-vars`; if there are none, those in `--limit`; then those in the roles and the connection variables of the
/// nodes that are used. A mistake that several nodes share is listed once.
pub(super) fn read(
    selection: &SelectionArgs,
    enforcing: Enforcing,
    used: Used,
) -> Result<Fleet, CliError> {
    let inventory = inventory(selection)?;
    let nodes = selected(&inventory, selection)?;
    let roles = Roles::load(inventory.directory())?;
    let resolver = roles.resolver(&inventory);
    let today = today();
    let mut errors = InputErrors::none();
    let mut members = Vec::new();
    let mut unused = Vec::new();
    let mut left_out = LeftOut::default();
    let mut warnings = Warnings::default();
    warnings.add_general(configuration::current()?.warnings.iter().cloned());
    warnings.add_general(inventory.warnings().iter().cloned());
    for node in nodes {
        let Some((policies, doubtful)) = errors.take(resolver.resolve_all(node)) else {
            continue;
        };
        let (policies, said): (Vec<Policy>, Vec<Vec<InputError>>) =
            policies.into_iter().map(|policy| policy.on(today)).unzip();
        let said = said.into_iter().flatten();
        warnings.add(
            doubtful
                .into_iter()
                .chain(said)
                .chain(policy::warnings(&policies)),
        );
        let without_role = node.roles.is_empty();
        if without_role && used == Used::WithRole {
            unused.push(node.name.clone());
            continue;
        }
        let connection = match node.connection(&resolver) {
            Ok(connection) => connection,
            Err(wrong) if without_role => {
                unused.push(node.name.clone());
                left_out.add(wrong);
                continue;
            }
            Err(wrong) => {
                errors.extend(wrong);
                continue;
            }
        };
        let context = NodeContext {
            node: node.name.clone(),
            zone: connection.zone.clone(),
            ssh_port: ssh_port(&node.name, &connection)?,
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
            become_password: connection
                .escalate_password
                .as_ref()
                .map(|password| resolver.password(node, BECOME_PASSWORD, password)),
            password: connection
                .password
                .as_ref()
                .map(|password| resolver.password(node, PASSWORD, password)),
            connection,
            desired: (!without_role).then_some(desired),
        });
    }
    let mut warnings = warnings.into_found();
    match left_out.first {
        // Nothing else was asked for.
        Some(_) if members.is_empty() && errors.is_empty() => errors.extend(left_out.errors),
        Some(first) => warnings.push(Warning {
            error: first,
            nodes: Some(left_out.nodes),
        }),
        None => {}
    }
    errors = unique(errors);
    Ok(errors.or(Fleet {
        members,
        unused,
        warnings,
    })?)
}

/// Nodes without a role whose connection variables cannot be used. One warning says so for all of them.
#[derive(Default)]
struct LeftOut {
    first: Option<InputError>,
    nodes: usize,
    errors: InputErrors,
}

impl LeftOut {
    fn add(&mut self, wrong: InputErrors) {
        self.nodes += 1;
        self.errors.extend(wrong.clone());
        let Some(error) = wrong.into_iter().next() else {
            return;
        };
        self.first.get_or_insert_with(|| {
            let message = format!(
                "left out, because it has no role and cannot be reached: {}",
                error.message()
            );
            let warning = match error.location() {
                Some(location) => InputError::at(location.clone(), message),
                None => InputError::general(message),
            };
            match error.hint_text() {
                Some(hint) => warning.hint(hint),
                None => warning,
            }
        });
    }
}

/// Reads the inventory.
///
/// # Errors
///
/// All mistakes in it and in `--extra-vars`.
pub(super) fn inventory(selection: &SelectionArgs) -> Result<Inventory, CliError> {
    let programs = SystemPrograms::new();
    let sources = sources::of(selection, &programs)?;
    Ok(Inventory::load_sources(
        &sources,
        &sources::extra(selection),
    )?)
}

/// The nodes that `--limit` selects, in the order of the inventory.
///
/// # Errors
///
/// Mistakes in the pattern.
pub(super) fn selected<'i>(
    inventory: &'i Inventory,
    selection: &SelectionArgs,
) -> Result<Vec<&'i InventoryNode>, CliError> {
    Ok(match &selection.limit {
        Some(pattern) => inventory.select(&Pattern::load(pattern)?)?,
        None => inventory.nodes().collect(),
    })
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

fn ssh_port(node: &str, connection: &ConnectionVars) -> Result<Port, CliError> {
    let port = sshd_port(connection);
    Port::new(port).ok_or_else(|| CliError::new(format!("node `{node}` has port 0")))
}

/// Returns the port of a node's sshd: that of `ansible_ssh_args`, `ansible_port`, that of the other arguments of ssh, or 22.
pub(super) fn sshd_port(connection: &ConnectionVars) -> u16 {
    let of = |arguments: &Located<SshArguments>| arguments.value.value("port")?.parse().ok();
    let first = connection.ssh_args.as_ref().and_then(of);
    let own = connection.port.as_ref().map(|port| port.value);
    let more = connection.ssh_more_args.iter().find_map(of);
    first.or(own).or(more).unwrap_or(SSH)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn selection(text: &str, limit: Option<&str>) -> (tempfile::TempDir, SelectionArgs) {
        let folder = tempfile::tempdir().unwrap();
        let inventory = folder.path().join("inventory.yml");
        fs::write(&inventory, text).unwrap();
        let selection = SelectionArgs {
            limit: limit.map(str::to_string),
            ..SelectionArgs::all_of(inventory)
        };
        (folder, selection)
    }

    /// What Ansible users have in one inventory with their nodes, and no one asks fwdeploy to use.
    const STRANGE: [&str; 8] = [
        "ansible_connection: winrm",
        "ansible_connection: docker",
        "ansible_connection: ansible.netcommon.network_cli",
        "ansible_become_method: runas",
        "ansible_host:",
        "ansible_host: 'no host!'",
        "ansible_port: http",
        "ansible_host: '{{ nowhere }}'",
    ];

    /// To see it fail: read how a node is reached while the inventory is read.
    #[test]
    fn only_a_node_that_is_used_is_judged_by_how_it_is_reached() {
        for vars in STRANGE {
            let text = format!(
                "all:\n  vars: {{cybex_peers: [192.0.2.7]}}\n  hosts:\n    a: {{fwdeploy_roles: [cybex]}}\n    strange: {{{vars}}}\n    other: {{{vars}, fwdeploy_roles: [cybex]}}\n"
            );
            // Outside of `--limit`, with and without a role.
            let (_folder, limited) = selection(&text, Some("a"));
            let fleet = read(&limited, Enforcing::AsWritten, Used::All)
                .ok()
                .unwrap();
            assert_eq!(fleet.warnings.len(), 0, "{vars}");
            // Selected, without a role.
            let (_folder, limited) = selection(&text, Some("a,strange"));
            let fleet = read(&limited, Enforcing::AsWritten, Used::All)
                .ok()
                .unwrap();
            let names: Vec<&str> = fleet.members.iter().map(|m| m.name.as_str()).collect();
            assert_eq!(
                (names, fleet.unused),
                (vec!["a"], vec!["strange".to_string()])
            );
            let warning = fleet.warnings[0].error.to_string();
            assert!(warning.contains("inventory.yml:5:"), "{vars}: {warning}");
            let fleet = read(&limited, Enforcing::AsWritten, Used::WithRole)
                .ok()
                .unwrap();
            assert_eq!(fleet.warnings.len(), 0, "{vars}");
            // Alone, and with a role: it is used.
            for (limit, line) in [("strange", 5), ("a,other", 6)] {
                let (_folder, limited) = selection(&text, Some(limit));
                let error = read(&limited, Enforcing::AsWritten, Used::All)
                    .err()
                    .unwrap();
                let CliError::Input(errors) = error else {
                    panic!("{vars}: not a mistake in the input")
                };
                let at = format!("inventory.yml:{line}:");
                assert!(errors.to_string().contains(&at), "{vars}: {errors}");
            }
        }
    }

    #[test]
    fn nodes_that_are_left_out_are_one_warning() {
        let text = "all:
  vars: {cybex_peers: [192.0.2.7]}
  hosts:
    a: {fwdeploy_roles: [cybex]}
    \"w[1:500]\": {ansible_connection: winrm}
    d: {ansible_port: x}
";
        let (_folder, selection) = selection(text, None);
        let fleet = read(&selection, Enforcing::AsWritten, Used::All)
            .ok()
            .unwrap();
        let counts: Vec<_> = fleet.warnings.iter().map(|warning| warning.nodes).collect();
        assert_eq!(counts, [Some(501)]);
        assert_eq!(fleet.selected(), 502);
    }

    /// A variable that nobody asks for is not rendered, whatever is in it.
    #[test]
    fn what_nobody_asks_for_is_not_rendered() {
        let text = "all:
  vars: {cybex_peers: [192.0.2.7], deep: '{{ 1 / 0 }}', cybex_image: '{{ nope }}', x: {y: ['{{ nope | nofilter }}']}}
  hosts:
    a: {fwdeploy_roles: [cybex], z: '{{ }}'}
";
        let (_folder, selection) = selection(text, None);
        assert!(read(&selection, Enforcing::AsWritten, Used::All).is_ok());
    }

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
        let selection = SelectionArgs::all_of(inventory);
        let audits = |enforcing| {
            let members = read(&selection, enforcing, Used::All)
                .unwrap()
                .members
                .into_iter();
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
