//! What several of the tests here need.

pub mod as_told;
pub mod captures;
pub mod program;
