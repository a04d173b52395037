//! What works and may not be meant: said once, whatever the number of nodes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::inventory::InputError;

/// Something that works and may not be meant: said once, whatever the number of nodes.
pub(super) struct Warning {
    pub(super) error: InputError,
    /// How many nodes it is about.
    pub(super) nodes: usize,
}

/// Warnings, each once.
#[derive(Default)]
pub(super) struct Warnings {
    found: Vec<Warning>,
    places: BTreeMap<String, usize>,
}

impl Warnings {
    /// Adds those of one node.
    pub(super) fn add(&mut self, errors: impl IntoIterator<Item = InputError>) {
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

    /// All of them, in the order in which they were found first.
    pub(super) fn into_found(self) -> Vec<Warning> {
        self.found
    }
}
