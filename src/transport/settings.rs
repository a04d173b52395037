//! What holds for every node of a run.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

/// What to do about a node whose host key is unknown.
///
/// A key that differs from the known one is refused in both modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeyChecking {
    /// Refuse it.
    Strict,
    /// Write it down and go on.
    AcceptNew,
}

/// What holds for every node of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What to do about unknown host keys.
    pub host_key_checking: HostKeyChecking,
    /// The files that are read; new keys are appended to the first. A file that does not exist is empty.
    pub known_hosts: Vec<PathBuf>,
    /// The directory that is searched for the default keys: `id_ed25519`, `id_ecdsa`, `id_rsa`.
    pub key_folder: Option<PathBuf>,
    /// The agent's socket (`SSH_AUTH_SOCK`).
    pub agent: Option<PathBuf>,
    /// Time limit for each address of a node to accept; and separately for each of the handshake, the login and opening a session;
    /// and for each answer of an agent.
    pub connect_timeout: Duration,
    /// Time between two signs of life while a script runs, in whole seconds. After three without an answer the connection is lost (on Linux;
    /// elsewhere the system decides when). Zero sends none.
    pub keepalive: Duration,
}

impl Settings {
    /// The files of the system, which are read in addition to the user's: they may contain a revocation.
    pub fn system_known_hosts() -> [PathBuf; 2] {
        ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(PathBuf::from)
    }
}

impl Default for Settings {
    /// What OpenSSH does by default, except that unknown keys are refused rather than asked about.
    fn default() -> Self {
        let home = env::var_os("HOME")
            .filter(|home| !home.is_empty())
            .map(PathBuf::from);
        let folder = home.map(|home| home.join(".ssh"));
        let own = folder
            .iter()
            .flat_map(|folder| ["known_hosts", "known_hosts2"].map(|name| folder.join(name)));
        Self {
            host_key_checking: HostKeyChecking::Strict,
            known_hosts: own.chain(Self::system_known_hosts()).collect(),
            key_folder: folder,
            agent: env::var_os("SSH_AUTH_SOCK")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            connect_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(10),
        }
    }
}
