//! The arguments of a rule as firewalld holds them, with what they mean.

use std::cmp::Ordering;
use std::hash::Hash;
use std::hash::Hasher;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde::Serializer;

use super::parsed::Rule;
use super::parsed::RuleError;
use crate::model::tally::counted;

/// The exact arguments of a rule, and their meaning. They are parsed once, when they are read or created: a node may have
/// tens of thousands of rules, and no later step parses a rule again.
///
/// Arguments are compared and sorted by their words, by which firewalld distinguishes rules. They serialize as their words.
#[derive(Debug, Clone)]
pub struct Args {
    words: Vec<String>,
    meaning: Result<Arc<Rule>, RuleError>,
    /// The rules of a list of addresses; empty if the arguments contain no list.
    listed: Vec<Args>,
}

impl Args {
    /// What they mean; `None` if they cannot be read.
    pub fn rule(&self) -> Option<&Rule> {
        self.meaning.as_deref().ok()
    }

    /// Their meaning.
    ///
    /// # Errors
    /// Why they cannot be parsed. A list of addresses (`-s 10.0.0.1,10.0.0.2`) cannot be: it means several rules, which
    /// [`Args::each`] returns.
    pub fn parsed(&self) -> Result<&Rule, &RuleError> {
        self.meaning.as_deref()
    }

    /// The arguments that iptables makes of lists of addresses: one rule for each source with each destination, in its
    /// order. Without a list that is these arguments alone.
    pub fn each(&self) -> &[Args] {
        if self.listed.is_empty() {
            std::slice::from_ref(self)
        } else {
            &self.listed
        }
    }
}

/// The words with one address each, if they hold a list of addresses.
fn listed(words: &[String]) -> Vec<Args> {
    let sources = ["-s", "--source", "--src"];
    let destinations = ["-d", "--destination", "--dst"];
    let mut out = vec![words.to_vec()];
    let mut found = false;
    for options in [sources, destinations] {
        let place = words
            .windows(2)
            .position(|pair| options.contains(&pair[0].as_str()) && pair[1].contains(','));
        let Some(place) = place else { continue };
        found = true;
        out = out
            .into_iter()
            .flat_map(|whole| {
                words[place + 1].split(',').map(move |one| {
                    let mut part = whole.clone();
                    part[place + 1] = one.to_string();
                    part
                })
            })
            .collect();
    }
    let one = |words: Vec<String>| Args {
        meaning: Rule::parse_args(&words).map(Arc::new),
        words,
        listed: Vec::new(),
    };
    match found {
        true => out.into_iter().map(one).collect(),
        false => Vec::new(),
    }
}

impl From<Vec<String>> for Args {
    fn from(words: Vec<String>) -> Self {
        let meaning = Rule::parse_args(&words).map(Arc::new);
        Args {
            listed: match meaning {
                Ok(_) => Vec::new(),
                Err(_) => listed(&words),
            },
            meaning,
            words,
        }
    }
}

/// A rule in canonical spelling. Nothing is parsed, because its meaning is known.
impl From<Rule> for Args {
    fn from(rule: Rule) -> Self {
        Args {
            words: rule.args(),
            meaning: Ok(Arc::new(rule)),
            listed: Vec::new(),
        }
    }
}

impl From<&Rule> for Args {
    fn from(rule: &Rule) -> Self {
        rule.clone().into()
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
        counted(1);
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
        counted(1);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Args {
        text.split(' ').map(String::from).collect()
    }

    #[test]
    fn a_list_of_addresses_stands_for_a_rule_each() {
        let list = args("-s 10.0.0.1,10.0.0.2 -d 192.0.2.0/24,198.51.100.1 -j DROP");
        assert!(list.parsed().is_err());
        let each: Vec<String> = list.each().iter().map(|one| one.join(" ")).collect();
        assert_eq!(
            each,
            [
                "-s 10.0.0.1 -d 192.0.2.0/24 -j DROP",
                "-s 10.0.0.1 -d 198.51.100.1 -j DROP",
                "-s 10.0.0.2 -d 192.0.2.0/24 -j DROP",
                "-s 10.0.0.2 -d 198.51.100.1 -j DROP",
            ]
        );
        assert!(list.each().iter().all(|one| one.rule().is_some()));
        let one = args("-s 10.0.0.1 -j DROP");
        assert_eq!(one.each(), std::slice::from_ref(&one));
    }

    #[test]
    fn a_rule_that_was_made_means_what_its_words_mean() {
        for text in [
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "! -s 172.20.0.0/16 -d 172.20.0.0/16 -m comment --comment fwdeploy:a/b -j REJECT",
            "-i br-a ! -o br-a ! -s 172.20.0.0/16 -j DROP",
        ] {
            let rule = Rule::parse_text(text).unwrap();
            let made = Args::from(&rule);
            let read = Args::from(made.to_vec());
            assert_eq!(made.rule(), read.rule(), "{text}");
        }
    }
}
