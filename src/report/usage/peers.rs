//! Who of a whitelist was seen.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::model::Cidr;
use crate::model::Traffic;
use crate::policy::guard::usage::Direction;
use crate::policy::guard::usage::EntryUse;
use crate::report::Purpose;
use crate::report::json;
use crate::report::json::Problem;
use crate::report::json::Reason;
use crate::report::style;
use crate::report::style::paint;
use crate::report::style::sanitize;
use crate::report::usage::columns;
use crate::report::usage::columns::Align;
use crate::report::usage::document::Contents;
use crate::report::usage::node;
use crate::report::usage::node::NodeUsage;
use crate::report::usage::node::Reading;

/// Which entries are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Every one.
    All,
    /// Only those that no packet was counted for.
    Unused,
}

fn is_unused(entry: &EntryUse) -> bool {
    entry.count.is_some_and(|count| count.packets == 0)
}

fn shown(node: &NodeUsage, shown: Shown) -> impl Iterator<Item = &EntryUse> {
    let entries = node.entries().iter();
    entries.filter(move |entry| shown == Shown::All || is_unused(entry))
}

/// The nodes one by one, each with its entries below it, and a line for the fleet.
pub fn text(nodes: &[NodeUsage], which: Shown, elapsed: Duration) -> String {
    let mut out = String::new();
    for node in nodes {
        if node::headline_without_reading(&mut out, node) {
            continue;
        }
        let (style, headline) = headline(node);
        let name = paint(style::BOLD, &node.outcome.node);
        let _ = writeln!(out, "{name}: {}", paint(style, sanitize(&headline)));
        let entries: Vec<&EntryUse> = shown(node, which).collect();
        let rows: Vec<[String; 6]> = entries.iter().map(|entry| row(node, entry)).collect();
        let left = Align::Left;
        let lines = columns::lines(&rows, [left, left, left, left, Align::Right, Align::Right]);
        for (line, entry) in lines.iter().zip(entries) {
            let line = match is_unused(entry) {
                true => paint(style::YELLOW, line),
                false => line.clone(),
            };
            let _ = writeln!(out, "  {line}");
        }
    }
    node::total(&mut out, nodes, elapsed);
    out
}

fn headline(node: &NodeUsage) -> (anstyle::Style, String) {
    let (all, unused) = (node.entries().len(), shown(node, Shown::Unused).count());
    let entries = match all {
        1 => "1 entry".to_string(),
        n => format!("{n} entries"),
    };
    match (node.reading(), node.lacks()) {
        (Reading::NoGuard, lacks) => (style::YELLOW, lacks.unwrap_or_default()),
        (_, Some(lacks)) => (style::YELLOW, format!("{entries}; {lacks}")),
        (_, None) if unused == 0 => (style::GREEN, format!("{entries}, all used")),
        (_, None) => (style::YELLOW, format!("{entries}, {unused} never used")),
    }
}

fn row(node: &NodeUsage, entry: &EntryUse) -> [String; 6] {
    let (packets, bytes) = match entry.count {
        None => ("not counted".to_string(), String::new()),
        Some(count) if count.packets == 0 => ("never used".to_string(), String::new()),
        Some(count) => (columns::packets(count), columns::size(count.bytes)),
    };
    [
        entry.direction.to_string(),
        match entry.peer {
            Some(peer) => columns::labelled(peer.short(), node.label(peer)),
            None => "node".to_string(),
        },
        entry
            .traffic
            .map_or("every port".to_string(), |traffic| traffic.to_string()),
        node.container_text(entry.container),
        packets,
        bytes,
    ]
}

#[derive(Serialize)]
struct Node<'a> {
    node: &'a str,
    status: Reading,
    /// The version of nft; `None` where it is not installed, or not known.
    nft: Option<String>,
    entries: Vec<Entry<'a>>,
    /// How many entries there are, shown or not.
    total: usize,
    unused: usize,
    error: Option<Problem<'a>>,
    not_begun: Option<Reason>,
    seconds: f64,
}

#[derive(Serialize)]
struct Entry<'a> {
    direction: Direction,
    peer: String,
    /// What the inventory calls it, and whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_label: Option<String>,
    container: String,
    container_name: Option<&'a str>,
    port: Option<Traffic>,
    packets: Option<u64>,
    bytes: Option<u64>,
}

/// The document of `peers`: these entries of each node.
pub struct Peers(pub Shown);

impl Contents for Peers {
    const PURPOSE: Purpose = Purpose::Peers;

    fn node<'a>(&mut self, _: usize, node: &'a NodeUsage) -> impl Serialize + 'a {
        Node {
            node: &node.outcome.node,
            status: node.reading(),
            nft: node.nft(),
            entries: shown(node, self.0).map(|e| entry(node, e)).collect(),
            total: node.entries().len(),
            unused: shown(node, Shown::Unused).count(),
            error: node.outcome.failure.as_ref().map(Problem::from),
            not_begun: node.outcome.not_begun.map(Reason::from),
            seconds: json::seconds(node.outcome.duration),
        }
    }

    fn of_fleet(self) -> Option<(&'static str, impl Serialize)> {
        None::<(&'static str, ())>
    }
}

fn entry<'a>(node: &'a NodeUsage, entry: &EntryUse) -> Entry<'a> {
    let container = entry.container;
    Entry {
        direction: entry.direction,
        peer: entry.peer.map_or("node".to_string(), Cidr::short),
        peer_label: entry.peer.and_then(|peer| node.label(peer)),
        container: container.short(),
        container_name: node
            .container(container.address())
            .filter(|_| container.is_host()),
        port: entry.traffic,
        packets: entry.count.map(|count| count.packets),
        bytes: entry.count.map(|count| count.bytes),
    }
}
