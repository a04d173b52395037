//! What is wrong with the user's texts, where, and what to do about it.

use std::fmt;

use annotate_snippets::AnnotationKind;
use annotate_snippets::Group;
use annotate_snippets::Level;
use annotate_snippets::Origin;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;
use annotate_snippets::normalize_untrusted_str;

use super::location::Location;
use super::location::Place;
use super::location::Source;
use super::secret::mask_secrets;

/// More errors than this help nobody; the rest is counted.
const SHOWN_ERRORS: usize = 40;

/// Longer pieces of the user's text are cut in messages.
const SHOWN_CHARACTERS: usize = 60;

/// How [`InputError::render`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    Plain,
    /// With ANSI colours.
    Colored,
}

/// One mistake in what the user wrote.
///
/// `Display` is one line, `file:line:column: message (hint)`; [`render`](Self::render) is the long form with the text underlined.
#[derive(Clone, PartialEq, Eq)]
pub struct InputError(Box<Details>);

#[derive(Clone, PartialEq, Eq)]
struct Details {
    message: String,
    subject: Subject,
    label: Option<String>,
    context: Vec<Located>,
    hint: Option<String>,
}

/// A second piece of text that explains the mistake.
type Located = super::location::Located<String>;

#[derive(Clone, PartialEq, Eq)]
enum Subject {
    At(Location),
    File(String),
    Nowhere,
}

impl InputError {
    /// A mistake at a place in a text.
    pub fn at(location: Location, message: impl Into<String>) -> Self {
        Self::new(Subject::At(location), message)
    }

    /// A mistake with a whole file: it cannot be read, or should not be there.
    pub fn in_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Subject::File(file.into()), message)
    }

    /// A mistake that is not in a text.
    pub fn general(message: impl Into<String>) -> Self {
        Self::new(Subject::Nowhere, message)
    }

    fn new(subject: Subject, message: impl Into<String>) -> Self {
        let details = Details {
            message: message.into(),
            subject,
            label: None,
            context: Vec::new(),
            hint: None,
        };
        Self(Box::new(details))
    }

    /// Adds what stands beside the underlined text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.0.label = Some(label.into());
        self
    }

    /// Adds another place that explains the mistake: "first defined here".
    #[must_use]
    pub fn context(mut self, location: Location, label: impl Into<String>) -> Self {
        self.0.context.push(Located::new(label.into(), location));
        self
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the hint "did you mean …", if there is something that the user may have meant.
    #[must_use]
    pub fn did_you_mean(self, meant: Option<&str>) -> Self {
        match meant {
            Some(meant) => self.hint(format!("did you mean `{meant}`?")),
            None => self,
        }
    }

    /// What is wrong, in one sentence without its place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The file or argument that it is about.
    pub fn file(&self) -> Option<&str> {
        match &self.0.subject {
            Subject::At(location) => Some(location.source().name()),
            Subject::File(file) => Some(file),
            Subject::Nowhere => None,
        }
    }

    /// The line and column of the mistake.
    pub fn place(&self) -> Option<Place> {
        self.location().map(Location::place)
    }

    /// The piece of text that is wrong.
    pub fn location(&self) -> Option<&Location> {
        match &self.0.subject {
            Subject::At(location) => Some(location),
            _ => None,
        }
    }

    /// What the user can do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The other places that explain the mistake, with their labels.
    pub fn context_places(&self) -> impl Iterator<Item = (&Location, &str)> {
        self.0
            .context
            .iter()
            .map(|context| (&context.location, context.value.as_str()))
    }

    /// Returns the mistake as rustc would show it: the text, underlined, with labels and hint. No newline at the end.
    ///
    /// Passwords in the shown lines are masked.
    pub fn render(&self, style: Style) -> String {
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Colored => Renderer::styled(),
        };
        let mut group = Group::with_title(Level::ERROR.primary_title(&self.0.message));
        match &self.0.subject {
            Subject::File(file) => group = group.element(Origin::path(file)),
            Subject::At(location) => {
                for (source, notes) in self.notes_by_source(location) {
                    group = group.element(snippet(source, &notes));
                }
            }
            Subject::Nowhere => {}
        }
        if let Some(hint) = &self.0.hint {
            group = group.element(
                Level::HELP
                    .with_name("hint")
                    .message(normalize_untrusted_str(hint)),
            );
        }
        renderer.render(&[group])
    }

    /// What to underline, one entry per text, the mistake's own text first.
    fn notes_by_source<'a>(&'a self, location: &'a Location) -> Vec<(&'a Source, Vec<Note<'a>>)> {
        let primary = Note {
            kind: AnnotationKind::Primary,
            location,
            label: self.0.label.as_deref(),
        };
        let mut by_source: Vec<(&Source, Vec<Note<'_>>)> =
            vec![(location.source().as_ref(), vec![primary])];
        for context in &self.0.context {
            let note = Note {
                kind: AnnotationKind::Context,
                location: &context.location,
                label: Some(context.value.as_str()),
            };
            let source = context.location.source().as_ref();
            match by_source
                .iter_mut()
                .find(|(known, _)| std::ptr::eq(*known, source))
            {
                Some((_, notes)) => notes.push(note),
                None => by_source.push((source, vec![note])),
            }
        }
        by_source
    }
}

