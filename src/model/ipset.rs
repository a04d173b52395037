//! Address sets of firewalld's (firewalld.ipset(5)) that hold the peers of a large whitelist: one rule refers to a set, in place of a rule for
//! each peer.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Serialize;
use serde::Serializer;
use sha2::Digest;
use sha2::Sha256;

use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::observed::Observed;

/// The beginning of the names of our sets. A set of another name is never touched.
pub const PREFIX: &str = "fwdeploy-";

/// The number of entries that ipset lets a set have if nothing else was said (ipset(8)).
const MAXELEM: usize = 65_536;

/// Whether that is the name of one of our sets.
pub fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// What the entries of a set consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpSetKind {
    /// `hash:net`: addresses and networks.
    Net,
    /// `hash:ip,port`: an address with a protocol and a port.
    IpPort,
}

impl IpSetKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            IpSetKind::Net => "hash:net",
            IpSetKind::IpPort => "hash:ip,port",
        }
    }

    /// How many properties of a packet it is asked with.
    pub fn dimension(self) -> usize {
        match self {
            IpSetKind::Net => 1,
            IpSetKind::IpPort => 2,
        }
    }
}

impl FromStr for IpSetKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [IpSetKind::Net, IpSetKind::IpPort];
        all.into_iter().find(|kind| kind.name() == text).ok_or(())
    }
}

/// An entry of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpSetEntry {
    /// An address or a network.
    Net(Cidr),
    /// An address, the protocol by its name in lower case, and a port.
    Port(IpAddr, IpSetProtocol, u16),
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum IpSetProtocol {
    Tcp,
    Udp,
}

impl IpSetProtocol {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            IpSetProtocol::Tcp => "tcp",
            IpSetProtocol::Udp => "udp",
        }
    }
}

impl FromStr for IpSetProtocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [IpSetProtocol::Tcp, IpSetProtocol::Udp];
        all.into_iter().find(|one| one.name() == text).ok_or(())
    }
}

impl IpSetEntry {
    /// Whether there is a packet that both entries match: firewalld refuses an entry that overlaps another one.
    pub fn overlaps(self, other: IpSetEntry) -> bool {
        match (self, other) {
            (IpSetEntry::Net(one), IpSetEntry::Net(other)) => one.overlaps(other),
            _ => self == other,
        }
    }
}

impl fmt::Display for IpSetEntry {
    /// As firewalld and ipset write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IpSetEntry::Net(net) => net.write_short(f),
            IpSetEntry::Port(address, protocol, port) => {
                write!(f, "{address},{}:{port}", protocol.name())
            }
        }
    }
}

impl FromStr for IpSetEntry {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let Some((address, place)) = text.split_once(',') else {
            return text.parse().map(IpSetEntry::Net).map_err(|_| ());
        };
        let (protocol, port) = place.split_once(':').unwrap_or(("tcp", place));
        let port = port.parse().map_err(|_| ())?;
        Ok(IpSetEntry::Port(
            address.parse().map_err(|_| ())?,
            protocol.parse()?,
            port,
        ))
    }
}

impl Serialize for IpSetEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A set, as one of the views has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IpSet {
    /// `hash:net` and so on; in its own words, because somebody may have made another set of this name.
    pub kind: String,
    /// The options with which it is created, such as `family=inet6`.
    pub options: BTreeMap<String, String>,
    /// The entries.
    pub entries: BTreeSet<IpSetEntry>,
    /// The entries that are not understood, in their own words. A set that fwdeploy writes has none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub odd: BTreeSet<String>,
}

impl IpSet {
    /// A set that holds these entries.
    pub fn new(kind: IpSetKind, family: Family, entries: BTreeSet<IpSetEntry>) -> Self {
        let mut options = BTreeMap::new();
        if family == Family::V6 {
            options.insert("family".to_string(), "inet6".to_string());
        }
        // The number cannot be changed while a rule refers to the set, so there is room to grow.
        if entries.len() > MAXELEM {
            let room = (entries.len() * 2).next_power_of_two();
            options.insert("maxelem".to_string(), room.to_string());
        }
        IpSet {
            kind: kind.name().to_string(),
            options,
            entries,
            odd: BTreeSet::new(),
        }
    }

