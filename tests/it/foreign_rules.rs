//! Foreign rules on a node: in any spelling, in any number, ahead of the whitelist or about to return ahead of it.
//!
//! Seen to fail with the code broken on purpose, each by one break:
//! `a_rule_that_the_kernel_prints_in_other_words_is_there` without `Tables::printed` in `printed::form`;
//! `a_rule_that_nobody_can_spell_is_a_note_and_no_drift` with every lacking rule taken for certain in `firewall::compared`;
//! `four_times_the_rules_take_about_four_times_the_time` with `Places::take` as a search through all lines;
//! `permanent_rules_that_come_back_ahead_are_found_before_they_do` without `foreign::after_a_reload`;
//! `what_iptables_cannot_show_goes_behind_the_whitelist` with `Target::Nothing` as harmless in `admit`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::captures::captures;
use crate::support::node_builder::cybex_network;
use fwdeploy::model::CHAIN;
use fwdeploy::model::Desired;
use fwdeploy::model::DesiredNetwork;
use fwdeploy::model::DirectRule;
use fwdeploy::model::Family;
use fwdeploy::model::NodeState;
use fwdeploy::model::Rule;
use fwdeploy::model::rule::Passthrough;
use fwdeploy::model::rule::split_saved;
use fwdeploy::model::state::KernelRule;
use fwdeploy::model::state::Printed;
use fwdeploy::model::state::View;
use fwdeploy::plan::Allowed;
use fwdeploy::plan::Plan;
use fwdeploy::plan::Severity;
use fwdeploy::plan::plan;
use fwdeploy::plan::questions;
use fwdeploy::plan::simulate;

const SUBNET: &str = "172.30.0.0/24";

fn desired() -> Desired {
    let rules = [
        (0, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        (40, "! -s 172.30.0.0/24 -i br-cybex ! -o br-cybex -j DROP"),
        (
            100,
            "-s 192.0.2.7 -d 172.30.0.2 -p tcp --dport 5000 -m conntrack --ctstate DNAT -j ACCEPT",
        ),
        (200, "-s 172.30.0.2 -d 192.0.2.7 -j ACCEPT"),
        (900, "! -s 172.30.0.0/24 -d 172.30.0.0/24 -j REJECT"),
        (1000, "-s 172.30.0.0/24 ! -d 172.30.0.0/24 -j REJECT"),
    ];
    let rule = |(priority, text): (i32, &str)| {
        let rule = Rule::parse_text(text).unwrap();
        let tagged = rule.with_comment(format!("fwdeploy:cybex/{priority}"));
        DirectRule::ours(Family::V4, priority, &tagged)
    };
    Desired {
        networks: vec![DesiredNetwork {
            subnet: SUBNET.parse().unwrap(),
            ..cybex_network()
        }],
        rules: rules.map(rule).to_vec(),
        ..Desired::default()
    }
}

fn planned(state: &NodeState) -> Plan {
    plan(state, &desired(), &Allowed::default())
}

/// A node on which the whitelist is in force and nothing is left to do.
fn at_rest(node: &str) -> NodeState {
    let name = format!("{node}/fresh");
    let capture = captures().iter().find(|c| c.name == name);
    let state = capture.expect("it was taken").read();
    let first = planned(&state);
    assert!(first.refusals().next().is_none(), "{:?}", first.findings);
    let state = first.actions.iter().fold(state, |s, a| simulate(&s, a));
    assert!(planned(&state).is_empty());
    state
}

fn args(text: &str) -> Vec<String> {
    split_saved(text).unwrap()
}

fn foreign(priority: i32, chain: &str, text: &str) -> DirectRule {
    DirectRule {
        family: Some(Family::V4),
        table: "filter".into(),
        chain: chain.into(),
        priority,
        args: args(text).into(),
    }
}

/// The lines of a chain of the kernel.
fn lines<'a>(state: &'a mut NodeState, chain: &str) -> &'a mut Vec<KernelRule> {
    let tables = state.kernel.v4.known_mut().unwrap();
    let filter = tables.tables.get_mut("filter").unwrap();
    &mut filter.entry(chain.to_string()).or_default().rules
}

