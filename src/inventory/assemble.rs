//! Declared groups, files of variables and `-e` → nodes, each with its own variables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_yaml::Value;

use super::connection::Surroundings;
use super::connection::Unread;
use super::declared::DeclaredGroup;
use super::declared::Tree;
use super::document::Segment;
use super::document::kind;
use super::error::InputError;
use super::error::InputErrors;
use super::graph::Graph;
use super::layers;
use super::location::Located;
use super::name::Named;
use super::name::check;
use super::nodes::InventoryNode;
use super::vars::Var;
use super::vars::Vars;
use super::vault::Vault;
use super::vault::expand;
use super::vault::kind_of;
use super::vault::take_locked;

/// The one variable that accumulates.
const ROLES: &str = "fwdeploy_roles";

/// Everything that was read.
pub(super) struct Texts {
    pub(super) tree: Tree,
    /// Of each directory with `group_vars/`, in the order of precedence.
    pub(super) group_vars: Vec<BTreeMap<String, Vars>>,
    /// Of each directory with `host_vars/`, in the order of precedence.
    pub(super) node_vars: Vec<BTreeMap<String, Vars>>,
    pub(super) extra: Vars,
    pub(super) around: Surroundings,
    pub(super) vault: Arc<Vault>,
}

/// What nodes in the same groups share.
#[derive(Clone, Default)]
struct Shared {
    vars: Vars,
    roles: Vec<Located<String>>,
    /// The names after `!`, whether or not there was such a role to take off.
    taken_off: Vec<Located<String>>,
}

/// Whose roles a variable names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// A group's: `[]` adds none, and takes none off, because other groups beside it may add some.
    Group,
    /// A node's own: `[]` takes all off.
    Node,
}

/// Nodes in the order of the group `all`, and groups with their nodes in their own order.
pub(super) type Assembled = (Vec<InventoryNode>, BTreeMap<String, Vec<String>>);

/// Gives each node its variables, by Ansible's precedence.
pub(super) fn assemble(texts: &Texts) -> Result<Assembled, InputErrors> {
    let graph = Graph::new(&texts.tree)?;
    let mut errors = Once::default();
    let mut shared: BTreeMap<&BTreeSet<usize>, Shared> = BTreeMap::new();
    let names_of = |nodes: &[usize]| {
        nodes
            .iter()
            .map(|node| texts.tree.nodes[*node].name.clone())
            .collect()
    };
    let members: BTreeMap<String, Vec<String>> = graph
        .order
        .iter()
        .zip(&graph.members.all)
        .map(|((name, _), nodes)| ((*name).to_owned(), names_of(nodes)))
        .collect();
    let around = Arc::new(texts.around.clone());
    let extra = expand(&texts.extra).unwrap_or_else(|wrong| {
        errors.extend(wrong);
        Cow::default()
    });
    let mut nodes = Vec::new();
    for position in graph.members.all.first().into_iter().flatten() {
        let (node, groups) = (&texts.tree.nodes[*position], &graph.groups_of[*position]);
        let names = || groups.iter().map(|position| graph.order[*position].0);
        let of_groups = shared.entry(groups).or_insert_with(|| {
            let groups: Vec<_> = groups
                .iter()
                .map(|position| graph.order[*position])
                .collect();
            share(&groups, &texts.group_vars, &mut errors)
        });
        let mut own = of_groups.clone();
        for vars in layers::of_node(&node.name, &node.vars, &texts.node_vars) {
            own.add(vars, &mut errors);
        }
        own.vars
            .extend(extra.iter().map(|(name, var)| (name.clone(), var.clone())));
        let locked = take_locked(&mut own.vars, &texts.vault);
        let connection = Unread::take(&mut own.vars, &around);
        let mut groups: Vec<String> = names()
            .filter(|name| *name != "all")
            .map(str::to_owned)
            .collect();
        groups.sort();
        nodes.push(InventoryNode {
            name: node.name.clone(),
            location: node.location.clone(),
            groups,
            vars: own.vars,
            roles: own.roles,
            roles_taken_off: own.taken_off,
            locked,
            connection,
        });
    }
    errors.errors.or((nodes, members))
}

