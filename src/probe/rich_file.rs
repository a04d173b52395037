//! A rich rule of a zone's or a policy's file, in firewalld's own words for it (`Rich_Rule.__str__`).

use crate::probe::xml::Element;

/// What a rule may be about; one of them at most.
const ABOUT: [(&str, &[&str]); 9] = [
    ("service", &["name"]),
    ("port", &["port", "protocol"]),
    ("protocol", &["value"]),
    ("tcp-mss-clamp", &["value"]),
    ("icmp-block", &["name"]),
    ("icmp-type", &["name"]),
    ("masquerade", &[]),
    ("forward-port", &["port", "protocol", "to-port", "to-addr"]),
    ("source-port", &["port", "protocol"]),
];

/// Logging of a packet, and what happens to it; these may have a limit.
const LOGS: [(&str, &[&str]); 2] = [
    ("log", &["prefix", "level"]),
    ("nflog", &["group", "prefix", "queue-size"]),
];
const AUDIT: [(&str, &[&str]); 1] = [("audit", &[])];
const ENDS: [(&str, &[&str]); 4] = [
    ("accept", &[]),
    ("reject", &["type"]),
    ("drop", &[]),
    ("mark", &["set"]),
];

/// The rule's text.
///
/// # Errors
/// The part that is not known.
pub fn rule(rule: &Element) -> Result<String, String> {
    rule.only(&["priority", "family"])?;
    let mut words = vec![named(rule, &["priority", "family"])];
    let mut rest: Vec<&Element> = rule.children.iter().collect();
    let mut take = |kinds: &[(&'static str, &'static [&'static str])]| {
        let at = rest
            .iter()
            .position(|child| kinds.iter().any(|(name, _)| *name == child.name))?;
        let child = rest.remove(at);
        let (_, known) = kinds.iter().find(|(name, _)| *name == child.name)?;
        Some((child, *known))
    };
    for (end, keys) in [
        ("source", &["address", "mac", "ipset"][..]),
        ("destination", &["address", "ipset"]),
    ] {
        if let Some((element, _)) = take(&[(end, &[])]) {
            words.push(address(element, keys)?);
        }
    }
    if let Some((element, known)) = take(&ABOUT) {
        element.only(known)?;
        element.is_leaf()?;
        words.push(named(element, known));
    }
    for kinds in [&LOGS[..], &AUDIT, &ENDS] {
        if let Some((element, known)) = take(kinds) {
            words.push(limited(element, known)?);
        }
    }
    match rest.first() {
        // Of most there may be one only, and firewalld takes no rule that has two.
        Some(other) => Err(other.is_out_of_place("rule")),
        None => Ok(words.join(" ")),
    }
}

/// The element's name and attributes, as far as they are present.
fn named(element: &Element, keys: &[&str]) -> String {
    let mut text = element.name.clone();
    for key in keys {
        match element.get(key) {
            None | Some("") => {}
            Some(value) => text += &format!(" {key}=\"{value}\""),
        }
    }
    text
}

fn address(element: &Element, keys: &[&str]) -> Result<String, String> {
    element.only(&[keys, &["invert", "family"]].concat())?;
    element.is_leaf()?;
    let given: Vec<&str> = keys
        .iter()
        .copied()
        .filter(|key| element.get(key).is_some_and(|value| !value.is_empty()))
        .collect();
    let [key] = given[..] else {
        return Err(format!("`{}` names no one address", element.name));
    };
    let invert = element.get("invert").unwrap_or_default();
    let not = match invert.to_lowercase().as_str() {
        "yes" | "true" => " NOT",
        _ => "",
    };
    let value = element.get(key).unwrap_or_default();
    Ok(format!("{}{not} {key}=\"{value}\"", element.name))
}

fn limited(element: &Element, known: &[&str]) -> Result<String, String> {
    element.only(known)?;
    let mut text = named(element, known);
    match element.children.as_slice() {
        [] => {}
        [limit] if limit.name == "limit" => {
            limit.only(&["value", "burst"])?;
            limit.is_leaf()?;
            limit.needs("value")?;
            text += &format!(" {}", named(limit, &["value", "burst"]));
        }
        [other, ..] => return Err(other.is_out_of_place(&element.name)),
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::xml;

    fn read(inner: &str) -> Result<String, String> {
        rule(&xml::parse(&format!("<rule{inner}</rule>")).unwrap())
    }

    #[test]
    fn every_kind_of_rule_has_firewallds_own_text() {
        for (file, text) in [
            (
                r#" priority="-5" family="ipv4"><source address="192.0.2.0/24" invert="True"/><service name="ssh"/><reject type="icmp-host-prohibited"><limit value="3/m"/></reject>"#,
                r#"rule priority="-5" family="ipv4" source NOT address="192.0.2.0/24" service name="ssh" reject type="icmp-host-prohibited" limit value="3/m""#,
            ),
            (
                r#" family="ipv4"><forward-port port="80" protocol="tcp" to-port="8080" to-addr="172.30.0.2"/><source address="192.0.2.50"/>"#,
                r#"rule family="ipv4" source address="192.0.2.50" forward-port port="80" protocol="tcp" to-port="8080" to-addr="172.30.0.2""#,
            ),
            (
                r#"><source mac="AA:BB:CC:DD:EE:FF"/><port port="1-2" protocol="udp"/><accept/><audit><limit value="1/h"/></audit><log prefix="a &quot;b&quot;" level="info"/>"#,
                r#"rule source mac="AA:BB:CC:DD:EE:FF" port port="1-2" protocol="udp" log prefix="a "b"" level="info" audit limit value="1/h" accept"#,
            ),
            (
                r#" family="ipv6"><destination ipset="x" invert="no"/><masquerade/><nflog group="3" queue-size="9"/>"#,
                r#"rule family="ipv6" destination ipset="x" masquerade nflog group="3" queue-size="9""#,
            ),
            (
                r#"><icmp-type name="echo-request"/><mark set="0x1/0xff"><limit value="3/m" burst="5"/></mark>"#,
                r#"rule icmp-type name="echo-request" mark set="0x1/0xff" limit value="3/m" burst="5""#,
            ),
        ] {
            assert_eq!(read(file).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_rule_of_an_unknown_kind_has_no_text() {
        for file in [
            "><accept/><drop/>",
            "><service name='ssh'/><port port='1' protocol='tcp'/>",
            "><tarpit/>",
            " colour='red'><accept/>",
            "><source/><accept/>",
            "><source address='10.0.0.1' ipset='x'/><accept/>",
            "><accept><limit/></accept>",
            "><accept><limit value='1/s'/><limit value='1/s'/></accept>",
            "><service name='ssh'><b/></service>",
        ] {
            assert!(read(file).is_err(), "{file}");
        }
    }
}
