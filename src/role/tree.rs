//! A role's document with every template rendered: plain values, each with the place that its author can change.

use minijinja::Value;
use minijinja::value::ValueKind;
use serde_yaml::Value as Yaml;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::inventory::document::Cursor;
use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::inventory::location::Location;
use crate::inventory::vault::Taint;
use crate::inventory::vault::kind_of;
use crate::role::provenance::Asked;
use crate::role::provenance::Places;
use crate::role::renderer::Renderer;
use crate::role::template;

/// The key that drops an entry of a list.
pub(super) const WHEN: &str = "when";

/// The key that repeats an entry of a list, once for each element of a list that its templates call `item`.
pub(super) const LOOP: &str = "loop";

/// A rendered value.
pub(super) struct Node {
    pub(super) content: Content,
    /// Where the value is written: in a variable, or in the role.
    pub(super) place: Location,
    /// Where the role asks for it, if that is another place.
    pub(super) asked_at: Option<Location>,
    /// How secret it is.
    pub(super) taint: Taint,
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
        let mut error = InputError::at(self.place.clone(), message);
        if let Content::Text(text) = &self.content
            && self.taint > Taint::None
        {
            error = error.hiding(text);
        }
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
            let made = rendered.and_then(|rendered| {
                let nothing = Value::from("");
                // Blocks that have written nothing: a role says `none` where it means that.
                let is_empty = rendered.value.is_none() && !text.trim_start().starts_with("{{");
                let value = if is_empty { &nothing } else { &rendered.value };
                let mut node = from_value(value, &rendered.places)?;
                mark(&mut node, rendered.taint, &|text| {
                    renderer.fleet.vault.reveal(text);
                });
                Ok(node)
            });
            match made {
                Ok(node) => return node,
                Err(error) => {
                    errors.push(error);
                    Content::Failed
                }
            }
        }
        value @ Yaml::Tagged(_) if kind_of(value).is_some() => {
            let secret = kind_of(value).map(|secret| renderer.open_here(secret, &place));
            match secret {
                Some(Ok(secret)) => Content::Text(secret.expose().to_string()),
                Some(Err(error)) => {
                    errors.push(error);
                    Content::Failed
                }
                None => Content::Nothing,
            }
        }
        Yaml::String(_) | Yaml::Tagged(_) => {
            Content::Text(cursor.as_str().unwrap_or_default().to_string())
        }
        Yaml::Sequence(_) => {
            let mut nodes = Vec::new();
            for element in cursor.elements().unwrap_or_default() {
                let Some(list) = element.get(LOOP) else {
                    if is_wanted(renderer, &element, errors) {
                        nodes.push(render(renderer, &element, errors));
                    }
                    continue;
                };
                let (items, asked) = match items(renderer, &list) {
                    Ok(found) => found,
                    Err(error) => {
                        errors.push(error);
                        continue;
                    }
                };
                for item in items {
                    let outer = renderer.set_item(Some((item, asked.clone())));
                    // As in Ansible, `when` decides about each element.
                    if is_wanted(renderer, &element, errors) {
                        nodes.push(render(renderer, &element, errors));
                    }
                    renderer.set_item(outer);
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
            // The list that the entry was repeated for is no part of it.
            let entries = entries.into_iter().filter(|(key, _)| *key != LOOP);
            Content::Mapping(entries.map(entry).collect())
        }
    };
    let taint = match kind_of(cursor.value()) {
        Some(_) => Taint::Secret,
        None => Taint::None,
    };
    Node {
        content,
        place,
        asked_at: None,
        taint,
    }
}

/// Marks a value and all parts of it as secret, and hands each text of a secret to `reveal`.
fn mark(node: &mut Node, taint: Taint, reveal: &impl Fn(&str)) {
    if taint == Taint::None {
        return;
    }
    node.taint = taint;
    match &mut node.content {
        Content::Text(text) if taint == Taint::Secret => reveal(text),
        Content::List(elements) => {
            for element in elements {
                mark(element, taint, reveal);
            }
        }
        Content::Mapping(entries) => {
            for (_, _, element) in entries {
                mark(element, taint, reveal);
            }
        }
        _ => {}
    }
}

/// The elements of a `loop`, and what its templates have asked for.
fn items(
    renderer: &Arc<Renderer>,
    list: &Cursor<'_>,
) -> Result<(Vec<Value>, BTreeSet<Asked>), InputError> {
    let mut asked = BTreeSet::new();
    let value = item_value(renderer, list, &mut asked)?;
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().into_iter().flatten();
            Ok((items.collect(), asked))
        }
        ValueKind::None => Err(
            InputError::at(list.location(), "`loop` has nothing to repeat")
                .label("this is nothing")
                .hint("`[]` repeats nothing"),
        ),
        kind => Err(InputError::at(list.location(), "`loop` is a list")
            .label(format!("this is a {kind}"))
            .hint("the entry is made once for each of its elements, as `item`")),
    }
}

/// A written value with its templates rendered.
fn item_value(
    renderer: &Arc<Renderer>,
    cursor: &Cursor<'_>,
    asked: &mut BTreeSet<Asked>,
) -> Result<Value, InputError> {
    Ok(match cursor.value() {
        Yaml::Null => Value::from(()),
        Yaml::Bool(value) => Value::from(*value),
        Yaml::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::from(number.to_string()), Value::from),
        Yaml::String(text) if template::is_template(text) => {
            renderer.value(text, &cursor.location(), asked)?
        }
        Yaml::String(_) | Yaml::Tagged(_) => Value::from(cursor.as_str().unwrap_or_default()),
        Yaml::Sequence(_) => {
            let elements = cursor.elements().unwrap_or_default().into_iter();
            let values: Result<Vec<Value>, InputError> = elements
                .map(|element| item_value(renderer, &element, asked))
                .collect();
            Value::from(values?)
        }
        Yaml::Mapping(_) => {
            let entries = cursor.entries().unwrap_or_default().into_iter();
            let values: Result<Vec<(String, Value)>, InputError> = entries
                .map(|(key, value)| Ok((key.to_string(), item_value(renderer, &value, asked)?)))
                .collect();
            Value::from_pairs(values?)
        }
    })
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
        taint: Taint::None,
    })
}
