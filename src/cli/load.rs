//! Reads the fleet for a command, and prints the warnings and notes about it.

use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::fleet;
use crate::cli::fleet::Enforcing;
use crate::cli::fleet::Fleet;
use crate::cli::fleet::Used;
use crate::cli::key_files;
use crate::cli::messages;
use crate::cli::names::Lookup;
use crate::cli::options::ConnectionDefaults;
use crate::cli::ssh_options;
use crate::cli::this_machine;
use crate::cli::warning;

/// Reads the fleet for a command that only uses nodes with a role, and prints the warnings.
///
/// # Errors
///
/// Every mistake in the inventory and the roles.
pub(super) fn fleet(selection: &SelectionArgs) -> Result<Fleet, CliError> {
    let (enforcing, used) = (Enforcing::AsWritten, Used::WithRole);
    let fleet = fleet::read_with(selection, enforcing, used, Lookup::Pinned)?;
    warn(&fleet);
    Ok(fleet)
}

/// The same for a command that connects: also checks that the key files exist.
///
/// # Errors
///
/// Those of [`fleet()`], and every key file that is missing.
pub(super) fn fleet_with_keys(
    selection: &SelectionArgs,
    defaults: &ConnectionDefaults,
) -> Result<Fleet, CliError> {
    let (enforcing, used) = (Enforcing::AsWritten, Used::All);
    with_keys(selection, defaults, enforcing, used, Lookup::PinnedQuietly)
}

fn with_keys(
    selection: &SelectionArgs,
    defaults: &ConnectionDefaults,
    enforcing: Enforcing,
    used: Used,
    lookup: Lookup,
) -> Result<Fleet, CliError> {
    let fleet = fleet::read_with(selection, enforcing, used, lookup)?;
    key_files::check(&fleet, defaults.key_file.as_deref())?;
    ssh_options::check(&fleet, defaults)?;
    this_machine::check(&fleet)?;
    warn(&fleet);
    Ok(fleet)
}

/// The same for a command that needs roles: prints a note with the names of the nodes without one, and `what` becomes of them.
///
/// # Errors
///
/// Those of [`fleet_with_keys()`], and a fleet in which no node has a role.
pub(super) fn fleet_with_roles(
    selection: &SelectionArgs,
    defaults: &ConnectionDefaults,
    enforcing: Enforcing,
    used: Used,
    lookup: Lookup,
    what: &str,
) -> Result<Fleet, CliError> {
    let fleet = with_keys(selection, defaults, enforcing, used, lookup)?;
    let without = fleet.names_without_role();
    let is_elsewhere = fleet.others.is_some_and(|others| others.have_roles);
    if without.len() == fleet.selected() && !is_elsewhere {
        return Err(CliError::new("no selected node has a role")
            .hint("give a group or a node `fwdeploy_roles: [cybex]`; `fwdeploy role list` names the roles; `fwdeploy remove` takes away what an earlier run has left"));
    }
    let alone = match used {
        // A warning was about those that were to be used and cannot be; their names are the last.
        Used::All => &without[..without.len().saturating_sub(fleet.unused.len())],
        Used::WithRole => &without[..],
    };
    if !alone.is_empty() {
        let names = messages::names(alone);
        messages::note(&format!("left alone without a role: {names}; {what}"));
    }
    Ok(fleet)
}

fn warn(fleet: &Fleet) {
    if let Some(others) = fleet.others
        && fleet.selected() == 0
    {
        messages::note(&format!(
            "no node is in shard {}: there is nothing to do ({} in the others)",
            others.shard,
            messages::count(others.nodes, "node")
        ));
    }
    let shown = warning::shown(&fleet.warnings);
    for warning in shown.warnings {
        messages::warn(warning);
    }
    for (count, kind) in shown.more {
        messages::note(&format!("{count} more warnings like: {kind}"));
    }
}
