//! Rules of iptables as steps on the way of a packet.

use std::collections::BTreeMap;

use super::walk::Chains;
use crate::model::net::Family;
use crate::model::ranges::Ranges;
use crate::model::rule::Match;
use crate::model::rule::Rule;
use crate::model::rule::Sense;
use crate::model::rule::Target;
use crate::model::state::Chain;
use crate::model::state::KernelRule;
use crate::model::step::Act;
use crate::model::step::Step;
use crate::model::step::Test;

/// What is known of the sets that rules use; `None` if nothing is.
pub(super) type Sets<'a> = Option<&'a BTreeMap<String, Option<Ranges>>>;

/// The chains of one table.
pub(super) fn chains(family: Family, table: &BTreeMap<String, Chain>, sets: Sets) -> Chains {
    table
        .iter()
        .map(|(name, chain)| {
            let steps = chain.rules.iter().map(|line| step(family, line, sets));
            (name.clone(), steps.collect())
        })
        .collect()
}

/// A rule; what cannot be read may meet any packet and do anything.
pub(super) fn step(family: Family, line: &KernelRule, sets: Sets) -> Step {
    let (tests, act) = match &line.rule {
        None => (vec![Test::Unknown], Act::Elsewhere),
        Some(rule) => {
            let tests = rule.matches().map(|m| test(family, m, sets)).collect();
            (tests, act(rule))
        }
    };
    Step {
        text: line.text.clone(),
        tests,
        act,
    }
}

fn is(sense: Sense) -> bool {
    sense == Sense::Is
}

fn test(family: Family, condition: &Match, sets: Sets) -> Test {
    match condition {
        Match::Source(sense, net) => Test::Source(is(*sense), Ranges::of(family, [*net])),
        Match::Destination(sense, net) => Test::Destination(is(*sense), Ranges::of(family, [*net])),
        Match::In(sense, name) => Test::In(is(*sense), vec![name.clone()]),
        Match::Out(sense, name) => Test::Out(is(*sense), vec![name.clone()]),
        Match::Protocol(sense, name) => Test::Protocol(is(*sense), vec![name.clone()]),
        Match::SourcePort(sense, first, last) => {
            Test::SourcePort(is(*sense), vec![(*first, *last)])
        }
        Match::DestinationPort(sense, first, last) => {
            Test::DestinationPort(is(*sense), vec![(*first, *last)])
        }
        Match::State(sense, states) => Test::State(is(*sense), states.clone()),
        // It is told apart by no packet of the walk.
        Match::Direction(_) => Test::Unknown,
        Match::Other(words) => extension(family, words, sets).unwrap_or(Test::Unknown),
    }
}

