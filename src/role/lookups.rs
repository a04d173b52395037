//! `lookup('env', …)`, `lookup('file', …)` and `lookup('vars', …)`; `query` is the same as a list.

use std::path::Path;

use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::Value;
use minijinja::value::Kwargs;
use minijinja::value::Rest;
use minijinja::value::ValueKind;
use minijinja::value::ValueOrKwargs;
use minijinja::value::from_args;

use crate::inventory::suggest::closest;
use crate::role::files;
use crate::role::fleet_vars::FleetVars;

const KNOWN: [&str; 3] = ["env", "file", "vars"];

/// Looks something up on the controller. `variable` finds a variable of the node.
pub(super) fn call(
    fleet: &FleetVars,
    variable: &dyn Fn(&str) -> Option<Value>,
    plugin: &str,
    rest: Rest<ValueOrKwargs>,
    as_list: bool,
) -> Result<Value, Error> {
    let values = rest.into_values();
    let (terms, names): (&[Value], Kwargs) = from_args(&values)?;
    let as_list = names.get::<Option<bool>>("wantlist")?.unwrap_or(as_list);
    let short = plugin.strip_prefix("ansible.builtin.").unwrap_or(plugin);
    let default = match short {
        "env" | "vars" => names.get::<Option<Value>>("default")?,
        _ => None,
    };
    let (rstrip, lstrip) = match short {
        "file" => (
            names.get::<Option<bool>>("rstrip")?.unwrap_or(true),
            names.get::<Option<bool>>("lstrip")?.unwrap_or(false),
        ),
        _ => (true, false),
    };
    names.assert_all_used()?;
    let mut found = Vec::new();
    for term in flat(terms)? {
        let Some(name) = term.as_str() else {
            return Err(error(format!("`lookup('{short}', …)` takes texts")));
        };
        found.push(match short {
            "env" => match (files::environment(name), &default) {
                (Some(value), _) => Value::from(value),
                (None, Some(default)) => default.clone(),
                (None, None) => Value::from(""),
            },
            "vars" => match (variable(name), &default) {
                (Some(value), _) if value.kind() == ValueKind::Invalid => return Ok(value),
                (Some(value), _) => value,
                (None, Some(default)) => default.clone(),
                (None, None) => {
                    return Err(error("`lookup('vars', …)`: there is no such variable"));
                }
            },
            "file" => {
                let text = file(fleet, name)?;
                let text = if rstrip { text.trim_end() } else { &text };
                Value::from(if lstrip { text.trim_start() } else { text })
            }
            other => return Err(unknown(other)),
        });
    }
    if as_list {
        return Ok(Value::from(found));
    }
    let texts: Option<Vec<&str>> = found.iter().map(Value::as_str).collect();
    Ok(match (found.as_slice(), texts) {
        ([one], _) => one.clone(),
        (_, Some(texts)) => Value::from(texts.join(",")),
        _ => Value::from(found),
    })
}

fn error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn unknown(plugin: &str) -> Error {
    let hint = match plugin {
        "pipe" => "templates run no programs".to_string(),
        "password" | "random_choice" => "its value would be another one at each run".to_string(),
        "url" | "dig" | "dnstxt" => "templates ask no other machine".to_string(),
        other => match closest(other, KNOWN) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "there are `env`, `file` and `vars`".to_string(),
        },
    };
    error(format!("fwdeploy does not have this lookup: {hint}"))
}

/// The terms, lists of terms included.
fn flat(terms: &[Value]) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for term in terms {
        match term.kind() {
            ValueKind::Seq | ValueKind::Iterable => all.extend(term.try_iter()?),
            _ => all.push(term.clone()),
        }
    }
    Ok(all)
}

/// A file below the working directory, or below its `files/`.
fn file(fleet: &FleetVars, name: &str) -> Result<String, Error> {
    let folder = Path::new(&fleet.folder);
    let paths = [folder.join("files").join(name), folder.join(name)];
    let text = files::first_text(&paths);
    let text =
        text.map_err(|_| error("`lookup('file', …)`: the file cannot be read, or is no text"))?;
    text.ok_or_else(|| {
        error("`lookup('file', …)`: there is no such file in the working directory or in its `files/`")
    })
}
