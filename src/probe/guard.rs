//! `nft -j -p list table inet fwdeploy` (libnftables-json(5)) → the guard's table, and what it has counted.
//!
//! Only the forms that fwdeploy writes are read as such. Any other rule is [`GuardRule::Foreign`], so that a table that somebody has changed
//! never compares as equal.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use crate::model::Observed;
use crate::model::guard::GuardBoot;
use crate::model::guard::GuardState;
use crate::model::guard::GuardUsage;
use crate::model::guard::NftVersion;
use crate::model::guard::NftablesService;
use crate::model::guard::table::Dynamic;
use crate::model::guard::table::Field;
use crate::model::guard::table::GuardChain;
use crate::model::guard::table::GuardHook;
use crate::model::guard::table::GuardMatch;
use crate::model::guard::table::GuardRule;
use crate::model::guard::table::GuardSet;
use crate::model::guard::table::GuardTable;
use crate::model::guard::table::GuardVerdict;
use crate::model::guard::table::Key;
use crate::model::guard::table::LOG_BURST;
use crate::model::guard::table::LOG_RATE;
use crate::model::guard::table::NAME;
use crate::model::guard::table::Part;
use crate::model::guard::table::Right;
use crate::model::guard::table::SetElement;
use crate::model::guard::usage::Count;
use crate::model::guard::usage::CountedElement;
use crate::model::guard::usage::RefusedFlow;
use crate::model::mark::FirewallMark;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::net::Protocol;
use crate::model::rule::Sense;
use crate::model::visible::visible;
use crate::probe::nft_json::each_object;
use crate::probe::sections::Answers;

/// What is not understood is kept to this length, in bytes.
const SHOWN: usize = 300;

/// How the guard is.
pub fn state(answers: &Answers) -> GuardState {
    let nft = installed(answers);
    // Without its version it is unknown what the table would have to be.
    let list = nft.clone().and_then(|_| list(answers));
    let (table, usage) = match list {
        Ok(Some(text)) => {
            let Contents { table, usage } = read(text);
            (table.map(Some), usage)
        }
        Ok(None) => (Ok(None), Ok(GuardUsage::default())),
        Err(why) => (Err(why.clone()), Err(why)),
    };
    GuardState {
        nft: nft.ok().flatten(),
        table: Observed::from(table),
        usage: Observed::from(usage),
        boot: Observed::from(boot(answers)),
        nftables_service: Observed::from(nftables_service(answers)),
    }
}

/// The version of nft; `None` where it is not installed.
fn installed(answers: &Answers) -> Result<Option<NftVersion>, String> {
    if answers.was_skipped("nft-version") {
        return Ok(None);
    }
    let text = answers.get("nft-version")?;
    match version(text) {
        Some(version) => Ok(Some(version)),
        None => Err(format!("`nft --version` printed {}", visible(text.trim()))),
    }
}

/// `nftables v1.0.6 (Lester Gooch #5)`: the version, and its name, which tells that the line is whole.
fn version(text: &str) -> Option<NftVersion> {
    let word = text
        .trim_end()
        .strip_suffix(')')?
        .split_whitespace()
        .find_map(|word| word.strip_prefix('v'))?;
    let mut numbers = word.split('.').map(|part| part.parse().ok());
    Some(NftVersion(
        numbers.next()??,
        numbers.next()??,
        numbers.next().flatten().unwrap_or(0),
    ))
}

/// nft's list; `None` if there is no such table.
fn list<'a>(answers: &'a Answers<'_>) -> Result<Option<&'a str>, String> {
    if answers.was_skipped("guard-table") {
        return Ok(None);
    }
    let text = answers.get("guard-table")?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    let whole = text.trim_end().strip_suffix("end");
    whole.map(Some).ok_or("the table is cut off".to_string())
}

fn boot(answers: &Answers) -> Result<GuardBoot, String> {
    let mut boot = GuardBoot::default();
    for line in answers.get("guard-files")?.lines() {
        match line {
            "enabled" => boot.is_enabled = true,
            "active" => boot.is_active = true,
            "masked" => boot.is_masked = true,
            "changed" => boot.is_changed = true,
            "service" => {}
            _ if line.starts_with("service ") => {}
            _ if line.starts_with("drop-in ") => {
                let text = boot.drop_in.get_or_insert_default();
                text.push_str(&line["drop-in ".len()..]);
                text.push('\n');
            }
            _ => {
                let (sum, file) = line.split_once("  ").ok_or("a line is not understood")?;
                let place = match file.rsplit('/').next() {
                    Some("guard.nft") => &mut boot.script,
                    Some("fwdeploy-guard.service") => &mut boot.unit,
                    _ => return Err("a file is not understood".to_string()),
                };
                *place = Some(sum.to_string());
            }
        }
    }
    Ok(boot)
}

