//! One node: what its guard has counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::engine::Failure;
use crate::engine::FailureCode;
use crate::engine::Outcome;
use crate::engine::Stage;
use crate::engine::Verdict;
use crate::model::Cidr;
use crate::model::Desired;
use crate::model::NodeState;
use crate::model::guard::GuardTable;
use crate::model::guard::GuardUsage;
use crate::model::guard::NftVersion;
use crate::model::peer::KnownPeer;
use crate::model::peer::label;
use crate::policy::guard::usage;
use crate::policy::guard::usage::EntryUse;
use crate::policy::guard::usage::RefusedUse;
use crate::report::json;
use crate::report::style;
use crate::report::style::paint;
use crate::report::summary::duration;
use crate::report::text;

/// One node.
#[derive(Debug, Clone)]
pub struct NodeUsage {
    /// What became of the look.
    pub outcome: Outcome,
    /// What was read; `None` if nothing was.
    seen: Option<Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    reading: Reading,
    nft: Option<NftVersion>,
    entries: Vec<EntryUse>,
    refused: Vec<RefusedUse>,
    is_audit: bool,
    is_full: bool,
    names: BTreeMap<IpAddr, String>,
    /// What the roles tell of peers.
    known: Vec<KnownPeer>,
}

/// What was read of a node, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reading {
    /// Its guard counts the packets of each entry.
    Counted,
    /// It has a guard, which cannot count them.
    NotCounted,
    /// It has no guard in nft; one in iptables' table mangle counts nothing for each entry.
    NoGuard,
    /// Its guard could not be read.
    Unknown,
    /// The login failed.
    Unreachable,
    /// The node was not read.
    Skipped,
}

impl NodeUsage {
    /// The result of a reading; `desired` is what the node's roles require, which names containers that do not run.
    pub fn of(outcome: Outcome, state: Option<&NodeState>, desired: Option<&Desired>) -> Self {
        let Some(state) = state else {
            return NodeUsage {
                outcome,
                seen: None,
            };
        };
        let guard = &state.kernel.guard;
        let read = guard.table.as_result();
        match read.and_then(|table| Ok((table, guard.usage.as_result()?))) {
            Ok((table, usage)) => NodeUsage {
                outcome,
                seen: Some(seen(state, table.as_ref(), usage, desired)),
            },
            Err(why) => NodeUsage {
                outcome: unreadable(outcome, state, why),
                seen: None,
            },
        }
    }

    pub(super) fn reading(&self) -> Reading {
        match (self.outcome.verdict, &self.seen) {
            (_, Some(seen)) => seen.reading,
            (Verdict::Unreachable, None) => Reading::Unreachable,
            (Verdict::Skipped, None) => Reading::Skipped,
            (_, None) => Reading::Unknown,
        }
    }

    /// The entries of its whitelist.
    pub(super) fn entries(&self) -> &[EntryUse] {
        self.seen.as_ref().map_or(&[], |seen| &seen.entries)
    }

    /// The flows that it has refused, most packets first.
    pub(super) fn refused(&self) -> &[RefusedUse] {
        self.seen.as_ref().map_or(&[], |seen| &seen.refused)
    }

    /// Whether a network of it is in audit, so that flows which it has recorded have passed.
    pub(super) fn is_audit(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.is_audit)
    }

    /// Whether it had room to remember every flow that it has refused; `None` if it was not read.
    pub(super) fn is_complete(&self) -> Option<bool> {
        self.seen.as_ref().map(|seen| !seen.is_full)
    }

    /// The name of the container that has an address.
    pub(super) fn container(&self, address: IpAddr) -> Option<&str> {
        let names = &self.seen.as_ref()?.names;
        names.get(&address).map(String::as_str)
    }

    /// What a peer is called, and whose it is: `sentry-1, Acme`.
    pub(super) fn label(&self, peer: Cidr) -> Option<String> {
        label(&self.seen.as_ref()?.known, peer)
    }

    /// `cybex (172.31.8.9)`, or the address of a container whose name is not known.
    pub(super) fn container_text(&self, container: Cidr) -> String {
        let name = self.container(container.address());
        match name.filter(|_| container.is_host()) {
            Some(name) => format!("{name} ({})", container.short()),
            None => container.short(),
        }
    }

    /// The version of its nft.
    pub(super) fn nft(&self) -> Option<String> {
        Some(self.seen.as_ref()?.nft?.to_string())
    }

    /// Why nothing, or nothing with a counter, can be shown; `None` if it can.
    pub(super) fn lacks(&self) -> Option<String> {
        let seen = self.seen.as_ref()?;
        match (seen.reading, seen.nft) {
            (Reading::NoGuard, None) => Some("no guard in nft: it is not installed".to_string()),
            (Reading::NoGuard, Some(nft)) if !nft.can_guard() => {
                Some(format!("no guard in nft: {nft} does not support it"))
            }
            (Reading::NoGuard, Some(_)) => Some("no guard is loaded".to_string()),
            (Reading::NotCounted, Some(nft)) if nft.counts_elements() => {
                Some("its table was made without counters".to_string())
            }
            (Reading::NotCounted, nft) => {
                let version = nft.map_or_else(|| "its nft".to_string(), |nft| format!("nft {nft}"));
                Some(format!("{version} cannot count their packets (1.0.6 can)"))
            }
            _ => None,
        }
    }
}

