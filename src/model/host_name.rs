//! DNS names, and the addresses that they lead to.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The longest name, in characters (RFC 1035, as it is written).
const LONGEST: usize = 253;

/// The longest part between two dots.
const LONGEST_LABEL: usize = 63;

/// A DNS name with a dot in it, in lower case and without one at its end (RFC 1123, and `_` as in practice).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

/// Why a text is no [`HostName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAName;

impl fmt::Display for NotAName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no DNS name with a dot")
    }
}

/// The addresses of each name.
pub type Addresses = BTreeMap<HostName, BTreeSet<IpAddr>>;

/// How many addresses a name may have.
pub const MOST_ADDRESSES: usize = 64;

/// Why what a name leads to is no peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAPeer {
    /// There is no address.
    Nothing,
    /// There are more than [`MOST_ADDRESSES`].
    TooMany,
    /// This one is in no network that a peer can be in: loopback, multicast, broadcast, link-local, or none at all.
    Special(IpAddr),
}

impl fmt::Display for NotAPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAPeer::Nothing => f.write_str("it has no address"),
            NotAPeer::TooMany => write!(f, "it has more than {MOST_ADDRESSES} addresses"),
            NotAPeer::Special(address) => write!(f, "{address} is not the address of a peer"),
        }
    }
}

/// Returns the addresses of a name, each once; one that is IPv4 within IPv6 is the IPv4 address.
///
/// # Errors
/// [`NotAPeer`] if they cannot be a peer's.
pub fn addresses_of_peer(
    found: impl IntoIterator<Item = IpAddr>,
) -> Result<BTreeSet<IpAddr>, NotAPeer> {
    let found = found.into_iter().map(|address| address.to_canonical());
    let found: BTreeSet<IpAddr> = found.collect();
    let special = found.iter().find(|address| is_special(**address));
    match (special, found.len()) {
        (Some(special), _) => Err(NotAPeer::Special(*special)),
        (None, 0) => Err(NotAPeer::Nothing),
        (None, count) if count > MOST_ADDRESSES => Err(NotAPeer::TooMany),
        (None, _) => Ok(found),
    }
}

fn is_special(address: IpAddr) -> bool {
    let is_local = match address {
        // 0.0.0.0/8 is this network (RFC 1122).
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_link_local() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    is_local || address.is_loopback() || address.is_unspecified() || address.is_multicast()
}

/// What the names of peers lead to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// The addresses that count. A name without any is known to have none, and lets nobody in.
    pub current: Addresses,
    /// The addresses that counted before, which nodes may still have. They let nobody in, and are shown with their name.
    pub earlier: Addresses,
}

impl HostName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HostName {
    type Err = NotAName;

    /// Reads a name. Its last part has a letter and is no hexadecimal number, so that an address with a mistake, or in one of the forms that
    /// only inet_aton(3) reads, is no name.
    ///
    /// ```
    /// use fwdeploy::model::host_name::HostName;
    /// assert_eq!("Fra-2.Example.org.".parse::<HostName>().unwrap().as_str(), "fra-2.example.org");
    /// assert!("203.0.113.300".parse::<HostName>().is_err());
    /// ```
    ///
    /// # Errors
    /// [`NotAName`] if it is none.
    fn from_str(text: &str) -> Result<Self, NotAName> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=LONGEST_LABEL).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let (_, last) = name.rsplit_once('.').ok_or(NotAName)?;
        let is_hexadecimal = last
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let is_name = name.len() <= LONGEST
            && name.split('.').all(is_label)
            && last.bytes().any(|byte| byte.is_ascii_alphabetic())
            && !is_hexadecimal;
        is_name.then_some(HostName(name)).ok_or(NotAName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_from_an_address_with_a_mistake() {
        for (text, wanted) in [
            ("fra-2.example.org", Some("fra-2.example.org")),
            ("FRA.Example.Org.", Some("fra.example.org")),
            ("_p2p.example.org", Some("_p2p.example.org")),
            ("3.xn--p1ai", Some("3.xn--p1ai")),
            ("a.0xg", Some("a.0xg")),
            ("node-1", None),
            ("203.0.113.300", None),
            ("203.0.113", None),
            ("203.0.113.0x7", None),
            ("0x7f.0x1", None),
            ("a.0x", None),
            ("a..org", None),
            ("a.org..", None),
            (".org", None),
            ("-a.org", None),
            ("a-.org", None),
            ("a.org/24", None),
            ("a b.org", None),
            ("a.org\n", None),
            ("münchen.example", None),
            ("[a.org]", None),
            ("a:b.org", None),
            (".", None),
            ("", None),
        ] {
            let read = text.parse::<HostName>().ok();
            assert_eq!(read.as_ref().map(HostName::as_str), wanted, "{text}");
        }
    }

    #[test]
    fn an_address_that_no_peer_has_refuses_the_name() {
        let read = |texts: &[&str]| {
            addresses_of_peer(texts.iter().map(|text| text.parse::<IpAddr>().unwrap()))
        };
        for special in [
            "127.0.0.1",
            "127.8.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.255.255.250",
            "255.255.255.255",
            "169.254.169.254",
            "::1",
            "::",
            "ff02::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:0.0.0.0",
        ] {
            // Also beside one that is a peer's.
            let error = read(&["203.0.113.7", special]).unwrap_err();
            assert!(matches!(error, NotAPeer::Special(_)), "{special}: {error}");
        }
        assert_eq!(read(&[]), Err(NotAPeer::Nothing));
        let mapped = read(&[
            "::ffff:203.0.113.7",
            "203.0.113.7",
            "2001:db8::7",
            "10.1.2.3",
        ]);
        let plain: BTreeSet<IpAddr> = ["203.0.113.7", "2001:db8::7", "10.1.2.3"]
            .map(|text| text.parse().unwrap())
            .into();
        assert_eq!(mapped, Ok(plain));
        let many = |count: u8| (0..count).map(|last| IpAddr::from([203, 0, 113, last]));
        assert_eq!(addresses_of_peer(many(64)).unwrap().len(), 64);
        assert_eq!(addresses_of_peer(many(65)), Err(NotAPeer::TooMany));
    }

    #[test]
    fn a_name_has_the_lengths_that_dns_has() {
        let label = |length: usize| "a".repeat(length);
        assert!(format!("{}.org", label(63)).parse::<HostName>().is_ok());
        assert!(format!("{}.org", label(64)).parse::<HostName>().is_err());
        let long = format!("{}.{}.{}.{}", label(63), label(63), label(63), label(61));
        assert_eq!(long.len(), 253);
        assert!(long.parse::<HostName>().is_ok());
        assert!(format!("{long}a").parse::<HostName>().is_err());
    }
}
