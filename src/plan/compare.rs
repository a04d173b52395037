//! Compares two readings of a node. Shows whether a node that was rolled back is as it was before.

use std::collections::BTreeMap;

use crate::model::CHAIN;
use crate::model::Family;
use crate::model::NodeState;
use crate::model::Observed;
use crate::model::guard::GuardBoot;
use crate::model::guard::GuardState;
use crate::model::guard::mangle::MangleState;
use crate::model::guard::mangle::TABLE;
use crate::model::ipset::IpSets;
use crate::model::ipset::SetViews;
use crate::model::state::Docker;
use crate::model::state::Firewall;
use crate::model::state::KernelRule;
use crate::model::state::Tables;
use crate::model::state::View;
use crate::plan::action::Change;
use crate::plan::action::Sign;

/// What a plan reads of a node, line by line: all that a later comparison needs, and much smaller than the whole state.
///
/// Ids, versions and running states are left out: a recreated network has another id and is the same network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading(Vec<(View, Box<str>)>);

impl Reading {
    /// The lines of a node.
    pub fn of(state: &NodeState) -> Self {
        let lines = lines(state).into_iter();
        Reading(lines.map(|(view, line)| (view, line.into())).collect())
    }

    /// What is different now. Empty means: as it was at this reading.
    pub fn changes_to(&self, now: &NodeState) -> Vec<Change> {
        changes(&self.0, &Reading::of(now).0)
    }
}

/// What is different between two states of a node: see [`Reading`].
pub fn compare(before: &NodeState, now: &NodeState) -> Vec<Change> {
    Reading::of(before).changes_to(now)
}

fn changes(before: &[(View, Box<str>)], now: &[(View, Box<str>)]) -> Vec<Change> {
    let mut changes = Vec::new();
    for (sign, these, those) in [(Sign::Remove, before, now), (Sign::Add, now, before)] {
        // Each line is counted: a rule that stood there twice and now once is a difference.
        let mut rest: BTreeMap<&(View, Box<str>), usize> = BTreeMap::new();
        for line in those {
            *rest.entry(line).or_default() += 1;
        }
        for line in these {
            match rest.get_mut(line) {
                Some(count) if *count > 0 => *count -= 1,
                _ => changes.push(Change {
                    sign,
                    view: line.0,
                    text: line.1.to_string(),
                }),
            }
        }
    }
    if changes.is_empty() && before != now {
        changes.push(Change {
            sign: Sign::Replace,
            view: before
                .iter()
                .zip(now)
                .find(|(a, b)| a != b)
                .map_or(View::Runtime, |(a, _)| a.0),
            text: "the order of the rules".to_string(),
        });
    }
    changes
}

fn lines(state: &NodeState) -> Vec<(View, String)> {
    let mut out = Vec::new();
    firewall(&mut out, View::Permanent, &state.permanent);
    firewall(&mut out, View::Runtime, &state.runtime);
    for family in Family::ALL {
        kernel(&mut out, family, state.kernel.tables(family));
    }
    match &state.kernel.latch {
        Observed::Known(false) => {}
        Observed::Known(true) => out.push((View::Kernel, "the latch".to_string())),
        Observed::Unreadable(_) => unreadable(&mut out, View::Kernel, "the latch"),
    }
    sets(&mut out, &state.sets);
    docker(&mut out, &state.docker);
    guard(&mut out, &state.kernel.guard);
    out
}

fn sets(out: &mut Vec<(View, String)>, views: &SetViews) {
    let mut add = |view, of: &str, sets: &Observed<IpSets>, is_made: bool| match sets {
        Observed::Known(sets) => {
            for (name, set) in sets {
                // firewalld keeps a set in memory until it is reloaded, and one without entries has no effect.
                if is_made {
                    out.push((
                        view,
                        format!("{of}ipset {name} {} {:?}", set.kind, set.options),
                    ));
                }
                let entries = set.entries.iter().map(ToString::to_string);
                let texts = entries.chain(set.odd.iter().cloned());
                out.extend(texts.map(|entry| (view, format!("{of}ipset {name} {entry}"))));
            }
        }
        // What was not read was not changed: no plan touches sets that it does not know.
        Observed::Unreadable(_) => {}
    };
    add(View::Permanent, "", &views.permanent, true);
    add(View::Runtime, "", &views.runtime, false);
    add(View::Kernel, "", &views.kernel, false);
    for (family, sets) in views.nft.known().into_iter().flatten() {
        let sets = Observed::Known(sets.clone());
        add(View::Kernel, &format!("nft {family} "), &sets, false);
    }
}

