//! Files → what is wanted of which node. All of it before the first connection.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use crate::cli::args::Selection;
use crate::cli::error::CliError;
use crate::inventory::ConnectionMethod;
use crate::inventory::ConnectionVars;
use crate::inventory::ExtraVars;
use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::inventory::Inventory;
use crate::inventory::InventoryNode;
use crate::inventory::Pattern;
use crate::model::Desired;
use crate::model::Port;
use crate::policy;
use crate::policy::NodeContext;
use crate::role::Roles;
use crate::transport::Privilege;
use crate::transport::Target;
use crate::transport::Via;

/// sshd's port where the inventory names none.
const SSH: u16 = 22;

/// A selected node.
pub(super) struct Member {
    /// Its name.
    pub(super) name: String,
    /// How the inventory says it is reached.
    pub(super) connection: ConnectionVars,
    /// What its roles ask of it; `None` if it has no role.
    pub(super) desired: Option<Desired>,
}

/// What the files say.
pub(super) struct Fleet {
    /// The selected nodes, in the order of the inventory.
    pub(super) members: Vec<Member>,
    /// What works and may not be meant.
    pub(super) warnings: Vec<Warning>,
}

/// Something that works and may not be meant: said once, whatever the number of nodes.
pub(super) struct Warning {
    pub(super) error: InputError,
    /// How many nodes it is about.
    pub(super) nodes: usize,
}

/// Warnings, each once.
#[derive(Default)]
struct Warnings {
    found: Vec<Warning>,
    places: BTreeMap<String, usize>,
}

impl Warnings {
    /// Adds those of one node.
    fn add(&mut self, errors: impl IntoIterator<Item = InputError>) {
        let mut of_node = BTreeSet::new();
        for error in errors {
            let text = error.to_string();
            // What stands in a list of both directions is one mistake.
            if !of_node.insert(text.clone()) {
                continue;
            }
            match self.places.get(&text) {
                Some(place) => self.found[*place].nodes += 1,
                None => {
                    self.places.insert(text, self.found.len());
                    self.found.push(Warning { error, nodes: 1 });
                }
            }
        }
    }
}

/// Reads the inventory and resolves the roles of the selected nodes. Every mistake is found, not only the first.
pub(super) fn read(selection: &Selection) -> Result<Fleet, CliError> {
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
        warnings: warnings.found,
    })?)
}

/// A mistake in a group is every node's mistake, and is said once.
fn unique(errors: InputErrors) -> InputErrors {
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
    let port = port_of(&node.connection);
    Port::new(port).ok_or_else(|| CliError::new(format!("node `{}` has port 0", node.name)))
}

fn port_of(connection: &ConnectionVars) -> u16 {
    connection.port.as_ref().map_or(SSH, |port| port.value)
}

/// What the command line says about nodes of which the inventory does not say it.
pub(super) struct Defaults {
    pub(super) user: Option<String>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) privilege: Privilege,
}

/// Where a node is and as whom to come: the inventory's words, and the command line's where it has none.
pub(super) fn target(member: &Member, defaults: &Defaults) -> Target {
    let connection = &member.connection;
    let user = || {
        let user = connection.escalate_user.as_ref();
        user.map_or_else(|| "root".to_string(), |user| user.value.clone())
    };
    let privilege = match &connection.escalate {
        Some(escalate) if escalate.value => Privilege::Sudo { user: user() },
        Some(_) => Privilege::AsIs,
        None => match defaults.privilege {
            Privilege::Sudo { .. } => Privilege::Sudo { user: user() },
            Privilege::AsIs => Privilege::AsIs,
        },
    };
    Target {
        node: member.name.clone(),
        via: match connection.method {
            ConnectionMethod::Ssh => Via::Ssh,
            ConnectionMethod::Local => Via::Local,
        },
        address: connection.host.value.clone(),
        port: port_of(connection),
        user: connection
            .user
            .as_ref()
            .map(|user| user.value.clone())
            .or_else(|| defaults.user.clone()),
        key_file: connection
            .private_key_file
            .as_ref()
            .map(|path| path.value.clone())
            .or_else(|| defaults.key_file.clone()),
        privilege,
    }
}

/// Every key file that is named is there. One that is not would otherwise be found after half of the fleet.
pub(super) fn check_keys(fleet: &Fleet, default: Option<&Path>) -> Result<(), CliError> {
    let mut errors = InputErrors::none();
    for member in &fleet.members {
        if let Some(key) = &member.connection.private_key_file
            && member.connection.method == ConnectionMethod::Ssh
            && !key.value.is_file()
        {
            let path = key.value.display();
            let error = InputError::at(
                key.location.clone(),
                format!("there is no key file `{path}`"),
            );
            errors.push(error.hint("a relative path is relative to the inventory's directory"));
        }
    }
    unique(errors).or(())?;
    match default {
        Some(path) if !path.is_file() => Err(CliError::new(format!(
            "there is no key file `{}`",
            path.display()
        ))
        .hint("`--private-key` names a private key in OpenSSH or PEM format")),
        _ => Ok(()),
    }
}
