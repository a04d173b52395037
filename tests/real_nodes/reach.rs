//! What else decides about a flow, apart from the whitelist: a blocked peer is reported with the rule that blocks it, and a host
//! that gets in past the whitelist makes the node not enforced.

use crate::One;
use crate::PORT;
use crate::name;
use crate::on_two_nodes;

/// The output of `--check`.
fn check(one: &One) -> String {
    let said = one.lab.fwdeploy("run", &["--check"]);
    format!("{}{}{}", said.code, said.out, said.err)
}

on_two_nodes!(what_keeps_a_peer_out_is_named);

fn what_keeps_a_peer_out_is_named(suite: &str, backend: &str) {
    let one = One::up(&name("k", suite, backend), suite, backend);
    let lab = &one.lab;
    one.run_changes();
    one.assert_enforced("with nothing in the way");
    let (node, peer) = (lab.address("n1"), lab.peer("peer1"));
    let clean = check(&one);
    for code in ["foreign-drop", "forward-taken", "untracked", "not-judged"] {
        assert!(
            !clean.contains(code),
            "{code} with nothing in the way: {clean}"
        );
    }
    for (what, done, undone, says) in [
        (
            "a table of nft",
            "nft add table inet banned; nft add chain inet banned c '{ type filter hook forward priority 0; }'; nft add set inet banned who '{ type ipv4_addr; }'; nft add element inet banned who '{ PEER }'; nft add rule inet banned c ip saddr @who drop",
            "nft delete table inet banned",
            &["nft table inet banned, chain `c`", "foreign-drop"][..],
        ),
        (
            "a chain of others that asks a set",
            "ipset create ban hash:ip; ipset add ban PEER; iptables -N f2b-peers; iptables -A f2b-peers -m set --match-set ban src -j REJECT; iptables -A f2b-peers -j RETURN; iptables -I DOCKER-USER 1 -p tcp -j f2b-peers",
            "ipset del ban PEER",
            &["f2b-peers -m set --match-set ban src", "foreign-drop"],
        ),
        (
            "a drop in table raw",
            "iptables -t raw -I PREROUTING -s PEER -p tcp -m multiport --dports 80,5000 -j DROP",
            "iptables -t raw -D PREROUTING -s PEER -p tcp -m multiport --dports 80,5000 -j DROP",
            &["in table raw", "foreign-drop"],
        ),
        (
            "a policy of table mangle",
            "iptables -t mangle -P FORWARD DROP",
            "iptables -t mangle -P FORWARD ACCEPT",
            &["the policy of `FORWARD` in table mangle", "foreign-drop"],
        ),
        (
            "the other backend of iptables",
            "iptables-legacy -I FORWARD -s PEER -j DROP",
            "iptables-legacy -D FORWARD -s PEER -j DROP",
            &[
                "in table filter of the other iptables backend",
                "foreign-drop",
            ],
        ),
        (
            "a redirect",
            "iptables -t nat -I PREROUTING -i host0 -p tcp --dport 5000 -j REDIRECT --to-ports 9",
            "iptables -t nat -D PREROUTING -i host0 -p tcp --dport 5000 -j REDIRECT --to-ports 9",
            &["to the node itself", "forward-taken"],
        ),
        (
            "packets of no flow",
            "iptables -t raw -I PREROUTING -s PEER -j NOTRACK",
            "iptables -t raw -D PREROUTING -s PEER -j NOTRACK",
            &["in table raw takes", "untracked"],
        ),
    ] {
        lab.sh("n1", &done.replace("PEER", &peer));
        assert!(
            !lab.reaches("peer1", &node, PORT),
            "{what} keeps the peer out, or the test proves nothing"
        );
        let said = check(&one);
        for words in says {
            assert!(said.contains(words), "{what}: {said}");
        }
        lab.sh("n1", &undone.replace("PEER", &peer));
        assert!(
            lab.reaches("peer1", &node, PORT),
            "the peer comes in without {what}"
        );
        let said = check(&one);
        assert!(!said.contains(says[1]), "without {what}: {said}");
    }
}

on_two_nodes!(who_gets_in_past_the_whitelist_makes_the_node_not_enforced);

