//! What is said between this program and a node's shell, apart from how the bytes travel.
//!
//! SSH and local runs share it. It decides what may be sent when, finds the script's own output between the marks, and says at the end
//! what all of it means. The marks carry a nonce, so nothing that a script prints can be taken for one.
//!
//! ```text
//! node   fwdeploy-sudo-NONCE      sudo's prompt, on standard error       → the password, once
//! node   fwdeploy-begin-NONCE     on both outputs: our shell is there    → the script, wrapped; then end of input
//! node   fwdeploy-end-NONCE 0     on standard output: the status that counts
//! ```
//!
//! The script waits for the begin mark even where no password is needed. It costs a round trip, and for it a login shell that
//! isn't one, or a `.bashrc` that reads standard input, never sees a line that it could run.

use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use zeroize::Zeroizing;

use super::Output;
use super::run_error::Executed;
use super::run_error::Partial;
use super::run_error::RunError;
use super::secret::Secret;
use super::sudo::SudoProblem;
use super::target::Place;
use super::target::Privilege;
use super::wait::Stopped;

/// How much is offered to the transport at a time. Small enough that a script is known to be unsent until its last piece.
const PIECE: usize = 16 * 1024;

/// How the bytes stopped flowing.
#[derive(Debug)]
pub(super) enum End {
    /// The shell is gone and said so. No status is there when a signal ended it.
    Closed {
        status: Option<i32>,
        signal: Option<String>,
    },
    /// The connection is gone.
    Broken(String),
    /// This side stopped waiting.
    Stopped(Stopped),
}

/// One script, one run.
pub(super) struct Dialogue<'a> {
    begin: String,
    end: String,
    prompt: String,
    privilege: &'a Privilege,
    password: Option<Secret>,
    script: &'a str,
    prompts: usize,
    input: Zeroizing<Vec<u8>>,
    given: usize,
    executed: Executed,
    stage: Stage,
    /// What of standard output was not yet understood; before the begin mark, all of it.
    pending: Vec<u8>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    stderr_begins: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Running,
    Counting,
    Ended(i32),
}

