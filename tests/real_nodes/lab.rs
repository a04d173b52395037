//! The lab as a value: nodes that come up with it and go with it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

/// What a command said, with both streams as text.
#[derive(Debug)]
pub struct Said {
    /// The exit status.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A lab of real nodes with its own network; it goes when the value does.
pub struct Lab {
    name: String,
    info: Value,
    home: TempDir,
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab")
}

fn lab(args: &[&str]) -> Said {
    Command::new(program())
        .args(args)
        .output()
        .expect("tests/lab/lab runs")
        .into()
}

impl Lab {
    /// Brings up nodes (`name=suite:backend`) and peers.
    pub fn up(name: &str, nodes: &[&str], peers: usize) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "the lab's nodes need root: run `make lab` as root"
        );
        let peers = peers.to_string();
        let mut args = vec!["up", name];
        args.extend(nodes);
        args.extend(["--peers", &peers]);
        // A lab of that name from an interrupted run would bring its state with it.
        lab(&["down", name]);
        let said = lab(&args);
        assert_eq!(said.code, 0, "lab up: {}{}", said.out, said.err);
        let info = serde_json::from_str(&lab(&["info", name]).out).expect("lab info is JSON");
        Lab {
            name: name.to_string(),
            info,
            home: TempDir::new().expect("a directory for the inventory"),
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

    /// A node's first process as this machine numbers it; none while the node is off.
    pub fn leader(&self, node: &str) -> Option<u32> {
        let said = lab(&["info", &self.name]);
        let info: Value = serde_json::from_str(&said.out).expect("lab info is JSON");
        u32::try_from(info["nodes"][node]["leader"].as_u64()?).ok()
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

    /// Runs a shell script as root on a node.
    pub fn try_sh(&self, node: &str, script: &str) -> Said {
        lab(&["exec", &self.name, node, "--", "sh", "-c", script])
    }

    /// Runs one of the lab's own commands on this lab, and expects it to go well.
    pub fn lab(&self, command: &str, args: &[&str]) -> String {
        let mut all = vec![command, &self.name];
        all.extend(args);
        let said = lab(&all);
        assert_eq!(said.code, 0, "lab {all:?}: {}{}", said.out, said.err);
        said.out.trim().to_string()
    }

    /// Whether a connection gets its answer.
    pub fn reaches(&self, from: &str, address: &str, port: u16) -> bool {
        let said = lab(&[
            "probe",
            &self.name,
            from,
            address,
            &port.to_string(),
            "--timeout",
            "3",
        ]);
        assert_ne!(said.code, 2, "probe from {from}: {}", said.err);
        said.out.trim() == "open"
    }

    /// Writes an inventory; `body` is YAML, in which `{key}` stands for the lab's private key.
    pub fn inventory(&self, body: &str) -> PathBuf {
        let path = self.home.path().join("inventory.yml");
        let body = body.replace("{key}", &self.text(&["ssh", "key"]));
        fs::write(&path, body).expect("the inventory is written");
        path
    }

    /// The directory of the inventory, for files beside it.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The lab's known_hosts.
    pub fn known_hosts(&self) -> String {
        self.text(&["ssh", "known_hosts"])
    }

    /// A command that runs fwdeploy where the controller is.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(["net", &self.name, "--", env!("CARGO_BIN_EXE_fwdeploy")])
            .args(args)
            .env("NO_COLOR", "1")
            .env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs fwdeploy where the controller is, with the lab's known_hosts.
    pub fn fwdeploy(&self, command: &str, args: &[&str]) -> Said {
        let inventory = self.home.path().join("inventory.yml");
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
        // `LAB_KEEP=1` leaves the nodes of a failed test to be looked at.
        if std::env::var_os("LAB_KEEP").is_none() || !std::thread::panicking() {
            lab(&["down", &self.name]);
        }
    }
}

/// Waits until something holds, for as long as services take to come back on a busy machine.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(
            Instant::now() < until,
            "waited a minute in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}