/// firewalld holds the rule in both views, and the kernel in the words of its own at that place.
fn has(state: &mut NodeState, at: usize, rule: &DirectRule, printed: &[&str]) {
    for direct in [&mut state.permanent.direct, &mut state.runtime.direct] {
        direct.known_mut().unwrap().rules.push(rule.clone());
    }
    written(state);
    let printed = printed.iter().map(|line| KernelRule::new(*line));
    lines(state, CHAIN).splice(at..at, printed);
}

/// No file was edited: they match firewalld's memory.
fn written(state: &mut NodeState) {
    if let Some(files) = state.files.known_mut() {
        files.direct.says = state.permanent.direct.clone();
    }
}

/// Sets how the node's iptables prints a rule.
fn tells(state: &mut NodeState, rule: &DirectRule, printed: Printed) {
    let tables = state.kernel.v4.known_mut().unwrap();
    tables.printed.insert(rule.args.to_vec(), printed);
}

fn codes(plan: &Plan, code: &str) -> Vec<(Severity, View)> {
    let found = plan.findings.iter().filter(|f| f.code.as_str() == code);
    found.map(|f| (f.severity, f.view)).collect()
}

/// As typed, and as iptables 1.8 prints it.
const PRINTED: &[(&str, &[&str])] = &[
    (
        "-s 10.9.0.1 -p tcp --dport https -j DROP",
        &["-s 10.9.0.1/32 -p tcp -m tcp --dport 443 -j DROP"],
    ),
    (
        "-s 10.9.0.1 -p tcp --syn -j DROP",
        &["-s 10.9.0.1/32 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"],
    ),
    (
        "-m limit --limit 5/minute -j LOG --log-level warning",
        &["-m limit --limit 5/min -j LOG"],
    ),
    (
        "-s 10.9.0.1,10.9.0.2 -j DROP",
        &["-s 10.9.0.1/32 -j DROP", "-s 10.9.0.2/32 -j DROP"],
    ),
    (
        "-m recent --name x --set",
        &["-m recent --set --name x --mask 255.255.255.255 --rsource"],
    ),
    (
        "-j REJECT --reject-with host-prohib",
        &["-j REJECT --reject-with icmp-host-prohibited"],
    ),
    (
        "-s peer.example -j DROP",
        &["-s 10.9.0.7/32 -j DROP", "-s 10.9.0.8/32 -j DROP"],
    ),
];

#[test]
fn a_rule_that_the_kernel_prints_in_other_words_is_there() {
    for node in ["bullseye-iptables", "bookworm-nftables", "forky-nftables"] {
        let mut all = at_rest(node);
        for (text, printed) in PRINTED {
            let rule = foreign(0, CHAIN, text);
            let mut state = at_rest(node);
            for state in [&mut state, &mut all] {
                has(state, 1, &rule, printed);
                let lines = printed.iter().map(|line| KernelRule::new(*line)).collect();
                tells(state, &rule, Printed::Lines(lines));
            }
            assert!(
                planned(&state).changes().is_empty(),
                "{node}: {text}: {:?}",
                planned(&state).changes()
            );
            // It is missed where the kernel lacks it, and is written as it is printed.
            lines(&mut state, CHAIN).remove(1);
            let repair = planned(&state);
            assert_eq!(
                repair.changes().len(),
                1,
                "{node}: {text}: {:?}",
                repair.changes()
            );
            let repaired = repair.actions.iter().fold(state, |s, a| simulate(&s, a));
            assert!(planned(&repaired).is_empty(), "{node}: {text}");
        }
        assert!(
            planned(&all).is_empty(),
            "{node}: {:?}",
            planned(&all).changes()
        );
    }
}

#[test]
fn a_rule_that_nobody_can_spell_is_a_note_and_no_drift() {
    for (text, printed) in PRINTED {
        let rule = foreign(0, CHAIN, text);
        let mut state = at_rest("bookworm-nftables");
        has(&mut state, 1, &rule, printed);
        tells(
            &mut state,
            &rule,
            Printed::Unknown("unshare: not permitted".into()),
        );
        let seen = planned(&state);
        assert!(seen.is_empty(), "{text}: {:?}", seen.changes());
        // The spelling of a list of plain addresses is known.
        let noted = usize::from(*text != "-s 10.9.0.1,10.9.0.2 -j DROP");
        assert_eq!(codes(&seen, "not-compared").len(), noted, "{text}");

        // Nor does a repair of something else touch it, or double it.
        lines(&mut state, CHAIN).retain(|line| !line.text.contains("fwdeploy:cybex/200"));
        let before = lines(&mut state, CHAIN).len();
        let repaired = planned(&state)
            .actions
            .iter()
            .fold(state, |s, a| simulate(&s, a));
        let mut repaired = repaired;
        assert_eq!(lines(&mut repaired, CHAIN).len(), before + 1, "{text}");
        assert!(planned(&repaired).is_empty(), "{text}");

        // Where the chain was flushed it is missing as well.
        lines(&mut repaired, CHAIN).clear();
        let plan = planned(&repaired);
        let changes = plan.changes();
        assert!(changes.len() > 6, "{text}: {changes:?}");
        let repaired = plan.actions.iter().fold(repaired, |s, a| simulate(&s, a));
        assert!(planned(&repaired).is_empty(), "{text}");
    }
}

