//! The guard in iptables' table mangle, on a node whose nft cannot hold it: how every iptables prints it, and the laws of planning for it.
//!
//! `tests/captures/guard/mangle/in4` and `in6` are what `iptables-restore` and `ip6tables-restore` are given. The others are what
//! `iptables-save -t mangle` of that release of Debian then printed, with the one and with the other backend of iptables.
//!
//! Each law was seen to fail with the steps of the plan changed on purpose: Rest without `RemoveChain`, and without `SetPermanentDirect`;
//! Enforced without `SetMangle`; the one of changes with the guard taken away and put back at the start; Return with the undo of one of the
//! guard's steps left out; Ours only with a rule of others removed; Silence with a chain added in IPv6; that of nft with its step put last.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;

use fwdeploy::model::Desired;
use fwdeploy::model::DirectRule;
use fwdeploy::model::Family;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::model::Rule;
use fwdeploy::model::Settings;
use fwdeploy::model::guard::Guard;
use fwdeploy::model::guard::GuardedFlow;
use fwdeploy::model::guard::GuardedNetwork;
use fwdeploy::model::guard::NftVersion;
use fwdeploy::model::guard::Refusal;
use fwdeploy::model::guard::mangle::MangleChain;
use fwdeploy::model::guard::mangle::MangleJump;
use fwdeploy::model::guard::mangle::MangleState;
use fwdeploy::model::guard::mangle::TABLE;
use fwdeploy::model::ipset::SetViews;
use fwdeploy::model::networking::RoutingSettings;
use fwdeploy::model::settings::Options;
use fwdeploy::model::state::Chain;
use fwdeploy::model::state::Direct;
use fwdeploy::model::state::Firewall;
use fwdeploy::model::state::KernelRule;
use fwdeploy::model::state::System;
use fwdeploy::model::state::Tables;
use fwdeploy::plan::Action;
use fwdeploy::plan::FindingCode;
use fwdeploy::plan::GuardKind;
use fwdeploy::plan::Plan;
use fwdeploy::plan::plan;
use fwdeploy::plan::rollback_plan::rollback_plan;
use fwdeploy::policy::Packet;
use fwdeploy::policy::evaluate::Flow;
use fwdeploy::policy::evaluate::Rewritten;
use fwdeploy::policy::guard::GuardPacket;
use fwdeploy::policy::mangle::evaluate;
use fwdeploy::policy::mangle::rules;
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::support::as_told::files_as_told;
use crate::support::node_builder::NodeBuilder;

use super::laws_plan::ALL;
use super::laws_plan::CONTAINER;
use super::laws_plan::SUBNET;
use super::laws_plan::desired;
use super::laws_plan::either;
use super::laws_plan::facts;
use super::laws_plan::fold;
use super::laws_plan::node;
use super::laws_plan::refused;

// ---- how iptables prints the rules -------------------------------------------------------------------------------

/// The rules of each chain, in order of priority.
fn by_chain(family: Family) -> BTreeMap<String, Vec<Rule>> {
    let mut rules = rules(&super::guard::guard());
    rules.retain(|rule| rule.family == Some(family));
    rules.sort_by_key(|rule| rule.priority);
    let mut out: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    for rule in rules {
        let parsed = rule.rule().unwrap().clone();
        out.entry(rule.chain).or_default().push(parsed);
    }
    out
}

/// The same of what `iptables-save` prints.
fn printed(text: &str) -> BTreeMap<String, Vec<Rule>> {
    let mut out: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("-A ")) {
        let (chain, rule) = line.split_once(' ').unwrap();
        let rule = Rule::parse_text(rule).unwrap_or_else(|why| panic!("{line}: {why}"));
        out.entry(chain.to_string()).or_default().push(rule);
    }
    out
}

