//! Counts the failures of a wave over all threads, and decides when no other node is started.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::engine::context::RunContext;
use crate::engine::event::Event;
use crate::engine::rollout::Amount;
use crate::engine::rollout::BudgetExceeded;
use crate::engine::rollout::Wave;

/// How many nodes of a wave may fail before no other is started.
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

    /// Counts a failure. Emits an event once, when no other node is started.
    pub(super) fn count_failure(&self, context: &RunContext<'_>) {
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
