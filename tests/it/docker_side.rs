//! Docker's side of a plan, on answers of real nodes: a capture's reading, with the answers of Docker and of `ip` that each case
//! is about, in the shapes that Docker 20.10 and 28.5 gave them.
//!
//! Seen to fail with the code broken on purpose: `locks_out` without its gateways, `own_network` that only searches
//! inside the subnet, `carried` without labels, `is_restarting` never true, `claims` that refuse every container with that fixed address,
//! `twice` never found, `is_closed` for any driver, `from_the_node` that takes every version for 28, `by_id` that takes the name.

use std::collections::BTreeSet;

use crate::support::captures::captures;
use crate::support::node_builder::cybex_attachment;
use crate::support::node_builder::cybex_network;
use fwdeploy::model::Desired;
use fwdeploy::model::DirectRule;
use fwdeploy::model::Family;
use fwdeploy::model::NodeState;
use fwdeploy::model::Rule;
use fwdeploy::node::apply;
use fwdeploy::plan::Action;
use fwdeploy::plan::Allowed;
use fwdeploy::plan::Finding;
use fwdeploy::plan::Permission;
use fwdeploy::plan::Plan;
use fwdeploy::plan::Severity;
use fwdeploy::plan::plan;
use fwdeploy::probe::observe;
use serde_json::Value;
use serde_json::json;

const ID: &str = "484fce455a2b42bd16823644060e5cd72487e6ba9349703a90cf61aedc591730";
const OTHER_ID: &str = "241c83a74bdcc605fb7dd4b20341f78bf4bbac9a49634575a526b2a5647ade50";

/// What the nodes of the lab say of themselves.
const ADDRESSES: &str = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n2: host0    inet 10.77.3.11/24 brd 10.77.3.255 scope global host0\\       valid_lft forever\n3: docker0    inet 172.17.0.1/16 brd 172.17.255.255 scope global docker0\\       valid_lft forever\n";
const ROUTES: &str = "default via 10.77.3.1 dev host0 proto static \n10.77.3.0/24 dev host0 proto kernel scope link src 10.77.3.11 \n172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 linkdown \nlocal 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1 \nbroadcast 10.77.3.255 dev host0 table local proto kernel scope link src 10.77.3.11 \n";

/// A node whose answers can be exchanged.
struct Case {
    stdout: Vec<u8>,
    networks: Vec<Value>,
    containers: Vec<Value>,
    routes: String,
    routes6: String,
    addresses: String,
    resolvers: String,
    told: String,
    desired: Desired,
    allowed: Allowed,
}

/// An answer put in the place of another, or before the end.
fn exchanged(stdout: &[u8], name: &str, text: &str) -> Vec<u8> {
    let answer = format!("= {name} 0 {}\n{text}\n", text.len()).into_bytes();
    let mut out = Vec::new();
    let start = stdout
        .windows(15)
        .position(|w| w == b"fwdeploy-probe ")
        .unwrap();
    let mut rest = &stdout[start..];
    let mut line = || {
        let end = rest.iter().position(|b| *b == b'\n').unwrap() + 1;
        let (line, more) = rest.split_at(end);
        rest = more;
        line.to_vec()
    };
    out.extend(line());
    loop {
        let header = line();
        let words: Vec<String> = String::from_utf8_lossy(&header)
            .split_whitespace()
            .map(String::from)
            .collect();
        if words[0] == "fwdeploy-probe" {
            out.extend(answer);
            out.extend(header);
            return out;
        }
        let length: usize = words.last().unwrap().parse().unwrap();
        let mut body = Vec::new();
        while body.len() <= length {
            body.extend(line());
        }
        if words[1] != name {
            out.extend(header);
            out.extend(body);
        }
    }
}

fn network(name: &str, id: &str, subnet: &str) -> Value {
    json!({"name": name, "id": id, "driver": "bridge", "ipam": [{"Subnet": subnet}], "internal": false, "ipv6": false,
        "options": {}, "labels": {}, "ipam_driver": "default", "ipam_options": {}, "attachable": false})
}

/// A running container on one network.
fn container(name: &str, network: &str, fixed: &str, status: &str) -> Value {
    let running = matches!(status, "running" | "paused" | "restarting");
    let address = if matches!(status, "running" | "paused") {
        fixed
    } else {
        ""
    };
    json!({"name": format!("/{name}"), "id": format!("{name:0<64}"), "running": running, "mode": network, "bindings": {},
        "ports": {}, "status": status, "dns": ["127.0.0.1"], "privileged": false, "capabilities": null,
        "compose_service": null, "swarm_service": null,
        "networks": {network: place(fixed, address)}})
}

fn place(fixed: &str, address: &str) -> Value {
    let ipam = if fixed.is_empty() {
        Value::Null
    } else {
        json!({"IPv4Address": fixed})
    };
    json!({"IPAMConfig": ipam, "IPAddress": address, "GlobalIPv6Address": "", "Aliases": null, "Links": null,
        "DriverOpts": null, "GwPriority": 0, "MacAddress": "", "NetworkID": ""})
}

impl Case {
    /// A node of that suite with network `cybex` and container `wit` as they are wanted.
    fn on(suite: &str) -> Case {
        let name = format!("{suite}-nftables/fresh");
        let capture = captures().iter().find(|c| c.name == name).unwrap();
        Case {
            stdout: capture.stdout.clone(),
            networks: vec![
                with(
                    network("bridge", OTHER_ID, "172.17.0.0/16"),
                    &["options"],
                    json!({"com.docker.network.bridge.name": "docker0"}),
                ),
                network("cybex", ID, "172.20.0.0/16"),
            ],
            containers: vec![container("wit", "cybex", "172.20.0.2", "running")],
            routes: ROUTES.to_string(),
            routes6: String::new(),
            addresses: ADDRESSES.to_string(),
            resolvers: "/etc/resolv.conf 9.9.9.9\n".to_string(),
            told: String::new(),
            desired: Desired {
                networks: vec![cybex_network()],
                attachments: vec![cybex_attachment("wit")],
                ..Desired::default()
            },
            allowed: Allowed::default(),
        }
    }

