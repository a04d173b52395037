//! A node as the machine that it runs on sees it: its files, its processes, its plug.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use crate::cell::slow;
use crate::harness::entry::Entry;
use crate::harness::lab::Lab;
use crate::harness::said::Said;
use crate::state;
use crate::state::Seen;

/// How long a node may take to boot, or to be made afresh.
const BOOT: Duration = Duration::from_secs(90);

/// What every node is given, once.
const SETUP: &str = r#"
set -e
mkdir -p /etc/systemd/system/docker.service.d /usr/local/lib/fault
# systemd gives up on a Docker that is killed more often than three times a minute.
printf '[Unit]\nStartLimitIntervalSec=0\n' >/etc/systemd/system/docker.service.d/fault.conf
systemctl daemon-reload
docker network create --subnet 172.29.0.0/24 -o com.docker.network.bridge.name=br-other other
docker run -d --name shop --network other --ip 172.29.0.2 --restart always -p 8090:8090 fwdeploy-lab:latest
docker run -d --name cybex --restart always fwdeploy-lab:latest
"#;

/// Puts firewalld's configuration behind links: the folder elsewhere, a file in it outside of it, another one inside.
const LINKS: &str = r#"
set -e
systemctl stop firewalld
mkdir -p /srv/kept
mv /etc/firewalld /srv/firewalld
ln -s /srv/firewalld /etc/firewalld
cd /srv/firewalld
[ -e direct.xml ] || printf '<?xml version="1.0" encoding="utf-8"?>\n<direct>\n</direct>\n' >direct.xml
mv direct.xml /srv/kept/direct.xml
ln -s /srv/kept/direct.xml direct.xml
[ -e zones/public.xml ] || cp /usr/lib/firewalld/zones/public.xml zones/public.xml
mkdir -p kept
mv zones/public.xml kept/public.xml
ln -s ../kept/public.xml zones/public.xml
systemctl start firewalld
until busctl --auto-start=no call -- org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 org.freedesktop.DBus.Properties Get ss \
    org.fedoraproject.FirewallD1 state 2>&1 | grep -q RUNNING; do sleep 0.2; done
# It puts its rules back when firewalld has started, and would do so while the next networks are made.
systemctl restart docker
"#;

/// The tools that steps, arming and disarming call.
const SHIMMED: [&str; 11] = [
    "busctl",
    "mkfifo",
    "docker",
    "nft",
    "iptables-restore",
    "ip6tables-restore",
    "ebtables-restore",
    "iptables-save",
    "systemd-run",
    "systemctl",
    "date",
];

/// A node.
#[derive(Clone)]
pub struct Node {
    lab: Arc<Lab>,
    /// Its name in the lab and in the inventory.
    pub name: String,
    /// Whether firewalld's configuration is behind links.
    linked: bool,
    leader: Arc<AtomicU32>,
    processes: PathBuf,
}

impl Node {
    /// A node of a lab that is up.
    pub fn new(lab: &Arc<Lab>, name: &str, linked: bool) -> Self {
        let node = Node {
            lab: Arc::clone(lab),
            name: name.to_string(),
            linked,
            leader: Arc::new(AtomicU32::new(0)),
            processes: lab.processes(name),
        };
        node.find();
        node
    }

    /// Its suite and backend.
    pub fn kind(&self) -> String {
        let (suite, backend) = self.lab.kind(&self.name);
        let links = if self.linked {
            ", its files behind links"
        } else {
            ""
        };
        format!("{suite}, {backend}{links}")
    }

    /// Finds its first process.
    fn find(&self) -> bool {
        let found = Entry::find(&self.processes).map_or(0, |entry| entry.leader);
        let before = self.leader.swap(found, Ordering::SeqCst);
        found != 0 && found != before
    }

    /// The way in, by the first process that was found last.
    fn entry(&self) -> Entry {
        Entry {
            leader: self.leader.load(Ordering::SeqCst),
        }
    }

    /// A file of the node.
    pub fn path(&self, path: &str) -> PathBuf {
        self.entry().path(path)
    }

