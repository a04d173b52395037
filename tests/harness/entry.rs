//! The way into a node from the machine that it runs on.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A node that runs: the namespaces of its first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The node's first process, as this machine numbers it.
    pub leader: u32,
}

impl Entry {
    /// The cgroup in which all processes of a node are.
    pub fn processes(lab: &str, node: &str) -> PathBuf {
        cgroup(lab).join(node).join("payload")
    }

    /// Finds the first process of a node, by its cgroup; none while the node is off.
    pub fn find(processes: &Path) -> Option<Self> {
        let groups = [processes.join("init.scope"), processes.to_path_buf()];
        let pids = groups
            .iter()
            .filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok());
        let pids: Vec<u32> = pids
            .flat_map(|text| text.lines().flat_map(str::parse).collect::<Vec<_>>())
            .collect();
        let leader = pids.into_iter().find(|pid| is_first(*pid))?;
        Some(Entry { leader })
    }

    /// The words ahead of a command that is to run as root on the node, with an environment of its own.
    pub fn words(self) -> Vec<String> {
        let leader = self.leader.to_string();
        [
            "nsenter", "-t", &leader, "-a", "--root", "--wd", "--", "env", "-i",
        ]
        .into_iter()
        .chain([
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            "LANG=C.UTF-8",
            "TERM=dumb",
        ])
        .map(String::from)
        .collect()
    }

    /// A command as root on the node.
    pub fn command(self, words: &[&str]) -> Command {
        let entering = self.words();
        let mut command = Command::new(&entering[0]);
        command.args(&entering[1..]).args(words);
        command
    }

    /// A file of the node, as this machine sees it.
    pub fn path(self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.leader))
    }
}

/// The cgroup of a lab, below where cgroup2 is mounted (tests/lab/lab, `Cgroup`).
fn cgroup(lab: &str) -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("there are mounts");
    let mount = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|fields| fields[2] == "cgroup2")
        .map(|fields| fields[1].to_string())
        .expect("cgroup2 is mounted");
    Path::new(&mount).join("fwdeploy-lab").join(lab)
}

/// The processor time of the nodes of a lab since it was brought up; zero if the kernel does not report it.
pub fn processor_time(lab: &str) -> Duration {
    let stat = fs::read_to_string(cgroup(lab).join("cpu.stat")).unwrap_or_default();
    let used = stat
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok());
    Duration::from_micros(used.unwrap_or_default())
}

/// Whether a process is the first one of a node: it has a second number, which is 1.
fn is_first(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .is_some_and(|numbers| numbers.split_whitespace().skip(1).eq(["1"]))
}
