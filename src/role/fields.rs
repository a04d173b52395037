//! A mapping of a role → its values, typed, each mistake at its place.

use std::fmt::Display;
use std::str::FromStr;

use crate::inventory::error::InputError;
use crate::inventory::error::InputErrors;
use crate::inventory::error::shown;
use crate::inventory::location::Located;
use crate::inventory::location::Location;
use crate::inventory::suggest::closest;
use crate::role::ports;
use crate::role::template;
use crate::role::tree::Content;
use crate::role::tree::LOOP;
use crate::role::tree::Node;

/// The keys of a mapping, all of them known.
pub(super) struct Fields<'a> {
    pub(super) node: &'a Node,
    what: &'a str,
    entries: Vec<(&'a str, &'a Node)>,
}

impl<'a> Fields<'a> {
    /// The fields of a mapping; `None` if it is none.
    pub(super) fn of(
        node: &'a Node,
        what: &'a str,
        known: &[&str],
        errors: &mut InputErrors,
    ) -> Option<Self> {
        let entries = match &node.content {
            Content::Mapping(entries) => entries,
            Content::Failed => return None,
            other => {
                errors.push(
                    node.error(format!("{what} is a mapping of names to values"))
                        .label(format!("this is {}", other.kind())),
                );
                return None;
            }
        };
        for (key, place, _) in entries {
            if !known.contains(&key.as_str()) {
                errors.push(unknown_key(key, place, what, known));
            }
        }
        Some(Fields {
            node,
            what,
            entries: entries
                .iter()
                .map(|(key, _, value)| (key.as_str(), value))
                .collect(),
        })
    }

    /// A field as it is written, empty or not.
    pub(super) fn written(&self, key: &str) -> Option<&'a Node> {
        let found = self.entries.iter().find(|(name, _)| *name == key);
        found.map(|(_, node)| *node)
    }

    /// A field that may be omitted. One that is present and empty is an error, never the same as one that is omitted: an entry
    /// without a port is about every port.
    pub(super) fn get(&self, key: &str, errors: &mut InputErrors) -> Option<&'a Node> {
        let node = self.written(key)?;
        match empty(node) {
            None => Some(node),
            Some(label) => {
                let message = format!("{} has an empty `{key}`", self.what);
                errors.push(node.error(message).label(label).hint(instead(key)));
                None
            }
        }
    }

    /// A field that may be omitted, and for which `null` means none. Omitting these opens nothing, and
    /// a role names them so that an inventory can set them.
    pub(super) fn nullable<T: FromStr>(
        &self,
        key: &str,
        errors: &mut InputErrors,
    ) -> Option<Located<T>>
    where
        T::Err: Display,
    {
        match self.written(key)?.content {
            Content::Nothing => None,
            _ => self.optional(key, errors),
        }
    }

    pub(super) fn required(&self, key: &str, errors: &mut InputErrors) -> Option<&'a Node> {
        if self.written(key).is_none() {
            let message = format!("{} needs `{key}`", self.what);
            errors.push(self.node.error(message));
        }
        self.get(key, errors)
    }

    pub(super) fn value<T: FromStr>(
        &self,
        key: &str,
        errors: &mut InputErrors,
    ) -> Option<Located<T>>
    where
        T::Err: Display,
    {
        self.required(key, errors)
            .and_then(|node| parse(node, key, errors))
    }

    pub(super) fn optional<T: FromStr>(
        &self,
        key: &str,
        errors: &mut InputErrors,
    ) -> Option<Located<T>>
    where
        T::Err: Display,
    {
        self.get(key, errors)
            .and_then(|node| parse(node, key, errors))
    }

    /// A list; one value is a list of one, and a list in a list is read as its elements. `[]` means none; a missing value is an
    /// error.
    pub(super) fn list<T: FromStr>(
        &self,
        key: &str,
        errors: &mut InputErrors,
    ) -> Option<Vec<Located<T>>>
    where
        T::Err: Display,
    {
        let known = errors.len();
        let mut values = Vec::new();
        if let Some(node) = self.required(key, errors) {
            flatten(node, key, &mut values, errors);
        }
        (errors.len() == known).then_some(values)
    }
}

/// Texts that result from a missing value in another tool's template: Python's and YAML's words for nothing.
const NOTHING: [&str; 3] = ["none", "null", "~"];

/// The kind of an empty value, in words; `None` if it is not empty. An empty list is a list, and intended.
pub(super) fn empty(node: &Node) -> Option<String> {
    match &node.content {
        Content::Nothing => Some("this is nothing".to_string()),
        Content::Text(text) if text.trim().is_empty() => Some("this is an empty text".to_string()),
        Content::Text(text) if NOTHING.contains(&text.trim().to_ascii_lowercase().as_str()) => {
            Some(format!("this is the text `{}`", shown(text.trim())))
        }
        _ => None,
    }
}

