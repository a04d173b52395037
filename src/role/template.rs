//! One text → a value, by minijinja, with every mistake at its place.

use std::collections::BTreeSet;
use std::ops::Range;

use minijinja::AutoEscape;
use minijinja::Environment;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::UndefinedBehavior;
use minijinja::Value;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;

use crate::inventory::error::InputError;
use crate::inventory::location::Location;
use crate::role::jinja;
use crate::role::jinja::Translation;

/// Instructions that one template may run. A loop over 5,000 nodes takes a tenth of it; a loop without end stops within a
/// fraction of a second.
const FUEL: u64 = 1_000_000;

/// Values larger than this, counted in elements and in bytes of text, come from templates that double themselves.
const LARGEST: usize = 1 << 20;

/// The deepest lists and mappings in each other.
const DEEPEST: usize = 200;

/// What a template has written, besides the text between its blocks.
#[derive(Default)]
struct Written {
    /// How many expressions.
    count: usize,
    /// The value of the last one.
    last: Option<Value>,
    /// Whether one of them was nothing.
    has_nothing: bool,
}

/// The environment that all templates are rendered in. It has no templates of its own: nothing can be included.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    // The line feed after a block is no text in Ansible.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    // It is what names an undefined expression. It also collects values of variables for minijinja's own long form of an
    // error, which is why no error of minijinja is ever shown as it is.
    environment.set_debug(true);
    environment.set_formatter(|out, state, value| {
        let written = state.get_or_insert_extension(Written::default());
        written.count += 1;
        written.last = Some(value.clone());
        match value.kind() {
            // `{{ 'x' if false }}`: an undefined value that is a mistake does not get here.
            ValueKind::Undefined => Ok(()),
            ValueKind::None => {
                written.has_nothing = true;
                Ok(())
            }
            _ => Ok(out.write_str(&jinja::text(value)?)?),
        }
    });
    // It prints every variable, passwords among them.
    environment.remove_global("debug");
    jinja::install(&mut environment);
    environment
}

/// Whether a text is a template at all.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Whether there is nothing to render, which is the case for nearly all nodes.
pub(super) fn is_plain(value: &serde_yaml::Value) -> bool {
    use serde_yaml::Value as Yaml;
    match value {
        Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) => true,
        Yaml::String(text) => !is_template(text),
        _ => false,
    }
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
    },
    /// The mistake of another template, found while this one asked for a variable.
    Elsewhere(usize),
    /// The name of a filter or test that is not there.
    Unknown {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// The name that may be meant.
        meant: Option<&'static str>,
        /// The bytes of the text that it is about.
        range: Range<usize>,
    },
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

/// Renders a text. One that writes a single expression and nothing else keeps the type of its value, as in Ansible; every
/// other one is text.
pub(super) fn evaluate(
    environment: &Environment<'static>,
    text: &str,
    context: Value,
) -> Result<Value, TemplateError> {
    if !is_template(text) {
        return Ok(Value::from(text));
    }
    let mut unknown = None;
    let translation = jinja::translate(text, &mut |named| {
        let refusal = jinja::refusal(named.kind, &named.name);
        if let (None, Some((message, hint))) = (&unknown, refusal) {
            unknown = Some(TemplateError::Unknown {
                message,
                meant: jinja::nearest(named.kind, &named.name).filter(|_| hint.is_none()),
                hint,
                range: named.range,
            });
        }
    });
    if let Some(unknown) = unknown {
        return Err(unknown);
    }
    let source = Source {
        text,
        translation: &translation,
    };
    if let Some((start, inner)) = expression(&translation.text) {
        // `{{ a }}-{{ b }}` is not an expression without its outer braces, and is rendered as a text.
        if let Ok(expression) = environment.compile_expression_owned(inner.to_string()) {
            let names = || sorted(expression.undeclared_variables(false));
            let value = expression
                .eval(context)
                .map_err(|error| source.error(&error, start, names))?;
            // Strict mode only watches templates; an expression may well end undefined.
            if value.is_undefined() {
                let written = self::expression(text).map_or(text, |(_, inner)| inner);
                return Err(TemplateError::Undefined {
                    names: names(),
                    expression: Some(written.trim().to_string()),
                });
            }
            return source.checked(with_line_feeds(text, value), names);
        }
    }
    let template = environment
        .template_from_str(&translation.text)
        .map_err(|error| source.error(&error, 0, BTreeSet::new))?;
    let names = || sorted(template.undeclared_variables(false));
    let captured = template
        .render_captured(context)
        .map_err(|error| source.error(&error, 0, names))?;
    let none = Written::default();
    let written = captured.state().get_extension().unwrap_or(&none);
    let output = captured.output();
    let is_only = |value: &Value| match value.kind() {
        ValueKind::None | ValueKind::Undefined => output.is_empty(),
        _ => jinja::text(value).is_ok_and(|text| text == output),
    };
    match &written.last {
        None if output.is_empty() => return Ok(Value::from(())),
        Some(value) if written.count == 1 && is_only(value) => {
            return source.checked(with_line_feeds(text, value.clone()), names);
        }
        // `{{ x }}-1` with nothing in `x` would be a name like any other.
        _ if written.has_nothing => {
            return Err(TemplateError::Nothing { names: names() });
        }
        _ => {}
    }
    let whole = with_line_feeds(text, Value::from(output));
    source.checked(whole, BTreeSet::new)
}

