//! Tests: `value is name`.

use minijinja::Environment;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;

use crate::role::jinja::arguments::Arguments;
use crate::role::jinja::arguments::add_test;
use crate::role::jinja::arguments::elements;
use crate::role::jinja::arguments::spellings;
use crate::role::jinja::lists::are_true;
use crate::role::jinja::names::Kind;
use crate::role::jinja::names::refusal;
use crate::role::jinja::operators::is_in;
use crate::role::jinja::patterns::holds;
use crate::role::jinja::python::error;
use crate::role::jinja::python::order;
use crate::role::jinja::python::text;
use crate::role::jinja::python::truth;

pub(super) fn install(environment: &mut Environment<'static>) {
    for (name, is_defined) in [("defined", true), ("undefined", false)] {
        for spelling in spellings(name) {
            environment.add_test(spelling, move |value: &Value| {
                value.is_undefined() != is_defined
            });
        }
    }
    add_test(environment, "none", |_, value, _| Ok(value.is_none()));
    add_test(environment, "boolean", |_, value, _| {
        Ok(value.kind() == ValueKind::Bool)
    });
    add_test(environment, "true", |_, value, _| {
        Ok(value.kind() == ValueKind::Bool && value.is_true())
    });
    add_test(environment, "false", |_, value, _| {
        Ok(value.kind() == ValueKind::Bool && !value.is_true())
    });
    add_test(environment, "integer", |_, value, _| Ok(value.is_integer()));
    add_test(environment, "float", |_, value, _| {
        Ok(value.is_number() && !value.is_integer())
    });
    add_test(environment, "number", |_, value, _| {
        Ok(matches!(value.kind(), ValueKind::Number | ValueKind::Bool))
    });
    add_test(environment, "string", |_, value, _| {
        Ok(value.kind() == ValueKind::String)
    });
    add_test(environment, "mapping", |_, value, _| {
        Ok(value.kind() == ValueKind::Map)
    });
    for name in ["sequence", "iterable"] {
        add_test(environment, name, |_, value, _| Ok(is_sequence(value)));
    }
    add_test(environment, "callable", |_, value, _| {
        Ok(value.kind() == ValueKind::Plain)
    });
    add_test(environment, "sameas", |_, value, arguments| {
        let other = arguments.need(0, "other")?;
        Ok(value.kind() == other.kind() && *value == other)
    });
    for name in ["odd", "even"] {
        let test = if name == "odd" { is_odd } else { is_even };
        add_test(environment, name, test);
    }
    add_test(environment, "divisibleby", |_, value, arguments| {
        let by = whole(&arguments.need(0, "num")?)?;
        let rest = whole(value)?.checked_rem(by);
        rest.map(|rest| rest == 0)
            .ok_or_else(|| error("`divisibleby` takes no 0"))
    });
    add_test(environment, "lower", |_, value, _| {
        let written = text(value)?;
        Ok(written.to_lowercase() == written && written.chars().any(char::is_lowercase))
    });
    add_test(environment, "upper", |_, value, _| {
        let written = text(value)?;
        Ok(written.to_uppercase() == written && written.chars().any(char::is_uppercase))
    });
    for name in ["eq", "equalto", "=="] {
        add_test(environment, name, |_, value, arguments| {
            Ok(*value == arguments.need(0, "other")?)
        });
    }
    for name in ["ne", "!="] {
        add_test(environment, name, |_, value, arguments| {
            Ok(*value != arguments.need(0, "other")?)
        });
    }
    for name in ["lt", "lessthan", "<"] {
        add_test(environment, name, |_, value, arguments| {
            Ok(order(value, &arguments.need(0, "other")?)?.is_lt())
        });
    }
    for name in ["le", "<="] {
        add_test(environment, name, |_, value, arguments| {
            Ok(order(value, &arguments.need(0, "other")?)?.is_le())
        });
    }
    for name in ["gt", "greaterthan", ">"] {
        add_test(environment, name, |_, value, arguments| {
            Ok(order(value, &arguments.need(0, "other")?)?.is_gt())
        });
    }
    for name in ["ge", ">="] {
        add_test(environment, name, |_, value, arguments| {
            Ok(order(value, &arguments.need(0, "other")?)?.is_ge())
        });
    }
    add_test(environment, "in", |state, value, arguments| {
        is_in(state, value, &arguments.need(0, "seq")?)
    });
    add_test(environment, "contains", |state, value, arguments| {
        is_in(state, &arguments.need(0, "item")?, value)
    });
    for name in ["subset", "issubset"] {
        add_test(environment, name, |state, value, arguments| {
            is_subset(state, value, &arguments.need(0, "b")?)
        });
    }
    for name in ["superset", "issuperset"] {
        add_test(environment, name, |state, value, arguments| {
            is_subset(state, &arguments.need(0, "b")?, value)
        });
    }
    add_test(environment, "all", |state, value, _| {
        are_true(state, value, true)
    });
    add_test(environment, "any", |state, value, _| {
        are_true(state, value, false)
    });
    add_test(environment, "truthy", |_, value, arguments| {
        is_truthy(value, arguments)
    });
    add_test(environment, "falsy", |_, value, arguments| {
        Ok(!is_truthy(value, arguments)?)
    });
    for name in ["nan", "isnan"] {
        add_test(environment, name, |_, value, _| {
            Ok(value.is_number() && f64::try_from(value.clone()).is_ok_and(f64::is_nan))
        });
    }
    add_test(environment, "abs", |_, value, _| {
        Ok(text(value)?.starts_with('/'))
    });
    add_test(environment, "match", |state, value, arguments| {
        pattern(state, value, arguments, "match")
    });
    add_test(environment, "search", |state, value, arguments| {
        pattern(state, value, arguments, "search")
    });
    add_test(environment, "regex", |state, value, arguments| {
        let kind = arguments
            .text(3, "match_type")?
            .unwrap_or_else(|| "search".to_string());
        if !["search", "match", "fullmatch"].contains(&kind.as_str()) {
            return Err(error(
                "`match_type` of `regex` is search, match or fullmatch",
            ));
        }
        pattern(state, value, arguments, &kind)
    });
    for name in ["version", "version_compare"] {
        add_test(environment, name, |_, value, arguments| {
            version(value, arguments)
        });
    }
    for (name, kind) in [("filter", Kind::Filter), ("test", Kind::Test)] {
        for spelling in spellings(name) {
            environment.add_test(spelling, move |value: &str| refusal(kind, value).is_none());
        }
    }
}

