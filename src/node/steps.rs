//! The answer of a node while it executes the steps of a plan.

use thiserror::Error;

/// One report of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// From now on the node rolls back to this snapshot by itself, unless the run is confirmed.
    Armed(u64),
    /// The step has started.
    Begun(usize),
    /// The step is done.
    Done(usize),
    /// An entry was set aside: its place among chains, rules and passthroughs, and why.
    Aside(usize, String),
    /// The step has failed, and left the node as it was before that step.
    Failed(StepFailure),
    /// The script has come to its end.
    Ended,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailure {
    /// Its place in the plan, counted from 0; 0 where the node was not armed.
    pub step: usize,
    /// The exit code of what failed; 124 means that it took too long, 143 that the script was stopped.
    pub code: i32,
    /// What was tried, and what firewalld, Docker or iptables answered. One or more lines.
    pub answer: String,
}

/// How a plan ended that did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StepsError {
    /// The node was not armed, and nothing was changed.
    #[error("{}", .0.answer)]
    NotArmed(StepFailure),
    /// A step failed; those before it are done, those after it were not started.
    #[error("{}", .0.answer)]
    Failed(StepFailure),
    /// The answer ended early: it is not known how far the last started step got.
    #[error("the node stopped answering after {done} of {total} steps")]
    CutOff {
        /// How many steps were done.
        done: usize,
        /// How many there were.
        total: usize,
    },
}

/// Parses the answer of [`apply`](crate::node::apply), piece by piece as it arrives.
///
/// ```
/// use fwdeploy::node::Said;
/// use fwdeploy::node::Steps;
/// let mut steps = Steps::new();
/// assert_eq!(steps.feed(b"Welcome!\nstep 0 beg"), []);
/// assert_eq!(steps.feed(b"in\nstep 0 done\nend\n"), [Said::Begun(0), Said::Done(0), Said::Ended]);
/// assert!(steps.outcome(1).is_ok());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    rest: Vec<u8>,
    armed: Option<u64>,
    refused: bool,
    begun: Option<usize>,
    done: usize,
    failing: Option<StepFailure>,
    failure: Option<StepFailure>,
    aside: Vec<(usize, String)>,
    ended: bool,
}

impl Steps {
    /// Nothing has been reported yet.
    pub fn new() -> Self {
        Steps::default()
    }

