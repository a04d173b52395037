//! The command line. Flags have Ansible's letters where Ansible has the flag.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap_complete::Shell;

use crate::cli::drill::Drill;
use crate::cli::rollback::Rollback;
use crate::cli::rollout::Waves;
use crate::cli::status::Status;

/// Close blockchain nodes to everyone but their named peers
///
/// fwdeploy reads an Ansible inventory, looks at every node over SSH, and makes firewalld and Docker let only the whitelisted peers in
/// and out. It says `ok` and `changed` only of nodes that a fresh look on a new connection found as wanted.
#[derive(Debug, Parser)]
#[command(name = "fwdeploy", version, propagate_version = true, after_long_help = AFTER)]
#[command(max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,

    /// When to use colours
    ///
    /// `auto` uses them on a terminal, and obeys NO_COLOR and CLICOLOR_FORCE.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    pub(super) color: Color,
}

/// What stands below `--help`.
const AFTER: &str = "\
Examples:
  fwdeploy run inventory.yml --check            what would change, nothing is touched
  fwdeploy run inventory.yml --diff             make it so, and show each difference
  fwdeploy run inventory.yml -l 'cybex:!cyb-3'  only the nodes of a group, without one
  fwdeploy run inventory.yml --serial 1,10%,50% in waves; a failure ends it before the next
  fwdeploy run inventory.yml -b -K              through sudo, with a password
  fwdeploy status inventory.yml                 who changed each node when, and who is at work
  fwdeploy rollback inventory.yml -l cyb-1      the state before the last run, from its snapshot
  fwdeploy drill inventory.yml -l cyb-1         shows that a node comes back by itself
  fwdeploy render inventory.yml -l cyb-1        a node's rules as firewall-cmd lines
  fwdeploy facts inventory.yml -l cyb-1         what a node looks like, as JSON
  fwdeploy role eject cybex roles               a copy of a role, to be changed

Exit codes:
  0    run: every node is as wanted         --check: no drift
  1    usage, inventory or role error;      --check: also a node that could not be judged
       nothing was touched
  2    run: a node failed, was refused or   --check: drift, and every node was judged
       rolled back
  4    run: a node was unreachable,         --check: a node was unreachable, so there is
       and none failed                      no verdict on the fleet
  130  stopped by Ctrl-C with nodes not done; by SIGTERM it is 143, by SIGHUP 129";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the nodes of an inventory as their roles say
    ///
    /// Every file is read and every role resolved before the first connection. Each node is looked at, armed to go back by itself,
    /// changed where it differs, and looked at again on a new connection; only then is the run confirmed. If anything fails, the node
    /// goes back to the state before, and the others go on.
    #[command(after_long_help = AFTER)]
    Run(Run),

    /// Show who is at work on the nodes, and which snapshots they have
    ///
    /// One connection and one command a node; nothing is changed. The exit code is 2 if an unfinished run holds a node.
    Status(Status),

    /// Bring the nodes back to the state before an earlier run
    ///
    /// Each run leaves a snapshot of the state before it on the node; the last ten are kept. Bringing one back puts all of
    /// /etc/firewalld and of firewalld's runtime back as it was then, whoever has changed it since, DOCKER-USER and the jump to it, and
    /// takes back what the runs since then did to Docker's networks. It is armed like a run: if the node cannot be looked at afterwards,
    /// it goes back to the state before the rollback. A rollback leaves a snapshot too, and can be rolled back.
    Rollback(Rollback),

    /// Prove that the nodes come back by themselves
    ///
    /// Arms each node, writes a rule that does nothing into firewalld's permanent configuration, closes the connection and confirms
    /// nothing. Then the node has to be as it was, by its own timer. Exits with 0 only if every node was.
    Drill(Drill),

    /// Print what the nodes look like, as JSON
    ///
    /// One connection and one command a node; nothing is changed.
    Facts(Facts),

    /// Print what the roles ask of the nodes, without connecting
    Render(Render),

    /// List, show and copy roles
    #[command(subcommand, visible_alias = "roles")]
    Role(Role),

    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) selection: Selection,

    /// Only say what would change
    ///
    /// Opens one connection and runs one command a node. The differences are shown as with --diff.
    #[arg(short = 'C', long)]
    pub(super) check: bool,

    /// Show each difference, view by view
    #[arg(short = 'D', long)]
    pub(super) diff: bool,

    /// Make a Docker network anew if it has another subnet
    ///
    /// Its containers are disconnected and connected again at their addresses. Without this flag the plan only says so, and the node is
    /// left alone.
    #[arg(long)]
    pub(super) replace_network: bool,

    /// Mend first what keeps a node from being deployed to
    ///
    /// A run that was never ended is taken back; a firewalld that has died is started; one in state FAILED, or whose rules or Docker's
    /// were flushed, is reloaded. Permanent direct rules that cannot be loaded are set aside, and each is named. Without this flag such a
    /// node is left alone.
    #[arg(long)]
    pub(super) recover: bool,

    /// When to reload firewalld instead of adding rules one by one
    ///
    /// A reload takes a second or two and also activates whatever else waits in firewalld's permanent configuration. New flows of the
    /// managed networks are dropped meanwhile, so that nothing leaks. `auto` reloads for hundreds of rules, and only if nothing else
    /// waits.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub(super) reload: Reload,

    /// Let a reload also activate what others have written permanently
    ///
    /// Without this flag a node is not reloaded while something of anybody else's waits in firewalld's permanent configuration. With it
    /// each such change is shown. A reload after which this ssh connection could not be opened again is refused all the same.
    #[arg(long)]
    pub(super) allow_pending: bool,

    /// Print one JSON document to stdout, and nothing else there
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) guard: Guard,

    #[command(flatten)]
    pub(super) waves: Waves,

    /// If a node fails, take those back that this run has changed
    ///
    /// When the last node is done, the nodes that were changed and confirmed go back to the state before this run, unless somebody else
    /// has changed them since.
    #[arg(long)]
    pub(super) rollback_all: bool,

    #[command(flatten)]
    pub(super) connection: Connection,
}

