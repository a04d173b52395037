//! Works on many nodes at a time: a queue for each wave that a few threads empty. A failed node stops others only through the
//! [`FailureBudget`] of its wave.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use crate::engine::code::FailureCode;
use crate::engine::condition::NodeCondition;
use crate::engine::context::Differences;
use crate::engine::context::RunContext;
use crate::engine::event::Event;
use crate::engine::failure::Failure;
use crate::engine::failure_budget::FailureBudget;
use crate::engine::job::Job;
use crate::engine::outcome::NotBegun;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::rollout::BudgetExceeded;
use crate::engine::rollout::Rollout;
use crate::engine::rollout::Wave;
use crate::engine::stage::Stage;
use crate::model::NodeState;

/// Enough for libssh2 and the deepest parser, and little enough for a thousand threads.
const STACK: usize = 1024 * 1024;

/// What became of a node, and what was seen there where that is asked for.
pub(super) type Seen = (Outcome, Option<NodeState>);

/// Processes every job, whatever fails, and returns the results in the order of the jobs.
pub(super) fn all(
    jobs: &[Job],
    context: &RunContext<'_>,
    work: impl Fn(&Job) -> Outcome + Sync,
) -> Vec<Outcome> {
    let work = |job: &Job| (work(job), None);
    rolled_out(jobs, context, &Rollout::default(), work, kept(context))
}

/// As [`all`], and gives what was seen on each node to `keep`, with the place of its job, as soon as the node is done. What `keep` makes of it
/// is all that is kept.
pub(super) fn all_seen<K: Send>(
    jobs: &[Job],
    context: &RunContext<'_>,
    work: impl Fn(&Job) -> Seen + Sync,
    keep: impl Fn(usize, &Outcome, Option<NodeState>) -> K + Sync,
) -> Vec<K> {
    rolled_out(jobs, context, &Rollout::default(), work, keep)
}

/// Does the work on every job, wave by wave, until all are done or one wave has too many failures. Returns what became of each in the
/// order of the jobs.
pub(super) fn in_waves(
    jobs: &[Job],
    context: &RunContext<'_>,
    work: impl Fn(&Job) -> Outcome + Sync,
) -> Vec<Outcome> {
    let work = |job: &Job| (work(job), None);
    rolled_out(jobs, context, context.rollout, work, kept(context))
}

/// What is kept of an outcome that the sink has.
fn kept(context: &RunContext<'_>) -> impl Fn(usize, &Outcome, Option<NodeState>) -> Outcome {
    let differences = context.differences;
    move |_, outcome, _| match differences {
        Differences::Kept => outcome.clone(),
        Differences::Counted => outcome.counted(),
    }
}

fn rolled_out<K: Send>(
    jobs: &[Job],
    context: &RunContext<'_>,
    rollout: &Rollout,
    work: impl Fn(&Job) -> Seen + Sync,
    keep: impl Fn(usize, &Outcome, Option<NodeState>) -> K + Sync,
) -> Vec<K> {
    let waves = rollout.waves(jobs.len());
    let mut all = Vec::new();
    // The wave after which no node is started.
    let mut exceeded: Option<BudgetExceeded> = None;
    for (at, range) in waves.iter().enumerate() {
        let wave = Wave {
            number: at + 1,
            of: waves.len(),
            nodes: range.len(),
        };
        let first = range.start;
        let keep = |at: usize, outcome: &Outcome, state| keep(first + at, outcome, state);
        let jobs = &jobs[range.clone()];
        let begins = exceeded.is_none() && !context.stop.is_draining();
        let seen = if begins {
            if wave.of > 1 {
                context.sink.emit(Event::Wave(wave));
            }
            let budget = FailureBudget::new(wave, rollout.max_fail);
            let seen = each(jobs, context, &budget, &work, keep);
            exceeded = budget.exceeded();
            seen
        } else {
            jobs.iter().map(|_| None).collect()
        };
        let why = exceeded.map_or(NotBegun::Stopped, NotBegun::TooManyFailures);
        let left = |at, job| keep(at, &leave_alone(job, context, why), None);
        let became = jobs.iter().zip(seen).enumerate();
        all.extend(became.map(|(at, (job, kept))| kept.unwrap_or_else(|| left(at, job))));
    }
    all
}

/// Emits and returns the outcome of a node that is not started.
fn leave_alone(job: &Job, context: &RunContext<'_>, why: NotBegun) -> Outcome {
    let outcome = Outcome::not_begun(job.node(), why);
    let event = Event::Finished(Box::new(outcome.clone()));
    context.sink.emit(event);
    outcome
}

/// Processes the jobs, `forks` at a time, until all are done, the budget is exceeded or the run is stopped. Returns what is kept of
/// each in the order of the jobs; `None` for those that were not started.
fn each<K: Send>(
    jobs: &[Job],
    context: &RunContext<'_>,
    budget: &FailureBudget,
    work: impl Fn(&Job) -> Seen + Sync,
    keep: impl Fn(usize, &Outcome, Option<NodeState>) -> K + Sync,
) -> Vec<Option<K>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<K>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let worker = || {
        while !context.stop.is_draining() && budget.exceeded().is_none() {
            let at = next.fetch_add(1, Ordering::SeqCst);
            let Some(job) = jobs.get(at) else { break };
            let (outcome, state) = one(job, &work);
            let kept = keep(at, &outcome, state);
            let failed = outcome.is_failure();
            context.sink.emit(Event::Finished(Box::new(outcome)));
            if failed {
                budget.count_failure(context);
            }
            results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(kept);
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
    job.let_go();
    seen.0.duration = begun.elapsed();
    seen
}

/// A panic while one node is processed is a failure of that node only.
fn panicked(job: &Job, panic: &(dyn Any + Send)) -> Outcome {
    let said = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    let failure = Failure::new(
        Stage::Settling,
        FailureCode::Internal,
        format!("fwdeploy itself failed on this node: {said}"),
    )
    .hint("this is a bug in fwdeploy: please report it with the output of `-v`")
    .condition(NodeCondition::Unknown(
        "check it with `--check`".to_string(),
    ));
    Outcome::new(job.node(), Verdict::Failed).failed(failure)
}
