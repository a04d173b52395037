//! The guard as an nftables table: a value that is printed for `nft -f`, read back from `nft -j`, and compared.
//!
//! It has only those forms that fwdeploy writes. All of them are accepted, and are listed alike, by nft 0.9.8 to 1.1.7 (Debian 11 to 14).
//! What somebody else has put into the table is [`GuardRule::Foreign`].

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::mark::FirewallMark;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::net::PortRange;
use crate::model::net::Protocol;
use crate::model::rule::Sense;

/// The name of the table, in family `inet`.
pub const NAME: &str = "fwdeploy";

/// The priority of its chains: ahead of firewalld's (filter + 10), Docker's and iptables' (filter, 0).
pub const PRIORITY: i32 = -10;

/// The chain that records what is on no list, and lets it pass. Only a table with a network in audit has it.
pub const AUDITED: &str = "audited";

/// The table: its sets and chains by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GuardTable {
    /// The sets.
    pub sets: BTreeMap<String, GuardSet>,
    /// The chains.
    pub chains: BTreeMap<String, GuardChain>,
    /// What somebody else has put into the table beside rules, in words. A table that fwdeploy writes has none.
    pub foreign: BTreeSet<String>,
}

/// A set. An element has one value for each field of the key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GuardSet {
    /// What its elements consist of.
    pub key: Vec<Key>,
    /// Whether an element may be a network.
    pub is_interval: bool,
    /// Whether each element counts its packets. nft before 1.0 cannot: 0.9.8 crashes when it lists such a set as JSON.
    pub is_counted: bool,
    /// For a set that the kernel fills: its limits. Its elements are not part of what is compared.
    pub dynamic: Option<Dynamic>,
    /// The elements.
    pub elements: BTreeSet<SetElement>,
}

/// An element of a set.
pub type SetElement = Vec<Part>;

/// The limits of a set that the kernel fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dynamic {
    /// How many elements it holds at most.
    pub size: u32,
    /// After how many seconds an element that is not met again is dropped.
    pub timeout: u32,
}

/// A field of a set's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// `ipv4_addr` or `ipv6_addr`.
    Address(Family),
    /// `inet_proto`.
    Protocol,
    /// `inet_service`, a port.
    Port,
    /// `ifname`.
    Interface,
}

impl Key {
    /// Its name in nft.
    pub fn as_str(self) -> &'static str {
        match self {
            Key::Address(Family::V4) => "ipv4_addr",
            Key::Address(Family::V6) => "ipv6_addr",
            Key::Protocol => "inet_proto",
            Key::Port => "inet_service",
            Key::Interface => "ifname",
        }
    }

    /// All of them.
    pub const ALL: [Key; 5] = [
        Key::Address(Family::V4),
        Key::Address(Family::V6),
        Key::Protocol,
        Key::Port,
        Key::Interface,
    ];
}

/// A value in an element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Part {
    /// An address or a network.
    Net(Cidr),
    /// A protocol.
    Protocol(Protocol),
    /// ICMP of a family.
    Icmp(Family),
    /// A port.
    Port(u16),
    /// Ports from the first to the last, which is not the first.
    Ports(u16, u16),
    /// The name of a device.
    Interface(String),
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardChain {
    /// The hook it is called from; `None` for one that others jump to. A base chain accepts what its rules do not decide.
    pub hook: Option<GuardHook>,
    /// Its rules, in order.
    pub rules: Vec<GuardRule>,
}

/// The place of a base chain of type `filter` with policy `accept`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardHook {
    /// `forward`, `input` or `output`.
    pub name: String,
    /// The priority.
    pub priority: i32,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum GuardRule {
    /// One of the forms that fwdeploy writes.
    Known {
        /// All of them must hold.
        matches: Vec<GuardMatch>,
        /// Whether it counts its packets.
        is_counted: bool,
        /// What then happens.
        verdict: GuardVerdict,
    },
    /// Anything else, as nft's JSON.
    Foreign(String),
}

/// A condition: a property of the packet is, or is not, one of these values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardMatch {
    /// What is looked at.
    pub left: Vec<Field>,
    /// `==` or `!=`.
    pub sense: Sense,
    /// What it is compared with.
    pub right: Right,
}

