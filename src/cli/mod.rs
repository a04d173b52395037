//! Arguments → options; the wiring; errors → message, hint, exit code.
//!
//! `commands` has one file a command: its arguments and what it does. `args` has the arguments that commands share, as they were
//! typed; `options` has what they mean. `fleet` reads the files, and `fleet_run` takes a command to the nodes.

mod args;
mod commands;
mod error;
mod fleet;
mod fleet_run;
mod identity;
mod jobs;
mod key_files;
mod load;
mod messages;
mod open_files;
mod options;
mod remarks;
mod results;
mod secrets;
mod signals;
mod usage;
mod warning;
mod waves;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::commands::Cli;
use crate::report::json;
use crate::report::progress::print;

/// Usage, inventory or role error: nothing was touched.
const NOTHING_TOUCHED: u8 = 1;

/// Does what the command line says, and returns the exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell when the stream is closed.
            let _ = error.print();
            if let Some(hint) = usage::hint(&error) {
                messages::hint(&hint);
            }
            // clap would exit with 2, which here means that a node failed.
            let code = if error.use_stderr() {
                NOTHING_TOUCHED
            } else {
                0
            };
            return ExitCode::from(code);
        }
    };
    cli.color_choice().write_global();
    match cli.execute() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.print();
            if let Some(purpose) = cli.document() {
                let document = json::not_begun(&error.remarks(), purpose, NOTHING_TOUCHED);
                print(&document);
            }
            ExitCode::from(NOTHING_TOUCHED)
        }
    }
}
