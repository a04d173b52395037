//! The records that runs have left on a node: its snapshots, and the lease of the current run.

use serde::Serialize;

/// The records of a node, `/var/lib/fwdeploy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Records {
    /// The number of the last run that was armed; 0 if there never was one.
    pub last: u64,
    /// The current run; while there is one, no other run changes the node.
    pub lease: Option<Lease>,
    /// The snapshots that are kept, the oldest first.
    pub snapshots: Vec<Snapshot>,
    /// What a run that was killed while it was being armed has left behind: paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<String>,
}

impl Records {
    /// A snapshot by its number.
    pub fn snapshot(&self, number: u64) -> Option<&Snapshot> {
        self.snapshots.iter().find(|s| s.number == number)
    }
}

/// One operator at a time: the run that holds the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// The snapshot that the node rolls back to if the run is not confirmed.
    pub number: u64,
    /// Whether the node will end the lease by itself: its timer or its restore is running.
    pub alive: bool,
    /// How many seconds are left to confirm, by the node's own count since its boot; `None` after a boot.
    pub left: Option<i64>,
    /// Whether a restore was tried and failed.
    pub restore_failed: bool,
    /// Why the last attempt of the rollback failed; another may follow.
    pub trouble: Vec<String>,
    /// What its snapshot lacks; without it the node cannot be rolled back.
    pub missing: Vec<String>,
    /// How far the run is: `arm`, a step's number counted from 0, or `done`.
    pub step: String,
}

/// The record of the run for which a snapshot was taken. Times are from the node's clock, RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Snapshot {
    /// Its number.
    pub number: u64,
    /// The operator: user and machine.
    pub operator: String,
    /// When.
    pub since: String,
    /// Until when it had to be confirmed.
    pub until: String,
    /// Which run it was: a word of the operator's machine that no other run has.
    pub run: String,
    /// The node's name in that run's inventory; empty in snapshots of older versions.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// What was run: `run`, `rollback to 3`, `drill`.
    pub what: String,
    /// How many differences it was to remove.
    pub changes: u64,
    /// The hash of what the roles asked for.
    pub policy: String,
    /// How it ended.
    pub outcome: RunOutcome,
    /// When it ended; empty while it has not.
    pub ended: String,
    /// How many seconds after the confirm timeout it was rolled back, by the node's uptime; negative if it was before. `None` if it was not
    /// rolled back, if the node was booted meanwhile, or if an older version did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<i64>,
    /// What triggered the rollback: `timer`, `boot`, or `now` for the operator; empty if the run was confirmed.
    pub why: String,
    /// How it was rolled back: `in place`, `by a reload of firewalld`, …
    pub how: String,
    /// What is not as it was before although the node rolled back, because others have changed it since.
    pub remarks: Vec<String>,
    /// What went wrong in the rollback; for a failed one, what differs from the snapshot.
    pub trouble: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// It has not ended, or its result is unknown.
    #[default]
    Armed,
    /// The verification found the desired state, and the run was confirmed.
    Confirmed,
    /// The node was rolled back to the state before.
    Restored,
    /// The rollback failed.
    Failed,
}

impl RunOutcome {
    /// Its word, as the node writes it down.
    pub fn as_str(self) -> &'static str {
        match self {
            RunOutcome::Armed => "armed",
            RunOutcome::Confirmed => "confirmed",
            RunOutcome::Restored => "restored",
            RunOutcome::Failed => "failed",
        }
    }

    /// The outcome of that word.
    pub fn of(word: &str) -> Option<RunOutcome> {
        [
            RunOutcome::Armed,
            RunOutcome::Confirmed,
            RunOutcome::Restored,
            RunOutcome::Failed,
        ]
        .into_iter()
        .find(|outcome| outcome.as_str() == word)
    }
}
