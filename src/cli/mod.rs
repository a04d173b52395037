//! Arguments → settings; the wiring; errors → message, hint, exit code.

mod args;
mod drill;
mod error;
mod fleet;
mod operator;
mod render;
mod roles;
mod rollback;
mod rollout;
mod secrets;
mod signals;
mod status;
mod usage;
mod work;

use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;

use crate::cli::args::Cli;
use crate::cli::args::Color;
use crate::cli::args::Command;
use crate::cli::error::CliError;
use crate::report::Purpose;
use crate::report::json;
use crate::report::progress::print;

/// Usage, inventory or role error: nothing was touched.
const NOTHING_TOUCHED: u8 = 1;

/// Returns the definition of the command line: its commands, flags and help, as completion scripts are made from it.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Does what the command line says, and returns the exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell when the stream is closed.
            let _ = error.print();
            if let Some(hint) = usage::hint(&error) {
                error::hint(&hint);
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
    match cli.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    match command(&cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.print();
            if let Some(purpose) = document_of(&cli.command) {
                let document = json::not_begun(&error.remarks(), purpose, NOTHING_TOUCHED);
                print(&document);
            }
            ExitCode::from(NOTHING_TOUCHED)
        }
    }
}

/// What was asked for, if a document was: then that of a command that was not begun says why.
fn document_of(command: &Command) -> Option<Purpose> {
    match command {
        Command::Run(args) if args.json => Some(match args.check {
            true => Purpose::Check,
            false => Purpose::Run,
        }),
        Command::Rollback(args) => args.document(),
        Command::Drill(args) => args.document(),
        Command::Status(args) => args.document(),
        _ => None,
    }
}

fn command(command: &Command) -> Result<u8, CliError> {
    match command {
        Command::Run(args) => work::run(args),
        Command::Status(args) => status::status(args),
        Command::Rollback(args) => rollback::rollback(args),
        Command::Drill(args) => drill::drill(args),
        Command::Facts(args) => work::facts(args),
        Command::Render(args) => render::render(args),
        Command::Role(args) => roles::role(args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut definition(), "fwdeploy", &mut script);
            print(&String::from_utf8_lossy(&script));
            Ok(0)
        }
    }
}
