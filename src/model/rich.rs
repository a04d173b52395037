//! firewalld's rich rules (firewalld.richlanguage(5)), read by meaning.

use std::fmt;

use serde::Serialize;
use serde::Serializer;

use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::net::Port;
use crate::model::net::PortRange;
use crate::model::net::Service;
use crate::model::rule::Sense;

/// Where the packets of a rich rule come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RichSource {
    /// From a network.
    Net(Cidr),
    /// From an address in the set of that name.
    Set(String),
}

impl RichSource {
    /// The network, if it is one.
    pub fn net(&self) -> Option<Cidr> {
        match self {
            RichSource::Net(net) => Some(*net),
            RichSource::Set(_) => None,
        }
    }

    /// The name of the set, if it is one.
    pub fn set(&self) -> Option<&str> {
        match self {
            RichSource::Net(_) => None,
            RichSource::Set(name) => Some(name),
        }
    }
}

impl From<Cidr> for RichSource {
    fn from(net: Cidr) -> Self {
        RichSource::Net(net)
    }
}

impl fmt::Display for RichSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RichSource::Net(net) => {
                f.write_str(" source address=\"")?;
                net.write_short(f)?;
                f.write_str("\"")
            }
            RichSource::Set(name) => write!(f, " source ipset=\"{name}\""),
        }
    }
}

/// One rich rule. Two are equal when they mean the same, whichever version of firewalld printed them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RichRule {
    /// Forwards a node port to a container: `source address=… forward-port …`.
    Forward {
        /// The address family.
        family: Family,
        /// The source; `None` is any.
        source: Option<RichSource>,
        /// The ports of the node, and the protocol.
        service: Service,
        /// The ports of the container. Those of a range are always the node's: a forward without `to-port` keeps them.
        to_ports: PortRange,
        /// The container.
        to: std::net::IpAddr,
    },
    /// Accepts everything from a source to a destination; by default firewalld applies that to INPUT only.
    Accept {
        /// The address family.
        family: Family,
        /// The source; `None` is any.
        source: Option<RichSource>,
        /// To which address; `None` is the node itself.
        destination: Option<Cidr>,
    },
    /// A rule of any other shape, words separated by single spaces.
    Other(String),
}

impl RichRule {
    /// Parses a rule; one that is in neither of the two forms that fwdeploy writes is kept as text.
    pub fn parse(text: &str) -> Self {
        parse_known(text).unwrap_or_else(|| {
            RichRule::Other(text.split_whitespace().collect::<Vec<_>>().join(" "))
        })
    }

    /// The name of the set that it asks about the source, if it is in one of the forms that fwdeploy writes.
    pub fn set(&self) -> Option<&str> {
        match self {
            RichRule::Forward { source, .. } | RichRule::Accept { source, .. } => {
                source.as_ref().and_then(RichSource::set)
            }
            RichRule::Other(_) => None,
        }
    }

    /// The networks that the rule names, except a source: those that it is *about*.
    pub fn about(&self) -> Option<Cidr> {
        match self {
            RichRule::Forward { to, .. } => Some(Cidr::host(*to)),
            RichRule::Accept { destination, .. } => *destination,
            RichRule::Other(text) => {
                let words = words_of(text);
                let mut after_destination = false;
                let mut about = None;
                for (key, value) in words {
                    match (key.as_str(), value) {
                        ("destination", None) => after_destination = true,
                        ("address", Some(value)) if after_destination => {
                            about = about.or(value.parse().ok());
                            after_destination = false;
                        }
                        ("to-addr", Some(value)) => about = about.or(value.parse().ok()),
                        _ => {}
                    }
                }
                about
            }
        }
    }
}

impl fmt::Display for RichRule {
    /// The canonical text, which firewalld prints back unchanged (0.6.3 to 2.5).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RichRule::Forward {
                family,
                source,
                service,
                to_ports,
                to,
            } => {
                write!(f, "rule family=\"{family}\"")?;
                if let Some(source) = source {
                    write!(f, "{source}")?;
                }
                write!(
                    f,
                    " forward-port port=\"{}\" protocol=\"{}\"",
                    service.ports, service.protocol
                )?;
                if service.ports.single().is_some() {
                    write!(f, " to-port=\"{to_ports}\"")?;
                }
                write!(f, " to-addr=\"{to}\"")
            }
            RichRule::Accept {
                family,
                source,
                destination,
            } => {
                write!(f, "rule family=\"{family}\"")?;
                if let Some(source) = source {
                    write!(f, "{source}")?;
                }
                if let Some(destination) = destination {
                    write!(f, " destination address=\"{}\"", destination.short())?;
                }
                f.write_str(" accept")
            }
            RichRule::Other(text) => f.write_str(text),
        }
    }
}

impl Serialize for RichRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The words of a rich rule: `key`, or `key="value"` with the quotes removed.
pub fn words_of(text: &str) -> Vec<(String, Option<String>)> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(rest.len());
        let key = rest[..end].to_string();
        rest = &rest[end..];
        if let Some(value) = rest.strip_prefix('=') {
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => value.split_once(char::is_whitespace).unwrap_or((value, "")),
            };
            out.push((key, Some(value.to_string())));
            rest = after.trim_start();
        } else {
            out.push((key, None));
            rest = rest.trim_start();
        }
    }
    out
}

