//! The tests that need no node and no root, as one program: it links once.
//!
//! A file here is a module of this one; `wiring.rs` fails where one was forgotten.

mod architecture;
mod audit;
mod awk;
mod bad_input;
mod bench;
mod bus_calls;
mod captures;
mod cli;
mod codes;
mod cosmos;
mod daemons_look;
mod docker_nft;
mod docker_side;
mod documents;
mod edited;
mod example_fleet;
mod examples;
mod foreign_rules;
mod guard;
mod guard_usage;
mod inventory;
mod laws_plan;
mod laws_policy;
mod look;
mod mangle;
mod manual;
mod memory;
mod merge;
mod names;
mod pull;
mod recovery;
mod removal;
mod role;
mod roles_page;
mod shard;
mod silence;
mod sources;
mod stopping;
mod support;
mod templates;
mod transport;
mod vault;
mod wiring;
mod yaml_parity;
