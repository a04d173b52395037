//! What a node is seen to be, in four views: permanent, runtime, kernel, docker.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

pub use crate::model::direct::Direct;
pub use crate::model::direct::DirectChain;
pub use crate::model::docker::Container;
pub use crate::model::docker::Docker;
pub use crate::model::docker::Endpoint;
pub use crate::model::docker::Network;
pub use crate::model::observed::Observed;
pub use crate::model::tables::Chain;
pub use crate::model::tables::KernelRule;
pub use crate::model::tables::Printed;
pub use crate::model::tables::Tables;

use crate::model::backend::Backend;
use crate::model::files::Files;
use crate::model::guard::GuardState;
use crate::model::ipset::SetViews;
use crate::model::net::Family;
use crate::model::networking::Networking;
use crate::model::records::Records;
use crate::model::rich::RichRule;
use crate::model::routing::Resolvers;
use crate::model::routing::Routing;
use crate::model::settings::Settings;
use crate::model::version::major_minor;

/// The beginning of the reason if a zone cannot be read because it does not exist; its name and the existing zones follow.
pub const NO_ZONE: &str = "firewalld has no zone";

/// The reason if iptables cannot be read because it is not installed.
pub const NO_IPTABLES: &str = "iptables-save is not installed";

/// One of the four truths about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// firewalld's files.
    Permanent,
    /// firewalld's memory.
    Runtime,
    /// What iptables really holds.
    Kernel,
    /// Networks and containers.
    Docker,
    /// fwdeploy's own packet filter: its table in the kernel, and what loads it at boot.
    Guard,
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            View::Permanent => "permanent",
            View::Runtime => "runtime",
            View::Kernel => "kernel",
            View::Docker => "docker",
            View::Guard => "guard",
        })
    }
}

/// The result of one reading of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeState {
    /// The machine.
    pub system: System,
    /// firewalld itself.
    pub firewalld: Observed<Firewalld>,
    /// The zone whose rich rules were read: the role's, or firewalld's default zone.
    pub zone: Observed<String>,
    /// firewalld's files, as it has read them.
    pub permanent: Firewall,
    /// The content of the same files, which may have been edited since.
    pub files: Observed<Files>,
    /// firewalld's memory.
    pub runtime: Firewall,
    /// What the kernel holds.
    pub kernel: Kernel,
    /// Our address sets, in all views.
    #[serde(skip_serializing_if = "SetViews::is_empty")]
    pub sets: SetViews,
    /// Docker.
    pub docker: Observed<Docker>,
    /// What runs have left behind.
    pub records: Observed<Records>,
}

/// The machine and how we came to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct System {
    /// PRETTY_NAME of os-release.
    pub os: String,
    /// `uname -r`.
    pub kernel: String,
    /// The numeric user that the look ran as; 0 is needed to see the packet filter.
    pub uid: u32,
    /// `systemctl --version`'s number, 0 if there is none.
    pub systemd: u32,
    /// `iptables -V`, such as `iptables v1.8.9 (nf_tables)`; empty if there is none.
    pub iptables: String,
    /// Whether `nft` is installed, which the latch needs.
    pub nft: bool,
    /// Whether `busctl` is installed, through which firewalld is queried.
    pub busctl: bool,
    /// Whether `docker` is installed.
    pub docker: bool,
    /// How firewalld's daemon is.
    pub firewalld_daemon: Daemon,
    /// Whether firewalld is started at each boot.
    pub firewalld_enabled: bool,
    /// How Docker's daemon is.
    pub docker_daemon: Daemon,
    /// SSH_CONNECTION as the node sees it: our address and port, its address and port. Empty for a local connection.
    pub ssh_connection: String,
    /// The interface that has the address which the ssh connection came to; empty if it is not known.
    pub ssh_interface: String,
    /// The running kernel and its network, which no other node has: a copied disk has the machine-id of the original. Empty if it is not
    /// known.
    #[serde(skip)]
    pub machine: String,
    /// firewalld's files at the beginning of the look, each with checksum and size as cksum(1) prints them. Empty if it is not known.
    #[serde(skip)]
    pub sums: BTreeMap<String, String>,
    /// Why the node is still changing, such as Docker's start; `None` if nothing indicates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settling: Option<String>,
    /// Its own addresses, and its routes.
    #[serde(skip_serializing_if = "Observed::is_unreadable")]
    pub routing: Observed<Routing>,
    /// The DNS servers that it asks.
    #[serde(skip_serializing_if = "Observed::is_unreadable")]
    pub resolvers: Observed<Resolvers>,
    /// What else decides about a packet, apart from iptables and firewalld.
    #[serde(skip_serializing_if = "Networking::is_not_asked")]
    pub networking: Networking,
    /// Whether the packet filter changed while it was read.
    pub moving: bool,
}

