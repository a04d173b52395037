//! Which nodes: Ansible's host patterns, for `--limit`.
//!
//! `all`, `*`, a group or a node, globs (`eos*`, `node?`, `[a-c]*`), `~eos-\d` for a regular expression, `a,b` or `a:b` for both, `a:&b` for what is in
//! both, `a:!b` for what is not in `b`, `group[0]`, `group[-1]` and `group[0:2]` for nodes by their position (both ends belong to it, as for Ansible),
//! and `@file` with one pattern a line.
//!
//! What a part matches is Ansible's `inventory/manager.py` line by line. Stricter is only that a part which matches nothing is an error.

mod glob;
mod split;

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::Arc;

use fancy_regex::Regex;

use self::glob::Glob;
use self::split::Subscript;
use super::error::InputError;
use super::error::InputErrors;
use super::error::shown;
use super::files;
use super::graph::did_you_mean;
use super::location::Located;
use super::location::Location;
use super::location::Source;
use super::location::Span;
use super::nodes::Inventory;
use super::nodes::InventoryNode;

/// What a `--limit` asks for.
///
/// ```
/// use fwdeploy::inventory::Pattern;
///
/// assert!(Pattern::parse("cybex:!cyb-seed-*").is_ok());
/// assert!(Pattern::parse(r"~cyb-(bp|seed)-\d+$").is_ok());
/// assert!(Pattern::parse("~cyb(").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    location: Location,
    parts: Vec<Part>,
}

/// One part, and how it combines with the others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    effect: Effect,
    text: Located<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Add,
    Keep,
    Remove,
}

impl Pattern {
    /// Reads a pattern without files.
    ///
    /// # Errors
    ///
    /// An empty pattern, a regular expression that is none, or a part that is a file.
    pub fn parse(text: &str) -> Result<Self, InputErrors> {
        Self::read(text, |part| {
            let error = InputError::at(part.location.clone(), "a file is not read here");
            Err(error.into())
        })
    }

    /// Reads a pattern, and the files that it names with `@file`.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and files that cannot be read.
    pub fn load(text: &str) -> Result<Self, InputErrors> {
        Self::read(text, |part| {
            let path = Path::new(part.value.trim_start_matches('@'));
            let bytes = files::bytes(path)?;
            let name = files::shown(path);
            String::from_utf8(bytes)
                .map(|text| Source::file(name.clone(), text))
                .map_err(|_| InputError::in_file(name, "is not UTF-8").into())
        })
    }

    fn read(
        text: &str,
        file: impl Fn(&Located<String>) -> Result<Source, InputErrors>,
    ) -> Result<Self, InputErrors> {
        let source = Arc::new(Source::command_line(
            format!("--limit '{}'", shown(text)),
            text,
        ));
        let location = Location::new(
            source,
            Span {
                start: 0,
                end: text.len(),
            },
        );
        let mut parts = Vec::new();
        for part in split::split(&location) {
            if part.value.starts_with('@') {
                parts.extend(lines(file(&part)?)?);
            } else {
                parts.push(Part::new(part)?);
            }
        }
        if parts.is_empty() {
            return Err(InputError::at(location, "the pattern is empty")
                .hint("`all` selects every node")
                .into());
        }
        Ok(Self { location, parts })
    }

    /// Returns the nodes of `inventory` that the pattern selects, in the order of the group `all`.
    ///
    /// # Errors
    ///
    /// Every part that matches nothing, with what may have been meant; or that nothing is left of what matched.
    pub fn select<'i>(
        &self,
        inventory: &'i Inventory,
    ) -> Result<Vec<&'i InventoryNode>, InputErrors> {
        let mut errors = InputErrors::none();
        let mut matched = |effect| -> Vec<BTreeSet<usize>> {
            let parts = self.parts.iter().filter(|part| part.effect == effect);
            parts
                .filter_map(|part| errors.take(matches(part, inventory)))
                .collect()
        };
        // Ansible's order (`order_patterns` in `inventory/manager.py`), however they are written.
        let (add, keep, remove) = (
            matched(Effect::Add),
            matched(Effect::Keep),
            matched(Effect::Remove),
        );
        let everything = self.parts.iter().all(|part| part.effect != Effect::Add);
        let start = if everything {
            (0..inventory.nodes.len()).collect()
        } else {
            BTreeSet::new()
        };
        let added = add.iter().fold(start, |selected, part| &selected | part);
        let kept = keep.iter().fold(added, |selected, part| &selected & part);
        let selected = remove.iter().fold(kept, |selected, part| &selected - part);
        if selected.is_empty() && errors.is_empty() {
            let message = format!("no node is left by `{}`", shown(self.location.text()));
            errors.push(InputError::at(self.location.clone(), message));
        }
        errors.or(selected
            .into_iter()
            .map(|position| &inventory.nodes[position])
            .collect())
    }
}