/// What the distribution's `nftables.service` runs; `None` if there is none.
fn nftables_service(answers: &Answers) -> Result<Option<NftablesService>, String> {
    let mut lines = answers.get("guard-files")?.lines();
    if !lines.any(|line| line == "service") {
        return Ok(None);
    }
    let commands = lines.filter_map(|line| line.strip_prefix("service "));
    Ok(Some(NftablesService {
        commands: commands.map(str::to_string).collect(),
    }))
}

/// Reads the table.
///
/// # Errors
/// What is not nft's JSON. What fwdeploy does not write is [`GuardRule::Foreign`] or [`GuardTable::foreign`].
pub fn table(text: &str) -> Result<GuardTable, String> {
    read(text).table
}

/// Reads what the same text says of counters and refused flows.
///
/// # Errors
/// What is not nft's JSON, or is a set of a kind that fwdeploy does not write, or a counter that is no number.
pub fn usage(text: &str) -> Result<GuardUsage, String> {
    read(text).usage
}

/// What nft's list says, each with an error of its own.
struct Contents {
    table: Result<GuardTable, String>,
    usage: Result<GuardUsage, String>,
}

fn read(text: &str) -> Contents {
    let mut table = Ok(GuardTable::default());
    let mut usage = Ok(GuardUsage::default());
    let whole = each_object(text, |kind, object| {
        add(&mut table, |table| add_to_table(table, kind, &object));
        if kind == "set" && object["table"] == NAME {
            add(&mut usage, |usage| add_usage(usage, &object));
        }
    });
    Contents {
        table: whole.clone().and(table),
        usage: whole.and(usage),
    }
}

/// Adds something to what was read so far; after an error nothing.
fn add<T>(so_far: &mut Result<T, String>, more: impl FnOnce(&mut T) -> Result<(), String>) {
    let added = match so_far {
        Ok(so_far) => more(so_far),
        Err(_) => return,
    };
    if let Err(why) = added {
        *so_far = Err(why);
    }
}

/// nft 1.0 lists sets before chains, and later ones after them; rules come last in all.
fn add_to_table(table: &mut GuardTable, kind: &str, object: &Value) -> Result<(), String> {
    match kind {
        "metainfo" => {}
        // `dormant` makes all of it have no effect. Older nft does not list it.
        "table" => {
            if let Some(flags) = object.get("flags") {
                table.foreign.insert(format!("flags {}", cut(flags)));
            }
        }
        "set" | "chain" | "rule" if object["table"] != NAME => {}
        "set" => {
            let name = text_of(&object["name"])?;
            match set(object) {
                Ok(set) => {
                    table.sets.insert(name, set);
                }
                Err(why) => {
                    table.foreign.insert(format!("set {name}: {why}"));
                }
            }
        }
        "chain" => {
            let name = text_of(&object["name"])?;
            let chain = chain(object).unwrap_or_else(|why| {
                table.foreign.insert(format!("chain {name}: {why}"));
                GuardChain {
                    hook: None,
                    rules: Vec::new(),
                }
            });
            table.chains.insert(name, chain);
        }
        "rule" => {
            let name = text_of(&object["chain"])?;
            let chain = table.chains.get_mut(&name);
            let chain = chain.ok_or_else(|| format!("a rule of no chain, {name}"))?;
            chain.rules.push(rule(&object["expr"]));
        }
        // A map, a counter, a flowtable.
        other => {
            let name = text_of(&object["name"])?;
            table.foreign.insert(format!("{} {name}", visible(other)));
        }
    }
    Ok(())
}

/// The counters and the refused flows of a set.
fn add_usage(usage: &mut GuardUsage, set: &Value) -> Result<(), String> {
    let name = text_of(&set["name"])?;
    let about = |why: &str| format!("set {name}: {why}");
    let shape = shape(set).map_err(|why| about(&why))?;
    let elements = set["elem"].as_array().into_iter().flatten();
    if let Some(Dynamic { timeout, .. }) = shape.dynamic {
        if !is_of_flows(&shape.key) {
            return Ok(());
        }
        let room = GuardUsage::MOST_REFUSED.saturating_sub(usage.refused.len());
        for listed in elements.take(room) {
            let flow = refused(listed, &shape.key, timeout);
            usage
                .refused
                .push(flow.ok_or_else(|| about("a refused flow is not understood"))?);
        }
    } else if shape.is_counted {
        let counted: Option<Vec<CountedElement>> = elements
            .map(|listed| {
                Some(CountedElement {
                    element: element(listed, &shape.key)?,
                    count: count(listed.get("elem")?.get("counter")?)?,
                })
            })
            .collect();
        let counted = counted.ok_or_else(|| about("a counter is not understood"))?;
        usage.elements.insert(name, counted);
    }
    Ok(())
}

