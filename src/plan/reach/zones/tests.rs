//! Each case is a firewalld as it was tried with packets on real nodes (1.3.3 and 2.3.1, nftables), or a neighbour of one.

use std::collections::BTreeMap;

use super::*;
use crate::model::net::Family;
use crate::model::node_builder::NodeBuilder;
use crate::model::node_builder::cybex_attachment;
use crate::model::node_builder::cybex_network;
use crate::model::rule::DirectRule;
use crate::model::rule::Rule;
use crate::model::settings::AddressSet;
use crate::model::state::Docker;
use crate::model::state::Network;
use crate::model::state::Observed;
use crate::plan::reach::edge::edges;

const FORWARD: &str = "rule family=\"ipv4\" source address=\"192.0.2.7\" forward-port port=\"5000\" protocol=\"tcp\" to-port=\"5000\" to-addr=\"172.20.0.2\"";

/// A node with a container that has one peer, 192.0.2.7, in and out on 5000/tcp.
struct Node {
    settings: Settings,
    rich: Vec<&'static str>,
    version: &'static str,
    backend: &'static str,
    peer: &'static str,
    interface: Option<&'static str>,
}

impl Node {
    fn new() -> Self {
        let mut node = Node {
            settings: Settings {
                default_zone: "public".to_string(),
                ..Settings::default()
            },
            rich: vec![FORWARD],
            version: "2.3.1",
            backend: "nftables",
            peer: "192.0.2.7",
            interface: None,
        };
        for (zone, target) in [
            ("public", "default"),
            ("docker", "ACCEPT"),
            ("trusted", "ACCEPT"),
            ("work", "default"),
            ("internal", "default"),
        ] {
            node.add(zone, "target", target);
        }
        node.add("docker", "interfaces", "br-cybex");
        node
    }

    fn add(&mut self, zone: &str, key: &str, value: &str) {
        let zones = &mut self.settings.zones;
        zones.entry(zone.to_string()).or_default().add(key, value);
    }

    fn policy(&mut self, options: &[(&str, &str)]) {
        let options: Options = options.iter().copied().collect();
        self.settings.policies.insert("p1".to_string(), options);
    }

    fn set(&mut self, nets: &[&str], more: bool) {
        let nets = nets.iter().map(|net| net.parse().unwrap()).collect();
        let sets = &mut self.settings.sets;
        sets.insert("friends".to_string(), AddressSet { nets, more });
    }

    fn desired(&self) -> Desired {
        let rule = |priority: i32, text: String| {
            DirectRule::ours(Family::V4, priority, Rule::parse_text(&text).unwrap())
        };
        let peer = self.peer;
        let tag = "-m comment --comment fwdeploy:cybex/p2p -j ACCEPT";
        Desired {
            networks: vec![cybex_network()],
            attachments: vec![cybex_attachment("wit")],
            rules: vec![
                rule(
                    100,
                    format!(
                        "-s {peer} -d 172.20.0.2 -p tcp --dport 5000 -m conntrack --ctstate DNAT {tag}"
                    ),
                ),
                rule(
                    200,
                    format!("-s 172.20.0.2 -d {peer} -p tcp --dport 5000 {tag}"),
                ),
            ],
            rich: vec![RichRule::parse(&FORWARD.replace("192.0.2.7", peer))],
            ..Desired::default()
        }
    }

    fn state(&self) -> NodeState {
        let mut active_zones = BTreeMap::new();
        for (name, zone) in &self.settings.zones {
            let interfaces: Vec<String> = zone.all("interfaces").map(String::from).collect();
            if !interfaces.is_empty() || zone.all("sources").next().is_some() {
                active_zones.insert(name.clone(), interfaces);
            }
        }
        let rich: Vec<RichText> = self.rich.iter().map(|text| RichText::new(*text)).collect();
        NodeBuilder::new()
            .firewalld(self.version, self.backend)
            .active_zones(active_zones)
            .rich(&rich)
            .settings(&Observed::Known(self.settings.clone()))
            .docker(Docker {
                networks: vec![Network {
                    name: "cybex".into(),
                    bridge: "br-cybex".into(),
                    ..Network::default()
                }],
                ..Docker::default()
            })
            .build()
    }

    /// The codes that are found, each with its text.
    fn found(&self) -> Vec<(&'static str, String)> {
        let (desired, state) = (self.desired(), self.state());
        let ours = Ours::new(&desired, &state);
        let interface = self.interface;
        findings(
            &desired,
            &state,
            &ours,
            &edges(&desired, &std::collections::BTreeSet::new()),
            &|_| interface,
        )
        .into_iter()
        .map(|finding| (finding.code.as_str(), finding.text))
        .collect()
    }

