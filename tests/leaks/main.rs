//! The leak table: what gets through while others reload, restart and boot what the whitelist rests on.
//!
//! `make leaks` runs all of it on every generation and backend, and writes docs/leaks.md. `LEAKS=WORD,WORD` runs only the events, and
//! `LEAKS_NODES=bookworm:nftables` only the nodes, of these names. A cell of the table has, in each direction, how many packets got through
//! of how many that were offered.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::process::Child;
use std::process::Stdio;
use std::thread;
use std::thread::sleep;
use std::time::Duration;

#[allow(
    dead_code,
    reason = "the other programs of tests on real nodes have it too"
)]
#[path = "../harness/mod.rs"]
mod harness;

use harness::lab::Lab;
use harness::said::Said;
use harness::said::wait_until;

const NODES: [&str; 8] = [
    "bullseye:nftables",
    "bullseye:iptables",
    "bookworm:nftables",
    "bookworm:iptables",
    "trixie:nftables",
    "trixie:iptables",
    "forky:nftables",
    "forky:iptables",
];

/// Something that others do to a node.
struct Event {
    name: &'static str,
    /// What is done; a reboot is the lab's.
    script: &'static str,
    /// What undoes it, so that a run can follow.
    undo: &'static str,
    /// Whether it takes the guard itself away, so that what gets through is not counted as a leak but has to be named by a check.
    is_of_the_guard: bool,
}

const fn event(name: &'static str, script: &'static str) -> Event {
    Event {
        name,
        script,
        undo: ":",
        is_of_the_guard: false,
    }
}

const REBOOT: &str = "reboot";

const EVENTS: &[Event] = &[
    event("nothing", ":"),
    event("firewall-cmd --reload", "firewall-cmd -q --reload"),
    event(
        "firewall-cmd --complete-reload",
        "firewall-cmd -q --complete-reload",
    ),
    event("firewalld restarted", "systemctl restart firewalld"),
    event(
        "firewalld stopped, started after 2 s",
        "systemctl stop firewalld; sleep 2; systemctl start firewalld",
    ),
    event(
        "firewalld killed, then started",
        "systemctl kill -s KILL firewalld; sleep 2; systemctl start firewalld",
    ),
    Event {
        undo: "firewall-cmd -q --permanent --direct --remove-rule ipv4 filter FORWARD 0 -j NOWHERE; firewall-cmd -q --reload",
        ..event(
            "a reload that fails",
            "firewall-cmd -q --permanent --direct --add-rule ipv4 filter FORWARD 0 -j NOWHERE; firewall-cmd -q --reload; :",
        )
    },
    event("dockerd restarted", "systemctl restart docker"),
    event(
        "dockerd killed",
        "systemctl kill -s KILL docker; sleep 2; systemctl start docker",
    ),
    Event {
        // systemd starts a unit no more than a few times within a minute.
        undo: "rm /etc/docker/daemon.json; systemctl reset-failed docker; systemctl restart docker",
        ..event(
            "dockerd with live-restore restarted",
            "mkdir -p /etc/docker; echo '{\"live-restore\": true}' >/etc/docker/daemon.json; systemctl reload docker; sleep 1; systemctl restart docker",
        )
    },
    event(
        "other networks created and removed",
        "for n in 1 2 3 4 5; do docker network create z$n; docker network rm z$n; done",
    ),
    event("the container restarted", "docker restart -t 1 cybex"),
    event("the container recreated", "docker rm -f cybex; /root/start"),
    event(REBOOT, ""),
    Event {
        // firewalld's unit conflicts with it, so that starting the one stops the other.
        undo: "systemctl stop nftables; systemctl start firewalld; systemctl restart docker",
        ..event(
            "nftables.service restarted, reloaded and stopped (flush ruleset)",
            "systemctl restart nftables; sleep 2; systemctl reload nftables; sleep 2; systemctl stop nftables",
        )
    },
    event("iptables -F", "iptables -F"),
    event(
        "the jump removed",
        "while iptables -D FORWARD -j DOCKER-USER; do :; done 2>/dev/null",
    ),
    event("DOCKER-USER flushed", "iptables -F DOCKER-USER"),
    event(
        "an ACCEPT inserted first",
        "iptables -I FORWARD -j ACCEPT; iptables -I DOCKER-USER -j ACCEPT",
    ),
    Event {
        is_of_the_guard: true,
        ..event("nft flush ruleset by hand", "nft flush ruleset")
    },
];

/// Packets of one direction.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    offered: u64,
    leaked: u64,
}

/// A cell of the table.
#[derive(Debug, Clone, Default)]
struct Cell {
    outbound: Flow,
    inbound: Flow,
    removed: Flow,
    wrong: Vec<String>,
}

struct Node {
    lab: Lab,
}

