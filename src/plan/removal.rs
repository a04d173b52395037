//! What fwdeploy has left on a node: how it is known to be ours without a role, and what of it is taken away.
//!
//! Rules carry a tag, networks a label, and the guard has a table and files of its own. Rich rules have none of these: one is ours if it is
//! about an address that a tagged rule, or the guard as a run has written it, is about. So is a rule without a tag, as in a run.

use std::collections::BTreeSet;

use crate::model::CHAIN;
use crate::model::desired::Desired;
use crate::model::guard::GuardBoot;
use crate::model::guard::GuardTable;
use crate::model::guard::mangle::MangleChain;
use crate::model::guard::mangle::MangleState;
use crate::model::guard::table::Part;
use crate::model::ipset;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::records::Records;
use crate::model::rule::DirectRule;
use crate::model::rule::Rule;
use crate::model::state::Daemon;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::model::state::Docker;
use crate::model::state::KernelRule;
use crate::model::state::Network;
use crate::model::state::NodeState;
use crate::model::state::Observed;
use crate::model::state::RichText;
use crate::model::state::View;
use crate::plan::action::Action;
use crate::plan::action::Change;
use crate::plan::action::NetworkSpec;
use crate::plan::action::Sign;
use crate::plan::code::FindingCode;
use crate::plan::diagnosis::Trouble;
use crate::plan::docker::CREATED;
use crate::plan::docker::attached;
use crate::plan::finding::Finding;
use crate::plan::finding::command;
use crate::plan::guard;
use crate::plan::ownership::Ours;
use crate::plan::ownership::tag;
use crate::plan::severity::Severity;

/// What is ours on a node from which all of it is to be removed. `roles` is what roles still ask for there.
pub(super) fn owned(roles: &Desired, state: &NodeState) -> Ours {
    let mut known = guard::as_written(state).map_or_else(BTreeSet::new, addresses);
    // On a node that no run has changed, what names the roles' addresses is the operator's own.
    if !traces(state).is_empty() || is_of_roles(roles, state) {
        known.extend(roles.managed());
    }
    Ours::of_removal(known, roles, state)
}

/// The networks and addresses that are managed on it, which a rollback of the removal closes.
pub fn managed(roles: &Desired, state: &NodeState) -> Vec<Cidr> {
    let ours = owned(roles, state);
    let families = Family::ALL.into_iter();
    families.flat_map(|family| ours.managed(family)).collect()
}

/// Whether the node has a rich rule just as the roles ask for it.
fn is_of_roles(roles: &Desired, state: &NodeState) -> bool {
    let wanted: BTreeSet<_> = roles.rich.iter().collect();
    rich(state).any(|rule| wanted.contains(&rule.rule))
}

/// The rich rules of both views.
fn rich(state: &NodeState) -> impl Iterator<Item = &RichText> {
    let views = [&state.permanent.rich, &state.runtime.rich];
    views.into_iter().flat_map(|rich| rich.known()).flatten()
}

/// The networks and containers that the guard's table closes.
fn addresses(table: &GuardTable) -> BTreeSet<Cidr> {
    let mut out = BTreeSet::new();
    for (name, set) in &table.sets {
        // The container is the second address of a flow that a peer opens, else the first.
        let place = usize::from(name.starts_with("inbound"));
        if set.dynamic.is_some() {
            continue;
        }
        let nets = set.elements.iter().filter_map(|element| element.get(place));
        out.extend(nets.filter_map(|part| match part {
            Part::Net(net) => Some(*net),
            _ => None,
        }));
    }
    out
}

