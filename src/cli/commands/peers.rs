//! `peers`: how much each entry of the whitelists was used.

use clap::Args;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::guard_usage;
use crate::report::Purpose;
use crate::report::usage::NodeUsage;
use crate::report::usage::peers;
use crate::report::usage::peers::Peers;
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
    let text = |nodes: &[NodeUsage], elapsed| peers::text(nodes, shown, elapsed);
    let contents = Peers(shown);
    guard_usage::execute(&args.selection, &args.connection, args.json, contents, text)
}
