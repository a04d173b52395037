//! Groups and nodes as an inventory declares them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::document::kind;
use super::error::InputError;
use super::error::shown;
use super::location::Located;
use super::location::Location;
use super::nodes::FirstNamed;
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

    /// Everything in the order in which it was first named.
    pub(super) fn first_named(&self) -> FirstNamed {
        let mut groups: Vec<&String> = self.groups.keys().collect();
        groups.sort_by_key(|name| self.groups[*name].number);
        FirstNamed {
            groups: groups.into_iter().cloned().collect(),
            nodes: self.nodes.iter().map(|node| node.name.clone()).collect(),
        }
    }

    /// The position of a node, if it is declared.
    pub(super) fn known(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
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

/// Sets a group's priority: the last place wins.
pub(super) fn set_priority(group: &mut DeclaredGroup, var: &Var) -> Result<(), InputError> {
    let value = var.value();
    // Ansible takes `int(value)`.
    let priority = value
        .as_i64()
        .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    let Some(priority) = priority else {
        let message = "`ansible_group_priority` takes a whole number";
        let error = InputError::at(var.location(), message);
        return Err(error.label(format!("this is {}", kind(value))));
    };
    group.priority = Some(Located::new(priority, var.location()));
    Ok(())
}

/// Adds variables to a group or node that may be declared in several places. The last place wins, as for Ansible.
///
/// Returns a warning for each that has two values in one text. One file after the other is how Ansible's users set the same thing anew on purpose.
pub(super) fn add_vars(known: &mut Vars, more: &Vars) -> Vec<InputError> {
    let mut warnings = Vec::new();
    for (name, var) in more {
        if let Some(first) = known.get(name) {
            let (before, now) = (first.location(), var.location());
            if first.value() != var.value() && before.source().name() == now.source().name() {
                let message = format!("`{}` has two values at one level", shown(name));
                let error = InputError::at(now, message).label("second value");
                let error = error.context(before, "first value");
                warnings.push(error.hint("the last one holds, as for Ansible; keep one of them"));
            }
        }
        known.insert(name.clone(), var.clone());
    }
    warnings
}
