//! `facts`: the observed state of the nodes, as JSON.

use clap::Args;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::fleet_run::FleetRun;
use crate::cli::jobs;
use crate::cli::load;
use crate::cli::messages;
use crate::cli::options::FleetOptions;
use crate::cli::remarks;
use crate::cli::results;
use crate::engine;
use crate::engine::Outcome;
use crate::report::Purpose;
use crate::report::json;
use crate::report::output::Output;
use crate::report::unread;

#[derive(Debug, Args)]
pub(super) struct FactsArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Executes `fwdeploy facts`.
pub(super) fn execute(args: &FactsArgs) -> Result<u8, CliError> {
    let options = FleetOptions::new(Purpose::Facts, &args.connection);
    let fleet = load::fleet_with_keys(&args.selection, &options.defaults)?;
    // A node without a role can be read as well.
    let jobs = jobs::of_all(&fleet, &options.defaults);
    let done = FleetRun::new(&options, &fleet).execute(&jobs, engine::facts)?;
    let outcomes: Vec<Outcome> = done.result.iter().map(|(o, _)| o.clone()).collect();
    let code = results::exit_code(&outcomes, options.purpose, done.signalled);
    let warnings = remarks::of_warnings(&fleet.warnings);
    // As everywhere, a closed pipe is ignored.
    let _ = json::facts(
        &mut Output::new(),
        &done.result,
        &warnings,
        done.elapsed,
        code,
    );
    for (outcome, state) in &done.result {
        for line in state.iter().flat_map(unread) {
            messages::note(&format!("{}: {line}", outcome.node));
        }
    }
    for failure in outcomes
        .iter()
        .filter_map(|outcome| outcome.failure.as_ref())
    {
        messages::error(&failure.text(), failure.hint.as_deref());
    }
    Ok(code)
}