    /// Takes the next piece of the answer, and returns what it reports.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Said> {
        // Each byte is examined once, in whatever pieces and lines it arrives.
        let heard = self.rest.len();
        self.rest.extend_from_slice(bytes);
        let mut said = Vec::new();
        if let Some(end) = bytes.iter().rposition(|b| *b == b'\n') {
            let whole: Vec<u8> = self.rest.drain(..=heard + end).collect();
            for line in whole.split_inclusive(|b| *b == b'\n') {
                let line = String::from_utf8_lossy(line);
                self.line(line.trim_end_matches(['\n', '\r']), &mut said);
            }
        }
        said
    }

    /// The snapshot that the node is armed with.
    pub fn armed(&self) -> Option<u64> {
        self.armed
    }

    /// The step that is running, or the last one that was.
    pub fn begun(&self) -> Option<usize> {
        self.begun
    }

    /// What was set aside.
    pub fn aside(&self) -> &[(usize, String)] {
        &self.aside
    }

    /// How many steps are done.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Returns how a plan of this many steps ended, once the answer is complete.
    ///
    /// # Errors
    /// [`StepsError`] if a step failed or the answer was cut off.
    pub fn outcome(self, total: usize) -> Result<(), StepsError> {
        match self.failing.or(self.failure) {
            Some(failure) if self.refused => Err(StepsError::NotArmed(failure)),
            Some(failure) => Err(StepsError::Failed(failure)),
            None if self.ended && self.done == total => Ok(()),
            None => Err(StepsError::CutOff {
                done: self.done,
                total,
            }),
        }
    }

    fn line(&mut self, line: &str, said: &mut Vec<Said>) {
        if let Some(failing) = &mut self.failing
            && let Some(text) = line.strip_prefix("| ").or((line == "|").then_some(""))
        {
            if !failing.answer.is_empty() {
                failing.answer.push('\n');
            }
            failing.answer.push_str(text);
            return;
        }
        if let Some(failing) = self.failing.take() {
            self.failure = Some(failing.clone());
            said.push(Said::Failed(failing));
        }
        // What a shell prints at its logout is not part of the answer.
        if self.ended {
            return;
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["end"] => {
                self.ended = true;
                said.push(Said::Ended);
            }
            ["armed", number] if self.armed.is_none() && self.begun.is_none() => {
                if let Ok(number) = number.parse() {
                    self.armed = Some(number);
                    said.push(Said::Armed(number));
                }
            }
            ["aside", place, ..] => {
                if let Ok(place) = place.parse() {
                    let why = words[2..].join(" ").trim_end().to_string();
                    self.aside.push((place, why.clone()));
                    said.push(Said::Aside(place, why));
                }
            }
            ["arm", "failed", code] => {
                if let Ok(code) = code.parse() {
                    self.refused = true;
                    self.failing = Some(StepFailure {
                        step: 0,
                        code,
                        answer: String::new(),
                    });
                }
            }
            ["step", number, what] => match (number.parse(), what) {
                (Ok(number), "begin") => {
                    self.begun = Some(number);
                    said.push(Said::Begun(number));
                }
                (Ok(number), "done") if self.begun == Some(number) => {
                    self.done = number + 1;
                    said.push(Said::Done(number));
                }
                _ => {}
            },
            ["step", number, "failed", code] => {
                if let (Ok(step), Ok(code)) = (number.parse(), code.parse()) {
                    self.failing = Some(StepFailure {
                        step,
                        code,
                        answer: String::new(),
                    });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Said>, Steps) {
        let mut steps = Steps::new();
        // Byte by byte, as a slow connection would.
        let said = text.bytes().flat_map(|b| steps.feed(&[b])).collect();
        (said, steps)
    }

    fn failure(step: usize, answer: &str) -> StepFailure {
        StepFailure {
            step,
            code: 1,
            answer: answer.to_string(),
        }
    }

    #[test]
    fn an_answer_of_many_lines_survives() {
        let (said, steps) = read(
            "step 0 begin\nstep 0 done\nstep 1 begin\nstep 1 failed 1\n| no:\n| \n| step 1 done\nend\n",
        );
        let failure = failure(1, "no:\n\nstep 1 done");
        assert_eq!(
            said,
            [
                Said::Begun(0),
                Said::Done(0),
                Said::Begun(1),
                Said::Failed(failure.clone()),
                Said::Ended,
            ]
        );
        assert_eq!(steps.outcome(2), Err(StepsError::Failed(failure)));
    }

    /// Tried with a search from the beginning for each piece: many minutes.
    #[test]
    fn an_answer_in_very_many_pieces_takes_linear_time() {
        let began = std::time::Instant::now();
        let mut steps = Steps::new();
        for _ in 0..400_000 {
            assert_eq!(steps.feed(b"a"), []);
        }
        assert_eq!(steps.feed("\nb".repeat(400_000).as_bytes()), []);
        assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    }

    #[test]
    fn a_failure_counts_even_if_its_text_was_cut_off() {
        let (said, steps) = read("step 0 begin\nstep 0 failed 1\n| because\n| of th");
        assert_eq!(said, [Said::Begun(0)]);
        assert_eq!(
            steps.outcome(1),
            Err(StepsError::Failed(failure(0, "because")))
        );
    }

    #[test]
    fn an_answer_without_its_end_is_cut_off_even_after_the_last_step() {
        for text in ["", "step 0 begin\n", "step 0 begin\nstep 0 done\n", "end\n"] {
            let (_, steps) = read(text);
            let done = steps.done();
            assert_eq!(
                steps.outcome(1),
                Err(StepsError::CutOff { done, total: 1 }),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_node_that_is_not_armed_says_why() {
        let (said, steps) = read("arm failed 75\n| somebody is at work\nend\n");
        assert!(matches!(&said[..], [Said::Failed(_), Said::Ended]));
        let Err(StepsError::NotArmed(failure)) = steps.outcome(2) else {
            panic!("it was armed");
        };
        assert_eq!(
            (failure.code, &*failure.answer),
            (75, "somebody is at work")
        );
        let (said, steps) = read("armed 12\nstep 0 begin\nstep 0 done\nend\n");
        assert_eq!(said[0], Said::Armed(12));
        assert_eq!(steps.armed(), Some(12));
        assert_eq!(steps.outcome(1), Ok(()));
    }

    #[test]
    fn a_stop_between_two_steps_is_a_failure_of_the_one_not_begun() {
        let (_, steps) = read(
            "step 0 begin\nstep 0 done\nstep 1 failed 143\n| stopped by SIGTERM before this step\nend\n",
        );
        assert_eq!((steps.begun(), steps.done()), (Some(0), 1));
        let failed = steps.outcome(2).unwrap_err();
        assert_eq!(failed.to_string(), "stopped by SIGTERM before this step");
    }
}
