//! Somebody else's rule ahead of the whitelist: could a stranger's packet meet it?

use std::collections::BTreeSet;

use crate::model::Cidr;
use crate::model::CtState;
use crate::model::Match;
use crate::model::Rule;
use crate::model::Sense;

/// Whether a packet that crosses the edge of a managed subnet and belongs to no earlier flow could meet every condition
/// of a rule.
///
/// This is the question about somebody else's rule ahead of the whitelist. It is answered on the safe side: a condition
/// that is not understood counts as met. `managed` is of the rule's own family.
///
/// ```
/// use fwdeploy::model::Rule;
/// use fwdeploy::policy::could_meet;
/// let managed = ["172.20.0.0/16".parse()?];
/// assert!(could_meet(&Rule::parse_text("-i eth0 -j ACCEPT")?, &managed));
/// assert!(!could_meet(&Rule::parse_text("-s 172.21.0.0/16 -d 192.0.2.1 -j ACCEPT")?, &managed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn could_meet(rule: &Rule, managed: &[Cidr]) -> bool {
    rule.matches().all(could_be_new)
        && managed.iter().any(|net| {
            let inside = (Sense::Is, *net);
            let outside = (Sense::Not, *net);
            let from = addresses(rule, End::Source);
            let to = addresses(rule, End::Destination);
            (satisfiable(&from, inside) && satisfiable(&to, outside))
                || (satisfiable(&from, outside) && satisfiable(&to, inside))
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

/// Whether some address meets all the conditions and one more. Networks nest or are apart, so the narrowest says it all.
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
        let managed = ["172.20.0.0/16".parse().unwrap()];
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
            ("-s 172.21.0.0/16 -d 192.0.2.1 -j ACCEPT", false),
            ("-s 172.21.0.0/16 ! -d 172.0.0.0/8 -j ACCEPT", false),
            ("-s 172.21.0.0/16 -j ACCEPT", true),
        ] {
            let rule = Rule::parse_text(text).unwrap();
            assert_eq!(could_meet(&rule, &managed), meets, "{text}");
        }
        assert!(!could_meet(&Rule::parse_text("-j ACCEPT").unwrap(), &[]));
    }
}
