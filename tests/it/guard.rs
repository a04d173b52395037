//! The guard's table: as it is written, and as every version of nft lists it.
//!
//! `tests/captures/guard/script.nft` is what `nft -f` is given. `<release>.json` is what `nft -j -p list table inet fwdeploy` then said on that
//! release of Debian, `<release>-hostile.json` after somebody has changed the table, `<release>-foreign.json` after somebody has put into it
//! what fwdeploy never writes, and `<release>-used.json` after packets have gone through it. `script-audit.nft`, `<release>-audit.json` and
//! `<release>-audit-used.json` are the same with a network in audit, `ports.nft` and `<release>-ports.json` with the ranges and ICMP of
//! `ports.role.yml`. `tests/captures/guard/take` takes them again.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

use fwdeploy::inventory::Inventory;
use fwdeploy::model::Desired;
use fwdeploy::model::Observed;
use fwdeploy::model::Port;
use fwdeploy::model::Protocol;
use fwdeploy::model::Service;
use fwdeploy::model::Traffic;
use fwdeploy::model::guard::Guard;
use fwdeploy::model::guard::GuardTable;
use fwdeploy::model::guard::GuardUsage;
use fwdeploy::model::guard::GuardedFlow;
use fwdeploy::model::guard::GuardedNetwork;
use fwdeploy::model::guard::Refusal;
use fwdeploy::model::guard::table::GuardChain;
use fwdeploy::model::guard::table::GuardRule;
use fwdeploy::model::guard::table::GuardSet;
use fwdeploy::model::guard::table::GuardVerdict;
use fwdeploy::model::guard::table::LOG_PREFIX_MAX;
use fwdeploy::model::guard::usage::RefusedFlow;
use fwdeploy::model::mark::FirewallMark;
use fwdeploy::plan;
use fwdeploy::plan::Allowed;
use fwdeploy::policy::NodeContext;
use fwdeploy::policy::Packet;
use fwdeploy::policy::compile;
use fwdeploy::policy::evaluate::Flow;
use fwdeploy::policy::evaluate::Rewritten;
use fwdeploy::policy::guard::Capabilities;
use fwdeploy::policy::guard::GuardPacket;
use fwdeploy::policy::guard::Judgement;
use fwdeploy::policy::guard::evaluate;
use fwdeploy::policy::guard::table;
use fwdeploy::policy::guard::usage;
use fwdeploy::policy::guard::usage::Direction;
use fwdeploy::probe;
use fwdeploy::role::Roles;
use serde_json::Value;

use super::mangle::packets;
use crate::support::node_builder::NodeBuilder;

fn service(port: u16, protocol: Protocol) -> Option<Traffic> {
    Port::new(port).map(|port| Traffic::Service(Service::at(port, protocol)))
}

fn flow(container: &str, peer: &str, at: Option<(u16, Protocol)>) -> GuardedFlow {
    GuardedFlow {
        container: container.parse().unwrap(),
        traffic: at.and_then(|(port, protocol)| service(port, protocol)),
        peer: peer.parse().unwrap(),
    }
}

/// Two networks, in both families, with each kind of entry.
pub(super) fn guard() -> Guard {
    let network = |bridge: &str, subnets: &[&str], closed: &[&str], refusal| GuardedNetwork {
        bridge: bridge.to_string(),
        subnets: subnets.iter().map(|net| net.parse().unwrap()).collect(),
        closed: closed.iter().map(|net| net.parse().unwrap()).collect(),
        refusal,
        reaches_node: false,
        log: (refusal == Refusal::Drop).then(|| bridge.trim_start_matches("br-").to_string()),
        is_audited: false,
    };
    Guard {
        networks: vec![
            network(
                "br-cybex",
                &["172.31.8.0/24", "fd00:8::/64"],
                &["172.31.8.0/24", "fd00:8::/64"],
                Refusal::Reject,
            ),
            network(
                "br-eos",
                &["172.31.9.0/24"],
                &["172.31.9.2/32", "172.31.9.3/32"],
                Refusal::Drop,
            ),
        ],
        inbound: [
            flow("172.31.8.9", "203.0.113.7", Some((5000, Protocol::Tcp))),
            flow("172.31.8.9", "10.0.0.0/8", Some((5000, Protocol::Udp))),
            flow("172.31.8.9", "198.51.100.0/25", None),
            flow("172.31.9.2", "0.0.0.0/0", Some((9876, Protocol::Tcp))),
            flow("fd00:8::9", "2001:db8::/32", Some((5000, Protocol::Tcp))),
        ]
        .into(),
        outbound: [
            flow("172.31.8.9", "203.0.113.7", Some((5000, Protocol::Tcp))),
            flow("172.31.8.9", "198.51.100.3", Some((65535, Protocol::Tcp))),
            flow("172.31.9.2", "0.0.0.0/0", None),
            flow("fd00:8::9", "2001:db8::7", None),
        ]
        .into(),
        to_node: [
            ("172.31.8.9".parse().unwrap(), service(9100, Protocol::Tcp)),
            ("172.31.9.2".parse().unwrap(), None),
            ("fd00:8::9".parse().unwrap(), service(9100, Protocol::Tcp)),
        ]
        .into(),
        from_node: [
            ("172.31.8.9".parse().unwrap(), service(8090, Protocol::Tcp)),
            ("172.31.9.2".parse().unwrap(), None),
            ("fd00:8::9".parse().unwrap(), service(8090, Protocol::Tcp)),
        ]
        .into(),
    }
}

fn wanted(element_counters: bool) -> GuardTable {
    let can = Capabilities {
        element_counters,
        mark: None,
    };
    table(&guard(), can)
}

