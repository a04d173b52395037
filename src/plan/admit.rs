//! Whether something in the kernel could let a new flow of a managed subnet through ahead of the whitelist.
//!
//! The question is answered on the safe side: a condition that is not understood counts as met.

use crate::model::net::Cidr;
use crate::model::rule::Match;
use crate::model::rule::Rule;
use crate::model::rule::Sense;
use crate::model::rule::Target;
use crate::model::state::KernelRule;
use crate::model::state::Tables;
use crate::plan::after::only_old_flows;

/// Whether a packet of a new flow from or to one of `managed` could meet the rule's conditions.
pub fn could_match(rule: &Rule, managed: &[Cidr]) -> bool {
    if only_old_flows(rule) {
        return false;
    }
    let named = |source: bool| {
        rule.matches().find_map(move |m| match m {
            Match::Source(Sense::Is, net) if source => Some(*net),
            Match::Destination(Sense::Is, net) if !source => Some(*net),
            _ => None,
        })
    };
    let meets = |net: Option<Cidr>, subnet: Cidr| net.is_none_or(|net| net.overlaps(subnet));
    managed
        .iter()
        .any(|subnet| meets(named(true), *subnet) || meets(named(false), *subnet))
}

/// Whether the rule by itself could end the whitelist's say over such a packet: an ACCEPT, a RETURN, or a way into a
/// chain from which a packet could be accepted.
pub fn could_admit(rule: &KernelRule, managed: &[Cidr], tables: &Tables) -> bool {
    admits(rule, managed, tables, Returns::End, 0)
}

/// What a RETURN means where the rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Returns {
    /// It ends the chain in which the whitelist stands.
    End,
    /// It goes back to a chain that is still to be gone through.
    GoOn,
}

/// Chains may not call themselves, but a listing taken while somebody rewrites them may look as if they did.
const DEEPEST: usize = 16;

fn admits(
    rule: &KernelRule,
    managed: &[Cidr],
    tables: &Tables,
    returns: Returns,
    depth: usize,
) -> bool {
    let Some(parsed) = &rule.rule else {
        return true;
    };
    if !could_match(parsed, managed) {
        return false;
    }
    match &parsed.target {
        Target::Accept => true,
        Target::Return => returns == Returns::End,
        Target::Drop | Target::Reject(_) | Target::Nothing => false,
        Target::Jump(name, _) => match tables.chain("filter", name) {
            Some(chain) if depth < DEEPEST => chain
                .rules
                .iter()
                .any(|r| admits(r, managed, tables, Returns::GoOn, depth + 1)),
            Some(_) => true,
            // Extensions: LOG, MARK, NFLOG and their like go on to the next rule. NFQUEUE may accept.
            None => name == "NFQUEUE" || name == "QUEUE",
        },
        Target::Goto(name) => match tables.chain("filter", name) {
            Some(chain) if depth < DEEPEST => {
                returns == Returns::End
                    || chain
                        .rules
                        .iter()
                        .any(|r| admits(r, managed, tables, Returns::GoOn, depth + 1))
            }
            _ => true,
        },
    }
}
