//! `refused`: what was refused, and the entries that would allow it.

use std::num::NonZeroUsize;

use clap::Args;

use crate::cli::args::ConnectionArgs;
use crate::cli::args::SelectionArgs;
use crate::cli::error::CliError;
use crate::cli::guard_usage;
use crate::report::Purpose;
use crate::report::usage::NodeUsage;
use crate::report::usage::refused;
use crate::report::usage::refused::Refused;

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
    let text = |nodes: &[NodeUsage], elapsed| refused::text(nodes, top, elapsed);
    let contents = Refused::top(top);
    guard_usage::execute(&args.selection, &args.connection, args.json, contents, text)
}
