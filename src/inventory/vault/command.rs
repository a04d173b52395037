//! `fwdeploy_secret_command`: variables whose value a command prints.

use std::borrow::Cow;

use serde_yaml::Value;

use super::secret_value::command_value;
use crate::inventory::document::Segment;
use crate::inventory::document::kind;
use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::inventory::error::shown;
use crate::inventory::vars::Var;
use crate::inventory::vars::Vars;

/// The variable that says so: a mapping of variables to commands.
const NAME: &str = "fwdeploy_secret_command";

/// Longest list of arguments, and longest argument in bytes.
const MAX_WORDS: usize = 64;
const MAX_WORD_BYTES: usize = 4096;

/// Puts each variable of `fwdeploy_secret_command` in its place: it counts like one that is written where the mapping is.
pub(in crate::inventory) fn expand(vars: &Vars) -> Result<Cow<'_, Vars>, InputErrors> {
    let Some(var) = vars.get(NAME) else {
        return Ok(Cow::Borrowed(vars));
    };
    let mut errors = InputErrors::none();
    let mut expanded = vars.clone();
    expanded.remove(NAME);
    let Value::Mapping(commands) = var.value() else {
        let error = InputError::at(
            var.location(),
            format!("`{NAME}` takes a mapping of variables to commands"),
        );
        return Err(error
            .label(format!("this is {}", kind(var.value())))
            .hint(format!(
                "write `{NAME}: {{ansible_become_password: [pass, show, fleet/sudo]}}`"
            ))
            .into());
    };
    for (name, command) in commands {
        let name = name.as_str().unwrap_or_default();
        if let Some(printed) = errors.take(command_of(var, name, command)) {
            if let Some(other) = vars.get(name) {
                let error = InputError::at(
                    printed.origin().key_location(),
                    format!("`{}` has a value and a command here", shown(name)),
                );
                errors.push(error.context(other.origin().key_location(), "the value"));
            }
            expanded.insert(name.to_owned(), printed);
        }
    }
    errors.or(Cow::Owned(expanded))
}

/// The variable that a command prints.
fn command_of(var: &Var, name: &str, command: &Value) -> Result<Var, InputError> {
    let path = [Segment::Key(name.to_owned())];
    let origin = var.origin();
    if name.is_empty() || name.starts_with("fwdeploy_") {
        return Err(InputError::at(
            origin.inside_key(&path),
            format!("no command can print `{}`", shown(name)),
        ));
    }
    let wrong = |message: &str| {
        let error = InputError::at(origin.inside(&path), message);
        error.hint("list the program and its arguments: `[pass, show, fleet/sudo]`; a shell is one too: `[sh, -c, '…']`")
    };
    let Value::Sequence(words) = command else {
        return Err(wrong("a command is a list").label(format!("this is {}", kind(command))));
    };
    if words.is_empty() || words.len() > MAX_WORDS {
        return Err(wrong(&format!("a command has 1 to {MAX_WORDS} words")));
    }
    let mut texts = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let text = match word {
            Value::String(text) => text.clone(),
            Value::Number(number) if !number.is_f64() => number.to_string(),
            other => {
                let place = [path[0].clone(), Segment::Index(index)];
                let error = InputError::at(origin.inside(&place), "a word of a command is text");
                return Err(error.label(format!("this is {}", kind(other))));
            }
        };
        if text.len() > MAX_WORD_BYTES || text.contains('\0') || (index == 0 && text.is_empty()) {
            let place = [path[0].clone(), Segment::Index(index)];
            return Err(InputError::at(
                origin.inside(&place),
                "this is no word of a command: it is empty, too long, or has a NUL",
            ));
        }
        texts.push(Value::from(text));
    }
    Ok(var.part(&path, command_value(texts)))
}