    /// The same without the network: it is yet to be made, in this subnet.
    fn to_make(suite: &str, subnet: &str) -> Case {
        let mut case = Case::on(suite);
        case.networks.pop();
        case.containers.clear();
        case.desired.networks[0].subnet = subnet.parse().unwrap();
        case.desired.attachments.clear();
        case
    }

    fn replacing(mut self) -> Case {
        self.allowed.replace_network = Permission::Granted;
        self
    }

    fn state(&self) -> NodeState {
        let lines = |all: &[Value]| {
            let mut text = format!("{}\n", all.len());
            for one in all {
                text.push_str(&format!("{one}\n"));
            }
            text
        };
        let whole = |text: &str| format!("{text}end\n");
        let mut stdout = self.stdout.clone();
        for (name, text) in [
            ("docker-networks", lines(&self.networks)),
            ("docker-containers", lines(&self.containers)),
            ("docker-told", self.told.clone()),
            ("routes-ipv4", whole(&self.routes)),
            ("routes-ipv6", whole(&self.routes6)),
            ("addresses", whole(&self.addresses)),
            ("resolvers", whole(&self.resolvers)),
            ("connection", "10.77.3.1 50000 10.77.3.11 22\n".to_string()),
        ] {
            stdout = exchanged(&stdout, name, &text);
        }
        observe(&stdout, b"").unwrap()
    }

    fn plan(&self) -> Plan {
        plan(&self.state(), &self.desired, &self.allowed)
    }

    /// The findings of that code.
    #[track_caller]
    fn found(&self, code: &str) -> Vec<Finding> {
        let plan = self.plan();
        assert!(
            plan.findings.iter().all(|f| f.code.as_str() != "unreadable"
                && !f.code.as_str().starts_with("docker-")
                && !f.code.as_str().starts_with("firewalld-")),
            "{:#?}",
            plan.findings
        );
        let of = |f: &&Finding| f.code.as_str() == code;
        plan.findings.iter().filter(of).cloned().collect()
    }

    /// The one finding of that code, of that severity.
    #[track_caller]
    fn one(&self, code: &str, severity: Severity) -> Finding {
        let found = self.found(code);
        assert_eq!(found.len(), 1, "{code}: {:#?}", self.plan().findings);
        assert_eq!(found[0].severity, severity, "{:#?}", found[0]);
        found[0].clone()
    }

    #[track_caller]
    fn quiet(&self) {
        let codes = self.codes();
        assert!(codes.is_empty(), "{codes:?}: {:#?}", self.plan().findings);
    }

    fn codes(&self) -> BTreeSet<&'static str> {
        // The zone of a bridge that is not in the capture is tested elsewhere.
        let plan = self.plan();
        let others = ["bridge-unzoned", "no-masquerade"];
        let codes = plan.findings.iter().map(|f| f.code.as_str());
        codes.filter(|code| !others.contains(code)).collect()
    }

    /// The commands to Docker that the plan comes to.
    fn commands(&self) -> Vec<String> {
        let plan = self.plan();
        let docker = |a: &&Action| {
            matches!(
                a,
                Action::CreateNetwork(_)
                    | Action::RemoveNetwork(_)
                    | Action::Connect { .. }
                    | Action::Disconnect { .. }
            )
        };
        let actions: Vec<Action> = plan.actions.iter().filter(docker).cloned().collect();
        let script = apply(&actions);
        let steps = script
            .lines()
            .filter_map(|l| l.trim().strip_prefix("step "));
        let steps = steps
            .filter_map(|l| l.split_once(' '))
            .filter(|(n, _)| n.parse::<usize>().is_ok());
        steps.map(|(_, words)| words.to_string()).collect()
    }
}

/// A container's place with more settings.
fn with(mut value: Value, path: &[&str], to: Value) -> Value {
    let mut at = &mut value;
    for key in path {
        at = &mut at[key];
    }
    *at = to;
    value
}

fn rule(priority: i32, text: &str) -> DirectRule {
    DirectRule::ours(Family::V4, priority, Rule::parse_text(text).unwrap())
}

// ------------------------------------------------------------------------------------------- the node's own routes

#[test]
fn a_node_as_wanted_has_nothing_to_be_told() {
    for suite in ["bullseye", "bookworm", "trixie", "forky"] {
        let mut case = Case::on(suite);
        case.routes +=
            "172.20.0.0/16 dev br-484fce455a2b proto kernel scope link src 172.20.0.1 \n";
        case.addresses += "4: br-484fce455a2b    inet 172.20.0.1/16 brd 172.20.255.255 scope global br-484fce455a2b\\\n";
        case.quiet();
        assert!(case.commands().is_empty(), "{suite}: {:?}", case.commands());
    }
}

