//! What a node needs before it can be planned for at all: which of its troubles `run --recover` repairs, and how.
//!
//! One recovery at a time, the most basic first; then the node is read again.

use std::collections::BTreeSet;

use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rule::Passthrough;
use crate::model::state::Direct;
use crate::model::state::NodeState;
use crate::model::state::View;
use crate::plan::action;
use crate::plan::action::Change;
use crate::plan::action::Sign;
use crate::plan::allowed::Allowed;
use crate::plan::backend_rules;
use crate::plan::backend_rules::Mismatch;
use crate::plan::code::FindingCode;
use crate::plan::diagnosis;
use crate::plan::diagnosis::Trouble;
use crate::plan::diagnosis::diagnose;
use crate::plan::finding::Finding;
use crate::plan::finding::command;
use crate::plan::ownership::Ours;
use crate::plan::reload;
use crate::plan::severity::Severity;
use crate::plan::unloaded_edits;
use crate::plan::views::Views;

/// One way of mending a node on which nothing can be planned. Subnets are closed to new flows meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// Restores the node to the state before a run that was never ended.
    Restore {
        /// The snapshot.
        number: u64,
    },
    /// Abandons a run that was never ended and cannot be rolled back: the node stays as it is.
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
    /// Reloads firewalld, so that it and Docker restore what was flushed.
    Reload {
        /// The managed subnets.
        subnets: Vec<Cidr>,
        /// What it repairs.
        gone: Vec<Gone>,
    },
}

/// An entry that was set aside: its place among chains, rules and passthroughs, and why it cannot be loaded.
pub type Aside = (usize, String);

/// What can be repaired on this node first; `None` if nothing can, or if something that cannot be repaired prevents it.
pub fn recovery(state: &NodeState, desired: &Desired, allowed: &Allowed) -> Option<Recovery> {
    let recovery = needed(state, desired, &diagnose(desired, state))?;
    let mut obstacles = obstacles_of(&recovery, state, desired, allowed).into_iter();
    obstacles
        .all(|finding| finding.severity < Severity::Refuse)
        .then_some(recovery)
}

/// What must be known of the recovery that a node with these troubles needs, and why it may not be made.
pub(super) fn obstacles(
    state: &NodeState,
    desired: &Desired,
    troubles: &[Trouble],
    allowed: &Allowed,
) -> Vec<Finding> {
    match needed(state, desired, troubles) {
        Some(recovery) => obstacles_of(&recovery, state, desired, allowed),
        None => Vec::new(),
    }
}

/// A reload must not cut off ssh, nor activate what others have written and not loaded, through firewalld or by hand.
///
/// In state FAILED nothing of the permanent configuration is in force, so all of it is pending, and it is what was wanted. The effect
/// on ssh cannot be determined there: firewalld 2.5 then reports empty zones. The automatic rollback protects ssh.
fn obstacles_of(
    recovery: &Recovery,
    state: &NodeState,
    desired: &Desired,
    allowed: &Allowed,
) -> Vec<Finding> {
    let Recovery::Reload { .. } = recovery else {
        return Vec::new();
    };
    let Some(views) = Views::of(state) else {
        return Vec::new();
    };
    let mut out = unloaded_edits::refusals(state, &views);
    out.extend(reload::beside(
        &views,
        &Ours::new(desired, state),
        allowed.pending,
    ));
    out.extend(reload::ssh_lost(state, &views));
    out
}

fn needed(state: &NodeState, desired: &Desired, troubles: &[Trouble]) -> Option<Recovery> {
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
    let ours = Ours::new(desired, state);
    let subnets: Vec<Cidr> = Family::ALL
        .into_iter()
        .flat_map(|family| ours.managed(family))
        .collect();
    // Docker's rules come back with firewalld.
    let only = |mends: &dyn Fn(&Trouble) -> bool| {
        troubles
            .iter()
            .all(|trouble| mends(trouble) || matches!(trouble, Trouble::DockerFlushed { .. }))
    };
    if diagnosis::has_died(state) {
        let died = |trouble: &Trouble| matches!(trouble, Trouble::NotAnswering { died: true, .. });
        return only(&died).then_some(Recovery::Start { subnets });
    }
    if state.firewalld.known()?.state == "FAILED" {
        let permanent = state.permanent.direct.known()?.clone();
        return only(&|trouble| matches!(trouble, Trouble::FirewalldState { .. }))
            .then_some(Recovery::Unfail { subnets, permanent });
    }
    let found: BTreeSet<Gone> = troubles.iter().filter_map(Gone::of).collect();
    let mendable = troubles.iter().all(|trouble| Gone::of(trouble).is_some());
    let gone = if found.is_empty() {
        let mismatches = backend_rules::mismatches(desired, state, &ours);
        mismatches.iter().filter_map(Gone::of_forward).collect()
    } else {
        found
    };
    let gone: Vec<Gone> = gone.into_iter().collect();
    (!gone.is_empty() && mendable).then_some(Recovery::Reload { subnets, gone })
}

