//! firewalld's settings apart from its direct interface: zones, policies and services, in its memory and in its files.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::Cidr;
use crate::model::rich::words_of;
use crate::model::settings::AddressSet;
use crate::model::settings::Options;
use crate::model::settings::Settings;
use crate::probe::busctl::Value;
use crate::probe::firewalld::ask;
use crate::probe::sections::Answers;

/// One of firewalld's two views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Its files.
    Permanent,
    /// Its memory.
    Runtime,
}

/// Settings that inform a person and have no effect.
const TEXTS: [&str; 3] = ["version", "short", "description"];

/// A form of settings in which a value is known by its place: the signature, and the name of each place. firewalld before 0.9 has it
/// for zones, before 0.7 for services.
struct ByPlace {
    signature: &'static str,
    keys: &'static [&'static str],
}

/// The form of a zone, from firewalld 0.4.3 to 0.8.
const ZONE: ByPlace = ByPlace {
    signature: "(sssbsasa(ss)asba(ssss)asasasasa(ss)b)",
    keys: &[
        "version",
        "short",
        "description",
        UNUSED,
        "target",
        "services",
        "ports",
        "icmp_blocks",
        "masquerade",
        "forward_ports",
        "interfaces",
        "sources",
        "rules_str",
        "protocols",
        "source_ports",
        "icmp_block_inversion",
    ],
};

/// The form of a service, from firewalld 0.4.3 to 0.6.
const SERVICE: ByPlace = ByPlace {
    signature: "(sssa(ss)asa{ss}asa(ss))",
    keys: &[
        "version",
        "short",
        "description",
        "ports",
        "modules",
        "destination",
        "protocols",
        "source_ports",
    ],
};

/// A place that has lost its meaning.
const UNUSED: &str = "";

/// How the older form spells the target of a zone that has none of its own.
const NO_TARGET: &str = "{chain}_{zone}";

/// Why there are no settings where firewalld lacks the methods that are asked for.
const NO_METHOD: &str = "this firewalld does not report its settings";

/// firewalld's codes for what a view does not have.
const ABSENT: [&str; 3] = ["INVALID_ZONE", "INVALID_POLICY", "INVALID_SERVICE"];

/// The settings of one view, without the rich rules of `managed`, which are kept apart.
///
/// # Errors
/// Why they cannot be read; one missing answer is enough, for it could be the one that matters.
pub fn settings(answers: &Answers, side: Side, managed: &str) -> Result<Settings, String> {
    let mut settings = Settings {
        default_zone: default_zone(answers, side)?,
        ..Settings::default()
    };
    let listed = answers
        .get("settings")?
        .strip_suffix("end\n")
        .filter(|rest| rest.is_empty() || rest.ends_with('\n'))
        .ok_or("the list of its settings is cut off")?;
    for line in listed.lines() {
        let (kind, name) = line
            .split_once(' ')
            .ok_or_else(|| format!("`{line}` names no settings"))?;
        let all = match kind {
            "zone" => &mut settings.zones,
            "policy" => &mut settings.policies,
            "service" => &mut settings.services,
            _ => return Err(format!("`{line}` names no settings")),
        };
        if let Some(options) = options(answers, side, kind, name)? {
            all.insert(name.to_string(), options);
        }
    }
    let mut needed = active(answers)?;
    needed.extend([managed.to_string(), settings.default_zone.clone()]);
    for zone in needed {
        if !listed.lines().any(|l| l == format!("zone {zone}")) {
            return Err(format!("the settings of zone `{zone}` were not asked for"));
        }
    }
    if side == Side::Runtime {
        settings.sets = sets(answers, &settings);
    }
    if let Some(zone) = settings.zones.get_mut(managed) {
        zone.remove("rules_str");
    }
    Ok(settings)
}

/// The address sets that a zone's source or a rich rule names.
fn sets(answers: &Answers, settings: &Settings) -> BTreeMap<String, AddressSet> {
    let all = settings.zones.values().chain(settings.policies.values());
    let mut names: BTreeSet<String> = BTreeSet::new();
    for options in all {
        let sources = options.all("sources");
        names.extend(sources.filter_map(|source| Some(source.strip_prefix("ipset:")?.to_string())));
        for text in options.all("rules_str").chain(options.all("rich_rules")) {
            let words = words_of(text).into_iter();
            names.extend(words.filter_map(|(key, value)| value.filter(|_| key == "ipset")));
        }
    }
    names
        .into_iter()
        .map(|name| {
            let settings = ask(answers, &format!("set:{name}"), "(ssssa{ss}as)");
            let unknown = AddressSet {
                nets: Vec::new(),
                more: true,
            };
            (name, settings.ok().and_then(|s| set(&s)).unwrap_or(unknown))
        })
        .collect()
}