fn capture(name: &str) -> String {
    let path = format!("tests/captures/guard/mangle/{name}");
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Both families, with the digit in the names of captures.
const FAMILIES: [(Family, char); 2] = [(Family::V4, '4'), (Family::V6, '6')];

#[test]
fn every_iptables_prints_the_rules_as_they_were_written() {
    for (family, digit) in FAMILIES {
        let wanted = by_chain(family);
        assert_eq!(printed(&capture(&format!("in{digit}"))), wanted);
        for release in ["bullseye", "bookworm", "trixie", "forky"] {
            for backend in ["legacy", "nft"] {
                let name = format!("{release}-{backend}.{digit}");
                assert_eq!(printed(&capture(&name)), wanted, "{name}");
            }
        }
    }
}

#[test]
fn no_rule_has_to_be_asked_about() {
    let is_chain = |name: &str| MangleChain::of(name).is_some();
    for rule in rules(&super::guard::guard()) {
        assert!(rule.rule().unwrap().is_plain(&is_chain), "{rule}");
    }
}

/// Packets of many kinds, in IPv4.
pub(super) fn packets() -> Vec<GuardPacket> {
    let ends = [
        ("172.31.8.9", Some("br-cybex")),
        ("172.31.9.2", Some("br-eos")),
        ("203.0.113.7", Some("eth0")),
        ("198.51.100.3", Some("eth0")),
        ("203.0.113.7", Some("br-cybex")),
        ("172.31.8.9", Some("eth0")),
    ];
    let mut out = Vec::new();
    for (source, interface_in) in ends {
        for (destination, interface_out) in ends {
            for (protocol, port) in [("tcp", 5000), ("tcp", 9876), ("tcp", 9100), ("icmp", 0)] {
                for flow in [Flow::New, Flow::Related] {
                    for bits in 0..4 {
                        let port = (protocol == "tcp").then_some(port);
                        out.push(GuardPacket {
                            packet: Packet {
                                source: source.parse().unwrap(),
                                destination: destination.parse().unwrap(),
                                protocol: protocol.to_string(),
                                source_port: port,
                                destination_port: port,
                                flow,
                                destination_rewritten: match bits & 1 {
                                    0 => Rewritten::No,
                                    _ => Rewritten::Yes,
                                },
                                interface_in: interface_in.map(String::from),
                                interface_out: interface_out.map(String::from),
                            },
                            is_original: bits & 2 == 0,
                        });
                    }
                }
            }
        }
    }
    out
}

/// So the law Meaning would fail without it.
#[test]
fn each_kind_of_rule_decides_about_some_packet() {
    let mut guard = super::guard::guard();
    guard.outbound.insert(GuardedFlow {
        container: "172.31.8.9".parse().unwrap(),
        traffic: Some("9876/tcp".parse().unwrap()),
        peer: "0.0.0.0/0".parse().unwrap(),
    });
    let mut whole = rules(&guard);
    whole.retain(|rule| rule.family == Some(Family::V4) && MangleChain::of(&rule.chain).is_some());
    let kind = |rule: &DirectRule| {
        let parsed = rule.rule().unwrap();
        let target = parsed.target == fwdeploy::model::Target::Drop;
        (rule.chain.clone(), parsed.comment.clone(), target)
    };
    let kinds: BTreeSet<_> = whole.iter().map(kind).collect();
    assert!(kinds.len() > 12, "{kinds:?}");
    let packets = packets();
    let verdicts = |rules: &[DirectRule]| -> Vec<(Option<Refusal>, Option<Refusal>)> {
        let both = |packet| {
            (
                evaluate(rules, "forward", packet),
                evaluate(rules, "input", packet),
            )
        };
        packets.iter().map(both).collect()
    };
    let right = verdicts(&whole);
    for of in kinds {
        let mut without = whole.clone();
        without.retain(|rule| kind(rule) != of);
        assert_ne!(verdicts(&without), right, "{of:?}");
    }
}

/// A node without nft that can be worked on, with nothing of ours.
fn bare() -> NodeState {
    let public: Options = [("services", "ssh")].into_iter().collect();
    let firewall = Firewall {
        direct: Observed::Known(Direct::default()),
        rich: Observed::Known(Vec::new()),
        settings: Observed::Known(Settings {
            default_zone: "public".into(),
            zones: [("public".into(), public)].into(),
            ..Settings::default()
        }),
    };
    let filter = [
        ("DOCKER", vec![]),
        ("FORWARD", vec![KernelRule::new("-o docker0 -j DOCKER")]),
    ];
    let filter = filter.map(|(name, rules)| {
        let policy = (name == "FORWARD").then(|| "DROP".to_string());
        (name.to_string(), Chain { policy, rules })
    });
    let mut state = NodeBuilder::new()
        .system(System {
            busctl: true,
            docker: true,
            ..System::default()
        })
        .files(files_as_told(&firewall, &SetViews::none(), "public"))
        .firewalls(firewall.clone(), firewall)
        .tables(
            Family::V4,
            Tables {
                tables: [("filter".to_string(), filter.into())].into(),
                ..Tables::default()
            },
        )
        .build();
    with_ipv6(&mut state);
    state
}

/// A foreign direct rule ahead of the jump is named, one behind it is not.
#[test]
fn a_direct_rule_ahead_of_the_guard_is_told() {
    let mut wanted = desired(&[1], &[]);
    wanted.guard = guard(&[1], &[]);
    for (priority, chain, text, is_told) in [
        (-1000, "FORWARD", "-s 172.20.0.0/16 -j ACCEPT", true),
        (-2000, "INPUT", "-j ACCEPT", true),
        (-999, "FORWARD", "-s 172.20.0.0/16 -j ACCEPT", false),
        (-2000, "FORWARD", "-i wg0 -d 10.1.0.1 -j ACCEPT", false),
        (
            -2000,
            "FORWARD",
            "-s 172.20.0.0/16 -j MARK --set-mark 1",
            false,
        ),
        (-2000, "FORWARD", "-s 172.20.0.0/16 -j DROP", false),
        (-2000, "PREROUTING", "-j ACCEPT", false),
    ] {
        let rule = DirectRule {
            family: Some(Family::V4),
            table: TABLE.to_string(),
            chain: chain.to_string(),
            priority,
            args: text.split(' ').map(String::from).collect(),
        };
        let mut state = bare();
        let direct = Direct {
            rules: vec![rule],
            ..Direct::default()
        };
        state.permanent.direct = Observed::Known(direct.clone());
        state.runtime.direct = Observed::Known(direct);
        as_written(&mut state);
        let plan = plan(&state, &wanted, &ALL);
        assert_eq!(
            has(&plan, FindingCode::GuardPassed),
            is_told,
            "{priority} {text}"
        );
    }
}

/// firewalld refuses them there, and the run with them.
#[test]
fn a_kernel_without_ipv6_gets_no_rules_of_it() {
    let wanted = Desired {
        guard: guard(&[1], &[]),
        ..Desired::default()
    };
    let mut state = bare();
    let families = |state: &NodeState| -> BTreeSet<Option<Family>> {
        let plan = plan(state, &wanted, &ALL);
        let added = plan.actions.iter().filter_map(|action| match action {
            Action::AddRule(rule) => Some(rule.family),
            _ => None,
        });
        added.collect()
    };
    assert_eq!(families(&state), Family::ALL.map(Some).into());
    state.system.networking.routing = Observed::Known(RoutingSettings::default());
    assert_eq!(families(&state), [Some(Family::V4)].into());
}

/// `iptables -t mangle -F` and `-X` take firewalld's own chains of its iptables backend too. firewalld believes that they are there, and fails
/// at each rule that it is to add or remove. Seen to fail while only table mangle was asked whether there are such chains.
#[test]
fn firewallds_own_chains_that_were_deleted_are_made_again() {
    let mut state = with_direct_chains(&bare());
    for family in Family::ALL {
        let tables = state.kernel.tables_mut(family).known_mut().unwrap();
        let filter = tables.tables.entry("filter".to_string()).or_default();
        for own in ["FORWARD_direct", "INPUT_direct"] {
            filter.entry(own.to_string()).or_default();
        }
    }
    let mut state = with_rules(&state, &rules(&guard(&[1], &[1])), &[]);
    for family in Family::ALL {
        let tables = state.kernel.tables_mut(family).known_mut().unwrap();
        let table = tables.tables.get_mut(TABLE).unwrap();
        table.clear();
        with_policies(table);
    }
    for wanted in [guard(&[1], &[1]), guard(&[2], &[])] {
        let wanted = Desired {
            guard: wanted,
            ..Desired::default()
        };
        let first = plan(&state, &wanted, &ALL);
        let mut mangle = first.actions.iter().filter(|action| is_of_mangle(action));
        let Some(Action::SetMangle { after, .. }) = mangle.next() else {
            panic!("{:#?}", first.actions);
        };
        let jumps = after.jumps.iter().map(|jump| jump.chain.as_str());
        let jumps: BTreeSet<&str> = jumps.collect();
        assert_eq!(
            jumps,
            ["FORWARD", "FORWARD_direct", "INPUT", "INPUT_direct"].into()
        );
        let done = fold(&state, &first.actions);
        let second = plan(&done, &wanted, &ALL);
        assert!(second.is_empty(), "{:#?}", second.changes());
    }
}

#[test]
fn a_table_that_outlives_nft_is_told() {
    let wanted = Desired {
        guard: guard(&[1], &[]),
        ..Desired::default()
    };
    let mut state = bare();
    assert!(!has(&plan(&state, &wanted, &ALL), FindingCode::GuardLeft));
    let boot = state.kernel.guard.boot.known_mut().unwrap();
    boot.unit = Some("0".repeat(64));
    assert!(has(&plan(&state, &wanted, &ALL), FindingCode::GuardLeft));
    state.kernel.guard.nft = Some(NftVersion(1, 0, 6));
    assert!(!has(&plan(&state, &wanted, &ALL), FindingCode::GuardLeft));
}

// ---- the laws ----------------------------------------------------------------------------------------------------

/// A network whose container has these peers.
fn guard(inbound: &[u8], outbound: &[u8]) -> Guard {
    let flow = |peer: String, service: Option<&str>| GuardedFlow {
        container: CONTAINER.parse().unwrap(),
        traffic: service.map(|text| text.parse().unwrap()),
        peer: peer.parse().unwrap(),
    };
    let subnet = SUBNET.parse().unwrap();
    Guard {
        networks: vec![GuardedNetwork {
            bridge: "br-cybex".to_string(),
            subnets: vec![subnet],
            closed: [subnet].into(),
            refusal: Refusal::Reject,
            reaches_node: false,
            log: None,
            is_audited: false,
        }],
        inbound: inbound
            .iter()
            .map(|n| flow(format!("192.0.2.{n}"), Some("5000/tcp")))
            .collect(),
        outbound: outbound
            .iter()
            .map(|n| flow(format!("198.51.100.{n}"), None))
            .collect(),
        to_node: [].into(),
        from_node: [].into(),
    }
}

/// What somebody has done to the guard that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drift {
    None,
    LineLost,
    LineAdded,
    JumpLost,
    AllLost,
    PermanentLost,
    AcceptAhead,
    RuntimeLost,
}