fn who_gets_in_past_the_whitelist_makes_the_node_not_enforced(suite: &str, backend: &str) {
    let one = One::up(&name("x", suite, backend), suite, backend);
    let lab = &one.lab;
    one.run_changes();
    let node = lab.address("n1");
    lab.lab(
        "container",
        &[
            "n1",
            "cybex",
            "--network",
            "cybex",
            "--ip",
            "172.20.0.2",
            "--",
            "-p",
            "5000:5000",
        ],
    );
    lab.sh(
        "n1",
        "sysctl -qw net.ipv6.conf.host0.disable_ipv6=0; ip -6 addr add fd77::11/64 dev host0 nodad",
    );
    lab.lab(
        "peer",
        &[
            "peer2",
            "--",
            "ip",
            "-6",
            "addr",
            "add",
            "fd77::102/64",
            "dev",
            "eth0",
            "nodad",
        ],
    );
    let open = || check(&one).matches("[proxy-open]").count();

    crate::harness::said::wait_until("docker-proxy listens", || {
        check(&one).contains("published-port")
    });
    assert!(!lab.reaches("peer2", "fd77::11", PORT), "the zone is shut");
    assert_eq!(open(), 0, "nobody gets in: {}", check(&one));

    lab.sh("n1", "firewall-cmd -q --add-port=5000/tcp");
    assert!(
        lab.reaches("peer2", "fd77::11", PORT),
        "a stranger comes in over IPv6, or the test proves nothing"
    );
    let said = check(&one);
    assert!(
        said.starts_with('2')
            && said.contains(
                "a host that is not on the whitelist, over IPv6, reaches container `cybex`"
            ),
        "{said}"
    );
    let in_by_v4 = lab.reaches("peer2", &node, PORT);
    assert_eq!(
        said.contains("a host that is not on the whitelist reaches container `cybex`"),
        in_by_v4,
        "{said}"
    );

    lab.sh("n1", "firewall-cmd -q --remove-port=5000/tcp");
    lab.lab("container", &["n1", "other"]);
    assert!(
        lab.reaches("n1/other", &node, PORT),
        "another container comes in, or the test proves nothing"
    );
    let said = check(&one);
    assert!(
        said.contains("container `other` reaches container `cybex`"),
        "{said}"
    );
    lab.sh("n1", "docker rm -f other >/dev/null");
    assert_eq!(open(), 0, "{}", check(&one));
}

on_two_nodes!(another_service_at_the_forwarded_port_is_named);

/// What another container publishes at the port, or a program of the node listens on.
fn another_service_at_the_forwarded_port_is_named(suite: &str, backend: &str) {
    let one = One::up(&name("c", suite, backend), suite, backend);
    let lab = &one.lab;
    one.run_changes();
    lab.sh("n1", "cat >/run/shadow.py <<'E'\nimport socket\ns = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('0.0.0.0', 5000)); s.listen(9)\nwhile True:\n    c, _ = s.accept(); c.sendall(b'shadow\\n'); c.close()\nE\nsystemd-run -q --unit shadow python3 /run/shadow.py");
    crate::harness::said::wait_until("the program listens", || {
        check(&one).contains("listener-shadowed")
    });
    assert!(
        check(&one).contains("`python3` of the node listens on port 5000/tcp"),
        "{}",
        check(&one)
    );
    lab.sh("n1", "systemctl stop shadow");
    assert!(!check(&one).contains("listener-shadowed"));

    lab.lab(
        "container",
        &["n1", "web", "--", "-p", "5000:5000", "--hostname", "web"],
    );
    let said = check(&one);
    // Docker's rule is first if firewalld has its own table, and behind if both are in one table.
    let first = lab.sh(
        "n1",
        "iptables -t nat -Z PREROUTING; iptables -t nat -Z DOCKER",
    );
    assert!(first.is_empty());
    lab.reaches("peer1", &lab.address("n1"), PORT);
    let counted = lab.sh(
        "n1",
        "iptables -t nat -nvxL DOCKER | awk '/DNAT/ { print $1 }'",
    );
    let taken = counted.trim() != "0";
    assert_eq!(said.contains("[forward-taken]"), taken, "{counted}: {said}");
    assert_eq!(said.contains("[listener-shadowed]"), !taken, "{said}");
    assert!(said.contains("container `web`"), "{said}");
}

mod who_is_let_in_without_a_port_is_told_if_nothing_lets_it_pass {
    /// firewalld refuses it.
    #[test]
    #[ignore = "needs root and the lab: make lab"]
    fn bookworm_nftables() {
        super::let_in_without_a_port("bookworm", "nftables");
    }

    /// Docker refuses it.
    #[test]
    #[ignore = "needs root and the lab: make lab"]
    fn forky_nftables() {
        super::let_in_without_a_port("forky", "nftables");
    }

    /// firewalld lets all leave table raw ahead of Docker's refusal.
    #[test]
    #[ignore = "needs root and the lab: make lab"]
    fn forky_iptables() {
        super::let_in_without_a_port("forky", "iptables");
    }
}

fn let_in_without_a_port(suite: &str, backend: &str) {
    let one = One::up(&name("t", suite, backend), suite, backend);
    let lab = &one.lab;
    let peer = lab.peer("peer1");
    one.inventory(
        &format!("[{peer}]"),
        &format!("        cybex_trusted: [{peer}]\n"),
    );
    one.run_changes();
    lab.lab(
        "peer",
        &[
            "peer1",
            "--",
            "ip",
            "route",
            "add",
            "172.20.0.0/16",
            "via",
            &lab.address("n1"),
        ],
    );
    let passes = lab.reaches("peer1", "172.20.0.2", 8090);
    let said = check(&one);
    assert!(
        !passes || backend == "iptables",
        "it is refused here, or the test proves nothing"
    );
    let told = said.contains("[portless-refused]") && said.contains("cybex/trusted");
    assert_eq!(told, !passes, "{said}");
}
