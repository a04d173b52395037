//! `nft -j list table` (libnftables-json(5)), one table a line, read as far as the way of a packet depends on it.
//!
//! What is not understood is [`Test::Unknown`] or [`Act::Elsewhere`]: it may match or not. So is what would be too large: a set
//! is written out in each rule that names it, which a hostile node could make any amount of memory.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::mark::FirewallMark;
use crate::model::net::Family;
use crate::model::ranges::Ranges;
use crate::model::rule::CtState;
use crate::model::step::Act;
use crate::model::step::Hook;
use crate::model::step::NftTable;
use crate::model::step::Step;
use crate::model::step::Test;
use crate::probe::addresses::ends;
use crate::probe::nft_json::each_object;

/// How much all rules together may hold: more than the largest answer (12 MB) has in its own words.
const MOST: usize = 2_000_000;

/// Reads the tables.
///
/// # Errors
/// Not JSON of nft.
pub fn tables(text: &str) -> Result<Vec<NftTable>, String> {
    let room = Room(Cell::new(MOST));
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| table(line, &room))
        .collect()
}

/// How much may still be held.
struct Room(Cell<usize>);

impl Room {
    /// Whether there was space for this much; once there was not, there is none.
    fn take(&self, much: usize) -> bool {
        let left = self.0.get().checked_sub(much);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Whether there was a step for which there was no room.
    fn is_full(&self) -> bool {
        self.0.get() == 0
    }
}

/// How much a condition holds.
fn weight(test: &Test) -> usize {
    let words = |words: &[String]| words.iter().map(|word| 1 + word.len() / 16).sum();
    1 + match test {
        Test::Source(_, ranges) | Test::Destination(_, ranges) => ranges.count(),
        Test::In(_, names) | Test::Out(_, names) | Test::Protocol(_, names) => words(names),
        Test::SourcePort(_, ports) | Test::DestinationPort(_, ports) => ports.len(),
        _ => 0,
    }
}

/// The members of the sets and maps of a table, by name.
struct Sets<'a> {
    members: BTreeMap<String, Vec<Value>>,
    room: &'a Room,
}

impl Sets<'_> {
    /// The members of `@NAME`; `None` if they are unknown, or too many.
    fn named(&self, name: &str) -> Option<&[Value]> {
        let members = self.members.get(name.trim_start_matches('@'))?;
        self.room
            .take(1 + members.len())
            .then_some(members.as_slice())
    }
}

