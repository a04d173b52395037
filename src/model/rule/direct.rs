//! A rule in its place in firewalld's direct interface, and the mark of whose it is.

use std::fmt;

use serde::Serialize;

use super::args::Args;
use super::parsed::Rule;
use super::saved::quote_saved;
use crate::model::net::Family;

/// The mark that fwdeploy puts on each direct rule as its comment: `fwdeploy:ROLE/WHAT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Tag {
    /// The role that the rule comes from.
    pub role: String,
    /// The entry of the role, such as `p2p`; `established` and `otherwise` are fwdeploy's own.
    pub what: String,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fwdeploy:{}/{}", self.role, self.what)
    }
}

impl Tag {
    /// Parses a comment; `None` if it is not fwdeploy's.
    pub fn parse(comment: &str) -> Option<Self> {
        let (role, what) = comment.strip_prefix("fwdeploy:")?.split_once('/')?;
        Some(Tag {
            role: role.to_string(),
            what: what.to_string(),
        })
    }
}

/// A rule of firewalld's direct interface (firewalld.direct(5)).
///
/// firewalld distinguishes rules by their exact arguments, so rules are compared and sorted by their place and arguments. The
/// meaning of the arguments is parsed once and kept with them ([`Args`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DirectRule {
    /// `ipv4` or `ipv6`; `None` for `eb`, which fwdeploy only carries along.
    pub family: Option<Family>,
    /// The table, such as `filter`.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// Lower goes first; equal priorities keep their order of addition.
    pub priority: i32,
    /// The arguments exactly as firewalld has them.
    pub args: Args,
}

impl DirectRule {
    /// The rule in our chain, in canonical spelling.
    pub fn ours(family: Family, priority: i32, rule: impl Into<Args>) -> Self {
        DirectRule {
            family: Some(family),
            table: "filter".to_string(),
            chain: crate::model::CHAIN.to_string(),
            priority,
            args: rule.into(),
        }
    }

    /// Whether it is in `filter DOCKER-USER` of that family.
    pub fn is_in_chain(&self, family: Family) -> bool {
        self.family == Some(family) && self.table == "filter" && self.chain == crate::model::CHAIN
    }

    /// firewalld's word for the family.
    pub fn ipv(&self) -> &'static str {
        self.family.map_or("eb", Family::name)
    }

    /// What the rule means; `None` if its arguments cannot be read.
    pub fn rule(&self) -> Option<&Rule> {
        self.args.rule()
    }
}

impl fmt::Display for DirectRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {}",
            self.ipv(),
            self.table,
            self.chain,
            self.priority
        )?;
        for arg in self.args.iter() {
            write!(f, " {}", quote_saved(arg))?;
        }
        Ok(())
    }
}
