//! fwdeploy on the node itself, by the packaged units: the same whitelist, the same rollback, the same report as over ssh.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::One;
use crate::harness::lab::Lab;
use crate::harness::said::wait_until;
use crate::name;

/// The node's name, and more time to confirm than a busy machine needs.
const PATIENT: &str = "FWDEPLOY_NODE=n1\nFWDEPLOY_ARGUMENTS=--confirm-timeout 600\n";

/// Starts the service, and waits until its run is in its middle: once it is armed, a checksum takes so many seconds. The guard is set by then,
/// and the first file is to be written.
fn start_slowly(lab: &Lab, seconds: &str) {
    lab.sh(
        "n1",
        &format!(
            "printf '%s\\n' '#!/bin/sh' '[ ! -L /var/lib/fwdeploy/armed ] || sleep {seconds}' 'exec /usr/bin/cksum \"$@\"' \
                 >/usr/local/sbin/cksum
             chmod +x /usr/local/sbin/cksum
             systemctl start --no-block fwdeploy-pull.service"
        ),
    );
    wait_until("the run is armed and in its middle", || {
        let napping = format!("pgrep -x -f 'sleep {seconds}'");
        lab.try_sh("n1", &napping).code == 0
    });
    lab.sh("n1", "rm /usr/local/sbin/cksum");
}

/// Writes a file on a node.
fn put(lab: &Lab, content: &[u8], path: &str, mode: &str) {
    use std::io::Write as _;
    let script = format!("mkdir -p \"$(dirname {path})\" && cat >{path} && chmod {mode} {path}");
    let mut child = lab
        .node_command("n1", &["sh", "-c", &script])
        .stdin(Stdio::piped())
        .spawn()
        .expect("nsenter runs");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(content)
        .expect("it is written");
    assert!(child.wait().expect("it ends").success(), "{path}");
}

/// What an operator installs on the node (docs/manual.md, Pull).
fn install(lab: &Lab) {
    let program = fs::read(env!("CARGO_BIN_EXE_fwdeploy")).expect("the program");
    put(lab, &program, "/usr/bin/fwdeploy", "755");
    for (file, path, mode) in [
        ("fwdeploy-pull", "/usr/lib/fwdeploy/fwdeploy-pull", "755"),
        ("fwdeploy-pull.default", "/etc/default/fwdeploy-pull", "644"),
        (
            "fwdeploy-pull.service",
            "/etc/systemd/system/fwdeploy-pull.service",
            "644",
        ),
        (
            "fwdeploy-pull.timer",
            "/etc/systemd/system/fwdeploy-pull.timer",
            "644",
        ),
    ] {
        let content = fs::read(format!("packaging/systemd/{file}")).expect("a file");
        put(lab, &content, path, mode);
    }
    lab.sh(
        "n1",
        "systemctl daemon-reload && systemctl enable --now fwdeploy-pull.timer",
    );
}

/// Puts the inventory of a fleet into the checkout: n1 with this peer, as it is reached by ssh, and another node.
fn check_out(lab: &Lab, peer: &str) {
    let text = format!(
        "all:\n  vars: {{ansible_user: ops, ansible_become: true, ansible_ssh_private_key_file: ~/.ssh/fleet}}\n  children:\n    chain:\n      vars:\n        fwdeploy_roles: [cybex]\n        cybex_peers: [{}]\n      hosts:\n        n1: {{ansible_host: {}}}\n        n2: {{ansible_host: 192.0.2.2}}\n",
        lab.peer(peer),
        lab.address("n1")
    );
    put(
        lab,
        text.as_bytes(),
        "/var/lib/fwdeploy-pull/checkout/inventory.yml",
        "600",
    );
}

fn set(lab: &Lab, settings: &str) {
    put(
        lab,
        settings.as_bytes(),
        "/etc/default/fwdeploy-pull",
        "644",
    );
}

