//! fwdeploy whitelists the peers of containerised blockchain nodes, inbound and outbound. It reports `ok` only after
//! re-reading what the kernel enforces.
//!
//! Deciding and acting are separate: the planner does not act, and the code that acts does not decide.
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
//! The rooms, and which room may use which, are in `docs/architecture.md`; a test checks the table.

// Code that is shared by the unit tests and tests/it refers to this crate by one name.
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
