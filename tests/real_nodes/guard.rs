//! The guard: what others open ahead of the whitelist stays closed, and a peer that is removed is cut off.

use std::io::Read as _;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::One;
use crate::PORT;
use crate::name;
use crate::on_two_nodes;

on_two_nodes!(
    what_others_open_stays_closed,
    a_removed_peer_is_cut_off,
    each_drift_of_the_guard_is_named_and_repaired
);

/// Answers with a line on each connection, and says so.
const SERVE: &str = r#"
import socket, sys
s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("ready", flush=True)
while True:
    c, _ = s.accept()
    try:
        c.sendall(b"here\n")
    except OSError:
        pass
    c.close()
"#;

/// Counts the datagrams that come to a port until its input is closed.
const COUNT: &str = r#"
import socket, sys, threading
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", int(sys.argv[1])))
s.settimeout(0.2)
print("ready", flush=True)
reader, got = threading.Thread(target=sys.stdin.read, daemon=True), 0
reader.start()
while reader.is_alive():
    try:
        s.recv(64)
        got += 1
    except TimeoutError:
        pass
print(got)
"#;

/// Sends datagrams from one port to an address and port, fifty a second.
pub(crate) const SEND: &str = r#"
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7001))
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    try:
        s.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
    except OSError:
        pass
    time.sleep(0.02)
"#;

/// Sends datagrams under an address that is not the container's.
const FORGE: &str = r#"
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
source, to, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
for number in range(50):
    data = struct.pack("!HHHH", 30000 + number, port, 9, 0) + b"x"
    head = struct.pack("!BBHHHBBH4s4s", 69, 0, 20 + len(data), 0, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(to))
    try:
        s.sendto(head + data, (to, 0))
    except OSError:
        pass
    time.sleep(0.01)
"#;

/// A Python program on the node, in the network of a container.
pub(crate) fn in_container(one: &One, container: &str, words: &[&str]) -> std::process::Command {
    let inspect = format!("docker inspect -f '{{{{.State.Pid}}}}' {container}");
    let pid = one.lab.sh("n1", &inspect);
    let mut command = one
        .lab
        .node_command("n1", &["nsenter", "-t", pid.trim(), "-n", "python3", "-c"]);
    command.args(words);
    command
}

/// Starts a program that says when it is ready.
pub(crate) fn started(mut command: std::process::Command) -> Child {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut ready = [0; 6];
    let stdout = child.stdout.as_mut().expect("a pipe");
    stdout
        .read_exact(&mut ready)
        .expect("it says that it is ready");
    child
}

/// How many datagrams come to a peer while something happens, and so many seconds longer.
pub(crate) fn datagrams(
    one: &One,
    peer: &str,
    port: &str,
    seconds: u64,
    meanwhile: impl FnOnce(),
) -> u64 {
    let mut command = one.lab.peer_command(peer, "python3");
    command.args(["-c", COUNT, port]).stdin(Stdio::piped());
    let mut counting = started(command);
    meanwhile();
    std::thread::sleep(Duration::from_secs(seconds));
    drop(counting.stdin.take());
    let output = counting.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().parse().expect("a number")
}

/// Of the datagrams that `SEND` has sent since then no more than a few are lost. A busy machine sends fewer than fifty a second.
pub(crate) fn assert_few_are_lost(came: u64, since: Instant) {
    let sent = since.elapsed().as_secs() * 50;
    assert!(came * 5 > sent * 3, "{came} of {sent} have come");
}

fn what_others_open_stays_closed(suite: &str, backend: &str) {
    others_open_nothing(&One::up(&name("gd", suite, backend), suite, backend));
}

