//! Whether what the whitelist allows really passes, and what it refuses really does not: each allowed flow is followed
//! through all that decides it on the node.

mod edge;
mod landing;
mod zones;

use crate::model::desired::Desired;
use crate::model::state::NodeState;
use crate::plan::finding::Finding;
use crate::plan::ownership::Ours;

/// What was found about the flows of the whitelist.
pub(super) fn findings(desired: &Desired, state: &NodeState, ours: &Ours) -> Vec<Finding> {
    let edges = edge::edges(desired);
    zones::findings(desired, state, ours, &edges, &|_| None)
}
