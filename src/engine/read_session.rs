//! Looking at a node: connect, read, judge. No value here can change one.

use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::engine::Job;
use crate::engine::RunContext;
use crate::engine::event::Event;
use crate::engine::event::Stage;
use crate::engine::event::Transcript;
use crate::engine::failure::Failure;
use crate::engine::scripts::ReadScripts;
use crate::model::NodeState;
use crate::plan;
use crate::plan::Allowed;
use crate::plan::Motion;
use crate::plan::Plan;
use crate::probe;
use crate::transport::Connection;
use crate::transport::Output;
use crate::transport::RunError;

/// Makes [`ReadSession`].
pub(super) struct ReadSessions<'a> {
    context: &'a RunContext<'a>,
    scripts: &'a dyn ReadScripts,
}

/// A connection that can be looked through and nothing else.
pub(super) struct ReadSession<'a> {
    sessions: &'a ReadSessions<'a>,
    job: &'a Job,
    connection: Box<dyn Connection>,
}

impl<'a> ReadSessions<'a> {
    pub(super) fn new(context: &'a RunContext<'a>, scripts: &'a dyn ReadScripts) -> Self {
        ReadSessions { context, scripts }
    }

    /// Connects to the job's node.
    pub(super) fn open(&'a self, job: &'a Job) -> Result<ReadSession<'a>, Box<Failure>> {
        let connection = connect(self.context, job, &Stage::Connecting)?;
        Ok(ReadSession {
            sessions: self,
            job,
            connection,
        })
    }

    /// Judges what was seen.
    pub(super) fn plan(&self, state: &NodeState, job: &Job) -> Plan {
        judged(state, job, &self.context.allowed)
    }
}

impl ReadSession<'_> {
    /// Reads everything in one exec, and once more as long as the node may be in motion.
    pub(super) fn look_until_still(&mut self) -> Result<NodeState, Box<Failure>> {
        let first = self.look()?;
        let (context, job) = (self.sessions.context, self.job);
        until_still(context, job, first, &mut || self.look_at(&Stage::Looking))
    }

    /// Reads everything in one exec.
    pub(super) fn look(&mut self) -> Result<NodeState, Box<Failure>> {
        self.look_at(&Stage::Looking)
    }

    fn look_at(&mut self, stage: &Stage) -> Result<NodeState, Box<Failure>> {
        emit_stage(self.sessions.context, self.job, stage.clone());
        look(
            self.sessions.context,
            self.sessions.scripts,
            self.job,
            &mut *self.connection,
            stage,
        )
    }
}

/// Judges what was seen. What is wrong with the inventory is said with its place there.
pub(super) fn judged(state: &NodeState, job: &Job, allowed: &Allowed) -> Plan {
    let mut plan = plan::plan(state, &job.desired, allowed);
    if let Some(place) = &job.zone_at {
        for finding in plan.findings.iter_mut().filter(|f| f.code == "no-zone") {
            finding.text = format!("{place}: {}", finding.text);
        }
    }
    plan
}

/// How often a node that may be in motion is looked at again at most, with a pause before each.
const LOOKS: usize = 5;

/// The same while a daemon starts, as after a boot.
const LOOKS_AT_A_START: usize = 15;

/// How often the same has to be seen again. Docker may need more than a second before it hears of a reload, and until then its rules
/// are all gone; and it may take as long over the last of them.
const REST: usize = 2;

/// Looks again until the looks say the same, if what the first has seen may be of a moment: somebody has just reloaded firewalld, a
/// daemon starts, another run begins. The last look is the one that counts. Most nodes are looked at once.
pub(super) fn until_still(
    context: &RunContext<'_>,
    job: &Job,
    first: NodeState,
    again: &mut dyn FnMut() -> Result<NodeState, Box<Failure>>,
) -> Result<NodeState, Box<Failure>> {
    let mut state = first;
    let mut before: Option<Plan> = None;
    let mut same = 0;
    for looks in 0.. {
        let plan = plan::plan(&state, &job.desired, &context.allowed);
        let Some(motion) = plan::motion(&state, &plan) else {
            break;
        };
        same = match before.as_ref() == Some(&plan) {
            true => same + 1,
            false => 0,
        };
        let most = match motion {
            Motion::Starting => LOOKS_AT_A_START,
            Motion::Moving => LOOKS,
        };
        // Rules that change all the time, such as a ban list's, are no reason to wait for ever.
        let at_rest = motion == Motion::Moving && same >= REST;
        if at_rest || looks >= most || !wait(context) {
            break;
        }
        before = Some(plan);
        state = again()?;
    }
    Ok(state)
}

