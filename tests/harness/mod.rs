//! Real nodes (tests/lab), for the three programs of tests that need them: `real_nodes`, `lab_node` and `fault_matrix`.
//!
//! Labs come and go by tests/lab/lab. What is asked of a lab that is up goes there directly, without that program: it is
//! done hundreds of times in each test.

pub mod entry;
pub mod lab;
mod probe;
pub mod said;
pub mod shell;
