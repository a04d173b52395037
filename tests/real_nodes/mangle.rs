//! The guard on a node without nft: in iptables' table mangle, by direct rules of firewalld.

use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use crate::One;
use crate::guard::SEND;
use crate::guard::assert_few_are_lost;
use crate::guard::datagrams;
use crate::guard::in_container;
use crate::guard::others_open_nothing;
use crate::guard::started;
use crate::harness::said::wait_until;
use crate::name;
use crate::on_two_nodes;

on_two_nodes!(
    what_others_open_stays_closed,
    a_removed_peer_is_cut_off,
    no_reload_lets_in_a_new_flow,
    each_drift_of_it_is_named_and_repaired,
    nft_takes_over_and_a_rollback_gives_back,
);

/// The container's end of a flow over TCP: it connects, or waits for the other end, and sends fifty bytes a second.
const STREAM: &str = r#"
import socket, sys, time
how, address, port = sys.argv[1:]
if how == "listen":
    server = socket.create_server(("0.0.0.0", int(port)))
    print("ready", flush=True)
    flow, _ = server.accept()
else:
    flow = socket.create_connection((address, int(port)), 10)
    print("ready", flush=True)
while True:
    flow.sendall(b"x")
    time.sleep(0.02)
"#;

/// The peer's end: it counts the bytes that come, into a file.
const RECEIVE: &str = r#"
import os, socket, sys
how, address, port, path = sys.argv[1:]
if how == "listen":
    server = socket.create_server((address, int(port)))
    print("ready", flush=True)
    flow, _ = server.accept()
else:
    flow = socket.create_connection((address, int(port)), 10)
    print("ready", flush=True)
got = 0
while data := flow.recv(4096):
    got += len(data)
    with open(path + ".part", "w") as file:
        file.write(str(got))
    os.replace(path + ".part", path)
"#;

/// Opens a new flow every half millisecond, until its input is closed; prints how many.
const BLAST: &str = r#"
import socket, sys, threading, time
reader, offered = threading.Thread(target=sys.stdin.read, daemon=True), 0
reader.start()
print("ready", flush=True)
while reader.is_alive():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as new:
        try:
            new.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
        except OSError:
            pass
    offered += 1
    time.sleep(0.0005)
print(offered)
"#;

/// A lab whose node has no nft. firewalld does not need the program: it loads the library.
fn up(test: &str, suite: &str, backend: &str) -> One {
    let one = One::up(&name(test, suite, backend), suite, backend);
    remove_nft(&one);
    let state = one
        .lab
        .sh("n1", "firewall-cmd --reload && firewall-cmd --state");
    assert!(state.contains("running"), "{state}");
    one
}

fn remove_nft(one: &One) {
    let script = "mv \"$(command -v nft)\" /root/nft && ! command -v nft";
    one.lab.sh("n1", script);
}

fn install_nft(one: &One) {
    one.lab
        .sh("n1", "mv /root/nft /usr/sbin/nft && nft --version");
}

/// What the kernel holds of the guard in both families' table mangle.
fn lines_in_mangle(one: &One) -> usize {
    let script = "{ iptables-save -t mangle; ip6tables-save -t mangle; } | grep -c fwdeploy_ || :";
    let count = one.lab.sh("n1", script);
    count.trim().parse().expect("a count")
}

/// Whether the kernel holds a table of nft. Also without the program, and not by what fwdeploy says.
fn has_table(one: &One) -> bool {
    let nft = "$(command -v nft || echo /root/nft)";
    let tables = one.lab.sh("n1", &format!("{nft} list tables"));
    tables.contains("table inet fwdeploy\n")
}

fn what_others_open_stays_closed(suite: &str, backend: &str) {
    let one = up("md", suite, backend);
    others_open_nothing(&one);
    assert!(!has_table(&one) && lines_in_mangle(&one) > 0);
}

/// The peer's end of a flow, and where it counts.
fn receiving(one: &One, words: &[&str], file: &str) -> (Child, std::path::PathBuf) {
    let path = one.lab.home().join(file);
    let mut command = one.lab.peer_command("peer2", "python3");
    command.args(["-c", RECEIVE]).args(words).arg(&path);
    (started(command), path)
}

