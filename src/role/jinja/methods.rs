//! The methods of Python's texts, lists and mappings.

use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;
use minijinja::value::from_args;
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::inventory::suggest::closest;
use crate::role::jinja::arguments::elements;
use crate::role::jinja::python::error;
use crate::role::jinja::python::kind;

const OF_TEXTS: &[&str] = &[
    "capitalize",
    "center",
    "count",
    "endswith",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "replace",
    "rfind",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "title",
    "upper",
    "zfill",
];
const OF_LISTS: &[&str] = &["count", "index"];
const OF_MAPPINGS: &[&str] = &["get", "items", "keys", "values"];

/// Calls a method of a value.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let own = match value.kind() {
        ValueKind::String => of_text(state, value.as_str().unwrap_or_default(), method, args)?,
        ValueKind::Seq | ValueKind::Iterable => of_list(state, value, method, args)?,
        _ => None,
    };
    if let Some(made) = own {
        return Ok(made);
    }
    match unknown_method_callback(state, value, method, args) {
        Err(failure) if failure.kind() == ErrorKind::UnknownMethod => Err(unknown(value, method)),
        other => other,
    }
}

fn unknown(value: &Value, method: &str) -> Error {
    let known: Vec<&str> = match value.kind() {
        ValueKind::String => OF_TEXTS.to_vec(),
        ValueKind::Seq | ValueKind::Iterable => OF_LISTS.to_vec(),
        ValueKind::Map => OF_MAPPINGS.to_vec(),
        _ => Vec::new(),
    };
    let meant = closest(method, known.iter().copied());
    let meant = meant.map_or_else(String::new, |meant| format!(": did you mean `{meant}`?"));
    error(format!("{} has no method `{method}`{meant}", kind(value)))
}

/// What minijinja-contrib does not have.
fn of_text(
    state: &State,
    text: &str,
    method: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    let all = |parts: [&str; 3]| parts.into_iter().collect::<Value>();
    Ok(Some(match method {
        "index" => {
            let (part,): (&str,) = from_args(args)?;
            let at = text
                .find(part)
                .ok_or_else(|| error("`index`: the part is not in the text"))?;
            Value::from(text[..at].chars().count())
        }
        "partition" => {
            let (separator,): (&str,) = from_args(args)?;
            match text.split_once(separator) {
                Some((before, after)) => all([before, separator, after]),
                None => all([text, "", ""]),
            }
        }
        "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            match text.rsplit_once(separator) {
                Some((before, after)) => all([before, separator, after]),
                None => all(["", "", text]),
            }
        }
        "rsplit" => {
            let (separator, most): (Option<Value>, Option<i64>) = from_args(args)?;
            let most = most.and_then(|most| usize::try_from(most).ok());
            let separator = separator.filter(|value| !value.is_none());
            let mut parts: Vec<&str> = match &separator {
                Some(value) => {
                    let separator = value.as_str().filter(|text| !text.is_empty());
                    let separator = separator
                        .ok_or_else(|| error("`rsplit` takes a separator that is a text"))?;
                    text.rsplitn(most.map_or(usize::MAX, |most| most + 1), separator)
                        .collect()
                }
                None => rsplit_blanks(text, most.unwrap_or(usize::MAX)),
            };
            parts.reverse();
            parts.into_iter().collect()
        }
        "zfill" | "ljust" | "rjust" | "center" => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            state.consume_fuel(width as u64 / 64)?;
            let fill = fill.and_then(|fill| fill.chars().next()).unwrap_or(' ');
            let missing = width.saturating_sub(text.chars().count());
            let some = |count: usize| std::iter::repeat_n(fill, count).collect::<String>();
            Value::from(match method {
                "zfill" => {
                    let signed = text.strip_prefix(['-', '+']);
                    let sign = &text[..text.len() - signed.unwrap_or(text).len()];
                    format!("{sign}{}{}", "0".repeat(missing), signed.unwrap_or(text))
                }
                "ljust" => format!("{text}{}", some(missing)),
                "rjust" => format!("{}{text}", some(missing)),
                _ => {
                    let left = missing / 2 + (missing & width & 1);
                    format!("{}{text}{}", some(left), some(missing - left))
                }
            })
        }
        _ => return Ok(None),
    }))
}

/// The words of a text from its end, as many as may be split off; the rest is the last.
fn rsplit_blanks(text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if parts.len() == most {
            parts.push(rest);
            break;
        }
        let at = rest.rfind(char::is_whitespace);
        let start = at.map_or(0, |at| {
            at + rest[at..].chars().next().map_or(1, char::len_utf8)
        });
        parts.push(&rest[start..]);
        rest = rest[..at.unwrap_or(0)].trim_end();
    }
    parts
}

fn of_list(
    state: &State,
    list: &Value,
    method: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    let position = |wanted: &Value| -> Result<_, Error> {
        Ok(elements(state, list, method)?
            .iter()
            .position(|one| one == wanted))
    };
    Ok(match method {
        "index" => {
            let (wanted,): (Value,) = from_args(args)?;
            let at = position(&wanted)?;
            Some(Value::from(at.ok_or_else(|| {
                error("`index`: the value is not in the list")
            })?))
        }
        "count" => {
            let (wanted,): (Value,) = from_args(args)?;
            let all = elements(state, list, method)?;
            Some(Value::from(
                all.iter().filter(|one| **one == wanted).count(),
            ))
        }
        _ => None,
    })
}
