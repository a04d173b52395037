//! Names of nodes, groups and roles, and ranges of names.

use super::error::InputError;
use super::error::shown;
use super::location::Location;

/// RFC 1035 §2.3.4: longer names cannot be host names.
const MAX_LENGTH: usize = 253;

/// Nodes in one inventory. Bounds what `node[1:999999999]` can ask for, and is far above any fleet.
pub const MAX_NODES: usize = 100_000;

/// Digits of a number in a range; what is wider fills memory with zeros.
const MAX_WIDTH: usize = 20;

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
    fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Group => "group",
            Self::Role => "role",
        }
    }
}

/// Checks a name: letters, digits, `_`, `.` and `-` of ASCII, a letter, digit or `_` first. It may then stand in a path, a rule's comment and a shell.
///
/// # Errors
///
/// What is wrong with it, underlined if `location` is the very text of the name.
pub fn check(name: &str, named: Named, location: &Location) -> Result<(), InputError> {
    let word = named.word();
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
    let word = named.word();
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

/// Returns the names that a host pattern of an inventory stands for: `node[01:03]`, `node[0:8:2]`, `rack[a:c]-[1:2]`, or simply a name.
///
/// Follows `expand_hostname_range` of Ansible's `parsing/utils/addresses.py` and `plugins/inventory/__init__.py`: both ends belong to the range, and
/// leading zeros of the first end give the width.
///
/// # Errors
///
/// A range that Ansible would refuse too, one that is too long, and what [`check`] says about the names.
pub fn expand(pattern: &str, location: &Location) -> Result<Vec<String>, InputError> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((head, range, tail)) = next_range(rest) {
        let values = values(range).map_err(|problem| {
            let error = InputError::at(
                location.clone(),
                format!("the range `[{}]` {problem}", shown(range)),
            );
            error.hint("ranges are written `[01:20]`, `[1:20:2]` or `[a:f]`")
        })?;
        let too_many = || {
            let message = format!(
                "`{}` stands for more than {MAX_NODES} nodes",
                shown(pattern)
            );
            InputError::at(location.clone(), message)
        };
        if values.len().saturating_mul(names.len()) > MAX_NODES {
            return Err(too_many());
        }
        names = names
            .iter()
            .flat_map(|name| {
                values
                    .iter()
                    .map(move |value| format!("{name}{head}{value}"))
            })
            .collect();
        rest = tail;
    }
    for name in &mut names {
        name.push_str(rest);
        check(name, Named::Node, location)?;
    }
    Ok(names)
}

/// Splits at the first `[…:…]`.
fn next_range(text: &str) -> Option<(&str, &str, &str)> {
    let (head, rest) = text.split_once('[')?;
    let (range, tail) = rest.split_once(']')?;
    range.contains(':').then_some((head, range, tail))
}

fn values(range: &str) -> Result<Vec<String>, &'static str> {
    let parts: Vec<&str> = range.split(':').collect();
    let (first, last, step) = match parts[..] {
        [first, last] => (first, last, "1"),
        [first, last, step] => (first, last, step),
        _ => return Err("has more than three parts"),
    };
    let step: usize = step
        .parse()
        .ok()
        .filter(|step| *step > 0)
        .ok_or("has a step that is not a number above 0")?;
    let first = if first.is_empty() { "0" } else { first };
    if let (Some(first), Some(last)) = (letter(first), letter(last)) {
        if first > last || first.is_ascii_uppercase() != last.is_ascii_uppercase() {
            return Err("ends before it begins");
        }
        return Ok((first..=last).step_by(step).map(String::from).collect());
    }
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<usize>().ok())
            .flatten()
    };
    let (Some(from), Some(to)) = (number(first), number(last)) else {
        return Err("has ends that are neither numbers nor letters");
    };
    let width = if first.len() > 1 && first.starts_with('0') {
        first.len()
    } else {
        0
    };
    if width > MAX_WIDTH {
        return Err("has numbers of too many digits");
    }
    if width > 0 && last.len() != width {
        return Err("has ends of different widths");
    }
    if from > to {
        return Err("ends before it begins");
    }
    if (to - from) / step >= MAX_NODES {
        return Err("is too long");
    }
    Ok((from..=to)
        .step_by(step)
        .map(|number| format!("{number:0width$}"))
        .collect())
}

fn letter(text: &str) -> Option<char> {
    let mut characters = text.chars();
    let letter = characters.next().filter(char::is_ascii_alphabetic)?;
    characters.next().is_none().then_some(letter)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inventory::location::Source;
    use crate::inventory::location::Span;

    fn names(pattern: &str) -> Result<Vec<String>, String> {
        let source = Arc::new(Source::file("x.yml", pattern));
        expand(
            pattern,
            &Location::new(
                source,
                Span {
                    start: 0,
                    end: pattern.len(),
                },
            ),
        )
        .map_err(|error| error.to_string())
    }

    #[test]
    fn ranges_stand_for_what_ansible_makes_of_them() {
        for (pattern, expected) in [
            ("web", "web"),
            ("n[1:3]", "n1 n2 n3"),
            ("n[08:11]", "n08 n09 n10 n11"),
            ("n[8:11]x", "n8x n9x n10x n11x"),
            ("n[0:8:4]", "n0 n4 n8"),
            ("n[:2]", "n0 n1 n2"),
            ("n[a:c]", "na nb nc"),
            ("n[A:E:2]", "nA nC nE"),
            ("r[a:b]-[1:2].x", "ra-1.x ra-2.x rb-1.x rb-2.x"),
            ("n[007:008]", "n007 n008"),
        ] {
            assert_eq!(names(pattern).unwrap().join(" "), expected, "{pattern}");
        }
    }

    #[test]
    fn odd_names_and_ranges_are_explained() {
        let patterns = [
            "",
            "a b c",
            "a,b",
            "a;reboot",
            "$(reboot)",
            "a`b`",
            "web:22",
            "::1",
            "root@web",
            "{{ name }}",
            "-web",
            ".",
            "é",
            "a\tb",
            "a\u{7}",
            "n[1:2:3:4]",
            "n[3:1]",
            "n[01:100]",
            "n[1:]",
            "n[1:x]",
            "n[1:9:0]",
            "n[1:999999999]",
            "n[1:1000]x[1:1000]",
            "n[1]",
            "n[1:2",
            "n[a:F]",
        ];
        let all: Vec<_> = patterns
            .map(|pattern| format!("{pattern:?}\n{}\n", names(pattern).unwrap_err()))
            .into();
        insta::assert_snapshot!(all.join("\n"));
    }
}