/// Whether a set holds flows from address to address, with or without ports.
fn is_of_flows(key: &[Key]) -> bool {
    let [
        Key::Address(from),
        Key::Address(to),
        Key::Protocol,
        rest @ ..,
    ] = key
    else {
        return false;
    };
    from == to && matches!(rest, [] | [Key::Port])
}

fn refused(listed: &Value, key: &[Key], timeout: u32) -> Option<RefusedFlow> {
    let element = listed.get("elem")?;
    let parts = element["val"]["concat"].as_array()?;
    let [source, destination, protocol, port @ ..] = &parts[..] else {
        return None;
    };
    if parts.len() != key.len() {
        return None;
    }
    let address = |value: &Value| {
        let address: IpAddr = value.as_str()?.parse().ok()?;
        (key[0] == Key::Address(Family::of(&address))).then_some(address)
    };
    let port = match port.first() {
        Some(port) => Some(number(port)?.try_into().ok()?),
        None => None,
    };
    let counter = match element.get("counter") {
        Some(counter) => Some(count(counter)?),
        None => None,
    };
    // An element of these sets expires after the set's time without a packet.
    let expires = number(&element["expires"]);
    Some(RefusedFlow {
        source: address(source)?,
        destination: address(destination)?,
        protocol: protocol_name(protocol)?.into_owned(),
        port,
        count: counter,
        idle: expires.map(|left| timeout.saturating_sub(left)),
    })
}

/// The longest name of a protocol that is read.
const LONGEST_PROTOCOL: usize = 32;

/// The name of a protocol. nft is asked for numbers (`-p`): for a name it opens /etc/protocols, once for each element. A name is taken as it is.
fn protocol_name(value: &Value) -> Option<Cow<'_, str>> {
    if let Some(number) = number(value) {
        let number = u8::try_from(number).ok()?;
        let known = PROTOCOLS.iter().find(|(known, _)| *known == number);
        return Some(known.map_or_else(|| number.to_string().into(), |(_, name)| (*name).into()));
    }
    let name = value.as_str()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let is_name = (1..=LONGEST_PROTOCOL).contains(&name.len()) && name.chars().all(is_plain);
    is_name.then_some(name.into())
}

/// The names in /etc/protocols (protocols(5)) of what a node may send or receive.
const PROTOCOLS: [(u8, &str); 19] = [
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipencap"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "ipv6-icmp"),
    (88, "eigrp"),
    (89, "ospf"),
    (103, "pim"),
    (112, "vrrp"),
    (115, "l2tp"),
    (132, "sctp"),
    (136, "udplite"),
    (137, "mpls-in-ip"),
];

fn count(counter: &Value) -> Option<Count> {
    Some(Count {
        packets: counter["packets"].as_u64()?,
        bytes: counter["bytes"].as_u64()?,
    })
}

fn text_of(value: &Value) -> Result<String, String> {
    let text = value.as_str().ok_or("a name is missing")?;
    Ok(visible(text))
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| number.try_into().ok())
}

fn set(object: &Value) -> Result<GuardSet, String> {
    let mut set = shape(object)?;
    if set.dynamic.is_none() {
        for listed in object["elem"].as_array().into_iter().flatten() {
            let element = element(listed, &set.key).ok_or("an element is not understood")?;
            set.elements.insert(element);
        }
    }
    Ok(set)
}

/// A set without its elements.
fn shape(object: &Value) -> Result<GuardSet, String> {
    let key: Option<Vec<Key>> = match &object["type"] {
        Value::String(one) => key(one).map(|key| vec![key]),
        Value::Array(several) => several.iter().map(|one| key(one.as_str()?)).collect(),
        _ => None,
    };
    let key = key.ok_or("its type is not known")?;
    let has_flag = |flag: &str| {
        let flags = object["flags"].as_array();
        flags.is_some_and(|flags| flags.iter().any(|one| one == flag))
    };
    // nft 1.0 does not list the flag `dynamic`; a limit of time is set for those only that the kernel fills.
    let dynamic = match (number(&object["size"]), number(&object["timeout"])) {
        (Some(size), Some(timeout)) => Some(Dynamic { size, timeout }),
        _ => None,
    };
    let statements = object["stmt"].as_array();
    Ok(GuardSet {
        is_interval: has_flag("interval"),
        is_counted: statements
            .is_some_and(|all| all.iter().any(|one| one.get("counter").is_some())),
        key,
        dynamic,
        elements: BTreeSet::new(),
    })
}

