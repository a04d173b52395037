//! Which runs are changing the nodes, and what earlier runs have left there: as text and as JSON.

mod document;
mod lines;
mod node;

use crate::report::status::node::LeaseState;

pub use document::document;
pub use lines::text;
pub use node::NodeStatus;

/// The exit code of the whole: as with a check, 4 goes before 1, and 1 before 2, which here means an unfinished run.
pub fn exit_code(nodes: &[NodeStatus]) -> u8 {
    let any = |lease_state| nodes.iter().any(|node| node.lease_state() == lease_state);
    match () {
        () if any(LeaseState::Unreachable) => 4,
        () if any(LeaseState::Unknown) => 1,
        () if any(LeaseState::Unfinished) => 2,
        () => 0,
    }
}
