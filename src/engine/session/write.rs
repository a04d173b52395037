//! Changing a node: arming it, the steps of an operation, confirming, and rolling back. Only [`run`](crate::engine::run),
//! [`rollback`](crate::engine::rollback) and [`drill`](crate::engine::drill) have these.

use std::process;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::engine::applied::Applied;
use crate::engine::applied::End;
use crate::engine::code::FailureCode;
use crate::engine::context::RunContext;
use crate::engine::failure::Failure;
use crate::engine::job::Job;
use crate::engine::machines::Claim;
use crate::engine::machines::Machines;
use crate::engine::machines::SecondName;
use crate::engine::operation::Operation;
use crate::engine::operation::Prepared;
use crate::engine::outcome::Outcome;
use crate::engine::scripts::WriteScripts;
use crate::engine::session::exchange::tail;
use crate::engine::session::read::Looked;
use crate::engine::session::read::ReadSession;
use crate::engine::session::read::ReadSessions;
use crate::engine::stage::Stage;
use crate::model::NodeState;
use crate::model::state::View;
use crate::node::Arming;
use crate::node::Ending;
use crate::node::Purged;
use crate::node::Said;
use crate::node::Steps;
use crate::node::StepsError;
use crate::plan::Finding;
use crate::plan::FindingCode;
use crate::plan::Reading;

/// What a step adds to the time that its script may take. Most take 10 ms; a container that moves takes a second or two.
const PER_STEP: Duration = Duration::from_secs(2);

/// What arming adds to it: a snapshot takes a second on a busy node.
const ARMING: Duration = Duration::from_secs(20);

/// How long a node may take to confirm, or to roll back.
const ENDING: Duration = Duration::from_secs(90);

/// Makes [`WriteSession`].
pub(in crate::engine) struct WriteSessions<'a> {
    pub(in crate::engine) context: &'a RunContext<'a>,
    scripts: &'a dyn WriteScripts,
    reading: ReadSessions<'a>,
    /// A word for this run that no other has.
    pub(in crate::engine) run: String,
    machines: Machines,
}

/// A connection over which a node can be read and changed.
pub(in crate::engine) struct WriteSession<'a> {
    sessions: &'a WriteSessions<'a>,
    reading: ReadSession<'a>,
}

impl<'a> WriteSessions<'a> {
    pub(in crate::engine) fn new(
        context: &'a RunContext<'a>,
        scripts: &'a dyn WriteScripts,
        second: SecondName,
    ) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let run = format!(
            "{:x}-{}",
            now.unwrap_or_default().as_micros(),
            process::id()
        );
        WriteSessions {
            context,
            scripts,
            reading: ReadSessions::new(context, scripts),
            run,
            machines: Machines::new(second),
        }
    }

    /// Does the work on a node. If it is a machine that the run has met under another name, its outcome says so.
    pub(in crate::engine) fn work(&self, job: &Job, work: impl FnOnce() -> Outcome) -> Outcome {
        let at_work = self.machines.at_work(job);
        let mut outcome = work();
        drop(at_work);
        if let Some(first) = self.machines.first_name(job.node()) {
            outcome.findings.push(Finding::new(
                FindingCode::SecondName,
                View::Runtime,
                format!(
                    "it is the same machine as {first}; they were worked on one after the other"
                ),
            ));
        }
        outcome
    }

    /// Connects to the job's node.
    pub(in crate::engine) fn open(
        &'a self,
        job: &'a Job,
        stage: &Stage,
    ) -> Result<WriteSession<'a>, Box<Failure>> {
        Ok(WriteSession {
            sessions: self,
            reading: self.reading.open(job, stage)?,
        })
    }

    /// Connects to the job's node, and looks for the first time: again where the node may be in motion.
    pub(in crate::engine) fn look(
        &'a self,
        job: &'a Job,
    ) -> Result<(Looked, WriteSession<'a>), Box<Failure>> {
        let (mut looked, mut reading) = self.reading.look(job)?;
        match self
            .machines
            .claim(&looked.state.system.machine, job, self.context.stop)
        {
            Claim::Free => {}
            // What was read is from before the other one was done.
            Claim::After(_) => (looked, reading) = self.reading.look(job)?,
            Claim::Never(first) => {
                let message = format!("it is the same machine as {first}, which this run works on");
                let failure = Failure::new(Stage::Looking, FailureCode::SameMachine, message);
                return Err(Box::new(failure.hint(
                    "name each machine once in the inventory, with all its roles",
                )));
            }
        }
        Ok((
            looked,
            WriteSession {
                sessions: self,
                reading,
            },
        ))
    }

    /// The operation with its program, for a node that was in that state when it was read.
    pub(in crate::engine) fn prepare(
        &self,
        job: &Job,
        before: &NodeState,
        operation: &Operation<'_>,
    ) -> Prepared {
        let arming = self.arming(job, before, operation);
        let scripts = self.scripts;
        Prepared {
            script: match operation {
                Operation::Steps(actions) | Operation::Drill(actions) => {
                    scripts.apply(&arming, actions)
                }
                Operation::Snapshot { to, .. } => scripts.roll_back(&arming, before, *to),
                Operation::Recovery(recovery) => scripts.recover(&arming, recovery),
            },
            steps: operation.steps(),
            before: Arc::new(Reading::of(before)),
            last: arming.last,
            recovery: match operation {
                Operation::Recovery(recovery) => Some((*recovery).clone()),
                _ => None,
            },
        }
    }

    fn arming(&self, job: &Job, before: &NodeState, operation: &Operation<'_>) -> Arming {
        let version = env!("CARGO_PKG_VERSION").to_string();
        Arming {
            last: before.records.known().map_or(0, |records| records.last),
            timeout: self.context.confirm.as_secs(),
            about: vec![
                ("operator", self.context.operator.to_string()),
                ("run", self.run.clone()),
                ("node", job.node().to_string()),
                ("what", operation.what(job)),
                ("changes", operation.changes().to_string()),
                ("policy", operation.policy(job)),
                ("fwdeploy", version),
            ],
            managed: job.managed(before),
            seen: before.system.sums.clone().into_iter().collect(),
        }
    }
}

