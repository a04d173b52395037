//! The order in which an inventory's texts are read, and put together.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use super::assemble::Texts;
use super::assemble::assemble;
use super::connection::Surroundings;
use super::connection::expand_home;
use super::document::Document;
use super::error::InputError;
use super::error::InputErrors;
use super::extra;
use super::extra::ExtraVars;
use super::files;
use super::files::Listed;
use super::nodes::Inventory;
use super::owners::Owners;
use super::owners::assign;
use super::tree;
use super::variable::check_variable;
use super::vars::Layer;
use super::vars::Vars;
use super::vars::variables;

impl Inventory {
    /// Reads an inventory, the variables beside it, and those of the command line.
    ///
    /// `path` is a file, or a directory whose YAML files are read in the order of their names.
    ///
    /// # Errors
    ///
    /// All mistakes that are found; where a file cannot be understood, at least one for it.
    pub fn load(path: &Path, extra: &[ExtraVars]) -> Result<Self, InputErrors> {
        load(path, extra)
    }
}

fn load(path: &Path, extra: &[ExtraVars]) -> Result<Inventory, InputErrors> {
    let around = files::surroundings(path);
    let mut errors = InputErrors::none();
    let documents = errors.take(files::inventory(path));
    let (tree, tree_errors) = tree::read(documents.as_deref().unwrap_or_default());
    errors.extend(tree_errors);
    let names = if errors.is_empty() {
        Names::Known
    } else {
        Names::Uncertain
    };
    let groups: BTreeSet<&str> = tree.groups.keys().map(String::as_str).collect();
    let nodes: BTreeSet<&str> = tree.nodes.iter().map(|node| node.name.as_str()).collect();
    let mut beside = |owners, known: &BTreeSet<&str>| -> BTreeMap<String, Vars> {
        errors
            .take(variables_beside(&around, owners, known, names))
            .unwrap_or_default()
    };
    let group_vars = beside(Owners::Groups, &groups);
    let node_vars = beside(Owners::Nodes, &nodes);
    let extra = errors.take(extra_vars(extra, &around)).unwrap_or_default();
    if tree.nodes.is_empty() && errors.is_empty() {
        let error = InputError::in_file(files::shown(path), "there is no node in this inventory");
        errors.push(error.hint("nodes are listed below `hosts:` of a group"));
    }
    errors.or(())?;
    let (nodes, groups) = assemble(&Texts {
        tree,
        group_vars,
        node_vars,
        extra,
        around: around.clone(),
    })?;
    let by_name = nodes
        .iter()
        .enumerate()
        .map(|(position, node)| (node.name.clone(), position))
        .collect();
    Ok(Inventory {
        directory: around.directory,
        nodes,
        by_name,
        groups,
    })
}

/// Whether all names are known, or some are lost in an inventory that is not understood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Known,
    Uncertain,
}

/// Reads `group_vars/` or `host_vars/`.
fn variables_beside(
    around: &Surroundings,
    owners: Owners,
    known: &BTreeSet<&str>,
    names: Names,
) -> Result<BTreeMap<String, Vars>, InputErrors> {
    let listed = files::list(&around.directory.join(owners.directory()))?;
    let assigned = assign(listed, owners, known);
    let layer = match owners {
        Owners::Groups => Layer::GroupFile,
        Owners::Nodes => Layer::NodeFile,
    };
    let mut errors = InputErrors::none();
    match names {
        Names::Known => errors.extend(assigned.errors),
        // Their owners may be in the part that is not understood; their own mistakes are certain.
        Names::Uncertain => {
            for listed in assigned.unmatched {
                errors.take(read_vars(&listed, layer));
            }
        }
    }
    let mut by_owner = BTreeMap::new();
    for (owner, listed) in assigned.by_owner {
        by_owner.extend(
            errors
                .take(read_vars(&listed, layer))
                .map(|vars| (owner, vars)),
        );
    }
    errors.or(by_owner)
}

/// The variables of one file, or of one directory.
fn read_vars(listed: &Listed, layer: Layer) -> Result<Vars, InputErrors> {
    let mut errors = InputErrors::none();
    let mut vars = Vars::new();
    for document in files::variable_files(listed)? {
        vars.extend(errors.take(checked(&document, layer)).unwrap_or_default());
    }
    errors.or(vars)
}

/// The variables of a document, each of which is allowed there.
fn checked(document: &Document, layer: Layer) -> Result<Vars, InputErrors> {
    check_all(variables(document, layer)?)
}

fn check_all(vars: Vars) -> Result<Vars, InputErrors> {
    let mut errors = InputErrors::none();
    for (name, var) in &vars {
        errors.take(check_variable(name, var));
    }
    errors.or(vars)
}

/// The variables of all `-e`: a later one wins.
fn extra_vars(extra: &[ExtraVars], around: &Surroundings) -> Result<Vars, InputErrors> {
    let mut errors = InputErrors::none();
    let mut vars = Vars::new();
    for one in extra {
        let read = match one {
            ExtraVars::Inline(argument) => extra::inline(argument),
            ExtraVars::File(file) => file_vars(file, around),
        };
        vars.extend(errors.take(read.and_then(check_all)).unwrap_or_default());
    }
    errors.or(vars)
}

fn file_vars(file: &str, around: &Surroundings) -> Result<Vars, InputErrors> {
    let path = expand_home(file, around)
        .map_err(|problem| InputError::in_file(format!("-e @{file}"), problem))?;
    if file.is_empty() {
        return Err(InputError::general("`-e @` names no file").into());
    }
    extra::from_mapping(&files::document(&path)?)
}
