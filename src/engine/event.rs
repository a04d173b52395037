//! What happens on the way, told as it happens.

use std::sync::mpsc::Sender;

use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::rollout::BudgetExceeded;
use crate::engine::rollout::Wave;
use crate::engine::stage::Stage;

/// Something that happened. The events of one node come in order; those of several are mixed.
#[derive(Debug, Clone)]
pub enum Event {
    /// A wave begins; every node of the wave before is finished. Only where there are several.
    Wave(Wave),
    /// More nodes of a wave failed than may: those at work are finished, no others are begun.
    BudgetExceeded(BudgetExceeded),
    /// The run failed, and these nodes, which it has changed, are taken back. They finish once more; what they ended as does not
    /// hold any longer.
    TakingBack(Vec<(String, Verdict)>),
    /// A node is at a new stage. The first event of every node that is begun.
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
    /// Nothing more is done on the node. The last event of every node, begun or not.
    Finished(Box<Outcome>),
}

/// Whether scripts and answers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transcript {
    /// They are, as for `-v`.
    On,
    /// They are not.
    Off,
}

/// Whoever listens.
pub trait EventSink: Sync {
    /// Takes an event. It is called from many threads and must not wait for anything slow.
    fn emit(&self, event: Event);
}

impl EventSink for Sender<Event> {
    fn emit(&self, event: Event) {
        // Nobody listening any more is no reason to leave a node half done.
        let _ = self.send(event);
    }
}
