//! Filters of single values, and those of minijinja that are as Ansible's.

use minijinja::Environment;
use minijinja::Value;
use minijinja::filters;
use minijinja::value::ValueKind;

use crate::role::jinja::arguments::add_filter;
use crate::role::jinja::arguments::add_filter_of_undefined;
use crate::role::jinja::arguments::keep_filter;
use crate::role::jinja::python::error;
use crate::role::jinja::python::kind;
use crate::role::jinja::python::parse_float;
use crate::role::jinja::python::parse_int;
use crate::role::jinja::python::text;
use crate::role::jinja::python::truth;
use crate::role::jinja::python::type_name;

pub(super) fn install(environment: &mut Environment<'static>) {
    for (name, filter) in [
        ("abs", Value::from_function(filters::abs)),
        ("attr", Value::from_function(filters::attr)),
        ("batch", Value::from_function(filters::batch)),
        ("dictsort", Value::from_function(filters::dictsort)),
        ("format", Value::from_function(filters::format)),
        ("groupby", Value::from_function(filters::groupby)),
        ("indent", Value::from_function(filters::indent)),
        ("items", Value::from_function(filters::items)),
        ("map", Value::from_function(filters::map)),
        ("reject", Value::from_function(filters::reject)),
        ("rejectattr", Value::from_function(filters::rejectattr)),
        ("select", Value::from_function(filters::select)),
        ("selectattr", Value::from_function(filters::selectattr)),
        ("slice", Value::from_function(filters::slice)),
        ("sum", Value::from_function(filters::sum)),
    ] {
        keep_filter(environment, name, &filter);
    }
    for name in ["default", "d"] {
        add_filter_of_undefined(environment, name, |_, value, arguments| {
            let default = arguments.get(0, "default_value")?;
            let of_falsy = arguments.flag(1, "boolean", false)?;
            let is_missing = value.is_undefined() || of_falsy && !truth(value)?;
            Ok(if is_missing {
                default.unwrap_or_else(|| Value::from(""))
            } else {
                value.clone()
            })
        });
    }
    add_filter_of_undefined(environment, "mandatory", |_, value, arguments| {
        let message = arguments.text(0, "msg")?;
        match (value.is_undefined(), message) {
            (false, _) => Ok(value.clone()),
            (true, Some(message)) => Err(error(message)),
            (true, None) => Err(super::python::undefined(value)),
        }
    });
    add_filter(environment, "bool", |_, value, _| match value.kind() {
        ValueKind::Bool => Ok(value.clone()),
        _ => {
            let word = match value.kind() {
                ValueKind::String => value.as_str().unwrap_or_default().to_lowercase(),
                ValueKind::Number if value.is_integer() => value.to_string(),
                _ => String::new(),
            };
            match word.as_str() {
                "yes" | "on" | "true" | "1" => Ok(Value::from(true)),
                "no" | "off" | "false" | "0" => Ok(Value::from(false)),
                _ => Err(error(format!(
                    "`bool` takes yes, on, true, 1, no, off, false or 0, and this is {}",
                    match value.kind() {
                        ValueKind::String => "another text",
                        ValueKind::Number => "another number",
                        _ => kind(value),
                    }
                ))),
            }
        }
    });
    add_filter(environment, "int", |_, value, arguments| {
        let default = arguments.get(0, "default")?;
        let base = arguments.int(1, "base")?.unwrap_or(10);
        let base = u32::try_from(base)
            .ok()
            .filter(|base| (2..=36).contains(base));
        let base = base.ok_or_else(|| error("`int` takes a base from 2 to 36"))?;
        let number = match value.kind() {
            ValueKind::Bool => Some(i128::from(value.is_true())),
            ValueKind::Number if value.is_integer() => return Ok(value.clone()),
            ValueKind::Number => whole(f64::try_from(value.clone()).ok()),
            ValueKind::String => {
                let written = value.as_str().unwrap_or_default();
                parse_int(written, base).or_else(|| whole(parse_float(written)))
            }
            _ => None,
        };
        Ok(number.map_or_else(|| default.unwrap_or_else(|| Value::from(0)), integer))
    });
    add_filter(environment, "float", |_, value, arguments| {
        let default = arguments.get(0, "default")?;
        let number = match value.kind() {
            ValueKind::Bool => Some(if value.is_true() { 1.0 } else { 0.0 }),
            ValueKind::Number => f64::try_from(value.clone()).ok(),
            ValueKind::String => parse_float(value.as_str().unwrap_or_default()),
            _ => None,
        };
        Ok(number.map_or_else(|| default.unwrap_or_else(|| Value::from(0.0)), Value::from))
    });
    add_filter(environment, "round", |_, value, arguments| {
        let digits = arguments.int(0, "precision")?.unwrap_or(0);
        let method = arguments
            .text(1, "method")?
            .unwrap_or_else(|| "common".to_string());
        let number = number(value, "round")?;
        let places = usize::try_from(digits).ok().filter(|places| *places <= 300);
        let places = places.ok_or_else(|| error("`round` takes from 0 to 300 digits"))?;
        let scale = 10_f64.powi(i32::try_from(places).unwrap_or(0));
        let rounded = match method.as_str() {
            // Halves go to the even neighbour, as in Python.
            "common" => format!("{number:.places$}").parse().unwrap_or(number),
            "ceil" => (number * scale).ceil() / scale,
            "floor" => (number * scale).floor() / scale,
            _ => return Err(error("`round` takes `common`, `ceil` or `floor`")),
        };
        let is_whole = value.is_integer() && method == "common";
        Ok(if is_whole {
            value.clone()
        } else {
            Value::from(rounded)
        })
    });
    add_filter(environment, "log", |_, value, arguments| {
        let base = arguments.get(0, "base")?;
        let number = number(value, "log")?;
        let base = base.map(|base| self::number(&base, "log")).transpose()?;
        if number <= 0.0 || base.is_some_and(|base| base <= 0.0) {
            return Err(error("`log` takes numbers above 0"));
        }
        Ok(Value::from(match base {
            None => number.ln(),
            Some(10.0) => number.log10(),
            Some(base) => number.ln() / base.ln(),
        }))
    });
    add_filter(environment, "pow", |_, value, arguments| {
        let exponent = number(&arguments.need(0, "y")?, "pow")?;
        Ok(Value::from(number(value, "pow")?.powf(exponent)))
    });
    add_filter(environment, "root", |_, value, arguments| {
        let base = arguments.get(0, "base")?;
        let number = number(value, "root")?;
        if number < 0.0 {
            return Err(error("`root` takes no number below 0"));
        }
        Ok(Value::from(match base {
            Some(base) => number.powf(1.0 / self::number(&base, "root")?),
            None => number.sqrt(),
        }))
    });
    add_filter(environment, "ternary", |_, value, arguments| {
        let (yes, no) = (
            arguments.need(0, "true_val")?,
            arguments.need(1, "false_val")?,
        );
        let nothing = arguments.get(2, "none_val")?;
        Ok(match nothing {
            Some(nothing) if value.is_none() && !nothing.is_none() => nothing,
            _ if truth(value)? => yes,
            _ => no,
        })
    });
    add_filter(environment, "extract", |_, value, arguments| {
        let container = arguments.need(0, "container")?;
        let more = arguments.get(1, "morekeys")?;
        let mut found = part(&container, value);
        match more {
            Some(more) if matches!(more.kind(), ValueKind::Seq | ValueKind::Iterable) => {
                for key in more.try_iter()? {
                    found = part(&found, &key);
                }
            }
            Some(more) if !more.is_none() => found = part(&found, &more),
            _ => {}
        }
        Ok(found)
    });
    add_filter(environment, "string", |_, value, _| {
        text(value).map(Value::from)
    });
    add_filter(environment, "type_debug", |_, value, _| {
        Ok(Value::from(type_name(value)))
    });
}

/// A part of a value; undefined where it has none.
fn part(container: &Value, key: &Value) -> Value {
    container.get_item(key).unwrap_or_default()
}

fn number(value: &Value, filter: &str) -> Result<f64, minijinja::Error> {
    match value.kind() {
        ValueKind::Bool => Ok(if value.is_true() { 1.0 } else { 0.0 }),
        ValueKind::Number => f64::try_from(value.clone()),
        _ => Err(error(format!(
            "`{filter}` takes a number, and this is {}",
            kind(value)
        ))),
    }
}

/// The whole part of a number.
#[allow(clippy::cast_possible_truncation)]
fn whole(number: Option<f64>) -> Option<i128> {
    number
        .filter(|number| number.is_finite() && number.abs() < 1e38)
        .map(|number| number.trunc() as i128)
}

/// A number in the smallest type that holds it.
pub(super) fn integer(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}
