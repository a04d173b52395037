//! Changes made by hand: `--check` names each, `run` repairs it.

use crate::One;

/// A change by another user on the node, and a word that `--check` must report about it.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "a permanent rule removed",
        "firewall-cmd -q --permanent --direct --remove-rule $(firewall-cmd --permanent --direct --get-all-rules | grep 'DOCKER-USER 200 ')",
        "+ permanent",
    ),
    (
        "a runtime rule removed",
        "firewall-cmd -q --direct --remove-rule $(firewall-cmd --direct --get-all-rules | grep 'DOCKER-USER 200 ')",
        "+ runtime",
    ),
    (
        "a kernel rule removed behind firewalld's back",
        "iptables -D DOCKER-USER 1",
        "+ kernel",
    ),
    (
        "an ACCEPT for everybody put ahead",
        "iptables -I DOCKER-USER 1 -j ACCEPT",
        "~ kernel",
    ),
    (
        "an ACCEPT for the container put ahead",
        "iptables -I DOCKER-USER 1 -s 172.20.0.2 -j ACCEPT",
        "- kernel",
    ),
    (
        "an ACCEPT for the container put ahead through firewalld",
        "firewall-cmd -q --direct --add-rule ipv4 filter DOCKER-USER -5 -s 172.20.0.2 -j ACCEPT",
        "- runtime",
    ),
    ("the chain flushed", "iptables -F DOCKER-USER", "+ kernel"),
    (
        "the jump moved down",
        "iptables -D FORWARD -j DOCKER-USER && iptables -A FORWARD -j DOCKER-USER",
        "FORWARD -j DOCKER-USER",
    ),
    (
        "the jump deleted",
        "while iptables -D FORWARD -j DOCKER-USER 2>/dev/null; do :; done",
        "FORWARD -j DOCKER-USER",
    ),
    (
        "a rich rule added",
        "firewall-cmd -q --zone=public --add-rich-rule='rule family=ipv4 source address=PEER2 forward-port port=5000 protocol=tcp to-port=5000 to-addr=172.20.0.2'",
        "- runtime",
    ),
    (
        "a permanent rich rule added",
        "firewall-cmd -q --permanent --zone=public --add-rich-rule='rule family=ipv4 source address=PEER2 forward-port port=5000 protocol=tcp to-port=5000 to-addr=172.20.0.2'",
        "- permanent",
    ),
    (
        "a rich rule removed",
        "firewall-cmd -q --zone=public --remove-rich-rule=\"$(firewall-cmd --zone=public --list-rich-rules | grep forward-port | head -1)\"",
        "+ runtime",
    ),
    (
        "the container moved to another address",
        "docker network disconnect cybex cybex && docker network connect --ip 172.20.0.9 cybex cybex",
        "docker",
    ),
    (
        "the network removed",
        "docker network disconnect -f cybex cybex && docker network rm cybex",
        "network cybex",
    ),
];

pub(crate) fn every_change_by_hand_is_named_and_mended(lab: &str, suite: &str, backend: &str) {
    let one = One::up(lab, suite, backend);
    one.run_changes();
    for (what, change, says) in CHANGES {
        one.lab
            .sh("n1", &change.replace("PEER2", &one.lab.peer("peer2")));
        let check = one.lab.fwdeploy("run", &["--check"]);
        assert_eq!(check.code, 2, "{what}: {}{}", check.out, check.err);
        let squeezed: String = check.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            squeezed.contains(says),
            "{what}: `{says}` is not in {}",
            check.out
        );
        let run = one.lab.fwdeploy("run", &[]);
        assert_eq!(run.code, 0, "{what}: {}{}", run.out, run.err);
        assert!(one.holds(), "{what}");
        one.assert_enforced(what);
    }
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn on_the_oldest_node() {
    every_change_by_hand_is_named_and_mended("dold", "bullseye", "iptables");
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn on_the_newest_node() {
    every_change_by_hand_is_named_and_mended("dnew", "forky", "nftables");
}

/// What blocks whitelisted peers and is not fwdeploy's to repair: the backend, the change, and the finding's code.
const PASSAGE: &[(&str, &str, &str)] = &[
    (
        "nftables",
        "firewall-cmd -q --zone=docker --remove-interface=br-cybex",
        "bridge-unzoned",
    ),
    (
        "iptables",
        "iptables -t nat -F PRE_public_allow",
        "forward-lost",
    ),
    (
        "iptables",
        "iptables -t nat -D POSTROUTING -s 172.20.0.0/16 ! -o br-cybex -j MASQUERADE",
        "no-masquerade",
    ),
    ("nftables", "iptables -I FORWARD 1 -j DROP", "foreign-drop"),
];

#[test]
#[ignore = "needs root and the lab: make lab"]
fn what_keeps_the_whitelisted_out_is_said() {
    for backend in ["nftables", "iptables"] {
        let one = One::up(&format!("pass{}", &backend[..1]), "bookworm", backend);
        one.run_changes();
        let said = one.lab.fwdeploy("run", &["--check"]);
        assert!(!said.out.contains("warning"), "{}", said.out);
        for (_, change, code) in PASSAGE.iter().filter(|(of, ..)| *of == backend) {
            one.lab.sh("n1", change);
            let said = one.lab.fwdeploy("run", &["--check"]);
            assert!(said.out.contains(code), "{change}: {}", said.out);
        }
    }
}
