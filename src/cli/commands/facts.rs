//! `facts`: the observed state of the nodes, as JSON.

use std::sync::Mutex;
use std::sync::PoisonError;

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
use crate::report::json::FactsDocument;
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
    let done =
        FleetRun::new(&options, &fleet).execute_with_output(&jobs, |jobs, context, output| {
            let document = FactsDocument::begin(output).map(Mutex::new);
            let read = engine::facts(jobs, context, |at, outcome, state| {
                if let Ok(document) = &document {
                    let mut document = document.lock().unwrap_or_else(PoisonError::into_inner);
                    // As everywhere, a closed pipe is ignored.
                    let _ = document.put(at, outcome, state.as_ref());
                }
                let unread: Vec<String> = state.iter().flat_map(unread).collect();
                (outcome.clone(), unread)
            });
            let document = document.map(Mutex::into_inner);
            (document, read)
        })?;
    let (document, read) = done.result;
    let (outcomes, unread): (Vec<Outcome>, Vec<Vec<String>>) = read.into_iter().unzip();
    let code = results::exit_code(&outcomes, options.purpose, done.signalled);
    let warnings = remarks::of_warnings(&fleet.warnings);
    if let Ok(document) = document {
        let document = document.unwrap_or_else(PoisonError::into_inner);
        let _ = document.end(&outcomes, &warnings, done.elapsed, code);
    }
    for (outcome, lines) in outcomes.iter().zip(unread) {
        for line in lines {
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