/// A property of a packet. Several are looked up together in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The name of the device it came in by.
    In,
    /// The name of the device it leaves by.
    Out,
    /// `ip saddr` or `ip6 saddr`, which also says that it is of that family.
    Source(Family),
    /// `ip daddr` or `ip6 daddr`.
    Destination(Family),
    /// The transport protocol.
    Protocol,
    /// The source port.
    SourcePort,
    /// The destination port.
    DestinationPort,
    /// Whether the packet goes the way of the flow's first packet: `original`, else `reply`.
    Direction,
    /// The connection's state, such as `related`.
    State,
    /// What happened to the flow, such as `dnat`.
    Status,
    /// The type of an ICMPv6 message.
    Icmp6,
}

impl Field {
    /// All of them.
    pub const ALL: [Field; 13] = [
        Field::In,
        Field::Out,
        Field::Source(Family::V4),
        Field::Source(Family::V6),
        Field::Destination(Family::V4),
        Field::Destination(Family::V6),
        Field::Protocol,
        Field::SourcePort,
        Field::DestinationPort,
        Field::Direction,
        Field::State,
        Field::Status,
        Field::Icmp6,
    ];

    /// As nft writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Field::In => "iifname",
            Field::Out => "oifname",
            Field::Source(Family::V4) => "ip saddr",
            Field::Source(Family::V6) => "ip6 saddr",
            Field::Destination(Family::V4) => "ip daddr",
            Field::Destination(Family::V6) => "ip6 daddr",
            Field::Protocol => "meta l4proto",
            Field::SourcePort => "th sport",
            Field::DestinationPort => "th dport",
            Field::Direction => "ct direction",
            Field::State => "ct state",
            Field::Status => "ct status",
            Field::Icmp6 => "icmpv6 type",
        }
    }
}

/// The right side of a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// An address or a network.
    Net(Cidr),
    /// One of these words.
    Words(BTreeSet<String>),
    /// An element of the set of that name.
    Set(String),
}

/// What a rule does with a packet that meets its conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardVerdict {
    /// The packet passes this hook's chain; other tables still decide.
    Accept,
    /// It is thrown away.
    Drop,
    /// It is refused with `admin-prohibited`.
    Reject,
    /// Back to the chain that called this one.
    Return,
    /// Into a chain, and back if that decides nothing.
    Jump(String),
    /// Into a chain, and not back.
    Goto(String),
    /// An element of these fields is put into a set that the kernel fills; the next rule goes on.
    Record(Vec<Field>, String),
    /// The kernel logs it with this text ahead, at most [`LOG_RATE`] a minute and [`LOG_BURST`] at once; the next rule goes on.
    Log(String),
    /// The packet gets this mark; the next rule goes on.
    Mark(FirewallMark),
}

/// How many packets a rule logs in a minute.
pub const LOG_RATE: u32 = 5;

/// How many packets a rule logs at once, if it has logged few before. nft 0.9.8 does not list its own default, 5.
pub const LOG_BURST: u32 = 10;

/// The longest text ahead of what is logged, in bytes (NF_LOG_PREFIXLEN of linux/netfilter/nf_log.h, less its NUL).
pub const LOG_PREFIX_MAX: usize = 127;

impl GuardTable {
    /// Whether it lets pass what is on no list, of one network at least.
    pub fn is_audit(&self) -> bool {
        self.chains.contains_key(AUDITED)
    }

    /// The script for `nft -f` that makes the table be exactly this, in one transaction, whatever was there.
    pub fn script(&self) -> String {
        // Declared first, so that deleting it never fails; the kernel replaces the one by the other at once.
        format!("table inet {NAME}\ndelete table inet {NAME}\n{self}")
    }
}

