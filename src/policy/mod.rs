//! Policy → [`Desired`](crate::model::Desired): which rules say exactly what the roles say.
//!
//! [`compile()`] makes the rules, [`lint`] refuses what contradicts before any connection, [`evaluate()`] answers what a list
//! of rules does with a packet, and [`could_meet`] which packets a foreign rule is asked about.

pub mod compile;
pub mod evaluate;
pub mod lint;
pub mod meet;
mod names;

pub use compile::NodeContext;
pub use compile::compile;
pub use evaluate::Evaluation;
pub use evaluate::Packet;
pub use evaluate::Verdict;
pub use evaluate::evaluate;
pub use lint::warnings;
pub use meet::Edge;
pub use meet::could_meet;
pub use names::default_bridge;
