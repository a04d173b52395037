//! Reads what the guards of the selected nodes have counted.

use std::time::Duration;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::fleet_run::FleetRun;
use crate::cli::jobs;
use crate::cli::load;
use crate::cli::options::FleetOptions;
use crate::cli::results;
use crate::engine;
use crate::report::Purpose;
use crate::report::usage;
use crate::report::usage::NodeUsage;

/// What was read.
pub(super) struct Read {
    /// The selected nodes, in the order of the inventory.
    pub(super) nodes: Vec<NodeUsage>,
    /// Wall-clock time of the reading.
    pub(super) elapsed: Duration,
    /// The exit code of the command.
    pub(super) exit_code: u8,
}

/// Reads every selected node, also without a role: its guard may still be there.
///
/// # Errors
///
/// Every mistake in the inventory and the roles, missing key files, or no password. No connection was made.
pub(super) fn read(
    purpose: Purpose,
    selection: &SelectionArgs,
    connection: &ConnectionArgs,
) -> Result<Read, CliError> {
    let options = FleetOptions::new(purpose, connection);
    let fleet = load::fleet_with_keys(selection, &options.defaults)?;
    let jobs = jobs::of_all(&fleet, &options.defaults);
    let done = FleetRun::new(&options, &fleet).execute(&jobs, engine::facts)?;
    let members = fleet.members.iter().zip(done.result);
    let nodes: Vec<NodeUsage> = members
        .map(|(member, (outcome, state))| {
            let desired = member.requires().map(|requires| requires.desired());
            NodeUsage::of(outcome, state.as_ref(), desired.as_deref())
        })
        .collect();
    let outcomes = nodes.iter().map(|node| &node.outcome);
    let signalled = results::signal_code(outcomes, done.signalled);
    Ok(Read {
        exit_code: signalled.unwrap_or_else(|| usage::exit_code(&nodes)),
        elapsed: done.elapsed,
        nodes,
    })
}
