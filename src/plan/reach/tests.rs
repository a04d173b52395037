//! Cases: a node, one obstacle in the path of a packet, and the findings about it.

use std::collections::BTreeMap;

use super::findings;
use crate::model::desired::Attachment;
use crate::model::desired::Desired;
use crate::model::desired::DesiredNetwork;
use crate::model::net::Family;
use crate::model::networking::Listener;
use crate::model::networking::Networking;
use crate::model::networking::RoutingSettings;
use crate::model::node_builder::NodeBuilder;
use crate::model::node_builder::cybex_attachment;
use crate::model::node_builder::cybex_network;
use crate::model::ranges::Ranges;
use crate::model::rich::RichRule;
use crate::model::rule::DirectRule;
use crate::model::rule::Rule;
use crate::model::state::Chain;
use crate::model::state::Container;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::model::state::KernelRule;
use crate::model::state::Network;
use crate::model::state::NodeState;
use crate::model::state::Observed;
use crate::model::state::System;
use crate::model::state::Tables;
use crate::model::step::Act;
use crate::model::step::Hook;
use crate::model::step::NftChain;
use crate::model::step::NftTable;
use crate::model::step::Step;
use crate::model::step::Test;
use crate::plan::finding::Finding;
use crate::plan::ownership::Ours;
use crate::plan::severity::Severity;

pub(super) const IN: &str = "-s 192.0.2.7 -d 172.20.0.2 -p tcp --dport 5000 -m conntrack --ctstate DNAT -m comment --comment fwdeploy:cybex/p2p -j ACCEPT";
pub(super) const OUT: &str = "-s 172.20.0.2 -d 192.0.2.7 -p tcp --dport 5000 -m comment --comment fwdeploy:cybex/p2p -j ACCEPT";
const IN6: &str = "-s 2001:db8::7 -d fd00:20::2 -p tcp --dport 5000 -m conntrack --ctstate DNAT -m comment --comment fwdeploy:cybex/p2p -j ACCEPT";
const TRUSTED: &str =
    "-s 192.0.2.9 -d 172.20.0.2 -m comment --comment fwdeploy:cybex/trusted -j ACCEPT";
const OTHERWISE: &str = "! -s 172.20.0.0/16 -d 172.20.0.0/16 -m comment --comment fwdeploy:cybex/otherwise-in -j REJECT";

fn desired(rules: &[(Family, &str)]) -> Desired {
    let rule = |(family, text): &(Family, &str)| {
        DirectRule::ours(*family, 100, Rule::parse_text(text).unwrap())
    };
    Desired {
        networks: vec![DesiredNetwork {
subnet6: "fd00:20::/64".parse().ok(),
..cybex_network()
}],
        attachments: vec![Attachment {
address6: "fd00:20::2".parse().ok(),
..cybex_attachment("wit")
}],
        rules: rules.iter().map(rule).collect(),
        rich: [
            "rule family=\"ipv4\" source address=\"192.0.2.7\" forward-port port=\"5000\" protocol=\"tcp\" to-port=\"5000\" to-addr=\"172.20.0.2\"",
            "rule family=\"ipv6\" source address=\"2001:db8::7\" forward-port port=\"5000\" protocol=\"tcp\" to-port=\"5000\" to-addr=\"fd00:20::2\"",
        ]
        .map(RichRule::parse)
        .to_vec(),
        ..Desired::default()
    }
}

/// A case: what the node has apart from the whitelist.
#[derive(Default)]
pub(super) struct Case {
    v4: Tables,
    v6: Tables,
    pub(super) docker: Docker,
    pub(super) networking: Networking,
    backend: &'static str,
    rules: Vec<(Family, &'static str)>,
    /// What the node's own programs may open on the container, if it is closed to them.
    from_node: Vec<&'static str>,
}

impl Case {
    /// A node whose whitelist is in force.
    pub(super) fn new() -> Self {
        let mut case = Case {
            backend: "nftables",
            rules: vec![(Family::V4, IN), (Family::V4, OUT), (Family::V6, IN6)],
            ..Case::default()
        };
        for (family, rules) in [
            (Family::V4, &[IN, OUT, TRUSTED, OTHERWISE][..]),
            (Family::V6, &[IN6]),
        ] {
            for rule in rules {
                case.rule(family, "filter", "DOCKER-USER", rule);
            }
            case.rule(family, "filter", "FORWARD", "-j DOCKER-USER");
        }
        let endpoint = |address: &str| Endpoint {
            network: "cybex".into(),
            address: address.parse().ok(),
            ..Endpoint::default()
        };
        let container = |name: &str, endpoint: Endpoint| Container {
            name: name.into(),
            running: true,
            endpoints: vec![endpoint],
            ..Container::default()
        };
        case.docker.containers = vec![
            container("wit", endpoint("172.20.0.2")),
            container(
                "web",
                Endpoint {
                    network: "bridge".into(),
                    ..endpoint("172.17.0.3")
                },
            ),
        ];
        let network = |name: &str, subnet: &str, bridge: &str| Network {
            name: name.into(),
            driver: "bridge".into(),
            subnets: vec![subnet.parse().unwrap()],
            bridge: bridge.into(),
            ..Network::default()
        };
        case.docker.networks = vec![
            network("cybex", "172.20.0.0/16", "br-cybex"),
            network("bridge", "172.17.0.0/16", "docker0"),
        ];
        case
    }

