//! JSON that every terminal can show, and documents that are written value by value.

use std::cell::RefCell;
use std::io;
use std::io::Write;

use serde::Serialize;
use serde::Serializer;
use serde_json::ser::Formatter;
use serde_json::ser::PrettyFormatter;

use crate::model::visible::is_visible;

/// Values that are made one by one, each when it is written.
pub(super) struct Each<I>(RefCell<Option<I>>);

impl<I> Each<I> {
    pub(super) fn new(values: I) -> Self {
        Each(RefCell::new(Some(values)))
    }
}

/// Once: they are gone then.
impl<I: Iterator<Item: Serialize>> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.take().into_iter().flatten())
    }
}

/// A document of which the fields, and the values of a list, are written when they are known. No more of it is in memory than one value.
///
/// A list is a field of the document itself.
pub(super) struct DocumentWriter<W> {
    to: W,
    /// How far it is indented here.
    formatter: Visible,
    /// Nothing was written yet of the object or the list that is open.
    is_first: bool,
}

impl<W: Write> DocumentWriter<W> {
    /// Begins a document.
    pub(super) fn begin(mut to: W) -> io::Result<Self> {
        let mut formatter = Visible::default();
        formatter.begin_object(&mut to)?;
        Ok(DocumentWriter {
            to,
            formatter,
            is_first: true,
        })
    }

    /// Writes a field.
    pub(super) fn field(&mut self, name: &str, value: &impl Serialize) -> io::Result<()> {
        self.begin_field(name)?;
        let text = self.text(value)?;
        self.to.write_all(&text)?;
        self.end_field()
    }

    /// Begins a field that is a list.
    pub(super) fn begin_list(&mut self, name: &str) -> io::Result<()> {
        self.begin_field(name)?;
        self.is_first = true;
        self.formatter.begin_array(&mut self.to)
    }

    /// A value as it is written here.
    pub(super) fn text(&self, value: &impl Serialize) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let formatter = self.formatter.clone();
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        value.serialize(&mut serializer)?;
        Ok(text)
    }

    /// Writes a value of the list that is open: what [`DocumentWriter::text`] has returned since the list was begun.
    pub(super) fn item(&mut self, text: &[u8]) -> io::Result<()> {
        let is_first = std::mem::take(&mut self.is_first);
        self.formatter.begin_array_value(&mut self.to, is_first)?;
        self.to.write_all(text)?;
        self.formatter.end_array_value(&mut self.to)
    }

    /// Ends the list.
    pub(super) fn end_list(&mut self) -> io::Result<()> {
        self.formatter.end_array(&mut self.to)?;
        self.end_field()
    }

    /// Ends the document.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.formatter.end_object(&mut self.to)?;
        self.to.write_all(b"\n")?;
        self.to.flush()
    }

    fn begin_field(&mut self, name: &str) -> io::Result<()> {
        let is_first = std::mem::take(&mut self.is_first);
        self.formatter.begin_object_key(&mut self.to, is_first)?;
        let name = self.text(&name)?;
        self.to.write_all(&name)?;
        self.formatter.end_object_key(&mut self.to)?;
        self.formatter.begin_object_value(&mut self.to)
    }

    fn end_field(&mut self) -> io::Result<()> {
        self.is_first = false;
        self.formatter.end_object_value(&mut self.to)
    }
}

/// The document as text.
pub fn pretty(document: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    // Only a map with keys that are no strings, or a failing `Serialize`, could fail; the report's values have neither.
    write(&mut bytes, document).expect("memory takes every document");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Writes a document, and an end of line.
///
/// # Errors
/// It cannot be written.
pub fn write(to: &mut impl Write, document: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *to, Visible::default());
    document.serialize(&mut serializer)?;
    to.write_all(b"\n")?;
    to.flush()
}

/// Indented JSON in which every character is visible: other characters are escaped, so the values are unchanged and a terminal
/// executes nothing.
#[derive(Default, Clone)]
struct Visible(PrettyFormatter<'static>);

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
        if fragment.as_bytes().iter().all(is_plain) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| !is_visible(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// To see it fail: leave out `is_first` in `begin_list`, or the formatter's copy in `text`.
    #[test]
    fn a_document_in_pieces_is_the_document_in_one_piece() {
        for items in [
            vec![],
            vec![json!(1)],
            vec![
                json!({"a": [], "b": {"c": "\u{1b}"}}),
                json!("d"),
                json!([[]]),
            ],
        ] {
            let mut pieces = Vec::new();
            let mut document = DocumentWriter::begin(&mut pieces).unwrap();
            document.field("version", &1).unwrap();
            document.begin_list("items").unwrap();
            for item in &items {
                let text = document.text(item).unwrap();
                document.item(&text).unwrap();
            }
            document.end_list().unwrap();
            document
                .field("summary", &json!({"of": items.len()}))
                .unwrap();
            document.end().unwrap();
            let whole = json!({"version": 1, "items": items, "summary": {"of": items.len()}});
            assert_eq!(String::from_utf8(pieces).unwrap(), pretty(&whole));
        }
    }
}
