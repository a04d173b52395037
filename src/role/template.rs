//! One text → a value, by minijinja, with every mistake at its place.

use std::collections::BTreeSet;
use std::ops::Range;

use minijinja::AutoEscape;
use minijinja::Environment;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::UndefinedBehavior;
use minijinja::Value;
use minijinja::value::ValueKind;

use crate::inventory::error::InputError;
use crate::inventory::location::Location;

/// Instructions that one template may run. A loop over 5,000 nodes takes a tenth of it; a loop without end stops within a
/// fraction of a second.
const FUEL: u64 = 1_000_000;

/// Values larger than this, counted in elements and in bytes of text, come from templates that double themselves.
const LARGEST: usize = 1 << 20;

/// Why a text with a null part is not a value.
const NULL_IN_TEXT: &str = "a part of this text is nothing (`null`)";

/// The environment that all templates are rendered in. It has no templates of its own: nothing can be included.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    // It is what names an undefined expression. It also collects values of variables for minijinja's own long form of an
    // error, which is why no error of minijinja is ever shown as it is.
    environment.set_debug(true);
    // Python's `True` means nothing to YAML or to iptables.
    environment.set_formatter(|out, state, value| match value.kind() {
        ValueKind::Bool if value.is_true() => Ok(out.write_str("true")?),
        ValueKind::Bool => Ok(out.write_str("false")?),
        // `{{ x }}-1` with nothing in `x` would be a name like any other.
        ValueKind::None => Err(Error::new(ErrorKind::InvalidOperation, NULL_IN_TEXT)),
        _ => minijinja::escape_formatter(out, state, value),
    });
    // It prints every variable, passwords among them.
    environment.remove_global("debug");
    environment
}

/// Whether a text is a template at all.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Why a template has no value.
pub(super) enum TemplateError {
    /// What was asked for is not defined. Which of the names it is, the caller knows.
    Undefined {
        /// The variables that the template names.
        names: BTreeSet<String>,
        /// The expression that is undefined, as minijinja or the text has it.
        expression: Option<String>,
    },
    /// A part of a text is nothing. Which of the names it is, the caller knows.
    Nothing {
        /// The variables that the template names.
        names: BTreeSet<String>,
        /// The bytes of the text that it is about.
        range: Option<Range<usize>>,
    },
    /// The mistake of another template, found while this one asked for a variable.
    Elsewhere(usize),
    /// Anything else, in words without values.
    Other {
        /// What is wrong.
        message: String,
        /// The bytes of the text that it is about.
        range: Option<Range<usize>>,
    },
}

/// A mark in the detail of an error that represents the error of another template.
const ELSEWHERE: char = '\u{1}';

/// The error that leads back to mistake number `number`.
pub(super) fn elsewhere(number: usize) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{ELSEWHERE}{number}"))
}

/// Renders a text. One that is exactly one expression keeps the type of its value, every other one is text.
pub(super) fn evaluate(
    environment: &Environment<'static>,
    text: &str,
    context: Value,
) -> Result<Value, TemplateError> {
    if !is_template(text) {
        return Ok(Value::from(text));
    }
    if let Some((start, inner)) = expression(text) {
        // `{{ a }}-{{ b }}` is not an expression without its outer braces, and is rendered as a text.
        if let Ok(expression) = environment.compile_expression_owned(inner.to_string()) {
            let names = || sorted(expression.undeclared_variables(false));
            let value = expression
                .eval(context)
                .map_err(|error| template_error(&error, start, names))?;
            // Strict mode only watches templates; an expression may well end undefined.
            if value.is_undefined() {
                return Err(TemplateError::Undefined {
                    names: names(),
                    expression: Some(inner.trim().to_string()),
                });
            }
            return checked(value, names);
        }
    }
    let template = environment
        .template_from_str(text)
        .map_err(|error| template_error(&error, 0, BTreeSet::new))?;
    let rendered = template.render(context).map_err(|error| {
        template_error(&error, 0, || sorted(template.undeclared_variables(false)))
    })?;
    checked(Value::from(rendered), BTreeSet::new)
}

/// The text between `{{` and `}}`, and its byte position, if that is the whole text.
fn expression(text: &str) -> Option<(usize, &str)> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner);
    let start = text.find("{{")? + 2;
    Some((start + usize::from(text[start..].starts_with('-')), inner))
}

