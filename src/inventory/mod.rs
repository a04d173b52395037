//! Texts → the nodes, and their variables.
//!
//! Ansible's inventories (YAML, INI, scripts, directories, lists of hosts), with `group_vars/` and `host_vars/`, are read as Ansible reads them: what
//! Ansible ignores silently is an error or a warning here, shown with file, line and column. Everything is read before anything is done: an error costs no connection.

mod assemble;
pub mod connection;
mod declare;
mod declared;
pub mod document;
pub mod error;
pub mod extra;
mod files;
mod graph;
mod ini;
mod layers;
mod listing;
mod load;
pub mod location;
mod members;
pub mod name;
mod nodes;
mod owners;
pub mod pattern;
pub mod programs;
pub mod range;
mod read;
pub mod secret;
pub mod shard;
pub mod sources;
pub mod suggest;
mod tree;
mod variable;
pub mod vars;
pub mod vault;

pub use self::connection::ConnectionMethod;
pub use self::connection::ConnectionVars;
pub use self::connection::Password;
pub use self::connection::Render;
pub use self::error::InputError;
pub use self::error::InputErrors;
pub use self::extra::ExtraVars;
pub use self::files::LOCK_FILE;
pub use self::listing::Listing;
pub use self::location::Located;
pub use self::location::Location;
pub use self::nodes::Inventory;
pub use self::nodes::InventoryNode;
pub use self::pattern::Pattern;
pub use self::shard::Shard;
pub use self::sources::Sources;
pub use self::vars::Var;
pub use self::vars::Vars;