#[test]
fn only_what_differs_in_spelling_is_asked_about() {
    let mut state = at_rest("bookworm-nftables");
    has(
        &mut state,
        1,
        &foreign(0, CHAIN, "-s 10.9.0.1 -j DROP"),
        &["-s 10.9.0.1/32 -j DROP"],
    );
    has(&mut state, 1, &foreign(0, CHAIN, "-j LOG"), &["-j LOG"]);
    assert!(questions(&state).is_empty());
    let asked = "-p tcp --dport https -j DROP";
    has(
        &mut state,
        1,
        &foreign(0, CHAIN, asked),
        &["-p tcp -m tcp --dport 443 -j DROP"],
    );
    let questions = questions(&state);
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].rules, [args(asked)]);
    assert!(questions[0].chains.contains(&"DOCKER".to_string()));
}

#[test]
fn what_names_a_managed_address_in_any_words_is_ours() {
    let mut state = at_rest("bookworm-nftables");
    let rule = foreign(
        0,
        CHAIN,
        "-s 172.30.0.2,172.30.0.0/24 -p tcp --dport https -j ACCEPT",
    );
    let both = [
        "-s 172.30.0.2/32 -p tcp -m tcp --dport 443 -j ACCEPT",
        "-s 172.30.0.0/24 -p tcp -m tcp --dport 443 -j ACCEPT",
    ];
    has(&mut state, 1, &rule, &both);
    tells(
        &mut state,
        &rule,
        Printed::Lines(both.map(KernelRule::new).to_vec()),
    );
    let plan = planned(&state);
    assert!(!plan.is_empty(), "{:#?}", plan.findings);
    let mut done = plan.actions.iter().fold(state, |s, a| simulate(&s, a));
    assert!(
        !lines(&mut done, CHAIN)
            .iter()
            .any(|line| line.text.contains("443"))
    );
    assert!(planned(&done).is_empty());

    // A rule that also matches other packets is not: it lets in other hosts, and that is reported.
    let mut state = at_rest("bookworm-nftables");
    let rule = foreign(0, CHAIN, "-s 172.30.0.0/24,10.9.0.0/16 -j ACCEPT");
    has(
        &mut state,
        1,
        &rule,
        &["-s 172.30.0.0/24 -j ACCEPT", "-s 10.9.0.0/16 -j ACCEPT"],
    );
    assert!(codes(&planned(&state), "foreign-accept").len() == 2);
}

