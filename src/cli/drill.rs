//! `drill`: a rollback on purpose.

use std::time::Duration;

use clap::Args;

use crate::cli::args::Connection;
use crate::cli::args::Selection;
use crate::cli::args::confirm_seconds;
use crate::cli::error::CliError;
use crate::cli::rollout::Waves;
use crate::cli::work;
use crate::cli::work::FleetRun;
use crate::engine;
use crate::plan::Allowed;
use crate::report::Diff;
use crate::report::Purpose;

#[derive(Debug, Args)]
pub(super) struct Drill {
    #[command(flatten)]
    selection: Selection,

    /// Seconds after which a node has to begin to go back by itself
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = confirm_seconds)]
    confirm_timeout: Duration,

    /// Print one JSON document to stdout, and nothing else there
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    waves: Waves,

    #[command(flatten)]
    connection: Connection,
}

impl Drill {
    /// What a document of it is about, if one was asked for.
    pub(super) fn document(&self) -> Option<Purpose> {
        self.json.then_some(Purpose::Drill)
    }
}

/// `fwdeploy drill`.
pub(super) fn drill(args: &Drill) -> Result<u8, CliError> {
    let rollout = args.waves.rollout()?;
    let fleet = work::read_with_roles(&args.selection, &args.connection)?;
    let jobs = work::jobs(&fleet, &args.connection, |desired| desired.cloned());
    let fleet_run = FleetRun {
        purpose: Purpose::Drill,
        connection: &args.connection,
        rollout,
        fleet: &fleet,
        outcomes: (!args.json).then_some(Diff::Counted),
        allowed: Allowed::default(),
        confirm: args.confirm_timeout,
    };
    let (outcomes, watch, elapsed) = fleet_run.execute(&jobs, engine::drill)?;
    let code = work::exit_code(&outcomes, Purpose::Drill, &watch);
    let outcomes = work::with_skipped(&fleet, outcomes);
    work::report(&outcomes, &fleet, Purpose::Drill, elapsed, code, args.json);
    Ok(code)
}
