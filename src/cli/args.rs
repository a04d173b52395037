//! The arguments that commands share, as they were typed. Flags have Ansible's letters where Ansible has the flag.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::ValueEnum;

/// Which nodes, with which variables.
#[derive(Debug, Args)]
pub(super) struct SelectionArgs {
    /// Ansible YAML inventory, or a directory of them
    pub(super) inventory: PathBuf,

    /// Only these nodes: names, groups, `a,b`, `a:&b`, `a:!b`, `web*`, `@FILE`
    #[arg(short, long, value_name = "PATTERN")]
    pub(super) limit: Option<String>,

    /// Set variables, over all others: `name=value`, `{"name": …}` or `@FILE`
    #[arg(short, long, value_name = "VARS")]
    pub(super) extra_vars: Vec<String>,
}

/// How the nodes are reached. The inventory overrides these flags, as with Ansible.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionArgs {
    /// Nodes to process at the same time
    #[arg(short, long, value_name = "N", default_value = "20")]
    pub(super) forks: NonZeroUsize,

    /// Log in as this user if the inventory names none
    #[arg(short, long, value_name = "NAME")]
    pub(super) user: Option<String>,

    /// Become root through sudo if the inventory does not say
    #[arg(short = 'b', long = "become")]
    pub(super) escalate: bool,

    /// Ask for sudo's password, once for all nodes
    #[arg(short = 'K', long)]
    pub(super) ask_become_pass: bool,

    /// Log in with this key if the inventory names none
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
    /// A key that differs from the known one is refused in both modes.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub(super) host_key_checking: HostKeys,

    /// Read host keys from this file instead of ~/.ssh/known_hosts; the system's files are read as well
    #[arg(long, value_name = "FILE")]
    pub(super) known_hosts: Option<PathBuf>,

    /// Show each remote step and its answer; twice (-vv): in full
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

/// How a node that is changed is guarded.
#[derive(Debug, Args)]
pub(super) struct GuardArgs {
    /// Seconds after which an unconfirmed node rolls itself back
    ///
    /// They count from before the first change. A run is confirmed when the node is in the desired state, read over a new connection.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = confirm_seconds)]
    pub(super) confirm_timeout: Duration,
}

/// In which waves, and when to stop.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waves")]
pub(super) struct WaveArgs {
    /// Deploy in waves of these sizes, such as `1,10%,50%`
    ///
    /// Counts, or percentages of the selected nodes with a role, rounded down but at least 1; the last one is used until all nodes are
    /// done. A wave starts when every node of the wave before is finished. Within a wave, --forks nodes are processed at the same time.
    // A value that starts with `-` is rejected here, and not taken for a flag.
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    pub(super) serial: Option<String>,

    /// How many nodes of a wave may fail before no further node is started: `N` or `N%`
    ///
    /// A node that was refused or unreachable counts too. A percentage is of the nodes of the wave, rounded down. As soon as more
    /// have failed, the nodes at work are finished, and no others are started, in this wave or a later one. [default: 0 with --serial,
    /// any number without]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(super) max_fail: Option<String>,

    /// Start no further node once one has failed; the same as `--max-fail 0`
    #[arg(long, conflicts_with = "max_fail")]
    pub(super) any_error_fatal: bool,
}

/// What to do about unknown host keys.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum HostKeys {
    /// Refuse the node
    #[default]
    Strict,
    /// Record the key and continue
    AcceptNew,
}

/// A busy node with less time than this rolls back before it can be read again.
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