impl Node {
    fn up(kind: &str) -> Self {
        let (suite, backend) = kind.split_once(':').expect("suite:backend");
        let name = format!("lk{}{}", &suite[..2], &backend[..1]);
        let lab = Lab::up(&name, &[&format!("n1={kind}")], 3);
        let node = Node { lab };
        node.lab.sh("n1", "mkdir -p /root/count");
        let path = node.lab.node_command("n1", &["tee", "/root/container.py"]);
        feed(path, include_bytes!("container.py"));
        let start = format!(
            "#!/bin/sh\nexec docker run -d --name cybex --restart always $NETWORK -v /root/count:/count -v /root/container.py:/container.py:ro \
             -v /usr:/usr:ro -v /usr/lib:/lib:ro -v /usr/lib64:/lib64:ro fwdeploy-lab:latest /usr/bin/python3 /container.py {} {}\n",
            node.lab.peer("peer2"),
            node.lab.peer("peer3"),
        );
        feed(
            node.lab.node_command("n1", &["tee", "/root/start"]),
            start.as_bytes(),
        );
        node.lab.sh("n1", "chmod 755 /root/start; /root/start");
        for peer in ["peer2", "peer3"] {
            // A way to the container past the node's own addresses.
            let via = node.lab.address("n1");
            let said = node
                .lab
                .peer_command(peer, "ip")
                .args(["route", "add", "172.20.0.0/16", "via", &via])
                .status();
            assert!(said.expect("ip runs").success());
        }
        // First with peer3, so that it has an open flow; then it is removed.
        node.roles(&["peer1"], &["peer3"]);
        node.run(&[]);
        node.lab.sh(
            "n1",
            "sed -i 's/\\$NETWORK/--network cybex --ip 172.20.0.2/' /root/start",
        );
        wait_until("the container has an open flow to peer3", || {
            let got = node
                .listen("peer3", 7000, 1.5, &[])
                .wait_with_output()
                .expect("it ends");
            value(&String::from_utf8_lossy(&got.stdout), "got") > 0
        });
        node.roles(&["peer1"], &[]);
        node.run(&[]);
        node
    }

    fn roles(&self, peers: &[&str], trusted: &[&str]) {
        let list = |peers: &[&str]| {
            let peers: Vec<String> = peers.iter().map(|p| self.lab.peer(p)).collect();
            peers.join(", ")
        };
        self.lab.inventory(&format!(
            "all:\n  hosts:\n    n1:\n      ansible_host: {}\n      ansible_user: root\n      ansible_ssh_private_key_file: {{key}}\n      \
             fwdeploy_roles: [cybex]\n      cybex_peers: [{}]\n      cybex_trusted: [{}]\n",
            self.lab.address("n1"),
            list(peers),
            list(trusted),
        ));
    }

    fn run(&self, args: &[&str]) -> Said {
        let said = self.lab.fwdeploy("run", args);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        said
    }

    /// Counts what a peer gets, and lets it offer flows to these.
    fn listen(&self, peer: &str, port: u16, seconds: f64, to: &[String]) -> Child {
        let mut child = self
            .lab
            .peer_command(peer, "python3")
            .args([
                "-c",
                include_str!("peer.py"),
                &port.to_string(),
                &seconds.to_string(),
            ])
            .args(to)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a peer starts");
        let mut ready = [0; 6];
        let stdout = child.stdout.as_mut().expect("a pipe");
        stdout.read_exact(&mut ready).expect("a peer is ready");
        child
    }

    /// What the container has counted so far, in all its lives.
    fn counted(&self) -> BTreeMap<String, u64> {
        // The files have no line feed at their end.
        let text = self.lab.sh("n1", "awk 1 /root/count/* 2>/dev/null; :");
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        for word in text.split_whitespace() {
            if let Some((name, count)) = word.split_once('=') {
                *all.entry(name.to_string()).or_default() += count.parse::<u64>().unwrap_or(0);
            }
        }
        all
    }

