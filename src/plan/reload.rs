//! The other way to bring runtime about: write permanent whole, then one reload of firewalld with the latch on.
//!
//! A reload costs a second or two whatever the number of rules; a runtime call costs 5 to 16 ms. It also activates all
//! that anybody else has written permanently and not yet loaded, so it is not taken while something of that kind waits.

use std::collections::BTreeSet;

use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::state::Direct;
use crate::model::state::NodeState;
use crate::model::state::View;
use crate::plan::Reload;
use crate::plan::Views;
use crate::plan::action::Action;
use crate::plan::after::after_all;
use crate::plan::finding::Finding;
use crate::plan::finding::Severity;
use crate::plan::firewall;
use crate::plan::latched;
use crate::plan::ownership::Ours;
use crate::plan::settle;

/// From so many runtime calls on a reload is cheaper: a reload with Docker's recovery takes up to 3 s, a call 10 to 16 ms.
const MANY: usize = 250;

/// How much there is to do at runtime.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// Calls that add or remove one rule.
    pub calls: usize,
    /// Steps that put the chain in order.
    pub rebinds: usize,
    /// Steps that move containers.
    pub moves: usize,
}

/// What a reload would change beside what is ours, in words.
pub(super) fn pending(views: &Views<'_>, ours: &Ours) -> Vec<String> {
    let entries = |direct: &Direct| -> BTreeSet<String> {
        let rules = direct.rules.iter().filter(|r| !ours.direct(r));
        let chains = direct.chains.iter().filter(|c| {
            ![Family::V4, Family::V6]
                .iter()
                .any(|f| **c == crate::model::state::DirectChain::ours(*f))
        });
        rules
            .map(|r| format!("direct rule {r}"))
            .chain(chains.map(|c| format!("direct chain {} {} {}", c.ipv, c.table, c.chain)))
            .chain(
                direct
                    .passthroughs
                    .iter()
                    .map(|(ipv, args)| format!("passthrough {ipv} {}", args.join(" "))),
            )
            .collect()
    };
    let rich = |seen: &[crate::model::state::RichText]| -> BTreeSet<String> {
        seen.iter()
            .filter(|r| !ours.rich(&r.rule))
            .map(|r| format!("rich rule {}", r.rule))
            .collect()
    };
    let differ = |permanent: BTreeSet<String>, runtime: BTreeSet<String>| -> Vec<String> {
        permanent.symmetric_difference(&runtime).cloned().collect()
    };
    let mut out = differ(entries(views.permanent.0), entries(views.runtime.0));
    out.extend(differ(rich(views.permanent.1), rich(views.runtime.1)));
    out
}

/// Whether to reload.
pub(super) fn chosen(reload: Reload, work: &Work, pending: &[String]) -> bool {
    match reload {
        Reload::Never => false,
        Reload::Auto => work.calls >= MANY && work.moves == 0 && pending.is_empty(),
        Reload::Always => work.calls + work.rebinds > 0 && pending.is_empty(),
    }
}

/// Why a reload that was asked for is not made.
pub(super) fn refusal(reload: Reload, work: &Work, pending: &[String]) -> Option<Finding> {
    let asked = reload == Reload::Always && work.calls + work.rebinds > 0;
    (asked && !pending.is_empty()).then(|| {
        Finding::new(
            Severity::Refuse,
            "pending-permanent",
            View::Permanent,
            format!(
                "a reload would also change what is not ours, because permanent and runtime differ there: {}",
                pending.join("; ")
            ),
        )
        .hint("run without --reload always, or settle those differences first")
    })
}

/// The steps from the permanent configuration written (in `before`) to the chain in force.
pub(super) fn steps(
    state: &NodeState,
    before: &[Action],
    desired: &Desired,
    ours: &Ours,
    subnets: Vec<Cidr>,
) -> Vec<Action> {
    let mut chain = vec![Action::Reload {
        subnets: subnets.clone(),
    }];
    let then = after_all(state, before.iter().chain(&chain));
    chain.extend(settle(&then, &[], desired, ours));
    for family in desired.families() {
        if let Some(tables) = then.kernel.tables(family).known() {
            chain.extend(firewall::jump(family, tables, &ours.managed(family)));
        }
    }
    latched(chain, subnets)
}
