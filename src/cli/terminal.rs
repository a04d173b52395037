//! Whether there is a person to ask.

use std::io;
use std::io::IsTerminal;

/// Whether the user can be asked. Prompts go to the terminal itself, so stdout may be a pipe.
pub(super) fn is_somebody_there() -> bool {
    io::stdin().is_terminal()
}
