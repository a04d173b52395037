//! Moves the bytes of one run through one channel: both outputs, the input, the clock, the signs of life.
//!
//! A blocking reader of one stream hangs when the other's window (2 MiB) is full, a blocking writer when the program stops reading,
//! and libssh2's own keepalive ends a quiet command with a timeout. Hence everything at once, and never blocking.

use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use ssh2::Channel;
use ssh2::ErrorCode;
use ssh2::Session;

use super::step::AGAIN;
use super::step::Halt;
use super::step::again;
use super::step::wants as directions;
use crate::transport::Cancel;
use crate::transport::dialogue::Dialogue;
use crate::transport::dialogue::End;
use crate::transport::wait::Patience;

/// How long the rest of standard error, and the end of the channel, may take after the status is there. A program that the script left in
/// the background keeps the channel open for as long as it lives.
const AFTERMATH: Duration = Duration::from_secs(1);

/// Whether the node refused the channel or the command and the session lives on: `LIBSSH2_ERROR_CHANNEL_FAILURE` and
/// `LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED`.
pub(super) fn is_refusal(error: &ssh2::Error) -> bool {
    matches!(error.code(), ErrorCode::Session(-21 | -22))
}

/// Opens a channel and starts the command in it.
pub(super) fn open(
    session: &Session,
    socket: &OwnedFd,
    patience: &Patience<'_>,
    command: &str,
) -> Result<Channel, Halt> {
    let mut channel = again(session, socket, patience, || session.channel_session())?;
    again(session, socket, patience, || channel.exec(command))?;
    Ok(channel)
}

/// Moves bytes until the channel is closed, or there is a reason to stop.
pub(super) fn pump(
    session: &Session,
    socket: &OwnedFd,
    mut channel: Channel,
    dialogue: &mut Dialogue<'_>,
    on_stdout: &mut dyn FnMut(&[u8]),
    patience: &Patience<'_>,
) -> End {
    let flow = Flow {
        session,
        socket,
        patience,
    };
    let moved = flow.move_all(&mut channel, dialogue, on_stdout);
    let closed = moved.and_then(|()| match dialogue.is_refused() {
        true => Ok(End::Closed {
            status: None,
            signal: None,
        }),
        false => flow.close(&mut channel),
    });
    match closed {
        Ok(end) => end,
        Err(Halt::Stopped(stopped)) => End::Stopped(stopped),
        Err(Halt::Ssh(error)) => End::Broken(error.message().to_owned()),
        Err(Halt::Stream(error)) => End::Broken(error.to_string()),
    }
}

struct Flow<'a> {
    session: &'a Session,
    socket: &'a OwnedFd,
    patience: &'a Patience<'a>,
}

impl Flow<'_> {
    fn move_all(
        &self,
        channel: &mut Channel,
        dialogue: &mut Dialogue<'_>,
        on_stdout: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Halt> {
        let mut buffer = vec![0; 64 * 1024];
        let mut stderr = channel.stderr();
        let mut told = false;
        let never = Cancel::new();
        let mut aftermath = None;
        loop {
            self.patience.check()?;
            // First, because its call changes the directions that the wait below asks about.
            self.session.keepalive_send().map_err(Halt::Ssh)?;
            let mut moved = 0;
            let mut wants = PollFlags::IN;
            // Writing before reading: a write reads packets from the socket too, and nothing would wake us for those.
            if dialogue.has_input() {
                match taken(channel.write(dialogue.offer()))? {
                    Some(count) => {
                        dialogue.sent(count);
                        moved += count;
                    }
                    None => wants |= directions(self.session),
                }
            }
            if dialogue.is_told() && !told {
                match channel.send_eof() {
                    Ok(()) => told = true,
                    Err(error) if error.code() == AGAIN => wants |= directions(self.session),
                    Err(error) => return Err(Halt::Ssh(error)),
                }
            }
            while let Some(count @ 1..) = taken(channel.read(&mut buffer))? {
                dialogue.hear_stdout(&buffer[..count], on_stdout);
                moved += count;
                // A node that never stops talking must not outrun the clock.
                self.patience.check()?;
            }
            while let Some(count @ 1..) = taken(stderr.read(&mut buffer))? {
                dialogue.hear_stderr(&buffer[..count]);
                moved += count;
                self.patience.check()?;
            }
            if channel.eof() || dialogue.is_refused() {
                return Ok(());
            }
            if dialogue.has_ended() {
                let rest = aftermath.get_or_insert_with(|| Patience::new(AFTERMATH, &never));
                if rest.check().is_err() {
                    return Ok(());
                }
            }
            if moved == 0 {
                wants |= directions(self.session);
                self.patience.wait(&mut [PollFd::new(self.socket, wants)])?;
            }
        }
    }

    /// Closes the channel and asks how the command ended.
    fn close(&self, channel: &mut Channel) -> Result<End, Halt> {
        let patience = Patience::new(AFTERMATH, self.patience.cancel);
        again(self.session, self.socket, &patience, || channel.close())?;
        again(self.session, self.socket, &patience, || {
            channel.wait_close()
        })?;
        let signal = channel
            .exit_signal()
            .ok()
            .and_then(|signal| signal.exit_signal);
        Ok(End::Closed {
            status: channel.exit_status().ok(),
            signal,
        })
    }
}

/// `None` when it would block.
fn taken(result: io::Result<usize>) -> Result<Option<usize>, Halt> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(Halt::Stream(error)),
    }
}
