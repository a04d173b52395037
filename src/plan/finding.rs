//! What the operator must know about a node, apart from the steps.

use std::fmt;

use serde::Serialize;

use crate::model::state::View;

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

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A short fixed name, such as `firewalld-failed`, for scripts and the manual.
    pub code: &'static str,
    /// The view it was seen in.
    pub view: View,
    /// What was found, as a sentence without a full stop.
    pub text: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

impl Finding {
    /// Makes a finding without a hint.
    pub fn new(
        severity: Severity,
        code: &'static str,
        view: View,
        text: impl Into<String>,
    ) -> Self {
        Finding {
            severity,
            code,
            view,
            text: text.into(),
            hint: None,
        }
    }

    /// Whether it describes an effect of the plan's steps, so that only the reading before them can find it.
    pub fn is_of_a_step(&self) -> bool {
        matches!(
            self.code,
            "opened"
                | "address-lost"
                | "pending-permanent"
                | "setting-lost"
                | "route-shadowed"
                | "routes-unread"
                | "kept-behind"
        )
    }

    /// The same finding with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A command for a person to paste into a root shell: text that a node reported about another tool's rule must not be executed there.
///
/// A word that cannot be passed to a shell (it contains a NUL) leaves the command out.
pub(super) fn command<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    let words: Vec<S> = words.into_iter().collect();
    shlex::try_join(words.iter().map(AsRef::as_ref))
        .unwrap_or_else(|_| "(it cannot be typed into a shell)".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_in_a_hint_runs_nothing_of_a_rules_own() {
        let typed = command(["iptables", "-D", "FORWARD", "--comment", "$(reboot) `id`"]);
        assert_eq!(shlex::split(&typed).unwrap()[4], "$(reboot) `id`");
        assert!(!typed.contains("\"$("), "{typed}");
    }
}
