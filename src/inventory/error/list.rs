//! All mistakes together.

use std::fmt;

use super::InputError;
use super::Style;

/// More errors than this are not useful; the rest is counted.
const SHOWN_ERRORS: usize = 40;

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
