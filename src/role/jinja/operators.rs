//! Operators that Python has otherwise than minijinja. [`super::translate`] writes them as filters.

use std::sync::Arc;

use minijinja::Environment;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::Object;
use minijinja::value::ObjectRepr;
use minijinja::value::Rest;
use minijinja::value::ValueKind;

use crate::role::jinja::python::error;
use crate::role::jinja::python::kind;
use crate::role::jinja::python::order;
use crate::role::jinja::python::undefined;
use crate::role::jinja::python::weight;

/// Stands before `.name` and `[name]`: the parts of what is not defined are not defined, which is no mistake yet.
pub(super) const PART_OF: &str = "fwdeploy_part_of";

/// Compares a value with others, as `('<', other, '<=', another)`.
pub(super) const COMPARE: &str = "fwdeploy_compare";

/// The operators that compare. One of them may follow another.
pub(super) const OPERATORS: [&str; 8] = ["<", "<=", ">", ">=", "in", "not in", "==", "!="];

/// What has no parts.
#[derive(Debug)]
struct Hole;

impl Object for Hole {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        _: &str,
        _: &[Value],
    ) -> Result<Value, Error> {
        Ok(Value::UNDEFINED)
    }
}

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter(PART_OF, |value: Value| {
        if value.is_undefined() {
            Value::from_object(Hole)
        } else {
            value
        }
    });
    environment.add_filter(
        COMPARE,
        |state: &mut State, first: Value, rest: Rest<Value>| {
            let all = std::iter::once(&first).chain(rest.iter());
            if let Some(missing) = all.into_iter().find(|value| value.is_undefined()) {
                return Err(undefined(missing));
            }
            let mut left = &first;
            for pair in rest.chunks_exact(2) {
                let right = &pair[1];
                state.consume_fuel(weight(right))?;
                let holds = match pair[0].as_str().unwrap_or_default() {
                    "<" => order(left, right)?.is_lt(),
                    "<=" => order(left, right)?.is_le(),
                    ">" => order(left, right)?.is_gt(),
                    ">=" => order(left, right)?.is_ge(),
                    "in" => is_in(state, left, right)?,
                    "not in" => !is_in(state, left, right)?,
                    "==" => left == right,
                    _ => left != right,
                };
                if !holds {
                    return Ok(false);
                }
                left = right;
            }
            Ok(true)
        },
    );
}

/// Python's `in`.
pub(super) fn is_in(state: &State, value: &Value, container: &Value) -> Result<bool, Error> {
    state.consume_fuel(weight(container))?;
    match container.kind() {
        ValueKind::String => match (container.as_str(), value.as_str()) {
            (Some(text), Some(part)) => Ok(text.contains(part)),
            _ => Err(error(format!(
                "{} cannot be in a text: `| string` makes a text of it",
                kind(value)
            ))),
        },
        ValueKind::Map => Ok(container.get_item(value).is_ok_and(|v| !v.is_undefined())),
        ValueKind::Seq | ValueKind::Iterable => {
            Ok(container.try_iter()?.any(|element| element == *value))
        }
        _ => Err(error(format!("nothing can be in {}", kind(container)))),
    }
}
