//! `render`: what the roles require of the nodes, without connecting.

use std::io;
use std::io::Write;
use std::sync::Arc;

use clap::Args;
use clap::ValueEnum;

use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::load;
use crate::cli::messages;
use crate::engine::Requires;
use crate::report::output::Stdout;
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
    let members = fleet.members.iter();
    let nodes: Vec<Node<'_>> = members
        .filter_map(|member| Some((member.name.as_str(), member.requires()?)))
        .collect();
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
    let to = &mut Stdout::new();
    let written = match args.format {
        Format::Commands => commands(to, &nodes),
        Format::Json => {
            let nodes = nodes.iter();
            render::document(
                to,
                nodes.map(|(name, requires)| (*name, requires.desired())),
            )
        }
        Format::DirectXml => direct_xml(to, &nodes)?,
    };
    // As everywhere, a closed pipe is ignored; but nothing more is compiled for it.
    drop(written);
    Ok(0)
}

/// A node's name, and what its roles require: compiled when it is written, and gone afterwards.
type Node<'f> = (&'f str, Arc<dyn Requires>);

/// Writes the commands of one node as they are; those of several nodes one after the other, each under the node's name.
fn commands(to: &mut Stdout, nodes: &[Node<'_>]) -> io::Result<()> {
    for (number, (name, requires)) in nodes.iter().enumerate() {
        if nodes.len() > 1 {
            let gap = if number == 0 { "" } else { "\n" };
            writeln!(to, "{gap}# ==== {name} ====")?;
        }
        to.write_all(render::commands(&requires.desired()).as_bytes())?;
    }
    to.flush()
}

fn direct_xml(to: &mut Stdout, nodes: &[Node<'_>]) -> Result<io::Result<()>, CliError> {
    match nodes {
        [(_, requires)] => {
            let text = render::direct_xml(&requires.desired());
            Ok(to.write_all(text.as_bytes()).and_then(|()| to.flush()))
        }
        _ => Err(CliError::new(format!(
            "a direct.xml is one node's, and {} are selected",
            nodes.len()
        ))
        .hint("select one with `--limit NAME`")),
    }
}
