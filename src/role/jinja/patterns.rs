//! Regular expressions as Python's `re` has them: filters, and what tests need.
//!
//! fancy-regex has look-around and back references, as Python; a pattern that goes back and forth without end is stopped.

use fancy_regex::Captures;
use fancy_regex::Regex;
use fancy_regex::RegexBuilder;
use minijinja::Environment;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;

use crate::role::jinja::arguments::Arguments;
use crate::role::jinja::arguments::add_filter;
use crate::role::jinja::python::error;
use crate::role::jinja::python::text;

/// What was found in a text.
type Found<'t> = Captures<'t, str>;

/// Steps back that one search may take.
const STEPS: usize = 100_000;

/// Bytes that a compiled pattern may take.
const SIZE: usize = 1 << 20;

pub(super) fn install(environment: &mut Environment<'static>) {
    add_filter(environment, "regex_replace", |state, value, arguments| {
        let pattern = text(&arguments.need(0, "pattern")?)?;
        let replacement = arguments.get(1, "replacement")?;
        let replacement = replacement.map_or(Ok(String::new()), |one| text(&one))?;
        let ignore_case = arguments.flag(2, "ignorecase", false)?;
        let multiline = arguments.flag(3, "multiline", false)?;
        let most = arguments.int(4, "count")?.unwrap_or(0);
        let wanted = arguments.int(5, "mandatory_count")?.unwrap_or(0);
        let regex = compile(&pattern, ignore_case, multiline)?;
        let replacement = Replacement::parse(&replacement, &regex)?;
        let all = text(value)?;
        let mut made = String::new();
        let mut from = 0;
        let mut count = 0;
        for found in matches(state, &regex, &all)? {
            if most > 0 && count == most {
                break;
            }
            let Some(whole) = found.get(0) else { continue };
            made.push_str(&all[from..whole.start()]);
            let piece = replacement.of(&found);
            state.consume_fuel(piece.len() as u64 / 64)?;
            made.push_str(&piece);
            from = whole.end();
            count += 1;
        }
        made.push_str(&all[from..]);
        if wanted > 0 && wanted != count {
            return Err(error(format!(
                "`regex_replace` should replace {wanted} times, and the pattern is there {count} times"
            )));
        }
        Ok(Value::from(made))
    });
    add_filter(environment, "regex_search", |state, value, arguments| {
        let pattern = text(&arguments.need(0, "regex")?)?;
        let (ignore_case, multiline) = flags(arguments)?;
        let regex = compile(&pattern, ignore_case, multiline)?;
        let all = text(value)?;
        state.consume_fuel(all.len() as u64 / 64)?;
        let Some(found) = regex.captures(all.as_str()).map_err(|_| endless())? else {
            return Ok(Value::from(()));
        };
        let groups = arguments.rest().iter().skip(1);
        let mut made = Vec::new();
        for group in groups {
            let group = group.as_str().unwrap_or_default();
            made.push(group_of(group, &regex, &found)?);
        }
        Ok(match made.is_empty() {
            true => piece(&found, 0),
            false => Value::from(made),
        })
    });
    add_filter(environment, "regex_findall", |state, value, arguments| {
        let pattern = text(&arguments.need(0, "regex")?)?;
        let multiline = arguments.flag(1, "multiline", false)?;
        let ignore_case = arguments.flag(2, "ignorecase", false)?;
        let regex = compile(&pattern, ignore_case, multiline)?;
        let all = text(value)?;
        let one = |found: &Found<'_>| {
            let text = |group: usize| found.get(group).map_or("", |part| part.as_str());
            match found.len() {
                1 => Value::from(text(0)),
                2 => Value::from(text(1)),
                groups => (1..groups).map(text).collect(),
            }
        };
        Ok(matches(state, &regex, &all)?.iter().map(one).collect())
    });
    add_filter(environment, "regex_escape", |_, value, arguments| {
        let kind = arguments
            .text(0, "re_type")?
            .unwrap_or_else(|| "python".to_string());
        let special = match kind.as_str() {
            "python" => "\t\n\u{b}\u{c}\r #$&()*+-.?[\\]^{|}~",
            "posix_basic" => "].[^$*\\",
            _ => return Err(error("`regex_escape` knows `python` and `posix_basic`")),
        };
        let mut made = String::new();
        for c in text(value)?.chars() {
            if special.contains(c) {
                made.push('\\');
            }
            made.push(c);
        }
        Ok(Value::from(made))
    });
}

/// The flags of `regex_search`, which are only given by name.
fn flags(arguments: &Arguments) -> Result<(bool, bool), Error> {
    Ok((
        arguments.flag(usize::MAX, "ignorecase", false)?,
        arguments.flag(usize::MAX, "multiline", false)?,
    ))
}

fn endless() -> Error {
    error("the regular expression goes back and forth without end on this text")
}

/// Compiles a pattern of Python.
pub(super) fn compile(pattern: &str, ignore_case: bool, multiline: bool) -> Result<Regex, Error> {
    let pattern = from_python(pattern, multiline);
    RegexBuilder::new(&pattern)
        .case_insensitive(ignore_case)
        .multi_line(multiline)
        .backtrack_limit(STEPS)
        .delegate_size_limit(SIZE)
        .build()
        .map_err(|_| error("this is not a regular expression, or one that is too large"))
}

