//! What the kernel holds of firewalld's own rules with the nftables backend, as far as it distinguishes what firewalld has configured
//! from what packets match.

use std::net::IpAddr;

use serde::Serialize;

use crate::model::rich::RichRule;

/// firewalld's own tables of nft.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Backend {
    /// The chains with a hook that hold a rule twice. firewalld writes each once: a second firewalld has filled the table of a first.
    pub doubled: Vec<String>,
    /// The chains with a hook that hold nothing, of those that never do.
    pub bare: Vec<String>,
    /// The forwards, in the order in which each chain has them.
    pub forwards: Vec<Forward>,
}

/// A DNAT of one of firewalld's chains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forward {
    /// The chain, such as `nat_PRE_public_allow`.
    pub chain: String,
    /// As nft prints it.
    pub text: String,
    /// Whether packets come to its chain.
    pub reached: bool,
    /// Where it leads.
    pub to: Option<IpAddr>,
    /// The rich rule from which firewalld creates it; `None` if it contains more, or something else.
    pub rule: Option<RichRule>,
}
