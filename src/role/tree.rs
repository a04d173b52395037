//! A role's document with every template rendered: plain values, each with the place that its author can change.

use minijinja::Value;
use minijinja::value::ValueKind;
use serde_yaml::Value as Yaml;

use std::sync::Arc;

use crate::inventory::document::Cursor;
use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::inventory::location::Location;
use crate::role::provenance::Places;
use crate::role::renderer::Renderer;
use crate::role::template;

/// The key that drops an entry of a list.
pub(super) const WHEN: &str = "when";

/// A rendered value.
pub(super) struct Node {
    pub(super) content: Content,
    /// Where the value is written: in a variable, or in the role.
    pub(super) place: Location,
    /// Where the role asks for it, if that is another place.
    pub(super) asked_at: Option<Location>,
}

/// The value, without the difference between numbers and texts: both are addresses, ports and names.
pub(super) enum Content {
    Nothing,
    Bool(bool),
    Text(String),
    List(Vec<Node>),
    Mapping(Vec<(String, Location, Node)>),
    /// It has a mistake, which is known already.
    Failed,
}

impl Content {
    /// For "expected a list, found a mapping".
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Content::Nothing => "nothing",
            Content::Bool(_) => "a boolean",
            Content::Text(_) => "a text",
            Content::List(_) => "a list",
            Content::Mapping(_) => "a mapping",
            Content::Failed => "a mistake",
        }
    }
}

impl Node {
    /// A mistake with this value.
    pub(super) fn error(&self, message: impl Into<String>) -> InputError {
        let error = InputError::at(self.place.clone(), message);
        match &self.asked_at {
            Some(by) => template::asked_for(error, by),
            None => error,
        }
    }
}

/// Renders a document, or a part of it.
pub(super) fn render(
    renderer: &Arc<Renderer>,
    cursor: &Cursor<'_>,
    errors: &mut InputErrors,
) -> Node {
    let place = cursor.location();
    let content = match cursor.value() {
        Yaml::Null => Content::Nothing,
        Yaml::Bool(value) => Content::Bool(*value),
        Yaml::Number(number) => Content::Text(number.to_string()),
        Yaml::String(text) if template::is_template(text) => {
            let rendered = renderer.render(text, &place);
            match rendered.and_then(|rendered| from_value(&rendered.value, &rendered.places)) {
                Ok(node) => return node,
                Err(error) => {
                    errors.push(error);
                    Content::Failed
                }
            }
        }
        Yaml::String(_) | Yaml::Tagged(_) => {
            Content::Text(cursor.as_str().unwrap_or_default().to_string())
        }
        Yaml::Sequence(_) => {
            let mut nodes = Vec::new();
            for element in cursor.elements().unwrap_or_default() {
                if is_wanted(renderer, &element, errors) {
                    nodes.push(render(renderer, &element, errors));
                }
            }
            Content::List(nodes)
        }
        Yaml::Mapping(_) => {
            let entries = cursor.entries().unwrap_or_default();
            let entry = |(key, value): (&str, Cursor<'_>)| {
                let place = value.key_location().unwrap_or_else(|| value.location());
                (key.to_string(), place, render(renderer, &value, errors))
            };
            Content::Mapping(entries.into_iter().map(entry).collect())
        }
    };
    Node {
        content,
        place,
        asked_at: None,
    }
}

/// Whether an entry's `when` is true, which is evaluated before the rest of it is rendered: the rest may be invalid otherwise.
fn is_wanted(renderer: &Arc<Renderer>, entry: &Cursor<'_>, errors: &mut InputErrors) -> bool {
    let Some(when) = entry.get(WHEN) else {
        return true;
    };
    let node = render(renderer, &when, errors);
    match decide(&node) {
        Some(Ok(wanted)) => wanted,
        Some(Err(error)) => {
            errors.push(error);
            false
        }
        None => false,
    }
}

/// The value of a `when`; `None` if it has a mistake that is known.
fn decide(when: &Node) -> Option<Result<bool, InputError>> {
    match &when.content {
        Content::Bool(wanted) => Some(Ok(*wanted)),
        Content::Failed => None,
        other => {
            let error = when
                .error("`when` is neither true nor false")
                .label(format!("this is {}", other.kind()));
            Some(Err(match other {
                // Ansible's `when` is an expression without braces.
                Content::Text(text) if !text.is_empty() => error
                    .hint("an expression is written with braces: `\"{{ peers | length > 0 }}\"`"),
                _ => error.hint("compare: `\"{{ peers | length > 0 }}\"`"),
            }))
        }
    }
}

/// Takes a value out of a template, with the place of each of its parts.
fn from_value(value: &Value, places: &Places) -> Result<Node, InputError> {
    let elements = || value.try_iter().into_iter().flatten();
    let (content, place) = match value.kind() {
        ValueKind::None => (Content::Nothing, places.of_nothing()),
        ValueKind::Bool => (
            Content::Bool(value.is_true()),
            places.of(if value.is_true() { "true" } else { "false" }),
        ),
        ValueKind::String | ValueKind::Number => {
            let text = value.to_string();
            let place = places.of(&text);
            (Content::Text(text), place)
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let mut nodes = Vec::new();
            for element in elements() {
                // An entry may come from a variable, and its `when` with it.
                let when = match element.kind() {
                    ValueKind::Map => element.get_attr(WHEN).unwrap_or_default(),
                    _ => Value::UNDEFINED,
                };
                let wanted = if when.is_undefined() {
                    true
                } else {
                    decide(&from_value(&when, places)?).unwrap_or(Ok(false))?
                };
                if wanted {
                    nodes.push(from_value(&element, places)?);
                }
            }
            (Content::List(nodes), places.whole())
        }
        ValueKind::Map => {
            let mut entries = Vec::new();
            for key in elements() {
                let node = from_value(&value.get_item(&key).unwrap_or_default(), places)?;
                let place = node.place.clone();
                entries.push((key.to_string(), place, node));
            }
            (Content::Mapping(entries), places.whole())
        }
        other => {
            return Err(InputError::at(
                places.template().clone(),
                format!("the template makes {other}, which is not a value of a role"),
            ));
        }
    };
    let asked_at = (place != *places.template()).then(|| places.template().clone());
    Ok(Node {
        content,
        place,
        asked_at,
    })
}