#[test]
fn a_subnet_that_hides_the_operator_or_a_gateway_is_refused_with_route_and_address() {
    // The operator by the default route, by a route of its own, and by a policy's table.
    for (subnet, more, says) in [
        ("10.77.3.0/24", "", "`10.77.3.0/24 dev host0"),
        ("10.77.3.0/28", "", "10.77.3.1"),
        ("10.64.0.0/10", "", "10.77.3.1"),
        (
            "172.29.0.0/16",
            "10.60.0.0/16 via 172.29.0.1 dev host0 proto static onlink \n",
            "172.29.0.1",
        ),
        (
            "172.29.0.0/16",
            "default via 172.29.4.1 dev wan1 table 100 \n",
            "table 100",
        ),
        (
            "172.29.0.0/16",
            "10.60.0.0/16 proto static \\\tnexthop via 10.77.3.9 dev host0 weight 1 \\\tnexthop via 172.29.0.7 dev host0 weight 1 \n",
            "172.29.0.7",
        ),
    ] {
        let mut case = Case::to_make("bookworm", subnet);
        case.routes += more;
        let finding = case.one("locks-out", Severity::Refuse);
        assert!(
            finding.text.contains(says) && finding.text.contains(subnet),
            "{finding:#?}"
        );
        assert!(case.plan().is_empty());
    }
}

#[test]
fn a_gateway_inside_of_the_ipv6_subnet_is_refused_too() {
    let mut case = Case::to_make("forky", "172.20.0.0/16");
    case.desired.networks[0].subnet6 = "fd00:5::/64".parse().ok();
    case.routes6 = "fd00:9::/64 via fd00:5::1 dev host0 metric 1024 pref medium\n".to_string();
    let finding = case.one("locks-out", Severity::Refuse);
    assert!(finding.text.contains("fd00:5::1"), "{finding:#?}");
    case.routes6 = "fe80::/64 dev host0 proto kernel metric 256 pref medium\nmulticast ff00::/8 dev host0 table local proto kernel\n".to_string();
    case.quiet();
    case.addresses +=
        "2: host0    inet6 fd00:5:0:0:1::7/64 scope global \\       valid_lft forever\n";
    case.one("subnet-shadows", Severity::Refuse);
}

#[test]
fn a_subnet_that_overlaps_a_network_of_the_node_is_refused() {
    for (subnet, address) in [
        // It holds the LAN, is in it, is it; a tunnel from point to point, by either end; an address on the loopback.
        (
            "172.31.0.0/16",
            "2: eth1    inet 172.31.16.7/20 brd 172.31.31.255 scope global eth1\\",
        ),
        (
            "172.31.17.0/24",
            "2: eth1    inet 172.31.16.7/20 brd 172.31.31.255 scope global eth1\\",
        ),
        (
            "172.31.16.0/20",
            "2: eth1    inet 172.31.16.7/20 brd 172.31.31.255 scope global eth1\\",
        ),
        (
            "10.8.0.0/24",
            "5: tun0    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0\\",
        ),
        (
            "10.8.0.0/24",
            "5: tun0    inet 10.9.0.1 peer 10.8.0.2/32 scope global tun0\\",
        ),
        (
            "192.0.2.0/24",
            "1: lo    inet 192.0.2.53/32 scope global lo\\",
        ),
        (
            "192.168.0.0/16",
            "6: virbr0    inet 192.168.122.1/24 brd 192.168.122.255 scope global virbr0\\",
        ),
    ] {
        let mut case = Case::to_make("trixie", subnet);
        case.addresses += address;
        case.addresses += "\n";
        let finding = case.one("subnet-shadows", Severity::Refuse);
        let device = address.split_whitespace().nth(1).unwrap();
        assert!(finding.text.contains(device), "{finding:#?}");
    }
}

/// Seen on bullseye: dockerd was killed while a rollback removed the network, and the bridge stayed, with its address. Docker makes the
/// network again over it.
#[test]
fn a_bridge_that_docker_has_left_behind_is_no_network_of_the_nodes() {
    for (device, left) in [
        ("br-cybex", true),
        ("br-0123456789ab", true),
        ("br-lan", false),
        ("br-0123456789AB", false),
        ("br0", false),
    ] {
        let mut case = Case::to_make("bullseye", "172.20.0.0/16");
        case.addresses += &format!(
            "9: {device}    inet 172.20.0.1/16 brd 172.20.255.255 scope global {device}\\\n"
        );
        case.routes += &format!(
            "172.20.0.0/16 dev {device} proto kernel scope link src 172.20.0.1 linkdown \n"
        );
        let found = case.found("subnet-shadows");
        assert_eq!(found.is_empty(), left, "{device}: {found:#?}");
    }
}

#[test]
fn a_network_that_is_there_and_overlaps_is_not_enforced() {
    let mut case = Case::on("bullseye");
    case.addresses += "2: eth1    inet 172.20.16.7/20 brd 172.20.31.255 scope global eth1\\\n";
    case.one("subnet-shadows", Severity::NotEnforced);
    let mut case = Case::on("forky");
    case.routes += "172.20.9.0/24 via 10.77.3.99 dev host0 proto static \n";
    case.one("subnet-shadows", Severity::NotEnforced);
    // The operator may be a container of that very network.
    let mut case = Case::on("forky");
    case.routes += "172.20.0.0/16 dev br-484fce455a2b proto kernel scope link src 172.20.0.1 \n";
    case.quiet();
}

