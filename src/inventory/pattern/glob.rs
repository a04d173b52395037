//! Globs as Python's `fnmatch` reads them, which Ansible uses.

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
            ("[ac]x", "cx", true),
            ("[]]x", "]x", true),
            ("a[b*", "a[bc", true),
            ("**", "", true),
        ] {
            assert_eq!(
                Glob::new(glob).unwrap().matches(name),
                expected,
                "{glob} {name}"
            );
        }
        assert!(Glob::new("eos-1").is_none());
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
