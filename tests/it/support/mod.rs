//! What several of the tests here need.

pub mod as_told;
pub mod bus;
pub mod captures;
pub mod files;
#[allow(dead_code, reason = "the unit tests have it too, and need other parts")]
#[path = "../../../src/model/node_builder.rs"]
pub mod node_builder;
pub mod program;
