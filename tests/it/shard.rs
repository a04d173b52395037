//! `--shard`: machines that know nothing of each other share a fleet.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::support::program::Place;
use crate::support::program::fleet;
use crate::support::program::listener;
use crate::support::program::nobody_came;
use crate::support::program::ran;

/// Twelve nodes, on a port of this machine.
fn twelve(port: u16) -> Place {
    Place::with(&fleet("    \"n[1:12]\":\n", port))
}

/// The nodes that a command line selects.
fn listed(place: &Place, arguments: &[&str]) -> Vec<String> {
    let all = [&["run", "inventory.yml", "--list-hosts"], arguments].concat();
    let ran = place.run(&all);
    assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
    let mut lines = ran.stdout.lines();
    let headline = lines.next().expect("a headline");
    let nodes: Vec<String> = lines.map(|line| line.trim().to_string()).collect();
    assert_eq!(headline.trim(), format!("hosts ({}):", nodes.len()));
    nodes
}

/// To see it fail: take the position of a node instead of its name.
#[test]
fn every_node_is_in_one_shard_in_the_order_of_the_inventory() {
    let place = twelve(listener().1);
    let all = listed(&place, &[]);
    for count in [1, 2, 5, 40] {
        let mut found: Vec<String> = Vec::new();
        for number in 1..=count {
            let own = listed(&place, &["--shard", &format!("{number}/{count}")]);
            let from_0 = listed(&place, &["--shard", &format!("{}+1/{count}", number - 1)]);
            assert_eq!(own, from_0);
            let in_order: Vec<&String> = all.iter().filter(|node| own.contains(node)).collect();
            assert_eq!(own.iter().collect::<Vec<_>>(), in_order);
            found.extend(own);
        }
        found.sort();
        let mut sorted = all.clone();
        sorted.sort();
        assert_eq!(found, sorted, "of {count}");
    }
}

/// The manual gives this line, for other programs.
#[test]
fn other_programs_can_tell_the_shard_of_a_node() {
    let manual = std::fs::read_to_string("docs/manual.md").expect("the manual");
    let line = "echo $((0x$(printf %s \"$NODE\" | sha256sum | cut -c1-8) % N + 1))";
    assert!(manual.contains(line), "the manual has another line");
    let place = twelve(listener().1);
    for node in listed(&place, &[]) {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &line.replace("% N", "% 5")])
            .env("NODE", &node);
        let number = ran(&mut shell).stdout;
        let shard = format!("{}/5", number.trim());
        assert!(
            listed(&place, &["--shard", &shard]).contains(&node),
            "{node}: {shard}"
        );
    }
}

/// A node's shard depends neither on the other nodes nor on what else is selected.
#[test]
fn a_node_stays_in_its_shard_whatever_else_is_selected() {
    let place = twelve(listener().1);
    let mut shards: BTreeMap<String, usize> = BTreeMap::new();
    for number in 1..=3 {
        for node in listed(&place, &["--shard", &format!("{number}/3")]) {
            shards.insert(node, number);
        }
    }
    for (node, number) in &shards {
        for other in 1..=3 {
            let shard = format!("{other}/3");
            let own = listed(&place, &["--shard", &shard, "--limit", node]);
            assert_eq!(own == [node.clone()], other == *number, "{node} in {shard}");
        }
    }
    place.file("retry", "n1\nn2\nn3\n");
    let of_file: usize = (1..=3)
        .map(|n| listed(&place, &["-l", "@retry", "--shard", &format!("{n}/3")]).len())
        .sum();
    assert_eq!(of_file, 3);
}

/// A shard of 40 with no node, and one with a node.
fn shards_of_40(place: &Place) -> (String, String) {
    let shards: Vec<(String, usize)> = (1..=40)
        .map(|number| format!("{number}/40"))
        .map(|shard| {
            let size = listed(place, &["--shard", &shard]).len();
            (shard, size)
        })
        .collect();
    let with = |wanted: &dyn Fn(usize) -> bool| {
        let found = shards.iter().find(|(_, size)| wanted(*size));
        found.expect("12 nodes in 40 shards").0.clone()
    };
    (with(&|size| size == 0), with(&|size| size > 0))
}

