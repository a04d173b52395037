//! Texts → the nodes, and their variables.
//!
//! An Ansible YAML inventory, with `group_vars/` and `host_vars/` beside it, is read as Ansible reads it, but strictly: what Ansible ignores
//! silently is an error here, shown with file, line and column. Everything is read before anything is done: an error costs no connection.

mod assemble;
pub mod connection;
mod declared;
pub mod document;
pub mod error;
pub mod extra;
mod files;
mod graph;
mod load;
pub mod location;
mod members;
pub mod name;
mod nodes;
mod owners;
pub mod pattern;
pub mod range;
mod read;
pub mod secret;
pub mod suggest;
mod tree;
mod variable;
pub mod vars;

pub use self::connection::ConnectionMethod;
pub use self::connection::ConnectionVars;
pub use self::error::InputError;
pub use self::error::InputErrors;
pub use self::extra::ExtraVars;
pub use self::location::Located;
pub use self::location::Location;
pub use self::nodes::Inventory;
pub use self::nodes::InventoryNode;
pub use self::pattern::Pattern;
pub use self::vars::Var;
pub use self::vars::Vars;
