//! Options of a command that connects to nodes: what the arguments mean.
//!
//! `args` and the commands have what was typed. Only this file and the commands' own `options()` read it; everything after them
//! works with [`FleetOptions`].

use std::env;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::HostKeys;
use crate::cli::args::SshClient;
use crate::cli::configuration;
use crate::cli::configuration::Configuration;
use crate::cli::configuration::Origin;
use crate::cli::settings;
use crate::engine::Rollout;
use crate::model::SshArguments;
use crate::plan::Allowed;
use crate::report::Diff;
use crate::report::Purpose;
use crate::report::Verbosity;
use crate::transport::Client;
use crate::transport::ConnectOptions;
use crate::transport::HostKeyChecking;
use crate::transport::Privilege;
use crate::transport::SshConfig;

/// The options of a command that connects to nodes.
pub(super) struct FleetOptions {
    pub(super) purpose: Purpose,
    /// How the outcome of each node is printed as soon as it is done; `None` if all output comes at the end.
    pub(super) outcomes: Option<Diff>,
    pub(super) rollout: Rollout,
    pub(super) allowed: Allowed,
    /// How long an armed node waits for confirmation before it rolls back. Whole seconds.
    pub(super) confirm: Duration,
    /// How many nodes are worked on in parallel.
    pub(super) forks: NonZeroUsize,
    /// How long one command on a node may take.
    pub(super) command_timeout: Duration,
    pub(super) become_password: BecomePassword,
    /// Whether the password to log in with is asked for (`-k`).
    pub(super) asks_password: bool,
    /// The login's password is in this file, or printed by this program (`--connection-password-file`).
    pub(super) password_file: Option<PathBuf>,
    pub(super) verbosity: Verbosity,
    pub(super) defaults: ConnectionDefaults,
    /// Options of all connections.
    pub(super) settings: ConnectOptions,
}

/// Where sudo's password comes from if the inventory does not set one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BecomePassword {
    /// There is none.
    None,
    /// The user is asked at the terminal, once for all nodes (`-K`).
    Asked,
    /// It is in this file, or printed by this program (`--become-password-file`).
    File(PathBuf),
}

/// Connection parameters from the command line, for nodes whose inventory does not set them.
pub(super) struct ConnectionDefaults {
    pub(super) user: Option<String>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) privilege: Privilege,
    /// Whom to become where the inventory says only that another user is needed.
    pub(super) escalate_user: String,
    pub(super) client: Client,
    /// Arguments of ssh for all nodes.
    pub(super) arguments: SshArguments,
}

impl FleetOptions {
    /// Returns the options of a command that only reads: one wave, no output before the end, no permissions. Other commands replace
    /// the fields for which they have arguments.
    ///
    /// What the command line does not say, ansible.cfg and Ansible's environment variables may.
    pub(super) fn new(purpose: Purpose, connection: &ConnectionArgs) -> Self {
        Self::with(purpose, connection, &configuration::current_or_default())
    }

    fn with(purpose: Purpose, connection: &ConnectionArgs, configured: &Configuration) -> Self {
        let escalate_user = settings::escalate_user(configured).value;
        FleetOptions {
            purpose,
            outcomes: None,
            rollout: Rollout::default(),
            allowed: Allowed::default(),
            confirm: Duration::ZERO,
            forks: settings::forks(connection, configured).value,
            command_timeout: connection.command_timeout,
            become_password: match (
                &connection.become_password_file,
                settings::ask_escalate_password(connection, configured).value,
            ) {
                (Some(file), _) => BecomePassword::File(file.clone()),
                (None, true) => BecomePassword::Asked,
                (None, false) => BecomePassword::None,
            },
            asks_password: connection.ask_pass,
            password_file: connection.connection_password_file.clone(),
            verbosity: match connection.verbose {
                0 => Verbosity::Quiet,
                1 => Verbosity::Steps,
                _ => Verbosity::Everything,
            },
            defaults: ConnectionDefaults {
                user: settings::user(connection, configured).value,
                key_file: settings::key_file(connection, configured).value,
                privilege: match settings::escalate(connection, configured).value {
                    true => Privilege::Sudo {
                        user: escalate_user.clone(),
                    },
                    false => Privilege::AsIs,
                },
                escalate_user,
                client: client(connection),
                arguments: node_arguments(connection, configured),
            },
            settings: of_connections(connection, configured),
        }
    }
}

