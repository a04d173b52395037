//! One rule of the packet filter, of any owner and in any language, as far as it affects the path of a packet.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::mark::FirewallMark;
use crate::model::net::Family;
use crate::model::ranges::Ranges;
use crate::model::rule::CtState;

/// A condition of a rule. Each holds a packet's property and whether it is plain (`true`) or negated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Test {
    /// Its family.
    Family(Family),
    /// The source is one of these.
    Source(bool, Ranges),
    /// The destination is one of these.
    Destination(bool, Ranges),
    /// It came in by one of these devices (a trailing `+` or `*` matches any rest).
    In(bool, Vec<String>),
    /// It leaves by one of these.
    Out(bool, Vec<String>),
    /// Its protocol is one of these, as iptables calls them.
    Protocol(bool, Vec<String>),
    /// Its source port is in one of these ranges.
    SourcePort(bool, Vec<(u16, u16)>),
    /// Its destination port is in one of these ranges.
    DestinationPort(bool, Vec<(u16, u16)>),
    /// The state in conntrack.
    State(bool, BTreeSet<CtState>),
    /// Its destination is an address of the node.
    Local(bool),
    /// Its mark is not 0.
    Marked,
    /// It has this mark.
    Mark(bool, FirewallMark),
    /// Nothing: no ordinary first packet of a flow meets it.
    Never,
    /// It is not understood here.
    Unknown,
}

/// What a rule does with a packet that meets its conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Act {
    /// The packet goes on to the next rule.
    GoOn,
    /// It leaves the table.
    Accept,
    /// It is refused, or thrown away.
    Refuse,
    /// It returns to the calling chain.
    Return,
    /// Another chain, and back.
    Jump(String),
    /// Another chain, without coming back.
    Goto(String),
    /// Its destination becomes another; `None` is one that is not understood.
    Dnat(Option<(IpAddr, Option<u16>)>),
    /// It goes to the node itself.
    Redirect,
    /// Its source becomes another.
    Snat,
    /// It is not tracked: no rule of table nat applies to it, and its answers are not recognised as answers.
    Untrack,
    /// It gets a mark.
    Mark,
    /// A program decides, or something that is not understood.
    Elsewhere,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// How it is called in a message: its text, or its handle.
    pub text: String,
    /// The conditions; all of them must hold.
    pub tests: Vec<Test>,
    /// Its effect.
    pub act: Act,
}

/// Where the kernel enters a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// `filter`, `nat`, `route`.
    pub kind: String,
    /// `prerouting`, `input`, `forward`, `output`, `postrouting`, `ingress`.
    pub hook: String,
    /// Its place among the chains of the hook.
    pub priority: i64,
    /// Whether what falls through is thrown away.
    pub drops: bool,
}

/// A chain of an nft table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NftChain {
    /// Where the kernel enters it; `None` if only other chains do.
    pub hook: Option<Hook>,
    /// Its rules.
    pub steps: Vec<Step>,
}

/// A table of nft that iptables does not show.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NftTable {
    /// `ip`, `ip6`, `inet`, `bridge`, `netdev`, `arp`.
    pub family: String,
    /// Its name.
    pub name: String,
    /// Its chains.
    pub chains: BTreeMap<String, NftChain>,
}
