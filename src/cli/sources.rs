//! Which inventories a command reads: those of the command line, or else the configured one.

use std::path::Path;
use std::path::PathBuf;

use crate::cli::args::SelectionArgs;
use crate::cli::configuration;
use crate::cli::configuration::Configuration;
use crate::cli::configuration::Configured;
use crate::cli::configuration::Origin;
use crate::cli::error::CliError;
use crate::cli::vault_passwords;
use crate::cli::vault_passwords::VaultDefaults;
use crate::inventory::ExtraVars;
use crate::inventory::Sources;
use crate::inventory::programs::Programs;

/// Ansible's inventory where nothing names another one.
const SYSTEM: &str = "/etc/ansible/hosts";

/// The inventories, and who names them; `None` if nobody does.
pub(super) fn inventories(
    selection: &SelectionArgs,
    configured: &Configuration,
) -> Option<Configured<Vec<PathBuf>>> {
    let named = selection.inventory.iter().chain(&selection.inventories);
    let named: Vec<PathBuf> = named.cloned().collect();
    if !named.is_empty() {
        let flag = match selection.inventory {
            Some(_) => "INVENTORY",
            None => "--inventory",
        };
        return Some(Configured {
            value: named,
            origin: Origin::Flag(flag),
        });
    }
    configured.inventory.clone().or_else(|| {
        Path::new(SYSTEM).exists().then(|| Configured {
            value: vec![PathBuf::from(SYSTEM)],
            origin: Origin::Default,
        })
    })
}

/// The directory whose `group_vars/` and `host_vars/` are read beside those of the inventory. The current one is empty.
pub(super) fn playbook_directory(
    selection: &SelectionArgs,
    configured: &Configuration,
) -> Configured<PathBuf> {
    match (&selection.playbook_dir, &configured.playbook_dir) {
        (Some(directory), _) => Configured {
            value: directory.clone(),
            origin: Origin::Flag("--playbook-dir"),
        },
        (None, Some(configured)) => configured.clone(),
        (None, None) => Configured {
            value: PathBuf::new(),
            origin: Origin::Default,
        },
    }
}

/// Where the inventory is read from.
///
/// # Errors
///
/// Nobody names an inventory, or ansible.cfg cannot be read.
pub(super) fn of<'p>(
    selection: &SelectionArgs,
    programs: &'p dyn Programs,
) -> Result<Sources<'p>, CliError> {
    let configured = configuration::current()?;
    let Some(inventories) = inventories(selection, configured) else {
        return Err(CliError::new("no inventory is named").hint(
            "name one, `fwdeploy run inventory.yml`, or write `inventory = FILE` below `[defaults]` in ansible.cfg; `fwdeploy config` shows what counts",
        ));
    };
    let defaults = VaultDefaults::configured(&configured.vault);
    let first = inventories.value.first().map_or(Path::new(""), |path| path);
    let vault = vault_passwords::vault(&selection.vault, &defaults, first);
    Ok(Sources {
        vault,
        paths: inventories.value,
        playbook_directory: Some(playbook_directory(selection, configured).value),
        programs,
    })
}

/// The variables of the command line.
pub(super) fn extra(selection: &SelectionArgs) -> Vec<ExtraVars> {
    let arguments = selection.extra_vars.iter();
    arguments
        .map(|argument| ExtraVars::from_argument(argument))
        .collect()
}
