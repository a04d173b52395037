//! A template as its author wrote it → one that minijinja reads as Ansible reads the first.
//!
//! Three things are read otherwise, and each is written with a filter of [`super::operators`]:
//!
//! * Parts of what is not defined: `a.b` becomes `(a|part_of).b`, so that `nope.a | default(x)` is `x`.
//! * `<`, `<=`, `>`, `>=`, `in` and `not in`: Python refuses to order a text and a number, where minijinja has some order.
//! * Backslashes in the texts of an expression: Ansible takes them as they are, so that `'\d'` and `'\1'` need no other ones.
//!
//! The names of filters and tests are looked at on the way: an unknown one is a mistake wherever it stands.

use std::ops::Range;

use crate::role::jinja::names::Kind;
use crate::role::jinja::operators::COMPARE;
use crate::role::jinja::operators::OPERATORS;
use crate::role::jinja::operators::PART_OF;

/// Brackets within each other. minijinja takes 150; deeper ones are left to it.
const DEEPEST: usize = 200;

/// A text that minijinja reads.
pub(in crate::role) struct Translation {
    /// The text.
    pub(in crate::role) text: String,
    /// Where its pieces come from: byte in the text, byte in the original.
    pieces: Vec<(usize, usize)>,
    /// How long the original is.
    length: usize,
}

impl Translation {
    /// The bytes of the original that a part of the text comes from.
    pub(in crate::role) fn original(&self, part: &Range<usize>) -> Range<usize> {
        let place = |at: usize| {
            let after = self.pieces.partition_point(|(out, _)| *out <= at);
            let (out, from) = self.pieces[..after].last().copied().unwrap_or_default();
            let next = self
                .pieces
                .get(after)
                .map_or(self.length, |(_, from)| *from);
            (from + (at - out)).min(next.max(from))
        };
        place(part.start)..place(part.end)
    }
}

/// The name of a plugin in a text.
pub(in crate::role) struct Named {
    /// What kind it is.
    pub(in crate::role) kind: Kind,
    /// The name as it is written.
    pub(in crate::role) name: String,
    /// Where.
    pub(in crate::role) range: Range<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Name,
    Number,
    Text,
    Sign,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    token: Token,
    start: usize,
    end: usize,
}

/// Something that is written into the text.
enum Edit {
    /// After what ends there.
    Close(String),
    /// Before what begins there.
    Open,
    /// Instead of what is there, up to a byte.
    Replace(usize, String),
}

/// Translates a text, and hands over the name of every filter and test in it.
pub(in crate::role) fn translate(text: &str, named: &mut dyn FnMut(Named)) -> Translation {
    let mut reader = Reader {
        text,
        tokens: Vec::new(),
        edits: Vec::new(),
        named,
    };
    reader.read();
    let edits = std::mem::take(&mut reader.edits);
    apply(text, edits)
}

fn apply(text: &str, mut edits: Vec<(usize, Edit)>) -> Translation {
    edits.sort_by_key(|(at, edit)| {
        let rank = match edit {
            Edit::Close(_) => 0,
            Edit::Open => 1,
            Edit::Replace(..) => 2,
        };
        (*at, rank)
    });
    let mut made = Translation {
        text: String::with_capacity(text.len() + 16 * edits.len()),
        pieces: vec![(0, 0)],
        length: text.len(),
    };
    let mut from = 0;
    for (at, edit) in edits {
        if at < from {
            continue;
        }
        made.text.push_str(&text[from..at]);
        from = at;
        match edit {
            Edit::Close(close) => made.text.push_str(&close),
            Edit::Open => made.text.push('('),
            Edit::Replace(end, instead) => {
                made.text.push_str(&instead);
                from = end;
            }
        }
        made.pieces.push((made.text.len(), from));
    }
    made.text.push_str(&text[from..]);
    made
}

