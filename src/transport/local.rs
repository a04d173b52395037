//! A node that is this machine: the script protocol with a child process.

use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::ChildStderr;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::ioctl_fionbio;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;

use super::Cancel;
use super::Connection;
use super::Host;
use super::Output;
use super::Privilege;
use super::RunError;
use super::script_protocol::ScriptProtocol;
use super::script_protocol::StreamEnd;
use super::wait::Deadline;
use super::wait::Stopped;
use crate::model::Secret;

/// How long the rest of standard error may take after the status, and how long a child may take to end after it was stopped.
const AFTERMATH: Duration = Duration::from_secs(1);

/// This machine as a node.
pub(super) struct Local {
    at: Host,
    privilege: Privilege,
    password: Option<Secret>,
}

impl Local {
    pub(super) fn new(at: Host, privilege: Privilege, password: Option<Secret>) -> Self {
        Self {
            at,
            privilege,
            password,
        }
    }
}

impl Connection for Local {
    fn run(
        &mut self,
        script: &str,
        limit: Duration,
        on_stdout: &mut dyn FnMut(&[u8]),
        cancel: &Cancel,
    ) -> Result<Output, RunError> {
        let deadline = Deadline::new(limit, cancel);
        let refuse = |said: String| RunError::Start {
            at: self.at.clone(),
            said,
        };
        let mut protocol = ScriptProtocol::new(script, &self.privilege, self.password.clone())
            .map_err(|error| refuse(error.to_string()))?;
        let words = protocol.arguments();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A group of its own: Ctrl-C at this terminal is for this program to act on, and all that the script started can be ended together.
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| refuse(error.to_string()))?;
        let end = converse(&mut child, &mut protocol, on_stdout, &deadline);
        protocol.conclude(end, &self.at, limit)
    }
}

pub(super) fn converse(
    child: &mut Child,
    protocol: &mut ScriptProtocol<'_>,
    on_stdout: &mut dyn FnMut(&[u8]),
    deadline: &Deadline<'_>,
) -> StreamEnd {
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
        return StreamEnd::Broken("the child has no streams".to_owned());
    };
    let moved = Pipes {
        stdin: Some(stdin),
        stdout: Some(stdout),
        stderr: Some(stderr),
    }
    .pump(protocol, on_stdout, deadline);
    let stopped = match moved {
        // A child whose outputs are closed notices that when it writes, or never.
        Ok(()) if protocol.is_too_much() => None,
        Ok(()) => match wait(child, AFTERMATH) {
            Ok(Some(status)) => {
                return StreamEnd::Closed {
                    status: status.code(),
                    signal: signal(status),
                };
            }
            Ok(None) => None,
            Err(error) => return StreamEnd::Broken(error.to_string()),
        },
        Err(stopped) => Some(stopped),
    };
    end(child);
    match stopped {
        Some(stopped) => StreamEnd::Stopped(stopped),
        None => StreamEnd::Closed {
            status: None,
            signal: None,
        },
    }
}

fn signal(status: ExitStatus) -> Option<String> {
    status
        .signal()
        .map(|signal| match Signal::from_named_raw(signal) {
            Some(named) => format!("{named:?}"),
            None => signal.to_string(),
        })
}

/// Ends the child and all of its group. One that runs as another user by sudo can't be signalled; it is left behind, its outputs closed.
pub(super) fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    for deadly in [Signal::TERM, Signal::KILL] {
        if let Some(group) = group
            && kill_process_group(group, deadly).is_err()
        {
            return;
        }
        if !matches!(wait(child, AFTERMATH), Ok(None)) {
            return;
        }
    }
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let never = Cancel::new();
    let deadline = Deadline::new(limit, &never);
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if deadline.check().is_err() => return Ok(None),
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}

struct Pipes {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Pipes {
    fn pump(
        mut self,
        protocol: &mut ScriptProtocol<'_>,
        on_stdout: &mut dyn FnMut(&[u8]),
        deadline: &Deadline<'_>,
    ) -> Result<(), Stopped> {
        for descriptor in self.descriptors() {
            ioctl_fionbio(descriptor, true).map_err(Stopped::Failed)?;
        }
        let mut buffer = vec![0; 64 * 1024];
        let never = Cancel::new();
        let mut aftermath = None;
        loop {
            deadline.check()?;
            let mut moved = self.feed(protocol);
            moved += drain(&mut self.stdout, &mut buffer, |bytes| {
                protocol.hear_stdout(bytes, on_stdout);
            });
            moved += drain(&mut self.stderr, &mut buffer, |bytes| {
                protocol.hear_stderr(bytes)
            });
            let outputs_ended = self.stdout.is_none() && self.stderr.is_none();
            if outputs_ended || protocol.is_refused() || protocol.is_too_much() {
                return Ok(());
            }
            if protocol.has_ended() {
                let rest = aftermath.get_or_insert_with(|| Deadline::new(AFTERMATH, &never));
                if rest.check().is_err() {
                    return Ok(());
                }
            }
            if moved == 0 {
                self.wait(protocol, deadline)?;
            }
        }
    }

    fn descriptors(&self) -> impl Iterator<Item = std::os::fd::BorrowedFd<'_>> {
        let stdin = self.stdin.as_ref().map(AsFd::as_fd);
        let stdout = self.stdout.as_ref().map(AsFd::as_fd);
        let stderr = self.stderr.as_ref().map(AsFd::as_fd);
        [stdin, stdout, stderr].into_iter().flatten()
    }

    /// Writes the pending input, and closes standard input after the last of it, or when it is no longer read.
    fn feed(&mut self, protocol: &mut ScriptProtocol<'_>) -> usize {
        let Some(stdin) = &mut self.stdin else {
            return 0;
        };
        if protocol.has_input() {
            match stdin.write(protocol.offer()) {
                Ok(count) => {
                    protocol.sent(count);
                    return count;
                }
                Err(error) if is_momentary(&error) => return 0,
                Err(_) => self.stdin = None,
            }
        } else if protocol.is_told() {
            self.stdin = None;
        }
        0
    }

    fn wait(&self, protocol: &ScriptProtocol<'_>, deadline: &Deadline<'_>) -> Result<(), Stopped> {
        let mut waits = Vec::with_capacity(3);
        if let (Some(stdin), true) = (&self.stdin, protocol.has_input()) {
            waits.push(PollFd::new(stdin, PollFlags::OUT));
        }
        waits.extend(
            self.stdout
                .as_ref()
                .map(|stdout| PollFd::new(stdout, PollFlags::IN)),
        );
        waits.extend(
            self.stderr
                .as_ref()
                .map(|stderr| PollFd::new(stderr, PollFlags::IN)),
        );
        deadline.wait(&mut waits)
    }
}

/// Reads one buffer at most, so one busy stream does not delay the other or the clock. A stream that ended becomes `None`.
fn drain(stream: &mut Option<impl Read>, buffer: &mut [u8], mut hear: impl FnMut(&[u8])) -> usize {
    let Some(open) = stream else { return 0 };
    match open.read(buffer) {
        Ok(count @ 1..) => {
            hear(&buffer[..count]);
            count
        }
        Err(error) if is_momentary(&error) => 0,
        _ => {
            *stream = None;
            0
        }
    }
}

fn is_momentary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
