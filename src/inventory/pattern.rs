//! Which nodes: Ansible's host patterns, for `--limit`.
//!
//! `all`, `*`, a group or a node, globs (`eos*`, `node?`, `[a-c]*`), `a,b` or `a:b` for both, `a:&b` for what is in both, `a:!b` for what is not in `b`,
//! `group[0]`, `group[-1]` and `group[0:2]` for nodes by their position (both ends belong to it, as for Ansible), and `@file` with one pattern a line.

mod glob;
mod split;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use self::glob::Glob;
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
/// assert!(Pattern::parse("~cyb.*").is_err());
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
    /// An empty pattern, a regular expression, an unclosed bracket, or a part that is a file.
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
                .filter_map(|part| errors.take(matches(&part.text, inventory)))
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
        if text.starts_with('~') {
            let error = InputError::at(location, "regular expressions are not supported");
            return Err(error.hint("use a glob: `eos*`, `node0?`, `[a-c]*`"));
        }
        Ok(Self {
            effect,
            text: Located::new(text, location),
        })
    }
}

/// The patterns of a file, one a line; `#` begins a comment.
fn lines(source: Source) -> Result<Vec<Part>, InputErrors> {
    let source = Arc::new(source);
    let mut parts = Vec::new();
    let mut errors = InputErrors::none();
    let mut start = 0;
    for line in source.text().split_inclusive('\n') {
        let pattern = line.split('#').next().unwrap_or_default();
        let location = Location::new(
            Arc::clone(&source),
            Span {
                start,
                end: start + pattern.len(),
            },
        );
        start += line.len();
        for part in split::split(&location) {
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

/// The positions of the nodes that one part matches.
fn matches(part: &Located<String>, inventory: &Inventory) -> Result<BTreeSet<usize>, InputError> {
    if let Some(found) = named(&part.value, inventory) {
        return Ok(found.into_iter().collect());
    }
    if let Some((base, subscript)) = split::subscript(&part.value)
        && let Some(found) = named(base, inventory)
    {
        let nodes = subscript.apply(&found);
        if nodes.is_empty() {
            let error = InputError::at(
                part.location.clone(),
                format!("`{}` matches no node", shown(&part.value)),
            );
            return Err(error.hint(format!(
                "`{}` has {} nodes, counted from 0",
                shown(base),
                found.len()
            )));
        }
        return Ok(nodes.iter().copied().collect());
    }
    let error = InputError::at(
        part.location.clone(),
        format!("`{}` matches no node and no group", shown(&part.value)),
    );
    let groups = inventory.groups.keys().map(String::as_str);
    let nodes = inventory.nodes.iter().map(|node| node.name.as_str());
    let groups_listed: Vec<_> = inventory
        .groups
        .keys()
        .take(8)
        .map(|name| format!("`{name}`"))
        .collect();
    Err(did_you_mean(
        error,
        &part.value,
        groups.chain(nodes),
        &format!("there are the groups {}", groups_listed.join(", ")),
    ))
}

/// The positions of the nodes of a name or glob, in the order of the inventory; `None` if there is no such node or group.
fn named(text: &str, inventory: &Inventory) -> Option<Vec<usize>> {
    let all = || (0..inventory.nodes.len()).collect();
    if text == "*" {
        return Some(all());
    }
    let position = |name: &String| inventory.by_name.get(name).copied();
    if let Some(members) = inventory.groups.get(text) {
        return Some(members.iter().filter_map(position).collect());
    }
    if let Some(position) = inventory.by_name.get(text) {
        return Some(vec![*position]);
    }
    let glob = Glob::new(text)?;
    let groups = inventory
        .groups
        .iter()
        .filter(|(name, _)| glob.matches(name));
    let mut found: BTreeSet<usize> = groups
        .flat_map(|(_, members)| members.iter().filter_map(position))
        .collect();
    found.extend(
        inventory
            .by_name
            .iter()
            .filter(|(name, _)| glob.matches(name))
            .map(|(_, position)| *position),
    );
    (!found.is_empty()).then(|| found.into_iter().collect())
}
