//! Warnings about things that work but may not be intended.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::inventory::InputError;

/// A warning. It is printed once, regardless of the number of nodes that it is about.
pub(super) struct Warning {
    pub(super) error: InputError,
    /// How many nodes it is about.
    pub(super) nodes: usize,
}

/// Collects warnings, each once.
#[derive(Default)]
pub(super) struct Warnings {
    found: Vec<Warning>,
    places: BTreeMap<String, usize>,
}

impl Warnings {
    /// Adds the warnings of one node.
    pub(super) fn add(&mut self, errors: impl IntoIterator<Item = InputError>) {
        let mut of_node = BTreeSet::new();
        for error in errors {
            let text = error.to_string();
            // A peer may be listed for both directions.
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

    /// Returns the warnings in the order in which they were first added.
    pub(super) fn into_found(self) -> Vec<Warning> {
        self.found
    }
}
