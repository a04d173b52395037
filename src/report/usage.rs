//! What the guards of the nodes have counted, as text and as JSON: [`peers`] shows how much each entry of the whitelists was used, [`refused`]
//! which flows were refused.

mod columns;
mod document;
mod node;
pub mod peers;
pub mod refused;

pub use document::Contents;
pub use document::UsageDocument;
pub use node::NodeUsage;
pub use node::Tally;