    pub(super) fn backend(mut self, backend: &'static str) -> Self {
        self.backend = backend;
        self
    }

    /// With another rule of the whitelist.
    pub(super) fn wants(mut self, family: Family, rule: &'static str) -> Self {
        self.rules.push((family, rule));
        self
    }

    fn chain(&mut self, family: Family, table: &str, chain: &str) -> &mut Chain {
        let tables = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        let table = tables.tables.entry(table.into()).or_default();
        table.entry(chain.into()).or_default()
    }

    fn rule(&mut self, family: Family, table: &str, chain: &str, rule: &str) {
        let rules = &mut self.chain(family, table, chain).rules;
        rules.insert(rules.len(), KernelRule::new(rule));
    }

    /// With rules ahead of all others, `TABLE CHAIN RULE`.
    pub(super) fn ahead(mut self, family: Family, lines: &[&str]) -> Self {
        for line in lines.iter().rev() {
            let mut words = line.splitn(3, ' ');
            let (table, chain) = (words.next().unwrap(), words.next().unwrap());
            let rule = KernelRule::new(words.next().unwrap());
            self.chain(family, table, chain).rules.insert(0, rule);
        }
        self
    }

    pub(super) fn policy(mut self, table: &str, chain: &str) -> Self {
        self.chain(Family::V4, table, chain).policy = Some("DROP".into());
        self
    }

    pub(super) fn set(mut self, name: &str, members: Option<&[&str]>) -> Self {
        let members = members.map(|m| Ranges::of(Family::V4, m.iter().map(|n| n.parse().unwrap())));
        let mut sets = self.networking.sets.known().cloned().unwrap_or_default();
        sets.insert(name.into(), members);
        self.networking.sets = Observed::Known(sets);
        self
    }

    pub(super) fn state(&self) -> (Desired, NodeState) {
        let state = NodeBuilder::new()
            .system(System {
                ssh_connection: "203.0.113.1 50000 203.0.113.9 22".into(),
                ssh_interface: "eth0".into(),
                networking: self.networking.clone(),
                ..System::default()
            })
            .firewalld("1.3.3", self.backend)
            .settings(&Observed::Unreadable("nobody looked".into()))
            .tables(Family::V4, self.v4.clone())
            .tables(Family::V6, self.v6.clone())
            .docker(self.docker.clone())
            .build();
        let mut desired = desired(&self.rules);
        let address = |text: &str| text.parse().unwrap();
        let services = self.from_node.iter().map(|text| text.parse().ok());
        desired.guard.from_node = services.map(|port| (address("172.20.0.2"), port)).collect();
        (desired, state)
    }

    /// The findings about what the case describes; everything else is not judged.
    pub(super) fn found(&self) -> Vec<Finding> {
        let mut found = self.all_found();
        found.retain(|f| f.code.as_str() != "not-judged");
        found
    }

    /// All findings.
    fn all_found(&self) -> Vec<Finding> {
        let (desired, state) = self.state();
        findings(&desired, &state, &Ours::new(&desired, &state))
    }

    /// The codes of the findings.
    pub(super) fn codes(&self) -> Vec<&'static str> {
        self.found().iter().map(|f| f.code.as_str()).collect()
    }
}

#[test]
fn a_node_with_nothing_in_the_way_is_told_nothing() {
    for backend in ["nftables", "iptables"] {
        assert_eq!(Case::new().backend(backend).codes(), [""; 0]);
    }
}

