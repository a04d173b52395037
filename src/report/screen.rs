//! What is shown while a fleet is processed, and where.

use std::time::Instant;

use crate::engine::Wave;
use crate::report::Purpose;
use crate::report::summary::Summary;
use crate::report::text::Diff;

/// How much progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// What a person needs.
    Quiet,
    /// Each remote step and its answer (`-v`).
    Steps,
    /// Each script and answer in full (`-vv`).
    Everything,
}

/// What to show.
#[derive(Debug, Clone)]
pub struct Show {
    /// What the fleet was asked for.
    pub purpose: Purpose,
    /// The names of the nodes.
    pub nodes: Vec<String>,
    /// The names of the nodes that are only read, after the others: no role applies to them.
    pub others: Vec<String>,
    /// How many nodes are worked on at a time.
    pub forks: usize,
    /// How much progress is shown.
    pub verbosity: Verbosity,
    /// How each node's outcome is printed to stdout; `None` prints none, as for `--json`.
    pub outcomes: Option<Diff>,
    /// Whether stderr is a terminal that bars can be drawn on.
    pub screen: Screen,
}

/// What stderr is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// A terminal.
    Terminal,
    /// A file, a pipe, or a terminal that cannot move its cursor.
    Lines,
}

/// A node that is being worked on.
pub(super) struct AtWork {
    pub(super) node: String,
    pub(super) stage: String,
    pub(super) since: Instant,
}

/// What the screen shows.
pub(super) struct FleetProgress {
    pub(super) nodes: usize,
    /// Those that are only read, after all others.
    pub(super) others: usize,
    /// The current wave, if there are several.
    pub(super) wave: Option<Wave>,
    /// The nodes at work, those that started first come first.
    pub(super) at_work: Vec<AtWork>,
    pub(super) done: Summary,
    pub(super) begun: Instant,
}

impl FleetProgress {
    /// How many nodes there are in all.
    pub(super) fn all(&self) -> usize {
        self.nodes + self.others
    }

    /// Nodes that have not been started, of those that are not only read.
    pub(super) fn waiting(&self) -> usize {
        self.nodes
            .saturating_sub(self.done.nodes + self.at_work.len())
    }
}
