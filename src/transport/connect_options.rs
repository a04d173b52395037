//! What holds for every node of a run.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::SshArguments;

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

/// Which of ssh's own configuration is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshConfig {
    /// The user's (`~/.ssh/config`) and the system's, as ssh reads them.
    Standard,
    /// This file alone (`ssh -F FILE`).
    File(PathBuf),
    /// None of it.
    None,
}

/// Who speaks SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// This program, with libssh2: one connection for all scripts on a node.
    Own,
    /// The system's `ssh`, one process for each script: for hardware keys, Kerberos, and algorithms that libssh2 lacks.
    OpenSsh,
}

/// What holds for every node of a run, unless the inventory or ssh's own files say something else about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Which of ssh's own files are read.
    pub ssh_config: SshConfig,
    /// Who speaks SSH.
    pub client: Client,
    /// What was said on the command line: it comes after what the inventory says, and before ssh's own files.
    pub arguments: SshArguments,
    /// The same for nodes alone, and not for the jump hosts on the way, as with ssh (`--ssh-common-args`).
    pub node_arguments: SshArguments,
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
    /// The file of this program, which the system's ssh runs to be given a password; without it no password is given to that ssh.
    pub askpass: Option<PathBuf>,
}

impl ConnectOptions {
    /// The files of the system, which are read in addition to the user's: they may contain a revocation.
    pub fn system_known_hosts() -> [PathBuf; 2] {
        ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(PathBuf::from)
    }

    /// The files of the user, without those of the system.
    pub(super) fn own_known_hosts(&self) -> Vec<PathBuf> {
        let system = Self::system_known_hosts();
        let own = self
            .known_hosts
            .iter()
            .filter(|path| !system.contains(path));
        own.cloned().collect()
    }
}

fn ssh_folder() -> Option<PathBuf> {
    let home = env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(PathBuf::from(home).join(".ssh"))
}

fn own_known_hosts() -> Vec<PathBuf> {
    let folder = ssh_folder();
    let names = ["known_hosts", "known_hosts2"];
    let own = folder
        .iter()
        .flat_map(|folder| names.map(|name| folder.join(name)));
    own.collect()
}

impl Default for ConnectOptions {
    /// What OpenSSH does by default, except that unknown keys are refused rather than asked about.
    fn default() -> Self {
        let folder = ssh_folder();
        Self {
            ssh_config: SshConfig::Standard,
            client: Client::Own,
            arguments: SshArguments::default(),
            node_arguments: SshArguments::default(),
            host_key_checking: HostKeyChecking::Strict,
            known_hosts: own_known_hosts()
                .into_iter()
                .chain(Self::system_known_hosts())
                .collect(),
            key_folder: folder,
            agent: env::var_os("SSH_AUTH_SOCK")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            connect_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(10),
            askpass: None,
        }
    }
}
