//! What the guard's table has counted since it was loaded: the packets of its elements, and the flows that it has refused.
//!
//! The counters change with each packet, so they are part of no comparison between two readings.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::guard::table::SetElement;

/// The counters of a table, and what the kernel has put into its sets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GuardUsage {
    /// The elements that count, by the name of their set.
    pub elements: BTreeMap<String, Vec<CountedElement>>,
    /// The flows that were refused, at most [`GuardUsage::MOST_REFUSED`].
    pub refused: Vec<RefusedFlow>,
}

impl GuardUsage {
    /// How many refused flows are read: four sets, of which the kernel fills each up to 4,096.
    pub const MOST_REFUSED: usize = 4 * 4096;
}

/// Packets of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct Count {
    /// How many.
    pub packets: u64,
    /// Their length in bytes, with their IP headers.
    pub bytes: u64,
}

/// An element with its counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CountedElement {
    /// The element.
    pub element: SetElement,
    /// The packets that were looked up in its set and found it.
    #[serde(flatten)]
    pub count: Count,
}

/// Packets that the guard has refused, from one address to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedFlow {
    /// Their source.
    pub source: IpAddr,
    /// Their destination, as it is after DNAT.
    pub destination: IpAddr,
    /// Their protocol by the name that the node has for it (`tcp`, `ipv6-icmp`), or by its number.
    pub protocol: String,
    /// Their destination port; `None` for a protocol without ports.
    pub port: Option<u16>,
    /// How many; `None` where nft cannot count elements.
    pub count: Option<Count>,
    /// How many seconds ago the last one was refused, when the table was read; `None` if nft does not say.
    pub idle: Option<u32>,
}
