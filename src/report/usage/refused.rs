//! What was refused, and which entry would allow it.

use std::collections::BTreeMap;
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
use crate::report::usage::document::Contents;
use crate::report::usage::node;
use crate::report::usage::node::NodeUsage;
use crate::report::usage::node::Reading;

/// What several nodes have refused alike.
struct OfFleet {
    direction: Direction,
    /// The peer; `None` is the node itself.
    remote: Option<IpAddr>,
    protocol: String,
    port: Option<u16>,
    count: Option<Count>,
    /// How many they are.
    nodes: usize,
    /// The one that was added last.
    last: usize,
    /// What would allow it, by the first node that knows.
    entry: Option<(usize, Entry)>,
}

/// The flows of all nodes, summed by the other end and its port.
#[derive(Default)]
struct Sums(BTreeMap<(Direction, Option<IpAddr>, String, Option<u16>), OfFleet>);

impl Sums {
    /// Adds the flows of the node at this place. The nodes come in any order, each once.
    fn add(&mut self, at: usize, node: &NodeUsage) {
        for flow in node.refused() {
            let is_node = matches!(flow.direction, Direction::ToNode | Direction::FromNode);
            let remote = (!is_node).then_some(flow.remote);
            let key = (flow.direction, remote, flow.protocol.clone(), flow.port);
            let sum = self.0.entry(key).or_insert_with(|| OfFleet {
                direction: flow.direction,
                remote,
                protocol: flow.protocol.clone(),
                port: flow.port,
                count: None,
                nodes: 0,
                last: usize::MAX,
                entry: None,
            });
            if sum.last != at {
                sum.nodes += 1;
                sum.last = at;
            }
            let known = sum.entry.map_or(usize::MAX, |(at, _)| at);
            if let Some(entry) = flow.entry.filter(|_| at < known) {
                sum.entry = Some((at, entry));
            }
            if let Some(count) = flow.count {
                let before = sum.count.unwrap_or_default();
                sum.count = Some(Count {
                    packets: before.packets.saturating_add(count.packets),
                    bytes: before.bytes.saturating_add(count.bytes),
                });
            }
        }
    }

    /// Most packets first, then most nodes.
    fn most_first(self) -> Vec<OfFleet> {
        let mut sums: Vec<OfFleet> = self.0.into_values().collect();
        let key = |sum: &OfFleet| (sum.count.map(|count| count.packets), sum.nodes);
        // A stable sort: what is equal stays in order.
        sums.sort_by_key(|sum| std::cmp::Reverse(key(sum)));
        sums
    }
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
        let mut sums = Sums::default();
        for (at, node) in nodes.iter().enumerate() {
            sums.add(at, node);
        }
        let sums = sums.most_first();
        let name = paint(style::BOLD, "over the fleet");
        let _ = writeln!(out, "{name}: {} refused", peers_and_ports(sums.len()));
        let rows = sums.iter().take(top).map(|sum| {
            let nodes = match sum.nodes {
                1 => "1 node".to_string(),
                n => format!("{n} nodes"),
            };
            row(
                sum.direction,
                sum.remote,
                (&sum.protocol, sum.port),
                sum.count,
                sum.entry.map(|(_, entry)| entry),
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

/// The document of `refused`. Of the flows that were written only the sums are kept.
pub struct Refused {
    top: usize,
    sums: Sums,
}

impl Refused {
    /// The `top` flows of each node, and of the fleet.
    pub fn top(top: usize) -> Self {
        Refused {
            top,
            sums: Sums::default(),
        }
    }
}

impl Contents for Refused {
    const PURPOSE: Purpose = Purpose::Refused;

    fn node<'a>(&mut self, at: usize, node: &'a NodeUsage) -> impl Serialize + 'a {
        self.sums.add(at, node);
        let refused = node.refused().iter().take(self.top);
        Node {
            node: &node.outcome.node,
            status: node.reading(),
            nft: node.nft(),
            audit: node.is_audit(),
            refused: refused.map(|f| flow(node, f)).collect(),
            total: node.refused().len(),
            complete: node.is_complete(),
            error: node.outcome.failure.as_ref().map(Problem::from),
            not_begun: node.outcome.not_begun.map(Reason::from),
            seconds: json::seconds(node.outcome.duration),
        }
    }

    fn of_fleet(self) -> Option<(&'static str, impl Serialize)> {
        let sums = self.sums.most_first().into_iter().take(self.top);
        let fleet = sums.map(|sum| Sum {
            direction: sum.direction,
            peer: sum.remote,
            protocol: sum.protocol,
            port: sum.port,
            packets: sum.count.map(|count| count.packets),
            bytes: sum.count.map(|count| count.bytes),
            nodes: sum.nodes,
            entry: sum.entry.map(|(_, entry)| Allows::from(entry)),
        });
        Some(("fleet", fleet.collect::<Vec<Sum>>()))
    }
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
