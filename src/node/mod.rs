//! The programs that run on a node, as texts: a POSIX shell reads them from its stdin, and nothing is installed.

mod apply;
mod arm;
#[cfg(test)]
mod long_tests;
mod look;
#[cfg(test)]
mod older_tests;
mod printed;
#[cfg(test)]
mod programs_tests;
mod purge;
mod quote;
mod recover;
mod restore;
#[cfg(test)]
mod restore_tests;
mod shell;
mod steps;

pub use apply::apply;
pub use arm::Arming;
pub use arm::BUSY;
pub use arm::EDITED;
pub use arm::Ending;
pub use arm::GONE;
pub use arm::NO_SNAPSHOT;
pub use arm::Restored;
pub use arm::STALE;
pub use arm::UNFINISHED;
pub use arm::arm_script;
pub use arm::disarm_script;
pub use arm::revert_script;
pub use arm::rollback_script;
pub use look::probe_script;
pub use printed::printed_script;
pub use purge::Purged;
pub use purge::purge_script;
pub use quote::quote;
pub use recover::recover_script;
pub use recover::retry_restore_script;
pub use steps::Said;
pub use steps::StepFailure;
pub use steps::Steps;
pub use steps::StepsError;
