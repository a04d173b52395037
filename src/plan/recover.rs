//! What a node needs before it can be planned for at all: which of its troubles `run --recover` mends, and how.
//!
//! One recovery at a time, the most basic first; then the node is looked at again.

use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rule::Passthrough;
use crate::model::state::Daemon;
use crate::model::state::Direct;
use crate::model::state::NodeState;
use crate::model::state::View;
use crate::plan::Allowed;
use crate::plan::action;
use crate::plan::action::Change;
use crate::plan::action::Sign;
use crate::plan::backend_rules;
use crate::plan::finding::Finding;
use crate::plan::finding::Severity;
use crate::plan::finding::command;
use crate::plan::flushed;
use crate::plan::ownership::Ours;
use crate::plan::preflight;
use crate::plan::reload;
use crate::plan::unloaded_edits;
use crate::plan::views;

/// One way of mending a node on which nothing can be planned. Subnets are closed to new flows meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// Brings the node back to the state before a run that was never ended.
    Restore {
        /// The snapshot.
        number: u64,
    },
    /// Lets go of a run that was never ended and cannot be taken back: the node stays as it is.
    Release {
        /// The snapshot.
        number: u64,
        /// What it lacks.
        missing: Vec<String>,
    },
    /// Starts a firewalld that has died.
    Start {
        /// The managed subnets.
        subnets: Vec<Cidr>,
    },
    /// Reloads a firewalld in state FAILED; if that fails, sets aside the permanent direct entries that cannot be loaded.
    Unfail {
        /// The managed subnets.
        subnets: Vec<Cidr>,
        /// The permanent direct configuration.
        permanent: Direct,
    },
    /// Reloads firewalld, so that it and Docker put back what was flushed.
    Reload {
        /// The managed subnets.
        subnets: Vec<Cidr>,
        /// Whose rules are gone, by the finding's code.
        gone: Vec<&'static str>,
    },
}

/// An entry that was set aside: its place among chains, rules and passthroughs, and why it cannot be loaded.
pub type Aside = (usize, String);

/// What can be mended on this node first; `None` if nothing can, or if something stands in the way that cannot.
pub fn recovery(state: &NodeState, desired: &Desired, allowed: &Allowed) -> Option<Recovery> {
    let recovery = needed(state, desired)?;
    let mut obstacles = obstacles_of(&recovery, state, desired, allowed).into_iter();
    obstacles
        .all(|finding| finding.severity < Severity::Refuse)
        .then_some(recovery)
}

/// What must be known of the recovery that the node needs, and why it may not be made.
pub(super) fn obstacles(state: &NodeState, desired: &Desired, allowed: &Allowed) -> Vec<Finding> {
    match needed(state, desired) {
        Some(recovery) => obstacles_of(&recovery, state, desired, allowed),
        None => Vec::new(),
    }
}

/// A reload may not take ssh away, nor activate what others have written and not loaded, be it through firewalld or by hand.
///
/// In state FAILED nothing of the permanent configuration is in force, so that all of it waits, and it is what was wanted. What would
/// become of ssh cannot be told there: firewalld 2.5 then tells of zones that are empty. The way back by itself keeps it.
fn obstacles_of(
    recovery: &Recovery,
    state: &NodeState,
    desired: &Desired,
    allowed: &Allowed,
) -> Vec<Finding> {
    let Recovery::Reload { .. } = recovery else {
        return Vec::new();
    };
    let Some(views) = views(state) else {
        return Vec::new();
    };
    let mut out = unloaded_edits::told(state, &views, Severity::Refuse);
    out.extend(reload::beside(
        &views,
        &Ours::new(desired, state),
        allowed.pending,
    ));
    out.extend(reload::ssh_lost(state, &views));
    out
}