/// Jinja drops the last line feed of a template, and Ansible puts it back where the value is a text.
fn with_line_feeds(template: &str, value: Value) -> Value {
    let line_feeds = |text: &str| text.len() - text.trim_end_matches('\n').len();
    match value.as_str() {
        Some(text) if line_feeds(template) > line_feeds(text) => {
            let missing = line_feeds(template) - line_feeds(text);
            Value::from(format!("{text}{}", "\n".repeat(missing)))
        }
        _ => value,
    }
}

/// The text between `{{` and `}}`, and its byte position, if that is the whole text; a last line feed is not a part of it.
fn expression(text: &str) -> Option<(usize, &str)> {
    let inner = text.strip_suffix('\n').unwrap_or(text);
    let inner = inner.strip_prefix("{{")?.strip_suffix("}}")?;
    let start = 2 + usize::from(inner.starts_with('-'));
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    Some((start, inner.strip_suffix('-').unwrap_or(inner)))
}

fn sorted(names: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    names.into_iter().collect()
}

/// A text, and the one that minijinja reads instead.
struct Source<'t> {
    text: &'t str,
    translation: &'t Translation,
}

impl Source<'_> {
    /// What minijinja says about its text, said about the original. Its text begins at byte `start` of the translation.
    fn error(
        &self,
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
        let range = range.map(|range| self.translation.original(&range));
        match error.kind() {
            ErrorKind::UndefinedError => {
                let named = detail.split('`').nth(1);
                let written = range.and_then(|range| self.text.get(range));
                let expression = named.and_then(|part| self.original(part)).or(written);
                TemplateError::Undefined {
                    names: names(),
                    expression: expression.map(|written| written.trim().to_string()),
                }
            }
            ErrorKind::OutOfFuel => TemplateError::Other {
                message: "a template loop without end".to_string(),
                range: None,
            },
            // minijinja writes the operands, which are values, into this one.
            _ if detail.starts_with("unable to calculate") => TemplateError::Other {
                message: "the template calculates beyond what numbers hold".to_string(),
                range,
            },
            _ if detail == jinja::TOO_LARGE => too_large(),
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

    /// A part of the translation as it is in the original, if it is there as it is.
    fn original(&self, part: &str) -> Option<&str> {
        let at = self.translation.text.find(part)?;
        let range = self.translation.original(&(at..at + part.len()));
        self.text.get(range)
    }

    /// A value of a sensible size, without anything undefined or failed in it.
    fn checked(
        &self,
        value: Value,
        names: impl FnOnce() -> BTreeSet<String>,
    ) -> Result<Value, TemplateError> {
        let mut left = LARGEST;
        match self.measure(&value, 0, &mut left) {
            Ok(()) => Ok(value),
            Err(TemplateError::Undefined { expression, .. }) => Err(TemplateError::Undefined {
                names: names(),
                expression,
            }),
            Err(error) => Err(error),
        }
    }

    fn measure(&self, value: &Value, depth: usize, left: &mut usize) -> Result<(), TemplateError> {
        let size = value.as_str().map_or(1, |text| text.len() + 1);
        *left = left.checked_sub(size).ok_or_else(too_large)?;
        if depth > DEEPEST {
            return Err(too_large());
        }
        match value.kind() {
            ValueKind::Undefined => Err(TemplateError::Undefined {
                names: BTreeSet::new(),
                expression: None,
            }),
            ValueKind::Invalid => Err(match value.clone().try_iter() {
                Err(error) => self.error(&error, 0, BTreeSet::new),
                Ok(_) => too_large(),
            }),
            ValueKind::Seq | ValueKind::Iterable => value
                .try_iter()
                .into_iter()
                .flatten()
                .try_for_each(|element| self.measure(&element, depth + 1, left)),
            ValueKind::Map if value.len().is_some() => {
                value.try_iter().into_iter().flatten().try_for_each(|key| {
                    let element = value.get_item(&key).unwrap_or_default();
                    self.measure(&key, depth + 1, left)?;
                    self.measure(&element, depth + 1, left)
                })
            }
            _ => Ok(()),
        }
    }
}

fn too_large() -> TemplateError {
    TemplateError::Other {
        message: jinja::TOO_LARGE.to_string(),
        range: None,
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
