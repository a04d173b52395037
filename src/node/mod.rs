//! The programs that run on a node, as texts: a POSIX shell reads them from its stdin, and nothing is installed.

mod apply;
mod arm;
mod look;
mod printed;
#[cfg(test)]
mod programs_tests;
mod quote;
mod recover;
mod restore;
mod shell;
mod steps;
#[cfg(test)]
mod way_back_tests;

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
pub use arm::armed;
pub use arm::disarm;
pub use arm::go_back;
pub use arm::rolled_back;
pub use look::look;
pub use printed::printed;
pub use quote::quote;
pub use recover::recovered;
pub use recover::restored_again;
pub use steps::Failure;
pub use steps::Said;
pub use steps::Steps;
pub use steps::StepsError;
