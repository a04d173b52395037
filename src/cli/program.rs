//! Runs a program of the user's on this machine: a vault password script, a secret command.

use std::ffi::OsStr;
use std::io;
use std::io::Read;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use zeroize::Zeroizing;

use crate::model::visible::visible;

/// Time for one program: a person may have to unlock something.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// A password is a line; what prints more is no source of passwords.
const MAX_STDOUT: u64 = 64 * 1024;

/// How much of stderr is kept, from its beginning, and how much of that is quoted.
const MAX_STDERR: u64 = 4 * 1024;
const SHOWN_STDERR: usize = 200;

/// How often it is looked whether the program has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// What becomes of stdin and stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Terminal {
    /// They are those of fwdeploy: the program may ask a person.
    Shared,
    /// There is no stdin, and stderr is quoted if the program fails.
    Apart,
}

/// What a program printed before it ended.
pub(super) struct Printed {
    pub(super) status: ExitStatus,
    pub(super) stdout: Zeroizing<Vec<u8>>,
    stderr: Vec<u8>,
}

impl Printed {
    /// How it failed, as the end of a sentence, with the last line of its stderr; `None` if it did not.
    pub(super) fn failure(&self) -> Option<String> {
        if self.status.success() {
            return None;
        }
        let stderr = String::from_utf8_lossy(&self.stderr);
        let mut last = stderr.lines().rev().map(str::trim);
        let said = last.find(|line| !line.is_empty());
        // `set -x` in a script repeats what it printed.
        let stdout = String::from_utf8_lossy(&self.stdout);
        let repeats = |line: &str| {
            let mut secrets = stdout.lines().map(str::trim).filter(|s| !s.is_empty());
            secrets.any(|secret| line.contains(secret))
        };
        Some(match said.filter(|line| !repeats(line)) {
            Some(line) => {
                let line: String = line.chars().take(SHOWN_STDERR).collect();
                format!("it ended with {}: {}", self.status, visible(&line))
            }
            None => format!("it ended with {}", self.status),
        })
    }
}

/// Runs a program until it has ended and closed its stdout.
///
/// # Errors
///
/// As the end of a sentence: it cannot be started, takes longer than `limit`, or prints more than a password.
pub(super) fn run(
    program: &OsStr,
    arguments: &[impl AsRef<OsStr>],
    terminal: Terminal,
    limit: Duration,
) -> Result<Printed, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped());
    if terminal == Terminal::Apart {
        command.stdin(Stdio::null()).stderr(Stdio::piped());
    }
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such program".to_string(),
        io::ErrorKind::PermissionDenied => "it may not be executed".to_string(),
        _ => format!("it cannot be started: {error}"),
    })?;
    let stdout = child.stdout.take().map(|pipe| read(pipe, MAX_STDOUT));
    let stderr = child.stderr.take().map(|pipe| read(pipe, MAX_STDERR));
    let ended = wait(&mut child, stdout.as_ref(), Instant::now() + limit);
    if ended.is_none() {
        // It may have ended meanwhile.
        let _ = child.kill();
        let _ = child.wait();
    }
    let too_long = || format!("it has not ended after {} s", limit.as_secs());
    let (status, stdout) = ended.ok_or_else(too_long)?;
    if stdout.len() as u64 > MAX_STDOUT {
        return Err(format!("it prints more than {} KiB", MAX_STDOUT / 1024));
    }
    // A child of its own may hold stderr open; what it said so far does not matter that much.
    let stderr = stderr.and_then(|pipe| pipe.recv_timeout(PAUSE * 20).ok());
    Ok(Printed {
        status,
        stdout,
        stderr: stderr.map(|bytes| bytes.to_vec()).unwrap_or_default(),
    })
}

/// Waits until a program has ended and its stdout is at the end; `None` if that takes too long.
fn wait(
    child: &mut Child,
    stdout: Option<&Receiver<Zeroizing<Vec<u8>>>>,
    until: Instant,
) -> Option<(ExitStatus, Zeroizing<Vec<u8>>)> {
    let left = until.saturating_duration_since(Instant::now());
    let bytes = stdout?.recv_timeout(left).ok()?;
    if bytes.len() as u64 > MAX_STDOUT {
        // It blocks while nobody reads on.
        let _ = child.kill();
    }
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some((status, bytes));
        }
        if Instant::now() >= until {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Reads a pipe in a thread of its own, and one byte more than is wanted.
fn read(pipe: impl Read + Send + 'static, most: u64) -> Receiver<Zeroizing<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::new());
        // What was read before an error is what the program said.
        let _ = pipe.take(most + 1).read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Printed, String> {
        run(
            OsStr::new("/bin/sh"),
            &["-c", script],
            Terminal::Apart,
            limit,
        )
    }

    const ENOUGH: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_that_hangs_is_ended_at_its_limit() {
        let begun = Instant::now();
        for script in [
            "exec sleep 60",
            "exec >&-; exec sleep 60",
            "sleep 60 & exit 0",
        ] {
            let why = sh(script, Duration::from_secs(1)).err().unwrap();
            assert_eq!(why, "it has not ended after 1 s", "{script}");
        }
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_prints_without_end_is_refused() {
        for script in ["yes", "head -c 65537 /dev/zero"] {
            let why = sh(script, ENOUGH).err().unwrap();
            assert_eq!(why, "it prints more than 64 KiB");
        }
        let most = sh("head -c 65536 /dev/zero", ENOUGH);
        assert_eq!(most.ok().unwrap().stdout.len(), 65536);
    }

    #[test]
    fn a_failure_quotes_a_line_without_the_secret_and_nothing_that_a_terminal_obeys() {
        let failure = |script: &str| sh(script, ENOUGH).unwrap().failure();
        assert_eq!(failure("echo hunter2"), None);
        assert_eq!(
            failure("echo one >&2; printf 'two\\033[2J\\n' >&2; exit 3").unwrap(),
            "it ended with exit status: 3: two\\u{1b}[2J"
        );
        let of_x = failure("echo hunter2; echo '+ echo hunter2' >&2; exit 1").unwrap();
        assert_eq!(of_x, "it ended with exit status: 1");
    }

    #[test]
    fn a_program_that_is_not_there_is_named_so() {
        let none: [&str; 0] = [];
        let run = |path: &str| run(OsStr::new(path), &none, Terminal::Apart, ENOUGH).err();
        assert_eq!(run("/nowhere/pass").unwrap(), "there is no such program");
        assert_eq!(run("/etc/passwd").unwrap(), "it may not be executed");
    }
}
