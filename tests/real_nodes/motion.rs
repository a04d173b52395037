//! A node in motion: the result of a check during a reload is the same as after it.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::One;
use crate::name;
use crate::on_two_nodes;

/// Networks of others: Docker puts back the rules of each, which takes its time.
const NETWORKS: usize = 6;

/// The result of a check: the node's status, differences and findings.
fn said(one: &One) -> (String, Value, Value) {
    let said = one.lab.fwdeploy("run", &["--check", "--json"]);
    let document: Value = serde_json::from_str(&said.out)
        .unwrap_or_else(|_| panic!("no document: {}{}", said.out, said.err));
    let node = &document["nodes"][0];
    (
        node["status"].as_str().unwrap_or_default().to_string(),
        node["changes"].clone(),
        node["findings"].clone(),
    )
}

fn prepared(lab: &str, suite: &str, backend: &str) -> One {
    let one = One::up(lab, suite, backend);
    one.inventory(
        &format!("[{}]", one.lab.peer("peer1")),
        "        cybex_subnet: 10.99.0.0/24\n        cybex_address: 10.99.0.2\n",
    );
    for number in 1..=NETWORKS {
        one.lab
            .sh("n1", &format!("docker network create other{number}"));
    }
    one.run_changes();
    one
}

/// Verified with a single reading: 6 of 8 checks on forky reported what was over a second later.
fn a_check_in_the_middle_of_a_reload_says_what_stays(suite: &str, backend: &str) {
    let one = prepared(&name("mvsay", suite, backend), suite, backend);
    for (round, change) in [
        "firewall-cmd -q --reload",
        "firewall-cmd -q --reload",
        "firewall-cmd -q --reload",
        "firewall-cmd -q --reload",
        "firewall-cmd -q --complete-reload",
        "systemctl restart firewalld",
    ]
    .into_iter()
    .enumerate()
    {
        one.lab.sh("n1", &format!("({change}) >/dev/null 2>&1 &"));
        thread::sleep(Duration::from_millis(200 * round as u64));
        let during = said(&one);
        thread::sleep(Duration::from_secs(4));
        assert_eq!(during, said(&one), "{change}, round {round}");
        // Docker before 28 puts the jump behind its own rules at each reload.
        one.lab.fwdeploy("run", &[]);
    }
}

/// One connection, however often it looks.
fn a_node_in_motion_is_looked_at_over_one_connection(suite: &str, backend: &str) {
    let one = prepared(&name("mvone", suite, backend), suite, backend);
    let before = one.lab.connections("n1");
    one.lab.sh("n1", "firewall-cmd -q --reload &");
    let during = said(&one);
    assert_eq!(one.lab.connections("n1"), before + 1, "{during:?}");
}

on_two_nodes!(
    a_check_in_the_middle_of_a_reload_says_what_stays,
    a_node_in_motion_is_looked_at_over_one_connection
);