    fn codes(&self) -> Vec<&'static str> {
        self.found().into_iter().map(|(code, _)| code).collect()
    }
}

#[test]
fn a_usual_firewalld_has_nothing_to_say() {
    assert_eq!(Node::new().codes(), [""; 0]);
    let mut node = Node::new();
    node.interface = Some("eth0");
    assert_eq!(node.codes(), [""; 0]);
    node.add("public", "interfaces", "eth0");
    assert_eq!(node.codes(), [""; 0]);
}

#[test]
fn a_peer_in_another_zone_is_named_with_what_puts_it_there() {
    for (source, found) in [
        ("192.0.2.7", true),
        ("192.0.2.0/24", true),
        ("0.0.0.0/0", true),
        ("192.0.2.8", false),
        ("2001:db8::/32", false),
        // The owner of this hardware address is unknown.
        ("aa:bb:cc:dd:ee:ff", false),
    ] {
        let mut node = Node::new();
        node.add("trusted", "sources", source);
        let codes = node.codes();
        assert_eq!(!codes.is_empty(), found, "{source}: {codes:?}");
        if found {
            let text = &node.found()[0].1;
            assert!(
                text.contains("zone `trusted`") && text.contains(source),
                "{text}"
            );
            assert!(text.contains("192.0.2.7 of `cybex/p2p`"), "{text}");
        }
    }
}

#[test]
fn a_source_goes_ahead_of_an_interface_and_zones_are_asked_in_their_order() {
    let mut node = Node::new();
    node.interface = Some("eth1");
    node.add("internal", "interfaces", "eth1");
    assert_eq!(node.codes(), ["peer-in-other-zone"]);
    assert!(node.found()[0].1.contains("by interface `eth1`"));
    // A source of the managed zone is asked first.
    node.add("public", "sources", "192.0.2.0/24");
    assert_eq!(node.codes(), [""; 0]);
    // By name: `internal` is evaluated before `public`, `work` after it.
    node.add("work", "sources", "192.0.2.7");
    assert_eq!(node.codes(), [""; 0]);
    node.add("internal", "sources", "192.0.0.0/16");
    assert_eq!(node.codes(), ["peer-in-other-zone"]);
    // By priority before the name.
    node.add("public", "ingress_priority", "-5");
    assert_eq!(node.codes(), [""; 0]);
}

#[test]
fn a_part_of_a_wide_peer_is_a_part() {
    let mut node = Node::new();
    node.peer = "192.0.2.0/24";
    node.add("work", "sources", "192.0.2.64/26");
    let found = node.found();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].1.starts_with("a part of 192.0.2.0/24"),
        "{}",
        found[0].1
    );
}

#[test]
fn an_address_set_is_looked_into() {
    let mut node = Node::new();
    node.add("work", "sources", "ipset:friends");
    node.set(&["192.0.2.7", "198.51.100.0/24"], false);
    assert_eq!(node.codes(), ["peer-in-other-zone"]);
    node.set(&["192.0.0.0/16"], false);
    assert_eq!(node.codes(), ["peer-in-other-zone"]);
    node.set(&["198.51.100.0/24"], false);
    assert_eq!(node.codes(), [""; 0], "a set without a peer says nothing");
    node.set(&[], true);
    assert_eq!(node.codes(), ["peer-zone-unknown"]);
    node.settings.sets.clear();
    assert_eq!(
        node.codes(),
        ["peer-zone-unknown"],
        "a set that was not read"
    );
}

#[test]
fn a_zone_that_forwards_to_the_container_too_is_as_good() {
    let mut node = Node::new();
    node.add("work", "sources", "192.0.2.7");
    node.add("work", "rules_str", FORWARD);
    assert_eq!(node.codes(), [""; 0]);
    let mut node = Node::new();
    node.add("work", "sources", "192.0.2.7");
    node.add(
        "work",
        "forward_ports",
        "port=5000:proto=tcp:toport=5000:toaddr=172.20.0.2",
    );
    assert_eq!(node.codes(), [""; 0]);
    let mut node = Node::new();
    node.add("work", "sources", "192.0.2.7");
    node.add(
        "work",
        "forward_ports",
        "port=5000:proto=tcp:toport=5001:toaddr=172.20.0.2",
    );
    assert_eq!(node.codes(), ["peer-in-other-zone"]);
}

