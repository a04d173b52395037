//! Which rules on a node are ours: what is tagged, what names a managed address, and what does just what a wanted
//! rule does (an operator's own hand-made rule, such as the one for established traffic).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::desired::Desired;
use crate::model::guard::mangle::MangleChain;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rich::RichRule;
use crate::model::rule::DirectRule;
use crate::model::rule::Match;
use crate::model::rule::Rule;
use crate::model::rule::Tag;
use crate::model::state::KernelRule;
use crate::model::state::NodeState;
use crate::model::state::Printed;
pub use crate::policy::Edge;
use crate::policy::compile;

/// What makes a rule ours on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    managed: BTreeSet<Cidr>,
    meanings: BTreeSet<(Family, Rule)>,
    /// The bridge of each network, by its subnet, as far as it is known.
    bridges: BTreeMap<Cidr, String>,
    /// What the node's iptables makes of rules whose meaning it alone knows.
    printed: BTreeMap<(Family, Vec<String>), Vec<Rule>>,
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
        Ours {
            managed,
            meanings,
            bridges: bridges(desired, state),
            printed: printed(state),
        }
    }

    /// The same where nothing of ours is to stay: `known` are the addresses that are ours by something else than a tagged rule. What only does
    /// the same as a rule of a role was made by somebody else, since each rule of ours is tagged.
    pub(super) fn of_removal(known: BTreeSet<Cidr>, roles: &Desired, state: &NodeState) -> Self {
        let mut ours = Ours::new(&Desired::default(), state);
        ours.managed.extend(known);
        ours.bridges = bridges(roles, state);
        ours
    }

    /// Whether a rule of DOCKER-USER is ours.
    pub fn rule(&self, family: Family, rule: &Rule) -> bool {
        tag(rule).is_some()
            || rule.networks().any(|(_, net)| self.managed.contains(&net))
            || self.meanings.contains(&(family, rule.meaning()))
    }

    /// Whether a direct rule is ours: one of DOCKER-USER, or of the guard in table mangle. No other is ever touched.
    pub fn direct(&self, rule: &DirectRule) -> bool {
        if MangleChain::holds(rule) {
            return true;
        }
        let Some(family) = rule.family.filter(|family| rule.is_in_chain(*family)) else {
            return false;
        };
        match rule.rule() {
            Some(parsed) => self.rule(family, parsed),
            // A list of addresses is ours if each of its rules is.
            None => self
                .printed
                .get(&(family, rule.args.to_vec()))
                .is_some_and(|rules| rules.iter().all(|rule| self.rule(family, rule))),
        }
    }

    /// Whether a rich rule is ours: rich rules carry no comment, so only what it is about counts.
    pub fn rich(&self, rule: &RichRule) -> bool {
        rule.about().is_some_and(|net| self.managed.contains(&net))
    }

    /// The edges of the managed networks and addresses of a family.
    pub fn edges(&self, family: Family) -> Vec<Edge> {
        self.managed(family)
            .into_iter()
            .map(|net| Edge {
                net,
                bridge: self
                    .bridges
                    .iter()
                    .find(|(subnet, _)| subnet.covers(net))
                    .map(|(_, bridge)| bridge.clone()),
            })
            .collect()
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

/// The bridge of each network that is wanted or there.
fn bridges(desired: &Desired, state: &NodeState) -> BTreeMap<Cidr, String> {
    let seen = state.docker.known().into_iter().flat_map(|d| &d.networks);
    let seen = seen.flat_map(|network| {
        network
            .subnets
            .iter()
            .map(|net| (*net, network.bridge.clone()))
    });
    let wanted = desired
        .networks
        .iter()
        .flat_map(|network| network.subnets().map(|net| (net, network.bridge.clone())));
    seen.chain(wanted)
        .filter(|(_, bridge)| !bridge.is_empty())
        .collect()
}

/// The rules whose meaning only the node's iptables can determine. A rule with a line that is not understood is not among them.
fn printed(state: &NodeState) -> BTreeMap<(Family, Vec<String>), Vec<Rule>> {
    let rules = |lines: &[KernelRule]| lines.iter().map(|line| line.rule.clone()).collect();
    let mut out = BTreeMap::new();
    for family in Family::ALL {
        let tables = state.kernel.tables(family).known();
        for (args, printed) in tables.into_iter().flat_map(|tables| &tables.printed) {
            if let Printed::Lines(lines) = printed
                && let Some(rules) = rules(lines)
            {
                out.insert((family, args.clone()), rules);
            }
        }
    }
    out
}

/// The tag of a rule, if it has one.
pub fn tag(rule: &Rule) -> Option<Tag> {
    rule.comment.as_deref().and_then(Tag::parse)
}

/// The container or subnet that a tagged rule is about: never the peer.
fn tagged_addresses(rule: &DirectRule) -> Vec<Cidr> {
    // The guard's rules are tagged as well, and name peers at other places.
    let is_in_chain = rule.family.is_some_and(|family| rule.is_in_chain(family));
    let Some(parsed) = rule.rule().filter(|r| is_in_chain && tag(r).is_some()) else {
        return Vec::new();
    };
    parsed
        .matches()
        .filter_map(|m| match (rule.priority, m) {
            (compile::INBOUND | compile::OTHERWISE_IN, Match::Destination(_, net)) => Some(*net),
            (compile::OUTBOUND | compile::OTHERWISE_OUT, Match::Source(_, net)) => Some(*net),
            _ => None,
        })
        .collect()
}
