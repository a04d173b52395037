//! What was refused, and which entry would allow it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::model::Cidr;
use crate::model::Family;
use crate::model::Traffic;
use crate::model::guard::usage::Count;
use crate::policy::guard::usage::Direction;
use crate::policy::guard::usage::Entry;
use crate::policy::guard::usage::EntryPeer;
use crate::policy::guard::usage::RefusedUse;
use crate::report::Purpose;
use crate::report::json;
use crate::report::json::Problem;
use crate::report::json::Reason;
use crate::report::style;
use crate::report::style::paint;
use crate::report::style::sanitize;
use crate::report::usage::columns;
use crate::report::usage::columns::Align;
use crate::report::usage::node;
use crate::report::usage::node::NodeUsage;
use crate::report::usage::node::Reading;
use crate::report::usage::node::Totals;

/// What several nodes have refused alike.
struct OfFleet {
    direction: Direction,
    /// The peer; `None` is the node itself.
    remote: Option<IpAddr>,
    protocol: String,
    port: Option<u16>,
    count: Option<Count>,
    nodes: BTreeSet<usize>,
    entry: Option<Entry>,
}

/// The flows of all nodes, summed by the other end and its port: most packets first, then most nodes.
fn of_fleet(nodes: &[NodeUsage]) -> Vec<OfFleet> {
    type Key<'a> = (Direction, Option<IpAddr>, &'a str, Option<u16>);
    let mut sums: BTreeMap<Key<'_>, OfFleet> = BTreeMap::new();
    for (at, node) in nodes.iter().enumerate() {
        for flow in node.refused() {
            let is_node = matches!(flow.direction, Direction::ToNode | Direction::FromNode);
            let remote = (!is_node).then_some(flow.remote);
            let key = (flow.direction, remote, flow.protocol.as_str(), flow.port);
            let sum = sums.entry(key).or_insert_with(|| OfFleet {
                direction: flow.direction,
                remote,
                protocol: flow.protocol.clone(),
                port: flow.port,
                count: None,
                nodes: BTreeSet::new(),
                entry: None,
            });
            sum.nodes.insert(at);
            sum.entry = sum.entry.or(flow.entry);
            if let Some(count) = flow.count {
                let before = sum.count.unwrap_or_default();
                sum.count = Some(Count {
                    packets: before.packets.saturating_add(count.packets),
                    bytes: before.bytes.saturating_add(count.bytes),
                });
            }
        }
    }
    let mut sums: Vec<OfFleet> = sums.into_values().collect();
    let key = |sum: &OfFleet| (sum.count.map(|count| count.packets), sum.nodes.len());
    // A stable sort: what is equal stays in order.
    sums.sort_by_key(|sum| std::cmp::Reverse(key(sum)));
    sums
}

/// The nodes one by one, each with its `top` flows below it, then those of the fleet, and a line for the fleet.
pub fn text(nodes: &[NodeUsage], top: usize, elapsed: Duration) -> String {
    let mut out = String::new();
    for node in nodes {
        if node::headline_without_reading(&mut out, node) {
            continue;
        }
        let flows = node.refused();
        let (style, headline) = headline(node);
        let name = paint(style::BOLD, &node.outcome.node);
        let _ = writeln!(out, "{name}: {}", paint(style, sanitize(&headline)));
        let shown = flows.iter().take(top);
        let rows = shown.map(|flow| {
            row(
                flow.direction,
                Some(flow.remote),
                (&flow.protocol, flow.port),
                flow.count,
                flow.entry,
                [
                    flow.idle.map_or(String::new(), columns::ago),
                    columns::labelled(
                        node.container_text(Cidr::host(flow.container)),
                        node.label(Cidr::host(flow.remote)),
                    ),
                ],
            )
        });
        table(&mut out, rows.collect(), flows.len());
    }
    if nodes.len() > 1 {
        let sums = of_fleet(nodes);
        let name = paint(style::BOLD, "over the fleet");
        let _ = writeln!(out, "{name}: {} refused", peers_and_ports(sums.len()));
        let rows = sums.iter().take(top).map(|sum| {
            let nodes = match sum.nodes.len() {
                1 => "1 node".to_string(),
                n => format!("{n} nodes"),
            };
            row(
                sum.direction,
                sum.remote,
                (&sum.protocol, sum.port),
                sum.count,
                sum.entry,
                [nodes, String::new()],
            )
        });
        table(&mut out, rows.collect(), sums.len());
    }
    node::total(&mut out, nodes, elapsed);
    out
}

fn peers_and_ports(count: usize) -> String {
    match count {
        1 => "1 peer and port".to_string(),
        n => format!("{n} peers and ports"),
    }
}

fn headline(node: &NodeUsage) -> (anstyle::Style, String) {
    let what = match node.is_audit() {
        true => "recorded, which the guard lets pass (AUDIT)",
        false => "refused",
    };
    let mut flows = match node.refused().len() {
        0 if node.is_audit() => "nothing recorded (AUDIT)".to_string(),
        0 => "nothing refused".to_string(),
        1 => format!("1 flow {what}"),
        n => format!("{n} flows {what}"),
    };
    if node.is_complete() == Some(false) {
        flows.push_str(", and perhaps others for which there was no room");
    }
    match (node.reading(), node.lacks()) {
        (Reading::NoGuard, lacks) => (style::YELLOW, lacks.unwrap_or_default()),
        (_, Some(lacks)) => (style::YELLOW, format!("{flows}; {lacks}")),
        (_, None) if node.is_audit() => (style::YELLOW, flows),
        (_, None) if node.refused().is_empty() => (style::GREEN, flows),
        (_, None) => (style::CYAN, flows),
    }
}

