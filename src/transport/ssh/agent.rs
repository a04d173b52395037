//! A proxy between libssh2 and an agent.
//!
//! libssh2 queries an agent without a limit: one that does not answer blocks the thread forever, a comment that is not UTF-8 makes ssh2
//! panic, and it accepts no list of more than 8 KiB, the size of fifteen large RSA keys. So libssh2 talks to a socket of this
//! program. A thread behind it queries the agent with a time limit, and checks the answers.

use std::fs;
use std::fs::DirBuilder;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use openssl::rand::rand_bytes;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::io::FdFlags;
use rustix::io::fcntl_setfd;
use rustix::io::ioctl_fionbio;
use rustix::net;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketType;

use crate::transport::Cancel;
use crate::transport::known_hosts::HostKey;
use crate::transport::wait::Deadline;
use crate::transport::wait::Stopped;
use crate::transport::wait::errno_words;

/// The longest message of an agent; OpenSSH's own limit.
const LONGEST: usize = 256 * 1024;
/// The longest list of keys that libssh2 takes.
const LONGEST_LIST: usize = 8192 - 4;
/// The longest comment that is kept.
const LONGEST_COMMENT: usize = 64;
/// SSH_AGENT_FAILURE
const FAILURE: u8 = 5;
/// SSH_AGENTC_REQUEST_IDENTITIES
const LIST: u8 = 11;
/// SSH_AGENT_IDENTITIES_ANSWER
const LISTED: u8 = 12;
/// SSH_AGENTC_SIGN_REQUEST
const SIGN: u8 = 13;
/// SSH_AGENT_SIGN_RESPONSE
const SIGNED: u8 = 14;

/// A socket at which libssh2 finds the agent.
pub(super) struct Door {
    folder: PathBuf,
    listener: UnixListener,
    agent: UnixStream,
    state: Arc<Mutex<State>>,
    /// The key that is wanted.
    wanted: Option<HostKey>,
    limit: Duration,
    cancel: Cancel,
}

/// What the proxy has seen of the agent.
#[derive(Debug, Default)]
struct State {
    /// Why it is not asked any more.
    trouble: Option<String>,
    /// How long it was waited for.
    waited: Duration,
}

/// The proxy once libssh2 is connected.
#[derive(Clone)]
pub(super) struct AgentWatch(Arc<Mutex<State>>);

impl AgentWatch {
    /// Why the agent does not answer, as the end of a sentence.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// How long the agent has been waited for.
    pub(super) fn waited(&self) -> Duration {
        self.lock().waited
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Door {
    /// Reaches the agent, and opens a socket in a folder that only this user can enter.
    ///
    /// The key that is wanted is the first of the list, which has room for a few only.
    pub(super) fn open(
        path: &Path,
        wanted: Option<HostKey>,
        limit: Duration,
        cancel: &Cancel,
    ) -> Result<Self, String> {
        let deadline = Deadline::new(limit, cancel);
        let agent = reach(path, &deadline).map_err(|stopped| words(&stopped, limit))?;
        let ours = || -> io::Result<(PathBuf, UnixListener)> {
            let mut random = [0; 8];
            rand_bytes(&mut random).map_err(io::Error::other)?;
            let name = format!("fwdeploy-{:016x}", u64::from_be_bytes(random));
            let folder = std::env::temp_dir().join(name);
            DirBuilder::new().mode(0o700).create(&folder)?;
            match UnixListener::bind(folder.join("agent")) {
                Ok(listener) => Ok((folder, listener)),
                Err(error) => {
                    let _ = fs::remove_dir(&folder);
                    Err(error)
                }
            }
        };
        let (folder, listener) =
            ours().map_err(|error| format!("cannot make a socket to talk to it: {error}"))?;
        Ok(Self {
            folder,
            listener,
            agent,
            state: Arc::default(),
            wanted,
            limit,
            cancel: cancel.clone(),
        })
    }

    /// Where libssh2 is to knock.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("agent")
    }

    /// Accepts the pending connection of libssh2, and none after it.
    pub(super) fn serve(mut self) -> io::Result<AgentWatch> {
        // It is in the queue by now; a connection that never came must not keep us.
        self.listener.set_nonblocking(true)?;
        let (near, _) = self.listener.accept()?;
        near.set_nonblocking(false)?;
        let watch = AgentWatch(Arc::clone(&self.state));
        let agent = self.agent.try_clone()?;
        let mut room = Room {
            near,
            agent,
            watch: watch.clone(),
            wanted: self.wanted.take(),
            limit: self.limit,
            cancel: self.cancel.clone(),
        };
        // It ends when libssh2 closes its side.
        thread::Builder::new()
            .name("agent".to_owned())
            .spawn(move || while room.pass_one().is_ok() {})?;
        Ok(watch)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
        let _ = fs::remove_dir(&self.folder);
    }
}

struct Room {
    near: UnixStream,
    agent: UnixStream,
    watch: AgentWatch,
    wanted: Option<HostKey>,
    limit: Duration,
    cancel: Cancel,
}

impl Room {
    /// One question and its answer. An error is the end of libssh2's side.
    fn pass_one(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.near.read_exact(&mut length)?;
        let mut question = vec![0; (u32::from_be_bytes(length) as usize).min(LONGEST)];
        self.near.read_exact(&mut question)?;
        let answer = match self.watch.trouble() {
            Some(_) => None,
            None => self.ask(&question),
        };
        let answer = answer.unwrap_or_else(|| vec![FAILURE]);
        let length = u32::try_from(answer.len()).unwrap_or_default();
        self.near
            .write_all(&[&length.to_be_bytes()[..], &answer].concat())
    }

