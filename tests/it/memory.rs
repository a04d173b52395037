//! What a fleet takes of the controller's memory: the program is given no more address space than is said here. What is compiled for one node is
//! gone before the next one's turn, and what is printed is not kept.
//!
//! Each was seen to fail with all nodes compiled before the first of them is printed, or reached.

use std::fmt::Write as _;
use std::process::Command;

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
