//! The address of a node, and the user to log in as.

use std::fmt;
use std::path::PathBuf;

use crate::model::SshArguments;

/// Everything that is needed to reach one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The node's name in the inventory, for messages.
    pub node: String,
    /// Over SSH, or on this machine.
    pub via: Via,
    /// A host name or an IP address (`ansible_host`). Known hosts are looked up under exactly this name, as ssh does.
    pub address: String,
    /// The TCP port of the node's sshd. If it is 22, and `arguments` have no port, ssh's own files may say another.
    pub port: u16,
    /// The user to log in as. `None` is what `arguments` or ssh's own files say, or else the user who runs this program, as with ssh.
    pub user: Option<String>,
    /// The one private key to use (`ansible_ssh_private_key_file`). `None` is what `arguments` or ssh's own files say, or else the
    /// agent's keys, then the default files.
    ///
    /// With a public key in this file, the agent's private half of it is used.
    pub key_file: Option<PathBuf>,
    /// What else the inventory says to ssh, in Ansible's order. What ssh's own files say comes after it.
    pub arguments: SshArguments,
    /// The user that scripts run as.
    pub privilege: Privilege,
}

impl Destination {
    /// The destination as messages name it.
    pub fn place(&self) -> Host {
        let address = match self.via {
            Via::Local => "this machine".to_owned(),
            Via::Ssh if self.address.contains(':') => format!("[{}]:{}", self.address, self.port),
            Via::Ssh => format!("{}:{}", self.address, self.port),
        };
        Host {
            kind: HostKind::Node,
            node: self.node.clone(),
            address: address.into(),
        }
    }
}

/// How a node is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Over SSH.
    Ssh,
    /// The node is this machine (`ansible_connection: local`).
    Local,
}

/// The user that scripts run as on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Privilege {
    /// As the user who logged in.
    AsIs,
    /// As another user, through sudo (`ansible_become`).
    Sudo {
        /// The user to become, mostly `root` (`ansible_become_user`).
        user: String,
    },
}

/// A node's name with its address, as every message shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What it is.
    pub kind: HostKind,
    /// The node's name in the inventory, or the jump host's as `ProxyJump` has it.
    pub node: String,
    /// `address:port`, perhaps with the way there; or `this machine`.
    pub address: Box<str>,
}

/// What an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// A node of the inventory.
    Node,
    /// A host on the way to nodes (`ProxyJump`).
    JumpHost,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            HostKind::Node => "node",
            HostKind::JumpHost => "jump host",
        };
        write!(f, "{kind} `{}` ({})", self.node, self.address)
    }
}
