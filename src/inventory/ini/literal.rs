//! Values of an INI inventory: Python literals where they are some, and text otherwise.
//!
//! Follows `_parse_value` of Ansible's `plugins/inventory/ini.py`, which asks Python's `ast.literal_eval`: `80,443` is a list, `0644` is text,
//! `None` is null, `yes` is text.

use std::iter::Peekable;
use std::str::Chars;

use serde_yaml::Mapping;
use serde_yaml::Value;

/// Deeper literals stay text. Python's own parser refuses at 200 brackets.
const MAX_DEPTH: usize = 60;

/// Returns the value that a text stands for in an INI inventory.
pub(super) fn value(text: &str) -> Value {
    literal(text).unwrap_or_else(|| Value::from(text))
}

/// Returns the value of a Python literal; `None` if the text is none.
fn literal(text: &str) -> Option<Value> {
    let tokens = tokens(text.trim_start_matches([' ', '\t']))?;
    let mut parser = Parser {
        tokens: &tokens,
        next: 0,
        depth: 0,
    };
    let first = parser.element()?;
    let parsed = if parser.peek() == Some(&Token::Sign(',')) {
        // A tuple without parentheses: `1, 2`.
        Parsed::Plain(Value::Sequence(parser.rest_of_list(first, None)?))
    } else {
        first
    };
    parser.is_done().then(|| parsed.into_value()).flatten()
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Text(String),
    Bytes(String),
    Int(Int),
    Float(f64),
    Imaginary(f64),
    Word(String),
    Sign(char),
    Dots,
}

/// A whole number; `None` if it is outside of what JSON readers and YAML of this program can hold.
type Int = Option<i128>;

/// A value on its way: numbers may still get a sign or an imaginary part.
#[derive(Clone, Debug)]
enum Parsed {
    Plain(Value),
    Int(Int),
    Float(f64),
    Complex(f64, f64),
}

impl Parsed {
    fn into_value(self) -> Option<Value> {
        match self {
            Self::Plain(value) => Some(value),
            Self::Int(int) => {
                let int = int?;
                i64::try_from(int)
                    .map(Value::from)
                    .or_else(|_| u64::try_from(int).map(Value::from))
                    .ok()
            }
            Self::Float(float) => Some(Value::from(float)),
            Self::Complex(real, imaginary) => Some(Value::from(complex(real, imaginary))),
        }
    }
}

