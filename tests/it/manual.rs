//! The manual's tables of codes are those of the program.
//!
//! `UPDATE_MANUAL=1 cargo test --test it manual` writes them into docs/manual.md.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;

use fwdeploy::engine::FailureCode;
use fwdeploy::engine::NotBegunCode;
use fwdeploy::model::Explanation;
use fwdeploy::plan::FindingCase;
use fwdeploy::plan::FindingCode;
use fwdeploy::plan::Severity;

const MANUAL: &str = "docs/manual.md";

/// What begins each table, with its name, and what ends it.
const BEGIN: &str = "<!-- table of codes: ";
const END: &str = "<!-- end of the table -->";

type Row = (&'static str, Explanation);

/// The codes of findings of which the worst are of these severities.
fn findings(severities: &'static [Severity]) -> Vec<Row> {
    let cases = FindingCase::ALL.iter();
    cases
        .filter(|case| severities.contains(&case.severities[0]))
        .map(|case| (case.code.as_str(), case.explanation))
        .collect()
}

/// A table as Markdown. Codes one after another with the same texts share a row.
fn table(head: [&str; 2], rows: &[Row]) -> String {
    let mut text = format!("| code | {} | {} |\n|---|---|---|\n", head[0], head[1]);
    for rows in rows.chunk_by(|a, b| a.1 == b.1) {
        let codes: Vec<String> = rows.iter().map(|(code, _)| format!("`{code}`")).collect();
        let Explanation { meaning, remedy } = rows[0].1;
        assert!(!meaning.contains(['|', '\n']) && !remedy.contains(['|', '\n']));
        let _ = writeln!(text, "| {} | {meaning} | {remedy} |", codes.join(", "));
    }
    text
}

/// The text with the table of that name replaced.
fn with_table(text: &str, name: &str, table: &str) -> String {
    let begin = format!("{BEGIN}{name} -->\n");
    let (before, rest) = text
        .split_once(&begin)
        .unwrap_or_else(|| panic!("{MANUAL} has no line `{}`", begin.trim()));
    let (_, after) = rest.split_once(END).expect("each table has an end");
    format!("{before}{begin}\n{table}\n{END}{after}")
}

#[test]
fn the_tables_of_codes_are_those_of_the_program() {
    const FOUND: [&str; 2] = ["what was found", "what to do"];
    let failures: Vec<Row> = FailureCode::ALL
        .iter()
        .map(|code| (code.as_str(), code.explanation()))
        .collect();
    let not_begun: Vec<Row> = NotBegunCode::ALL
        .iter()
        .map(|code| (code.as_str(), code.explanation()))
        .collect();
    let is = fs::read_to_string(MANUAL).expect("the manual is there");
    let mut wanted = is.clone();
    for (name, head, rows) in [
        ("refused", FOUND, findings(&[Severity::Refuse])),
        ("not enforced", FOUND, findings(&[Severity::NotEnforced])),
        (
            "warnings and notes",
            FOUND,
            findings(&[Severity::Warning, Severity::Note]),
        ),
        ("errors", ["what went wrong", "what to do"], failures),
        ("not started", ["why", "what to do"], not_begun),
    ] {
        wanted = with_table(&wanted, name, &table(head, &rows));
    }
    if env::var_os("UPDATE_MANUAL").is_some() {
        fs::write(MANUAL, &wanted).expect("the manual can be written");
        return;
    }
    let differ = is.lines().zip(wanted.lines()).find(|(a, b)| a != b);
    assert!(
        is == wanted,
        "{MANUAL} is not what src/plan/code.rs and src/engine/code.rs say; UPDATE_MANUAL=1 writes it: {differ:#?}"
    );
}

/// The codes in the first cells of a table.
fn first_cells<'a>(text: &'a str, head: &str) -> BTreeSet<&'a str> {
    let (_, table) = text.split_once(head).expect("the table is there");
    let rows = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let codes = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    codes.collect()
}

#[test]
fn the_table_of_recover_names_each_finding_that_run_recover_is_a_remedy_for() {
    let manual = fs::read_to_string(MANUAL).expect("the manual is there");
    let told = first_cells(&manual, "| finding | what `--recover` does |");
    let is_remedy = |code: &FindingCode| {
        code.cases()
            .any(|case| case.explanation.remedy.contains("`run --recover`"))
    };
    let remedied = FindingCode::ALL.iter().copied().filter(is_remedy);
    let remedied: BTreeSet<&str> = remedied.map(FindingCode::as_str).collect();
    assert_eq!(told, remedied);
}
