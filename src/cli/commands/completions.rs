//! `completions`: a completion script for a shell.

use clap::Args;
use clap_complete::Shell;

use crate::report::progress::print;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Executes `fwdeploy completions`. `command_line` is the definition of the whole command line.
pub(super) fn execute(args: &CompletionsArgs, command_line: &mut clap::Command) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command_line, "fwdeploy", &mut script);
    print(&String::from_utf8_lossy(&script));
}
