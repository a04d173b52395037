//! What happens on the way, told as it happens.

use std::fmt;
use std::sync::mpsc::Sender;

use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::rollout::BudgetExceeded;
use crate::engine::rollout::Wave;

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

/// Where a node is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Connecting and logging in.
    Connecting,
    /// Reading what is there.
    Looking,
    /// Changing it.
    Applying {
        /// The number of this step, from 1.
        step: usize,
        /// How many steps there are.
        of: usize,
        /// What it does, such as `adding rules`.
        doing: &'static str,
    },
    /// Looking again, on a new connection.
    Verifying,
    /// Saying that the run stays.
    Confirming,
    /// Waiting until the node has gone back by itself.
    Waiting,
    /// Letting the node go back to the state before.
    RollingBack,
    /// Finding out how things stand after something went wrong.
    Settling,
}

impl Stage {
    /// The stage as one word for scripts.
    pub fn as_str(&self) -> &'static str {
        match self {
            Stage::Connecting => "connect",
            Stage::Looking => "look",
            Stage::Applying { .. } => "apply",
            Stage::Verifying => "verify",
            Stage::Confirming => "confirm",
            Stage::Waiting => "wait",
            Stage::RollingBack => "roll back",
            Stage::Settling => "settle",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Connecting => f.write_str("connecting"),
            Stage::Looking => f.write_str("looking"),
            Stage::Applying { step, of, doing } => write!(f, "step {step} of {of}: {doing}"),
            Stage::Verifying => f.write_str("verifying on a new connection"),
            Stage::Confirming => f.write_str("confirming"),
            Stage::Waiting => f.write_str("waiting until it has gone back by itself"),
            Stage::RollingBack => f.write_str("rolling back"),
            Stage::Settling => f.write_str("finding out how it stands"),
        }
    }
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
