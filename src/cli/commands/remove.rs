//! `remove`: takes everything of fwdeploy's away from nodes; with `--check`, only shows what that is.

use clap::Args;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::GuardArgs;
use crate::cli::args::SelectionArgs;
use crate::cli::args::WaveArgs;
use crate::cli::commands::run::permission;
use crate::cli::error::CliError;
use crate::cli::fleet::Fleet;
use crate::cli::fleet_run::FleetRun;
use crate::cli::jobs;
use crate::cli::load;
use crate::cli::messages;
use crate::cli::options::FleetOptions;
use crate::cli::results;
use crate::cli::waves;
use crate::engine;
use crate::engine::Snapshots;
use crate::plan::Allowed;
use crate::report::Diff;
use crate::report::Purpose;

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Only show what would be removed
    ///
    /// Opens one connection and runs one command per node. The exit code is 2 if there is something.
    #[arg(short = 'C', long)]
    check: bool,

    /// Also remove the records of the nodes, with all snapshots
    ///
    /// /var/lib/fwdeploy is removed once everything else is gone and the removal is confirmed. Nothing can be rolled back then.
    #[arg(long)]
    purge: bool,

    /// First repair what prevents a change of a node; see `run --recover`
    #[arg(long)]
    recover: bool,

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

impl RemoveArgs {
    fn purpose(&self) -> Purpose {
        match self.check {
            true => Purpose::RemoveCheck,
            false => Purpose::Remove,
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
            allowed: Allowed {
                recover: permission(self.recover),
                ..Allowed::default()
            },
            confirm: self.guard.confirm_timeout,
            ..FleetOptions::new(self.purpose(), &self.connection)
        })
    }
}

/// Executes `fwdeploy remove`.
pub(super) fn execute(args: &RemoveArgs) -> Result<u8, CliError> {
    let options = args.options()?;
    let mut fleet = load::fleet_with_keys(&args.selection, &options.defaults)?;
    if args.selection.limit.is_none() {
        spare_nodes_with_roles(&mut fleet)?;
    }
    let snapshots = match args.purge {
        true => Snapshots::Purged,
        false => Snapshots::Kept,
    };
    let jobs = jobs::to_remove(&fleet, &options.defaults, snapshots);
    if args.check {
        waves::note(&options.rollout, jobs.len());
    }
    let done = FleetRun::new(&options, &fleet).execute(
        &jobs,
        match args.check {
            true => engine::check,
            false => engine::run,
        },
    )?;
    Ok(results::print(&options, &fleet, done))
}

/// Whoever forgets `--limit` must not open a whole fleet.
fn spare_nodes_with_roles(fleet: &mut Fleet) -> Result<(), CliError> {
    let spared = fleet.without_roles();
    // In a shard that is a matter of chance.
    if fleet.members.is_empty() && fleet.others.is_none() {
        return Err(CliError::new("every node of the inventory has a role")
            .hint("name the nodes from which it is to be removed: `--limit NODE`"));
    }
    if !spared.is_empty() {
        let names: Vec<&str> = spared.iter().map(String::as_str).collect();
        messages::note(&format!(
            "left alone with a role: {}; they have to be named by --limit",
            messages::names(&names)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::cli::fleet;

    use super::*;

    fn fleet(text: &str) -> Fleet {
        let folder = tempfile::tempdir().unwrap();
        let inventory = folder.path().join("inventory.yml");
        fs::write(&inventory, text).unwrap();
        let selection = SelectionArgs::all_of(inventory);
        fleet::read(&selection, fleet::Enforcing::AsWritten, fleet::Used::All).unwrap()
    }

    #[test]
    fn without_a_limit_no_node_with_a_role_is_opened() {
        let text = "all: {vars: {cybex_peers: [192.0.2.7]}, hosts: {a: {fwdeploy_roles: [cybex]}, b: , c: {fwdeploy_roles: []}}}";
        let mut some = fleet(text);
        spare_nodes_with_roles(&mut some).unwrap();
        let names: Vec<&str> = some.members.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["b", "c"]);
        let mut all =
            fleet("all: {vars: {cybex_peers: [192.0.2.7]}, hosts: {a: {fwdeploy_roles: [cybex]}}}");
        assert!(spare_nodes_with_roles(&mut all).is_err());
    }
}
