//! `status`: which runs are changing the nodes, and which snapshots earlier runs have left.

use clap::Args;

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
use crate::report::output::Stdout;
use crate::report::progress::print;
use crate::report::status;
use crate::report::status::NodeStatus;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Print one JSON document to stdout, and nothing else there
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl StatusArgs {
    /// Returns what its JSON document is about; `None` if none was requested.
    pub(super) fn document(&self) -> Option<Purpose> {
        self.json.then_some(Purpose::Status)
    }
}

/// Executes `fwdeploy status`.
pub(super) fn execute(args: &StatusArgs) -> Result<u8, CliError> {
    let options = FleetOptions::new(Purpose::Status, &args.connection);
    let fleet = load::fleet_with_keys(&args.selection, &options.defaults)?;
    // A node that no longer has a role still has its records.
    let jobs = jobs::of_all(&fleet, &options.defaults);
    let done = FleetRun::new(&options, &fleet).execute(&jobs, |jobs, context| {
        engine::facts(jobs, context, |at, outcome, state| {
            let has_role = fleet.members[at].desired.is_some();
            let wanted = has_role.then(|| jobs[at].requires.policy());
            NodeStatus::of(outcome.clone(), state.as_ref(), wanted)
        })
    })?;
    let nodes = done.result;
    let outcomes = nodes.iter().map(|node| &node.outcome);
    let code =
        results::signal_code(outcomes, done.signalled).unwrap_or_else(|| status::exit_code(&nodes));
    match args.json {
        true => {
            // As everywhere, a closed pipe is ignored.
            let _ = status::document(&mut Stdout::new(), &nodes, done.elapsed, code);
        }
        false => print(&status::text(&nodes, done.elapsed)),
    }
    Ok(code)
}