/// A condition of an extension (iptables-extensions(8)); `None` if it is not understood.
fn extension(family: Family, words: &[String], sets: Sets) -> Option<Test> {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let sense = !words.contains(&"!");
    words.retain(|word| *word != "!");
    let words = match words.as_slice() {
        ["-m", _, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    let ports = |text: &str| -> Option<Vec<(u16, u16)>> {
        let each = text.split(',').map(|range| {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            Some((first.parse().ok()?, last.parse().ok()?))
        });
        each.collect()
    };
    match words {
        ["--match-set", name, ends] => {
            let ranges = sets?.get(*name)?.clone()?;
            match *ends {
                "src" => Some(Test::Source(sense, ranges)),
                "dst" => Some(Test::Destination(sense, ranges)),
                _ => None,
            }
        }
        ["--dports" | "--destination-ports", list] => {
            Some(Test::DestinationPort(sense, ports(list)?))
        }
        ["--sports" | "--source-ports", list] => Some(Test::SourcePort(sense, ports(list)?)),
        ["--dst-type", "LOCAL"] => Some(Test::Local(sense)),
        ["--src-range", range] => Some(Test::Source(sense, between(family, range)?)),
        ["--dst-range", range] => Some(Test::Destination(sense, between(family, range)?)),
        ["--mark", mark] => {
            let value = mark.split('/').next()?;
            let zero = value.trim_start_matches("0x").trim_matches('0').is_empty();
            (zero != sense).then_some(Test::Marked)
        }
        // What only odd packets meet: fragments, forged senders, broadcasts.
        ["-f" | "--fragment"] => sense.then_some(Test::Never),
        ["-m", "rpfilter"] | ["--invert" | "--loose" | "--validmark" | "--accept-local"] => {
            Some(Test::Never)
        }
        ["--pkt-type", kind] => ((*kind == "unicast") != sense).then_some(Test::Never),
        ["--syn"] => opens(sense, true),
        // FIN,SYN,RST,ACK SYN is what `--syn` means; any other pattern that a first packet has not is not met by it.
        ["--tcp-flags", mask, set] => {
            let asks = |flag: &str| mask.split(',').any(|f| f == flag || f == "ALL");
            let has = |flag: &str| set.split(',').any(|f| f == flag || f == "ALL");
            let others = ["ACK", "FIN", "RST", "PSH", "URG"];
            let odd = others.iter().any(|flag| asks(flag) && has(flag));
            opens(sense, !odd && has("SYN"))
        }
        _ => None,
    }
}

/// A condition on TCP's flags: whether a packet that opens a connection has them.
fn opens(sense: bool, has: bool) -> Option<Test> {
    use crate::model::rule::CtState::Established;
    let reply = || std::collections::BTreeSet::from([Established]);
    Some(if has {
        Test::State(!sense, reply())
    } else if sense {
        Test::Never
    } else {
        Test::State(false, std::collections::BTreeSet::new())
    })
}

fn between(family: Family, range: &str) -> Option<Ranges> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    Some(Ranges::between(
        family,
        [(first.parse().ok()?, last.parse().ok()?)],
    ))
}

/// Extensions after which the packet continues, and that change nothing which is examined here.
const PASSING: [&str; 14] = [
    "LOG",
    "NFLOG",
    "ULOG",
    "CONNSECMARK",
    "SECMARK",
    "CLASSIFY",
    "TRACE",
    "AUDIT",
    "SET",
    "DSCP",
    "TCPMSS",
    "TOS",
    "TTL",
    "CHECKSUM",
];

fn act(rule: &Rule) -> Act {
    match &rule.target {
        Target::Accept => Act::Accept,
        Target::Drop | Target::Reject(_) => Act::Refuse,
        Target::Return => Act::Return,
        Target::Nothing => Act::GoOn,
        Target::Goto(name) => Act::Goto(name.clone()),
        Target::Jump(name, args) => match name.as_str() {
            "REJECT" | "TARPIT" | "DELUDE" | "CHAOS" | "STEAL" => Act::Refuse,
            "DNAT" | "NETMAP" => Act::Dnat(destination(args)),
            "REDIRECT" | "TPROXY" => Act::Redirect,
            "MASQUERADE" | "SNAT" => Act::Snat,
            "NOTRACK" => Act::Untrack,
            "CT" if args.iter().any(|arg| arg == "--notrack") => Act::Untrack,
            "MARK" | "CONNMARK" => Act::Mark,
            "NFQUEUE" | "QUEUE" => Act::Elsewhere,
            "CT" => Act::GoOn,
            passing if PASSING.contains(&passing) => Act::GoOn,
            chain => Act::Jump(chain.to_string()),
        },
    }
}

/// Where DNAT leads to.
fn destination(args: &[String]) -> Option<(std::net::IpAddr, Option<u16>)> {
    let place = args
        .iter()
        .skip_while(|arg| *arg != "--to-destination")
        .nth(1)?;
    if let Ok(address) = place.parse() {
        return Some((address, None));
    }
    let (address, port) = place.rsplit_once(':')?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    Some((address.parse().ok()?, Some(port.parse().ok()?)))
}
