//! The scripts that read a node, and what their answers mean.

use crate::model::Desired;
use crate::model::NodeState;
use crate::node;
use crate::plan::Question;
use crate::probe;
use crate::transport::Output;

/// Makes the scripts that read a node.
pub(in crate::engine) trait ReadScripts: Sync {
    /// The script that reads everything and changes nothing.
    fn look(&self, desired: &Desired) -> String;

    /// What its answer means.
    fn observe(&self, answer: &Output) -> Result<NodeState, String>;

    /// The script that lets the node's iptables print rules whose spelling depends on the version, if there are any. It changes nothing.
    fn ask_printed(&self, _questions: &[Question]) -> String {
        String::new()
    }
}

/// The shell scripts of [`node`], read by [`probe`].
pub(in crate::engine) struct ShellScripts;

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
