//! Logging in with what a person knows: the node's questions (keyboard-interactive), and a password.
//!
//! What the inventory or `-k` gives is sent to the first question about a password, and once. Everything else is asked at the terminal,
//! for each login anew: it may be a code.

use std::time::Duration;
use std::time::Instant;

use ssh2::ErrorCode;
use ssh2::KeyboardInteractivePrompt;
use ssh2::Prompt;

use super::Login;
use super::Outcome;
use super::attempt::AUTHENTICATION_FAILED;
use crate::model::Secret;
use crate::model::visible::visible;
use crate::transport::ConnectError;
use crate::transport::HostKind;
use crate::transport::LoginPrompt;
use crate::transport::secret::SecretCache;
use crate::transport::ssh::step::StepError;

/// More questions at a time are none that a person would answer.
const MOST_QUESTIONS: usize = 8;

/// The longest text of a question that is shown.
const LONGEST_QUESTION: usize = 300;

/// Answers the node's questions.
struct Answers<'a> {
    vault: &'a SecretCache,
    at: String,
    user: &'a str,
    /// The password, until it is sent.
    password: Option<Secret>,
    /// Whether a person may be asked.
    asks: bool,
    /// How long the person took.
    thought: Duration,
    /// The first question that nobody answered.
    unanswered: Option<String>,
}

impl KeyboardInteractivePrompt for Answers<'_> {
    fn prompt(&mut self, _: &str, instructions: &str, prompts: &[Prompt<'_>]) -> Vec<String> {
        let answer = |prompt: &Prompt<'_>| self.answer(instructions, &prompt.text, prompt.echo);
        prompts.iter().take(MOST_QUESTIONS).map(answer).collect()
    }
}

impl Answers<'_> {
    fn answer(&mut self, instructions: &str, prompt: &str, echo: bool) -> String {
        // As Ansible's sshpass: what asks for a password says so.
        let wants_password = !echo && prompt.to_lowercase().contains("assword");
        if wants_password && let Some(password) = self.password.take() {
            return password.expose().to_owned();
        }
        let words = [instructions.trim(), prompt.trim()];
        let words: Vec<&str> = words.into_iter().filter(|it| !it.is_empty()).collect();
        let text: String = visible(&words.join(" ").replace(['\n', '\r', '\t'], " "))
            .chars()
            .take(LONGEST_QUESTION)
            .collect();
        let since = Instant::now();
        let answer = match self.asks {
            true => self.vault.answer(&LoginPrompt {
                at: self.at.clone(),
                user: self.user.to_owned(),
                text: text.clone(),
                echo,
            }),
            false => None,
        };
        self.thought += since.elapsed();
        match answer {
            Some(answer) => answer.expose().to_owned(),
            None => {
                self.unanswered.get_or_insert(text);
                // Nobody else is asked in this login.
                self.asks = false;
                String::new()
            }
        }
    }
}

impl Login<'_> {
    /// Tries what a person knows, as far as the node accepts it.
    pub(super) fn with_words(&mut self) -> Result<Outcome, ConnectError> {
        let is_node = self.hop.at.kind == HostKind::Node;
        let accepts = |list: &str, name: &str| list.split(',').any(|method| method == name);
        let methods = self.hop.methods;
        let interactive = methods.interactive && accepts(&self.accepts, "keyboard-interactive");
        let by_password = methods.password && accepts(&self.accepts, "password");
        if !interactive && !by_password {
            return Ok(Outcome::Refused);
        }
        let mut password = match is_node && !self.offered_password {
            true => self.vault.login_password(&self.hop.at.node),
            false => None,
        };
        // Like Ansible, nobody is asked about a node for which no password is known: unless it has taken a key already.
        let asks = !self.hop.batch && (password.is_some() || self.took.is_some() || !is_node);
        if password.is_none() && !asks {
            return Ok(Outcome::Refused);
        }
        if interactive {
            let had = password.is_some();
            let (outcome, left) = self.with_answers(password, asks)?;
            password = left;
            self.offered_password |= had && password.is_none();
            if outcome != Outcome::Refused || self.offered_password {
                return Ok(outcome);
            }
        }
        if by_password {
            let by = match password {
                Some(password) => Some((password, "the password")),
                None if asks && !self.offered_password && !interactive => {
                    let answer = self.vault.answer(&LoginPrompt {
                        at: self.hop.at.to_string(),
                        user: self.user.clone(),
                        text: "password:".to_owned(),
                        echo: false,
                    });
                    answer.map(|answer| (answer, "the password from the terminal"))
                }
                None => None,
            };
            if let Some((password, name)) = by {
                self.offered_password = true;
                let (user, session) = (self.user.clone(), self.wire.session.clone());
                let done =
                    self.retry_eagain(|| session.userauth_password(&user, password.expose()));
                return self.judge(done, name);
            }
        }
        Ok(Outcome::Refused)
    }

    /// Lets the node ask. Returns the password if it was not sent.
    fn with_answers(
        &mut self,
        password: Option<Secret>,
        asks: bool,
    ) -> Result<(Outcome, Option<Secret>), ConnectError> {
        let (vault, user) = (self.vault, self.user.clone());
        let mut answers = Answers {
            vault,
            at: self.hop.at.to_string(),
            user: &user,
            password,
            asks,
            thought: Duration::ZERO,
            unanswered: None,
        };
        let session = self.wire.session.clone();
        let done = self.retry_eagain(|| {
            let done = session.userauth_keyboard_interactive(&user, &mut answers);
            self.forgive(std::mem::take(&mut answers.thought));
            done
        });
        let name = match &answers.unanswered {
            Some(question) => format!("nobody answered its question `{question}`"),
            None => "the answers".to_owned(),
        };
        let password = answers.password.take();
        Ok((self.judge(done, &name)?, password))
    }

    /// Takes time off the node's clock.
    fn forgive(&self, time: Duration) {
        self.clock.forgiven.set(self.clock.forgiven.get() + time);
    }

    fn judge(&mut self, done: Result<(), StepError>, name: &str) -> Result<Outcome, ConnectError> {
        match done {
            Ok(()) => Ok(Outcome::LoggedIn),
            Err(StepError::Ssh(error))
                if error.code() == ErrorCode::Session(AUTHENTICATION_FAILED) =>
            {
                let wants = self.methods()?;
                if wants != self.accepts {
                    self.took = Some(name.to_owned());
                    self.accepts = wants;
                    return Ok(Outcome::FirstFactor);
                }
                self.tried.push(format!("{name}: refused"));
                Ok(Outcome::Refused)
            }
            Err(halt) => Err(self.halted(halt)),
        }
    }
}
