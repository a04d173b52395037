//! What direct rules and passthroughs decide about a new ssh connection.
//!
//! They are ahead of every zone. With the nftables backend an ACCEPT among them is not final, because firewalld's own chains
//! are evaluated as well.

use crate::model::guard::mangle::MangleChain;
use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::rule::Effect;
use crate::model::rule::Match;
use crate::model::rule::Passthrough;
use crate::model::rule::Rule;
use crate::model::rule::Target;
use crate::model::state::Direct;
use crate::policy::Evaluation;
use crate::policy::Packet;
use crate::policy::PacketVerdict;
use crate::policy::evaluate;
use crate::policy::evaluate::Flow;
use crate::policy::evaluate::Rewritten;

use super::visit::Part;
use super::visit::Visit;

/// What the direct configuration of one view asks the visit, table by table in the kernel's order.
pub(super) fn parts(direct: &Direct, backend: &str, visit: &Visit) -> Vec<Part> {
    let family = Family::of(&visit.peer);
    let mut rules: Vec<&DirectRule> = direct
        .rules
        .iter()
        .filter(|rule| rule.family.is_none_or(|f| f == family) && is_on_the_way(&rule.chain))
        // The rules that it leads to are judged themselves.
        .filter(|rule| {
            rule.rule()
                .is_none_or(|rule| MangleChain::target(rule).is_none())
        })
        .collect();
    rules.sort_by_key(|rule| (table(&rule.table), rule.priority));
    let passthroughs = direct.passthroughs.iter();
    let passthroughs = passthroughs
        .filter(|p| p.ipv == family.name() || p.ipv == "eb")
        .filter_map(|p| passthrough(p, visit));
    let rules = rules.into_iter().filter_map(|rule| {
        let whose = format!("direct rule `{rule}`");
        let parsed = rule.family.and_then(|_| rule.rule());
        let last = backend == "iptables" && rule.table == "filter";
        judge(&rule.chain, parsed, &whose, last, visit)
    });
    // Passthroughs are executed in their own order, so they may be at any position; assuming the front is the safe choice.
    passthroughs.chain(rules).collect()
}

fn table(name: &str) -> usize {
    let order = ["raw", "mangle", "nat", "filter"];
    order.iter().position(|table| *table == name).unwrap_or(0)
}

/// Chains in which no packet to or from the node itself is; any other may be jumped to.
fn is_on_the_way(chain: &str) -> bool {
    let away = ["FORWARD", "POSTROUTING", "DOCKER"];
    // Of the guard only what comes from a bridge of its own to the node could be a visit.
    let forwarded = MangleChain::of(chain).is_some_and(|of| of != MangleChain::Input);
    !forwarded && !away.iter().any(|name| chain.starts_with(name))
}

/// One rule: `None` if it does not affect the visit. `last` is whether an ACCEPT in INPUT is final.
fn judge(chain: &str, rule: Option<&Rule>, whose: &str, last: bool, visit: &Visit) -> Option<Part> {
    let Some(rule) = rule else {
        return Some(Part::shuts(
            format!("{whose} is not understood, and may refuse it"),
            false,
        ));
    };
    // The peer's next port may be any.
    let is_of_its_port = |m: &&Match| match m {
        Match::SourcePort(..) => !chain.starts_with("OUTPUT"),
        Match::DestinationPort(..) => chain.starts_with("OUTPUT"),
        _ => false,
    };
    let any_port = !rule.matches().any(|m| is_of_its_port(&m));
    let others = rule.matches().filter(|m| !is_of_its_port(m)).cloned();
    let rule = Rule::new(others, rule.target.clone());
    match evaluate(std::slice::from_ref(&rule), &packet(chain, visit)) {
        Evaluation::Decided(PacketVerdict::Drop | PacketVerdict::Reject, _) => {
            Some(Part::shuts(format!("{whose} refuses it"), any_port))
        }
        Evaluation::Decided(PacketVerdict::Accept, _) if last && chain.starts_with("INPUT") => {
            Some(Part::opens(format!("{whose} lets it in"), any_port))
        }
        Evaluation::Decided(..) => None,
        Evaluation::Unknown(_) => match rule.target {
            Target::Accept | Target::Return => None,
            _ => Some(Part::shuts(format!("{whose} may refuse it"), false)),
        },
    }
}

/// The first packet of the visit, or in OUTPUT its answer.
fn packet(chain: &str, visit: &Visit) -> Packet {
    let first = Packet {
        source: visit.peer,
        destination: visit.server,
        protocol: "tcp".to_string(),
        source_port: None,
        destination_port: Some(visit.port),
        flow: Flow::New,
        destination_rewritten: Rewritten::No,
        interface_in: visit.interface.clone(),
        interface_out: None,
    };
    if !chain.starts_with("OUTPUT") {
        return first;
    }
    Packet {
        source: visit.server,
        destination: visit.peer,
        source_port: Some(visit.port),
        destination_port: None,
        flow: Flow::Established,
        interface_in: None,
        interface_out: visit.interface.clone(),
        ..first
    }
}

/// A passthrough is a whole iptables command: one that appends or inserts a rule is judged as that rule, and anything else
/// about INPUT or OUTPUT is treated as not understood.
fn passthrough(passthrough: &Passthrough, visit: &Visit) -> Option<Part> {
    let Passthrough { ipv, args, .. } = passthrough;
    let whose = format!("passthrough `{ipv} {}`", args.join(" "));
    match passthrough.effect() {
        Effect::Adds { chain, .. } if !is_on_the_way(chain) => None,
        Effect::Adds { chain, rule, .. } if ipv != "eb" => {
            judge(chain, rule.rule(), &whose, false, visit)
        }
        _ => args
            .iter()
            .any(|word| word.starts_with("INPUT") || word.starts_with("OUTPUT"))
            .then(|| {
                Part::shuts(
                    format!("{whose} is not understood, and may refuse it"),
                    false,
                )
            }),
    }
}
