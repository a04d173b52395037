//! Where in the user's texts something is written.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;

/// What is shown instead of a secret.
pub const VEIL: &str = "********";

/// A text that the user wrote, and what to call it in a message.
pub struct Source {
    name: String,
    text: String,
    kind: SourceKind,
    /// Where its lines begin, once a place in it was asked for.
    lines: OnceLock<Vec<usize>>,
}

/// What kind of text a [`Source`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A file: a place in it is a line and a column.
    File,
    /// A file that was encrypted as a whole; lines and columns are those of the text that `ansible-vault edit` shows. No message shows
    /// a line of it.
    Decrypted,
    /// One `-e` of the command line: a line and a column would say nothing.
    CommandLine,
}

impl Source {
    /// A file, by the name under which the user knows it.
    pub fn file(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            kind: SourceKind::File,
            lines: OnceLock::new(),
        }
    }

    /// The same text once more.
    pub(super) fn again(&self) -> Self {
        Self {
            name: self.name.clone(),
            text: self.text.clone(),
            kind: self.kind,
            lines: OnceLock::new(),
        }
    }

    /// What an encrypted file holds, by the name of the file.
    pub(super) fn decrypted(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            kind: SourceKind::Decrypted,
            lines: OnceLock::new(),
        }
    }

    /// An argument of the command line; the name is how it is shown, `-e key=…`.
    pub fn command_line(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            kind: SourceKind::CommandLine,
            lines: OnceLock::new(),
        }
    }

    /// Where its lines begin, in bytes. There is at least one.
    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let ends = self.text.match_indices('\n');
            std::iter::once(0)
                .chain(ends.map(|(end, _)| end + 1))
                .collect()
        })
    }

    /// What to call the text: a path as the user wrote it, or `-e key=…`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this is a file or an argument.
    pub fn kind(&self) -> SourceKind {
        self.kind
    }
}

/// Never shows the text: it may hold a password.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// A range of bytes in a [`Source`], always on character boundaries of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// Returns whether nothing is written there: a value that was left out.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A line and a column, both counted from 1; columns are counted in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A piece of a text that the user wrote. Cheap to clone: the text is shared.
///
/// Displayed as `file:line:column`, or as `-e key=…` for the command line.
#[derive(Clone)]
pub struct Location {
    source: Arc<Source>,
    span: Span,
}

impl Location {
    /// The bytes `span` of `source`; a span outside of the text is moved to its end.
    pub fn new(source: Arc<Source>, span: Span) -> Self {
        let text = source.text();
        let start = floor(text, span.start);
        let end = floor(text, span.end.max(span.start)).max(start);
        Self {
            source,
            span: Span { start, end },
        }
    }

    /// The text that this is a piece of.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The bytes of that text.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The line and column of the first character.
    pub fn place(&self) -> Place {
        let lines = self.source.lines();
        let line = lines.partition_point(|begin| *begin <= self.span.start);
        let before = &self.source.text()[lines[line - 1]..self.span.start];
        Place {
            line,
            column: before.chars().count() + 1,
        }
    }

    /// The text at this location, as the user wrote it.
    pub fn text(&self) -> &str {
        &self.source.text()[self.span.start..self.span.end]
    }

    /// A message about this piece, without quotes of a value that stands in an encrypted file. Names of variables are no values.
    pub(super) fn veiled(&self, message: String) -> String {
        if self.source.kind != SourceKind::Decrypted {
            return message;
        }
        let after = self.source.text()[self.span.end..].trim_start_matches(['"', '\'', ' ']);
        if after.starts_with(':') {
            return message;
        }
        let written = self.text();
        let quote = |word: &str| {
            let is_value = word.len() > 1 || word.contains(|c: char| c.is_ascii_digit());
            is_value && written.contains(word)
        };
        // Quotes are in backticks; numbers and addresses are not.
        let pieces = message.split('`').enumerate().map(|(number, piece)| {
            if number % 2 == 1 {
                return if quote(piece) { VEIL } else { piece }.to_owned();
            }
            let words = piece.split(' ').map(|word| {
                let bare = word.trim_matches([',', ':', ';', '.']);
                // Shorter numbers are in sentences by chance.
                let is_number = bare.len() > 3 && bare.contains(|c: char| c.is_ascii_digit());
                if is_number && quote(bare) { VEIL } else { word }
            });
            words.collect::<Vec<_>>().join(" ")
        });
        pieces.collect::<Vec<_>>().join("`")
    }

    /// The bytes from `start` to `end` counted from the beginning of this piece, for a mistake inside of a longer value.
    pub fn part(&self, start: usize, end: usize) -> Self {
        let clamp = |offset: usize| (self.span.start + offset).min(self.span.end);
        Self::new(
            Arc::clone(&self.source),
            Span {
                start: clamp(start),
                end: clamp(end),
            },
        )
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        self.span == other.span
            && (Arc::ptr_eq(&self.source, &other.source) || self.source.name == other.source.name)
    }
}

impl Eq for Location {}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source.kind {
            SourceKind::File | SourceKind::Decrypted => {
                write!(f, "{}:{}", self.source.name, self.place())
            }
            SourceKind::CommandLine => f.write_str(&self.source.name),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// A value, and where the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// The location.
    pub location: Location,
}

impl<T> Located<T> {
    /// Puts a value and its location together.
    pub fn new(value: T, location: Location) -> Self {
        Self { value, location }
    }

    /// The same place, with the value made into something else.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located {
            value: change(self.value),
            location: self.location,
        }
    }
}

/// The last character boundary at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_counted_in_characters() {
        let source = Arc::new(Source::file("x.yml", "a: 1\né日: x\n"));
        let start = source.text().find('x').unwrap();
        let location = Location::new(
            source,
            Span {
                start,
                end: start + 1,
            },
        );
        assert_eq!(location.to_string(), "x.yml:2:5");
        assert_eq!(location.text(), "x");
    }

    #[test]
    fn a_span_outside_of_the_text_is_moved_into_it() {
        let source = Arc::new(Source::file("x.yml", "é"));
        assert_eq!(
            Location::new(Arc::clone(&source), Span { start: 1, end: 90 }).span(),
            Span { start: 0, end: 2 }
        );
        assert_eq!(
            Location::new(source, Span { start: 7, end: 2 }).span(),
            Span { start: 2, end: 2 }
        );
    }

    #[test]
    fn debug_never_shows_the_text() {
        let source = Source::file("x.yml", "ansible_become_password: hunter2");
        assert!(!format!("{source:?}").contains("hunter2"));
    }
}
