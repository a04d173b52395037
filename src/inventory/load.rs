//! The order in which an inventory's texts are read, and put together.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::assemble::Texts;
use super::assemble::assemble;
use super::connection::Surroundings;
use super::connection::expand_home;
use super::declare::Declarations;
use super::document::Document;
use super::error::InputError;
use super::error::InputErrors;
use super::extra;
use super::extra::ExtraVars;
use super::files;
use super::files::Listed;
use super::graph::shared_names;
use super::listing::Listing;
use super::nodes::Inventory;
use super::owners::Owners;
use super::owners::assign;
use super::sources;
use super::sources::Sources;
use super::variable::check_variable;
use super::vars::Layer;
use super::vars::Vars;
use super::vars::variables;
use super::vault::Vault;
use super::vault::take_locked;

impl Inventory {
    /// Reads an inventory, the variables beside it, and those of the command line.
    ///
    /// `path` is a file, or a directory whose files are read in the order of their names.
    ///
    /// # Errors
    ///
    /// All mistakes that are found; where a file cannot be understood, at least one for it.
    pub fn load(path: &Path, extra: &[ExtraVars]) -> Result<Self, InputErrors> {
        Self::load_sources(&Sources::one(path), extra)
    }

    /// The same with the passwords for what ansible-vault has encrypted.
    ///
    /// # Errors
    ///
    /// As [`load_sources`](Self::load_sources).
    pub fn load_with(
        path: &Path,
        extra: &[ExtraVars],
        vault: Arc<Vault>,
    ) -> Result<Self, InputErrors> {
        let sources = Sources {
            vault,
            ..Sources::one(path)
        };
        Self::load_sources(&sources, extra)
    }

    /// Reads an inventory of several sources, the variables beside them, and those of the command line.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), inventory scripts that fail, and an encrypted inventory or `-e @file` that cannot be opened. For files of
    /// `group_vars/` and `host_vars/` see [`InventoryNode::locked`](super::InventoryNode::locked); encrypted values stay closed until something
    /// asks for them.
    pub fn load_sources(sources: &Sources<'_>, extra: &[ExtraVars]) -> Result<Self, InputErrors> {
        let (texts, warnings) = read(sources, extra)?;
        let first_named = texts.tree.first_named();
        let (nodes, groups) = assemble(&texts)?;
        let by_name = nodes
            .iter()
            .enumerate()
            .map(|(position, node)| (node.name.clone(), position))
            .collect();
        Ok(Self {
            directory: texts.around.directory,
            nodes,
            by_name,
            groups,
            first_named,
            warnings,
            vault: texts.vault,
        })
    }
}

impl Listing {
    /// Reads an inventory as [`Inventory::load_sources`] does, and keeps what it declares as it is written.
    ///
    /// # Errors
    ///
    /// As [`Inventory::load_sources`], but for mistakes in the meaning of variables. An encrypted file that cannot be opened is an error: without it
    /// the list would be another one.
    pub fn load(sources: &Sources<'_>, extra: &[ExtraVars]) -> Result<Self, InputErrors> {
        let (mut texts, warnings) = read(sources, extra)?;
        let mut errors = InputErrors::none();
        let Texts {
            group_vars,
            node_vars,
            vault,
            ..
        } = &mut texts;
        for vars in group_vars
            .iter_mut()
            .chain(node_vars)
            .flat_map(BTreeMap::values_mut)
        {
            errors.extend(take_locked(vars, vault));
        }
        errors.or(())?;
        Self::of_texts(&texts, warnings)
    }
}

