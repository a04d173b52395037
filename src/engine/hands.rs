//! Changing a node: the steps of a plan, and rolling them back. Only [`crate::engine::run`] has these.

use std::time::Duration;

use crate::engine::Conditions;
use crate::engine::Job;
use crate::engine::craft::Craft;
use crate::engine::event::Stage;
use crate::engine::failure::Failure;
use crate::engine::look;
use crate::model::NodeState;
use crate::node::BUSY;
use crate::node::Said;
use crate::node::Steps;
use crate::node::StepsError;
use crate::plan;
use crate::plan::Action;
use crate::plan::Plan;
use crate::transport::Connection;
use crate::transport::RunError;

/// What a step adds to the time that its script may take. Most take 10 ms; a container that moves takes a second or two.
const PER_STEP: Duration = Duration::from_secs(2);

/// How long the script that waits does so at most.
const WAIT: Duration = Duration::from_secs(100);

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
    /// Nothing was begun: another run is changing the node.
    Busy {
        /// What was answered.
        said: String,
    },
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

    /// Does the steps of [`plan::roll_back`] in one exec.
    pub(super) fn roll_back(&mut self, undo: &[Action]) -> Applied {
        self.steps(undo, Way::Back)
    }

    /// Waits until no script of steps runs on the node any more, as far as the node can tell.
    pub(super) fn wait(&mut self) -> Result<(), Box<Failure>> {
        let conditions = self.maker.conditions;
        let script = self.maker.craft.wait();
        let limit = conditions.limit + WAIT;
        look::exchange(
            conditions,
            self.job,
            &mut *self.connection,
            &script,
            limit,
            &mut |_| {},
        )
        .map(drop)
        .map_err(|error| Box::new(Failure::run(Stage::Settling, &error)))
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
                    Way::Back => Stage::RollingBack { step, of },
                };
                look::tell(conditions, job, stage);
            }
        };
        tell(0);
        let mut steps = Steps::new();
        let result = look::exchange(
            conditions,
            job,
            &mut *self.connection,
            &craft.apply(actions),
            conditions.limit + PER_STEP * actions.len() as u32,
            &mut |piece| {
                for said in steps.feed(piece) {
                    match said {
                        Said::Begun(step) if step > 0 => tell(step),
                        _ => {}
                    }
                }
            },
        );
        let done = steps.done();
        match (steps.outcome(actions.len()), result) {
            (Ok(()), _) => Applied::All,
            // A step that said why it failed was the last one, whatever became of the connection.
            (Err(StepsError::Failed(failure)), _) if failure.code == BUSY && done == 0 => {
                Applied::Busy {
                    said: one_line(&failure.answer),
                }
            }
            (Err(StepsError::Failed(failure)), _) => Applied::Stopped {
                done,
                said: one_line(&failure.answer),
            },
            (Err(StepsError::CutOff { .. }), Err(error)) => Applied::Lost { done, error },
            (Err(StepsError::CutOff { .. }), Ok(output)) => Applied::Stopped {
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

/// An answer of several lines as one. A line that ends with a colon announces the next.
fn one_line(answer: &str) -> String {
    let mut text = String::new();
    for line in answer.lines().map(str::trim).filter(|l| !l.is_empty()) {
        if !text.is_empty() {
            text.push_str(if text.ends_with(':') { " " } else { "; " });
        }
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn an_answer_of_several_lines_reads_as_one() {
        assert_eq!(
            one_line("docker did not:\n\nno space left\ntry again\n"),
            "docker did not: no space left; try again"
        );
    }
}
