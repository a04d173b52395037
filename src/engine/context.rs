//! What holds for every node of a run.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::engine::event::Event;
use crate::engine::event::EventSink;
use crate::engine::event::Transcript;
use crate::engine::job::Job;
use crate::engine::rollout::Rollout;
use crate::engine::stage::Stage;
use crate::engine::stop::Stop;
use crate::plan::Allowed;
use crate::transport::Transport;

/// Whether the differences of a node are needed once the sink has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differences {
    /// They are kept to the end, for one document.
    Kept,
    /// Only how many they were.
    Counted,
}

/// What holds for every node of a run.
pub struct RunContext<'a> {
    /// The way to the nodes.
    pub transport: &'a dyn Transport,
    /// How many nodes are worked on at a time.
    pub forks: NonZeroUsize,
    /// The waves of a run, and how many nodes of a wave may fail. A check reads all nodes at once.
    pub rollout: &'a Rollout,
    /// How long one script on one node may take.
    pub limit: Duration,
    /// How long to wait between two tries.
    pub pause: Duration,
    /// How long an armed node waits for the run to be confirmed before it rolls itself back. Whole seconds.
    pub confirm: Duration,
    /// The operator, for the node's records and for other operators: a user and a machine.
    pub operator: &'a str,
    /// What the operator allows beyond the ordinary.
    pub allowed: Allowed,
    /// Whether scripts and answers are sent to the sink too.
    pub transcript: Transcript,
    /// What is kept of a node that is done.
    pub differences: Differences,
    /// Receives all events.
    pub sink: &'a dyn EventSink,
    /// The operator's wish to stop.
    pub stop: &'a Stop,
}

impl RunContext<'_> {
    /// Emits the stage that the job's node is at.
    pub(super) fn emit_stage(&self, job: &Job, stage: Stage) {
        self.sink.emit(Event::Stage {
            node: job.node().to_string(),
            stage,
        });
    }
}
