//! The scripts that change a node.

use crate::engine::scripts::read::ReadScripts;
use crate::engine::scripts::read::ShellScripts;
use crate::model::NodeState;
use crate::node;
use crate::node::Arming;
use crate::plan::Action;
use crate::plan::Recovery;

/// Makes the scripts that change a node.
pub(in crate::engine) trait WriteScripts: ReadScripts {
    /// The script that arms the node and does these steps, and stops at the first that fails. Its answer is for [`node::Steps`].
    fn apply(&self, arming: &Arming, actions: &[Action]) -> String;

    /// The script that arms the node and restores an older snapshot, as one step. Its answer is parsed by [`node::Steps`].
    fn roll_back(&self, arming: &Arming, before: &NodeState, to: u64) -> String;

    /// The script that arms the node and makes it fit for a run. Its answer is for [`node::Steps`].
    fn recover(&self, arming: &Arming, recovery: &Recovery) -> String;

    /// The script that tries the rollback of an unfinished run once more. Its answer is parsed by [`node::Ending`].
    fn retry_restore(&self, number: u64) -> String;

    /// The script that confirms a run. Its answer is for [`node::Ending`].
    fn disarm(&self, number: u64) -> String;

    /// The script that removes the node's records. Its answer is for [`node::Purged`].
    fn purge(&self) -> String;

    /// The script that rolls the node back immediately. Its answer is parsed by [`node::Ending`].
    fn revert(&self, number: u64) -> String;
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

    fn purge(&self) -> String {
        node::purge_script()
    }

    fn revert(&self, number: u64) -> String {
        node::revert_script(number)
    }
}
