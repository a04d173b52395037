//! The plain output of `busctl call`: a D-Bus signature, then the values one after the other.
//!
//! `a(sss) 1 "ipv4" "filter" "DOCKER-USER"` is an array of one structure. Plain, because busctl before systemd 240 has
//! no JSON.

use std::str::Chars;

/// How deep values may nest; the D-Bus specification allows 64 levels of containers.
const DEPTH: u32 = 64;

/// A value of D-Bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `b`.
    Bool(bool),
    /// `s`, `o`, `g`.
    Text(String),
    /// Any number, in its own words.
    Number(String),
    /// `a…`; a dictionary is an array of structures of two.
    Array(Vec<Value>),
    /// `(…)` and `{…}`.
    Struct(Vec<Value>),
}

impl Value {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The members, if it is a structure.
    pub fn members(&self) -> Option<&[Value]> {
        match self {
            Value::Struct(values) => Some(values),
            _ => None,
        }
    }

    /// The texts, if it is an array of texts.
    pub fn texts(&self) -> Option<Vec<String>> {
        let texts = self.array()?.iter().map(|v| v.text().map(String::from));
        texts.collect()
    }

    /// The value of a key, if it is a dictionary by text that has it.
    pub fn entry(&self, key: &str) -> Option<&Value> {
        self.array()?.iter().find_map(|entry| match entry {
            Value::Struct(pair) if pair.len() == 2 && pair[0].text() == Some(key) => pair.get(1),
            _ => None,
        })
    }
}

/// Where busctl puts its blanks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blanks {
    /// Between all values.
    Everywhere,
    /// busctl before systemd 221 (CentOS 7 has 219): in a structure that is no element of an array, there is none before the second
    /// and any further array, until a plain value has come. `(a(sss)a(sas)) 00` is two empty arrays, and a text is followed
    /// by a count as in `"DOCKER-USER"6`. It stays unambiguous: a count does not begin with 0 unless it is 0.
    NotBetweenArrays,
}

/// Reads an answer that has the one type of `signature`.
///
/// # Errors
/// What is wrong with it.
pub fn parse(answer: &str, signature: &str) -> Result<Value, String> {
    let text = answer.trim_end_matches(['\n', '\r']);
    let read = |blanks| {
        let mut reader = Reader {
            chars: text.strip_prefix(signature)?.strip_prefix(' ')?.chars(),
            blanks,
        };
        let value = reader.single(signature)?;
        let rest = reader.chars.as_str();
        rest.trim().is_empty().then_some(value)
    };
    let value = read(Blanks::Everywhere).or_else(|| read(Blanks::NotBetweenArrays));
    value.ok_or_else(|| {
        let begins: String = answer.chars().take(40).collect();
        format!("an answer of type `{signature}` was expected, but it begins with `{begins}`")
    })
}

struct Reader<'a> {
    chars: Chars<'a>,
    blanks: Blanks,
}

