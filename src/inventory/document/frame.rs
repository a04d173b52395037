//! Lists and mappings while they are being read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::btree_map;
use std::sync::Arc;

use serde_yaml::Mapping;
use serde_yaml::Value;

use super::mark::Entry;
use super::mark::Inside;
use super::mark::Mark;
use crate::inventory::location::Span;

/// A value that is complete. `depth` and `count` are its levels and its values, itself included.
#[derive(Clone)]
pub(super) struct Finished {
    pub(super) value: Value,
    pub(super) mark: Arc<Mark>,
    pub(super) depth: usize,
    pub(super) count: usize,
}

impl Finished {
    pub(super) fn new(value: Value, mark: Mark) -> Self {
        Self {
            value,
            mark: Arc::new(mark),
            depth: 1,
            count: 1,
        }
    }
}

/// A list or mapping that is still open.
pub(super) struct Frame {
    pub(super) span: Span,
    pub(super) anchor: usize,
    pub(super) depth: usize,
    pub(super) count: usize,
    /// Whether no text in it is a template: `!unsafe` before the list or mapping, or before one around it.
    pub(super) is_unsafe: bool,
    pub(super) content: Content,
}

pub(super) enum Content {
    List(Vec<Value>, Vec<Arc<Mark>>),
    Mapping(Box<OpenMapping>),
}

#[derive(Default)]
pub(super) struct OpenMapping {
    /// The key whose value comes next.
    pub(super) key: Option<(Key, Span)>,
    pub(super) values: Vec<(String, Value)>,
    pub(super) marks: BTreeMap<String, Entry>,
    pub(super) merge: Option<Span>,
    merged: Vec<(String, Value, Entry)>,
    merged_keys: BTreeSet<String>,
}

pub(super) enum Key {
    Text(String),
    Merge,
    /// Already there: its value is read and dropped.
    Repeated,
}

impl OpenMapping {
    /// Merges the entries of a mapping, or of a list of mappings in which the first takes precedence, as Ansible does. `None` if it is neither.
    pub(super) fn merge_in(&mut self, value: &Value, mark: &Mark) -> Option<()> {
        match (value, &mark.inside) {
            (Value::Mapping(values), Inside::Mapping(marks)) => {
                for (key, value) in values {
                    let key = key.as_str()?;
                    let entry = marks.get(key)?;
                    if self.merged_keys.insert(key.to_owned()) {
                        self.merged
                            .push((key.to_owned(), value.clone(), entry.clone()));
                    }
                }
                Some(())
            }
            (Value::Sequence(values), Inside::List(marks)) => {
                let mappings = values.iter().all(Value::is_mapping);
                values
                    .iter()
                    .zip(marks)
                    .filter(|_| mappings)
                    .try_for_each(|(value, mark)| self.merge_in(value, mark))?;
                mappings.then_some(())
            }
            _ => None,
        }
    }

    /// Merged entries come first, and entries that are written out override them.
    pub(super) fn finish(mut self) -> (Value, Inside) {
        let mut values = Mapping::new();
        for (key, value, entry) in self.merged {
            if let btree_map::Entry::Vacant(vacant) = self.marks.entry(key.clone()) {
                vacant.insert(entry);
                values.insert(Value::from(key), value);
            }
        }
        values.extend(
            self.values
                .into_iter()
                .map(|(key, value)| (Value::from(key), value)),
        );
        (Value::Mapping(values), Inside::Mapping(self.marks))
    }
}
