//! The program: exits with the code that the command line returns.

use std::process::ExitCode;

fn main() -> ExitCode {
    fwdeploy::cli::run()
}
