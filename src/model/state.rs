//! What a node is seen to be, in four views: permanent, runtime, kernel, docker.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

pub use crate::model::docker::Container;
pub use crate::model::docker::Docker;
pub use crate::model::docker::Endpoint;
pub use crate::model::docker::Network;

use crate::model::backend::Backend;
use crate::model::files::Files;
use crate::model::net::Family;
use crate::model::networking::Networking;
use crate::model::records::Records;
use crate::model::rich::RichRule;
use crate::model::routing::Resolvers;
use crate::model::routing::Routing;
use crate::model::rule::DirectRule;
use crate::model::rule::Passthrough;
use crate::model::rule::Rule;
use crate::model::settings::Settings;

/// An answer of the node, or why there is none. What could not be read is never taken for empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed<T> {
    /// The answer.
    Known(T),
    /// What the node said instead.
    Unreadable(String),
}

impl<T> Default for Observed<T> {
    fn default() -> Self {
        Observed::Unreadable("it was not asked".to_string())
    }
}

impl<T> Observed<T> {
    /// Whether there is no answer.
    pub fn is_unreadable(&self) -> bool {
        self.known().is_none()
    }

    /// The answer, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Observed::Known(value) => Some(value),
            Observed::Unreadable(_) => None,
        }
    }

    /// The answer to be changed, if there is one.
    pub fn known_mut(&mut self) -> Option<&mut T> {
        match self {
            Observed::Known(value) => Some(value),
            Observed::Unreadable(_) => None,
        }
    }

    /// The answer, or why there is none.
    ///
    /// # Errors
    /// What the node said instead.
    pub fn as_result(&self) -> Result<&T, &str> {
        match self {
            Observed::Known(value) => Ok(value),
            Observed::Unreadable(why) => Err(why),
        }
    }

    /// Applies a function to the answer.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Observed<U> {
        match self {
            Observed::Known(value) => Observed::Known(f(value)),
            Observed::Unreadable(why) => Observed::Unreadable(why),
        }
    }
}

/// How the reason begins for which nothing of a zone can be read that is not there; its name follows, and those that are there.
pub const NO_ZONE: &str = "firewalld has no zone";

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
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            View::Permanent => "permanent",
            View::Runtime => "runtime",
            View::Kernel => "kernel",
            View::Docker => "docker",
        })
    }
}

/// Everything one look at a node tells.
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
    /// The same files as they are: somebody may have edited one since.
    pub files: Observed<Files>,
    /// firewalld's memory.
    pub runtime: Firewall,
    /// What the kernel holds.
    pub kernel: Kernel,
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
    /// Whether `nft` is there, which the latch needs.
    pub nft: bool,
    /// Whether `busctl` is there, through which firewalld is asked.
    pub busctl: bool,
    /// Whether `docker` is there.
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
    /// firewalld's files at the beginning of the look, each with checksum and size as cksum(1) prints them. Empty if it is not known.
    #[serde(skip)]
    pub sums: BTreeMap<String, String>,
    /// Why the node is still on its way to where it will be, such as Docker's starting; none if nothing tells so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settling: Option<String>,
    /// Its own addresses, and where it sends what.
    #[serde(skip_serializing_if = "Observed::is_unreadable")]
    pub routing: Observed<Routing>,
    /// The DNS servers that it asks.
    #[serde(skip_serializing_if = "Observed::is_unreadable")]
    pub resolvers: Observed<Resolvers>,
    /// What decides about a packet beside iptables and firewalld.
    #[serde(skip_serializing_if = "Networking::is_not_asked")]
    pub networking: Networking,
    /// Whether the packet filter changed while it was looked at: somebody is at work on it.
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
        Daemon::Unknown("not looked at".to_string())
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
    /// Whether the kernel holds its rules at all: somebody may have flushed them behind its back.
    pub in_kernel: Observed<bool>,
}

impl Firewalld {
    /// Major and minor version; `(0, 0)` if it cannot be read.
    pub fn major_minor(&self) -> (u32, u32) {
        major_minor(&self.version)
    }
}

/// The first two numbers of a version.
pub(super) fn major_minor(version: &str) -> (u32, u32) {
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
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
    /// What it means.
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

/// A chain of firewalld's direct interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DirectChain {
    /// `ipv4`, `ipv6` or `eb`.
    pub ipv: String,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
}

impl DirectChain {
    /// DOCKER-USER of a family.
    pub fn ours(family: Family) -> Self {
        DirectChain {
            ipv: family.name().to_string(),
            table: "filter".to_string(),
            chain: crate::model::CHAIN.to_string(),
        }
    }
}

/// firewalld's direct configuration, in one of its two views.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Direct {
    /// The chains.
    pub chains: Vec<DirectChain>,
    /// The rules, in firewalld's order.
    pub rules: Vec<DirectRule>,
    /// The passthroughs.
    pub passthroughs: Vec<Passthrough>,
}

impl Direct {
    /// Whether firewalld owns DOCKER-USER in that family.
    pub fn owns(&self, family: Family) -> bool {
        self.chains.contains(&DirectChain::ours(family))
    }

    /// The rules of DOCKER-USER in that family, in the order in which the kernel should hold them:
    /// by priority, equal priorities in the order of addition (firewalld.direct(5)).
    pub fn chain(&self, family: Family) -> Vec<&DirectRule> {
        let mut rules: Vec<&DirectRule> = self
            .rules
            .iter()
            .filter(|r| r.is_in_chain(family))
            .collect();
        rules.sort_by_key(|r| r.priority);
        rules
    }
}

/// What the kernel holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// IPv4 tables (`iptables-save`).
    pub v4: Observed<Tables>,
    /// IPv6 tables (`ip6tables-save`).
    pub v6: Observed<Tables>,
    /// Whether the *other* iptables backend (legacy beside nft or the reverse) also holds DOCKER-USER.
    pub split: Observed<bool>,
    /// Whether a latch of ours is in place, which only an interrupted run leaves behind.
    pub latch: Observed<bool>,
    /// net.ipv4.ip_forward.
    pub ip_forward: Observed<bool>,
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

/// Tables by name, chains by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Tables {
    /// `filter`, `nat`, … each with its chains.
    pub tables: BTreeMap<String, BTreeMap<String, Chain>>,
    /// How the node's own iptables prints direct rules that no other version need print so, by their arguments.
    #[serde(skip)]
    pub printed: BTreeMap<Vec<String>, Printed>,
}

/// What the node's iptables makes of a rule, when it is asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Printed {
    /// It prints these lines: several where the rule names several addresses.
    Lines(Vec<KernelRule>),
    /// It does not tell, and why.
    Unknown(String),
}

impl Tables {
    /// A chain; `None` if there is none.
    pub fn chain(&self, table: &str, chain: &str) -> Option<&Chain> {
        self.tables.get(table)?.get(chain)
    }
}

/// A chain of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Chain {
    /// The policy of a built-in chain.
    pub policy: Option<String>,
    /// The rules, in order.
    pub rules: Vec<KernelRule>,
}

/// A rule as the kernel printed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRule {
    /// The line of `iptables-save` after `-A CHAIN`.
    pub text: String,
    /// What it means; `None` if it cannot be read.
    pub rule: Option<Rule>,
}

impl KernelRule {
    /// Reads a line of `iptables-save` after its chain.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        KernelRule {
            rule: Rule::parse_text(&text).ok(),
            text,
        }
    }
}

/// Reads a line of `iptables-save` after its chain.
impl<T: Into<String>> From<T> for KernelRule {
    fn from(text: T) -> Self {
        KernelRule::new(text)
    }
}

impl Serialize for KernelRule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
