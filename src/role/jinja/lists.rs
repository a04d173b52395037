//! Filters of lists and mappings.

use std::cmp::Ordering;

use indexmap::IndexMap;
use minijinja::Environment;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;

use crate::role::jinja::arguments::Arguments;
use crate::role::jinja::arguments::add_filter;
use crate::role::jinja::arguments::elements;
use crate::role::jinja::python::error;
use crate::role::jinja::python::kind;
use crate::role::jinja::python::order;
use crate::role::jinja::python::text;
use crate::role::jinja::python::truth;
use crate::role::jinja::python::undefined;

/// More elements are not made.
const MOST: usize = 1 << 20;

pub(super) fn install(environment: &mut Environment<'static>) {
    for name in ["length", "count"] {
        add_filter(environment, name, |_, value, _| {
            let length = value.len().filter(|_| value.kind() != ValueKind::Plain);
            match length {
                Some(length) => Ok(Value::from(length)),
                None if matches!(value.kind(), ValueKind::Iterable) => {
                    Ok(Value::from(value.try_iter()?.count()))
                }
                None => Err(error(format!("{} has no length", kind(value)))),
            }
        });
    }
    add_filter(environment, "list", |state, value, _| {
        Ok(Value::from(elements(state, value, "list")?))
    });
    add_filter(environment, "first", |state, value, _| {
        let all = elements(state, value, "first")?;
        Ok(all.into_iter().next().unwrap_or_default())
    });
    add_filter(environment, "last", |state, value, _| {
        let all = elements(state, value, "last")?;
        Ok(all.into_iter().next_back().unwrap_or_default())
    });
    add_filter(environment, "reverse", |state, value, _| {
        if let Some(text) = value.as_str() {
            return Ok(Value::from(text.chars().rev().collect::<String>()));
        }
        let mut all = elements(state, value, "reverse")?;
        all.reverse();
        Ok(Value::from(all))
    });
    add_filter(environment, "join", |state, value, arguments| {
        let separator = arguments.get(0, "d")?;
        let separator = separator.map_or(Ok(String::new()), |one| text(&one))?;
        let attribute = arguments.get(1, "attribute")?;
        let mut made = String::new();
        for (index, element) in elements(state, value, "join")?.iter().enumerate() {
            if index > 0 {
                made.push_str(&separator);
            }
            let element = attribute_of(element, attribute.as_ref())?;
            if element.is_undefined() {
                return Err(undefined(&element));
            }
            let piece = text(&element)?;
            state.consume_fuel(piece.len() as u64 / 64)?;
            made.push_str(&piece);
        }
        Ok(Value::from(made))
    });
    add_filter(environment, "sort", |state, value, arguments| {
        let is_reverse = arguments.flag(0, "reverse", false)?;
        let by_case = arguments.flag(1, "case_sensitive", false)?;
        let attribute = arguments.get(2, "attribute")?;
        let mut sorted = Vec::new();
        for element in elements(state, value, "sort")? {
            let keys = keys_of(&element, attribute.as_ref(), by_case)?;
            sorted.push((keys, element));
        }
        let mut failure = None;
        sorted.sort_by(|(one, _), (other, _)| {
            let ordered = in_order(one, other).unwrap_or_else(|error| {
                failure.get_or_insert(error);
                Ordering::Equal
            });
            if is_reverse {
                ordered.reverse()
            } else {
                ordered
            }
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(sorted.into_iter().map(|(_, element)| element).collect()),
        }
    });
    add_filter(environment, "unique", |state, value, arguments| {
        let by_case = arguments.flag(0, "case_sensitive", false)?;
        let attribute = arguments.get(1, "attribute")?;
        let mut seen = Vec::new();
        let mut once = Vec::new();
        for element in elements(state, value, "unique")? {
            let key = keys_of(&element, attribute.as_ref(), by_case)?;
            state.consume_fuel(seen.len() as u64 / 16)?;
            if !seen.contains(&key) {
                seen.push(key);
                once.push(element);
            }
        }
        Ok(Value::from(once))
    });
    add_filter(environment, "min", |state, value, arguments| {
        extreme(state, value, arguments, "min", Ordering::Less)
    });
    add_filter(environment, "max", |state, value, arguments| {
        extreme(state, value, arguments, "max", Ordering::Greater)
    });
    add_filter(environment, "union", |state, value, arguments| {
        let (one, other) = both(state, value, arguments, "union")?;
        set(state, one.into_iter().chain(other), |_| true)
    });
    add_filter(environment, "intersect", |state, value, arguments| {
        let (one, other) = both(state, value, arguments, "intersect")?;
        set(state, one, |element| other.contains(element))
    });
    add_filter(environment, "difference", |state, value, arguments| {
        let (one, other) = both(state, value, arguments, "difference")?;
        set(state, one, |element| !other.contains(element))
    });
    add_filter(
        environment,
        "symmetric_difference",
        |state, value, arguments| {
            let (one, other) = both(state, value, arguments, "symmetric_difference")?;
            let all = one.iter().chain(&other).cloned().collect::<Vec<_>>();
            set(state, all, |element| {
                one.contains(element) != other.contains(element)
            })
        },
    );
    add_filter(environment, "flatten", |state, value, arguments| {
        let levels = arguments.int(0, "levels")?;
        let skips = arguments.flag(1, "skip_nulls", true)?;
        let mut flat = Vec::new();
        flatten(state, value, levels.unwrap_or(64), skips, &mut flat)?;
        Ok(Value::from(flat))
    });
    for (name, is_long) in [("zip", false), ("zip_longest", true)] {
        // A function that is no closure has no `is_long`.
        let filter = if is_long { zip_longest } else { zip };
        add_filter(environment, name, filter);
    }
    add_filter(environment, "product", |state, value, arguments| {
        let repeat = arguments.int(usize::MAX, "repeat")?.unwrap_or(1);
        let repeat = usize::try_from(repeat).ok().filter(|times| *times <= 16);
        let repeat = repeat.ok_or_else(|| error("`product` is repeated up to 16 times"))?;
        let mut lists = vec![elements(state, value, "product")?];
        for one in arguments.rest() {
            lists.push(elements(state, one, "product")?);
        }
        let mut made: Vec<Vec<Value>> = vec![Vec::new()];
        for list in lists.iter().cycle().take(lists.len() * repeat) {
            is_not_too_long(state, made.len().saturating_mul(list.len()))?;
            made = made
                .iter()
                .flat_map(|begun| {
                    list.iter()
                        .map(|one| [begun.as_slice(), std::slice::from_ref(one)].concat())
                })
                .collect();
        }
        Ok(made.into_iter().map(Value::from).collect())
    });
    add_filter(environment, "permutations", |state, value, arguments| {
        chosen(state, value, arguments, "permutations", |taken, index| {
            !taken.contains(&index)
        })
    });
    add_filter(environment, "combinations", |state, value, arguments| {
        chosen(state, value, arguments, "combinations", |taken, index| {
            taken.last().is_none_or(|last| *last < index)
        })
    });
    add_filter(environment, "subelements", |state, value, arguments| {
        let path = arguments.need(0, "subelements")?;
        let skips = arguments.flag(1, "skip_missing", false)?;
        let path: Vec<Value> = match path.as_str() {
            Some(path) => path.split('.').map(Value::from).collect(),
            None => elements(state, &path, "subelements")?,
        };
        let all = match value.kind() {
            ValueKind::Map => values(value)?,
            _ => elements(state, value, "subelements")?,
        };
        let mut made = Vec::new();
        for element in all {
            let mut found = element.clone();
            for key in &path {
                found = found.get_item(key).unwrap_or_default();
            }
            match found.kind() {
                ValueKind::Undefined if skips => continue,
                ValueKind::Undefined => {
                    return Err(error("`subelements`: an element has no such key"));
                }
                ValueKind::Seq | ValueKind::Iterable => {}
                _ => return Err(error(format!("`subelements`: the key is {}", kind(&found)))),
            }
            for one in elements(state, &found, "subelements")? {
                made.push(Value::from(vec![element.clone(), one]));
            }
        }
        Ok(Value::from(made))
    });
    add_filter(environment, "combine", |state, value, arguments| {
        let is_recursive = arguments.flag(usize::MAX, "recursive", false)?;
        let merge = arguments.text(usize::MAX, "list_merge")?;
        let merge = merge.unwrap_or_else(|| "replace".to_string());
        if ![
            "replace",
            "keep",
            "append",
            "prepend",
            "append_rp",
            "prepend_rp",
        ]
        .contains(&merge.as_str())
        {
            let known = "replace, keep, append, prepend, append_rp or prepend_rp";
            return Err(error(format!("`list_merge` of `combine` is {known}")));
        }
        let mut all = Vec::new();
        for one in std::iter::once(value).chain(arguments.rest()) {
            match one.kind() {
                ValueKind::Map => all.push(one.clone()),
                _ => all.extend(elements(state, one, "combine")?),
            }
        }
        let mut made = IndexMap::new();
        for one in all {
            if one.kind() != ValueKind::Map {
                return Err(error(format!(
                    "`combine` takes mappings, and this is {}",
                    kind(&one)
                )));
            }
            merge_into(state, &mut made, &one, is_recursive, &merge)?;
        }
        Ok(Value::from_pairs(made))
    });
    add_filter(environment, "dict2items", |_, value, arguments| {
        let key_name = arguments
            .text(0, "key_name")?
            .unwrap_or_else(|| "key".to_string());
        let value_name = arguments
            .text(1, "value_name")?
            .unwrap_or_else(|| "value".to_string());
        is_mapping(value, "dict2items")?;
        let item = |key: Value| {
            let element = value.get_item(&key).unwrap_or_default();
            Value::from_pairs([(key_name.clone(), key), (value_name.clone(), element)])
        };
        Ok(value.try_iter()?.map(item).collect())
    });
    add_filter(environment, "items2dict", |state, value, arguments| {
        let key_name = arguments
            .text(0, "key_name")?
            .unwrap_or_else(|| "key".to_string());
        let value_name = arguments
            .text(1, "value_name")?
            .unwrap_or_else(|| "value".to_string());
        let mut made = IndexMap::new();
        for element in elements(state, value, "items2dict")? {
            let of = |name: &str| {
                element
                    .get_attr(name)
                    .ok()
                    .filter(|one| !one.is_undefined())
            };
            let (Some(key), Some(value)) = (of(&key_name), of(&value_name)) else {
                return Err(error(format!(
                    "`items2dict` takes mappings with `{key_name}` and `{value_name}`"
                )));
            };
            made.insert(key, value);
        }
        Ok(Value::from_pairs(made))
    });
    add_filter(environment, "values", |_, value, _| {
        is_mapping(value, "values")?;
        Ok(Value::from(values(value)?))
    });
}

fn is_mapping(value: &Value, filter: &str) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Map => Ok(()),
        _ => Err(error(format!(
            "`{filter}` takes a mapping, and this is {}",
            kind(value)
        ))),
    }
}