#[test]
fn what_else_a_new_subnet_hides_is_warned_of_and_a_default_route_is_not() {
    for (route, code) in [
        (
            "10.0.0.0/8 via 10.77.3.99 dev host0 proto static",
            Some(("route-shadowed", Severity::Warning)),
        ),
        (
            "10.20.0.0/16 dev wg0 scope link",
            Some(("subnet-shadows", Severity::Refuse)),
        ),
        (
            "10.20.4.0/24 dev wg0 scope link",
            Some(("subnet-shadows", Severity::Refuse)),
        ),
        (
            "10.20.4.7 via 10.77.3.9 dev host0",
            Some(("subnet-shadows", Severity::Refuse)),
        ),
        (
            "blackhole 10.20.4.0/24 proto static",
            Some(("route-shadowed", Severity::Warning)),
        ),
        (
            "10.0.0.0/8 dev wg0 table 51820 scope link",
            Some(("route-shadowed", Severity::Warning)),
        ),
        ("0.0.0.0/1 via 10.77.3.50 dev tun0", None),
        ("10.21.0.0/16 dev wg0 scope link", None),
        (
            "broadcast 10.20.255.255 dev host0 table local proto kernel",
            None,
        ),
    ] {
        let mut case = Case::to_make("bookworm", "10.20.0.0/16");
        case.routes += route;
        case.routes += "\n";
        match code {
            Some((code, severity)) => {
                let finding = case.one(code, severity);
                assert!(
                    finding
                        .text
                        .contains(route.split(' ').find(|w| w.contains('.')).unwrap()),
                    "{finding:#?}"
                );
            }
            None => case.quiet(),
        }
    }
    let mut case = Case::to_make("bookworm", "9.9.9.0/24");
    let finding = case.one("route-shadowed", Severity::Warning);
    assert!(
        finding.text.contains("9.9.9.9, a DNS server"),
        "{finding:#?}"
    );
    case.resolvers =
        "/etc/resolv.conf 127.0.0.53\n/run/systemd/resolve/resolv.conf 9.9.9.5\n".to_string();
    case.one("route-shadowed", Severity::Warning);
    case.resolvers.clear();
    case.quiet();
}

#[test]
fn a_peer_inside_of_the_subnet_is_told() {
    let mut case = Case::on("bookworm");
    case.desired.rules = vec![
        rule(
            100,
            "-s 172.20.7.7/32 -d 172.20.0.2/32 -p tcp -m tcp --dport 5000 -m conntrack --ctstate DNAT -j ACCEPT",
        ),
        rule(200, "-s 172.20.0.2/32 -d 172.20.8.0/24 -j ACCEPT"),
        rule(200, "-s 172.20.0.2/32 -d 203.0.113.0/24 -j ACCEPT"),
    ];
    let finding = case.one("peer-inside", Severity::Warning);
    assert!(
        finding.text.contains("172.20.7.7 and 1 more"),
        "{finding:#?}"
    );
    case.desired.rules.drain(..2);
    assert!(case.found("peer-inside").is_empty());
    // Any address is not an address inside.
    case.desired.rules = vec![rule(200, "-s 172.20.0.2/32 -d 0.0.0.0/0 -j ACCEPT")];
    assert!(case.found("peer-inside").is_empty());
}

#[test]
fn routes_that_could_not_be_read_are_said_and_not_taken_for_none() {
    let mut case = Case::to_make("bookworm", "10.20.0.0/16");
    case.routes = "more\n".replace("more\n", "10.77.3.0/24 dev host0\nmore");
    // `more` in the place of `end`.
    let stdout = exchanged(
        &case.stdout,
        "routes-ipv4",
        "10.77.3.0/24 dev host0\nmore\n",
    );
    let state = |stdout: &[u8]| observe(stdout, b"").unwrap();
    for stdout in [
        stdout.clone(),
        exchanged(&stdout, "addresses", "2: host0 inet 10.7"),
        exchanged(&case.stdout, "routes-ipv6", ""),
    ] {
        let plan = plan(&state(&stdout), &case.desired, &case.allowed);
        let told = plan
            .findings
            .iter()
            .filter(|f| f.code.as_str() == "routes-unread");
        assert_eq!(told.count(), 1, "{:#?}", plan.findings);
    }
    // Of a network that is there there is nothing to fear.
    let case = Case::on("bookworm");
    assert!(case.found("routes-unread").is_empty());
}

// ------------------------------------------------------------------------------------ what a recreated network keeps

#[test]
fn a_network_made_anew_keeps_what_others_have_set_on_it() {
    let mut case = Case::on("forky").replacing();
    case.networks[1] = json!({"name": "cybex", "id": ID, "driver": "bridge",
        "ipam": [{"Subnet": "172.20.0.0/24", "IPRange": "172.20.0.128/25", "Gateway": "172.20.0.254", "AuxiliaryAddresses": {"nas": "172.20.0.9", "old": "172.20.0.2"}}],
        "internal": true, "ipv6": true, "attachable": true, "ipam_driver": "default", "ipam_options": {"who": "me"},
        "options": {"com.docker.network.bridge.name": "br-own", "com.docker.network.driver.mtu": "1400", "com.docker.network.bridge.enable_icc": "false", "com.docker.network.enable_ipv6": "true"},
        "labels": {"com.docker.compose.project": "chain", "com.docker.compose.network": "cybex"}});
    case.containers[0] = with(
        case.containers[0].clone(),
        &["networks", "cybex"],
        json!({"IPAMConfig": {"IPv4Address": "172.20.0.2", "LinkLocalIPs": ["169.254.8.8"]}, "IPAddress": "172.20.0.2", "GlobalIPv6Address": "", "Aliases": ["seed", "it's"], "Links": null,
            "DriverOpts": {"com.docker.network.endpoint.sysctls": "a=b"}, "GwPriority": 7, "MacAddress": "02:42:aa:00:00:01", "NetworkID": ID}),
    );
    let commands = case.commands();
    assert_eq!(commands.len(), 4, "{commands:#?}");
    assert_eq!(commands[0], format!("disconnect {ID} wit"));
    assert_eq!(commands[1], format!("remove_network {ID}"));
    let made = shlex::split(&commands[2]).unwrap();
    for word in [
        "com.docker.network.driver.mtu=1400",
        "com.docker.network.bridge.enable_icc=false",
        "com.docker.network.bridge.name=br-own",
        "com.docker.network.enable_ipv6=false",
        "com.docker.compose.project=chain",
        "com.docker.compose.network=cybex",
        "172.20.0.128/25",
        "nas=172.20.0.9",
        "172.20.0.254",
        "who=me",
        "--attachable",
        "--ipv6=false",
        "172.20.0.0/16",
    ] {
        assert!(made.iter().any(|w| w == word), "{word} is not in {made:?}");
    }
    assert!(
        !made
            .iter()
            .any(|w| w == "--internal" || w.starts_with("old=")),
        "{made:?}"
    );
    let back = shlex::split(&commands[3]).unwrap();
    assert_eq!(
        back.join(" "),
        "connect --ip 172.20.0.2 --alias seed --alias it's --link-local-ip 169.254.8.8 --driver-opt com.docker.network.endpoint.sysctls=a=b --gw-priority 7 cybex wit"
    );
    let lost: Vec<String> = case
        .found("setting-lost")
        .into_iter()
        .map(|f| f.text)
        .collect();
    assert!(
        lost.iter()
            .any(|t| t.contains("reserved address `old=172.20.0.2`")),
        "{lost:?}"
    );
    assert!(
        lost.iter().any(|t| t.contains("02:42:aa:00:00:01")),
        "{lost:?}"
    );
    // The rules follow the bridge that stays.
    assert!(case.found("network-differs").is_empty());
}

