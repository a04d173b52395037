//! `render`: what the roles require of the nodes, without connecting.

use std::fmt::Write as _;

use clap::Args;
use clap::ValueEnum;
use serde_json::Value;

use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::load;
use crate::cli::messages;
use crate::model::Desired;
use crate::report::json;
use crate::report::progress::print;
use crate::report::render;

#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// How the rules are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How `render` writes.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// Commands that a person can read and run: docker, firewall-cmd
    #[default]
    Commands,
    /// JSON
    Json,
    /// firewalld's direct.xml
    #[value(name = "direct.xml")]
    DirectXml,
}

/// Executes `fwdeploy render`.
pub(super) fn execute(args: &RenderArgs) -> Result<u8, CliError> {
    let fleet = load::fleet(&args.selection)?;
    let mut nodes = Vec::new();
    for member in &fleet.members {
        if let Some(desired) = &member.desired {
            nodes.push((member.name.as_str(), desired));
        }
    }
    let without = fleet.names_without_role();
    match without.as_slice() {
        [] => {}
        [name] => messages::note(&format!("node `{name}` has no role")),
        names => messages::note(&format!(
            "{} of {} nodes have no role: {}",
            names.len(),
            fleet.selected(),
            messages::names(names)
        )),
    }
    print(&match args.format {
        Format::Commands => commands(&nodes),
        Format::Json => document(&nodes),
        Format::DirectXml => direct_xml(&nodes)?,
    });
    Ok(0)
}

/// Returns the commands of one node as they are; those of several nodes one after the other, each under the node's name.
fn commands(nodes: &[(&str, &Desired)]) -> String {
    if let [(_, desired)] = nodes {
        return render::commands(desired);
    }
    let mut text = String::new();
    for (name, desired) in nodes {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = write!(
            text,
            "{gap}# ==== {name} ====\n{}",
            render::commands(desired)
        );
    }
    text
}

/// Returns one JSON document for all nodes, in the shape of the other documents.
fn document(nodes: &[(&str, &Desired)]) -> String {
    let nodes: Vec<Value> = nodes
        .iter()
        .map(|(name, desired)| {
            let mut node = serde_json::Map::new();
            node.insert("node".to_string(), Value::from(*name));
            if let Ok(Value::Object(fields)) = serde_json::from_str(&render::json(desired)) {
                node.extend(fields.into_iter().filter(|(key, _)| key != "version"));
            }
            Value::Object(node)
        })
        .collect();
    let document = serde_json::json!({
        "version": json::VERSION,
        "command": "render",
        "nodes": nodes,
    });
    json::pretty(&document)
}

fn direct_xml(nodes: &[(&str, &Desired)]) -> Result<String, CliError> {
    match nodes {
        [(_, desired)] => Ok(render::direct_xml(desired)),
        _ => Err(CliError::new(format!(
            "a direct.xml is one node's, and {} are selected",
            nodes.len()
        ))
        .hint("select one with `--limit NAME`")),
    }
}
