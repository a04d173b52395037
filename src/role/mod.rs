//! Role and variables → [`Policy`]: what a node's containers may do, before a packet filter is thought of.

pub mod schema;

pub use schema::ContainerPolicy;
pub use schema::Covers;
pub use schema::Inbound;
pub use schema::Located;
pub use schema::NetworkPolicy;
pub use schema::Otherwise;
pub use schema::Outbound;
pub use schema::Policy;
pub use schema::Side;

// The rooms after this one speak of mistakes in the same words, and need not know the inventory for it.
pub use crate::inventory::error::InputError;
pub use crate::inventory::error::InputErrors;
pub use crate::inventory::location::Location;