/// The variables of groups, from `all` inwards.
fn share(
    groups: &[(&str, &DeclaredGroup)],
    files: &[BTreeMap<String, Vars>],
    errors: &mut Once,
) -> Shared {
    let mut shared = Shared::default();
    for vars in layers::of_groups(groups, files) {
        shared.add(vars, errors);
    }
    // Roles go from the outer to the inner group, wherever they are written.
    let mut roles = Shared::default();
    for (name, group) in groups {
        let of_files = files.iter().filter_map(|of_groups| of_groups.get(*name));
        for vars in std::iter::once(&group.vars).chain(of_files) {
            roles.add_roles(vars, Level::Group, errors);
        }
    }
    shared.roles = roles.roles;
    shared.taken_off = roles.taken_off;
    shared
}

impl Shared {
    /// Adds what comes later, and therefore wins.
    fn add(&mut self, vars: &Vars, errors: &mut Once) {
        self.add_roles(vars, Level::Node, errors);
        match expand(vars) {
            Ok(vars) => {
                let others = vars.iter().filter(|(name, _)| name.as_str() != ROLES);
                self.vars
                    .extend(others.map(|(name, var)| (name.clone(), var.clone())));
            }
            Err(wrong) => errors.extend(wrong),
        }
    }

    fn add_roles(&mut self, vars: &Vars, level: Level, errors: &mut Once) {
        let Some(var) = vars.get(ROLES) else { return };
        let named = match roles(var) {
            Ok(named) => named,
            Err(wrong) => return errors.extend(wrong),
        };
        if named.is_empty() && level == Level::Node {
            self.roles.clear();
        }
        for role in named {
            match role {
                Change::On(role) => {
                    if self.roles.iter().all(|known| known.value != role.value) {
                        self.roles.push(role);
                    }
                }
                Change::Off(role) => {
                    self.roles.retain(|known| known.value != role.value);
                    self.taken_off.push(role);
                }
            }
        }
    }
}

/// A role that a variable names.
enum Change {
    /// `cybex`
    On(Located<String>),
    /// `!cybex`: not here, whatever the groups say.
    Off(Located<String>),
}

/// The roles that one variable names: a list of names, one name, or names with commas between.
fn roles(var: &Var) -> Result<Vec<Change>, InputErrors> {
    let role = |value: &Value, path: &[Segment]| {
        let location = var.origin().inside(path);
        if kind_of(value).is_some() {
            let error = InputError::at(location, format!("`{ROLES}` cannot be a secret"));
            return Err(error.hint("reports name the roles: write them plainly"));
        }
        match value.as_str() {
            Some(written) => {
                let name = written.strip_prefix('!').map_or(written, str::trim);
                check(name, Named::Role, &location)?;
                let role = Located::new(name.to_owned(), location);
                Ok(match written.starts_with('!') {
                    true => Change::Off(role),
                    false => Change::On(role),
                })
            }
            None => {
                let error = InputError::at(location, "a role's name is expected");
                Err(error.label(format!("this is {}", kind(value))))
            }
        }
    };
    match var.value() {
        // A role that is forgotten here would be a node that is open.
        Value::Null => {
            let error = InputError::at(var.location(), format!("`{ROLES}` is empty"));
            Err(error
                .hint("list roles, such as `[cybex]`; `[]` on a node takes all of them off")
                .into())
        }
        Value::Sequence(values) => {
            let mut errors = InputErrors::none();
            let names = values
                .iter()
                .enumerate()
                .filter_map(|(index, value)| errors.take(role(value, &[Segment::Index(index)])));
            let names = names.collect();
            errors.or(names)
        }
        // An INI inventory has no list of words.
        Value::String(names) if names.contains(',') => {
            let named = names
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty());
            let mut errors = InputErrors::none();
            let roles = named.filter_map(|name| errors.take(role(&Value::from(name), &[])));
            let roles = roles.collect();
            errors.or(roles)
        }
        value => Ok(vec![role(value, &[])?]),
    }
}

/// Errors, each once: an error in a group is an error for each of its nodes.
#[derive(Default)]
struct Once {
    seen: BTreeSet<String>,
    errors: InputErrors,
}

impl Once {
    fn extend(&mut self, errors: InputErrors) {
        for error in errors {
            if self.seen.insert(error.to_string()) {
                self.errors.push(error);
            }
        }
    }
}
