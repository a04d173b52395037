//! What compiling has to know about a node besides its roles.

use crate::model::Date;
use crate::model::Ipsets;
use crate::model::Port;
use crate::role::Located;

/// What compiling has to know about the node besides its roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeContext {
    /// The node's name in the inventory, for messages.
    pub node: String,
    /// The zone for rich rules; `None` is the node's default zone.
    pub zone: Option<Located<String>>,
    /// From how many peers on the peers of a list are put into a set.
    pub ipsets: Ipsets,
    /// The port at which the operator's ssh comes in: it must never be forwarded away.
    pub ssh_port: Port,
    /// The day on which the files are read, in UTC: an audit may be over.
    pub today: Date,
}
