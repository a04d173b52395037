//! What a fleet takes of the controller's memory: the program is given no more address space than is said here. What is compiled for one node is
//! gone before the next one's turn, and what is printed is not kept.
//!
//! Each was seen to fail with all nodes compiled before the first of them is printed, or reached; those that connect, with what was read on a node,
//! or its differences, kept to the end.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::program::Place;
use crate::support::program::ran;

/// A mesh in which what all nodes require takes more than twice the limit.
const NODES: usize = 150;

/// Of mebibytes. The program alone takes 40 in its unoptimised form.
const LIMIT: u32 = 80;

/// Standard output of the program, which has this many mebibytes of address space, its own code among them.
fn within(mebibytes: u32, inventory: &str, arguments: &[&str]) -> String {
    let place = Place::with(inventory);
    let program = place.command(arguments);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -v \"$0\" && exec \"$@\""])
        .arg((mebibytes * 1024).to_string())
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(place.0.path())
        .env("HOME", place.0.path());
    let ran = ran(&mut limited);
    assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
    ran.stdout
}

fn hosts(count: usize) -> String {
    let mut text = String::from("  hosts:\n");
    for number in 0..count {
        let (high, low) = (number / 250, number % 250 + 1);
        writeln!(text, "    n{number}: {{ansible_host: 10.0.{high}.{low}}}").unwrap();
    }
    text
}

/// Each node is the peer of all others, by this expression.
fn mesh(nodes: usize, peers: &str) -> String {
    let vars = format!("    fwdeploy_roles: [cybex]\n    {peers}\n");
    format!("all:\n  vars:\n{vars}{}", hosts(nodes))
}

const BY_ADDRESSES: &str = "cybex_fleet: \"{{ addresses('all') }}\"";
const BY_HOSTVARS: &str =
    "cybex_peers: \"{{ groups['all'] | map('extract', hostvars, 'ansible_host') | list }}\"";

#[test]
fn a_mesh_is_rendered_node_by_node() {
    for peers in [BY_ADDRESSES, BY_HOSTVARS] {
        let inventory = mesh(NODES, peers);
        let text = within(LIMIT, &inventory, &["render", "inventory.yml"]);
        assert_eq!(text.matches("# ==== n").count(), NODES);
        let arguments = ["render", "--format", "json", "inventory.yml"];
        let text = within(LIMIT, &inventory, &arguments);
        assert!(text.len() > 10 << 20, "{}", text.len());
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["nodes"].as_array().map(Vec::len), Some(NODES));
    }
}

#[test]
fn a_mesh_is_judged_node_by_node() {
    let inventory = mesh(NODES, BY_ADDRESSES);
    let arguments = ["run", "--syntax-check", "inventory.yml"];
    assert_eq!(within(LIMIT, &inventory, &arguments), "");
}

/// Thousands of nodes with one policy take little more than without.
#[test]
fn nodes_that_share_a_policy_keep_one() {
    let vars = "  vars: {fwdeploy_roles: [cybex], cybex_peers: [192.0.2.1, 192.0.2.2]}\n";
    let inventory = format!("all:\n{vars}{}", hosts(3_000));
    let arguments = ["run", "--syntax-check", "inventory.yml"];
    assert_eq!(within(LIMIT, &inventory, &arguments), "");
}

/// A program in the place of ssh: every node that it logs in to answers what a new one has answered.
const SSH: &str = r#"#!/bin/sh
case "$1" in
-V) echo OpenSSH_9.2 >&2; exit 0 ;;
-N) echo fwdeploy-is-logged-in; exec sleep 60 ;;
esac
for last; do :; done
nonce=${last#*fwdeploy-begin-}
nonce=${nonce%%[!0-9a-f]*}
echo "fwdeploy-begin-$nonce"
echo "fwdeploy-begin-$nonce" >&2
cat >/dev/null
cat "${0%/*}/answer"
echo "fwdeploy-end-$nonce 0"
"#;

/// What a command on so many nodes prints, with 200 peers on the list that they share, and the most kibibytes that it has had in memory. It has
/// one processor.
fn read(nodes: usize, forks: &str, arguments: &[&str]) -> (Value, u64) {
    let peers: Vec<String> = (1..=200).map(|n| format!("192.0.2.{n}")).collect();
    let vars = format!(
        "  vars: {{fwdeploy_roles: [cybex], cybex_peers: [{}]}}\n",
        peers.join(", ")
    );
    let place = Place::with(&format!("all:\n{vars}{}", hosts(nodes)));
    place.file("ssh", SSH);
    let folder = place.0.path();
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.join("ssh"), executable).expect("a program");
    let answer =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/bookworm-iptables/fresh.stdout");
    fs::copy(answer, folder.join("answer")).expect("an answer");
    let path = format!(
        "{}:{}",
        folder.display(),
        env::var("PATH").unwrap_or_default()
    );
    let stdout = folder.join("stdout");
    let connection = ["--transport", "openssh", "-f", forks, "inventory.yml"];
    let program = place.command(&[arguments, &connection].concat());
    let mut command = Command::new("taskset");
    command
        .args(["-c", "0"])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(folder)
        .env("HOME", folder)
        .env("PATH", path)
        // Arenas of the threads would hide what is kept.
        .env("MALLOC_ARENA_MAX", "1")
        .stdout(File::create(&stdout).expect("a file"))
        .stderr(File::create(folder.join("stderr")).expect("a file"));
    let mut child = command.spawn().expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let code = loop {
        // The most so far: what is freed before it is looked again is in it as well.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        most = now.unwrap_or(0).max(most);
        if let Some(status) = child.try_wait().expect("its status") {
            break status.code();
        }
        thread::sleep(Duration::from_millis(5));
    };
    let stderr = fs::read_to_string(folder.join("stderr")).expect("text");
    assert!(matches!(code, Some(0 | 2)), "{code:?}: {stderr}");
    let document = fs::read_to_string(&stdout).expect("text");
    (serde_json::from_str(&document).expect("JSON"), most)
}

/// What was read on a node, and what differs there, is gone when the node is done: thousands have gigabytes.
#[test]
fn what_is_kept_of_a_node_is_little() {
    for arguments in [
        &["run", "--check", "--json"][..],
        &["facts"],
        &["status", "--json"],
        &["peers", "--json"],
        &["refused", "--json"],
    ] {
        // One at a time: how much several need at their busiest is a matter of chance.
        let (_, few) = read(20, "1", arguments);
        let (document, many) = read(60, "1", arguments);
        let nodes = document["nodes"].as_array().expect("nodes");
        let names: Vec<&str> = nodes
            .iter()
            .filter_map(|node| node["node"].as_str())
            .collect();
        let in_order: Vec<String> = (0..60).map(|number| format!("n{number}")).collect();
        assert_eq!(names, in_order, "{arguments:?}");
        assert_eq!(document["summary"]["nodes"], 60, "{arguments:?}");
        assert!(
            many.saturating_sub(few) < 2 * 1024,
            "{arguments:?}: {few} KiB with 20 nodes, {many} KiB with 60"
        );
    }
}

/// Nodes that have all answered at once are planned one after the other. To see it fail: let `Turn::wait` wait for nothing.
#[test]
fn nodes_at_work_are_planned_on_each_processor_and_no_more() {
    let arguments = &["run", "--check", "--json"][..];
    let (_, one) = read(30, "1", arguments);
    let (_, many) = read(30, "30", arguments);
    assert!(
        many < one + 30 * 1024,
        "{one} KiB with one node at work, {many} KiB with 30"
    );
}