fn key(name: &str) -> Option<Key> {
    Key::ALL.into_iter().find(|key| key.as_str() == name)
}

fn element(listed: &Value, key: &[Key]) -> Option<SetElement> {
    // With a counter, the value is one level below.
    let value = listed.get("elem").map_or(listed, |elem| &elem["val"]);
    let parts = match value.get("concat") {
        Some(parts) => parts.as_array()?.as_slice(),
        None => std::slice::from_ref(value),
    };
    if parts.len() != key.len() {
        return None;
    }
    let parts = parts.iter().zip(key);
    parts.map(|(value, key)| part(value, *key)).collect()
}

fn part(value: &Value, key: Key) -> Option<Part> {
    match key {
        Key::Address(family) => net(value)
            .filter(|net| net.family() == family)
            .map(Part::Net),
        Key::Protocol => {
            let name = protocol_name(value)?;
            let protocols = [Protocol::Tcp, Protocol::Udp];
            let found = protocols.into_iter().find(|p| name == p.name());
            let icmp = || Family::ALL.into_iter().find(|of| name == of.icmp());
            found.map(Part::Protocol).or_else(|| icmp().map(Part::Icmp))
        }
        Key::Port => ports(value),
        Key::Interface => Some(Part::Interface(value.as_str()?.to_string())),
    }
}

/// A port, or a range of ports: `{"range": [8000, 8020]}`.
fn ports(value: &Value) -> Option<Part> {
    let port = |value: &Value| number(value)?.try_into().ok();
    let Some(range) = value.get("range") else {
        return Some(Part::Port(port(value)?));
    };
    match range.as_array()?.as_slice() {
        [first, last] => Some(Part::Ports(port(first)?, port(last)?)),
        _ => None,
    }
}

fn net(value: &Value) -> Option<Cidr> {
    let Some(prefix) = value.get("prefix") else {
        return value.as_str()?.parse().ok();
    };
    let address = prefix["addr"].as_str()?.parse().ok()?;
    Cidr::around(address, number(&prefix["len"])?.try_into().ok()?)
}

fn chain(object: &Value) -> Result<GuardChain, String> {
    let hook = match object.get("hook") {
        None => None,
        Some(_) if object["type"] != "filter" || object["policy"] != "accept" => {
            return Err("its type or policy is another one".to_string());
        }
        Some(name) => {
            let priority = object["prio"].as_i64().and_then(|n| n.try_into().ok());
            Some(GuardHook {
                name: text_of(name)?,
                priority: priority.ok_or("its priority is not a number")?,
            })
        }
    };
    Ok(GuardChain {
        hook,
        rules: Vec::new(),
    })
}

fn rule(expressions: &Value) -> GuardRule {
    let known = expressions.as_array().and_then(|all| known(all));
    known.unwrap_or_else(|| GuardRule::Foreign(cut(expressions)))
}

/// JSON of somebody else's, safe to be shown.
fn cut(value: &Value) -> String {
    let mut text = value.to_string();
    let cuts = (0..=SHOWN.min(text.len())).rev();
    text.truncate(
        cuts.into_iter()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0),
    );
    visible(&text)
}

fn known(expressions: &[Value]) -> Option<GuardRule> {
    let mut matches = Vec::new();
    let (mut is_counted, mut is_limited) = (false, false);
    let mut verdict = None;
    for expression in expressions {
        // Nothing follows a verdict.
        if verdict.is_some() {
            return None;
        }
        let (name, value) = expression.as_object()?.iter().next()?;
        match name.as_str() {
            "log" if is_limited && !is_counted => verdict = Some(log(value)?),
            _ if is_limited => return None,
            "limit" if is_our_limit(value) => is_limited = true,
            "match" if !is_counted => matches.push(condition(value)?),
            "counter" if !is_counted => is_counted = true,
            "accept" => verdict = Some(GuardVerdict::Accept),
            "drop" => verdict = Some(GuardVerdict::Drop),
            "return" => verdict = Some(GuardVerdict::Return),
            "reject" if value["type"] == "icmpx" && value["expr"] == "admin-prohibited" => {
                verdict = Some(GuardVerdict::Reject);
            }
            "jump" => verdict = Some(GuardVerdict::Jump(value["target"].as_str()?.to_string())),
            "goto" => verdict = Some(GuardVerdict::Goto(value["target"].as_str()?.to_string())),
            "set" if value["op"] == "update" && value.get("stmt").is_none() => {
                let set = value["set"].as_str()?.strip_prefix('@')?;
                verdict = Some(GuardVerdict::Record(
                    fields(&value["elem"])?,
                    set.to_string(),
                ));
            }
            "mangle" => verdict = Some(GuardVerdict::Mark(mark(value)?)),
            _ => return None,
        }
    }
    Some(GuardRule::Known {
        matches,
        is_counted,
        verdict: verdict?,
    })
}