#[test]
fn what_cannot_be_kept_is_told() {
    let mut case = Case::on("bookworm").replacing();
    // Another driver, and nothing that fits into the new subnet.
    case.networks[1] = json!({"name": "cybex", "id": ID, "driver": "macvlan",
        "ipam": [{"Subnet": "10.9.0.0/24", "IPRange": "10.9.0.128/25", "Gateway": "10.9.0.254", "AuxiliaryAddresses": {"nas": "10.9.0.9"}}],
        "internal": false, "ipv6": false, "attachable": false, "ipam_driver": "default", "ipam_options": null,
        "options": {"parent": "eth0"}, "labels": {"a": "b"}});
    case.containers
        .push(container("db", "cybex", "10.9.0.7", "exited"));
    let text = &case.one("setting-lost", Severity::Warning).text;
    for word in [
        "`parent=eth0`",
        "10.9.0.128/25",
        "`nas=10.9.0.9`",
        "gateway 10.9.0.254",
    ] {
        assert!(text.contains(word), "{text}");
    }
    case.one("address-lost", Severity::Warning);
    assert!(
        case.commands()
            .iter()
            .any(|c| c.contains("--label a=b") || c.contains("--label 'a=b'")),
        "{:?}",
        case.commands()
    );
    // MAC addresses: the container's own setting stays before Docker 25, and one that follows from the address comes again.
    for (suite, mac, told) in [
        ("bookworm", "02:42:aa:00:00:01", 0),
        ("trixie", "02:42:ac:14:00:02", 0),
        ("trixie", "02:42:aa:00:00:01", 1),
        ("forky", "a6:49:7e:46:2c:a2", 1),
    ] {
        let mut case = Case::on(suite).replacing();
        case.networks[1]["internal"] = json!(true);
        case.containers[0]["networks"]["cybex"]["MacAddress"] = json!(mac);
        assert_eq!(case.found("setting-lost").len(), told, "{suite} {mac}");
    }
}

// ------------------------------------------------------------------------------------------ containers in a motion

#[test]
fn a_container_between_two_starts_is_never_detached() {
    let mut case = Case::on("bookworm");
    case.containers[0] = container("wit", "cybex", "172.20.0.2", "restarting");
    case.one("container-restarting", Severity::Note);
    assert!(case.commands().is_empty());
    // At another address, elsewhere, or on another network beside: not enforced, and still not detached.
    for places in [
        json!({"cybex": place("172.20.0.9", "")}),
        json!({"bridge": place("", "")}),
        json!({"cybex": place("172.20.0.2", ""), "other": place("", "")}),
    ] {
        case.containers[0]["networks"] = places;
        let finding = case.one("container-restarting", Severity::NotEnforced);
        assert!(finding.hint.unwrap().contains("docker stop wit"));
        assert!(case.commands().is_empty(), "{:?}", case.commands());
    }
    // Nor is its network recreated below it, or below another one.
    let mut case = Case::on("forky").replacing();
    case.networks[1]["internal"] = json!(true);
    case.containers
        .push(container("db", "cybex", "172.20.0.3", "restarting"));
    case.one("container-restarting", Severity::Refuse);
    assert!(case.commands().is_empty());
}

#[test]
fn every_other_state_of_a_container_is_planned_for() {
    for (status, moves) in [("running", 0), ("paused", 0), ("created", 0), ("exited", 0)] {
        let mut case = Case::on("forky");
        case.containers[0] = container("wit", "cybex", "172.20.0.2", status);
        case.quiet();
        assert_eq!(case.commands().len(), moves, "{status}");
        case.containers[0] = container("wit", "cybex", "172.20.0.9", status);
        assert_eq!(
            case.commands(),
            [
                format!("disconnect {ID} wit"),
                format!("connect --ip 172.20.0.2 {ID} wit")
            ],
            "{status}"
        );
        case.containers[0] = container("wit", "bridge", "", status);
        assert_eq!(case.commands().len(), 2, "{status}");
    }
    for status in ["dead", "removing"] {
        let mut case = Case::on("bookworm");
        case.containers[0] = container("wit", "cybex", "172.20.0.9", status);
        case.one("no-container", Severity::Note);
        assert!(case.commands().is_empty(), "{status}");
    }
    // It runs, and Docker reports no address: it is starting or ending.
    let mut case = Case::on("forky");
    case.containers[0]["networks"]["cybex"]["IPAddress"] = json!("");
    case.one("container-restarting", Severity::Warning);
    assert!(case.commands().is_empty());
}

