//! What runs have left on a node: its snapshots, and the lease of the run at work.

use serde::Serialize;

/// The records of a node, `/var/lib/fwdeploy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Records {
    /// The number of the last run that was armed; 0 if there never was one.
    pub last: u64,
    /// The run at work; while there is one, nobody else changes the node.
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

/// One operator at a time: who holds the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// The snapshot that the node goes back to if nobody confirms.
    pub number: u64,
    /// Whether the node will end the lease by itself: its timer or its restore is at work.
    pub alive: bool,
    /// How many seconds are left to confirm, by the node's own count since its boot; `None` after a boot.
    pub left: Option<i64>,
    /// Whether a restore was tried and failed.
    pub restore_failed: bool,
    /// What the last try of the way back has failed with; another may follow.
    pub trouble: Vec<String>,
    /// What its snapshot lacks; without it the node cannot go back.
    pub missing: Vec<String>,
    /// How far the run is: `arm`, a step's number counted from 0, or `done`.
    pub step: String,
}

/// What a snapshot says about the run that it was taken for. Times are the node's clock, RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Snapshot {
    /// Its number.
    pub number: u64,
    /// Who ran: the user and the machine of the operator.
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
    /// What set off the way back: `timer`, `boot`, or `now` for the operator; empty if it was confirmed.
    pub why: String,
    /// Which way back was taken: `in place`, `by a reload of firewalld`, …
    pub how: String,
    /// What is not as it was before although the node went back, because others have changed it since.
    pub remarks: Vec<String>,
    /// What went wrong on the way back: of one that failed, what differs from the snapshot.
    pub trouble: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// It is not over, or nobody knows how it ended.
    #[default]
    Armed,
    /// All was as wanted on a second look, and it stayed.
    Confirmed,
    /// The node went back to the state before.
    Restored,
    /// The node tried to go back and could not.
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
