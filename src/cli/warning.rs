//! Warnings about things that work but may not be intended.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::inventory::InputError;
use crate::report::json::Moved;

/// A warning. It is printed once, regardless of the number of nodes that it is about.
pub(super) struct Warning {
    pub(super) error: InputError,
    /// How many nodes it is about; `None` if it is not about nodes.
    pub(super) nodes: Option<usize>,
    /// The DNS name that has moved, if it is about one.
    pub(super) moved: Option<Moved>,
}

/// How many warnings of one kind are printed; the others are counted.
const SHOWN: usize = 3;

/// Warnings as they are printed: a fleet of thousands has the same mistake thousands of times, each at another place.
pub(super) struct Shown<'w> {
    /// Those to be printed, in their order.
    pub(super) warnings: Vec<&'w Warning>,
    /// For each kind of which there are more: how many, and its message with `…` for names.
    pub(super) more: Vec<(usize, String)>,
}

/// Chooses what is printed of many warnings. JSON documents have all of them.
pub(super) fn shown(warnings: &[Warning]) -> Shown<'_> {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut shown = Vec::new();
    for warning in warnings {
        let kind = without_names(warning.error.message());
        let place = *places.entry(kind).or_insert_with_key(|kind| {
            kinds.push((kind.clone(), 0));
            kinds.len() - 1
        });
        kinds[place].1 += 1;
        if kinds[place].1 <= SHOWN {
            shown.push(warning);
        }
    }
    let more = kinds.into_iter().filter(|(_, count)| *count > SHOWN);
    Shown {
        warnings: shown,
        more: more.map(|(kind, count)| (count - SHOWN, kind)).collect(),
    }
}

/// A message with `…` for what stands in backquotes, and for numbers.
fn without_names(message: &str) -> String {
    let mut text = String::new();
    for (number, part) in message.split('`').enumerate() {
        if number % 2 == 1 {
            text.push_str("`…`");
            continue;
        }
        let words = part.split(' ').map(|word| {
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            if digits && !word.is_empty() {
                "…"
            } else {
                word
            }
        });
        text.push_str(&words.collect::<Vec<_>>().join(" "));
    }
    text
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
                Some(place) => {
                    let nodes = &mut self.found[*place].nodes;
                    *nodes = nodes.map(|nodes| nodes + 1);
                }
                None => {
                    self.places.insert(text, self.found.len());
                    self.found.push(Warning {
                        error,
                        nodes: Some(1),
                        moved: None,
                    });
                }
            }
        }
    }

    /// Adds warnings that are about no node.
    pub(super) fn add_general(&mut self, errors: impl IntoIterator<Item = InputError>) {
        let general = errors.into_iter();
        self.found.extend(general.map(|error| Warning {
            error,
            nodes: None,
            moved: None,
        }));
    }

    /// Adds warnings that are counted already.
    pub(super) fn extend(&mut self, warnings: impl IntoIterator<Item = Warning>) {
        self.found.extend(warnings);
    }

    /// Returns the warnings in the order in which they were first added.
    pub(super) fn into_found(self) -> Vec<Warning> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_of_warnings_of_one_kind_are_a_few_lines_and_a_count() {
        let mut warnings = Warnings::default();
        for node in 0..10_000 {
            let twice = format!("the peer `192.0.2.7` is listed twice in `n{node}/p2p`");
            warnings.add([InputError::general(twice)]);
        }
        warnings.add([InputError::general(
            "nothing uses the variable `cybx_peers`",
        )]);
        let found = warnings.into_found();
        let shown = shown(&found);
        assert_eq!(shown.warnings.len(), SHOWN + 1);
        let kind = "the peer `…` is listed twice in `…`".to_string();
        assert_eq!(shown.more, [(10_000 - SHOWN, kind)]);
        assert_eq!(without_names("`a` 12 b, and 3 more"), "`…` … b, and … more");
    }
}