#[test]
fn a_stopped_container_with_the_address_is_a_warning() {
    for status in ["exited", "created", "restarting"] {
        let mut case = Case::on("bookworm");
        case.containers
            .push(container("wit_old", "cybex", "172.20.0.2", status));
        let finding = case.one("address-claimed", Severity::Warning);
        assert!(finding.text.contains("if it starts first"), "{finding:#?}");
        assert!(case.found("address-taken").is_empty());
    }
    // Neither runs, or the wanted one is elsewhere yet.
    let mut case = Case::on("forky");
    case.containers[0] = container("wit", "cybex", "172.20.0.2", "exited");
    case.containers
        .push(container("wit_old", "cybex", "172.20.0.2", "exited"));
    case.one("address-claimed", Severity::Warning);
    case.containers[0] = container("wit", "bridge", "", "running");
    case.one("address-claimed", Severity::Warning);
    assert_eq!(case.commands().len(), 2);
    // A container that has it, or takes it at its next start, is in the way.
    for status in ["running", "paused", "restarting"] {
        case.containers[1] = container("wit_old", "cybex", "172.20.0.2", status);
        case.one("address-taken", Severity::Refuse);
    }
    case.containers[1] = container("wit_old", "cybex", "172.20.0.2", "dead");
    assert!(case.found("address-taken").is_empty() && case.found("address-claimed").is_empty());
}

// -------------------------------------------------------------------------------------------------- names and ids

#[test]
fn two_networks_of_one_name_are_refused_with_both_ids() {
    for (driver, subnet) in [
        ("bridge", "172.21.0.0/16"),
        ("overlay", "10.0.1.0/24"),
        ("macvlan", "172.20.0.0/16"),
    ] {
        let mut case = Case::on("bookworm").replacing();
        let mut other = network("cybex", &ID.replace('4', "5"), subnet);
        other["driver"] = json!(driver);
        case.networks.push(other);
        let finding = case.one("network-twice", Severity::Refuse);
        assert!(
            finding.text.contains(ID) && finding.text.contains(&ID.replace('4', "5")),
            "{finding:#?}"
        );
        assert!(case.plan().is_empty());
        assert!(case.found("network-differs").is_empty());
    }
    // Names are case-sensitive, and two networks of another tool do not matter.
    let mut case = Case::on("bookworm");
    case.networks
        .push(network("Cybex", OTHER_ID, "172.21.0.0/16"));
    case.networks.push(network("x", OTHER_ID, "172.22.0.0/16"));
    case.networks.push(network("x", OTHER_ID, "172.23.0.0/16"));
    case.quiet();
}

#[test]
fn docker_is_told_of_a_network_by_its_id() {
    // A network whose name is the beginning of another's id.
    let mut case = Case::on("forky");
    let place_at = |id: &str| with(place("172.20.0.9", "172.20.0.9"), &["NetworkID"], json!(id));
    case.networks
        .push(network(&ID[..12], OTHER_ID, "172.21.0.0/16"));
    case.containers[0]["networks"] = json!({"cybex": place_at(ID)});
    assert_eq!(
        case.commands(),
        [
            format!("disconnect {ID} wit"),
            format!("connect --ip 172.20.0.2 {ID} wit")
        ]
    );
    // A container that does not run may name a network that is gone: Docker's own bridge is another after each restart.
    let mut stopped = case.containers[0].clone();
    for key in ["running", "status"] {
        stopped[key] = container("wit", "cybex", "", "exited")[key].clone();
    }
    stopped["networks"] =
        json!({"bridge": with(place("", ""), &["NetworkID"], json!("d".repeat(64)))});
    let running = std::mem::replace(&mut case.containers[0], stopped);
    assert_eq!(case.commands()[0], format!("disconnect {OTHER_ID} wit"));
    case.containers[0] = running;
    // A network that is recreated has no id yet.
    let mut case = case.replacing();
    case.networks[1]["internal"] = json!(true);
    let commands = case.commands();
    assert_eq!(
        commands.last().unwrap(),
        "connect --ip 172.20.0.2 cybex wit"
    );
    assert!(
        commands.contains(&format!("remove_network {ID}")),
        "{commands:#?}"
    );
}

// -------------------------------------------------------------------------------------- what the daemon would add

#[test]
fn a_network_is_made_with_all_that_daemon_json_could_say_otherwise() {
    let of = |suite: &str| Case::to_make(suite, "172.20.0.0/16").commands()[0].clone();
    assert_eq!(
        of("bullseye"),
        "create_network --subnet 172.20.0.0/16 --opt 'com.docker.network.bridge.name=br-cybex' --label 'fwdeploy.created=true' '--ipv6=false' cybex"
    );
    assert_eq!(of("trixie").matches("--opt").count(), 3);
    let newest = of("forky");
    for word in [
        "enable_ip_masquerade=true",
        "inhibit_ipv4=false",
        "gateway_mode_ipv4=nat",
        "enable_ipv4=true",
        "--ipv6=false",
    ] {
        assert!(newest.contains(word), "{newest}");
    }
}

#[test]
fn what_the_daemon_adds_and_does_not_contradict_is_accepted() {
    let mut case = Case::on("forky");
    case.networks[1]["options"] = json!({"com.docker.network.driver.mtu": "1400", "com.docker.network.bridge.enable_icc": "false"});
    case.quiet();
    case.networks[1]["ipv6"] = json!(true);
    case.one("network-differs", Severity::Refuse);
    assert!(case.replacing().commands()[2].contains("--ipv6=false"));
}