fn sorted(names: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    names.into_iter().collect()
}

fn template_error(
    error: &Error,
    start: usize,
    names: impl FnOnce() -> BTreeSet<String>,
) -> TemplateError {
    let detail = error.detail().unwrap_or_default();
    if let Some(number) = detail
        .strip_prefix(ELSEWHERE)
        .and_then(|rest| rest.parse().ok())
    {
        return TemplateError::Elsewhere(number);
    }
    let range = error.range().map(|r| r.start + start..r.end + start);
    match error.kind() {
        ErrorKind::UndefinedError => TemplateError::Undefined {
            names: names(),
            expression: detail.split('`').nth(1).map(str::to_string),
        },
        ErrorKind::OutOfFuel => TemplateError::Other {
            message: "a template loop without end".to_string(),
            range: None,
        },
        // minijinja writes the operands, which are values, into this one.
        _ if detail.starts_with("unable to calculate") => TemplateError::Other {
            message: "the template calculates beyond what numbers hold".to_string(),
            range,
        },
        _ if detail == NULL_IN_TEXT => TemplateError::Nothing {
            names: names(),
            range,
        },
        kind if detail.is_empty() => TemplateError::Other {
            message: format!("the template cannot be rendered: {kind}"),
            range,
        },
        _ => TemplateError::Other {
            message: format!("the template cannot be rendered: {detail}"),
            range,
        },
    }
}

/// A value of a sensible size, without anything undefined or failed in it.
fn checked(value: Value, names: impl FnOnce() -> BTreeSet<String>) -> Result<Value, TemplateError> {
    let mut left = LARGEST;
    match measure(&value, &mut left) {
        Ok(()) => Ok(value),
        Err(TemplateError::Undefined { expression, .. }) => Err(TemplateError::Undefined {
            names: names(),
            expression,
        }),
        Err(error) => Err(error),
    }
}

fn measure(value: &Value, left: &mut usize) -> Result<(), TemplateError> {
    let size = value.as_str().map_or(1, |text| text.len() + 1);
    let too_large = || TemplateError::Other {
        message: "the template makes a value that is too large".to_string(),
        range: None,
    };
    *left = left.checked_sub(size).ok_or_else(too_large)?;
    match value.kind() {
        ValueKind::Undefined => Err(TemplateError::Undefined {
            names: BTreeSet::new(),
            expression: None,
        }),
        ValueKind::Invalid => Err(match value.clone().try_iter() {
            Err(error) => template_error(&error, 0, BTreeSet::new),
            Ok(_) => too_large(),
        }),
        ValueKind::Seq | ValueKind::Iterable => value
            .try_iter()
            .into_iter()
            .flatten()
            .try_for_each(|element| measure(&element, left)),
        ValueKind::Map if value.len().is_some() => {
            value.try_iter().into_iter().flatten().try_for_each(|key| {
                let element = value.get_item(&key).unwrap_or_default();
                measure(&key, left)?;
                measure(&element, left)
            })
        }
        _ => Ok(()),
    }
}

/// The location of a part of a template's text; of all of it if the text is escaped in its file.
pub(super) fn part(location: &Location, text: &str, range: Option<&Range<usize>>) -> Location {
    let written = location.text().find(text.trim_end());
    match (written, range) {
        (Some(offset), Some(range)) if range.start < range.end => {
            location.part(offset + range.start, offset + range.end)
        }
        _ => location.clone(),
    }
}

/// The bytes of `name` in a template's text, where it is a whole word.
pub(super) fn word(text: &str, name: &str) -> Option<Range<usize>> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name)
        .map(|(start, _)| start..start + name.len())
        .find(|range| {
            !text[..range.start].ends_with(part_of_word)
                && !text[range.end..].starts_with(part_of_word)
        })
}

/// Adds the place that asked for the value, if it is another one.
pub(super) fn asked_for(error: InputError, by: &Location) -> InputError {
    if error.is_alone()
        || error.location() == Some(by)
        || error.context_places().any(|(place, _)| place == by)
    {
        return error;
    }
    error.context(by.clone(), "needed here")
}
