//! What is wrong with the user's input, where, and what to do about it.

mod list;
mod render;

use std::fmt;

pub use self::list::InputErrors;
use super::location::Location;
use super::location::Place;
use crate::model::visible::is_visible;
use crate::model::visible::visible;

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
            message: message.into(),
            subject,
            label: None,
            context: Vec::new(),
            hint: None,
            alone: false,
        };
        Self(Box::new(details))
    }

    /// Adds the text next to the underlined text.
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