#[test]
fn a_refusal_is_said_if_it_meets_a_peer_wherever_it_stands() {
    for (lines, says) in [
        (&["filter FORWARD -s 192.0.2.7 -j DROP"][..], true),
        (&["filter FORWARD -j REJECT"], true),
        (&["filter DOCKER-USER -p tcp --dport 5000 -j DROP"], true),
        (&["filter DOCKER-USER ! -s 198.51.100.0/24 -j DROP"], true),
        (&["filter FORWARD ! -s 192.0.2.0/24 -i eth0 -j DROP"], false),
        (&["filter FORWARD -s 198.51.100.7 -j DROP"], false),
        (&["filter FORWARD -p udp -j DROP"], false),
        (&["filter FORWARD -p tcp --dport 25 -j DROP"], false),
        (
            &["filter FORWARD -m conntrack --ctstate INVALID -j DROP"],
            false,
        ),
        (&["filter FORWARD -s 192.0.2.7 -j RETURN"], false),
        // Chains of others: what fail2ban and CrowdSec make.
        (
            &[
                "filter FORWARD -j f2b",
                "filter f2b -s 192.0.2.7 -j REJECT",
                "filter f2b -j RETURN",
            ],
            true,
        ),
        (
            &[
                "filter DOCKER-USER -p tcp -j f2b",
                "filter f2b -s 192.0.2.7 -j DROP",
            ],
            true,
        ),
        (
            &[
                "filter FORWARD -g a",
                "filter a -j b",
                "filter b -s 192.0.2.7 -j DROP",
            ],
            true,
        ),
        (
            &[
                "filter FORWARD -j f2b",
                "filter f2b -s 192.0.2.8 -j REJECT",
                "filter f2b -j RETURN",
            ],
            false,
        ),
        (
            &[
                "filter FORWARD -i eth0 -j f2b",
                "filter f2b -s 192.0.2.7 -j RETURN",
                "filter f2b -j DROP",
            ],
            false,
        ),
        (
            &[
                "filter FORWARD -p tcp -m multiport --dports 22,80 -j f2b",
                "filter f2b -s 192.0.2.7 -j DROP",
            ],
            false,
        ),
        (
            &[
                "filter FORWARD -p tcp -m multiport --dports 22,5000 -j f2b",
                "filter f2b -s 192.0.2.7 -j DROP",
            ],
            true,
        ),
        // Other tables, and both directions.
        (&["raw PREROUTING -s 192.0.2.7 -j DROP"], true),
        (&["raw PREROUTING -s 172.20.0.2 -j DROP"], true),
        (
            &["raw PREROUTING -d 172.20.0.2 ! -i br-cybex -j DROP"],
            false,
        ),
        (&["mangle PREROUTING -p tcp --dport 5000 -j DROP"], true),
        (&["mangle FORWARD -o br-cybex -j DROP"], true),
        (&["mangle FORWARD -i br-cybex -j DROP"], true),
        (&["mangle POSTROUTING -d 192.0.2.7 -j DROP"], true),
        (&["mangle PREROUTING -i wg0 -j DROP"], false),
        (&["mangle INPUT -s 192.0.2.7 -j DROP"], false),
        (
            &[
                "raw PREROUTING -s 192.0.2.7 -j ACCEPT",
                "raw PREROUTING -j DROP",
            ],
            true,
        ),
        // What only odd packets meet.
        (&["raw PREROUTING -f -j DROP"], false),
        (&["raw PREROUTING -m rpfilter --invert -j DROP"], false),
        (
            &["mangle PREROUTING -p tcp ! --syn -m conntrack --ctstate NEW -j DROP"],
            false,
        ),
        (
            &[
                "mangle PREROUTING -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j DROP",
            ],
            false,
        ),
        (
            &["mangle PREROUTING -p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j DROP"],
            false,
        ),
        (
            &["mangle FORWARD -m mark --mark 0x8000/0x8000 -j DROP"],
            false,
        ),
        (
            &[
                "mangle FORWARD -s 192.0.2.7 -j MARK --set-mark 1",
                "mangle FORWARD -m mark --mark 0x1 -j DROP",
            ],
            true,
        ),
        (
            &["mangle PREROUTING -m pkttype --pkt-type broadcast -j DROP"],
            false,
        ),
    ] {
        let case = Case::new().ahead(Family::V4, lines);
        let found = case.found();
        let told = found.iter().any(|f| f.code.as_str() == "foreign-drop");
        assert_eq!(told, says, "{lines:?}: {found:?}");
        assert!(
            found.iter().all(|f| f.severity == Severity::Warning),
            "{found:?}"
        );
    }
}

#[test]
fn a_policy_that_drops_is_said_and_a_family_has_its_own_rules() {
    for (table, chain, says) in [
        ("raw", "PREROUTING", true),
        ("mangle", "FORWARD", true),
        ("mangle", "POSTROUTING", true),
        ("mangle", "INPUT", false),
        ("filter", "FORWARD", false),
        ("filter", "INPUT", false),
    ] {
        let found = Case::new().policy(table, chain).found();
        assert_eq!(found.len(), usize::from(says), "{table} {chain}: {found:?}");
    }
    let v6 = Case::new().ahead(Family::V6, &["raw PREROUTING -s 2001:db8::/32 -j DROP"]);
    let found = v6.found();
    assert!(found[0].text.contains("IPv6 `PREROUTING"), "{found:?}");
    assert!(
        found[0]
            .hint
            .as_ref()
            .unwrap()
            .contains("ip6tables -t raw -D"),
        "{found:?}"
    );
}

