//! Many nodes at a time: a queue, a few threads, and no node that stops another but by the [`FailureBudget`] of failures.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use crate::engine::Job;
use crate::engine::RunContext;
use crate::engine::condition::NodeCondition;
use crate::engine::event::Event;
use crate::engine::event::Stage;
use crate::engine::failure::Failure;
use crate::engine::outcome::NotBegun;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::rollout::Amount;
use crate::engine::rollout::BudgetExceeded;
use crate::engine::rollout::Wave;
use crate::model::NodeState;
use crate::transport::Cancel;

/// Enough for libssh2 and the deepest parser, and little enough for a thousand threads.
const STACK: usize = 1024 * 1024;

/// The operator's wish to stop: first no new nodes, then at once.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    drain: Arc<AtomicBool>,
    leave: Cancel,
}

impl Stop {
    /// Shares two flags that somebody else raises: `drain` lets the nodes at work finish and begins no others, `leave` gives up on
    /// all of them.
    pub fn sharing(drain: Arc<AtomicBool>, leave: Arc<AtomicBool>) -> Self {
        Stop {
            drain,
            leave: Cancel::sharing(leave),
        }
    }

    /// Whether no new node is to be begun.
    pub fn is_draining(&self) -> bool {
        self.drain.load(Ordering::SeqCst) || self.leave.is_cancelled()
    }

    /// The wish to give up on the nodes at work too.
    pub fn leave(&self) -> &Cancel {
        &self.leave
    }
}

/// How many nodes of a wave may fail before no other is begun.
pub(super) struct FailureBudget {
    /// `None` is any number.
    allowed: Option<usize>,
    wave: Wave,
    failed: AtomicUsize,
    exceeded: AtomicBool,
}

impl FailureBudget {
    pub(super) fn new(wave: Wave, most: Option<Amount>) -> Self {
        FailureBudget {
            allowed: most.map(|amount| amount.of(wave.nodes)),
            wave,
            failed: AtomicUsize::new(0),
            exceeded: AtomicBool::new(false),
        }
    }

    /// By how much it was exceeded, so far.
    pub(super) fn exceeded(&self) -> Option<BudgetExceeded> {
        let exceeded = self.exceeded.load(Ordering::SeqCst);
        self.allowed
            .filter(|_| exceeded)
            .map(|allowed| BudgetExceeded {
                wave: self.wave,
                failed: self.failed.load(Ordering::SeqCst),
                allowed,
            })
    }

    /// Counts an outcome, and tells once that no other node is begun.
    fn count(&self, outcome: &Outcome, context: &RunContext<'_>) {
        if !outcome.is_failure() {
            return;
        }
        let failed = self.failed.fetch_add(1, Ordering::SeqCst) + 1;
        // Where the operator has stopped the run already, it is not the failures that did.
        if self.allowed.is_some_and(|allowed| failed > allowed)
            && !context.stop.is_draining()
            && !self.exceeded.swap(true, Ordering::SeqCst)
            && let Some(exceeded) = self.exceeded()
        {
            context.sink.emit(Event::BudgetExceeded(exceeded));
        }
    }
}

/// What became of a node, and what was seen there where that is asked for.
pub(super) type Seen = (Outcome, Option<NodeState>);

/// Does the work on every job, whatever fails, and returns what became of each in the order of the jobs.
pub(super) fn all(
    jobs: &[Job],
    context: &RunContext<'_>,
    work: impl Fn(&Job) -> Seen + Sync,
) -> Vec<Seen> {
    let wave = Wave {
        number: 1,
        of: 1,
        nodes: jobs.len(),
    };
    let limit = FailureBudget::new(wave, None);
    let seen = each(jobs, context, &limit, work);
    let left = |job| (leave_alone(job, context, NotBegun::Stopped), None);
    let seen = seen.into_iter().zip(jobs);
    seen.map(|(seen, job)| seen.unwrap_or_else(|| left(job)))
        .collect()
}

/// The outcome of a node that is not begun, told.
pub(super) fn leave_alone(job: &Job, context: &RunContext<'_>, why: NotBegun) -> Outcome {
    let outcome = Outcome::not_begun(job.node(), why);
    finished(&outcome, context);
    outcome
}

fn finished(outcome: &Outcome, context: &RunContext<'_>) {
    context
        .sink
        .emit(Event::Finished(Box::new(outcome.clone())));
}

/// Does the work on the jobs, `forks` at a time, until all are done, the limit is exceeded or somebody wants to stop. Returns what
/// became of each in the order of the jobs; nothing of those that were not begun.
pub(super) fn each(
    jobs: &[Job],
    context: &RunContext<'_>,
    limit: &FailureBudget,
    work: impl Fn(&Job) -> Seen + Sync,
) -> Vec<Option<Seen>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Seen>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let worker = || {
        while !context.stop.is_draining() && limit.exceeded().is_none() {
            let at = next.fetch_add(1, Ordering::SeqCst);
            let Some(job) = jobs.get(at) else { break };
            let seen = one(job, &work);
            finished(&seen.0, context);
            limit.count(&seen.0, context);
            results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(seen);
        }
    };
    thread::scope(|scope| {
        let mut threads = 0;
        for n in 0..context.forks.get().min(jobs.len()) {
            let builder = thread::Builder::new()
                .name(format!("node-{n}"))
                .stack_size(STACK);
            // Fewer threads only take longer.
            if builder.spawn_scoped(scope, worker).is_err() {
                break;
            }
            threads += 1;
        }
        if threads == 0 {
            worker();
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn one(job: &Job, work: &(impl Fn(&Job) -> Seen + Sync)) -> Seen {
    let begun = Instant::now();
    let mut seen = catch_unwind(AssertUnwindSafe(|| work(job)))
        .unwrap_or_else(|panic| (panicked(job, &*panic), None));
    seen.0.duration = begun.elapsed();
    seen
}

/// A mistake of ours on one node is that node's failure.
fn panicked(job: &Job, panic: &(dyn Any + Send)) -> Outcome {
    let said = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    let failure = Failure::new(
        Stage::Settling,
        "internal",
        format!("fwdeploy itself failed on this node: {said}"),
    )
    .hint("this is a mistake in fwdeploy: please report it with the output of `-v`")
    .condition(NodeCondition::Unknown(
        "look at it with `--check`".to_string(),
    ));
    Outcome::new(job.node(), Verdict::Failed).failed(failure)
}
