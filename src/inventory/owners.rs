//! Whose variables a file of `group_vars/` or `host_vars/` holds.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::error::InputError;
use super::files::Listed;
use super::files::ListedKind;
use super::files::is_passed_over;
use super::files::shown;
use super::files::yaml_stem;
use super::suggest::closest;

/// What the files of a directory are named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owners {
    /// `group_vars/`
    Groups,
    /// `host_vars/`
    Nodes,
}

impl Owners {
    pub(super) fn directory(self) -> &'static str {
        match self {
            Self::Groups => "group_vars",
            Self::Nodes => "host_vars",
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Groups => "group",
            Self::Nodes => "node",
        }
    }
}

/// The files of one directory.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    pub(super) by_owner: BTreeMap<String, Listed>,
    /// Files whose name matches no group and no node.
    pub(super) unmatched: Vec<Listed>,
    /// About files that are not read.
    pub(super) warnings: Vec<InputError>,
}

/// Finds the owner of each file: `NAME`, `NAME.yml`, `NAME.yaml`, `NAME.json`, or a directory `NAME`.
///
/// As Ansible does, it passes over a file that no group or host is named after, and of several for one name reads only the first: `NAME` itself, then
/// `.yml`, `.yaml` and `.json`. Unlike Ansible, it says so: about the first only where there is a similar name.
pub(super) fn assign(listed: Vec<Listed>, owners: Owners, known: &BTreeSet<&str>) -> Assigned {
    let mut assigned = Assigned::default();
    let mut listed = listed;
    listed.sort_by_key(|listed| rank(&listed.name));
    for listed in listed {
        let name = listed.name.as_str();
        let stem = if listed.kind == ListedKind::File {
            yaml_stem(name)
        } else {
            None
        };
        // A node's name may look as if it had an ending: `web1.example.com`.
        let owner = if known.contains(name) {
            name
        } else {
            stem.unwrap_or(name)
        };
        if !known.contains(owner) {
            let text = listed.kind == ListedKind::File && stem.is_none();
            if !(text && is_passed_over(&listed.name)) {
                let warning = stranger(&listed, stem, owners, known);
                assigned.warnings.extend(warning);
                assigned.unmatched.push(listed);
            }
            continue;
        }
        if let Some(first) = assigned.by_owner.get(owner) {
            let message = format!(
                "not read, as by Ansible: `{owner}` has variables in `{}` too",
                first.name
            );
            let warning = InputError::in_file(shown(&listed.path), message);
            assigned.warnings.push(warning.hint(format!(
                "put both into the directory `{}/{owner}/`",
                owners.directory()
            )));
            continue;
        }
        assigned.by_owner.insert(owner.to_owned(), listed);
    }
    assigned
}

/// In which order Ansible looks for the files of one name.
fn rank(name: &str) -> usize {
    let endings = [".yml", ".yaml", ".json"];
    let ending = endings.iter().position(|ending| name.ends_with(ending));
    ending.map_or(0, |position| position + 1)
}

/// The warning about a file of variables whose name matches no group or node, if it looks like a misspelling of one.
fn stranger(
    listed: &Listed,
    stem: Option<&str>,
    owners: Owners,
    known: &BTreeSet<&str>,
) -> Option<InputError> {
    let name = stem.unwrap_or(&listed.name);
    let word = owners.as_str();
    let error = InputError::in_file(
        shown(&listed.path),
        format!("there is no {word} `{name}` in the inventory"),
    );
    // `eos.ymll` is a group with an odd ending.
    let before_dot = name.split('.').next().unwrap_or(name);
    if stem.is_none()
        && listed.kind == ListedKind::File
        && before_dot != name
        && known.contains(before_dot)
    {
        return Some(error.hint(format!(
            "name it `{before_dot}.yml` to set the variables of {word} `{before_dot}`"
        )));
    }
    // Several inventories may be beside one `group_vars/`, so an unknown name is no error in itself; `node-2`
    // beside `node-1` is another node, not a typing error.
    let numbered = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    let meant = closest(name, known.iter().copied())
        .filter(|meant| numbered(meant) != numbered(name))
        .map(|meant| {
            if stem.is_some() {
                format!("{meant}.yml")
            } else {
                meant.to_owned()
            }
        });
    meant.map(|meant| error.did_you_mean(Some(&meant)))
}
