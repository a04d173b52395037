//! firewalld's own tables of nft, from the lines that the node has picked of them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::Cidr;
use crate::model::Family;
use crate::model::Port;
use crate::model::PortRange;
use crate::model::RichRule;
use crate::model::Service;
use crate::model::backend::Backend;
use crate::model::backend::Forward;
use crate::model::rich::RichSource;
use crate::probe::sections::Answers;

/// The question.
const QUESTION: &str = "firewalld-nft";

/// The chains that are never without a rule while firewalld is in force, from 0.9 to 2.5.
const NEVER_BARE: &[&str] = &["filter_INPUT", "filter_FORWARD", "nat_PREROUTING"];

/// Where a packet that is forwarded begins.
const ENTRY: &str = "nat_PREROUTING";

/// Reads the tables; `None` from a node that was not queried.
///
/// # Errors
/// Why they cannot be read.
pub fn backend(answers: &Answers) -> Option<Result<Backend, String>> {
    answers.has(QUESTION).then(|| parse(answers.get(QUESTION)?))
}

fn parse(text: &str) -> Result<Backend, String> {
    let mut out = Backend::default();
    let mut whole = false;
    let mut table = Table::default();
    for line in text.lines() {
        if whole {
            return Err(garbled(line));
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (word, rest.split_once(' ')) {
            ("table", None) => std::mem::take(&mut table).end(&mut out),
            ("twice", None) => out.doubled.push(rest.to_string()),
            ("bare", None) if NEVER_BARE.contains(&rest) => out.bare.push(rest.to_string()),
            ("bare", None) => {}
            ("leads", Some((from, to))) => {
                table
                    .leads
                    .entry(from.to_string())
                    .or_default()
                    .push(to.to_string());
            }
            ("forward", Some((chain, text))) => table.forwards.push(forward(chain, text)),
            ("more", None) => return Err("firewalld holds more than 30000 of them".to_string()),
            ("end", None) if rest.is_empty() => whole = true,
            _ => return Err(garbled(line)),
        }
    }
    if !whole {
        return Err("they are cut off".to_string());
    }
    table.end(&mut out);
    Ok(out)
}

fn garbled(line: &str) -> String {
    format!("`{line}` is not a line of firewalld's tables")
}

/// What was reported of one table.
#[derive(Default)]
struct Table {
    leads: BTreeMap<String, Vec<String>>,
    forwards: Vec<Forward>,
}

impl Table {
    fn end(self, out: &mut Backend) {
        let mut reached = BTreeSet::from([ENTRY]);
        let mut next = vec![ENTRY];
        while let Some(chain) = next.pop() {
            for to in self.leads.get(chain).into_iter().flatten() {
                if reached.insert(to) {
                    next.push(to);
                }
            }
        }
        out.forwards
            .extend(self.forwards.iter().map(|forward| Forward {
                reached: reached.contains(&*forward.chain),
                ..forward.clone()
            }));
    }
}

fn forward(chain: &str, text: &str) -> Forward {
    let words: Vec<&str> = text.split(' ').collect();
    let place = words.iter().rposition(|word| *word == "to");
    let place = place.and_then(|at| words.get(at + 1));
    Forward {
        chain: chain.to_string(),
        text: text.to_string(),
        reached: false,
        to: place.and_then(|place| where_to(place)).map(|(to, _)| to),
        rule: rule(&words),
    }
}

/// `ip saddr SOURCE tcp dport PORT dnat ip to PLACE`, as firewalld 0.9 to 2.5 write a rich rule that forwards.
fn rule(words: &[&str]) -> Option<RichRule> {
    let words = match words {
        ["meta", "nfproto", "ipv4" | "ipv6", rest @ ..] => rest,
        all => all,
    };
    let (source, words) = match words {
        ["ip" | "ip6", "saddr", source, rest @ ..] => {
            let source = match source.strip_prefix('@') {
                Some(name) => RichSource::Set(name.to_string()),
                None => source.parse::<Cidr>().ok()?.into(),
            };
            (Some(source), rest)
        }
        all => (None, all),
    };
    let (protocol, port, words) = match words {
        [protocol, "dport", port, rest @ ..] => (protocol.parse().ok()?, port, rest),
        _ => return None,
    };
    let place = match words {
        ["dnat", "ip" | "ip6", "to", place] | ["dnat", "to", place] => place,
        _ => return None,
    };
    let ports: PortRange = port.parse().ok()?;
    let (to, to_ports) = where_to(place)?;
    let family = match to {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    };
    Some(RichRule::Forward {
        family,
        source,
        service: Service { ports, protocol },
        to_ports: match to_ports {
            // A range that leads to named ports is no rule of fwdeploy's.
            Some(_) if ports.single().is_none() => return None,
            Some(port) => port.parse::<Port>().ok()?.into(),
            None => ports,
        },
        to,
    })
}

/// An address, and its port if there is one: `10.0.0.1`, `10.0.0.1:80`, `fd00::1`, `[fd00::1]:80`.
fn where_to(place: &str) -> Option<(IpAddr, Option<&str>)> {
    if let Ok(to) = place.trim_matches(['[', ']']).parse() {
        return Some((to, None));
    }
    let (to, port) = place.rsplit_once(':')?;
    Some((to.trim_matches(['[', ']']).parse().ok()?, Some(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As bookworm, and bullseye with its tables of two families, report it; a port and a zone more.
    const BOOKWORM: &str = "table inet\nleads nat_PREROUTING nat_PREROUTING_ZONES\nleads nat_PREROUTING_ZONES nat_PRE_public\n\
        leads nat_PRE_public nat_PRE_public_allow\nforward nat_PRE_public_allow ip saddr 10.77.5.101 tcp dport 5000 dnat ip to 172.20.0.2:5000\n\
        forward nat_PRE_public_allow udp dport 53 dnat ip to 172.20.0.3:5353\nforward nat_PRE_work_allow ip saddr 10.0.0.0/8 tcp dport 80 dnat ip to 10.0.0.9\nend\n";
    const BULLSEYE: &str = "table inet\nbare nat_POSTROUTING\ntable ip\nleads nat_PREROUTING nat_PRE_public_allow\n\
        forward nat_PRE_public_allow ip saddr 10.77.5.101 tcp dport 5000 dnat to 172.20.0.2:5000\ntable ip6\n\
        forward nat_PRE_public_allow ip6 saddr fd00::7 tcp dport 5000 dnat to [fd00:20::2]:5000\nend\n";

    fn rich(text: &str) -> Option<RichRule> {
        let rule = RichRule::parse(text);
        assert!(matches!(rule, RichRule::Forward { .. }), "{text}");
        Some(rule)
    }

    #[test]
    fn a_forward_of_either_generation_is_the_rich_rule_that_it_is_made_of() {
        let new = parse(BOOKWORM).unwrap();
        let ours = rich(
            r#"rule family="ipv4" source address="10.77.5.101" forward-port port="5000" protocol="tcp" to-port="5000" to-addr="172.20.0.2""#,
        );
        assert_eq!(new.forwards[0].rule, ours);
        assert_eq!(
            new.forwards[1].rule,
            rich(
                r#"rule family="ipv4" forward-port port="53" protocol="udp" to-port="5353" to-addr="172.20.0.3""#
            )
        );
        assert_eq!(new.forwards[2].to, "10.0.0.9".parse().ok());
        let old = parse(BULLSEYE).unwrap();
        assert_eq!(old.forwards[0].rule, ours);
        assert_eq!(
            old.forwards[1].rule,
            rich(
                r#"rule family="ipv6" source address="fd00::7" forward-port port="5000" protocol="tcp" to-port="5000" to-addr="fd00:20::2""#
            )
        );
        assert!(old.bare.is_empty(), "it never holds much");
    }

    #[test]
    fn a_range_keeps_its_ports() {
        // As firewalld 0.9.3 and 2.5 make them, and nft 0.9.8 to 1.1.7 lists them.
        for (text, source) in [
            (
                "ip saddr 192.0.2.7 tcp dport 8000-8020 dnat ip to 172.20.0.2",
                "source address=\"192.0.2.7\" ",
            ),
            ("tcp dport 8000-8020 dnat to 172.20.0.2", ""),
        ] {
            let ours = rich(&format!(
                "rule family=\"ipv4\" {source}forward-port port=\"8000-8020\" protocol=\"tcp\" to-addr=\"172.20.0.2\""
            ));
            assert_eq!(forward("nat_PRE_public_allow", text).rule, ours, "{text}");
        }
    }

    #[test]
    fn a_forward_that_no_packet_comes_to_is_known_and_tables_are_apart() {
        let reached = |text| -> Vec<bool> {
            let told: Backend = parse(text).unwrap();
            told.forwards.iter().map(|f| f.reached).collect()
        };
        assert_eq!(reached(BOOKWORM), [true, true, false]);
        // What leads to it in table ip does not lead there in table ip6.
        assert_eq!(reached(BULLSEYE), [true, false]);
    }

    #[test]
    fn what_says_more_is_no_rich_rule_of_ours_but_leads_somewhere() {
        for text in [
            "ip saddr != 10.0.0.1 tcp dport 5000 dnat ip to 172.20.0.2:5000",
            "ip saddr 10.0.0.1 ip daddr 10.0.0.2 tcp dport 5000 dnat ip to 172.20.0.2:5000",
            "ip saddr 10.0.0.1 tcp dport 5000-5010 dnat ip to 172.20.0.2:5000-5010",
            "ip saddr 10.0.0.1 tcp dport 5000 dnat ip to 172.20.0.2:5000 persistent",
            "ip saddr 10.0.0.1 sctp dport 5000 dnat ip to 172.20.0.2:5000",
        ] {
            let told = forward("nat_PRE_public_allow", text);
            assert_eq!(told.rule, None, "{text}");
            assert_eq!(told.to, "172.20.0.2".parse().ok(), "{text}");
        }
        assert_eq!(forward("x", "dnat ip to").to, None);
    }

    #[test]
    fn doubled_and_bare_chains_are_told_and_what_is_garbled_is_not_empty() {
        let told = parse(
            "table inet\ntwice filter_INPUT\nbare filter_FORWARD\nbare mangle_PREROUTING\nend\n",
        )
        .unwrap();
        assert_eq!(told.doubled, ["filter_INPUT"]);
        assert_eq!(told.bare, ["filter_FORWARD"]);
        assert_eq!(parse("end\n"), Ok(Backend::default()));
        for text in [
            "",
            "table inet\n",
            "more\nend\n",
            "forward x\nend\n",
            "end\nend\n",
            "doubled x\nend\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
