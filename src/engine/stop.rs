//! The operator's wish to stop.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::transport::Cancel;

/// How often a wait checks whether the operator gives up.
const STEP: Duration = Duration::from_millis(20);

/// The operator's request to stop: first no new nodes, then immediately.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    drain: Arc<AtomicBool>,
    leave: Cancel,
}

impl Stop {
    /// Shares two flags that the caller sets: `drain` finishes the nodes at work and starts no others, `leave` abandons all of
    /// them.
    pub fn sharing(drain: Arc<AtomicBool>, leave: Arc<AtomicBool>) -> Self {
        Stop {
            drain,
            leave: Cancel::sharing(leave),
        }
    }

    /// Whether no new node is to be started.
    pub fn is_draining(&self) -> bool {
        self.drain.load(Ordering::SeqCst) || self.leave.is_cancelled()
    }

    /// Set when the nodes at work are to be abandoned too.
    pub fn leave(&self) -> &Cancel {
        &self.leave
    }

    /// Waits for a pause. Ends early and returns `false` if the operator abandons the nodes at work.
    pub(super) fn wait(&self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        while !self.leave.is_cancelled() && Instant::now() < end {
            thread::sleep(STEP.min(pause));
        }
        !self.leave.is_cancelled()
    }
}