fn client(connection: &ConnectionArgs) -> Client {
    match connection.transport {
        SshClient::Libssh2 => Client::Own,
        SshClient::Openssh => Client::OpenSsh,
    }
}

/// Arguments of ssh for all nodes: `--ssh-common-args`, or what ansible.cfg says.
fn node_arguments(connection: &ConnectionArgs, configured: &Configuration) -> SshArguments {
    if let Some(arguments) = &connection.ssh_common_args {
        return arguments.clone();
    }
    let ssh = &configured.ssh;
    let lines = [&ssh.args, &ssh.common_args, &ssh.extra_args];
    let lines: Vec<&str> = lines
        .into_iter()
        .flatten()
        .map(|set| set.value.as_str())
        .collect();
    // Each of them was parsed when ansible.cfg was read.
    SshArguments::parse(&lines.join(" ")).unwrap_or_default()
}

fn of_connections(connection: &ConnectionArgs, configured: &Configuration) -> ConnectOptions {
    let mut settings = ConnectOptions {
        ssh_config: match &connection.ssh_config {
            None => SshConfig::Standard,
            Some(file) if file.as_os_str() == "none" => SshConfig::None,
            Some(file) => SshConfig::File(file.clone()),
        },
        client: client(connection),
        askpass: env::current_exe().ok(),
        ..ConnectOptions::default()
    };
    // What is said here counts more than what ssh's own files say, and less than the inventory.
    let said = &mut settings.arguments;
    let timeout = settings::timeout(connection, configured);
    if timeout.origin != Origin::Default {
        settings.connect_timeout = timeout.value;
        said.push("connecttimeout", &timeout.value.as_secs().to_string());
    }
    let checking = settings::host_keys(connection, configured);
    if checking.origin != Origin::Default {
        let (mode, word) = match checking.value {
            HostKeys::Strict => (HostKeyChecking::Strict, "yes"),
            HostKeys::AcceptNew => (HostKeyChecking::AcceptNew, "accept-new"),
        };
        settings.host_key_checking = mode;
        said.push("stricthostkeychecking", word);
    }
    if let Some(file) = &connection.known_hosts {
        // Like `ssh -o UserKnownHostsFile`: the system's files are read as well.
        settings.known_hosts = vec![file.clone()];
        settings
            .known_hosts
            .extend(ConnectOptions::system_known_hosts());
        said.push("userknownhostsfile", &format!("\"{}\"", file.display()));
    }
    settings.node_arguments = node_arguments(connection, configured);
    settings
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        connection: ConnectionArgs,
    }

    fn options(arguments: &[&str]) -> FleetOptions {
        let all = [&["fwdeploy"], arguments].concat();
        let line = CommandLine::try_parse_from(all).unwrap();
        let nothing = Configuration::default();
        FleetOptions::with(Purpose::Facts, &line.connection, &nothing)
    }

    #[test]
    fn a_file_of_known_hosts_replaces_the_users_and_not_the_systems() {
        let named = options(&["--known-hosts", "fleet_hosts"])
            .settings
            .known_hosts;
        let system = ConnectOptions::system_known_hosts();
        assert_eq!(named[0], PathBuf::from("fleet_hosts"));
        assert_eq!(named[1..], system);
        assert!(options(&[]).settings.known_hosts.ends_with(&system));
    }

    #[test]
    fn a_command_that_only_reads_is_allowed_nothing() {
        let options = options(&["-b", "-K", "-vvv", "--host-key-checking", "accept-new"]);
        assert_eq!(options.allowed, Allowed::default());
        assert_eq!(options.rollout, Rollout::default());
        assert_eq!(options.outcomes, None);
        let sudo = Privilege::Sudo {
            user: "root".to_string(),
        };
        assert_eq!(options.defaults.privilege, sudo);
        assert_eq!(options.become_password, BecomePassword::Asked);
        assert_eq!(options.verbosity, Verbosity::Everything);
        let checking = options.settings.host_key_checking;
        assert_eq!(checking, HostKeyChecking::AcceptNew);
    }

    #[test]
    fn without_arguments_unknown_keys_are_refused_and_nobody_becomes_root() {
        let options = options(&[]);
        assert_eq!(options.defaults.privilege, Privilege::AsIs);
        assert_eq!(options.become_password, BecomePassword::None);
        assert_eq!(options.verbosity, Verbosity::Quiet);
        let checking = options.settings.host_key_checking;
        assert_eq!(checking, HostKeyChecking::Strict);
    }
}