// ------------------------------------------------------------------------------------------ addresses that are unusable

#[test]
fn an_address_that_docker_gives_to_nobody_is_refused() {
    for (pool, address) in [
        (
            json!([{"Subnet": "172.20.0.0/16", "AuxiliaryAddresses": {"r": "172.20.0.2"}}]),
            "172.20.0.2",
        ),
        (
            json!([{"Subnet": "172.20.0.0/16", "Gateway": "172.20.0.2"}]),
            "172.20.0.2",
        ),
        // Docker before 28 does not report that it takes the first of the range.
        (
            json!([{"Subnet": "172.20.0.0/16", "IPRange": "172.20.4.0/24"}]),
            "172.20.4.0",
        ),
        (json!([{"Subnet": "172.20.0.0/16"}]), "172.20.0.1"),
        (json!([{"Subnet": "172.20.0.0/16"}]), "172.20.255.255"),
        (
            json!([{"Subnet": "172.20.0.0/16", "Gateway": "172.20.9.9"}]),
            "172.20.0.0",
        ),
    ] {
        let mut case = Case::on("bookworm");
        case.networks[1]["ipam"] = pool.clone();
        case.desired.attachments[0].address = address.parse().unwrap();
        let finding = case.one("address-reserved", Severity::Refuse);
        assert!(finding.text.contains(address), "{finding:#?}");
    }
    // The first address is free where the gateway is another.
    let mut case = Case::on("bookworm");
    case.networks[1]["ipam"] = json!([{"Subnet": "172.20.0.0/16", "Gateway": "172.20.0.254", "AuxiliaryAddresses": {"r": "172.20.0.3"}}]);
    case.desired.attachments[0].address = "172.20.0.1".parse().unwrap();
    assert!(case.found("address-reserved").is_empty());
}

#[test]
fn two_containers_with_one_mac_address_are_told() {
    let mut case = Case::on("forky");
    case.containers
        .push(container("db", "cybex", "172.20.0.3", "running"));
    for one in &mut case.containers {
        one["networks"]["cybex"]["MacAddress"] = json!("02:42:aa:00:00:01");
    }
    case.one("mac-twice", Severity::Warning);
    case.containers[1]["networks"]["cybex"]["MacAddress"] = json!("02:42:aa:00:00:02");
    case.quiet();
    // Those that do not run have none.
    case.containers[0]["networks"]["cybex"]["MacAddress"] = json!("");
    case.containers[1]["networks"]["cybex"]["MacAddress"] = json!("");
    case.quiet();
}

// ------------------------------------------------------------------------------------------------- ways round it

#[test]
fn only_an_internal_bridge_leads_nowhere() {
    for (driver, internal, leads) in [
        ("bridge", true, false),
        ("macvlan", true, true),
        ("ipvlan", true, true),
        ("overlay", true, true),
        ("bridge", false, true),
        ("macvlan", false, true),
    ] {
        let mut case = Case::on("forky");
        let mut other = network("other", OTHER_ID, "10.9.0.0/24");
        other["driver"] = json!(driver);
        other["internal"] = json!(internal);
        case.networks.push(other);
        case.containers[0]["networks"]["other"] = place("", "10.9.0.2");
        assert_eq!(
            case.found("second-network").len(),
            usize::from(leads),
            "{driver} {internal}"
        );
        // The same for another container next to it.
        let mut beside = container("proxy", "cybex", "172.20.0.3", "running");
        beside["networks"]["other"] = place("", "10.9.0.3");
        case.containers[0]["networks"]
            .as_object_mut()
            .unwrap()
            .remove("other");
        case.containers.push(beside);
        assert_eq!(
            case.found("relay").len(),
            usize::from(leads),
            "{driver} {internal}"
        );
    }
}

#[test]
fn whoever_can_relay_is_told() {
    for (other, status, severity) in [
        ("bridge", "running", Severity::NotEnforced),
        ("bridge", "paused", Severity::NotEnforced),
        ("bridge", "restarting", Severity::NotEnforced),
        ("gone-network", "running", Severity::NotEnforced),
        ("bridge", "exited", Severity::Warning),
        ("bridge", "created", Severity::Warning),
    ] {
        let mut case = Case::on("bookworm");
        let mut beside = container("proxy", "cybex", "172.20.0.3", status);
        beside["networks"][other] = place("", "");
        case.containers.push(beside);
        let finding = case.one("relay", severity);
        assert!(finding.hint.unwrap().contains("docker network disconnect"));
    }
    // On the managed network alone it is as closed as the rest.
    let mut case = Case::on("bookworm");
    case.containers
        .push(container("db", "cybex", "172.20.0.3", "running"));
    case.quiet();
}

#[test]
fn whoever_can_take_the_address_is_told() {
    let admin = |mut c: Value, key: &str| {
        match key {
            "privileged" => c["privileged"] = json!(true),
            name => c["capabilities"] = json!(["SYS_TIME", name]),
        }
        c
    };
    for key in [
        "privileged",
        "NET_ADMIN",
        "CAP_NET_ADMIN",
        "ALL",
        "net_admin",
    ] {
        // Itself, its neighbour, and containers that share its network stack by id and by name.
        let mut case = Case::on("forky");
        case.containers[0] = admin(case.containers[0].clone(), key);
        case.one("net-admin", Severity::Warning);
        let mut case = Case::on("forky");
        case.containers.push(admin(
            container("db", "cybex", "172.20.0.3", "running"),
            key,
        ));
        case.one("net-admin", Severity::Warning);
        for mode in [
            format!("container:{:0<64}", "wit"),
            "container:wit".to_string(),
        ] {
            let mut case = Case::on("forky");
            let mut sidecar = admin(container("side", "x", "", "running"), key);
            sidecar["networks"] = json!({});
            sidecar["mode"] = json!(mode);
            case.containers.push(sidecar.clone());
            case.one("net-admin", Severity::Warning);
            sidecar["privileged"] = json!(false);
            sidecar["capabilities"] = json!(["NET_RAW"]);
            case.containers[1] = sidecar;
            case.quiet();
        }
    }
}

