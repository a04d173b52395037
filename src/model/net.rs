//! Addresses, networks, ports and peers, each a type that cannot hold a wrong value.

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;
use thiserror::Error;

use crate::model::tally::counted;

/// Why a text is not an address, network, port or peer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetError {
    /// Not an IP address or a CIDR network.
    #[error("`{text}` is not an IP address or a network such as `203.0.113.0/24`")]
    Address {
        /// What was given.
        text: String,
    },
    /// The prefix is longer than the family allows.
    #[error("`{text}` has a prefix length beyond {most}")]
    Prefix {
        /// What was given.
        text: String,
        /// 32 for IPv4, 128 for IPv6.
        most: u8,
    },
    /// Bits are set to the right of the prefix, so it is unclear which network is meant.
    #[error("`{text}` has host bits set; the network is `{network}`")]
    HostBits {
        /// What was given.
        text: String,
        /// The network that contains it.
        network: String,
    },
    /// Not a port between 1 and 65535.
    #[error("`{text}` is not a port between 1 and 65535")]
    Port {
        /// What was given.
        text: String,
    },
    /// Not `PORT/tcp` or `PORT/udp`.
    #[error("`{text}` is not a port and protocol such as `5000/tcp`")]
    Service {
        /// What was given.
        text: String,
    },
    /// A range of ports whose last port comes before its first.
    #[error("`{text}` is a range that ends before it begins")]
    Backwards {
        /// What was given.
        text: String,
    },
}

macro_rules! text_serde {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

/// A TCP or UDP port, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(NonZeroU16);

impl Port {
    /// Makes a port, or `None` for 0.
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Port {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let wrong = || NetError::Port {
            text: text.to_string(),
        };
        // `u16::from_str` takes a leading `+`, which no tool on the node does.
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        text.parse::<u16>()
            .ok()
            .and_then(Port::new)
            .ok_or_else(wrong)
    }
}

text_serde!(Port);

/// Ports from the first to the last, both included; most often one. Written `5000`, or `8000-8020` as Docker and firewalld write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: Port,
    last: Port,
}

impl PortRange {
    /// Makes a range; `None` if it ends before it begins.
    pub fn new(first: Port, last: Port) -> Option<Self> {
        (first <= last).then_some(PortRange { first, last })
    }

    /// The first port.
    pub fn first(self) -> Port {
        self.first
    }

    /// The last port; the first one where there is one only.
    pub fn last(self) -> Port {
        self.last
    }

    /// The port, if it is one only.
    pub fn single(self) -> Option<Port> {
        (self.first == self.last).then_some(self.first)
    }

    /// Whether a port is in it.
    pub fn contains(self, port: Port) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether some port is in both.
    pub fn overlaps(self, other: PortRange) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl From<Port> for PortRange {
    fn from(port: Port) -> Self {
        PortRange {
            first: port,
            last: port,
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(port) => port.fmt(f),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl FromStr for PortRange {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let Some((first, last)) = text.split_once('-') else {
            return text.parse().map(Port::into);
        };
        PortRange::new(first.parse()?, last.parse()?).ok_or_else(|| NetError::Backwards {
            text: text.to_string(),
        })
    }
}

text_serde!(PortRange);

/// A transport protocol that has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The name that iptables and firewalld use.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        match text {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            _ => Err(NetError::Service {
                text: text.to_string(),
            }),
        }
    }
}

text_serde!(Protocol);

/// A port or a range of ports with the protocol, written `5000/tcp` or `8000-8020/udp` as Docker and firewalld write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// The ports.
    pub ports: PortRange,
    /// The protocol.
    pub protocol: Protocol,
}

impl Service {
    /// One port of a protocol.
    pub fn at(port: Port, protocol: Protocol) -> Self {
        Service {
            ports: port.into(),
            protocol,
        }
    }

    /// Whether some port of a protocol is in both.
    pub fn overlaps(self, other: Service) -> bool {
        self.protocol == other.protocol && self.ports.overlaps(other.ports)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ports, self.protocol)
    }
}

impl FromStr for Service {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let (ports, protocol) = text.split_once('/').ok_or_else(|| NetError::Service {
            text: text.to_string(),
        })?;
        Ok(Service {
            ports: ports.parse()?,
            protocol: protocol.parse().map_err(|_| NetError::Service {
                text: text.to_string(),
            })?,
        })
    }
}