const DRIFTS: [Drift; 9] = [
    Drift::None,
    Drift::None,
    Drift::LineLost,
    Drift::LineAdded,
    Drift::JumpLost,
    Drift::AllLost,
    Drift::PermanentLost,
    Drift::AcceptAhead,
    Drift::RuntimeLost,
];

/// Rules of others in the same built-in chain.
fn others() -> Vec<DirectRule> {
    let rule = |priority, text: &str| DirectRule {
        family: Some(Family::V4),
        table: TABLE.to_string(),
        chain: "FORWARD".to_string(),
        priority,
        args: text.split(' ').map(String::from).collect(),
    };
    vec![
        rule(0, "-s 10.0.0.0/8 -j DROP"),
        rule(7, "-s 10.1.0.0/16 -j ACCEPT"),
    ]
}

/// A kernel that has IPv6.
fn with_ipv6(state: &mut NodeState) {
    state.system.networking.routing = Observed::Known(RoutingSettings {
        forwarding6: Some(false),
        ..RoutingSettings::default()
    });
}

/// Table mangle as firewalld's iptables backend makes it: its direct rules are in chains of its own.
fn with_direct_chains(state: &NodeState) -> NodeState {
    let mut state = state.clone();
    for family in Family::ALL {
        let tables = state.kernel.tables_mut(family).known_mut().unwrap();
        let table = tables.tables.entry(TABLE.to_string()).or_default();
        for hook in MangleChain::ALL.into_iter().filter_map(MangleChain::hook) {
            let own = format!("{hook}_direct");
            let lead = KernelRule::new(format!("-j {own}"));
            table.entry(own).or_default();
            table.entry(hook.to_string()).or_default().rules.push(lead);
        }
    }
    state
}

