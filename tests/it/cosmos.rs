//! The role `cosmos`, written from docs/roles.md: a validator behind two sentries, packet by packet.

use std::collections::BTreeSet;
use std::net::IpAddr;

use fwdeploy::inventory::Inventory;
use fwdeploy::model::Desired;
use fwdeploy::model::Port;
use fwdeploy::model::Rule;
use fwdeploy::model::host_name::Names;
use fwdeploy::policy::Evaluation;
use fwdeploy::policy::NodeContext;
use fwdeploy::policy::Packet;
use fwdeploy::policy::PacketVerdict;
use fwdeploy::policy::compile;
use fwdeploy::policy::evaluate;
use fwdeploy::policy::evaluate::Flow;
use fwdeploy::policy::evaluate::Rewritten;
use fwdeploy::policy::guard;
use fwdeploy::policy::guard::GuardPacket;
use fwdeploy::role::Roles;

const INVENTORY: &str = "all:
  vars:
    fwdeploy_roles: [cosmos]
    cosmos_prometheus_clients: [203.0.113.250]
  children:
    cosmos_validator:
      hosts:
        val-1: { ansible_host: 192.0.2.51 }
    cosmos_sentry:
      vars:
        cosmos_peers:
          - { address: 198.51.100.60, port: 26666, name: hub-2, owner: Acme, until: 2027-01-31 }
          - { address: 198.51.100.62, name: hub-3, until: 2027-01-30 }
          - 198.51.100.61
        cosmos_rpc_clients: [203.0.113.0/28]
      hosts:
        sentry-1: { ansible_host: 192.0.2.61 }
        sentry-2: { ansible_host: 192.0.2.62 }
";

const VALIDATOR: &str = "192.0.2.51";
const SENTRIES: [&str; 2] = ["192.0.2.61", "192.0.2.62"];
const HUB: &str = "198.51.100.61";
const METRICS: &str = "203.0.113.250";
const CONTAINER: &str = "172.22.0.2";