/// What to write where a value is present and empty.
fn instead(key: &str) -> &'static str {
    match key {
        "port" => {
            "give it a port such as `5000/tcp`; an entry about every port has no key `port` at all"
        }
        "to_port" => "give it a port, or leave the key out: then it is the node's port",
        "from" | "to" => "list the peers; `[]` means none",
        "inbound" | "outbound" => "list the entries, or leave the key out; `[]` is none",
        "otherwise" => "it is one of `reject`, `drop`; or leave the key out",
        "node" => "it is one of `closed`, `open`; or leave the key out",
        "log" => "it is one of `nothing`, `refused`; or leave the key out",
        "covers" => "it is one of `network`, `container`; or leave the key out",
        "enforce" => "it is one of `yes`, `audit`; or leave the key out",
        "gateway" | "bridge" | "subnet6" | "address6" | "until" => {
            "give it a value; `null` is none"
        }
        "summary" => "give it a value, or leave the key out",
        _ => "give it a value",
    }
}

fn flatten<T: FromStr>(
    node: &Node,
    key: &str,
    values: &mut Vec<Located<T>>,
    errors: &mut InputErrors,
) where
    T::Err: Display,
{
    match &node.content {
        Content::List(elements) => {
            for element in elements {
                flatten(element, key, values, errors);
            }
        }
        Content::Failed => {}
        _ => match empty(node) {
            // A variable in a list of variables, with nothing in it.
            Some(label) => errors.push(
                node.error(format!("`{key}` has an empty element"))
                    .label(label)
                    .hint(match key {
                        "port" => "give it a port such as `5000/tcp`",
                        _ => "`[]` means none",
                    }),
            ),
            None => values.extend(parse(node, key, errors)),
        },
    }
}

/// Reads a text as a value of a type.
pub(super) fn parse<T: FromStr>(
    node: &Node,
    key: &str,
    errors: &mut InputErrors,
) -> Option<Located<T>>
where
    T::Err: Display,
{
    let text = match &node.content {
        Content::Text(text) => text,
        Content::Failed => return None,
        other => {
            errors.push(
                node.error(format!("`{key}` is {}", expected(key)))
                    .label(format!("this is {}", other.kind())),
            );
            return None;
        }
    };
    match text.parse() {
        Ok(value) => Some(Located::new(value, node.place.clone())),
        Err(error) => {
            errors.push(misfit(node, key, text, &error));
            None
        }
    }
}

/// What a key of a role takes.
fn expected(key: &str) -> &'static str {
    match key {
        "from" => {
            "an address, a network, a DNS name, a mapping with `address`, `node`, or a list of them"
        }
        "to" => {
            "an address, a network, a DNS name, `address:port`, a mapping with `address`, `node`, or a list of them"
        }
        "port" => "a port and protocol such as `5000/tcp`, or a list of them",
        "to_port" => "a port",
        "subnet" | "subnet6" => "a network such as `172.20.0.0/16`",
        "gateway" | "address" | "address6" => "an address",
        "until" => "a date such as `2027-01-31`",
        _ => "a text",
    }
}

/// A text that is not of the expected kind.
fn misfit(node: &Node, key: &str, text: &str, why: &impl Display) -> InputError {
    let shown = shown(text);
    let error = if shown == text && key != "gateway" && !key.starts_with("address") {
        node.error(why.to_string())
    } else if shown == text {
        node.error(format!("`{shown}` is not an IP address"))
    } else {
        node.error(format!("`{shown}` is not a value of `{key}`"))
    };
    let words = text.split([',', ' ', '\n']).filter(|word| !word.is_empty());
    let several = words.count() > 1;
    let port = (key == "port").then(|| ports::meant(text)).flatten();
    match key {
        _ if template::is_template(text) => error.hint("a text tagged `!unsafe` is not a template"),
        "from" | "to" if several => error.hint("write a list, one peer an element"),
        "from" | "to"
            if text.contains(|c: char| c.is_ascii_alphabetic()) && !text.contains(':') =>
        {
            error.hint("a DNS name has a dot, and is written in ASCII (`xn--…`); `addresses('GROUP')` lists the nodes of a group")
        }
        "port" if port.is_some() => error.did_you_mean(port.as_deref()),
        _ => error,
    }
}

fn unknown_key(key: &str, place: &Location, what: &str, known: &[&str]) -> InputError {
    let error = InputError::at(place.clone(), format!("{what} has no `{}`", shown(key)));
    // Words of Ansible, before its `loop`, and of other tools.
    let is_loop = ["for", "foreach", "for_each", "with_items", "with_list"].contains(&key);
    let meant = (is_loop && known.contains(&LOOP)).then_some(LOOP);
    match meant.or_else(|| closest(key, known.iter().copied())) {
        Some(meant) => error.did_you_mean(Some(meant)),
        None => error.hint(format!("it has {}", ticked(known))),
    }
}

pub(super) fn ticked(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}
