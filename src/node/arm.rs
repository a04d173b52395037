//! Arming: the script of a run that the node can take back by itself, and what is asked of a node that is armed.

use std::collections::BTreeMap;

use crate::model::Cidr;
use crate::model::NodeState;
use crate::node::apply;
use crate::node::quote;
use crate::node::restore;
use crate::node::shell::DISARM;
use crate::node::shell::LIBRARY;
use crate::node::shell::ROLLBACK;
use crate::node::shell::STEPS;
use crate::plan::Action;

/// The lease is somebody else's (EX_TEMPFAIL of sysexits.h).
pub const BUSY: i32 = 75;

/// Somebody else's run has changed the node since it was looked at.
pub const STALE: i32 = 76;

/// The lease is of a run that nobody will end.
pub const UNFINISHED: i32 = 77;

/// There is no such snapshot, or it is not whole (EX_NOINPUT of sysexits.h).
pub const NO_SNAPSHOT: i32 = 66;

/// What a run is armed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arming {
    /// The number of the node's last snapshot when it was looked at; 0 if it had none.
    pub last: u64,
    /// After so many seconds without confirmation the node goes back.
    pub timeout: u64,
    /// What is written down about the run: `operator`, `what`, `policy` and more. Line breaks in values become spaces.
    pub about: Vec<(&'static str, String)>,
    /// The managed subnets: closed to new flows while the way back reloads firewalld.
    pub managed: Vec<Cidr>,
}

/// Returns the script that arms the node to go back to where it is, and then takes these steps.
///
/// Its answer is for [`Steps`](crate::node::Steps).
pub fn armed(arming: &Arming, actions: &[Action]) -> String {
    let restore = restore::of_plan(actions, &arming.managed);
    whole(arming, &restore, "", &apply::plan(actions))
}

/// Returns the script that arms the node to stay at `before`, and then brings it to an older snapshot, in one step.
///
/// Its answer is for [`Steps`](crate::node::Steps).
pub fn rolled_back(arming: &Arming, before: &NodeState, to: u64) -> String {
    let restore = restore::of_state(before, &arming.managed);
    let mut words = vec!["restore_snapshot".to_string(), to.to_string()];
    words.extend(arming.managed.iter().map(Cidr::to_string));
    let words = apply::line(&words);
    let plan = format!("{ROLLBACK}\nplan() {{\n    step 0 {words}\n}}\n");
    whole(arming, &restore, &format!("has_snapshot {to} && "), &plan)
}

/// Returns the script that says that a run is confirmed. Its answer is for [`Ending`].
pub fn disarm(number: u64) -> String {
    asked("disarm", number)
}

/// Returns the script that asks the node to go back at once, and waits until it has. Its answer is for [`Ending`].
pub fn go_back(number: u64) -> String {
    asked("back", number)
}

fn asked(what: &str, number: u64) -> String {
    format!("{LIBRARY}{DISARM}\n{what} {number}\n")
}

fn whole(arming: &Arming, restore: &str, first: &str, plan: &str) -> String {
    let about: Vec<String> = arming
        .about
        .iter()
        .map(|(key, value)| format!("{key}={}", value.replace(['\n', '\r'], " ")))
        .collect();
    format!(
        "library={}\neval \"$library\"\n{STEPS}\nabout={}\nrestore_program={}\nprepare() {{ {first}arm {} {}; }}\n{plan}\nmain\n",
        quote(LIBRARY),
        quote(&about.join("\n")),
        quote(restore),
        arming.last,
        arming.timeout,
    )
}

/// How a run ended, as the node tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It is confirmed, and stays.
    Disarmed,
    /// The node went back to the state before.
    Restored(Restored),
    /// The node is still armed: it did not come back, or is not yet back.
    Still {
        /// What went wrong on the way back, in the node's words.
        trouble: Vec<String>,
    },
}

/// How a node went back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// When, as the node's clock tells (RFC 3339, UTC).
    pub ended: String,
    /// What set it off: `timer`, `boot`, or `now` for the operator.
    pub why: String,
    /// In which way: `in place`, `by a reload of firewalld`, …
    pub how: String,
}

impl Ending {
    /// Reads the answer of [`disarm`] and [`go_back`]; `None` if it was cut off.
    pub fn read(answer: &[u8]) -> Option<Ending> {
        let answer = String::from_utf8_lossy(answer);
        let mut lines = answer.lines().skip_while(|line| {
            !["disarmed ", "gone ", "still "]
                .iter()
                .any(|word| line.starts_with(word))
        });
        let first = lines.next()?;
        let mut values: BTreeMap<&str, &str> = BTreeMap::new();
        let mut trouble = Vec::new();
        let mut whole = false;
        for line in lines {
            match line.split_once('=') {
                Some(("trouble", said)) if !said.is_empty() => trouble.push(said.to_string()),
                Some((key, value)) => drop(values.insert(key, value)),
                None => whole |= line == "end",
            }
        }
        if !whole {
            return None;
        }
        let value = |key: &str| values.get(key).copied().unwrap_or_default().to_string();
        Some(match first.split(' ').next()? {
            "still" => Ending::Still { trouble },
            // Whoever took the lease away said so first, or went back.
            "gone" if value("outcome") == "restored" => Ending::Restored(Restored {
                ended: value("ended"),
                why: value("why"),
                how: value("how"),
            }),
            _ => Ending::Disarmed,
        })
    }
}