struct Reader<'t> {
    text: &'t str,
    tokens: Vec<Piece>,
    edits: Vec<(usize, Edit)>,
    named: &'t mut dyn FnMut(Named),
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut at = 0;
        while let Some(found) = self.text[at..].find('{') {
            let start = at + found;
            let rest = &self.text[start..];
            at = if rest.starts_with("{{") {
                self.block(start, "}}")
            } else if rest.starts_with("{%") {
                self.block(start, "%}")
            } else if rest.starts_with("{#") {
                rest.find("#}")
                    .map_or(self.text.len(), |end| start + end + 2)
            } else {
                start + 1
            };
        }
    }

    /// Reads the block that begins at `start`; the byte after it. What cannot be read is left to minijinja.
    fn block(&mut self, start: usize, close: &str) -> usize {
        self.tokens.clear();
        let Some(end) = self.tokenize(start + 2, close) else {
            return self.text.len();
        };
        if close == "}}" {
            let texts: Vec<Piece> = self
                .tokens
                .iter()
                .filter(|t| t.token == Token::Text)
                .copied()
                .collect();
            for piece in texts {
                self.keep_backslashes(piece);
            }
            self.walk(0, self.tokens.len(), 0);
            return end;
        }
        let keyword = self
            .tokens
            .first()
            .map(|piece| self.of(*piece))
            .unwrap_or_default();
        match keyword {
            "raw" => {
                let rest = &self.text[end..];
                let raw_end = rest.match_indices("{%").find(|(at, _)| {
                    let inside = rest[at + 2..].trim_start_matches(['-', '+']).trim_start();
                    inside.starts_with("endraw")
                });
                return raw_end.map_or(self.text.len(), |(at, _)| end + at);
            }
            "for" => self.walk_after("in"),
            "set" => self.walk_after("="),
            "macro" | "call" | "block" | "import" | "from" | "include" | "extends" => {}
            "filter" => {
                self.plugin(Kind::Filter, 1, self.tokens.len());
            }
            _ => self.walk(1, self.tokens.len(), 0),
        }
        end
    }

    /// Walks through what follows the first of these words outside of brackets.
    fn walk_after(&mut self, word: &str) {
        let mut depth = 0_usize;
        for index in 0..self.tokens.len() {
            match self.word(index) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                other if depth == 0 && other == word => {
                    self.walk(index + 1, self.tokens.len(), 0);
                    return;
                }
                _ => {}
            }
        }
    }

    /// Splits a block into tokens; the byte after its end, if it has one.
    fn tokenize(&mut self, start: usize, close: &str) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = start;
        let mut depth = 0_usize;
        loop {
            let rest = &self.text[at..];
            let blank = rest.len() - rest.trim_start().len();
            if blank > 0 {
                at += blank;
                continue;
            }
            let first = rest.chars().next()?;
            let trimmed = rest.strip_prefix(['-', '+']).unwrap_or(rest);
            if depth == 0 && trimmed.starts_with(close) {
                return Some(at + rest.len() - trimmed.len() + close.len());
            }
            // `{{-`
            if at == start && matches!(first, '-' | '+') {
                at += 1;
                continue;
            }
            let is_attribute = self.tokens.last().is_some_and(|last| self.of(*last) == ".");
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let (token, length) = match first {
                '"' | '\'' => (Token::Text, text_length(rest)?),
                c if c.is_ascii_digit() => (Token::Number, number_length(rest, is_attribute)),
                c if word(c) => {
                    let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
                    (Token::Name, length)
                }
                c => {
                    match c {
                        '(' | '[' | '{' => depth += 1,
                        ')' | ']' | '}' => depth = depth.checked_sub(1)?,
                        _ => {}
                    }
                    let is_double = ["**", "//", "==", "!=", "<=", ">="]
                        .iter()
                        .any(|two| rest.starts_with(two));
                    (Token::Sign, if is_double { 2 } else { c.len_utf8() })
                }
            };
            let end = at + length;
            self.tokens.push(Piece {
                token,
                start: at,
                end,
            });
            at = end;
            if at >= bytes.len() {
                return None;
            }
        }
    }

    fn of(&self, piece: Piece) -> &str {
        &self.text[piece.start..piece.end]
    }

    /// The word or sign at an index; nothing for a text.
    fn word(&self, index: usize) -> &str {
        match self.tokens.get(index) {
            Some(piece) if piece.token != Token::Text => self.of(*piece),
            _ => "",
        }
    }

    fn is(&self, index: usize, end: usize, token: Token) -> bool {
        index < end && self.tokens[index].token == token
    }

    /// Ansible takes the backslashes of an expression's texts as they are.
    fn keep_backslashes(&mut self, piece: Piece) {
        let written = self.of(piece);
        if !written.contains('\\') {
            return;
        }
        let quote = &written[..1];
        let inside = &written[1..written.len() - 1];
        let inside = inside.replace('\\', "\\\\");
        let inside = inside.replace(quote, &format!("\\{quote}"));
        let instead = format!("{quote}{inside}{quote}");
        self.edits
            .push((piece.start, Edit::Replace(piece.end, instead)));
    }

    /// The index after the bracket that closes the one at `open`.
    fn after(&self, open: usize, end: usize) -> usize {
        let mut depth = 0_usize;
        for index in open..end {
            match self.word(index) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return index + 1;
            }
        }
        end
    }

    /// Reads the tokens of an expression, or of a list of them.
    fn walk(&mut self, start: usize, end: usize, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        // Operands between operators that bind less than filters do.
        let mut operands: Vec<Range<usize>> = Vec::new();
        let mut operators: Vec<(&str, Range<usize>)> = Vec::new();
        let mut from = start;
        let mut index = start;
        while index < end {
            let piece = self.tokens[index];
            let word = &self.text[piece.start..piece.end];
            let separator = match piece.token {
                Token::Name => match word {
                    "not" if self.word(index + 1) == "in" => Some(("not in", 2)),
                    "and" | "or" | "not" | "if" | "else" | "in" => Some((word, 1)),
                    _ => None,
                },
                Token::Sign => match word {
                    "," | ":" | "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" => Some((word, 1)),
                    _ => None,
                },
                _ => None,
            };
            if let Some((operator, length)) = separator {
                operands.push(from..index);
                operators.push((operator, index..index + length));
                index += length;
                from = index;
                continue;
            }
            index = match (piece.token, word) {
                (Token::Name, "is") => {
                    let negated = usize::from(self.word(index + 1) == "not");
                    self.plugin(Kind::Test, index + 1 + negated, end)
                }
                (Token::Sign, "|") => {
                    let after = self.plugin(Kind::Filter, index + 1, end);
                    if self.word(after) == "(" && after < end {
                        let close = self.after(after, end);
                        self.walk(after + 1, close - 1, depth + 1);
                        close
                    } else {
                        after
                    }
                }
                (Token::Sign, "(" | "[" | "{") | (Token::Name | Token::Number | Token::Text, _) => {
                    self.primary(index, end, depth)
                }
                _ => index + 1,
            };
        }
        operands.push(from..end);
        self.compare(&operands, &operators);
    }

    /// Writes comparisons as filters: `1 < x in y` becomes `(1)|compare('<', x, 'in', y)`.
    fn compare(&mut self, operands: &[Range<usize>], operators: &[(&str, Range<usize>)]) {
        let is_one = |index: usize| {
            let operator = operators.get(index).map(|(operator, _)| *operator);
            operator.is_some_and(|one| OPERATORS.contains(&one))
        };
        let mut first = 0;
        while first < operators.len() {
            let mut end = first;
            while is_one(end) {
                end += 1;
            }
            let chain = first..end;
            first = end.max(first + 1);
            let has_all = operands[chain.start..=chain.end]
                .iter()
                .all(|one| !one.is_empty());
            let is_equality = chain.len() == 1 && ["==", "!="].contains(&operators[chain.start].0);
            if chain.is_empty() || is_equality || !has_all {
                continue;
            }
            let begin = self.tokens[operands[chain.start].start].start;
            self.edits.push((begin, Edit::Open));
            for index in chain.clone() {
                let (operator, place) = &operators[index];
                let (from, to) = (
                    self.tokens[place.start].start,
                    self.tokens[place.end - 1].end,
                );
                let instead = match index == chain.start {
                    true => format!(")|{COMPARE}('{operator}', "),
                    false => format!(", '{operator}', "),
                };
                self.edits.push((from, Edit::Replace(to, instead)));
            }
            let end = self.tokens[operands[chain.end].end - 1].end;
            self.edits.push((end, Edit::Close(")".to_string())));
        }
    }

    /// Reads a name, a text, a number or something in brackets, with the parts and calls that follow; the index after it.
    fn primary(&mut self, start: usize, end: usize, depth: usize) -> usize {
        let first = self.tokens[start];
        let mut at = if first.token == Token::Sign {
            let after = self.after(start, end);
            self.walk(start + 1, after - 1, depth + 1);
            after
        } else {
            start + 1
        };
        let mut is_defined = matches!(first.token, Token::Text | Token::Number);
        while at < end {
            let is_part = match self.word(at) {
                "." if self.is(at + 1, end, Token::Name) || self.is(at + 1, end, Token::Number) => {
                    true
                }
                "[" => {
                    let after = self.after(at, end);
                    !self.is_slice(at + 1, after - 1)
                }
                "(" => false,
                _ => break,
            };
            if is_part && !is_defined {
                self.edits.push((first.start, Edit::Open));
                let close = format!("|{PART_OF})");
                self.edits
                    .push((self.tokens[at - 1].end, Edit::Close(close)));
            }
            is_defined = false;
            at = if self.word(at) == "." {
                at + 2
            } else {
                let after = self.after(at, end);
                self.walk(at + 1, after - 1, depth + 1);
                after
            };
        }
        at
    }

    /// Whether a colon stands between these brackets.
    fn is_slice(&self, start: usize, end: usize) -> bool {
        let mut at = start;
        while at < end {
            match self.word(at) {
                ":" => return true,
                "(" | "[" | "{" => at = self.after(at, end),
                _ => at += 1,
            }
        }
        false
    }

    /// Reads the name of a filter or test, and the name that `map`, `select` and the like get as an argument.
    fn plugin(&mut self, kind: Kind, start: usize, end: usize) -> usize {
        if !self.is(start, end, Token::Name) {
            return start;
        }
        let mut last = start;
        while self.word(last + 1) == "." && self.is(last + 2, end, Token::Name) {
            last += 2;
        }
        let range = self.tokens[start].start..self.tokens[last].end;
        let name: String = self.text[range.clone()].split_whitespace().collect();
        let short = name.rsplit('.').next().unwrap_or_default();
        let inner = match (kind, short) {
            (Kind::Filter, "map") => Some((Kind::Filter, 0)),
            (Kind::Filter, "select" | "reject") => Some((Kind::Test, 0)),
            (Kind::Filter, "selectattr" | "rejectattr") => Some((Kind::Test, 1)),
            _ => None,
        };
        (self.named)(Named {
            kind,
            name: name.clone(),
            range,
        });
        if let (Some((kind, place)), "(") = (inner, self.word(last + 1)) {
            self.argument(kind, last + 1, place, end);
        }
        last + 1
    }

    /// Hands over a name that is an argument, if it is written there as a text.
    fn argument(&mut self, kind: Kind, open: usize, place: usize, end: usize) {
        let close = self.after(open, end) - 1;
        let mut at = open + 1;
        for _ in 0..place {
            while at < close && self.word(at) != "," {
                at = match self.word(at) {
                    "(" | "[" | "{" => self.after(at, close),
                    _ => at + 1,
                };
            }
            at += 1;
        }
        let is_alone = at + 1 == close || self.word(at + 1) == ",";
        if self.is(at, close, Token::Text) && is_alone {
            let piece = self.tokens[at];
            let range = piece.start + 1..piece.end - 1;
            let name = self.text[range.clone()].to_string();
            (self.named)(Named { kind, name, range });
        }
    }
}

