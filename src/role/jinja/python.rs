//! How Python prints, compares and orders the values that templates have.

use std::cmp::Ordering;

use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::Value;
use minijinja::value::ValueKind;

/// Texts longer than this come from templates that double themselves.
const LONGEST: usize = 1 << 20;

/// The deepest lists and mappings in each other that are walked through.
const DEEPEST: usize = 200;

/// The detail of the error for a text that is longer.
pub(in crate::role) const TOO_LARGE: &str = "the template makes a value that is too large";

/// An error in words without values.
pub(super) fn error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// The error for an undefined value, which knows where it was made.
pub(super) fn undefined(value: &Value) -> Error {
    match value.get_attr("") {
        Err(error) => error,
        Ok(_) => ErrorKind::UndefinedError.into(),
    }
}

/// The fuel that walking through a value costs. What is in mappings does not count: `hostvars` would be rendered for it.
pub(super) fn weight(value: &Value) -> u64 {
    weight_at(value, 0)
}

fn weight_at(value: &Value, depth: usize) -> u64 {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable if depth > DEEPEST => LONGEST as u64,
        ValueKind::String => value.as_str().map_or(0, |text| text.len() as u64 / 64),
        ValueKind::Seq | ValueKind::Iterable => {
            let elements = value.try_iter().into_iter().flatten().take(LONGEST);
            elements
                .map(|element| 1 + 16 * weight(&element))
                .sum::<u64>()
                / 16
        }
        ValueKind::Map => value.len().unwrap_or(0) as u64 / 16,
        _ => 0,
    }
}

/// The name of a value's type in Python.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Seq | ValueKind::Iterable if value.is_tuple() => "tuple",
        ValueKind::Seq | ValueKind::Iterable => "list",
        ValueKind::Map => "dict",
        _ => "object",
    }
}

/// The same for a message.
pub(super) fn kind(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "nothing that is defined",
        ValueKind::None => "null",
        ValueKind::Bool => "a boolean",
        ValueKind::Number => "a number",
        ValueKind::String => "a text",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "a mapping",
        _ => "a value of another kind",
    }
}

/// Python's `str(value)`.
///
/// # Errors
/// The text is too long, or a part of it is undefined or failed.
pub(in crate::role) fn text(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_string());
    }
    let mut out = String::new();
    repr(value, 0, &mut out)?;
    Ok(out)
}

/// Python's `repr(value)`, appended.
fn repr(value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
    if out.len() > LONGEST || depth > DEEPEST {
        return Err(error(TOO_LARGE));
    }
    match value.kind() {
        ValueKind::Undefined => return Err(undefined(value)),
        ValueKind::Invalid => return Err(failed(value)),
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
        ValueKind::Number => out.push_str(&float(f64::try_from(value.clone())?)),
        ValueKind::String => quoted(value.as_str().unwrap_or_default(), out),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (index, element) in value.try_iter()?.enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                repr(&element, depth + 1, out)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                repr(&key, depth + 1, out)?;
                out.push_str(": ");
                repr(&value.get_item(&key)?, depth + 1, out)?;
            }
            out.push('}');
        }
        _ => return Err(error("this is no value that has a text")),
    }
    Ok(())
}

/// The mistake that a failed value holds.
pub(super) fn failed(value: &Value) -> Error {
    match value.try_iter() {
        Err(error) => error,
        Ok(_) => error("this value could not be made"),
    }
}

/// Python's `repr` of a float: the shortest digits, with an exponent where it is below -4 or above 15.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_string();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_string();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = number.to_string();
    if plain.contains('.') {
        plain
    } else {
        format!("{plain}.0")
    }
}

/// Python's `repr` of a text.
fn quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() && u32::from(c) < 0x100 => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// A number as Python compares it; booleans are 0 and 1.
enum Number {
    Int(i128),
    Float(f64),
}

fn number(value: &Value) -> Option<Number> {
    match value.kind() {
        ValueKind::Bool => Some(Number::Int(i128::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => {
            let int = i128::try_from(value.clone());
            Some(int.map_or_else(
                |_| Number::Float(f64::try_from(value.clone()).unwrap_or(f64::INFINITY)),
                Number::Int,
            ))
        }
        ValueKind::Number => f64::try_from(value.clone()).ok().map(Number::Float),
        _ => None,
    }
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// The order of two values, where Python has one: of numbers, of texts and of lists.
///
/// # Errors
/// The values have no order.
pub(super) fn order(one: &Value, other: &Value) -> Result<Ordering, Error> {
    match (number(one), number(other)) {
        (Some(Number::Int(a)), Some(Number::Int(b))) => return Ok(a.cmp(&b)),
        #[allow(clippy::cast_precision_loss)]
        (Some(a), Some(b)) => {
            let float = |number| match number {
                Number::Int(int) => int as f64,
                Number::Float(float) => float,
            };
            let order = float(a).partial_cmp(&float(b));
            return order.ok_or_else(|| error("`nan` has no order"));
        }
        _ => {}
    }
    if let (Some(a), Some(b)) = (one.as_str(), other.as_str()) {
        return Ok(a.cmp(b));
    }
    if is_list(one) && is_list(other) {
        let (mut a, mut b) = (one.try_iter()?, other.try_iter()?);
        loop {
            return match (a.next(), b.next()) {
                (None, None) => Ok(Ordering::Equal),
                (None, Some(_)) => Ok(Ordering::Less),
                (Some(_), None) => Ok(Ordering::Greater),
                (Some(x), Some(y)) if x == y => continue,
                (Some(x), Some(y)) => order(&x, &y),
            };
        }
    }
    for value in [one, other] {
        if value.is_undefined() {
            return Err(undefined(value));
        }
    }
    let (a, b) = (kind(one), kind(other));
    let hint = if a == "a text" && b == "a number" || a == "a number" && b == "a text" {
        ": `| int` makes a number of a text"
    } else {
        ""
    };
    Err(error(format!("{a} and {b} have no order{hint}")))
}

/// Whether a value is true in Python.
pub(super) fn truth(value: &Value) -> Result<bool, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(undefined(value)),
        ValueKind::Invalid => Err(failed(value)),
        _ => Ok(value.is_true()),
    }
}

/// Python's `int(text)`, for `| int`.
pub(super) fn parse_int(text: &str, base: u32) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let digits = match base {
        16 => lower.strip_prefix("0x").unwrap_or(&lower),
        8 => lower.strip_prefix("0o").unwrap_or(&lower),
        2 => lower.strip_prefix("0b").unwrap_or(&lower),
        _ => &lower,
    };
    // Single underscores may separate digits.
    let parts: Vec<&str> = digits.split('_').collect();
    if parts
        .iter()
        .any(|part| part.is_empty() || part.starts_with(['+', '-']))
    {
        return None;
    }
    let number = i128::from_str_radix(&parts.concat(), base).ok()?;
    Some(if negative { -number } else { number })
}

/// Python's `float(text)`.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let parts: Vec<&str> = text.split('_').collect();
    let between_digits = parts.windows(2).all(|pair| {
        pair[0].ends_with(|c: char| c.is_ascii_digit())
            && pair[1].starts_with(|c: char| c.is_ascii_digit())
    });
    between_digits
        .then(|| parts.concat().parse().ok())
        .flatten()
}
