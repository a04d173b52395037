//! The matrix as a table that people read, and what the table says.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::cell::CONFIRM;
use crate::cell::CONFIRM_ROLLBACK;
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
    let mut text = LEGEND
        .replace("{confirm}", &CONFIRM.as_secs().to_string())
        .replace(
            "{confirm-rollback}",
            &CONFIRM_ROLLBACK.as_secs().to_string(),
        );
    text.push_str("\n{cells}\n");
    let mut tables: Vec<(&str, &str, Scenario)> = entries
        .iter()
        .map(|e| (e.node.as_str(), e.kind.as_str(), e.scenario))
        .collect();
    tables.sort_unstable();
    tables.dedup();
    for (node, kind, scenario) in tables {
        let _ = writeln!(text, "\n## {}\n", title(kind, scenario));
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
    let sum = sum(&text);
    text.replace("{cells}", &sum)
}

/// A document in which cells that were run again take the place of theirs. The rest stays.
pub fn amended(document: &str, entries: &[Entry]) -> String {
    let mut out = String::new();
    let mut heading = "";
    for line in document.lines() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text;
        }
        let mut cells: Vec<String> = line.split(" | ").map(String::from).collect();
        let these = entries
            .iter()
            .filter(|e| title(&e.kind, e.scenario) == heading);
        let row = cells[0].clone();
        for entry in these.filter(|e| row == format!("| {}", e.row)) {
            let column = Fault::ALL.iter().position(|fault| *fault == entry.fault);
            if let Some(old) = column.and_then(|column| cells.get_mut(column + 1)) {
                let end = if old.ends_with(" |") { " |" } else { "" };
                *old = cell(entry) + end;
            }
        }
        out.push_str(&cells.join(" | "));
        out.push('\n');
    }
    let old = out
        .lines()
        .find(|line| line.contains(" cells: "))
        .unwrap_or_default();
    out.replacen(&old.to_string(), &sum(&out), 1)
}

fn title(kind: &str, scenario: Scenario) -> String {
    format!("{}: {scenario}", kind.replacen(", ", ", firewalld on ", 1))
}

/// How many cells, and how they ended, in one line.
fn sum(document: &str) -> String {
    let cells: Vec<&str> = cells(document)
        .into_iter()
        .filter(|c| !c.is_empty())
        .collect();
    let count = |word: &str| cells.iter().filter(|cell| cell.contains(word)).count();
    let seconds = cells
        .iter()
        .filter_map(|cell| cell.rsplit(' ').next()?.parse().ok());
    let slowest: f64 = seconds.fold(0.0, f64::max);
    format!(
        "{} cells: {} ended in the state before, {} in the state after, {} in neither. The slowest took {slowest:.1} s.",
        cells.len(),
        count(" before "),
        count(" after "),
        count("FAILED"),
    )
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
    // The legend is a table too.
    let tables = document.find("\n## ").map_or("", |at| &document[at..]);
    tables
        .lines()
        .filter(|l| l.starts_with("| ") && !l.starts_with("| |"))
        .flat_map(|l| l.trim_matches('|').split(" | ").skip(1))
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect()
}