impl<'a> Reader<'a> {
    /// Takes up to the next space.
    fn word(&mut self) -> &'a str {
        let text = self.chars.as_str();
        let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
        self.chars = rest.chars();
        word
    }

    /// Takes the count of an array's elements.
    fn count(&mut self) -> Option<usize> {
        // What follows a 0 without a blank is the next array.
        if self.blanks == Blanks::NotBetweenArrays
            && let Some(rest) = self.chars.as_str().strip_prefix('0')
        {
            self.chars = rest.chars();
            return Some(0);
        }
        let word = self.word();
        // With a zero ahead, a length that is cut off would be another length.
        let is_plain = word == "0" || word.starts_with(|c: char| matches!(c, '1'..='9'));
        is_plain.then(|| word.parse().ok()).flatten()
    }

    /// Takes the blank ahead of a value, where there has to be one.
    fn blank(&mut self, is_due: bool) -> Option<()> {
        if is_due {
            (self.chars.next()? == ' ').then_some(())?;
        }
        Some(())
    }

    /// Takes a value whose signature is exactly one type.
    fn single(&mut self, signature: &str) -> Option<Value> {
        let (value, rest) = self.value(signature, false, 0)?;
        rest.is_empty().then_some(value)
    }

    /// Takes a value of the first type of a signature, and returns the rest of the signature. `blank` is whether a blank precedes it.
    fn value<'s>(
        &mut self,
        signature: &'s str,
        blank: bool,
        depth: u32,
    ) -> Option<(Value, &'s str)> {
        if depth > DEPTH {
            return None;
        }
        let first = signature.chars().next()?;
        let rest = &signature[first.len_utf8()..];
        // A structure has no text of its own: its first member has the blank.
        if !matches!(first, '(' | '{') {
            self.blank(blank)?;
        }
        match first {
            's' | 'o' | 'g' => Some((Value::Text(self.text()?), rest)),
            'b' => match self.word() {
                "true" => Some((Value::Bool(true), rest)),
                "false" => Some((Value::Bool(false), rest)),
                _ => None,
            },
            'y' | 'n' | 'q' | 'i' | 'u' | 'x' | 't' | 'd' | 'h' => {
                let number = self.word();
                number.parse::<f64>().ok()?;
                Some((Value::Number(number.to_string()), rest))
            }
            'v' => {
                let inner = self.word();
                let (value, after) = self.value(inner, true, depth + 1)?;
                after.is_empty().then_some((value, rest))
            }
            'a' => {
                let after = skip_type(rest, depth)?;
                let length = self.count()?;
                // What it claims to have may not be there.
                let mut values = Vec::with_capacity(length.min(1 << 10));
                for _ in 0..length {
                    values.push(self.value(rest, true, depth + 1)?.0);
                }
                Some((Value::Array(values), after))
            }
            '(' | '{' => {
                let mut inner = rest;
                let mut blank = blank;
                let mut values = Vec::new();
                loop {
                    if let Some(after) = inner.strip_prefix([')', '}']) {
                        // An empty structure would let an array claim any length.
                        return (!values.is_empty()).then_some((Value::Struct(values), after));
                    }
                    let (value, after) = self.value(inner, blank, depth + 1)?;
                    let is_plain = !inner.starts_with(['a', '(', '{', 'v']);
                    blank |= is_plain || self.blanks == Blanks::Everywhere;
                    values.push(value);
                    inner = after;
                }
            }
            _ => None,
        }
    }

    /// Takes a quoted text with systemd's C escapes (`cescape`).
    fn text(&mut self) -> Option<String> {
        if self.chars.next()? != '"' {
            return None;
        }
        let plain = self.plain()?;
        if let Some(rest) = self.chars.as_str().strip_prefix('"') {
            self.chars = rest.chars();
            return Some(plain.to_string());
        }
        let mut bytes = plain.as_bytes().to_vec();
        loop {
            let byte = match self.chars.next()? {
                '"' => return String::from_utf8(bytes).ok(),
                '\\' => match self.chars.next()? {
                    'a' => 0x07,
                    'b' => 0x08,
                    'f' => 0x0c,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'v' => 0x0b,
                    's' => b' ',
                    'x' => self.digits(2, 16, 0)?,
                    same @ ('\\' | '"' | '\'') => same as u8,
                    octal => self.digits(2, 8, octal.to_digit(8)?)?,
                },
                // `plain` stops at nothing else.
                _ => return None,
            };
            bytes.push(byte);
            bytes.extend(self.plain()?.bytes());
        }
    }

    /// Takes what is before the next quote or backslash; there must be one.
    fn plain(&mut self) -> Option<&'a str> {
        let text = self.chars.as_str();
        let is_special = |byte: u8| matches!(byte, b'"' | b'\\');
        let (plain, rest) = text.split_at(text.bytes().position(is_special)?);
        self.chars = rest.chars();
        Some(plain)
    }

    fn digits(&mut self, count: u32, radix: u32, start: u32) -> Option<u8> {
        let mut number = start;
        for _ in 0..count {
            number = number * radix + self.chars.next()?.to_digit(radix)?;
        }
        u8::try_from(number).ok()
    }
}

