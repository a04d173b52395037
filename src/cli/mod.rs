//! The command line: arguments → options → a run on the fleet; errors → message, hint and exit code.
//!
//! * `commands`: one file for each command, with its arguments and its execution.
//! * `args`: the arguments that several commands share, as they were typed; `options`: what they mean.
//! * `configuration`: ansible.cfg and the environment; `settings`: which of them and of the arguments counts.
//! * `sources`: which inventories are read; `programs`: runs inventory scripts.
//! * `names`: what the peers' DNS names lead to; `pins`: what they led to in the last run.
//! * `fleet`: the files; `jobs`: what the engine takes; `fleet_run`: the run; `results`: the end of the output.
//! * `guard_usage`: the reading that `peers` and `refused` share.

mod args;
mod commands;
mod configuration;
mod error;
mod fleet;
mod fleet_run;
mod guard_usage;
mod identity;
mod jobs;
mod key_files;
mod lazy_desired;
mod load;
mod messages;
mod names;
mod open_files;
mod options;
mod password_file;
mod pins;
mod program;
mod programs;
mod remarks;
mod results;
mod secrets;
mod settings;
mod signals;
mod sources;
mod ssh_options;
mod terminal;
mod this_machine;
mod usage;
mod vault_passwords;
mod warning;
mod waves;

use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;

use crate::cli::commands::Cli;
use crate::report::json;
use crate::report::progress::print;
use crate::transport::askpass;

/// Exit code of a usage, inventory or role error: nothing was touched.
const NOTHING_TOUCHED: u8 = 1;

/// Returns the definition of the command line: its commands, flags and help. Completion scripts are generated from it.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Parses the command line, executes the command, and returns the exit code.
pub fn run() -> ExitCode {
    if let Some(code) = askpass::answer() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // If the stream is closed, there is nowhere to report it.
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
