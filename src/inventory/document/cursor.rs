//! Values together with their places.

use std::fmt;
use std::sync::Arc;

use serde_yaml::Value;

use super::mark::Inside;
use super::mark::Mark;
use super::path::Segment;
use crate::inventory::location::Location;
use crate::inventory::location::Source;
use crate::inventory::location::Span;

/// A value inside of a [`Document`](super::Document), with its places.
#[derive(Clone, Copy)]
pub struct Cursor<'d> {
    source: &'d Arc<Source>,
    value: &'d Value,
    mark: &'d Arc<Mark>,
    key: Option<Span>,
}

impl<'d> Cursor<'d> {
    pub(super) fn root(source: &'d Arc<Source>, value: &'d Value, mark: &'d Arc<Mark>) -> Self {
        Self {
            source,
            value,
            mark,
            key: None,
        }
    }

    /// The value.
    pub fn value(&self) -> &'d Value {
        self.value
    }

    /// Where the value is written; its key where the value was left out.
    pub fn location(&self) -> Location {
        self.anchor().location()
    }

    /// Where the key that leads here is written, if this is a mapping's value.
    pub fn key_location(&self) -> Option<Location> {
        self.key
            .map(|key| Location::new(Arc::clone(self.source), key))
    }

    /// What keeps the places when the document is gone.
    pub fn anchor(&self) -> Anchor {
        Anchor {
            source: Arc::clone(self.source),
            mark: Arc::clone(self.mark),
            key: self.key,
        }
    }

    /// The entries of a mapping in the order of the text, or `None` if this is not a mapping.
    pub fn entries(&self) -> Option<Vec<(&'d str, Cursor<'d>)>> {
        let (Value::Mapping(mapping), Inside::Mapping(marks)) = (self.value, &self.mark.inside)
        else {
            return None;
        };
        let entry = |(key, value): (&'d Value, &'d Value)| {
            let key = key.as_str()?;
            let mark = marks.get(key)?;
            Some((
                key,
                Cursor {
                    source: self.source,
                    value,
                    mark: &mark.value,
                    key: Some(mark.key),
                },
            ))
        };
        Some(mapping.iter().filter_map(entry).collect())
    }

    /// The elements of a list, or `None` if this is not a list.
    pub fn elements(&self) -> Option<Vec<Cursor<'d>>> {
        let (Value::Sequence(values), Inside::List(marks)) = (self.value, &self.mark.inside) else {
            return None;
        };
        let element = |(value, mark)| Cursor {
            source: self.source,
            value,
            mark,
            key: None,
        };
        Some(values.iter().zip(marks).map(element).collect())
    }

    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<Cursor<'d>> {
        let (Value::Mapping(mapping), Inside::Mapping(marks)) = (self.value, &self.mark.inside)
        else {
            return None;
        };
        let mark = marks.get(key)?;
        Some(Cursor {
            source: self.source,
            value: mapping.get(key)?,
            mark: &mark.value,
            key: Some(mark.key),
        })
    }

    /// The text of a string, be it `!unsafe` or not.
    pub fn as_str(&self) -> Option<&'d str> {
        match self.value {
            Value::String(text) => Some(text),
            Value::Tagged(tagged) => tagged.value.as_str(),
            _ => None,
        }
    }

    /// One step further.
    pub fn step(&self, segment: &Segment) -> Option<Cursor<'d>> {
        match segment {
            Segment::Key(key) => self.get(key),
            Segment::Index(index) => {
                let (Value::Sequence(values), Inside::List(marks)) =
                    (self.value, &self.mark.inside)
                else {
                    return None;
                };
                let (value, mark) = (values.get(*index)?, marks.get(*index)?);
                Some(Cursor {
                    source: self.source,
                    value,
                    mark,
                    key: None,
                })
            }
        }
    }
}

/// Never shows the value: it may hold a password.
impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({})", self.location())
    }
}

/// The places of a value and of everything in it, without the value. Cheap to clone.
#[derive(Clone)]
pub struct Anchor {
    source: Arc<Source>,
    mark: Arc<Mark>,
    key: Option<Span>,
}

impl Anchor {
    /// The place of a value that is written in one piece, in a text that is no YAML.
    pub fn of_piece(source: Arc<Source>, key: Span, value: Span) -> Self {
        Self {
            source,
            mark: Arc::new(Mark {
                span: value,
                inside: Inside::Nothing,
            }),
            key: Some(key),
        }
    }

    /// Where the value is written; its key where the value was left out.
    pub fn location(&self) -> Location {
        let span = if self.mark.span.is_empty() {
            self.key.unwrap_or(self.mark.span)
        } else {
            self.mark.span
        };
        Location::new(Arc::clone(&self.source), span)
    }

    /// The location of the key that leads to the value; of the value itself if it has no key.
    pub fn key_location(&self) -> Location {
        Location::new(Arc::clone(&self.source), self.key.unwrap_or(self.mark.span))
    }

    /// Whether both are the place of one value that was read once.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
            && Arc::ptr_eq(&self.mark, &other.mark)
            && self.key == other.key
    }

    /// The text that the value is written in.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The places of a value inside of this one; of the innermost known one where `path` leads further than the text does.
    #[must_use]
    pub fn inside(&self, path: &[Segment]) -> Self {
        let mut anchor = self.clone();
        for segment in path {
            let next = match (segment, &anchor.mark.inside) {
                (Segment::Key(key), Inside::Mapping(marks)) => marks
                    .get(key)
                    .map(|entry| (Arc::clone(&entry.value), Some(entry.key))),
                (Segment::Index(index), Inside::List(marks)) => {
                    marks.get(*index).map(|mark| (Arc::clone(mark), None))
                }
                _ => None,
            };
            let Some((mark, key)) = next else {
                break;
            };
            anchor = Self {
                source: anchor.source,
                mark,
                key,
            };
        }
        anchor
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchor({})", self.location())
    }
}