/// With the mark `0x400/0x400`, for every release: without counters.
fn marking() -> GuardTable {
    marking_with(0x400, 0x400)
}

fn marking_with(value: u32, mask: u32) -> GuardTable {
    let can = Capabilities {
        element_counters: false,
        mark: Some(FirewallMark { value, mask }),
    };
    table(&guard(), can)
}

/// The same with the first network in audit, and the second one enforced.
fn audited(element_counters: bool) -> GuardTable {
    let mut guard = guard();
    guard.networks[0].is_audited = true;
    table(
        &guard,
        Capabilities {
            element_counters,
            mark: None,
        },
    )
}

fn capture(name: &str) -> String {
    let path = format!("tests/captures/guard/{name}");
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// The releases, with whether their nft can count elements, and lists every network as it is.
const RELEASES: [(&str, bool); 4] = [
    ("bullseye", false),
    ("bookworm", true),
    ("trixie", true),
    ("forky", true),
];

#[test]
fn the_script_is_the_one_that_the_captures_were_taken_with() {
    for (name, table) in [
        ("script.nft", wanted(true)),
        ("script-0.9.nft", wanted(false)),
        ("script-audit.nft", audited(true)),
        ("script-audit-0.9.nft", audited(false)),
        ("script-mark.nft", marking()),
    ] {
        let now = table.script();
        if std::env::var_os("FWDEPLOY_WRITE_CAPTURES").is_some() {
            fs::write(format!("tests/captures/guard/{name}"), &now).unwrap();
        }
        assert_eq!(
            now,
            capture(name),
            "take the captures of tests/captures/guard again"
        );
    }
}

/// nft is asked for the numbers of protocols, because a name makes it open a file for each element. `<release>-names.json` has names.
#[test]
fn a_protocol_is_the_same_by_its_name_and_by_its_number() {
    for (release, _) in RELEASES {
        let names = capture(&format!("{release}-names.json"));
        let numbers = capture(&format!("{release}-used.json"));
        assert!(names.contains("\"udplite\"") && !numbers.contains("\"udplite\""));
        assert_eq!(
            probe::guard::table(&names).unwrap(),
            probe::guard::table(&numbers).unwrap(),
            "{release}"
        );
        let used = |text: &str| probe::guard::usage(text).unwrap();
        assert_eq!(used(&names).refused, used(&numbers).refused, "{release}");
    }
}

#[test]
fn every_nft_lists_the_table_as_it_was_written() {
    for (release, counters) in RELEASES {
        for (name, wanted) in [
            (release.to_string(), wanted(counters)),
            (format!("{release}-audit"), audited(counters)),
        ] {
            let listed = probe::guard::table(&capture(&format!("{name}.json"))).unwrap();
            let wanted = match counters {
                true => wanted,
                false => wanted.as_listed_before_1_0(),
            };
            assert_eq!(listed.to_string(), wanted.to_string(), "{name}");
            assert_eq!(listed, wanted, "{name}");
        }
    }
}

/// What the role of `ports.role.yml` requires: ranges, lists, both protocols and ICMP, in every kind of set.
fn with_ports() -> Desired {
    let folder = tempfile::tempdir().unwrap();
    let role = folder.path().join("roles/mychain");
    fs::create_dir_all(&role).unwrap();
    fs::write(role.join("role.yml"), capture("ports.role.yml")).unwrap();
    let path = folder.path().join("inventory.yml");
    let hosts = "all: { hosts: { n1: { ansible_host: 192.0.2.1, fwdeploy_roles: [mychain] } } }";
    fs::write(&path, hosts).unwrap();
    let inventory = Inventory::load(&path, &[]).unwrap();
    let roles = Roles::load(inventory.directory()).unwrap();
    let node = inventory.node("n1").unwrap();
    let policies = roles.resolve(&inventory, node).unwrap();
    let context = NodeContext {
        node: "n1".to_string(),
        ipsets: fwdeploy::model::Ipsets::default(),
        zone: None,
        ssh_port: Port::new(22).unwrap(),
        today: "2027-01-31".parse().unwrap(),
    };
    compile(&policies, &context).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_nft_lists_ranges_and_icmp_as_they_were_written() {
    let guard = with_ports().guard;
    for (release, element_counters) in RELEASES {
        let can = Capabilities {
            element_counters,
            mark: None,
        };
        let wanted = table(&guard, can);
        if element_counters {
            // What the captures were taken with; without the lines `counter` in sets for bullseye.
            assert_eq!(wanted.script(), capture("ports.nft"));
        }
        let listed = probe::guard::table(&capture(&format!("{release}-ports.json"))).unwrap();
        let wanted = match element_counters {
            true => wanted,
            false => wanted.as_listed_before_1_0(),
        };
        assert_eq!(listed.to_string(), wanted.to_string(), "{release}");
        assert_eq!(listed, wanted, "{release}");
    }
}

#[test]
fn every_entry_of_ranges_and_icmp_says_how_much_it_was_used() {
    let listed = capture("forky-ports.json");
    let table = probe::guard::table(&listed).unwrap();
    let entries = usage::entries(&table, &GuardUsage::default());
    let said: Vec<String> = entries
        .iter()
        .map(|entry| {
            let traffic = entry
                .traffic
                .map_or("all".to_string(), |one| one.to_string());
            let peer = entry.peer.map_or("node".to_string(), |net| net.short());
            format!("{} {peer} {traffic}", entry.direction)
        })
        .collect();
    let elements = table.sets.iter().filter(|(name, _)| {
        let begun = [
            "inbound",
            "outbound",
            "node4",
            "node6",
            "node_icmp",
            "from_node",
        ];
        begun.iter().any(|begin| name.starts_with(begin))
    });
    let elements: usize = elements.map(|(_, set)| set.elements.len()).sum();
    assert_eq!(said.len(), elements, "{said:#?}");
    for wanted in [
        "inbound 203.0.113.0/24 8000-8020/tcp",
        "inbound 203.0.113.0/24 icmp",
        "inbound 2001:db8::/32 icmp",
        "outbound 203.0.113.9 9876/udp",
        "outbound 2001:db8::7 40000-65535/udp",
        "to node node 9100-9110/tcp",
        "from node node icmp",
    ] {
        assert!(
            said.iter().any(|line| line == wanted),
            "{wanted}: {said:#?}"
        );
    }
}

#[test]
fn a_table_in_audit_is_known_as_one_and_replaced_as_a_whole() {
    let (strict, audit) = (wanted(true), audited(true));
    assert!(audit.is_audit() && !strict.is_audit());
    assert_eq!(audit.change_from(&strict), None);
    assert_eq!(strict.change_from(&audit), None);
    // Of a network in audit only the whitelist changes: its counters stay.
    let mut guard = guard();
    guard.networks[0].is_audited = true;
    assert!(guard.outbound.pop_first().is_some());
    let after = table(
        &guard,
        Capabilities {
            element_counters: true,
            mark: None,
        },
    );
    let change = after.change_from(&audit).unwrap();
    assert!(
        change.starts_with("delete element inet fwdeploy outbound"),
        "{change}"
    );
}

#[test]
fn every_nft_lists_the_mark_as_it_was_written() {
    for (release, counters) in RELEASES {
        let listed = probe::guard::table(&capture(&format!("{release}-mark.json"))).unwrap();
        let wanted = if counters {
            marking()
        } else {
            marking().as_listed_before_1_0()
        };
        assert_eq!(listed.to_string(), wanted.to_string(), "{release}");
        assert_eq!(listed, wanted, "{release}");
        assert_ne!(listed, marking_with(0x800, 0x800), "{release}");
    }
}

/// Each was given to nft 0.9.8, 1.0.6, 1.1.3 and 1.1.7, and all of them listed it as here.
#[test]
fn a_mark_is_written_as_nft_lists_it() {
    let own = r#"{"meta":{"key":"mark"}}"#;
    for ((value, mask), written, listed) in [
        ((0x400, u32::MAX), "meta mark set 0x400", "1024".to_string()),
        (
            (0x400, 0x400),
            "meta mark set meta mark | 0x400",
            format!(r#"{{"|":[{own},1024]}}"#),
        ),
        (
            (2, 3),
            "meta mark set meta mark & 0xfffffffe | 0x2",
            format!(r#"{{"|":[{{"&":[{own},4294967294]}},2]}}"#),
        ),
    ] {
        let wanted = marking_with(value, mask);
        let rule = &wanted.chains["let_in"].rules[0];
        assert_eq!(rule.to_string(), written);
        let rule = |value: &str| {
            format!(
                r#"{{"nftables":[{{"chain":{{"table":"fwdeploy","name":"let_in"}}}},{{"rule":{{"table":"fwdeploy","chain":"let_in","expr":[{{"mangle":{{"key":{own},"value":{value}}}}}]}}}}]}}"#
            )
        };
        let read = |text: &str| probe::guard::table(text).unwrap().chains["let_in"].clone();
        assert_eq!(read(&rule(&listed)), wanted.chains["let_in"], "{written}");
        for other in ["1025", r#""x""#, r#"{"|":[1024,1024]}"#, r#"{"^":[1,2]}"#] {
            assert_ne!(read(&rule(other)), wanted.chains["let_in"], "{other}");
        }
    }
}

/// What it sends back, what containers open, and what is refused must not pass Docker by it.
#[test]
fn only_what_a_peer_opens_is_marked() {
    let (plain, marking) = (wanted(false), marking());
    let lets_in = |rule: &&GuardRule| rule.to_string().ends_with("goto let_in");
    for (name, chain) in &marking.chains {
        let marked: Vec<String> = chain
            .rules
            .iter()
            .filter(lets_in)
            .map(ToString::to_string)
            .collect();
        if name != "inbound" {
            assert!(marked.is_empty(), "{name}: {marked:?}");
            continue;
        }
        assert_eq!(marked.len(), 4, "{marked:?}");
        for rule in &marked {
            assert!(rule.starts_with("ct direction original "), "{rule}");
            assert!(rule.contains("@inbound"), "{rule}");
        }
    }
    // It is the same table otherwise: what is marked was let through before.
    let mut back = marking.clone();
    back.chains.remove("let_in");
    let back = back.to_string().replace("goto let_in", "return");
    assert_eq!(back, plain.to_string());
}

#[test]
fn what_somebody_has_changed_is_seen() {
    for (release, counters) in RELEASES {
        let listed = probe::guard::table(&capture(&format!("{release}-hostile.json"))).unwrap();
        let wanted = wanted(counters);
        let foreign = |chain: &str| {
            let rules = listed.chains[chain].rules.iter();
            rules
                .filter(|rule| !wanted.chains[chain].rules.contains(rule))
                .count()
        };
        assert_eq!(foreign("forward"), 1, "{release}: an accept put first");
        assert!(
            !wanted.chains["forward"]
                .rules
                .contains(&listed.chains["forward"].rules[0])
        );
        assert_eq!(
            foreign("refuse_outbound"),
            1,
            "{release}: an accept put last"
        );
        let more = listed.sets["outbound_any4"].elements.len();
        assert_eq!(
            more,
            wanted.sets["outbound_any4"].elements.len() + 1,
            "{release}"
        );
        let fewer = listed.sets["closed4"].elements.len();
        assert_eq!(
            fewer,
            wanted.sets["closed4"].elements.len() - 1,
            "{release}"
        );
    }
}

/// A packet from a container of the first network to the node.
fn to_node(source: &str, protocol: &str, port: u16, is_original: bool) -> GuardPacket {
    GuardPacket {
        packet: Packet {
            source: source.parse().unwrap(),
            destination: "172.31.8.1".parse().unwrap(),
            protocol: protocol.to_string(),
            source_port: Some(40000),
            destination_port: Some(port),
            flow: Flow::New,
            destination_rewritten: Rewritten::No,
            interface_in: Some("br-cybex".to_string()),
            interface_out: None,
        },
        is_original,
    }
}

#[test]
fn a_container_reaches_of_the_node_what_its_role_names() {
    let mut guard = guard();
    let ask = |guard: &Guard, packet: GuardPacket| {
        let table = table(
            guard,
            Capabilities {
                element_counters: true,
                mark: None,
            },
        );
        evaluate(&table, "input", &packet).refusal
    };
    let (own, other) = ("172.31.8.9", "172.31.8.10");
    assert_eq!(ask(&guard, to_node(own, "tcp", 9100, true)), None);
    assert_eq!(
        ask(&guard, to_node(own, "udp", 9100, true)),
        Some(Refusal::Reject)
    );
    assert_eq!(
        ask(&guard, to_node(own, "tcp", 22, true)),
        Some(Refusal::Reject)
    );
    assert_eq!(
        ask(&guard, to_node(other, "tcp", 9100, true)),
        Some(Refusal::Reject)
    );
    // The node has opened the flow.
    assert_eq!(ask(&guard, to_node(own, "tcp", 22, false)), None);
    // Not from a managed network.
    let mut from_outside = to_node("203.0.113.7", "tcp", 22, true);
    from_outside.packet.interface_in = Some("eth0".to_string());
    assert_eq!(ask(&guard, from_outside), None);
    // A network whose single containers are closed.
    let mut single = to_node("172.31.9.3", "tcp", 22, true);
    single.packet.interface_in = Some("br-eos".to_string());
    assert_eq!(ask(&guard, single.clone()), Some(Refusal::Drop));
    single.packet.source = "172.31.9.4".parse().unwrap();
    assert_eq!(ask(&guard, single), None);
    guard.networks[0].reaches_node = true;
    assert_eq!(ask(&guard, to_node(other, "tcp", 22, true)), None);
}

#[test]
fn what_fwdeploy_never_writes_is_seen_and_replaces_the_table() {
    for (release, counters) in RELEASES {
        let listed = probe::guard::table(&capture(&format!("{release}-foreign.json"))).unwrap();
        let about: Vec<&str> = listed
            .foreign
            .iter()
            .map(|object| object.split(' ').next().unwrap())
            .collect();
        // The table has no effect, a chain refuses all, a set, a counter and a map are of no known kind, and an element is a range.
        assert_eq!(
            about,
            ["chain", "counter", "flags", "map", "set", "set"],
            "{release}: {:?}",
            listed.foreign
        );
        assert_eq!(wanted(counters).change_from(&listed), None, "{release}");
    }
}

#[test]
fn the_node_reaches_of_a_closed_container_what_its_role_names() {
    let ask =
        |guard: &Guard, source: &str, destination: &str, protocol: &str, port, is_original| {
            let can = Capabilities {
                element_counters: true,
                mark: None,
            };
            let mut packet = to_node(source, protocol, port, is_original);
            packet.packet.destination = destination.parse().unwrap();
            packet.packet.interface_in = None;
            packet.packet.interface_out = Some("br-cybex".to_string());
            evaluate(&table(guard, can), "output", &packet).refusal
        };
    let mut guard = guard();
    let (node, own) = ("172.31.8.1", "172.31.8.9");
    let refused = Some(Refusal::Reject);
    assert_eq!(ask(&guard, node, own, "tcp", 8090, true), None);
    assert_eq!(ask(&guard, node, own, "udp", 8090, true), refused);
    assert_eq!(ask(&guard, node, own, "tcp", 22, true), refused);
    assert_eq!(ask(&guard, node, own, "icmp", 0, true), refused);
    // From whichever address of its own.
    assert_eq!(ask(&guard, "192.0.2.1", own, "tcp", 22, true), refused);
    // The container has opened the flow.
    assert_eq!(ask(&guard, node, own, "tcp", 22, false), None);
    // Every port of one, and one that no entry is about.
    for other in ["172.31.9.2", "172.31.8.10", "203.0.113.7"] {
        assert_eq!(ask(&guard, node, other, "tcp", 22, true), None, "{other}");
    }
    assert_eq!(
        ask(&guard, "fd00:8::1", "fd00:8::9", "tcp", 8090, true),
        None
    );
    assert_eq!(
        ask(&guard, "fd00:8::1", "fd00:8::9", "tcp", 22, true),
        refused
    );
    // Without such an entry the table has no part in it.
    guard.from_node.clear();
    assert_eq!(ask(&guard, node, own, "tcp", 22, true), None);
    let can = Capabilities {
        element_counters: true,
        mark: None,
    };
    assert!(!table(&guard, can).chains.contains_key("output"));
}

/// What a rule of the guard's logs with, in what nft has listed.
fn logged(listed: &mut Value) -> &mut Vec<Value> {
    let objects = listed["nftables"].as_array_mut().unwrap().iter_mut();
    let rules = objects.filter_map(|object| object.get_mut("rule"));
    let mut expressions = rules.filter_map(|rule| rule["expr"].as_array_mut());
    expressions
        .find(|all| all.iter().any(|one| one.get("log").is_some()))
        .unwrap()
}

#[test]
fn a_log_of_somebody_else_is_seen() {
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Vec<Value>));
    let changes: [Change<'_>; 9] = [
        ("faster", &|all| all[1]["limit"]["rate"] = 6.into()),
        ("per second", &|all| {
            all[1]["limit"]["per"] = "second".into()
        }),
        ("more at once", &|all| all[1]["limit"]["burst"] = 11.into()),
        ("over the limit", &|all| {
            all[1]["limit"]["inv"] = true.into()
        }),
        ("without a limit", &|all| drop(all.remove(1))),
        ("in another order", &|all| all.swap(1, 2)),
        ("at a level", &|all| all[2]["log"]["level"] = "info".into()),
        ("to a group", &|all| {
            all[2]["log"] = serde_json::json!({"group": 1})
        }),
        ("and refused", &|all| {
            all.push(serde_json::json!({"drop": null}))
        }),
    ];
    for (name, change) in changes {
        let mut listed: Value = serde_json::from_str(&capture("bookworm.json")).unwrap();
        change(logged(&mut listed));
        let read = probe::guard::table(&listed.to_string()).unwrap();
        assert_ne!(read, wanted(true), "{name}");
        let rules = read.chains.values().flat_map(|chain| &chain.rules);
        let foreign = rules.filter(|rule| matches!(rule, GuardRule::Foreign(_)));
        assert_eq!(foreign.count(), 1, "{name}");
    }
}

#[test]
fn a_network_is_logged_under_its_name_as_far_as_the_kernel_takes_it() {
    let prefixes = |name: &str| -> Vec<String> {
        let mut guard = guard();
        guard.networks[0].log = Some(name.to_string());
        guard.networks[1].log = None;
        let can = Capabilities {
            element_counters: true,
            mark: None,
        };
        let table = table(&guard, can);
        let rules = table.chains.values().flat_map(|chain| chain.rules.clone());
        rules
            .filter_map(|rule| match rule {
                GuardRule::Known {
                    verdict: GuardVerdict::Log(prefix),
                    ..
                } => Some(prefix),
                _ => None,
            })
            .collect()
    };
    // Once for each way.
    assert_eq!(prefixes("cybex"), ["fwdeploy refused cybex: "; 2]);
    let long = prefixes(&"x".repeat(300));
    assert_eq!(long[0].len(), LOG_PREFIX_MAX);
    assert!(long[0].starts_with("fwdeploy refused xxx") && long[0].ends_with("xxx: "));
}

#[test]
fn packets_change_nothing_that_is_compared() {
    let names = RELEASES.map(|(release, _)| [release.to_string(), format!("{release}-audit")]);
    for name in names.as_flattened() {
        let before = probe::guard::table(&capture(&format!("{name}.json"))).unwrap();
        let used = probe::guard::table(&capture(&format!("{name}-used.json"))).unwrap();
        assert_eq!(used, before, "{name}");
        assert_eq!(before.change_from(&used).as_deref(), Some(""), "{name}");
    }
    let before = NodeBuilder::new().build();
    let mut after = before.clone();
    after.kernel.guard.usage = Observed::Known(used("bookworm"));
    assert_ne!(before, after);
    assert!(plan::compare(&before, &after).is_empty());
    after.kernel.guard.usage = Observed::Unreadable("cut off".to_string());
    let desired = Desired::default();
    let plan = |state| plan::plan(state, &desired, &Allowed::default());
    assert_eq!(plan(&after), plan(&before));
}

fn used(release: &str) -> GuardUsage {
    probe::guard::usage(&capture(&format!("{release}-used.json"))).unwrap()
}

/// The flows that `tests/captures/guard/take` has sent and that were refused: source, destination, protocol, port, packets.
const REFUSED: [(&str, &str, &str, Option<u16>, u64); 13] = [
    ("172.31.8.9", "192.0.2.66", "tcp", Some(443), 5),
    ("172.31.8.9", "192.0.2.66", "udp", Some(53), 2),
    ("172.31.8.9", "192.0.2.66", "sctp", Some(9), 1),
    ("172.31.8.9", "192.0.2.66", "icmp", None, 4),
    ("172.31.8.9", "192.0.2.66", "253", None, 1),
    ("172.31.8.9", "172.31.8.1", "tcp", Some(22), 1),
    ("172.31.8.9", "172.31.9.2", "tcp", Some(9876), 1),
    ("192.0.2.66", "172.31.8.9", "tcp", Some(8090), 3),
    ("fd00:8::9", "2001:db8::66", "tcp", Some(443), 4),
    ("fd00:8::9", "2001:db8::66", "ipv6-icmp", None, 1),
    ("172.31.8.1", "172.31.8.9", "udp", Some(53), 2),
    // To a port of the node that leads to the container's.
    ("192.0.2.1", "172.31.8.9", "udp", Some(54), 1),
    ("fd00:8::1", "fd00:8::9", "udp", Some(53), 1),
];

#[test]
fn what_was_refused_is_read_from_every_nft() {
    for (release, counters) in RELEASES {
        let usage = used(release);
        assert_eq!(usage.refused.len(), REFUSED.len(), "{release}");
        for (source, destination, protocol, port, packets) in REFUSED {
            let is_it = |flow: &&RefusedFlow| {
                (flow.source, flow.destination, flow.port)
                    == (source.parse().unwrap(), destination.parse().unwrap(), port)
                    && flow.protocol == protocol
            };
            let flow = usage.refused.iter().find(is_it);
            let flow = flow.unwrap_or_else(|| panic!("{release}: {source} {destination} {port:?}"));
            let counted = flow.count.map(|count| count.packets);
            assert_eq!(counted, counters.then_some(packets), "{release} {flow:?}");
            // All were sent within a minute.
            assert!(
                flow.idle.is_some_and(|idle| idle < 60),
                "{release} {flow:?}"
            );
        }
    }
}

/// Taken away one after the other: each rule that a table has only because of a network in audit.
#[test]
fn each_rule_of_an_audit_decides_about_some_packet() {
    let (audit, strict) = (audited(true), wanted(true));
    let judge = |table: &GuardTable| -> Vec<Judgement> {
        let packets = packets().into_iter();
        let both = packets.flat_map(|packet| {
            let mut to_node = packet.clone();
            to_node.packet.interface_out = None;
            [("forward", packet), ("input", to_node)]
        });
        both.map(|(hook, packet)| evaluate(table, hook, &packet))
            .collect()
    };
    let before = judge(&audit);
    let mut taken = 0;
    for (name, chain) in &audit.chains {
        for (at, rule) in chain.rules.iter().enumerate() {
            let text = rule.to_string();
            // No packet is of IPv6, or to this container.
            let is_about_others = text.contains("ip6") || text.contains("172.31.9.3");
            let is_old = |strict: &GuardChain| strict.rules.contains(rule);
            // What comes to the end of that chain passes without its last rule, too, which counts it.
            let only_counts = name == "audited" && at + 1 == chain.rules.len();
            if only_counts || is_about_others || strict.chains.get(name).is_some_and(is_old) {
                continue;
            }
            let mut table = audit.clone();
            table.chains.get_mut(name).unwrap().rules.remove(at);
            assert_ne!(judge(&table), before, "{name} {text}");
            taken += 1;
        }
    }
    assert_eq!(taken, 11);
}

/// The same packets were sent, and passed, but for the one into the network that is enforced. Their answers are recorded nowhere: without
/// `ct direction reply` in the chain, each is a flow to the port of its client.
#[test]
fn a_network_in_audit_records_the_same_flows_and_no_answers() {
    let flow = |flow: &RefusedFlow| {
        let ends = (flow.source, flow.destination);
        (ends, flow.protocol.clone(), flow.port)
    };
    for (release, _) in RELEASES {
        let strict: BTreeSet<_> = used(release).refused.iter().map(flow).collect();
        let audit = used(&format!("{release}-audit"));
        let audit: BTreeSet<_> = audit.refused.iter().map(flow).collect();
        assert!(audit.is_superset(&strict), "{release} {audit:#?}");
        let more: Vec<_> = audit.difference(&strict).collect();
        // The error about the SCTP packet, which was no packet of a flow. There was none where that packet was refused.
        let ends = ("192.0.2.66".parse().unwrap(), "172.31.8.9".parse().unwrap());
        assert_eq!(more, [&(ends, "icmp".to_string(), None)], "{release}");
    }
}

#[test]
fn every_entry_says_how_much_it_was_used() {
    let used_ones = [
        "inbound 198.51.100.0/25 172.31.8.9/32 every port",
        "inbound 203.0.113.7/32 172.31.8.9/32 5000/tcp",
        "outbound 203.0.113.7/32 172.31.8.9/32 5000/tcp",
        "outbound 2001:db8::7/128 fd00:8::9/128 every port",
        "to node 172.31.8.9/32 9100/tcp",
        "from node 172.31.8.9/32 8090/tcp",
        "from node fd00:8::9/128 8090/tcp",
    ];
    for (release, counters) in RELEASES {
        let listed = probe::guard::table(&capture(&format!("{release}-used.json"))).unwrap();
        let entries = usage::entries(&listed, &used(release));
        let with_node = guard().to_node.len() + guard().from_node.len();
        let of_policy = guard().inbound.len() + guard().outbound.len() + with_node;
        assert_eq!(entries.len(), of_policy, "{release}");
        assert!(entries.is_sorted());
        assert!(
            entries
                .iter()
                .all(|entry| entry.count.is_some() == counters)
        );
        // Three connections that were opened and closed, each packet counted once.
        let peer: IpAddr = "203.0.113.7".parse().unwrap();
        let outbound = entries.iter().find(|entry| {
            entry.direction == Direction::Outbound
                && entry.peer.is_some_and(|net| net.address() == peer)
        });
        let packets = outbound.unwrap().count.map_or(18, |count| count.packets);
        assert!((18..=24).contains(&packets), "{release}: {packets}");
        let with_packets = entries.iter().filter(|entry| {
            let packets = entry.count.map_or(0, |count| count.packets);
            let bytes = entry.count.map_or(0, |count| count.bytes);
            assert_eq!(packets > 0, bytes > 0, "{release} {entry:?}");
            packets > 0
        });
        let mut told: Vec<String> = with_packets
            .map(|entry| {
                let peer = entry.peer.map_or(String::new(), |peer| format!("{peer} "));
                let service = entry.traffic.map(|traffic| traffic.to_string());
                let service = service.unwrap_or("every port".to_string());
                format!("{} {peer}{} {service}", entry.direction, entry.container)
            })
            .collect();
        told.sort();
        let mut expected: Vec<&str> = if counters {
            used_ones.to_vec()
        } else {
            Vec::new()
        };
        expected.sort();
        assert_eq!(told, expected, "{release}");
    }
}

#[test]
fn what_was_refused_says_which_entry_would_allow_it() {
    let listed = probe::guard::table(&capture("forky-used.json")).unwrap();
    let node = ["172.31.8.1", "192.0.2.1", "fd00:8::1"].map(|text| text.parse().unwrap());
    let node = BTreeSet::from(node);
    let flows = usage::refused(&listed, &used("forky"), &node);
    let told: Vec<String> = flows
        .iter()
        .map(|flow| {
            let entry = flow.entry.map_or("nothing".to_string(), |entry| {
                let port = entry
                    .port
                    .map_or(String::new(), |port| format!(", port {port}"));
                format!("{}{port}", entry.peer)
            });
            let port = flow.port.map_or(String::new(), |port| format!("{port}/"));
            format!(
                "{} {} {port}{} {}: {entry}",
                flow.count.unwrap().packets,
                flow.direction,
                flow.protocol,
                flow.container
            )
        })
        .collect();
    let (first, last) = told.split_at(4);
    assert_eq!(
        first,
        [
            "5 outbound 443/tcp 172.31.8.9: 192.0.2.66:443, port 443/tcp",
            "4 outbound 443/tcp fd00:8::9: [2001:db8::66]:443, port 443/tcp",
            "4 outbound icmp 172.31.8.9: 192.0.2.66, port icmp",
            "3 inbound 8090/tcp 172.31.8.9: 192.0.2.66, port 8090/tcp",
        ]
    );
    for expected in [
        "2 outbound 53/udp 172.31.8.9: 192.0.2.66:53, port 53/udp",
        // The whitelist has no ports but those of TCP and UDP.
        "1 outbound 9/sctp 172.31.8.9: 192.0.2.66",
        "1 outbound 253 172.31.8.9: 192.0.2.66",
        "1 outbound ipv6-icmp fd00:8::9: 2001:db8::66, port icmp",
        "1 to node 22/tcp 172.31.8.9: node, port 22/tcp",
        "2 from node 53/udp 172.31.8.9: node, port 53/udp",
        "1 from node 54/udp 172.31.8.9: node, port 54/udp",
        "1 from node 53/udp fd00:8::9: node, port 53/udp",
        // Two managed networks are closed to each other.
        "1 outbound 9876/tcp 172.31.8.9: nothing",
    ] {
        assert!(
            last.iter().any(|line| line == expected),
            "{expected}: {last:#?}"
        );
    }
    // What goes to everybody goes to the node too; what no closed address is an end of, is of a network that was managed once.
    let mut some = GuardUsage::default();
    let flow = |source: &str, destination: &str| RefusedFlow {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol: "udp".to_string(),
        port: Some(5353),
        count: None,
        idle: None,
    };
    for (source, destination) in [
        ("172.31.8.9", "224.0.0.251"),
        ("172.31.8.9", "255.255.255.255"),
        ("172.31.8.9", "172.31.8.255"),
        ("fd00:8::9", "ff02::fb"),
        ("10.1.1.1", "10.2.2.2"),
    ] {
        some.refused.push(flow(source, destination));
    }
    let flows = usage::refused(&listed, &some, &node);
    let directions: Vec<Direction> = flows.iter().map(|flow| flow.direction).collect();
    assert_eq!(directions, [Direction::ToNode; 4]);
}

#[test]
fn without_counters_the_last_refused_comes_first() {
    let listed = probe::guard::table(&capture("bullseye-used.json")).unwrap();
    let flows = usage::refused(&listed, &used("bullseye"), &BTreeSet::new());
    assert!(flows.is_sorted_by_key(|flow| flow.idle));
    assert!(flows.first().unwrap().idle < flows.last().unwrap().idle);
}

/// nft's answer with one set of refused flows.
fn refusing(name: &str, elements: &[String]) -> String {
    let elements = elements.join(",");
    format!(
        r#"{{"nftables":[{{"set":{{"table":"fwdeploy","name":"{name}","type":["ipv4_addr","ipv4_addr","inet_proto","inet_service"],"size":4096,"timeout":86400,"elem":[{elements}]}}}}]}}"#
    )
}

fn refused_element(protocol: &str, rest: &str) -> String {
    format!(r#"{{"elem":{{"val":{{"concat":["172.31.8.9","192.0.2.1",{protocol},443]}}{rest}}}}}"#)
}

#[test]
fn no_more_refused_flows_are_read_than_the_kernel_remembers() {
    let many = vec![refused_element("\"tcp\"", ""); 20_000];
    let usage = probe::guard::usage(&refusing("refused4", &many)).unwrap();
    assert_eq!(usage.refused.len(), GuardUsage::MOST_REFUSED);
    let table = wanted(true);
    assert!(usage::is_full(&table, &usage));
    assert!(!usage::is_full(&table, &used("forky")));
    let one_less = vec![refused_element("\"tcp\"", ""); 4095];
    let usage = probe::guard::usage(&refusing("refused4", &one_less)).unwrap();
    assert!(!usage::is_full(&table, &usage));
}

#[test]
fn a_refused_flow_that_is_not_understood_is_an_error_and_the_table_stays_readable() {
    let good = refused_element(
        "\"tcp\"",
        r#","expires":5,"counter":{"packets":1,"bytes":60}"#,
    );
    for wrong in [
        refused_element("\"a\\u001b[2J\"", ""),
        refused_element("\"\"", ""),
        refused_element("256", ""),
        refused_element("null", ""),
        refused_element("\"tcp\"", r#","counter":{"packets":-1,"bytes":60}"#),
        refused_element("\"tcp\"", r#","counter":{"packets":1e99,"bytes":60}"#),
        refused_element("\"tcp\"", r#","counter":{}"#),
        good.replace("172.31.8.9", "::1"),
        good.replace("172.31.8.9", "172.31.8.0/24"),
        good.replace("443", "65536"),
        good.replace(",443", ""),
        "7".to_string(),
    ] {
        let answer = refusing("refused4", &[good.clone(), wrong.clone()]);
        let why = probe::guard::usage(&answer).unwrap_err();
        assert!(why.starts_with("set refused4: "), "{wrong}: {why}");
        assert!(probe::guard::table(&answer).is_ok(), "{wrong}");
    }
    let usage = probe::guard::usage(&refusing("refused4", &[good])).unwrap();
    assert_eq!(usage.refused[0].idle, Some(86_395));
}

/// The places of all values in a document.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_string());
    match value {
        Value::Array(all) => {
            for (index, value) in all.iter().enumerate() {
                places(value, &format!("{at}/{index}"), out);
            }
        }
        Value::Object(all) => {
            for (key, value) in all {
                places(value, &format!("{at}/{key}"), out);
            }
        }
        _ => {}
    }
}

/// Any value may be another one, wherever it is: the answer is then an error or another value, and what it means is told.
#[test]
fn a_hostile_value_anywhere_is_an_error_or_a_value() {
    let mut good: Value = serde_json::from_str(&capture("bookworm-used.json")).unwrap();
    // Some sets of each kind are enough.
    let kept = [
        "closed4",
        "inbound4",
        "node4",
        "outbound_any6",
        "refused4",
        "refused_portless6",
    ];
    let objects = good["nftables"].as_array_mut().unwrap();
    objects.retain(|object| kept.iter().any(|name| object["set"]["name"] == *name));
    assert_eq!(objects.len(), kept.len());
    let mut all = Vec::new();
    places(&good, "", &mut all);
    let hostile = [
        Value::Null,
        serde_json::json!(-1),
        serde_json::json!(u64::MAX),
        serde_json::json!("\u{1b}[2J\u{202e}"),
        serde_json::json!([]),
        serde_json::json!({"elem": {"val": {"concat": [[], {}]}}}),
    ];
    let mut read = 0;
    for (place, value) in all
        .iter()
        .flat_map(|place| hostile.iter().map(move |v| (place, v)))
    {
        let mut answer = good.clone();
        *answer.pointer_mut(place).unwrap() = value.clone();
        let text = answer.to_string();
        let (table, usage) = (probe::guard::table(&text), probe::guard::usage(&text));
        if let (Ok(table), Ok(usage)) = (table, usage) {
            read += 1;
            usage::entries(&table, &usage);
            let flows = usage::refused(&table, &usage, &BTreeSet::new());
            assert!(flows.len() <= usage.refused.len());
            assert!(usage.refused.iter().all(|flow| flow.protocol.is_ascii()));
        }
    }
    // Handles, and other values that are not read, may be anything.
    assert!(read > 0 && read < all.len() * hostile.len());
}

#[test]
fn a_change_of_the_whitelist_names_only_the_entries_that_come_or_go() {
    let before = wanted(true);
    let mut policy = guard();
    let gone = flow("172.31.8.9", "198.51.100.3", Some((65535, Protocol::Tcp)));
    assert!(policy.outbound.remove(&gone));
    policy.inbound.insert(flow(
        "172.31.8.9",
        "192.0.2.66",
        Some((5000, Protocol::Tcp)),
    ));
    policy
        .to_node
        .insert(("172.31.8.9".parse().unwrap(), service(9200, Protocol::Tcp)));
    let can = Capabilities {
        element_counters: true,
        mark: None,
    };
    let after = table(&policy, can);
    assert_eq!(
        after.change_from(&before).unwrap(),
        "delete element inet fwdeploy outbound4 { 172.31.8.9 . 198.51.100.3 . tcp . 65535 }\n\
         add element inet fwdeploy inbound4 { 192.0.2.66 . 172.31.8.9 . tcp . 5000 }\n\
         add element inet fwdeploy node4 { 172.31.8.9 . tcp . 9200 }\n"
    );
    // The kernel's own elements are in no change, and nothing changes nothing.
    assert_eq!(before.change_from(&before).as_deref(), Some(""));
}

#[test]
fn a_change_of_more_than_entries_replaces_the_table() {
    let before = wanted(true);
    let changed = |change: &dyn Fn(&mut GuardTable)| {
        let mut after = before.clone();
        change(&mut after);
        assert_ne!(after, before);
        after.change_from(&before)
    };
    let set = "outbound4";
    let changes: [&dyn Fn(&mut GuardTable); 8] = [
        &|table| table.chains.get_mut("forward").unwrap().rules.truncate(1),
        &|table| {
            table
                .chains
                .get_mut("input")
                .unwrap()
                .hook
                .as_mut()
                .unwrap()
                .priority = 0
        },
        &|table| drop(table.chains.remove("node")),
        &|table| drop(table.sets.remove(set)),
        &|table| drop(table.sets.insert("more".to_string(), GuardSet::default())),
        &|table| table.sets.get_mut(set).unwrap().is_counted = false,
        &|table| table.sets.get_mut(set).unwrap().key.truncate(2),
        &|table| {
            table
                .sets
                .get_mut("refused4")
                .unwrap()
                .dynamic
                .as_mut()
                .unwrap()
                .size = 1
        },
    ];
    for change in changes {
        assert_eq!(changed(change), None);
    }
}