    fn ask(&mut self, question: &[u8]) -> Option<Vec<u8>> {
        let since = Instant::now();
        let deadline = Deadline::new(self.limit, &self.cancel);
        let answer = exchange(&mut self.agent, question, &deadline)
            .map_err(|stopped| words(&stopped, self.limit))
            .and_then(|answer| check(question, answer, self.wanted.as_ref()));
        let mut state = self.watch.lock();
        state.waited += since.elapsed();
        answer.map_err(|trouble| state.trouble = Some(trouble)).ok()
    }
}

/// Why an agent gave no answer.
enum Unanswered {
    Stopped(Stopped),
    Closed,
    TooLong(usize),
}

impl From<Stopped> for Unanswered {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

fn words(unanswered: &Unanswered, limit: Duration) -> String {
    match unanswered {
        Unanswered::Stopped(Stopped::TimedOut) => format!("no answer within {limit:?}"),
        Unanswered::Stopped(Stopped::Cancelled) => "stopped, as asked".to_owned(),
        Unanswered::Stopped(Stopped::Failed(errno)) => errno_words(*errno),
        Unanswered::Closed => "it closed the connection".to_owned(),
        Unanswered::TooLong(length) => format!("it began an answer of {length} bytes"),
    }
}

/// Connects within the deadline: also to a socket whose queue is full, or to a file that is not a socket.
fn reach(path: &Path, deadline: &Deadline<'_>) -> Result<UnixStream, Unanswered> {
    let failed = |errno| Unanswered::Stopped(Stopped::Failed(errno));
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    let socket: OwnedFd =
        net::socket(AddressFamily::UNIX, SocketType::STREAM, None).map_err(failed)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC).map_err(failed)?;
    ioctl_fionbio(&socket, true).map_err(failed)?;
    loop {
        match net::connect(&socket, &address) {
            Ok(()) => return Ok(UnixStream::from(socket)),
            // Its queue is full.
            Err(Errno::AGAIN | Errno::INTR) => deadline.wait(&mut [])?,
            Err(errno) => return Err(failed(errno)),
        }
    }
}

fn exchange(
    agent: &mut UnixStream,
    question: &[u8],
    deadline: &Deadline<'_>,
) -> Result<Vec<u8>, Unanswered> {
    let length = u32::try_from(question.len()).unwrap_or_default();
    let question = [&length.to_be_bytes()[..], question].concat();
    let mut given = 0;
    while given < question.len() {
        match agent.write(&question[given..]) {
            Ok(count) => given += count,
            Err(error) => retry_eagain(agent, PollFlags::OUT, &error, deadline)?,
        }
    }
    let mut length = [0; 4];
    fill(agent, &mut length, deadline)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST {
        return Err(Unanswered::TooLong(length));
    }
    let mut answer = vec![0; length];
    fill(agent, &mut answer, deadline)?;
    Ok(answer)
}

fn fill(
    agent: &mut UnixStream,
    room: &mut [u8],
    deadline: &Deadline<'_>,
) -> Result<(), Unanswered> {
    let mut filled = 0;
    while filled < room.len() {
        match agent.read(&mut room[filled..]) {
            Ok(0) => return Err(Unanswered::Closed),
            Ok(count) => filled += count,
            Err(error) => retry_eagain(agent, PollFlags::IN, &error, deadline)?,
        }
        deadline.check()?;
    }
    Ok(())
}

fn retry_eagain(
    agent: &UnixStream,
    flags: PollFlags,
    error: &io::Error,
    deadline: &Deadline<'_>,
) -> Result<(), Unanswered> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(deadline.wait(&mut [PollFd::new(agent, flags)])?),
        io::ErrorKind::Interrupted => Ok(deadline.check()?),
        _ => Err(Unanswered::Closed),
    }
}

