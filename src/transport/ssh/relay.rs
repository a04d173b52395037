//! The bytes between a node and libssh2, under this side's control.
//!
//! libssh2 reads its socket until it is empty. A node that never stops sending would block a call forever, and the data that the call
//! queues meanwhile has no limit. So libssh2 has one end of a socket pair, and the data of a node reaches it only between two
//! calls: each call ends with the available data, the clock and the stop flag are checked after it, and the data is counted.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net;
use rustix::net::RecvFlags;
use rustix::net::SendFlags;

use crate::transport::wait::Deadline;
use crate::transport::wait::Stopped;
use crate::transport::wait::errno_words;

/// How much is moved at a time. libssh2 gets only a few of these in one call.
const PIECE: usize = 64 * 1024;

/// How much of the first data of a node is kept: its banner and its list of algorithms, which are in clear.
const FIRST: usize = 48 * 1024;

/// How the node's side of the connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The node closed it.
    Closed,
    /// The system reports that it is lost.
    Failed(Errno),
}

impl Ended {
    /// As the middle of a sentence.
    pub(super) fn words(self) -> String {
        match self {
            Self::Closed => "the node closed the connection".to_owned(),
            Self::Failed(errno) => errno_words(errno),
        }
    }
}

/// What one look moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    /// Bytes for libssh2.
    pub(super) inward: usize,
    /// Bytes for the node.
    pub(super) outward: usize,
}

/// The two sockets and the buffers between them.
pub(super) struct Relay {
    node: OwnedFd,
    session: UnixStream,
    inward: Piece,
    outward: Piece,
    received: u64,
    first: Vec<u8>,
    ended: Option<Ended>,
}

impl Relay {
    /// Takes over the socket of a node, and returns the end that is libssh2's.
    pub(super) fn new(node: OwnedFd) -> io::Result<(Self, UnixStream)> {
        let (session, theirs) = UnixStream::pair()?;
        session.set_nonblocking(true)?;
        let relay = Self {
            node,
            session,
            inward: Piece::default(),
            outward: Piece::default(),
            received: 0,
            first: Vec::new(),
            ended: None,
        };
        Ok((relay, theirs))
    }

    /// How much the node has sent.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// The first data of the node, in clear.
    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }

    /// How the node's side ended, once libssh2 has all that came before.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended.filter(|_| self.inward.is_empty())
    }

    /// Moves what can be moved without waiting.
    pub(super) fn carry(&mut self) -> Moved {
        let outward = self.carry_outward();
        let inward = self.carry_inward();
        Moved { inward, outward }
    }

    fn carry_outward(&mut self) -> usize {
        if self.outward.is_empty() {
            let session = &mut self.session;
            self.outward.fill(|room| session.read(room).ok());
        }
        let node = &self.node;
        self.outward.drain(|bytes| {
            match net::send(node, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => Some(count),
                Err(Errno::AGAIN | Errno::INTR) => None,
                // Reading reports what happened, after the remaining data of the node.
                Err(_) => Some(bytes.len()),
            }
        })
    }

    fn carry_inward(&mut self) -> usize {
        if self.inward.is_empty() && self.ended.is_none() {
            let node = &self.node;
            let mut ended = None;
            self.inward
                .fill(|room| match net::recv(node, room, RecvFlags::empty()) {
                    Ok((0, _)) => {
                        ended = Some(Ended::Closed);
                        None
                    }
                    Ok((count, _)) => Some(count),
                    Err(Errno::AGAIN | Errno::INTR) => None,
                    Err(errno) => {
                        ended = Some(Ended::Failed(errno));
                        None
                    }
                });
            self.ended = ended;
            self.received += self.inward.rest().len() as u64;
            let room = FIRST.saturating_sub(self.first.len());
            let new = self.inward.rest();
            self.first.extend_from_slice(&new[..new.len().min(room)]);
        }
        let session = &mut self.session;
        let given = self.inward.drain(|bytes| match session.write(bytes) {
            Ok(count) => Some(count),
            Err(error) if is_momentary(&error) => None,
            Err(_) => Some(bytes.len()),
        });
        if self.ended().is_some() {
            let _ = self.session.shutdown(Shutdown::Write);
        }
        given
    }

    /// Waits until something can be moved, one of the other descriptors is ready, or a moment has passed.
    pub(super) fn wait<'a>(
        &'a self,
        deadline: &Deadline<'_>,
        mut descriptors: Vec<PollFd<'a>>,
    ) -> Result<(), Stopped> {
        let mut node = PollFlags::empty();
        let mut session = PollFlags::empty();
        if self.inward.is_empty() && self.ended.is_none() {
            node |= PollFlags::IN;
        }
        if !self.inward.is_empty() {
            session |= PollFlags::OUT;
        }
        if self.outward.is_empty() {
            session |= PollFlags::IN;
        } else {
            node |= PollFlags::OUT;
        }
        // A descriptor that nothing is asked about would still report its end, again and again.
        for (descriptor, flags) in [
            (PollFd::new(&self.node, node), node),
            (PollFd::new(&self.session, session), session),
        ] {
            if !flags.is_empty() {
                descriptors.push(descriptor);
            }
        }
        deadline.wait(&mut descriptors)
    }

    /// Closes both sides.
    pub(super) fn hang_up(&self) {
        let _ = net::shutdown(&self.node, net::Shutdown::Both);
        let _ = self.session.shutdown(Shutdown::Both);
    }
}

/// Bytes on their way: those of the buffer that are not yet written. It is made once: to fill it with zeros for each read would take longer
/// than all else that is done with the bytes.
#[derive(Default)]
struct Piece {
    buffer: Vec<u8>,
    rest: Range<usize>,
}

impl Piece {
    fn rest(&self) -> &[u8] {
        &self.buffer[self.rest.clone()]
    }

    fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> Option<usize>) {
        if self.buffer.is_empty() {
            self.buffer = vec![0; PIECE];
        }
        self.rest = 0..read(&mut self.buffer).unwrap_or_default();
    }

    fn drain(&mut self, mut write: impl FnMut(&[u8]) -> Option<usize>) -> usize {
        let mut moved = 0;
        while !self.is_empty() {
            let Some(count) = write(self.rest()) else {
                break;
            };
            self.rest.start += count;
            moved += count;
        }
        moved
    }
}

fn is_momentary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
