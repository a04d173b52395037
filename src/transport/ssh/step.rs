//! One step of the protocol at a time, without blocking, without outrunning the clock, and without more memory than a node may take.

use std::cell::Cell;
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::PollFd;
use ssh2::BlockDirections;
use ssh2::ErrorCode;
use ssh2::Session;

use super::relay::Moved;
use super::relay::Relay;
use crate::transport::wait::Deadline;
use crate::transport::wait::Stopped;
use crate::transport::wait::errno_words;

/// `LIBSSH2_ERROR_EAGAIN`
pub(super) const AGAIN: ErrorCode = ErrorCode::Session(-37);

/// What a node may send before the login is complete: a handshake takes 5 KB, a banner and the answers to a dozen keys a few more.
const BEFORE_LOGIN: u64 = 1024 * 1024;

/// What it may send after that in addition to the output of scripts: 50 bytes with each piece of it. libssh2 keeps unrequested data, in
/// up to three times the size that it had on the wire.
const BESIDE_OUTPUT: u64 = 6 * 1024 * 1024;

/// What a channel of a jump host may hold: its window, and the overhead of short packets.
const PER_CHANNEL: u64 = 6 * 1024 * 1024;

/// Why a step did not come to its end.
#[derive(Debug)]
pub(super) enum StepError {
    Stopped(Stopped),
    Ssh(ssh2::Error),
    /// What ssh2 makes of an error of a channel's stream.
    Stream(io::Error),
    /// The node sent this many bytes of unrequested data.
    Flood(u64),
    /// The node has not answered keepalives for this long.
    Silent(Duration),
}

impl From<Stopped> for StepError {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// A session and the way its bytes take.
pub(super) struct Wire {
    pub(super) session: Session,
    relay: RefCell<Relay>,
    /// How much of what was received is output of scripts.
    output: Cell<u64>,
    allowed: Cell<u64>,
}

impl Wire {
    /// A session over a connected socket, before the handshake.
    pub(super) fn new(mut session: Session, node: OwnedFd) -> io::Result<Self> {
        let (relay, theirs) = Relay::new(node)?;
        session.set_blocking(false);
        session.set_tcp_stream(theirs);
        Ok(Self {
            session,
            relay: RefCell::new(relay),
            output: Cell::new(0),
            allowed: Cell::new(BEFORE_LOGIN),
        })
    }

    /// From now on scripts run.
    pub(super) fn is_logged_in(&self) {
        self.allowed.set(BESIDE_OUTPUT);
        self.output.set(self.relay.borrow().received());
    }

    /// Takes note of output that was received.
    pub(super) fn heard(&self, bytes: usize) {
        self.output.set(self.output.get() + bytes as u64);
    }

    /// The first data of the node, in clear.
    pub(super) fn first(&self) -> Vec<u8> {
        self.relay.borrow().first().to_vec()
    }

    /// Repeats a call of libssh2 until it no longer returns EAGAIN, with one time limit for all of it.
    ///
    /// libssh2 gives up by itself if it is called a minute after it started to wait. So it is called only when there is data for it:
    /// the time to wait is decided here.
    pub(super) fn retry_eagain<T>(
        &self,
        deadline: &Deadline<'_>,
        mut step: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<T, StepError> {
        loop {
            match step() {
                Ok(value) => {
                    self.carry()?;
                    return Ok(value);
                }
                Err(error) if error.code() == AGAIN => self.wait_for_more(deadline)?,
                Err(error) => return Err(StepError::Ssh(error)),
            }
            deadline.check()?;
        }
    }

    fn wait_for_more(&self, deadline: &Deadline<'_>) -> Result<(), StepError> {
        let writes = matches!(
            self.session.block_directions(),
            BlockDirections::Outbound | BlockDirections::Both
        );
        loop {
            let moved = self.carry()?;
            let ended = self.relay.borrow().ended().is_some();
            if moved.inward > 0 || ended || (writes && moved.outward > 0) {
                return Ok(());
            }
            if moved.outward == 0 {
                self.wait(deadline)?;
            }
        }
    }

    /// Moves what can be moved without waiting, within the node's limit.
    pub(super) fn carry(&self) -> Result<Moved, StepError> {
        let mut relay = self.relay.borrow_mut();
        let beside = relay.received().saturating_sub(self.output.get());
        if beside > self.allowed.get() {
            return Err(StepError::Flood(beside));
        }
        Ok(relay.carry())
    }

    /// Waits until something can be moved, or a moment has passed.
    pub(super) fn wait(&self, deadline: &Deadline<'_>) -> Result<(), StepError> {
        self.wait_with(deadline, Vec::new())
    }

    /// The same, and until one of these descriptors is ready.
    pub(super) fn wait_with(
        &self,
        deadline: &Deadline<'_>,
        descriptors: Vec<PollFd<'_>>,
    ) -> Result<(), StepError> {
        Ok(self.relay.borrow().wait(deadline, descriptors)?)
    }

    /// Makes room for what so many channels may hold that was not read yet: each has a window of 2 MiB.
    pub(super) fn allow_channels(&self, channels: usize) {
        self.allowed
            .set(BESIDE_OUTPUT + channels as u64 * PER_CHANNEL);
    }

    /// How much the node has sent.
    pub(super) fn received(&self) -> u64 {
        self.relay.borrow().received()
    }

    /// Whether the connection has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.relay.borrow().ended().is_some()
    }

    /// Waits for any data from the node.
    pub(super) fn wait_for_sign(&self, deadline: &Deadline<'_>) -> Result<(), StepError> {
        self.wait_for_more(deadline)
    }

    /// The text of an error: how the connection ended if it did, otherwise the error of libssh2.
    pub(super) fn words(&self, halt: &StepError) -> String {
        let ended = self.relay.borrow().ended();
        match (halt, ended) {
            (StepError::Stopped(Stopped::Failed(errno)), _) => errno_words(*errno),
            (StepError::Flood(bytes), _) => {
                format!("it sent {} KiB of unrequested data", bytes / 1024)
            }
            (StepError::Silent(time), _) => format!("no sign of life for {} s", time.as_secs()),
            (_, Some(ended)) => ended.words(),
            (StepError::Ssh(error), None) => error.message().to_owned(),
            (StepError::Stream(error), None) => error.to_string(),
            (StepError::Stopped(Stopped::TimedOut | Stopped::Cancelled), None) => {
                "stopped".to_owned()
            }
        }
    }

    /// Closes the connection under libssh2.
    pub(super) fn hang_up(&self) {
        self.relay.borrow().hang_up();
    }

    /// Sends the last data, if there is space for it without waiting.
    pub(super) fn flush(&self) {
        let _ = self.relay.borrow_mut().carry();
    }
}
