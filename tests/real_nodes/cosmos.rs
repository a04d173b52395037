//! The role `cosmos` on three nodes of three generations: a validator behind two sentries, with a range of ports.

use crate::harness::lab::Lab;
use crate::harness::said::wait_until;

/// Ports on which the lab's containers answer: p2p, RPC, and one within the range that the REST API has here.
const P2P: u16 = 9876;
const RPC: u16 = 8090;
const API: u16 = 8888;

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_validator_reaches_its_sentries_only() {
    let lab = Lab::up(
        "cosmos",
        &["n1=bookworm", "n2=bullseye:iptables", "n3=forky"],
        2,
    );
    for node in ["n1", "n2", "n3"] {
        lab.lab("container", &[node, "cosmos", "--restart", "always"]);
    }
    for peer in ["peer1", "peer2"] {
        lab.lab("listen", &[peer, &P2P.to_string()]);
    }
    let (friend, stranger) = (lab.peer("peer1"), lab.peer("peer2"));
    let [validator, one, two] = ["n1", "n2", "n3"].map(|node| lab.address(node));
    lab.inventory(&format!(
        "all:
  vars:
    ansible_user: root
    ansible_ssh_private_key_file: {{key}}
    fwdeploy_roles: [cosmos]
    cosmos_port: {P2P}
    cosmos_rpc_port: {RPC}
    cosmos_api_port: 8880-8899
  children:
    cosmos_validator:
      hosts:
        n1: {{ ansible_host: {validator} }}
    cosmos_sentry:
      vars:
        cosmos_peers: [{{ address: {friend}, name: hub, owner: Acme }}]
        cosmos_api_clients: [{friend}]
      hosts:
        n2: {{ ansible_host: {one} }}
        n3: {{ ansible_host: {two} }}
"
    ));
    let said = lab.fwdeploy("run", &["--diff"]);
    let all = format!("{}{}", said.out, said.err);
    assert_eq!(said.code, 0, "{all}");
    assert!(said.out.contains("(hub, Acme)"), "{all}");
    let said = lab.fwdeploy("run", &["--check"]);
    assert_eq!(
        said.code, 0,
        "a range is read back as it was written: {}{}",
        said.out, said.err
    );

    let reaches = |from: &str, to: &str, port: u16| lab.reaches(from, to, port);
    for (node, address) in [("n2", &one), ("n3", &two)] {
        let container = format!("{node}/cosmos");
        wait_until(&format!("the validator reaches the sentry {node}"), || {
            reaches("n1/cosmos", address, P2P)
        });
        assert!(
            reaches(&container, &validator, P2P),
            "{node} reaches the validator"
        );
        assert!(reaches(&container, &friend, P2P), "{node} reaches its peer");
        assert!(reaches("peer1", address, P2P), "its peer reaches {node}");
        assert!(
            reaches("peer1", address, API),
            "and its API, in the range of ports"
        );
        for (from, to, port) in [
            ("n1/cosmos", address.as_str(), RPC),
            ("n1/cosmos", address, API),
            ("peer1", address, RPC),
            ("peer2", address, P2P),
            ("peer2", address, API),
            (&container, &stranger, P2P),
            (&container, &validator, RPC),
        ] {
            assert!(!reaches(from, to, port), "{from} reached {to} at {port}");
        }
    }
    assert!(reaches("n2/cosmos", &two, P2P) && reaches("n3/cosmos", &one, P2P));
    for peer in ["peer1", "peer2"] {
        assert!(
            !reaches(peer, &validator, P2P),
            "{peer} reached the validator"
        );
        let address = lab.peer(peer);
        assert!(
            !reaches("n1/cosmos", &address, P2P),
            "the validator reached {peer}"
        );
    }
}