impl<'a> Dialogue<'a> {
    pub(super) fn new(
        script: &'a str,
        privilege: &'a Privilege,
        password: Option<Secret>,
    ) -> Result<Self, ErrorStack> {
        let mut nonce = [0; 16];
        rand_bytes(&mut nonce)?;
        let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            begin: format!("fwdeploy-begin-{nonce}\n"),
            end: format!("fwdeploy-end-{nonce} "),
            prompt: format!("fwdeploy-sudo-{nonce}"),
            privilege,
            password,
            script,
            prompts: 0,
            input: Zeroizing::default(),
            given: 0,
            executed: Executed::Never,
            stage: Stage::Greeting,
            pending: Vec::new(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            stderr_begins: None,
        })
    }

    /// The program that greets and then becomes the shell that reads the script. Nothing secret is in it.
    ///
    /// sudo runs in the C locale because its complaints are read.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut words = vec!["env", "LC_ALL=C"];
        if let Privilege::Sudo { user } = self.privilege {
            words.extend(["sudo", "-H", "-u", user]);
            match self.password {
                Some(_) => words.extend(["-S", "-p", &self.prompt]),
                None => words.push("-n"),
            }
            words.push("--");
        }
        let begin = self.begin.trim_end();
        let greet = format!("echo {begin}; echo {begin} >&2; exec /bin/sh -s");
        words.extend(["/bin/sh", "-c", &greet]);
        words.into_iter().map(str::to_owned).collect()
    }

    /// The same as one line for a login shell, be it sh, bash, zsh, fish or csh.
    pub(super) fn command_line(&self) -> Result<String, shlex::QuoteError> {
        let words = self.arguments();
        Ok(format!(
            "exec {}",
            shlex::try_join(words.iter().map(String::as_str))?
        ))
    }

    /// The next bytes to send. After fewer than these were taken, the same bytes come again.
    pub(super) fn offer(&mut self) -> &[u8] {
        let until = self.input.len().min(self.given + PIECE);
        // Offered is as good as sent: a transport can take a piece and die before it says so.
        if until == self.input.len() && self.stage != Stage::Greeting {
            self.executed = Executed::Perhaps;
        }
        &self.input[self.given..until]
    }

    /// Takes note of what the transport took.
    pub(super) fn sent(&mut self, count: usize) {
        self.given += count;
    }

    /// Whether there is something to send.
    pub(super) fn has_input(&self) -> bool {
        self.given < self.input.len()
    }

    /// Whether nothing more will ever be sent, so that standard input can be closed.
    pub(super) fn is_told(&self) -> bool {
        self.stage != Stage::Greeting && !self.has_input()
    }

    /// Whether the status is there.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    /// Whether sudo asked again: the password was wrong, and a second try would only bring the account closer to being locked.
    pub(super) fn is_refused(&self) -> bool {
        self.stage == Stage::Greeting && self.prompts > 1
    }

    /// Takes in standard output.
    pub(super) fn hear_stdout(&mut self, bytes: &[u8], on_stdout: &mut dyn FnMut(&[u8])) {
        self.pending.extend_from_slice(bytes);
        if self.stage == Stage::Greeting
            && let Some(at) = find(&self.pending, self.begin.as_bytes())
        {
            self.pending.drain(..at + self.begin.len());
            self.stage = Stage::Running;
            self.input = Zeroizing::new(self.wrapped().into_bytes());
            self.given = 0;
        }
        if self.stage == Stage::Running {
            let (whole, skip) = match find(&self.pending, self.end.as_bytes()) {
                Some(at) => {
                    self.stage = Stage::Counting;
                    (at, self.end.len())
                }
                None => (
                    self.pending.len() - overlap(&self.pending, self.end.as_bytes()),
                    0,
                ),
            };
            if whole > 0 {
                on_stdout(&self.pending[..whole]);
                self.stdout.extend_from_slice(&self.pending[..whole]);
            }
            self.pending.drain(..whole + skip);
        }
        if self.stage == Stage::Counting
            && let Some(at) = find(&self.pending, b"\n")
            && let Some(status) = str::from_utf8(&self.pending[..at])
                .ok()
                .and_then(|text| text.parse().ok())
        {
            self.stage = Stage::Ended(status);
        }
    }

    /// Takes in standard error.
    pub(super) fn hear_stderr(&mut self, bytes: &[u8]) {
        self.stderr.extend_from_slice(bytes);
        if self.stderr_begins.is_some() {
            return;
        }
        if let Some(at) = find(&self.stderr, self.begin.as_bytes()) {
            self.stderr_begins = Some(at + self.begin.len());
        }
        let prompts = count(&self.stderr, self.prompt.as_bytes());
        if self.prompts == 0
            && prompts > 0
            && self.stage == Stage::Greeting
            && let Some(password) = &self.password
        {
            self.input.extend_from_slice(password.expose().as_bytes());
            self.input.push(b'\n');
        }
        self.prompts = prompts;
    }

    /// The script between its marks. A shell reads a compound command to its closing word before it runs any of it; an end of input
    /// inside is a syntax error.
    fn wrapped(&self) -> String {
        format!(
            "(\nLC_ALL=C\nexport LC_ALL\n{}\n) </dev/null\necho \"{}$?\"\n",
            self.script, self.end
        )
    }

    /// What the whole of it means.
    pub(super) fn conclude(
        mut self,
        end: End,
        at: &Place,
        limit: Duration,
    ) -> Result<Output, RunError> {
        if let Stage::Ended(status) = self.stage {
            let stderr = self
                .stderr
                .split_off(self.stderr_begins.unwrap_or_default());
            return Ok(Output {
                stdout: self.stdout,
                stderr,
                status,
            });
        }
        let at = at.clone();
        if self.stage == Stage::Greeting
            && let Some(error) = self.never_began(&end, &at)
        {
            return Err(error);
        }
        let partial = Box::new(Partial {
            executed: self.executed,
            stderr: self
                .stderr
                .split_off(self.stderr_begins.unwrap_or_default()),
            stdout: self.stdout,
        });
        Err(match end {
            End::Stopped(Stopped::TimedOut) => RunError::TimedOut { at, limit, partial },
            End::Stopped(Stopped::Cancelled) => RunError::Cancelled { at, partial },
            End::Stopped(Stopped::Failed(errno)) => RunError::Lost {
                at,
                reason: errno.to_string(),
                partial,
            },
            End::Broken(reason) => RunError::Lost {
                at,
                reason,
                partial,
            },
            End::Closed {
                signal: Some(signal),
                ..
            } => {
                let reason = format!("signal {signal} ended the shell");
                RunError::Lost {
                    at,
                    reason,
                    partial,
                }
            }
            End::Closed {
                status: Some(status),
                ..
            } if status != 0 => {
                let said = tail(&partial.stderr);
                let reason = format!("the shell ended early with status {status}{said}");
                RunError::Lost {
                    at,
                    reason,
                    partial,
                }
            }
            End::Closed { .. } => {
                let reason = "its output ended early".to_owned();
                RunError::Lost {
                    at,
                    reason,
                    partial,
                }
            }
        })
    }

    /// The error of a shell that never greeted, unless the connection is to blame.
    fn never_began(&self, end: &End, at: &Place) -> Option<RunError> {
        let at = at.clone();
        let mut words = self.stderr.clone();
        words.extend_from_slice(&self.pending);
        let words = String::from_utf8_lossy(&words).replace(&self.prompt, "");
        let said = tail(words.as_bytes());
        match (self.privilege, end) {
            (Privilege::Sudo { user }, _) if self.is_refused() => {
                let problem = SudoProblem::WrongPassword;
                Some(RunError::Sudo {
                    at,
                    user: user.clone(),
                    problem,
                    said,
                })
            }
            (Privilege::Sudo { user }, End::Closed { status, .. }) => {
                let problem = SudoProblem::read(&words, *status);
                Some(RunError::Sudo {
                    at,
                    user: user.clone(),
                    problem,
                    said,
                })
            }
            // sudo, or a PAM module behind it, asked for something that isn't the password.
            (Privilege::Sudo { user }, End::Stopped(Stopped::TimedOut)) if !said.is_empty() => {
                let problem = SudoProblem::Unanswered;
                Some(RunError::Sudo {
                    at,
                    user: user.clone(),
                    problem,
                    said,
                })
            }
            (Privilege::AsIs, End::Closed { status, .. }) => Some(RunError::Shell {
                at,
                status: status.unwrap_or_default(),
                said,
            }),
            _ => None,
        }
    }
}

/// The end of what somebody said, on one line and without control characters, as `: …`; or nothing.
pub(super) fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let last = lines[lines.len().saturating_sub(4)..].join(" / ");
    let visible: String = last.chars().filter(|c| !c.is_control()).collect();
    match visible.char_indices().rev().nth(299) {
        _ if visible.is_empty() => String::new(),
        Some((at, _)) if at > 0 => format!(": …{}", &visible[at..]),
        _ => format!(": {visible}"),
    }
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    let first = *mark.first()?;
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == first) {
        if text[from + at..].starts_with(mark) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn count(text: &[u8], mark: &[u8]) -> usize {
    let mut rest = text;
    let mut count = 0;
    while let Some(at) = find(rest, mark) {
        count += 1;
        rest = &rest[at + mark.len()..];
    }
    count
}

/// The length of the longest end of `text` with which `mark` could begin.
fn overlap(text: &[u8], mark: &[u8]) -> usize {
    let most = text.len().min(mark.len() - 1);
    (1..=most)
        .rev()
        .find(|length| text.ends_with(&mark[..*length]))
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "dialogue_tests.rs"]
mod tests;