/// The node with these rules in both views of firewalld, and in the kernel.
fn with_rules(state: &NodeState, guard: &[DirectRule], others: &[DirectRule]) -> NodeState {
    let mut actions = Vec::new();
    for family in Family::ALL {
        for chain in MangleChain::ALL {
            if guard.iter().any(|rule| rule.family == Some(family)) {
                actions.push(Action::AddChain { family, chain });
            }
        }
    }
    let all = || guard.iter().chain(others);
    actions.extend(all().cloned().map(Action::AddRule));
    let mut state = fold(state, &actions);
    let chains = state.runtime.direct.known().unwrap().chains.clone();
    let permanent = state.permanent.direct.known_mut().unwrap();
    let chains = chains.into_iter().filter(MangleChain::is);
    permanent.chains.extend(chains);
    permanent.rules.extend(all().cloned());
    as_written(&mut state);
    for family in Family::ALL {
        let tables = state.kernel.tables_mut(family).known_mut().unwrap();
        if let Some(table) = tables.tables.get_mut(TABLE) {
            with_policies(table);
        }
    }
    state
}

/// `iptables-save` prints the built-in chains of a table that is there, with a policy, also those without a rule.
fn with_policies(table: &mut BTreeMap<String, Chain>) {
    for hook in MangleChain::ALL.into_iter().filter_map(MangleChain::hook) {
        let chain = table.entry(hook.to_string()).or_default();
        chain.policy = Some("ACCEPT".to_string());
    }
}

