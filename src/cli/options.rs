//! Arguments → what they mean: the options of a command that goes to the nodes.
//!
//! `args` and the commands have what was typed. Nothing else takes it from there: what follows works with these options only.

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

/// What a command that goes to the nodes was asked for.
pub(super) struct FleetOptions {
    pub(super) purpose: Purpose,
    /// How each node's outcome is printed when the node is done. `None` prints none: the command prints one document at the end.
    pub(super) outcomes: Option<Diff>,
    pub(super) rollout: Rollout,
    pub(super) allowed: Allowed,
    /// How long an armed node waits for the run to be confirmed.
    pub(super) confirm: Duration,
    /// How many nodes are worked on at a time.
    pub(super) forks: NonZeroUsize,
    /// How long one command on a node may take.
    pub(super) command_timeout: Duration,
    pub(super) become_password: BecomePassword,
    pub(super) verbosity: Verbosity,
    pub(super) defaults: ConnectionDefaults,
    /// What holds for every connection.
    pub(super) settings: Settings,
}

/// Where sudo's password comes from, beside the inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BecomePassword {
    /// From nowhere.
    None,
    /// From the person at the terminal, once for all nodes.
    Asked,
}

/// What the command line says about nodes of which the inventory does not say it.
pub(super) struct ConnectionDefaults {
    pub(super) user: Option<String>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) privilege: Privilege,
}

impl FleetOptions {
    /// The options of a command that changes no node: it takes all nodes in one wave, prints no outcome on the way, and is allowed
    /// nothing. A command with more arguments of its own puts those in their place.
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
        // As `ssh -o UserKnownHostsFile`: the system's files count beside it.
        settings.known_hosts = vec![file.clone()];
        settings.known_hosts.extend(Settings::system_known_hosts());
    }
    settings
}
