//! The documents about what the guards have counted, for scripts.

use std::io;
use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use crate::report::Purpose;
use crate::report::nodes_document::NodesDocument;
use crate::report::usage::node::NodeUsage;
use crate::report::usage::node::Tally;
use crate::report::usage::node::Totals;

/// What the document of a command says of each node, and of all of them.
pub trait Contents {
    /// The command.
    const PURPOSE: Purpose;

    /// What is written of the node at this place. The nodes come in any order, each once.
    fn node<'a>(&mut self, at: usize, node: &'a NodeUsage) -> impl Serialize + 'a;

    /// A field about all nodes, if there is one.
    fn of_fleet(self) -> Option<(&'static str, impl Serialize)>;
}

/// One document for scripts, in the order of the inventory, written while the nodes are read.
pub struct UsageDocument<W, C> {
    nodes: NodesDocument<W>,
    contents: C,
    tally: Tally,
}

impl<W: Write, C: Contents> UsageDocument<W, C> {
    /// Begins a document.
    ///
    /// # Errors
    /// It cannot be written: nobody reads it any more.
    pub fn begin(to: W, contents: C) -> io::Result<Self> {
        Ok(UsageDocument {
            nodes: NodesDocument::begin(to, C::PURPOSE)?,
            contents,
            tally: Tally::default(),
        })
    }

    /// Writes the node at this place, once all nodes before it are written.
    ///
    /// # Errors
    /// As [`UsageDocument::begin`].
    pub fn put(&mut self, at: usize, node: &NodeUsage) -> io::Result<()> {
        self.tally.add(node);
        self.nodes.put(at, &self.contents.node(at, node))
    }

    /// How many nodes there are of each kind.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Writes what follows the nodes.
    ///
    /// # Errors
    /// As [`UsageDocument::begin`].
    pub fn end(self, elapsed: Duration, exit_code: u8) -> io::Result<()> {
        let totals = Totals::of(self.tally, elapsed, exit_code);
        self.nodes.end(|rest| {
            if let Some((name, value)) = self.contents.of_fleet() {
                rest.field(name, &value)?;
            }
            rest.field("summary", &totals)
        })
    }
}
