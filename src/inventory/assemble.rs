//! Declared groups, files of variables and `-e` → nodes, each with its own variables.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_yaml::Value;

use super::connection::ConnectionVars;
use super::connection::Surroundings;
use super::declared::DeclaredGroup;
use super::declared::Tree;
use super::document::Segment;
use super::document::kind;
use super::error::InputError;
use super::error::InputErrors;
use super::graph::Graph;
use super::location::Located;
use super::name::Named;
use super::name::check;
use super::nodes::InventoryNode;
use super::vars::Var;
use super::vars::Vars;

/// The one variable that accumulates.
const ROLES: &str = "fwdeploy_roles";

/// Everything that was read.
pub(super) struct Texts {
    pub(super) tree: Tree,
    pub(super) group_vars: BTreeMap<String, Vars>,
    pub(super) node_vars: BTreeMap<String, Vars>,
    pub(super) extra: Vars,
    pub(super) around: Surroundings,
}

/// What nodes in the same groups share.
#[derive(Clone, Default)]
struct Shared {
    vars: Vars,
    roles: Vec<Located<String>>,
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
        .zip(&graph.members)
        .map(|((name, _), nodes)| ((*name).to_owned(), names_of(nodes)))
        .collect();
    let mut nodes = Vec::new();
    for position in graph.members.first().into_iter().flatten() {
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
        let files = texts.node_vars.get(&node.name);
        for vars in [Some(&node.vars), files].into_iter().flatten() {
            own.add(vars, &mut errors);
        }
        own.vars.extend(
            texts
                .extra
                .iter()
                .map(|(name, var)| (name.clone(), var.clone())),
        );
        match ConnectionVars::take(&node.name, &node.location, &mut own.vars, &texts.around) {
            Ok(connection) => {
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
                    connection,
                });
            }
            Err(wrong) => errors.extend(wrong),
        }
    }
    errors.errors.or((nodes, members))
}

/// The variables of groups, from `all` inwards: first all those in the inventory, then all those in files.
fn share(
    groups: &[(&str, &DeclaredGroup)],
    files: &BTreeMap<String, Vars>,
    errors: &mut Once,
) -> Shared {
    let mut shared = Shared::default();
    for (_, group) in groups {
        shared.add(&group.vars, errors);
    }
    let mut of_files = Shared::default();
    for vars in groups.iter().filter_map(|(name, _)| files.get(*name)) {
        of_files.add(vars, errors);
    }
    shared.vars.extend(of_files.vars);
    // Roles go from the outer to the inner group, wherever they are written.
    let mut roles = Shared::default();
    for (name, group) in groups {
        for vars in [Some(&group.vars), files.get(*name)].into_iter().flatten() {
            roles.add_roles(vars, errors);
        }
    }
    shared.roles = roles.roles;
    shared
}

impl Shared {
    /// Adds what comes later, and therefore wins.
    fn add(&mut self, vars: &Vars, errors: &mut Once) {
        self.add_roles(vars, errors);
        let others = vars.iter().filter(|(name, _)| name.as_str() != ROLES);
        self.vars
            .extend(others.map(|(name, var)| (name.clone(), var.clone())));
    }

    fn add_roles(&mut self, vars: &Vars, errors: &mut Once) {
        let Some(var) = vars.get(ROLES) else { return };
        match roles(var) {
            Ok(roles) => {
                for role in roles {
                    if self.roles.iter().all(|known| known.value != role.value) {
                        self.roles.push(role);
                    }
                }
            }
            Err(wrong) => errors.extend(wrong),
        }
    }
}

/// The roles that one variable names: a list of names, or one name.
fn roles(var: &Var) -> Result<Vec<Located<String>>, InputErrors> {
    let role = |value: &Value, path: &[Segment]| {
        let location = var.origin().inside(path);
        match value.as_str() {
            Some(name) => check(name, Named::Role, &location)
                .map(|()| Located::new(name.to_owned(), location)),
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
                .hint("list roles, such as `[cybex]`; `[]` adds none")
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
