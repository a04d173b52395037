//! The arguments that commands share, as they were typed. Flags have Ansible's letters where Ansible has the flag.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::ValueEnum;

use crate::cli::vault_passwords::VaultArgs;
use crate::inventory::Shard;
use crate::model::SshArguments;

/// Which nodes, with which variables.
#[derive(Debug, Args)]
pub(super) struct SelectionArgs {
    /// Ansible inventory: a file (YAML, INI, JSON), a script, a directory of them, or a list `a,b,` [default: that of ansible.cfg]
    pub(super) inventory: Option<PathBuf>,

    /// One more inventory; what a later one says wins
    #[arg(
        short = 'i',
        long = "inventory",
        alias = "inventory-file",
        value_name = "INVENTORY"
    )]
    pub(super) inventories: Vec<PathBuf>,

    /// Where `group_vars/` and `host_vars/` are read beside those of the inventory [default: the current directory]
    #[arg(long, value_name = "DIR")]
    pub(super) playbook_dir: Option<PathBuf>,

    /// Only these nodes: names, groups, `a,b`, `a:&b`, `a:!b`, `web*`, `@FILE`
    #[arg(short, long, value_name = "PATTERN")]
    pub(super) limit: Option<String>,

    /// Only part K of N of these nodes, by their names; `I+1/N` with an index that is counted from 0
    ///
    /// Each node is in one part, and its name alone decides in which: N machines that are each given another K share a fleet.
    #[arg(long, value_name = "K/N", allow_hyphen_values = true, value_parser = Shard::parse)]
    pub(super) shard: Option<Shard>,

    /// Set variables, over all others: `name=value`, `{"name": …}` or `@FILE`
    #[arg(short, long, value_name = "VARS")]
    pub(super) extra_vars: Vec<String>,

    #[command(flatten)]
    pub(super) vault: VaultArgs,
}

#[cfg(test)]
impl SelectionArgs {
    /// All nodes of one inventory.
    pub(super) fn all_of(inventory: PathBuf) -> Self {
        Self {
            inventory: Some(inventory),
            inventories: Vec::new(),
            playbook_dir: None,
            limit: None,
            shard: None,
            extra_vars: Vec::new(),
            vault: VaultArgs::default(),
        }
    }
}

/// How the nodes are reached. The inventory overrides these flags, as with Ansible.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionArgs {
    /// Nodes to process at the same time [default: that of ansible.cfg, or 20]
    #[arg(short, long, value_name = "N")]
    pub(super) forks: Option<NonZeroUsize>,

    /// Log in as this user if the inventory names none
    #[arg(short, long, value_name = "NAME")]
    pub(super) user: Option<String>,

    /// Become root through sudo if the inventory does not say
    #[arg(short = 'b', long = "become")]
    pub(super) escalate: bool,

    /// Ask for sudo's password, once for all nodes
    #[arg(short = 'K', long)]
    pub(super) ask_become_pass: bool,

    /// Read sudo's password from this file, from the output of this program, or from stdin (`-`)
    #[arg(
        long,
        alias = "become-pass-file",
        value_name = "FILE",
        conflicts_with = "ask_become_pass"
    )]
    pub(super) become_password_file: Option<PathBuf>,

    /// Ask for the password to log in with, once for all nodes whose inventory has none
    #[arg(short = 'k', long)]
    pub(super) ask_pass: bool,

    /// Read the password to log in with from this file, from the output of this program, or from stdin (`-`)
    #[arg(
        long,
        alias = "conn-pass-file",
        value_name = "FILE",
        conflicts_with = "ask_pass"
    )]
    pub(super) connection_password_file: Option<PathBuf>,

    /// Log in with this key if the inventory names none
    #[arg(long, visible_alias = "key-file", value_name = "FILE")]
    pub(super) private_key: Option<PathBuf>,

    /// Seconds for a node to accept a connection, for the handshake, for the login, and for opening a session [default: that of
    /// ansible.cfg or of ssh's configuration, or 10]
    #[arg(short = 'T', long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) timeout: Option<Duration>,

    /// Seconds for one command on a node
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub(super) command_timeout: Duration,

    /// What to do about a node whose host key is unknown [default: strict, or what ssh's configuration says]
    ///
    /// A key that differs from the known one is refused in both modes. ansible.cfg's `host_key_checking = False` is accept-new.
    #[arg(long, value_name = "HOW", value_enum)]
    pub(super) host_key_checking: Option<HostKeys>,

    /// Read host keys from this file instead of ~/.ssh/known_hosts; the system's files are read as well
    #[arg(long, value_name = "FILE")]
    pub(super) known_hosts: Option<PathBuf>,

    /// Who speaks SSH
    #[arg(long, value_name = "WHO", value_enum, default_value_t)]
    pub(super) transport: SshClient,

    /// Read this file instead of ~/.ssh/config and the system's; `none` reads no such file
    #[arg(long, value_name = "FILE")]
    pub(super) ssh_config: Option<PathBuf>,

    /// Arguments of ssh for all nodes, such as `-J bastion`; the inventory's come first
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, value_parser = SshArguments::parse)]
    pub(super) ssh_common_args: Option<SshArguments>,

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

/// Who speaks SSH.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum SshClient {
    /// fwdeploy itself, with libssh2: one connection to a node
    #[default]
    Libssh2,
    /// The system's ssh, one process for each command: hardware keys, Kerberos, other algorithms
    Openssh,
}

/// What to do about unknown host keys.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum HostKeys {
    /// Refuse the node
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
