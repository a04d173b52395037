//! Sources of an inventory → what they declare: files of all kinds, directories of them, lists of hosts, and programs.
//!
//! Follows the order in which Ansible's plugins look at a source (`host_list`, `script`, `auto`, `yaml`, `ini`, `toml`), and its
//! `inventory/manager.py` for directories. A later source wins over an earlier one.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::declare::Declarations;
use super::declare::Written;
use super::document::Document;
use super::document::text;
use super::error::InputError;
use super::error::InputErrors;
use super::files;
use super::files::Kind;
use super::ini;
use super::location::Location;
use super::location::Source;
use super::location::Span;
use super::programs::NoPrograms;
use super::programs::ProgramError;
use super::programs::Programs;
use super::tree;
use super::vars::Vars;
use super::vault::NoSecrets;
use super::vault::Vault;

/// Directories in inventory directories: a link to its own parent would never end.
const MAX_LEVELS: usize = 8;

/// Ansible's program that asks inventory plugins.
const ANSIBLE_INVENTORY: &str = "ansible-inventory";

/// How many lines of a program's stderr are shown.
const SHOWN_LINES: usize = 5;

/// Where an inventory is read from.
pub struct Sources<'p> {
    /// Files, directories, executables, and lists of hosts such as `a,b,`. The last one has the last word.
    pub paths: Vec<PathBuf>,
    /// The directory whose `group_vars/` and `host_vars/` are read as well, and win: that of the playbook for Ansible, by default the current one.
    pub playbook_directory: Option<PathBuf>,
    /// Runs executable inventories.
    pub programs: &'p dyn Programs,
    /// Opens what ansible-vault has encrypted.
    pub vault: Arc<Vault>,
}

impl Sources<'static> {
    /// One file or directory, and nothing beside it but its own variables. No program is run.
    pub fn one(path: &Path) -> Self {
        Self {
            paths: vec![path.to_owned()],
            playbook_directory: None,
            programs: &NoPrograms,
            vault: Vault::new(NoSecrets),
        }
    }
}

impl Sources<'_> {
    /// The directories that may have `group_vars/`, in Ansible's order: those of the sources, then that of the playbook. Each once, where it counts
    /// last.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let of_sources = self.paths.iter().filter(|path| !is_host_list(path));
        let mut all: Vec<PathBuf> = of_sources.map(|path| files::directory(path)).collect();
        all.extend(self.playbook_directory.clone());
        let mut last: Vec<PathBuf> = Vec::new();
        for directory in all.into_iter().rev() {
            if !last.iter().any(|known| files::is_same(known, &directory)) {
                last.push(directory);
            }
        }
        last.reverse();
        last
    }

    /// The directory of the first source that is a file or directory: `roles/` may be there.
    pub(super) fn directory(&self) -> PathBuf {
        let first = self.paths.iter().find(|path| !is_host_list(path));
        first.map(|path| files::directory(path)).unwrap_or_default()
    }

    /// The sources as a message names them.
    pub(super) fn shown(&self) -> String {
        let shown: Vec<String> = self.paths.iter().map(|path| files::shown(path)).collect();
        shown.join(", ")
    }
}

/// Reads all sources; what can be understood is returned together with the errors.
pub(super) fn read(sources: &Sources<'_>) -> Declarations {
    let mut reader = Reader {
        declared: Declarations::new(),
        programs: sources.programs,
        vault: &sources.vault,
        before: Vec::new(),
        is_only: sources.paths.len() == 1,
    };
    for path in &sources.paths {
        reader.source(path);
    }
    reader.declared
}

/// Returns whether a source is a list of hosts: it has a comma, and no file has that name.
pub fn is_host_list(path: &Path) -> bool {
    path.to_string_lossy().contains(',') && !files::exists(path)
}

struct Reader<'p> {
    declared: Declarations,
    programs: &'p dyn Programs,
    vault: &'p Vault,
    /// The sources that were read before, as files and lists: `constructed` builds on them.
    before: Vec<PathBuf>,
    /// Whether there is but one file, which then has to hold something.
    is_only: bool,
}

