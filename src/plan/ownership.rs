//! Which rules on a node are ours: what is tagged, what names a managed address, and what does just what a wanted
//! rule does (an operator's own hand-made rule, such as the one for established traffic).

use std::collections::BTreeSet;

use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rich::RichRule;
use crate::model::rule::DirectRule;
use crate::model::rule::Match;
use crate::model::rule::Rule;
use crate::model::rule::Tag;
use crate::model::state::NodeState;

/// What makes a rule ours on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    managed: BTreeSet<Cidr>,
    meanings: BTreeSet<(Family, Rule)>,
}

impl Ours {
    /// Reads off what the roles manage, and what an earlier run managed: the addresses that tagged rules are about.
    pub fn new(desired: &Desired, state: &NodeState) -> Self {
        let mut managed = desired.managed();
        for direct in [&state.permanent.direct, &state.runtime.direct] {
            for rule in direct.known().iter().flat_map(|d| &d.rules) {
                managed.extend(tagged_addresses(rule));
            }
        }
        let meanings = desired
            .rules
            .iter()
            .filter_map(|r| Some((r.family?, r.rule()?.meaning())))
            .collect();
        Ours { managed, meanings }
    }

    /// Whether a rule of DOCKER-USER is ours.
    pub fn rule(&self, family: Family, rule: &Rule) -> bool {
        tag(rule).is_some()
            || rule.networks().any(|(_, net)| self.managed.contains(&net))
            || self.meanings.contains(&(family, rule.meaning()))
    }

    /// Whether a direct rule is ours. Only DOCKER-USER is ever touched.
    pub fn direct(&self, rule: &DirectRule) -> bool {
        match (rule.family, rule.rule()) {
            (Some(family), Some(parsed)) => rule.is_in_chain(family) && self.rule(family, &parsed),
            _ => false,
        }
    }

    /// Whether a rich rule is ours: rich rules carry no comment, so only what it is about counts.
    pub fn rich(&self, rule: &RichRule) -> bool {
        rule.about().is_some_and(|net| self.managed.contains(&net))
    }

    /// The managed networks and addresses of a family.
    pub fn managed(&self, family: Family) -> Vec<Cidr> {
        self.managed
            .iter()
            .copied()
            .filter(|net| net.family() == family)
            .collect()
    }
}

/// The tag of a rule, if it has one.
pub fn tag(rule: &Rule) -> Option<Tag> {
    rule.comment.as_deref().and_then(Tag::parse)
}

/// The container or subnet that a tagged rule is about: never the peer.
fn tagged_addresses(rule: &DirectRule) -> Vec<Cidr> {
    let Some(parsed) = rule.rule().filter(|r| tag(r).is_some()) else {
        return Vec::new();
    };
    parsed
        .matches()
        .filter_map(|m| match (rule.priority, m) {
            (100 | 900, Match::Destination(_, net)) => Some(*net),
            (200 | 1000, Match::Source(_, net)) => Some(*net),
            _ => None,
        })
        .collect()
}