/// `None` if it cannot be read.
fn set(settings: &Value) -> Option<AddressSet> {
    let [_, _, _, kind, options, entries] = settings.members()? else {
        return None;
    };
    let entries = entries.texts()?;
    let nets: Vec<Cidr> = entries
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    Some(AddressSet {
        // firewalld does not know the content of a set whose entries have a timeout.
        more: nets.len() < entries.len()
            || options.entry("timeout").is_some()
            || !matches!(kind.text()?, "hash:ip" | "hash:net"),
        nets,
    })
}

fn default_zone(answers: &Answers, side: Side) -> Result<String, String> {
    let answer = match side {
        Side::Runtime => ask(answers, "default-zone", "s")?,
        Side::Permanent => ask(answers, "firewalld-config", "a{sv}")?
            .entry("DefaultZone")
            .cloned()
            .ok_or("its configuration has no default zone")?,
    };
    let zone = answer.text().ok_or("its default zone cannot be read")?;
    Ok(zone.to_string())
}

fn active(answers: &Answers) -> Result<Vec<String>, String> {
    let zones = ask(answers, "active-zones", "a{sa{sas}}")?;
    let names = zones.array().into_iter().flatten().map(|entry| {
        let name = entry.members().and_then(|members| members.first()?.text());
        name.map(String::from)
    });
    names
        .collect::<Option<_>>()
        .ok_or_else(|| "its active zones cannot be read".to_string())
}

/// `None` if this view has no such zone, policy or service.
fn options(
    answers: &Answers,
    side: Side,
    kind: &str,
    name: &str,
) -> Result<Option<Options>, String> {
    let side = match side {
        Side::Permanent => "permanent",
        Side::Runtime => "runtime",
    };
    let question = format!("{side}-{kind}:{name}");
    let older = match kind {
        "zone" => Some(&ZONE),
        "service" => Some(&SERVICE),
        _ => None,
    };
    let is_older = |form: &&ByPlace| {
        let answer = answers.get(&question).unwrap_or_default();
        answer.split(' ').next() == Some(form.signature)
    };
    let older = older.filter(is_older);
    match ask(answers, &question, older.map_or("a{sv}", |f| f.signature)) {
        Ok(answer) => older
            .map_or_else(|| read(&answer), |form| read_by_place(&answer, form))
            .map(Some)
            .ok_or_else(|| format!("the settings of {kind} `{name}` cannot be read")),
        Err(why) if ABSENT.iter().any(|code| why.starts_with(code)) => Ok(None),
        // Before 0.9 a file of a policy means nothing to firewalld.
        Err(why) if kind == "policy" && is_unknown_method(&why) => Ok(None),
        Err(why) if is_unknown_method(&why) => Err(NO_METHOD.to_string()),
        Err(why) => Err(format!("the settings of {kind} `{name}`: {why}")),
    }
}

/// Whether firewalld has said that it has no method of that name.
fn is_unknown_method(why: &str) -> bool {
    // busctl prints the one or the other, by its version.
    why.contains("UnknownMethod") || why.starts_with("Unknown method")
}

fn read(settings: &Value) -> Option<Options> {
    let entry = |entry: &Value| match entry.members()? {
        [Value::Text(key), value] => Some((key.clone(), value.clone())),
        _ => None,
    };
    let entries: Option<Vec<_>> = settings.array()?.iter().map(entry).collect();
    from_entries(entries?)
}

/// Settings in the older form.
fn read_by_place(settings: &Value, form: &ByPlace) -> Option<Options> {
    let values = settings.members()?;
    if values.len() != form.keys.len() {
        return None;
    }
    let named = form.keys.iter().zip(values).map(|(key, value)| {
        let is_default = *key == "target" && value.text() == Some(NO_TARGET);
        let value = match is_default {
            true => Value::Text("default".to_string()),
            false => value.clone(),
        };
        ((*key).to_string(), value)
    });
    from_entries(named.filter(|(key, _)| key != UNUSED).collect())
}

