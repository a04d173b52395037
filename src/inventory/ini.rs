//! An inventory in INI: `[group]`, `[group:vars]`, `[group:children]`, and hosts with their variables.
//!
//! Follows Ansible's `plugins/inventory/ini.py`. Where Ansible refuses a line, it is an error here too, with its place.

mod literal;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::words::Unended;
use super::declare::Declarations;
use super::declare::Written;
use super::error::InputError;
use super::error::shown;
use super::location::Location;
use super::location::Source;
use super::location::Span;
use super::suggest::closest;
use super::vars::Layer;
use super::vars::Var;
use super::vars::Vars;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Hosts,
    Vars,
    Children,
}

impl Section {
    const ALL: [(&'static str, Self); 3] = [
        ("hosts", Self::Hosts),
        ("vars", Self::Vars),
        ("children", Self::Children),
    ];

    fn of(tag: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(name, _)| *name == tag).map(|(_, kind)| kind)
    }
}

/// Returns whether a text has a line that begins a section.
pub(super) fn has_section(text: &str) -> bool {
    text.lines().any(|line| header(line.trim()).is_some())
}

/// Reads an inventory in INI.
pub(super) fn read(source: Source, declared: &mut Declarations) {
    let source = Arc::new(source);
    let mut reader = Reader {
        source: Arc::clone(&source),
        declared,
        group: "ungrouped".to_owned(),
        section: Some(Section::Hosts),
        awaited: BTreeMap::new(),
    };
    let mut start = 0;
    for line in source.text().split('\n') {
        reader.line(line, start);
        start += line.len() + 1;
    }
    reader.end();
}

/// A group that is used before it is declared.
struct Awaited {
    location: Location,
    kind: Section,
    parents: Vec<(String, Location)>,
}

struct Reader<'r> {
    source: Arc<Source>,
    declared: &'r mut Declarations,
    group: String,
    /// `None` in a section that was refused: its lines are passed over.
    section: Option<Section>,
    awaited: BTreeMap<String, Awaited>,
}

/// The parts of `[name:tag]`.
struct Header<'l> {
    name: &'l str,
    tag: Option<&'l str>,
}

/// Reads a line that begins a section. A comment may follow.
fn header(line: &str) -> Option<Header<'_>> {
    let (inside, rest) = line.strip_prefix('[')?.split_once(']')?;
    let rest = rest.trim_start();
    if !(rest.is_empty() || rest.starts_with('#')) {
        return None;
    }
    let (name, tag) = match inside.split_once(':') {
        Some((name, tag)) => (name, Some(tag)),
        None => (inside, None),
    };
    let word = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let valid = !name.is_empty()
        && !name.contains(char::is_whitespace)
        && tag.is_none_or(|tag| !tag.is_empty() && word(tag));
    valid.then_some(Header { name, tag })
}

