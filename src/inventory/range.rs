//! Ranges of names: `node[01:20]`.

use super::error::InputError;
use super::error::shown;
use super::location::Location;
use super::name::Named;
use super::name::check;

/// Nodes in one inventory. Bounds what `node[1:999999999]` can ask for, and is far above any fleet.
pub const MAX_NODES: usize = 100_000;

/// The most digits of a number in a range; a wider one would fill memory with zeros.
const MAX_WIDTH: usize = 20;

/// Returns the names that a host pattern of an inventory expands to: `node[01:03]`, `node[0:8:2]`, `rack[a:c]-[1:2]`, or simply a name.
///
/// Follows `expand_hostname_range` of Ansible's `parsing/utils/addresses.py` and `plugins/inventory/__init__.py`: both ends belong to the range, and
/// leading zeros of the first end give the width.
///
/// # Errors
///
/// A range that Ansible would refuse too, one that is too long, and errors of [`check`] about the names.
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
