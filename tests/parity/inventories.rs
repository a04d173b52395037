//! Inventories: each folder of `inventories`. The groups with their nodes, and each variable of each node as a template sees it.
//!
//! A folder is read as Ansible's programs read it when they are started in it: the file `inventory.yml`, `hosts.yml` or `hosts` of it, or
//! else all of it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use fwdeploy::inventory::Inventory;
use fwdeploy::inventory::Sources;
use fwdeploy::role::Templates;
use serde_json::Value;
use serde_json::json;

use crate::ansible;
use crate::ansible::Answer;

/// Inventories that are there at least.
const FEWEST: usize = 20;

/// Variables that fwdeploy takes out of those that templates see: it keeps secrets apart, and roles.
const APART: [&str; 5] = [
    "fwdeploy_roles",
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_become_password",
    "ansible_become_pass",
];

fn folders() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/inventories");
    let entries = fs::read_dir(folder).expect("the folder");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    found.sort();
    found
}

fn inventory_in(folder: &Path) -> PathBuf {
    let names = [
        "inventory.yml",
        "inventory.yaml",
        "inventory.json",
        "hosts.yml",
        "hosts",
    ];
    let files = names.iter().map(|name| folder.join(name));
    files
        .into_iter()
        .find(|path| path.is_file())
        .unwrap_or_else(|| folder.to_path_buf())
}

/// The whole of an inventory, as fwdeploy has it.
fn ours(path: &Path) -> Answer {
    let sources = Sources {
        programs: &ansible::Programs,
        ..Sources::one(path)
    };
    let inventory = match Inventory::load_sources(&sources, &[]) {
        Ok(inventory) => inventory,
        Err(errors) => return Answer::Error(errors.to_string()),
    };
    let templates = Templates::new(&inventory);
    let mut hosts = serde_json::Map::new();
    for node in inventory.nodes() {
        let mut variables = serde_json::Map::new();
        for name in node.vars.keys() {
            let rendered = match templates.variable(&node.name, name) {
                Ok(value) => json!({"value": value}),
                Err(error) => json!({"error": error.message()}),
            };
            variables.insert(name.clone(), rendered);
        }
        hosts.insert(node.name.clone(), Value::Object(variables));
    }
    let mut groups: BTreeMap<String, Vec<String>> = inventory.groups().clone();
    groups.values_mut().for_each(|names| names.sort());
    Answer::Value(json!({"hosts": hosts, "groups": groups}))
}

/// Where both differ, in lines.
fn compare(ours: &Value, theirs: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let of = |value: &Value, key: &str| value[key].as_object().unwrap_or(&empty).clone();
    let mut found = Vec::new();
    if of(ours, "groups") != of(theirs, "groups") {
        found.push(format!(
            "groups\n  fwdeploy {}\n  ansible  {}",
            ours["groups"], theirs["groups"]
        ));
    }
    let (ours, theirs) = (of(ours, "hosts"), of(theirs, "hosts"));
    // Their order is that of the pattern `all`, and belongs to the test of patterns.
    let names =
        |hosts: &serde_json::Map<String, Value>| hosts.keys().cloned().collect::<BTreeSet<_>>();
    if names(&ours) != names(&theirs) {
        found.push(format!(
            "hosts\n  fwdeploy {:?}\n  ansible  {:?}",
            names(&ours),
            names(&theirs)
        ));
    }
    for (host, theirs) in &theirs {
        let (mine, theirs) = (
            ours.get(host).and_then(Value::as_object),
            theirs.as_object(),
        );
        let (mine, theirs) = (mine.unwrap_or(&empty), theirs.unwrap_or(&empty));
        let all = mine
            .keys()
            .chain(theirs.keys())
            .collect::<std::collections::BTreeSet<_>>();
        for name in all
            .into_iter()
            .filter(|name| !APART.contains(&name.as_str()))
        {
            let answer = |of: &serde_json::Map<String, Value>| of.get(name).map(Answer::of);
            let agrees = match (answer(mine), answer(theirs)) {
                (Some(one), Some(other)) => one.agrees(&other),
                _ => false,
            };
            if !agrees {
                let (mine, theirs) = (answer(mine), answer(theirs));
                found.push(format!(
                    "{host}: {name}\n  fwdeploy {mine:?}\n  ansible  {theirs:?}"
                ));
            }
        }
    }
    found
}

/// To see it fail: let a group's variables win over those of the groups in it.
#[test]
fn every_inventory_has_the_groups_and_variables_that_ansible_gives_it() {
    let folders = folders();
    assert!(folders.len() >= FEWEST, "{} inventories", folders.len());
    let question: Vec<_> = folders
        .iter()
        .map(|folder| json!({"path": inventory_in(folder), "folder": folder}))
        .collect();
    let answers = ansible::ask(&json!({"inventories": question}));
    let mut wrong = String::new();
    for (folder, theirs) in folders
        .iter()
        .zip(answers["inventories"].as_array().expect("answers"))
    {
        let name = folder
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        std::env::set_current_dir(folder).expect("the folder is there");
        let ours = ours(&inventory_in(folder));
        match (&ours, &Answer::of(theirs)) {
            (Answer::Value(ours), Answer::Value(theirs)) => {
                for line in compare(ours, theirs) {
                    writeln!(wrong, "{name}: {line}").unwrap();
                }
            }
            (Answer::Error(_), Answer::Error(_)) => {}
            (ours, theirs) => {
                writeln!(wrong, "{name}\n  fwdeploy {ours:?}\n  ansible  {theirs:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
