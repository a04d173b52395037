//! The programs that run on a node, as texts: a POSIX shell reads them from its stdin, and nothing is installed.

mod look;
mod quote;

pub use look::look;
pub use quote::quote;
