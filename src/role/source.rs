//! One role: its files as they were written.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The template of a role.
pub(super) const TEMPLATE: &str = "role.yml";
/// The variables of a role, each with its default.
pub(super) const DEFAULTS: &str = "defaults.yml";
/// The description of a role: what it opens, for which peers, and why.
pub(super) const README: &str = "README.md";

/// Where a role comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoleOrigin {
    /// It is inside of the binary.
    BuiltIn,
    /// A directory of `roles/` beside the inventory.
    Folder(PathBuf),
}

/// One role: its three texts, as they are.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its origin.
    pub origin: RoleOrigin,
    /// Its files by name; `defaults.yml` and `README.md` may be missing.
    pub files: BTreeMap<String, String>,
}

impl Role {
    /// What to call a file of the role in a message.
    pub(super) fn file_name(&self, file: &str) -> String {
        match &self.origin {
            RoleOrigin::BuiltIn => format!("built-in:{}/{file}", self.name),
            RoleOrigin::Folder(folder) => folder.join(file).display().to_string(),
        }
    }

    /// What the role's variables begin with.
    pub(super) fn prefix(&self) -> String {
        format!("{}_", self.name.replace('-', "_"))
    }
}
