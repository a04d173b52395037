//! Listeners (`ss`), routing, address sets (`ipset save`) and the tables of the other iptables backend.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::net::Family;
use crate::model::networking::Listener;
use crate::model::networking::Networking;
use crate::model::networking::RoutingSettings;
use crate::model::ranges::Ranges;
use crate::model::state::Observed;
use crate::model::state::Tables;
use crate::probe::addresses::ends;
use crate::probe::iptables;
use crate::probe::nft;
use crate::probe::sections::Answers;

/// Reads all of it; an answer that is missing or not understood is unreadable.
pub fn networking(answers: &Answers) -> Networking {
    if !answers.has("listeners") {
        return Networking::default();
    }
    Networking {
        listeners: Observed::from(whole(answers, "listeners").and_then(listeners)),
        routing: Observed::from(whole(answers, "routing").and_then(routing)),
        sets: Observed::from(whole(answers, "sets").and_then(sets)),
        nft: Observed::from(whole(answers, "nft-rules").and_then(nft::tables)),
        other: Observed::from(other(answers)),
    }
}

/// An answer that its `end` shows to be whole.
pub(super) fn whole<'a>(answers: &'a Answers, name: &str) -> Result<&'a str, String> {
    let text = answers.get(name)?;
    let text = text
        .strip_suffix("end\n")
        .filter(|rest| rest.is_empty() || rest.ends_with('\n'));
    let cut_off = "the answer is too long, or was cut off";
    text.ok_or_else(|| answers.said(name).unwrap_or(cut_off).to_string())
}

/// `ss -lntup`, with its header line.
fn listeners(text: &str) -> Result<Vec<Listener>, String> {
    let mut out = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = || format!("`{line}` is not a line of ss");
        let (protocol, local, rest) = match words.as_slice() {
            [protocol @ ("tcp" | "udp"), _, _, _, local, _, rest @ ..] => (protocol, local, rest),
            ["tcp" | "udp", ..] => return Err(wrong()),
            // The heading, and sockets of other kinds.
            _ => continue,
        };
        let (address, port) = local.rsplit_once(':').ok_or_else(wrong)?;
        // An address of a link has its device behind a `%`, and older versions give `*` for all.
        let address = address.split('%').next().unwrap_or_default();
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let address = match address {
            "*" | "" => None,
            address => Some(address.parse().map_err(|_| wrong())?),
        };
        let Ok(port) = port.parse() else { continue };
        let program = rest
            .join(" ")
            .split('"')
            .nth(1)
            .map(str::to_string)
            .unwrap_or_default();
        out.push(Listener {
            protocol: (*protocol).to_string(),
            address,
            port,
            program,
        });
    }
    out.sort();
    out.dedup();
    Ok(out)
}

/// The rules that every system has.
const ORDINARY: [&str; 3] = ["lookup local", "lookup main", "lookup default"];

fn routing(text: &str) -> Result<RoutingSettings, String> {
    let mut out = RoutingSettings::default();
    for line in text.lines() {
        let Some((word, rest)) = line.split_once(' ') else {
            return Err(format!("`{line}` is not understood"));
        };
        match word {
            "rule4" | "rule6" => {
                let rule = rest.split_once(':').map_or(rest, |(_, rule)| rule).trim();
                let ordinary = rule
                    .strip_prefix("from all ")
                    .is_some_and(|r| ORDINARY.contains(&r));
                if !ordinary {
                    let version = word.trim_start_matches("rule");
                    out.rules.push(format!("ip -{version} rule: {rule}"));
                }
            }
            "forwarding6" => out.forwarding6 = Some(rest.trim() != "0"),
            "strict" => out.strict.push(rest.to_string()),
            _ => return Err(format!("`{line}` is not understood")),
        }
    }
    Ok(out)
}

/// `ipset save` of some sets.
fn sets(text: &str) -> Result<BTreeMap<String, Option<Ranges>>, String> {
    let mut kinds: BTreeMap<&str, (Family, bool)> = BTreeMap::new();
    let mut members: BTreeMap<&str, Vec<(IpAddr, IpAddr)>> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["create", name, kind, rest @ ..] => {
                let v6 = rest.windows(2).any(|pair| pair == ["family", "inet6"]);
                let family = if v6 { Family::V6 } else { Family::V4 };
                // With a mask, an address represents all that are the same under it.
                let masked = rest
                    .iter()
                    .any(|word| matches!(*word, "netmask" | "bitmask"));
                let plain = matches!(*kind, "hash:ip" | "hash:net" | "bitmap:ip") && !masked;
                kinds.insert(name, (family, plain));
                members.entry(name).or_default();
            }
            ["add", name, entry, rest @ ..] => {
                let entry = (!rest.contains(&"nomatch")).then(|| ends(entry)).flatten();
                match (entry, kinds.get_mut(name)) {
                    (Some(ends), _) => members.entry(name).or_default().push(ends),
                    (None, Some(kind)) => kind.1 = false,
                    (None, None) => {}
                }
            }
            _ => return Err(format!("`{line}` is not a line of ipset")),
        }
    }
    let of = |name: &str, family| {
        Ranges::between(family, members.get(name).into_iter().flatten().copied())
    };
    Ok(kinds
        .into_iter()
        .map(|(name, (family, plain))| (name.to_string(), plain.then(|| of(name, family))))
        .collect())
}