impl GuardTable {
    /// What is in it, a line for each element and rule, with the name of its set or chain.
    pub fn lines(&self) -> Vec<String> {
        let elements = self.sets.iter().flat_map(|(name, set)| {
            let elements = set.elements.iter();
            elements.map(move |parts| format!("{name} {}", element(parts)))
        });
        let rules = self.chains.iter().flat_map(|(name, chain)| {
            let rules = chain.rules.iter();
            rules.map(move |rule| format!("chain {name}: {rule}"))
        });
        let foreign = self.foreign.iter().cloned();
        elements.chain(rules).chain(foreign).collect()
    }

    /// The script for `nft -f` that changes `before` into this in one transaction, and leaves the counters of the elements that stay. `None`
    /// if more than elements differ.
    pub fn change_from(&self, before: &GuardTable) -> Option<String> {
        let has_shape = self.chains == before.chains && self.foreign == before.foreign;
        if !has_shape || !self.sets.keys().eq(before.sets.keys()) {
            return None;
        }
        let mut script = String::new();
        let mut added = String::new();
        for ((name, set), old) in self.sets.iter().zip(before.sets.values()) {
            if !set.has_shape_of(old) {
                return None;
            }
            let command = |verb: &str, these: &GuardSet, those: &GuardSet| {
                let elements = these.elements.difference(&those.elements);
                let elements: Vec<String> = elements.map(|e| element(e)).collect();
                match elements[..] {
                    [] => String::new(),
                    _ => format!(
                        "{verb} element inet {NAME} {name} {{ {} }}\n",
                        elements.join(", ")
                    ),
                }
            };
            script.push_str(&command("delete", old, set));
            added.push_str(&command("add", set, old));
        }
        // An element that goes may overlap with one that comes.
        Some(script + &added)
    }

    /// The table as nft 0.9.8 lists it: in an element of several fields, it says of each IPv6 network of fewer than 64 bits that it has 64. The
    /// kernel holds the right one (a later nft lists it), so this is for comparing only.
    #[must_use]
    pub fn as_listed_before_1_0(mut self) -> Self {
        for set in self.sets.values_mut().filter(|set| set.key.len() > 1) {
            let elements = std::mem::take(&mut set.elements).into_iter();
            set.elements = elements
                .map(|element| element.into_iter().map(Part::cut).collect())
                .collect();
        }
        self
    }
}

impl Part {
    fn cut(self) -> Self {
        match self {
            Part::Net(net) if net.family() == Family::V6 && net.prefix() < 64 => {
                Part::Net(Cidr::around(net.address(), 64).unwrap_or(net))
            }
            other => other,
        }
    }
}

impl fmt::Display for GuardTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {NAME} {{")?;
        for (name, set) in &self.sets {
            writeln!(f, "\tset {name} {{\n{set}\t}}")?;
        }
        for (name, chain) in &self.chains {
            writeln!(f, "\tchain {name} {{\n{chain}\t}}")?;
        }
        for object in &self.foreign {
            writeln!(f, "\t{object}")?;
        }
        f.write_str("}\n")
    }
}

impl GuardSet {
    /// Whether it differs from `other` in its elements at most.
    fn has_shape_of(&self, other: &GuardSet) -> bool {
        (&self.key, self.is_interval, self.is_counted, self.dynamic)
            == (
                &other.key,
                other.is_interval,
                other.is_counted,
                other.dynamic,
            )
    }
}

impl fmt::Display for GuardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: Vec<&str> = self.key.iter().map(|key| key.as_str()).collect();
        writeln!(f, "\t\ttype {}", key.join(" . "))?;
        if let Some(Dynamic { size, timeout }) = self.dynamic {
            writeln!(
                f,
                "\t\tsize {size}\n\t\tflags dynamic,timeout\n\t\ttimeout {timeout}s"
            )?;
        } else if self.is_interval {
            writeln!(f, "\t\tflags interval")?;
        }
        if self.is_counted {
            writeln!(f, "\t\tcounter")?;
        }
        if !self.elements.is_empty() {
            f.write_str("\t\telements = { ")?;
            for (number, element) in self.elements.iter().enumerate() {
                if number > 0 {
                    f.write_str(", ")?;
                }
                write_element(f, element)?;
            }
            f.write_str(" }\n")?;
        }
        Ok(())
    }
}