fn from_entries(entries: Vec<(String, Value)>) -> Option<Options> {
    let mut options = BTreeMap::new();
    for (key, value) in entries {
        if TEXTS.contains(&key.as_str()) {
            continue;
        }
        let texts = texts(&key, &value)?;
        options.insert(key, texts);
    }
    let pairs = options
        .iter()
        .flat_map(|(key, texts)| texts.iter().map(move |text| (key.as_str(), text.as_str())));
    Some(pairs.collect())
}

/// A value that is off or empty has no text.
fn texts(key: &str, value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Bool(on) => Some(on.then(|| "yes".to_string()).into_iter().collect()),
        Value::Number(number) if number == "0" => Some(Vec::new()),
        Value::Text(text) | Value::Number(text) => Some(vec![text.clone()]),
        Value::Array(values) => values.iter().map(|v| text(key, v)).collect(),
        Value::Struct(_) => None,
    }
}

/// One element of a list, as firewall-cmd writes it.
fn text(key: &str, value: &Value) -> Option<String> {
    let words: Vec<&str> = match value {
        Value::Text(text) => return Some(text.clone()),
        Value::Struct(members) => members.iter().map(Value::text).collect::<Option<_>>()?,
        _ => return None,
    };
    Some(match (key, words[..].as_ref()) {
        ("forward_ports", [port, protocol, to_port, to]) => {
            let mut text = format!("port={port}:proto={protocol}");
            for (name, value) in [("toport", to_port), ("toaddr", to)] {
                if !value.is_empty() {
                    text += &format!(":{name}={value}");
                }
            }
            text
        }
        _ => words.join("/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::busctl;

    #[test]
    fn what_a_view_does_not_have_is_told_from_what_cannot_be_read() {
        let said = |said: &str| {
            let frame = format!(
                "fwdeploy-probe 1 5\n! runtime-zone:work {}\n{said}\n= runtime-zone:work 1 0\n\nfwdeploy-probe end\n",
                said.len()
            );
            let answers = Answers::parse(frame.as_bytes()).unwrap();
            options(&answers, Side::Runtime, "zone", "work")
        };
        assert_eq!(said("Call failed: INVALID_ZONE: work"), Ok(None));
        // The last line that firewalld prints about a method that it does not have.
        let old = "dbus.exceptions.UnknownMethodException: org.freedesktop.DBus.Error.UnknownMethod: Unknown method: getZoneSettings2 is not a valid method of interface org.fedoraproject.FirewallD1.zone";
        assert_eq!(said(old), Err(NO_METHOD.to_string()));
        let other =
            "Unknown method getZoneSettings2 or interface org.fedoraproject.FirewallD1.zone.";
        assert_eq!(said(other), Err(NO_METHOD.to_string()));
        assert!(said("Call failed: Connection timed out").is_err());
    }

    /// What one firewalld says in either form. 0.9 has the methods of both.
    #[test]
    fn settings_by_place_are_those_by_name() {
        let places = r#"(sssbsasa(ss)asba(ssss)asasasasa(ss)b) "" "Public" "For use in public areas." false "default" 2 "ssh" "dhcpv6-client" 1 "81" "tcp" 1 "echo-request" true 1 "8081" "tcp" "80" "" 1 "host0" 1 "10.77.9.0/24" 1 "rule family=\"ipv4\" source address=\"192.0.2.1\" reject" 1 "gre" 1 "99" "udp" false"#;
        let names = r#"a{sv} 12 "short" s "Public" "target" s "default" "services" as 2 "ssh" "dhcpv6-client" "ports" a(ss) 1 "81" "tcp" "icmp_blocks" as 1 "echo-request" "masquerade" b true "forward_ports" a(ssss) 1 "8081" "tcp" "80" "" "interfaces" as 1 "host0" "sources" as 1 "10.77.9.0/24" "rules_str" as 1 "rule family=\"ipv4\" source address=\"192.0.2.1\" reject" "protocols" as 1 "gre" "source_ports" a(ss) 1 "99" "udp""#;
        let options = |kind: &str, answer: &str| {
            let frame = format!(
                "fwdeploy-probe 1 5\n= permanent-{kind}:x 0 {}\n{answer}\n\nfwdeploy-probe end\n",
                answer.len() + 1
            );
            let answers = Answers::parse(frame.as_bytes()).unwrap();
            options(&answers, Side::Permanent, kind, "x")
        };
        let both = options("zone", places).unwrap().unwrap();
        assert_eq!(options("zone", names), Ok(Some(both.clone())));
        assert_eq!(both.one("target"), "default");
        let raw = places.replace("\"default\"", "\"{chain}_{zone}\"");
        assert_eq!(options("zone", &raw), Ok(Some(both)));

        let places =
            r#"(sssa(ss)asa{ss}asa(ss)) "" "SSH" "" 1 "22" "tcp" 0 1 "ipv4" "224.0.0.251" 0 0"#;
        let names = r#"a{sv} 3 "short" s "SSH" "ports" a(ss) 1 "22" "tcp" "destination" a{ss} 1 "ipv4" "224.0.0.251""#;
        let both = options("service", places).unwrap();
        assert!(both.is_some());
        assert_eq!(options("service", names), Ok(both));

        // Cut off, and of a form that is not known.
        for end in 0..places.len() {
            assert!(options("service", &places[..end]).is_err(), "{end}");
        }
        assert!(options("service", "(sss) \"\" \"\" \"\"").is_err());
        assert!(options("policy", places).is_err());
    }

    #[test]
    fn a_set_tells_whether_it_may_hold_more() {
        let read = |answer: &str| {
            let set = set(&busctl::parse(answer, "(ssssa{ss}as)").unwrap()).unwrap();
            (set.nets.len(), set.more)
        };
        // The answers of firewalld 1.3.3.
        let net = r#"(ssssa{ss}as) "" "" "" "hash:net" 0 2 "10.77.1.101" "10.78.0.0/16""#;
        assert_eq!(read(net), (2, false));
        let timed = r#"(ssssa{ss}as) "" "" "" "hash:ip" 1 "timeout" "60" 0"#;
        assert_eq!(read(timed), (0, true));
        let mac = r#"(ssssa{ss}as) "" "" "" "hash:mac" 0 1 "aa:bb:cc:dd:ee:ff""#;
        assert_eq!(read(mac), (0, true));
        let ports = r#"(ssssa{ss}as) "" "" "" "hash:net,port" 0 1 "10.0.0.1,80""#;
        assert_eq!(read(ports), (0, true));
    }

    #[test]
    fn a_list_that_was_cut_off_in_a_name_is_not_whole() {
        let said = |listed: &str| {
            let zone = "a{sv} 1 \"target\" s \"default\"";
            let answers = [
                ("default-zone", "s \"public\""),
                ("active-zones", "a{sa{sas}} 0"),
                ("settings", listed),
                ("runtime-zone:public", zone),
                ("runtime-zone:", zone),
            ];
            let answers =
                answers.map(|(name, text)| format!("= {name} 0 {}\n{text}\n", text.len()));
            let frame = format!(
                "fwdeploy-probe 1 5\n{}fwdeploy-probe end\n",
                answers.concat()
            );
            let answers = Answers::parse(frame.as_bytes()).unwrap();
            settings(&answers, Side::Runtime, "public")
        };
        assert!(said("zone public\nend\n").is_ok());
        assert_eq!(
            said("zone public\nzone end\n"),
            Err("the list of its settings is cut off".to_string())
        );
    }

    #[test]
    fn settings_are_written_as_firewall_cmd_writes_them() {
        // firewalld 2.3.1's own answer, without its texts.
        let answer = r#"a{sv} 13 "short" s "Work" "target" s "DROP" "services" as 2 "ssh" "dhcpv6-client" "ports" a(ss) 1 "81" "tcp" "masquerade" b false "forward_ports" a(ssss) 2 "8081" "tcp" "80" "" "22" "tcp" "" "10.0.0.1" "sources" as 1 "10.77.9.0/24" "rules_str" as 1 "rule priority=\"-5\" family=\"ipv4\" reject" "protocols" as 1 "gre" "source_ports" a(ss) 1 "99" "udp" "icmp_block_inversion" b false "forward" b true "ingress_priority" i 0"#;
        let options = read(&busctl::parse(answer, "a{sv}").unwrap()).unwrap();
        let expected: Options = [
            ("target", "DROP"),
            ("services", "ssh"),
            ("services", "dhcpv6-client"),
            ("ports", "81/tcp"),
            ("forward_ports", "port=8081:proto=tcp:toport=80"),
            ("forward_ports", "port=22:proto=tcp:toaddr=10.0.0.1"),
            ("sources", "10.77.9.0/24"),
            ("rules_str", r#"rule priority="-5" family="ipv4" reject"#),
            ("protocols", "gre"),
            ("source_ports", "99/udp"),
            ("forward", "yes"),
        ]
        .into_iter()
        .collect();
        assert_eq!(options, expected);
    }
}