/// The other backend's tables; a family that was never used there has none.
fn other(answers: &Answers) -> Result<[Tables; 2], String> {
    let tables = |name: &str| {
        if answers.was_skipped(name) {
            return Ok(Tables::default());
        }
        iptables::parse(answers.get(name)?)
    };
    Ok([tables("other-save")?, tables("other6-save")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_cut_off_in_a_word_is_not_whole() {
        let said = |text: &str| {
            let answer = format!("= sets 0 {}\n{text}\n", text.len());
            let frame = format!("fwdeploy-probe 1 5\n{answer}fwdeploy-probe end\n");
            let answers = Answers::parse(frame.as_bytes()).unwrap();
            whole(&answers, "sets").is_ok()
        };
        let set = "create weekend hash:ip family inet\n";
        assert!(said("end\n") && said(&format!("{set}end\n")));
        assert!(!said(&format!("{set}add weekend\n")) && !said(set) && !said(""));
    }

    #[test]
    fn listeners_are_read_from_every_version_of_ss() {
        let text = "Netid State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess\n\
            tcp   LISTEN 0      4096         0.0.0.0:5000       0.0.0.0:*    users:((\"docker-proxy\",pid=334,fd=4))\n\
            tcp   LISTEN 0      4096            [::]:5000          [::]:*    users:((\"docker-proxy\",pid=340,fd=4))\n\
            udp    UNCONN     0      0    127.0.0.53%lo:53    *:*\n\
            tcp    LISTEN     0      128       *:22         *:*      users:((\"sshd\",pid=9,fd=3))\n";
        let told: Vec<String> = listeners(text)
            .unwrap()
            .iter()
            .map(|l| format!("{} {:?} {} {}", l.protocol, l.address, l.port, l.program))
            .collect();
        assert_eq!(
            told,
            [
                "tcp None 22 sshd",
                "tcp Some(0.0.0.0) 5000 docker-proxy",
                "tcp Some(::) 5000 docker-proxy",
                "udp Some(127.0.0.53) 53 ",
            ]
        );
        for cut in [
            "tcp LISTEN 0 1 nowhere:5000 0.0.0.0:*",
            "tcp LISTEN 0",
            "udp",
        ] {
            assert!(listeners(&format!("{cut}\n")).is_err(), "{cut}");
        }
    }

    #[test]
    fn only_what_routing_is_told_beyond_the_ordinary_counts() {
        let text = "rule4 0:\tfrom all lookup local\nrule4 5209:\tfrom all fwmark 0x80000/0xff0000 lookup main\n\
            rule4 32766:\tfrom all lookup main\nrule6 0:\tfrom all lookup local\nforwarding6 0\nstrict eth0\n";
        let routing = routing(text).unwrap();
        assert_eq!(routing.rules.len(), 1, "{routing:?}");
        assert_eq!(routing.forwarding6, Some(false));
        assert_eq!(routing.strict, ["eth0"]);
        assert!(super::routing("hello world\n").is_err());
    }

    #[test]
    fn sets_of_addresses_are_read_and_others_are_unknown() {
        let text = "create ban hash:ip family inet hashsize 1024 maxelem 65536 timeout 600\nadd ban 192.0.2.7 timeout 59\n\
            create nets hash:net family inet\nadd nets 198.51.100.0/24\nadd nets 198.51.100.9 nomatch\n\
            create pairs hash:ip,port family inet\nadd pairs 192.0.2.7,tcp:80\ncreate none hash:ip family inet6\n";
        let sets = sets(text).unwrap();
        let ban = sets["ban"].as_ref().unwrap();
        assert!(ban.contains("192.0.2.7".parse().unwrap()));
        assert_eq!((&sets["nets"], &sets["pairs"]), (&None, &None));
        assert!(sets["none"].as_ref().unwrap().is_empty());
    }

    #[test]
    fn a_set_whose_addresses_stand_for_networks_is_unknown() {
        for mask in ["netmask 24", "bitmask 255.255.255.0"] {
            let text =
                format!("create ban hash:ip family inet {mask} hashsize 64\nadd ban 192.0.2.0\n");
            assert_eq!(sets(&text).unwrap()["ban"], None, "{mask}");
        }
        let text = "create ban bitmap:ip range 192.0.0.0/16 netmask 24\nadd ban 192.0.2.0/24\n";
        assert_eq!(sets(text).unwrap()["ban"], None);
    }
}
