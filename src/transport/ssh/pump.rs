//! Moves the bytes of one run through one channel: both outputs, the input, the clock, the signs of life.
//!
//! A blocking reader of one stream hangs when the other's window (2 MiB) is full, a blocking writer when the program stops reading,
//! and libssh2's own keepalive ends a quiet command with a timeout. So all streams are handled together, without blocking.

use std::io;
use std::io::Read;
use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use ssh2::Channel;
use ssh2::ErrorCode;

use super::step::AGAIN;
use super::step::StepError;
use super::step::Wire;
use crate::transport::Cancel;
use crate::transport::script_protocol::ScriptProtocol;
use crate::transport::script_protocol::StreamEnd;
use crate::transport::wait::Deadline;

/// How long the rest of standard error, and the end of the channel, may take after the status. A program that the script left in
/// the background keeps the channel open for as long as it lives.
const AFTERMATH: Duration = Duration::from_secs(1);

/// Whether the node refused the channel or the command and the session lives on: `LIBSSH2_ERROR_CHANNEL_FAILURE` and
/// `LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED`.
pub(super) fn is_refusal(error: &ssh2::Error) -> bool {
    matches!(error.code(), ErrorCode::Session(-21 | -22))
}

/// libssh2 ends a wait after 60 s, whatever limit was set; this stays below it.
const LIBSSH2_GIVES_UP: Duration = Duration::from_secs(50);

/// Why no command runs.
pub(super) struct Unopened {
    pub(super) halt: StepError,
    /// What the node was to do, as the end of a sentence.
    pub(super) wanted: &'static str,
}

/// Opens a channel and starts the command in it.
pub(super) fn open(
    wire: &Wire,
    deadline: &Deadline<'_>,
    command: &str,
) -> Result<Channel, Unopened> {
    let opening = |halt| Unopened {
        halt,
        wanted: "open a session",
    };
    let session = &wire.session;
    // A node whose session takes its time (PAM, logind) answers nothing until it is there. Its first word may be about something else,
    // and libssh2 would then give up if it had asked for the channel already.
    if deadline.limit > LIBSSH2_GIVES_UP && session.keepalive_send().is_ok() {
        wire.wait_for_sign(deadline).map_err(opening)?;
    }
    let mut channel = wire
        .retry_eagain(deadline, || session.channel_session())
        .map_err(opening)?;
    wire.retry_eagain(deadline, || channel.exec(command))
        .map_err(|halt| Unopened {
            halt,
            wanted: "start the command",
        })?;
    Ok(channel)
}

/// The bytes of one run.
pub(super) struct Flow<'a> {
    pub(super) wire: &'a Wire,
    pub(super) deadline: &'a Deadline<'a>,
    /// After how long a silence the connection is lost: keepalives are answered. `None` where the system notices it.
    pub(super) patience: Option<Duration>,
}

impl Flow<'_> {
    /// Moves bytes until the channel is closed, or there is a reason to stop.
    pub(super) fn pump(
        &self,
        mut channel: Channel,
        protocol: &mut ScriptProtocol<'_>,
        on_stdout: &mut dyn FnMut(&[u8]),
    ) -> StreamEnd {
        let moved = self.move_all(&mut channel, protocol, on_stdout);
        let closed = moved.and_then(|()| match protocol.is_refused() || protocol.is_too_much() {
            true => Ok(StreamEnd::Closed {
                status: None,
                signal: None,
            }),
            false => self.close(&mut channel),
        });
        match closed {
            Ok(end) => end,
            Err(StepError::Stopped(stopped)) => StreamEnd::Stopped(stopped),
            Err(halt) => StreamEnd::Broken(self.wire.words(&halt)),
        }
    }

    fn move_all(
        &self,
        channel: &mut Channel,
        protocol: &mut ScriptProtocol<'_>,
        on_stdout: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StepError> {
        let mut buffer = vec![0; 64 * 1024];
        let mut stderr = channel.stderr();
        let mut told = false;
        let never = Cancel::new();
        let mut aftermath = None;
        let mut heard = (self.wire.received(), Instant::now());
        loop {
            self.deadline.check()?;
            if heard.0 != self.wire.received() {
                heard = (self.wire.received(), Instant::now());
            }
            if self
                .patience
                .is_some_and(|patience| heard.1.elapsed() > patience)
            {
                return Err(StepError::Silent(heard.1.elapsed()));
            }
            self.wire.session.keepalive_send().map_err(StepError::Ssh)?;
            let mut moved = 0;
            // Writing before reading: a write reads packets from the session's socket too, and nothing would wake us for those.
            if protocol.has_input()
                && let Some(count) = taken(channel.write(protocol.offer()))?
            {
                protocol.sent(count);
                moved += count;
            }
            if protocol.is_told() && !told {
                match channel.send_eof() {
                    Ok(()) => told = true,
                    Err(error) if error.code() == AGAIN => {}
                    Err(error) => return Err(StepError::Ssh(error)),
                }
            }
            while let Some(count @ 1..) = taken(channel.read(&mut buffer))? {
                protocol.hear_stdout(&buffer[..count], on_stdout);
                self.wire.heard(count);
                moved += count;
            }
            while let Some(count @ 1..) = taken(stderr.read(&mut buffer))? {
                protocol.hear_stderr(&buffer[..count]);
                self.wire.heard(count);
                moved += count;
            }
            if channel.eof() || protocol.is_refused() || protocol.is_too_much() {
                return Ok(());
            }
            if protocol.has_ended() {
                let rest = aftermath.get_or_insert_with(|| Deadline::new(AFTERMATH, &never));
                if rest.check().is_err() {
                    return Ok(());
                }
            }
            let carried = self.wire.carry()?;
            if moved + carried.inward + carried.outward == 0 {
                self.wire.wait(self.deadline)?;
            }
        }
    }

    /// Closes the channel and asks how the command ended.
    fn close(&self, channel: &mut Channel) -> Result<StreamEnd, StepError> {
        let deadline = Deadline::new(AFTERMATH, self.deadline.cancel);
        self.wire.retry_eagain(&deadline, || channel.close())?;
        self.wire.retry_eagain(&deadline, || channel.wait_close())?;
        let signal = channel
            .exit_signal()
            .ok()
            .and_then(|signal| signal.exit_signal);
        Ok(StreamEnd::Closed {
            status: channel.exit_status().ok(),
            signal,
        })
    }
}

/// `None` when it would block.
fn taken(result: io::Result<usize>) -> Result<Option<usize>, StepError> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(StepError::Stream(error)),
    }
}
