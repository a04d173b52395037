//! How far a script of steps got on a node.

use crate::plan::recover::Aside;
use crate::transport::RunError;

/// How far a script of steps got.
#[derive(Debug)]
pub(super) struct Applied {
    /// The snapshot that the node is armed with, if the node reported it.
    pub(super) armed: Option<u64>,
    /// What was set aside.
    pub(super) aside: Vec<Aside>,
    /// How the script ended.
    pub(super) end: End,
}

/// How a script of steps ended.
#[derive(Debug)]
pub(super) enum End {
    /// Every step was done.
    All,
    /// No step was started.
    NotArmed {
        /// The exit code of what failed.
        code: i32,
        /// What was answered.
        said: String,
    },
    /// A step failed, and the script ended there.
    Stopped {
        /// The exit code of what failed.
        code: i32,
        /// How many steps were done before.
        done: usize,
        /// What was answered.
        said: String,
    },
    /// The script's end is not known.
    Lost {
        /// How many steps were certainly done.
        done: usize,
        /// Why there is no answer.
        error: RunError,
    },
}