/// firewalld's file holds what firewalld believes.
fn as_written(state: &mut NodeState) {
    let direct = state.permanent.direct.known().unwrap().clone();
    state.files.known_mut().unwrap().direct.says = Observed::Known(direct);
}

fn drifted(mut state: NodeState, drift: Drift) -> NodeState {
    let tables = &mut state.kernel.v4.known_mut().unwrap().tables;
    // A table that is not there stays so.
    let mut table = tables.remove(TABLE).unwrap_or_default();
    let forward = MangleChain::Forward.name();
    match drift {
        Drift::None => {}
        Drift::LineLost => {
            if let Some(chain) = table.get_mut(forward) {
                chain.rules.pop();
            }
        }
        Drift::LineAdded => {
            if let Some(chain) = table.get_mut(forward) {
                chain.rules.insert(0, KernelRule::new("-j RETURN"));
            }
        }
        Drift::JumpLost => {
            if let Some(chain) = table.get_mut("FORWARD") {
                chain.rules.clear();
            }
        }
        Drift::AllLost => {
            table.retain(|name, _| name.ends_with("_direct"));
            for chain in table.values_mut() {
                chain.rules.clear();
            }
            with_policies(&mut table);
        }
        Drift::AcceptAhead => {
            let line = KernelRule::new("-s 172.20.0.0/16 -j ACCEPT");
            with_policies(&mut table);
            table.get_mut("FORWARD").unwrap().rules.insert(0, line);
        }
        Drift::PermanentLost => {
            let direct = state.permanent.direct.known_mut().unwrap();
            direct.rules.retain(|rule| rule.table != TABLE);
        }
        Drift::RuntimeLost => {
            table.clear();
            let direct = state.runtime.direct.known_mut().unwrap();
            direct.rules.retain(|rule| rule.table != TABLE);
            direct.chains.retain(|chain| chain.table != TABLE);
        }
    }
    if !table.is_empty() {
        tables.insert(TABLE.to_string(), table);
    }
    as_written(&mut state);
    state
}

fn peers() -> impl Strategy<Value = Vec<u8>> {
    subsequence(vec![1u8, 2, 3], 0..=3)
}

/// A node, what is wanted of it, and the guard that it had before in table mangle.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) state: NodeState,
    pub(super) wanted: Desired,
    before: Option<Guard>,
    drift: Drift,
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    (
        node(),
        (peers(), peers()),
        prop::option::weighted(0.7, (peers(), peers())),
        prop::sample::select(DRIFTS.to_vec()),
        subsequence(others(), 0..=2),
        (prop::bool::weighted(0.2), any::<bool>()),
    )
        .prop_map(
            |(
                (state, mut wanted),
                (inbound, outbound),
                before,
                drift,
                others,
                (has_nft, is_own),
            )| {
                let mut state = match is_own {
                    true => with_direct_chains(&state),
                    false => state,
                };
                with_ipv6(&mut state);
                wanted.guard = guard(&inbound, &outbound);
                let before = before.map(|(inbound, outbound)| guard(&inbound, &outbound));
                let held = before.as_ref().map(rules).unwrap_or_default();
                let mut state = drifted(with_rules(&state, &held, &others), drift);
                state.kernel.guard.nft = has_nft.then_some(NftVersion(1, 0, 6));
                Case {
                    state,
                    wanted,
                    before,
                    drift,
                }
            },
        )
}

/// The facts, with the guard's lines of equal priority in order.
pub(super) fn settled(state: &NodeState) -> (NodeState, Vec<Option<Rule>>) {
    let mut state = state.clone();
    for family in Family::ALL {
        let tables = state.kernel.tables_mut(family).known_mut().unwrap();
        for chain in tables
            .tables
            .get_mut(TABLE)
            .into_iter()
            .flat_map(|t| t.values_mut())
        {
            chain.rules.sort_by(|a, b| a.rule.cmp(&b.rule));
            for line in &mut chain.rules {
                line.text.clear();
            }
        }
    }
    facts(&state)
}

