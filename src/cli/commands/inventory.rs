//! `inventory`: shows what the inventory declares, as `ansible-inventory` does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;

use clap::Args;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::cli::args::SelectionArgs;
use crate::cli::configuration;
use crate::cli::error::CliError;
use crate::cli::fleet;
use crate::cli::messages;
use crate::cli::programs::SystemPrograms;
use crate::cli::sources;
use crate::cli::warning::Warnings;
use crate::inventory::Listing;
use crate::inventory::Var;
use crate::inventory::suggest::closest;
use crate::inventory::vars::plain_json;
use crate::inventory::vault::Taint;
use crate::inventory::vault::listed;
use crate::inventory::vault::taint_of;
use crate::model::visible::visible;
use crate::report::progress::print;

/// Groups below groups may be reached on many ways, and are shown on each of them.
const MAX_LINES: usize = 200_000;

/// What stands for a secret.
const REDACTED: &str = "<redacted>";

#[derive(Debug, Args)]
pub(super) struct InventoryArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    #[command(flatten)]
    what: What,
}

/// What is shown.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct What {
    /// All groups and the variables of all nodes as JSON, as `ansible-inventory --list` prints them
    #[arg(long)]
    list: bool,

    /// The groups and their nodes as a tree, from a group on [default]
    #[arg(long, value_name = "GROUP", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    graph: Option<String>,

    /// The variables of a node as JSON
    #[arg(long, value_name = "NODE")]
    host: Option<String>,

    /// The variables of a node, each with the place that sets it and the places that it wins over
    #[arg(long, value_name = "NODE")]
    vars: Option<String>,
}

/// Executes `fwdeploy inventory`.
pub(super) fn execute(args: &InventoryArgs) -> Result<u8, CliError> {
    let programs = SystemPrograms::new();
    let sources = sources::of(&args.selection, &programs)?;
    let listing = Listing::load(&sources, &sources::extra(&args.selection))?;
    let mut warnings = Warnings::default();
    warnings.add_general(configuration::current()?.warnings.iter().cloned());
    warnings.add_general(listing.warnings().iter().cloned());
    for warning in &warnings.into_found() {
        messages::warn(warning);
    }
    let what = &args.what;
    print(&if let Some(name) = &what.host {
        document(&variables(&listing, name)?)?
    } else if let Some(name) = &what.vars {
        places(&listing, name)?
    } else if what.list {
        document(&list(&listing, selected(&args.selection)?.as_ref()))?
    } else {
        graph(&listing, what.graph.as_deref().unwrap_or("all"))?
    });
    Ok(0)
}

/// The nodes that `--limit` and `--shard` select; `None` without both.
fn selected(selection: &SelectionArgs) -> Result<Option<BTreeSet<String>>, CliError> {
    if selection.limit.is_none() && selection.shard.is_none() {
        return Ok(None);
    }
    let inventory = fleet::inventory(selection)?;
    let nodes = fleet::selected(&inventory, selection)?;
    Ok(Some(
        nodes.into_iter().map(|node| node.name.clone()).collect(),
    ))
}

/// Prints JSON as Python's `json.dumps(…, sort_keys=True, indent=4)` lays it out.
fn document(value: &Value) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let layout = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, layout);
    let failed = |error: &dyn std::fmt::Display| {
        CliError::new(format!("cannot be written as JSON: {error}"))
    };
    sorted(value)
        .serialize(&mut serializer)
        .map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| failed(&error))?;
    Ok(format!("{text}\n"))
}

/// The same value with the keys of all mappings in their order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries: BTreeMap<&String, &Value> = entries.iter().collect();
            let entries = entries.into_iter();
            Value::Object(
                entries
                    .map(|(key, value)| (key.clone(), sorted(value)))
                    .collect(),
            )
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// A variable's value; `<redacted>` for a secret that is written there, and for everything in a file that is encrypted as a whole. A template is
/// none, and what is encrypted by itself stays so, as with Ansible.
fn shown(name: &str, var: &Var) -> Value {
    if taint_of(var) == Taint::Encrypted {
        return Value::from(REDACTED);
    }
    if taint_of(var) == Taint::Secret {
        return listed(var.value());
    }
    let value = plain_json(var.value());
    let is_template = value.as_str().is_some_and(|text| text.contains("{{"));
    if is_secret(name) && !is_template && !value.is_null() {
        Value::from(REDACTED)
    } else {
        value
    }
}

