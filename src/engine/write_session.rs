//! Changing a node: arming it, the steps of a plan, confirming, and letting it go back. Only [`run`](crate::engine::run), [`rollback`](crate::engine::rollback)
//! and [`drill`](crate::engine::drill) have these.

use std::process;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::engine::Job;
use crate::engine::RunContext;
use crate::engine::event::Stage;
use crate::engine::failure::Failure;
use crate::engine::operation::Operation;
use crate::engine::read_session;
use crate::engine::scripts::WriteScripts;
use crate::model::DesiredNetwork;
use crate::model::NodeState;
use crate::node::Arming;
use crate::node::Ending;
use crate::node::Said;
use crate::node::Steps;
use crate::node::StepsError;
use crate::plan;
use crate::plan::Plan;
use crate::plan::recover::Aside;
use crate::transport::Connection;
use crate::transport::RunError;

/// What a step adds to the time that its script may take. Most take 10 ms; a container that moves takes a second or two.
const PER_STEP: Duration = Duration::from_secs(2);

/// What arming adds to it: a snapshot takes a second on a busy node.
const ARMING: Duration = Duration::from_secs(20);

/// How long a node may take to confirm, or to go back.
const ENDING: Duration = Duration::from_secs(90);

/// Makes [`WriteSession`].
pub(super) struct WriteSessions<'a> {
    pub(super) context: &'a RunContext<'a>,
    scripts: &'a dyn WriteScripts,
    /// A word for this run that no other has.
    pub(super) run: String,
}

/// A connection through which a node can be looked at and changed.
pub(super) struct WriteSession<'a> {
    sessions: &'a WriteSessions<'a>,
    job: &'a Job,
    connection: Box<dyn Connection>,
}

/// How far a script of steps came.
#[derive(Debug)]
pub(super) struct Applied {
    /// The snapshot that the node is armed with, if it said so.
    pub(super) armed: Option<u64>,
    /// What was set aside.
    pub(super) aside: Vec<Aside>,
    /// How the script ended.
    pub(super) end: End,
}

/// How a script of steps ended.
#[derive(Debug)]
pub(super) enum End {
    /// Every step was done.
    All,
    /// Nothing was begun.
    NotArmed {
        /// The exit code of what failed.
        code: i32,
        /// What was answered.
        said: String,
    },
    /// A step failed, and the script ended there.
    Stopped {
        /// The exit code of what failed.
        code: i32,
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

impl<'a> WriteSessions<'a> {
    pub(super) fn new(context: &'a RunContext<'a>, scripts: &'a dyn WriteScripts) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let run = format!(
            "{:x}-{}",
            now.unwrap_or_default().as_micros(),
            process::id()
        );
        WriteSessions {
            context,
            scripts,
            run,
        }
    }

    /// Connects to the job's node.
    pub(super) fn open(
        &'a self,
        job: &'a Job,
        stage: &Stage,
    ) -> Result<WriteSession<'a>, Box<Failure>> {
        Ok(WriteSession {
            sessions: self,
            job,
            connection: read_session::connect(self.context, job, stage)?,
        })
    }

    /// Connects to the job's node, and looks for the first time: again where the node may be in motion.
    pub(super) fn look(
        &'a self,
        job: &'a Job,
    ) -> Result<(NodeState, WriteSession<'a>), Box<Failure>> {
        let mut session = self.open(job, &Stage::Connecting)?;
        Ok((session.look_until_still(&Stage::Looking)?, session))
    }

    /// Judges what was seen.
    pub(super) fn plan(&self, state: &NodeState, job: &Job) -> Plan {
        plan::plan(state, &job.desired, &self.context.allowed)
    }

    /// The number of the node's last snapshot when it was looked at.
    pub(super) fn last(&self, before: &NodeState) -> u64 {
        before.records.known().map_or(0, |records| records.last)
    }

    fn arming(&self, job: &Job, before: &NodeState, operation: &Operation<'_>) -> Arming {
        let version = env!("CARGO_PKG_VERSION").to_string();
        Arming {
            last: self.last(before),
            timeout: self.context.confirm.as_secs(),
            about: vec![
                ("operator", self.context.operator.to_string()),
                ("run", self.run.clone()),
                ("node", job.node().to_string()),
                ("what", operation.what()),
                ("changes", operation.changes().to_string()),
                ("policy", operation.policy(job)),
                ("fwdeploy", version),
            ],
            managed: job
                .desired
                .networks
                .iter()
                .flat_map(DesiredNetwork::subnets)
                .collect(),
            seen: before.system.sums.clone().into_iter().collect(),
        }
    }
}