#[test]
fn a_set_is_looked_into() {
    let drop = "filter DOCKER-USER -m set --match-set ban src -j DROP";
    let allow = "filter DOCKER-USER -m set ! --match-set ban src -j DROP";
    for (rule, members, says) in [
        (drop, Some(&["198.51.100.1"][..]), None),
        (drop, Some(&["192.0.2.0/28"]), Some("refuses")),
        (drop, None, Some("could not be read")),
        (allow, Some(&["192.0.2.7"]), None),
        (allow, Some(&["192.0.2.8"]), Some("refuses")),
    ] {
        // Only what comes from a peer is of interest here: the way out begins at the container.
        let mut case = Case::new().ahead(Family::V4, &[&rule.replace("-m set", "-i eth0 -m set")]);
        case = case.set("ban", members);
        let found = case.found();
        match says {
            None => assert_eq!(found, [], "{rule} {members:?}"),
            Some(words) => assert!(
                found[0].text.contains(words),
                "{rule} {members:?}: {found:?}"
            ),
        }
    }
}

#[test]
fn another_destination_for_the_forwarded_port_is_said() {
    for (lines, says) in [
        (
            &[
                "nat PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
                "nat DOCKER ! -i docker0 -p tcp -m tcp --dport 5000 -j DNAT --to-destination 172.17.0.3:5000",
            ][..],
            Some("container `web`"),
        ),
        (
            &["nat PREROUTING -p tcp --dport 5000 -j REDIRECT --to-ports 8080"],
            Some("the node itself"),
        ),
        (
            &["nat PREROUTING -p tcp --dport 5000 -j DNAT --to-destination 172.20.0.9"],
            Some("to 172.20.0.9,"),
        ),
        (
            &[
                "nat PREROUTING -s 192.0.2.0/24 -p tcp -m multiport --dports 80,5000 -j DNAT --to-destination 10.0.0.1:80",
            ],
            Some("10.0.0.1:80"),
        ),
        (
            &[
                "nat PREROUTING -d 203.0.113.9 -p tcp --dport 5000 -j DNAT --to-destination 172.20.0.2:5001",
            ],
            Some("172.20.0.2:5001"),
        ),
        (
            &[
                "nat PREROUTING -m set --match-set x src -p tcp --dport 5000 -j DNAT --to-destination 10.0.0.1:80",
            ],
            Some("may send"),
        ),
        (
            &[
                "nat PREROUTING -i eth0 -p tcp --dport 5000 -j DNAT --to-destination 172.20.0.2:5000",
            ],
            None,
        ),
        (
            &["nat PREROUTING -p tcp --dport 5001 -j DNAT --to-destination 172.17.0.3:5000"],
            None,
        ),
        (
            &[
                "nat PREROUTING -d 172.17.0.9 -p tcp --dport 5000 -j DNAT --to-destination 10.0.0.1:80",
            ],
            None,
        ),
        (
            &[
                "nat PREROUTING -s 198.51.100.7 -p tcp --dport 5000 -j DNAT --to-destination 10.0.0.1:80",
            ],
            None,
        ),
        (
            &["nat PREROUTING -i br-cybex -p tcp --dport 5000 -j REDIRECT"],
            Some("the node itself"),
        ),
    ] {
        let found = Case::new().ahead(Family::V4, lines).found();
        match says {
            None => assert_eq!(found, [], "{lines:?}"),
            Some(words) => {
                assert_eq!(
                    found[0].code.as_str(),
                    "forward-taken",
                    "{lines:?}: {found:?}"
                );
                assert!(found[0].text.contains(words), "{lines:?}: {found:?}");
            }
        }
    }
    // In one chain with firewalld's own forward the first of them decides.
    let ours =
        "nat PREROUTING -s 192.0.2.7 -p tcp --dport 5000 -j DNAT --to-destination 172.20.0.2:5000";
    let theirs =
        "nat PREROUTING -i eth0 -p tcp --dport 5000 -j DNAT --to-destination 172.17.0.3:5000";
    let case = |lines: &[&str]| Case::new().backend("iptables").ahead(Family::V4, lines);
    assert_eq!(case(&[ours, theirs]).found(), []);
    assert_eq!(case(&[theirs, ours]).codes(), ["forward-taken"]);
}