/// Deploys, and tries all ways past the whitelist that others could make.
pub(crate) fn others_open_nothing(one: &One) {
    let lab = &one.lab;
    let (node, stranger) = (lab.address("n1"), lab.peer("peer2"));
    // What an open node would let through: without that, a packet that does not come says nothing.
    let ssh = |from: &str| lab.reaches(from, &node, 22);
    assert!(ssh("n1/cybex"), "a container reaches the node's sshd");
    lab.sh(
        "n1",
        "docker run -d --name web -p 8080:5000 fwdeploy-lab:latest >/dev/null",
    );
    assert!(
        lab.reaches("n1/cybex", &node, 8080),
        "and a published port of another container"
    );
    one.run_changes();
    one.assert_enforced("with the guard");

    assert!(
        !ssh("n1/cybex"),
        "the node's sshd is closed to the container"
    );
    assert!(
        !lab.reaches("n1/cybex", &node, 8080),
        "so is what others publish on the node"
    );
    assert!(ssh("controller"), "and open to the operator");

    // Ahead of everything that firewalld and Docker have.
    let opened = "for c in FORWARD DOCKER-USER INPUT; do iptables -I $c -j ACCEPT; ip6tables -I $c -j ACCEPT || :; done";
    lab.sh("n1", opened);
    assert!(
        !lab.reaches("n1/cybex", &stranger, PORT),
        "an ACCEPT ahead of all opens no way out"
    );
    let route = lab
        .peer_command("peer2", "ip")
        .args(["route", "add", "172.20.0.0/16", "via", &node])
        .status();
    assert!(route.expect("ip runs").success());
    assert!(
        !lab.reaches("peer2", "172.20.0.2", PORT),
        "nor direct routing a way in"
    );
    lab.sh(
        "n1",
        "iptables -t nat -I PREROUTING -p tcp --dport 6000 -j DNAT --to-destination 172.20.0.2:5000",
    );
    assert!(
        !lab.reaches("peer2", &node, 6000),
        "nor another tool's DNAT"
    );
    assert!(
        lab.reaches("peer1", &node, 6000),
        "which the peer could use"
    );

    let forged = datagrams(one, "peer2", "7777", 3, || {
        let mut forge = in_container(one, "cybex", &[FORGE, "203.0.113.9", &stranger, "7777"]);
        assert!(forge.status().expect("it runs").success());
        // Masquerading hides an address of the network itself.
        let mut own = in_container(one, "cybex", &[FORGE, "172.20.0.77", &stranger, "7777"]);
        assert!(own.status().expect("it runs").success());
    });
    assert_eq!(forged, 0, "nor a forged address");

    lab.sh(
        "n1",
        "iptables -t raw -I PREROUTING -s 172.20.0.0/16 -j CT --notrack",
    );
    assert!(
        !lab.reaches("n1/cybex", &stranger, PORT),
        "nor an untracked flow"
    );
    lab.sh(
        "n1",
        "iptables -t raw -D PREROUTING -s 172.20.0.0/16 -j CT --notrack",
    );

    lab.sh(
        "n1",
        "docker run -d --name second --network cybex fwdeploy-lab:latest >/dev/null",
    );
    assert!(
        !lab.reaches("n1/second", &stranger, PORT),
        "nor a second container on the network"
    );
    assert!(
        !lab.reaches("n1/second", &lab.peer("peer1"), PORT),
        "which is not the peer's peer"
    );

    // IPv6 on a network without an IPv6 subnet.
    lab.sh(
        "n1",
        "sysctl -qw net.ipv6.conf.all.forwarding=1; br=$(ip -o -4 addr show to 172.20.0.1 | awk '{print $2}'); \
         sysctl -qw net.ipv6.conf.$br.disable_ipv6=0; ip -6 addr add fd00:99::1/64 dev $br nodad; \
         dev=$(ip -o -4 route show default | awk '{print $5}'); sysctl -qw net.ipv6.conf.$dev.disable_ipv6=0; ip -6 addr add fd00:77::1/64 dev $dev nodad",
    );
    let inside = lab.sh("n1", "docker inspect -f '{{.State.Pid}}' cybex");
    lab.sh(
        "n1",
        &format!(
            "e='nsenter -t {} -n'; dev=$($e ip -o -4 addr show scope global | awk '{{print $2; exit}}'); \
             $e sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.$dev.disable_ipv6=0; \
             $e ip -6 addr add fd00:99::2/64 dev $dev nodad; $e ip -6 route replace default via fd00:99::1",
            inside.trim()
        ),
    );
    let peer_setup = "dev=$(ip -o -4 addr show scope global | awk '{print $2; exit}'); sysctl -qw net.ipv6.conf.$dev.disable_ipv6=0; \
        ip -6 addr add fd00:77::2/64 dev $dev nodad; ip -6 route add fd00:99::/64 via fd00:77::1";
    let status = lab
        .peer_command("peer2", "sh")
        .args(["-c", peer_setup])
        .status();
    assert!(status.expect("sh runs").success());
    let mut serve = lab.peer_command("peer2", "python3");
    serve.args(["-c", SERVE, "fd00:77::2", "9000"]);
    let mut server = started(serve);
    assert!(
        lab.reaches("n1", "fd00:77::2", 9000),
        "the node reaches it over IPv6"
    );
    assert!(
        !lab.reaches("n1/cybex", "fd00:77::2", 9000),
        "and the container does not"
    );
    server.kill().expect("it ends");
    server.wait().expect("it ends");
}