/// The lines by which two values differ: the values themselves are thousands of lines.
fn difference(now: &impl Debug, before: &impl Debug) -> String {
    let (now, before) = (format!("{now:#?}"), format!("{before:#?}"));
    let only_in = |these: &str, those: &str, sign: char| -> String {
        let those: BTreeSet<&str> = those.lines().collect();
        let lines = these.lines().filter(|line| !those.contains(line));
        lines.map(|line| format!("{sign} {line}\n")).collect()
    };
    let out = only_in(&before, &now, '-') + &only_in(&now, &before, '+');
    match out.is_empty() {
        true => "the same lines, in another order or number".to_string(),
        false => out,
    }
}

/// What the kernel holds of the guard, as rules whose priority is their position; none if no packet gets to it.
fn in_kernel(state: &NodeState) -> Vec<DirectRule> {
    let tables = state.kernel.v4.known().unwrap();
    let mangle = MangleState::of(tables);
    let leads = |chain: &str, to: &str| {
        let mut jumps = mangle.jumps.iter().filter(|jump| jump.chain == chain);
        jumps.any(|jump| jump.line.text.ends_with(&format!("-j {to}")))
    };
    let forward = MangleChain::Forward.name();
    let by_firewalld = leads("FORWARD", "FORWARD_direct") && leads("FORWARD_direct", forward);
    if !(leads("FORWARD", forward) || by_firewalld) {
        return Vec::new();
    }
    let mut out = Vec::new();
    for (chain, lines) in &mangle.chains {
        for (n, line) in lines.iter().enumerate() {
            out.push(DirectRule {
                family: Some(Family::V4),
                table: TABLE.to_string(),
                chain: chain.name().to_string(),
                priority: i32::try_from(n).unwrap(),
                args: line.rule.as_ref().unwrap().into(),
            });
        }
    }
    out
}

fn packet() -> impl Strategy<Value = GuardPacket> {
    let ends = prop::sample::select(vec![
        (CONTAINER, "198.51.100.1"),
        (CONTAINER, "198.51.100.2"),
        (CONTAINER, "203.0.113.9"),
        ("172.20.0.9", "198.51.100.1"),
        ("192.0.2.1", CONTAINER),
        ("192.0.2.3", CONTAINER),
        ("203.0.113.9", CONTAINER),
        ("203.0.113.9", "203.0.113.8"),
    ]);
    (ends, any::<bool>(), any::<bool>()).prop_map(|((from, to), is_original, is_forwarded)| {
        let device = |address: &str| match address.starts_with("172.20.") {
            true => Some("br-cybex".to_string()),
            false => Some("eth0".to_string()),
        };
        GuardPacket {
            packet: Packet {
                source: from.parse().unwrap(),
                destination: to.parse().unwrap(),
                protocol: "tcp".to_string(),
                source_port: Some(5000),
                destination_port: Some(5000),
                flow: Flow::New,
                destination_rewritten: match is_forwarded {
                    true => Rewritten::Yes,
                    false => Rewritten::No,
                },
                interface_in: device(from),
                interface_out: device(to),
            },
            is_original,
        }
    })
}

fn is_of_mangle(action: &Action) -> bool {
    match action {
        Action::AddChain { .. } | Action::RemoveChain { .. } | Action::SetMangle { .. } => true,
        Action::AddRule(rule) | Action::RemoveRule(rule) => rule.table == TABLE,
        _ => false,
    }
}