/// In Python, whatever has elements by number or by key.
fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::String
    )
}

fn whole(value: &Value) -> Result<i128, Error> {
    match value.kind() {
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()),
        _ => Err(error("a whole number is expected")),
    }
}

fn is_odd(_: &mut State, value: &Value, _: &Arguments) -> Result<bool, Error> {
    Ok(whole(value)?.rem_euclid(2) == 1)
}

fn is_even(_: &mut State, value: &Value, _: &Arguments) -> Result<bool, Error> {
    Ok(whole(value)?.rem_euclid(2) == 0)
}

fn is_subset(state: &State, one: &Value, other: &Value) -> Result<bool, Error> {
    let (one, other) = (
        elements(state, one, "subset")?,
        elements(state, other, "subset")?,
    );
    state.consume_fuel((one.len() as u64).saturating_mul(other.len() as u64) / 16)?;
    Ok(one.iter().all(|element| other.contains(element)))
}

fn is_truthy(value: &Value, arguments: &Arguments) -> Result<bool, Error> {
    if arguments.flag(0, "convert_bool", false)? {
        let word = match value.kind() {
            ValueKind::String | ValueKind::Number => text(value)?.to_lowercase(),
            _ => String::new(),
        };
        match word.trim() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => return Ok(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => return Ok(false),
            _ => {}
        }
    }
    truth(value)
}

fn pattern(state: &State, value: &Value, arguments: &Arguments, kind: &str) -> Result<bool, Error> {
    let pattern = arguments.text(0, "pattern")?.unwrap_or_default();
    let ignore_case = arguments.flag(1, "ignorecase", false)?;
    let multiline = arguments.flag(2, "multiline", false)?;
    holds(state, value, &pattern, (ignore_case, multiline), kind)
}

/// A part of a version: a number, or letters.
#[derive(PartialEq)]
enum Part {
    Number(u128),
    Text(String),
}

/// Python's `LooseVersion`: numbers and words, without the dots.
fn parts(version: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let of_kind: fn(char) -> bool = if first.is_ascii_digit() {
            |c| c.is_ascii_digit()
        } else if first.is_ascii_lowercase() {
            |c| c.is_ascii_lowercase()
        } else if first == '.' {
            rest = &rest[1..];
            continue;
        } else {
            |c| c != '.' && !c.is_ascii_digit() && !c.is_ascii_lowercase()
        };
        let end = rest.find(|c| !of_kind(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push(match part.parse() {
            Ok(number) => Part::Number(number),
            Err(_) => Part::Text(part.to_string()),
        });
        rest = after;
    }
    parts
}

fn version(value: &Value, arguments: &Arguments) -> Result<bool, Error> {
    use std::cmp::Ordering;
    let other = text(&arguments.need(0, "version")?)?;
    let operator = arguments
        .text(1, "operator")?
        .unwrap_or_else(|| "eq".to_string());
    let strict = arguments
        .get(2, "strict")?
        .is_some_and(|strict| strict.is_true());
    let kind = arguments.text(3, "version_type")?;
    if strict || kind.is_some_and(|kind| kind != "loose") {
        return Err(error(
            "`version` compares loosely: `strict` and other values of `version_type` are not known",
        ));
    }
    let one = text(value)?;
    if one.is_empty() || other.is_empty() {
        return Err(error("`version` compares no empty text"));
    }
    let (one, other) = (parts(&one), parts(&other));
    let mut ordered = one.len().cmp(&other.len());
    for (a, b) in one.iter().zip(&other) {
        let here = match (a, b) {
            (Part::Number(a), Part::Number(b)) => a.cmp(b),
            (Part::Text(a), Part::Text(b)) => a.cmp(b),
            _ if matches!(operator.as_str(), "==" | "=" | "eq" | "!=" | "<>" | "ne") => {
                Ordering::Less
            }
            _ => return Err(error("`version`: a number and a word have no order")),
        };
        if here.is_ne() {
            ordered = here;
            break;
        }
    }
    Ok(match operator.as_str() {
        "==" | "=" | "eq" => ordered.is_eq(),
        "!=" | "<>" | "ne" => ordered.is_ne(),
        "<" | "lt" => ordered.is_lt(),
        "<=" | "le" => ordered.is_le(),
        ">" | "gt" => ordered.is_gt(),
        ">=" | "ge" => ordered.is_ge(),
        _ => return Err(error("`version` takes <, <=, ==, !=, >= or >")),
    })
}