/// Every nft lists rules after all else. A set or a map that came after a rule would be unknown to it.
fn table(line: &str, room: &Room) -> Result<NftTable, String> {
    let mut table = NftTable::default();
    let mut sets = Sets {
        members: BTreeMap::new(),
        room,
    };
    each_object(line, |kind, mut object| match kind {
        "set" | "map" => {
            let members = match object.get_mut("elem").map(Value::take) {
                Some(Value::Array(members)) => members,
                _ => Vec::new(),
            };
            sets.members
                .insert(text(&object["name"]).to_string(), members);
        }
        "chain" => {
            let entry = table.chains.entry(text(&object["name"]).to_string());
            entry.or_default().hook = hook(&object);
        }
        "table" => {
            table.family = text(&object["family"]).to_string();
            table.name = text(&object["name"]).to_string();
        }
        "rule" => {
            let entry = table.chains.entry(text(&object["chain"]).to_string());
            entry.or_default().steps.extend(steps(&object, &sets));
        }
        _ => {}
    })?;
    Ok(table)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn hook(chain: &Value) -> Option<Hook> {
    Some(Hook {
        hook: chain.get("hook")?.as_str()?.to_string(),
        kind: text(&chain["type"]).to_string(),
        priority: chain["prio"].as_i64().unwrap_or(0),
        drops: chain["policy"] == "drop",
    })
}

/// A rule; a verdict map is as many.
fn steps(rule: &Value, sets: &Sets) -> Vec<Step> {
    let name = match rule["handle"].as_u64() {
        Some(handle) => format!("handle {handle}"),
        None => "a rule without a handle".to_string(),
    };
    let step = |tests: &[Test], act: Act| {
        let target = match &act {
            Act::Jump(name) | Act::Goto(name) => name.len() / 16,
            _ => 0,
        };
        let much = || 1 + target + tests.iter().map(weight).sum::<usize>();
        let fits = !sets.room.is_full() && sets.room.take(much());
        let unknown = [Test::Unknown];
        Step {
            text: name.clone(),
            tests: if fits { tests } else { &unknown }.to_vec(),
            act,
        }
    };
    let Some(statements) = rule["expr"].as_array() else {
        return vec![step(&[Test::Unknown], Act::Elsewhere)];
    };
    let mut out = Vec::new();
    let mut tests = Vec::new();
    for statement in statements {
        let Some((word, said)) = statement.as_object().and_then(|o| o.iter().next()) else {
            tests.push(Test::Unknown);
            continue;
        };
        match word.as_str() {
            "match" => tests.extend(matched(said, sets)),
            "vmap" => {
                for (more, act) in mapped(said, sets) {
                    tests.extend(more);
                    out.push(step(&tests, act));
                    tests.pop();
                }
                return out;
            }
            "counter" | "log" | "set" | "map" | "last" | "flow" | "ct helper" | "ct timeout"
            | "meter" => {}
            "mangle" if said["key"]["meta"]["key"] == "mark" => out.push(step(&tests, Act::Mark)),
            "mangle" => {}
            _ => match verdict(word, said) {
                Some(act @ (Act::Untrack | Act::Mark)) => out.push(step(&tests, act)),
                Some(act) => {
                    out.push(step(&tests, act));
                    return out;
                }
                None => tests.push(Test::Unknown),
            },
        }
    }
    out
}

fn verdict(word: &str, said: &Value) -> Option<Act> {
    let target = || text(&said["target"]).to_string();
    Some(match word {
        "accept" => Act::Accept,
        "drop" | "reject" => Act::Refuse,
        "return" => Act::Return,
        "continue" => Act::GoOn,
        "jump" => Act::Jump(target()),
        "goto" => Act::Goto(target()),
        "queue" | "tproxy" | "synproxy" | "fwd" | "dup" => Act::Elsewhere,
        "dnat" => {
            let address = text(&said["addr"]).parse().ok();
            let port = said["port"]
                .as_u64()
                .and_then(|port| u16::try_from(port).ok());
            Act::Dnat(address.map(|address| (address, port)))
        }
        "redirect" => Act::Redirect,
        "snat" | "masquerade" => Act::Snat,
        "notrack" => Act::Untrack,
        _ => return None,
    })
}

/// The cases of a verdict map, each with its one condition.
fn mapped(said: &Value, sets: &Sets) -> Vec<(Vec<Test>, Act)> {
    let cases = match &said["data"] {
        Value::String(name) => sets.named(name),
        data => data["set"].as_array().map(Vec::as_slice),
    };
    let Some(cases) = cases else {
        return vec![(vec![Test::Unknown], Act::Elsewhere)];
    };
    cases
        .iter()
        .map(|case| {
            let test = values(&case[0], Some(sets))
                .and_then(|values| test(&said["key"], &values, true))
                .unwrap_or(Test::Unknown);
            let said = case[1].as_object().and_then(|o| o.iter().next());
            let act = said.and_then(|(word, said)| verdict(word, said));
            (vec![test], act.unwrap_or(Act::Elsewhere))
        })
        .collect()
}

/// One value of the right side of a match.
enum Right<'a> {
    Text(&'a str),
    Number(u64),
    Prefix(String),
    Between(&'a Value, &'a Value),
}

/// The values of a right side; `None` if one is not understood. In a set, which has no `sets`, a name of a set is not.
fn values<'a>(right: &'a Value, sets: Option<&'a Sets<'_>>) -> Option<Vec<Right<'a>>> {
    match right {
        Value::String(name) if name.starts_with('@') => list_of(sets?.named(name)?),
        Value::String(text) => Some(vec![Right::Text(text)]),
        Value::Number(number) => Some(vec![Right::Number(number.as_u64()?)]),
        Value::Array(list) => list_of(list),
        Value::Object(object) => match object.iter().next()? {
            (word, Value::Array(list)) if word == "set" => list_of(list),
            (word, value) if word == "elem" => values(&value["val"], sets),
            (word, value) if word == "prefix" => {
                let net = format!("{}/{}", text(&value["addr"]), value["len"]);
                Some(vec![Right::Prefix(net)])
            }
            (word, value) if word == "range" => {
                Some(vec![Right::Between(value.get(0)?, value.get(1)?)])
            }
            _ => None,
        },
        _ => None,
    }
}

