//! Where the parts of a pattern begin and end.

use std::net::Ipv6Addr;

use crate::inventory::location::Located;
use crate::inventory::location::Location;

/// Splits at `,`, and where there is none at `:` and blanks, as Ansible does (`split_host_pattern` in `inventory/manager.py`): `a:b:!c` and `a,b,!c` have
/// three parts.
pub(super) fn split(pattern: &Location) -> Vec<Located<String>> {
    let text = pattern.text();
    let parts = if text.contains(',') {
        pieces(text, |character| character == ',', |_| Opens::Nothing)
    } else if text.trim().parse::<Ipv6Addr>().is_ok() {
        vec![(0, text.len())]
    } else {
        let opens = |part: &str| match word(part).starts_with('~') {
            // Ansible splits `~(?:a|b)` too, into what is no regular expression any more.
            true => Opens::Groups,
            false => Opens::Brackets,
        };
        let separates = |character: char| character == ':' || character.is_whitespace();
        pieces(text, separates, opens)
    };
    parts
        .into_iter()
        .filter_map(|(start, end)| trimmed(pattern, start, end))
        .collect()
}

/// A line of a file is one part, as for Ansible.
pub(super) fn whole(line: &Location) -> Option<Located<String>> {
    trimmed(line, 0, line.text().len())
}

/// A part without what says how it combines with the others.
fn word(part: &str) -> &str {
    let part = part.trim();
    part.strip_prefix(['&', '!']).unwrap_or(part)
}

fn trimmed(pattern: &Location, start: usize, end: usize) -> Option<Located<String>> {
    let text = &pattern.text()[start..end];
    let start = start + (text.len() - text.trim_start().len());
    let text = text.trim();
    (!text.is_empty())
        .then(|| Located::new(text.to_owned(), pattern.part(start, start + text.len())))
}

/// What holds separators together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opens {
    Nothing,
    /// `[0:2]`
    Brackets,
    /// Also `(?:a|b)`, in a regular expression.
    Groups,
}

/// The pieces of `text` between separators.
fn pieces(
    text: &str,
    separates: impl Fn(char) -> bool,
    opens: impl Fn(&str) -> Opens,
) -> Vec<(usize, usize)> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut inside = 0_usize;
    for (position, character) in text.char_indices() {
        let opens = opens(&text[start..]);
        match character {
            '[' if opens != Opens::Nothing => inside += 1,
            '(' if opens == Opens::Groups => inside += 1,
            ']' | ')' => inside = inside.saturating_sub(1),
            _ if inside == 0 && separates(character) => {
                pieces.push((start, position));
                start = position + character.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push((start, text.len()));
    pieces
}

/// Which of several nodes, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subscript {
    /// `[2]`
    First(usize),
    /// `[-1]`
    Last(usize),
    /// `[1:2]`, and `[1-2]`, which Ansible still takes for the same.
    Between(usize, usize),
    /// `[1:]`
    From(usize),
}

impl Subscript {
    /// The nodes that it picks: both ends of a range belong to it.
    ///
    /// Ansible takes `[1:0]` for `[1]` (`_apply_subscript` in `inventory/manager.py`), and so does this.
    pub(super) fn apply(self, nodes: &[usize]) -> &[usize] {
        let (start, end) = match self {
            Self::First(position) | Self::Between(position, 0) => {
                (position, position.saturating_add(1))
            }
            Self::Last(position) => match nodes.len().checked_sub(position) {
                Some(start) => (start, start + 1),
                None => return &[],
            },
            Self::Between(start, end) => (start, end.saturating_add(1)),
            Self::From(start) => (start, nodes.len()),
        };
        nodes.get(start..end.min(nodes.len())).unwrap_or_default()
    }
}

/// Splits `group[0:2]` into the group and its subscript, as `PATTERN_WITH_SUBSCRIPT` of Ansible's `inventory/manager.py` does.
pub(super) fn subscript(text: &str) -> Option<(&str, Subscript)> {
    let (base, inner) = text.strip_suffix(']')?.rsplit_once('[')?;
    // A number that is too large is past every end.
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<usize>().unwrap_or(usize::MAX))
    };
    let subscript = if let Some(last) = inner.strip_prefix('-') {
        match number(last)? {
            0 => Subscript::First(0),
            last => Subscript::Last(last),
        }
    } else if let Some((start, end)) = inner.split_once([':', '-']) {
        let start = number(start)?;
        match end {
            "" => Subscript::From(start),
            end => Subscript::Between(start, number(end)?),
        }
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
            ("a[0:2],b[1:],c", "a[0:2]|b[1:]|c"),
            ("a[0:2]:b[1:]:c", "a[0:2]|b[1:]|c"),
            ("a:b,c", "a:b|c"),
            ("[a,b]*", "[a|b]*"),
            ("fe80::1,a", "fe80::1|a"),
            ("fe80::1", "fe80::1"),
            ("!fe80::1", "!fe80|1"),
            ("@/tmp/x:y,a", "@/tmp/x:y|a"),
            ("@/tmp/x:!y", "@/tmp/x|!y"),
            ("~(?:a|b):!c", "~(?:a|b)|!c"),
            ("~(?:a|b),!~c:d", "~(?:a|b)|!~c:d"),
            (" a ,, b c,", "a|b c"),
            (" a  b :c:", "a|b|c"),
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
            ("g[1-2]", &nodes[1..3]),
            ("g[2-]", &nodes[2..]),
            ("g[-0]", &nodes[..1]),
            ("g[2:0]", &nodes[2..3]),
            ("g[99999999999999999999]", &[]),
        ] {
            assert_eq!(subscript(text).unwrap().1.apply(&nodes), expected, "{text}");
        }
        for text in [
            "g", "[0]", "g[]", "g[a]", "g[1:a]", "g[0]x", "g[:2]", "g[--1]",
        ] {
            assert_eq!(subscript(text), None, "{text}");
        }
    }
}
