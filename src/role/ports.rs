//! The key `port` of an entry: `5000/tcp`, `8000-8020/udp`, `22,80/tcp`, `30303/tcp+udp`, `icmp`.

use std::str::FromStr;

use crate::model::PortRange;
use crate::model::Protocol;
use crate::model::Service;
use crate::model::Traffic;
use crate::model::net::NetError;

/// What one text of the key `port` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ports(pub(super) Vec<Traffic>);

impl FromStr for Ports {
    type Err = NetError;

    /// Reads ports and ranges with a comma between them, a slash, and protocols with a comma or `+` between them; or the word `icmp`. What
    /// a template makes of a list, `[22, 80]`, is a list here too.
    ///
    /// # Errors
    /// [`NetError`] about the first part that does not fit.
    fn from_str(text: &str) -> Result<Self, NetError> {
        let wrong = || NetError::Service {
            text: text.to_string(),
        };
        if text == Traffic::ICMP {
            return Ok(Ports(vec![Traffic::Icmp]));
        }
        let (ports, protocols) = text.split_once('/').ok_or_else(wrong)?;
        let protocols: Vec<Protocol> = parts(protocols, &[',', '+'])
            .map(|part| part.parse().map_err(|_| wrong()))
            .collect::<Result<_, _>>()?;
        let mut out = Vec::new();
        for part in parts(ports, &[',']) {
            let ports: PortRange = part.parse()?;
            out.extend(protocols.iter().map(|protocol| {
                Traffic::Service(Service {
                    ports,
                    protocol: *protocol,
                })
            }));
        }
        Ok(Ports(out))
    }
}

/// The elements of a list, without what a template writes around them.
fn parts<'a>(text: &'a str, between: &'a [char]) -> impl Iterator<Item = &'a str> {
    let text = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let quotes = |c: char| c == '\'' || c == '"';
    text.split(between)
        .map(move |part| part.trim().trim_matches(quotes))
}

/// What was meant by a text that is no port, if that can be seen: iptables and ufw write ranges with a colon, and ICMP has several names.
pub(super) fn meant(text: &str) -> Option<String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_ports = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || "-, ".contains(c));
    let meant = match text.to_ascii_lowercase().as_str() {
        "icmpv6" | "ipv6-icmp" | "icmp6" | "ping" | "icmp/any" => Traffic::ICMP.to_string(),
        _ if is_number || is_ports => format!("{text}/tcp"),
        lower => lower.replace(':', "-").replace('|', "+"),
    };
    (meant != text && meant.parse::<Ports>().is_ok()).then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_ports_of_protocols() {
        for (text, wanted) in [
            ("5000/tcp", "5000/tcp"),
            ("8000-8020/udp", "8000-8020/udp"),
            ("22,80/tcp", "22/tcp 80/tcp"),
            ("[22, 80]/tcp", "22/tcp 80/tcp"),
            ("['22', \"8000-8020\"]/tcp", "22/tcp 8000-8020/tcp"),
            ("30303/tcp+udp", "30303/tcp 30303/udp"),
            ("1,2/tcp,udp", "1/tcp 1/udp 2/tcp 2/udp"),
            ("5/['tcp', 'udp']", "5/tcp 5/udp"),
            ("icmp", "icmp"),
        ] {
            let Ports(read) = text.parse().unwrap();
            let read: Vec<String> = read.iter().map(ToString::to_string).collect();
            assert_eq!(read.join(" "), wanted, "{text}");
        }
        for text in [
            "",
            "/tcp",
            "5000",
            "5000/",
            "5000/sctp",
            "5000/tcp/udp",
            "22,/tcp",
            "[]/tcp",
            "1-70000/tcp",
            "5000/tcp+",
            "icmp/tcp",
            "tcp/5000",
            "[22/tcp",
            "-/tcp",
        ] {
            assert!(text.parse::<Ports>().is_err(), "{text}");
        }
    }

    #[test]
    fn other_spellings_say_what_is_meant() {
        for (text, wanted) in [
            ("5000", Some("5000/tcp")),
            ("8000-8020", Some("8000-8020/tcp")),
            ("8000:8020/udp", Some("8000-8020/udp")),
            ("5000/TCP", Some("5000/tcp")),
            ("ipv6-icmp", Some("icmp")),
            ("70000", None),
            ("ssh", None),
        ] {
            assert_eq!(meant(text).as_deref(), wanted, "{text}");
        }
    }
}
