//! What the engine has from the rooms below it, as two sets of abilities: to see, and to change.
//!
//! [`Sight`] is all that a check gets. The tests put a made-up node in the place of [`Rooms`].

use crate::model::Desired;
use crate::model::NodeState;
use crate::node;
use crate::node::Arming;
use crate::plan::Action;
use crate::plan::Question;
use crate::plan::Recovery;
use crate::probe;
use crate::transport::Output;

/// How a node is looked at and judged.
pub(super) trait Sight: Sync {
    /// The script that reads everything and changes nothing.
    fn look(&self, desired: &Desired) -> String;

    /// What its answer means.
    fn observe(&self, answer: &Output) -> Result<NodeState, String>;

    /// The script that lets the node's iptables print rules that have no one spelling, where there are any. It changes nothing.
    fn ask_printed(&self, _questions: &[Question]) -> String {
        String::new()
    }
}

/// How a node is changed.
pub(super) trait Craft: Sight {
    /// The script that arms the node and does these steps, and stops at the first that fails. Its answer is for [`node::Steps`].
    fn apply(&self, arming: &Arming, actions: &[Action]) -> String;

    /// The script that arms the node and brings it to an older snapshot, as one step. Its answer is for [`node::Steps`].
    fn roll_back(&self, arming: &Arming, before: &NodeState, to: u64) -> String;

    /// The script that arms the node and makes it fit for a run. Its answer is for [`node::Steps`].
    fn recover(&self, arming: &Arming, recovery: &Recovery) -> String;

    /// The script that tries the way back from an unfinished run once more. Its answer is for [`node::Ending`].
    fn restore_again(&self, number: u64) -> String;

    /// The script that confirms a run. Its answer is for [`node::Ending`].
    fn disarm(&self, number: u64) -> String;

    /// The script that lets the node go back at once. Its answer is for [`node::Ending`].
    fn go_back(&self, number: u64) -> String;
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

    fn ask_printed(&self, questions: &[Question]) -> String {
        node::printed(questions)
    }
}

impl Craft for Rooms {
    fn apply(&self, arming: &Arming, actions: &[Action]) -> String {
        node::armed(arming, actions)
    }

    fn roll_back(&self, arming: &Arming, before: &NodeState, to: u64) -> String {
        node::rolled_back(arming, before, to)
    }

    fn recover(&self, arming: &Arming, recovery: &Recovery) -> String {
        node::recovered(arming, recovery)
    }

    fn restore_again(&self, number: u64) -> String {
        node::restored_again(number)
    }

    fn disarm(&self, number: u64) -> String {
        node::disarm(number)
    }

    fn go_back(&self, number: u64) -> String {
        node::go_back(number)
    }
}
