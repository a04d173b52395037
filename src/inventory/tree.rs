//! Inventory documents → groups and nodes as they were declared.

use serde_yaml::Value;

use super::declared::Tree;
use super::declared::add_vars;
use super::declared::set_priority;
use super::document::Cursor;
use super::document::Document;
use super::document::kind;
use super::error::InputError;
use super::error::InputErrors;
use super::error::shown;
use super::location::Located;
use super::location::Location;
use super::name::Named;
use super::name::check;
use super::range::MAX_NODES;
use super::range::expand;
use super::suggest::closest;
use super::variable::check_variable;
use super::vars::Layer;
use super::vars::Var;
use super::vars::Vars;

/// Groups in one inventory, far above any fleet: to find a circle among them costs their square.
const MAX_GROUPS: usize = 10_000;

/// The keys that a group may have.
const SECTIONS: [&str; 3] = ["hosts", "children", "vars"];

/// Reads the documents; what can be understood is returned together with the errors.
pub(super) fn read(documents: &[Document]) -> (Tree, InputErrors) {
    let mut reader = Reader {
        tree: Tree::default(),
        errors: InputErrors::none(),
    };
    for name in ["all", "ungrouped"] {
        reader.tree.declare(name, None);
    }
    for document in documents {
        reader.document(document);
    }
    (reader.tree, reader.errors)
}

struct Reader {
    tree: Tree,
    errors: InputErrors,
}

impl Reader {
    fn document(&mut self, document: &Document) {
        let root = document.root();
        let Some(entries) = root.entries() else {
            let error = if root.value().is_null() {
                InputError::in_file(document.file(), "the inventory is empty")
            } else {
                let error = InputError::at(root.location(), "an inventory is a mapping of groups");
                error.label(format!("this is {}", kind(root.value())))
            };
            let hint = if document
                .source()
                .text()
                .lines()
                .any(|line| line.starts_with('['))
            {
                "is this an INI inventory? `ansible-inventory -i FILE --list --yaml` converts it to YAML"
            } else {
                "begin with `all:`, and below it `hosts:` and one name a line"
            };
            return self.errors.push(error.hint(hint));
        };
        if let Some(plugin) = root
            .get("plugin")
            .filter(|plugin| plugin.as_str().is_some())
        {
            let error = InputError::at(plugin.location(), "inventory plugins are not supported");
            let hint = "`ansible-inventory -i FILE --list --yaml` writes what the plugin finds";
            return self.errors.push(error.hint(hint));
        }
        for (name, group) in entries {
            let key = group.key_location().unwrap_or_else(|| group.location());
            if SECTIONS.contains(&name) {
                let error = InputError::at(key, format!("`{name}` is outside of a group"));
                self.errors.push(error.hint("put it below `all:`"));
            } else {
                self.group(name, key, group);
            }
        }
    }

    /// Declares a group of this name; `None` if it cannot have it.
    fn name(&mut self, name: &str, key: Location) -> Option<()> {
        self.errors.take(check(name, Named::Group, &key))?;
        self.tree.declare(name, Some(&key));
        if self.tree.groups.len() > MAX_GROUPS {
            let message = format!("more than {MAX_GROUPS} groups");
            self.errors.push(InputError::at(key, message));
            return None;
        }
        Some(())
    }

    fn group(&mut self, name: &str, key: Location, cursor: Cursor<'_>) {
        if self.name(name, key).is_none() {
            return;
        }
        let Some(sections) = self.mapping(cursor, || {
            format!("group `{name}` takes a mapping of `hosts`, `children` and `vars`")
        }) else {
            return;
        };
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
                    self.errors.push(error);
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
            self.errors
                .push(error.label(format!("this is {}", kind(cursor.value()))));
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
                    self.errors.push(error.hint(
                        "a list holds names alone; for variables write a mapping: `name: {…}`",
                    ));
                }
            }
        }
    }

    fn host(&mut self, group: &str, pattern: &str, location: Location, vars: Option<Cursor<'_>>) {
        let Some(names) = self.errors.take(expand(pattern, &location)) else {
            return;
        };
        let entries = vars.and_then(|vars| {
            self.mapping(vars, || {
                format!("`{}` takes a mapping of variables", shown(pattern))
            })
        });
        let vars = self.vars(entries.unwrap_or_default(), Layer::Node);
        if self.tree.nodes.len() + names.len() > MAX_NODES {
            return self.errors.push(InputError::at(
                location,
                format!("more than {MAX_NODES} nodes"),
            ));
        }
        for name in names {
            let position = self.tree.position(name, &location);
            let known = &mut self.tree.nodes[position].vars;
            add_vars(known, &vars, &mut self.errors);
            self.tree.declare(group, None).nodes.add(position, position);
        }
    }

    fn children(&mut self, group: &str, cursor: Cursor<'_>) {
        match cursor.value() {
            Value::Sequence(_) => {
                self.names(cursor, |reader, name, location| {
                    reader.name(name, location.clone());
                    reader.child(group, name, location);
                });
            }
            _ => {
                let expected = || "`children` takes a mapping of groups".to_owned();
                for (name, cursor) in self.mapping(cursor, expected).unwrap_or_default() {
                    let key = cursor.key_location().unwrap_or_else(|| cursor.location());
                    self.group(name, key.clone(), cursor);
                    self.child(group, name, key);
                }
            }
        }
    }

    fn child(&mut self, parent: &str, name: &str, location: Location) {
        if name == "all" || (name == "ungrouped" && parent != "all") {
            let message = format!("`{name}` is a child of no other group");
            return self.errors.push(InputError::at(location, message));
        }
        let children = &mut self.tree.declare(parent, None).children;
        children.add(name.to_owned(), Located::new(name.to_owned(), location));
    }

    fn group_vars(&mut self, group: &str, cursor: Cursor<'_>) {
        let entries = self.mapping(cursor, || {
            "`vars` takes a mapping of names to values".to_owned()
        });
        let mut vars = self.vars(entries.unwrap_or_default(), Layer::Group);
        let priority = vars.remove("ansible_group_priority");
        let known = self.tree.declare(group, None);
        if let Some(priority) = priority {
            self.errors.extend(set_priority(known, &priority));
        }
        add_vars(&mut known.vars, &vars, &mut self.errors);
    }

    fn vars(&mut self, entries: Vec<(&str, Cursor<'_>)>, layer: Layer) -> Vars {
        let mut vars = Vars::new();
        for (name, cursor) in entries {
            let var = Var::new(&cursor, layer);
            if let Some(()) = self.errors.take(check_variable(name, &var)) {
                vars.insert(name.to_owned(), var);
            }
        }
        vars
    }
}
