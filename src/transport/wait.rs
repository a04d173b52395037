//! Waiting with an end: by readiness, by the clock, or by a requested stop.

use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::io::Errno;

use super::cancel::Cancel;

/// How often a waiting thread checks the flag: immediate for a person, and negligible for a processor, even with fifty threads.
const LOOK: Duration = Duration::from_millis(50);

/// Why waiting ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    TimedOut,
    Cancelled,
    Failed(Errno),
}

/// The text of a system error, without its number.
pub(super) fn errno_words(errno: Errno) -> String {
    let words = std::io::Error::from(errno).to_string();
    match words.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => words,
    }
}

/// How long to wait, and what can end the wait.
pub(super) struct Deadline<'a> {
    pub(super) limit: Duration,
    since: Instant,
    pub(super) cancel: &'a Cancel,
}

impl<'a> Deadline<'a> {
    /// Starts the clock.
    pub(super) fn new(limit: Duration, cancel: &'a Cancel) -> Self {
        Self {
            limit,
            since: Instant::now(),
            cancel,
        }
    }

    /// The time that is left.
    pub(super) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.since.elapsed())
    }

    pub(super) fn check(&self) -> Result<(), Stopped> {
        if self.cancel.is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        if self.since.elapsed() >= self.limit {
            return Err(Stopped::TimedOut);
        }
        Ok(())
    }

    /// Waits until one of the descriptors is ready or a moment has passed, whichever is first; the caller looks again either way.
    pub(super) fn wait(&self, descriptors: &mut [PollFd<'_>]) -> Result<(), Stopped> {
        self.check()?;
        let moment = self.limit.saturating_sub(self.since.elapsed()).min(LOOK);
        let moment = Timespec {
            tv_sec: 0,
            tv_nsec: moment.subsec_nanos().into(),
        };
        match poll(descriptors, Some(&moment)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(Stopped::Failed(errno)),
        }
    }
}
