//! A foreign rule ahead of the whitelist: whether a packet of a host that is not on the whitelist could match it.

use std::collections::BTreeSet;

use crate::model::Cidr;
use crate::model::CtDirection;
use crate::model::CtState;
use crate::model::Match;
use crate::model::Rule;
use crate::model::Sense;

/// The edge of a managed network: what crosses it is the whitelist's to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The network, or one address of it.
    pub net: Cidr,
    /// The bridge that leads to it; `None` if it is not known.
    pub bridge: Option<String>,
}

/// Whether a packet that crosses an edge and belongs to no earlier flow could meet every condition of a rule.
///
/// It is used for foreign rules ahead of the whitelist, and errs on the safe side: a condition
/// that is not understood counts as met, and a container sends from any address, because it can forge one. Only a condition that
/// excludes the bridge, or the destination address, excludes the packet. The edges are of the rule's own family.
///
/// ```
/// use fwdeploy::model::Rule;
/// use fwdeploy::policy::Edge;
/// use fwdeploy::policy::may_match;
/// let edge = Edge { net: "172.20.0.0/16".parse()?, bridge: Some("br-cybex".to_string()) };
/// let edges = [edge];
/// assert!(may_match(&Rule::parse_text("-i eth0 -j ACCEPT")?, &edges));
/// assert!(may_match(&Rule::parse_text("-s 10.8.0.0/16 -d 192.0.2.1 -j ACCEPT")?, &edges));
/// assert!(!may_match(&Rule::parse_text("-i wg0 -d 192.0.2.1 -j ACCEPT")?, &edges));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn may_match(rule: &Rule, edges: &[Edge]) -> bool {
    rule.matches().all(could_be_new)
        && edges.iter().any(|edge| {
            let outside = (Sense::Not, edge.net);
            let from = addresses(rule, End::Source);
            let to = addresses(rule, End::Destination);
            let out = interfaces(rule, edge, Way::Out) && satisfiable(&to, outside);
            let inward = interfaces(rule, edge, Way::In)
                && satisfiable(&to, (Sense::Is, edge.net))
                && satisfiable(&from, outside);
            out || inward
        })
}

/// The way of a packet across an edge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// Whether a packet may come and leave by interfaces that the rule is about: on one side is the bridge, on the other
/// is not.
fn interfaces(rule: &Rule, edge: &Edge, way: Way) -> bool {
    let Some(bridge) = &edge.bridge else {
        return true;
    };
    rule.matches().all(|condition| {
        let (sense, name, inside) = match condition {
            Match::In(sense, name) => (*sense, name, way == Way::Out),
            Match::Out(sense, name) => (*sense, name, way == Way::In),
            _ => return true,
        };
        let named = match name.strip_suffix('+') {
            Some(beginning) => bridge.starts_with(beginning),
            None => name == bridge,
        };
        match (inside, sense) {
            (true, Sense::Is) => named,
            (true, Sense::Not) => !named,
            // Some interface other than the bridge: a pattern matches more of them than the bridge.
            (false, Sense::Is) => name != bridge,
            (false, Sense::Not) => name != "+",
        }
    })
}

/// Whether a packet that belongs to no earlier flow can meet the condition, addresses aside.
fn could_be_new(condition: &Match) -> bool {
    let earlier = BTreeSet::from([CtState::Related, CtState::Established]);
    match condition {
        Match::State(Sense::Is, states) => !states.is_subset(&earlier),
        // All that is left is earlier flows only if everything else is excluded.
        Match::State(Sense::Not, states) => ![CtState::New, CtState::Invalid, CtState::Untracked]
            .iter()
            .all(|state| states.contains(state)),
        Match::Direction(direction) => *direction == CtDirection::Original,
        _ => true,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

/// The conditions of a rule on one of a packet's two addresses.
fn addresses(rule: &Rule, end: End) -> Vec<(Sense, Cidr)> {
    rule.matches()
        .filter_map(|condition| match condition {
            Match::Source(sense, net) if end == End::Source => Some((*sense, *net)),
            Match::Destination(sense, net) if end == End::Destination => Some((*sense, *net)),
            _ => None,
        })
        .collect()
}

/// Whether some address meets all the conditions and one more. Networks are nested or disjoint, so the narrowest decides.
fn satisfiable(conditions: &[(Sense, Cidr)], more: (Sense, Cidr)) -> bool {
    let all = || conditions.iter().chain([&more]);
    let mut narrowest: Option<Cidr> = None;
    for (_, net) in all().filter(|(sense, _)| *sense == Sense::Is) {
        match narrowest {
            Some(so_far) if !so_far.overlaps(*net) => return false,
            Some(so_far) if net.covers(so_far) => {}
            _ => narrowest = Some(*net),
        }
    }
    all()
        .filter(|(sense, _)| *sense == Sense::Not)
        .all(|(_, net)| match narrowest {
            Some(narrowest) => !net.covers(narrowest),
            None => !net.is_everything(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_a_new_flow_of_a_managed_network_could_meet_are_found() {
        let edges = [Edge {
            net: "172.20.0.0/16".parse().unwrap(),
            bridge: Some("br-cybex".to_string()),
        }];
        for (text, meets) in [
            ("-j ACCEPT", true),
            ("-m mark --mark 1 -j ACCEPT", true),
            ("-s 172.20.0.9 -j ACCEPT", true),
            ("! -s 172.20.0.0/16 -j ACCEPT", true),
            ("-m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT", true),
            ("-m conntrack ! --ctstate ESTABLISHED -j ACCEPT", true),
            ("-m conntrack --ctstate DNAT -j ACCEPT", true),
            (
                "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                false,
            ),
            (
                "-m conntrack ! --ctstate NEW,INVALID,UNTRACKED -j ACCEPT",
                false,
            ),
            // Inside the network nothing is filtered anyway.
            ("-s 172.20.0.0/16 -d 172.20.0.0/16 -j ACCEPT", false),
            // A container can forge any address.
            ("-s 172.21.0.0/16 -d 192.0.2.1 -j ACCEPT", true),
            ("-s 172.21.0.0/16 ! -d 172.0.0.0/8 -j ACCEPT", true),
            ("-s 172.21.0.0/16 -j ACCEPT", true),
            (
                "! -i br-cybex -s 10.8.0.0/16 -d 192.0.2.0/24 -j ACCEPT",
                false,
            ),
            ("-i wg0 -s 10.8.0.0/16 -d 192.0.2.0/24 -j ACCEPT", false),
            ("-i wg0 -o eth0 -j ACCEPT", false),
            ("-i wg0 ! -o br-cybex -j ACCEPT", false),
            ("-i wg0 -j ACCEPT", true),
            ("-o eth0 -j ACCEPT", true),
            ("-i br-+ -o eth0 -j ACCEPT", true),
            ("! -i br-+ -o eth0 -j ACCEPT", false),
            ("-i br-cybex -o br-cybex -j ACCEPT", false),
            ("-i docker0 ! -o docker0 -j ACCEPT", true),
            ("-i + -o + -j ACCEPT", true),
        ] {
            let rule = Rule::parse_text(text).unwrap();
            assert_eq!(may_match(&rule, &edges), meets, "{text}");
        }
        assert!(!may_match(&Rule::parse_text("-j ACCEPT").unwrap(), &[]));
    }
}