impl Reader<'_> {
    fn refuse(&mut self, errors: impl Into<InputErrors>) {
        self.declared.errors.extend(errors.into());
    }

    fn source(&mut self, path: &Path) {
        if is_host_list(path) {
            self.host_list(path);
            return self.before.push(path.to_owned());
        }
        match files::kind(path) {
            Ok(Kind::Directory) => {
                self.is_only = false;
                let before = self.before.len();
                self.directory(path, 0);
                if self.before.len() == before && self.declared.errors.is_empty() {
                    let message = "no inventory in this directory";
                    self.refuse(InputError::in_file(files::shown(path), message));
                }
            }
            Ok(kind) => self.file(path, kind),
            Err(error) => self.refuse(error),
        }
    }

    /// All inventories of a directory in the order of their names, and of the directories below it.
    fn directory(&mut self, path: &Path, level: usize) {
        if level == MAX_LEVELS {
            let message = format!("more than {MAX_LEVELS} directories in each other");
            return self.refuse(InputError::in_file(files::shown(path), message));
        }
        let listed = match files::inventories(path) {
            Ok(listed) => listed,
            Err(errors) => return self.refuse(errors),
        };
        for path in listed {
            match files::kind(&path) {
                Ok(Kind::Directory) => self.directory(&path, level + 1),
                Ok(kind) => self.file(&path, kind),
                Err(error) => self.refuse(error),
            }
        }
    }

    fn file(&mut self, path: &Path, kind: Kind) {
        let errors = self.declared.errors.len();
        self.read_file(path, kind);
        if self.declared.errors.len() == errors {
            self.before.push(path.to_owned());
        }
    }

    fn read_file(&mut self, path: &Path, kind: Kind) {
        if kind == Kind::Executable {
            match self.programs.run(&files::absolute(path), &["--list"], &[]) {
                Ok(answer) => return self.script(path, &answer),
                // An inventory with an executable bit, as on file systems that know no other.
                Err(ProgramError::NotAProgram) => {}
                Err(ProgramError::Failed { what, stderr }) => {
                    return self.refuse(failed(path, "the inventory script", &what, &stderr));
                }
            }
        }
        let source = match files::source(path, self.vault) {
            Ok(source) => source,
            Err(errors) => return self.refuse(errors),
        };
        match files::ending(path).as_deref() {
            Some("toml") => self.plugin(path, "a TOML inventory", false),
            Some("yml" | "yaml" | "json") | None => self.yaml_or_ini(path, source),
            Some(_) => ini::read(source, &mut self.declared),
        }
    }

    /// A file whose name does not say that it is no YAML. Ansible reads it as INI if it is no YAML inventory.
    fn yaml_or_ini(&mut self, path: &Path, source: Source) {
        let named_yaml = files::ending(path).is_some();
        let again = source.again();
        let text = again.text();
        let document = Document::from_source(source);
        let is_empty = matches!(&document, Ok(document) if document.value().is_null());
        let is_yaml = match &document {
            Ok(document) => document.value().is_mapping(),
            Err(_) => !looks_like_ini(text) && (named_yaml || has_key(text)),
        };
        let is_ini = !is_yaml && (looks_like_ini(text) || !named_yaml);
        match document {
            // One of several files may have nothing in it.
            Ok(_) if is_empty && !self.is_only => {}
            _ if is_ini && !is_empty => ini::read(again, &mut self.declared),
            Ok(document) => self.document(path, &document),
            Err(errors) => self.refuse(errors),
        }
    }

    fn document(&mut self, path: &Path, document: &Document) {
        let plugin = document.root().get("plugin");
        if let Some((name, plugin)) = plugin.and_then(|plugin| Some((plugin.as_str()?, plugin))) {
            let builds_on_others = name.rsplit('.').next() == Some("constructed");
            if self.programs.find(ANSIBLE_INVENTORY).is_none() {
                return self.refuse(no_ansible(
                    InputError::at(plugin.location(), no_answer(&format!("`plugin: {name}`"))),
                    path,
                ));
            }
            return self.plugin(path, &format!("`plugin: {name}`"), builds_on_others);
        }
        let written = if tree::is_listing(document) {
            Written::Name
        } else {
            Written::Pattern
        };
        tree::read(document, written, &mut self.declared);
    }

    /// An inventory that only Ansible's own program understands.
    fn plugin(&mut self, path: &Path, what: &str, builds_on_others: bool) {
        let Some(program) = self.programs.find(ANSIBLE_INVENTORY) else {
            let error = InputError::in_file(files::shown(path), no_answer(what));
            return self.refuse(no_ansible(error, path));
        };
        let mut sources: Vec<String> = Vec::new();
        if builds_on_others {
            sources.extend(self.before.iter().map(|path| argument(path)));
        }
        sources.push(argument(path));
        let mut arguments = vec!["--list", "--export"];
        for source in &sources {
            arguments.extend(["-i", source]);
        }
        let mut environment = vec![("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "True")];
        if !builds_on_others {
            // `group_vars/` and `host_vars/` are read here, with their places; an empty list of Ansible's plugins for them.
            environment.push(("ANSIBLE_VARS_ENABLED", ","));
        }
        match self.programs.run(&program, &arguments, &environment) {
            Ok(answer) => {
                let name = format!("{ANSIBLE_INVENTORY} -i {} --list", files::shown(path));
                if let Some(document) = self.answer(&name, &answer) {
                    tree::read(&document, Written::Name, &mut self.declared);
                }
            }
            Err(ProgramError::NotAProgram) => {
                self.refuse(failed(path, ANSIBLE_INVENTORY, "cannot be executed", ""));
            }
            Err(ProgramError::Failed { what, stderr }) => {
                self.refuse(failed(path, ANSIBLE_INVENTORY, &what, &stderr));
            }
        }
    }

    /// What an inventory script printed.
    fn script(&mut self, path: &Path, answer: &[u8]) {
        let name = format!("{} --list", files::shown(path));
        let Some(document) = self.answer(&name, answer) else {
            return;
        };
        if !document.value().is_mapping() {
            let error = InputError::in_file(name, "no JSON object of groups");
            return self.refuse(error.hint("an inventory script prints `{\"group\": {\"hosts\": [\"name\"]}, \"_meta\": {\"hostvars\": {}}}`"));
        }
        let errors = self.declared.errors.len();
        let nodes_before = self.declared.tree.nodes.len();
        tree::read(&document, Written::Name, &mut self.declared);
        if tree::is_listing(&document) || self.declared.errors.len() > errors {
            return;
        }
        // Without `_meta` Ansible asks for each host.
        for position in nodes_before..self.declared.tree.nodes.len() {
            let host = self.declared.tree.nodes[position].name.clone();
            let program = files::absolute(path);
            match self.programs.run(&program, &["--host", &host], &[]) {
                Ok(answer) if answer.iter().all(u8::is_ascii_whitespace) => {}
                Ok(answer) => {
                    let name = format!("{} --host {host}", files::shown(path));
                    let vars = self.answer(&name, &answer);
                    let vars =
                        vars.and_then(|document| tree::host_vars(&document, &mut self.declared));
                    self.declared.node_vars(position, &vars.unwrap_or_default());
                }
                Err(ProgramError::NotAProgram) => {}
                Err(ProgramError::Failed { what, stderr }) => {
                    let script = format!("the inventory script, asked with `--host {host}`,");
                    // The others would most likely fail in the same way.
                    return self.refuse(failed(path, &script, &what, &stderr));
                }
            }
        }
    }

    /// The JSON that a program printed.
    fn answer(&mut self, name: &str, bytes: &[u8]) -> Option<Document> {
        let text = match text(name, bytes) {
            Ok(text) => text,
            Err(error) => {
                self.refuse(error);
                return None;
            }
        };
        let errors = match Document::parse(name, text) {
            Ok(document) => return Some(document),
            Err(errors) => errors,
        };
        // JSON that YAML does not take as it is: tabs between values, characters as two escapes.
        let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let again = json.and_then(|json| serde_json::to_string_pretty(&json).ok());
        match again.and_then(|text| Document::parse(name, &text).ok()) {
            Some(document) => Some(document),
            None => {
                self.refuse(errors);
                None
            }
        }
    }

    /// `-i a,b,`: hosts without variables.
    fn host_list(&mut self, path: &Path) {
        let text = path.to_string_lossy().into_owned();
        let source = Source::command_line(format!("-i {text}"), text.as_str());
        let source = std::sync::Arc::new(source);
        let mut start = 0;
        for host in text.split(',') {
            let name = host.trim();
            let from = start + (host.len() - host.trim_start().len());
            start += host.len() + 1;
            if name.is_empty() {
                continue;
            }
            let span = Span {
                start: from,
                end: from + name.len(),
            };
            let place = Location::new(std::sync::Arc::clone(&source), span);
            let is_range = name.contains('[') && !name.starts_with('[');
            let written = if is_range {
                Written::Name
            } else {
                Written::Pattern
            };
            self.declared
                .nodes("ungrouped", name, written, &place, &Vars::new());
        }
    }
}

/// A path as an argument that is never taken for a flag or a list of hosts.
fn argument(path: &Path) -> String {
    if is_host_list(path) {
        return path.to_string_lossy().into_owned();
    }
    files::absolute(path).to_string_lossy().into_owned()
}

fn no_answer(what: &str) -> String {
    format!("{what} is answered by the `{ANSIBLE_INVENTORY}` on PATH, and there is none")
}

fn no_ansible(error: InputError, path: &Path) -> InputError {
    error.hint(format!(
        "install ansible-core; or save its answer where it is installed, and use that: `{ANSIBLE_INVENTORY} -i {} --list --export > inventory.json`",
        files::shown(path)
    ))
}

fn failed(path: &Path, who: &str, what: &str, stderr: &str) -> InputError {
    let lines: Vec<&str> = stderr
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    let error = InputError::in_file(files::shown(path), format!("{who} {what}"));
    if last.is_empty() {
        error.hint("it printed nothing to stderr")
    } else {
        error.hint(format!("it printed to stderr: {}", last.join(" ⏎ ")))
    }
}

/// Returns whether a text is meant as INI: it has a section, and does not begin with a YAML key.
fn looks_like_ini(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end);
    let first =
        lines.find(|line| !line.trim().is_empty() && !line.trim_start().starts_with(['#', ';']));
    first.is_some_and(|line| !is_key(line)) && ini::has_section(text)
}

/// Returns whether a text has a line that is a key of YAML.
fn has_key(text: &str) -> bool {
    text.lines().any(|line| is_key(line.trim_end()))
}

fn is_key(line: &str) -> bool {
    line == "---" || line.contains(": ") && !line.contains('=') || line.ends_with(':')
}
