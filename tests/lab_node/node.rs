//! The nodes of the lab: bringing them up, running commands on them, and executing plans.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::process::Command;
use std::process::Stdio;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;
use std::time::Instant;

use fwdeploy::model::Family;
use fwdeploy::node::Said;
use fwdeploy::node::StepFailure;
use fwdeploy::node::Steps;
use fwdeploy::node::StepsError;
use fwdeploy::node::apply;
use fwdeploy::plan::Action;

use crate::harness::lab::Lab;
use crate::harness::lab::Stay;

const NODES: [(&str, &str); 8] = [
    ("a", "bullseye"),
    ("b", "bookworm"),
    ("c", "trixie"),
    ("d", "forky"),
    ("e", "bullseye:iptables"),
    ("f", "bookworm:iptables"),
    ("g", "trixie:iptables"),
    ("h", "forky:iptables"),
];
pub(crate) const SUBNET: &str = "172.30.0.0/24";
pub(crate) const CONTAINER: &str = "172.30.0.2";

/// What every test begins with: a chain's network with two containers, one of them published, and a third elsewhere.
const CONTAINERS: &str = r#"
for c in one two three; do docker rm -f $c; done >/dev/null 2>&1
docker network rm chain >/dev/null 2>&1
set -e
docker network create --subnet 172.30.0.0/24 -o com.docker.network.bridge.name=br-chain chain >/dev/null
docker run -d --name one --network chain --ip 172.30.0.2 fwdeploy-lab:latest >/dev/null
docker run -d --name two --network chain --ip 172.30.0.3 -p 8090:8090 fwdeploy-lab:latest >/dev/null
docker run -d --name three -p 8888:8888 fwdeploy-lab:latest >/dev/null
"#;

const AS_WANTED: &str = r#"
set -e
docker ps --format '{{.Names}}' | sort | tr '\n' ' ' | grep -qx 'one three two '
[ "$(docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{$v.IPAddress}}{{end}}' one)" = chain172.30.0.2 ]
[ "$(docker inspect -f '{{len .NetworkSettings.Networks}}' one two three | tr -d '\n')" = 111 ]
[ "$(docker network ls -q | wc -l)" = 4 ]
"#;

/// Removes everything of fwdeploy, and makes Docker and firewalld notify each other.
const FRESH: &str = r#"
set -e
call() { busctl --auto-start=no call -- org.fedoraproject.FirewallD1 "$@"; }
f=org.fedoraproject.FirewallD1
[ "$(call /org/fedoraproject/FirewallD1 $f.direct getAllChains)" = 'a(sss) 0' ]
[ "$(call /org/fedoraproject/FirewallD1 $f.direct getAllRules)" = 'a(sssias) 0' ]
[ "$(call /org/fedoraproject/FirewallD1 $f.zone getRichRules s public)" = 'as 0' ]
[ "$(call /org/fedoraproject/FirewallD1/config $f.config.direct getSettings)" = '(a(sss)a(sssias)a(sas)) 0 0 0' ]
call /org/fedoraproject/FirewallD1 $f.zone getActiveZones | grep -q '"docker0"'
! nft list tables | grep -q fwdeploy
[ "$(iptables-save -t filter | grep DOCKER-USER | grep -vx -e ':DOCKER-USER - .*' -e '-A DOCKER-USER -j RETURN')" = '-A FORWARD -j DOCKER-USER' ]
"#;

/// The lab with these nodes and two peers, which is kept for the next test. Its name can be set, so two labs can run at a time.
pub(crate) static LAB: LazyLock<Lab> = LazyLock::new(|| {
    let name = std::env::var("FWDEPLOY_LAB_NAME").unwrap_or_else(|_| "node".to_string());
    let specs: Vec<String> = nodes().map(|(n, s)| format!("{n}={s}")).collect();
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    Lab::with(&name, &specs, 2, Stay::Shared)
});

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The nodes, or those whose names are in `FWDEPLOY_LAB_NODES`.
fn nodes() -> impl Iterator<Item = (&'static str, &'static str)> {
    let only = std::env::var("FWDEPLOY_LAB_NODES").unwrap_or_default();
    NODES
        .into_iter()
        .filter(move |(name, _)| only.is_empty() || only.contains(name))
}

/// Runs a test on every node, one node at a time: two cores would measure each other.
pub(crate) fn on_every_node(test: impl Fn(&Node)) {
    let _guard: MutexGuard<'_, ()> = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for (name, suite) in nodes() {
        eprintln!("-- {name} {suite}");
        let node = Node { name, suite };
        node.prepare();
        test(&node);
    }
}

pub(crate) fn peer(name: &str) -> IpAddr {
    LAB.peer(name).parse().expect("an address")
}

pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) suite: &'static str,
}

/// What the plan did and when, by this machine's clock, which is the node's too.
pub(crate) struct Taken {
    pub(crate) outcome: Result<(), StepsError>,
    pub(crate) done: BTreeMap<usize, Instant>,
    pub(crate) time: Duration,
}

impl Node {
    /// What a failed test has left behind would be blamed on the next one.
    pub(crate) fn prepare(&self) {
        if !self.is("fresh", FRESH) {
            LAB.lab("reset", &[self.name]);
            // A dockerd that began before firewalld does not know of it.
            self.sh("systemctl restart docker");
        }
        if !self.is("as wanted", AS_WANTED) {
            self.sh(CONTAINERS);
        }
        assert!(self.is("fresh", FRESH));
    }

    pub(crate) fn is(&self, what: &str, script: &str) -> bool {
        let is = LAB.try_sh(self.name, script).code == 0;
        if !is {
            eprintln!("   is not {what}");
        }
        is
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        LAB.node_command(self.name, words)
    }