/// The content of a set.
fn list_of(list: &[Value]) -> Option<Vec<Right<'_>>> {
    let all: Option<Vec<_>> = list.iter().map(|member| values(member, None)).collect();
    Some(all?.into_iter().flatten().collect())
}

/// The bits of IPv4's `frag-off` that are the offset (RFC 791).
const FRAGMENT_OFFSET: u64 = 0x1fff;

/// The conditions of a `match`.
fn matched(said: &Value, sets: &Sets<'_>) -> Vec<Test> {
    let is = match text(&said["op"]) {
        "==" | "in" | "" => true,
        "!=" => false,
        _ => return vec![Test::Unknown],
    };
    let left = &said["left"];
    let mut out = Vec::new();
    // A field of a header is only there in packets that have it.
    match text(&left["payload"]["protocol"]) {
        "ip" => out.push(Test::Family(Family::V4)),
        "ip6" => out.push(Test::Family(Family::V6)),
        "" | "th" | "ether" | "vlan" | "arp" => {}
        protocol => out.push(Test::Protocol(true, vec![protocol.to_string()])),
    }
    // The reverse path filter, `oif missing`: a genuine address never fails it.
    if left["fib"]["result"] == "oif" && said["right"] == false && is {
        out.push(Test::Never);
        return out;
    }
    let found = values(&said["right"], Some(sets)).and_then(|values| test(left, &values, is));
    out.push(found.unwrap_or(Test::Unknown));
    out
}

fn test(left: &Value, right: &[Right], is: bool) -> Option<Test> {
    let payload = (
        text(&left["payload"]["protocol"]),
        text(&left["payload"]["field"]),
    );
    match payload {
        ("ip", "saddr") => return Some(Test::Source(is, addresses(Family::V4, right)?)),
        ("ip6", "saddr") => return Some(Test::Source(is, addresses(Family::V6, right)?)),
        ("ip", "daddr") => return Some(Test::Destination(is, addresses(Family::V4, right)?)),
        ("ip6", "daddr") => return Some(Test::Destination(is, addresses(Family::V6, right)?)),
        ("tcp" | "udp" | "th", "dport") => return Some(Test::DestinationPort(is, ports(right)?)),
        ("tcp" | "udp" | "th", "sport") => return Some(Test::SourcePort(is, ports(right)?)),
        ("ip", "protocol") | ("ip6", "nexthdr") => {
            return Some(Test::Protocol(is, protocols(right)?));
        }
        _ => {}
    }
    // A new flow starts with a whole packet, or with its first fragment: neither has an offset. The field also contains flags,
    // so without the mask nothing is known.
    let masked = &left["&"];
    if masked[0]["payload"]["field"] == "frag-off" && masked[1] == FRAGMENT_OFFSET {
        return (!is && matches!(right, [Right::Number(0)])).then_some(Test::Never);
    }
    if masked[0]["meta"]["key"] == "mark" {
        return mark(masked[1].as_u64()?.try_into().ok()?, right, is);
    }
    match text(&left["meta"]["key"]) {
        "iifname" | "iif" => return Some(Test::In(is, texts(right)?)),
        "oifname" | "oif" => return Some(Test::Out(is, texts(right)?)),
        "l4proto" => return Some(Test::Protocol(is, protocols(right)?)),
        "nfproto" | "protocol" => return family(&texts(right)?, is),
        "mark" => return mark(u32::MAX, right, is),
        "pkttype" => {
            let host = texts(right)?.contains(&"host".to_string());
            return (host != is).then_some(Test::Never);
        }
        _ => {}
    }
    match text(&left["ct"]["key"]) {
        "state" | "status" => Some(Test::State(is, states(right)?)),
        "mark" => marked(right, is),
        _ if left["fib"]["result"] == "type" && texts(right)? == ["local"] => Some(Test::Local(is)),
        _ => None,
    }
}

