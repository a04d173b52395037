//! Many nodes at a time: a queue, a few threads, and no node that stops another.

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

use crate::engine::Conditions;
use crate::engine::Job;
use crate::engine::event::Event;
use crate::engine::event::Stage;
use crate::engine::failure::Failure;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::standing::Standing;
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

/// What became of a node, and what was seen there where that is asked for.
pub(super) type Seen = (Outcome, Option<NodeState>);

/// Does the work on every job, `forks` at a time, and returns what became of each in the order of the jobs.
pub(super) fn each(
    jobs: &[Job],
    conditions: &Conditions<'_>,
    work: impl Fn(&Job) -> Seen + Sync,
) -> Vec<Seen> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Seen>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let worker = || {
        while let Some((at, job)) = {
            let at = next.fetch_add(1, Ordering::SeqCst);
            jobs.get(at).map(|job| (at, job))
        } {
            let seen = one(job, conditions, &work);
            conditions
                .sink
                .tell(Event::Finished(Box::new(seen.0.clone())));
            results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(seen);
        }
    };
    thread::scope(|scope| {
        let mut threads = 0;
        for n in 0..conditions.forks.get().min(jobs.len()) {
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
    results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_iter()
        .zip(jobs)
        .map(|(seen, job)| {
            seen.unwrap_or_else(|| (Outcome::new(job.node(), Verdict::Skipped), None))
        })
        .collect()
}

fn one(job: &Job, conditions: &Conditions<'_>, work: &(impl Fn(&Job) -> Seen + Sync)) -> Seen {
    if conditions.stop.is_draining() {
        return (Outcome::new(job.node(), Verdict::Skipped), None);
    }
    let begun = Instant::now();
    let mut seen = catch_unwind(AssertUnwindSafe(|| work(job)))
        .unwrap_or_else(|panic| (broken(job, &*panic), None));
    seen.0.took = begun.elapsed();
    seen
}

/// A mistake of ours on one node is that node's failure.
fn broken(job: &Job, panic: &(dyn Any + Send)) -> Outcome {
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
    .standing(Standing::Unknown("look at it with `--check`".to_string()));
    Outcome::new(job.node(), Verdict::Failed).failed(failure)
}
