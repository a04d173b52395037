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

mod text;
mod verdict;

use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use zeroize::Zeroizing;

use self::text::find;
use self::text::overlap;
use super::run_error::Executed;
use super::target::Privilege;
use super::wait::Stopped;
use crate::model::Secret;

/// How much is offered to the transport at a time. Small enough that a script is known to be unsent until its last piece.
const PIECE: usize = 16 * 1024;

/// How long the line of a status can be.
const STATUS: usize = 16;

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
    /// How much of standard error was searched for prompts.
    unprompted: usize,
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
            unprompted: 0,
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
        // A mark may have come in two pieces; what is older was searched then, and a node can send very many pieces.
        let from = self.pending.len().saturating_sub(self.begin.len());
        self.pending.extend_from_slice(bytes);
        if self.stage == Stage::Greeting
            && let Some(at) = find(&self.pending[from..], self.begin.as_bytes())
        {
            let at = from + at;
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
            // A status is short; what is longer is none, however much of it comes.
            && let Some(at) = find(&self.pending[..self.pending.len().min(STATUS)], b"\n")
            && let Some(status) = str::from_utf8(&self.pending[..at])
                .ok()
                .and_then(|text| text.parse().ok())
        {
            self.stage = Stage::Ended(status);
        }
    }

    /// Takes in standard error.
    pub(super) fn hear_stderr(&mut self, bytes: &[u8]) {
        let from = self.stderr.len().saturating_sub(self.begin.len());
        self.stderr.extend_from_slice(bytes);
        if self.stderr_begins.is_some() {
            return;
        }
        if let Some(at) = find(&self.stderr[from..], self.begin.as_bytes()) {
            self.stderr_begins = Some(from + at + self.begin.len());
        }
        let mut prompts = self.prompts;
        while let Some(at) = find(&self.stderr[self.unprompted..], self.prompt.as_bytes()) {
            self.unprompted += at + self.prompt.len();
            prompts += 1;
        }
        let part = overlap(&self.stderr[self.unprompted..], self.prompt.as_bytes());
        self.unprompted = self.stderr.len() - part;
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
}

#[cfg(test)]
mod tests;