#[test]
fn permanent_rules_that_come_back_ahead_are_found_before_they_do() {
    use Severity::NotEnforced;
    use Severity::Warning;
    for (text, says) in [
        ("-I DOCKER-USER 1 -j ACCEPT", Some(NotEnforced)),
        ("-I DOCKER-USER -s 10.9.0.0/16 -j RETURN", Some(NotEnforced)),
        ("--insert DOCKER-USER 2 -g DOCKER", Some(NotEnforced)),
        (
            "-t filter --insert=DOCKER-USER -j NFQUEUE --queue-num 0",
            Some(NotEnforced),
        ),
        ("-w -I DOCKER-USER -i wg0 -j ACCEPT", Some(NotEnforced)),
        ("-I DOCKER-USER -i wg0 -o eth0 -j ACCEPT", None),
        ("-I DOCKER-USER -s 10.9.0.1 -j DROP", None),
        ("-I DOCKER-USER -p tcp --dport https -j DROP", None),
        (
            "-I DOCKER-USER -p tcp --dport https -j ACCEPT",
            Some(NotEnforced),
        ),
        (
            "-I DOCKER-USER -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            None,
        ),
        ("-A DOCKER-USER -j ACCEPT", None),
        ("-F DOCKER-USER", Some(NotEnforced)),
        ("-F", Some(NotEnforced)),
        ("-D DOCKER-USER 1", Some(NotEnforced)),
        ("-t nat -F", None),
        ("-I FORWARD 1 -j ACCEPT", Some(Warning)),
        (
            "-A FORWARD -s 10.9.0.0/16 -d 192.168.0.0/16 -j ACCEPT",
            Some(Warning),
        ),
        (
            "-A FORWARD ! -i br-cybex -s 10.9.0.0/16 -d 192.168.0.0/16 -j ACCEPT",
            None,
        ),
        ("-I INPUT -j ACCEPT", None),
        ("-t nat -I POSTROUTING -j MASQUERADE", None),
        ("-Q DOCKER-USER", Some(Warning)),
    ] {
        for node in ["bullseye-iptables", "bookworm-nftables", "forky-nftables"] {
            let mut state = at_rest(node);
            let direct = state.permanent.direct.known_mut().unwrap();
            direct
                .passthroughs
                .push(Passthrough::new("ipv4", args(text)));
            let found = codes(&planned(&state), "admits-after-reload");
            let says: Vec<_> = says.into_iter().map(|s| (s, View::Permanent)).collect();
            assert_eq!(found, says, "{node}: {text}");
        }
    }
    for (chain, text, says) in [
        ("FORWARD", "-j ACCEPT", 1),
        ("FORWARD", "-s 10.9.0.0/16 -d 192.168.0.0/16 -j ACCEPT", 1),
        ("FORWARD", "-i wg0 -o eth0 -j ACCEPT", 0),
        ("FORWARD", "-j DROP", 0),
        ("INPUT", "-j ACCEPT", 0),
    ] {
        let mut state = at_rest("bookworm-nftables");
        let direct = state.permanent.direct.known_mut().unwrap();
        direct.rules.push(foreign(0, chain, text));
        let found = codes(&planned(&state), "admits-after-reload");
        assert_eq!(found.len(), says, "{chain} {text}");
    }
}

#[test]
fn a_chain_that_only_firewalld_knows_yet_is_followed() {
    for (inside, says) in [("-j ACCEPT", 1), ("-s 10.9.0.1 -j DROP", 0)] {
        let mut state = at_rest("bookworm-nftables");
        let direct = state.permanent.direct.known_mut().unwrap();
        direct.chains.push(fwdeploy::model::state::DirectChain {
            ipv: "ipv4".into(),
            table: "filter".into(),
            chain: "own".into(),
        });
        direct.rules.push(foreign(0, "own", inside));
        direct.rules.push(foreign(-5, CHAIN, "-j own"));
        let found = codes(&planned(&state), "foreign-accept");
        assert_eq!(found.len(), says, "{inside}");
    }
}

#[test]
fn what_iptables_cannot_show_goes_behind_the_whitelist() {
    // The first is how a verdict map of nft is printed.
    for (text, moves) in [
        ("", true),
        ("-s 10.9.0.0/16", true),
        ("-s 10.9.0.0/16 -d 192.168.0.0/16 -j ACCEPT", true),
        ("-j NFQUEUE --queue-num 0", true),
        (
            "-m recent --set --name x --mask 255.255.255.255 --rsource",
            false,
        ),
        ("-i wg0 -o eth0 -j ACCEPT", false),
        ("-s 10.9.0.0/16 -j DROP", false),
        ("-j LOG", false),
    ] {
        let mut state = at_rest("forky-nftables");
        lines(&mut state, "FORWARD").insert(0, KernelRule::new(text));
        let plan = planned(&state);
        assert_eq!(!plan.is_empty(), moves, "FORWARD {text}");
        assert_eq!(
            !codes(&plan, "kept-behind").is_empty(),
            moves,
            "FORWARD {text}"
        );
        let mut state = at_rest("forky-nftables");
        lines(&mut state, CHAIN).insert(0, KernelRule::new(text));
        let plan = planned(&state);
        assert_eq!(!plan.is_empty(), moves, "{CHAIN} {text}");
        assert_eq!(
            codes(&plan, "kept-behind").len(),
            usize::from(moves),
            "{CHAIN} {text}"
        );
        let mut done = plan.actions.iter().fold(state, |s, a| simulate(&s, a));
        assert!(planned(&done).is_empty());
        // It is kept.
        assert!(lines(&mut done, CHAIN).iter().any(|line| line.text == text));
    }
}

