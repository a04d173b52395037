//! Templates: each line of `expressions/cases` for the node `nu1` of `expressions/inventory.yml`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use fwdeploy::inventory::Inventory;
use fwdeploy::role::Templates;
use serde_json::json;

use crate::ansible;
use crate::ansible::Answer;
use crate::differences;

const NODE: &str = "nu1";

/// As many as the project promises.
const FEWEST: usize = 150;

/// A line feed in a case.
const LINE_FEED: char = '⏎';

/// To see it fail: read `bool` as truth, or print booleans as YAML does.
#[test]
fn every_template_has_the_value_that_ansible_gives_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/expressions");
    let inventory = folder.join("inventory.yml");
    let cases = fs::read_to_string(folder.join("cases")).expect("the cases");
    let lines = cases
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "));
    let cases: Vec<(Option<&str>, String)> = lines
        .map(|line| {
            let (row, text) = differences::case(line);
            (row, text.replace(LINE_FEED, "\n"))
        })
        .collect();
    assert!(cases.len() >= FEWEST, "{} cases", cases.len());
    let texts: Vec<&String> = cases.iter().map(|(_, text)| text).collect();
    let question = json!({"expressions": {
        "path": inventory, "folder": folder, "host": NODE, "texts": texts,
    }});
    let answers = ansible::ask(&question);
    let answers = answers["expressions"].as_array().expect("answers");
    assert_eq!(answers.len(), cases.len());

    std::env::set_current_dir(&folder).expect("the folder is there");
    let inventory = Inventory::load(&inventory, &[]).unwrap_or_else(|error| panic!("{error}"));
    let templates = Templates::new(&inventory);
    let rows = differences::rows();
    let mut explained = BTreeSet::new();
    let mut wrong = String::new();
    for ((row, text), theirs) in cases.iter().zip(answers) {
        let ours = match templates.render(NODE, text) {
            Ok(value) => Answer::Value(value),
            Err(error) => Answer::Error(error.message().to_string()),
        };
        let theirs = Answer::of(theirs);
        let agrees = ours.agrees(&theirs);
        let what = match row {
            None if agrees => continue,
            None => "differs",
            Some(row) if !rows.contains(*row) => "has no row in the manual",
            Some(_) if agrees => "does not differ",
            Some(row) => {
                explained.insert((*row).to_string());
                continue;
            }
        };
        writeln!(
            wrong,
            "{text:?} {what}\n  fwdeploy {ours:?}\n  ansible  {theirs:?}"
        )
        .unwrap();
    }
    let unused: Vec<&String> = rows.difference(&explained).collect();
    assert!(
        wrong.is_empty() && unused.is_empty(),
        "rows without a case: {unused:?}\n{wrong}"
    );
}