#[test]
fn the_container_under_another_name_is_found() {
    for (name, service, compose, is_meant) in [
        ("chain-wit-1", "wit", true, true),
        ("chain_wit_1", "", false, true),
        ("wit.1.x2vq8", "", false, true),
        ("seed", "wit", false, true),
        ("witness", "", false, false),
        ("twit-1", "", false, false),
    ] {
        for network in ["chain_default", "bridge"] {
            let mut case = Case::on("forky");
            case.networks
                .push(self::network("chain_default", OTHER_ID, "172.22.0.0/16"));
            let key = if compose {
                "compose_service"
            } else {
                "swarm_service"
            };
            case.containers = vec![with(
                container(name, network, "", "running"),
                &[key],
                json!(service),
            )];
            let code = if is_meant {
                "container-elsewhere"
            } else {
                "no-container"
            };
            let severity = if is_meant {
                Severity::Warning
            } else {
                Severity::Note
            };
            let finding = case.one(code, severity);
            let hint = finding.hint.unwrap();
            if compose {
                assert!(hint.contains("services: {wit: {container_name: wit, networks: {cybex: {ipv4_address: 172.20.0.2}}}}, networks: {cybex: {external: true}}"), "{hint}");
            }
        }
    }
    // With the host's network it is as open; on the managed network, or on none, it is not.
    let mut case = Case::on("bookworm");
    let mut host = container("chain-wit-1", "host", "", "running");
    host["networks"] = json!({"host": place("", "")});
    case.containers = vec![host];
    case.one("container-elsewhere", Severity::Warning);
    case.containers = vec![container("chain-wit-1", "cybex", "172.20.0.7", "running")];
    assert!(case.found("container-elsewhere").is_empty());
    case.containers = vec![container("chain-wit-1", "cybex", "172.20.0.2", "running")];
    let finding = case.one("no-container", Severity::Note);
    assert!(
        finding.text.contains("chain-wit-1` has its address"),
        "{finding:#?}"
    );
    case.containers = vec![container("chain-wit-1", "none", "", "exited")];
    assert!(case.found("container-elsewhere").is_empty());
}

#[test]
fn a_compose_container_on_a_network_of_its_project_gets_the_lines_of_its_file() {
    let mut case = Case::on("trixie");
    case.networks
        .push(network("chain_default", OTHER_ID, "172.22.0.0/16"));
    case.containers[0]["compose_service"] = json!("wit");
    case.containers[0]["networks"]["chain_default"] = place("", "172.22.0.2");
    let hint = case
        .one("second-network", Severity::NotEnforced)
        .hint
        .unwrap();
    assert!(
        hint.contains("docker network disconnect chain_default wit")
            && hint.contains("external: true"),
        "{hint}"
    );
    case.containers[0]["compose_service"] = json!("");
    let hint = case
        .one("second-network", Severity::NotEnforced)
        .hint
        .unwrap();
    assert_eq!(hint, "docker network disconnect chain_default wit");
}

// ------------------------------------------------------------------------------------------------------------ DNS

#[test]
fn a_name_that_docker_asks_for_from_the_node_is_told() {
    let stub = "/etc/resolv.conf 127.0.0.53\n/run/systemd/resolve/resolv.conf 9.9.9.9\n";
    let alone = "/etc/resolv.conf 127.0.0.53\n";
    let loopback = "/etc/resolv.conf 127.0.0.1\n/etc/resolv.conf 9.9.9.9\n";
    let v6 = "/etc/resolv.conf ::1\n";
    let plain = "/etc/resolv.conf 9.9.9.9\n/etc/resolv.conf fe80::1%host0\n";
    for (suite, resolvers, leaves) in [
        ("forky", plain, Some("9.9.9.9, fe80::1")),
        ("forky", loopback, Some("127.0.0.1, 9.9.9.9")),
        ("forky", stub, Some("9.9.9.9")),
        ("forky", "", None),
        ("trixie", plain, None),
        ("bookworm", plain, None),
        (
            "bookworm",
            loopback,
            Some("queries 127.0.0.1 from the node itself"),
        ),
        ("bookworm", v6, Some("::1")),
        ("bullseye", stub, None),
        ("bullseye", alone, Some("127.0.0.53")),
        ("bullseye", "", None),
    ] {
        let mut case = Case::on(suite);
        case.resolvers = resolvers.to_string();
        case.containers[0]["dns"] = Value::Null;
        match leaves {
            Some(words) => {
                let finding = case.one("dns-leaves", Severity::Warning);
                assert!(
                    finding.text.contains(words),
                    "{suite} {resolvers}: {finding:#?}"
                );
                // Servers of its own, or of Docker's own, are asked from the container.
                case.told = "dns=true\n".to_string();
                assert!(case.found("dns-leaves").is_empty());
                case.told.clear();
                case.containers[0]["dns"] = json!(["9.9.9.9"]);
                assert!(case.found("dns-leaves").is_empty());
            }
            None => assert!(case.found("dns-leaves").is_empty(), "{suite} {resolvers}"),
        }
    }
}
