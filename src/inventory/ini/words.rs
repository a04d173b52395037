//! The words of a host's line, as Python's `shlex.split(line, comments=True)` finds them.

use std::ops::Range;

/// A word without its quotes, and the bytes of the line that it was written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) bytes: Range<usize>,
}

/// Why a line has no words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unended {
    /// A quote that begins at this byte is never closed.
    Quote(usize),
    /// A `\` stands at the end.
    Backslash(usize),
}

/// Splits a line. A `#` begins a comment wherever it stands, but for in quotes: `a=b#c` is `a=b`.
pub(super) fn words(line: &str) -> Result<Vec<Word>, Unended> {
    let mut words = Vec::new();
    let mut current: Option<Word> = None;
    let mut characters = line.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(current.take()),
            '#' => break,
            _ => {
                let word = current.get_or_insert_with(|| Word {
                    text: String::new(),
                    bytes: position..position,
                });
                match character {
                    '\'' => loop {
                        match characters.next() {
                            Some((_, '\'')) => break,
                            Some((_, inside)) => word.text.push(inside),
                            None => return Err(Unended::Quote(position)),
                        }
                    },
                    '"' => loop {
                        match characters.next() {
                            Some((_, '"')) => break,
                            Some((at, '\\')) => match characters.next() {
                                Some((_, escaped @ ('"' | '\\'))) => word.text.push(escaped),
                                Some((_, other)) => word.text.extend(['\\', other]),
                                None => return Err(Unended::Backslash(at)),
                            },
                            Some((_, inside)) => word.text.push(inside),
                            None => return Err(Unended::Quote(position)),
                        }
                    },
                    '\\' => match characters.next() {
                        Some((_, escaped)) => word.text.push(escaped),
                        None => return Err(Unended::Backslash(position)),
                    },
                    other => word.text.push(other),
                }
                word.bytes.end = characters.offset();
            }
        }
    }
    words.extend(current);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked of Python 3.11's `shlex.split(line, comments=True)`.
    #[test]
    fn words_are_what_python_finds() {
        for (line, expected) in [
            ("a b=1  c='x y'", vec!["a", "b=1", "c=x y"]),
            ("a b=\"x \\\" \\n\"", vec!["a", "b=x \" \\n"]),
            ("a b='x \\' # rest", vec!["a", "b=x \\"]),
            ("a b=x\\ y", vec!["a", "b=x y"]),
            ("a b=c#d e=f", vec!["a", "b=c"]),
            ("a b='#' # no", vec!["a", "b=#"]),
            ("a b=", vec!["a", "b="]),
            ("a ''", vec!["a", ""]),
            ("# nothing", vec![]),
            ("a \"b\"'c'd", vec!["a", "bcd"]),
        ] {
            let found: Vec<String> = words(line).unwrap().into_iter().map(|w| w.text).collect();
            assert_eq!(found, expected, "{line}");
        }
        assert_eq!(words("a b='x"), Err(Unended::Quote(4)));
        assert_eq!(words("a b=\"x\\"), Err(Unended::Backslash(6)));
        assert_eq!(words("a \\"), Err(Unended::Backslash(2)));
    }

    #[test]
    fn a_word_knows_its_bytes() {
        let line = "é a='x y' b";
        let found = words(line).unwrap();
        assert_eq!(&line[found[1].bytes.clone()], "a='x y'");
        assert_eq!(&line[found[2].bytes.clone()], "b");
    }
}
