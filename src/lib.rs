//! fwdeploy closes blockchain nodes to everyone but their named peers, in both directions, and says `ok` only when
//! the kernel of the node does what the role says.
//!
//! Nothing decides while acting, and nothing acts while deciding:
//!
//! ```text
//!  files ─▶ Inventory ─▶ Policy ──compile──▶ Desired ──┐
//!                                                      ├─plan─▶ Plan ─┬─ --check ──────────────────────────────────▶ report
//!  ssh ──▶ Answers ─────────observe────────▶ NodeState ┘              └─ arm ▶ apply ▶ look again ▶ disarm ────────▶ report
//!                                                                         └─ on any failure, or not confirmed in time:
//!                                                                            roll back ▶ look again ──────────────▶ report
//! ```
//!
//! *Arm* takes a snapshot on the node and starts a timer there that rolls the node back. *Look again* uses a new connection, observes
//! and plans once more, and that plan must be empty. Only then *disarm* stops the timer, which confirms the run.
//!
//! The rooms, and which may use which, are in `docs/architecture.md`; a test holds the table.

// What both the unit tests and those of tests/it include finds this crate by one name.
#[cfg(test)]
extern crate self as fwdeploy;

pub mod cli;
pub mod engine;
pub mod inventory;
pub mod model;
pub mod node;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod report;
pub mod role;
pub mod transport;