struct Note<'a> {
    kind: AnnotationKind,
    location: &'a Location,
    label: Option<&'a str>,
}

/// Only the lines that matter are handed on: a file of megabytes would be walked for each of its errors.
fn snippet<'a>(
    source: &'a Source,
    notes: &[Note<'a>],
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = source.text();
    let first = notes
        .iter()
        .map(|note| note.location.span().start)
        .min()
        .unwrap_or(0);
    let last = notes
        .iter()
        .map(|note| note.location.span().end)
        .max()
        .unwrap_or(0);
    let start = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[last..]
        .find('\n')
        .map_or(text.len(), |newline| last + newline);
    let line = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
    let annotations = notes.iter().map(|note| {
        let span = note.location.span();
        note.kind
            .span(span.start - start..span.end - start)
            .label(note.label)
    });
    Snippet::source(mask_secrets(&text[start..end]))
        .path(source.name())
        .line_start(line)
        .annotations(annotations.collect::<Vec<_>>())
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.subject {
            Subject::At(location) => write!(f, "{location}: ")?,
            Subject::File(file) => write!(f, "{file}: ")?,
            Subject::Nowhere => {}
        }
        f.write_str(&self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InputError({self})")
    }
}

impl std::error::Error for InputError {}

/// Everything that is wrong, in the order in which it was found. Never empty as an `Err`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputErrors(Vec<InputError>);

impl InputErrors {
    /// Nothing wrong so far: a place to collect errors.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds one more.
    pub fn push(&mut self, error: InputError) {
        self.0.push(error);
    }

    /// Adds the errors of another collection.
    pub fn extend(&mut self, others: impl IntoIterator<Item = InputError>) {
        self.0.extend(others);
    }

    /// Keeps the value of a success and the errors of a failure.
    pub fn take<T>(&mut self, result: Result<T, impl Into<InputErrors>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(errors) => {
                self.extend(errors.into());
                None
            }
        }
    }

    /// Returns whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The errors, in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, InputError> {
        self.0.iter()
    }

    /// Returns `value` if nothing is wrong.
    ///
    /// # Errors
    ///
    /// These errors, if there are any.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    /// Returns all of them as [`InputError::render`] shows each, with an empty line between; no newline at the end.
    pub fn render(&self, style: Style) -> String {
        self.join("\n\n", |error| error.render(style))
    }

    fn join(&self, between: &str, show: impl Fn(&InputError) -> String) -> String {
        let mut shown: Vec<String> = self.0.iter().take(SHOWN_ERRORS).map(show).collect();
        if self.len() > SHOWN_ERRORS {
            shown.push(format!("and {} more errors", self.len() - SHOWN_ERRORS));
        }
        shown.join(between)
    }
}

/// One line for each.
impl fmt::Display for InputErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.join("\n", ToString::to_string))
    }
}

impl std::error::Error for InputErrors {}

impl From<InputError> for InputErrors {
    fn from(error: InputError) -> Self {
        Self(vec![error])
    }
}

impl IntoIterator for InputErrors {
    type Item = InputError;
    type IntoIter = std::vec::IntoIter<InputError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a InputErrors {
    type Item = &'a InputError;
    type IntoIter = std::slice::Iter<'a, InputError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Returns a piece of the user's text for a message: control characters visible, and not longer than a line.
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN_CHARACTERS {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