impl WriteSession<'_> {
    /// Reads everything in one exec, and once more as long as the node may be in motion.
    pub(super) fn look_until_still(&mut self, stage: &Stage) -> Result<NodeState, Box<Failure>> {
        let first = self.look(stage)?;
        let (context, job) = (self.sessions.context, self.job);
        read_session::until_still(context, job, first, &mut || self.look(stage))
    }

    /// Reads everything in one exec. A stage that began with a new connection was told with it.
    pub(super) fn look(&mut self, stage: &Stage) -> Result<NodeState, Box<Failure>> {
        if *stage == Stage::Looking {
            read_session::emit_stage(self.sessions.context, self.job, Stage::Looking);
        }
        read_session::look(
            self.sessions.context,
            self.sessions.scripts,
            self.job,
            &mut *self.connection,
            stage,
        )
    }

    /// Says that the run stays.
    pub(super) fn disarm(&mut self, number: u64) -> Result<Ending, Box<Failure>> {
        self.end(&Stage::Confirming, &self.sessions.scripts.disarm(number))
    }

    /// Lets the node go back, and waits until it has.
    pub(super) fn revert(&mut self, number: u64) -> Result<Ending, Box<Failure>> {
        self.end(&Stage::RollingBack, &self.sessions.scripts.revert(number))
    }

    /// Tries the way back from an unfinished run once more, and waits for its end.
    pub(super) fn retry_restore(&mut self, number: u64) -> Result<Ending, Box<Failure>> {
        self.end(
            &Stage::RollingBack,
            &self.sessions.scripts.retry_restore(number),
        )
    }

    fn end(&mut self, stage: &Stage, script: &str) -> Result<Ending, Box<Failure>> {
        let context = self.sessions.context;
        read_session::emit_stage(context, self.job, stage.clone());
        let limit = context.limit.max(ENDING);
        let output = read_session::exchange(
            context,
            self.job,
            &mut *self.connection,
            script,
            limit,
            &mut |_| {},
        )
        .map_err(|error| Box::new(Failure::run(stage.clone(), &error)))?;
        Ending::read(&output.stdout).ok_or_else(|| {
            let message = format!(
                "the node's answer was cut off: the script ended with status {}{}",
                output.status,
                read_session::tail(&output)
            );
            Box::new(Failure::new(stage.clone(), "answer-unreadable", message))
        })
    }

    /// Arms the node and does the steps, in one exec.
    pub(super) fn apply(&mut self, before: &NodeState, operation: &Operation<'_>) -> Applied {
        let (context, scripts, job) = (self.sessions.context, self.sessions.scripts, self.job);
        let arming = self.sessions.arming(job, before, operation);
        let script = match operation {
            Operation::Steps(actions) | Operation::Drill(actions) => {
                scripts.apply(&arming, actions)
            }
            Operation::Snapshot { to, .. } => scripts.roll_back(&arming, before, *to),
            Operation::Recovery(recovery) => scripts.recover(&arming, recovery),
        };
        let of = operation.len();
        let tell = |step: usize| {
            if step < of {
                let (step, doing) = (step + 1, operation.doing(step));
                read_session::emit_stage(context, job, Stage::Applying { step, of, doing });
            }
        };
        tell(0);
        let mut steps = Steps::new();
        let result = read_session::exchange(
            context,
            job,
            &mut *self.connection,
            &script,
            context.limit + ARMING + PER_STEP * of as u32,
            &mut |piece| {
                for said in steps.feed(piece) {
                    match said {
                        Said::Begun(step) if step > 0 => tell(step),
                        _ => {}
                    }
                }
            },
        );
        let (armed, done) = (steps.armed(), steps.done());
        let aside = steps.aside().to_vec();
        let end = match (steps.outcome(of), result) {
            (Ok(()), _) => End::All,
            // A step that said why it failed was the last one, whatever became of the connection.
            (Err(StepsError::NotArmed(failure)), _) => End::NotArmed {
                code: failure.code,
                said: one_line(&failure.answer),
            },
            (Err(StepsError::Failed(failure)), _) => End::Stopped {
                code: failure.code,
                done,
                said: one_line(&failure.answer),
            },
            (Err(StepsError::CutOff { .. }), Err(error)) => End::Lost { done, error },
            (Err(StepsError::CutOff { .. }), Ok(output)) => End::Stopped {
                code: output.status,
                done,
                said: format!(
                    "the script ended with status {}{}",
                    output.status,
                    read_session::tail(&output)
                ),
            },
        };
        Applied { armed, aside, end }
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
