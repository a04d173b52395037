//! The protocol between this program and a node's shell, independent of how the bytes are transported.
//!
//! SSH and local runs share it. It decides what may be sent when, finds the script's own output between the marks, and at the end
//! determines the result. The marks contain a nonce, so nothing that a script prints can be mistaken for one.
//!
//! ```text
//! node   fwdeploy-login-NONCE     on both outputs, before sudo: the login shell executes the command
//! node   fwdeploy-sudo-NONCE      sudo's prompt, on standard error       → the password, once
//! node   fwdeploy-begin-NONCE     on both outputs: our shell is running  → the script, wrapped; then end of input
//! node   fwdeploy-end-NONCE 0     on standard output: the status that counts
//! ```
//!
//! The script waits for the begin mark even if no password is needed. This costs a round trip, but a login shell that
//! is not a shell, or a `.bashrc` that reads standard input, never sees a line that it could execute.

mod conclude;
mod text;

use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use zeroize::Zeroizing;

use self::text::find;
use self::text::find_from;
use self::text::overlap;
use super::destination::Privilege;
use super::run_error::Executed;
use super::wait::Stopped;
use crate::model::Secret;

/// How much is offered to the transport at a time. Small enough that a script is known to be unsent until its last piece.
const PIECE: usize = 16 * 1024;

/// How much a node may answer on standard output. The largest answer, a node with 60,000 foreign rules, has 8 MB.
const MOST_OUTPUT: usize = 32 * 1024 * 1024;

/// How much it may complain about.
const MOST_ERRORS: usize = 8 * 1024 * 1024;

/// How much a login shell may print before the script begins.
const MOST_NOISE: usize = 1024 * 1024;

/// How long the line of a status can be.
const STATUS: usize = 16;

/// How much is kept of an answer that was cut off.
const KEPT: usize = 64 * 1024;

/// How the bytes stopped flowing.
#[derive(Debug)]
pub(super) enum StreamEnd {
    /// The shell has ended and reported it. There is no status if a signal ended it.
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
pub(super) struct ScriptProtocol<'a> {
    login: String,
    begin: String,
    end: String,
    prompt: String,
    privilege: &'a Privilege,
    password: Option<Secret>,
    script: &'a str,
    prompts: usize,
    /// Where in standard error the last prompt ends.
    prompted: usize,
    input: Zeroizing<Vec<u8>>,
    given: usize,
    executed: Executed,
    stage: Stage,
    /// The part of standard output that was not parsed yet; before the begin mark, all of it.
    pending: Vec<u8>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    stderr_begins: Option<usize>,
    /// The stream that exceeded its limit, and that limit.
    too_much: Option<(&'static str, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Running,
    Counting,
    Ended(i32),
}

impl<'a> ScriptProtocol<'a> {
    pub(super) fn new(
        script: &'a str,
        privilege: &'a Privilege,
        password: Option<Secret>,
    ) -> Result<Self, ErrorStack> {
        let mut nonce = [0; 16];
        rand_bytes(&mut nonce)?;
        let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            login: format!("fwdeploy-login-{nonce}\n"),
            begin: format!("fwdeploy-begin-{nonce}\n"),
            end: format!("fwdeploy-end-{nonce} "),
            prompt: format!("fwdeploy-sudo-{nonce}"),
            privilege,
            // More than a line would be read by the shell behind sudo. The inventory refuses control characters in it; here such a password is none.
            password: password.filter(|it| !it.expose().contains(['\n', '\r', '\0'])),
            script,
            prompts: 0,
            prompted: 0,
            input: Zeroizing::default(),
            given: 0,
            executed: Executed::Never,
            stage: Stage::Greeting,
            pending: Vec::new(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            stderr_begins: None,
            too_much: None,
        })
    }