/// An element as nft takes it.
pub fn element(parts: &[Part]) -> String {
    let mut text = String::new();
    // A String takes every text.
    let _ = write_element(&mut text, parts);
    text
}

fn write_element(to: &mut impl fmt::Write, parts: &[Part]) -> fmt::Result {
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            to.write_str(" . ")?;
        }
        match part {
            Part::Net(net) => net.write_short(to)?,
            part => write!(to, "{part}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Net(net) => net.write_short(f),
            Part::Protocol(protocol) => f.write_str(protocol.name()),
            Part::Icmp(family) => f.write_str(family.icmp()),
            Part::Port(port) => write!(f, "{port}"),
            Part::Ports(first, last) => write!(f, "{first}-{last}"),
            Part::Interface(name) => write!(f, "\"{name}\""),
        }
    }
}

impl fmt::Display for GuardChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(GuardHook { name, priority }) = &self.hook {
            writeln!(
                f,
                "\t\ttype filter hook {name} priority {priority}; policy accept;"
            )?;
        }
        for rule in &self.rules {
            writeln!(f, "\t\t{rule}")?;
        }
        Ok(())
    }
}

impl fmt::Display for GuardRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuardRule::Known {
                matches,
                is_counted,
                verdict,
            } => {
                for condition in matches {
                    write!(f, "{condition} ")?;
                }
                if *is_counted {
                    f.write_str("counter ")?;
                }
                write!(f, "{verdict}")
            }
            GuardRule::Foreign(json) => f.write_str(json),
        }
    }
}

fn fields(fields: &[Field]) -> String {
    let fields: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
    fields.join(" . ")
}

impl fmt::Display for GuardMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = match self.sense {
            Sense::Is => "",
            Sense::Not => "!= ",
        };
        write!(f, "{} {not}", fields(&self.left))?;
        match (&self.left[..], &self.right) {
            // A device may have the name of a keyword.
            ([Field::In | Field::Out], Right::Words(words)) => {
                let words = words.iter().map(|word| format!("\"{word}\"")).collect();
                Right::Words(words).fmt(f)
            }
            (_, right) => right.fmt(f),
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Right::Net(net) => f.write_str(&net.short()),
            Right::Words(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                match words[..] {
                    [one] => f.write_str(one),
                    _ => write!(f, "{{ {} }}", words.join(", ")),
                }
            }
            Right::Set(name) => write!(f, "@{name}"),
        }
    }
}

impl fmt::Display for GuardVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuardVerdict::Accept => f.write_str("accept"),
            GuardVerdict::Drop => f.write_str("drop"),
            // 0.9.8 wants the word `type`; later ones take it.
            GuardVerdict::Reject => f.write_str("reject with icmpx type admin-prohibited"),
            GuardVerdict::Return => f.write_str("return"),
            GuardVerdict::Jump(chain) => write!(f, "jump {chain}"),
            GuardVerdict::Goto(chain) => write!(f, "goto {chain}"),
            GuardVerdict::Record(of, set) => write!(f, "update @{set} {{ {} }}", fields(of)),
            GuardVerdict::Log(prefix) => write!(
                f,
                "limit rate {LOG_RATE}/minute burst {LOG_BURST} packets log prefix \"{prefix}\""
            ),
            GuardVerdict::Mark(mark) => {
                let value = mark.value;
                match (mark.mask, mark.kept()) {
                    (u32::MAX, _) => write!(f, "meta mark set {value:#x}"),
                    (_, u32::MAX) => write!(f, "meta mark set meta mark | {value:#x}"),
                    (_, kept) => write!(f, "meta mark set meta mark & {kept:#x} | {value:#x}"),
                }
            }
        }
    }
}

/// Ports as a part of an element.
impl From<PortRange> for Part {
    fn from(ports: PortRange) -> Self {
        match ports.single() {
            Some(port) => Part::Port(port.get()),
            None => Part::Ports(ports.first().get(), ports.last().get()),
        }
    }
}

/// An address as a part of an element.
impl From<IpAddr> for Part {
    fn from(address: IpAddr) -> Self {
        Part::Net(Cidr::host(address))
    }
}
