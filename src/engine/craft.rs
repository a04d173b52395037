//! What the engine has from the rooms below it, as two sets of abilities: to see, and to change.
//!
//! [`Sight`] is all that a check gets. The tests put a made-up node in the place of [`Rooms`].

use crate::model::Desired;
use crate::model::NodeState;
use crate::node;
use crate::plan::Action;
use crate::probe;
use crate::transport::Output;

/// How a node is looked at and judged.
pub(super) trait Sight: Sync {
    /// The script that reads everything and changes nothing.
    fn look(&self, desired: &Desired) -> String;

    /// What its answer means.
    fn observe(&self, answer: &Output) -> Result<NodeState, String>;
}

/// How a node is changed.
pub(super) trait Craft: Sight {
    /// The script that does these steps, and stops at the first that fails. Its answer is for [`node::Steps`].
    fn apply(&self, actions: &[Action]) -> String;

    /// The script that ends when no such script runs on the node any more.
    fn wait(&self) -> String;
}

/// The real thing.
pub(super) struct Rooms;

impl Sight for Rooms {
    fn look(&self, desired: &Desired) -> String {
        node::look(desired.zone.as_deref())
    }

    fn observe(&self, answer: &Output) -> Result<NodeState, String> {
        probe::observe(&answer.stdout, &answer.stderr).map_err(|error| error.to_string())
    }
}

impl Craft for Rooms {
    fn apply(&self, actions: &[Action]) -> String {
        node::apply(actions)
    }

    fn wait(&self) -> String {
        node::wait()
    }
}
