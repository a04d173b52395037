//! The examples in the documents: every inventory renders, and every command line is one that the program takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clap::error::ErrorKind;
use pulldown_cmark::CodeBlockKind;
use pulldown_cmark::Event;
use pulldown_cmark::Options;
use pulldown_cmark::Parser;
use pulldown_cmark::Tag;
use pulldown_cmark::TagEnd;

use fwdeploy::cli::definition;

use crate::support::files::below;
use crate::support::program::Place;

/// A piece of code in a document.
struct Example {
    /// `FILE:LINE`, where it begins.
    place: String,
    kind: Kind,
    text: String,
}

/// How a piece of code is set.
#[derive(PartialEq, Eq)]
enum Kind {
    /// A block, with the language that its fence names.
    Block(String),
    /// Within a sentence or a table.
    Inline,
}

/// Every document of the repository except the changelog, which describes commands as they were.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("README.md"), PathBuf::from("CONTRIBUTING.md")];
    for folder in ["docs", "examples", "roles", "tests"] {
        found.extend(below(folder, "md"));
    }
    found.sort();
    found
}

fn examples() -> Vec<Example> {
    documents()
        .iter()
        .flat_map(|path| examples_of(path))
        .collect()
}

fn examples_of(path: &Path) -> Vec<Example> {
    let document = fs::read_to_string(path).expect("a document");
    let mut found = Vec::new();
    let mut block: Option<Example> = None;
    for (event, range) in Parser::new_ext(&document, Options::ENABLE_TABLES).into_offset_iter() {
        let line = document[..range.start].matches('\n').count() + 1;
        let place = format!("{}:{line}", path.display());
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => info.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                block = Some(Example {
                    place,
                    kind: Kind::Block(language),
                    text: String::new(),
                });
            }
            Event::Text(text) => {
                if let Some(block) = &mut block {
                    block.text.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => found.extend(block.take()),
            Event::Code(text) => found.push(Example {
                place,
                kind: Kind::Inline,
                text: text.to_string(),
            }),
            _ => {}
        }
    }
    found
}

/// The blocks in a language.
fn blocks(language: &str) -> Vec<Example> {
    let mut examples = examples();
    examples.retain(|e| e.kind == Kind::Block(language.to_string()));
    examples
}

#[test]
fn every_inventory_renders() {
    let inventories = blocks("yaml");
    let shown = |document: &str| inventories.iter().any(|e| e.place.starts_with(document));
    for document in [
        "README.md",
        "roles/cosmos/README.md",
        "roles/cybex/README.md",
        "roles/eos/README.md",
    ] {
        assert!(shown(document), "{document} shows no inventory");
    }
    for Example { place, text, .. } in &inventories {
        let ran = Place::with(text).run(&["render", "inventory.yml"]);
        assert_eq!(ran.code, 0, "{place}:\n{}", ran.stderr);
        assert!(!ran.stderr.contains("warning"), "{place}:\n{}", ran.stderr);
        assert!(
            ran.stdout.contains("--add-rule"),
            "{place}: no node has a rule"
        );
    }
}

#[test]
fn every_json_document_is_one() {
    let documents = blocks("json");
    assert!(!documents.is_empty());
    for Example { place, text, .. } in documents {
        let read = serde_json::from_str::<serde_json::Value>(&text);
        assert!(read.is_ok(), "{place}: {read:?}");
    }
}

/// Whether a command line is whole, or only names a command and flags.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    Named,
}

/// The program's error for a command line; `line` starts with `fwdeploy`.
fn objection(line: &str, extent: Extent) -> Option<String> {
    let Some(words) = shlex::split(line) else {
        return Some("its quotes are not closed".to_string());
    };
    // Where the output goes to, and what is left to be imagined, are not the program's.
    let words = words
        .iter()
        .take_while(|word| ![">", "|", "#"].contains(&word.as_str()))
        .filter(|word| *word != "…")
        .map(|word| match word.trim_matches(['[', ']']) {
            "SHELL" => "bash",
            "N" | "SECONDS" => "5",
            word => word,
        });
    let error = definition().try_get_matches_from(words).err()?;
    let is_partial = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    match extent {
        Extent::Named if is_partial => None,
        _ if matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        ) =>
        {
            None
        }
        _ => Some(error.to_string()),
    }
}

/// The command lines of an example, each from the word `fwdeploy` on.
fn command_lines(example: &Example) -> Vec<(String, Extent)> {
    match &example.kind {
        Kind::Block(_) => example
            .text
            .lines()
            .map(|line| line.strip_prefix("$ ").unwrap_or(line))
            .filter(|line| line.starts_with("fwdeploy "))
            .map(|line| (line.to_string(), Extent::Whole))
            .collect(),
        Kind::Inline => {
            let text = &example.text;
            let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
            let is_command = definition().find_subcommand(first).is_some();
            let line = match first {
                "fwdeploy" => text.clone(),
                // A sentence may contain `run --check`, and mean the command.
                _ if is_command && rest.starts_with('-') => format!("fwdeploy {text}"),
                _ => return Vec::new(),
            };
            if rest.is_empty() {
                return Vec::new();
            }
            vec![(line, Extent::Named)]
        }
    }
}

#[test]
fn every_command_line_is_one() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for example in examples() {
        for (line, extent) in command_lines(&example) {
            count += 1;
            if let Some(objection) = objection(&line, extent) {
                wrong.push(format!("{}: {line}\n{objection}", example.place));
            }
        }
    }
    assert!(count >= 40, "only {count} command lines were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_example_of_the_help_is_one() {
    let help = definition().render_long_help().to_string();
    let examples = help.split_once("Examples:\n").expect("examples").1;
    let examples: Vec<&str> = examples
        .lines()
        .take_while(|line| !line.is_empty())
        .collect();
    // The description of each is in a column of its own.
    let column = examples[0].find("what would change").expect("a column");
    assert!(examples.len() >= 10, "{examples:?}");
    for line in examples {
        let line = line[..column].trim();
        assert_eq!(objection(line, Extent::Whole), None, "{line}");
    }
}

#[test]
fn every_flag_of_a_run_is_in_the_manual() {
    let manual = fs::read_to_string("docs/manual.md").expect("the manual");
    let table = manual.split_once("\n## Flags\n").expect("the flags").1;
    let table = table.split("\n## ").next().expect("a section");
    let told: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `-")?.split(" | ").next())
        .flat_map(|cell| cell.split([' ', '`', ',', '|']))
        .filter_map(|word| word.trim_start_matches('-').split('`').next())
        .collect();
    let definition = definition();
    let run = definition.find_subcommand("run").expect("a command");
    for flag in run.get_arguments().filter_map(|arg| arg.get_long()) {
        assert!(
            told.contains(flag),
            "--{flag} of `run` is not in the manual"
        );
    }
}

#[test]
fn a_command_line_that_is_none_is_told() {
    for line in [
        "fwdeploy run inventory.yml --chek",
        "fwdeploy rum inventory.yml",
        "fwdeploy run inventory.yml 'a",
        "fwdeploy run inventory.yml --forks 0",
    ] {
        assert!(objection(line, Extent::Whole).is_some(), "{line}");
        assert!(objection(line, Extent::Named).is_some(), "{line}");
    }
    let unfinished = "fwdeploy role show";
    assert!(objection(unfinished, Extent::Whole).is_some());
    assert_eq!(objection(unfinished, Extent::Named), None);
}
