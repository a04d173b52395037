//! What the guards of the nodes have counted, as text and as JSON: [`peers`] shows how much each entry of the whitelists was used, [`refused`]
//! which flows were refused.

mod columns;
mod node;
pub mod peers;
pub mod refused;

use crate::report::usage::node::Reading;

pub use node::NodeUsage;

/// The exit code of the whole: as with a check, 4 goes before 1. A node without a guard was read as well.
pub fn exit_code(nodes: &[NodeUsage]) -> u8 {
    let any = |reading| nodes.iter().any(|node| node.reading() == reading);
    match () {
        () if any(Reading::Unreachable) => 4,
        () if any(Reading::Unknown) => 1,
        () => 0,
    }
}