impl Part {
    fn new(text: Located<String>) -> Result<Self, InputError> {
        let (effect, start) = match text.value.as_bytes().first() {
            Some(b'&') => (Effect::Keep, 1),
            Some(b'!') => (Effect::Remove, 1),
            _ => (Effect::Add, 0),
        };
        let location = text.location.part(start, text.value.len());
        let text = text.value[start..].to_owned();
        if text.is_empty() {
            return Err(InputError::at(
                location,
                "a name is missing after `&` or `!`",
            ));
        }
        if let Some(expression) = text.strip_prefix('~') {
            regex(expression).map_err(|problem| {
                InputError::at(
                    location.clone(),
                    format!("not a regular expression: {}", shown(&problem)),
                )
                .hint("put a backslash before a bracket that is meant as it is")
            })?;
        }
        Ok(Self {
            effect,
            text: Located::new(text, location),
        })
    }
}

/// A regular expression as Python's `re`, which Ansible uses: it may look around and back. The crate bounds how often it goes back.
fn regex(expression: &str) -> Result<Regex, String> {
    Regex::new(expression).map_err(|error| error.to_string())
}

/// The patterns of a file, one a line; `#` begins a comment.
fn lines(source: Source) -> Result<Vec<Part>, InputErrors> {
    let source = Arc::new(source);
    let mut parts = Vec::new();
    let mut errors = InputErrors::none();
    let mut start = 0;
    for line in source.text().split_inclusive('\n') {
        let location = Location::new(
            Arc::clone(&source),
            Span {
                start,
                end: start + without_comment(line).len(),
            },
        );
        start += line.len();
        if let Some(part) = split::whole(&location) {
            if part.value.starts_with('@') {
                errors.push(InputError::at(
                    part.location,
                    "a file of patterns names no other file",
                ));
            } else {
                parts.extend(errors.take(Part::new(part)));
            }
        }
    }
    if parts.is_empty() && errors.is_empty() {
        errors.push(InputError::in_file(
            source.name(),
            "no pattern in this file",
        ));
    }
    errors.or(parts)
}

/// A line up to its comment. Inside of a word, `#` is a part of a regular expression.
fn without_comment(line: &str) -> &str {
    let begins = |(position, _): &(usize, &str)| {
        let before = line[..*position].chars().next_back();
        before.is_none_or(char::is_whitespace)
    };
    line.match_indices('#')
        .find(begins)
        .map_or(line, |(position, _)| &line[..position])
}

/// The positions of the nodes that one part matches.
fn matches(part: &Part, inventory: &Inventory) -> Result<BTreeSet<usize>, InputError> {
    let text = part.text.value.as_str();
    // Ansible's `_evaluate_patterns`: a node's plain name comes before a group of that name, but not after `&` or `!`.
    if part.effect == Effect::Add
        && let Some(position) = inventory.by_name.get(text)
    {
        return Ok(BTreeSet::from([*position]));
    }
    let (base, subscript) = match split::subscript(text) {
        Some((base, subscript)) if !text.starts_with('~') => (base, Some(subscript)),
        _ => (text, None),
    };
    let Some(found) = enumerate(base, &part.text.location, inventory)? else {
        return Err(no_match(&part.text, base, subscript, inventory));
    };
    let error = |message: String| InputError::at(part.text.location.clone(), message);
    match subscript {
        None => Ok(found.into_iter().collect()),
        Some(subscript) => match subscript.apply(&found) {
            [] => Err(
                error(format!("`{}` matches no node", shown(text))).hint(format!(
                    "`{}` has {} nodes, counted from 0",
                    shown(base),
                    found.len()
                )),
            ),
            nodes => Ok(nodes.iter().copied().collect()),
        },
    }
}