fn has(plan: &Plan, code: FindingCode) -> bool {
    plan.findings.iter().any(|finding| finding.code == code)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rest_a_plan_leaves_nothing_to_plan(case in case(), allowed in either()) {
        let first = plan(&case.state, &case.wanted, &allowed);
        prop_assume!(!refused(&first));
        let done = fold(&case.state, &first.actions);
        let second = plan(&done, &case.wanted, &allowed);
        prop_assert!(second.is_empty(), "left over: {:#?}\nafter: {:#?}", second.changes(), first.changes());
        prop_assert!(!has(&second, FindingCode::EditedByHand));
    }

    #[test]
    fn enforced_each_view_holds_the_guard_or_none_of_it(case in case(), allowed in either()) {
        let plan = plan(&case.state, &case.wanted, &allowed);
        prop_assume!(!refused(&plan));
        let done = fold(&case.state, &plan.actions);
        let docker = done.docker.known().unwrap();
        // A bridge that is there keeps its name.
        let bridge = docker.network("cybex").map_or("br-cybex", |network| &network.bridge);
        let mut wanted = case.wanted.guard.clone();
        wanted.networks[0].bridge = bridge.to_string();
        let mut wanted = match GuardKind::of(&done) {
            GuardKind::Mangle => rules(&wanted),
            GuardKind::Nft => Vec::new(),
        };
        wanted.sort();
        for direct in [&done.permanent.direct, &done.runtime.direct] {
            let mut held = direct.known().unwrap().rules.clone();
            held.retain(MangleChain::holds);
            held.sort();
            prop_assert_eq!(&held, &wanted);
        }
        for family in Family::ALL {
            let tables = done.kernel.tables(family).known().unwrap();
            let mangle = MangleState::of(tables);
            let of_family = || wanted.iter().filter(|rule| rule.family == Some(family));
            let lines: usize = mangle.chains.values().map(Vec::len).sum();
            let is_ours = |jump: &&MangleJump| !jump.line.text.ends_with("_direct");
            let jumps = mangle.jumps.iter().filter(is_ours).count();
            prop_assert_eq!(lines + jumps, of_family().count());
            // Where nft holds the guard, firewalld's own jumps are left as they are.
            for jump in mangle.jumps.iter().filter(|_| !mangle.is_empty()) {
                let rules = &tables.chain(TABLE, &jump.chain).unwrap().rules;
                let ahead = rules[..jump.place].iter().map(|line| line.text.as_str());
                prop_assert!(!ahead.into_iter().any(|text| text.ends_with("ACCEPT")));
            }
        }
        // And by what the kernel holds a stranger is refused.
        if GuardKind::of(&done) == GuardKind::Mangle {
            let stranger = Packet {
                source: CONTAINER.parse().unwrap(),
                destination: "203.0.113.200".parse().unwrap(),
                protocol: "udp".to_string(),
                source_port: Some(1),
                destination_port: Some(2),
                flow: Flow::Established,
                destination_rewritten: Rewritten::No,
                interface_in: Some(bridge.to_string()),
                interface_out: Some("eth0".to_string()),
            };
            let packet = GuardPacket { packet: stranger, is_original: true };
            prop_assert_eq!(evaluate(&in_kernel(&done), "forward", &packet), Some(Refusal::Drop));
        }
    }

    #[test]
    fn a_change_of_the_guard_neither_opens_nor_cuts(
        case in case(),
        allowed in either(),
        packets in prop::collection::vec(packet(), 12),
    ) {
        let Some(before) = case.before.filter(|_| case.drift == Drift::None) else {
            return Ok(());
        };
        let plan = plan(&case.state, &case.wanted, &allowed);
        // Where nft takes over, it refuses from the first step on; another name of the bridge is another guard.
        let docker = case.state.docker.known().unwrap();
        let is_same = docker.network("cybex").is_none_or(|network| network.bridge == "br-cybex");
        prop_assume!(!refused(&plan) && GuardKind::of(&case.state) == GuardKind::Mangle && is_same);
        for packet in packets {
            let says = |guard: &Guard| evaluate(&rules(guard), "forward", &packet);
            if says(&before) != says(&case.wanted.guard) {
                continue;
            }
            for cut in 0..=plan.actions.len() {
                let then = fold(&case.state, &plan.actions[..cut]);
                let now = evaluate(&in_kernel(&then), "forward", &packet);
                prop_assert_eq!(now, says(&before), "{:?} after {:#?}", packet, plan.actions[..cut].last());
            }
        }
    }

    #[test]
    fn return_the_nodes_own_rollback_from_anywhere_ends_where_it_began(
        case in case(),
        allowed in either(),
        at in any::<prop::sample::Index>(),
    ) {
        let actions = plan(&case.state, &case.wanted, &allowed).actions;
        let done = at.index(actions.len() + 1);
        let there = fold(&case.state, &actions[..done]);
        if let Some(back) = rollback_plan(&actions).simulate(&there, done) {
            let (back, before) = (settled(&back), settled(&case.state));
            prop_assert!(back == before, "{}", difference(&back, &before));
        }
    }

    #[test]
    fn ours_only_what_others_have_in_mangle_stays(case in case(), allowed in either()) {
        let plan = plan(&case.state, &case.wanted, &allowed);
        for action in &plan.actions {
            match action {
                Action::SetPermanentDirect { before, after } => {
                    let foreign = |rule: &&DirectRule| rule.table == TABLE && !MangleChain::holds(rule);
                    prop_assert!(before.rules.iter().filter(foreign).all(|rule| after.rules.contains(rule)));
                    let added = after.rules.iter().filter(|rule| !before.rules.contains(rule));
                    prop_assert!(!added.into_iter().any(|rule| foreign(&rule)));
                }
                Action::RemoveRule(rule) if rule.table == TABLE => prop_assert!(MangleChain::holds(rule)),
                _ => {}
            }
        }
        let done = fold(&case.state, &plan.actions);
        let reloads = |action: &Action| matches!(action, Action::Reload { .. });
        prop_assume!(!plan.actions.iter().any(reloads));
        let foreign = |state: &NodeState| -> Vec<String> {
            let tables = state.kernel.v4.known().unwrap();
            let chains = ["FORWARD", "FORWARD_direct"].map(|name| tables.chain(TABLE, name));
            let lines = chains.into_iter().flatten().flat_map(|chain| &chain.rules);
            let mut lines: Vec<String> = lines.map(|line| line.text.clone()).collect();
            lines.retain(|text| !text.contains("fwdeploy_") && !text.ends_with("_direct"));
            lines
        };
        prop_assert_eq!(foreign(&case.state), foreign(&done));
    }

    #[test]
    fn silence_ipv6_that_cannot_be_read_is_left_alone(
        case in case(),
        allowed in either(),
        is_routing in any::<bool>(),
    ) {
        let mut state = case.state;
        let why = "timed out after 5 s".to_string();
        match is_routing {
            true => state.system.networking.routing = Observed::Unreadable(why),
            false => state.kernel.v6 = Observed::Unreadable(why),
        }
        let of6 = |state: &NodeState| -> Vec<DirectRule> {
            let mut rules = state.permanent.direct.known().unwrap().rules.clone();
            rules.retain(|rule| rule.family == Some(Family::V6) && rule.table == TABLE);
            rules.sort();
            rules
        };
        prop_assume!(state.kernel.guard.nft.is_none());
        let plan = plan(&state, &case.wanted, &allowed);
        prop_assert_eq!(of6(&fold(&state, &plan.actions)), of6(&state));
        for action in plan.actions.iter().filter(|action| is_of_mangle(action)) {
            match action {
                Action::AddRule(rule) | Action::RemoveRule(rule) => prop_assert_eq!(rule.family, Some(Family::V4)),
                Action::AddChain { family, .. }
                | Action::RemoveChain { family, .. }
                | Action::SetMangle { family, .. } => prop_assert_eq!(*family, Family::V4),
                _ => {}
            }
        }
    }

    #[test]
    fn what_mangle_cannot_do_is_told_and_what_it_cannot_close_is_refused(case in case(), allowed in either()) {
        let ordinary = plan(&case.state, &case.wanted, &allowed);
        prop_assume!(!refused(&ordinary));
        let in_mangle = GuardKind::of(&case.state) == GuardKind::Mangle;
        let mut wanted = case.wanted;
        wanted.guard.networks[0].log = Some("cybex".to_string());
        let logs = plan(&case.state, &wanted, &allowed);
        let says = |plan: &Plan, words: &str| plan.findings.iter().any(|finding| {
            finding.code == FindingCode::GuardInMangle && finding.text.contains(words)
        });
        prop_assert_eq!(says(&logs, "not recorded or logged"), in_mangle);
        prop_assert!(!says(&ordinary, "logged"));
        wanted.guard.from_node.insert((CONTAINER.parse().unwrap(), None));
        let closes = plan(&case.state, &wanted, &allowed);
        prop_assert_eq!(has(&closes, FindingCode::FromNodeNeedsNft), in_mangle);
        prop_assert_eq!(refused(&closes), in_mangle);
    }

    #[test]
    fn nft_takes_over_before_mangle_lets_go(case in case()) {
        let mut state = case.state;
        state.kernel.guard.nft = Some(NftVersion(1, 0, 6));
        let plan = plan(&state, &case.wanted, &ALL);
        prop_assume!(!refused(&plan));
        let is_first = matches!(plan.actions[0], Action::SetGuard { .. });
        prop_assert!(is_first);
        prop_assert!(!has(&plan, FindingCode::GuardInMangle));
        // The node was closed to containers before.
        let was_closed = case.before.is_some() && case.drift != Drift::RuntimeLost;
        prop_assert_eq!(has(&plan, FindingCode::NodeClosed), !was_closed);
        let done = fold(&state, &plan.actions);
        for family in Family::ALL {
            let tables = done.kernel.tables(family).known().unwrap();
            prop_assert!(MangleState::of(tables).is_empty());
        }
    }
}
