//! The colours, and the care with texts that came from elsewhere.

use anstyle::AnsiColor;
use anstyle::Effects;
use anstyle::Style;

use crate::engine::Verdict;
use crate::model::visible::visible;
use crate::plan::Severity;
use crate::plan::Sign;

pub(super) const BOLD: Style = Style::new().effects(Effects::BOLD);
pub(super) const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
pub(super) const HINT: Style = AnsiColor::Cyan.on_default();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const BRIGHT_RED: Style = AnsiColor::BrightRed.on_default();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();

/// Ansible's colours.
pub(super) fn verdict(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Ok => GREEN,
        Verdict::Changed | Verdict::Drift | Verdict::Audit => YELLOW,
        Verdict::Skipped => CYAN,
        Verdict::Unreachable => BRIGHT_RED,
        Verdict::Refused | Verdict::RolledBack | Verdict::Failed => RED,
    }
}

pub(super) fn sign(sign: Sign) -> Style {
    match sign {
        Sign::Add => GREEN,
        Sign::Remove => RED,
        Sign::Replace => YELLOW,
    }
}

pub(super) fn severity(severity: Severity) -> Style {
    match severity {
        Severity::Note => CYAN,
        Severity::Warning => YELLOW,
        Severity::NotEnforced | Severity::Refuse => ERROR,
    }
}

/// The text in that style.
pub(super) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The text with every character visible: what a node sends is shown, not executed by the terminal.
///
/// Further lines are indented, so none of them can pass for a line of fwdeploy.
pub fn sanitize(text: &str) -> String {
    visible(text).replace('\n', "\n      ")
}

#[cfg(test)]
mod tests {
    use super::sanitize;

    #[test]
    fn a_node_cannot_paint_the_screen() {
        assert_eq!(sanitize("a\x1b[2Jb\r\tc"), "a\\u{1b}[2Jb\\u{d}\tc");
        assert_eq!(sanitize("a\u{9b}2Jb\u{202e}c"), "a\\u{9b}2Jb\\u{202e}c");
    }

    #[test]
    fn no_line_of_a_node_passes_for_one_of_ours() {
        assert_eq!(
            sanitize("no\nRECAP\nedge-1 : ok=7"),
            "no\n      RECAP\n      edge-1 : ok=7"
        );
        assert_eq!(
            sanitize("no\u{2028}RECAP\u{85}x"),
            "no\\u{2028}RECAP\\u{85}x"
        );
    }
}
