//! What the engine has from the rooms below it, as two sets of abilities: to see, and to change.
//!
//! [`ReadScripts`] is all that a check gets. The tests put a made-up node in the place of [`ShellScripts`].

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
pub(super) trait ReadScripts: Sync {
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
pub(super) trait WriteScripts: ReadScripts {
    /// The script that arms the node and does these steps, and stops at the first that fails. Its answer is for [`node::Steps`].
    fn apply(&self, arming: &Arming, actions: &[Action]) -> String;

    /// The script that arms the node and brings it to an older snapshot, as one step. Its answer is for [`node::Steps`].
    fn roll_back(&self, arming: &Arming, before: &NodeState, to: u64) -> String;

    /// The script that arms the node and makes it fit for a run. Its answer is for [`node::Steps`].
    fn recover(&self, arming: &Arming, recovery: &Recovery) -> String;

    /// The script that tries the way back from an unfinished run once more. Its answer is for [`node::Ending`].
    fn retry_restore(&self, number: u64) -> String;

    /// The script that confirms a run. Its answer is for [`node::Ending`].
    fn disarm(&self, number: u64) -> String;

    /// The script that lets the node go back at once. Its answer is for [`node::Ending`].
    fn revert(&self, number: u64) -> String;
}

/// The real thing.
pub(super) struct ShellScripts;

impl ReadScripts for ShellScripts {
    fn look(&self, desired: &Desired) -> String {
        node::probe_script(desired.zone.as_deref())
    }

    fn observe(&self, answer: &Output) -> Result<NodeState, String> {
        probe::observe(&answer.stdout, &answer.stderr).map_err(|error| error.to_string())
    }

    fn ask_printed(&self, questions: &[Question]) -> String {
        node::printed_script(questions)
    }
}

impl WriteScripts for ShellScripts {
    fn apply(&self, arming: &Arming, actions: &[Action]) -> String {
        node::arm_script(arming, actions)
    }

    fn roll_back(&self, arming: &Arming, before: &NodeState, to: u64) -> String {
        node::rollback_script(arming, before, to)
    }

    fn recover(&self, arming: &Arming, recovery: &Recovery) -> String {
        node::recover_script(arming, recovery)
    }

    fn retry_restore(&self, number: u64) -> String {
        node::retry_restore_script(number)
    }

    fn disarm(&self, number: u64) -> String {
        node::disarm_script(number)
    }

    fn revert(&self, number: u64) -> String {
        node::revert_script(number)
    }
}