/// Whether it is the limit of what the guard logs. A rate that is inverted (`over`) or counts bytes has keys of its own.
fn is_our_limit(value: &Value) -> bool {
    value.as_object().is_some_and(|limit| limit.len() == 3)
        && value["per"] == "minute"
        && number(&value["rate"]) == Some(LOG_RATE)
        && number(&value["burst"]) == Some(LOG_BURST)
}

/// What is logged; `None` if it has a level or another setting.
fn log(value: &Value) -> Option<GuardVerdict> {
    let has_prefix_only = value.as_object()?.len() == 1;
    let prefix = value["prefix"].as_str()?;
    has_prefix_only.then(|| GuardVerdict::Log(visible(prefix)))
}

/// What `meta mark set` gives a packet, in the three forms that [`GuardVerdict::Mark`] is written in.
fn mark(statement: &Value) -> Option<FirewallMark> {
    let is_own = |value: &Value| value["meta"]["key"] == "mark";
    if !is_own(&statement["key"]) {
        return None;
    }
    let value = &statement["value"];
    if let Some(value) = number(value) {
        let mask = u32::MAX;
        return Some(FirewallMark { value, mask });
    }
    let [left, right] = value["|"].as_array()?.as_slice() else {
        return None;
    };
    let value = number(right)?;
    let mask = if is_own(left) {
        value
    } else {
        match left["&"].as_array()?.as_slice() {
            [own, kept] if is_own(own) => !number(kept)? | value,
            _ => return None,
        }
    };
    Some(FirewallMark { value, mask })
}

fn condition(value: &Value) -> Option<GuardMatch> {
    let left = fields(&value["left"])?;
    // A bit of several, such as a state: `in` is how nft writes that it is set.
    let is_bit = matches!(left[..], [Field::State | Field::Status]);
    let sense = match value["op"].as_str()? {
        "==" if !is_bit => Sense::Is,
        "in" if is_bit => Sense::Is,
        "!=" => Sense::Not,
        _ => return None,
    };
    let right = &value["right"];
    let word = |value: &Value| match left[..] {
        [Field::Protocol] => protocol_name(value).map(Cow::into_owned),
        _ => Some(value.as_str()?.to_string()),
    };
    let right = match (right.get("set"), right.as_str()) {
        (Some(set), _) => Right::Words(set.as_array()?.iter().map(word).collect::<Option<_>>()?),
        (None, Some(text)) if text.starts_with('@') => Right::Set(text[1..].to_string()),
        _ if matches!(left[..], [Field::Source(_) | Field::Destination(_)]) => {
            Right::Net(net(right)?)
        }
        _ => Right::Words(BTreeSet::from([word(right)?])),
    };
    Some(GuardMatch { left, sense, right })
}

fn fields(value: &Value) -> Option<Vec<Field>> {
    match value.get("concat") {
        Some(several) => several.as_array()?.iter().map(field).collect(),
        None => Some(vec![field(value)?]),
    }
}

fn field(value: &Value) -> Option<Field> {
    let (kind, value) = value.as_object()?.iter().next()?;
    let found = match kind.as_str() {
        "meta" => match value["key"].as_str()? {
            "iifname" => Field::In,
            "oifname" => Field::Out,
            "l4proto" => Field::Protocol,
            _ => return None,
        },
        "ct" if value.get("dir").is_none() => match value["key"].as_str()? {
            "direction" => Field::Direction,
            "state" => Field::State,
            "status" => Field::Status,
            _ => return None,
        },
        "payload" => match (value["protocol"].as_str()?, value["field"].as_str()?) {
            ("ip", "saddr") => Field::Source(Family::V4),
            ("ip6", "saddr") => Field::Source(Family::V6),
            ("ip", "daddr") => Field::Destination(Family::V4),
            ("ip6", "daddr") => Field::Destination(Family::V6),
            ("th", "sport") => Field::SourcePort,
            ("th", "dport") => Field::DestinationPort,
            ("icmpv6", "type") => Field::Icmp6,
            _ => return None,
        },
        _ => return None,
    };
    Some(found)
}