fn values(mapping: &Value) -> Result<Vec<Value>, Error> {
    let keys = mapping.try_iter()?;
    Ok(keys
        .map(|key| mapping.get_item(&key).unwrap_or_default())
        .collect())
}

fn is_not_too_long(state: &State, length: usize) -> Result<(), Error> {
    if length > MOST {
        return Err(error(super::python::TOO_LARGE));
    }
    state.consume_fuel(length as u64)
}

/// A part of an element, by a path with dots.
fn attribute_of(element: &Value, attribute: Option<&Value>) -> Result<Value, Error> {
    let Some(attribute) = attribute.filter(|attribute| !attribute.is_none()) else {
        return Ok(element.clone());
    };
    let Some(path) = attribute.as_str() else {
        return Ok(element.get_item(attribute).unwrap_or_default());
    };
    let mut found = element.clone();
    for key in path.split('.') {
        if found.is_undefined() {
            return Err(undefined(&found));
        }
        found = match key.parse::<usize>() {
            Ok(index) if found.kind() != ValueKind::Map => found.get_item(&Value::from(index)),
            _ => found.get_attr(key),
        }
        .unwrap_or_default();
    }
    Ok(found)
}

/// What an element is sorted by; case does not count unless it is told to.
fn keys_of(element: &Value, attribute: Option<&Value>, by_case: bool) -> Result<Vec<Value>, Error> {
    let attributes: Vec<Option<Value>> = match attribute.and_then(Value::as_str) {
        Some(several) => several
            .split(',')
            .map(|one| Some(Value::from(one)))
            .collect(),
        None => vec![attribute.cloned()],
    };
    let key = |attribute: Option<Value>| {
        let found = attribute_of(element, attribute.as_ref())?;
        if found.is_undefined() {
            return Err(undefined(&found));
        }
        Ok(match found.as_str() {
            Some(text) if !by_case => Value::from(text.to_lowercase()),
            _ => found,
        })
    };
    attributes.into_iter().map(key).collect()
}

