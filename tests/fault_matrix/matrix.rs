//! What the matrix is made of: its rows, what the runs are about, and its cells.

use std::fmt;
use std::time::Duration;

use crate::cell::CONFIRM;
use crate::cell::CONFIRM_ROLLBACK;
use crate::cell::Ended;
use crate::cell::slow;
use crate::fault::Fault;
use crate::fault::When;

/// The directory for the outputs of cells that failed.
pub const EVIDENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/fault-matrix");

/// A place in a run at which a fault happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// While the node arms itself, at the first that it asks.
    Arm,
    /// Where it starts the timer.
    Timer,
    /// At a step of the plan, the first of its kind.
    Step { number: usize, doing: String },
    /// While a rollback restores the snapshot, where it first makes this call.
    Call(&'static str),
    /// Where the fresh look reads the rules of the kernel.
    Look,
    /// Where the timer is stopped.
    Disarm,
}

impl Row {
    /// Whether the timer may not be there yet.
    pub fn is_early(&self) -> bool {
        matches!(self, Row::Arm | Row::Timer)
    }

    /// What the shim waits for.
    pub fn wanted(&self, when: When) -> String {
        let when = when.word();
        match self {
            Row::Arm => format!("arm {when} iptables-save -c\n"),
            Row::Timer => format!("arm {when} systemd-run\n"),
            // Docker may have moved it already, so there is nothing to do.
            Row::Step { number, doing } if doing == "placing the jump to DOCKER-USER" => {
                format!("{number} {when} iptables-save\n")
            }
            Row::Step { number, .. } => format!("{number} {when} changes\n"),
            Row::Call(call) => format!("0 {when} {call}\n"),
            Row::Look => format!("done {when} iptables-save\n"),
            // Ahead of the lease's end, or behind the timer's.
            Row::Disarm if when == "before" => "done before date\n".to_string(),
            Row::Disarm => "done after systemctl stop\n".to_string(),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Row::Arm => f.write_str("arming: the snapshot"),
            Row::Timer => f.write_str("arming: the timer"),
            Row::Step { number, doing } => write!(f, "step {}: {doing}", number + 1),
            Row::Call(call) => write!(f, "step 1: restoring the snapshot, at `{call}`"),
            Row::Look => f.write_str("looking again"),
            Row::Disarm => f.write_str("disarming"),
        }
    }
}

/// What the runs are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// An unmanaged node gets its whitelist.
    Adoption,
    /// On a node with a whitelist one peer is replaced by another.
    InPlace,
    /// `rollback` of a run that has given the container another address.
    Address,
    /// `rollback` of a run that has given the network another subnet.
    Subnet,
}

impl Scenario {
    pub const ALL: [Scenario; 4] = [
        Scenario::Adoption,
        Scenario::InPlace,
        Scenario::Address,
        Scenario::Subnet,
    ];

    /// Whether the fault meets `rollback` and not `run`.
    pub fn is_rollback(self) -> bool {
        matches!(self, Scenario::Address | Scenario::Subnet)
    }

    /// The confirm timeout.
    pub fn confirm(self) -> Duration {
        let confirm = if self.is_rollback() {
            CONFIRM_ROLLBACK
        } else {
            CONFIRM
        };
        confirm * slow()
    }

    /// The rows of a rollback; those of a run are its plan's.
    pub fn rollback_rows(self) -> Vec<Row> {
        let calls: &[&'static str] = match self {
            Scenario::Subnet => &[
                "docker network disconnect",
                "docker network rm",
                "docker network create",
                "docker network connect",
            ],
            _ => &["docker network disconnect", "docker network connect"],
        };
        let mut rows = vec![Row::Arm, Row::Timer];
        rows.push(Row::Step {
            number: 0,
            doing: "restoring the snapshot".to_string(),
        });
        rows.extend(calls.iter().map(|call| Row::Call(call)));
        rows.extend([Row::Look, Row::Disarm]);
        rows
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scenario::Adoption => "adoption",
            Scenario::InPlace => "in place",
            Scenario::Address => "rollback across an address",
            Scenario::Subnet => "rollback across a subnet",
        })
    }
}

/// A cell with its place in the matrix.
pub struct Entry {
    pub node: String,
    pub kind: String,
    pub scenario: Scenario,
    pub row: String,
    pub fault: Fault,
    pub when: When,
    pub ended: Result<Ended, Vec<String>>,
}

/// What `FAULT_MATRIX` names: cells with all the words of one of these lists. None: all cells.
pub fn words() -> Vec<Vec<String>> {
    let lists = std::env::var("FAULT_MATRIX").unwrap_or_default();
    let list = |list: &str| list.split(',').map(String::from).collect();
    lists
        .split(';')
        .filter(|l| !l.is_empty())
        .map(list)
        .collect()
}

/// Whether cells that are written down already are left out: with `FAULT_MATRIX_RESUME`.
pub fn resumes() -> bool {
    std::env::var_os("FAULT_MATRIX_RESUME").is_some()
}

/// Whether these lists name a cell.
pub fn names(lists: &[Vec<String>], label: &str) -> bool {
    let named = |list: &Vec<String>| list.iter().all(|word| label.contains(word.as_str()));
    lists.is_empty() || lists.iter().any(named)
}