    /// The program that greets and then becomes the shell that reads the script. Nothing secret is in it.
    ///
    /// sudo runs in the C locale because its complaints are read.
    pub(super) fn arguments(&self) -> Vec<String> {
        let login = self.login.trim_end();
        let arrive = format!("echo {login}; echo {login} >&2; exec \"$@\"");
        let mut words = Vec::new();
        if let Privilege::Sudo { user } = self.privilege {
            words.extend(["/bin/sh", "-c", &arrive, "sh"]);
            words.extend(["env", "LC_ALL=C", "sudo", "-H", "-u", user]);
            match self.password {
                Some(_) => words.extend(["-S", "-p", &self.prompt]),
                None => words.push("-n"),
            }
            words.push("--");
        } else {
            words.extend(["env", "LC_ALL=C"]);
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

    /// The next bytes to send. If fewer than these were accepted, the rest is offered again.
    pub(super) fn offer(&mut self) -> &[u8] {
        let until = self.input.len().min(self.given + PIECE);
        // Offered bytes count as sent: a transport can accept a piece and fail before it reports that.
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

    /// Whether all input has been sent, so standard input can be closed.
    pub(super) fn is_told(&self) -> bool {
        self.stage != Stage::Greeting && !self.has_input()
    }

    /// Whether the status has arrived.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    /// Whether sudo asked again: the password was wrong, and a second try would only bring the account closer to being locked.
    pub(super) fn is_refused(&self) -> bool {
        self.stage == Stage::Greeting && self.prompts > 1
    }

    /// Whether the node sent more than any legitimate answer, so the connection must be dropped.
    pub(super) fn is_too_much(&self) -> bool {
        self.too_much.is_some()
    }

    /// The end of what was printed on standard error, as `: …`, or empty.
    pub(super) fn complaint(&self) -> String {
        // Without the marks.
        text::tail(&self.stderr[self.stderr_begins.unwrap_or_default()..])
    }

    /// All of standard error, if the node has not even greeted.
    pub(super) fn last_words(&self) -> Option<String> {
        let is_silent = self.stage == Stage::Greeting && self.pending.is_empty();
        is_silent.then(|| String::from_utf8_lossy(&self.stderr).into_owned())
    }

    /// Takes in standard output.
    pub(super) fn hear_stdout(&mut self, bytes: &[u8], on_stdout: &mut dyn FnMut(&[u8])) {
        if self.is_too_much() || self.has_ended() {
            return;
        }
        let known = self.pending.len();
        self.pending.extend_from_slice(bytes);
        if self.stage == Stage::Greeting {
            match find_from(&self.pending, self.begin.as_bytes(), known) {
                Some(at) => {
                    self.pending.drain(..at + self.begin.len());
                    self.stage = Stage::Running;
                    self.input = Zeroizing::new(self.wrapped().into_bytes());
                    self.given = 0;
                }
                None if self.pending.len() > MOST_NOISE => {
                    self.is_cut_off("standard output before the script began", MOST_NOISE);
                    return;
                }
                None => {}
            }
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
            if self.stdout.len() + whole > MOST_OUTPUT {
                self.is_cut_off("standard output", MOST_OUTPUT);
                return;
            }
            if whole > 0 {
                on_stdout(&self.pending[..whole]);
                self.stdout.extend_from_slice(&self.pending[..whole]);
            }
            self.pending.drain(..whole + skip);
        }
        if self.stage == Stage::Counting {
            // A status is short; longer text is not a status, however much of it arrives.
            match find(&self.pending[..self.pending.len().min(STATUS)], b"\n") {
                Some(at) => {
                    let status = str::from_utf8(&self.pending[..at])
                        .ok()
                        .and_then(|text| text.parse().ok());
                    if let Some(status) = status {
                        self.stage = Stage::Ended(status);
                    }
                }
                None if self.pending.len() > MOST_NOISE => {
                    self.is_cut_off("standard output in place of the status", MOST_NOISE);
                }
                None => {}
            }
        }
    }

    /// Takes in standard error.
    pub(super) fn hear_stderr(&mut self, bytes: &[u8]) {
        if self.is_too_much() {
            return;
        }
        if self.stderr.len() + bytes.len() > MOST_ERRORS {
            self.is_cut_off("standard error", MOST_ERRORS);
            return;
        }
        let known = self.stderr.len();
        self.stderr.extend_from_slice(bytes);
        if self.stderr_begins.is_some() {
            return;
        }
        if let Some(at) = find_from(&self.stderr, self.begin.as_bytes(), known) {
            self.stderr_begins = Some(at + self.begin.len());
        }
        while let Some(at) = find_from(
            &self.stderr[self.prompted..],
            self.prompt.as_bytes(),
            known.saturating_sub(self.prompted),
        ) {
            self.prompted += at + self.prompt.len();
            self.prompts += 1;
            if self.prompts == 1
                && self.stage == Stage::Greeting
                && let Some(password) = &self.password
            {
                self.input.extend_from_slice(password.expose().as_bytes());
                self.input.push(b'\n');
            }
        }
    }

    /// Keeps the beginning of the output, and no more.
    fn is_cut_off(&mut self, stream: &'static str, most: usize) {
        self.too_much = Some((stream, most));
        for kept in [&mut self.stdout, &mut self.stderr, &mut self.pending] {
            kept.truncate(KEPT);
            kept.shrink_to_fit();
        }
        self.stderr_begins = self
            .stderr_begins
            .map(|begins| begins.min(self.stderr.len()));
    }

    /// The script between its marks. A shell reads a compound command to its closing word before it runs any of it; an end of input
    /// inside is a syntax error.
    fn wrapped(&self) -> String {
        format!(
            "(\nLC_ALL=C\nexport LC_ALL\n{}\n) </dev/null\necho \"{}$?\"\n",
            self.script, self.end
        )
    }
}

#[cfg(test)]
mod tests;
