//! The fault matrix: every kind of step of a plan × everything that can break, on real nodes.
//!
//! Needs root and the lab (tests/lab/README.md). `make fault-matrix` runs all of it and writes docs/fault-matrix.md;
//! `make lab` runs a rotation through it. With `FAULT_MATRIX=WORD,WORD;WORD` only cells whose
//! node, scenario, row and fault have all the words of one of these lists; they take the place of theirs in the table. With
//! `FAULT_MATRIX_NODES=n1,n4` only these nodes are brought up, and only their cells are run; `FAULT_MATRIX_SLOW=3` gives
//! everything three times as long, on a machine that has other work. With `FAULT_MATRIX_RESUME=1` an interrupted run is
//! continued: cells that passed, in target/fault-matrix/cells, are not run again.

mod cell;
mod course;
mod fault;
#[allow(
    dead_code,
    reason = "the other programs of tests on real nodes have it too"
)]
#[path = "../harness/mod.rs"]
mod harness;
mod known;
mod matrix;
mod node;
mod state;
mod table;
mod words;
mod worker;

use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use fault::Fault;
use harness::lab::Lab;
use matrix::Entry;
use matrix::Scenario;
use node::Node;
use worker::Worker;

/// A generation each, and both backends.
const NODES: [&str; 4] = [
    "n1=bullseye:iptables",
    "n2=bookworm:nftables",
    "n3=trixie:nftables",
    "n4=forky:iptables",
];

/// The lab of the whole matrix, whose cells are written down.
const WHOLE: &str = "fm";

/// Those on which firewalld's configuration is behind links.
const LINKED: [usize; 2] = [1, 2];

/// Runs the cells that are picked, given the number of the node, on all nodes at once.
fn run(
    lab_name: &str,
    nodes: &[&'static str],
    pick: impl Fn(usize, Scenario, usize, usize) -> bool + Sync,
) -> Vec<Entry> {
    let began = Instant::now();
    let wanted = std::env::var("FAULT_MATRIX_NODES").unwrap_or_default();
    let is_wanted = |node: &str| wanted.is_empty() || wanted.split(',').any(|name| name == node);
    let name_of = |node: &'static str| node.split('=').next().unwrap_or(node);
    // Each with its place among all, which decides what is run on it.
    let places: Vec<(usize, &str)> = nodes
        .iter()
        .map(|node| name_of(node))
        .enumerate()
        .filter(|(_, name)| is_wanted(name))
        .collect();
    let nodes: Vec<&str> = places.iter().map(|(number, _)| nodes[*number]).collect();
    let lab = Arc::new(Lab::up(lab_name, &nodes, 3));
    let hosts: Vec<String> = places
        .iter()
        .map(|(_, n)| format!("        {n}: {{ansible_host: {}}}\n", lab.address(n)))
        .collect();
    let inventory = lab.inventory(&format!(
        "all:\n  vars:\n    ansible_user: root\n    ansible_ssh_private_key_file: {{key}}\n  children:\n    chain:\n      vars:\n        fwdeploy_roles: [cybex]\n      hosts:\n{}",
        hosts.concat()
    ));
    let said = Mutex::new(());
    let done = if lab_name == WHOLE && matrix::resumes() {
        table::records()
    } else {
        Vec::new()
    };
    let tell = |entry: &Entry| {
        let _one_at_a_time = said.lock();
        if lab_name == WHOLE {
            table::record(entry);
        }
        eprintln!(
            "{:5.0} s  {} {}, {}, {}: {}",
            began.elapsed().as_secs_f64(),
            entry.node,
            entry.scenario,
            entry.row,
            entry.fault,
            table::cell(entry)
        );
        for wrong in entry.ended.as_ref().err().into_iter().flatten() {
            eprintln!("         {wrong}");
        }
    };
    let (lab, pick, tell, inventory, done) = (&lab, &pick, &tell, &inventory, &done);
    thread::scope(|scope| {
        let threads: Vec<_> = places
            .iter()
            .map(|&(number, name)| {
                scope.spawn(move || {
                    Worker {
                        node: Node::new(lab, name, LINKED.contains(&number)),
                        number,
                        inventory: inventory.clone(),
                        known_hosts: lab.known_hosts(),
                        peers: ["peer1", "peer2", "peer3"].map(|p| lab.peer(p)),
                        pick: &|scenario, row, fault| pick(number, scenario, row, fault),
                        tell,
                        done,
                    }
                    .work()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().expect("a node's cells"))
            .collect()
    })
}

/// Fails with the cells that failed.
fn assert_none_failed(entries: &[Entry]) {
    let failed: Vec<String> = entries
        .iter()
        .filter_map(|e| {
            let wrong = e.ended.as_ref().err()?;
            Some(format!(
                "{}, {}, {}, {}:\n    {}",
                e.kind,
                e.scenario,
                e.row,
                e.fault,
                wrong.join("\n    ")
            ))
        })
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} cells failed; see {}\n{}",
        failed.len(),
        entries.len(),
        matrix::EVIDENCE,
        failed.join("\n")
    );
}

#[test]
#[ignore = "needs root, the lab and an hour: make fault-matrix"]
fn every_fault_at_every_step_leaves_the_state_before_or_the_state_after() {
    let whole = matrix::words().is_empty();
    if whole && !matrix::resumes() {
        table::begin();
    }
    let entries = run(WHOLE, &NODES, |node, scenario, row, fault| {
        let turn = row + fault + scenario as usize;
        let dangerous = scenario.is_rollback() && Fault::ALL[fault].takes_the_run_away();
        // On the next one of the other kind the call comes ahead where it came behind.
        turn % 4 == node || dangerous && (turn + 2) % 4 == node
    });
    let document = match fs::read_to_string(table::path()) {
        Ok(document) if !whole => table::amended(&document, &entries),
        _ => table::document(&table::records()),
    };
    fs::write(table::path(), document).expect("the table is written");
    assert_none_failed(&entries);
}

/// Each kind of step meets a fault, and each fault some steps; each rollback is on two of the nodes, for a node has to learn it.
#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_fault_at_each_step_leaves_the_state_before_or_the_state_after() {
    cell::share_the_machine();
    let entries = run("fr", &NODES, |node, scenario, row, fault| {
        let (turn, picked) = match scenario {
            // Every third row on two nodes.
            Scenario::Adoption => (
                0,
                (row + node) % 4 == 0 || row % 3 == 0 && (row + node) % 4 == 2,
            ),
            // And one more, without which a fault would be met once.
            Scenario::InPlace => (3, row % 4 == node || (node, row) == (3, 9)),
            Scenario::Address => (8, node == row % 2),
            Scenario::Subnet => (9, node == 2 + row % 2),
        };
        picked && (row + node * 2 + turn) % Fault::ALL.len() == fault
    });
    for fault in Fault::ALL {
        let count = entries.iter().filter(|e| e.fault == fault).count();
        assert!(count >= 2, "{fault} was met {count} times");
    }
    assert_none_failed(&entries);
}

#[test]
fn the_table_has_no_cell_but_before_and_after() {
    let document =
        fs::read_to_string(table::path()).expect("docs/fault-matrix.md: make fault-matrix");
    let cells = table::cells(&document);
    assert!(cells.len() >= 200, "only {} cells", cells.len());
    for cell in cells {
        let words: Vec<&str> = cell.split(' ').collect();
        let well = matches!(words[..], ["‹" | "›", "before" | "after", seconds] if seconds.parse::<f64>().is_ok());
        assert!(well, "`{cell}` in docs/fault-matrix.md");
    }
}
