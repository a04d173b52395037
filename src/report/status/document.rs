//! The status for scripts.

use std::io;
use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use crate::model::records::Lease;
use crate::model::records::Snapshot;
use crate::report::Purpose;
use crate::report::json;
use crate::report::json::Problem;
use crate::report::json::Reason;
use crate::report::nodes_document::NodesDocument;
use crate::report::status::node::LeaseState;
use crate::report::status::node::NodeStatus;

#[derive(Serialize)]
struct Totals {
    nodes: usize,
    free: usize,
    held: usize,
    unfinished: usize,
    failed: usize,
    unreachable: usize,
    skipped: usize,
    seconds: f64,
    exit_code: u8,
}

#[derive(Serialize)]
struct Node<'a> {
    node: &'a str,
    status: LeaseState,
    policy: Policy<'a>,
    lease: Option<&'a Lease>,
    snapshots: &'a [Snapshot],
    error: Option<Problem<'a>>,
    not_begun: Option<Reason>,
    seconds: f64,
}

#[derive(Serialize)]
struct Policy<'a> {
    wanted: Option<&'a str>,
    confirmed: Option<&'a str>,
    as_asked: Option<bool>,
}

/// Writes one document for scripts, in the order of the inventory.
///
/// # Errors
/// It cannot be written: nobody reads it any more.
pub fn document(
    to: &mut impl Write,
    nodes: &[NodeStatus],
    elapsed: Duration,
    exit_code: u8,
) -> io::Result<()> {
    let count = |lease_state| {
        nodes
            .iter()
            .filter(|n| n.lease_state() == lease_state)
            .count()
    };
    let mut document = NodesDocument::begin(to, Purpose::Status)?;
    for (at, node) in nodes.iter().enumerate() {
        document.put(at, &Node::from(node))?;
    }
    let totals = Totals {
        nodes: nodes.len(),
        free: count(LeaseState::Free),
        held: count(LeaseState::Held),
        unfinished: count(LeaseState::Unfinished),
        failed: count(LeaseState::Unknown),
        unreachable: count(LeaseState::Unreachable),
        skipped: count(LeaseState::Skipped),
        seconds: json::seconds(elapsed),
        exit_code,
    };
    document.end(|rest| rest.field("summary", &totals))
}

impl<'a> From<&'a NodeStatus> for Node<'a> {
    fn from(node: &'a NodeStatus) -> Self {
        Node {
            node: &node.outcome.node,
            status: node.lease_state(),
            policy: Policy {
                wanted: node.wanted.as_deref(),
                confirmed: node.confirmed().map(|snapshot| &*snapshot.policy),
                as_asked: node.is_as_asked(),
            },
            lease: node.lease(),
            snapshots: node
                .records
                .as_ref()
                .map_or(&[], |records| &records.snapshots),
            error: node.outcome.failure.as_ref().map(Problem::from),
            not_begun: node.outcome.not_begun.map(Reason::from),
            seconds: json::seconds(node.outcome.duration),
        }
    }
}