fn a_removed_peer_is_cut_off(suite: &str, backend: &str) {
    let one = up("mr", suite, backend);
    let (node, peer1, peer2) = (
        one.lab.address("n1"),
        one.lab.peer("peer1"),
        one.lab.peer("peer2"),
    );
    let peer2_too = format!(
        "        cybex_trusted: [{peer2}]\n        cybex_rpc_clients: [{peer2}]\n        cybex_rpc_port: 8091\n"
    );
    one.inventory(&format!("[{peer1}]"), &peer2_too);
    one.run_changes();

    // Three flows: over UDP and TCP from the container, and over TCP from the peer.
    let udp = in_container(&one, "cybex", &[SEND, &peer2, "7000", "180"]).spawn();
    let mut ends = vec![udp.expect("it starts")];
    let (out, sent) = receiving(&one, &["listen", &peer2, "7100"], "sent");
    let dialing = in_container(&one, "cybex", &[STREAM, "connect", &peer2, "7100"]);
    ends.extend([out, started(dialing)]);
    let listening = in_container(&one, "cybex", &[STREAM, "listen", "-", "8091"]);
    ends.push(started(listening));
    let (into, asked) = receiving(&one, &["connect", &node, "8091"], "asked");
    ends.push(into);
    let counts = || -> [u64; 2] {
        [&sent, &asked].map(|path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        })
    };
    let grown = |before: [u64; 2], after: [u64; 2]| [after[0] - before[0], after[1] - before[1]];
    let before = datagrams(&one, "peer2", "7000", 2, || ());
    assert!(before > 10, "the flow is open: {before}");
    wait_until("both flows over TCP are open", || {
        counts().iter().all(|count| *count > 10)
    });

    // A change of other peers leaves them alone.
    let start = counts();
    one.inventory(&format!("[{peer1}, 203.0.113.9]"), &peer2_too);
    let began = Instant::now();
    let during = datagrams(&one, "peer2", "7000", 2, || one.run_changes());
    assert_few_are_lost(during, began);
    for came in grown(start, counts()) {
        assert_few_are_lost(came, began);
    }

    one.whitelist(&["peer1"]);
    one.run_changes();
    // The file is written after a byte has come.
    sleep(Duration::from_millis(300));
    let start = counts();
    let after = datagrams(&one, "peer2", "7000", 4, || ());
    assert_eq!(after, 0, "nothing comes of the open flow after `changed`");
    assert_eq!(grown(start, counts()), [0, 0], "nor over TCP");
    for mut end in ends {
        end.kill().expect("it ends");
        end.wait().expect("it ends");
    }
    one.assert_enforced("after the peer was removed");
}

/// How many of the container's new flows come to the stranger while something happens, and how many there were.
fn leaked(one: &One, meanwhile: impl FnOnce()) -> (u64, u64) {
    let stranger = one.lab.peer("peer2");
    let mut offered = 0;
    let got = datagrams(one, "peer2", "7777", 1, || {
        let mut command: Command = in_container(one, "cybex", &[BLAST, &stranger, "7777"]);
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut blasting = started(command);
        sleep(Duration::from_secs(2));
        meanwhile();
        sleep(Duration::from_secs(3));
        drop(blasting.stdin.take());
        let output = blasting.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        offered = text.trim().parse().expect("a number");
    });
    (got, offered)
}

fn no_reload_lets_in_a_new_flow(suite: &str, backend: &str) {
    let one = up("ml", suite, backend);
    let (got, offered) = leaked(&one, || ());
    assert!(got > 1000, "an open node lets them out: {got} of {offered}");
    one.run_changes();
    for script in [
        "firewall-cmd --reload",
        "firewall-cmd --complete-reload",
        "systemctl restart docker",
        "docker network create other >/dev/null && docker network rm other >/dev/null",
    ] {
        // Docker ends the container with itself.
        if script.ends_with("docker") {
            one.lab.sh("n1", script);
            wait_until("the container runs again", || {
                let running = one
                    .lab
                    .try_sh("n1", "docker inspect -f '{{.State.Running}}' cybex");
                running.out.contains("true")
            });
            continue;
        }
        let (got, offered) = leaked(&one, || drop(one.lab.sh("n1", script)));
        assert!(offered > 2000, "{script}: {offered} were offered");
        assert_eq!(got, 0, "{script}: of {offered}");
    }
    // Docker 20.10 to 27 puts its jumps in another order when firewalld has reloaded.
    if !one.holds() {
        let (got, offered) = leaked(&one, || one.run_changes());
        assert_eq!(
            got, 0,
            "while the whitelist is put first again: of {offered}"
        );
    }
    assert!(one.holds());
    one.assert_enforced("after all of this");
}