text_serde!(Service);

/// What a flow carries, as an entry of a whitelist names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Traffic {
    /// Ports of TCP or UDP.
    Service(Service),
    /// ICMP of the flow's own family: over IPv6 it is ICMPv6. It has no ports.
    Icmp,
}

impl Traffic {
    /// The word for ICMP, whatever the family.
    pub const ICMP: &'static str = "icmp";

    /// The ports and their protocol, if it has ports.
    pub fn service(self) -> Option<Service> {
        match self {
            Traffic::Service(service) => Some(service),
            Traffic::Icmp => None,
        }
    }

    /// The protocol, as iptables and nft call it in a family.
    pub fn protocol(self, family: Family) -> &'static str {
        match (self, family) {
            (Traffic::Service(service), _) => service.protocol.name(),
            (Traffic::Icmp, family) => family.icmp(),
        }
    }
}

impl From<Service> for Traffic {
    fn from(service: Service) -> Self {
        Traffic::Service(service)
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Traffic::Service(service) => service.fmt(f),
            Traffic::Icmp => f.write_str(Traffic::ICMP),
        }
    }
}

impl FromStr for Traffic {
    type Err = NetError;

    /// Reads a [`Service`], or the word `icmp`.
    ///
    /// # Errors
    /// [`NetError`] if it is neither.
    fn from_str(text: &str) -> Result<Self, NetError> {
        match text {
            Traffic::ICMP => Ok(Traffic::Icmp),
            _ => text.parse().map(Traffic::Service),
        }
    }
}

text_serde!(Traffic);

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4; `ipv4` to firewalld, `iptables` on the node.
    #[serde(rename = "ipv4")]
    V4,
    /// IPv6; `ipv6` to firewalld, `ip6tables` on the node.
    #[serde(rename = "ipv6")]
    V6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    pub fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// The name in firewalld's direct interface and rich rules: `ipv4` or `ipv6`.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        }
    }

    /// The name of its ICMP in iptables and nft: `icmp` or `ipv6-icmp`.
    pub fn icmp(self) -> &'static str {
        match self {
            Family::V4 => "icmp",
            Family::V6 => "ipv6-icmp",
        }
    }

    /// The name of the command: `iptables` or `ip6tables`.
    pub fn iptables(self) -> &'static str {
        match self {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Family {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        match text {
            "ipv4" => Ok(Family::V4),
            "ipv6" => Ok(Family::V6),
            _ => Err(NetError::Address {
                text: text.to_string(),
            }),
        }
    }
}

/// A network, or one address (a network of one). No host bits are ever set.
#[derive(Debug, Clone, Copy)]
pub struct Cidr(IpNet);

impl PartialEq for Cidr {
    fn eq(&self, other: &Self) -> bool {
        counted(1);
        self.0 == other.0
    }
}

impl Eq for Cidr {}

impl PartialOrd for Cidr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cidr {
    fn cmp(&self, other: &Self) -> Ordering {
        counted(1);
        self.0.cmp(&other.0)
    }
}

impl Hash for Cidr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Cidr {
    /// The network that holds just `address`.
    pub fn host(address: IpAddr) -> Self {
        Cidr(IpNet::from(address))
    }

    /// The network of `prefix` bits around `address`, host bits cleared; `None` if the prefix is too long.
    pub fn around(address: IpAddr, prefix: u8) -> Option<Self> {
        IpNet::new(address, prefix)
            .ok()
            .map(|net| Cidr(net.trunc()))
    }

    /// The family.
    pub fn family(self) -> Family {
        Family::of(&self.0.addr())
    }

    /// The network's first address; for a network of one, the address.
    pub fn address(self) -> IpAddr {
        self.0.addr()
    }

