//! `peers`: how much each entry of the whitelists was used.

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
use crate::report::usage::peers;
use crate::report::usage::peers::PeersDocument;
use crate::report::usage::peers::Shown;

#[derive(Debug, Args)]
pub(super) struct PeersArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Only the entries that no packet has used
    #[arg(long)]
    unused: bool,

    /// Print one JSON document to stdout, and nothing else there
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl PeersArgs {
    /// Returns what its JSON document is about; `None` if none was requested.
    pub(super) fn document(&self) -> Option<Purpose> {
        self.json.then_some(Purpose::Peers)
    }
}

/// Executes `fwdeploy peers`.
pub(super) fn execute(args: &PeersArgs) -> Result<u8, CliError> {
    let shown = match args.unused {
        true => Shown::Unused,
        false => Shown::All,
    };
    let (purpose, selection, connection) = (Purpose::Peers, &args.selection, &args.connection);
    // As everywhere, a closed pipe is ignored.
    if args.json {
        let begin = |output| PeersDocument::begin(output, shown);
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
    print(&peers::text(&nodes, shown, done.elapsed));
    Ok(guard_usage::exit_code(&Tally::of(&nodes), done.signalled))
}
