//! The lab as a value: nodes that come up with it and go with it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::entry;
use super::entry::Entry;
use super::probe::answers;
use super::said::Said;

/// How long a lab is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// It is made, and goes when the value does.
    Own,
    /// An existing lab is used as it is, what is missing is repaired, and it stays.
    Shared,
}

/// A lab of real nodes with its own network.
pub struct Lab {
    name: String,
    stay: Stay,
    info: Value,
    home: OnceLock<TempDir>,
    begun: Instant,
    up: Duration,
}

/// The program that makes labs; `FWDEPLOY_LAB` names another one.
fn program() -> PathBuf {
    std::env::var_os("FWDEPLOY_LAB").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab"),
        PathBuf::from,
    )
}

fn lab(args: &[&str]) -> Said {
    Command::new(program())
        .args(args)
        .output()
        .expect("tests/lab/lab runs")
        .into()
}

/// A command of this machine in a network namespace of the lab; it takes the place of `nsenter`.
fn in_network(netns: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{netns}"))
        .arg(program);
    command
}

impl Lab {
    /// Brings up nodes (`name=suite:backend`) and peers.
    pub fn up(name: &str, nodes: &[&str], peers: usize) -> Self {
        Self::with(name, nodes, peers, Stay::Own)
    }

    /// Brings up nodes and peers for one test, or uses existing ones.
    pub fn with(name: &str, nodes: &[&str], peers: usize, stay: Stay) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "the lab's nodes need root: run `make lab` as root"
        );
        let begun = Instant::now();
        let peers = peers.to_string();
        let mut args = vec!["up", name];
        args.extend(nodes);
        args.extend(["--peers", &peers, "--info"]);
        if stay == Stay::Own {
            // A lab of that name from an interrupted run would still have its old state.
            args.push("--fresh");
        }
        let said = lab(&args);
        assert_eq!(said.code, 0, "lab up: {}{}", said.out, said.err);
        let info = serde_json::from_str(&said.out).expect("lab info is JSON");
        Lab {
            name: name.to_string(),
            stay,
            info,
            home: OnceLock::new(),
            begun,
            up: begun.elapsed(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A node's address.
    pub fn address(&self, node: &str) -> String {
        self.text(&["nodes", node, "address"])
    }

    /// A peer's address.
    pub fn peer(&self, peer: &str) -> String {
        self.text(&["peers", peer, "address"])
    }

    /// A peer's network namespace.
    pub fn peer_netns(&self, peer: &str) -> String {
        self.text(&["peers", peer, "netns"])
    }

    fn text(&self, path: &[&str]) -> String {
        let found = path.iter().fold(&self.info, |value, key| &value[*key]);
        found
            .as_str()
            .unwrap_or_else(|| panic!("lab info has {path:?}"))
            .to_string()
    }

    /// A node's suite and firewalld's backend there.
    pub fn kind(&self, node: &str) -> (String, String) {
        let text = |key| self.text(&["nodes", node, key]);
        (text("suite"), text("backend"))
    }

    /// The lab's private key.
    pub fn key(&self) -> String {
        self.text(&["ssh", "key"])
    }

    /// The network namespace that the controller is in.
    pub fn netns(&self) -> String {
        self.text(&["netns"])
    }

    /// The cgroup in which all processes of a node are.
    pub fn processes(&self, node: &str) -> PathBuf {
        Entry::processes(&self.name, node)
    }

    /// A command as root on a node, which has to run.
    pub fn node_command(&self, node: &str, words: &[&str]) -> Command {
        self.entry(node).command(words)
    }

    fn entry(&self, node: &str) -> Entry {
        let entry = Entry::find(&self.processes(node));
        entry.unwrap_or_else(|| panic!("node {node} of lab {} is off", self.name))
    }

    /// A command of this machine in the network that the controller is in.
    pub fn controller_command(&self, program: &str) -> Command {
        in_network(&self.netns(), program)
    }

    /// A command of this machine in a peer's network.
    pub fn peer_command(&self, peer: &str, program: &str) -> Command {
        in_network(&self.peer_netns(peer), program)
    }

    /// Runs a shell script as root on a node, and expects it to go well.
    pub fn sh(&self, node: &str, script: &str) -> String {
        let said = self.try_sh(node, script);
        assert_eq!(
            said.code, 0,
            "on {node}: {script}\n{}{}",
            said.out, said.err
        );
        said.out
    }

    /// Runs a shell script as root on a node; a node that is off gives code 2.
    pub fn try_sh(&self, node: &str, script: &str) -> Said {
        let Some(entry) = Entry::find(&self.processes(node)) else {
            return Said {
                code: 2,
                out: String::new(),
                err: format!("node {node} is off"),
            };
        };
        entry
            .command(&["sh", "-c", script])
            .stdin(Stdio::null())
            .output()
            .expect("nsenter runs")
            .into()
    }

    /// Runs one of the lab's own commands on this lab, and expects it to go well.
    pub fn lab(&self, command: &str, args: &[&str]) -> String {
        let mut all = vec![command, &self.name];
        all.extend(args);
        let said = lab(&all);
        assert_eq!(said.code, 0, "lab {all:?}: {}{}", said.out, said.err);
        said.out.trim().to_string()
    }

    /// Whether a connection gets its answer, from a peer, a node, `NODE/CONTAINER`, or the `controller`.
    pub fn reaches(&self, from: &str, address: &str, port: u16) -> bool {
        let named = |netns: &str| Path::new("/run/netns").join(netns);
        let namespace = match from.split_once('/') {
            Some((node, container)) => {
                // The node has its own process ids.
                let process = self.container_process(node, container);
                self.entry(node).path(&format!("/proc/{process}/ns/net"))
            }
            None if from == "controller" => named(&self.netns()),
            None if self.info["peers"].get(from).is_some() => named(&self.peer_netns(from)),
            None => self.entry(from).path("/proc/1/ns/net"),
        };
        let address = address.parse().expect("an address");
        answers(&namespace, SocketAddr::new(address, port))
    }

    /// The process that a container runs, as its node numbers it. Docker has it in a file; the docker command takes a hundred times as long.
    fn container_process(&self, node: &str, container: &str) -> u64 {
        let console = PathBuf::from(self.text(&["nodes", node, "console"]));
        let folder = console.with_file_name("docker").join("containers");
        let found = fs::read_dir(&folder).into_iter().flatten().flatten();
        let of_that_name = found.filter_map(|entry| {
            let text = fs::read(entry.path().join("config.v2.json")).ok()?;
            let value: Value = serde_json::from_slice(&text).ok()?;
            (value["Name"] == format!("/{container}")).then(|| value["State"]["Pid"].as_u64())?
        });
        let mut processes: Vec<u64> = of_that_name.filter(|process| *process != 0).collect();
        processes
            .pop()
            .unwrap_or_else(|| panic!("{container} does not run on {node}"))
    }

    /// Writes an inventory; `body` is YAML, in which `{key}` is replaced by the lab's private key.
    pub fn inventory(&self, body: &str) -> PathBuf {
        let path = self.home().join("inventory.yml");
        let body = body.replace("{key}", &self.text(&["ssh", "key"]));
        fs::write(&path, body).expect("the inventory is written");
        path
    }

    /// The directory of the inventory, for files beside it.
    pub fn home(&self) -> &Path {
        let home = || TempDir::new().expect("a directory for the inventory");
        self.home.get_or_init(home).path()
    }

    /// The lab's known_hosts.
    pub fn known_hosts(&self) -> String {
        self.text(&["ssh", "known_hosts"])
    }

    /// A command that runs fwdeploy where the controller is.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.controller_command(env!("CARGO_BIN_EXE_fwdeploy"));
        command
            .args(args)
            .env("NO_COLOR", "1")
            .env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs fwdeploy where the controller is, with the lab's known_hosts.
    pub fn fwdeploy(&self, command: &str, args: &[&str]) -> Said {
        let inventory = self.home().join("inventory.yml");
        let inventory = inventory.to_str().expect("a plain path");
        let known_hosts = self.known_hosts();
        let mut all = vec![command, inventory, "--known-hosts", &known_hosts];
        all.extend(args);
        self.command(&all).output().expect("fwdeploy runs").into()
    }

    /// How many ssh connections a node has accepted since it booted.
    pub fn connections(&self, node: &str) -> usize {
        self.sh(node, "journalctl -q -b -u ssh.service -u sshd.service -t sshd -t sshd-session --no-pager 2>/dev/null | grep -c 'Accepted publickey' || true")
            .trim()
            .parse()
            .expect("a count")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // tests/run adds these up.
        eprintln!(
            "lab {}: up after {:.1} s, there for {:.1} s, its nodes used {:.1} s of a processor",
            self.name,
            self.up.as_secs_f64(),
            self.begun.elapsed().as_secs_f64(),
            entry::processor_time(&self.name).as_secs_f64()
        );
        // `LAB_KEEP=1` keeps the nodes of a failed test for inspection.
        let is_kept = std::env::var_os("LAB_KEEP").is_some() && std::thread::panicking();
        if self.stay == Stay::Own && !is_kept {
            lab(&["down", &self.name]);
        }
    }
}
