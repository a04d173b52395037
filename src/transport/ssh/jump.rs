//! Jump hosts: one session on each of them carries the connections to all nodes behind it.
//!
//! A thread owns the session, because libssh2 allows no two threads at one, and moves the bytes between its channels and socket pairs,
//! whose other ends look like connections to the nodes. libssh2 opens one channel at a time: while a dead node keeps the jump host
//! waiting, nodes that are next get a further session. A node is never given a channel that was asked for by another one.

use std::collections::BTreeMap;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::TryRecvError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use ssh2::Channel;

use super::proxy::Proxy;
use super::pump;
use super::step::AGAIN;
use super::step::StepError;
use super::step::Wire;
use crate::transport::Cancel;
use crate::transport::ConnectError;
use crate::transport::Host;
use crate::transport::SshConfig;
use crate::transport::hop::Hop;
use crate::transport::wait::Deadline;
use crate::transport::wait::Stopped;

/// How long the sessions that there are may be busy with other nodes before there is a further one.
const PATIENCE: Duration = Duration::from_millis(300);

/// How long a jump host that could not be reached is not tried again.
const REST: Duration = Duration::from_secs(30);

/// How long a channel may take to close.
const CLOSING: Duration = Duration::from_secs(2);

/// How much is moved at a time.
const PIECE: usize = 64 * 1024;

/// A session with a jump host, as it is handed over to its thread.
pub(super) type Begun = (Host, Wire, Option<Proxy>);

/// What makes two ways the same: the hosts, at which place of the whole way, and the file that says how they are reached.
pub(super) fn key(chain: &str, config: &SshConfig, depth: usize) -> String {
    format!("{depth} {chain} {config:?}")
}

/// The jump hosts of a run.
#[derive(Default)]
pub(super) struct Jumps(Mutex<BTreeMap<String, Arc<JumpHost>>>);

#[derive(Default)]
struct JumpHost {
    lines: Mutex<Vec<Arc<Line>>>,
    /// Held while somebody logs in there: a login that fails is not repeated by twenty threads.
    failed: Mutex<Option<(Arc<ConnectError>, Instant)>>,
}

/// One session, from outside of its thread.
struct Line {
    at: Host,
    requests: Sender<Request>,
    wake: UnixStream,
    state: Arc<LineState>,
}

#[derive(Default)]
struct LineState {
    /// Whether a channel is being opened.
    opening: AtomicBool,
    ended: AtomicBool,
}

struct Request {
    host: String,
    port: u16,
    reply: Sender<Result<UnixStream, String>>,
    /// Whether nobody waits for it any more.
    abandoned: Arc<AtomicBool>,
}

impl Jumps {
    /// A connection to a node through its jump host. `open` logs in there; it is called if there is no session yet, or none has time.
    pub(super) fn reach(
        &self,
        key: &str,
        node: &Hop,
        cancel: &Cancel,
        open: &dyn Fn() -> Result<Begun, ConnectError>,
    ) -> Result<OwnedFd, ConnectError> {
        let host = {
            let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(hosts.entry(key.to_owned()).or_default())
        };
        let line = host.line(open).map_err(|source| match *source {
            ConnectError::Cancelled { .. } => ConnectError::Cancelled {
                at: node.at.clone(),
            },
            _ => ConnectError::Jump {
                at: node.at.clone(),
                source,
            },
        })?;
        line.reach(node, &Deadline::new(node.connect_timeout, cancel))
    }
}

impl JumpHost {
    /// A session that has time; it is marked as opening.
    fn line(
        &self,
        open: &dyn Fn() -> Result<Begun, ConnectError>,
    ) -> Result<Arc<Line>, Arc<ConnectError>> {
        let since = Instant::now();
        loop {
            match self.free() {
                (Some(line), _) => return Ok(line),
                (None, 0) => break,
                (None, _) if since.elapsed() > PATIENCE => break,
                (None, _) => thread::sleep(Duration::from_millis(5)),
            }
        }
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have logged in meanwhile.
        if let (Some(line), _) = self.free() {
            return Ok(line);
        }
        if let Some((error, when)) = &*failed
            && (!error.is_unreachable() || when.elapsed() < REST)
        {
            return Err(Arc::clone(error));
        }
        match open().map(Line::start) {
            Ok(Ok(line)) => {
                *failed = None;
                let line = Arc::new(line);
                line.state.opening.store(true, Ordering::SeqCst);
                let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push(Arc::clone(&line));
                Ok(line)
            }
            Ok(Err((at, error))) => Err(Arc::new(ConnectError::Session {
                at,
                said: error.to_string(),
            })),
            Err(error) => {
                let error = Arc::new(error);
                if !matches!(*error, ConnectError::Cancelled { .. }) {
                    *failed = Some((Arc::clone(&error), Instant::now()));
                }
                Err(error)
            }
        }
    }

