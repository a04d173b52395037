//! What the operator must know about a node, apart from the steps.

use serde::Serialize;

use crate::model::code::Explanation;
use crate::model::state::View;
use crate::plan::code::FindingCode;
use crate::plan::severity::Severity;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What kind of thing it is, such as `firewalld-failed`.
    pub code: FindingCode,
    /// The view it was seen in.
    pub view: View,
    /// What was found, as a sentence without a full stop.
    pub text: String,
    /// What can be done about it; `None` where nothing has to be done.
    pub hint: Option<String>,
}

impl Finding {
    /// Makes a finding of a code whose findings all matter as much. Its hint is the code's remedy.
    ///
    /// For a code with several severities use [`with_severity`](Self::with_severity): this takes the worst of them.
    pub fn new(code: FindingCode, view: View, text: impl Into<String>) -> Self {
        debug_assert!(code.severity().is_some(), "{code} has several severities");
        let worst = code.severities().max().unwrap_or(Severity::Refuse);
        Finding::with_severity(worst, code, view, text)
    }

    /// Makes a finding with one of the severities of its code. Its hint is the code's remedy.
    pub fn with_severity(
        severity: Severity,
        code: FindingCode,
        view: View,
        text: impl Into<String>,
    ) -> Self {
        let explanation = code.explanation(severity);
        debug_assert!(explanation.is_some(), "{code} is never: {severity}");
        Finding {
            severity,
            code,
            view,
            text: text.into(),
            hint: explanation.and_then(Explanation::hint).map(String::from),
        }
    }

    /// Whether it describes an effect of the plan's steps, so that only the reading before them can find it.
    pub fn is_of_a_step(&self) -> bool {
        matches!(
            self.code,
            FindingCode::AuditEnds
                | FindingCode::NodeClosed
                | FindingCode::Opened
                | FindingCode::AddressLost
                | FindingCode::PendingPermanent
                | FindingCode::SettingLost
                | FindingCode::RouteShadowed
                | FindingCode::RoutesUnread
                | FindingCode::KeptBehind
                | FindingCode::NotRemoved
        )
    }

    /// The same finding with a hint of its own.
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
