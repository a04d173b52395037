//! Where the values of a document are written, and what they are called.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_yaml::Value;

use super::super::location::Span;

/// Files above this size are refused. Five thousand nodes with twenty variables each take less than 4 MiB.
pub const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// Where a value and everything in it is written.
pub(super) struct Mark {
    pub(super) span: Span,
    pub(super) inside: Inside,
}

/// What a value has in it.
#[derive(Clone)]
pub(super) enum Inside {
    Nothing,
    List(Vec<Arc<Mark>>),
    Mapping(BTreeMap<String, Entry>),
}

/// A value of a mapping, and where its key is written.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: Span,
    pub(super) value: Arc<Mark>,
}

/// Returns what a value is, for "expected a list, found a mapping".
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) | Value::Tagged(_) => "a string",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
    }
}
