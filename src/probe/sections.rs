//! The frame around the answers, as `node/probe.sh` describes it.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// The start of the first line; the number is the format's version.
const FIRST: &str = "fwdeploy-probe ";
/// The version that is read here.
const VERSION: &str = "1";
/// The last line.
const LAST: &str = "fwdeploy-probe end\n";

/// Why the answers cannot be separated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first line is nowhere.
    #[error("it does not begin as an answer does")]
    NoBeginning,
    /// The first line is of another version, or garbled.
    #[error("it begins with `{line}`")]
    Beginning {
        /// The line.
        line: String,
    },
    /// The end is missing.
    #[error("it is cut off{}", after(.last))]
    CutOff {
        /// The last question that was answered in full.
        last: Option<String>,
    },
    /// Something else is where an answer should start.
    #[error("it is garbled{}", after(.last))]
    Garbled {
        /// The last question that was answered in full.
        last: Option<String>,
    },
    /// Two answers to one question.
    #[error("it answers `{name}` twice")]
    Twice {
        /// The question.
        name: String,
    },
}

fn after(last: &Option<String>) -> String {
    match last {
        Some(name) => format!(" after `{name}`"),
        None => " at its beginning".to_string(),
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer<'a> {
    /// The exit code; `None` if the question was not asked.
    code: Option<u32>,
    /// stdout.
    text: Cow<'a, str>,
}

/// All answers by question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers<'a> {
    seconds: String,
    answers: BTreeMap<String, Answer<'a>>,
    said: BTreeMap<String, Cow<'a, str>>,
}

impl<'a> Answers<'a> {
    /// Takes the answers apart.
    ///
    /// # Errors
    /// [`FrameError`] if the frame is incomplete. A greeting before the first line is no error.
    pub fn parse(stdout: &'a [u8]) -> Result<Self, FrameError> {
        let start = beginning(stdout).ok_or(FrameError::NoBeginning)?;
        let mut rest = Rest(&stdout[start..]);
        let first = rest.line().ok_or(FrameError::CutOff { last: None })?;
        let seconds = first
            .strip_prefix(FIRST)
            .and_then(|words| words.strip_prefix(VERSION)?.strip_prefix(' '))
            .filter(|seconds| seconds.parse::<u32>().is_ok())
            .ok_or_else(|| FrameError::Beginning {
                line: first.clone(),
            })?;
        let mut answers = Answers {
            seconds: seconds.to_string(),
            answers: BTreeMap::new(),
            said: BTreeMap::new(),
        };
        let mut last = None;
        loop {
            if rest.0 == LAST.as_bytes() {
                return Ok(answers);
            }
            let cut_off = FrameError::CutOff { last: last.clone() };
            let header = rest.line().ok_or_else(|| cut_off.clone())?;
            let words: Vec<&str> = header.split(' ').collect();
            let (name, code, length) = match words[..] {
                ["=", name, "-", length] => (name, Some(None), length),
                ["=", name, code, length] => (name, Some(code.parse().ok()), length),
                ["!", name, length] => (name, None, length),
                _ => return Err(FrameError::Garbled { last }),
            };
            let Ok(length) = length.parse::<usize>() else {
                return Err(FrameError::Garbled { last });
            };
            let bytes = rest.take(length).ok_or_else(|| cut_off.clone())?;
            // Comments of foreign rules may be in any encoding; what names a rule as ours is ASCII.
            let text = String::from_utf8_lossy(bytes);
            match rest.take(1) {
                None => return Err(cut_off),
                Some(b"\n") => {}
                Some(_) => return Err(FrameError::Garbled { last }),
            }
            let twice = match code {
                None => answers.said.insert(name.to_string(), text).is_some(),
                Some(code) => {
                    if code.is_none() && words[2] != "-" {
                        return Err(FrameError::Garbled { last });
                    }
                    let answer = Answer { code, text };
                    answers.answers.insert(name.to_string(), answer).is_some()
                }
            };
            if twice {
                return Err(FrameError::Twice {
                    name: name.to_string(),
                });
            }
            last = Some(name.to_string());
        }
    }

    /// The answer to a question that was asked and went well.
    ///
    /// # Errors
    /// Why there is no answer, in words for a person.
    pub fn get(&self, name: &str) -> Result<&str, String> {
        let Some(answer) = self.answers.get(name) else {
            return Err(format!("the question `{name}` was not answered"));
        };
        let said = self.said(name);
        match answer.code {
            Some(0) => Ok(&answer.text),
            None => Err(said.unwrap_or("it was not asked").to_string()),
            // timeout(1): 124 ended by TERM, 137 by KILL; busybox's reports the signal in both cases.
            Some(124 | 137 | 143) => Err(format!("timed out after {} s", self.seconds)),
            Some(code) => Err(match said {
                Some(said) => said.to_string(),
                None => format!("exit code {code}"),
            }),
        }
    }

    /// Whether there is an answer at all: the reading script of an earlier version did not ask every question.
    pub fn has(&self, name: &str) -> bool {
        self.answers.contains_key(name)
    }

    /// Whether the node chose not to ask a question, rather than failed to answer it.
    pub fn was_skipped(&self, name: &str) -> bool {
        self.answers.get(name).is_some_and(|a| a.code.is_none())
    }

    /// What a question printed on stderr: its last line, which is where programs put the cause.
    pub fn said(&self, name: &str) -> Option<&str> {
        let said = self.said.get(name)?;
        said.lines().map(str::trim).rfind(|line| !line.is_empty())
    }
}

/// Where the first line is, at the start of a line.
fn beginning(stdout: &[u8]) -> Option<usize> {
    let first = FIRST.as_bytes();
    (0..stdout.len()).find(|&at| {
        stdout[at..].starts_with(first) && (at == 0 || matches!(stdout[at - 1], b'\n' | b'\r'))
    })
}

/// The rest to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn line(&mut self) -> Option<String> {
        let end = self.0.iter().position(|b| *b == b'\n')?;
        let line = self.take(end + 1)?;
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "fwdeploy-probe 1 5\n= uid 0 2\n0\n\n! x 3\na\nb\n= x 1 0\n\n! y 2\nno\n= y - 0\n\n\
                         = z 124 1\n?\nfwdeploy-probe end\n";

    #[test]
    fn answers_are_told_from_reasons() {
        let answers = Answers::parse(WHOLE.as_bytes()).unwrap();
        assert_eq!(answers.get("uid"), Ok("0\n"));
        assert_eq!(answers.get("x"), Err("b".to_string()));
        assert_eq!(answers.get("y"), Err("no".to_string()));
        assert_eq!(answers.get("z"), Err("timed out after 5 s".to_string()));
        assert!(answers.get("w").unwrap_err().contains("not answered"));
        assert!(answers.was_skipped("y") && !answers.was_skipped("x"));
    }

    #[test]
    fn a_greeting_may_come_first() {
        let greeted = format!("Welcome to\nfwdeploy land\n{WHOLE}");
        assert_eq!(
            Answers::parse(greeted.as_bytes()),
            Answers::parse(WHOLE.as_bytes())
        );
    }

    #[test]
    fn whatever_is_cut_off_is_an_error() {
        for end in 0..WHOLE.len() {
            assert!(Answers::parse(&WHOLE.as_bytes()[..end]).is_err(), "{end}");
        }
        let cut = Answers::parse(&WHOLE.as_bytes()[..60]).unwrap_err();
        assert_eq!(cut.to_string(), "it is cut off after `y`");
    }
}