/// What is on the node and can only be ours, each in a few words.
fn traces(state: &NodeState) -> Vec<String> {
    let mut out = Vec::new();
    if has_guard(state) {
        out.push("the guard".to_string());
    }
    let views = [&state.permanent.direct, &state.runtime.direct];
    let counts = views.map(|direct| {
        let rules = direct.known().into_iter().flat_map(|direct| &direct.rules);
        rules.filter(|rule| is_tagged(rule)).count()
    });
    let in_kernel = Family::ALL.iter().any(|family| {
        let tables = state.kernel.tables(*family).known();
        let chain = tables.and_then(|tables| tables.chain("filter", CHAIN));
        chain.is_some_and(|chain| chain.rules.iter().any(is_tagged_line))
    });
    match counts[0].max(counts[1]) {
        0 if in_kernel => out.push("rules that only the kernel holds".to_string()),
        0 => {}
        1 => out.push("1 direct rule".to_string()),
        n => out.push(format!("{n} direct rules")),
    }
    let sets = [&state.sets.permanent, &state.sets.runtime];
    let sets = sets.into_iter().filter_map(Observed::known).flatten();
    // firewalld keeps a set in memory until it is reloaded; an empty one is what a removal leaves.
    let sets = sets.filter(|(_, set)| !set.entries.is_empty());
    match sets.map(|(name, _)| name).collect::<BTreeSet<_>>().len() {
        0 => {}
        1 => out.push("1 ipset".to_string()),
        n => out.push(format!("{n} ipsets")),
    }
    if state.kernel.latch.known() == Some(&true) {
        out.push("a latch".to_string());
    }
    if let Some(docker) = state.docker.known() {
        let empty = docker.networks.iter();
        let empty = empty.filter(|n| is_created(n) && attached(docker, &n.name).next().is_none());
        out.extend(empty.map(|network| format!("network {}", network.name)));
    }
    out
}

/// Whether anything of the guard is there, in nft or in mangle.
fn has_guard(state: &NodeState) -> bool {
    let seen = &state.kernel.guard;
    let boot = seen.boot.known();
    let chains = [&state.permanent.direct, &state.runtime.direct];
    let mut chains = chains
        .into_iter()
        .flat_map(|direct| direct.known())
        .flat_map(|direct| &direct.chains);
    let in_mangle = |family| {
        let tables = state.kernel.tables(family).known();
        tables.is_some_and(|tables| !MangleState::of(tables).is_empty())
    };
    matches!(seen.table.known(), Some(Some(_)))
        || boot.is_some_and(GuardBoot::is_installed)
        || chains.any(MangleChain::is)
        || Family::ALL.into_iter().any(in_mangle)
}

/// Whether the rule has our tag, at a place where we write rules.
fn is_tagged(rule: &DirectRule) -> bool {
    let is_in_chain = rule.family.is_some_and(|family| rule.is_in_chain(family));
    MangleChain::holds(rule) || is_in_chain && rule.rule().and_then(tag).is_some()
}

fn is_tagged_line(line: &KernelRule) -> bool {
    line.rule.as_ref().and_then(tag).is_some()
}

fn is_created(network: &Network) -> bool {
    network.driver == "bridge"
        && network
            .labels
            .get(CREATED.0)
            .is_some_and(|v| v == CREATED.1)
}

/// A node without a role that still holds what an earlier run has made.
pub fn orphaned(state: &NodeState) -> Option<Finding> {
    let traces = traces(state);
    (!traces.is_empty()).then(|| {
        Finding::new(
            FindingCode::Orphaned,
            View::Kernel,
            format!(
                "no role applies to the node, and it still holds what an earlier run has made: {}",
                traces.join(", ")
            ),
        )
    })
}

/// Whether [`orphaned`] could see all that matters.
pub fn is_seen(state: &NodeState) -> bool {
    let has_none = state.system.firewalld_daemon == Daemon::Missing;
    let firewalld = [&state.permanent.direct, &state.runtime.direct];
    state.system.uid == 0
        && !state.kernel.guard.boot.is_unreadable()
        && (has_none || firewalld.iter().all(|direct| !direct.is_unreadable()))
}

/// What is of a family whose tables cannot be read, and so could not be removed.
pub(super) fn unreadable(state: &NodeState, ours: &Ours) -> Option<Trouble> {
    let why = state.kernel.v6.as_result().err()?.to_string();
    let views = [&state.permanent.direct, &state.runtime.direct];
    let mut rules = views
        .into_iter()
        .flat_map(|direct| direct.known())
        .flat_map(|direct| &direct.rules);
    let is_ours = |rule: &DirectRule| rule.family == Some(Family::V6) && ours.direct(rule);
    rules.any(is_ours).then_some(Trouble::Unreadable {
        what: "ip6tables",
        view: View::Kernel,
        why,
    })
}