impl WriteSession<'_> {
    /// Looks again until the looks say the same, as [`ReadSession::look_until_still`] does.
    pub(in crate::engine) fn look_until_still(
        &mut self,
        stage: &Stage,
    ) -> Result<Looked, Box<Failure>> {
        self.reading.look_until_still(stage)
    }

    /// Reads everything in one exec.
    pub(in crate::engine) fn look(&mut self, stage: &Stage) -> Result<NodeState, Box<Failure>> {
        self.reading.look(stage)
    }

    /// Confirms the run.
    pub(in crate::engine) fn disarm(&mut self, number: u64) -> Result<Ending, Box<Failure>> {
        self.end(&Stage::Confirming, &self.sessions.scripts.disarm(number))
    }

    /// Rolls the node back, and waits for the end of the rollback.
    pub(in crate::engine) fn revert(&mut self, number: u64) -> Result<Ending, Box<Failure>> {
        self.end(&Stage::RollingBack, &self.sessions.scripts.revert(number))
    }

    /// Tries the rollback of an unfinished run once more, and waits for its end.
    pub(in crate::engine) fn retry_restore(&mut self, number: u64) -> Result<Ending, Box<Failure>> {
        self.end(
            &Stage::RollingBack,
            &self.sessions.scripts.retry_restore(number),
        )
    }

    /// Removes the node's records, once nothing needs them any more.
    pub(in crate::engine) fn purge(&mut self) -> Result<(), Box<Failure>> {
        let stage = Stage::Purging;
        let script = self.sessions.scripts.purge();
        let exchange = &mut self.reading.exchange;
        let context = exchange.context;
        context.emit_stage(exchange.job, stage.clone());
        let output = exchange
            .run(&script, context.limit.max(ENDING), &mut |_| {})
            .map_err(|error| Box::new(Failure::run(stage.clone(), error)))?;
        let failed = |said: &str| {
            let message = format!("the node did not remove them: {said}");
            Box::new(Failure::new(stage.clone(), FailureCode::NotPurged, message))
        };
        match Purged::read(&output.stdout) {
            Some(Purged::Done) => Ok(()),
            Some(Purged::Failed { said }) => Err(failed(&one_line(&said))),
            None => {
                let (status, said) = (output.status, tail(&output));
                Err(failed(&format!(
                    "its answer was cut off, and the script ended with status {status}{said}"
                )))
            }
        }
    }

    fn end(&mut self, stage: &Stage, script: &str) -> Result<Ending, Box<Failure>> {
        let exchange = &mut self.reading.exchange;
        let context = exchange.context;
        context.emit_stage(exchange.job, stage.clone());
        let output = exchange
            .run(script, context.limit.max(ENDING), &mut |_| {})
            .map_err(|error| Box::new(Failure::run(stage.clone(), error)))?;
        Ending::read(&output.stdout).ok_or_else(|| {
            let message = format!(
                "the node's answer was cut off: the script ended with status {}{}",
                output.status,
                tail(&output)
            );
            Box::new(Failure::new(
                stage.clone(),
                FailureCode::AnswerUnreadable,
                message,
            ))
        })
    }

    /// Arms the node and does the steps, in one exec.
    pub(in crate::engine) fn apply(&mut self, prepared: &Prepared) -> Applied {
        let exchange = &mut self.reading.exchange;
        let (context, job) = (exchange.context, exchange.job);
        let of = prepared.steps.len();
        let tell = |step: usize| {
            if step < of {
                let (step, doing) = (step + 1, prepared.doing(step));
                context.emit_stage(job, Stage::Applying { step, of, doing });
            }
        };
        tell(0);
        let mut steps = Steps::new();
        let result = exchange.run(
            &prepared.script,
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
            // A step that reported why it failed was the last one, even if the connection was lost afterwards.
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
                    tail(&output)
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