#[test]
fn what_is_not_tracked_is_said() {
    for (line, says) in [
        ("raw PREROUTING -s 192.0.2.7 -j NOTRACK", true),
        ("raw PREROUTING -s 172.20.0.0/16 -j CT --notrack", true),
        ("raw PREROUTING -p tcp --dport 5000 -j CT --notrack", true),
        ("raw PREROUTING -p tcp --dport 443 -j CT --notrack", false),
        ("raw PREROUTING -p tcp --dport 21 -j CT --helper ftp", false),
    ] {
        let found = Case::new().ahead(Family::V4, &[line]).found();
        assert_eq!(
            found.iter().any(|f| f.code.as_str() == "untracked"),
            says,
            "{line}: {found:?}"
        );
    }
}

#[test]
fn an_accept_ahead_of_masquerade_is_said() {
    for (line, says) in [
        ("nat POSTROUTING -s 172.20.0.0/16 -j ACCEPT", true),
        ("nat POSTROUTING -d 192.0.2.0/24 -j ACCEPT", true),
        ("nat POSTROUTING -s 172.17.0.0/16 -j ACCEPT", false),
        ("nat POSTROUTING -o br-cybex -j ACCEPT", false),
    ] {
        let lines = [
            line,
            "nat POSTROUTING -s 172.20.0.0/16 ! -o br-cybex -j MASQUERADE",
        ];
        let found = Case::new().ahead(Family::V4, &lines).found();
        assert_eq!(
            found.iter().any(|f| f.code.as_str() == "no-masquerade"),
            says,
            "{line}: {found:?}"
        );
    }
}

#[test]
fn who_has_no_port_is_refused_by_docker_and_that_is_said() {
    let case = Case::new().wants(Family::V4, TRUSTED).ahead(
        Family::V4,
        &["raw PREROUTING -d 172.20.0.2/32 ! -i br-cybex -j DROP"],
    );
    let found = case.found();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].code.as_str(), "portless-refused");
    assert!(
        found[0].text.contains("192.0.2.9 (cybex/trusted)"),
        "{found:?}"
    );
}

/// A listener as `ss` shows it.
fn listener(protocol: &str, address: &str, port: u16, program: &str) -> Listener {
    Listener {
        protocol: protocol.into(),
        address: address.parse().ok(),
        port,
        program: program.into(),
    }
}

/// A case with listeners; the managed container publishes what docker-proxy listens for.
fn listening(listeners: &[(&str, u16, &str)], publisher: &str) -> Case {
    let mut case = Case::new();
    let all = listeners.iter();
    let all = all.map(|(address, port, program)| listener("tcp", address, *port, program));
    case.networking.listeners = Observed::Known(all.collect());
    for container in case
        .docker
        .containers
        .iter_mut()
        .filter(|c| c.name == publisher)
    {
        for (address, port, program) in listeners {
            if *program == "docker-proxy" {
                let address = if address.contains(':') {
                    format!("[{address}]")
                } else {
                    address.to_string()
                };
                container
                    .published
                    .push(format!("{address}:{port}->5000/tcp"));
            }
        }
    }
    case
}

/// Docker's own DNAT for a published port.
const DOCKERS: [&str; 3] = [
    "nat PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "nat DOCKER -i docker0 -j RETURN",
    "nat DOCKER ! -i br-cybex -p tcp -m tcp --dport 5000 -j DNAT --to-destination 172.20.0.2:5000",
];
const OPEN: &str = "filter INPUT -i eth0 -p tcp -m tcp --dport 5000 -j ACCEPT";
const ZONE_DOCKER: &str = "filter INPUT -i docker0 -j ACCEPT";
const CLOSED: &str = "filter INPUT -j REJECT";