    /// The length of the prefix, in bits.
    pub fn prefix(self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether it is one address.
    pub fn is_host(self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// Whether every address matches.
    pub fn is_everything(self) -> bool {
        self.0.prefix_len() == 0
    }

    /// Whether `address` is inside.
    pub fn contains(self, address: &IpAddr) -> bool {
        counted(1);
        self.0.contains(address)
    }

    /// Whether all of `other` is inside.
    pub fn covers(self, other: Cidr) -> bool {
        counted(1);
        self.0.contains(&other.0)
    }

    /// Whether some address is in both.
    pub fn overlaps(self, other: Cidr) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The last address, for IPv4 the broadcast address.
    pub fn last(self) -> IpAddr {
        self.0.broadcast()
    }

    /// The first usable address, which Docker gives to the gateway by default.
    pub fn first_usable(self) -> Option<IpAddr> {
        self.0.hosts().next()
    }

    /// As firewalld writes it in rich rules: an address without its prefix, a network with it.
    pub fn short(self) -> String {
        let mut text = String::new();
        // A String takes every text.
        let _ = self.write_short(&mut text);
        text
    }

    /// Writes it as [`Cidr::short`].
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_short(self, to: &mut dyn fmt::Write) -> fmt::Result {
        match self.0 {
            _ if !self.is_host() => self.write(to),
            IpNet::V4(net) => to.write_str(Digits::of(net.addr(), None).as_str()),
            IpNet::V6(net) => write!(to, "{}", net.addr()),
        }
    }

    fn write(self, to: &mut dyn fmt::Write) -> fmt::Result {
        match self.0 {
            IpNet::V4(net) => to.write_str(Digits::of(net.addr(), Some(net.prefix_len())).as_str()),
            IpNet::V6(net) => write!(to, "{net}"),
        }
    }
}

/// The text of an IPv4 address or network. A mesh of a thousand nodes has tens of millions of them, and most of a rendering's time goes
/// into the general way to format numbers.
struct Digits {
    bytes: [u8; Digits::LONGEST],
    length: usize,
}

impl Digits {
    /// `255.255.255.255/32`
    const LONGEST: usize = 18;

    fn of(address: Ipv4Addr, prefix: Option<u8>) -> Self {
        let mut digits = Digits {
            bytes: [0; Digits::LONGEST],
            length: 0,
        };
        for (place, octet) in address.octets().into_iter().enumerate() {
            if place > 0 {
                digits.push(b'.');
            }
            digits.number(octet);
        }
        if let Some(prefix) = prefix {
            digits.push(b'/');
            digits.number(prefix);
        }
        digits
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn number(&mut self, number: u8) {
        if number >= 100 {
            self.push(b'0' + number / 100);
        }
        if number >= 10 {
            self.push(b'0' + number / 10 % 10);
        }
        self.push(b'0' + number % 10);
    }

    fn as_str(&self) -> &str {
        // Digits, dots and a slash.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

impl FromStr for Cidr {
    type Err = NetError;

    /// Reads an address, a CIDR network, or IPv4 with a dotted mask (as firewalld 0.6 stores some).
    ///
    /// # Errors
    /// [`NetError`] if it is neither, or if host bits are set.
    fn from_str(text: &str) -> Result<Self, NetError> {
        let wrong = || NetError::Address {
            text: text.to_string(),
        };
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse().map(Cidr::host).map_err(|_| wrong());
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = match prefix.parse::<u32>() {
            Ok(n) if prefix.bytes().all(|b| b.is_ascii_digit()) => u8::try_from(n)
                .ok()
                .filter(|n| *n <= most)
                .ok_or_else(|| NetError::Prefix {
                    text: text.to_string(),
                    most,
                })?,
            _ => dotted_mask(prefix)
                .filter(|_| address.is_ipv4())
                .ok_or_else(wrong)?,
        };
        let net = IpNet::new(address, prefix).map_err(|_| wrong())?;
        if net.trunc() != net {
            return Err(NetError::HostBits {
                text: text.to_string(),
                network: net.trunc().to_string(),
            });
        }
        Ok(Cidr(net))
    }
}

/// The prefix length of a mask such as `255.255.0.0`.
fn dotted_mask(text: &str) -> Option<u8> {
    let bits = u32::from(text.parse::<Ipv4Addr>().ok()?);
    (bits.leading_ones() + bits.trailing_zeros() == 32 || bits == 0)
        .then(|| bits.leading_ones() as u8)
}

text_serde!(Cidr);

/// A peer: an address or a network, and a port if peers differ in port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The address or network.
    pub net: Cidr,
    /// The peer's own port, as in `203.0.113.7:9876`.
    pub port: Option<Port>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.net.family()) {
            (None, _) => self.net.write_short(f),
            (Some(port), Family::V4) => write!(f, "{}:{port}", self.net.short()),
            (Some(port), Family::V6) => write!(f, "[{}]:{port}", self.net.short()),
        }
    }
}

impl FromStr for Peer {
    type Err = NetError;

    /// Reads `ADDRESS`, `NETWORK/PREFIX`, `ADDRESS:PORT` or `[ADDRESS6]:PORT`.
    ///
    /// # Errors
    /// [`NetError`] if a part is wrong.
    fn from_str(text: &str) -> Result<Self, NetError> {
        if let Some(rest) = text.strip_prefix('[') {
            let (net, port) = rest.split_once("]:").ok_or_else(|| NetError::Address {
                text: text.to_string(),
            })?;
            return Ok(Peer {
                net: net.parse()?,
                port: Some(port.parse()?),
            });
        }
        match text.split_once(':') {
            Some((net, port)) if !port.contains(':') => Ok(Peer {
                net: net.parse()?,
                port: Some(port.parse()?),
            }),
            _ => Ok(Peer {
                net: text.parse()?,
                port: None,
            }),
        }
    }
}

text_serde!(Peer);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_is_written_as_others_write_it() {
        let numbers = [0, 1, 9, 10, 19, 99, 100, 101, 199, 200, 255];
        for a in numbers {
            for b in numbers {
                let address = Ipv4Addr::new(a, b, a, b);
                let host = Cidr::host(address.into());
                assert_eq!(host.to_string(), format!("{address}/32"));
                assert_eq!(host.short(), address.to_string());
            }
        }
        for text in ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0"] {
            let net: Cidr = text.parse().unwrap();
            assert_eq!((net.to_string(), net.short()), (text.into(), text.into()));
        }
        let six: Cidr = "2001:db8::1".parse().unwrap();
        assert_eq!(
            (&*six.to_string(), &*six.short()),
            ("2001:db8::1/128", "2001:db8::1")
        );
    }

