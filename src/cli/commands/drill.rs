//! `drill`: proves that the nodes roll back by themselves.

use std::time::Duration;

use clap::Args;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::SelectionArgs;
use crate::cli::args::WaveArgs;
use crate::cli::args::confirm_seconds;
use crate::cli::error::CliError;
use crate::cli::fleet::Enforcing;
use crate::cli::fleet::Used;
use crate::cli::fleet_run::FleetRun;
use crate::cli::jobs;
use crate::cli::load;
use crate::cli::names::Lookup;
use crate::cli::options::FleetOptions;
use crate::cli::results;
use crate::cli::waves;
use crate::engine;
use crate::report::Diff;
use crate::report::Purpose;

#[derive(Debug, Args)]
pub(super) struct DrillArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Seconds after which a node must start to roll itself back
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = confirm_seconds)]
    confirm_timeout: Duration,

    /// Print one JSON document to stdout, and nothing else there
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    waves: WaveArgs,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl DrillArgs {
    /// Returns what its JSON document is about; `None` if none was requested.
    pub(super) fn document(&self) -> Option<Purpose> {
        self.json.then_some(Purpose::Drill)
    }

    fn options(&self) -> Result<FleetOptions, CliError> {
        Ok(FleetOptions {
            rollout: waves::rollout(&self.waves)?,
            outcomes: (!self.json).then_some(Diff::Counted),
            confirm: self.confirm_timeout,
            ..FleetOptions::new(Purpose::Drill, &self.connection)
        })
    }
}

/// Executes `fwdeploy drill`.
pub(super) fn execute(args: &DrillArgs) -> Result<u8, CliError> {
    let options = args.options()?;
    let fleet = load::fleet_with_roles(
        &args.selection,
        &options.defaults,
        Enforcing::AsWritten,
        Used::WithRole,
        Lookup::PinnedQuietly,
        "the state that an earlier run has created stays",
    )?;
    let jobs = jobs::with_roles(&fleet, &options.defaults);
    let done = FleetRun::new(&options, &fleet).execute(&jobs, engine::drill)?;
    Ok(results::print(&options, &fleet, done))
}
