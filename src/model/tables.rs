//! iptables' tables, as the kernel holds them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::rule::Rule;

/// Tables by name, chains by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Tables {
    /// `filter`, `nat`, … each with its chains.
    pub tables: BTreeMap<String, BTreeMap<String, Chain>>,
    /// How the node's own iptables prints direct rules that no other version need print so, by their arguments.
    #[serde(skip)]
    pub printed: BTreeMap<Vec<String>, Printed>,
}

/// What the node's iptables makes of a rule, when it is asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Printed {
    /// It prints these lines: several where the rule names several addresses.
    Lines(Vec<KernelRule>),
    /// It is unknown, and why.
    Unknown(String),
}

impl Tables {
    /// A chain; `None` if there is none.
    pub fn chain(&self, table: &str, chain: &str) -> Option<&Chain> {
        self.tables.get(table)?.get(chain)
    }
}

/// A chain of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Chain {
    /// The policy of a built-in chain.
    pub policy: Option<String>,
    /// The rules, in order.
    pub rules: Vec<KernelRule>,
}

/// A rule as the kernel printed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRule {
    /// The line of `iptables-save` after `-A CHAIN`.
    pub text: String,
    /// Its meaning; `None` if it cannot be parsed.
    pub rule: Option<Rule>,
}

impl KernelRule {
    /// Reads a line of `iptables-save` after its chain.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        KernelRule {
            rule: Rule::parse_text(&text).ok(),
            text,
        }
    }
}

/// Reads a line of `iptables-save` after its chain.
impl<T: Into<String>> From<T> for KernelRule {
    fn from(text: T) -> Self {
        KernelRule::new(text)
    }
}

impl Serialize for KernelRule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