/// Reads everything; returns warnings with it.
fn read(
    sources: &Sources<'_>,
    extra: &[ExtraVars],
) -> Result<(Texts, Vec<InputError>), InputErrors> {
    let around = files::surroundings(sources.directory());
    let Declarations {
        tree,
        mut errors,
        mut warnings,
    } = sources::read(sources);
    let names = if errors.is_empty() {
        Names::Known
    } else {
        Names::Uncertain
    };
    let groups: BTreeSet<&str> = tree.groups.keys().map(String::as_str).collect();
    let nodes: BTreeSet<&str> = tree.nodes.iter().map(|node| node.name.as_str()).collect();
    let (mut group_vars, mut node_vars) = (Vec::new(), Vec::new());
    for directory in sources.directories() {
        let mut beside = |owners, known: &BTreeSet<&str>| {
            let read = variables_beside(
                &directory,
                owners,
                known,
                names,
                &sources.vault,
                &mut warnings,
            );
            errors.take(read).unwrap_or_default()
        };
        group_vars.push(beside(Owners::Groups, &groups));
        node_vars.push(beside(Owners::Nodes, &nodes));
    }
    let extra = errors
        .take(extra_vars(extra, &around, &sources.vault))
        .unwrap_or_default();
    if tree.nodes.is_empty() && errors.is_empty() {
        let error = InputError::in_file(sources.shown(), "there is no node in this inventory");
        errors.push(
            error.hint("nodes are listed below `hosts:` of a group in YAML, one a line in INI"),
        );
    }
    errors.or(())?;
    warnings.extend(shared_names(&tree));
    let texts = Texts {
        tree,
        group_vars,
        node_vars,
        extra,
        around,
        vault: Arc::clone(&sources.vault),
    };
    Ok((texts, warnings))
}

/// Whether all names are known, or some are lost in an inventory that is not understood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Known,
    Uncertain,
}

/// Reads `group_vars/` or `host_vars/`.
fn variables_beside(
    directory: &Path,
    owners: Owners,
    known: &BTreeSet<&str>,
    names: Names,
    vault: &Vault,
    warnings: &mut Vec<InputError>,
) -> Result<BTreeMap<String, Vars>, InputErrors> {
    let listed = files::list(&directory.join(owners.directory()))?;
    let assigned = assign(listed, owners, known);
    let layer = match owners {
        Owners::Groups => Layer::GroupFile,
        Owners::Nodes => Layer::NodeFile,
    };
    let mut errors = InputErrors::none();
    match names {
        Names::Known => warnings.extend(assigned.warnings),
        // Their owners may be in the part that is not understood; their own mistakes are certain.
        Names::Uncertain => {
            for listed in assigned.unmatched {
                errors.take(read_vars(&listed, layer, vault, warnings));
            }
        }
    }
    let mut by_owner = BTreeMap::new();
    for (owner, listed) in assigned.by_owner {
        by_owner.extend(
            errors
                .take(read_vars(&listed, layer, vault, warnings))
                .map(|vars| (owner, vars)),
        );
    }
    errors.or(by_owner)
}

/// The variables of one file, or of one directory.
fn read_vars(
    listed: &Listed,
    layer: Layer,
    vault: &Vault,
    warnings: &mut Vec<InputError>,
) -> Result<Vars, InputErrors> {
    let mut errors = InputErrors::none();
    let mut vars = Vars::new();
    let found = files::variable_files(listed, vault)?;
    warnings.extend(found.warnings);
    for document in found.documents {
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
fn extra_vars(
    extra: &[ExtraVars],
    around: &Surroundings,
    vault: &Vault,
) -> Result<Vars, InputErrors> {
    let mut errors = InputErrors::none();
    let mut vars = Vars::new();
    for one in extra {
        let read = match one {
            ExtraVars::Inline(argument) => extra::inline(argument),
            ExtraVars::File(file) => file_vars(file, around, vault),
        };
        vars.extend(errors.take(read.and_then(check_all)).unwrap_or_default());
    }
    errors.or(vars)
}

fn file_vars(file: &str, around: &Surroundings, vault: &Vault) -> Result<Vars, InputErrors> {
    let path = expand_home(file, around)
        .map_err(|problem| InputError::in_file(format!("-e @{file}"), problem))?;
    if file.is_empty() {
        return Err(InputError::general("`-e @` names no file").into());
    }
    extra::from_mapping(&files::document(&path, vault)?)
}
