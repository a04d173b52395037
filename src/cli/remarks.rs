//! Errors and warnings in the form that JSON documents have.

use crate::cli::warning::Warning;
use crate::inventory::InputError;
use crate::report::json::Remark;

/// Converts warnings.
pub(super) fn of_warnings(warnings: &[Warning]) -> Vec<Remark> {
    let of_warning = |warning: &Warning| Remark {
        moved: warning.moved.clone(),
        ..remark(&warning.error, warning.nodes)
    };
    warnings.iter().map(of_warning).collect()
}

/// Converts an error; `nodes` is the number of nodes that it is about, if known.
pub(super) fn remark(error: &InputError, nodes: Option<usize>) -> Remark {
    let place = error.place();
    Remark {
        message: error.message().to_string(),
        hint: error.hint_text().map(ToString::to_string),
        file: error.file().map(ToString::to_string),
        line: place.map(|place| place.line),
        column: place.map(|place| place.column),
        nodes,
        moved: None,
    }
}