/// Whether a variable of this name is meant to be kept from others.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let endings = [
        "password",
        "passwd",
        "phrase",
        "_pass",
        "secret",
        "token",
        "api_key",
        "private_key",
    ];
    crate::inventory::secret::is_secret(&name)
        || endings.iter().any(|ending| name.ends_with(ending))
        || name.starts_with("vault_")
}

/// The variables of a node as they are, templates unrendered.
fn variables(listing: &Listing, name: &str) -> Result<Value, CliError> {
    let node = listing
        .nodes()
        .get(name)
        .ok_or_else(|| unknown("node", name, listing.nodes().keys()))?;
    Ok(values(&node.vars))
}

fn values(vars: &BTreeMap<String, Vec<Var>>) -> Value {
    let last = vars
        .iter()
        .filter_map(|(name, all)| Some((name, all.last()?)));
    Value::Object(
        last.map(|(name, var)| (name.clone(), shown(name, var)))
            .collect(),
    )
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> CliError {
    let error = CliError::new(format!("there is no {what} `{name}` in the inventory"));
    match closest(name, known.map(String::as_str)) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint("`fwdeploy inventory` shows all groups and nodes"),
    }
}

/// The document of `ansible-inventory --list`: groups without anything in them are left out.
fn list(listing: &Listing, selected: Option<&BTreeSet<String>>) -> Value {
    let is_selected = |name: &String| selected.is_none_or(|selected| selected.contains(name));
    let mut document = Map::new();
    for (name, group) in listing.groups() {
        let mut entry = Map::new();
        let nodes: Vec<&String> = group
            .nodes
            .iter()
            .filter(|node| is_selected(node))
            .collect();
        if name != "all" && !nodes.is_empty() {
            entry.insert("hosts".to_owned(), json!(nodes));
        }
        if !group.children.is_empty() {
            entry.insert("children".to_owned(), json!(group.children));
        }
        if !entry.is_empty() {
            document.insert(name.clone(), Value::Object(entry));
        }
    }
    let mut of_nodes = Map::new();
    for (name, node) in listing.nodes() {
        if is_selected(name) && !node.vars.is_empty() {
            of_nodes.insert(name.clone(), values(&node.vars));
        }
    }
    let meta = json!({ "hostvars": of_nodes, "profile": "inventory_legacy" });
    document.insert("_meta".to_owned(), meta);
    Value::Object(document)
}

/// The tree of `ansible-inventory --graph`.
fn graph(listing: &Listing, top: &str) -> Result<String, CliError> {
    if !listing.groups().contains_key(top) {
        return Err(unknown("group", top, listing.groups().keys()));
    }
    let mut text = String::new();
    let mut lines = 0;
    // Groups and nodes that are still to be shown, the next one last.
    let mut next = vec![(0, top, true)];
    while let Some((depth, name, is_group)) = next.pop() {
        lines += 1;
        if lines > MAX_LINES {
            return Err(
                CliError::new(format!("the tree has more than {MAX_LINES} lines"))
                    .hint("`--graph=GROUP` shows a part of it, `--list` each group once"),
            );
        }
        let indent = match depth {
            0 => String::new(),
            depth => format!("{}--", "  |".repeat(depth)),
        };
        let line = if is_group {
            format!("@{name}:")
        } else {
            name.to_owned()
        };
        let _ = writeln!(text, "{indent}{line}");
        let group = listing.groups().get(name).filter(|_| is_group);
        let Some(group) = group else { continue };
        if name != "all" {
            let nodes = group.nodes.iter().rev();
            next.extend(nodes.map(|node| (depth + 1, node.as_str(), false)));
        }
        let children = group.children.iter().rev();
        next.extend(children.map(|child| (depth + 1, child.as_str(), true)));
    }
    Ok(text)
}

/// Each variable of a node with the place that sets it.
fn places(listing: &Listing, name: &str) -> Result<String, CliError> {
    let node = listing
        .nodes()
        .get(name)
        .ok_or_else(|| unknown("node", name, listing.nodes().keys()))?;
    let mut text = String::new();
    for (name, all) in &node.vars {
        let Some((last, others)) = all.split_last() else {
            continue;
        };
        let value = visible(&shown(name, last).to_string());
        let _ = writeln!(text, "{name}: {value}");
        let _ = writeln!(
            text,
            "    {}",
            visible(&last.origin().key_location().to_string())
        );
        for other in others.iter().rev() {
            let place = visible(&other.origin().key_location().to_string());
            let _ = writeln!(text, "    over {place}");
        }
    }
    Ok(text)
}
