//! Globs as Python's `fnmatch` reads them, which Ansible uses.
//!
//! It is our own because no crate holds the table of the test below: `glob` refuses an unclosed `[` and `a**b`; `globset`,
//! `fast-glob` and `fnmatch-regex` take `^` for `!` and braces for alternatives; `wildmatch` has no brackets.

/// A pattern with `*`, `?`, `[abc]`, `[a-c]` or `[!abc]`.
#[derive(Debug)]
pub(super) struct Glob(Vec<Token>);

#[derive(Debug)]
enum Token {
    Literal(char),
    One,
    Many,
    Class {
        ranges: Vec<(char, char)>,
        negated: Negated,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Negated {
    No,
    Yes,
}

impl Glob {
    /// Reads a glob; `None` if there is nothing in it that makes it one.
    pub(super) fn new(text: &str) -> Option<Self> {
        let characters: Vec<char> = text.chars().collect();
        let mut tokens = Vec::new();
        let mut position = 0;
        while position < characters.len() {
            let class = if characters[position] == '[' {
                class(&characters[position..])
            } else {
                None
            };
            let (token, length) = match (characters[position], class) {
                ('*', _) => (Token::Many, 1),
                ('?', _) => (Token::One, 1),
                (_, Some(class)) => class,
                (literal, None) => (Token::Literal(literal), 1),
            };
            tokens.push(token);
            position += length;
        }
        let is_glob = tokens
            .iter()
            .any(|token| !matches!(token, Token::Literal(_)));
        is_glob.then_some(Self(tokens))
    }

    /// Returns whether the whole of `name` matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut token, mut character) = (0, 0);
        // Where the last `*` stood, and how far it reaches: it only ever has to grow.
        let mut star: Option<(usize, usize)> = None;
        while character < name.len() {
            match self.0.get(token) {
                Some(Token::Many) => {
                    star = Some((token, character));
                    token += 1;
                }
                Some(one) if one.matches(name[character]) => {
                    token += 1;
                    character += 1;
                }
                _ => match star {
                    Some((at, reach)) => {
                        star = Some((at, reach + 1));
                        token = at + 1;
                        character = reach + 1;
                    }
                    None => return false,
                },
            }
        }
        self.0[token..]
            .iter()
            .all(|token| matches!(token, Token::Many))
    }
}

impl Token {
    fn matches(&self, character: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == character,
            Self::One => true,
            Self::Many => false,
            Self::Class { ranges, negated } => {
                let inside = ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&character));
                inside == (*negated == Negated::No)
            }
        }
    }
}

/// The class at the beginning of `text`, and its length; `None` if the bracket is never closed.
fn class(text: &[char]) -> Option<(Token, usize)> {
    let negated = if text.get(1) == Some(&'!') {
        Negated::Yes
    } else {
        Negated::No
    };
    let start = if negated == Negated::Yes { 2 } else { 1 };
    // A `]` that comes first is a member.
    let end = start
        + 1
        + text
            .get(start + 1..)?
            .iter()
            .position(|character| *character == ']')?;
    let members = &text[start..end];
    let mut ranges = Vec::new();
    let mut position = 0;
    while position < members.len() {
        match members[position..] {
            [first, '-', last, ..] => {
                ranges.push((first, last));
                position += 3;
            }
            _ => {
                ranges.push((members[position], members[position]));
                position += 1;
            }
        }
    }
    Some((Token::Class { ranges, negated }, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The result of `re.match(fnmatch.translate(glob), name)` of Python 3.11, which Ansible uses.
    #[test]
    fn globs_match_what_fnmatch_matches() {
        for (glob, name, expected) in [
            ("eos*", "eos-1", true),
            ("*eos", "eos-1", false),
            ("e*s*1", "eos-1", true),
            ("node?", "node1", true),
            ("node?", "node12", false),
            ("node[0-3]", "node2", true),
            ("node[!0-3]", "node2", false),
            ("node[!0-3]", "node7", true),
            ("[ac]x", "cx", true),
            ("[]]x", "]x", true),
            ("[!]]x", "]x", false),
            ("[!]]x", "ax", true),
            ("a[b*", "a[bc", true),
            ("a[", "a[", true),
            ("a[]*", "a[]b", true),
            ("a[!]*", "a[!]b", true),
            ("**", "", true),
            ("a**b", "ab", true),
            ("*", "a/b", true),
            ("a?b", "a/b", true),
            ("*", ".a", true),
            ("?", "", false),
            ("[^a]", "^", true),
            ("[^a]", "a", true),
            ("[^a]", "b", false),
            ("[!^a]", "b", true),
            ("[!^a]", "^", false),
            ("[a-]", "-", true),
            ("[-a]", "-", true),
            ("[a-]", "a", true),
            ("[a-c-e]", "d", false),
            ("[a-c-e]", "-", true),
            ("[a-c-e]", "b", true),
            ("[c-a]", "b", false),
            ("[c-a]", "c", false),
            ("[!c-a]", "b", true),
            ("[c-ab]", "b", true),
            ("[a-b-a]", "b", true),
            ("\\*", "\\x", true),
            ("\\*", "*", false),
            ("[\\]", "\\", true),
            ("{a,b}*", "a", false),
            ("{a,b}*", "{a,b}c", true),
            ("[[:alpha:]]*", "x", false),
            ("[[:alpha:]]*", "a]x", true),
            ("EOS*", "eos-1", false),
            ("[A-Z]*", "eos", false),
            ("?", "ü", true),
            ("[ä-ü]", "ö", true),
            ("n[0-9][0-9]", "n07", true),
            ("[*]", "*", true),
            ("[*]", "x", false),
            ("[?]x", "?x", true),
            ("[a&&b]*", "&", true),
            ("[a||b]*", "|", true),
            ("[--0]", ".", true),
            ("[!-a]", "-", false),
            ("[!-a]", "b", true),
            ("!a*", "!ab", true),
            ("a*]", "ab]", true),
            ("[]-a]", "^", true),
            ("[]-a]", "b", false),
            ("a*\nb", "a\n\nb", true),
        ] {
            let matches = Glob::new(glob).map_or(glob == name, |glob| glob.matches(name));
            assert_eq!(matches, expected, "{glob} {name}");
        }
    }

    #[test]
    fn what_has_no_wildcard_is_no_glob() {
        for name in ["eos-1", "a[", "a[]", "a[!]", "a]", "!a", "{a,b}", "\\a", ""] {
            assert!(Glob::new(name).is_none(), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_glob_makes_it_panic(glob in "[a-c*?!\\[\\]-]{0,12}", name in "[a-c]{0,12}") {
            if let Some(glob) = Glob::new(&glob) {
                glob.matches(&name);
            }
        }
    }
}
