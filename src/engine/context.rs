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

/// What holds for every node of a run.
pub struct RunContext<'a> {
    /// The way to the nodes.
    pub transport: &'a dyn Transport,
    /// How many nodes are worked on at a time.
    pub forks: NonZeroUsize,
    /// In which waves a run takes the nodes, and how many of them may fail. A check looks at all of them.
    pub rollout: &'a Rollout,
    /// How long one script on one node may take.
    pub limit: Duration,
    /// How long to wait between two tries.
    pub pause: Duration,
    /// How long an armed node waits for a run to be confirmed, before it goes back by itself. Whole seconds.
    pub confirm: Duration,
    /// Who runs, for the node's records and for whoever else comes: a user and a machine.
    pub operator: &'a str,
    /// What the operator allows beyond the ordinary.
    pub allowed: Allowed,
    /// Whether scripts and answers are sent to the sink too.
    pub transcript: Transcript,
    /// Where everything that happens is told.
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
