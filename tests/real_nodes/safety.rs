//! Going back: to a snapshot, by the node itself, and because another node failed.

use serde_json::Value;

use crate::One;
use crate::harness::lab::Lab;
use crate::harness::shell::print_firewalld;
use crate::harness::shell::print_guard;
use crate::name;
use crate::on_two_nodes;

/// What fwdeploy has on a node, what it depends on, and what a run needs only while it lasts.
const STATE: &str = concat!(
    print_guard!(),
    "iptables-save | grep -v '^[#:]'; ip6tables-save | grep -v '^[#:]'; nft list tables | sort;\n",
    print_firewalld!("public" "docker"),
    "docker network ls --format '{{.Name}}' | sort; \
    docker inspect -f '{{.Name}}{{range $name, $place := .NetworkSettings.Networks}} {{$name}} {{$place.IPAddress}}{{end}}' $(docker ps -aq); \
    ls -A /etc/firewalld; ls /var/lib/fwdeploy 2>/dev/null | grep -xv -e snapshots -e last; ls /etc/systemd/system | grep fwdeploy; \
    systemctl list-timers --all --no-legend | grep -o 'fwdeploy-restore-.*timer'"
);

on_two_nodes!(
    a_snapshot_comes_back_and_what_others_made_since_stays,
    a_rollback_that_fails_leaves_the_node_as_it_was,
    a_drill_is_won_and_leaves_nothing,
    when_one_node_fails_the_others_can_be_taken_back,
);

fn state(lab: &Lab, node: &str) -> String {
    lab.sh(node, &format!("{{ {STATE}; }} 2>&1; true"))
}

/// Runs fwdeploy and expects this exit code and these words.
fn said(lab: &Lab, command: &str, args: &[&str], code: i32, words: &[&str]) -> String {
    let said = lab.fwdeploy(command, args);
    let all = format!("{}{}", said.out, said.err);
    assert_eq!(said.code, code, "{command} {args:?}: {all}");
    for word in words {
        assert!(said.out.contains(word), "`{word}` is not in {all}");
    }
    said.out
}

