//! The settings of connections, by who says them: the command line, or else the environment or ansible.cfg, or else nobody.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::HostKeys;
use crate::cli::configuration::Configuration;
use crate::cli::configuration::Configured;
use crate::cli::configuration::Origin;

/// Nodes at the same time.
const FORKS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(19);

/// How long a node may take for a step of a connection.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The value of the flag, or else the configured one, or else `otherwise`.
fn first<T: Clone>(
    flag: Option<(&'static str, T)>,
    configured: &Option<Configured<T>>,
    otherwise: T,
) -> Configured<T> {
    match (flag, configured) {
        (Some((name, value)), _) => Configured {
            value,
            origin: Origin::Flag(name),
        },
        (None, Some(configured)) => configured.clone(),
        (None, None) => Configured {
            value: otherwise,
            origin: Origin::Default,
        },
    }
}

/// A setting that may stay open.
fn optional<T: Clone>(configured: &Option<Configured<T>>) -> Option<Configured<Option<T>>> {
    configured.clone().map(|configured| Configured {
        value: Some(configured.value),
        origin: configured.origin,
    })
}

/// Nodes at the same time.
pub(super) fn forks(
    connection: &ConnectionArgs,
    configured: &Configuration,
) -> Configured<NonZeroUsize> {
    let flag = connection.forks.map(|forks| ("--forks", forks));
    first(flag, &configured.forks, FORKS)
}

/// How long a node may take for a step of a connection.
pub(super) fn timeout(
    connection: &ConnectionArgs,
    configured: &Configuration,
) -> Configured<Duration> {
    let flag = connection.timeout.map(|timeout| ("--timeout", timeout));
    first(flag, &configured.timeout, TIMEOUT)
}

/// The user to log in as if the inventory names none.
pub(super) fn user(
    connection: &ConnectionArgs,
    configured: &Configuration,
) -> Configured<Option<String>> {
    let flag = connection.user.clone().map(|user| ("--user", Some(user)));
    first(flag, &optional(&configured.remote_user), None)
}

/// The key to log in with if the inventory names none.
pub(super) fn key_file(
    connection: &ConnectionArgs,
    configured: &Configuration,
) -> Configured<Option<PathBuf>> {
    let flag = connection.private_key.clone();
    let flag = flag.map(|file| ("--private-key", Some(file)));
    first(flag, &optional(&configured.private_key_file), None)
}

/// What to do about unknown host keys. Ansible without `host_key_checking` records them too; unlike Ansible, a key that has changed is refused.
pub(super) fn host_keys(
    connection: &ConnectionArgs,
    configured: &Configuration,
) -> Configured<HostKeys> {
    let flag = connection.host_key_checking;
    let flag = flag.map(|how| ("--host-key-checking", how));
    let of_file = configured.host_key_checking.clone();
    let of_file = of_file.map(|checking| Configured {
        value: match checking.value {
            true => HostKeys::Strict,
            false => HostKeys::AcceptNew,
        },
        origin: checking.origin,
    });
    first(flag, &of_file, HostKeys::Strict)
}

/// Whether another user is needed where the inventory does not say.
pub(super) fn escalate(
    connection: &ConnectionArgs,
    configured: &Configuration,
) -> Configured<bool> {
    let flag = connection.escalate.then_some(("--become", true));
    first(flag, &configured.escalate, false)
}

/// Whom to become where the inventory says only that another user is needed.
pub(super) fn escalate_user(configured: &Configuration) -> Configured<String> {
    first(None, &configured.escalate_user, "root".to_owned())
}

/// Whether sudo's password is asked for.
pub(super) fn ask_escalate_password(
    connection: &ConnectionArgs,
    configured: &Configuration,
) -> Configured<bool> {
    let flag = connection.ask_become_pass;
    let flag = flag.then_some(("--ask-become-pass", true));
    first(flag, &configured.escalate_ask_pass, false)
}