fn parse_known(text: &str) -> Option<RichRule> {
    let words = words_of(text);
    let mut words = words
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_deref()))
        .peekable();
    (words.next()? == ("rule", None)).then_some(())?;
    // Priority 0 is the default, and 0.6 does not know the word.
    while let Some((key, value)) = words.peek().copied() {
        match (key, value) {
            ("priority", Some("0")) => {
                words.next();
            }
            _ => break,
        }
    }
    let ("family", Some(family)) = words.next()? else {
        return None;
    };
    let family: Family = family.parse().ok()?;
    let mut source = None;
    let mut destination = None;
    let rule = loop {
        match words.next()? {
            ("source", None) => source = Some(source_of(&mut words)?),
            ("destination", None) => destination = Some(address(&mut words)?),
            ("accept", None) => {
                break RichRule::Accept {
                    family,
                    source,
                    destination,
                };
            }
            ("forward-port", None) if destination.is_none() => {
                let mut ports = None;
                let mut protocol = None;
                let mut to_ports = None;
                let mut to = None;
                while let Some((key, value)) = words.peek().copied() {
                    match (key, value) {
                        ("port", Some(v)) => ports = Some(v.parse::<PortRange>().ok()?),
                        ("protocol", Some(v)) => protocol = Some(v.parse().ok()?),
                        ("to-port", Some(v)) => to_ports = Some(v.parse::<Port>().ok()?.into()),
                        ("to-addr", Some(v)) => to = Some(v.parse().ok()?),
                        _ => break,
                    }
                    words.next();
                }
                let service = Service {
                    ports: ports?,
                    protocol: protocol?,
                };
                // A range that leads to named ports is no rule of fwdeploy's: which port a packet gets is the kernel's choice.
                if service.ports.single().is_none() && to_ports.is_some() {
                    return None;
                }
                break RichRule::Forward {
                    family,
                    source,
                    service,
                    to_ports: to_ports.unwrap_or(service.ports),
                    to: to?,
                };
            }
            _ => return None,
        }
    };
    words.next().is_none().then_some(rule)
}

/// `ipset="…"`, or as [`address`].
fn source_of<'a>(
    words: &mut std::iter::Peekable<impl Iterator<Item = (&'a str, Option<&'a str>)>>,
) -> Option<RichSource> {
    if let Some(("ipset", Some(name))) = words.peek().copied() {
        words.next();
        return Some(RichSource::Set(name.to_string()));
    }
    address(words).map(RichSource::Net)
}

/// `[NOT] address="…"`; a negated one is left to [`RichRule::Other`].
fn address<'a>(
    words: &mut std::iter::Peekable<impl Iterator<Item = (&'a str, Option<&'a str>)>>,
) -> Option<Cidr> {
    let sense = match words.peek().copied()? {
        (not, None) if not.eq_ignore_ascii_case("not") => Sense::Not,
        _ => Sense::Is,
    };
    match (sense, words.next()?) {
        (Sense::Is, ("address", Some(value))) => value.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_read_back_as_written() {
        for text in [
            r#"rule family="ipv4" source address="192.0.2.50" forward-port port="8080" protocol="tcp" to-port="80" to-addr="172.30.0.2""#,
            r#"rule family="ipv4" source address="192.0.2.0/24" destination address="172.30.0.2" accept"#,
            r#"rule family="ipv4" source ipset="fwdeploy-zone4-0" forward-port port="8080" protocol="tcp" to-port="80" to-addr="172.30.0.2""#,
            r#"rule family="ipv6" forward-port port="1" protocol="udp" to-port="1" to-addr="fd00::2""#,
            r#"rule family="ipv4" source address="192.0.2.50" forward-port port="8000-8020" protocol="udp" to-addr="172.30.0.2""#,
        ] {
            let rule = RichRule::parse(text);
            assert!(!matches!(rule, RichRule::Other(_)), "{text}");
            assert_eq!(rule.to_string(), text);
        }
    }

    #[test]
    fn a_spelling_of_another_version_is_the_same_rule() {
        let canonical = RichRule::parse(
            r#"rule family="ipv4" source address="192.0.2.50" forward-port port="80" protocol="tcp" to-port="80" to-addr="172.30.0.2""#,
        );
        let other = RichRule::parse(
            r#"rule priority="0" family=ipv4 source address="192.0.2.50/32"  forward-port port="80" protocol="tcp" to-port="80" to-addr="172.30.0.2""#,
        );
        assert_eq!(canonical, other);
    }

    #[test]
    fn negated_logged_and_prioritised_rules_stay_in_their_own_words() {
        for text in [
            r#"rule family="ipv4" source NOT address="192.0.2.50" accept"#,
            r#"rule family="ipv4" source address="192.0.2.50" log prefix="x" accept"#,
            r#"rule priority="-5" family="ipv4" source address="192.0.2.50" accept"#,
            r#"rule family="ipv4" forward-port port="8000-8020" protocol="tcp" to-port="80" to-addr="172.30.0.2""#,
            r#"rule family="ipv4" forward-port port="8000-8020" protocol="tcp" to-port="8000-8020" to-addr="172.30.0.2""#,
            r#"rule family="ipv4" forward-port port="80" protocol="tcp" to-port="80-90" to-addr="172.30.0.2""#,
            r#"rule service name="ssh" accept"#,
        ] {
            assert_eq!(RichRule::parse(text), RichRule::Other(text.to_string()));
        }
    }

    #[test]
    fn a_rule_is_about_its_destination_not_its_source() {
        let net: Cidr = "172.30.0.2".parse().unwrap();
        let rule = RichRule::parse(
            r#"rule family="ipv4" source NOT address="192.0.2.50" destination address="172.30.0.2" drop"#,
        );
        assert_eq!(rule.about(), Some(net));
        let from = RichRule::parse(r#"rule family="ipv4" source address="172.30.0.2" accept"#);
        assert_eq!(from.about(), None);
    }
}
