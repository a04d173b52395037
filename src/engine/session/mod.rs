//! Connections to nodes, as two types: [`ReadSession`](read::ReadSession) reads a node, [`WriteSession`] reads and changes it.
//!
//! `check`, `facts` and `rollback --check` only get [`ReadSessions`], which give no way to change a node: the connection itself,
//! which runs any script, is private to this folder.

mod exchange;
mod read;
mod write;

pub(super) use read::Looked;
pub(super) use read::ReadSessions;
pub(super) use write::WriteSession;
pub(super) use write::WriteSessions;
