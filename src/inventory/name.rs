//! Names of nodes, groups and roles.

use std::net::Ipv6Addr;

use super::error::InputError;
use super::error::shown;
use super::location::Location;

/// RFC 1035 §2.3.4: longer names cannot be host names.
const MAX_LENGTH: usize = 253;

/// What a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A node, which Ansible calls a host.
    Node,
    /// A group of nodes.
    Group,
    /// A role.
    Role,
}

impl Named {
    fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Group => "group",
            Self::Role => "role",
        }
    }
}

/// Checks a name: letters, digits, `_`, `.` and `-` of ASCII, a letter, digit or `_` first. It is then safe in a path, a rule's comment and a shell.
/// A node may also be named by its IPv6 address.
///
/// # Errors
///
/// What is wrong with it, underlined if `location` is exactly the text of the name.
pub fn check(name: &str, named: Named, location: &Location) -> Result<(), InputError> {
    if named == Named::Node && name.parse::<Ipv6Addr>().is_ok() {
        return Ok(());
    }
    let word = named.as_str();
    let error = |message: String| InputError::at(location.clone(), message);
    if name.trim().is_empty() {
        return Err(error(format!("the name of a {word} is missing")));
    }
    let separator = |character: char| character.is_whitespace() || character == ',';
    let names = name
        .split(separator)
        .filter(|name| !name.is_empty())
        .count();
    if names > 1 && !name.contains("{{") {
        // Ansible takes `h1 h2 h3` for one host: https://github.com/ansible/ansible/issues/43720
        let hint = match named {
            Named::Node | Named::Group => {
                "write each name on a line of its own, and a `:` after it"
            }
            Named::Role => "write a list: `[one, two]`",
        };
        return Err(error(format!("{names} {word} names in one value"))
            .label("read as one name")
            .hint(hint));
    }
    if let Some((offset, odd)) = name
        .char_indices()
        .find(|(_, character)| !allowed(*character))
    {
        return Err(odd_character(name, named, location, offset, odd));
    }
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_') {
        return Err(error(format!(
            "the name of a {word} begins with a letter, a digit or `_`"
        )));
    }
    if name.len() > MAX_LENGTH {
        return Err(error(format!(
            "a name of {} characters; {MAX_LENGTH} are allowed",
            name.len()
        )));
    }
    Ok(())
}

fn allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_.-".contains(character)
}

fn odd_character(
    name: &str,
    named: Named,
    location: &Location,
    offset: usize,
    odd: char,
) -> InputError {
    let word = named.as_str();
    // The name may have been quoted, or made from a range: then all of it is underlined.
    let place = if location.text() == name {
        location.part(offset, offset + odd.len_utf8())
    } else {
        location.clone()
    };
    let error = InputError::at(
        place,
        format!(
            "`{}` is not allowed in the name of a {word}",
            shown(&odd.to_string())
        ),
    );
    match (named, odd) {
        (_, '{' | '}') => error.hint("names cannot be templates"),
        (Named::Node, ':') => error.hint(format!(
            "`{}` is not a name: choose one, and set `ansible_host` and `ansible_port` below it",
            shown(name)
        )),
        (Named::Node, '[' | ']') => error.hint("a range is written `node[01:20]` or `node[a:f]`"),
        (Named::Node, '@') => error.hint("set the user with `ansible_user`"),
        _ => error.hint("letters, digits, `_`, `.` and `-` are allowed"),
    }
}