/// An Indexed Job starts as many machines as it is told. To see it fail: leave `is_elsewhere` out of `load.rs`.
#[test]
fn a_shard_without_nodes_is_done_at_once() {
    let (listener, port) = listener();
    let place = twelve(port);
    let (empty, _) = shards_of_40(&place);
    for command in [
        &["run"][..],
        &["run", "--check"],
        &["run", "--serial", "1,10%"],
        &["run", "--rollback-all", "--max-fail", "0"],
        &["run", "--syntax-check"],
        &["status"],
        &["peers"],
        &["refused"],
        &["facts"],
        &["rollback"],
        &["rollback", "--check"],
        &["drill"],
        &["remove"],
        &["remove", "--check", "-l", "all"],
        &["scan-keys"],
        &["render"],
    ] {
        let arguments = [command, &["inventory.yml", "--shard", &empty]].concat();
        let ran = place.run(&arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        let line = format!(
            "note: no node is in shard {empty}: there is nothing to do (12 nodes in the others)\n"
        );
        assert!(ran.stderr.contains(&line), "{arguments:?}: {}", ran.stderr);
    }
    for command in [
        &["run", "--json"][..],
        &["run", "--check", "--json"],
        &["status", "--json"],
        &["peers", "--json"],
        &["refused", "--json"],
        &["facts"],
        &["rollback", "--json"],
        &["drill", "--json"],
        &["remove", "-l", "all", "--json"],
        &["render", "--format", "json"],
    ] {
        let arguments = [command, &["inventory.yml", "--shard", &empty]].concat();
        let ran = place.run(&arguments);
        let document: Value = serde_json::from_str(&ran.stdout).expect("one JSON document");
        assert_eq!(document["nodes"], Value::Array(Vec::new()), "{arguments:?}");
        assert_eq!(ran.code, 0, "{arguments:?}");
    }
    assert!(nobody_came(&listener));
}

/// What is wrong with the whole selection is wrong in each shard: no shard succeeds where the whole would not begin.
#[test]
fn what_stops_the_whole_stops_each_shard() {
    let without = Place::with("all: {hosts: {\"n[1:12]\": }}");
    for shard in ["1/40", "2/40", "1/1"] {
        let ran = without.run(&["run", "inventory.yml", "--shard", shard]);
        assert_eq!(ran.code, 1);
        assert!(
            ran.stderr.contains("no selected node has a role"),
            "{}",
            ran.stderr
        );
    }
    let place = twelve(listener().1);
    let (empty, full) = shards_of_40(&place);
    for shard in [&empty, &full] {
        let ran = place.run(&["run", "inventory.yml", "--shard", shard, "-l", "nobody"]);
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains("nobody"), "{}", ran.stderr);
    }
    // The whole inventory is read.
    place.file(
        "inventory.yml",
        "all: {hosts: {a: {fwdeploy_roles: cybex: }}}",
    );
    let ran = place.run(&["run", "inventory.yml", "--shard", &empty]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
}

/// Only by chance has a shard no node with a role, while others have some.
#[test]
fn a_shard_of_nodes_without_roles_is_no_mistake() {
    let (listener, port) = listener();
    let text = fleet("    \"n[1:12]\": {fwdeploy_roles: []}\n    other:\n", port);
    let place = Place::with(
        &text
            .replace("    fwdeploy_roles: [cybex]\n", "")
            .replace("    other:\n", "    other: {fwdeploy_roles: [cybex]}\n"),
    );
    for number in 1..=3 {
        let shard = format!("{number}/3");
        let ran = place.run(&["drill", "inventory.yml", "--shard", &shard]);
        let has_role = listed(&place, &["--shard", &shard]).contains(&"other".to_string());
        assert_eq!(
            ran.code == 0,
            !has_role,
            "{shard}: {}{}",
            ran.stdout,
            ran.stderr
        );
    }
    drop(listener);
}

#[test]
fn a_wave_is_a_part_of_the_shard() {
    let place = twelve(listener().1);
    let nodes = listed(&place, &["--shard", "1/2"]).len();
    assert!((2..=11).contains(&nodes));
    let ran = place.run(&[
        "run",
        "inventory.yml",
        "-C",
        "--serial",
        "1,100%",
        "--shard",
        "1/2",
    ]);
    let waves = format!("a run deploys them in 2 waves: 1, {}", nodes - 1);
    assert!(ran.stderr.contains(&waves), "{}", ran.stderr);
}

#[test]
fn what_is_no_shard_is_1_and_costs_no_connection() {
    let (listener, port) = listener();
    let place = twelve(port);
    let mut told = String::new();
    for wrong in [
        "0/3",
        "4/3",
        "3",
        "1/0",
        "-1/3",
        "a/b",
        "$(JOB_COMPLETION_INDEX)+1/3",
        "1/3/5",
    ] {
        let ran = place.run(&["run", "inventory.yml", "--shard", wrong]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{wrong}");
        told.push_str(&format!("$ --shard {wrong}\n{}", ran.stderr));
    }
    insta::assert_snapshot!(told);
    assert!(nobody_came(&listener));
}

#[test]
fn a_list_of_the_inventory_has_the_nodes_of_the_shard() {
    let place = twelve(listener().1);
    let ran = place.run(&["inventory", "inventory.yml", "--list", "--shard", "1/2"]);
    let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let hosts = document["_meta"]["hostvars"]
        .as_object()
        .expect("variables");
    let mut names: Vec<String> = hosts.keys().cloned().collect();
    names.sort();
    let mut own = listed(&place, &["--shard", "1/2"]);
    own.sort();
    assert_eq!(names, own);
}
