//! Reads the fleet for a command, and prints the warnings and notes about it.

use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::fleet;
use crate::cli::fleet::Enforcing;
use crate::cli::fleet::Fleet;
use crate::cli::key_files;
use crate::cli::messages;
use crate::cli::options::ConnectionDefaults;

/// Reads the fleet, and prints the warnings.
///
/// # Errors
///
/// Every mistake in the inventory and the roles.
pub(super) fn fleet(selection: &SelectionArgs) -> Result<Fleet, CliError> {
    let fleet = fleet::read(selection, Enforcing::AsWritten)?;
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
    with_keys(selection, defaults, Enforcing::AsWritten)
}

fn with_keys(
    selection: &SelectionArgs,
    defaults: &ConnectionDefaults,
    enforcing: Enforcing,
) -> Result<Fleet, CliError> {
    let fleet = fleet::read(selection, enforcing)?;
    key_files::check(&fleet, defaults.key_file.as_deref())?;
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
    what: &str,
) -> Result<Fleet, CliError> {
    let fleet = with_keys(selection, defaults, enforcing)?;
    let without = fleet.names_without_role();
    if without.len() == fleet.members.len() {
        return Err(CliError::new("no selected node has a role")
            .hint("give a group or a node `fwdeploy_roles: [cybex]`; `fwdeploy role list` names the roles; `fwdeploy remove` takes away what an earlier run has left"));
    }
    if !without.is_empty() {
        let names = messages::names(&without);
        messages::note(&format!("left alone without a role: {names}; {what}"));
    }
    Ok(fleet)
}

fn warn(fleet: &Fleet) {
    for warning in &fleet.warnings {
        messages::warn(warning);
    }
}
