//! Reads what the guards of the selected nodes have counted.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::fleet_run::Done;
use crate::cli::fleet_run::FleetRun;
use crate::cli::jobs;
use crate::cli::load;
use crate::cli::options::FleetOptions;
use crate::engine;
use crate::report::Purpose;
use crate::report::output::Stdout;
use crate::report::progress::print;
use crate::report::usage::Contents;
use crate::report::usage::NodeUsage;
use crate::report::usage::Tally;
use crate::report::usage::UsageDocument;

/// Executes a command about the guards: prints its document, or a text about all nodes.
///
/// # Errors
///
/// Every mistake in the inventory and the roles, missing key files, or no password. No connection was made.
pub(super) fn execute<C: Contents + Send>(
    selection: &SelectionArgs,
    connection: &ConnectionArgs,
    json: bool,
    contents: C,
    text: impl FnOnce(&[NodeUsage], Duration) -> String,
) -> Result<u8, CliError> {
    if !json {
        let begin = |_| BTreeMap::new();
        let done = read(
            C::PURPOSE,
            selection,
            connection,
            begin,
            |nodes, at, node| {
                nodes.insert(at, node);
            },
        )?;
        // In the order of the inventory.
        let nodes: Vec<NodeUsage> = done.result.into_values().collect();
        print(&text(&nodes, done.elapsed));
        return Ok(exit_code(&Tally::of(&nodes), done.signalled));
    }
    // As everywhere, a closed pipe is ignored.
    let begin = |output| UsageDocument::begin(output, contents);
    let done = read(C::PURPOSE, selection, connection, begin, |to, at, node| {
        if let Ok(document) = to {
            let _ = document.put(at, &node);
        }
    })?;
    let Ok(document) = done.result else {
        return Ok(1);
    };
    let code = exit_code(&document.tally(), done.signalled);
    let _ = document.end(done.elapsed, code);
    Ok(code)
}

/// Reads every selected node, also without a role: its guard may still be there. `begin` is given standard output for what is written while
/// nodes are read, and makes what each of them is given to, with its place, as soon as it was read. Returns that.
///
/// # Errors
///
/// Every mistake in the inventory and the roles, missing key files, or no password. No connection was made.
fn read<T: Send>(
    purpose: Purpose,
    selection: &SelectionArgs,
    connection: &ConnectionArgs,
    begin: impl FnOnce(Stdout) -> T,
    take: impl Fn(&mut T, usize, NodeUsage) + Sync,
) -> Result<Done<T>, CliError> {
    let options = FleetOptions::new(purpose, connection);
    let fleet = load::fleet_with_keys(selection, &options.defaults)?;
    let jobs = jobs::of_all(&fleet, &options.defaults);
    FleetRun::new(&options, &fleet).execute_with_output(&jobs, |jobs, context, output| {
        let taken = Mutex::new(begin(output));
        engine::facts(jobs, context, |at, outcome, state| {
            let requires = fleet.members[at].requires();
            let desired = requires.map(|requires| requires.desired());
            let node = NodeUsage::of(outcome.clone(), state.as_ref(), desired.as_deref());
            take(
                &mut taken.lock().unwrap_or_else(PoisonError::into_inner),
                at,
                node,
            );
        });
        taken.into_inner().unwrap_or_else(PoisonError::into_inner)
    })
}

/// The exit code of the command; `signalled` is the one for the first signal, if one arrived. It counts only if nodes were left undone.
fn exit_code(tally: &Tally, signalled: Option<u8>) -> u8 {
    let signalled = signalled.filter(|_| tally.was_interrupted());
    signalled.unwrap_or_else(|| tally.exit_code())
}
