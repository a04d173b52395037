//! One step of the protocol at a time, without blocking.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use ssh2::BlockDirections;
use ssh2::ErrorCode;
use ssh2::Session;

use crate::transport::Cancel;
use crate::transport::wait::Patience;
use crate::transport::wait::Stopped;

/// `LIBSSH2_ERROR_EAGAIN`
pub(super) const AGAIN: ErrorCode = ErrorCode::Session(-37);

/// Why a step did not come to its end.
#[derive(Debug)]
pub(super) enum Halt {
    Stopped(Stopped),
    Ssh(ssh2::Error),
    /// What ssh2 makes of an error of a channel's stream.
    Stream(io::Error),
}

impl From<Stopped> for Halt {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// What each step needs.
pub(super) struct Steps<'a> {
    pub(super) session: Session,
    pub(super) socket: Arc<OwnedFd>,
    /// How long one step may take.
    pub(super) limit: Duration,
    pub(super) cancel: &'a Cancel,
}

impl Steps<'_> {
    /// Repeats a call of libssh2 until it no longer asks to come again.
    pub(super) fn again<T>(&self, step: impl FnMut() -> Result<T, ssh2::Error>) -> Result<T, Halt> {
        again(
            &self.session,
            &self.socket,
            &Patience::new(self.limit, self.cancel),
            step,
        )
    }
}

/// Repeats a call of libssh2 until it no longer asks to come again, with one clock for all of it.
pub(super) fn again<T>(
    session: &Session,
    socket: &OwnedFd,
    patience: &Patience<'_>,
    mut step: impl FnMut() -> Result<T, ssh2::Error>,
) -> Result<T, Halt> {
    loop {
        match step() {
            Ok(value) => return Ok(value),
            Err(error) if error.code() == AGAIN => {
                patience.wait(&mut [PollFd::new(socket, wants(session))])?;
            }
            Err(error) => return Err(Halt::Ssh(error)),
        }
    }
}

/// What the last call waits for.
pub(super) fn wants(session: &Session) -> PollFlags {
    match session.block_directions() {
        BlockDirections::Outbound | BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
        BlockDirections::Inbound | BlockDirections::None => PollFlags::IN,
    }
}
