//! Reading a node: connect, observe, plan. Nothing here can change a node.

use crate::engine::code::FailureCode;
use crate::engine::context::RunContext;
use crate::engine::failure::Failure;
use crate::engine::job::Job;
use crate::engine::scripts::ReadScripts;
use crate::engine::session::exchange::Exchange;
use crate::engine::session::exchange::tail;
use crate::engine::stage::Stage;
use crate::engine::turn::Turn;
use crate::model::NodeState;
use crate::plan;
use crate::plan::Motion;
use crate::plan::Plan;
use crate::plan::Question;
use crate::probe;
use crate::transport::Output;
use crate::transport::RunError;

/// How often a node that may be in motion is read again at most, with a pause before each reading.
const LOOKS: usize = 5;

/// The same while a daemon starts, as after a boot.
const LOOKS_AT_A_START: usize = 15;

/// How many further readings must be the same. Docker may need more than a second before it is notified of a reload, and until then
/// its rules are all missing; restoring the last of them may take as long again.
const REST: usize = 2;

/// Makes [`ReadSession`].
pub(in crate::engine) struct ReadSessions<'a> {
    context: &'a RunContext<'a>,
    scripts: &'a dyn ReadScripts,
}

/// A node as it was read, and what is to be done there.
pub(in crate::engine) struct Looked {
    pub(in crate::engine) state: NodeState,
    /// By what the run may do ([`RunContext::allowed`]).
    pub(in crate::engine) plan: Plan,
}

/// A connection over which a node can only be read.
pub(in crate::engine) struct ReadSession<'a> {
    scripts: &'a dyn ReadScripts,
    pub(super) exchange: Exchange<'a>,
}

impl<'a> ReadSessions<'a> {
    pub(in crate::engine) fn new(
        context: &'a RunContext<'a>,
        scripts: &'a dyn ReadScripts,
    ) -> Self {
        ReadSessions { context, scripts }
    }

    /// Connects to the job's node.
    pub(in crate::engine) fn open(
        &self,
        job: &'a Job,
        stage: &Stage,
    ) -> Result<ReadSession<'a>, Box<Failure>> {
        Ok(ReadSession {
            scripts: self.scripts,
            exchange: Exchange::open(self.context, job, stage)?,
        })
    }

    /// Connects to the job's node, and looks for the first time: again where the node may be in motion.
    pub(in crate::engine) fn look(
        &self,
        job: &'a Job,
    ) -> Result<(Looked, ReadSession<'a>), Box<Failure>> {
        let mut session = self.open(job, &Stage::Connecting)?;
        Ok((session.look_until_still(&Stage::Looking)?, session))
    }
}

impl ReadSession<'_> {
    /// Reads again until the readings agree, if the first one may be of a passing state: firewalld has just been reloaded, a daemon is
    /// starting, or another run is starting. The last reading counts. Most nodes are read once.
    pub(in crate::engine) fn look_until_still(
        &mut self,
        stage: &Stage,
    ) -> Result<Looked, Box<Failure>> {
        let (context, job) = (self.exchange.context, self.exchange.job);
        let mut before: Option<Plan> = None;
        let mut same = 0;
        let mut looks = 0;
        loop {
            let (state, turn) = self.look_in_turn(stage)?;
            let plan = job.plan(&state, &context.allowed);
            let Some(motion) = plan::motion(&state, &plan) else {
                return Ok(Looked { state, plan });
            };
            drop(turn);
            same = match before.as_ref() == Some(&plan) {
                true => same + 1,
                false => 0,
            };
            let most = match motion {
                Motion::Starting => LOOKS_AT_A_START,
                Motion::Moving => LOOKS,
            };
            // Rules that change all the time, such as those of a ban list, are no reason to wait forever.
            let at_rest = motion == Motion::Moving && same >= REST;
            if at_rest || looks >= most || !context.stop.wait(context.pause) {
                return Ok(Looked { state, plan });
            }
            before = Some(plan);
            looks += 1;
        }
    }

    /// Reads everything in one exec. The stage was already emitted if it started with a new connection.
    pub(in crate::engine) fn look(&mut self, stage: &Stage) -> Result<NodeState, Box<Failure>> {
        let (state, _) = self.look_in_turn(stage)?;
        Ok(state)
    }

    /// The same, with the turn in which the answer was read: what is made of the state at once needs no other.
    fn look_in_turn(&mut self, stage: &Stage) -> Result<(NodeState, Turn<'static>), Box<Failure>> {
        let (context, job) = (self.exchange.context, self.exchange.job);
        if *stage == Stage::Looking {
            context.emit_stage(job, Stage::Looking);
        }
        let output = self.ask(&self.scripts.look(&job.desired()), stage)?;
        if output.status != 0 {
            let said = tail(&output);
            let message = format!(
                "the node could not be read: the reading script ended with status {}{said}",
                output.status
            );
            return Err(Box::new(Failure::new(
                stage.clone(),
                FailureCode::LookFailed,
                message,
            )));
        }
        let turn = Turn::wait();
        let mut state = self.scripts.observe(&output).map_err(|why| {
            let message = format!("the node could not be read: {why}");
            Box::new(Failure::new(
                stage.clone(),
                FailureCode::AnswerUnreadable,
                message,
            ))
        })?;
        drop(output);
        // Most nodes have none.
        let questions = plan::questions(&state);
        if questions.is_empty() || state.system.uid != 0 {
            return Ok((state, turn));
        }
        drop(turn);
        self.ask_printed(stage, questions, &mut state)?;
        Ok((state, Turn::wait()))
    }

    /// Asks the node's own iptables how it prints the rules whose spelling is its own.
    fn ask_printed(
        &mut self,
        stage: &Stage,
        questions: Vec<Question>,
        state: &mut NodeState,
    ) -> Result<(), Box<Failure>> {
        let output = self.ask(&self.scripts.ask_printed(&questions), stage)?;
        for question in questions {
            if let Some(tables) = state.kernel.tables_mut(question.family).known_mut() {
                tables.printed = probe::printed(&output.stdout, question.family, &question.rules);
            }
        }
        Ok(())
    }

    fn ask(&mut self, script: &str, stage: &Stage) -> Result<Output, Box<Failure>> {
        let limit = self.exchange.context.limit;
        self.exchange
            .run(script, limit, &mut |_| {})
            .map_err(|error| Box::new(look_failure(stage, error)))
    }
}

fn look_failure(stage: &Stage, error: RunError) -> Failure {
    let failure = Failure::run(stage.clone(), error);
    match failure.code {
        FailureCode::TimedOut => failure.hint(
            "a daemon there may hang: try `busctl status org.fedoraproject.FirewallD1` and `docker info` on the node, or allow more time with `--command-timeout`",
        ),
        _ => failure,
    }
}
