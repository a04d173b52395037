//! `status`: who is at work, and what earlier runs have left.

use clap::Args;

use crate::cli::args::Connection;
use crate::cli::args::Selection;
use crate::cli::error::CliError;
use crate::cli::work;
use crate::cli::work::FleetRun;
use crate::engine;
use crate::report::Purpose;
use crate::report::progress::print;
use crate::report::status;
use crate::report::status::NodeStatus;

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    selection: Selection,

    /// Print one JSON document to stdout, and nothing else there
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

impl Status {
    /// What a document of it is about, if one was asked for.
    pub(super) fn document(&self) -> Option<Purpose> {
        self.json.then_some(Purpose::Status)
    }
}

/// `fwdeploy status`.
pub(super) fn status(args: &Status) -> Result<u8, CliError> {
    let fleet = work::read(&args.selection, &args.connection)?;
    // A node that has lost its roles still has its records.
    let jobs = work::jobs_of_all(&fleet, &args.connection);
    let fleet_run = FleetRun::looking(Purpose::Status, &args.connection, &fleet);
    let (seen, watch, elapsed) = fleet_run.execute(&jobs, engine::facts)?;
    let members = fleet.members.iter().zip(&jobs);
    let nodes: Vec<NodeStatus> = members
        .zip(seen)
        .map(|((member, job), (outcome, state))| {
            let wanted = member.desired.as_ref().map(|_| job.policy.clone());
            NodeStatus::of(outcome, state.as_ref(), wanted)
        })
        .collect();
    let left = nodes.iter().any(|node| node.outcome.was_interrupted());
    let code = match watch.exit_code() {
        Some(code) if left => code,
        _ => status::exit_code(&nodes),
    };
    print(&match args.json {
        true => status::document(&nodes, elapsed, code),
        false => status::text(&nodes, elapsed),
    });
    Ok(code)
}
