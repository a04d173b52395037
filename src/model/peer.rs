//! What an inventory tells about a peer besides its address.

use serde::Serialize;

use crate::model::date::Date;
use crate::model::net::Cidr;

/// What is known of a peer beside its address: for people, no rule depends on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct About {
    /// What it is called.
    pub name: Option<String>,
    /// Who runs it, or who asked for it.
    pub owner: Option<String>,
    /// Why it is listed.
    pub reason: Option<String>,
    /// The last day on which it is listed, in UTC.
    pub until: Option<Date>,
}

impl About {
    /// Name and owner as they are written behind an address: `sentry-1, Acme`; `None` if there is neither.
    pub fn label(&self) -> Option<String> {
        let words: Vec<&str> = [&self.name, &self.owner]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// A peer about which something is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KnownPeer {
    /// Its address or network.
    pub net: Cidr,
    /// What is known of it.
    #[serde(flatten)]
    pub about: About,
}

/// The label of the peer that has this address: of the narrowest that holds it. The peers are in order, as those of a
/// [`Desired`](crate::model::Desired) are.
pub fn label(peers: &[KnownPeer], net: Cidr) -> Option<String> {
    let around = (0..=net.prefix()).rev();
    let mut around = around.filter_map(|prefix| Cidr::around(net.address(), prefix));
    around.find_map(|net| label_of(peers, net))
}

/// The label of the peer that is exactly this network.
fn label_of(peers: &[KnownPeer], net: Cidr) -> Option<String> {
    let first = peers.partition_point(|peer| peer.net < net);
    let same = peers[first..].iter().take_while(|peer| peer.net == net);
    same.filter_map(|peer| peer.about.label()).last()
}

/// The label of the first peer whose address or network stands in a line, such as a rule's text. The peers are in order.
pub fn label_in(peers: &[KnownPeer], line: &str) -> Option<String> {
    if peers.is_empty() {
        return None;
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".:/".contains(c);
    let words = line.split(|c| !is_part(c));
    let mut nets = words.filter_map(|word| word.parse::<Cidr>().ok());
    nets.find_map(|net| label_of(peers, net))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_label_of_the_narrowest_peer_that_holds_it() {
        let peer = |net: &str, name: &str, owner: Option<&str>| KnownPeer {
            net: net.parse().unwrap(),
            about: About {
                name: Some(name.to_string()),
                owner: owner.map(str::to_string),
                ..About::default()
            },
        };
        let nameless = KnownPeer {
            net: "203.0.113.9".parse().unwrap(),
            about: About::default(),
        };
        let mut peers = [
            peer("203.0.113.7", "one", Some("Acme")),
            peer("203.0.113.0/24", "all", None),
            nameless,
        ];
        peers.sort();
        for (net, wanted) in [
            ("203.0.113.7", Some("one, Acme")),
            ("203.0.113.9", Some("all")),
            ("203.0.113.0/24", Some("all")),
            ("203.0.0.0/16", None),
            ("2001:db8::7", None),
        ] {
            let label = label(&peers, net.parse().unwrap());
            assert_eq!(label.as_deref(), wanted, "{net}");
        }
        for (line, wanted) in [
            (
                "+ kernel -s 203.0.113.7/32 -d 172.20.0.2/32 -j ACCEPT",
                Some("one, Acme"),
            ),
            (
                "rule family=\"ipv4\" source address=\"203.0.113.0/24\" accept",
                Some("all"),
            ),
            (
                "inbound4 203.0.113.7 . 172.20.0.2 . tcp . 5000",
                Some("one, Acme"),
            ),
            ("-s 203.0.113.8/32 -j ACCEPT", None),
        ] {
            assert_eq!(label_in(&peers, line).as_deref(), wanted, "{line}");
        }
    }
}
