//! Shapes of YAML that people's inventories have, and what Ansible makes of them.
//!
//! `tests/parity/inventories/yaml-*` are the inventories, `tests/parity/recorded` the variables of their hosts as the real
//! `ansible-inventory --list` (ansible-core 2.19.14) printed them. The parity test compares with the real one again, where it can be installed.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use fwdeploy::inventory::Inventory;
use serde_json::Value;

/// A value as `ansible-inventory --list` prints it, without the mark of `!unsafe`.
fn without_marks(value: &Value) -> Value {
    match value {
        Value::Object(entries) => match entries.get("__ansible_unsafe") {
            Some(text) if entries.len() == 1 => text.clone(),
            _ => {
                let entries = entries.iter();
                let entries = entries.map(|(key, value)| (key.clone(), without_marks(value)));
                Value::Object(entries.collect())
            }
        },
        Value::Array(values) => Value::Array(values.iter().map(without_marks).collect()),
        other => other.clone(),
    }
}

/// The same value as JSON: a tag is none of its parts.
fn as_json(value: &serde_yaml::Value) -> Value {
    use serde_yaml::Value as Yaml;
    match value {
        Yaml::Tagged(tagged) => as_json(&tagged.value),
        Yaml::Sequence(values) => Value::Array(values.iter().map(as_json).collect()),
        Yaml::Mapping(entries) => {
            let entry = |(key, value): (&Yaml, &Yaml)| {
                (key.as_str().unwrap_or_default().to_owned(), as_json(value))
            };
            Value::Object(entries.iter().map(entry).collect())
        }
        other => serde_json::to_value(other).unwrap(),
    }
}

fn inventory_of(case: &Path) -> PathBuf {
    let entries = fs::read_dir(case).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_inventory = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("inventory")
    };
    paths.find(is_inventory).unwrap()
}

/// To see it fail: read `0644` as a text, or indent nothing within brackets.
#[test]
fn every_shape_of_yaml_is_read_as_ansible_reads_it() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for entry in fs::read_dir("tests/parity/inventories").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let recorded = Path::new("tests/parity/recorded").join(format!("{name}.json"));
        // The whole answer of others is in `listed`.
        if !name.starts_with("yaml-") || !recorded.exists() {
            continue;
        }
        cases += 1;
        let recorded = fs::read_to_string(recorded).unwrap();
        let recorded: Value = serde_json::from_str(&recorded).unwrap();
        let inventory = match Inventory::load(&inventory_of(&path), &[]) {
            Ok(inventory) => inventory,
            Err(errors) => {
                wrong.push(format!("{name}: {errors}"));
                continue;
            }
        };
        for node in inventory.nodes() {
            let vars = node.vars.iter();
            let vars = vars.map(|(name, var)| (name.clone(), as_json(var.value())));
            let ours = Value::Object(vars.collect());
            let theirs = without_marks(recorded.get(&node.name).unwrap_or(&serde_json::json!({})));
            if ours != theirs {
                wrong.push(format!(
                    "{name}: {}\nours   {ours}\ntheirs {theirs}",
                    node.name
                ));
            }
        }
        let names = recorded.as_object().unwrap().keys();
        let unknown = names.filter(|name| inventory.node(name).is_none());
        wrong.extend(unknown.map(|node| format!("{name}: no node {node}")));
    }
    assert!(cases >= 30, "{cases}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
