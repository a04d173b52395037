//! What a rich rule (firewalld.richlanguage(5)) does to a new ssh connection.

use crate::model::settings::Settings;
use crate::plan::rich_match::Action;
use crate::plan::rich_match::RichMatch;

use super::visit::Effect;
use super::visit::Visit;

/// A rich rule that the visit may meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    pub priority: i64,
    pub effect: Effect,
    pub certain: bool,
}

/// Judges a rule; `None` if it does nothing to the visit.
pub(super) fn judge(text: &str, visit: &Visit, settings: &Settings) -> Option<Judged> {
    let matched = RichMatch::parse(text).matched(&visit.flow(), settings)?;
    Some(Judged {
        priority: matched.priority,
        effect: match matched.action {
            Action::Accept => Effect::Opens,
            // Forwarded, the packet goes to a container, or wherever.
            Action::Refuse | Action::Forward(..) => Effect::Shuts,
        },
        certain: matched.certain,
    })
}
