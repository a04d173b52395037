//! Inventory documents → groups and nodes as they were declared.

use serde_yaml::Value;

use super::declare::Declarations;
use super::declare::Written;
use super::document::Cursor;
use super::document::Document;
use super::document::kind;
use super::error::InputError;
use super::error::shown;
use super::location::Location;
use super::suggest::closest;
use super::vars::Layer;
use super::vars::Var;
use super::vars::Vars;

/// The keys that a group may have.
const SECTIONS: [&str; 3] = ["hosts", "children", "vars"];

/// Reads one document: an inventory in YAML, or what `ansible-inventory --list` and inventory scripts print.
///
/// `written` says whether names may be ranges.
pub(super) fn read(document: &Document, written: Written, declared: &mut Declarations) {
    let mut reader = Reader { declared, written };
    reader.document(document);
}

/// Whether this is what `ansible-inventory --list` and inventory scripts print.
pub(super) fn is_listing(document: &Document) -> bool {
    let meta = document.root().get("_meta");
    meta.is_some_and(|meta| meta.get("hostvars").is_some())
}

/// The variables of one host, as an inventory script prints them for `--host`.
pub(super) fn host_vars(document: &Document, declared: &mut Declarations) -> Option<Vars> {
    let written = Written::Name;
    let mut reader = Reader { declared, written };
    let expected = || "the variables of a host are a mapping".to_owned();
    let entries = reader.mapping(document.root(), expected)?;
    Some(reader.vars(entries, Layer::Node))
}

struct Reader<'r> {
    declared: &'r mut Declarations,
    written: Written,
}

