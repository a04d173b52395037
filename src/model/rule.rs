//! Rules: their meaning, their original spelling, their place in firewalld's direct interface, and their owner.

mod args;
mod direct;
mod parse;
mod parsed;
mod passthrough;
mod saved;

pub use args::Args;
pub use direct::DirectRule;
pub use direct::Tag;
pub use parsed::CtDirection;
pub use parsed::CtState;
pub use parsed::Match;
pub use parsed::Rule;
pub use parsed::RuleError;
pub use parsed::Sense;
pub use parsed::Target;
pub use passthrough::Effect;
pub use passthrough::Passthrough;
pub use saved::quote_saved;
pub use saved::split_saved;
