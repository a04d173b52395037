//! Groups and nodes as an inventory declares them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::document::kind;
use super::error::InputError;
use super::error::InputErrors;
use super::error::shown;
use super::location::Located;
use super::location::Location;
use super::vars::Var;
use super::vars::Vars;

/// What all the inventory's documents declare together.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) groups: BTreeMap<String, DeclaredGroup>,
    /// In the order in which they were first named.
    pub(super) nodes: Vec<DeclaredNode>,
    by_name: BTreeMap<String, usize>,
}

/// A group, with what all its declarations say.
#[derive(Debug, Default)]
pub(super) struct DeclaredGroup {
    /// `None` for the groups that are always there.
    pub(super) location: Option<Location>,
    /// How many groups were declared before it.
    pub(super) number: usize,
    /// Positions in [`Tree::nodes`].
    pub(super) nodes: Listing<usize>,
    pub(super) children: Listing<String, Located<String>>,
    pub(super) vars: Vars,
    pub(super) priority: Option<Located<i64>>,
}

impl DeclaredGroup {
    /// Ansible's default is 1.
    pub(super) fn priority(&self) -> i64 {
        self.priority.as_ref().map_or(1, |priority| priority.value)
    }
}

/// Things in the order in which they were named, each once.
#[derive(Debug)]
pub(super) struct Listing<K, T = K> {
    pub(super) listed: Vec<T>,
    known: BTreeSet<K>,
}

impl<K, T> Default for Listing<K, T> {
    fn default() -> Self {
        Self {
            listed: Vec::new(),
            known: BTreeSet::new(),
        }
    }
}

impl<K: Ord, T> Listing<K, T> {
    /// Adds what is not present yet.
    pub(super) fn add(&mut self, key: K, value: T) {
        if self.known.insert(key) {
            self.listed.push(value);
        }
    }
}

/// A node, with what all its declarations say.
#[derive(Debug)]
pub(super) struct DeclaredNode {
    pub(super) name: String,
    pub(super) location: Location,
    pub(super) vars: Vars,
}

impl Tree {
    /// The group of this name, which is declared here if it was not before.
    pub(super) fn declare(
        &mut self,
        name: &str,
        location: Option<&Location>,
    ) -> &mut DeclaredGroup {
        let number = self.groups.len();
        let new = || DeclaredGroup {
            number,
            ..DeclaredGroup::default()
        };
        let group = self.groups.entry(name.to_owned()).or_insert_with(new);
        if group.location.is_none() {
            group.location = location.cloned();
        }
        group
    }

    /// The position of a node, which is declared here if it was not before.
    pub(super) fn position(&mut self, name: String, location: &Location) -> usize {
        let nodes = &mut self.nodes;
        *self.by_name.entry(name).or_insert_with_key(|name| {
            nodes.push(DeclaredNode {
                name: name.clone(),
                location: location.clone(),
                vars: Vars::new(),
            });
            nodes.len() - 1
        })
    }
}

/// Sets a group's priority, which a group that is declared in several places has only once.
pub(super) fn set_priority(group: &mut DeclaredGroup, var: &Var) -> Option<InputError> {
    let error = |message| InputError::at(var.location(), message);
    let Some(priority) = var.value().as_i64() else {
        let error = error("`ansible_group_priority` takes a whole number");
        return Some(error.label(format!("this is {}", kind(var.value()))));
    };
    match &group.priority {
        Some(first) if first.value != priority => {
            let error = error("`ansible_group_priority` has two values for one group");
            Some(
                error
                    .label("second value")
                    .context(first.location.clone(), "first value"),
            )
        }
        _ => {
            group.priority = Some(Located::new(priority, var.location()));
            None
        }
    }
}

/// Adds variables to a group or node that may be declared in several places. Ansible lets the last place win in silence.
pub(super) fn add_vars(known: &mut Vars, more: &Vars, errors: &mut InputErrors) {
    for (name, var) in more {
        match known.get(name) {
            Some(first) if first.value() != var.value() => {
                let error = InputError::at(
                    var.location(),
                    format!("`{}` has two values at one level", shown(name)),
                );
                let error = error
                    .label("second value")
                    .context(first.location(), "first value");
                errors.push(
                    error.hint("keep one of them; which one holds would depend on their order"),
                );
            }
            Some(_) => {}
            None => {
                known.insert(name.clone(), var.clone());
            }
        }
    }
}
