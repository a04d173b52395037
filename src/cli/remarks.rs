//! Mistakes and warnings as JSON documents have them.

use crate::cli::warning::Warning;
use crate::inventory::InputError;
use crate::report::json::Remark;

/// The warnings of a fleet.
pub(super) fn of_warnings(warnings: &[Warning]) -> Vec<Remark> {
    let of_warning = |warning: &Warning| remark(&warning.error, Some(warning.nodes));
    warnings.iter().map(of_warning).collect()
}

/// A mistake; `nodes` is how many nodes it is about, where that is known.
pub(super) fn remark(error: &InputError, nodes: Option<usize>) -> Remark {
    let place = error.place();
    Remark {
        message: error.message().to_string(),
        hint: error.hint_text().map(ToString::to_string),
        file: error.file().map(ToString::to_string),
        line: place.map(|place| place.line),
        column: place.map(|place| place.column),
        nodes,
    }
}