/// Sets that rules of ours ask and that cannot be read, and so could not be removed.
pub(super) fn unread_sets(state: &NodeState) -> Option<Trouble> {
    let why = state.sets.permanent.as_result().err()?.to_string();
    let views = [&state.permanent.direct, &state.runtime.direct];
    let rules = views.into_iter().filter_map(|direct| direct.known());
    let mut rules = rules.flat_map(|direct| &direct.rules);
    let asks_ours = |rule: &DirectRule| {
        let mut matches = rule.rule().into_iter().flat_map(Rule::matches);
        matches.any(|m| m.as_set().is_some_and(|(name, _)| ipset::is_ours(name)))
    };
    rules.any(asks_ours).then_some(Trouble::Unreadable {
        what: "the permanent ipsets",
        view: View::Permanent,
        why,
    })
}

/// The steps by which firewalld releases a DOCKER-USER that holds nobody else's rule. `then` is the node after its rules are gone.
pub(super) fn released(then: &NodeState) -> Vec<Action> {
    let (permanent, runtime) = (&then.permanent.direct, &then.runtime.direct);
    let (Some(permanent), Some(runtime)) = (permanent.known(), runtime.known()) else {
        return Vec::new();
    };
    let is_empty = |direct: &Direct, family| direct.chain(family).is_empty();
    let mut out = Vec::new();
    let mut after = permanent.clone();
    for family in Family::ALL {
        let is_known = then.kernel.tables(family).known().is_some();
        if !is_known || !is_empty(permanent, family) || !is_empty(runtime, family) {
            continue;
        }
        if runtime.owns(family) {
            out.push(Action::DisownChain { family });
        }
        after.chains.retain(|c| *c != DirectChain::ours(family));
    }
    if after != *permanent {
        out.push(Action::SetPermanentDirect {
            before: permanent.clone(),
            after,
        });
    }
    out
}

/// The steps that remove the networks that fwdeploy has made and that nothing is on.
pub(super) fn networks(docker: &Docker) -> Vec<Action> {
    let ours = docker.networks.iter().filter(|network| is_created(network));
    let empty = ours.filter(|network| attached(docker, &network.name).next().is_none());
    empty
        .map(|network| Action::RemoveNetwork(NetworkSpec::of(network)))
        .collect()
}

/// The findings about the steps at runtime. That a whitelist is not enforced matters no more, but a forward that firewalld does not know of
/// stays.
pub(super) fn of_steps(findings: Vec<Finding>) -> Vec<Finding> {
    let mut out = Vec::new();
    for finding in findings {
        if finding.code == FindingCode::ForwardLeft {
            let stays = Finding::new(FindingCode::NotRemoved, finding.view, finding.text);
            out.push(stays.hint("`firewall-cmd --reload`, after which firewalld's table holds only what it knows of"));
        } else if finding.severity != Severity::NotEnforced {
            out.push(finding);
        }
    }
    out
}

/// What a removal means for the node, in the first place.
pub(super) fn opens() -> Finding {
    Finding::new(
        FindingCode::Opened,
        View::Kernel,
        "the removal OPENS this node: afterwards no whitelist is enforced on it. Docker and firewalld alone decide who reaches its containers; these reach any host, and the services of the node",
    )
    .hint("stop the containers first, unless something else protects them; `fwdeploy rollback` restores the state before")
}

/// Of many rich rules that stay, so many are named.
const SHOWN: usize = 8;

