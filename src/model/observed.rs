//! An answer of a node, or why there is none.

use serde::Serialize;

/// An answer of the node, or why there is none. What could not be read is never treated as empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed<T> {
    /// The answer.
    Known(T),
    /// The reason that the node gave.
    Unreadable(String),
}

impl<T> Default for Observed<T> {
    fn default() -> Self {
        Observed::Unreadable("it was not asked".to_string())
    }
}

/// An answer that was read, or why it could not be.
impl<T> From<Result<T, String>> for Observed<T> {
    fn from(read: Result<T, String>) -> Self {
        match read {
            Ok(value) => Observed::Known(value),
            Err(why) => Observed::Unreadable(why),
        }
    }
}

impl<T> Observed<T> {
    /// Whether there is no answer.
    pub fn is_unreadable(&self) -> bool {
        self.known().is_none()
    }

    /// The answer, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Observed::Known(value) => Some(value),
            Observed::Unreadable(_) => None,
        }
    }

    /// The answer to be changed, if there is one.
    pub fn known_mut(&mut self) -> Option<&mut T> {
        match self {
            Observed::Known(value) => Some(value),
            Observed::Unreadable(_) => None,
        }
    }

    /// The answer, or why there is none.
    ///
    /// # Errors
    /// The reason that the node gave.
    pub fn as_result(&self) -> Result<&T, &str> {
        match self {
            Observed::Known(value) => Ok(value),
            Observed::Unreadable(why) => Err(why),
        }
    }

    /// Applies a function to the answer.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Observed<U> {
        match self {
            Observed::Known(value) => Observed::Known(f(value)),
            Observed::Unreadable(why) => Observed::Unreadable(why),
        }
    }
}