impl Reader<'_> {
    fn error(&mut self, error: InputError) {
        self.declared.errors.push(error);
    }

    fn document(&mut self, document: &Document) {
        let root = document.root();
        let Some(entries) = root.entries() else {
            let error = if root.value().is_null() {
                InputError::in_file(document.file(), "the inventory is empty")
            } else {
                let error = InputError::at(root.location(), "an inventory is a mapping of groups");
                error.label(format!("this is {}", kind(root.value())))
            };
            let hint = "begin with `all:`, and below it `hosts:` and one name a line";
            return self.error(error.hint(hint));
        };
        let meta = root.get("_meta").filter(|_| is_listing(document));
        for (name, group) in entries {
            let key = group.key_location().unwrap_or_else(|| group.location());
            if name == "_meta" && meta.is_some() {
                continue;
            }
            if SECTIONS.contains(&name) {
                let error = InputError::at(key, format!("`{name}` is outside of a group"));
                self.error(error.hint("put it below `all:`"));
            } else {
                self.group(name, key, group);
            }
        }
        if let Some(vars) = meta.and_then(|meta| meta.get("hostvars")) {
            self.host_vars(vars);
        }
    }

    /// The variables of `_meta`. Ansible does not look at those of hosts that no group has.
    fn host_vars(&mut self, cursor: Cursor<'_>) {
        let expected = || "`hostvars` takes a mapping of hosts to their variables".to_owned();
        for (name, cursor) in self.mapping(cursor, expected).unwrap_or_default() {
            let Some(position) = self.declared.tree.known(name) else {
                continue;
            };
            let expected = || format!("`{}` takes a mapping of variables", shown(name));
            let entries = self.mapping(cursor, expected).unwrap_or_default();
            let vars = self.vars(entries, Layer::Node);
            self.declared.node_vars(position, &vars);
        }
    }

    /// A group of an old inventory script may be a host with its variables.
    fn sole_host(&mut self, name: &str, key: &Location, vars: Vec<(&str, Cursor<'_>)>) {
        let vars = self.vars(vars, Layer::Group);
        self.declared
            .nodes(name, name, Written::Name, key, &Vars::new());
        self.declared.group_vars(name, vars);
    }

    /// A group of an inventory script may be a list of its hosts.
    fn list_of_hosts(&mut self, name: &str, key: &Location, cursor: Cursor<'_>) {
        if self.declared.group(name, key).is_some() {
            self.hosts(name, cursor);
        }
    }

    fn group(&mut self, name: &str, key: Location, cursor: Cursor<'_>) {
        if self.written == Written::Name && cursor.elements().is_some() {
            return self.list_of_hosts(name, &key, cursor);
        }
        if self.declared.group(name, &key).is_none() {
            return;
        }
        let Some(sections) = self.mapping(cursor, || {
            format!("group `{name}` takes a mapping of `hosts`, `children` and `vars`")
        }) else {
            return;
        };
        let by_a_program = self.written == Written::Name;
        if by_a_program && !sections.iter().any(|(name, _)| SECTIONS.contains(name)) {
            return self.sole_host(name, &key, sections);
        }
        let mut sections = sections;
        if by_a_program {
            // Ansible reads them in this order, whatever the order of the text.
            let order = ["hosts", "vars", "children"];
            sections.sort_by_key(|(name, _)| order.iter().position(|known| known == name));
        }
        for (section, cursor) in sections {
            match section {
                "hosts" => self.hosts(name, cursor),
                "children" => self.children(name, cursor),
                "vars" => self.group_vars(name, cursor),
                _ => {
                    let key = cursor.key_location().unwrap_or_else(|| cursor.location());
                    let message = format!("`{}` is not known in a group", shown(section));
                    let error = InputError::at(key, message)
                        .label("expected `hosts`, `children` or `vars`");
                    let error = match closest(section, SECTIONS) {
                        Some(meant) => error.did_you_mean(Some(meant)),
                        None => error.hint("nodes are listed below `hosts:`, groups below `children:`, variables below `vars:`"),
                    };
                    self.error(error);
                }
            }
        }
    }

    /// The entries of a mapping that may be left out.
    fn mapping<'d>(
        &mut self,
        cursor: Cursor<'d>,
        expected: impl Fn() -> String,
    ) -> Option<Vec<(&'d str, Cursor<'d>)>> {
        if cursor.value().is_null() {
            return None;
        }
        let entries = cursor.entries();
        if entries.is_none() {
            let error = InputError::at(cursor.location(), expected());
            self.error(error.label(format!("this is {}", kind(cursor.value()))));
        }
        entries
    }

    fn hosts(&mut self, group: &str, cursor: Cursor<'_>) {
        match cursor.value() {
            Value::String(name) => self.host(group, name, cursor.location(), None),
            Value::Sequence(_) => self.names(cursor, |reader, name, location| {
                reader.host(group, name, location, None)
            }),
            _ => {
                let expected = || "`hosts` takes a mapping of names, or a list of names".to_owned();
                for (name, cursor) in self.mapping(cursor, expected).unwrap_or_default() {
                    let key = cursor.key_location().unwrap_or_else(|| cursor.location());
                    self.host(group, name, key, Some(cursor));
                }
            }
        }
    }

    /// A list of names, which Ansible does not know but its users ask for (ansible#22567).
    fn names(&mut self, cursor: Cursor<'_>, mut add: impl FnMut(&mut Self, &str, Location)) {
        for element in cursor.elements().unwrap_or_default() {
            match element.value() {
                Value::String(name) => add(self, name, element.location()),
                Value::Number(number) => add(self, &number.to_string(), element.location()),
                other => {
                    let error = InputError::at(element.location(), "a name is expected")
                        .label(format!("this is {}", kind(other)));
                    self.error(error.hint(
                        "a list holds names alone; for variables write a mapping: `name: {…}`",
                    ));
                }
            }
        }
    }

    fn host(&mut self, group: &str, pattern: &str, location: Location, vars: Option<Cursor<'_>>) {
        let entries = vars.and_then(|vars| {
            self.mapping(vars, || {
                format!("`{}` takes a mapping of variables", shown(pattern))
            })
        });
        let vars = self.vars(entries.unwrap_or_default(), Layer::Node);
        let written = self.written;
        self.declared
            .nodes(group, pattern, written, &location, &vars);
    }

    fn children(&mut self, group: &str, cursor: Cursor<'_>) {
        match cursor.value() {
            Value::Sequence(_) => {
                self.names(cursor, |reader, name, location| {
                    if reader.declared.group(name, &location).is_some() {
                        reader.declared.child(group, name, location);
                    }
                });
            }
            _ => {
                let expected = || "`children` takes a mapping of groups".to_owned();
                for (name, cursor) in self.mapping(cursor, expected).unwrap_or_default() {
                    let key = cursor.key_location().unwrap_or_else(|| cursor.location());
                    self.group(name, key.clone(), cursor);
                    if self.declared.tree.groups.contains_key(name) {
                        self.declared.child(group, name, key);
                    }
                }
            }
        }
    }

    fn group_vars(&mut self, group: &str, cursor: Cursor<'_>) {
        let entries = self.mapping(cursor, || {
            "`vars` takes a mapping of names to values".to_owned()
        });
        let vars = self.vars(entries.unwrap_or_default(), Layer::Group);
        self.declared.group_vars(group, vars);
    }

    fn vars(&mut self, entries: Vec<(&str, Cursor<'_>)>, layer: Layer) -> Vars {
        let vars = entries
            .into_iter()
            .map(|(name, cursor)| (name.to_owned(), Var::new(&cursor, layer)));
        self.declared.checked(vars)
    }
}