fn a_removed_peer_is_cut_off(suite: &str, backend: &str) {
    let one = One::up(&name("gr", suite, backend), suite, backend);
    let peer2 = one.lab.peer("peer2");
    one.inventory(
        &format!("[{}]", one.lab.peer("peer1")),
        &format!("        cybex_trusted: [{peer2}]\n"),
    );
    one.run_changes();
    let mut sending = in_container(&one, "cybex", &[SEND, &peer2, "7000", "120"])
        .spawn()
        .expect("it starts");
    let before = datagrams(&one, "peer2", "7000", 2, || ());
    assert!(before > 10, "the flow is open: {before}");
    // A change of other peers leaves it alone.
    one.inventory(
        &format!("[{}, 203.0.113.9]", one.lab.peer("peer1")),
        &format!("        cybex_trusted: [{peer2}]\n"),
    );
    let began = Instant::now();
    let during = datagrams(&one, "peer2", "7000", 2, || one.run_changes());
    assert_few_are_lost(during, began);
    one.whitelist(&["peer1"]);
    one.run_changes();
    let after = datagrams(&one, "peer2", "7000", 3, || ());
    assert_eq!(after, 0, "nothing comes of the open flow after `changed`");
    sending.kill().expect("it ends");
    sending.wait().expect("it ends");
    one.assert_enforced("after the peer was removed");
}

fn each_drift_of_the_guard_is_named_and_repaired(suite: &str, backend: &str) {
    let one = One::up(&name("gx", suite, backend), suite, backend);
    one.run_changes();
    assert!(one.holds());
    for (what, script) in [
        ("the table is gone", "nft delete table inet fwdeploy"),
        (
            "everything was flushed",
            "nft delete chain inet fwdeploy forward 2>/dev/null || nft flush table inet fwdeploy",
        ),
        (
            "an element too many",
            "nft add element inet fwdeploy outbound_any4 '{ 172.20.0.2 . 192.0.2.9 }'",
        ),
        ("an element too few", "nft flush set inet fwdeploy inbound4"),
        (
            "a rule ahead",
            "nft insert rule inet fwdeploy forward ct state established accept",
        ),
        (
            "the file was edited",
            "echo '# x' >>/etc/fwdeploy/guard.nft",
        ),
        ("the file is gone", "rm /etc/fwdeploy/guard.nft"),
        (
            "the table has no effect",
            "nft add table inet fwdeploy '{ flags dormant; }'",
        ),
        (
            "a chain of another priority",
            "nft add chain inet fwdeploy late '{ type filter hook forward priority 50; policy drop; }'",
        ),
        (
            "a range in a set",
            "nft add element inet fwdeploy outbound_any4 '{ 172.20.0.2 . 192.0.2.9-192.0.2.11 }'",
        ),
        ("the unit is stopped", "systemctl stop fwdeploy-guard"),
        ("the unit is disabled", "systemctl disable fwdeploy-guard"),
        (
            "the unit is masked",
            "systemctl mask fwdeploy-guard --force 2>/dev/null || { rm /etc/systemd/system/fwdeploy-guard.service; systemctl mask fwdeploy-guard; }",
        ),
        (
            "nftables.service would flush the guard",
            "rm -r /etc/systemd/system/nftables.service.d",
        ),
        (
            "nftables.service would load something else",
            "echo '# x' >>/etc/systemd/system/nftables.service.d/fwdeploy.conf",
        ),
        (
            // Then it flushes nothing, and needs no drop-in.
            "nftables.service is masked",
            "systemctl mask nftables",
        ),
    ] {
        one.lab.sh("n1", script);
        let said = one.lab.fwdeploy("run", &["--check"]);
        assert_eq!(said.code, 2, "{what}: {}{}", said.out, said.err);
        assert!(said.out.contains(" guard "), "{what}: {}", said.out);
        one.run_changes();
        assert!(one.holds(), "{what}");
        one.assert_enforced(what);
    }
    one.lab.sh("n1", "systemctl unmask nftables");
    one.run_changes();
    // Its commands flush all tables, firewalld's and Docker's too, and starting it stops firewalld. The guard stays.
    for how in ["start", "reload", "restart", "stop"] {
        one.lab.sh("n1", &format!("systemctl {how} nftables"));
        let tables = one.lab.sh("n1", "nft list tables");
        assert!(tables.contains("table inet fwdeploy"), "{how}: {tables}");
    }
    // Commands of somebody's own are left alone.
    let own = "/etc/systemd/system/nftables.service.d/own.conf";
    one.lab.sh(
        "n1",
        "systemctl restart firewalld; systemctl restart docker",
    );
    one.lab.sh(
        "n1",
        &format!(
            "printf '[Service]\\nExecStop=\\nExecStop=/bin/true\\n' >{own}; systemctl daemon-reload"
        ),
    );
    one.run_changes();
    let said = one.lab.fwdeploy("run", &["--check"]);
    assert!(said.out.contains("[guard-flushed]"), "{}", said.out);
    assert!(
        !one.lab
            .sh("n1", "ls /etc/systemd/system/nftables.service.d")
            .contains("fwdeploy")
    );
    one.lab
        .sh("n1", &format!("rm {own}; systemctl daemon-reload"));
    one.run_changes();
    // And it is there after a boot, before anything else.
    one.lab.lab("reboot", &["n1"]);
    one.assert_enforced("after a boot");
    assert!(
        one.lab
            .sh("n1", "nft list tables")
            .contains("table inet fwdeploy")
    );
}
