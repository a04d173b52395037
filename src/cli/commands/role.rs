//! `role`: lists, shows and copies roles.

use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;

use crate::cli::error::CliError;
use crate::model::visible::visible;
use crate::report::progress::print;
use crate::role::Role;
use crate::role::RoleOrigin;
use crate::role::Roles;

#[derive(Debug, Subcommand)]
pub(super) enum RoleCommand {
    /// List the roles, built in and beside an inventory
    List {
        #[command(flatten)]
        beside: BesideArgs,
    },

    /// Print what a role allows, for which peers, and its variables
    Show {
        /// The role's name
        name: String,

        #[command(flatten)]
        beside: BesideArgs,
    },

    /// Copy a role's files into DIR/NAME, to be edited there
    ///
    /// A role in `roles/` beside the inventory overrides a built-in one of the same name. Nothing is ever overwritten.
    Eject {
        /// The role's name
        name: String,

        /// The directory in which the role's directory is created
        #[arg(default_value = "roles")]
        dir: PathBuf,

        #[command(flatten)]
        beside: BesideArgs,
    },
}

/// The places that are searched for roles.
#[derive(Debug, Args)]
pub(super) struct BesideArgs {
    /// Also include the roles beside this inventory
    #[arg(short, long, value_name = "INVENTORY")]
    inventory: Option<PathBuf>,
}

/// Executes `fwdeploy role`.
pub(super) fn execute(command: &RoleCommand) -> Result<u8, CliError> {
    match command {
        RoleCommand::List { beside } => print(&visible(&list(&roles(beside)?))),
        RoleCommand::Show { name, beside } => print(&visible(&show(roles(beside)?.show(name)?))),
        RoleCommand::Eject { name, dir, beside } => {
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

fn roles(beside: &BesideArgs) -> Result<Roles, CliError> {
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

/// Returns the role's files: its README, then its variables, then its template.
fn show(role: &Role) -> String {
    let mut text = String::new();
    for file in ["README.md", "defaults.yml", "role.yml"] {
        if let Some(content) = role.files.get(file) {
            let _ = writeln!(text, "# {}/{file}\n\n{}\n", role.name, content.trim_end());
        }
    }
    text
}
