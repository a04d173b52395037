//! The command line. Each command has its own file with its arguments and its execution.

mod completions;
mod config;
mod drill;
mod facts;
mod inventory;
mod peers;
mod refused;
mod remove;
mod render;
mod report;
mod role;
mod rollback;
mod run;
mod scan_keys;
mod status;

use anstream::ColorChoice;
use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use crate::cli::commands::completions::CompletionsArgs;
use crate::cli::commands::config::ConfigArgs;
use crate::cli::commands::drill::DrillArgs;
use crate::cli::commands::facts::FactsArgs;
use crate::cli::commands::inventory::InventoryArgs;
use crate::cli::commands::peers::PeersArgs;
use crate::cli::commands::refused::RefusedArgs;
use crate::cli::commands::remove::RemoveArgs;
use crate::cli::commands::render::RenderArgs;
use crate::cli::commands::report::ReportCommand;
use crate::cli::commands::role::RoleCommand;
use crate::cli::commands::rollback::RollbackArgs;
use crate::cli::commands::run::RunArgs;
use crate::cli::commands::scan_keys::ScanKeysArgs;
use crate::cli::commands::status::StatusArgs;
use crate::cli::error::CliError;
use crate::report::Purpose;

/// Whitelist the peers of containerised blockchain nodes, inbound and outbound
///
/// fwdeploy reads an Ansible inventory, reads the state of every node over SSH, and makes firewalld and Docker accept only the
/// whitelisted peers. It reports `ok` and `changed` only after a new reading over a new connection.
#[derive(Debug, Parser)]
#[command(name = "fwdeploy", version, propagate_version = true, after_long_help = AFTER)]
#[command(max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    command: Command,

    /// When to use colours
    ///
    /// `auto` uses them on a terminal, and respects NO_COLOR and CLICOLOR_FORCE.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    color: Color,
}

/// The text below `--help`.
const AFTER: &str = "\
Examples:
  fwdeploy run inventory.yml --check            what would change, nothing is changed
  fwdeploy run inventory.yml --diff             apply the roles, and show each difference
  fwdeploy run inventory.yml -l 'cybex:!cyb-3'  only the nodes of a group, without one
  fwdeploy run inventory.yml --serial 1,10%,50% in waves; a failure ends it before the next
  fwdeploy run inventory.yml --shard 3/20       one of twenty parts, by the names of the nodes
  fwdeploy report merge reports --expect 20     one report of those of all parts
  fwdeploy run inventory.yml -b -K              through sudo, with a password
  fwdeploy status inventory.yml                 who changed each node when, and who is changing it
  fwdeploy peers inventory.yml --unused         which entries of the whitelists nobody has used
  fwdeploy refused inventory.yml --top 5        who was refused most
  fwdeploy rollback inventory.yml -l cyb-1      restore the state before the last run
  fwdeploy drill inventory.yml -l cyb-1         test that a node rolls itself back
  fwdeploy remove inventory.yml -l cyb-1 -C     what of fwdeploy's is on a node, to be taken away
  fwdeploy render inventory.yml -l cyb-1        a node's rules as firewall-cmd lines
  fwdeploy inventory inventory.yml --vars cyb-1 a node's variables, and where each is set
  fwdeploy facts inventory.yml -l cyb-1         the state of a node as JSON
  fwdeploy role eject cybex roles               a copy of a role, to be edited

