//! Values: the desired and the observed state of a node.
//!
//! Nothing here reads a file, a clock or a socket; every type prints, parses and compares the same way each time.

pub mod backend;
pub mod canonical;
pub(crate) mod code;
pub mod date;
pub mod desired;
mod direct;
pub mod direct_xml;
pub mod docker;
pub mod files;
pub mod guard;
pub mod host_name;
pub mod ipset;
pub mod mark;
pub mod net;
pub mod networking;
mod observed;
pub mod peer;
pub mod ranges;
pub mod records;
pub mod rich;
pub mod routing;
pub mod rule;
pub mod secret;
pub mod settings;
pub mod ssh_arguments;
pub mod state;
pub mod step;
mod tables;
pub(crate) mod tally;
mod version;
pub mod visible;

pub use code::Explanation;
pub use date::Date;
pub use desired::Attachment;
pub use desired::Audit;
pub use desired::Desired;
pub use desired::DesiredNetwork;
pub use desired::Ipsets;
pub use desired::Passage;
pub use files::File;
pub use files::Files;
pub use net::Cidr;
pub use net::Family;
pub use net::Peer;
pub use net::Port;
pub use net::PortRange;
pub use net::Protocol;
pub use net::Service;
pub use net::Traffic;
pub use observed::Observed;
pub use records::Records;
pub use rich::RichRule;
pub use rich::RichSource;
pub use rule::CtDirection;
pub use rule::CtState;
pub use rule::DirectRule;
pub use rule::Match;
pub use rule::Rule;
pub use rule::Sense;
pub use rule::Target;
pub use secret::Secret;
pub use settings::Settings;
pub use ssh_arguments::SshArguments;
pub use state::Daemon;
pub use state::NodeState;

/// The chain that Docker leaves to its users (Docker 17.06 and later), and that fwdeploy lets firewalld own.
pub const CHAIN: &str = "DOCKER-USER";

#[cfg(test)]
#[allow(
    dead_code,
    reason = "the tests of tests/it have it too, and need other parts"
)]
pub(crate) mod node_builder;