fn guard(out: &mut Vec<(View, String)>, guard: &GuardState) {
    match &guard.table {
        Observed::Known(None) => {}
        Observed::Known(Some(table)) => {
            out.push((View::Guard, "table inet fwdeploy".to_string()));
            let lines = table.lines().into_iter();
            out.extend(lines.map(|line| (View::Guard, line)));
        }
        Observed::Unreadable(_) => unreadable(out, View::Guard, "the guard's table"),
    }
    match &guard.boot {
        Observed::Known(boot) if *boot == GuardBoot::default() => {}
        Observed::Known(GuardBoot {
            script,
            unit,
            drop_in,
            is_enabled,
            is_active,
            is_masked,
            is_changed,
        }) => out.push((
            View::Guard,
            format!(
                "at boot: script {}, unit {}, drop-in {}, enabled {is_enabled}, active {is_active}, masked {is_masked}, changed {is_changed}",
                script.as_deref().unwrap_or("none"),
                unit.as_deref().unwrap_or("none"),
                drop_in.as_deref().unwrap_or("none"),
            ),
        )),
        Observed::Unreadable(_) => unreadable(out, View::Guard, "the guard's files"),
    }
}

/// Why it is unreadable is left out: the words of two failures need not be the same.
fn unreadable(out: &mut Vec<(View, String)>, view: View, what: &str) {
    out.push((view, format!("{what} (unreadable)")));
}

fn firewall(out: &mut Vec<(View, String)>, view: View, firewall: &Firewall) {
    match &firewall.direct {
        Observed::Known(direct) => {
            // firewalld treats these as sets; their order has no meaning and may change in a reload.
            let mut chains: Vec<String> = direct
                .chains
                .iter()
                .map(|c| format!("chain {} {} {}", c.ipv, c.table, c.chain))
                .collect();
            chains.sort();
            out.extend(chains.into_iter().map(|text| (view, text)));
            // Their order has a meaning only within a chain and a priority; between chains a reload may change it.
            let mut rules: Vec<_> = direct.rules.iter().collect();
            rules.sort_by_key(|r| (r.ipv(), &r.table, &r.chain, r.priority));
            out.extend(rules.iter().map(|r| (view, r.to_string())));
            let mut passthroughs: Vec<_> = direct.passthroughs.iter().collect();
            passthroughs.sort_by_key(|p| &p.ipv);
            let passthroughs = passthroughs.into_iter();
            out.extend(passthroughs.map(|p| (view, format!("passthrough {p}"))));
        }
        Observed::Unreadable(_) => unreadable(out, view, "direct rules"),
    }
    match &firewall.rich {
        Observed::Known(rich) => {
            let mut texts: Vec<&String> = rich.iter().map(|r| &r.text).collect();
            texts.sort();
            out.extend(texts.into_iter().map(|text| (view, text.clone())));
        }
        Observed::Unreadable(_) => unreadable(out, view, "rich rules"),
    }
}

fn kernel(out: &mut Vec<(View, String)>, family: Family, tables: &Observed<Tables>) {
    let tables = match tables {
        Observed::Known(tables) => tables,
        Observed::Unreadable(_) => {
            return unreadable(out, View::Kernel, &format!("{family} tables"));
        }
    };
    if let Some(chain) = tables.chain("filter", CHAIN) {
        out.push((View::Kernel, format!("chain {family} filter {CHAIN}")));
        for rule in &chain.rules {
            let text = rule
                .rule
                .as_ref()
                .map_or_else(|| rule.text.clone(), ToString::to_string);
            out.push((View::Kernel, format!("{family} filter {CHAIN} {text}")));
        }
    }
    let mangle = MangleState::of(tables);
    for (chain, lines) in &mangle.chains {
        let chain = chain.name();
        out.push((View::Kernel, format!("chain {family} {TABLE} {chain}")));
        let lines = lines.iter().map(|line| (chain, line));
        out.extend(lines.map(|(chain, line)| held(family, chain, line)));
    }
    // Without the guard firewalld's own jumps say nothing.
    for jump in mangle.jumps.iter().filter(|_| !mangle.is_empty()) {
        out.push(held(family, &jump.chain, &jump.line));
    }
    // Of FORWARD only the jump is ours; Docker rearranges the rest as it likes.
    let jump = format!("-j {CHAIN}");
    if let Some(forward) = tables.chain("filter", "FORWARD") {
        let at = forward.rules.iter().position(|r| r.text == jump);
        let accepts = forward
            .rules
            .iter()
            .position(|r| r.text.ends_with("-j ACCEPT"));
        if let Some(at) = at {
            let place = match accepts {
                Some(accept) if accept < at => "after an accept",
                _ => "ahead of every accept",
            };
            out.push((
                View::Kernel,
                format!("{family} filter FORWARD {jump} {place}"),
            ));
        }
    }
}

/// A line of the guard in table mangle.
fn held(family: Family, chain: &str, line: &KernelRule) -> (View, String) {
    let rule = line.rule.as_ref();
    let text = rule.map_or_else(|| line.text.clone(), ToString::to_string);
    (View::Kernel, format!("{family} {TABLE} {chain} {text}"))
}

