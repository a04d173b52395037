//! How much a finding matters.

use std::fmt;

use serde::Serialize;

/// How much a finding matters. Later is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// May hurt, but the whitelist holds.
    Warning,
    /// The whitelist does not hold, and fwdeploy may not repair it: the cause is not ours.
    NotEnforced,
    /// The node is in a state in which nothing may be touched, or cannot be judged.
    Refuse,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::NotEnforced => "not enforced",
            Severity::Refuse => "refused",
        })
    }
}
