//! Changing a node: the steps of a plan, and taking them back. Only [`crate::engine::run`] has these.

use crate::engine::Conditions;
use crate::engine::Job;
use crate::engine::craft::Craft;
use crate::engine::craft::Step;
use crate::engine::event::Stage;
use crate::engine::failure::Failure;
use crate::engine::look;
use crate::model::NodeState;
use crate::plan;
use crate::plan::Action;
use crate::plan::Plan;
use crate::transport::Connection;
use crate::transport::RunError;

/// Makes [`Hands`].
pub(super) struct Maker<'a> {
    pub(super) conditions: &'a Conditions<'a>,
    craft: &'a dyn Craft,
}

/// A connection through which a node can be looked at and changed.
pub(super) struct Hands<'a> {
    maker: &'a Maker<'a>,
    job: &'a Job,
    connection: Box<dyn Connection>,
}

/// How far a script of steps came.
#[derive(Debug)]
pub(super) enum Applied {
    /// Every step was done.
    All,
    /// A step failed, and the script ended there.
    Stopped {
        /// How many steps were done before.
        done: usize,
        /// What was answered.
        said: String,
    },
    /// The script's end is not known.
    Lost {
        /// How many steps were certainly done.
        done: usize,
        /// Why there is no answer.
        error: RunError,
    },
}

/// Which way the steps go, for telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

impl<'a> Maker<'a> {
    pub(super) fn new(conditions: &'a Conditions<'a>, craft: &'a dyn Craft) -> Self {
        Maker { conditions, craft }
    }

    /// Connects to the job's node.
    pub(super) fn open(&'a self, job: &'a Job, stage: &Stage) -> Result<Hands<'a>, Box<Failure>> {
        Ok(Hands {
            maker: self,
            job,
            connection: look::connect(self.conditions, job, stage)?,
        })
    }

    /// Judges what was seen.
    pub(super) fn plan(&self, state: &NodeState, job: &Job) -> Plan {
        plan::plan(state, &job.desired, &self.conditions.allowed)
    }

    /// Every state that these steps lead through, the first and the last included.
    pub(super) fn states(&self, from: &NodeState, actions: &[Action]) -> Vec<NodeState> {
        let mut states = vec![from.clone()];
        for action in actions {
            let next = states.last().map(|state| plan::after(state, action));
            states.extend(next);
        }
        states
    }
}

impl Hands<'_> {
    /// Reads everything in one exec. A stage that began with a new connection was told with it.
    pub(super) fn look(&mut self, stage: &Stage) -> Result<NodeState, Box<Failure>> {
        if *stage == Stage::Looking {
            look::tell(self.maker.conditions, self.job, Stage::Looking);
        }
        look::look(
            self.maker.conditions,
            self.maker.craft,
            self.job,
            &mut *self.connection,
            stage,
        )
    }

    /// Does the steps in one exec.
    pub(super) fn apply(&mut self, actions: &[Action]) -> Applied {
        self.steps(actions, Way::There)
    }

    /// Takes the steps back in one exec, the last first.
    pub(super) fn take_back(&mut self, done: &[Action]) -> Applied {
        self.steps(&plan::roll_back(done), Way::Back)
    }

    fn steps(&mut self, actions: &[Action], way: Way) -> Applied {
        let (conditions, craft, job) = (self.maker.conditions, self.maker.craft, self.job);
        let tell = |step: usize| {
            if let Some(action) = actions.get(step) {
                let (step, of) = (step + 1, actions.len());
                let stage = match way {
                    Way::There => Stage::Applying {
                        step,
                        of,
                        doing: action.doing(),
                    },
                    Way::Back => Stage::PuttingBack { step, of },
                };
                look::tell(conditions, job, stage);
            }
        };
        tell(0);
        let mut lines = Lines::default();
        let mut done = 0;
        let mut failed = None;
        let script = craft.apply(actions);
        let result = look::exchange(
            conditions,
            job,
            &mut *self.connection,
            &script,
            &mut |piece| {
                lines.take(piece, &mut |line| match craft.step(line) {
                    Some(Step::Begun(step)) if step > 0 => tell(step),
                    Some(Step::Done(step)) => done = done.max(step + 1),
                    Some(Step::Failed { said, .. }) => failed = Some(said),
                    _ => {}
                });
            },
        );
        match (result, failed) {
            (Err(error), None) => Applied::Lost { done, error },
            // A step that said why it failed was the last one, whatever became of the connection.
            (_, Some(said)) => Applied::Stopped { done, said },
            (Ok(output), None) if output.status == 0 && done == actions.len() => Applied::All,
            (Ok(output), None) => Applied::Stopped {
                done,
                said: format!(
                    "the script ended with status {}{}",
                    output.status,
                    look::tail(&output)
                ),
            },
        }
    }
}

/// Pieces of output in, whole lines out.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn take(&mut self, piece: &[u8], each: &mut dyn FnMut(&str)) {
        self.0.extend_from_slice(piece);
        while let Some(end) = self.0.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            each(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in ["do", "ne 0\ndone", " 1\r\nrest"] {
            lines.take(piece.as_bytes(), &mut |line| seen.push(line.to_string()));
        }
        assert_eq!(seen, ["done 0", "done 1"]);
    }
}
