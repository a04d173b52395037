//! Pending changes in firewalld's permanent configuration, apart from managed entries: a reload would activate them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::guard::mangle::MangleChain;
use crate::model::net::Family;
use crate::model::settings::Options;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::model::state::RichText;
use crate::plan::ownership::Ours;
use crate::plan::views::Views;

/// One thing of firewalld's that a reload would change, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// The thing: ``zone `public` ``, `the direct rules`.
    pub what: String,
    /// The changes, each as a phrase after "it".
    pub changes: Vec<String>,
}

/// Everything that a reload would change apart from managed entries.
///
/// Interfaces that are bound at runtime only are no change: Docker binds its bridges so, NetworkManager its connections, and
/// both do it again after each reload.
///
/// # Errors
/// Why it cannot be seen.
pub(super) fn pending(views: &Views<'_>, ours: &Ours) -> Result<Vec<Pending>, String> {
    let cannot_tell =
        |why: &str| format!("cannot determine what else a reload would change: {why}");
    let permanent = views.permanent.settings.map_err(cannot_tell)?;
    let runtime = views.runtime.settings.map_err(cannot_tell)?;
    let mut out = vec![Pending {
        what: "the direct configuration".to_string(),
        changes: differences(
            &direct(views.permanent.direct, ours),
            &direct(views.runtime.direct, ours),
        ),
    }];
    if permanent.default_zone != runtime.default_zone {
        out.push(Pending {
            what: "the default zone".to_string(),
            changes: vec![from_to(
                "it",
                &runtime.default_zone,
                &permanent.default_zone,
            )],
        });
    }
    out.push(Pending {
        what: "the ipsets".to_string(),
        changes: differences(
            &named(&views.sets.permanent_others),
            &named(&views.sets.runtime_others),
        ),
    });
    let mut objects = things("zone", &permanent.zones, &runtime.zones);
    let managed = format!("zone `{}`", views.zone);
    let changes = differences(
        &rich(views.permanent.rich, ours),
        &rich(views.runtime.rich, ours),
    );
    objects.entry(managed).or_default().extend(changes);
    objects.extend(things("policy", &permanent.policies, &runtime.policies));
    objects.extend(things("service", &permanent.services, &runtime.services));
    out.extend(
        objects
            .into_iter()
            .map(|(what, changes)| Pending { what, changes }),
    );
    out.retain(|pending| !pending.changes.is_empty());
    Ok(out)
}

fn direct(direct: &Direct, ours: &Ours) -> BTreeSet<String> {
    let rules = direct.rules.iter().filter(|r| !ours.direct(r));
    let chains = direct.chains.iter();
    let chains = chains.filter(|c| {
        Family::ALL.iter().all(|f| **c != DirectChain::ours(*f)) && !MangleChain::is(c)
    });
    entries(&Direct {
        chains: chains.cloned().collect(),
        rules: rules.cloned().collect(),
        passthroughs: direct.passthroughs.clone(),
    })
}

/// All that a direct configuration has, as phrases.
pub(super) fn entries(direct: &Direct) -> BTreeSet<String> {
    let rules = direct.rules.iter();
    let chains = direct.chains.iter();
    let passthroughs = direct.passthroughs.iter();
    rules
        .map(|r| format!("rule `{r}`"))
        .chain(chains.map(|c| format!("chain `{} {} {}`", c.ipv, c.table, c.chain)))
        .chain(passthroughs.map(|p| format!("passthrough `{} {}`", p.ipv, p.args.join(" "))))
        .collect()
}

/// The sets of others, as phrases.
fn named(sets: &BTreeSet<String>) -> BTreeSet<String> {
    sets.iter().map(|name| format!("ipset `{name}`")).collect()
}

fn rich(rules: &[RichText], ours: &Ours) -> BTreeSet<String> {
    rules
        .iter()
        .filter(|r| !ours.rich(&r.rule))
        .map(|r| format!("rich rule `{}`", r.rule))
        .collect()
}

/// What the one adds to the other and takes from it.
pub(super) fn differences(permanent: &BTreeSet<String>, runtime: &BTreeSet<String>) -> Vec<String> {
    let adds = permanent.difference(runtime).map(|what| adds(what));
    let removes = runtime.difference(permanent).map(|what| removes(what));
    adds.chain(removes).collect()
}

pub(super) fn adds(what: &str) -> String {
    format!("adds {what}")
}

pub(super) fn removes(what: &str) -> String {
    format!("removes {what}")
}

pub(super) fn from_to(what: &str, from: &str, to: &str) -> String {
    format!("changes {what} from `{from}` to `{to}`")
}

/// The changes of all zones, or policies, or services, by name.
fn things(
    kind: &str,
    permanent: &BTreeMap<String, Options>,
    runtime: &BTreeMap<String, Options>,
) -> BTreeMap<String, Vec<String>> {
    let names: BTreeSet<&String> = permanent.keys().chain(runtime.keys()).collect();
    let changes = |name: &String| match (permanent.get(name), runtime.get(name)) {
        (Some(permanent), Some(runtime)) => options(permanent, runtime, &|key| key != "interfaces"),
        (Some(_), None) => vec![adds(&format!("this {kind}"))],
        _ => vec![removes(&format!("this {kind}"))],
    };
    names
        .into_iter()
        .map(|name| (format!("{kind} `{name}`"), changes(name)))
        .collect()
}

/// The changes from the settings of one view to those of the other. Where a removal of a setting does not count, it is none.
pub(super) fn options(
    permanent: &Options,
    runtime: &Options,
    counts: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let keys: BTreeSet<&str> = permanent.keys().chain(runtime.keys()).collect();
    let mut out = Vec::new();
    for key in keys {
        if SINGLE.contains(&key) {
            let (before, after) = (runtime.one(key), permanent.one(key));
            if before != after {
                out.push(from_to(&word(key), number(before), number(after)));
            }
            continue;
        }
        let named = |value: &str| match value {
            "yes" => word(key),
            value => format!("{} `{value}`", word(key)),
        };
        let added = permanent.all(key).filter(|v| !runtime.has(key, v));
        out.extend(added.map(|value| adds(&named(value))));
        let removed = runtime.all(key).filter(|v| !permanent.has(key, v));
        let removed = removed.filter(|_| counts(key));
        out.extend(removed.map(|value| removes(&named(value))));
    }
    out
}

/// Settings that are one text and no list.
const SINGLE: [&str; 4] = ["target", "priority", "ingress_priority", "egress_priority"];

/// A number that is 0 is not among the settings.
fn number(text: &str) -> &str {
    match text {
        "" => "0",
        text => text,
    }
}

/// firewalld's name of a setting, as a person calls one of them.
fn word(key: &str) -> String {
    let one = match key {
        "rules_str" | "rich_rules" => "rich rule",
        "icmp_blocks" => "ICMP block",
        "policies" => "policy",
        "forward" => "forwarding within the zone",
        key => return key.strip_suffix('s').unwrap_or(key).replace('_', " "),
    };
    one.to_string()
}