/// A complex number as Python prints it, which is what Ansible makes of one.
fn complex(real: f64, imaginary: f64) -> String {
    if real == 0.0 && real.is_sign_positive() {
        format!("{imaginary}j")
    } else {
        format!("({real}{imaginary:+}j)")
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn is_done(&self) -> bool {
        self.next == self.tokens.len()
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next)?.clone();
        self.next += 1;
        Some(token)
    }

    fn takes(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.next += usize::from(found);
        found
    }

    /// One value: with signs before it, and perhaps an imaginary part after it.
    fn element(&mut self) -> Option<Parsed> {
        let first = self.signed()?;
        let sign = match self.peek() {
            Some(Token::Sign('+')) => 1.0,
            Some(Token::Sign('-')) => -1.0,
            _ => return Some(first),
        };
        self.next += 1;
        let Some(Token::Imaginary(imaginary)) = self.take() else {
            return None;
        };
        let real = match first {
            Parsed::Int(Some(int)) => int as f64,
            Parsed::Float(float) => float,
            _ => return None,
        };
        Some(Parsed::Complex(real, sign * imaginary))
    }

    fn signed(&mut self) -> Option<Parsed> {
        let negative = match self.peek()? {
            Token::Sign('-') => true,
            Token::Sign('+') => false,
            _ => return self.atom(),
        };
        self.next += 1;
        // Python allows one sign; `--1` is no literal.
        let number = match self.take()? {
            Token::Int(int) => Parsed::Int(int),
            Token::Float(float) => Parsed::Float(float),
            Token::Imaginary(imaginary) => Parsed::Complex(0.0, imaginary),
            _ => return None,
        };
        Some(match (negative, number) {
            (true, Parsed::Int(int)) => Parsed::Int(int.and_then(i128::checked_neg)),
            (true, Parsed::Float(float)) => Parsed::Float(-float),
            (true, Parsed::Complex(_, imaginary)) => Parsed::Complex(-0.0, -imaginary),
            (_, number) => number,
        })
    }

    fn atom(&mut self) -> Option<Parsed> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let atom = self.atom_inside();
        self.depth -= 1;
        atom
    }

    fn atom_inside(&mut self) -> Option<Parsed> {
        Some(match self.take()? {
            Token::Int(int) => Parsed::Int(int),
            Token::Float(float) => Parsed::Float(float),
            Token::Imaginary(imaginary) => Parsed::Complex(0.0, imaginary),
            Token::Dots => Parsed::Plain(Value::from("...")),
            Token::Text(text) => {
                let mut all = text;
                while let Some(Token::Text(more)) = self.peek() {
                    all.push_str(more);
                    self.next += 1;
                }
                // Text and bytes cannot be joined.
                if matches!(self.peek(), Some(Token::Bytes(_))) {
                    return None;
                }
                Parsed::Plain(Value::from(all))
            }
            Token::Bytes(text) => {
                let mut all = text;
                while let Some(Token::Bytes(more)) = self.peek() {
                    all.push_str(more);
                    self.next += 1;
                }
                if matches!(self.peek(), Some(Token::Text(_))) {
                    return None;
                }
                Parsed::Plain(Value::from(all))
            }
            Token::Word(word) => match word.as_str() {
                "None" => Parsed::Plain(Value::Null),
                "True" => Parsed::Plain(Value::from(true)),
                "False" => Parsed::Plain(Value::from(false)),
                "set" if self.takes('(') && self.takes(')') => {
                    Parsed::Plain(Value::Sequence(Vec::new()))
                }
                _ => return None,
            },
            Token::Sign('[') => Parsed::Plain(Value::Sequence(self.list(']')?)),
            Token::Sign('(') => self.parenthesis()?,
            Token::Sign('{') => self.braces()?,
            Token::Sign(_) => return None,
        })
    }

    /// What is between the brackets of a list.
    fn list(&mut self, close: char) -> Option<Vec<Value>> {
        if self.takes(close) {
            return Some(Vec::new());
        }
        let first = self.element()?;
        self.rest_of_list(first, Some(close))
    }

    /// The elements after the first one, up to the closing bracket or the end.
    fn rest_of_list(&mut self, first: Parsed, close: Option<char>) -> Option<Vec<Value>> {
        let mut values = vec![first.into_value()?];
        loop {
            let ended = |parser: &mut Self| match close {
                Some(close) => parser.takes(close),
                None => parser.is_done(),
            };
            if ended(self) {
                return Some(values);
            }
            if !self.takes(',') {
                return None;
            }
            if ended(self) {
                return Some(values);
            }
            values.push(self.element()?.into_value()?);
        }
    }

    /// A tuple, or a value in parentheses.
    fn parenthesis(&mut self) -> Option<Parsed> {
        if self.takes(')') {
            return Some(Parsed::Plain(Value::Sequence(Vec::new())));
        }
        let first = self.element()?;
        if self.takes(')') {
            return Some(first);
        }
        let values = self.rest_of_list(first, Some(')'))?;
        Some(Parsed::Plain(Value::Sequence(values)))
    }

    /// A dictionary, or a set, of which Ansible makes a list.
    fn braces(&mut self) -> Option<Parsed> {
        if self.takes('}') {
            return Some(Parsed::Plain(Value::Mapping(Mapping::new())));
        }
        let first = self.element()?;
        if !self.takes(':') {
            let values = self.rest_of_list(first, Some('}'))?;
            // Python cannot put a list or a dictionary into a set, and a set has each value once.
            if values
                .iter()
                .any(|value| value.is_sequence() || value.is_mapping())
            {
                return None;
            }
            let mut once: Vec<Value> = Vec::new();
            for value in values {
                if !once.contains(&value) {
                    once.push(value);
                }
            }
            return Some(Parsed::Plain(Value::Sequence(once)));
        }
        let mut mapping = Mapping::new();
        let mut key = first;
        loop {
            let value = self.element()?.into_value()?;
            mapping.insert(Value::from(key_text(key.into_value()?)?), value);
            if self.takes('}') {
                break;
            }
            if !self.takes(',') {
                return None;
            }
            if self.takes('}') {
                break;
            }
            key = self.element()?;
            if !self.takes(':') {
                return None;
            }
        }
        Some(Parsed::Plain(Value::Mapping(mapping)))
    }
}