    /// The set of this kind with these options, as they are written in a view.
    pub fn read<'a>(
        kind: &str,
        options: impl IntoIterator<Item = (&'a str, &'a str)>,
        entries: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut out = IpSet {
            kind: kind.to_string(),
            options: BTreeMap::new(),
            entries: BTreeSet::new(),
            odd: BTreeSet::new(),
        };
        for (key, value) in options {
            out.options.insert(key.to_string(), value.to_string());
        }
        for text in entries {
            match text.parse() {
                Ok(entry) => drop(out.entries.insert(entry)),
                Err(()) => drop(out.odd.insert(text.to_string())),
            }
        }
        out
    }

    /// The family of its entries.
    pub fn family(&self) -> Family {
        match self.options.get("family").map(String::as_str) {
            Some("inet6") => Family::V6,
            _ => Family::V4,
        }
    }

    /// The same set with other entries.
    #[must_use]
    pub fn with(&self, entries: BTreeSet<IpSetEntry>) -> Self {
        IpSet {
            kind: self.kind.clone(),
            options: self.options.clone(),
            entries,
            odd: BTreeSet::new(),
        }
    }

    /// The entries as firewalld and ipset write them: those that are not understood come last.
    pub fn texts(&self) -> Vec<String> {
        self.texts_beyond(None)
    }

    /// The same without those of another set.
    pub fn texts_beyond(&self, other: Option<&IpSet>) -> Vec<String> {
        let is_new = |entry: &&IpSetEntry| other.is_none_or(|set| !set.entries.contains(entry));
        let is_new_odd = |entry: &&String| other.is_none_or(|set| !set.odd.contains(*entry));
        let entries = self.entries.iter().filter(is_new).map(ToString::to_string);
        let odd = self.odd.iter().filter(is_new_odd).cloned();
        entries.chain(odd).collect()
    }

    /// Whether the one can take the other's entries: what a set is created with cannot be changed.
    pub fn is_alike(&self, other: &IpSet) -> bool {
        self.kind == other.kind && self.options == other.options
    }
}

/// The name of the set for rules of this shape: all that they have in common. ipset allows 31 characters.
pub fn name(place: &str, family: Family, shape: &str) -> String {
    let digest = Sha256::digest(shape.as_bytes());
    let number: String = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
    let version = match family {
        Family::V4 => 4,
        Family::V6 => 6,
    };
    format!("{PREFIX}{place}{version}-{number}")
}

/// Sets by name.
pub type IpSets = BTreeMap<String, IpSet>;

/// Our sets in all views, and what else the plan has to know of sets. Of the sets of others only the names are known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SetViews {
    /// Whether firewalld can use sets, and ipset is there.
    pub usable: Observed<bool>,
    /// firewalld's files.
    pub permanent: Observed<IpSets>,
    /// firewalld's memory.
    pub runtime: Observed<IpSets>,
    /// What ipset holds in the kernel, which the direct rules ask; with firewalld's iptables backend the zone asks it, too.
    pub kernel: Observed<IpSets>,
    /// What firewalld's nftables backend holds, which the zone asks: by the family of the table. None with the other backend.
    pub nft: Observed<BTreeMap<String, IpSets>>,
    /// The names of the sets of others in firewalld's files.
    pub permanent_others: BTreeSet<String>,
    /// The same in firewalld's memory.
    pub runtime_others: BTreeSet<String>,
}

impl SetViews {
    /// A node that can use sets, and has none.
    pub fn none() -> Self {
        SetViews {
            usable: Observed::Known(true),
            permanent: Observed::Known(IpSets::new()),
            runtime: Observed::Known(IpSets::new()),
            kernel: Observed::Known(IpSets::new()),
            nft: Observed::Known(BTreeMap::new()),
            ..SetViews::default()
        }
    }

    /// Whether nothing of ours is there, as far as it is known.
    pub fn is_empty(&self) -> bool {
        let is_empty = |sets: &Observed<IpSets>| sets.known().is_none_or(BTreeMap::is_empty);
        is_empty(&self.permanent) && is_empty(&self.runtime) && is_empty(&self.kernel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_as_it_is_written() {
        for text in [
            "192.0.2.7",
            "192.0.2.0/24",
            "fd00::/64",
            "fd00::7",
            "192.0.2.7,tcp:5000",
            "fd00::7,udp:53",
        ] {
            let entry: IpSetEntry = text.parse().unwrap();
            assert_eq!(entry.to_string(), text);
        }
        let host: IpSetEntry = "192.0.2.7/32".parse().unwrap();
        assert_eq!(host.to_string(), "192.0.2.7");
        for wrong in [
            "",
            "x",
            "192.0.2.7,sctp:1",
            "192.0.2.7,tcp:1-2",
            "192.0.2.0/24,tcp:1",
        ] {
            assert!(wrong.parse::<IpSetEntry>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_fits_and_tells_shapes_apart() {
        let one = name("zone", Family::V6, "a");
        assert!(
            one.len() <= 31 && one.starts_with("fwdeploy-zone6-"),
            "{one}"
        );
        assert_ne!(one, name("zone", Family::V6, "b"));
    }

    #[test]
    fn a_set_has_room_to_grow() {
        let entry = |n: u32| IpSetEntry::Net(Cidr::host(IpAddr::from(n.to_be_bytes())));
        let entries = (0..65_537).map(entry).collect();
        let set = IpSet::new(IpSetKind::Net, Family::V4, entries);
        assert_eq!(set.options["maxelem"], "262144");
    }
}