#[test]
fn who_gets_in_by_docker_proxy_makes_the_node_not_enforced() {
    let proxy = |address| (address, 5000, "docker-proxy");
    let (v4, v6) = (Family::V4, Family::V6);
    for (name, case, says) in [
        (
            "[::] and the port open in the zone",
            listening(&[proxy("::")], "wit").ahead(v6, &[OPEN, CLOSED]),
            &["a host that is not on the whitelist, over IPv6,"][..],
        ),
        (
            "[::] and everything open",
            listening(&[proxy("::")], "wit"),
            &["a host that is not on the whitelist, over IPv6,"],
        ),
        (
            "[::] and the port shut",
            listening(&[proxy("::")], "wit").ahead(v6, &[CLOSED]),
            &[],
        ),
        (
            "open to a peer alone",
            listening(&[proxy("::")], "wit")
                .ahead(v6, &["filter INPUT -s 2001:db8::7 -j ACCEPT", CLOSED]),
            &[],
        ),
        (
            "0.0.0.0, and Docker forwards",
            listening(&[proxy("0.0.0.0")], "wit")
                .ahead(v4, &DOCKERS)
                .ahead(v4, &[OPEN, CLOSED]),
            &[],
        ),
        (
            "0.0.0.0, and Docker's nat rules are gone",
            listening(&[proxy("0.0.0.0")], "wit").ahead(v4, &[OPEN, CLOSED]),
            &["a host that is not on the whitelist reaches"],
        ),
        (
            "0.0.0.0, and nothing is tracked",
            listening(&[proxy("0.0.0.0")], "wit")
                .ahead(v4, &DOCKERS)
                .ahead(
                    v4,
                    &[
                        "raw PREROUTING -p tcp --dport 5000 -j NOTRACK",
                        OPEN,
                        CLOSED,
                    ],
                ),
            &["a host that is not on the whitelist reaches"],
        ),
        (
            "firewalld leaves the table ahead of Docker",
            listening(&[proxy("0.0.0.0")], "wit")
                .ahead(v4, &DOCKERS)
                .ahead(v4, &["nat PREROUTING -j ACCEPT", OPEN, CLOSED]),
            &["a host that is not on the whitelist reaches"],
        ),
        (
            "another container",
            listening(&[proxy("0.0.0.0")], "wit")
                .ahead(v4, &DOCKERS)
                .ahead(v4, &[ZONE_DOCKER, CLOSED]),
            &["container `web`"],
        ),
        (
            "127.0.0.1",
            listening(&[proxy("127.0.0.1")], "wit").ahead(v4, &[OPEN]),
            &[],
        ),
        (
            "an address of the node",
            listening(&[proxy("203.0.113.9")], "wit").ahead(v4, &[OPEN, CLOSED]),
            &["a host that is not on the whitelist reaches"],
        ),
        (
            "raw drops strangers",
            listening(&[proxy("0.0.0.0")], "wit")
                .ahead(v4, &["raw PREROUTING ! -s 192.0.2.7 -j DROP", OPEN, CLOSED]),
            &[],
        ),
    ] {
        let found = case.found();
        let open: Vec<&Finding> = found
            .iter()
            .filter(|f| f.code.as_str() == "proxy-open")
            .collect();
        assert_eq!(open.len(), says.len(), "{name}: {found:?}");
        for words in says {
            assert!(
                open.iter()
                    .any(|f| f.text.contains(words) && f.severity == Severity::NotEnforced),
                "{name}: {found:?}"
            );
        }
        let harmless = found.iter().any(|f| f.code.as_str() == "published-port");
        assert_eq!(harmless, says.is_empty(), "{name}: {found:?}");
    }
    // What the role closes to the node is closed to docker-proxy.
    for (from_node, is_open) in [
        (&[][..], true),
        (&["9100/tcp"], false),
        (&["5000/udp"], false),
        (&["9100/tcp", "5000/tcp"], true),
        (&["every"], true),
    ] {
        let mut case = listening(&[proxy("::")], "wit");
        case.from_node = from_node.to_vec();
        let code = match is_open {
            true => "proxy-open",
            false => "published-port",
        };
        assert_eq!(case.codes(), [code], "{from_node:?}");
        // It has another address, which is open to the node.
        let mut elsewhere = case.docker.containers[0].endpoints[0].clone();
        elsewhere.address = "172.17.0.9".parse().ok();
        case.docker.containers[0].endpoints.push(elsewhere);
        assert!(case.codes().contains(&"proxy-open"), "{from_node:?}");
    }
    // Without docker-proxy, or without an answer about listeners, no host appears to get in.
    let mut off = listening(&[("::", 5000, "docker-proxy")], "wit");
    off.networking.listeners = Observed::Known(Vec::new());
    assert_eq!(off.codes(), ["published-port"]);
    off.networking = Networking::default();
    assert!(
        off.found()[0]
            .text
            .contains("any host that reaches docker-proxy")
    );
    // A condition that is not understood lets in perhaps.
    let perhaps = listening(&[("::", 5000, "docker-proxy")], "wit").ahead(
        Family::V6,
        &[
            "filter INPUT -i eth0 -m geoip --source-country XX -j ACCEPT",
            CLOSED,
        ],
    );
    let found = perhaps.found();
    assert_eq!(
        (found[0].code.as_str(), found[0].severity),
        ("proxy-open", Severity::Warning),
        "{found:?}"
    );
}

#[test]
fn a_program_at_a_forwarded_port_is_told() {
    for (listener, publisher, says) in [
        (("0.0.0.0", 5000, "nginx"), "", Some("`nginx` of the node")),
        (("*", 5000, "java"), "", Some("`java`")),
        (
            ("::", 5000, "docker-proxy"),
            "web",
            Some("container `web` publishes"),
        ),
        (("127.0.0.1", 5000, "nginx"), "", None),
        (("0.0.0.0", 5001, "nginx"), "", None),
    ] {
        let found = listening(&[listener], publisher).found();
        match says {
            None => assert_eq!(found, [], "{listener:?}"),
            Some(words) => {
                assert_eq!(
                    found[0].code.as_str(),
                    "listener-shadowed",
                    "{listener:?}: {found:?}"
                );
                assert!(found[0].text.contains(words), "{found:?}");
            }
        }
    }
}