/// What stays, although it may be of an earlier run.
pub(super) fn left(state: &NodeState, docker: &Docker, ours: &Ours) -> Vec<Finding> {
    let told = |view, text: String| Finding::new(FindingCode::NotRemoved, view, text);
    let managed: Vec<Cidr> = Family::ALL.iter().flat_map(|f| ours.managed(*f)).collect();
    let mut out = Vec::new();
    for network in &docker.networks {
        let remove = command(["docker", "network", "rm", &network.name]);
        if is_created(network) {
            let on_it: Vec<&str> = attached(docker, &network.name)
                .map(|(container, _)| container.name.as_str())
                .collect();
            if !on_it.is_empty() {
                let text = format!(
                    "network `{}` stays: {} on it",
                    network.name,
                    match on_it[..] {
                        [one] => format!("container `{one}` is"),
                        _ => format!("containers {} are", on_it.join(", ")),
                    }
                );
                out.push(told(View::Docker, text).hint(format!("once nothing is on it, {remove}")));
            }
        } else if network.subnets.iter().any(|net| managed.contains(net)) {
            let text = format!(
                "network `{}` stays: it lacks the label `{}={}`, so nothing proves that fwdeploy has made it",
                network.name, CREATED.0, CREATED.1
            );
            out.push(told(View::Docker, text).hint(format!("if nothing needs it, {remove}")));
        }
    }
    // A table that is not as its file says was changed by somebody: what it names proves nothing.
    let table = state.kernel.guard.table.known().and_then(Option::as_ref);
    let mut near: BTreeSet<Cidr> = table.map(addresses).unwrap_or_default();
    near.retain(|net| !net.is_everything());
    near.extend(&managed);
    let is_near = |net: Cidr| near.iter().any(|other| other.covers(net));
    let rules: BTreeSet<&RichText> = rich(state)
        .filter(|rule| !ours.rich(&rule.rule) && rule.rule.about().is_some_and(is_near))
        .collect();
    for rule in rules.iter().take(SHOWN) {
        let text = format!(
            "rich rule `{}` stays: it is about a managed network, but not about an address that fwdeploy is known to have managed",
            rule.text
        );
        out.push(told(View::Permanent, text));
    }
    if let Some(more) = rules.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let text = format!("{more} more rich rules about managed networks stay");
        out.push(told(View::Permanent, text));
    }
    let mut others: BTreeSet<String> = BTreeSet::new();
    for (view, direct) in [
        (View::Permanent, &state.permanent.direct),
        (View::Runtime, &state.runtime.direct),
    ] {
        let Some(direct) = direct.known() else {
            continue;
        };
        let tagged = direct.rules.iter().filter(|rule| {
            let is_ours = rule.rule().and_then(tag).is_some();
            is_ours && !ours.direct(rule)
        });
        let passed = direct.passthroughs.iter().filter(|passthrough| {
            let mut nets = passthrough.args.iter().filter_map(|arg| arg.parse().ok());
            nets.any(|net| managed.contains(&net))
        });
        let tagged = tagged.map(|rule| {
            format!("direct rule `{rule}` stays: it has a tag of fwdeploy's at a place where fwdeploy writes none")
        });
        let passed = passed.map(|passthrough| {
            format!("passthrough `{passthrough}` stays: fwdeploy writes none, and it names an address that fwdeploy has managed")
        });
        for text in tagged.chain(passed) {
            if others.insert(text.clone()) {
                out.push(told(view, text));
            }
        }
    }
    let memory = state.sets.runtime.known();
    for name in memory.into_iter().flatten().map(|(name, _)| name) {
        let text =
            format!("ipset {name} stays in firewalld's memory, empty, until firewalld is reloaded");
        out.push(told(View::Runtime, text).hint("`firewall-cmd --reload`, when it suits"));
    }
    let boot = state.kernel.guard.boot.known();
    if boot.is_some_and(|boot| boot.is_changed) {
        let text = "files in fwdeploy-guard.service.d stay: somebody else has made them";
        out.push(told(View::Guard, text.to_string()));
    }
    out
}

/// What the removal of the records of a node takes away; `None` if it has none.
pub fn purged(records: &Records) -> Option<Change> {
    let count = records.snapshots.len();
    let is_there = records.last > 0 || count > 0 || !records.leftovers.is_empty();
    is_there.then(|| Change {
        sign: Sign::Remove,
        view: View::Permanent,
        text: match count {
            1 => "/var/lib/fwdeploy, with 1 snapshot".to_string(),
            n => format!("/var/lib/fwdeploy, with {n} snapshots"),
        },
    })
}
