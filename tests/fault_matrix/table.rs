//! The matrix as a table that people read, and what the table says.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::cell::CONFIRM;
use crate::cell::End;
use crate::fault::Fault;
use crate::fault::When;
use crate::matrix::Entry;
use crate::matrix::Scenario;

/// Where it stands.
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/fault-matrix.md")
}

/// What stands above the tables.
const LEGEND: &str = include_str!("legend.md");

/// The whole document.
pub fn document(entries: &[Entry]) -> String {
    let mut text = LEGEND.replace("{confirm}", &CONFIRM.as_secs().to_string());
    let count = |end: End| {
        entries
            .iter()
            .filter(|e| e.ended.as_ref().is_ok_and(|x| x.end == end))
            .count()
    };
    let failed = entries.iter().filter(|e| e.ended.is_err()).count();
    let slowest = entries
        .iter()
        .filter_map(|e| e.ended.as_ref().ok())
        .map(|e| e.seconds)
        .fold(0.0, f64::max);
    let _ = writeln!(
        text,
        "\n{} cells: {} ended in the state before, {} in the state after, {failed} in neither. The slowest took {slowest:.1} s.",
        entries.len(),
        count(End::Before),
        count(End::After),
    );
    let mut tables: Vec<(&str, &str, Scenario)> = entries
        .iter()
        .map(|e| (e.node.as_str(), e.kind.as_str(), e.scenario))
        .collect();
    tables.sort_unstable();
    tables.dedup();
    for (node, kind, scenario) in tables {
        let _ = writeln!(
            text,
            "\n## {}: {scenario}\n",
            kind.replace(", ", ", firewalld on ")
        );
        let faults: Vec<String> = Fault::ALL.iter().map(Fault::to_string).collect();
        let _ = writeln!(
            text,
            "| | {} |\n|---|{}",
            faults.join(" | "),
            "---|".repeat(faults.len())
        );
        let these: Vec<&Entry> = entries
            .iter()
            .filter(|e| e.node == node && e.scenario == scenario)
            .collect();
        let mut rows: Vec<&str> = Vec::new();
        for entry in &these {
            if !rows.contains(&entry.row.as_str()) {
                rows.push(&entry.row);
            }
        }
        for row in rows {
            let cells: Vec<String> = Fault::ALL
                .iter()
                .map(|fault| {
                    these
                        .iter()
                        .find(|e| e.row == row && e.fault == *fault)
                        .map_or(String::new(), |e| cell(e))
                })
                .collect();
            let _ = writeln!(text, "| {row} | {} |", cells.join(" | "));
        }
    }
    text
}

/// One cell: on which side of the call the fault came, as what the node ended, after how many seconds.
pub fn cell(entry: &Entry) -> String {
    let side = match entry.when {
        When::Before => "‹",
        When::After => "›",
    };
    match &entry.ended {
        Ok(ended) => format!(
            "{side} {} {:.1}",
            match ended.end {
                End::Before => "before",
                End::After => "after",
            },
            ended.seconds
        ),
        Err(_) => format!("{side} FAILED"),
    }
}

/// The cells of a document.
pub fn cells(document: &str) -> Vec<&str> {
    document
        .lines()
        .filter(|l| l.starts_with("| ") && !l.starts_with("| |"))
        .flat_map(|l| l.trim_matches('|').split(" | ").skip(1))
        .map(str::trim)
        .collect()
}
