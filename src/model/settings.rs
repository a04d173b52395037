//! firewalld's settings apart from its direct interface, in one of its two views.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::net::Cidr;

/// The zones, policies and services that a reload could change: those in use, and those with a file in /etc/firewalld.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Settings {
    /// The default zone.
    pub default_zone: String,
    /// The zones by name. The rich rules of [`NodeState::zone`](crate::model::NodeState::zone) are not here but in
    /// [`Firewall::rich`](crate::model::state::Firewall::rich).
    pub zones: BTreeMap<String, Options>,
    /// The policies by name; firewalld has them from 0.9 on.
    pub policies: BTreeMap<String, Options>,
    /// The services that were defined or changed on the node, by name.
    pub services: BTreeMap<String, Options>,
    /// The address sets (`ipset:NAME`) that a zone or rule names, by name; read at runtime only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sets: BTreeMap<String, AddressSet>,
}

/// An address set of firewalld's (firewalld.ipset(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AddressSet {
    /// Its addresses and networks.
    pub nets: Vec<Cidr>,
    /// Whether it may hold more: MAC addresses, ports, ranges, entries with a timeout, or what could not be read.
    pub more: bool,
}

impl Settings {
    /// The zones in the order in which firewalld asks them about the source of a packet: by priority (firewalld 2.0), then by name.
    pub fn zones_in_order(&self) -> Vec<(&str, &Options)> {
        let mut zones: Vec<(&str, &Options)> = self
            .zones
            .iter()
            .map(|(name, options)| (name.as_str(), options))
            .collect();
        zones.sort_by_key(|(_, options)| options.one("ingress_priority").parse().unwrap_or(0_i64));
        zones
    }

    /// The zone that an interface is bound to, by its name or by a name that ends with `+`; without one, it is in the
    /// default zone.
    pub fn zone_of_interface(&self, interface: &str) -> Option<&str> {
        let wild = |name: &str| {
            name.strip_suffix('+')
                .is_some_and(|beginning| interface.starts_with(beginning))
        };
        let bound = |means: &dyn Fn(&str) -> bool| {
            let mut zones = self.zones.iter();
            zones
                .find(|(_, options)| options.all("interfaces").any(means))
                .map(|(zone, _)| zone.as_str())
        };
        bound(&|name| name == interface).or_else(|| bound(&wild))
    }
}

/// The settings of one zone, policy or service, by firewalld's own names for them: `services`, `ports`, `rules_str` …
///
/// Each is a set of texts: `22/tcp` of `ports`, `yes` if something is on. What is empty or off is left out, so
/// versions that omit it and versions that print it are equal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Options(BTreeMap<String, BTreeSet<String>>);

impl Options {
    /// Adds a text to a setting.
    pub fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.entry(key.into()).or_default().insert(value.into());
    }

    /// Takes a whole setting away.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// The texts of a setting; none if it is empty or off.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// The only text of a setting such as `target`; empty if there is none.
    pub fn one(&self, key: &str) -> &str {
        self.all(key).next().unwrap_or_default()
    }

    /// Whether a setting has a text.
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_some_and(|values| values.contains(value))
    }

    /// The names of the settings that are present.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Options {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut options = Options::default();
        for (key, value) in pairs {
            options.add(key, value);
        }
        options
    }
}
