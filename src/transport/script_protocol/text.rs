//! Looking for marks in bytes, and making bytes fit to be shown.

/// The end of an output, on one line and without control characters, as `: …`; or empty.
pub(super) fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let last = lines[lines.len().saturating_sub(4)..].join(" / ");
    let visible: String = last.chars().filter(|c| !c.is_control()).collect();
    match visible.char_indices().rev().nth(299) {
        _ if visible.is_empty() => String::new(),
        Some((at, _)) if at > 0 => format!(": …{}", &visible[at..]),
        _ => format!(": {visible}"),
    }
}

pub(super) fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    let first = *mark.first()?;
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == first) {
        if text[from + at..].starts_with(mark) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// The same for a text of which the first `known` bytes were already searched.
pub(super) fn find_from(text: &[u8], mark: &[u8], known: usize) -> Option<usize> {
    let from = known.saturating_sub(mark.len() - 1).min(text.len());
    find(&text[from..], mark).map(|at| from + at)
}

/// The length of the longest end of `text` with which `mark` could begin.
pub(super) fn overlap(text: &[u8], mark: &[u8]) -> usize {
    let most = text.len().min(mark.len() - 1);
    (1..=most)
        .rev()
        .find(|length| text.ends_with(&mark[..*length]))
        .unwrap_or_default()
}
