//! The parsers one by one, for fuzz targets; no part of the library.

pub use super::busctl::Value;
pub use super::busctl::parse as busctl;
pub use super::direct_file::direct as direct_file;
pub use super::docker::docker;
pub use super::files::files;
pub use super::firewalld_nft::backend;
pub use super::guard::state as guard;
pub use super::ipset_file::ipset as ipset_file;
pub use super::iptables::parse as iptables;
pub use super::networking::networking;
pub use super::records::records;
pub use super::routing::resolvers;
pub use super::routing::routing;
pub use super::sections::Answers;
pub use super::sections::FrameError;
pub use super::service_file::service as service_file;
pub use super::settings::Side;
pub use super::settings::settings;
pub use super::settings_file::policy as policy_file;
pub use super::settings_file::zone as zone_file;
pub use super::system::Unit;
pub use super::system::system;
pub use super::system::unit;
pub use super::xml::Element;
pub use super::xml::parse as xml;
