//! Lists, mappings and quoted texts over several lines, moved to the right of what they are in.
//!
//! YAML wants each of their lines further in than the key that they belong to; PyYAML, and so Ansible, does not care within brackets and quotes:
//!
//! ```yaml
//! eos_peers: [
//!   "198.51.100.30",
//! ]
//! ```
//!
//! The parser refuses that. Spaces at the beginning of such a line have no meaning, so they are added, and every character still knows where the user
//! wrote it.

/// A text for the parser, and for each of its characters the byte of the user's text that it stands for.
pub(super) struct Indented {
    pub(super) text: String,
    pub(super) offsets: Vec<usize>,
}

/// Adds the spaces. Only for a text that the parser refuses without them: what is read here is less than YAML.
pub(super) fn indented(text: &str) -> Indented {
    let mut lexer = Lexer::default();
    let mut indented = Indented {
        text: String::with_capacity(text.len() + text.len() / 8),
        offsets: Vec::with_capacity(text.len() + text.len() / 8),
    };
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        // `---` ends everything, also within brackets.
        let ends = ["---", "..."].iter().any(|mark| line.starts_with(mark));
        if let Some(column) = lexer.opened.filter(|_| !ends && !line.trim().is_empty()) {
            for _ in 0..=column {
                indented.text.push(' ');
                indented.offsets.push(start);
            }
        }
        lexer.line(line);
        indented.text.push_str(line);
        let bytes = line.char_indices().map(|(byte, _)| start + byte);
        indented.offsets.extend(bytes);
        start += line.len();
    }
    indented
}

/// What is open at the end of a line.
#[derive(Default)]
struct Lexer {
    /// The column, in characters, where the outermost bracket or quote was opened; `None` if none is open.
    opened: Option<usize>,
    /// Brackets that are open.
    depth: usize,
    quote: Option<char>,
    /// The indentation above which lines belong to a block of text (`|`, `>`).
    block: Option<isize>,
}

/// What may come next on a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    /// A value or a key begins here.
    Token,
    /// A quoted text has ended: `:` after it needs no blank.
    AfterQuote,
    /// A plain text goes on.
    Plain,
}

impl Lexer {
    fn line(&mut self, line: &str) {
        let characters: Vec<char> = line.trim_end_matches(['\n', '\r']).chars().collect();
        let mut position = 0;
        if self.opened.is_none() {
            position = characters.iter().take_while(|c| **c == ' ').count();
            if let Some(indentation) = self.block {
                let belongs = position == characters.len() || position as isize > indentation;
                if belongs {
                    return;
                }
                self.block = None;
            }
        }
        let mut expects = Expects::Token;
        // The column of the innermost key or `-` on this line.
        let mut column = position as isize;
        let mut begins = true;
        while let Some(character) = characters.get(position).copied() {
            let next = characters.get(position + 1).copied();
            let blank_follows = next.is_none_or(char::is_whitespace);
            if let Some(quote) = self.quote {
                let escaped = (quote == '"' && character == '\\')
                    || (quote == '\'' && character == '\'' && next == Some('\''));
                if escaped {
                    position += 1;
                } else if character == quote {
                    self.quote = None;
                    expects = Expects::AfterQuote;
                    if self.depth == 0 {
                        self.opened = None;
                    }
                }
                position += 1;
                continue;
            }
            let token = expects == Expects::Token;
            let after_blank = position == 0 || characters[position - 1].is_whitespace();
            match character {
                '#' if after_blank => return,
                ' ' | '\t' => {}
                '"' | '\'' if token => {
                    self.quote = Some(character);
                    self.opened.get_or_insert(position);
                }
                '[' | '{' if token || self.depth > 0 => {
                    self.depth += 1;
                    self.opened.get_or_insert(position);
                    expects = Expects::Token;
                }
                ']' | '}' if self.depth > 0 => {
                    self.depth -= 1;
                    expects = Expects::AfterQuote;
                    if self.depth == 0 {
                        self.opened = None;
                    }
                }
                ',' if self.depth > 0 => expects = Expects::Token,
                ':' if blank_follows || (self.depth > 0 && expects == Expects::AfterQuote) => {
                    expects = Expects::Token;
                    begins = false;
                }
                '-' | '?' if token && self.depth == 0 && begins && blank_follows => {
                    column = position as isize;
                }
                '|' | '>' if token && self.depth == 0 => {
                    self.block = Some(if begins && column == position as isize {
                        -1
                    } else {
                        column
                    });
                    return;
                }
                // An anchor or a tag: the value is still to come.
                '&' | '!' if token => {
                    let ends =
                        |c: &char| c.is_whitespace() || (self.depth > 0 && ",]}".contains(*c));
                    while characters.get(position + 1).is_some_and(|c| !ends(c)) {
                        position += 1;
                    }
                }
                _ => {
                    if token && begins && self.depth == 0 {
                        column = position as isize;
                    }
                    expects = Expects::Plain;
                }
            }
            position += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_within_brackets_and_quotes_are_moved() {
        for (text, expected) in [
            ("a: [\n1,\n]\nb: 1\n", "a: [\n    1,\n    ]\nb: 1\n"),
            ("a: [x\n]\n", "a: [x\n    ]\n"),
            (
                "- {a: 'x]\n', b: [\n]}\nc\n",
                "- {a: 'x]\n   ', b: [\n   ]}\nc\n",
            ),
            ("a: \"x\ny\"\nb\n", "a: \"x\n    y\"\nb\n"),
            ("a: 'it''s\ny'\nb\n", "a: 'it''s\n    y'\nb\n"),
            ("a: \"\\\"\nx\"\n", "a: \"\\\"\n    x\"\n"),
            // A comment, a plain text and a block of text open nothing.
            ("a: 1 # [\nb\n", "a: 1 # [\nb\n"),
            ("a: x [\nb: don't\nc\n", "a: x [\nb: don't\nc\n"),
            (
                "a: |\n  [\n\n  \"\nb: [\nc\n]",
                "a: |\n  [\n\n  \"\nb: [\n    c\n    ]",
            ),
            (
                "- k: >-\n    [\n  j: {\n}\nc\n",
                "- k: >-\n    [\n  j: {\n      }\nc\n",
            ),
            ("- |\n  [\n- [\n]\n", "- |\n  [\n- [\n   ]\n"),
            (
                "a: !unsafe [\n'x'\n]\n",
                "a: !unsafe [\n            'x'\n            ]\n",
            ),
            (
                "a: &b {x: *c, # }\ny: z\n}\n",
                "a: &b {x: *c, # }\n       y: z\n       }\n",
            ),
            (
                "\"a\": {\"b\":[\n1]\n}\nc\n",
                "\"a\": {\"b\":[\n      1]\n      }\nc\n",
            ),
            ("é: [\nö\n]\n", "é: [\n    ö\n    ]\n"),
            ("a: [don't,\nb]\nc\n", "a: [don't,\n    b]\nc\n"),
        ] {
            let indented = indented(text);
            assert_eq!(indented.text, expected, "{text}");
            assert_eq!(indented.offsets.len(), indented.text.chars().count());
            // Without the spaces that were added, which stand where their line begins, it is the text again.
            let next = indented.offsets.iter().skip(1).map(Some).chain([None]);
            let characters = indented.text.chars().zip(&indented.offsets).zip(next);
            let written: String = characters
                .filter(|((_, offset), next)| *next != Some(*offset))
                .map(|((character, _), _)| character)
                .collect();
            assert_eq!(written, text);
        }
    }
}
