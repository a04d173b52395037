//! Role and variables → [`Policy`]: what a node's containers may do, before a packet filter is thought of.
//!
//! A role is YAML first and a template second. `role.yml` is read, then each of its texts is rendered: no value can break the
//! document, a text that is exactly one expression keeps the type of its value, keys are never templates, and what was
//! rendered is not rendered again. Variables are templates too, and are rendered when they are asked for.
//!
//! ```text
//! catalog (which roles there are) ─▶ tree (role.yml, rendered) ─▶ read, fields (strictly) ─▶ schema (Policy)
//!                                      └▶ renderer, scope (variables) ─▶ template (one text) ─▶ jinja (as Ansible has it)
//! ```

mod catalog;
mod connection;
mod dependencies;
mod explain;
mod fields;
mod files;
mod fleet_vars;
mod jinja;
mod lookups;
mod password;
mod peers;
mod ports;
mod provenance;
mod read;
mod renderer;
pub mod schema;
mod scope;
mod settle;
mod source;
mod template;
mod templates;
mod tree;

pub use catalog::Resolver;
pub use catalog::Roles;
pub use password::LazyPassword;
pub use settle::SOON;
pub use source::Role;
pub use source::RoleOrigin;
pub use templates::Templates;

pub use read::keys;

pub use schema::ContainerPolicy;
pub use schema::Covers;
pub use schema::Enforce;
pub use schema::FamilyPolicy;
pub use schema::Inbound;
pub use schema::ListedPeer;
pub use schema::Located;
pub use schema::Log;
pub use schema::NetworkPolicy;
pub use schema::NodeAccess;
pub use schema::Otherwise;
pub use schema::Outbound;
pub use schema::PeerHost;
pub use schema::Policy;
pub use schema::Way;

// The rooms after this one speak of mistakes in the same words, and need not know the inventory for it.
pub use crate::inventory::error::InputError;
pub use crate::inventory::error::InputErrors;
pub use crate::inventory::error::shown;
pub use crate::inventory::location::Location;

/// The same mistakes, each at one place once: a variable that two entries ask for, or a hundred nodes, is wrong once.
#[must_use]
pub fn dedup(errors: InputErrors) -> InputErrors {
    let mut seen = std::collections::BTreeSet::new();
    let mut once = InputErrors::none();
    for error in errors {
        let place = error.location().map(ToString::to_string);
        let file = error.file().map(str::to_string);
        if seen.insert((file, place, error.message().to_string())) {
            once.push(error);
        }
    }
    once
}
