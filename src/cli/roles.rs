//! `role`: what roles there are, what they say, and copies to be changed.

use std::fmt::Write as _;
use std::path::Path;

use crate::cli::args;
use crate::cli::args::Beside;
use crate::cli::error::CliError;
use crate::model::visible::visible;
use crate::report::progress::print;
use crate::role::Role;
use crate::role::RoleOrigin;
use crate::role::Roles;

/// `fwdeploy role`.
pub(super) fn role(args: &args::Role) -> Result<u8, CliError> {
    match args {
        args::Role::List { beside } => print(&visible(&list(&roles(beside)?))),
        args::Role::Show { name, beside } => print(&visible(&show(roles(beside)?.show(name)?))),
        args::Role::Eject { name, dir, beside } => {
            let written = roles(beside)?.eject(name, dir)?;
            let lines: Vec<String> = written
                .iter()
                .map(|p| visible(&format!("{}\n", p.display())))
                .collect();
            print(&lines.concat());
        }
    }
    Ok(0)
}

fn roles(beside: &Beside) -> Result<Roles, CliError> {
    let Some(inventory) = &beside.inventory else {
        return Ok(Roles::built_in());
    };
    if !inventory.exists() {
        let path = inventory.display();
        return Err(CliError::new(format!("there is no inventory `{path}`")));
    }
    let directory = if inventory.is_dir() {
        inventory
    } else {
        inventory.parent().unwrap_or(Path::new(""))
    };
    Ok(Roles::load(directory)?)
}

fn list(roles: &Roles) -> String {
    let width = roles.list().map(|r| r.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for role in roles.list() {
        let from = match &role.origin {
            RoleOrigin::BuiltIn => "built in".to_string(),
            RoleOrigin::Folder(folder) => folder.display().to_string(),
        };
        let _ = writeln!(text, "{:<width$}  {from}", role.name);
    }
    text
}

/// The role's own words first, then its variables, then what it does with them.
fn show(role: &Role) -> String {
    let mut text = String::new();
    for file in ["README.md", "defaults.yml", "role.yml"] {
        if let Some(content) = role.files.get(file) {
            let _ = writeln!(text, "# {}/{file}\n\n{}\n", role.name, content.trim_end());
        }
    }
    text
}
