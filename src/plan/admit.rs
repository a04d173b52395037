//! Whether something in the kernel could let a new flow of a managed subnet through ahead of the whitelist.
//!
//! The question is answered on the safe side: a condition that is not understood counts as met.

use crate::model::net::Cidr;
use crate::model::rule::Target;
use crate::model::state::KernelRule;
use crate::model::state::Tables;
use crate::policy::could_meet;

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
    if !could_meet(parsed, managed) {
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
