//! Variables: a value, and where the user wrote it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_yaml::Value;

use super::document::Anchor;
use super::document::Cursor;
use super::document::Document;
use super::document::Segment;
use super::document::kind;
use super::error::InputError;
use super::error::InputErrors;
use super::location::Location;
use super::location::Source;
use super::location::Span;

/// Variables by name.
pub type Vars = BTreeMap<String, Var>;

/// A variable's value, and its location. Cheap to clone: thousands of nodes share the variables of their groups.
#[derive(Clone)]
pub struct Var {
    value: Arc<Value>,
    origin: Origin,
}

impl Var {
    /// The value under the cursor.
    pub fn new(cursor: &Cursor<'_>, layer: Layer) -> Self {
        Self {
            value: Arc::new(cursor.value().clone()),
            origin: Origin {
                anchor: cursor.anchor(),
                layer,
            },
        }
    }

    /// The same variable with the value that its templates make.
    pub(super) fn rendered(&self, value: Value) -> Self {
        Self {
            value: Arc::new(value),
            origin: self.origin.clone(),
        }
    }

    /// A part of it as a variable of its own, with a value that was made of that part.
    pub(super) fn part(&self, path: &[Segment], value: Value) -> Self {
        Self {
            value: Arc::new(value),
            origin: Origin {
                anchor: self.origin.anchor.inside(path),
                layer: self.origin.layer,
            },
        }
    }

    /// A value that is written in one piece, in a text that is no YAML: its keys and elements have no places of their own.
    pub(super) fn of_piece(
        value: Value,
        source: &Arc<Source>,
        (key, span): (Span, Span),
        layer: Layer,
    ) -> Self {
        Self {
            value: Arc::new(value),
            origin: Origin {
                anchor: Anchor::of_piece(Arc::clone(source), key, span),
                layer,
            },
        }
    }

    /// Whether both are one value that was read once: two nodes have it from one group.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value)
            && self.origin.layer == other.origin.layer
            && self.origin.anchor.is_same(&other.origin.anchor)
    }

    /// The value as it was written: a template is still a template, and a string tagged `!unsafe` never is one.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Where the value was written.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where the value was written.
    pub fn location(&self) -> Location {
        self.origin.location()
    }
}

/// Never shows the value: it may be a password.
impl fmt::Debug for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Var({})", self.origin)
    }
}

/// Where a variable's value was written, down to each element of it.
///
/// Displayed as `file:line:column`, or as `-e key=…` for the command line.
#[derive(Clone, Debug)]
pub struct Origin {
    anchor: Anchor,
    layer: Layer,
}

impl Origin {
    /// The whole value; the variable's name where there is no value.
    pub fn location(&self) -> Location {
        self.anchor.location()
    }

    /// The variable's name, before the value.
    pub fn key_location(&self) -> Location {
        self.anchor.key_location()
    }

    /// A part of the value: `[Segment::Index(2)]` is the third element of a list. The innermost part that has a place, if `path` leads nowhere.
    pub fn inside(&self, path: &[Segment]) -> Location {
        self.anchor.inside(path).location()
    }

    /// The key of a part of the value.
    pub(super) fn inside_key(&self, path: &[Segment]) -> Location {
        self.anchor.inside(path).key_location()
    }

    /// Which kind of place it is, by Ansible's precedence.
    pub fn layer(&self) -> Layer {
        self.layer
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location().fmt(f)
    }
}

/// Where variables may be set: a later one wins over an earlier one.
///
/// The order is Ansible's, <https://docs.ansible.com/ansible/latest/reference_appendices/general_precedence.html>. Between the groups of one layer,
/// `all` gives way to its children and a parent to its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A role's defaults.
    RoleDefaults,
    /// `vars` of a group in the inventory.
    Group,
    /// A file below `group_vars/`.
    GroupFile,
    /// Beside a node's name in the inventory.
    Node,
    /// A file below `host_vars/`.
    NodeFile,
    /// `-e` on the command line.
    CommandLine,
}

/// Returns the variables of a file that holds nothing else: of `group_vars/`, of `-e @file`, or a role's defaults.
///
/// # Errors
///
/// The document is not a mapping. An empty one has no variables.
pub fn variables(document: &Document, layer: Layer) -> Result<Vars, InputErrors> {
    let root = document.root();
    if root.value().is_null() {
        return Ok(Vars::new());
    }
    let Some(entries) = root.entries() else {
        let error = InputError::at(
            root.location(),
            "variables are expected here, as a mapping of names to values",
        );
        return Err(error
            .label(format!("this is {}", kind(root.value())))
            .into());
    };
    Ok(entries
        .into_iter()
        .map(|(name, cursor)| (name.to_owned(), Var::new(&cursor, layer)))
        .collect())
}

/// Returns a value as JSON, as `ansible-inventory` prints it: a tag such as `!unsafe` is left out.
pub fn plain_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (.., Some(number)) if number.is_finite() => number.into(),
            // JSON has no such number.
            _ => number.to_string().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Sequence(values) => values.iter().map(plain_json).collect(),
        Value::Mapping(entries) => {
            let entries = entries.iter().filter_map(|(key, value)| {
                let key = key.as_str()?.to_owned();
                Some((key, plain_json(value)))
            });
            serde_json::Value::Object(entries.collect())
        }
        Value::Tagged(tagged) => plain_json(&tagged.value),
    }
}
