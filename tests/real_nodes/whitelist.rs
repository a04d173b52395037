//! The whitelist holds, and stays.

use crate::One;
use crate::harness::said::wait_until;
use crate::name;
use crate::on_every_node;

on_every_node!(the_whitelist_holds_and_stays);

pub(crate) fn the_whitelist_holds_and_stays(suite: &str, backend: &str) {
    let one = One::up(&name("w", suite, backend), suite, backend);
    assert!(
        one.lab
            .reaches("n1/cybex", &one.lab.peer("peer2"), crate::PORT),
        "before the first run the container reaches anybody, or the test proves nothing"
    );
    one.run_changes();
    one.assert_enforced("after the first run");

    let said = one.lab.fwdeploy("run", &[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("changed=0"), "{}", said.out);
    one.assert_enforced("after a second run");

    one.lab.sh(
        "n1",
        "systemctl reset-failed docker; systemctl restart docker",
    );
    one.assert_enforced("after Docker restarted");
    assert!(one.holds(), "after Docker restarted");

    one.lab.lab("reboot", &["n1"]);
    // Services count as started before Docker has made its last rule.
    wait_until("the node is as wanted after its reboot", || {
        one.lab.fwdeploy("run", &["--check"]).code == 0
    });
    one.assert_enforced("after the node rebooted");

    // Docker restores its rules in the background; meanwhile `--check` rightly reports drift.
    one.lab.sh("n1", "firewall-cmd --reload && sleep 3");
    if !one.holds() {
        let said = one.lab.fwdeploy("run", &["--check"]);
        assert!(said.out.contains("DOCKER-USER"), "{}", said.out);
        one.run_changes();
        assert!(one.holds());
    }
    one.assert_enforced("after somebody reloaded firewalld");
}

/// Sends datagrams under an address that is not the sender's.
const FORGE: &str = r#"
import socket, struct, sys
source, to, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
text = b"forged"
udp = struct.pack("!HHHH", 4444, port, 8 + len(text), 0) + text
ends = socket.inet_aton(source), socket.inet_aton(to)
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, *ends)
ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
    for _ in range(3):
        s.sendto(ip + udp, (to, 0))
"#;

on_every_node!(a_forged_address_is_no_way_out);

/// A container can send from any source address, and rules that match addresses then see another host's packet. The network is one
/// that existed before, with a bridge named by Docker.
fn a_forged_address_is_no_way_out(suite: &str, backend: &str) {
    let one = One::up(&name("f", suite, backend), suite, backend);
    let lab = &one.lab;
    lab.sh(
        "n1",
        "docker network create --subnet 172.20.0.0/16 cybex && docker network disconnect bridge cybex && docker network connect --ip 172.20.0.2 cybex cybex",
    );
    let heard = lab.lab("listen", &["peer2", "7000"]);
    let arrive = |source: &str| {
        let count = || std::fs::read_to_string(&heard).map_or(0, |text| text.lines().count());
        let before = count();
        let pid = lab.sh("n1", "docker inspect -f '{{.State.Pid}}' cybex");
        let to = lab.peer("peer2");
        let forge = ["nsenter", "-t", pid.trim(), "-n", "python3", "-c", FORGE];
        let args = [&["n1", "--"], &forge[..], &[source, to.as_str(), "7000"]].concat();
        lab.lab("exec", &args);
        std::thread::sleep(std::time::Duration::from_millis(500));
        count() - before
    };
    assert!(
        arrive("198.18.0.9") > 0,
        "a forged packet gets out before the first run, or the test proves nothing"
    );
    one.run_changes();
    for source in ["198.18.0.9", "10.77.0.1", "172.20.0.77"] {
        assert_eq!(arrive(source), 0, "got out as {source}");
    }
    one.assert_enforced("with a bridge that Docker named");
    assert!(one.holds());
}

/// What an auditor can read is what a run does: by hand, on a node of its own, and then there is nothing left to do.
#[test]
#[ignore = "needs root and the lab: make lab"]
fn the_rendered_commands_do_what_a_run_does() {
    let one = One::up("typed", "forky", "nftables");
    let inventory = one.lab.home().join("inventory.yml");
    let said: crate::harness::said::Said = one
        .lab
        .command(&["render", inventory.to_str().expect("a plain path")])
        .output()
        .expect("fwdeploy runs")
        .into();
    assert_eq!(said.code, 0, "{}", said.err);
    one.lab.sh("n1", "docker network disconnect bridge cybex");
    one.lab.sh("n1", &said.out);
    wait_until("a check finds nothing to do", || {
        one.lab.fwdeploy("run", &["--check"]).code == 0
    });
    one.assert_enforced("after the rendered commands");
}

/// As words of one command these rules end the node's shell by signal 11, and no command line holds them.
#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_whitelist_of_thousands_is_enforced_and_changed() {
    let one = One::up("wmany", "trixie", "iptables");
    let peers = |count: u32| -> String {
        let others = (0..count).map(|n| format!("198.18.{}.{}", n / 100, 2 * (n % 100) + 1));
        let all: Vec<String> = std::iter::once(one.lab.peer("peer1"))
            .chain(others)
            .collect();
        format!("[{}]", all.join(", "))
    };
    one.inventory(&peers(3000), "");
    one.run_changes();
    one.assert_enforced("after the first run");
    one.inventory(&peers(2999), "");
    one.run_changes();
    one.assert_enforced("after one peer was removed");
    assert!(one.holds());
}
