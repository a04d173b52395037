//! A command that carries the connection (`ProxyCommand`): its standard input and output are the socket.

use std::env;
use std::io;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;

use crate::model::visible::visible;

/// How much of its complaints is kept.
const KEPT: usize = 2048;

/// How long its last words may take.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The process. Dropping it ends it and all of its group.
pub(super) struct Proxy {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts the command as ssh does, by the user's shell, and returns the socket.
    pub(super) fn start(command: &str) -> io::Result<(OwnedFd, Self)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let input = OwnedFd::from(theirs.try_clone()?);
        let output = OwnedFd::from(theirs);
        let shell = env::var_os("SHELL").filter(|shell| !shell.is_empty());
        // bash takes a socket on standard input for the connection of a remote user and reads ~/.bashrc, whose output would be a part of
        // the connection, unless another shell is around it. ssh gives it pipes.
        let level = env::var("SHLVL").ok().and_then(|level| level.parse().ok());
        let level = level.unwrap_or(0_i32).max(1);
        let mut child = Command::new(shell.unwrap_or_else(|| "/bin/sh".into()))
            .arg("-c")
            .arg(format!("exec {command}"))
            .env("SHLVL", level.to_string())
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output))
            .stderr(Stdio::piped())
            // Ctrl-C at this terminal is for this program to act on.
            .process_group(0)
            .spawn()?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let reader = child.stderr.take().map(|mut stderr| {
            let said = Arc::clone(&said);
            // It ends with the process.
            thread::spawn(move || {
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    said.extend_from_slice(&buffer[..count]);
                    let surplus = said.len().saturating_sub(KEPT);
                    said.drain(..surplus);
                }
            })
        });
        let proxy = Self {
            child,
            said,
            reader,
        };
        Ok((OwnedFd::from(ours), proxy))
    }

    /// What it complained about, on one line.
    pub(super) fn last_words(mut self) -> String {
        let pauses = 50;
        for _ in 0..pauses {
            let is_read = self.reader.as_ref().is_none_or(JoinHandle::is_finished);
            if is_read && !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            sleep(LAST_WORDS / pauses);
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said).into_owned();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        visible(&lines.collect::<Vec<_>>().join(" / "))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::TERM);
            for _ in 0..10 {
                if let Ok(Some(_)) = self.child.try_wait() {
                    return;
                }
                sleep(Duration::from_millis(10));
            }
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
