//! docs/roles.md: every example is run, every error is met, and no key is missing.

use std::collections::BTreeMap;
use std::fs;

use pulldown_cmark::CodeBlockKind;
use pulldown_cmark::Event;
use pulldown_cmark::Options;
use pulldown_cmark::Parser;
use pulldown_cmark::Tag;
use pulldown_cmark::TagEnd;

use fwdeploy::inventory::LOCK_FILE;
use fwdeploy::role::keys;

use crate::support::program::Place;
use crate::support::program::Ran;

const PAGE: &str = "docs/roles.md";

/// The parts of a role that an example may leave out.
const REST: [(&str, &str); 2] = [
    (
        "network",
        "network: { name: mychain, subnet: 172.25.0.0/16 }",
    ),
    (
        "container",
        "container: { name: mychain, address: 172.25.0.2 }",
    ),
];

/// The parts of an inbound entry that an example may leave out.
const REST_OF_ENTRY: [(&str, &str); 2] = [("what", "what: p2p"), ("from", "from: 203.0.113.7")];

/// The keys of a text that is a mapping of YAML.
fn keys_of(text: &str) -> Vec<String> {
    let read: BTreeMap<String, serde_yaml::Value> =
        serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    read.into_keys().collect()
}

fn completed(text: &str, rest: &[(&str, &str)]) -> String {
    let known = keys_of(text);
    let missing = rest
        .iter()
        .filter(|(key, _)| !known.contains(&key.to_string()));
    let missing: Vec<&str> = missing.map(|(_, text)| *text).collect();
    // A mapping within braces becomes one of lines.
    let lines = match text.trim().strip_prefix('{') {
        Some(inside) => {
            let read: serde_yaml::Value = serde_yaml::from_str(&format!("{{{inside}")).unwrap();
            serde_yaml::to_string(&read).unwrap()
        }
        None => text.to_string(),
    };
    format!("{}\n{}\n", lines.trim_end(), missing.join("\n"))
}

/// What the names of the page led to in an earlier run: `render` asks nobody.
const PINS: &str = "version: 1
inventories:
  - sources: [inventory.yml]
    names:
      ams-1.example.org: [203.0.113.8]
      fra-2.example.org: [203.0.113.7, 203.0.113.17]
      hub.example.org: [203.0.113.9]
";

/// What the program says about a node with this role.
fn run(role: &str) -> Ran {
    let inventory =
        "all: { hosts: { n1: { ansible_host: 192.0.2.1, fwdeploy_roles: [mychain] } } }\n";
    let place = Place::with(inventory);
    fs::create_dir_all(place.0.path().join("roles/mychain")).unwrap();
    place.file("roles/mychain/role.yml", role);
    place.file(LOCK_FILE, PINS);
    place.run(&["render", "inventory.yml"])
}

fn blocks(language: &str) -> Vec<String> {
    let page = fs::read_to_string(PAGE).unwrap();
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for event in Parser::new_ext(&page, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                block = (*info == *language).then(String::new);
            }
            Event::Text(text) => {
                if let Some(block) = &mut block {
                    block.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => found.extend(block.take()),
            _ => {}
        }
    }
    found
}

/// The rows of the table whose first column has this heading: the code of the first cell, and the text of the second.
fn rows(heading: &str) -> Vec<(String, String)> {
    let page = fs::read_to_string(PAGE).unwrap();
    let lines = page
        .lines()
        .skip_while(|line| *line != format!("| {heading} | error |"));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let (first, second) = row.trim_matches('|').split_once(" | ").expect("two cells");
        let code = first.trim().trim_matches('`');
        (code.to_string(), second.trim().to_string())
    })
    .collect()
}

#[test]
fn every_role_of_the_page_renders() {
    let roles = blocks("yaml role.yml");
    assert!(roles.len() > 7, "{}", roles.len());
    for role in roles {
        let ran = run(&completed(&role, &REST));
        assert_eq!(ran.code, 0, "{role}\n{}", ran.stderr);
        // An example of something else than entries has none.
        let warnings = ran.stderr.lines().filter(|line| line.contains("warning"));
        let others = warnings.filter(|line| !line.contains("is empty: nobody reaches"));
        assert_eq!(others.count(), 0, "{role}\n{}", ran.stderr);
    }
}

#[test]
fn every_error_of_the_page_is_met() {
    let entries = rows("in an entry");
    assert!(entries.len() > 20, "{}", entries.len());
    let roles = rows("in the role");
    assert!(roles.len() > 6, "{}", roles.len());
    let of_entries = entries.into_iter().map(|(text, error)| {
        let entry = completed(&text, &REST_OF_ENTRY).replace('\n', "\n    ");
        (
            completed(&format!("inbound:\n  -\n    {}\n", entry.trim_end()), &REST),
            error,
        )
    });
    let of_roles = roles
        .into_iter()
        .map(|(text, error)| (completed(&text, &REST), error));
    for (role, error) in of_entries.chain(of_roles) {
        let ran = run(&role);
        assert_eq!(ran.code, 1, "{role}\n{}", ran.stdout);
        assert!(
            ran.stderr.contains(&error),
            "{role}\n{error}\n{}",
            ran.stderr
        );
    }
}

#[test]
fn every_key_is_on_the_page() {
    let page = fs::read_to_string(PAGE).unwrap();
    for (place, keys) in keys() {
        for key in keys {
            let row = format!("| `{key}` |");
            assert!(
                page.contains(&row),
                "{place} has the key `{key}`, which has no row"
            );
        }
    }
    // The tables name no other keys.
    let known: Vec<&str> = keys()
        .into_iter()
        .flat_map(|(_, keys)| keys.iter().copied())
        .collect();
    let tables = page
        .split("## Errors")
        .next()
        .unwrap()
        .lines()
        .filter(|line| {
            // Those of keys have a default.
            line.starts_with("| `") && line.matches(" | ").count() >= 3
        });
    for row in tables {
        let key = row.split('`').nth(1).unwrap();
        assert!(known.contains(&key), "there is no key `{key}`");
    }
}