/// The snapshots of the node, each with what it was for and how it ended.
fn snapshots(lab: &Lab) -> Vec<(String, String)> {
    let said = lab.fwdeploy("status", &["--json"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let document: Value = serde_json::from_str(&said.out).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_string();
    let all = document["nodes"][0]["snapshots"].as_array();
    let all = all.expect("snapshots").iter();
    all.map(|s| (text(&s["what"]), text(&s["outcome"])))
        .collect()
}

pub(crate) fn a_snapshot_comes_back_and_what_others_made_since_stays(suite: &str, backend: &str) {
    let one = One::up(&name("back", suite, backend), suite, backend);
    let lab = &one.lab;
    // The older method of firewalld 0.9.3, which el7ish is left with, tells the permanent list where the one at runtime is empty. Those of
    // firewalld 0.6 to 0.8 do not.
    let permanent = match suite {
        "el7ish" => "--add-service=syslog",
        _ => "--add-source-port=53/udp",
    };
    // What was set at runtime only, including lists that were empty.
    lab.sh(
        "n1",
        &format!(
            "firewall-cmd -q --zone=public --add-port=1234/tcp --add-forward-port=port=81:proto=tcp:toport=8080; \
             firewall-cmd -q --zone=public --remove-service=dhcpv6-client; firewall-cmd -q --permanent --zone=public {permanent}"
        ),
    );
    let open = state(lab, "n1");
    said(lab, "status", &[], 0, &["n1: never changed by fwdeploy"]);
    said(
        lab,
        "rollback",
        &[],
        2,
        &["[no-snapshot]", "the node has none"],
    );

    one.run_changes();
    let closed = state(lab, "n1");
    said(lab, "status", &[], 0, &["with what the roles require now"]);
    one.whitelist(&["peer1", "peer2"]);
    said(
        lab,
        "status",
        &[],
        0,
        &["but the roles require something else now"],
    );
    one.run_changes();
    let wide = state(lab, "n1");
    assert_ne!(closed, wide);

    said(
        lab,
        "rollback",
        &["--to", "9"],
        2,
        &["there is no snapshot 9: the node has 1, 2"],
    );
    said(
        lab,
        "rollback",
        &["--check"],
        0,
        &["snapshot 2: the state before `run`"],
    );
    assert_eq!(state(lab, "n1"), wide, "neither touched the node");

    // Another user creates a network, and runs a container there.
    lab.sh(
        "n1",
        "docker network create --opt com.docker.network.bridge.name=br-other other; \
         docker run -d --name other --network other fwdeploy-lab:latest sleep 1000",
    );
    said(
        lab,
        "rollback",
        &[],
        0,
        &["snapshot 2: the state before `run`"],
    );
    one.whitelist(&["peer1"]);
    assert!(one.holds(), "the first whitelist is back");
    one.assert_enforced("after a rollback");
    let others = "iptables-save | grep br-other; firewall-cmd --zone=docker --list-interfaces | grep -o br-other; docker exec other ping -c1 -W2 10.0.0.1 >/dev/null; true";
    let before = lab.sh("n1", others);
    assert!(before.contains("br-other"), "{before}");

    said(
        lab,
        "rollback",
        &["--to", "1"],
        0,
        &["snapshot 1: the state before `run`"],
    );
    assert_eq!(lab.sh("n1", others), before, "what others made stays");
    lab.sh("n1", "docker rm -f other; docker network rm other");
    assert_eq!(state(lab, "n1"), open);

    // The rollback is rolled back.
    said(
        lab,
        "rollback",
        &[],
        0,
        &["snapshot 4: the state before `rollback to 1`"],
    );
    assert!(one.holds());
    one.assert_enforced("after the rollback of a rollback");
    let ended = |what: &str| (what.to_string(), "confirmed".to_string());
    assert_eq!(
        snapshots(lab),
        [
            "run",
            "run",
            "rollback to 2",
            "rollback to 1",
            "rollback to 4"
        ]
        .map(ended)
    );
}

fn a_rollback_that_fails_leaves_the_node_as_it_was(suite: &str, backend: &str) {
    let one = One::up(&name("fail", suite, backend), suite, backend);
    let lab = &one.lab;
    one.run_changes();
    // Docker does not remove a network that is in use.
    lab.sh(
        "n1",
        "docker run -d --name guest --network cybex fwdeploy-lab:latest sleep 1000",
    );
    let before = state(lab, "n1");
    let words = [
        "[step-failed]",
        "did not remove the network",
        "as it was before",
    ];
    said(lab, "rollback", &[], 2, &words);
    assert_eq!(state(lab, "n1"), before);
    one.assert_enforced("after a rollback that failed");

    // An incomplete snapshot is not restored at all.
    lab.sh("n1", "rm /var/lib/fwdeploy/snapshots/1/restore.sh");
    let words = ["[no-snapshot]", "has lost its restore.sh"];
    said(lab, "rollback", &["--to", "1"], 2, &words);
    assert_eq!(state(lab, "n1"), before);
    let ended = |what: &str, how: &str| (what.to_string(), how.to_string());
    assert_eq!(
        snapshots(lab),
        [
            ended("run", "confirmed"),
            ended("rollback to 1", "restored")
        ]
    );
}

fn a_drill_is_won_and_leaves_nothing(suite: &str, backend: &str) {
    let one = One::up(&name("drill", suite, backend), suite, backend);
    let lab = &one.lab;
    let open = state(lab, "n1");
    let words = [
        "drill passed: the node rolled itself back (in place)",
        "[came-back]",
    ];
    said(lab, "drill", &["--confirm-timeout", "6"], 0, &words);
    assert_eq!(state(lab, "n1"), open);
    one.run_changes();
    let closed = state(lab, "n1");
    said(lab, "drill", &[], 0, &words);
    assert_eq!(state(lab, "n1"), closed);
    one.assert_enforced("after a drill");
    said(
        lab,
        "status",
        &[],
        0,
        &[
            "drill",
            "(timer, in place)",
            "with what the roles require now",
        ],
    );

    // A node whose timer does not fire is detected, and rolled back.
    lab.sh(
        "n1",
        "mkdir -p /run/systemd/system/fwdeploy-restore-4.timer.d; \
         printf '[Unit]\\nConditionPathExists=/nowhere\\n' > /run/systemd/system/fwdeploy-restore-4.timer.d/never.conf; systemctl daemon-reload",
    );
    let words = ["[did-not-come-back]", "as it was before"];
    said(lab, "drill", &["--confirm-timeout", "5"], 2, &words);
    assert_eq!(state(lab, "n1"), closed);
}

fn when_one_node_fails_the_others_can_be_taken_back(suite: &str, backend: &str) {
    let of = |node: &str| format!("{node}={suite}:{backend}");
    let lab = Lab::up(&name("all", suite, backend), &[&of("n1"), &of("n2")], 1);
    for node in ["n1", "n2"] {
        lab.lab("container", &[node, "cybex", "--restart", "always"]);
    }
    let hosts: Vec<String> = ["n1", "n2"]
        .iter()
        .map(|n| format!("        {n}: {{ ansible_host: {} }}\n", lab.address(n)))
        .collect();
    lab.inventory(&format!(
        "all:\n  vars:\n    ansible_user: root\n    ansible_ssh_private_key_file: {{key}}\n  children:\n    chain:\n      vars:\n        fwdeploy_roles: [cybex]\n        cybex_peers: [{}]\n      hosts:\n{}",
        lab.peer("peer1"),
        hosts.concat()
    ));
    let open = state(&lab, "n1");
    lab.sh("n2", "systemctl stop firewalld");
    let out = said(
        &lab,
        "run",
        &["--rollback-all"],
        2,
        &[
            "n1: rolled back",
            "[rolled-back]",
            "as it was before",
            "1 rolled back",
        ],
    );
    assert!(out.contains("n2: refused"), "{out}");
    assert_eq!(state(&lab, "n1"), open);

    // Without the flag the node stays.
    said(&lab, "run", &[], 2, &["1 changed"]);
    assert_ne!(state(&lab, "n1"), open);
}
