//! Patterns of nodes: each line of `patterns*/patterns`, on the inventory beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use fwdeploy::inventory::Inventory;
use fwdeploy::inventory::Pattern;
use serde_json::json;

use crate::ansible;
use crate::ansible::Answer;

/// The folders of `tests/parity` whose names begin with a word.
fn folders(word: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    let entries = fs::read_dir(folder).expect("the folder");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    found.retain(|path| path.is_dir());
    found.retain(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(word))
    });
    found.sort();
    found
}

/// What fwdeploy selects; nothing where it refuses, as Ansible selects nothing then.
fn select(inventory: &Inventory, pattern: &str) -> Answer {
    let selected = Pattern::parse(pattern).and_then(|pattern| {
        let nodes = inventory.select(&pattern)?;
        Ok(nodes
            .iter()
            .map(|node| node.name.clone())
            .collect::<Vec<_>>())
    });
    match selected {
        Ok(names) if !names.is_empty() => Answer::Value(json!(names)),
        Ok(_) => Answer::Error("it selects nothing".to_string()),
        Err(errors) => Answer::Error(errors.to_string()),
    }
}

/// To see it fail: order the nodes by name.
#[test]
fn every_pattern_selects_the_nodes_that_ansible_selects() {
    let mut cases = Vec::new();
    for folder in folders("patterns") {
        let patterns = fs::read_to_string(folder.join("patterns")).expect("the patterns");
        let patterns: Vec<String> = patterns
            .lines()
            .filter(|line| !line.is_empty())
            .map(String::from)
            .collect();
        cases.push((folder, patterns));
    }
    assert!(!cases.is_empty());
    let question: Vec<_> = cases
        .iter()
        .map(|(folder, patterns)| json!({"path": folder.join("inventory.yml"), "patterns": patterns}))
        .collect();
    let answers = ansible::ask(&json!({"patterns": question}));
    let mut wrong = String::new();
    for ((folder, patterns), answers) in cases
        .iter()
        .zip(answers["patterns"].as_array().expect("answers"))
    {
        // A pattern may name a file as `@limit`.
        std::env::set_current_dir(folder).expect("the folder is there");
        let inventory = Inventory::load(Path::new("inventory.yml"), &[])
            .unwrap_or_else(|error| panic!("{error}"));
        for (pattern, theirs) in patterns.iter().zip(answers.as_array().expect("answers")) {
            let theirs = match Answer::of(theirs) {
                Answer::Value(names) if names.as_array().is_some_and(Vec::is_empty) => {
                    Answer::Error("it selects nothing".to_string())
                }
                other => other,
            };
            let ours = select(&inventory, pattern);
            if !ours.agrees(&theirs) {
                writeln!(
                    wrong,
                    "{pattern:?}\n  fwdeploy {ours:?}\n  ansible  {theirs:?}"
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