/// Waits for a pause; `false` if the operator leaves meanwhile.
fn wait(context: &RunContext<'_>) -> bool {
    let leaving = || context.stop.leave().is_cancelled();
    let end = Instant::now() + context.pause;
    while !leaving() && Instant::now() < end {
        thread::sleep(Duration::from_millis(20).min(context.pause));
    }
    !leaving()
}

/// Tells the stage and connects.
pub(super) fn connect(
    context: &RunContext<'_>,
    job: &Job,
    stage: &Stage,
) -> Result<Box<dyn Connection>, Box<Failure>> {
    emit_stage(context, job, stage.clone());
    context
        .transport
        .connect(&job.target, context.stop.leave())
        .map_err(|error| Box::new(Failure::connect(stage.clone(), &error)))
}

/// Reads everything in one exec.
pub(super) fn look(
    context: &RunContext<'_>,
    scripts: &dyn ReadScripts,
    job: &Job,
    connection: &mut dyn Connection,
    stage: &Stage,
) -> Result<NodeState, Box<Failure>> {
    let script = scripts.look(&job.desired);
    let output = exchange(
        context,
        job,
        connection,
        &script,
        context.limit,
        &mut |_| {},
    )
    .map_err(|error| Box::new(look_failure(stage, &error)))?;
    if output.status != 0 {
        let said = tail(&output);
        let message = format!(
            "the node could not be read: the reading script ended with status {}{said}",
            output.status
        );
        return Err(Box::new(Failure::new(
            stage.clone(),
            "look-failed",
            message,
        )));
    }
    let mut state = scripts.observe(&output).map_err(|why| {
        let message = format!("the node could not be read: {why}");
        Box::new(Failure::new(stage.clone(), "answer-unreadable", message))
    })?;
    printed(context, scripts, job, connection, stage, &mut state)?;
    Ok(state)
}

/// Asks the node's own iptables how it prints the rules whose spelling is its own. Most nodes have none.
fn printed(
    context: &RunContext<'_>,
    scripts: &dyn ReadScripts,
    job: &Job,
    connection: &mut dyn Connection,
    stage: &Stage,
    state: &mut NodeState,
) -> Result<(), Box<Failure>> {
    let questions = plan::questions(state);
    if questions.is_empty() || state.system.uid != 0 {
        return Ok(());
    }
    let output = exchange(
        context,
        job,
        connection,
        &scripts.ask_printed(&questions),
        context.limit,
        &mut |_| {},
    )
    .map_err(|error| Box::new(look_failure(stage, &error)))?;
    for question in questions {
        if let Some(tables) = state.kernel.tables_mut(question.family).known_mut() {
            tables.printed = probe::printed(&output.stdout, question.family, &question.rules);
        }
    }
    Ok(())
}

fn look_failure(stage: &Stage, error: &RunError) -> Failure {
    let failure = Failure::run(stage.clone(), error);
    match error {
        RunError::TimedOut { .. } => failure.hint(
            "a daemon there may hang: try `busctl status org.fedoraproject.FirewallD1` and `docker info` on the node, or give it more time with `--command-timeout`",
        ),
        _ => failure,
    }
}

/// Runs a script, and tells script and answer where somebody wants them.
pub(super) fn exchange(
    context: &RunContext<'_>,
    job: &Job,
    connection: &mut dyn Connection,
    script: &str,
    limit: Duration,
    on_stdout: &mut dyn FnMut(&[u8]),
) -> Result<Output, RunError> {
    let told = context.transcript == Transcript::On;
    if told {
        context.sink.emit(Event::Sent {
            node: job.node().to_string(),
            script: script.to_string(),
        });
    }
    let result = connection.run(script, limit, on_stdout, context.stop.leave());
    if told {
        let (status, stdout, stderr) = match &result {
            Ok(output) => (Ok(output.status), &*output.stdout, &*output.stderr),
            Err(error) => {
                let partial = error.partial();
                (
                    Err(error.to_string()),
                    partial.map_or(&[][..], |p| &p.stdout),
                    partial.map_or(&[][..], |p| &p.stderr),
                )
            }
        };
        context.sink.emit(Event::Answered {
            node: job.node().to_string(),
            status,
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            stderr: String::from_utf8_lossy(stderr).into_owned(),
        });
    }
    result
}

/// Tells that the node is at a stage.
pub(super) fn emit_stage(context: &RunContext<'_>, job: &Job, stage: Stage) {
    context.sink.emit(Event::Stage {
        node: job.node().to_string(),
        stage,
    });
}

/// The end of what a script complained about, as `: …`, or nothing.
pub(super) fn tail(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    // Three lines say what broke; the rest is under `-v`.
    let mut lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .rev()
        .take(3)
        .collect();
    lines.reverse();
    if lines.is_empty() {
        String::new()
    } else {
        format!(": {}", lines.join("; "))
    }
}
