//! JSON as Python writes it, and YAML as inventories have it.

use minijinja::Environment;
use minijinja::Error;
use minijinja::Value;
use minijinja::value::ValueKind;

use crate::inventory::document::Document;
use crate::role::jinja::arguments::add_filter;
use crate::role::jinja::python::error;
use crate::role::jinja::python::failed;
use crate::role::jinja::python::float;
use crate::role::jinja::python::kind;
use crate::role::jinja::python::text;
use crate::role::jinja::python::undefined;

/// The deepest lists and mappings in each other that are written.
const DEEPEST: usize = 64;

pub(super) fn install(environment: &mut Environment<'static>) {
    add_filter(environment, "to_json", |_, value, arguments| {
        let indent = arguments.int(usize::MAX, "indent")?;
        let is_sorted = arguments.flag(usize::MAX, "sort_keys", false)?;
        let is_ascii = arguments.flag(usize::MAX, "ensure_ascii", true)?;
        written(
            value,
            Style {
                indent,
                is_sorted,
                is_ascii,
            },
        )
    });
    add_filter(environment, "to_nice_json", |_, value, arguments| {
        let indent = arguments.int(0, "indent")?.or(Some(4));
        let is_sorted = arguments.flag(1, "sort_keys", true)?;
        let is_ascii = arguments.flag(usize::MAX, "ensure_ascii", true)?;
        written(
            value,
            Style {
                indent,
                is_sorted,
                is_ascii,
            },
        )
    });
    add_filter(environment, "tojson", |_, value, arguments| {
        let indent = arguments.int(0, "indent")?;
        let made = written(
            value,
            Style {
                indent,
                is_sorted: true,
                is_ascii: true,
            },
        )?;
        let made = made.as_str().unwrap_or_default();
        let made = made.replace('<', "\\u003c").replace('>', "\\u003e");
        Ok(Value::from(
            made.replace('&', "\\u0026").replace('\'', "\\u0027"),
        ))
    });
    add_filter(environment, "from_json", |_, value, _| {
        let written = text(value)?;
        let made: Result<serde_json::Value, _> = serde_json::from_str(&written);
        let made = made.map_err(|wrong| {
            let (line, column) = (wrong.line(), wrong.column());
            error(format!(
                "`from_json`: no JSON, at line {line}, column {column} of the text"
            ))
        })?;
        Ok(from_json(&made))
    });
    add_filter(environment, "from_yaml", |_, value, _| {
        if value.is_none() {
            return Ok(value.clone());
        }
        let written = text(value)?;
        let document = Document::parse("from_yaml", &written).map_err(|wrong| {
            let place = wrong.iter().next().and_then(|first| first.place());
            let place = place.map_or_else(String::new, |place| {
                format!(
                    ", at line {}, column {} of the text",
                    place.line, place.column
                )
            });
            error(format!("`from_yaml`: no YAML{place}"))
        })?;
        Ok(from_yaml(document.value()))
    });
}

/// JSON's value as a template's.
fn from_json(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(elements) => elements.iter().map(from_json).collect(),
        Json::Object(entries) => {
            let entry = |(key, value): (&String, _)| (key.clone(), from_json(value));
            Value::from_pairs(entries.iter().map(entry))
        }
    }
}

/// YAML's value as a template's.
fn from_yaml(value: &serde_yaml::Value) -> Value {
    use serde_yaml::Value as Yaml;
    match value {
        Yaml::Null => Value::from(()),
        Yaml::Bool(value) => Value::from(*value),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Yaml::String(text) => Value::from(text.as_str()),
        Yaml::Tagged(tagged) => from_yaml(&tagged.value),
        Yaml::Sequence(elements) => elements.iter().map(from_yaml).collect(),
        Yaml::Mapping(entries) => {
            let entry = |(key, value)| (from_yaml(key), from_yaml(value));
            Value::from_pairs(entries.iter().map(entry))
        }
    }
}

#[derive(Clone, Copy)]
struct Style {
    indent: Option<i64>,
    is_sorted: bool,
    is_ascii: bool,
}

fn written(value: &Value, style: Style) -> Result<Value, Error> {
    let mut out = String::new();
    write(value, style, 0, &mut out)?;
    Ok(Value::from(out))
}

fn write(value: &Value, style: Style, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth > DEEPEST || out.len() > 1 << 20 {
        return Err(error(super::python::TOO_LARGE));
    }
    let line = |depth: usize, out: &mut String| {
        if let Some(indent) = style.indent {
            out.push('\n');
            let blanks = usize::try_from(indent).unwrap_or(0).min(16) * depth;
            out.extend(std::iter::repeat_n(' ', blanks));
        }
    };
    let comma = if style.indent.is_some() { "," } else { ", " };
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
        ValueKind::Number => {
            let number = f64::try_from(value.clone())?;
            out.push_str(&match number {
                number if number.is_nan() => "NaN".to_string(),
                f64::INFINITY => "Infinity".to_string(),
                f64::NEG_INFINITY => "-Infinity".to_string(),
                number => float(number),
            });
        }
        ValueKind::String => quoted(value.as_str().unwrap_or_default(), style.is_ascii, out),
        ValueKind::Seq | ValueKind::Iterable => {
            let mut is_empty = true;
            out.push('[');
            for element in value.try_iter()? {
                if !is_empty {
                    out.push_str(comma);
                }
                is_empty = false;
                line(depth + 1, out);
                write(&element, style, depth + 1, out)?;
            }
            if !is_empty {
                line(depth, out);
            }
            out.push(']');
        }
        ValueKind::Map => {
            let mut entries = Vec::new();
            for key in value.try_iter()? {
                let written = match key.kind() {
                    ValueKind::String => key.as_str().unwrap_or_default().to_string(),
                    _ => {
                        let mut written = String::new();
                        write(&key, style, depth + 1, &mut written)?;
                        written
                    }
                };
                entries.push((written, value.get_item(&key)?));
            }
            if style.is_sorted {
                entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            }
            let mut is_empty = true;
            out.push('{');
            for (key, element) in entries {
                if !is_empty {
                    out.push_str(comma);
                }
                is_empty = false;
                line(depth + 1, out);
                quoted(&key, style.is_ascii, out);
                out.push_str(": ");
                write(&element, style, depth + 1, out)?;
            }
            if !is_empty {
                line(depth, out);
            }
            out.push('}');
        }
        ValueKind::Undefined => return Err(undefined(value)),
        ValueKind::Invalid => return Err(failed(value)),
        _ => return Err(error(format!("JSON has no way to write {}", kind(value)))),
    }
    Ok(())
}

fn quoted(text: &str, is_ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 || is_ascii && !c.is_ascii() => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