    /// One cell: the event under fire, and then a node on which a run finds or repairs everything.
    fn cell(&self, event: &Event) -> Cell {
        let mut cell = Cell::default();
        let seconds = if event.name == REBOOT { 45.0 } else { 14.0 };
        let before = self.counted();
        let targets = [
            format!("{}:5000", self.lab.address("n1")),
            "172.20.0.2:5000".to_string(),
        ];
        let stranger = self.listen("peer2", 7777, seconds, &targets);
        let removed = self.listen("peer3", 7000, seconds, &targets[..1]);
        sleep(Duration::from_secs(1));
        if event.name == REBOOT {
            self.lab.lab("reboot", &["n1"]);
        } else {
            self.lab.try_sh("n1", event.script);
        }
        let told = |child: Child| {
            let output = child.wait_with_output().expect("a peer ends");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let (stranger, removed) = (told(stranger), told(removed));
        let after = self.counted();
        let grown = |name: &str| {
            let count = |of: &BTreeMap<String, u64>| of.get(name).copied().unwrap_or(0);
            count(&after).saturating_sub(count(&before))
        };
        cell.outbound = Flow {
            offered: grown("offered"),
            leaked: value(&stranger, "got"),
        };
        cell.inbound = Flow {
            offered: value(&stranger, "offered"),
            leaked: grown("stranger"),
        };
        cell.removed = Flow {
            offered: grown("kept") + value(&removed, "offered"),
            leaked: value(&removed, "got") + grown("removed"),
        };
        for (direction, flow) in [
            ("outbound", cell.outbound),
            ("inbound", cell.inbound),
            ("the removed peer", cell.removed),
        ] {
            if flow.offered < 10_000 {
                cell.wrong
                    .push(format!("{direction}: only {} were offered", flow.offered));
            }
            if flow.leaked > 0 && !event.is_of_the_guard {
                cell.wrong.push(format!(
                    "{direction}: {} of {} got through",
                    flow.leaked, flow.offered
                ));
            }
        }
        if event.is_of_the_guard {
            let check = self.lab.fwdeploy("run", &["--check"]);
            if !check.out.contains("guard") {
                cell.wrong
                    .push(format!("a check does not name it: {}", check.out));
            }
        }
        self.lab.try_sh("n1", event.undo);
        self.recover(&mut cell);
        cell
    }

    fn recover(&self, cell: &mut Cell) {
        for _ in 0..3 {
            let said = self.lab.fwdeploy("run", &["--recover"]);
            if said.code == 0 && self.lab.reaches("peer1", &self.lab.address("n1"), 5000) {
                return;
            }
            // Docker without its rules, and deaf: only its restart helps.
            self.lab.try_sh(
                "n1",
                "systemctl reset-failed docker; systemctl restart docker; sleep 2",
            );
        }
        cell.wrong
            .push("no run brings the whitelist back".to_string());
    }
}

fn feed(mut command: std::process::Command, bytes: &[u8]) {
    use std::io::Write as _;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("tee starts");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(bytes)
        .expect("it takes them");
    assert!(child.wait().expect("it ends").success());
}

/// The number behind `name=` in a text.
fn value(text: &str, name: &str) -> u64 {
    text.split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        .unwrap_or(0)
}

fn picked<'a>(variable: &str, all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let words = std::env::var(variable).unwrap_or_default();
    let words: Vec<&str> = words.split(',').filter(|word| !word.is_empty()).collect();
    all.filter(|name| words.is_empty() || words.iter().any(|word| name.contains(word)))
        .collect()
}

#[test]
#[ignore = "needs root, the lab and an hour: make leaks"]
fn no_event_lets_a_packet_through_that_the_whitelist_refuses() {
    let kinds = picked("LEAKS_NODES", NODES.into_iter());
    let events = picked("LEAKS", EVENTS.iter().map(|event| event.name));
    let mut table: BTreeMap<&str, Vec<(&str, Cell)>> = BTreeMap::new();
    // Two nodes at a time: each needs a processor for its fire.
    for pair in kinds.chunks(2) {
        let cells: Vec<(&str, Vec<Cell>)> = thread::scope(|scope| {
            let workers: Vec<_> = pair
                .iter()
                .map(|kind| {
                    let events = &events;
                    scope.spawn(move || {
                        let node = Node::up(kind);
                        let cells = EVENTS
                            .iter()
                            .filter(|event| events.contains(&event.name))
                            .map(|event| {
                                let cell = node.cell(event);
                                eprintln!(
                                    "{kind}: {}: {}{}",
                                    event.name,
                                    shown(&cell),
                                    cell.wrong.join("; ")
                                );
                                cell
                            })
                            .collect();
                        (*kind, cells)
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|w| w.join().expect("a node"))
                .collect()
        });
        for (kind, cells) in cells {
            for (event, cell) in events.iter().zip(cells) {
                table.entry(event).or_default().push((kind, cell));
            }
        }
    }
    if kinds.len() == NODES.len() && events.len() == EVENTS.len() {
        fs::write("docs/leaks.md", document(&table)).expect("docs/leaks.md is written");
    }
    let wrong: Vec<String> = table
        .iter()
        .flat_map(|(event, cells)| {
            let cells = cells.iter();
            cells.flat_map(move |(kind, cell)| {
                cell.wrong
                    .iter()
                    .map(move |w| format!("{event}, {kind}: {w}"))
            })
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} cells:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn shown(cell: &Cell) -> String {
    let flow = |flow: Flow| format!("{}/{}", flow.leaked, flow.offered);
    format!(
        "{} · {} · {}",
        flow(cell.outbound),
        flow(cell.inbound),
        flow(cell.removed)
    )
}

fn document(table: &BTreeMap<&str, Vec<(&str, Cell)>>) -> String {
    let mut out = String::from(include_str!("legend.md"));
    let _ = writeln!(out, "\n| event | {} |", NODES.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(NODES.len()));
    for event in EVENTS {
        let cells = table.get(event.name).map(Vec::as_slice).unwrap_or_default();
        let cells: Vec<String> = cells.iter().map(|(_, cell)| shown(cell)).collect();
        let _ = writeln!(out, "| {} | {} |", event.name, cells.join(" | "));
    }
    out
}
