//! firewalld's answers over D-Bus, from its memory and its files.

use std::collections::BTreeMap;

use crate::model::Family;
use crate::model::rule::DirectRule;
use crate::model::rule::Passthrough;
use crate::model::state::Daemon;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::model::state::Firewalld;
use crate::model::state::NO_ZONE;
use crate::model::state::Observed;
use crate::model::state::RichText;
use crate::probe::busctl;
use crate::probe::busctl::Value;
use crate::probe::sections::Answers;
use crate::probe::system::Unit;
use crate::probe::system::unit;

/// How the daemon is.
pub fn daemon(answers: &Answers) -> Daemon {
    let unit = unit(answers.get("firewalld-unit"), "firewalld.service");
    let owned = ask(answers, "firewalld-owner", "b");
    match (owned, unit) {
        (Ok(Value::Bool(true)), _) => match properties(answers) {
            Ok(_) => Daemon::Running,
            Err(why) => Daemon::Silent(why),
        },
        (_, Ok(Unit::NotFound)) => Daemon::Missing,
        (_, Ok(Unit::Inactive(how))) => Daemon::Stopped(how),
        (Ok(_), Ok(Unit::Active)) => Daemon::Silent("it is not on the system bus".to_string()),
        (Err(why), _) | (_, Err(why)) => Daemon::Unknown(why),
    }
}

/// The daemon's state and settings.
///
/// # Errors
/// Why they cannot be read.
pub fn firewalld(answers: &Answers) -> Result<Firewalld, String> {
    let properties = properties(answers)?;
    let config = ask(answers, "firewalld-config", "a{sv}")?;
    let zone = ask(answers, "default-zone", "s")?;
    Ok(Firewalld {
        version: property(&properties, "version")?,
        state: property(&properties, "state")?,
        backend: backend(&config)?,
        default_zone: zone.text().unwrap_or_default().to_string(),
        active_zones: active_zones(&ask(answers, "active-zones", "a{sa{sas}}")?)
            .ok_or("its active zones cannot be read")?,
        panic: ask(answers, "panic", "b")? == Value::Bool(true),
        in_kernel: Observed::Unreadable("the kernel reports".to_string()),
    })
}

fn properties(answers: &Answers) -> Result<Value, String> {
    ask(answers, "firewalld-properties", "a{sv}")
}

fn property(properties: &Value, name: &str) -> Result<String, String> {
    let text = properties.entry(name).and_then(Value::text);
    text.map(String::from)
        .ok_or_else(|| format!("it does not report its {name}"))
}

/// firewalld before 0.6 knew one backend, and had no property for it.
fn backend(config: &Value) -> Result<String, String> {
    match config.entry("FirewallBackend") {
        None if config.entry("DefaultZone").is_some() => Ok("iptables".to_string()),
        _ => property(config, "FirewallBackend"),
    }
}

/// The interfaces of each zone that has some, or sources.
fn active_zones(zones: &Value) -> Option<BTreeMap<String, Vec<String>>> {
    let mut active = BTreeMap::new();
    for entry in zones.array()? {
        let [name, bound] = entry.members()? else {
            return None;
        };
        let interfaces = match bound.entry("interfaces") {
            Some(interfaces) => interfaces.texts()?,
            None => Vec::new(),
        };
        active.insert(name.text()?.to_string(), interfaces);
    }
    Some(active)
}

/// The direct configuration of the files.
///
/// # Errors
/// Why it cannot be read.
pub fn permanent_direct(answers: &Answers) -> Result<Direct, String> {
    let settings = ask(answers, "permanent-direct", "(a(sss)a(sssias)a(sas))")?;
    match settings.members() {
        Some([chains, rules, passthroughs]) => direct(chains, rules, passthroughs),
        _ => None,
    }
    .ok_or_else(|| "its direct configuration cannot be read".to_string())
}

/// The direct configuration of the memory.
///
/// # Errors
/// Why it cannot be read.
pub fn runtime_direct(answers: &Answers) -> Result<Direct, String> {
    let chains = ask(answers, "runtime-chains", "a(sss)")?;
    let rules = ask(answers, "runtime-rules", "a(sssias)")?;
    let passthroughs = ask(answers, "runtime-passthroughs", "a(sas)")?;
    direct(&chains, &rules, &passthroughs)
        .ok_or_else(|| "its direct configuration cannot be read".to_string())
}

