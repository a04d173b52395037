//! One YAML text: its values, and the location of each of them.
//!
//! The values and their locations come from the same pass over saphyr-parser's events, so every value has a location. Plain scalars
//! are read as Ansible reads them: `yes`, `no`, `on` and `off` are booleans, `0644` is octal; unlike Ansible, dates stay text.

mod build;
mod cursor;
mod frame;
mod indent;
mod key;
mod mark;
mod path;
mod refuse;
mod scalar;
mod tag;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_yaml::Value;

pub(super) use self::build::too_long;
pub use self::cursor::Anchor;
pub use self::cursor::Cursor;
use self::mark::Entry;
use self::mark::Inside;
pub use self::mark::MAX_FILE_BYTES;
use self::mark::Mark;
pub use self::mark::kind;
pub use self::path::Path;
pub use self::path::Segment;
use super::error::InputError;
use super::error::InputErrors;
use super::location::Location;
use super::location::Place;
use super::location::Source;
use super::location::Span;

/// One YAML document with the location of every key and value in it.
///
/// The value contains only plain data: mappings have text for keys, merge keys (`<<`) and aliases are resolved, and the tags that are left are
/// `!unsafe` and `!vault` on a string, as [`Value::Tagged`]: such a string is never a template, and the second one is encrypted.
///
/// ```
/// use fwdeploy::inventory::document::Document;
/// use fwdeploy::inventory::document::Path;
///
/// let document = Document::parse("peers.yml", "cybex_peers:\n  - 192.0.2.1\n  - 192.0.2.2\n").unwrap();
/// let second = Path::root().key("cybex_peers").index(1);
/// assert_eq!(document.location(&second).unwrap().to_string(), "peers.yml:3:5");
/// ```
pub struct Document {
    source: Arc<Source>,
    value: Value,
    mark: Arc<Mark>,
}

impl Document {
    /// Reads a file's text. `file` is its name as the user wrote it.
    ///
    /// An empty text is the document `null`. A byte order mark is skipped.
    ///
    /// # Errors
    ///
    /// All mistakes that are found: what is no YAML, more than one document, keys that are there twice, keys that are not text, tags other than
    /// `!unsafe`, `!vault` and YAML's own, control characters, and texts that are too long, too deep, or grow too much by their aliases.
    pub fn parse(file: impl Into<String>, text: &str) -> Result<Self, InputErrors> {
        Self::from_source(Source::file(file, without_byte_order_mark(text)))
    }

    /// Reads a file's bytes, which may not be text.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and for bytes that are not UTF-8.
    pub fn from_bytes(file: impl Into<String>, bytes: &[u8]) -> Result<Self, InputErrors> {
        let file = file.into();
        let text = text(&file, bytes)?;
        Self::parse(file, text)
    }

    /// Reads a text of any kind, an argument of the command line for one.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn from_source(source: Source) -> Result<Self, InputErrors> {
        let source = Arc::new(source);
        let (value, mark) = build::build(&source)?;
        Ok(Self {
            source,
            value,
            mark,
        })
    }

    /// A mapping of one key to a text, both of which are somewhere in `source`: `-e key=value`.
    pub fn of_pair(source: Source, key: (&str, Span), text: (&str, Span)) -> Self {
        let value = Arc::new(Mark {
            span: text.1,
            inside: Inside::Nothing,
        });
        let entries = BTreeMap::from([(key.0.to_owned(), Entry { key: key.1, value })]);
        let span = Span {
            start: key.1.start,
            end: text.1.end,
        };
        let mapping = serde_yaml::Mapping::from_iter([(Value::from(key.0), Value::from(text.0))]);
        Self {
            source: Arc::new(source),
            value: Value::Mapping(mapping),
            mark: Arc::new(Mark {
                span,
                inside: Inside::Mapping(entries),
            }),
        }
    }

    /// A mapping of one key to a value, both of which are somewhere in `source`.
    pub(super) fn of_value(source: Arc<Source>, key: (&str, Span), value: (Value, Span)) -> Self {
        let mark = Arc::new(Mark {
            span: value.1,
            inside: Inside::Nothing,
        });
        let entries = BTreeMap::from([(
            key.0.to_owned(),
            Entry {
                key: key.1,
                value: mark,
            },
        )]);
        let mapping = serde_yaml::Mapping::from_iter([(Value::from(key.0), value.0)]);
        Self {
            source,
            value: Value::Mapping(mapping),
            mark: Arc::new(Mark {
                span: value.1,
                inside: Inside::Mapping(entries),
            }),
        }
    }

    /// The text that was read.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The file's name as the user wrote it.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The whole value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The whole value with its places, to walk through.
    pub fn root(&self) -> Cursor<'_> {
        Cursor::root(&self.source, &self.value, &self.mark)
    }

    /// The value at `path` with its places.
    pub fn at(&self, path: &Path) -> Option<Cursor<'_>> {
        path.segments()
            .iter()
            .try_fold(self.root(), |cursor, segment| cursor.step(segment))
    }

    /// Where the value at `path` is written; its key where the value was left out.
    pub fn location(&self, path: &Path) -> Option<Location> {
        self.at(path).map(|cursor| cursor.location())
    }

    /// Where the key that leads to the value at `path` is written, if it is a mapping's value.
    pub fn key_location(&self, path: &Path) -> Option<Location> {
        self.at(path).and_then(|cursor| cursor.key_location())
    }

    /// The line and column of the value at `path`.
    pub fn span(&self, path: &Path) -> Option<Place> {
        self.location(path).map(|location| location.place())
    }
}

/// Never shows the value: it may hold a password.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// The text of a file's bytes, without a byte order mark.
///
/// # Errors
///
/// The bytes are not UTF-8.
pub(super) fn text<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, InputError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(without_byte_order_mark(text)),
        Err(error) => Err(not_text(file.to_owned(), bytes, error.valid_up_to())),
    }
}

/// Editors of other systems put it there; YAML 1.2 §5.2 allows it.
fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The error for a file that is not text, with the line of its first invalid byte.
fn not_text(file: String, bytes: &[u8], position: usize) -> InputError {
    let byte = bytes.get(position).copied().unwrap_or_default();
    let line_start = bytes[..position]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let line = bytes[..position]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1;
    let column = String::from_utf8_lossy(&bytes[line_start..position])
        .chars()
        .count()
        + 1;
    InputError::in_file(
        format!("{file}:{line}:{column}"),
        format!("byte 0x{byte:02x} is not UTF-8"),
    )
    .hint("save the file as UTF-8; is it encrypted, compressed or binary?")
}
