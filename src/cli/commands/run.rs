//! `run`: applies the roles to the nodes; with `--check`, only shows what would change.

use clap::Args;
use clap::ValueEnum;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::GuardArgs;
use crate::cli::args::SelectionArgs;
use crate::cli::args::WaveArgs;
use crate::cli::error::CliError;
use crate::cli::fleet;
use crate::cli::fleet::Enforcing;
use crate::cli::fleet::Used;
use crate::cli::fleet_run::Done;
use crate::cli::fleet_run::FleetRun;
use crate::cli::jobs;
use crate::cli::load;
use crate::cli::messages;
use crate::cli::names::Lookup;
use crate::cli::names::ask_system;
use crate::cli::options::FleetOptions;
use crate::cli::results;
use crate::cli::waves;
use crate::engine;
use crate::engine::WhenFailed;
use crate::plan::Allowed;
use crate::plan::Permission;
use crate::plan::Reload;
use crate::report::Diff;
use crate::report::Purpose;
use crate::report::progress::print;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Only show what would change
    ///
    /// Opens one connection and runs one command per node. The differences are shown as with --diff.
    #[arg(short = 'C', long)]
    check: bool,

    /// Show each difference, view by view
    #[arg(short = 'D', long)]
    diff: bool,

    /// Enforce nothing: let pass what is on no list, and record it
    ///
    /// As if every role had `enforce: audit`. `fwdeploy refused` shows what was recorded. The next run without this flag enforces the
    /// whitelists of the roles that are not in audit themselves.
    #[arg(long)]
    audit: bool,

    /// Recreate a Docker network that has another subnet
    ///
    /// Its containers are disconnected and connected again at their addresses. Without this flag such a node is refused.
    #[arg(long)]
    replace_network: bool,

    /// First repair what prevents a deployment to a node
    ///
    /// A run that was never ended is rolled back. A firewalld that has died is started. A firewalld in state FAILED is reloaded, and also
    /// if its rules or Docker's were flushed. Permanent direct rules that cannot be loaded are set aside and reported. Without this flag
    /// such a node is refused.
    #[arg(long)]
    recover: bool,

    /// When to reload firewalld instead of adding rules one by one
    ///
    /// A reload takes a second or two and also activates all other pending changes of firewalld's permanent configuration. New flows of
    /// the managed networks are dropped meanwhile, so that nothing leaks. `auto` reloads for hundreds of rules, and only if no other
    /// changes are pending.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    reload: ReloadArg,

    /// Let a reload also activate what others have written permanently
    ///
    /// Without this flag a node is not reloaded while changes of others are pending in firewalld's permanent configuration. With it, each
    /// such change is shown. A reload after which this ssh connection could not be opened again is refused in both cases.
    #[arg(long)]
    allow_pending: bool,

    /// Only list the nodes that --limit and --shard select, without connecting
    #[arg(long)]
    list_hosts: bool,

    /// Only read all files and resolve all roles, without connecting
    #[arg(long, conflicts_with = "list_hosts")]
    syntax_check: bool,

    /// Print one JSON document to stdout, and nothing else there
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    guard: GuardArgs,

    #[command(flatten)]
    waves: WaveArgs,

    /// If a node fails, roll back the nodes that this run has changed
    ///
    /// When the last node is done, the nodes that were changed and confirmed are restored to the state before this run, unless another
    /// run has changed them since.
    #[arg(long)]
    rollback_all: bool,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// When to reload firewalld.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum ReloadArg {
    /// When it is much faster and changes nothing else
    #[default]
    Auto,
    /// Whenever rules change at runtime
    Always,
    /// Never
    Never,
}

impl RunArgs {
    fn purpose(&self) -> Purpose {
        match self.check {
            true => Purpose::Check,
            false => Purpose::Run,
        }
    }

    /// Returns what its JSON document is about; `None` if none was requested.
    pub(super) fn document(&self) -> Option<Purpose> {
        self.json.then(|| self.purpose())
    }

    fn options(&self) -> Result<FleetOptions, CliError> {
        let mut rollout = waves::rollout(&self.waves)?;
        if self.rollback_all {
            rollout.when_failed = WhenFailed::RollBackAll;
        }
        let diff = match self.diff || self.check {
            true => Diff::Shown,
            false => Diff::Counted,
        };
        Ok(FleetOptions {
            rollout,
            outcomes: (!self.json).then_some(diff),
            allowed: Allowed {
                replace_network: permission(self.replace_network),
                recover: permission(self.recover),
                reload: self.reload.into(),
                pending: permission(self.allow_pending),
            },
            confirm: self.guard.confirm_timeout,
            ..FleetOptions::new(self.purpose(), &self.connection)
        })
    }
}

impl From<ReloadArg> for Reload {
    fn from(reload: ReloadArg) -> Self {
        match reload {
            ReloadArg::Auto => Reload::Auto,
            ReloadArg::Always => Reload::Always,
            ReloadArg::Never => Reload::Never,
        }
    }
}

