//! Where the parts of a pattern begin and end.

use std::net::Ipv6Addr;

use crate::inventory::location::Located;
use crate::inventory::location::Location;

/// Splits at `,` and `:`, but not inside of brackets, nor in an IPv6 address: `a,b:!c` has three parts.
pub(super) fn split(pattern: &Location) -> Vec<Located<String>> {
    let mut parts = Vec::new();
    for (start, end) in pieces(pattern.text(), 0, |character| character == ',') {
        let piece = &pattern.text()[start..end];
        if piece.trim().parse::<Ipv6Addr>().is_ok() || piece.trim_start().starts_with('@') {
            parts.push((start, end));
        } else {
            parts.extend(pieces(piece, start, |character| {
                character == ':' || character.is_whitespace()
            }));
        }
    }
    let located = |(start, end): (usize, usize)| {
        let text = &pattern.text()[start..end];
        let start = start + (text.len() - text.trim_start().len());
        let text = text.trim();
        (!text.is_empty())
            .then(|| Located::new(text.to_owned(), pattern.part(start, start + text.len())))
    };
    parts.into_iter().filter_map(located).collect()
}

/// The pieces of `text` between separators, moved by `offset`.
fn pieces(text: &str, offset: usize, separator: impl Fn(char) -> bool) -> Vec<(usize, usize)> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut inside = 0_usize;
    for (position, character) in text.char_indices() {
        match character {
            '[' => inside += 1,
            ']' => inside = inside.saturating_sub(1),
            _ if inside == 0 && separator(character) => {
                pieces.push((offset + start, offset + position));
                start = position + character.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push((offset + start, offset + text.len()));
    pieces
}

/// Which of several nodes, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subscript {
    /// `[2]`
    First(usize),
    /// `[-1]`
    Last(usize),
    /// `[1:2]` and `[1:]`; `[1-2]` is a glob.
    Between(usize, Option<usize>),
}

impl Subscript {
    /// The nodes that it picks: both ends of a range belong to it.
    pub(super) fn apply(self, nodes: &[usize]) -> &[usize] {
        let (start, end) = match self {
            Self::First(position) => (position, position.saturating_add(1)),
            Self::Last(position) => match nodes.len().checked_sub(position) {
                Some(start) => (start, start + 1),
                None => return &[],
            },
            Self::Between(start, end) => {
                (start, end.map_or(nodes.len(), |end| end.saturating_add(1)))
            }
        };
        nodes.get(start..end.min(nodes.len())).unwrap_or_default()
    }
}

/// Splits `group[0:2]` into the group and its subscript, as `PATTERN_WITH_SUBSCRIPT` of Ansible's `inventory/manager.py` does.
pub(super) fn subscript(text: &str) -> Option<(&str, Subscript)> {
    let (base, inner) = text.strip_suffix(']')?.rsplit_once('[')?;
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<usize>().ok())
            .flatten()
    };
    let subscript = if let Some(last) = inner.strip_prefix('-') {
        Subscript::Last(number(last).filter(|last| *last > 0)?)
    } else if let Some((start, end)) = inner.split_once(':') {
        Subscript::Between(
            number(start)?,
            if end.is_empty() {
                None
            } else {
                Some(number(end)?)
            },
        )
    } else {
        Subscript::First(number(inner)?)
    };
    (!base.is_empty()).then_some((base, subscript))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inventory::location::Source;
    use crate::inventory::location::Span;

    #[test]
    fn parts_end_at_separators_outside_of_brackets() {
        for (pattern, expected) in [
            ("a,b", "a|b"),
            ("a:&b:!c", "a|&b|!c"),
            ("a[0:2],b[1:]:c", "a[0:2]|b[1:]|c"),
            ("fe80::1,a", "fe80::1|a"),
            ("@/tmp/x:y,a", "@/tmp/x:y|a"),
            (" a ,, b c:", "a|b|c"),
            ("", ""),
        ] {
            let location = Location::new(
                Arc::new(Source::command_line("--limit", pattern)),
                Span {
                    start: 0,
                    end: pattern.len(),
                },
            );
            let parts = split(&location);
            assert!(parts.iter().all(|part| part.location.text() == part.value));
            let parts: Vec<_> = parts.into_iter().map(|part| part.value).collect();
            assert_eq!(parts.join("|"), expected, "{pattern}");
        }
    }

    #[test]
    fn subscripts_pick_by_position_with_both_ends() {
        let nodes = [10, 11, 12, 13];
        for (text, expected) in [
            ("g[0]", &nodes[..1]),
            ("g[-1]", &nodes[3..]),
            ("g[-4]", &nodes[..1]),
            ("g[0:2]", &nodes[..3]),
            ("g[2:]", &nodes[2..]),
            ("g[1:99]", &nodes[1..]),
            ("g[7]", &[]),
            ("g[-5]", &[]),
            ("g[3:1]", &[]),
        ] {
            assert_eq!(subscript(text).unwrap().1.apply(&nodes), expected, "{text}");
        }
        for text in [
            "g", "[0]", "g[]", "g[a]", "g[-0]", "g[1:a]", "g[0]x", "g[1-2]",
        ] {
            assert_eq!(subscript(text), None, "{text}");
        }
    }
}