/// Python's `\Z` is the very end; its `$` may stand before a last line feed too.
fn from_python(pattern: &str, multiline: bool) -> String {
    let mut made = String::new();
    let mut letters = pattern.chars();
    let mut in_class = false;
    while let Some(c) = letters.next() {
        match c {
            '\\' => match letters.next() {
                Some('Z') => made.push_str("\\z"),
                Some(next) => made.extend(['\\', next]),
                None => made.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                made.push('[');
                // A bracket that is the first of a class is a member of it.
                let mut ahead = letters.clone();
                let negated = ahead.next() == Some('^');
                if negated {
                    made.push('^');
                    letters.next();
                }
                if letters.clone().next() == Some(']') {
                    made.push_str("\\]");
                    letters.next();
                }
            }
            // A class in a class, and `&&`, are no operators in Python.
            '[' | '&' | '~' if in_class => made.extend(['\\', c]),
            ']' if in_class => {
                in_class = false;
                made.push(']');
            }
            '$' if !in_class && !multiline => made.push_str("(?=\\n?\\z)"),
            c => made.push(c),
        }
    }
    made
}

/// Whether a text has a pattern: somewhere, or from its beginning on, or as a whole.
pub(super) fn holds(
    state: &State,
    value: &Value,
    pattern: &str,
    (ignore_case, multiline): (bool, bool),
    kind: &str,
) -> Result<bool, Error> {
    let pattern = match kind {
        "match" => format!("\\A(?:{pattern})"),
        "fullmatch" => format!("\\A(?:{pattern})\\Z"),
        _ => pattern.to_string(),
    };
    let regex = compile(&pattern, ignore_case, multiline)?;
    let all = text(value)?;
    state.consume_fuel(1 + all.len() as u64 / 64)?;
    regex.is_match(all.as_str()).map_err(|_| endless())
}

fn matches<'t>(state: &State, regex: &Regex, all: &'t str) -> Result<Vec<Found<'t>>, Error> {
    state.consume_fuel(all.len() as u64 / 64)?;
    let mut found = Vec::new();
    for one in regex.captures_iter(all) {
        state.consume_fuel(1)?;
        found.push(one.map_err(|_| endless())?);
    }
    Ok(found)
}

/// A group of what was found: nothing if it took no part.
fn piece(found: &Found<'_>, group: usize) -> Value {
    found
        .get(group)
        .map_or_else(|| Value::from(()), |part| Value::from(part.as_str()))
}

/// `\1` or `\g<name>` of `regex_search`.
fn group_of(written: &str, regex: &Regex, found: &Found<'_>) -> Result<Value, Error> {
    let name = written
        .strip_prefix("\\g<")
        .and_then(|rest| rest.strip_suffix('>'));
    let name = name.or_else(|| written.strip_prefix('\\'));
    let name =
        name.ok_or_else(|| error("`regex_search` takes groups as `\\\\1` or `\\\\g<name>`"))?;
    let number =
        number_of(name, regex).ok_or_else(|| error("the regular expression has no such group"))?;
    Ok(piece(found, number))
}

fn number_of(name: &str, regex: &Regex) -> Option<usize> {
    let by_name = || regex.capture_names().position(|one| one == Some(name));
    let number = name.parse().ok().or_else(by_name)?;
    (number < regex.captures_len()).then_some(number)
}

/// What is written instead, as `re.sub` reads it.
struct Replacement(Vec<Part>);

enum Part {
    Text(String),
    Group(usize),
}

impl Replacement {
    fn parse(written: &str, regex: &Regex) -> Result<Self, Error> {
        let unknown =
            || error("the replacement names a group that the regular expression does not have");
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = written;
        while let Some(at) = rest.find('\\') {
            plain.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let name = after
                .strip_prefix("g<")
                .and_then(|named| named.split_once('>'));
            let (group, left) = match (name, after.chars().next()) {
                (Some((name, left)), _) => (Some(name), left),
                (None, Some('1'..='9')) => (Some(&after[..digits.min(2)]), &after[digits.min(2)..]),
                (None, Some(c)) => {
                    let letter = match c {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        '\\' => '\\',
                        c if c.is_ascii_alphanumeric() => {
                            return Err(error(
                                "the replacement has a backslash before a letter that is no escape",
                            ));
                        }
                        c => {
                            plain.push('\\');
                            c
                        }
                    };
                    plain.push(letter);
                    (None, &after[c.len_utf8()..])
                }
                (None, None) => return Err(error("the replacement ends with a backslash")),
            };
            if let Some(name) = group {
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Group(number_of(name, regex).ok_or_else(unknown)?));
            }
            rest = left;
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Replacement(parts))
    }

    fn of(&self, found: &Found<'_>) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Group(group) => found
                .get(*group)
                .map_or("", |part| part.as_str())
                .to_string(),
        };
        self.0.iter().map(text).collect()
    }
}