fn unreadable(outcome: Outcome, state: &NodeState, why: &str) -> Outcome {
    let message = format!("the guard's table could not be read: {why}");
    let failure = Failure::new(Stage::Looking, FailureCode::AnswerUnreadable, message);
    outcome.failed(match state.system.uid {
        0 => failure,
        _ => failure.hint("only root may read the packet filter: `ansible_become: true`, or `-b`"),
    })
}

fn seen(
    state: &NodeState,
    table: Option<&GuardTable>,
    usage: &GuardUsage,
    desired: Option<&Desired>,
) -> Seen {
    let mut seen = Seen {
        reading: Reading::NoGuard,
        nft: state.kernel.guard.nft,
        entries: Vec::new(),
        refused: Vec::new(),
        is_audit: false,
        is_full: false,
        names: names(state, desired),
        known: desired
            .map(|desired| desired.known.clone())
            .unwrap_or_default(),
    };
    if let Some(table) = table {
        let counts = table.sets.values().any(|set| set.is_counted);
        seen.reading = match counts {
            true => Reading::Counted,
            false => Reading::NotCounted,
        };
        seen.entries = usage::entries(table, usage);
        seen.refused = usage::refused(table, usage, &usage::node_addresses(state));
        seen.is_audit = table.is_audit();
        seen.is_full = usage::is_full(table, usage);
    }
    seen
}

/// The names of the containers by their addresses: as Docker has them, and those that the roles give an address.
fn names(state: &NodeState, desired: Option<&Desired>) -> BTreeMap<IpAddr, String> {
    let mut names = BTreeMap::new();
    for attachment in desired.into_iter().flat_map(|desired| &desired.attachments) {
        for address in std::iter::once(attachment.address).chain(attachment.address6) {
            names.insert(address, attachment.container.clone());
        }
    }
    let docker = state.docker.known();
    for container in docker.into_iter().flat_map(|docker| &docker.containers) {
        let endpoints = container.endpoints.iter();
        let addresses = endpoints.flat_map(|endpoint| [endpoint.address, endpoint.address6]);
        for address in addresses.flatten() {
            names.insert(address, container.name.clone());
        }
    }
    names
}

/// How many nodes there are of each kind.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Tally {
    nodes: usize,
    counted: usize,
    not_counted: usize,
    no_guard: usize,
    failed: usize,
    unreachable: usize,
    skipped: usize,
    /// A node was left undone because the operator stopped.
    #[serde(skip)]
    was_interrupted: bool,
}

impl Tally {
    /// Counts nodes.
    pub fn of<'a>(nodes: impl IntoIterator<Item = &'a NodeUsage>) -> Self {
        let mut tally = Tally::default();
        for node in nodes {
            tally.add(node);
        }
        tally
    }

    /// Counts one node more.
    pub fn add(&mut self, node: &NodeUsage) {
        self.nodes += 1;
        self.was_interrupted |= node.outcome.was_interrupted();
        *match node.reading() {
            Reading::Counted => &mut self.counted,
            Reading::NotCounted => &mut self.not_counted,
            Reading::NoGuard => &mut self.no_guard,
            Reading::Unknown => &mut self.failed,
            Reading::Unreachable => &mut self.unreachable,
            Reading::Skipped => &mut self.skipped,
        } += 1;
    }

    /// Whether a node was left undone because the operator stopped.
    pub fn was_interrupted(&self) -> bool {
        self.was_interrupted
    }

    /// The exit code of the whole: as with a check, 4 goes before 1. A node without a guard was read as well.
    pub fn exit_code(&self) -> u8 {
        match () {
            () if self.unreachable > 0 => 4,
            () if self.failed > 0 => 1,
            () => 0,
        }
    }
}

/// The counts for scripts.
#[derive(Serialize)]
pub(super) struct Totals {
    #[serde(flatten)]
    tally: Tally,
    seconds: f64,
    exit_code: u8,
}

impl Totals {
    pub(super) fn of(tally: Tally, elapsed: Duration, exit_code: u8) -> Self {
        Totals {
            tally,
            seconds: json::seconds(elapsed),
            exit_code,
        }
    }
}

/// The name of a node that could not be read, and why; `false` if it was.
pub(super) fn headline_without_reading(out: &mut String, node: &NodeUsage) -> bool {
    if node.seen.is_some() {
        return false;
    }
    let verdict = node.outcome.verdict;
    let name = paint(style::BOLD, &node.outcome.node);
    let _ = writeln!(out, "{name}: {}", paint(style::verdict(verdict), verdict));
    if let Some(failure) = &node.outcome.failure {
        text::failed(out, failure, &node.outcome.known);
    }
    true
}

/// The line about the fleet.
pub(super) fn total(out: &mut String, nodes: &[NodeUsage], elapsed: Duration) {
    let totals = Tally::of(nodes);
    let counts = [
        (totals.counted, "counted"),
        (totals.not_counted, "without counters"),
        (totals.no_guard, "without a guard"),
        (totals.failed, "failed"),
        (totals.unreachable, "unreachable"),
        (totals.skipped, "skipped"),
    ];
    let words: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let nodes = match totals.nodes {
        1 => "1 node".to_string(),
        n => format!("{n} nodes"),
    };
    let _ = writeln!(out, "{nodes}: {} ({})", words.join(", "), duration(elapsed));
}
