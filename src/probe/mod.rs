//! What a node answered to the look, read into a [`NodeState`](crate::model::NodeState).
//!
//! Nothing here asks anything. A question that was not answered, or whose answer cannot be read, is *unreadable* and
//! never *empty*: see [`Observed`](crate::model::Observed).

mod addresses;
mod busctl;
mod direct_file;
mod docker;
mod files;
mod firewalld;
mod firewalld_nft;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod guard;
mod ipset_file;
mod ipsets;
mod iptables;
mod networking;
mod nft;
mod nft_json;
mod observe;
mod printed;
mod records;
mod rich_file;
mod routing;
mod sections;
mod service_file;
mod settings;
mod settings_file;
mod system;
mod xml;

pub use observe::ProbeError;
pub use observe::observe;
pub use printed::printed;