fn direct(chains: &Value, rules: &Value, passthroughs: &Value) -> Option<Direct> {
    Some(Direct {
        chains: chains.array()?.iter().map(chain).collect::<Option<_>>()?,
        rules: rules.array()?.iter().map(rule).collect::<Option<_>>()?,
        passthroughs: passthroughs
            .array()?
            .iter()
            .map(passthrough)
            .collect::<Option<_>>()?,
    })
}

fn chain(value: &Value) -> Option<DirectChain> {
    let [ipv, table, chain] = value.members()? else {
        return None;
    };
    Some(DirectChain {
        ipv: ipv.text()?.to_string(),
        table: table.text()?.to_string(),
        chain: chain.text()?.to_string(),
    })
}

fn rule(value: &Value) -> Option<DirectRule> {
    let [ipv, table, chain, Value::Number(priority), args] = value.members()? else {
        return None;
    };
    let family = match ipv.text()? {
        "eb" => None,
        ipv => Some(ipv.parse::<Family>().ok()?),
    };
    Some(DirectRule {
        family,
        table: table.text()?.to_string(),
        chain: chain.text()?.to_string(),
        priority: priority.parse().ok()?,
        args: args.texts()?.into(),
    })
}

fn passthrough(value: &Value) -> Option<Passthrough> {
    let [ipv, args] = value.members()? else {
        return None;
    };
    Some(Passthrough::new(ipv.text()?, args.texts()?))
}

/// The zone that was read.
///
/// # Errors
/// Why none was.
pub fn zone(answers: &Answers) -> Result<String, String> {
    match answers.get("zone")? {
        "" => Err("it does not report its default zone".to_string()),
        zone => Ok(zone.to_string()),
    }
}

/// The rich rules of the zone's file.
///
/// # Errors
/// Why they cannot be read.
pub fn permanent_rich(answers: &Answers) -> Result<Vec<RichText>, String> {
    ask(answers, "permanent-zone", "o").map_err(|why| no_zone(answers, why))?;
    rich(answers, "permanent-rich")
}

/// The rich rules of the zone in memory.
///
/// # Errors
/// Why they cannot be read.
pub fn runtime_rich(answers: &Answers) -> Result<Vec<RichText>, String> {
    rich(answers, "runtime-rich").map_err(|why| no_zone(answers, why))
}

fn rich(answers: &Answers, name: &'static str) -> Result<Vec<RichText>, String> {
    // Rules of an unknown zone are not an answer.
    zone(answers)?;
    let rules = ask(answers, name, "as")?;
    let texts = rules.texts().ok_or("its rich rules cannot be read")?;
    Ok(texts.into_iter().map(RichText::new).collect())
}

/// firewalld's code for a missing zone, in words.
fn no_zone(answers: &Answers, why: String) -> String {
    match zone(answers) {
        Ok(zone) if why.starts_with("INVALID_ZONE") => {
            let there = answers.get("zone-names").unwrap_or_default();
            let there: Vec<&str> = there.lines().collect();
            let there = match there.is_empty() {
                true => String::new(),
                false => format!("; it has: {}", there.join(", ")),
            };
            format!("{NO_ZONE} `{zone}`{there}")
        }
        _ => why,
    }
}

/// An answer that came through busctl.
pub fn ask(answers: &Answers, name: &str, signature: &str) -> Result<Value, String> {
    match answers.get(name) {
        Ok(answer) => busctl::parse(answer, signature),
        Err(why) => Err(why
            .strip_prefix("Call failed: ")
            .unwrap_or(&why)
            .to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_an_unknown_family_is_no_rule() {
        let rules = |ipv: &str| {
            let answer = format!(r#"a(sssias) 1 "{ipv}" "filter" "X" 0 1 "-jDROP""#);
            let rules = busctl::parse(&answer, "a(sssias)").unwrap();
            rule(&rules.array().unwrap()[0])
        };
        assert_eq!(rules("ipv6").unwrap().family, Some(Family::V6));
        assert_eq!(rules("eb").unwrap().family, None);
        assert_eq!(rules("ipv5"), None);
    }
}