impl Reader<'_> {
    /// The place of a piece of the text.
    fn at(&self, start: usize, end: usize) -> Location {
        Location::new(Arc::clone(&self.source), Span { start, end })
    }

    fn refuse(&mut self, error: InputError) {
        self.declared.errors.push(error);
    }

    /// Reads a line that begins at byte `start`.
    fn line(&mut self, whole: &str, start: usize) {
        let line = whole.trim_end();
        let start = start + (line.len() - line.trim_start().len());
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return;
        }
        let place = self.at(start, start + line.len());
        let control = |c: &char| c.is_control() && *c != '\t';
        if let Some(control) = line.chars().find(control) {
            let message = format!("the control character U+{:04X}", u32::from(control));
            return self.refuse(InputError::at(place, message));
        }
        if let Some(header) = header(line) {
            return self.header(&header, start);
        }
        if line.starts_with('[') && line.ends_with(']') {
            let message = format!("`{}` begins no section", shown(line));
            let error = InputError::at(place, message);
            self.section = None;
            return self.refuse(error.hint("write `[group]`, `[group:vars]` or `[group:children]`, without blanks and other characters"));
        }
        match self.section {
            Some(Section::Hosts) => self.host(line, start),
            Some(Section::Vars) => self.variable(line, start),
            Some(Section::Children) => self.child(line, start),
            None => {}
        }
    }

    fn header(&mut self, header: &Header<'_>, start: usize) {
        let name = self.at(start + 1, start + 1 + header.name.len());
        let section = match header.tag {
            None => Some(Section::Hosts),
            Some(tag) => Section::of(tag),
        };
        let Some(section) = section else {
            let tag = header.tag.unwrap_or_default();
            let from = start + 2 + header.name.len();
            let place = self.at(from, from + tag.len());
            let error = InputError::at(place, format!("there is no section `:{}`", shown(tag)))
                .label("expected `:vars` or `:children`");
            let meant = closest(tag, ["vars", "children"]).map(|meant| format!(":{meant}"));
            self.section = None;
            return self.refuse(error.did_you_mean(meant.as_deref()));
        };
        let group = header.name;
        let known = self.declared.tree.groups.contains_key(group);
        if !known {
            if section == Section::Vars {
                self.awaited
                    .entry(group.to_owned())
                    .or_insert_with(|| Awaited {
                        location: name.clone(),
                        kind: Section::Vars,
                        parents: Vec::new(),
                    });
            }
            if self.declared.group(group, &name).is_none() {
                self.awaited.remove(group);
                self.section = None;
                return;
            }
        }
        if section != Section::Vars {
            self.declare_awaited(group);
        }
        group.clone_into(&mut self.group);
        self.section = Some(section);
    }

    /// A group that others wait for is declared now: it becomes their child. Its place among their children is counted from here.
    fn declare_awaited(&mut self, group: &str) {
        let Some(awaited) = self.awaited.remove(group) else {
            return;
        };
        for (parent, location) in awaited.parents {
            self.declared.child(&parent, group, location);
            let is_child = |awaited: &Awaited| awaited.kind == Section::Children;
            if self.awaited.get(&parent).is_some_and(is_child) {
                self.declare_awaited(&parent);
            }
        }
    }

    fn host(&mut self, line: &str, start: usize) {
        let words = match words::words(line) {
            Ok(words) => words,
            Err(Unended::Quote(at)) => {
                let place = self.at(start + at, start + line.len());
                let error = InputError::at(place, "a quote is never closed");
                return self
                    .refuse(error.hint("a quote inside of a value is written `\\'` or `\"'\"`"));
            }
            Err(Unended::Backslash(at)) => {
                let place = self.at(start + at, start + line.len());
                return self.refuse(InputError::at(place, "nothing follows the `\\`"));
            }
        };
        let Some((name, variables)) = words.split_first() else {
            return;
        };
        let place = self.at(start + name.bytes.start, start + name.bytes.end);
        if name.text == "---" {
            let error = InputError::at(
                place,
                "`---` begins a YAML document, and this is read as INI",
            );
            return self.refuse(error.hint("end the file's name in `.yml`"));
        }
        if let Some(group) = name.text.strip_suffix(':') {
            let message = format!("`{}` ends in `:`", shown(&name.text));
            let error = InputError::at(place, message).label("read as INI: a port would follow");
            return self.refuse(error.hint(format!(
                "write `[{}]` for a group; end the file's name in `.yml` if it is YAML",
                shown(group)
            )));
        }
        let mut vars = Vec::new();
        for word in variables {
            let (from, to) = (start + word.bytes.start, start + word.bytes.end);
            let Some((key, value)) = word.text.split_once('=') else {
                let message = format!("`{}` is not `name=value`", shown(&word.text));
                let error = InputError::at(self.at(from, to), message);
                self.refuse(
                    error.hint(
                        "one host a line; quote a value that has blanks: `name=\"two words\"`",
                    ),
                );
                continue;
            };
            // A quote before the `=` is rare; the place of the value is then a little off, and inside of the word.
            let split = from
                + line
                    .get(word.bytes.clone())
                    .and_then(|raw| raw.find('='))
                    .unwrap_or(0);
            let spans = (
                Span {
                    start: from,
                    end: split,
                },
                Span {
                    start: (split + 1).min(to),
                    end: to,
                },
            );
            let var = Var::of_piece(literal::value(value), &self.source, spans, Layer::Node);
            vars.push((key.to_owned(), var));
        }
        let vars: Vars = self.declared.checked(vars);
        let group = self.group.clone();
        self.declared
            .nodes(&group, &name.text, Written::Pattern, &place, &vars);
    }

    fn variable(&mut self, line: &str, start: usize) {
        let Some((key, value)) = line.split_once('=') else {
            let place = self.at(start, start + line.len());
            let message = format!("`{}` is not `name=value`", shown(line));
            let error = InputError::at(place, message);
            return self.refuse(error.hint(format!(
                "hosts are listed below `[{}]`, without `:vars`",
                shown(&self.group)
            )));
        };
        let from = start + key.len() + 1;
        let from = from + (value.len() - value.trim_start().len());
        let (key, value) = (key.trim(), value.trim());
        let key_span = Span {
            start,
            end: start + key.len(),
        };
        let value_span = Span {
            start: from,
            end: from + value.len(),
        };
        let spans = (key_span, value_span);
        let var = Var::of_piece(literal::value(value), &self.source, spans, Layer::Group);
        let vars = self.declared.checked([(key.to_owned(), var)]);
        let group = self.group.clone();
        self.declared.group_vars(&group, vars);
    }

    fn child(&mut self, line: &str, start: usize) {
        let name = line.split('#').next().unwrap_or(line).trim_end();
        let place = self.at(start, start + name.len());
        if name.contains([':', ']']) || name.contains(char::is_whitespace) {
            let message = format!("`{}` is not the name of a group", shown(name));
            let error = InputError::at(place, message);
            return self.refuse(
                error.hint("one group a line; variables of a group are below `[group:vars]`"),
            );
        }
        let parent = self.group.clone();
        if self.declared.tree.groups.contains_key(name) {
            return self.declared.child(&parent, name, place);
        }
        let awaited = self.awaited.entry(name.to_owned());
        let awaited = awaited.or_insert_with(|| Awaited {
            location: place.clone(),
            kind: Section::Children,
            parents: Vec::new(),
        });
        awaited.parents.push((parent, place));
    }

    /// Refuses what was used and never declared.
    fn end(&mut self) {
        for (name, awaited) in std::mem::take(&mut self.awaited) {
            let message = format!("there is no group `{}`", shown(&name));
            let groups = self.declared.tree.groups.keys().map(String::as_str);
            let meant = closest(&name, groups.filter(|group| *group != name));
            let hint = match (meant, awaited.kind) {
                (Some(meant), _) => format!("did you mean `{meant}`?"),
                (None, Section::Vars) => format!("a section `[{name}]` lists its hosts"),
                (None, _) => format!("declare it with a section `[{name}]`, even an empty one"),
            };
            self.refuse(InputError::at(awaited.location, message).hint(hint));
        }
    }
}