/// The length of a text with its quotes, if it ends.
fn text_length(rest: &str) -> Option<usize> {
    let quote = rest.chars().next()?;
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn number_length(rest: &str, is_attribute: bool) -> usize {
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        end.unwrap_or(text.len())
    };
    let mut length = digits(rest);
    if is_attribute {
        return length;
    }
    if let Some(fraction) = rest[length..].strip_prefix('.')
        && fraction.starts_with(|c: char| c.is_ascii_digit())
    {
        length += 1 + digits(fraction);
    }
    let has_exponent = rest[..length].ends_with(['e', 'E']) && !rest.starts_with("0x");
    if has_exponent && let Some(exponent) = rest[length..].strip_prefix(['+', '-']) {
        length += 1 + digits(exponent);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str) -> (String, Vec<String>) {
        let mut names = Vec::new();
        let made = translate(text, &mut |named| names.push(named.name));
        let short = made.text.replace("fwdeploy_", "");
        (short, names)
    }

    #[test]
    fn parts_comparisons_and_backslashes_are_written_for_minijinja() {
        for (text, expected) in [
            ("a.b", "a.b"),
            ("{{ a }}", "{{ a }}"),
            ("{{ a.b }}", "{{ (a|part_of).b }}"),
            ("{{ a.b['c'] }}", "{{ ((a|part_of).b|part_of)['c'] }}"),
            ("{{ a[b.c] }}", "{{ (a|part_of)[(b|part_of).c] }}"),
            ("{{ a[1:] }}", "{{ a[1:] }}"),
            ("{{ f(a.b).c }}", "{{ (f((a|part_of).b)|part_of).c }}"),
            ("{{ 'x'.upper() }}", "{{ 'x'.upper() }}"),
            ("{{ a.0.1 }}", "{{ ((a|part_of).0|part_of).1 }}"),
            ("{{ 1.5 }}", "{{ 1.5 }}"),
            ("{{ a < 1 }}", "{{ (a )|compare('<',  1) }}"),
            (
                "{{ not a in b or c >= d }}",
                "{{ not (a )|compare('in',  b) or (c )|compare('>=',  d) }}",
            ),
            ("{{ a not in b }}", "{{ (a )|compare('not in',  b) }}"),
            ("{{ 1 < a == 3 }}", "{{ (1 )|compare('<',  a , '==',  3) }}"),
            ("{{ a == 3 }}", "{{ a == 3 }}"),
            (
                "{{ x if a<b.c else y }}",
                "{{ x if (a)|compare('<', (b|part_of).c) else y }}",
            ),
            (
                "{{ f(a < 1, b=c > 2) }}",
                "{{ f((a )|compare('<',  1), b=(c )|compare('>',  2)) }}",
            ),
            (
                "{% for x in a.b %}{% endfor %}",
                "{% for x in (a|part_of).b %}{% endfor %}",
            ),
            (
                "{% if x in y %}{% endif %}",
                "{% if (x )|compare('in',  y) %}{% endif %}",
            ),
            ("{% set n.x = a.b %}", "{% set n.x = (a|part_of).b %}"),
            (
                "{% raw %}{{ a.b }}{% endraw %}",
                "{% raw %}{{ a.b }}{% endraw %}",
            ),
            ("{# {{ a.b }} #}", "{# {{ a.b }} #}"),
            (r"{{ '\d' }}", r"{{ '\\d' }}"),
            (r"{% if '\n' %}{% endif %}", r"{% if '\n' %}{% endif %}"),
            (
                "{{ {'a': {'b': 1}}.a }}",
                "{{ ({'a': {'b': 1}}|part_of).a }}",
            ),
            ("{{ a.b ", "{{ a.b "),
            ("{{ ) }}", "{{ ) }}"),
            ("{{- a.b -}}", "{{- (a|part_of).b -}}"),
        ] {
            assert_eq!(translated(text).0, expected, "{text}");
        }
    }

    #[test]
    fn every_name_of_a_filter_or_test_is_seen() {
        for (text, expected) in [
            ("{{ a | b | c.d.e(f | g) }}", vec!["b", "c.d.e", "g"]),
            ("{{ a is b and c is not d(e) }}", vec!["b", "d"]),
            (
                "{{ a | map('x') | select(\"y\", 1) }}",
                vec!["map", "x", "select", "y"],
            ),
            ("{{ a | selectattr('x', 'y', 1) }}", vec!["selectattr", "y"]),
            (
                "{{ a | map(attribute='x') | reject(b) }}",
                vec!["map", "reject"],
            ),
            ("{% filter x %}{% endfilter %}", vec!["x"]),
            ("{% for a in b | c if d is e %}{% endfor %}", vec!["c", "e"]),
            ("{{ [a | b, {'c': d | e}] }}", vec!["b", "e"]),
        ] {
            assert_eq!(translated(text).1, expected, "{text}");
        }
    }

    #[test]
    fn places_lead_back_to_what_was_written() {
        let text = "x {{ ab.cd.ef < 12 }} Z";
        let made = translate(text, &mut |_| {});
        for word in ["x", "ab", "cd", "ef", "12", "Z"] {
            let (there, here) = (made.text.find(word), text.find(word));
            let (Some(there), Some(here)) = (there, here) else {
                panic!("{word}");
            };
            let place = made.original(&(there..there + word.len()));
            assert_eq!(place, here..here + word.len(), "{word} in {}", made.text);
        }
        assert_eq!(made.original(&(0..made.text.len())), 0..text.len());
    }
}