/// Whether it is an answer to that question; a list of keys comes back with comments that are text.
pub(super) fn check(
    question: &[u8],
    answer: Vec<u8>,
    wanted: Option<&HostKey>,
) -> Result<Vec<u8>, String> {
    match (question.first(), answer.first()) {
        (_, Some(&FAILURE)) | (Some(&SIGN), Some(&SIGNED)) => Ok(answer),
        (Some(&LIST), Some(&LISTED)) => {
            clean(&answer[1..], wanted).ok_or_else(|| "its list of keys is malformed".to_owned())
        }
        _ => Err("its answer is none of an agent's".to_owned()),
    }
}

/// The list with comments that are text, as far as libssh2 has room for it.
fn clean(mut rest: &[u8], wanted: Option<&HostKey>) -> Option<Vec<u8>> {
    let count = u32::from_be_bytes(*rest.first_chunk()?);
    rest = rest.get(4..)?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let blob = string(&mut rest)?;
        let comment = String::from_utf8_lossy(string(&mut rest)?);
        let visible = comment.chars().filter(|c| !c.is_control());
        keys.push((blob, visible.take(LONGEST_COMMENT).collect::<String>()));
    }
    // A stable sort keeps the order of the others.
    keys.sort_by_key(|(blob, _)| wanted.is_none_or(|wanted| wanted.blob() != *blob));
    let mut list = Vec::new();
    let mut fitting: u32 = 0;
    for (blob, comment) in keys {
        let mut entry = Vec::new();
        for part in [blob, comment.as_bytes()] {
            entry.extend(u32::try_from(part.len()).ok()?.to_be_bytes());
            entry.extend(part);
        }
        if 5 + list.len() + entry.len() <= LONGEST_LIST {
            list.extend(entry);
            fitting += 1;
        }
    }
    Some([&[LISTED][..], &fitting.to_be_bytes(), &list].concat())
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
    let bytes = rest.get(4..)?.get(..length)?;
    *rest = &rest[4 + length..];
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_come_back_as_text() {
        let answer = [
            &[LISTED, 0, 0, 0, 1, 0, 0, 0, 2, 7, 7, 0, 0, 0, 4][..],
            b"a\xffb\x1b",
        ]
        .concat();
        let cleaned = check(&[LIST], answer, None).unwrap();
        assert!(cleaned.ends_with("a\u{fffd}b".as_bytes()), "{cleaned:?}");
    }

    #[test]
    fn what_is_no_answer_is_told() {
        assert!(check(&[LIST], vec![], None).is_err());
        assert!(check(&[LIST], vec![SIGNED], None).is_err());
        assert!(check(&[LIST], vec![LISTED, 255, 255, 255, 255], None).is_err());
        assert_eq!(check(&[SIGN], vec![FAILURE], None).unwrap(), [FAILURE]);
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(bytes in any::<Vec<u8>>()) {
            let _ = check(&[LIST], [&[LISTED][..], &bytes].concat(), None);
        }
    }
}