fn table(out: &mut String, rows: Vec<[String; 7]>, all: usize) {
    let more = all - rows.len();
    let (left, right) = (Align::Left, Align::Right);
    for line in columns::lines(&rows, [left, left, left, right, right, left, left]) {
        let _ = writeln!(out, "  {line}");
    }
    if more > 0 {
        let _ = writeln!(out, "  … and {more} more (`--top`)");
    }
}

fn row(
    direction: Direction,
    remote: Option<IpAddr>,
    (protocol, port): (&str, Option<u16>),
    count: Option<Count>,
    entry: Option<Entry>,
    [first, last]: [String; 2],
) -> [String; 7] {
    let peer = match (entry, remote) {
        (Some(entry), _) => pasted(entry.peer),
        (None, Some(remote)) => format!("{remote} (another managed network)"),
        (None, None) => String::new(),
    };
    [
        direction.to_string(),
        peer,
        port.map_or_else(|| protocol.to_string(), |port| format!("{port}/{protocol}")),
        count.map_or("not counted".to_string(), columns::packets),
        count.map_or(String::new(), |count| columns::size(count.bytes)),
        first,
        last,
    ]
}

/// An element as a YAML list takes it: an IPv6 address has characters that mean something there.
fn pasted(peer: EntryPeer) -> String {
    match peer {
        EntryPeer::Peer(peer) if peer.net.family() == Family::V6 => format!("\"{peer}\""),
        peer => peer.to_string(),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    command: &'static str,
    nodes: Vec<Node<'a>>,
    fleet: Vec<Sum>,
    summary: Totals,
}

#[derive(Serialize)]
struct Node<'a> {
    node: &'a str,
    status: Reading,
    /// The version of nft; `None` where it is not installed, or not known.
    nft: Option<String>,
    /// Whether a network is in audit, so that its flows were recorded and have passed.
    audit: bool,
    refused: Vec<Flow<'a>>,
    /// How many flows there are, shown or not.
    total: usize,
    /// Whether the kernel had room to remember every one; `None` if the node was not read.
    complete: Option<bool>,
    error: Option<Problem<'a>>,
    not_begun: Option<Reason>,
    seconds: f64,
}

#[derive(Serialize)]
struct Flow<'a> {
    direction: Direction,
    peer: IpAddr,
    /// What the inventory calls it, and whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_label: Option<String>,
    container: IpAddr,
    container_name: Option<&'a str>,
    protocol: &'a str,
    port: Option<u16>,
    packets: Option<u64>,
    bytes: Option<u64>,
    seconds_ago: Option<u32>,
    entry: Option<Allows>,
}

#[derive(Serialize)]
struct Sum {
    direction: Direction,
    peer: Option<IpAddr>,
    protocol: String,
    port: Option<u16>,
    packets: Option<u64>,
    bytes: Option<u64>,
    nodes: usize,
    entry: Option<Allows>,
}

/// What would allow it.
#[derive(Serialize)]
struct Allows {
    peer: String,
    port: Option<Traffic>,
}

impl From<Entry> for Allows {
    fn from(entry: Entry) -> Self {
        Allows {
            peer: entry.peer.to_string(),
            port: entry.port,
        }
    }
}

/// One document for scripts, in the order of the inventory.
pub fn document(nodes: &[NodeUsage], top: usize, elapsed: Duration, exit_code: u8) -> String {
    let seen = nodes.iter().map(|node| Node {
        node: &node.outcome.node,
        status: node.reading(),
        nft: node.nft(),
        audit: node.is_audit(),
        refused: node
            .refused()
            .iter()
            .take(top)
            .map(|f| flow(node, f))
            .collect(),
        total: node.refused().len(),
        complete: node.is_complete(),
        error: node.outcome.failure.as_ref().map(Problem::from),
        not_begun: node.outcome.not_begun.map(Reason::from),
        seconds: json::seconds(node.outcome.duration),
    });
    let fleet = of_fleet(nodes).into_iter().take(top).map(|sum| Sum {
        direction: sum.direction,
        peer: sum.remote,
        protocol: sum.protocol,
        port: sum.port,
        packets: sum.count.map(|count| count.packets),
        bytes: sum.count.map(|count| count.bytes),
        nodes: sum.nodes.len(),
        entry: sum.entry.map(Allows::from),
    });
    json::pretty(&Document {
        version: json::VERSION,
        command: Purpose::Refused.as_str(),
        nodes: seen.collect(),
        fleet: fleet.collect(),
        summary: Totals::of(nodes, elapsed, exit_code),
    })
}

fn flow<'a>(node: &'a NodeUsage, flow: &'a RefusedUse) -> Flow<'a> {
    Flow {
        direction: flow.direction,
        peer: flow.remote,
        peer_label: node.label(Cidr::host(flow.remote)),
        container: flow.container,
        container_name: node.container(flow.container),
        protocol: &flow.protocol,
        port: flow.port,
        packets: flow.count.map(|count| count.packets),
        bytes: flow.count.map(|count| count.bytes),
        seconds_ago: flow.idle,
        entry: flow.entry.map(Allows::from),
    }
}