/// The key of a dictionary as JSON has it, where every key is text.
fn key_text(key: Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some("null".to_owned()),
        _ => None,
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut characters = text.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(first) = characters.next() {
        match first {
            ' ' | '\t' | '\u{c}' => {}
            // A comment: the text is one line.
            '#' => break,
            '[' | ']' | '(' | ')' | '{' | '}' | ',' | ':' | '+' | '-' => {
                tokens.push(Token::Sign(first))
            }
            '\'' | '"' => tokens.push(Token::Text(string(&mut characters, first, Kind::Text)?)),
            '0'..='9' | '.' => tokens.push(number(first, &mut characters)?),
            _ if first.is_alphabetic() || first == '_' => {
                let mut word = String::from(first);
                while let Some(next) =
                    characters.next_if(|next| next.is_alphanumeric() || *next == '_')
                {
                    word.push(next);
                }
                tokens.push(match characters.peek() {
                    Some(quote @ ('\'' | '"')) => {
                        let quote = *quote;
                        characters.next();
                        prefixed(&word, quote, &mut characters)?
                    }
                    _ => Token::Word(word),
                });
            }
            _ => return None,
        }
    }
    Some(tokens)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Raw,
    Bytes,
    RawBytes,
}

/// A string with letters before its quote: `r'…'`, `b'…'`. `f'…'` is no literal.
fn prefixed(prefix: &str, quote: char, characters: &mut Peekable<Chars<'_>>) -> Option<Token> {
    let kind = match prefix.to_ascii_lowercase().as_str() {
        "u" => Kind::Text,
        "r" => Kind::Raw,
        "b" => Kind::Bytes,
        "br" | "rb" => Kind::RawBytes,
        _ => return None,
    };
    let text = string(characters, quote, kind)?;
    Some(match kind {
        Kind::Text | Kind::Raw => Token::Text(text),
        Kind::Bytes | Kind::RawBytes => Token::Bytes(text),
    })
}

/// What is between quotes; the first quote is already taken.
fn string(characters: &mut Peekable<Chars<'_>>, quote: char, kind: Kind) -> Option<String> {
    let mut ahead = characters.clone();
    let triple = ahead.next() == Some(quote) && ahead.next() == Some(quote);
    if triple {
        characters.next();
        characters.next();
    }
    let mut text = String::new();
    loop {
        let next = characters.next()?;
        if next == quote {
            if !triple {
                break;
            }
            let mut ahead = characters.clone();
            if ahead.next() == Some(quote) && ahead.next() == Some(quote) {
                characters.next();
                characters.next();
                break;
            }
            text.push(next);
        } else if next == '\\' {
            let escaped = characters.next()?;
            if matches!(kind, Kind::Raw | Kind::RawBytes) {
                text.extend(['\\', escaped]);
            } else {
                escape(escaped, characters, kind, &mut text)?;
            }
        } else {
            text.push(next);
        }
    }
    let bytes = matches!(kind, Kind::Bytes | Kind::RawBytes);
    (!bytes || text.is_ascii()).then_some(text)
}

fn escape(
    escaped: char,
    characters: &mut Peekable<Chars<'_>>,
    kind: Kind,
    text: &mut String,
) -> Option<()> {
    let mut hex = |digits: usize| -> Option<char> {
        let mut number = 0;
        for _ in 0..digits {
            number = number * 16 + characters.next()?.to_digit(16)?;
        }
        char::from_u32(number)
    };
    let known = match escaped {
        '\\' | '\'' | '"' => escaped,
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        'x' => hex(2)?,
        'u' if kind == Kind::Text => hex(4)?,
        'U' if kind == Kind::Text => hex(8)?,
        // `\N{NAME}` needs the table of Unicode's names.
        'N' if kind == Kind::Text => return None,
        '0'..='7' => {
            let mut number = escaped.to_digit(8)?;
            for _ in 0..2 {
                if let Some(digit) = characters.next_if(|next| next.is_digit(8)) {
                    number = number * 8 + digit.to_digit(8)?;
                }
            }
            char::from_u32(number)?
        }
        other => {
            text.extend(['\\', other]);
            return Some(());
        }
    };
    text.push(known);
    Some(())
}