#[test]
fn a_docker_that_was_told_to_filter_nothing_is_named() {
    for family in Family::ALL {
        let mut state = at_rest("forky-nftables");
        assert!(codes(&planned(&state), "docker-unfiltered").is_empty());
        state.docker.known_mut().unwrap().unfiltered.push(family);
        let stands = state
            .kernel
            .tables(family)
            .known()
            .unwrap()
            .chain("filter", "DOCKER")
            .is_some();
        let found = codes(&planned(&state), "docker-unfiltered").len();
        assert_eq!(found, usize::from(stands), "{family}");
    }
}

/// A node with this many foreign rules, on which firewalld and the kernel agree.
fn with_many(count: usize, text: &dyn Fn(usize) -> String) -> NodeState {
    let mut state = at_rest("bookworm-nftables");
    let rules: Vec<DirectRule> = (0..count).map(|n| foreign(2000, CHAIN, &text(n))).collect();
    let kernel = rules.iter().map(|rule| match rule.rule() {
        Some(rule) => KernelRule::new(rule.to_string()),
        None => KernelRule::new("-s 10.0.0.0/8 -j DROP"),
    });
    let kernel: Vec<KernelRule> = kernel.collect();
    let chain = lines(&mut state, CHAIN);
    // Ahead of Docker's RETURN, as firewalld puts them.
    let at = chain.iter().position(|line| line.text == "-j RETURN");
    let at = at.unwrap_or(chain.len());
    chain.splice(at..at, kernel);
    for direct in [&mut state.permanent.direct, &mut state.runtime.direct] {
        direct.known_mut().unwrap().rules.extend(rules.clone());
    }
    written(&mut state);
    state
}

/// The processor's time of this thread: what other work the machine has does not count.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let spent = text.split(' ').next().expect("three numbers");
    Duration::from_nanos(spent.parse().expect("nanoseconds"))
}

/// The lesser of two times.
fn time(work: &dyn Fn()) -> Duration {
    let times = (0..2).map(|_| {
        let begun = spent();
        work();
        spent() - begun
    });
    times.min().unwrap()
}

#[test]
fn four_times_the_rules_take_about_four_times_the_time() {
    let address = |n: usize| format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
    type Text = Box<dyn Fn(usize) -> String>;
    let kinds: [(&str, Text); 4] = [
        (
            "plain",
            Box::new(move |n| format!("-s {}/32 -j DROP", address(n))),
        ),
        (
            "accepts",
            Box::new(move |n| format!("-s {}/32 -j ACCEPT", address(n))),
        ),
        (
            "extensions",
            Box::new(move |n| format!("-m mark --mark {n} -j DROP")),
        ),
        (
            "unreadable",
            Box::new(move |n| format!("-p tcp --dport name{n} -j DROP")),
        ),
    ];
    for (kind, text) in kinds {
        let took = [1_000, 4_000].map(|count| {
            // Something to do: the first managed line is missing, and one peer is new.
            let mut busy = with_many(count, &text);
            lines(&mut busy, CHAIN).remove(0);
            let runtime = busy.runtime.direct.known_mut().unwrap();
            runtime.rules.retain(|rule| rule.priority != 200);
            time(&|| {
                let plan = planned(&busy);
                assert!(
                    !plan.is_empty() && plan.changes().len() < 20,
                    "{kind}: {}",
                    plan.changes().len()
                );
                let _ = questions(&busy);
            })
        });
        let ratio = took[1].as_secs_f64() / took[0].as_secs_f64();
        assert!(ratio < 9.0, "{kind}: {took:?}");
    }
}

#[test]
fn what_is_printed_is_not_shown_as_a_table() {
    let mut state = at_rest("bookworm-nftables");
    tells(
        &mut state,
        &foreign(0, CHAIN, "-j LOG"),
        Printed::Unknown("x".into()),
    );
    let tables = state.kernel.v4.known().unwrap();
    let json: BTreeMap<String, serde_json::Value> =
        serde_json::from_value(serde_json::to_value(tables).unwrap()).unwrap();
    assert!(
        json.keys()
            .all(|name| ["filter", "nat", "mangle", "raw", "security"].contains(&name.as_str()))
    );
}