#[test]
fn a_forward_that_takes_the_port_is_named() {
    let rich = "rule priority=\"-5\" family=\"ipv4\" forward-port port=\"5000\" protocol=\"tcp\" to-port=\"22\"";
    let mut node = Node::new();
    node.rich.push(rich);
    assert_eq!(node.codes(), ["forward-taken"]);
    assert!(
        node.found()[0]
            .1
            .contains("takes precedence over the whitelist's own forward:")
    );
    for (forward, found) in [
        ("port=5000:proto=tcp:toport=22", true),
        ("port=4990-5010:proto=tcp:toport=22", true),
        ("port=5000:proto=tcp:toaddr=10.0.0.9", true),
        ("port=5000:proto=udp:toport=22", false),
        ("port=5001:proto=tcp:toport=22", false),
        ("port=5000:proto=tcp:toport=5000:toaddr=172.20.0.2", false),
    ] {
        let mut node = Node::new();
        node.add("public", "forward_ports", forward);
        assert_eq!(!node.codes().is_empty(), found, "{forward}");
        let mut node = Node::new();
        node.add("work", "forward_ports", forward);
        assert_eq!(node.codes(), [""; 0], "of another zone: {forward}");
        let mut node = Node::new();
        node.policy(&[
            ("ingress_zones", "ANY"),
            ("egress_zones", "HOST"),
            ("forward_ports", forward),
        ]);
        assert_eq!(!node.codes().is_empty(), found, "of a policy: {forward}");
    }
    // A source of another tool.
    let mut node = Node::new();
    node.rich.push("rule priority=\"-5\" family=\"ipv4\" source address=\"198.51.100.7\" forward-port port=\"5000\" protocol=\"tcp\" to-port=\"22\"");
    assert_eq!(node.codes(), [""; 0]);
}

#[test]
fn a_policy_that_refuses_what_the_container_sends_is_named() {
    let between = |more: &[(&'static str, &'static str)]| {
        let mut options = vec![("ingress_zones", "docker"), ("egress_zones", "ANY")];
        options.extend_from_slice(more);
        options
    };
    let reject = "rule family=\"ipv4\" destination address=\"192.0.2.7\" reject";
    let other = "rule family=\"ipv4\" destination address=\"198.51.100.7\" reject";
    let cases = [
        (between(&[("target", "REJECT")]), true),
        (between(&[("target", "REJECT"), ("priority", "5")]), true),
        (between(&[("target", "DROP"), ("ports", "5000/tcp")]), false),
        (between(&[("target", "DROP"), ("ports", "5001/tcp")]), true),
        (
            between(&[("target", "CONTINUE"), ("rich_rules", reject)]),
            true,
        ),
        (
            between(&[("target", "CONTINUE"), ("rich_rules", other)]),
            false,
        ),
        (between(&[("target", "REJECT"), ("disable", "yes")]), false),
        (
            vec![
                ("ingress_zones", "docker"),
                ("egress_zones", "HOST"),
                ("target", "REJECT"),
            ],
            false,
        ),
        (
            vec![
                ("ingress_zones", "ANY"),
                ("egress_zones", "docker"),
                ("target", "DROP"),
            ],
            false,
        ),
        (
            vec![
                ("ingress_zones", "work"),
                ("egress_zones", "ANY"),
                ("target", "DROP"),
            ],
            false,
        ),
    ];
    for (options, found) in cases {
        let mut node = Node::new();
        node.policy(&options);
        assert_eq!(!node.codes().is_empty(), found, "{options:?}");
        // iptables decides last there, and DOCKER-USER is first.
        node.backend = "iptables";
        assert_eq!(node.codes(), [""; 0], "{options:?}");
    }
}

#[test]
fn a_policy_to_the_default_zone_counts_as_firewalld_counts_it() {
    let mut node = Node::new();
    node.interface = Some("eth0");
    node.policy(&[
        ("ingress_zones", "docker"),
        ("egress_zones", "public"),
        ("target", "REJECT"),
    ]);
    assert_eq!(node.codes(), ["refused-by-firewalld"]);
    node.version = "1.3.3";
    assert_eq!(node.codes(), [""; 0], "nothing is bound to it by name");
    node.add("public", "interfaces", "eth0");
    assert_eq!(node.codes(), ["refused-by-firewalld"]);
}

#[test]
fn a_bridge_in_a_zone_that_lets_nothing_through_is_named() {
    for (zone, found) in [("internal", true), ("trusted", false)] {
        let mut node = Node::new();
        node.settings
            .zones
            .get_mut("docker")
            .unwrap()
            .remove("interfaces");
        node.add(zone, "interfaces", "br-cybex");
        assert_eq!(!node.codes().is_empty(), found, "{zone}");
    }
    // Within one zone, if it is configured to forward.
    let mut node = Node::new();
    node.interface = Some("eth0");
    node.settings
        .zones
        .get_mut("docker")
        .unwrap()
        .remove("interfaces");
    node.add("public", "interfaces", "br-cybex");
    node.add("public", "interfaces", "eth0");
    assert_eq!(node.codes(), ["refused-by-firewalld"]);
    node.add("public", "forward", "yes");
    assert_eq!(node.codes(), [""; 0]);
}
