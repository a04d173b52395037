//! Options of a command that connects to nodes: what the arguments mean.
//!
//! `args` and the commands have what was typed. Only this file and the commands' own `options()` read it; everything after them
//! works with [`FleetOptions`].

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::HostKeys;
use crate::engine::Rollout;
use crate::plan::Allowed;
use crate::report::Diff;
use crate::report::Purpose;
use crate::report::Verbosity;
use crate::transport::HostKeyChecking;
use crate::transport::Privilege;
use crate::transport::Settings;

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
    pub(super) verbosity: Verbosity,
    pub(super) defaults: ConnectionDefaults,
    /// Settings of all connections.
    pub(super) settings: Settings,
}

/// Where sudo's password comes from if the inventory does not set one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BecomePassword {
    /// There is none.
    None,
    /// The user is asked at the terminal, once for all nodes (`-K`).
    Asked,
}

/// Connection parameters from the command line, for nodes whose inventory does not set them.
pub(super) struct ConnectionDefaults {
    pub(super) user: Option<String>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) privilege: Privilege,
}

impl FleetOptions {
    /// Returns the options of a command that only reads: one wave, no output before the end, no permissions. Other commands replace
    /// the fields for which they have arguments.
    pub(super) fn new(purpose: Purpose, connection: &ConnectionArgs) -> Self {
        FleetOptions {
            purpose,
            outcomes: None,
            rollout: Rollout::default(),
            allowed: Allowed::default(),
            confirm: Duration::ZERO,
            forks: connection.forks,
            command_timeout: connection.command_timeout,
            become_password: match connection.ask_become_pass {
                true => BecomePassword::Asked,
                false => BecomePassword::None,
            },
            verbosity: match connection.verbose {
                0 => Verbosity::Quiet,
                1 => Verbosity::Steps,
                _ => Verbosity::Everything,
            },
            defaults: ConnectionDefaults {
                user: connection.user.clone(),
                key_file: connection.private_key.clone(),
                privilege: match connection.escalate {
                    true => Privilege::Sudo {
                        user: "root".to_string(),
                    },
                    false => Privilege::AsIs,
                },
            },
            settings: settings(connection),
        }
    }
}

fn settings(connection: &ConnectionArgs) -> Settings {
    let mut settings = Settings {
        host_key_checking: match connection.host_key_checking {
            HostKeys::Strict => HostKeyChecking::Strict,
            HostKeys::AcceptNew => HostKeyChecking::AcceptNew,
        },
        connect_timeout: connection.timeout,
        ..Settings::default()
    };
    if let Some(file) = &connection.known_hosts {
        // Like `ssh -o UserKnownHostsFile`: the system's files are read as well.
        settings.known_hosts = vec![file.clone()];
        settings.known_hosts.extend(Settings::system_known_hosts());
    }
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
        FleetOptions::new(Purpose::Facts, &line.connection)
    }

    #[test]
    fn a_file_of_known_hosts_replaces_the_users_and_not_the_systems() {
        let named = options(&["--known-hosts", "fleet_hosts"])
            .settings
            .known_hosts;
        let system = Settings::system_known_hosts();
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