fn in_order(one: &[Value], other: &[Value]) -> Result<Ordering, Error> {
    for (a, b) in one.iter().zip(other) {
        let ordered = order(a, b)?;
        if ordered.is_ne() {
            return Ok(ordered);
        }
    }
    Ok(Ordering::Equal)
}

fn extreme(
    state: &State,
    value: &Value,
    arguments: &Arguments,
    filter: &str,
    wanted: Ordering,
) -> Result<Value, Error> {
    let by_case = arguments.flag(0, "case_sensitive", false)?;
    let attribute = arguments.get(1, "attribute")?;
    let mut best: Option<(Vec<Value>, Value)> = None;
    for element in elements(state, value, filter)? {
        let keys = keys_of(&element, attribute.as_ref(), by_case)?;
        let is_better = match &best {
            Some((known, _)) => in_order(&keys, known)? == wanted,
            None => true,
        };
        if is_better {
            best = Some((keys, element));
        }
    }
    Ok(best.map(|(_, element)| element).unwrap_or_default())
}

fn both(
    state: &State,
    value: &Value,
    arguments: &Arguments,
    filter: &str,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let one = elements(state, value, filter)?;
    let other = elements(state, &arguments.need(0, "b")?, filter)?;
    let compared = one.len().saturating_mul(other.len());
    state.consume_fuel(compared as u64 / 16)?;
    Ok((one, other))
}

