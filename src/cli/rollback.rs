//! `rollback`: back to a snapshot.

use clap::Args;

use crate::cli::args::Connection;
use crate::cli::args::Guard;
use crate::cli::args::Selection;
use crate::cli::error::CliError;
use crate::cli::rollout;
use crate::cli::rollout::Waves;
use crate::cli::work;
use crate::cli::work::FleetRun;
use crate::engine;
use crate::plan::Allowed;
use crate::report::Diff;
use crate::report::Purpose;

#[derive(Debug, Args)]
pub(super) struct Rollback {
    #[command(flatten)]
    selection: Selection,

    /// The number of the snapshot to bring back; `fwdeploy status` shows them
    ///
    /// Without it, the snapshot of the last confirmed run: the state before that run. Numbers are each node's own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,

    /// Only say which snapshot it would be
    ///
    /// Opens one connection and runs one command a node.
    #[arg(short = 'C', long)]
    check: bool,

    /// Print one JSON document to stdout, and nothing else there
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    guard: Guard,

    #[command(flatten)]
    waves: Waves,

    #[command(flatten)]
    connection: Connection,
}

impl Rollback {
    fn purpose(&self) -> Purpose {
        match self.check {
            true => Purpose::RollbackCheck,
            false => Purpose::Rollback,
        }
    }

    /// What a document of it is about, if one was asked for.
    pub(super) fn document(&self) -> Option<Purpose> {
        self.json.then(|| self.purpose())
    }
}

/// `fwdeploy rollback`.
pub(super) fn rollback(args: &Rollback) -> Result<u8, CliError> {
    let purpose = args.purpose();
    let rollout = args.waves.rollout()?;
    let fleet = work::read(&args.selection, &args.connection)?;
    // Whoever has lost its roles can go back too.
    let jobs = work::jobs_of_all(&fleet, &args.connection);
    if args.check {
        rollout::note_waves(&rollout, jobs.len());
    }
    let fleet_run = FleetRun {
        purpose,
        connection: &args.connection,
        rollout,
        fleet: &fleet,
        outcomes: (!args.json).then_some(Diff::Shown),
        allowed: Allowed::default(),
        confirm: args.guard.confirm_timeout,
    };
    let (outcomes, watch, elapsed) =
        fleet_run.execute(&jobs, |jobs, context| match args.check {
            true => engine::check_rollback(jobs, context, args.to),
            false => engine::rollback(jobs, context, args.to),
        })?;
    let code = work::exit_code(&outcomes, purpose, &watch);
    work::report(&outcomes, &fleet, purpose, elapsed, code, args.json);
    Ok(code)
}