/// What a reload of firewalld repairs, in the order in which it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gone {
    /// firewalld's rules were flushed.
    Firewalld,
    /// firewalld's rules are there twice.
    Doubled,
    /// Docker's rules were flushed.
    Docker,
    /// A forward that firewalld believes in is not in force.
    ForwardLost,
    /// A forward is in force that firewalld does not have.
    ForwardLeft,
}

impl Gone {
    fn of(trouble: &Trouble) -> Option<Self> {
        match trouble {
            Trouble::FirewalldFlushed(_) => Some(Gone::Firewalld),
            Trouble::FirewalldDoubled { .. } => Some(Gone::Doubled),
            Trouble::DockerFlushed { .. } => Some(Gone::Docker),
            _ => None,
        }
    }

    fn of_forward(mismatch: &Mismatch<'_>) -> Option<Self> {
        match mismatch {
            Mismatch::Lost(_) => Some(Gone::ForwardLost),
            Mismatch::Left(_) => Some(Gone::ForwardLeft),
            Mismatch::Unread(_) | Mismatch::Behind(..) => None,
        }
    }

    /// What was wrong and is repaired, as a sentence.
    fn mended(self) -> &'static str {
        match self {
            Gone::Firewalld => "firewalld's rules were missing and are restored",
            Gone::Doubled => "firewalld's rules were in the kernel twice and are there once",
            Gone::Docker => "Docker's rules were missing and are restored",
            Gone::ForwardLost => "a forward of firewalld was missing and is restored",
            Gone::ForwardLeft => "a forward that firewalld did not have is removed",
        }
    }
}

impl Recovery {
    /// The same kind, whatever it is about: repeating it does not help.
    pub fn is_like(&self, other: &Recovery) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Whether the node is armed for it: ending an unfinished run is itself a rollback.
    pub fn is_armed(&self) -> bool {
        !matches!(self, Recovery::Restore { .. } | Recovery::Release { .. })
    }

    /// Its steps, as short phrases for progress.
    pub fn doing(&self) -> &'static [&'static str] {
        match self {
            Recovery::Restore { .. } => &["rolling back the unfinished run"],
            Recovery::Release { .. } => &["releasing the lease"],
            Recovery::Start { .. } => &[
                "blocking new flows",
                "starting firewalld",
                "unblocking new flows",
            ],
            Recovery::Unfail { .. } | Recovery::Reload { .. } => &[
                "blocking new flows",
                "reloading firewalld",
                "unblocking new flows",
            ],
        }
    }

    /// What was repaired, as changes.
    pub fn changes(&self, aside: &[Aside]) -> Vec<Change> {
        let replaced = |view, text: String| Change {
            sign: Sign::Replace,
            view,
            text,
        };
        match self {
            Recovery::Restore { number } => vec![replaced(
                View::Runtime,
                format!("the run that was never ended is rolled back (snapshot {number})"),
            )],
            Recovery::Release { number, missing } => vec![replaced(
                View::Runtime,
                format!(
                    "the run that was never ended no longer holds the node; its snapshot {number} lacks {}, so nothing was rolled back",
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
                .map(|gone| replaced(View::Kernel, format!("{} (reload)", gone.mended())))
                .collect(),
        }
    }

    /// Additional information for the operator. `number` is the snapshot of the node as it was before.
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
                        FindingCode::SetAside,
                        View::Permanent,
                        format!(
                            "{} could not be loaded and was removed from firewalld's permanent configuration: {why}",
                            entry.text
                        ),
                    )
                    .hint(format!("once it is fixed: {}{kept_in}", entry.command)),
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