fn needed(state: &NodeState, desired: &Desired) -> Option<Recovery> {
    if state.system.uid != 0 {
        return None;
    }
    if let Some(lease) = state.records.known()?.lease.as_ref() {
        let number = lease.number;
        return match (lease.alive, lease.missing.as_slice()) {
            (true, _) => None,
            (false, []) => Some(Recovery::Restore { number }),
            (false, missing) => Some(Recovery::Release {
                number,
                missing: missing.to_vec(),
            }),
        };
    }
    let refusals: Vec<&str> = preflight::refusals(desired, state)
        .iter()
        .map(|finding| finding.code)
        .collect();
    let only = |codes: &[&str]| refusals.iter().all(|code| codes.contains(code));
    let ours = Ours::new(desired, state);
    let subnets: Vec<Cidr> = Family::ALL
        .into_iter()
        .flat_map(|family| ours.managed(family))
        .collect();
    if has_died(state) {
        return only(&["firewalld-stopped", flushed::DOCKER])
            .then_some(Recovery::Start { subnets });
    }
    let firewalld = state.firewalld.known()?;
    if firewalld.state == "FAILED" {
        let permanent = state.permanent.direct.known()?.clone();
        return only(&["firewalld-failed", flushed::DOCKER])
            .then_some(Recovery::Unfail { subnets, permanent });
    }
    let mut gone: Vec<&'static str> = [flushed::FIREWALLD, backend_rules::DOUBLED, flushed::DOCKER]
        .into_iter()
        .filter(|code| refusals.contains(code))
        .collect();
    let only_these = only(&gone);
    if gone.is_empty() {
        gone = backend_rules::mended_by_reload(desired, state, &ours);
    }
    (!gone.is_empty() && only_these).then_some(Recovery::Reload { subnets, gone })
}

/// Whether firewalld was killed or broke down, on a node that starts it at each boot. One that was stopped was meant to be.
pub(super) fn has_died(state: &NodeState) -> bool {
    state.system.firewalld_enabled
        && matches!(&state.system.firewalld_daemon, Daemon::Stopped(how) if how.starts_with("failed"))
}

impl Recovery {
    /// The same kind, whatever it is about: what is tried twice in a row does not help.
    pub fn is_like(&self, other: &Recovery) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Whether the node is armed for it: what ends an unfinished run is itself the way back.
    pub fn is_armed(&self) -> bool {
        !matches!(self, Recovery::Restore { .. } | Recovery::Release { .. })
    }

    /// Its steps, as short phrases for progress.
    pub fn doing(&self) -> &'static [&'static str] {
        match self {
            Recovery::Restore { .. } => &["taking back the unfinished run"],
            Recovery::Release { .. } => &["releasing the lease"],
            Recovery::Start { .. } => &[
                "closing the latch",
                "starting firewalld",
                "opening the latch",
            ],
            Recovery::Unfail { .. } | Recovery::Reload { .. } => &[
                "closing the latch",
                "reloading firewalld",
                "opening the latch",
            ],
        }
    }

    /// What was mended, once it is.
    pub fn changes(&self, aside: &[Aside]) -> Vec<Change> {
        let replaced = |view, text: String| Change {
            sign: Sign::Replace,
            view,
            text,
        };
        match self {
            Recovery::Restore { number } => vec![replaced(
                View::Runtime,
                format!("the run that was never ended is taken back (snapshot {number})"),
            )],
            Recovery::Release { number, missing } => vec![replaced(
                View::Runtime,
                format!(
                    "the run that was never ended no longer holds the node; its snapshot {number} lacks {}, so that nothing was taken back",
                    missing.join(", ")
                ),
            )],
            Recovery::Start { .. } => vec![replaced(
                View::Runtime,
                "firewalld had died and runs again".to_string(),
            )],
            Recovery::Unfail { permanent, .. } => {
                let (_, kept) = parted(permanent, aside);
                let mut changes = match aside {
                    [] => Vec::new(),
                    _ => action::direct_changes(permanent, &kept),
                };
                changes.push(replaced(
                    View::Runtime,
                    "firewalld was in state FAILED and runs again (reload)".to_string(),
                ));
                changes
            }
            Recovery::Reload { gone, .. } => gone
                .iter()
                .map(|code| {
                    let was = match *code {
                        flushed::DOCKER => "Docker's rules were gone and are back",
                        backend_rules::DOUBLED => {
                            "firewalld's rules were there twice and are there once"
                        }
                        backend_rules::LOST => "a forward of firewalld's was lost and is back",
                        backend_rules::LEFT => "a forward that firewalld did not know of is gone",
                        _ => "firewalld's rules were gone and are back",
                    };
                    replaced(View::Kernel, format!("{was} (reload)"))
                })
                .collect(),
        }
    }

    /// What the operator must know of it beside. `number` is the snapshot of the node as it was before.
    pub fn findings(&self, aside: &[Aside], number: Option<u64>) -> Vec<Finding> {
        let Recovery::Unfail { permanent, .. } = self else {
            return Vec::new();
        };
        let kept_in = match number {
            Some(number) => {
                format!("; the file as it was is in /var/lib/fwdeploy/snapshots/{number}/firewalld")
            }
            None => String::new(),
        };
        aside
            .iter()
            .filter_map(|(place, why)| {
                let entry = entry(permanent, *place)?;
                Some(
                    Finding::new(
                        Severity::Warning,
                        "set-aside",
                        View::Permanent,
                        format!(
                            "{} could not be loaded and was taken out of firewalld's permanent configuration: {why}",
                            entry.text
                        ),
                    )
                    .hint(format!("once it is mended: {}{kept_in}", entry.command)),
                )
            })
            .collect()
    }
}

