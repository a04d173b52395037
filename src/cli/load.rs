//! Reads the fleet for a command, and prints the warnings and notes about it.

use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::fleet;
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
    let fleet = fleet::read(selection)?;
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
    let fleet = fleet::read(selection)?;
    key_files::check(&fleet, defaults.key_file.as_deref())?;
    warn(&fleet);
    Ok(fleet)
}

/// The same for a command that needs roles: prints a note with the names of the nodes without one.
///
/// # Errors
///
/// Those of [`fleet_with_keys()`], and a fleet in which no node has a role.
pub(super) fn fleet_with_roles(
    selection: &SelectionArgs,
    defaults: &ConnectionDefaults,
) -> Result<Fleet, CliError> {
    let fleet = fleet_with_keys(selection, defaults)?;
    let without = fleet.names_without_role();
    if without.len() == fleet.members.len() {
        return Err(CliError::new("no selected node has a role")
            .hint("give a group or a node `fwdeploy_roles: [cybex]`; `fwdeploy role list` names the roles"));
    }
    if !without.is_empty() {
        messages::note(&without_role(&without));
    }
    Ok(fleet)
}

fn warn(fleet: &Fleet) {
    for warning in &fleet.warnings {
        messages::warn(warning);
    }
}

/// The note about nodes without a role. They are not connected to, so it is unknown what an earlier run has left there.
fn without_role(names: &[&str]) -> String {
    format!(
        "left alone without a role: {}; the state that an earlier run has created stays",
        messages::names(names)
    )
}