/// How a daemon of the node is: what can be done about it differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Daemon {
    /// It answers.
    Running,
    /// It runs, but does not answer; why.
    Silent(String),
    /// It does not run; systemd's words: `inactive`, `failed: exit-code`, `masked`, `activating` …
    Stopped(String),
    /// It is not installed.
    Missing,
    /// Not even that could be found out; why.
    Unknown(String),
}

impl Default for Daemon {
    fn default() -> Self {
        Daemon::Unknown("not read".to_string())
    }
}

impl Daemon {
    /// What is wrong with the daemon of that name, as a sentence without its full stop; `None` if nothing is.
    pub fn trouble(&self, name: &str) -> Option<String> {
        match self {
            Daemon::Running => None,
            Daemon::Silent(why) => Some(format!("{name} does not answer: {why}")),
            Daemon::Stopped(how) => Some(format!("{name} is not running ({how})")),
            Daemon::Missing => Some(format!("{name} is not installed")),
            Daemon::Unknown(why) => Some(format!("whether {name} runs is unknown: {why}")),
        }
    }
}

/// firewalld itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Firewalld {
    /// Its version, such as `1.3.3`.
    pub version: String,
    /// `RUNNING`, `FAILED`, `INIT`.
    pub state: String,
    /// `nftables` or `iptables`.
    pub backend: String,
    /// The default zone.
    pub default_zone: String,
    /// The active zones with their interfaces.
    pub active_zones: BTreeMap<String, Vec<String>>,
    /// Whether panic mode drops everything.
    pub panic: bool,
    /// Whether the kernel holds its rules at all: another program may have flushed them.
    pub in_kernel: Observed<bool>,
}

impl Firewalld {
    /// Major and minor version; `(0, 0)` if it cannot be read.
    pub fn major_minor(&self) -> (u32, u32) {
        major_minor(&self.version)
    }

    /// Whether its rules are in tables of nft.
    pub fn is_nftables(&self) -> bool {
        self.backend == "nftables"
    }
}

/// One of firewalld's two views: its files or its memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Firewall {
    /// The direct interface.
    pub direct: Observed<Direct>,
    /// The rich rules of [`NodeState::zone`], each as firewalld spells it.
    pub rich: Observed<Vec<RichText>>,
    /// All else that a reload could change.
    pub settings: Observed<Settings>,
}

/// A rich rule with firewalld's own spelling, which it needs to be removed by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RichText {
    /// As firewalld spells it.
    pub text: String,
    /// Its meaning.
    pub rule: RichRule,
}

impl RichText {
    /// Reads firewalld's spelling.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        RichText {
            rule: RichRule::parse(&text),
            text,
        }
    }
}

impl From<&RichRule> for RichText {
    fn from(rule: &RichRule) -> Self {
        RichText {
            text: rule.to_string(),
            rule: rule.clone(),
        }
    }
}

impl Serialize for RichText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// What the kernel holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// IPv4 tables (`iptables-save`).
    pub v4: Observed<Tables>,
    /// IPv6 tables (`ip6tables-save`).
    pub v6: Observed<Tables>,
    /// Whether the *other* iptables backend (legacy if nft is used, or the reverse) also holds DOCKER-USER.
    pub split: Observed<bool>,
    /// Whether fwdeploy's latch is in place, which only an interrupted run leaves behind.
    pub latch: Observed<bool>,
    /// net.ipv4.ip_forward.
    pub ip_forward: Observed<bool>,
    /// fwdeploy's own table, and what loads it at boot.
    pub guard: GuardState,
    /// firewalld's own tables of nft; `None` if the look did not ask for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<Observed<Backend>>,
}

impl Kernel {
    /// The tables of a family.
    pub fn tables(&self, family: Family) -> &Observed<Tables> {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// The tables of a family, to be changed.
    pub fn tables_mut(&mut self, family: Family) -> &mut Observed<Tables> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}
