//! The texts of the scripts that run on a node, as two sets of abilities: to read, and to change.
//!
//! [`ReadScripts`] is all that a check gets. The tests put a made-up node in the place of [`ShellScripts`].

mod read;
mod write;

pub(super) use read::ReadScripts;
pub(super) use read::ShellScripts;
pub(super) use write::WriteScripts;
