//! Marks of packets, by which the programs of a node tell each other what they have decided about one.

use std::fmt;

use serde::Serialize;

/// A mark that a rule looks for. A packet has it if its own mark is `value` in the bits of `mask`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FirewallMark {
    /// The bits that are set.
    pub value: u32,
    /// The bits that count.
    pub mask: u32,
}

impl FirewallMark {
    /// Whether a packet can get it, and has it only if somebody has given it: it is not 0, and has no bit that does not count.
    pub fn can_be_set(self) -> bool {
        self.value != 0 && self.value & !self.mask == 0
    }

    /// The bits of a packet's own mark that stay when it gets this one; nft lists them so, whichever way they were written.
    pub fn kept(self) -> u32 {
        !self.mask | self.value
    }
}

/// As Docker takes it: `0x400/0x400`, or `0x400` if every bit counts.
impl fmt::Display for FirewallMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mask {
            u32::MAX => write!(f, "{:#x}", self.value),
            mask => write!(f, "{:#x}/{mask:#x}", self.value),
        }
    }
}