fn each_drift_of_it_is_named_and_repaired(suite: &str, backend: &str) {
    let one = up("mx", suite, backend);
    one.run_changes();
    assert!(one.holds());
    let node = one.lab.address("n1");
    for (what, script) in [
        ("a line is gone", "iptables -t mangle -D fwdeploy_forward 2"),
        (
            "a line too many",
            "iptables -t mangle -I fwdeploy_outbound -j RETURN",
        ),
        (
            "the jump is gone",
            "for c in FORWARD FORWARD_direct; do \
             iptables -t mangle -D $c -m comment --comment fwdeploy:guard/jump -j fwdeploy_forward 2>/dev/null || :; done",
        ),
        (
            "the way to the node is gone in IPv6",
            "ip6tables -t mangle -F fwdeploy_input",
        ),
        ("everything in mangle was flushed", "iptables -t mangle -F"),
        (
            "its chains were deleted too, those of firewalld among them",
            "iptables -t mangle -F && iptables -t mangle -X",
        ),
        (
            "an ACCEPT is ahead",
            "iptables -t mangle -I FORWARD -j ACCEPT",
        ),
        (
            "its permanent rules are gone",
            "firewall-cmd -q --permanent --direct --remove-rules ipv4 mangle fwdeploy_outbound",
        ),
        (
            "its rules at runtime are gone",
            "firewall-cmd -q --direct --remove-rules ipv4 mangle fwdeploy_inbound",
        ),
    ] {
        one.lab.sh("n1", script);
        let said = one.lab.fwdeploy("run", &["--check", "--diff"]);
        assert_eq!(said.code, 2, "{what}: {}{}", said.out, said.err);
        let is_change = |line: &&str| line.trim_start().starts_with(['+', '-', '~']);
        let mut changes = said.out.lines().filter(is_change);
        let is_named = changes.any(|line| line.contains("mangle"));
        assert!(is_named, "{what}: {}", said.out);
        one.run_changes();
        assert!(one.holds(), "{what}");
        one.assert_enforced(what);
        let ssh = one.lab.reaches("n1/cybex", &node, 22);
        assert!(!ssh, "the node's sshd is closed to the container: {what}");
    }
    one.lab.lab("reboot", &["n1"]);
    one.assert_enforced("after a boot");
    assert!(lines_in_mangle(&one) > 0 && one.holds());
}

fn nft_takes_over_and_a_rollback_gives_back(suite: &str, backend: &str) {
    let one = up("mt", suite, backend);
    one.run_changes();
    let in_mangle = lines_in_mangle(&one);
    assert!(in_mangle > 0 && !has_table(&one));
    let said = one.lab.fwdeploy("run", &[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(
        said.out.contains("guard: mangle") && said.out.contains("changed=0"),
        "{}",
        said.out
    );

    install_nft(&one);
    one.run_changes();
    assert!(has_table(&one) && one.holds());
    assert_eq!(lines_in_mangle(&one), 0, "mangle lets go");
    let left = "cat /etc/firewalld/direct.xml 2>/dev/null | grep -c mangle; firewall-cmd --direct --get-all-rules | grep -c mangle; \
        firewall-cmd --direct --get-all-chains | grep -c mangle; :";
    assert_eq!(one.lab.sh("n1", left), "0\n0\n0\n");
    one.assert_enforced("with nft");

    let rolled_back = |args: &[&str]| {
        let said = one.lab.fwdeploy("rollback", args);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    };
    rolled_back(&[]);
    assert_eq!(lines_in_mangle(&one), in_mangle, "as before nft took over");
    assert!(!has_table(&one));
    one.assert_enforced("after the rollback");
    remove_nft(&one);
    assert!(one.holds());

    // And to the beginning, where there was no guard at all.
    rolled_back(&["--to", "1"]);
    assert_eq!(lines_in_mangle(&one), 0);
    assert_eq!(one.lab.sh("n1", left), "0\n0\n0\n");
    assert!(
        one.lab
            .reaches("n1/cybex", &one.lab.peer("peer2"), crate::PORT)
    );

    // A table that nobody can change any more is told.
    install_nft(&one);
    one.run_changes();
    remove_nft(&one);
    let said = one.lab.fwdeploy("run", &["--check"]);
    assert!(said.out.contains("[guard-left]"), "{}", said.out);
}
