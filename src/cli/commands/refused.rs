//! `refused`: what was refused, and the entries that would allow it.

use std::num::NonZeroUsize;

use clap::Args;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::guard_usage;
use crate::cli::guard_usage::Nodes;
use crate::report::Purpose;
use crate::report::progress::print;
use crate::report::usage::NodeUsage;
use crate::report::usage::Tally;
use crate::report::usage::refused;
use crate::report::usage::refused::RefusedDocument;

#[derive(Debug, Args)]
pub(super) struct RefusedArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// How many flows of each node, and of the fleet
    #[arg(long, value_name = "N", default_value = "20")]
    top: NonZeroUsize,

    /// Print one JSON document to stdout, and nothing else there
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl RefusedArgs {
    /// Returns what its JSON document is about; `None` if none was requested.
    pub(super) fn document(&self) -> Option<Purpose> {
        self.json.then_some(Purpose::Refused)
    }
}

/// Executes `fwdeploy refused`.
pub(super) fn execute(args: &RefusedArgs) -> Result<u8, CliError> {
    let top = args.top.get();
    let (purpose, selection, connection) = (Purpose::Refused, &args.selection, &args.connection);
    // As everywhere, a closed pipe is ignored.
    if args.json {
        let begin = |output| RefusedDocument::begin(output, top);
        let done = guard_usage::read(purpose, selection, connection, begin, |to, at, node| {
            if let Ok(document) = to {
                let _ = document.put(at, &node);
            }
        })?;
        let Ok(document) = done.result else {
            return Ok(1);
        };
        let code = guard_usage::exit_code(&document.tally(), done.signalled);
        let _ = document.end(done.elapsed, code);
        return Ok(code);
    }
    let begin = |_| Nodes::new();
    let done = guard_usage::read(purpose, selection, connection, begin, |nodes, at, node| {
        nodes.insert(at, node);
    })?;
    let nodes: Vec<NodeUsage> = done.result.into_values().collect();
    print(&refused::text(&nodes, top, done.elapsed));
    Ok(guard_usage::exit_code(&Tally::of(&nodes), done.signalled))
}
