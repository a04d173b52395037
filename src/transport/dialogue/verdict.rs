//! What a dialogue means once it is over.

use std::time::Duration;

use super::Dialogue;
use super::End;
use super::Stage;
use super::text::tail;
use crate::transport::Output;
use crate::transport::Partial;
use crate::transport::Place;
use crate::transport::Privilege;
use crate::transport::RunError;
use crate::transport::SudoProblem;
use crate::transport::wait::Stopped;

impl Dialogue<'_> {
    /// What the whole of it means.
    pub(in crate::transport) fn conclude(
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
            // libssh2's own words, such as "transport read", tell an operator nothing.
            End::Broken(said) => RunError::Lost {
                at,
                reason: format!("the connection is gone ({said})"),
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
                // What it said was its lecture and that one may try again.
                Some(RunError::Sudo {
                    at,
                    user: user.clone(),
                    problem,
                    said: String::new(),
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