    /// A session that has time, and how many there are.
    fn free(&self) -> (Option<Arc<Line>>, usize) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|line| !line.state.ended.load(Ordering::SeqCst));
        let has_time = |line: &&Arc<Line>| !line.state.opening.swap(true, Ordering::SeqCst);
        (lines.iter().find(has_time).cloned(), lines.len())
    }
}

impl Line {
    fn start((at, wire, proxy): Begun) -> Result<Self, (Host, io::Error)> {
        let started = || -> io::Result<_> {
            let (wake, woken) = UnixStream::pair()?;
            wake.set_nonblocking(true)?;
            woken.set_nonblocking(true)?;
            let (requests, asked) = mpsc::channel();
            let state = Arc::new(LineState::default());
            let thread = Carrier {
                wire,
                _proxy: proxy,
                asked,
                woken,
                state: Arc::clone(&state),
                pending: None,
                pipes: Vec::new(),
            };
            thread::Builder::new()
                .name("jump".to_owned())
                .spawn(move || thread.carry_all())?;
            Ok((requests, wake, state))
        };
        match started() {
            Ok((requests, wake, state)) => Ok(Self {
                at,
                requests,
                wake,
                state,
            }),
            Err(error) => Err((at, error)),
        }
    }

    fn reach(&self, node: &Hop, deadline: &Deadline<'_>) -> Result<OwnedFd, ConnectError> {
        let at = || node.at.clone();
        let lost = || ConnectError::Forward {
            at: at(),
            jump: Box::new(self.at.clone()),
            said: "the connection to it is lost".to_owned(),
        };
        let (reply, answer) = mpsc::channel();
        let abandoned = Arc::new(AtomicBool::new(false));
        let request = Request {
            host: node.host.clone(),
            port: node.port,
            reply,
            abandoned: Arc::clone(&abandoned),
        };
        self.requests.send(request).map_err(|_| lost())?;
        let _ = (&self.wake).write(&[1]);
        loop {
            match answer.recv_timeout(Duration::from_millis(20)) {
                Ok(Ok(near)) => return Ok(OwnedFd::from(near)),
                Ok(Err(said)) => {
                    return Err(ConnectError::Forward {
                        at: at(),
                        jump: Box::new(self.at.clone()),
                        said,
                    });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(lost()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Err(stopped) = deadline.check() {
                abandoned.store(true, Ordering::SeqCst);
                return Err(match stopped {
                    Stopped::Cancelled => ConnectError::Cancelled { at: at() },
                    _ => ConnectError::TimedOut {
                        at: at(),
                        after: deadline.limit,
                    },
                });
            }
        }
    }
}

/// The thread of a session.
struct Carrier {
    wire: Wire,
    _proxy: Option<Proxy>,
    asked: Receiver<Request>,
    woken: UnixStream,
    state: Arc<LineState>,
    pending: Option<Request>,
    pipes: Vec<Pipe>,
}

impl Carrier {
    fn carry_all(mut self) {
        let mut buffer = vec![0; PIECE];
        let never = Cancel::new();
        while let Ok(true) = self.carry_once(&mut buffer, &never) {}
        self.state.ended.store(true, Ordering::SeqCst);
        let _ = self.wire.session.disconnect(None, "done", None);
        self.wire.flush();
        self.wire.hang_up();
        for pipe in &self.pipes {
            let _ = pipe.near.shutdown(Shutdown::Both);
        }
    }

    /// One turn; `false` when nobody needs the session any more.
    fn carry_once(&mut self, buffer: &mut [u8], never: &Cancel) -> Result<bool, StepError> {
        if self.wire.has_ended() {
            return Ok(false);
        }
        self.wire.session.keepalive_send().map_err(StepError::Ssh)?;
        let is_wanted = self.take_request();
        let mut moved = self.open()?;
        for pipe in &mut self.pipes {
            moved += pipe.carry(buffer, &self.wire);
        }
        let before = self.pipes.len();
        self.pipes.retain(|pipe| !pipe.is_closed);
        if self.pipes.len() != before {
            self.wire.allow_channels(self.pipes.len());
        }
        let is_abandoned = |request: &Request| request.abandoned.load(Ordering::SeqCst);
        let is_idle = self.pipes.is_empty() && self.pending.as_ref().is_none_or(is_abandoned);
        if is_idle && (!is_wanted || self.pending.is_some()) {
            return Ok(false);
        }
        let carried = self.wire.carry()?;
        if moved + carried.inward + carried.outward == 0 {
            let mut waits = vec![PollFd::new(&self.woken, PollFlags::IN)];
            waits.extend(self.pipes.iter().filter_map(Pipe::waits_for));
            let deadline = Deadline::new(Duration::from_secs(3600), never);
            self.wire.wait_with(&deadline, waits)?;
            while matches!((&self.woken).read(buffer), Ok(1..)) {}
        }
        Ok(true)
    }

    /// Whether there may be further requests.
    fn take_request(&mut self) -> bool {
        if self.pending.is_some() {
            return true;
        }
        match self.asked.try_recv() {
            Ok(request) => {
                self.pending = Some(request);
                true
            }
            Err(TryRecvError::Empty) => true,
            Err(TryRecvError::Disconnected) => false,
        }
    }

    /// Opens the channel that is asked for, as far as that goes without waiting.
    fn open(&mut self) -> Result<usize, StepError> {
        let Some(request) = &self.pending else {
            return Ok(0);
        };
        let session = &self.wire.session;
        let answer = match session.channel_direct_tcpip(&request.host, request.port, None) {
            Ok(channel) => match UnixStream::pair() {
                Ok((near, far)) => {
                    let ready = [&near, &far]
                        .iter()
                        .all(|it| it.set_nonblocking(true).is_ok());
                    self.pipes.push(Pipe::new(channel, near));
                    self.wire.allow_channels(self.pipes.len());
                    match ready {
                        true => Ok(far),
                        false => Err("a socket cannot be set up".to_owned()),
                    }
                }
                Err(error) => Err(error.to_string()),
            },
            Err(error) if error.code() == AGAIN => return Ok(0),
            Err(error) if pump::is_refusal(&error) => Err(error.message().to_owned()),
            Err(error) => return Err(StepError::Ssh(error)),
        };
        if let Some(request) = self.pending.take() {
            // Whoever gave up has dropped the other end: then the channel is closed in the next turn.
            let _ = request.reply.send(answer);
        }
        self.state.opening.store(false, Ordering::SeqCst);
        Ok(1)
    }
}

/// A channel and the socket that stands for it.
struct Pipe {
    channel: Channel,
    near: UnixStream,
    /// Bytes for the node.
    up: Vec<u8>,
    /// Bytes from the node.
    down: Vec<u8>,
    closing: Option<Instant>,
    is_closed: bool,
}

impl Pipe {
    fn new(channel: Channel, near: UnixStream) -> Self {
        Self {
            channel,
            near,
            up: Vec::new(),
            down: Vec::new(),
            closing: None,
            is_closed: false,
        }
    }

    /// Moves what can be moved without waiting, and returns how much.
    fn carry(&mut self, buffer: &mut [u8], wire: &Wire) -> usize {
        if let Some(since) = self.closing {
            let is_done = match self.channel.close() {
                Err(error) => error.code() != AGAIN || since.elapsed() > CLOSING,
                Ok(()) => true,
            };
            self.is_closed = is_done;
            return 0;
        }
        match self.try_carry(buffer, wire) {
            Ok(moved) => moved,
            Err(_) => {
                let _ = self.near.shutdown(Shutdown::Both);
                self.closing = Some(Instant::now());
                1
            }
        }
    }

    /// An error is the end of one of its sides.
    fn try_carry(&mut self, buffer: &mut [u8], wire: &Wire) -> io::Result<usize> {
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut moved = 0;
        if self.up.is_empty()
            && let Some(count) = now(self.near.read(buffer))?
        {
            if count == 0 {
                return Err(ended());
            }
            self.up.extend_from_slice(&buffer[..count]);
            moved += count;
        }
        if !self.up.is_empty()
            && let Some(count) = now(self.channel.write(&self.up))?
        {
            self.up.drain(..count);
            moved += count;
        }
        if self.down.is_empty()
            && let Some(count) = now(self.channel.read(buffer))?
        {
            if count == 0 && self.channel.eof() {
                return Err(ended());
            }
            self.down.extend_from_slice(&buffer[..count]);
            // Each packet has its own overhead, and those of an inner connection are short.
            wire.heard(3 * count);
            moved += count;
        }
        if !self.down.is_empty()
            && let Some(count) = now(self.near.write(&self.down))?
        {
            self.down.drain(..count);
            moved += count;
        }
        Ok(moved)
    }

    fn waits_for(&self) -> Option<PollFd<'_>> {
        let mut flags = PollFlags::empty();
        if self.up.is_empty() && self.closing.is_none() {
            flags |= PollFlags::IN;
        }
        if !self.down.is_empty() {
            flags |= PollFlags::OUT;
        }
        (!flags.is_empty()).then(|| PollFd::new(&self.near, flags))
    }
}

/// `None` when it would block.
fn now(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
            _ => Err(error),
        },
    }
}