fn number(first: char, characters: &mut Peekable<Chars<'_>>) -> Option<Token> {
    let mut written = String::from(first);
    while let Some(next) = characters.peek() {
        let sign = matches!(next, '+' | '-')
            && written.ends_with(['e', 'E'])
            && !written.starts_with("0x")
            && !written.starts_with("0X");
        if !(next.is_ascii_alphanumeric() || matches!(next, '.' | '_') || sign) {
            break;
        }
        written.push(*next);
        characters.next();
    }
    if written == "..." {
        return Some(Token::Dots);
    }
    let plain = without_underscores(&written)?;
    let lower = plain.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            let valid = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
            return valid.then(|| Token::Int(i128::from_str_radix(digits, radix).ok()));
        }
    }
    if lower.bytes().all(|byte| byte.is_ascii_digit()) {
        // `0644` is no number in Python, and so is text here; `00` is one.
        let leading = lower.len() > 1 && lower.starts_with('0');
        let zeros = lower.bytes().all(|byte| byte == b'0');
        return (!leading || zeros).then(|| Token::Int(lower.parse().ok()));
    }
    let (digits, imaginary) = match lower.strip_suffix('j') {
        Some(digits) => (digits, true),
        None => (lower.as_str(), false),
    };
    let valid = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | '+' | '-'));
    let float: f64 = valid.then(|| digits.parse().ok()).flatten()?;
    Some(if imaginary {
        Token::Imaginary(float)
    } else {
        Token::Float(float)
    })
}

/// Removes the underscores that Python allows between two digits.
fn without_underscores(written: &str) -> Option<String> {
    let bytes = written.as_bytes();
    let between = |position: usize| {
        let before = position.checked_sub(1).and_then(|before| bytes.get(before));
        let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        is_digit(before) && is_digit(bytes.get(position + 1))
    };
    let allowed = (0..bytes.len()).all(|position| bytes[position] != b'_' || between(position));
    allowed.then(|| written.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked of `ast.literal_eval` of Python 3.11, through Ansible 2.19's `_parse_value`, and printed as JSON.
    #[test]
    fn values_are_what_python_makes_of_them() {
        for (text, expected) in [
            ("5", "5"),
            ("-5", "-5"),
            ("+5", "5"),
            ("--5", "\"--5\""),
            ("0644", "\"0644\""),
            ("00", "0"),
            ("0x1f", "31"),
            ("0o17", "15"),
            ("0b101", "5"),
            ("1_000", "1000"),
            ("1__0", "\"1__0\""),
            ("_1", "\"_1\""),
            ("1.5", "1.5"),
            (".5", "0.5"),
            ("1.", "1.0"),
            ("1e3", "1000.0"),
            ("1.5e-3", "0.0015"),
            ("1.2.3.4", "\"1.2.3.4\""),
            ("True", "true"),
            ("true", "\"true\""),
            ("None", "null"),
            ("yes", "\"yes\""),
            ("'5'", "\"5\""),
            ("\"a\" 'b'", "\"ab\""),
            ("'a' b'b'", "\"'a' b'b'\""),
            ("b'bytes'", "\"bytes\""),
            ("r'a\\n'", "\"a\\\\n\""),
            ("'a\\n'", "\"a\\n\""),
            ("'\\x41\\u00e9\\101'", "\"AéA\""),
            ("'\\q'", "\"\\\\q\""),
            ("f'x'", "\"f'x'\""),
            ("'''it's'''", "\"it's\""),
            ("80,443", "[80,443]"),
            ("80,", "[80]"),
            ("a,b", "\"a,b\""),
            ("['a', 'b',]", "[\"a\",\"b\"]"),
            ("[a, b]", "\"[a, b]\""),
            ("(1)", "1"),
            ("(1,)", "[1]"),
            ("()", "[]"),
            ("{}", "{}"),
            ("set()", "[]"),
            ("{1, 1, 2}", "[1,2]"),
            ("{'a': 1, 2: [3]}", "{\"a\":1,\"2\":[3]}"),
            ("{'a': 1, 'a': 2}", "{\"a\":2}"),
            ("{{ peers }}", "\"{{ peers }}\""),
            ("{'a'}: 1", "\"{'a'}: 1\""),
            ("...", "\"...\""),
            ("2j", "\"2j\""),
            ("1+2j", "\"(1+2j)\""),
            ("5 # five", "5"),
            ("abc # word", "\"abc # word\""),
            ("'a' # word", "\"a\""),
            ("1 2", "\"1 2\""),
            ("1-2", "\"1-2\""),
            ("[1", "\"[1\""),
            ("1]", "\"1]\""),
            ("", "\"\""),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            let json = serde_json::to_string(&value(text)).unwrap();
            assert_eq!(json, expected, "{text}");
        }
    }

    #[test]
    fn deep_brackets_stay_text() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(value(&deep), Value::from(deep));
    }
}
