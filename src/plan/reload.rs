//! The other way to change the runtime configuration: write the permanent one as a whole, then one reload of firewalld under the latch.
//!
//! A reload takes a second or two regardless of the number of rules; a runtime call takes 5 to 16 ms. It also activates
//! everything that others have written permanently and not yet loaded, so it is not used while such changes are pending,
//! unless the operator allows it, and never if it would cut off ssh.

use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::state::NodeState;
use crate::model::state::View;
use crate::plan::action::Action;
use crate::plan::allowed::Allowed;
use crate::plan::allowed::Permission;
use crate::plan::allowed::Reload;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::firewall;
use crate::plan::in_place::latched;
use crate::plan::in_place::settle;
use crate::plan::ownership::Ours;
use crate::plan::pending::pending;
use crate::plan::severity::Severity;
use crate::plan::simulate::simulate_all;
use crate::plan::ssh;
use crate::plan::views::Views;

/// From this many runtime calls on a reload is faster: a reload with Docker's recovery takes up to 3 s, a call 10 to 16 ms.
const MANY: usize = 250;

/// From this many on, a reload is used although containers are moved after it: their old addresses are on no list for that moment, but call by
/// call the run would not end before it has to be confirmed (60 s).
const TOO_MANY: usize = 1_000;

/// How much there is to do at runtime.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// Calls that add or remove one rule.
    pub calls: usize,
    /// Steps that put the chain in order.
    pub rebinds: usize,
    /// Steps that move containers.
    pub moves: usize,
    /// Whether a reload is the only way.
    pub needs_reload: bool,
}

/// Whether to reload, and what the operator must know about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reloading {
    /// Whether the runtime configuration is changed by a reload.
    pub chosen: bool,
    /// What a reload would change apart from managed entries, and why there is no reload.
    pub findings: Vec<Finding>,
}

/// Decides whether to reload. What was asked for and may not be is refused; `auto` goes rule by rule instead.
pub(super) fn decide(
    state: &NodeState,
    views: &Views<'_>,
    ours: &Ours,
    allowed: &Allowed,
    work: &Work,
) -> Reloading {
    let considered = match allowed.reload {
        Reload::Never => false,
        Reload::Auto if work.needs_reload => true,
        Reload::Auto if work.moves == 0 => work.calls >= MANY,
        Reload::Auto => work.calls >= TOO_MANY,
        Reload::Always => work.needs_reload || work.calls + work.rebinds > 0,
    };
    if !considered {
        return Reloading::default();
    }
    let mut findings = beside(views, ours, allowed.pending);
    findings.extend(ssh_lost(state, views));
    let chosen = findings.iter().all(|f| f.severity < Severity::Refuse);
    if !chosen && allowed.reload == Reload::Auto {
        findings.clear();
    }
    Reloading { chosen, findings }
}

/// Why firewalld may not be reloaded as part of a run; `None` if it may. What was asked for and may not be is refused by [`decide`].
pub(super) fn may_not(
    state: &NodeState,
    views: &Views<'_>,
    ours: &Ours,
    allowed: &Allowed,
) -> Option<String> {
    match allowed.reload {
        Reload::Never => Some("reloads are not allowed".to_string()),
        Reload::Always => None,
        Reload::Auto => {
            let mut findings = beside(views, ours, allowed.pending);
            findings.extend(ssh_lost(state, views));
            let refused = findings.iter().find(|f| f.severity == Severity::Refuse);
            refused.map(|finding| format!("a reload is not possible now ({})", finding.text))
        }
    }
}

/// The peer of this very ssh connection could not come back after a reload.
pub(super) fn ssh_lost(state: &NodeState, views: &Views<'_>) -> Option<Finding> {
    let backend = state.firewalld.known().map_or("", |f| f.backend.as_str());
    let why = ssh::lost(&state.system, backend, views)?;
    Some(
        Finding::new(
            FindingCode::SshLost,
            View::Permanent,
            format!("after a reload {why}"),
        )
        .hint("fix firewalld's permanent configuration first (firewall-cmd --permanent …); no flag overrides this"),
    )
}

/// What a reload would change apart from the managed entries: a refusal, or reported and done, as the operator allows.
pub(super) fn beside(views: &Views<'_>, ours: &Ours, allowed: Permission) -> Vec<Finding> {
    let texts = match pending(views, ours) {
        Ok(pending) => pending
            .iter()
            .map(|p| {
                let (what, changes) = (&p.what, p.changes.join(", "));
                format!("permanent and runtime differ in {what}: a reload {changes}")
            })
            .collect(),
        Err(why) => vec![why],
    };
    let finding = |text| match allowed {
        Permission::Withheld => Finding::with_severity(
            Severity::Refuse,
            FindingCode::PendingPermanent,
            View::Permanent,
            text,
        )
        .hint("resolve this first, or let the reload activate it with --allow-pending"),
        Permission::Granted => Finding::with_severity(
            Severity::Warning,
            FindingCode::PendingPermanent,
            View::Permanent,
            text,
        ),
    };
    texts.into_iter().map(finding).collect()
}

/// The steps from the permanent configuration written (in `before`) to the chain in force.
pub(super) fn steps(
    state: &NodeState,
    before: &[Action],
    desired: &Desired,
    ours: &Ours,
    subnets: Vec<Cidr>,
    is_guarded: bool,
) -> Vec<Action> {
    let mut chain = vec![Action::Reload {
        subnets: subnets.clone(),
    }];
    let then = simulate_all(state, before.iter().chain(&chain));
    chain.extend(settle(&then, &[], desired, ours));
    for family in desired.families() {
        if let Some(tables) = then.kernel.tables(family).known() {
            chain.extend(firewall::jump(family, tables, &ours.edges(family)));
        }
    }
    latched(chain, (!is_guarded).then_some(subnets))
}
