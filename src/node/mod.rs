//! The programs that run on a node, as texts: a POSIX shell reads them from its stdin, and nothing is installed.

mod apply;
mod look;
mod quote;
mod steps;
mod wait;

pub use apply::apply;
pub use look::look;
pub use quote::quote;
pub use steps::BUSY;
pub use steps::Failure;
pub use steps::Said;
pub use steps::Steps;
pub use steps::StepsError;
pub use wait::wait;
