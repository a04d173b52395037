//! Progress events, emitted as they happen.

use std::sync::mpsc::Sender;

use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::rollout::BudgetExceeded;
use crate::engine::rollout::Wave;
use crate::engine::stage::Stage;

/// Something that happened. The events of one node come in order; those of several are mixed.
#[derive(Debug, Clone)]
pub enum Event {
    /// A wave starts; every node of the wave before is finished. Only emitted if there are several.
    Wave(Wave),
    /// More nodes of a wave failed than allowed: the nodes at work are finished, no others are started.
    BudgetExceeded(BudgetExceeded),
    /// The run failed, and these nodes, which it has changed, are rolled back. Each of them emits `Finished` once more, which replaces
    /// its first result.
    TakingBack(Vec<(String, Verdict)>),
    /// A node is at a new stage. The first event of every node that is started.
    Stage {
        /// The node.
        node: String,
        /// The stage.
        stage: Stage,
    },
    /// A script went to the node. Only with [`Transcript::On`].
    Sent {
        /// The node.
        node: String,
        /// The script.
        script: String,
    },
    /// The node answered a script. Only with [`Transcript::On`].
    Answered {
        /// The node.
        node: String,
        /// The script's exit status, or why there is none.
        status: Result<i32, String>,
        /// Standard output.
        stdout: String,
        /// Standard error.
        stderr: String,
    },
    /// Nothing more is done on the node. The last event of every node, whether or not it was started.
    Finished(Box<Outcome>),
}

/// Whether scripts and answers are emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transcript {
    /// They are, as for `-v`.
    On,
    /// They are not.
    Off,
}

/// A receiver of events.
pub trait EventSink: Sync {
    /// Takes an event. It is called from many threads and must not wait for anything slow.
    fn emit(&self, event: Event);
}

impl EventSink for Sender<Event> {
    fn emit(&self, event: Event) {
        // A receiver that has gone is no reason to leave a node unfinished.
        let _ = self.send(event);
    }
}
