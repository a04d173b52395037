//! What a node tells of its guard: nft's list of the table with its counters, the files, the version of nft.

use std::collections::BTreeSet;

use fwdeploy::model::guard::GuardState;
use fwdeploy::model::guard::GuardUsage;
use fwdeploy::model::state::Observed;
use fwdeploy::policy::guard::usage;
use fwdeploy::probe::fuzzing::guard;

use crate::cuts;
use crate::frame::answers;
use crate::frame::frame;
use crate::text;

/// The questions, in the order of the kinds.
pub const QUESTIONS: [&str; 3] = ["guard-table", "guard-files", "nft-version"];

/// A table that is cut off is unreadable, and no more is held than was told, or than the kernel can hold.
pub fn law(data: &[u8]) {
    let Some((kind, text)) = text(data, QUESTIONS.len() as u8) else {
        return;
    };
    let question = QUESTIONS[usize::from(kind)];
    let state = read(question, &text);
    serde_json::to_string(&state).expect("it can be told");
    if question != "guard-table" {
        return;
    }
    let Observed::Known(Some(table)) = &state.table else {
        return;
    };
    let elements: usize = table.sets.values().map(|set| set.elements.len()).sum();
    let rules: usize = table.chains.values().map(|chain| chain.rules.len()).sum();
    assert!(elements + rules <= text.len());
    if let Observed::Known(counted) = &state.usage {
        assert!(counted.refused.len() <= GuardUsage::MOST_REFUSED);
        assert!(usage::entries(table, counted).len() <= elements);
        let flows = usage::refused(table, counted, &BTreeSet::new());
        assert!(flows.len() <= counted.refused.len());
        let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        assert!(flows.iter().all(|flow| is_plain(&flow.protocol)));
        usage::is_full(table, counted);
    }
    for cut in cuts(text.trim_end()) {
        let may_end = cut.trim_end().ends_with("end") || cut.trim().is_empty();
        let read = read(question, cut);
        assert!(
            may_end || read.table.is_unreadable(),
            "read as whole: {cut}"
        );
        assert!(
            may_end || read.usage.is_unreadable(),
            "read as whole: {cut}"
        );
    }
}

fn read(question: &str, text: &str) -> GuardState {
    guard(&answers(&frame(&[(question, text)])))
}