    /// Whether a file is there; a dangling link is.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Writes a file of the node.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {}: {e}", self.name, path.display()));
    }

    /// Runs a shell script as root on the node.
    pub fn try_sh(&self, script: &str) -> Said {
        Command::new("timeout")
            .args(["-k", "1", "60"])
            .args(self.entry().words())
            .args(["sh", "-c", script])
            .stdin(Stdio::null())
            .output()
            .expect("nsenter runs")
            .into()
    }

    /// Runs a shell script as root on the node, and expects it to go well.
    pub fn sh(&self, script: &str) -> String {
        let said = self.try_sh(script);
        assert_eq!(
            said.code, 0,
            "{}: {script}\n{}{}",
            self.name, said.out, said.err
        );
        said.out
    }

    /// A command where the controller is.
    pub fn controller(&self, program: &str) -> Command {
        let mut command = self.lab.controller_command(program);
        command.env("NO_COLOR", "1");
        command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        command
    }

    /// What it holds; nothing while it does not answer.
    pub fn look(&self) -> Option<Seen> {
        Seen::read(&self.try_sh(state::SCRIPT).out)
    }

    /// Whether a new ssh connection gets its answer.
    pub fn ssh_works(&self) -> bool {
        let known_hosts = format!("UserKnownHostsFile={}", self.lab.known_hosts());
        self.controller("ssh")
            .args(["-F", "none", "-i", &self.lab.key(), "-o", &known_hosts])
            .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=5"])
            .args([&format!("root@{}", self.lab.address(&self.name)), "true"])
            .output()
            .is_ok_and(|output| output.status.success())
    }

    /// Throws its disk away, and gives it what the matrix needs.
    pub fn make_afresh(&self) {
        self.lab.lab("reset", &[&self.name]);
        self.find();
        if self.linked {
            self.sh(LINKS);
        }
        self.sh(SETUP);
        fs::write(
            self.path("/usr/local/lib/fault/shim"),
            include_str!("shim.sh"),
        )
        .expect("the shim is written");
        self.sh(&format!(
            "chmod 755 /usr/local/lib/fault/shim; for tool in {}; do ln -sf /usr/local/lib/fault/shim /usr/local/sbin/$tool; done",
            SHIMMED.join(" ")
        ));
        // Docker puts rules of networks that were made in its own lifetime in other places than those it found.
        self.sh("systemctl restart docker");
    }

    /// Pulls the plug. The lab starts it again at once.
    pub fn pull_the_plug(&self) {
        let leader = i32::try_from(self.entry().leader)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(leader) = leader {
            let _ = rustix::process::kill_process(leader, rustix::process::Signal::KILL);
        }
    }

    /// Waits until it has another first process.
    pub fn comes_up(&self) -> bool {
        let until = Instant::now() + BOOT * slow();
        let was = self.entry();
        while !(self.find() && self.entry() != was) {
            if Instant::now() > until {
                return false;
            }
            sleep(Duration::from_millis(20));
        }
        true
    }

    /// The directory of the processes that roll the node back, while there are any.
    pub fn restore_unit(&self) -> Option<PathBuf> {
        let units = fs::read_dir(self.processes.join("system.slice"));
        let units = units.into_iter().flatten().flatten();
        units.map(|unit| unit.path()).find(|unit| {
            let name = unit.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("fwdeploy-")
                && name.ends_with(".service")
                && fs::read_to_string(unit.join("cgroup.procs")).is_ok_and(|p| !p.is_empty())
        })
    }

    /// Waits until it is rolling a run back; false if it has booted and is not.
    pub fn restores(&self) -> bool {
        let until = Instant::now() + BOOT * slow();
        let mut asked = Instant::now();
        while Instant::now() < until {
            if self.restore_unit().is_some() {
                return true;
            }
            if asked.elapsed() > Duration::from_millis(500) {
                asked = Instant::now();
                if self.is_running() {
                    return false;
                }
            }
            sleep(Duration::from_millis(5));
        }
        false
    }

    /// Whether systemd there has started all it starts.
    fn is_running(&self) -> bool {
        let said = self.try_sh("systemctl is-system-running");
        matches!(said.out.trim(), "running" | "degraded")
    }

    /// Waits until it has another first process, and systemd there has started all it starts.
    pub fn boots(&self) -> bool {
        let until = Instant::now() + BOOT * slow();
        if !self.comes_up() {
            return false;
        }
        while Instant::now() < until {
            if self.is_running() {
                return true;
            }
            sleep(Duration::from_millis(200));
        }
        false
    }

    /// Takes its cable out of the switch, or puts it back.
    pub fn cable(&self, plugged: bool) {
        let index =
            fs::read_to_string(self.path("/sys/class/net/host0/iflink")).unwrap_or_default();
        let links = Command::new("ip")
            .args(["-n", &self.lab.netns(), "-o", "link"])
            .output()
            .expect("ip runs");
        let links = String::from_utf8_lossy(&links.stdout).into_owned();
        let port = links
            .lines()
            .find_map(|l| l.strip_prefix(&format!("{}: ", index.trim())))
            .and_then(|l| l.split(['@', ':']).next())
            .unwrap_or_else(|| panic!("{}: no port {index} in {links}", self.name));
        let state = if plugged { "up" } else { "down" };
        let done = Command::new("ip")
            .args(["-n", &self.lab.netns(), "link", "set", port, state])
            .status();
        assert!(done.is_ok_and(|s| s.success()), "{port} {state}");
    }
}
