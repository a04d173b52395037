//! What every kind of inventory does with its text: declares groups and nodes, and sets their variables.

use serde_yaml::Value;

use super::declared::Tree;
use super::declared::add_vars;
use super::declared::set_priority;
use super::error::InputError;
use super::error::InputErrors;
use super::location::Located;
use super::location::Location;
use super::location::Span;
use super::name::Named;
use super::name::check;
use super::range::MAX_NODES;
use super::range::expand;
use super::variable::check_variable;
use super::vars::Layer;
use super::vars::Var;
use super::vars::Vars;

/// Groups in one inventory, far above any fleet: to find a circle among them costs their square.
const MAX_GROUPS: usize = 10_000;

/// How the name of a node is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// By a person: `node[01:20]` is a range, and `:2222` at its end a port.
    Pattern,
    /// By a program: as it is.
    Name,
}

/// What was declared so far, by all sources.
#[derive(Debug)]
pub(super) struct Declarations {
    pub(super) tree: Tree,
    pub(super) errors: InputErrors,
    pub(super) warnings: Vec<InputError>,
}

impl Declarations {
    /// The two groups that are always there.
    pub(super) fn new() -> Self {
        let mut tree = Tree::default();
        for name in ["all", "ungrouped"] {
            tree.declare(name, None);
        }
        Self {
            tree,
            errors: InputErrors::none(),
            warnings: Vec::new(),
        }
    }

    /// Declares a group of this name; `None` if it cannot have it.
    pub(super) fn group(&mut self, name: &str, key: &Location) -> Option<()> {
        self.errors.take(check(name, Named::Group, key))?;
        self.tree.declare(name, Some(key));
        if self.tree.groups.len() > MAX_GROUPS {
            let message = format!("more than {MAX_GROUPS} groups");
            self.errors.push(InputError::at(key.clone(), message));
            return None;
        }
        Some(())
    }

    /// Adds the nodes that `pattern` stands for to a group that is declared.
    pub(super) fn nodes(
        &mut self,
        group: &str,
        pattern: &str,
        written: Written,
        location: &Location,
        vars: &Vars,
    ) {
        let named = match written {
            Written::Pattern => {
                let (pattern, port) = split_port(pattern, location);
                expand(pattern, location).map(|names| (names, port))
            }
            Written::Name => {
                check(pattern, Named::Node, location).map(|()| (vec![pattern.to_owned()], None))
            }
        };
        let Some((names, port)) = self.errors.take(named) else {
            return;
        };
        if self.tree.nodes.len() + names.len() > MAX_NODES {
            let message = format!("more than {MAX_NODES} nodes");
            return self.errors.push(InputError::at(location.clone(), message));
        }
        for name in names {
            self.node(group, name, location, vars, port.as_ref());
        }
    }

    fn node(
        &mut self,
        group: &str,
        name: String,
        location: &Location,
        vars: &Vars,
        port: Option<&Var>,
    ) {
        let before = self.tree.nodes.len();
        let position = self.tree.position(name, location);
        self.tree.declare(group, None).nodes.add(position, position);
        // A node that is known keeps the port that it was first named with.
        if let (true, Some(port)) = (position == before, port) {
            let own = &mut self.tree.nodes[position].vars;
            own.insert("ansible_port".to_owned(), port.clone());
        }
        self.node_vars(position, vars);
    }

    /// Sets variables of a node that is declared; of the group of that name, if there is one.
    pub(super) fn node_vars(&mut self, position: usize, vars: &Vars) {
        let node = &mut self.tree.nodes[position];
        // Ansible's `set_variable` (`inventory/data.py`) looks among the groups first.
        if self.tree.groups.contains_key(&node.name) {
            let name = node.name.clone();
            return self.group_vars(&name, vars.clone());
        }
        let warnings = add_vars(&mut node.vars, vars);
        self.warnings.extend(warnings);
    }

    /// Puts one group below another.
    pub(super) fn child(&mut self, parent: &str, name: &str, location: Location) {
        if name == "all" || (name == "ungrouped" && parent != "all") {
            let message = format!("`{name}` is a child of no other group");
            return self.errors.push(InputError::at(location, message));
        }
        let children = &mut self.tree.declare(parent, None).children;
        children.add(name.to_owned(), Located::new(name.to_owned(), location));
    }

    /// Sets variables of a group.
    pub(super) fn group_vars(&mut self, group: &str, mut vars: Vars) {
        let priority = vars.remove("ansible_group_priority");
        let known = self.tree.declare(group, None);
        if let Some(priority) = priority {
            self.errors.take(set_priority(known, &priority));
        }
        let warnings = add_vars(&mut known.vars, &vars);
        self.warnings.extend(warnings);
    }

    /// Those of the variables that may be set where they are.
    pub(super) fn checked(&mut self, vars: impl IntoIterator<Item = (String, Var)>) -> Vars {
        let mut checked = Vars::new();
        for (name, var) in vars {
            if self.errors.take(check_variable(&name, &var)).is_some() {
                checked.insert(name, var);
            }
        }
        checked
    }
}

/// Splits `node:2222` and `[node]:2222`, as `parse_address` of Ansible's `parsing/utils/addresses.py` does. An IPv6 address has no port.
fn split_port<'p>(pattern: &'p str, location: &Location) -> (&'p str, Option<Var>) {
    let Some((head, digits)) = pattern.rsplit_once(':') else {
        return (pattern, None);
    };
    let bracketed = head
        .strip_prefix('[')
        .and_then(|head| head.strip_suffix(']'))
        .filter(|head| !head.contains(['[', ']']));
    // The colon of `node[1:3]` is inside of the brackets.
    let is_open = head.matches('[').count() != head.matches(']').count();
    let colons = head
        .split(['[', ']'])
        .step_by(2)
        .any(|outside| outside.contains(':'));
    let is_port = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let port: Option<u64> = digits.parse().ok();
    let (true, false, Some(port)) = (is_port, is_open, port) else {
        return (pattern, None);
    };
    if bracketed.is_none() && colons {
        return (pattern, None);
    }
    let span = location.span();
    let written = if location.text() == pattern {
        Span {
            start: span.start + head.len() + 1,
            end: span.end,
        }
    } else {
        span
    };
    let var = Var::of_piece(
        Value::from(port),
        location.source(),
        (span, written),
        Layer::Node,
    );
    (bracketed.unwrap_or(head), Some(var))
}
