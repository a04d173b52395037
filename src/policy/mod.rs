//! Policy → [`Desired`](crate::model::Desired): which rules say exactly what the roles say.
//!
//! [`compile()`] makes the rules, [`lint`] refuses what contradicts before any connection, [`evaluate()`] answers what a list
//! of rules does with a packet, and [`may_match`] which packets a foreign rule is asked about.

pub mod compile;
mod context;
pub mod evaluate;
pub mod guard;
pub mod lint;
pub mod mangle;
mod names;
pub mod overlap;

pub use compile::compile;
pub use compile::compile_checked;
pub use context::NodeContext;
pub use evaluate::Evaluation;
pub use evaluate::Packet;
pub use evaluate::PacketVerdict;
pub use evaluate::evaluate;
pub use lint::check;
pub use lint::warnings;
pub use names::default_bridge;
pub use overlap::Edge;
pub use overlap::may_match;