    /// Runs a script that must succeed, and returns what it printed.
    pub(crate) fn sh(&self, script: &str) -> String {
        LAB.sh(self.name, script)
    }

    pub(crate) fn take_as(&self, shell: &[&str], actions: &[Action]) -> Taken {
        let mut child = self
            .command(shell)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let script = apply(actions);
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
        let began = Instant::now();
        let mut steps = Steps::new();
        let mut done = BTreeMap::new();
        let mut stdout = child.stdout.take().unwrap();
        let mut piece = [0; 4096];
        loop {
            let n = stdout.read(&mut piece).unwrap();
            if n == 0 {
                break;
            }
            for said in steps.feed(&piece[..n]) {
                if let Said::Done(step) = said {
                    done.insert(step, Instant::now());
                }
            }
        }
        let status = child.wait().unwrap();
        writer.join().unwrap().unwrap();
        let outcome = steps.outcome(actions.len());
        assert_eq!(status.success(), outcome.is_ok());
        Taken {
            outcome,
            done,
            time: began.elapsed(),
        }
    }

    /// Takes steps that must succeed.
    pub(crate) fn take(&self, actions: &[Action]) -> Taken {
        let taken = self.take_as(&["sh", "-s"], actions);
        if let Err(e) = &taken.outcome {
            panic!("{} {}: {e}", self.name, self.suite);
        }
        taken
    }

    /// Executes steps of which the last must fail, without a visible change; returns the reason.
    pub(crate) fn refuses(&self, actions: &[Action]) -> String {
        self.refuses_as(&["sh", "-s"], actions)
    }

    pub(crate) fn refuses_as(&self, shell: &[&str], actions: &[Action]) -> String {
        let before = self.everything();
        match self.take_as(shell, actions).outcome {
            Err(StepsError::Failed(StepFailure { step, answer, .. })) => {
                assert_eq!(step, actions.len() - 1, "{answer}");
                // Docker may recreate a container's rules in another order.
                let sorted = |text: &str| -> String {
                    let mut lines: Vec<&str> = text.lines().collect();
                    lines.sort_unstable();
                    lines.join("\n")
                };
                match actions.last() {
                    Some(Action::Connect { .. }) => {
                        assert_same(&sorted(&before), &sorted(&self.everything()), self);
                    }
                    _ => assert_same(&before, &self.everything(), self),
                }
                answer
            }
            other => panic!("{}: {other:?}", self.name),
        }
    }

    /// Takes steps back in reverse order.
    pub(crate) fn take_back(&self, actions: &[Action]) {
        let undo: Vec<Action> = actions.iter().rev().map(Action::undo).collect();
        self.take(&undo);
    }

    /// Every table of the kernel, line for line, but for counters and for tables in which there is nothing.
    pub(crate) fn kernel(&self) -> String {
        let saved = self.sh("iptables-save; ip6tables-save; ebtables-save");
        let mut out = String::new();
        for table in saved.split_inclusive("COMMIT\n") {
            let lines: Vec<&str> = table
                .lines()
                .filter(|l| !l.is_empty() && !l.starts_with('#'))
                .map(|l| l.split(" [").next().unwrap_or(l))
                .collect();
            let is_empty = lines.iter().all(|l| {
                l.starts_with('*') || *l == "COMMIT" || l.ends_with(" ACCEPT") && l.starts_with(':')
            });
            if !is_empty {
                out.push_str(&lines.join("\n"));
                out.push('\n');
            }
        }
        out
    }

    pub(crate) fn chain(&self, family: Family) -> Vec<String> {
        let saved = self.sh(&format!("{}-save -t filter", family.iptables()));
        let lines = saved.lines();
        lines
            .filter_map(|l| l.strip_prefix("-A DOCKER-USER "))
            .map(String::from)
            .collect()
    }

    pub(crate) fn forward(&self, family: Family) -> Vec<String> {
        let saved = self.sh(&format!("{}-save -t filter", family.iptables()));
        let lines = saved.lines();
        lines
            .filter_map(|l| l.strip_prefix("-A FORWARD "))
            .map(String::from)
            .collect()
    }

    pub(crate) fn call(&self, path: &str, interface: &str, words: &str) -> String {
        self.sh(&format!(
            "busctl --auto-start=no call -- org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1{path} org.fedoraproject.FirewallD1{interface} {words} 2>&1 || :"
        ))
    }

    pub(crate) fn owns(&self, family: Family) -> bool {
        let answer = self.call(
            "",
            ".direct",
            &format!("queryChain sss {family} filter DOCKER-USER"),
        );
        answer == "b true\n"
    }

    /// All that a step can change.
    pub(crate) fn everything(&self) -> String {
        [
            self.kernel(),
            self.call("", ".direct", "getAllChains"),
            self.call("", ".direct", "getAllRules"),
            self.call("", ".zone", "getRichRules s public"),
            self.call("/config", ".config.direct", "getSettings"),
            self.sh("nft list tables | grep fwdeploy; cat /etc/firewalld/direct.xml /etc/firewalld/zones/public.xml 2>/dev/null; systemctl is-active firewalld || :"),
        ]
        .concat()
    }
}

#[track_caller]
pub(crate) fn assert_same(before: &str, after: &str, node: &Node) {
    if before == after {
        return;
    }
    let difference = |these: &str, those: &str, sign: &str| {
        let those: Vec<&str> = those.lines().collect();
        let only: Vec<String> = these
            .lines()
            .filter(|l| !those.contains(l))
            .map(|l| format!("{sign} {l}\n"))
            .collect();
        only.concat()
    };
    panic!(
        "{} {}:\n{}{}(or the order)",
        node.name,
        node.suite,
        difference(before, after, "-"),
        difference(after, before, "+")
    );
}
