//! The condition of a node after something went wrong.

use std::fmt;

use crate::plan::Change;

/// The condition of a node after something went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeCondition {
    /// Nothing on it was changed.
    Untouched,
    /// What was done was rolled back, and a fresh look showed the node as it was before.
    AsBefore {
        /// When it was rolled back, by the node's clock (RFC 3339, UTC); empty if nothing had to be rolled back.
        since: String,
    },
    /// It is not as it was before; these are the differences from then to now.
    Different(Vec<Change>),
    /// All steps were done and stay. These differences from the desired state remain.
    Applied(Vec<Change>),
    /// It could no longer be reached. It is armed, and rolls itself back.
    GoesBack {
        /// Why it could not be reached.
        why: String,
        /// In how many seconds at the latest.
        within: u64,
    },
    /// It could no longer be read, and why.
    Unknown(String),
}

impl NodeCondition {
    /// A short fixed word for scripts.
    pub fn as_str(&self) -> &'static str {
        match self {
            NodeCondition::Untouched => "untouched",
            NodeCondition::AsBefore { .. } => "as_before",
            NodeCondition::GoesBack { .. } => "goes_back",
            NodeCondition::Different(_) => "different",
            NodeCondition::Applied(_) => "applied",
            NodeCondition::Unknown(_) => "unknown",
        }
    }

    /// The differences of this condition: from before to now, or from now to the desired state.
    pub fn changes(&self) -> &[Change] {
        match self {
            NodeCondition::Different(changes) | NodeCondition::Applied(changes) => changes,
            NodeCondition::Untouched
            | NodeCondition::AsBefore { .. }
            | NodeCondition::GoesBack { .. }
            | NodeCondition::Unknown(_) => &[],
        }
    }
}

impl fmt::Display for NodeCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeCondition::Untouched => f.write_str("nothing was changed"),
            NodeCondition::AsBefore { since } if since.is_empty() => {
                f.write_str("the node is as it was before, verified by a new reading")
            }
            NodeCondition::AsBefore { since } => write!(
                f,
                "the node is as it was before: it was rolled back at {since}, verified by a new reading"
            ),
            NodeCondition::GoesBack { why, within: 0 } => write!(
                f,
                "the node was armed and should have rolled itself back by now, but it could not be reached to verify this: {why}"
            ),
            NodeCondition::GoesBack { why, within } => write!(
                f,
                "the node is armed and rolls itself back within {within} s, but it could not be reached to verify this: {why}"
            ),
            NodeCondition::Different(changes) => write!(
                f,
                "the node is not as it was before: {}",
                differences(changes.len())
            ),
            NodeCondition::Applied(changes) if changes.is_empty() => {
                f.write_str("all steps were done and stay")
            }
            NodeCondition::Applied(changes) => write!(
                f,
                "all steps were done and stay; {}",
                match changes.len() {
                    1 => "1 difference from the desired state remains".to_string(),
                    n => format!("{} from the desired state remain", differences(n)),
                }
            ),
            NodeCondition::Unknown(why) => write!(f, "the condition of the node is unknown: {why}"),
        }
    }
}

/// `1 difference`, `2 differences`.
pub fn differences(count: usize) -> String {
    match count {
        1 => "1 difference".to_string(),
        n => format!("{n} differences"),
    }
}