fn desired(node: &str) -> Desired {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.yml");
    std::fs::write(&path, INVENTORY).unwrap();
    let inventory = Inventory::load(&path, &[]).unwrap();
    let roles = Roles::built_in();
    let policies = roles
        .resolve(&inventory, inventory.node(node).unwrap())
        .unwrap_or_else(|errors| panic!("{errors}"));
    let today = "2027-01-31".parse().unwrap();
    let policies: Vec<_> = policies
        .into_iter()
        .map(|policy| policy.on(today, &Names::default()).0)
        .collect();
    let context = NodeContext {
        ipsets: fwdeploy::model::Ipsets::default(),
        node: node.to_string(),
        zone: None,
        ssh_port: Port::new(22).unwrap(),
        today,
    };
    compile(&policies, &context).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Whether a new flow gets through both the rules of DOCKER-USER and the guard.
fn passes(desired: &Desired, source: &str, destination: &str, port: u16) -> bool {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let (source, destination) = (ip(source), ip(destination));
    let is_inbound = destination == ip(CONTAINER);
    let packet = Packet {
        source,
        destination,
        protocol: "tcp".to_string(),
        source_port: Some(40000),
        destination_port: Some(port),
        flow: Flow::New,
        destination_rewritten: if is_inbound {
            Rewritten::Yes
        } else {
            Rewritten::No
        },
        interface_in: Some(if is_inbound { "eth0" } else { "br-cosmos" }.to_string()),
        interface_out: Some(if is_inbound { "br-cosmos" } else { "eth0" }.to_string()),
    };
    let rules = desired.rules_of(packet.family());
    let rules: Vec<Rule> = rules.map(|rule| rule.rule().unwrap().clone()).collect();
    let evaluation = evaluate(&rules, &packet);
    let by_rules = matches!(evaluation, Evaluation::Decided(PacketVerdict::Accept, _));
    let can = guard::Capabilities {
        element_counters: true,
        mark: None,
    };
    let table = guard::table(&desired.guard, can);
    let packet = GuardPacket {
        packet,
        is_original: true,
    };
    let by_guard = guard::evaluate(&table, "forward", &packet)
        .refusal
        .is_none();
    assert_eq!(by_rules, by_guard, "{packet:?}");
    by_rules
}

#[test]
fn a_validator_reaches_its_sentries_and_nobody_else() {
    let desired = desired("val-1");
    let others = [HUB, METRICS, VALIDATOR, "8.8.8.8"];
    for sentry in SENTRIES {
        assert!(passes(&desired, CONTAINER, sentry, 26656), "{sentry}");
        assert!(passes(&desired, sentry, CONTAINER, 26656), "{sentry}");
        for port in [22, 9090, 26657, 26659, 26660] {
            assert!(
                !passes(&desired, CONTAINER, sentry, port),
                "{sentry} {port}"
            );
            assert!(
                !passes(&desired, sentry, CONTAINER, port),
                "{sentry} {port}"
            );
        }
    }
    for other in others {
        for port in [26656, 26657, 9090, 443, 53] {
            assert!(!passes(&desired, CONTAINER, other, port), "{other} {port}");
            assert!(!passes(&desired, other, CONTAINER, port), "{other} {port}");
        }
    }
    assert!(passes(&desired, METRICS, CONTAINER, 26660));
}

#[test]
fn a_sentry_reaches_the_validator_the_other_sentry_and_its_peers() {
    let desired = desired("sentry-1");
    for peer in [VALIDATOR, SENTRIES[1], HUB] {
        assert!(passes(&desired, CONTAINER, peer, 26656), "{peer}");
        assert!(passes(&desired, peer, CONTAINER, 26656), "{peer}");
        assert!(!passes(&desired, CONTAINER, peer, 26657), "{peer}");
        assert!(!passes(&desired, peer, CONTAINER, 26657), "{peer}");
    }
    // With a port of its own, on its last day; and one whose last day was yesterday.
    assert!(passes(&desired, CONTAINER, "198.51.100.60", 26666));
    assert!(!passes(&desired, CONTAINER, "198.51.100.60", 26656));
    assert!(passes(&desired, "198.51.100.60", CONTAINER, 26656));
    assert!(!passes(&desired, CONTAINER, "198.51.100.62", 26656));
    assert!(!passes(&desired, "198.51.100.62", CONTAINER, 26656));
    // Its own address is none of its peers.
    assert!(!passes(&desired, CONTAINER, SENTRIES[0], 26656));
    assert!(passes(&desired, "203.0.113.5", CONTAINER, 26657));
    assert!(!passes(&desired, "203.0.113.5", CONTAINER, 9090));
    assert!(!passes(&desired, "203.0.113.5", CONTAINER, 26656));
    assert!(passes(&desired, METRICS, CONTAINER, 26660));
}

#[test]
fn a_peer_near_its_last_day_and_one_after_it_are_told() {
    let said = |until: &str| {
        let peer =
            format!("{{ address: 198.51.100.60, name: hub-2, owner: Acme, until: {until} }}");
        let inventory = format!(
            "all: {{ hosts: {{ n1: {{ ansible_host: 192.0.2.1, fwdeploy_roles: [cosmos], cosmos_peers: [{peer}] }} }} }}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.yml");
        std::fs::write(&path, inventory).unwrap();
        let inventory = Inventory::load(&path, &[]).unwrap();
        let roles = Roles::built_in();
        let node = inventory.node("n1").unwrap();
        let mut policies = roles.resolve(&inventory, node).unwrap();
        let (policy, said) = policies
            .remove(0)
            .on("2027-01-31".parse().unwrap(), &Names::default());
        // Said once for each direction; the program says it once.
        let said: BTreeSet<String> = said.iter().map(|one| one.message().to_string()).collect();
        let listed: usize = policy.inbound.iter().map(|entry| entry.from.len()).sum();
        assert_eq!(
            policy.known.len(),
            1,
            "its name is known, also while its rules go"
        );
        (listed, said.into_iter().collect::<Vec<_>>())
    };
    let told = |listed, text: &str| (listed, vec![text.to_string()]);
    assert_eq!(said("2027-02-15"), (1, Vec::new()));
    assert_eq!(
        said("2027-02-14"),
        told(
            1,
            "the last day of the peer `198.51.100.60` (hub-2, Acme) is 2027-02-14, in 14 days"
        )
    );
    assert_eq!(
        said("2027-01-31"),
        told(
            1,
            "the last day of the peer `198.51.100.60` (hub-2, Acme) is 2027-01-31, today"
        )
    );
    assert_eq!(
        said("2027-01-30"),
        told(
            0,
            "the peer `198.51.100.60` (hub-2, Acme) is on no list any more: its last day was 2027-01-30"
        )
    );
}