fn addresses(family: Family, right: &[Right]) -> Option<Ranges> {
    let each = right.iter().map(|value| match value {
        Right::Text(text) => ends(text),
        Right::Prefix(net) => ends(net),
        Right::Between(first, last) => Some((text(first).parse().ok()?, text(last).parse().ok()?)),
        Right::Number(_) => None,
    });
    let all: Option<Vec<_>> = each.collect();
    Some(Ranges::between(family, all?))
}

fn ports(right: &[Right]) -> Option<Vec<(u16, u16)>> {
    let port = |number: u64| u16::try_from(number).ok();
    let each = right.iter().map(|value| match value {
        Right::Number(number) => Some((port(*number)?, port(*number)?)),
        Right::Between(first, last) => Some((port(first.as_u64()?)?, port(last.as_u64()?)?)),
        _ => None,
    });
    each.collect()
}

fn texts(right: &[Right]) -> Option<Vec<String>> {
    let each = right.iter().map(|value| match value {
        Right::Text(text) => Some((*text).to_string()),
        _ => None,
    });
    each.collect()
}

fn protocols(right: &[Right]) -> Option<Vec<String>> {
    let each = right.iter().map(|value| match value {
        Right::Text(text) => Some((*text).to_string()),
        Right::Number(number) => Some(number.to_string()),
        _ => None,
    });
    each.collect()
}

fn family(names: &[String], is: bool) -> Option<Test> {
    let [name] = names else { return None };
    let v4 = match name.as_str() {
        "ipv4" | "ip" => true,
        "ipv6" | "ip6" => false,
        _ => return is.then_some(Test::Never),
    };
    Some(Test::Family(if v4 == is { Family::V4 } else { Family::V6 }))
}

fn mark(mask: u32, right: &[Right], is: bool) -> Option<Test> {
    let [Right::Number(value)] = right else {
        return None;
    };
    let value = u32::try_from(*value).ok()?;
    Some(Test::Mark(is, FirewallMark { value, mask }))
}

fn marked(right: &[Right], is: bool) -> Option<Test> {
    match right {
        [Right::Number(number)] if (*number != 0) == is => Some(Test::Marked),
        _ => None,
    }
}

