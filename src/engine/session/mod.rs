//! Connections to nodes, as two types: [`ReadSession`](read::ReadSession) looks, [`WriteSession`] looks and changes.
//!
//! A check, a look for facts and `rollback --check` get [`ReadSessions`], of which nothing can be had that changes a node: the
//! connection itself, which takes any script, stays in this folder.

mod exchange;
mod read;
mod write;

pub(super) use read::ReadSessions;
pub(super) use write::WriteSession;
pub(super) use write::WriteSessions;
