//! The door: exits with what the command line's run returns.

use std::process::ExitCode;

fn main() -> ExitCode {
    fwdeploy::cli::run()
}
