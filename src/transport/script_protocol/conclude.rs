//! What the exchange means once it is over.

use std::time::Duration;

use super::ScriptProtocol;
use super::Stage;
use super::StreamEnd;
use super::text::find;
use super::text::tail;
use crate::transport::Host;
use crate::transport::Output;
use crate::transport::Partial;
use crate::transport::Privilege;
use crate::transport::RunError;
use crate::transport::ShellEnd;
use crate::transport::SudoProblem;
use crate::transport::sudo::without_lecture;
use crate::transport::wait::Stopped;

impl ScriptProtocol<'_> {
    /// The result of the whole.
    pub(in crate::transport) fn conclude(
        mut self,
        end: StreamEnd,
        at: &Host,
        limit: Duration,
    ) -> Result<Output, RunError> {
        if let Stage::Ended(status) = self.stage
            && !self.is_too_much()
        {
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
        if let Some((stream, most)) = self.too_much {
            return Err(RunError::TooMuch {
                at,
                stream,
                most,
                partial: self.partial(),
            });
        }
        if self.stage == Stage::Greeting
            && let Some(error) = self.never_began(&end, &at, limit)
        {
            return Err(error);
        }
        let partial = self.partial();
        Err(match end {
            StreamEnd::Stopped(Stopped::TimedOut) => RunError::TimedOut { at, limit, partial },
            StreamEnd::Stopped(Stopped::Cancelled) => RunError::Cancelled { at, partial },
            StreamEnd::Stopped(Stopped::Failed(errno)) => RunError::Lost {
                at,
                reason: errno.to_string(),
                partial,
            },
            // The text of libssh2, such as "transport read", does not help an operator.
            StreamEnd::Broken(said) => RunError::Lost {
                at,
                reason: format!("the connection is gone ({said})"),
                partial,
            },
            StreamEnd::Closed {
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
            StreamEnd::Closed {
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
            StreamEnd::Closed { .. } => {
                let reason = "its output ended early".to_owned();
                RunError::Lost {
                    at,
                    reason,
                    partial,
                }
            }
        })
    }

    fn partial(&mut self) -> Box<Partial> {
        Box::new(Partial {
            executed: self.executed,
            stderr: self
                .stderr
                .split_off(self.stderr_begins.unwrap_or_default()),
            stdout: std::mem::take(&mut self.stdout),
        })
    }

    /// The error of a shell that never greeted, unless the connection is to blame.
    fn never_began(&self, end: &StreamEnd, at: &Host, limit: Duration) -> Option<RunError> {
        let at = at.clone();
        let arrived = find(&self.pending, self.login.as_bytes())
            .or_else(|| find(&self.stderr, self.login.as_bytes()))
            .is_some();
        let (user, arrived) = match self.privilege {
            Privilege::Sudo { user } => (user.as_str(), arrived),
            Privilege::AsIs => ("", false),
        };
        match end {
            StreamEnd::Closed { .. } | StreamEnd::Stopped(Stopped::TimedOut) if !arrived => {
                let words = [self.stderr.as_slice(), self.pending.as_slice()].concat();
                let end = match end {
                    StreamEnd::Closed { status, .. } => {
                        ShellEnd::Status(status.unwrap_or_default())
                    }
                    _ => ShellEnd::StillRunning(limit),
                };
                let said = tail(&words);
                Some(RunError::Shell { at, end, said })
            }
            _ if self.is_refused() => {
                // The output was the lecture and the invitation to try again.
                Some(RunError::Sudo {
                    at,
                    user: user.to_owned(),
                    problem: SudoProblem::WrongPassword,
                    said: String::new(),
                })
            }
            StreamEnd::Closed { status, .. } => {
                let words = self.of_sudo();
                Some(RunError::Sudo {
                    at,
                    user: user.to_owned(),
                    problem: SudoProblem::read(&words, *status),
                    said: tail(words.as_bytes()),
                })
            }
            // sudo, or a PAM module behind it, asked for something that isn't the password.
            StreamEnd::Stopped(Stopped::TimedOut) => {
                let said = tail(self.of_sudo().as_bytes());
                (!said.is_empty()).then(|| RunError::Sudo {
                    at,
                    user: user.to_owned(),
                    problem: SudoProblem::Unanswered,
                    said,
                })
            }
            _ => None,
        }
    }

    /// The output of sudo after its prompt, or all of it if there was none: without the output of the login shell, and without the lecture.
    fn of_sudo(&self) -> String {
        let since = |bytes: &[u8]| {
            let mark = self.login.as_bytes();
            let at = find(bytes, mark).map_or(0, |at| at + mark.len());
            String::from_utf8_lossy(&bytes[at..]).into_owned()
        };
        let mut errors = since(&self.stderr);
        // A prompt that is not answered is the last output.
        if let Some((_, after)) = errors.rsplit_once(&self.prompt)
            && !after.trim().is_empty()
        {
            errors = after.to_owned();
        }
        let words = [errors, since(&self.pending)].concat();
        without_lecture(&words.replace(&self.prompt, ""))
    }
}
