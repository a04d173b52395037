//! The arguments of a filter or test, by place or by name, as Python passes them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use minijinja::Environment;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::Kwargs;
use minijinja::value::Rest;
use minijinja::value::ValueKind;
use minijinja::value::ValueOrKwargs;
use minijinja::value::from_args;

use crate::role::jinja::python::error;
use crate::role::jinja::python::failed;
use crate::role::jinja::python::kind;
use crate::role::jinja::python::undefined;
use crate::role::jinja::python::weight;

/// The collections of Ansible whose filters and tests are here: their names may be written in front.
pub(super) const COLLECTIONS: [&str; 3] =
    ["ansible.builtin.", "ansible.utils.", "ansible.netcommon."];

/// Arguments after the first.
pub(super) struct Arguments {
    name: &'static str,
    places: Vec<Value>,
    names: Kwargs,
    taken: RefCell<BTreeSet<usize>>,
}

impl Arguments {
    /// The argument at a place, or of a name.
    pub(super) fn get(&self, place: usize, name: &str) -> Result<Option<Value>, Error> {
        if let Some(value) = self.places.get(place) {
            self.taken.borrow_mut().insert(place);
            return Ok(Some(value.clone()));
        }
        self.names.get::<Option<Value>>(name)
    }

    /// The same, which has to be there.
    pub(super) fn need(&self, place: usize, name: &str) -> Result<Value, Error> {
        self.get(place, name)?
            .ok_or_else(|| error(format!("`{}` needs an argument `{name}`", self.name)))
    }

    /// An argument that is true or false.
    pub(super) fn flag(&self, place: usize, name: &str, default: bool) -> Result<bool, Error> {
        Ok(self
            .get(place, name)?
            .map_or(default, |value| value.is_true()))
    }

    /// An argument that is a whole number.
    pub(super) fn int(&self, place: usize, name: &str) -> Result<Option<i64>, Error> {
        match self.get(place, name)? {
            Some(value) if value.is_none() => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| {
                error(format!(
                    "`{name}` of `{}` is a whole number, and this is {}",
                    self.name,
                    kind(&value)
                ))
            }),
            None => Ok(None),
        }
    }

    /// An argument that is a text.
    pub(super) fn text(&self, place: usize, name: &str) -> Result<Option<String>, Error> {
        match self.get(place, name)? {
            Some(value) if value.is_none() => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text.to_string())),
                None => Err(error(format!(
                    "`{name}` of `{}` is a text, and this is {}",
                    self.name,
                    kind(&value)
                ))),
            },
            None => Ok(None),
        }
    }

    /// All arguments without a name.
    pub(super) fn rest(&self) -> &[Value] {
        self.taken.borrow_mut().extend(0..self.places.len());
        &self.places
    }

    /// Whether everything was asked for.
    fn are_known(&self) -> Result<(), Error> {
        self.names.assert_all_used()?;
        match self.taken.borrow().len() < self.places.len() {
            true => Err(error(format!("`{}` has too many arguments", self.name))),
            false => Ok(()),
        }
    }
}

/// A filter: the value and its other arguments → a value.
pub(super) type Filter = fn(&mut State, &Value, &Arguments) -> Result<Value, Error>;

/// A test: the value and its other arguments → whether it holds.
pub(super) type Test = fn(&mut State, &Value, &Arguments) -> Result<bool, Error>;

fn arguments(name: &'static str, rest: Rest<ValueOrKwargs>) -> Result<Arguments, Error> {
    let values = rest.into_values();
    let (places, names): (&[Value], Kwargs) = from_args(&values)?;
    Ok(Arguments {
        name,
        places: places.to_vec(),
        names,
        taken: RefCell::default(),
    })
}

/// Every name that a plugin has.
pub(super) fn spellings(name: &'static str) -> impl Iterator<Item = String> {
    let long = COLLECTIONS.iter().map(move |one| format!("{one}{name}"));
    std::iter::once(name.to_string()).chain(long)
}

/// Adds a filter. An undefined value goes through it, as in Ansible: `nope | int | default(5)` is 5.
pub(super) fn add_filter(
    environment: &mut Environment<'static>,
    name: &'static str,
    filter: Filter,
) {
    for spelling in spellings(name) {
        environment.add_filter(
            spelling,
            move |state: &mut State, value: Value, rest: Rest<ValueOrKwargs>| {
                let arguments = arguments(name, rest)?;
                let all = std::iter::once(&value).chain(&arguments.places);
                if let Some(missing) = all.into_iter().find(|value| value.is_undefined()) {
                    return Ok(missing.clone());
                }
                if value.kind() == ValueKind::Invalid {
                    return Err(failed(&value));
                }
                state.consume_fuel(weight(&value))?;
                let made = filter(state, &value, &arguments)?;
                arguments.are_known()?;
                Ok(made)
            },
        );
    }
}

/// Adds a filter that is told of undefined values.
pub(super) fn add_filter_of_undefined(
    environment: &mut Environment<'static>,
    name: &'static str,
    filter: Filter,
) {
    for spelling in spellings(name) {
        environment.add_filter(
            spelling,
            move |state: &mut State, value: Value, rest: Rest<ValueOrKwargs>| {
                let arguments = arguments(name, rest)?;
                let made = filter(state, &value, &arguments)?;
                arguments.are_known()?;
                Ok::<Value, Error>(made)
            },
        );
    }
}

/// Keeps a filter of minijinja under each of its names in Ansible, and lets undefined values through it.
pub(super) fn keep_filter(
    environment: &mut Environment<'static>,
    name: &'static str,
    filter: &Value,
) {
    for spelling in spellings(name) {
        let filter = filter.clone();
        environment.add_filter(
            spelling,
            move |state: &mut State, value: Value, rest: Rest<ValueOrKwargs>| {
                if value.is_undefined() {
                    return Ok(value);
                }
                let mut all = vec![value];
                all.extend(rest.into_values());
                filter.call(state, &all)
            },
        );
    }
}

/// Adds a test.
pub(super) fn add_test(environment: &mut Environment<'static>, name: &'static str, test: Test) {
    for spelling in spellings(name) {
        environment.add_test(
            spelling,
            move |state: &mut State, value: Value, rest: Rest<ValueOrKwargs>| {
                let arguments = arguments(name, rest)?;
                let all = std::iter::once(&value).chain(&arguments.places);
                if let Some(missing) = all.into_iter().find(|value| value.is_undefined()) {
                    return Err(undefined(missing));
                }
                state.consume_fuel(weight(&value))?;
                let holds = test(state, &value, &arguments)?;
                arguments.are_known()?;
                Ok(holds)
            },
        );
    }
}

/// The elements of a list; each costs fuel.
///
/// # Errors
/// It is no list, or an element of it is undefined or failed.
pub(super) fn elements(state: &State, value: &Value, filter: &str) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::String => {}
        _ => {
            return Err(error(format!(
                "`{filter}` takes a list, and this is {}",
                kind(value)
            )));
        }
    }
    let mut elements = Vec::new();
    for element in value.try_iter()? {
        state.consume_fuel(1)?;
        match element.kind() {
            ValueKind::Undefined => return Err(undefined(&element)),
            ValueKind::Invalid => return Err(failed(&element)),
            _ => elements.push(element),
        }
    }
    Ok(elements)
}
