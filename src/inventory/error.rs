//! What is wrong with the user's input, where, and what to do about it.

mod list;
mod render;

use std::fmt;

pub use self::list::InputErrors;
use super::location::Location;
use super::location::Place;
use super::location::VEIL;
use crate::model::Secret;
use crate::model::visible::is_visible;
use crate::model::visible::visible;

/// Longer pieces of the user's text are cut in messages.
const SHOWN_CHARACTERS: usize = 60;

/// Secrets of fewer bytes are hidden where they are quoted, and not within words.
const SHORT: usize = 4;

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
    /// Secrets that none of its texts shows.
    hidden: Vec<Secret>,
    /// Whether its own location suffices, so the locations that led to it are not shown.
    alone: bool,
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
            message: String::new(),
            subject,
            label: None,
            context: Vec::new(),
            hint: None,
            hidden: Vec::new(),
            alone: false,
        };
        let mut error = Self(Box::new(details));
        error.0.message = error.veiled(message.into());
        error
    }

    /// Adds the text next to the underlined text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.0.label = Some(self.veiled(label.into()));
        self
    }

    /// Adds another place that explains the mistake: "first defined here".
    #[must_use]
    pub fn context(mut self, location: Location, label: impl Into<String>) -> Self {
        let label = self.veiled(label.into());
        self.0.context.push(Located::new(label, location));
        self
    }

    /// Declares that its own location suffices: the locations that led to it are not shown.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.0.alone = true;
        self
    }

    /// Whether the places that led to it need not be shown.
    pub fn is_alone(&self) -> bool {
        self.0.alone
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(self.veiled(hint.into()));
        self
    }

    /// Hides a text that is a secret, in what is said already and in what is added later.
    #[must_use]
    pub fn hiding(mut self, secret: &str) -> Self {
        if secret.is_empty() {
            return self;
        }
        self.0.hidden.push(Secret::new(secret));
        let message = std::mem::take(&mut self.0.message);
        self.0.message = self.veiled(message);
        self.0.label = self.0.label.take().map(|label| self.veiled(label));
        self.0.hint = self.0.hint.take().map(|hint| self.veiled(hint));
        let context = std::mem::take(&mut self.0.context).into_iter();
        self.0.context = context
            .map(|place| place.map(|label| self.veiled(label)))
            .collect();
        self
    }

    /// A text without what is secret: what is hidden, and quotes of a value in an encrypted file.
    fn veiled(&self, text: String) -> String {
        let mut text = text;
        for secret in &self.0.hidden {
            for form in [secret.expose().to_owned(), shown(secret.expose())] {
                // A letter or two are in every sentence; quoted they are a value.
                text = match form.len() < SHORT {
                    true => text.replace(&format!("`{form}`"), &format!("`{VEIL}`")),
                    false => text.replace(&form, VEIL),
                };
            }
        }
        match &self.0.subject {
            Subject::At(location) => location.veiled(text),
            _ => text,
        }
    }

    /// Adds the hint "did you mean …", if there is something that the user may have meant.
    #[must_use]
    pub fn did_you_mean(self, meant: Option<&str>) -> Self {
        match meant {
            Some(meant) => self.hint(format!("did you mean `{meant}`?")),
            None => self,
        }
    }

    /// What is wrong, in one sentence without its location.
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
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.0.subject {
            Subject::At(location) => format!("{location}: "),
            Subject::File(file) => format!("{file}: "),
            Subject::Nowhere => String::new(),
        };
        f.write_str(&visible(&place))?;
        f.write_str(&visible(&self.0.message))?;
        match &self.0.hint {
            Some(hint) => write!(f, " ({})", visible(hint)),
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

/// Returns a piece of the user's text for a message: every character visible, and not longer than a line.
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN_CHARACTERS {
            shown.push('…');
            break;
        }
        if is_visible(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inventory::location::Source;
    use crate::inventory::location::Span;

    #[test]
    fn a_hidden_secret_is_in_none_of_the_texts_whenever_they_are_added() {
        let add = |error: InputError| {
            let span = Span { start: 0, end: 1 };
            let place = Location::new(Arc::new(Source::file("f", "x")), span);
            let error = error.label("label hunter2").hint("hint `hunter2`");
            error.context(place, "context hunter2")
        };
        let error = || InputError::general("`hunter2` is no port");
        for error in [
            add(error()).hiding("hunter2"),
            add(error().hiding("hunter2")),
        ] {
            let shown = format!("{error} {error:?} {}", error.render(Style::Plain));
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(error.message(), "`********` is no port");
            assert_eq!(error.hint_text(), Some("hint `********`"));
            assert_eq!(error.context_places().next().unwrap().1, "context ********");
        }
        let short = InputError::general("`a` is no port, but a word").hiding("a");
        assert_eq!(short.message(), "`********` is no port, but a word");
    }

    #[test]
    fn a_value_of_an_encrypted_file_is_not_quoted_and_a_name_is() {
        let text = "port: 198.51.100.300\nname: x\n";
        let source = Arc::new(Source::decrypted("f", text));
        let at = |start, end| Location::new(Arc::clone(&source), Span { start, end });
        let of_value = |message: &str| InputError::at(at(6, 20), message).to_string();
        for (message, shown) in [
            ("`198.51.100.300` is wrong", "f:1:7: `********` is wrong"),
            ("198.51.100.300 is wrong", "f:1:7: ******** is wrong"),
            // A number as short as that is in many sentences.
            ("`port` takes 3 of them", "f:1:7: `port` takes 3 of them"),
        ] {
            assert_eq!(of_value(message), shown);
        }
        let of_key = InputError::at(at(0, 4), "there is no `port`");
        assert_eq!(of_key.to_string(), "f:1:1: there is no `port`");
        // Nor is a line of the file shown.
        let shown = InputError::at(at(6, 20), "wrong").render(Style::Plain);
        assert!(shown.contains("f:1:7") && !shown.contains("198"), "{shown}");
    }
}