/// Starts the service and waits for its end. Returns whether it succeeded, and its report.
fn pull(lab: &Lab) -> (bool, Value) {
    let said = lab.try_sh("n1", "systemctl start fwdeploy-pull.service");
    let report = lab.sh("n1", "cat /var/lib/fwdeploy-pull/report.json");
    let report = serde_json::from_str(&report).expect("one JSON document");
    if said.code != 0 {
        eprintln!(
            "{}",
            lab.try_sh("n1", "journalctl -u fwdeploy-pull --no-pager | tail -n 30")
                .out
        );
    }
    (said.code == 0, report)
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_node_applies_its_own_whitelist() {
    let one = One::up(
        &name("pull", "bookworm", "nftables"),
        "bookworm",
        "nftables",
    );
    let lab = &one.lab;
    install(lab);
    set(lab, PATIENT);
    check_out(lab, "peer1");
    assert!(
        lab.reaches("n1/cybex", &lab.peer("peer2"), crate::PORT),
        "before the first run the container reaches anybody, or the test proves nothing"
    );

    let (succeeded, report) = pull(lab);
    assert!(succeeded, "{report:#}");
    assert_eq!(report["nodes"][0]["status"], "changed", "{report:#}");
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(1));
    one.assert_enforced("after the node pulled");
    // Over ssh the node is as wanted: it is the same state, and the same records.
    assert!(one.holds(), "after the node pulled");
    let status = lab.fwdeploy("status", &[]).out;
    assert!(status.contains("confirmed"), "{status}");
    let files = "stat -c '%a %U' /var/lib/fwdeploy-pull /var/lib/fwdeploy-pull/report.json";
    assert_eq!(lab.sh("n1", files), "700 root\n600 root\n");

    let (succeeded, report) = pull(lab);
    assert!(succeeded, "{report:#}");
    assert_eq!(report["nodes"][0]["status"], "ok", "{report:#}");
    one.assert_enforced("after a second pull");

    // A run that is killed in the middle: nobody confirms it, and the node rolls itself back by its own timer, which is no part of the unit.
    check_out(lab, "peer2");
    set(
        lab,
        "FWDEPLOY_NODE=n1\nFWDEPLOY_ARGUMENTS=--confirm-timeout 10\n",
    );
    start_slowly(lab, "40.5");
    lab.sh("n1", "systemctl kill -s KILL fwdeploy-pull.service");
    wait_until("the node has rolled back", || {
        lab.fwdeploy("status", &[]).out.contains("rolled back")
    });
    one.assert_enforced("after a run that was killed");
    assert!(one.holds(), "after a run that was killed");
    assert_eq!(
        lab.try_sh("n1", "systemctl is-failed fwdeploy-pull.service")
            .out,
        "failed\n"
    );

    // One that is stopped finishes what it has begun.
    set(lab, PATIENT);
    start_slowly(lab, "3.5");
    lab.sh("n1", "systemctl stop fwdeploy-pull.service");
    let report = lab.sh("n1", "cat /var/lib/fwdeploy-pull/report.json");
    let report: Value = serde_json::from_str(&report).expect("one JSON document");
    assert_eq!(report["nodes"][0]["status"], "changed", "{report:#}");
    one.whitelist(&["peer2"]);
    assert!(one.holds(), "after a run that was stopped");
    let node = lab.address("n1");
    wait_until("the new peer comes in", || {
        lab.reaches("peer2", &node, crate::PORT)
    });
    assert!(
        !lab.reaches("peer1", &node, crate::PORT),
        "the old peer came in"
    );

    // A name that is not in the inventory, and a group of that name, change nothing and are no success.
    let before = lab.sh("n1", "cat /var/lib/fwdeploy/last");
    for name in ["n9", "chain"] {
        set(lab, &format!("FWDEPLOY_NODE={name}\n"));
        let (succeeded, report) = pull(lab);
        assert!(!succeeded, "{name}: {report:#}");
        assert_eq!(report["summary"]["exit_code"], 1, "{name}: {report:#}");
    }
    assert_eq!(lab.sh("n1", "cat /var/lib/fwdeploy/last"), before);
    let timer = lab.sh(
        "n1",
        "systemctl list-timers --no-legend fwdeploy-pull.timer",
    );
    assert!(timer.contains("fwdeploy-pull.service"), "{timer}");
}