/// A table of nft with one chain.
fn nft(
    family: &str,
    name: &str,
    hook: (&str, &str, i64),
    drops: bool,
    steps: Vec<Step>,
) -> NftTable {
    let (kind, hook, priority) = hook;
    let hook = Hook {
        kind: kind.into(),
        hook: hook.into(),
        priority,
        drops,
    };
    NftTable {
        family: family.into(),
        name: name.into(),
        chains: BTreeMap::from([(
            "c".to_string(),
            NftChain {
                hook: Some(hook),
                steps,
            },
        )]),
    }
}

#[test]
fn tables_of_nft_and_of_the_other_backend_refuse_as_well() {
    let from = |text: &str| Test::Source(true, Ranges::of(Family::V4, [text.parse().unwrap()]));
    let step = |tests: Vec<Test>, act: Act| Step {
        text: "handle 4".into(),
        tests,
        act,
    };
    let to_other = || Act::Dnat("10.0.0.1".parse().ok().map(|a| (a, Some(80))));
    for (table, code) in [
        (
            nft(
                "inet",
                "crowdsec",
                ("filter", "forward", 0),
                false,
                vec![step(vec![from("192.0.2.7")], Act::Refuse)],
            ),
            Some("foreign-drop"),
        ),
        (
            nft(
                "ip",
                "crowdsec",
                ("filter", "prerouting", -300),
                false,
                vec![step(vec![from("192.0.2.0/24")], Act::Refuse)],
            ),
            Some("foreign-drop"),
        ),
        (
            nft(
                "netdev",
                "ddos",
                ("filter", "ingress", -500),
                false,
                vec![step(vec![], Act::Refuse)],
            ),
            Some("foreign-drop"),
        ),
        (
            nft("inet", "filter", ("filter", "forward", 0), true, vec![]),
            Some("foreign-drop"),
        ),
        (
            nft(
                "ip",
                "lb",
                ("nat", "prerouting", -110),
                false,
                vec![step(vec![], to_other())],
            ),
            Some("forward-taken"),
        ),
        (
            nft(
                "ip",
                "lb",
                ("nat", "prerouting", -80),
                false,
                vec![step(vec![], to_other())],
            ),
            None,
        ),
        (
            nft(
                "inet",
                "firewalld",
                ("nat", "prerouting", -90),
                false,
                vec![step(vec![], to_other())],
            ),
            Some("forward-taken"),
        ),
        (
            nft("inet", "filter", ("filter", "input", 0), true, vec![]),
            None,
        ),
        (
            nft(
                "ip6",
                "filter",
                ("filter", "forward", 0),
                false,
                vec![step(vec![from("192.0.2.7")], Act::Refuse)],
            ),
            None,
        ),
        (
            nft(
                "inet",
                "ban",
                ("filter", "forward", 0),
                false,
                vec![step(vec![from("198.51.100.0/24")], Act::Refuse)],
            ),
            None,
        ),
        (
            nft(
                "inet",
                "ct",
                ("filter", "forward", 0),
                true,
                vec![step(vec![], Act::Accept)],
            ),
            None,
        ),
    ] {
        let mut case = Case::new();
        let name = format!("{} {}", table.family, table.name);
        case.networking.nft = Observed::Known(vec![table]);
        let found: Vec<Finding> = case.found();
        assert_eq!(
            found.first().map(|f| f.code.as_str()),
            code,
            "{name}: {found:?}"
        );
        if let Some(finding) = found.first() {
            assert!(finding.text.contains(&name), "{found:?}");
        }
    }
    let mut legacy = Tables::default();
    let rule = KernelRule::new("-s 192.0.2.7 -j DROP");
    let chain = Chain {
        policy: None,
        rules: vec![rule],
    };
    legacy.tables.insert(
        "filter".into(),
        BTreeMap::from([("FORWARD".to_string(), chain)]),
    );
    let mut case = Case::new();
    case.networking.other = Observed::Known([legacy, Tables::default()]);
    let found: Vec<Finding> = case.found();
    assert!(
        found[0]
            .text
            .contains("filter of the other iptables backend"),
        "{found:?}"
    );
}