/// How a node that is changed is guarded.
#[derive(Debug, Args)]
pub(super) struct Guard {
    /// Seconds after which a node goes back to the state before by itself if nobody confirms
    ///
    /// They count from before the first change. A run is confirmed when the node is as wanted, seen through a new connection.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = confirm_seconds)]
    pub(super) confirm_timeout: Duration,
}

#[derive(Debug, Args)]
pub(super) struct Facts {
    #[command(flatten)]
    pub(super) selection: Selection,

    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct Render {
    #[command(flatten)]
    pub(super) selection: Selection,

    /// How the rules are written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Debug, Subcommand)]
pub(super) enum Role {
    /// List the roles, built in and beside an inventory
    List {
        #[command(flatten)]
        beside: Beside,
    },

    /// Print what a role opens, to whom, and with which variables
    Show {
        /// The role's name
        name: String,

        #[command(flatten)]
        beside: Beside,
    },

    /// Copy a role's files into DIR/NAME, to be changed there
    ///
    /// A role in `roles/` beside the inventory wins over a built-in one of the same name. Nothing is ever overwritten.
    Eject {
        /// The role's name
        name: String,

        /// Where the role's folder is made
        #[arg(default_value = "roles")]
        dir: PathBuf,

        #[command(flatten)]
        beside: Beside,
    },
}

/// Where roles are looked for.
#[derive(Debug, Args)]
pub(super) struct Beside {
    /// Also look at the roles beside this inventory
    #[arg(short, long, value_name = "INVENTORY")]
    pub(super) inventory: Option<PathBuf>,
}

/// Which nodes, with which variables.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Ansible YAML inventory, or a directory of them
    pub(super) inventory: PathBuf,

    /// Only these nodes: names, groups, `a,b`, `a:&b`, `a:!b`, `web*`, `@FILE`
    #[arg(short, long, value_name = "PATTERN")]
    pub(super) limit: Option<String>,

    /// Set variables, over all others: `name=value`, `{"name": …}` or `@FILE`
    #[arg(short, long, value_name = "VARS")]
    pub(super) extra_vars: Vec<String>,
}

/// How the nodes are reached. What the inventory says about a node wins, as with Ansible.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Connection {
    /// Nodes to work on at a time
    #[arg(short, long, value_name = "N", default_value = "20")]
    pub(super) forks: NonZeroUsize,

    /// Log in as this user where the inventory names none
    #[arg(short, long, value_name = "NAME")]
    pub(super) user: Option<String>,

    /// Become root through sudo where the inventory does not say
    #[arg(short = 'b', long = "become")]
    pub(super) escalate: bool,

    /// Ask for sudo's password, once for all nodes
    #[arg(short = 'K', long)]
    pub(super) ask_become_pass: bool,

    /// Log in with this key where the inventory names none
    #[arg(long, visible_alias = "key-file", value_name = "FILE")]
    pub(super) private_key: Option<PathBuf>,

    /// Seconds for a node to accept a connection, for the handshake, for the login, and for opening a session
    #[arg(short = 'T', long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(super) timeout: Duration,

    /// Seconds for one command on a node
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub(super) command_timeout: Duration,

    /// What to do about a node whose host key is unknown
    ///
    /// A key that differs from the known one is refused either way.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub(super) host_key_checking: HostKeys,

    /// Read host keys from this file instead of ~/.ssh/known_hosts; the system's files count beside it
    #[arg(long, value_name = "FILE")]
    pub(super) known_hosts: Option<PathBuf>,

    /// Show each remote step and answer; twice, in full
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

/// When to reload firewalld.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Reload {
    /// When it is much faster and changes nothing else
    #[default]
    Auto,
    /// Whenever rules change at runtime
    Always,
    /// Never
    Never,
}

/// What to do about unknown host keys.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum HostKeys {
    /// Refuse the node
    #[default]
    Strict,
    /// Write the key down and go on
    AcceptNew,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Color {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How `render` writes.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Format {
    /// Commands that a person can read and run: docker, firewall-cmd
    #[default]
    Commands,
    /// JSON
    Json,
    /// firewalld's direct.xml
    #[value(name = "direct.xml")]
    DirectXml,
}

/// With less than this a busy node goes back before anybody can have looked at it again.
pub(super) fn confirm_seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds @ 5..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("not a number of seconds from 5 to 3600".to_string()),
    }
}

/// A positive number of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    // An hour is longer than any of these ever takes, and adds to every clock without overflow.
    match text.parse::<u64>() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("not a number of seconds from 1 to 3600".to_string()),
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
