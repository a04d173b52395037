//! The arguments of a rule as firewalld holds them, with what they mean.

use std::cmp::Ordering;
use std::hash::Hash;
use std::hash::Hasher;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde::Serializer;

use super::Rule;

/// The exact arguments of a direct rule. They are parsed once, when they are read: a node may have ten thousands of rules.
///
/// Arguments are equal when their words are: firewalld tells rules apart by them.
#[derive(Debug, Clone)]
pub struct Args {
    words: Vec<String>,
    meaning: Option<Arc<Rule>>,
}

impl Args {
    /// What they mean; `None` if they cannot be read.
    pub fn rule(&self) -> Option<&Rule> {
        self.meaning.as_deref()
    }
}

impl From<Vec<String>> for Args {
    fn from(words: Vec<String>) -> Self {
        Args {
            meaning: Rule::parse_args(&words).ok().map(Arc::new),
            words,
        }
    }
}

impl FromIterator<String> for Args {
    fn from_iter<I: IntoIterator<Item = String>>(words: I) -> Self {
        words.into_iter().collect::<Vec<String>>().into()
    }
}

impl Deref for Args {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.words
    }
}

impl PartialEq for Args {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for Args {}

impl PartialOrd for Args {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Args {
    fn cmp(&self, other: &Self) -> Ordering {
        self.words.cmp(&other.words)
    }
}

impl Hash for Args {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words.hash(state);
    }
}

impl Serialize for Args {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.words.serialize(serializer)
    }
}
