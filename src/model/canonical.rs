//! One spelling for what firewalld spells in several ways: its versions among themselves, and its files and its memory.

use std::collections::BTreeMap;

use crate::model::rich::words_of;
use crate::model::settings::Options;

/// Settings in one canonical form, so that equal settings compare as equal.
pub fn options(options: &Options) -> Options {
    let mut out = Options::default();
    for key in options.keys() {
        match key {
            "rules_str" | "rich_rules" => {
                for rule in options.all(key) {
                    out.add(key, rich_rule(rule));
                }
            }
            "ports" | "source_ports" => {
                for port in ports(options.all(key)) {
                    out.add(key, port);
                }
            }
            "modules" => {
                for module in options.all(key) {
                    out.add(key, self::module(module));
                }
            }
            _ => {
                for value in options.all(key) {
                    out.add(key, value);
                }
            }
        }
    }
    out
}

/// `nf_conntrack_netbios_ns` becomes `netbios-ns` when it is read from a file, but not when it is set over D-Bus.
fn module(name: &str) -> String {
    match name.strip_prefix("nf_conntrack_") {
        Some(rest) => rest.replace('_', "-"),
        None => name.to_string(),
    }
}

/// A rich rule in firewalld 2's spelling, every value in quotes and without defaults.
pub fn rich_rule(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut within = String::new();
    for (key, value) in words_of(text) {
        let Some(value) = value else {
            // It clamps to the path's MTU by default, whether or not that is written.
            if within == CLAMP {
                out.push(quoted("value", PMTU));
            }
            if key.eq_ignore_ascii_case("not") {
                out.push("NOT".to_string());
                continue;
            }
            out.push(key.clone());
            within = key;
            continue;
        };
        let value = match (within.as_str(), key.as_str()) {
            ("rule", "priority") | ("nflog", "group" | "queue-size") | ("limit", "burst") => {
                match value.parse::<i64>() {
                    Ok(0) => continue,
                    Ok(number) => number.to_string(),
                    Err(_) => value,
                }
            }
            ("limit", "value") => rate(&value),
            ("source", "mac") => value.to_uppercase(),
            (CLAMP, "value") => {
                within.clear();
                if value == "None" {
                    PMTU.to_string()
                } else {
                    value
                }
            }
            _ => value,
        };
        out.push(quoted(&key, &value));
    }
    if within == CLAMP {
        out.push(quoted("value", PMTU));
    }
    out.join(" ")
}

const CLAMP: &str = "tcp-mss-clamp";
const PMTU: &str = "pmtu";

fn quoted(key: &str, value: &str) -> String {
    format!("{key}=\"{value}\"")
}

/// `3/minute` is `3/m`.
fn rate(text: &str) -> String {
    let parts = text.split_once('/').and_then(|(rate, each)| {
        let each = match each.trim() {
            "second" | "s" => "s",
            "minute" | "m" => "m",
            "hour" | "h" => "h",
            "day" | "d" => "d",
            _ => return None,
        };
        Some(format!("{}/{each}", rate.trim().parse::<u64>().ok()?))
    });
    parts.unwrap_or_else(|| text.to_string())
}

/// Ports without overlaps: firewalld 1.0 and later joins ranges when it reads them from a file, and not always when they are set.
fn ports<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut out = Vec::new();
    let mut ranges: BTreeMap<&str, Vec<(u16, u16)>> = BTreeMap::new();
    for text in texts {
        let range = text.rsplit_once('/').and_then(|(range, protocol)| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some((protocol, (first.parse().ok()?, last.parse().ok()?)))
        });
        match range {
            Some((protocol, range)) => ranges.entry(protocol).or_default().push(range),
            None => out.push(text.to_string()),
        }
    }
    for (protocol, mut ranges) in ranges {
        ranges.sort_unstable();
        let mut joined: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        out.extend(joined.iter().map(|(first, last)| match first == last {
            true => format!("{first}/{protocol}"),
            false => format!("{first}-{last}/{protocol}"),
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_one_spelling_whichever_version_wrote_it() {
        for (old, new) in [
            (
                r#"rule family="ipv4" destination not address="10.0.0.1" accept"#,
                r#"rule family="ipv4" destination NOT address="10.0.0.1" accept"#,
            ),
            (
                r#"rule priority="0" source mac="aa:bb:cc:dd:ee:ff" drop"#,
                r#"rule source mac="AA:BB:CC:DD:EE:FF" drop"#,
            ),
            (
                r#"rule service name="ssh" log prefix="a  b" limit value="3/minute" burst=5 mark set=0x1 limit value="1/h""#,
                r#"rule service name="ssh" log prefix="a  b" limit value="3/m" burst="5" mark set="0x1" limit value="1/h""#,
            ),
            (
                r#"rule tcp-mss-clamp log"#,
                r#"rule tcp-mss-clamp value="pmtu" log"#,
            ),
            (
                r#"rule tcp-mss-clamp"#,
                r#"rule tcp-mss-clamp value="None""#,
            ),
            (
                r#"rule priority="5" nflog group="0" queue-size="7""#,
                r#"rule priority="5" nflog queue-size="7""#,
            ),
        ] {
            assert_eq!(rich_rule(old), rich_rule(new), "{old}");
            assert_eq!(rich_rule(&rich_rule(old)), rich_rule(old), "{old}");
        }
        let differ = |one: &str, other: &str| assert_ne!(rich_rule(one), rich_rule(other));
        differ("rule tcp-mss-clamp", r#"rule tcp-mss-clamp value="900""#);
        differ(
            r#"rule service name="ssh" log prefix="a  b""#,
            r#"rule service name="ssh" log prefix="a b""#,
        );
    }

    #[test]
    fn ports_are_the_same_however_their_ranges_are_cut() {
        let one = |texts: &[&str]| options(&texts.iter().map(|text| ("ports", *text)).collect());
        assert_eq!(
            one(&["80/tcp", "81-90/tcp", "85-95/tcp", "9/udp"]),
            one(&["9/udp", "80-95/tcp"])
        );
        assert_ne!(one(&["80/tcp", "82/tcp"]), one(&["80-82/tcp"]));
        assert_ne!(one(&["80/tcp"]), one(&["80/udp"]));
    }

    #[test]
    fn a_module_of_the_kernel_is_a_helper_by_another_name() {
        let one = |name: &str| options(&[("modules", name)].into_iter().collect());
        assert_eq!(one("nf_conntrack_netbios_ns"), one("netbios-ns"));
        assert_ne!(one("nf_conntrack_ftp"), one("tftp"));
    }
}