/// The elements that are wanted, each once, in the order of their first place.
fn set(
    state: &State,
    all: impl IntoIterator<Item = Value>,
    is_wanted: impl Fn(&Value) -> bool,
) -> Result<Value, Error> {
    let mut made: Vec<Value> = Vec::new();
    for element in all {
        state.consume_fuel(1 + made.len() as u64 / 16)?;
        if is_wanted(&element) && !made.contains(&element) {
            made.push(element);
        }
    }
    Ok(Value::from(made))
}

fn flatten(
    state: &State,
    list: &Value,
    levels: i64,
    skips: bool,
    flat: &mut Vec<Value>,
) -> Result<(), Error> {
    for element in elements(state, list, "flatten")? {
        let is_null = element.is_none() || matches!(element.as_str(), Some("None" | "null"));
        let is_list = matches!(element.kind(), ValueKind::Seq | ValueKind::Iterable);
        if skips && is_null {
            continue;
        }
        if is_list && levels >= 1 {
            flatten(state, &element, levels - 1, skips, flat)?;
        } else {
            flat.push(element);
        }
    }
    Ok(())
}

fn zip(state: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    zipped(state, value, arguments, None)
}

fn zip_longest(state: &mut State, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let fill = arguments.get(usize::MAX, "fillvalue")?;
    zipped(
        state,
        value,
        arguments,
        Some(fill.unwrap_or_else(|| Value::from(()))),
    )
}