Exit codes:
  0    run: every node is in the desired    --check: no drift
       state
  1    usage, inventory or role error;      --check: also a node that could not be judged
       nothing was changed
  2    run: a node failed, was refused or   --check: drift, and every node was judged
       rolled back
  4    run: a node was unreachable,         --check: a node was unreachable, so there is
       and none failed                      no verdict on the fleet
  130  stopped by Ctrl-C with nodes not done; by SIGTERM it is 143, by SIGHUP 129";

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the nodes of an inventory to the state that their roles describe
    ///
    /// All files are read and all roles resolved before the first connection. Each node is read, armed to roll itself back, changed
    /// where it differs, and verified over a new connection; only then is the run confirmed. If anything fails, the node rolls back,
    /// and the other nodes continue.
    #[command(after_long_help = AFTER)]
    Run(RunArgs),

    /// Show who is changing the nodes, and which snapshots they have
    ///
    /// One connection and one command per node; nothing is changed. The exit code is 2 if an unfinished run holds a node.
    Status(StatusArgs),

    /// Show how much each entry of the whitelists was used
    ///
    /// One connection and one command per node; nothing is changed. Shows the packets that the guard of each node has counted since its
    /// table was loaded: when the node booted, when a run had to replace the table, or when nftables.service was reloaded. A change
    /// of the whitelist alone keeps the counters of the entries that stay.
    Peers(PeersArgs),

    /// Show what was refused, and the entries that would allow it
    ///
    /// One connection and one command per node; nothing is changed. Shows the flows that the guard of each node has refused within the last
    /// 24 hours, those with the most packets first, and their sum over the fleet. An address and port can be pasted into a
    /// list of peers as it is printed.
    Refused(RefusedArgs),

    /// Restore the nodes to the state before an earlier run
    ///
    /// Each run leaves a snapshot of the state before it on the node; the last ten are kept, and the first. A rollback restores all of /etc/firewalld
    /// and of firewalld's runtime, including what others have changed since, DOCKER-USER and the jump to it, and undoes what the runs
    /// since then did to Docker's networks. It is armed like a run: if the node cannot be read afterwards, it returns to the state before
    /// the rollback. A rollback leaves a snapshot too, and can be rolled back.
    Rollback(RollbackArgs),

    /// Test that the nodes roll themselves back
    ///
    /// Arms each node, writes a rule that does nothing into firewalld's permanent configuration, closes the connection and does not
    /// confirm. The node must then restore its previous state by its own timer. Exits with 0 only if every node did.
    Drill(DrillArgs),

    /// Take everything of fwdeploy's away from the nodes, which opens them
    ///
    /// Removes the guard, the rules, chains and rich rules of fwdeploy's, and the Docker networks that it has made and that nothing is on.
    /// Afterwards no whitelist is enforced. Without --limit only nodes without a role are changed: those whose last role is gone, or with
    /// `fwdeploy_roles: []`. Nodes with a role have to be named by --limit. What is not provably fwdeploy's stays, and is reported. It is armed
    /// like a run, and can be rolled back until --purge.
    Remove(RemoveArgs),

    /// Look at the host keys of all nodes, and write down the new ones
    ///
    /// Shows the fingerprint of every node, through jump hosts too, and whether it is the known one. New keys are written to the known hosts
    /// on a yes, or with --yes; a known key is never replaced. Nobody logs in on the nodes. The exit code is 2 if a node was not reached,
    /// has another key than the known one, or a new key was not written.
    ScanKeys(ScanKeysArgs),

    /// Print the state of the nodes as JSON
    ///
    /// One connection and one command per node; nothing is changed.
    Facts(FactsArgs),

    /// Print what the roles require on the nodes, without connecting
    Render(RenderArgs),

    /// Make one report of those of several machines
    #[command(subcommand)]
    Report(ReportCommand),

    /// Show the groups, nodes and variables of the inventory, without connecting
    ///
    /// What `ansible-inventory` shows of the same inventory, with templates as they are written. Secrets are redacted.
    Inventory(InventoryArgs),

    /// Show the settings that count, and where each comes from
    ///
    /// The command line wins over Ansible's environment variables, and they over ansible.cfg, which is looked for in ANSIBLE_CONFIG, the current
    /// directory, ~/.ansible.cfg and /etc/ansible. What the inventory says of a node wins over all of them.
    Config(ConfigArgs),

    /// List, show and copy roles
    #[command(subcommand, visible_alias = "roles")]
    Role(RoleCommand),

    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Color {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Cli {
    /// Returns when to use colours (`--color`).
    pub(super) fn color_choice(&self) -> ColorChoice {
        match self.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
    }

    /// Returns the purpose to name in the JSON document of a command that was not started; `None` if no document was requested.
    pub(super) fn document(&self) -> Option<Purpose> {
        match &self.command {
            Command::Run(args) => args.document(),
            Command::Rollback(args) => args.document(),
            Command::Drill(args) => args.document(),
            Command::Remove(args) => args.document(),
            Command::Status(args) => args.document(),
            Command::Peers(args) => args.document(),
            Command::Refused(args) => args.document(),
            _ => None,
        }
    }

    /// Executes the command, and returns the exit code.
    ///
    /// # Errors
    ///
    /// The arguments, the files or the roles are wrong. Nothing was changed.
    pub(super) fn execute(&self) -> Result<u8, CliError> {
        match &self.command {
            Command::Run(args) => run::execute(args),
            Command::Status(args) => status::execute(args),
            Command::Peers(args) => peers::execute(args),
            Command::Refused(args) => refused::execute(args),
            Command::Rollback(args) => rollback::execute(args),
            Command::Drill(args) => drill::execute(args),
            Command::Remove(args) => remove::execute(args),
            Command::ScanKeys(args) => scan_keys::execute(args),
            Command::Facts(args) => facts::execute(args),
            Command::Render(args) => render::execute(args),
            Command::Report(command) => report::execute(command),
            Command::Inventory(args) => inventory::execute(args),
            Command::Config(args) => config::execute(args),
            Command::Role(command) => role::execute(command),
            Command::Completions(args) => {
                completions::execute(args, &mut Self::command());
                Ok(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}
