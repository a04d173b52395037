//! The manual's table of differences from Ansible.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The heading of the table's section.
const HEADING: &str = "## Differences from Ansible";

/// The words that the rows begin with.
pub fn rows() -> BTreeSet<String> {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/manual.md");
    let manual = fs::read_to_string(manual).expect("the manual");
    let section = manual.split_once(HEADING).expect("the section").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_string()))
        .collect()
}

/// A line of a case file: the row of the manual that explains why the answers differ, if they do, and the case.
pub fn case(line: &str) -> (Option<&str>, &str) {
    let marked = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    let word = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    match marked {
        Some((name, case)) if word(name) => (Some(name), case),
        _ => (None, line),
    }
}