#[test]
fn routing_and_options_that_close_are_told() {
    for (rule, says) in [
        ("ip -4 rule: from 172.20.0.0/16 lookup vpn", true),
        ("ip -4 rule: from all to 192.0.2.0/24 lookup vpn", true),
        ("ip -4 rule: from all iif br-cybex unreachable", true),
        (
            "ip -4 rule: from all fwmark 0x80000/0xff0000 lookup main",
            false,
        ),
        ("ip -4 rule: from all lookup 52", false),
        ("ip -4 rule: from 10.9.0.0/16 lookup vpn", false),
        ("ip -6 rule: from fd00:99::/64 lookup vpn", false),
    ] {
        let mut case = Case::new();
        case.networking.routing = Observed::Known(RoutingSettings {
            rules: vec![rule.into()],
            ..RoutingSettings::default()
        });
        assert_eq!(case.codes().contains(&"policy-routing"), says, "{rule}");
    }
    let mut off = Case::new();
    off.networking.routing = Observed::Known(RoutingSettings {
        forwarding6: Some(false),
        ..RoutingSettings::default()
    });
    assert!(off.codes().contains(&"no-forwarding"));
    for (option, value, code) in [
        ("gateway_mode_ipv4", "routed", Some("network-option")),
        ("gateway_mode_ipv4", "isolated", Some("network-option")),
        ("inhibit_ipv4", "true", Some("network-option")),
        ("enable_ip_masquerade", "false", Some("no-masquerade")),
        ("enable_icc", "false", None),
        ("gateway_mode_ipv4", "nat", None),
    ] {
        let mut case = Case::new();
        let options = &mut case.docker.networks[0].options;
        options.insert(format!("com.docker.network.bridge.{option}"), value.into());
        assert_eq!(case.codes().first().copied(), code, "{option}={value}");
    }
}

#[test]
fn what_a_node_cannot_tell_is_said_and_an_old_look_is_silent() {
    let mut case = Case::new();
    assert_eq!(case.all_found(), []);
    case.networking.listeners = Observed::Unreadable("ss is not installed".into());
    let found = case.all_found();
    assert!(
        found
            .iter()
            .all(|f| f.code.as_str() == "not-judged" && f.severity == Severity::Note),
        "{found:?}"
    );
    assert!(found[0].text.contains("ss is not installed"), "{found:?}");
}

/// Five thousand peers and a thousand foreign rules that match none of them add almost no cost.
#[test]
fn many_peers_and_many_rules_are_judged_in_no_time() {
    let mut case = Case::new();
    case.rules.clear();
    let peers: Vec<String> = (0..5000u32)
        .map(|n| format!("-s 172.20.0.2 -d 10.{}.{}.7 -p tcp --dport {} -m comment --comment fwdeploy:cybex/p2p -j ACCEPT", n / 250, n % 250, 1000 + n))
        .collect();
    for text in &peers {
        case.rule(Family::V4, "filter", "DOCKER-USER", text);
    }
    let rules: Vec<String> = (0..1000)
        .map(|n| {
            format!(
                "filter FORWARD -s 198.51.{}.{} -p tcp --dport {n} -j DROP",
                n / 250,
                n % 250
            )
        })
        .collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let case = case.ahead(Family::V4, &rules);
    let (mut desired, state) = case.state();
    desired.rules = peers
        .iter()
        .map(|text| DirectRule::ours(Family::V4, 200, Rule::parse_text(text).unwrap()))
        .collect();
    let edges = super::edge::edges(&desired, &std::collections::BTreeSet::new());
    let world = super::world::World::new(&desired, &state);
    let groups = super::flows::flows(&edges, &world.tables);
    assert_eq!((edges.len(), groups.len()), (5000, 1));
    assert_eq!(
        super::findings(&desired, &state, &Ours::new(&desired, &state)),
        []
    );
}

#[test]
fn what_a_managed_container_reaches_by_docker_proxy_is_told() {
    let ours = |name: &str| {
        let reject = Step {
            text: "handle 9".into(),
            tests: Vec::new(),
            act: Act::Refuse,
        };
        nft("inet", name, ("filter", "input", -10), false, vec![reject])
    };
    let web = || listening(&[("0.0.0.0", 8080, "docker-proxy")], "web");
    for (name, case, says) in [
        ("open", web(), true),
        (
            "shut to the bridge",
            web().ahead(Family::V4, &["filter INPUT -i br-cybex -j REJECT"]),
            false,
        ),
        (
            "Docker forwards",
            web().ahead(
                Family::V4,
                &["nat PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.3:5000"],
            ),
            false,
        ),
        (
            "loopback",
            listening(&[("127.0.0.1", 8080, "docker-proxy")], "web"),
            false,
        ),
        (
            "a program of the node",
            listening(&[("0.0.0.0", 8080, "nginx")], "web"),
            false,
        ),
    ] {
        assert_eq!(
            case.codes().contains(&"proxy-reached"),
            says,
            "{name}: {:?}",
            case.found()
        );
    }
    // What our own table refuses is refused, and nothing to warn of.
    let mut guarded = web();
    guarded.networking.nft = Observed::Known(vec![ours("fwdeploy")]);
    assert_eq!(guarded.codes(), [""; 0]);
}
