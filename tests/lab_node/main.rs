//! The steps of a plan, executed on real nodes: four generations of firewalld and Docker, each with both of firewalld's
//! backends. Needs root and the lab (tests/lab/README.md): `make lab`; plain `cargo test` leaves them out.

mod chain;
mod docker;
mod failures;
mod firewalld;
#[allow(
    dead_code,
    reason = "the other programs of tests on real nodes have it too"
)]
#[path = "../harness/mod.rs"]
mod harness;
mod node;
mod packets;
mod plans;