fn states(right: &[Right]) -> Option<BTreeSet<CtState>> {
    let each = right.iter().map(|value| match value {
        Right::Text(text) => text.to_ascii_uppercase().parse().ok(),
        _ => None,
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"{"nftables":[{"metainfo":{"version":"1.0.6"}},{"table":{"family":"inet","name":"crowdsec","handle":5}},
        {"chain":{"family":"inet","table":"crowdsec","name":"c","handle":1,"type":"filter","hook":"input","prio":-10,"policy":"accept"}},
        {"set":{"family":"inet","name":"ban","table":"crowdsec","type":"ipv4_addr","handle":2,"flags":["timeout","interval"],
            "elem":[{"elem":{"val":"192.0.2.7","timeout":600}},{"prefix":{"addr":"198.51.100.0","len":24}},{"range":["203.0.113.1","203.0.113.9"]}]}},
        {"rule":{"family":"inet","table":"crowdsec","chain":"c","handle":3,"expr":[
            {"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"@ban"}},{"counter":{"packets":0,"bytes":0}},{"drop":null}]}},
        {"rule":{"family":"inet","table":"crowdsec","chain":"c","handle":4,"expr":[
            {"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}},{"accept":null}]}},
        {"rule":{"family":"inet","table":"crowdsec","chain":"c","handle":6,"expr":[
            {"vmap":{"key":{"meta":{"key":"iifname"}},"data":{"set":[["eth0",{"goto":{"target":"in"}}],["wg0",{"drop":null}]]}}}]}},
        {"rule":{"family":"inet","table":"crowdsec","chain":"c","handle":7,"expr":[{"xt":null},{"drop":null}]}}]}"#;

    #[test]
    fn rules_sets_and_verdict_maps_are_read() {
        let tables = tables(&TABLE.replace('\n', "")).unwrap();
        let chain = &tables[0].chains["c"];
        assert_eq!(chain.hook.as_ref().unwrap().priority, -10);
        let [ban, state, eth, wg, xt] = chain.steps.as_slice() else {
            panic!("{chain:?}");
        };
        let [Test::Family(Family::V4), Test::Source(true, set)] = ban.tests.as_slice() else {
            panic!("{ban:?}");
        };
        for (address, among) in [
            ("192.0.2.7", true),
            ("198.51.100.200", true),
            ("203.0.113.9", true),
            ("203.0.113.10", false),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), among, "{address}");
        }
        assert_eq!((&ban.act, ban.text.as_str()), (&Act::Refuse, "handle 3"));
        assert!(matches!(state.tests[0], Test::State(true, _)));
        assert_eq!(eth.tests, [Test::In(true, vec!["eth0".into()])]);
        assert_eq!(eth.act, Act::Goto("in".into()));
        assert_eq!(wg.tests, [Test::In(true, vec!["wg0".into()])]);
        assert_eq!(
            (&xt.tests[..], &xt.act),
            (&[Test::Unknown][..], &Act::Refuse)
        );
    }

    /// firewalld's policy for neighbour discovery has such rules, and accepts by them.
    #[test]
    fn a_field_of_another_protocol_is_a_condition_on_the_protocol() {
        let rule = r#"{"nftables":[{"rule":{"family":"inet","table":"t","chain":"c","handle":3,"expr":[
            {"match":{"op":"==","left":{"payload":{"protocol":"icmpv6","field":"type"}},"right":"nd-neighbor-advert"}},{"accept":null}]}}]}"#;
        let tables = tables(&rule.replace('\n', "")).unwrap();
        let tests = &tables[0].chains["c"].steps[0].tests;
        assert_eq!(tests[0], Test::Protocol(true, vec!["icmpv6".into()]));
    }

    /// As nft 1.0.6 and 1.1.3 print them: `ip frag-off & 0x1fff != 0`, `ip frag-off 0`, `fib saddr . iif oif missing`, and the same
    /// with an interface.
    #[test]
    fn only_what_no_first_packet_meets_is_never_met() {
        let field = r#"{"payload":{"protocol":"ip","field":"frag-off"}}"#;
        let masked = format!(r#"{{"&":[{field},8191]}}"#);
        let fib = r#"{"fib":{"result":"oif","flags":["saddr","iif"]}}"#;
        for (op, left, right, never) in [
            ("!=", &*masked, "0", true),
            ("==", &*masked, "0", false),
            ("!=", &*masked, "1480", false),
            ("==", field, "0", false),
            ("!=", field, "0", false),
            ("==", fib, "false", true),
            ("!=", fib, "false", false),
            ("==", fib, "\"eth0\"", false),
        ] {
            let rule = format!(
                r#"{{"rule":{{"chain":"c","handle":1,"expr":[{{"match":{{"op":"{op}","left":{left},"right":{right}}}}},{{"drop":null}}]}}}}"#
            );
            let table = large("set", "1", 1, &rule, 1);
            let tests = &table.chains["c"].steps[0].tests;
            let expected = if never { Test::Never } else { Test::Unknown };
            assert_eq!(tests.last(), Some(&expected), "{op} {left} {right}");
        }
    }

    /// As one table: a set or a map `big` of this many elements, and this many copies of this rule.
    fn large(kind: &str, element: &str, elements: usize, rule: &str, rules: usize) -> NftTable {
        let set = vec![element; elements].join(",");
        let rules = vec![rule; rules].join(",");
        let text =
            format!(r#"{{"nftables":[{{"{kind}":{{"name":"big","elem":[{set}]}}}},{rules}]}}"#);
        tables(&text.replace('\n', "")).unwrap().remove(0)
    }

    #[test]
    fn a_set_that_many_rules_name_fills_no_memory() {
        let named = r#"{"rule":{"chain":"c","handle":1,"expr":[
            {"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"@big"}},{"drop":null}]}}"#;
        let mapped = r#"{"rule":{"chain":"c","handle":1,"expr":[
            {"vmap":{"key":{"meta":{"key":"iifname"}},"data":"@big"}}]}}"#;
        let long = format!("\"{}\"", "a".repeat(100_000));
        let jumps = format!("[\"a\",{{\"jump\":{{\"target\":{long}}}}}]");
        for (kind, element, elements, rule) in [
            ("set", "\"eth0\"", 1000, named),
            ("set", &*long, 1, named),
            ("map", "[\"eth0\",{\"drop\":null}]", 1000, mapped),
            ("map", &*jumps, 1, mapped),
        ] {
            let few = large(kind, element, elements, rule, 2);
            assert!(
                few.chains["c"]
                    .steps
                    .iter()
                    .all(|s| s.tests != [Test::Unknown]),
                "{rule}"
            );
            let many = large(kind, element, elements, rule, 3000);
            let held: usize = many.chains["c"]
                .steps
                .iter()
                .flat_map(|s| &s.tests)
                .map(weight)
                .sum();
            assert!(held <= MOST + 3000, "{held}");
            let last = many.chains["c"].steps.last().unwrap();
            assert_eq!(last.tests, [Test::Unknown], "{rule}");
        }
    }

    #[test]
    fn a_rule_that_marks_often_fills_no_memory() {
        let matched = r#"{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"eth0"}},"#;
        let mark = r#"{"mangle":{"key":{"meta":{"key":"mark"}},"value":1}},"#;
        let statements = matched.repeat(4000) + &mark.repeat(4000);
        let rule = format!(
            r#"{{"rule":{{"chain":"c","handle":1,"expr":[{statements}{{"accept":null}}]}}}}"#
        );
        let table = large("set", "1", 1, &rule, 1);
        let steps = &table.chains["c"].steps;
        assert_eq!((steps.len(), &steps[4000].act), (4001, &Act::Accept));
        assert_eq!(steps[0].tests.len(), 4000);
        assert_eq!(steps[4000].tests, [Test::Unknown]);
    }

    #[test]
    fn a_rule_that_does_not_tell_what_it_does_may_do_anything() {
        for rule in [
            r#"{"rule":{"chain":"c","handle":1}}"#,
            r#"{"rule":{"chain":"c","handle":1,"expr":"drop"}}"#,
        ] {
            let table = large("set", "1", 1, rule, 1);
            let [step] = table.chains["c"].steps.as_slice() else {
                panic!("{table:?}");
            };
            assert_eq!(
                (&step.tests[..], &step.act),
                (&[Test::Unknown][..], &Act::Elsewhere)
            );
        }
    }

    #[test]
    fn what_is_no_json_of_nft_is_an_error() {
        for text in ["{", "[]", "{\"nftables\":1}"] {
            assert!(tables(text).is_err(), "{text}");
        }
        assert_eq!(tables("\n"), Ok(Vec::new()));
    }
}