/// Returns the permission that a flag gives.
pub(super) fn permission(flag: bool) -> Permission {
    match flag {
        true => Permission::Granted,
        false => Permission::Withheld,
    }
}

/// Executes `fwdeploy run`.
pub(super) fn execute(args: &RunArgs) -> Result<u8, CliError> {
    if args.list_hosts {
        return list_hosts(&args.selection);
    }
    let options = args.options()?;
    let enforcing = match args.audit {
        true => Enforcing::Audit,
        false => Enforcing::AsWritten,
    };
    let fleet = load::fleet_with_roles(
        &args.selection,
        &options.defaults,
        enforcing,
        Used::All,
        // What is in the files does not depend on where names lead.
        match args.syntax_check {
            true => Lookup::PinnedQuietly,
            false => Lookup::Asked(ask_system),
        },
        "they are only read, and what an earlier run has left there is reported",
    )?;
    if args.syntax_check {
        messages::note(&format!(
            "no mistake in the inventory and the roles of {}; nothing was connected",
            messages::count(fleet.members.len(), "node")
        ));
        return Ok(0);
    }
    let jobs = jobs::with_roles(&fleet, &options.defaults);
    let others = jobs::without_roles(&fleet, &options.defaults);
    if args.check {
        waves::note(&options.rollout, jobs.len());
    }
    let run = FleetRun::new(&options, &fleet).then_reads(&others);
    let done = run.execute(&jobs, |jobs, context| -> Result<_, CliError> {
        let outcomes = match args.check {
            true => engine::check(jobs, context),
            false => {
                // Once passwords were given, and before the first connection.
                if let Some(pins) = &fleet.pins {
                    pins.write()?;
                }
                engine::run(jobs, context)
            }
        };
        Ok((outcomes, engine::orphaned(&others, context)))
    })?;
    let Done {
        result,
        elapsed,
        signalled,
        document,
    } = done;
    let (outcomes, read) = result?;
    let unknown = read.iter().filter(|(_, is_known)| !is_known);
    let unknown: Vec<&str> = unknown.map(|(outcome, _)| &*outcome.node).collect();
    if !unknown.is_empty() {
        messages::note(&format!(
            "what an earlier run has left on nodes without a role is unknown, because they could not be read: {}",
            messages::names(&unknown)
        ));
    }
    let read = read.into_iter().map(|(outcome, _)| outcome).collect();
    let result = results::in_order(&fleet, outcomes, read);
    let done = Done {
        result,
        elapsed,
        signalled,
        document,
    };
    Ok(results::print(&options, &fleet, done))
}

/// Prints the selected nodes as `ansible --list-hosts` does.
fn list_hosts(selection: &SelectionArgs) -> Result<u8, CliError> {
    let inventory = fleet::inventory(selection)?;
    let nodes = fleet::selected(&inventory, selection)?;
    let mut text = format!("  hosts ({}):\n", nodes.len());
    for node in nodes {
        text.push_str("    ");
        text.push_str(&node.name);
        text.push('\n');
    }
    print(&text);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        run: RunArgs,
    }

    fn options(arguments: &[&str]) -> FleetOptions {
        let all = [&["fwdeploy", "inventory.yml"], arguments].concat();
        let line = CommandLine::try_parse_from(all).unwrap();
        line.run.options().ok().unwrap()
    }

    #[test]
    fn a_check_shows_the_differences_and_a_run_counts_them() {
        assert_eq!(options(&[]).outcomes, Some(Diff::Counted));
        assert_eq!(options(&["--diff"]).outcomes, Some(Diff::Shown));
        let check = options(&["--check"]);
        assert_eq!(check.outcomes, Some(Diff::Shown));
        assert_eq!(check.purpose, Purpose::Check);
        assert_eq!(options(&["--check", "--json"]).outcomes, None);
    }

    #[test]
    fn each_permission_has_a_flag_of_its_own() {
        let none = Allowed::default();
        assert_eq!(options(&["-C", "-D", "-b", "--rollback-all"]).allowed, none);
        for (flags, allowed) in [
            (
                &["--replace-network"][..],
                Allowed {
                    replace_network: Permission::Granted,
                    ..none
                },
            ),
            (
                &["--recover"],
                Allowed {
                    recover: Permission::Granted,
                    ..none
                },
            ),
            (
                &["--allow-pending"],
                Allowed {
                    pending: Permission::Granted,
                    ..none
                },
            ),
            (
                &["--reload", "always"],
                Allowed {
                    reload: Reload::Always,
                    ..none
                },
            ),
            (
                &["--reload", "never"],
                Allowed {
                    reload: Reload::Never,
                    ..none
                },
            ),
        ] {
            assert_eq!(options(flags).allowed, allowed, "{flags:?}");
        }
    }

    #[test]
    fn only_rollback_all_takes_other_nodes_back() {
        let when_failed = |flags: &[&str]| options(flags).rollout.when_failed;
        assert_eq!(when_failed(&["--rollback-all"]), WhenFailed::RollBackAll);
        assert_eq!(when_failed(&["--serial", "1"]), WhenFailed::default());
    }
}
