//! The matrix as a table for readers, and parsing that table.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use crate::cell::CONFIRM;
use crate::cell::CONFIRM_ROLLBACK;
use crate::cell::End;
use crate::fault::Fault;
use crate::fault::When;
use crate::matrix::EVIDENCE;
use crate::matrix::Entry;
use crate::matrix::Scenario;

/// The path of the table.
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/fault-matrix.md")
}

/// The text above the tables.
const LEGEND: &str = include_str!("legend.md");

/// A cell as it is written down while the matrix is under way: what is done is not lost with what comes after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    node: String,
    /// The heading of its table.
    title: String,
    row: String,
    fault: String,
    cell: String,
}

impl Record {
    fn of(entry: &Entry) -> Record {
        Record {
            node: entry.node.clone(),
            title: title(&entry.kind, entry.scenario),
            row: entry.row.clone(),
            fault: entry.fault.to_string(),
            cell: cell(entry),
        }
    }

    fn read(line: &str) -> Option<Record> {
        let [node, title, row, fault, cell] = line
            .split('\t')
            .map(String::from)
            .collect::<Vec<_>>()
            .try_into()
            .ok()?;
        Some(Record {
            node,
            title,
            row,
            fault,
            cell,
        })
    }

    /// Whether it is this cell of this node, and went well.
    pub fn is_done(&self, node: &str, scenario: Scenario, row: &str, fault: Fault) -> bool {
        self.node == node
            && self.title.ends_with(&format!(": {scenario}"))
            && self.row == row
            && self.fault == fault.to_string()
            && !self.cell.ends_with("FAILED")
    }
}

/// Where the cells are written down.
fn records_path() -> PathBuf {
    PathBuf::from(EVIDENCE).join("cells")
}

/// Begins a new list of cells.
pub fn begin() {
    fs::create_dir_all(EVIDENCE).expect("a folder for what is said");
    fs::write(records_path(), "").expect("a list of cells");
}

/// Writes a cell down.
pub fn record(entry: &Entry) {
    let Record {
        node,
        title,
        row,
        fault,
        cell,
    } = Record::of(entry);
    fs::create_dir_all(EVIDENCE).expect("a folder for what is said");
    let file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(records_path());
    let line = format!("{node}\t{title}\t{row}\t{fault}\t{cell}\n");
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.expect("the cell is written down");
}

/// The cells that are written down. The last word about a cell counts.
pub fn records() -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let text = fs::read_to_string(records_path()).unwrap_or_default();
    for record in text.lines().filter_map(Record::read) {
        let same = |r: &&mut Record| {
            (&r.node, &r.title, &r.row, &r.fault)
                == (&record.node, &record.title, &record.row, &record.fault)
        };
        match records.iter_mut().find(same) {
            Some(before) => before.cell = record.cell,
            None => records.push(record),
        }
    }
    records
}

/// The whole document.
pub fn document(records: &[Record]) -> String {
    let mut text = LEGEND
        .replace("{confirm}", &CONFIRM.as_secs().to_string())
        .replace(
            "{confirm-rollback}",
            &CONFIRM_ROLLBACK.as_secs().to_string(),
        );
    text.push_str("\n{cells}\n");
    let mut tables: Vec<(&str, usize, &str)> = Vec::new();
    for record in records {
        let scenario = Scenario::ALL
            .iter()
            .position(|s| record.title.ends_with(&format!(": {s}")));
        tables.push((&record.node, scenario.unwrap_or(usize::MAX), &record.title));
    }
    tables.sort_unstable();
    tables.dedup();
    for (_, _, title) in tables {
        let _ = writeln!(text, "\n## {title}\n");
        let faults: Vec<String> = Fault::ALL.iter().map(Fault::to_string).collect();
        let _ = writeln!(
            text,
            "| | {} |\n|---|{}",
            faults.join(" | "),
            "---|".repeat(faults.len())
        );
        let these = || records.iter().filter(|r| r.title == title);
        let mut rows: Vec<&str> = Vec::new();
        for record in these() {
            if !rows.contains(&record.row.as_str()) {
                rows.push(&record.row);
            }
        }
        for row in rows {
            let cell = |fault: &String| {
                let found = these().find(|r| r.row == row && r.fault == *fault);
                found.map_or("", |r| r.cell.as_str())
            };
            let cells: Vec<&str> = faults.iter().map(cell).collect();
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
