//! The scripts that run on a node, as two traits: [`ReadScripts`] makes those that read, [`WriteScripts`] also those that change.
//!
//! A check only gets [`ReadScripts`]. In tests a simulated fleet takes the place of [`ShellScripts`].

mod read;
mod write;

pub(super) use read::ReadScripts;
pub(super) use read::ShellScripts;
pub(super) use write::WriteScripts;