fn zipped(
    state: &State,
    value: &Value,
    arguments: &Arguments,
    fill: Option<Value>,
) -> Result<Value, Error> {
    let mut lists = vec![elements(state, value, "zip")?];
    for one in arguments.rest() {
        lists.push(elements(state, one, "zip")?);
    }
    let lengths = lists.iter().map(Vec::len);
    let length = if fill.is_some() {
        lengths.max()
    } else {
        lengths.min()
    };
    let of = |index: usize| {
        let parts = lists
            .iter()
            .map(|list| list.get(index).or(fill.as_ref()).cloned());
        Value::from(parts.map(Option::unwrap_or_default).collect::<Vec<_>>())
    };
    Ok((0..length.unwrap_or(0)).map(of).collect())
}

/// All ways to take a number of elements, of which each next one may be taken.
fn chosen(
    state: &State,
    value: &Value,
    arguments: &Arguments,
    filter: &str,
    may_follow: fn(&[usize], usize) -> bool,
) -> Result<Value, Error> {
    let all = elements(state, value, filter)?;
    let size = arguments.int(0, "r")?;
    let size = match size {
        Some(size) => usize::try_from(size)
            .map_err(|_| error(format!("`{filter}` takes a number above 0")))?,
        None if filter == "permutations" => all.len(),
        None => return Err(error(format!("`{filter}` needs a number of elements"))),
    };
    let mut made: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..size {
        is_not_too_long(state, made.len().saturating_mul(all.len()))?;
        let mut longer = Vec::new();
        for taken in made {
            for index in 0..all.len() {
                if may_follow(&taken, index) {
                    longer.push([taken.as_slice(), &[index]].concat());
                }
            }
        }
        made = longer;
    }
    let one = |taken: Vec<usize>| -> Value {
        taken.into_iter().map(|index| all[index].clone()).collect()
    };
    Ok(made.into_iter().map(one).collect())
}

/// Ansible's `merge_hash`: the second mapping wins.
fn merge_into(
    state: &State,
    made: &mut IndexMap<Value, Value>,
    more: &Value,
    is_recursive: bool,
    merge: &str,
) -> Result<(), Error> {
    let is_list = |value: &Value| matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    for key in more.try_iter()? {
        state.consume_fuel(1)?;
        let new = more.get_item(&key)?;
        if new.is_undefined() {
            return Err(undefined(&new));
        }
        let merged = match made.get(&key) {
            Some(old)
                if old.kind() == ValueKind::Map && new.kind() == ValueKind::Map && is_recursive =>
            {
                let mut inner = IndexMap::new();
                merge_into(state, &mut inner, old, is_recursive, merge)?;
                merge_into(state, &mut inner, &new, is_recursive, merge)?;
                Value::from_pairs(inner)
            }
            Some(old) if is_list(old) && is_list(&new) => {
                let (old, new) = (
                    elements(state, old, "combine")?,
                    elements(state, &new, "combine")?,
                );
                let without = || {
                    old.iter()
                        .filter(|one| !new.contains(one))
                        .cloned()
                        .collect::<Vec<_>>()
                };
                Value::from(match merge {
                    "keep" => old,
                    "append" => [old, new].concat(),
                    "prepend" => [new, old].concat(),
                    "append_rp" => [without(), new].concat(),
                    "prepend_rp" => [new.clone(), without()].concat(),
                    _ => new,
                })
            }
            _ => new,
        };
        made.insert(key, merged);
    }
    Ok(())
}

/// Whether all, or any, elements of a list are true.
pub(super) fn are_true(state: &State, value: &Value, all: bool) -> Result<bool, Error> {
    for element in elements(state, value, if all { "all" } else { "any" })? {
        if truth(&element)? != all {
            return Ok(!all);
        }
    }
    Ok(all)
}
