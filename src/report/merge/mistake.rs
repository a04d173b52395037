//! What is wrong with a report.

/// A mistake in a report, or in two of them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Which report, from 0.
    pub report: usize,
    /// The byte of its text; `None` if it is about all of it.
    pub at: Option<usize>,
    /// The mistake, as a sentence without a full stop.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<&'static str>,
}
