//! Checks that no more than one node is this machine.

use crate::cli::error::CliError;
use crate::cli::fleet::Fleet;
use crate::cli::messages;
use crate::inventory::ConnectionMethod;

/// Checks that at most one of the nodes is this machine (`ansible_connection: local`): with `-e`, all nodes of a group would be, and this machine would
/// get the whitelist of each of them, one after the other.
///
/// # Errors
///
/// There are several.
pub(super) fn check(fleet: &Fleet) -> Result<(), CliError> {
    let members = fleet.members.iter();
    let local = members.filter(|member| member.connection.method == ConnectionMethod::Local);
    let names: Vec<&str> = local.map(|member| member.name.as_str()).collect();
    if names.len() < 2 {
        return Ok(());
    }
    Err(CliError::new(format!(
        "{} nodes are this machine (`ansible_connection: local`): {}",
        names.len(),
        messages::names(&names)
    ))
    .hint("select the one that it is: `--limit NAME`"))
}