/// The positions of the nodes of a name, a glob or a regular expression, `None` if no group and no node is meant: Ansible's `_enumerate_matches`.
///
/// Their order, and that a node comes once for each group and once for itself, is what a subscript counts by: `e*[3]`.
fn enumerate(
    text: &str,
    location: &Location,
    inventory: &Inventory,
) -> Result<Option<Vec<usize>>, InputError> {
    let matcher = Matcher::new(text);
    let mut wrong = None;
    let mut fits = |name: &String| match matcher.matches(name) {
        Ok(fits) => fits,
        Err(problem) => {
            wrong.get_or_insert(problem);
            false
        }
    };
    let position = |name: &String| inventory.by_name.get(name).copied();
    let named = &inventory.first_named;
    let groups: Vec<&String> = named.groups.iter().filter(|name| fits(name)).collect();
    let members = groups
        .iter()
        .filter_map(|name| inventory.groups.get(*name))
        .flatten();
    let mut found: Vec<usize> = members.filter_map(position).collect();
    let is_odd = text.starts_with('~') || text.contains(['.', '?', '*', '[']);
    if groups.is_empty() || is_odd {
        let nodes = named.nodes.iter().filter(|name| fits(name));
        found.extend(nodes.filter_map(position));
    }
    match wrong {
        None => Ok((!groups.is_empty() || !found.is_empty()).then_some(found)),
        Some(problem) => Err(InputError::at(
            location.clone(),
            format!("the regular expression was given up: {}", shown(&problem)),
        )),
    }
}

/// What a name is compared with.
enum Matcher<'t> {
    Name(&'t str),
    Glob(Glob),
    Regex(Result<Regex, String>),
}

impl<'t> Matcher<'t> {
    fn new(text: &'t str) -> Self {
        match text.strip_prefix('~') {
            Some(expression) => Self::Regex(regex(expression)),
            None => Glob::new(text).map_or(Self::Name(text), Self::Glob),
        }
    }

    /// Python's `re.match`: from the beginning of the name, but not always to its end.
    fn matches(&self, name: &str) -> Result<bool, String> {
        match self {
            Self::Name(text) => Ok(*text == name),
            Self::Glob(glob) => Ok(glob.matches(name)),
            Self::Regex(regex) => {
                let regex = regex.as_ref().map_err(Clone::clone)?;
                let found = regex.find(name).map_err(|error| error.to_string())?;
                Ok(found.is_some_and(|found| found.start() == 0))
            }
        }
    }
}

/// The error for a part that matches nothing.
fn no_match(
    part: &Located<String>,
    base: &str,
    subscript: Option<Subscript>,
    inventory: &Inventory,
) -> InputError {
    let text = &part.value;
    let error = InputError::at(
        part.location.clone(),
        format!("`{}` matches no node and no group", shown(text)),
    );
    let separators = text.contains([':', ',', ' ']);
    if separators && !text.starts_with('~') && text.parse::<Ipv6Addr>().is_err() {
        return error.hint(
            "a `:` separates only where there is no `,`, and in a file each part has a line, as for Ansible",
        );
    }
    let matches_as_glob = || {
        let glob = Glob::new(text);
        glob.is_some_and(|glob| inventory.by_name.keys().any(|name| glob.matches(name)))
    };
    if subscript.is_some() && matches_as_glob() {
        return error.hint(format!(
            "at the end, `{}` stands for positions, as for Ansible; for names write `{}*`",
            shown(&text[base.len()..]),
            shown(text)
        ));
    }
    let groups = inventory.groups.keys().map(String::as_str);
    let nodes = inventory.nodes.iter().map(|node| node.name.as_str());
    let groups_listed: Vec<_> = inventory
        .groups
        .keys()
        .take(8)
        .map(|name| format!("`{name}`"))
        .collect();
    did_you_mean(
        error,
        base,
        groups.chain(nodes),
        &format!("there are the groups {}", groups_listed.join(", ")),
    )
}

impl Inventory {
    /// The nodes that a pattern selects, in the order of the group `all`.
    ///
    /// # Errors
    ///
    /// A part of the pattern that matches nothing, or a pattern that selects nothing.
    pub fn select(&self, pattern: &Pattern) -> Result<Vec<&InventoryNode>, InputErrors> {
        pattern.select(self)
    }
}