/// The signature without its first type, which an empty array does not show.
fn skip_type(signature: &str, depth: u32) -> Option<&str> {
    if depth > DEPTH {
        return None;
    }
    let first = signature.chars().next()?;
    let mut rest = &signature[first.len_utf8()..];
    match first {
        'a' => skip_type(rest, depth + 1),
        '(' | '{' => loop {
            if let Some(after) = rest.strip_prefix([')', '}']) {
                return Some(after);
            }
            rest = skip_type(rest, depth + 1)?;
        },
        _ => "sogbynqiuxtdhv".contains(first).then_some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::Text(value.to_string())
    }

    #[test]
    fn structures_arrays_and_variants_are_read_by_their_signature() {
        assert_eq!(
            parse(
                "a(sssias) 1 \"ipv4\" \"filter\" \"X\" -5 2 \"-j\" \"ACCEPT\"\n",
                "a(sssias)"
            ),
            Ok(Value::Array(vec![Value::Struct(vec![
                text("ipv4"),
                text("filter"),
                text("X"),
                Value::Number("-5".to_string()),
                Value::Array(vec![text("-j"), text("ACCEPT")]),
            ])]))
        );
        let properties = parse(
            "a{sv} 3 \"version\" s \"0.9.3\" \"h\" a{sas} 0 \"t\" as 1 \"a b\"\n",
            "a{sv}",
        )
        .unwrap();
        assert_eq!(properties.entry("version"), Some(&text("0.9.3")));
        assert_eq!(
            properties.entry("t").and_then(Value::texts),
            Some(vec!["a b".to_string()])
        );
        assert_eq!(
            parse("(a(sss)a(sssias)a(sas)) 0 0 0\n", "(a(sss)a(sssias)a(sas))"),
            Ok(Value::Struct(vec![
                Value::Array(vec![]),
                Value::Array(vec![]),
                Value::Array(vec![])
            ]))
        );
    }

    /// The permanent direct configuration of CentOS 7, whose busctl (219) leaves blanks out. Seen to fail without `Blanks`.
    #[test]
    fn the_spelling_of_busctl_219_is_read_as_that_of_a_later_one() {
        let signature = "(a(sss)a(sssias)a(sas))";
        let same = [
            ("000", "0 0 0"),
            (
                r#"1 "ipv4" "filter" "DOCKER-USER"2 "ipv4" "filter" "DOCKER-USER" 0 2 "-j" "RETURN" "ipv4" "filter" "X" -5 01 "ipv4" 2 "-t" "nat""#,
                r#"1 "ipv4" "filter" "DOCKER-USER" 2 "ipv4" "filter" "DOCKER-USER" 0 2 "-j" "RETURN" "ipv4" "filter" "X" -5 0 1 "ipv4" 2 "-t" "nat""#,
            ),
            (
                r#"01 "ipv4" "filter" "X" 10 1 "\"6 0"0"#,
                r#"0 1 "ipv4" "filter" "X" 10 1 "\"6 0" 0"#,
            ),
            (
                r#"00 10 "ipv4" 0 "ipv4" 0 "ipv4" 0 "ipv4" 0 "ipv4" 0 "ipv4" 0 "ipv4" 0 "ipv4" 0 "ipv4" 0 "ipv4" 0"#,
                "",
            ),
        ];
        for (old, new) in same {
            let old = format!("{signature} {old}");
            let read = parse(&old, signature);
            if new.is_empty() {
                // No busctl prints some of the blanks.
                assert!(read.is_err(), "{old}");
                continue;
            }
            let new = format!("{signature} {new}");
            assert!(read.is_ok(), "{old}");
            assert_eq!(read, parse(&new, signature), "{old}");
            for end in 0..old.len() {
                assert!(parse(&old[..end], signature).is_err(), "{}", &old[..end]);
            }
        }
        // After a plain value there are blanks, in that version too.
        let settings = r#"(sssasa(ss)asb) "" "" "" 0 1 "80" "tcp" 0 false"#;
        assert!(parse(settings, "(sssasa(ss)asb)").is_ok());
        let joined = settings.replace(" 0 1", " 01");
        assert!(parse(&joined, "(sssasa(ss)asb)").is_err());
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(
            parse(r#"s "a \"b\" \\ \303\251 \n\x41""#, "s"),
            Ok(text("a \"b\" \\ é \nA"))
        );
    }

    #[test]
    fn what_is_cut_off_or_of_another_type_is_an_error() {
        let whole = r#"a(sss) 2 "ipv4" "filter" "X" "ipv4" "filter" "Y""#;
        for end in 0..whole.len() {
            assert!(parse(&whole[..end], "a(sss)").is_err(), "{end}");
        }
        assert!(parse("as 0", "a(sss)").is_err());
        assert!(parse("a(sss) 1 \"a\" \"b\" \"c\" \"d\"", "a(sss)").is_err());
        assert!(parse("as 01 \"a\"", "as").is_err());
        assert!(parse("as +1 \"a\"", "as").is_err());
        assert!(parse("a() 99999999999999", "a()").is_err());
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "v".to_string() + &" v".repeat(100_000);
        assert!(parse(&deep, "v").is_err());
        let deep = "a".repeat(100_000);
        assert!(parse(&format!("{deep} 1"), &deep).is_err());
    }
}