fn docker(out: &mut Vec<(View, String)>, docker: &Observed<Docker>) {
    let docker = match docker {
        Observed::Known(docker) => docker,
        Observed::Unreadable(_) => return unreadable(out, View::Docker, "docker"),
    };
    for network in &docker.networks {
        let mut text = format!("network {}", network.name);
        for subnet in &network.subnets {
            text.push_str(&format!(" {subnet}"));
        }
        out.push((View::Docker, text));
    }
    for container in &docker.containers {
        for endpoint in &container.endpoints {
            let mut text = format!("container {} on {}", container.name, endpoint.network);
            if let Some(fixed) = endpoint.fixed {
                text.push_str(&format!(" at {fixed}"));
            }
            out.push((View::Docker, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DirectRule;
    use crate::model::rule::Passthrough;
    use crate::model::state::Direct;
    use crate::model::state::Kernel;
    use crate::model::state::System;

    /// A node of which only the direct rules at runtime can be read, and there are none.
    fn node() -> NodeState {
        let firewall = |direct| Firewall {
            direct,
            rich: Observed::default(),
            settings: Observed::default(),
        };
        NodeState {
            system: System::default(),
            firewalld: Observed::default(),
            zone: Observed::default(),
            permanent: firewall(Observed::default()),
            files: Observed::default(),
            runtime: firewall(Observed::Known(Direct::default())),
            kernel: Kernel {
                v4: Observed::default(),
                v6: Observed::default(),
                split: Observed::default(),
                latch: Observed::default(),
                ip_forward: Observed::default(),
                guard: GuardState::default(),
                backend: None,
            },
            sets: SetViews::default(),
            docker: Observed::default(),
            records: Observed::default(),
        }
    }

    fn rule(family: Family, chain: &str, priority: i32, args: &str) -> DirectRule {
        DirectRule {
            family: Some(family),
            table: "filter".to_string(),
            chain: chain.to_string(),
            priority,
            args: args.split(' ').map(String::from).collect(),
        }
    }

    fn with(rules: &[&DirectRule]) -> NodeState {
        let mut state = node();
        let direct = state.runtime.direct.known_mut().unwrap();
        direct.rules = rules.iter().map(|rule| (*rule).clone()).collect();
        state
    }

    fn with_lines(rules: &[&str]) -> NodeState {
        let mut state = node();
        let direct = state.runtime.direct.known_mut().unwrap();
        direct.rules = rules
            .iter()
            .map(|text| DirectRule {
                family: Some(Family::V4),
                table: "filter".to_string(),
                chain: CHAIN.to_string(),
                priority: 0,
                args: text.split(' ').map(String::from).collect(),
            })
            .collect();
        state
    }

    #[test]
    fn only_the_order_within_a_chain_is_a_difference() {
        let a = rule(Family::V4, "FORWARD", 0, "-j ACCEPT");
        let b = rule(Family::V4, "INPUT", 0, "-j ACCEPT");
        let six = rule(Family::V6, "FORWARD", 0, "-j ACCEPT");
        let later = rule(Family::V4, "FORWARD", 1, "-j DROP");
        let drop = rule(Family::V4, "FORWARD", 0, "-j DROP");
        let differ = |x: &[&DirectRule], y: &[&DirectRule]| !compare(&with(x), &with(y)).is_empty();
        assert!(!differ(&[&a, &b], &[&b, &a]));
        assert!(!differ(&[&a, &six], &[&six, &a]));
        assert!(!differ(&[&a, &later], &[&later, &a]));
        assert!(!differ(&[&a, &b, &drop], &[&b, &a, &drop]));
        assert!(differ(&[&a, &drop], &[&drop, &a]));
        assert!(differ(&[&a, &a], &[&a]));
        let mut one = with(&[]);
        let mut other = one.clone();
        let passed = |ipv: &str| Passthrough::new(ipv, vec!["-L".to_string()]);
        one.runtime.direct.known_mut().unwrap().passthroughs = vec![passed("ipv4"), passed("ipv6")];
        other.runtime.direct.known_mut().unwrap().passthroughs =
            vec![passed("ipv6"), passed("ipv4")];
        assert_eq!(compare(&one, &other), []);
    }

    #[test]
    fn each_line_is_counted() {
        let said = |before: &[&str], now: &[&str]| -> Vec<String> {
            let changes = compare(&with_lines(before), &with_lines(now));
            changes
                .iter()
                .map(|change| format!("{:?} {}", change.sign, change.text))
                .collect()
        };
        let rule = |sign: &str, text: &str| format!("{sign} ipv4 filter DOCKER-USER 0 {text}");
        assert!(said(&["-j DROP", "-j LOG"], &["-j DROP", "-j LOG"]).is_empty());
        assert_eq!(
            said(&["-j LOG", "-j LOG"], &["-j LOG"]),
            [rule("Remove", "-j LOG")]
        );
        assert_eq!(
            said(&["-j LOG"], &["-j DROP", "-j LOG", "-j LOG"]),
            [rule("Add", "-j DROP"), rule("Add", "-j LOG")]
        );
        assert_eq!(
            said(&["-j DROP", "-j LOG"], &["-j LOG", "-j DROP"]),
            ["Replace the order of the rules"]
        );
    }
}