/// What was set aside, and what stays.
pub fn parted(permanent: &Direct, aside: &[Aside]) -> (Direct, Direct) {
    let mut out = Direct::default();
    let mut kept = Direct::default();
    let is_aside = |place: usize| aside.iter().any(|(other, _)| *other == place);
    let side = |place| if is_aside(place) { 0 } else { 1 };
    let sides = [&mut out, &mut kept];
    let (chains, rules) = (permanent.chains.len(), permanent.rules.len());
    for (n, chain) in permanent.chains.iter().enumerate() {
        sides[side(n)].chains.push(chain.clone());
    }
    for (n, rule) in permanent.rules.iter().enumerate() {
        sides[side(chains + n)].rules.push(rule.clone());
    }
    for (n, passthrough) in permanent.passthroughs.iter().enumerate() {
        sides[side(chains + rules + n)]
            .passthroughs
            .push(passthrough.clone());
    }
    (out, kept)
}

/// An entry of the permanent direct configuration, and the command that adds it.
struct Entry {
    text: String,
    command: String,
}

fn entry(permanent: &Direct, place: usize) -> Option<Entry> {
    let only = parted(permanent, &[(place, String::new())]).0;
    let words = |option: &str, rest: &[&str], args: &[String]| {
        let fixed = ["firewall-cmd", "--permanent", "--direct", option];
        let fixed = fixed.iter().chain(rest).map(ToString::to_string);
        command(fixed.chain(args.iter().cloned()))
    };
    if let Some(chain) = only.chains.first() {
        let place = [&*chain.ipv, &chain.table, &chain.chain];
        return Some(Entry {
            text: format!("direct chain `{}`", place.join(" ")),
            command: words("--add-chain", &place, &[]),
        });
    }
    if let Some(rule) = only.rules.first() {
        let priority = rule.priority.to_string();
        let place = [rule.ipv(), &rule.table, &rule.chain, &priority];
        return Some(Entry {
            text: format!("direct rule `{rule}`"),
            command: words("--add-rule", &place, &rule.args),
        });
    }
    let Passthrough { ipv, args, .. } = only.passthroughs.first()?;
    Some(Entry {
        text: format!("passthrough `{ipv} {}`", args.join(" ")),
        command: words("--add-passthrough", &[ipv], args),
    })
}
