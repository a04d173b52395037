//! firewalld's direct configuration: chains, rules and passthroughs.

use serde::Serialize;

use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::rule::Passthrough;

/// A chain of firewalld's direct interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DirectChain {
    /// `ipv4`, `ipv6` or `eb`.
    pub ipv: String,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
}

impl DirectChain {
    /// DOCKER-USER of a family.
    pub fn ours(family: Family) -> Self {
        DirectChain {
            ipv: family.name().to_string(),
            table: "filter".to_string(),
            chain: crate::model::CHAIN.to_string(),
        }
    }
}

/// firewalld's direct configuration, in one of its two views.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Direct {
    /// The chains.
    pub chains: Vec<DirectChain>,
    /// The rules, in firewalld's order.
    pub rules: Vec<DirectRule>,
    /// The passthroughs.
    pub passthroughs: Vec<Passthrough>,
}

impl Direct {
    /// Whether firewalld owns DOCKER-USER in that family.
    pub fn owns(&self, family: Family) -> bool {
        self.chains.contains(&DirectChain::ours(family))
    }

    /// The rules of DOCKER-USER in that family, in the order in which the kernel should hold them:
    /// by priority, equal priorities in the order of addition (firewalld.direct(5)).
    pub fn chain(&self, family: Family) -> Vec<&DirectRule> {
        let mut rules: Vec<&DirectRule> = self
            .rules
            .iter()
            .filter(|r| r.is_in_chain(family))
            .collect();
        rules.sort_by_key(|r| r.priority);
        rules
    }
}
