//! A document about the nodes of a fleet that is written while they are done.
//!
//! They are done in any order, and written in that of the inventory: what waits for a node before it is kept as the text that it becomes.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;

use serde::Serialize;

use crate::report::Purpose;
use crate::report::json_writer::DocumentWriter;

/// The version of the shape of all documents.
pub const VERSION: u32 = 2;

/// A document with a list of nodes, and what follows it.
pub(super) struct NodesDocument<W> {
    document: DocumentWriter<W>,
    /// The place of the node that is written next.
    next: usize,
    /// The nodes that one before them is waited for.
    waiting: BTreeMap<usize, Vec<u8>>,
}

impl<W: Write> NodesDocument<W> {
    /// Begins with the version, the command and the list.
    pub(super) fn begin(to: W, purpose: Purpose) -> io::Result<Self> {
        let mut document = DocumentWriter::begin(to)?;
        document.field("version", &VERSION)?;
        document.field("command", &purpose.as_str())?;
        document.begin_list("nodes")?;
        Ok(NodesDocument {
            document,
            next: 0,
            waiting: BTreeMap::new(),
        })
    }

    /// Whether the node at this place was put.
    pub(super) fn has(&self, at: usize) -> bool {
        at < self.next || self.waiting.contains_key(&at)
    }

    /// Writes the node at this place, once all before it are there.
    pub(super) fn put(&mut self, at: usize, node: &impl Serialize) -> io::Result<()> {
        let text = self.document.text(node)?;
        if at != self.next {
            self.waiting.insert(at, text);
            return Ok(());
        }
        self.write(&text)?;
        while let Some(text) = self.waiting.remove(&self.next) {
            self.write(&text)?;
        }
        Ok(())
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.next += 1;
        self.document.item(text)
    }

    /// Ends the list, and the document after what `rest` writes.
    pub(super) fn end(
        mut self,
        rest: impl FnOnce(&mut DocumentWriter<W>) -> io::Result<()>,
    ) -> io::Result<()> {
        // Every place was put; if one was not, no other is left out with it.
        for text in std::mem::take(&mut self.waiting).into_values() {
            self.document.item(&text)?;
        }
        self.document.end_list()?;
        rest(&mut self.document)?;
        self.document.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(order: &[usize]) -> String {
        let mut to = Vec::new();
        let mut document = NodesDocument::begin(&mut to, Purpose::Check).unwrap();
        for at in order {
            document.put(*at, &format!("node {at}")).unwrap();
            assert!(document.has(*at));
        }
        document.end(|rest| rest.field("summary", &1)).unwrap();
        String::from_utf8(to).unwrap()
    }

    /// To see it fail: write in `put` whatever comes.
    #[test]
    fn nodes_are_written_in_their_order_whichever_is_done_first() {
        let in_order = written(&[0, 1, 2, 3]);
        assert!(in_order.contains("\"node 0\",\n    \"node 1\""));
        for order in [[3, 2, 1, 0], [1, 0, 3, 2], [2, 0, 1, 3]] {
            assert_eq!(written(&order), in_order, "{order:?}");
        }
    }

    /// To see it fail: write nothing before `end`.
    #[test]
    fn only_what_waits_for_a_node_before_it_is_kept() {
        let mut to = Vec::new();
        let mut document = NodesDocument::begin(&mut to, Purpose::Check).unwrap();
        for at in [0, 2, 3] {
            document.put(at, &"x").unwrap();
        }
        assert_eq!(document.waiting.len(), 2);
        document.put(1, &"x").unwrap();
        assert_eq!((document.waiting.len(), document.next), (0, 4));
    }
}