    #[test]
    fn wrong_addresses_say_what_is_wrong() {
        for (text, says) in [
            ("10.0.0.0/33", "`10.0.0.0/33` has a prefix length beyond 32"),
            (
                "10.0.0.7/24",
                "`10.0.0.7/24` has host bits set; the network is `10.0.0.0/24`",
            ),
            (
                "node-1",
                "`node-1` is not an IP address or a network such as `203.0.113.0/24`",
            ),
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap_err().to_string(), says);
        }
        assert_eq!(
            "70000/tcp".parse::<Service>().unwrap_err().to_string(),
            "`70000` is not a port between 1 and 65535"
        );
        assert!("+80".parse::<Port>().is_err());
    }

    #[test]
    fn ports_read_back_as_written() {
        for text in ["5000/tcp", "8000-8020/udp", "1-65535/tcp", "icmp"] {
            assert_eq!(text.parse::<Traffic>().unwrap().to_string(), text);
        }
        let one: PortRange = "80-80".parse().unwrap();
        assert_eq!(one.to_string(), "80");
        for (text, says) in [
            (
                "8020-8000/tcp",
                "`8020-8000` is a range that ends before it begins",
            ),
            ("0-5/tcp", "`0` is not a port between 1 and 65535"),
            ("1-/tcp", "`` is not a port between 1 and 65535"),
            ("1-2-3/tcp", "`2-3` is not a port between 1 and 65535"),
            (
                "8000:8020/tcp",
                "`8000:8020` is not a port between 1 and 65535",
            ),
            ("icmp/8", "`icmp` is not a port between 1 and 65535"),
        ] {
            assert_eq!(text.parse::<Traffic>().unwrap_err().to_string(), says);
        }
    }

    #[test]
    fn a_dotted_mask_is_a_prefix() {
        assert_eq!(
            "172.20.0.0/255.255.0.0"
                .parse::<Cidr>()
                .unwrap()
                .to_string(),
            "172.20.0.0/16"
        );
        assert!("172.20.0.0/255.0.255.0".parse::<Cidr>().is_err());
    }

    #[test]
    fn peers_read_back_as_written() {
        for text in [
            "203.0.113.7",
            "203.0.113.0/24",
            "203.0.113.7:9876",
            "2001:db8::7",
            "[2001:db8::7]:9876",
        ] {
            assert_eq!(text.parse::<Peer>().unwrap().to_string(), text);
        }
    }
}
