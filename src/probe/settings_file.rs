//! The file of a zone or a policy (firewalld.zone(5), firewalld.policy(5)), as the settings that firewalld makes of it.

use crate::model::settings::Options;
use crate::probe::rich_file;
use crate::probe::xml;
use crate::probe::xml::Element;

/// Texts for people, which are no settings.
pub(super) const TEXTS: [&str; 2] = ["short", "description"];

/// What one element adds to the settings: a setting and its text.
pub(super) type Setting = (&'static str, String);

/// The settings of a zone's file.
///
/// # Errors
/// The part that is not known.
pub fn zone(text: &str) -> Result<Options, String> {
    let known = [
        "name",
        "immutable",
        "version",
        "target",
        "ingress-priority",
        "egress-priority",
    ];
    let root = xml::root(text, "zone", &known)?;
    let mut options = read(&root, |element| match element.name.as_str() {
        "interface" => Ok(Some(one(element, "interfaces", "name")?)),
        "source" => source(element).map(Some),
        "icmp-block-inversion" => on(element, "icmp_block_inversion").map(Some),
        "forward" => on(element, "forward").map(Some),
        "rule" => Ok(Some(("rules_str", rich_file::rule(element)?))),
        _ => shared(element),
    })?;
    // The default has had two names.
    let target = match root.get("target") {
        None | Some("" | "default" | "{chain}_{zone}") => "default",
        Some(target) => target,
    };
    options.add("target", target);
    for (key, name) in [
        ("ingress_priority", "ingress-priority"),
        ("egress_priority", "egress-priority"),
    ] {
        let priority = priority(&root, name, 0)?;
        if priority != 0 {
            options.add(key, priority.to_string());
        }
    }
    Ok(options)
}

/// The settings of a policy's file.
///
/// # Errors
/// The part that is not known.
pub fn policy(text: &str) -> Result<Options, String> {
    let root = xml::root(text, "policy", &["version", "target", "priority"])?;
    let mut options = read(&root, |element| match element.name.as_str() {
        "ingress-zone" => Ok(Some(one(element, "ingress_zones", "name")?)),
        "egress-zone" => Ok(Some(one(element, "egress_zones", "name")?)),
        "disable" => on(element, "disable").map(Some),
        "rule" => Ok(Some(("rich_rules", rich_file::rule(element)?))),
        _ => shared(element),
    })?;
    let target = root.get("target").filter(|target| !target.is_empty());
    options.add("target", target.unwrap_or("CONTINUE"));
    let priority = priority(&root, "priority", -1)?;
    if priority != 0 {
        options.add("priority", priority.to_string());
    }
    Ok(options)
}

/// What all elements in it add to the settings.
pub(super) fn read(
    root: &Element,
    setting: impl Fn(&Element) -> Result<Option<Setting>, String>,
) -> Result<Options, String> {
    let mut options = Options::default();
    for element in &root.children {
        if TEXTS.contains(&element.name.as_str()) {
            element.only(&[])?;
            element.is_leaf()?;
        } else if let Some((key, text)) = setting(element)? {
            options.add(key, text);
        }
    }
    Ok(options)
}

/// What zones and policies have in common.
fn shared(element: &Element) -> Result<Option<Setting>, String> {
    Ok(Some(match element.name.as_str() {
        "service" => one(element, "services", "name")?,
        "protocol" => one(element, "protocols", "value")?,
        "icmp-block" => one(element, "icmp_blocks", "name")?,
        "port" => ("ports", numbered(element)?),
        "source-port" => ("source_ports", numbered(element)?),
        "masquerade" => on(element, "masquerade")?,
        "forward-port" => ("forward_ports", forward(element)?),
        _ => return Err(element.is_out_of_place("it")),
    }))
}

fn on(element: &Element, key: &'static str) -> Result<Setting, String> {
    element.only(&[])?;
    element.is_leaf()?;
    Ok((key, "yes".to_string()))
}

/// A setting whose text is one attribute, the only one.
pub(super) fn one(element: &Element, key: &'static str, name: &str) -> Result<Setting, String> {
    one_of(element, key, name, &[name])
}

/// A setting whose text is one attribute of several.
pub(super) fn one_of(
    element: &Element,
    key: &'static str,
    name: &str,
    known: &[&str],
) -> Result<Setting, String> {
    element.only(known)?;
    element.is_leaf()?;
    Ok((key, element.needs(name)?.to_string()))
}

/// A source that a zone is bound to.
fn source(element: &Element) -> Result<Setting, String> {
    element.only(&["address", "ipset", "family"])?;
    element.is_leaf()?;
    match (element.get("address"), element.get("ipset")) {
        (Some(address), None) => Ok(("sources", address.to_string())),
        (None, Some(set)) => Ok(("sources", format!("ipset:{set}"))),
        _ => Err("`source` names no one address".to_string()),
    }
}

/// `22/tcp`, as it is written.
pub(super) fn pair(element: &Element) -> Result<String, String> {
    element.only(&["port", "protocol"])?;
    element.is_leaf()?;
    Ok(format!(
        "{}/{}",
        element.needs("port")?,
        element.needs("protocol")?
    ))
}

/// The same, in firewalld's own numbers.
fn numbered(element: &Element) -> Result<String, String> {
    pair(element)?;
    let port = number(element.needs("port")?)?;
    Ok(format!("{port}/{}", element.needs("protocol")?))
}

/// firewalld also takes names of services for numbers; which number that is, the node knows.
fn number(text: &str) -> Result<String, String> {
    let parse = |text: &str| {
        text.parse::<u16>()
            .map_err(|_| format!("`{text}` is not a port number"))
    };
    Ok(match text.split_once('-') {
        Some((first, last)) => format!("{}-{}", parse(first)?, parse(last)?),
        None => parse(text)?.to_string(),
    })
}

fn forward(element: &Element) -> Result<String, String> {
    element.only(&["port", "protocol", "to-port", "to-addr"])?;
    element.is_leaf()?;
    let port = number(element.needs("port")?)?;
    let mut text = format!("port={port}:proto={}", element.needs("protocol")?);
    if let Some(to) = element.get("to-port").filter(|to| !to.is_empty()) {
        text += &format!(":toport={}", number(to)?);
    }
    if let Some(to) = element.get("to-addr").filter(|to| !to.is_empty()) {
        text += &format!(":toaddr={to}");
    }
    Ok(text)
}

fn priority(root: &Element, name: &str, default: i32) -> Result<i32, String> {
    match root.get(name) {
        None => Ok(default),
        Some(text) => text
            .trim()
            .parse()
            .map_err(|_| format!("`{text}` is not a priority")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        pairs.iter().copied().collect()
    }

    #[test]
    fn a_zone_is_read_as_firewalld_tells_it() {
        // As firewalld 2.5 writes it.
        let text = r#"<?xml version="1.0" encoding="utf-8"?>
<zone target="DROP" ingress-priority="-5">
  <short>Public</short>
  <service name="ssh"/>
  <port port="7000-7002" protocol="tcp"/>
  <icmp-block name="echo-request"/>
  <masquerade/>
  <forward-port port="80" protocol="tcp" to-port="8080"/>
  <source-port port="99" protocol="udp"/>
  <rule family="ipv4">
    <source address="192.0.2.50"/>
    <accept/>
  </rule>
  <interface name="eth0"/>
  <source ipset="friends"/>
  <icmp-block-inversion/>
  <forward/>
</zone>
"#;
        let expected = options(&[
            ("target", "DROP"),
            ("ingress_priority", "-5"),
            ("services", "ssh"),
            ("ports", "7000-7002/tcp"),
            ("icmp_blocks", "echo-request"),
            ("masquerade", "yes"),
            ("forward_ports", "port=80:proto=tcp:toport=8080"),
            ("source_ports", "99/udp"),
            (
                "rules_str",
                r#"rule family="ipv4" source address="192.0.2.50" accept"#,
            ),
            ("interfaces", "eth0"),
            ("sources", "ipset:friends"),
            ("icmp_block_inversion", "yes"),
            ("forward", "yes"),
        ]);
        assert_eq!(zone(text), Ok(expected));
    }

    #[test]
    fn what_a_file_leaves_out_is_the_default() {
        let plain = options(&[("target", "default")]);
        assert_eq!(zone("<zone/>"), Ok(plain.clone()));
        assert_eq!(zone("<zone target='{chain}_{zone}'/>"), Ok(plain));
        let plain = options(&[("target", "CONTINUE"), ("priority", "-1")]);
        assert_eq!(policy("<policy target='CONTINUE'/>"), Ok(plain));
    }

    #[test]
    fn a_policy_has_its_own() {
        let text = r#"<policy priority="-150" target="ACCEPT"><ingress-zone name="ANY"/><egress-zone name="HOST"/>
            <rule><icmp-type name="echo-reply"/><accept/></rule></policy>"#;
        let expected = options(&[
            ("target", "ACCEPT"),
            ("priority", "-150"),
            ("ingress_zones", "ANY"),
            ("egress_zones", "HOST"),
            ("rich_rules", r#"rule icmp-type name="echo-reply" accept"#),
        ]);
        assert_eq!(policy(text), Ok(expected));
    }

    #[test]
    fn what_is_not_known_is_said() {
        for text in [
            "<zone><tarpit/></zone>",
            "<zone colour='red'/>",
            "<zone><service name='ssh' colour='red'/></zone>",
            "<zone><service/></zone>",
            "<zone><port port='http' protocol='tcp'/></zone>",
            "<zone><masquerade enabled='no'/></zone>",
            "<zone><ingress-zone name='ANY'/></zone>",
            "<policy/>",
            "",
        ] {
            assert!(zone(text).is_err(), "{text}");
        }
        assert!(policy("<policy><interface name='eth0'/></policy>").is_err());
    }
}
