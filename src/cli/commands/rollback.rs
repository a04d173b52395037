//! `rollback`: restores a snapshot.

use clap::Args;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::GuardArgs;
use crate::cli::args::SelectionArgs;
use crate::cli::args::WaveArgs;
use crate::cli::error::CliError;
use crate::cli::fleet_run::FleetRun;
use crate::cli::jobs;
use crate::cli::load;
use crate::cli::options::FleetOptions;
use crate::cli::results;
use crate::cli::waves;
use crate::engine;
use crate::report::Diff;
use crate::report::Purpose;

#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// The number of the snapshot to restore; `fwdeploy status` shows them
    ///
    /// Default: the snapshot of the last confirmed run, which is the state before that run. Each node has its own numbers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,

    /// Only show which snapshot would be restored
    ///
    /// Opens one connection and runs one command per node.
    #[arg(short = 'C', long)]
    check: bool,

    /// Print one JSON document to stdout, and nothing else there
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    guard: GuardArgs,

    #[command(flatten)]
    waves: WaveArgs,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl RollbackArgs {
    fn purpose(&self) -> Purpose {
        match self.check {
            true => Purpose::RollbackCheck,
            false => Purpose::Rollback,
        }
    }

    /// Returns what its JSON document is about; `None` if none was requested.
    pub(super) fn document(&self) -> Option<Purpose> {
        self.json.then(|| self.purpose())
    }

    fn options(&self) -> Result<FleetOptions, CliError> {
        Ok(FleetOptions {
            rollout: waves::rollout(&self.waves)?,
            outcomes: (!self.json).then_some(Diff::Shown),
            confirm: self.guard.confirm_timeout,
            ..FleetOptions::new(self.purpose(), &self.connection)
        })
    }
}

/// Executes `fwdeploy rollback`.
pub(super) fn execute(args: &RollbackArgs) -> Result<u8, CliError> {
    let options = args.options()?;
    let fleet = load::fleet_with_keys(&args.selection, &options.defaults)?;
    // A node that no longer has a role can be rolled back as well.
    let jobs = jobs::of_all(&fleet, &options.defaults);
    if args.check {
        waves::note(&options.rollout, jobs.len());
    }
    let done =
        FleetRun::new(&options, &fleet).execute(&jobs, |jobs, context| match args.check {
            true => engine::check_rollback(jobs, context, args.to),
            false => engine::rollback(jobs, context, args.to),
        })?;
    Ok(results::print(&options, &fleet, done))
}
