//! A simulated fleet: each node is a [`NodeState`] that steps change as [`plan::simulate`] does, and that fails on purpose.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use crate::engine::Compiled;
use crate::engine::Job;
use crate::engine::scripts::ReadScripts;
use crate::engine::scripts::WriteScripts;
use crate::model::Cidr;
use crate::model::Desired;
use crate::model::DirectRule;
use crate::model::Family;
use crate::model::NodeState;
use crate::model::Observed;
use crate::model::Records;
use crate::model::RichRule;
use crate::model::Rule;
use crate::model::node_builder::NodeBuilder;
use crate::model::node_builder::cybex_attachment;
use crate::model::node_builder::cybex_network;
use crate::model::records::Lease;
use crate::model::records::RunOutcome;
use crate::model::records::Snapshot;
use crate::model::state::Container;
use crate::model::state::Docker;
use crate::model::state::System;
use crate::model::state::Tables;
use crate::node::Arming;
use crate::plan;
use crate::plan::Action;
use crate::plan::Recovery;
use crate::transport::Cancel;
use crate::transport::ConnectError;
use crate::transport::Connection;
use crate::transport::Destination;
use crate::transport::Executed;
use crate::transport::Output;
use crate::transport::Partial;
use crate::transport::Privilege;
use crate::transport::RunError;
use crate::transport::Transport;
use crate::transport::Via;

/// What goes wrong on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// No connection is possible.
    Down,
    /// The look is never done.
    Hangs,
    /// A step fails, the first time it is tried.
    Fails(usize),
    /// A step fails, and the node cannot be rolled back.
    FailsBack(usize),
    /// The node cannot be armed.
    CannotArm,
    /// Another run has changed the node since it was read, this many times.
    Stale(usize),
    /// The node rolls back before the run is confirmed.
    Late,
    /// The node reports that it rolled back before the run was confirmed, but it did not.
    LateByWord,
    /// The node rolls back before the run is confirmed, reports it, and no connection is possible afterwards.
    LateAndGone,
    /// The node is no longer armed when the run is to be confirmed, and does not report why.
    Forgets,
    /// The connection ends on the way to the confirmation.
    LostConfirming,
    /// After the steps no new connection is possible, and the existing one is lost.
    CutOff,
    /// Another run holds the node.
    Busy,
    /// The connection ends after this many steps, and the script with it.
    LostAfter(usize),
    /// The connection ends after this many steps, and the script continues to its end.
    LostThere(usize),
    /// A step reports success but does nothing.
    Pretends(usize),
    /// After the steps no new connection is possible until the node has rolled back.
    LocksOut,
    /// A step fails, and leaves behind what no step explains.
    Spoils(usize),
    /// Once a run is confirmed, no other takes its first step.
    FailsOnceConfirmed,
    /// The node boots before the time to confirm is over.
    Boots,
    /// Nothing on the node ends a run that is not confirmed.
    NeverBack,
    /// Its records cannot be removed.
    CannotPurge,
    /// The program on this side breaks.
    Panics,
}

struct Node {
    state: NodeState,
    /// The state that an armed node rolls back to.
    armed: Option<NodeState>,
    /// Changes the state that the node rolls back to.
    spoil: Option<fn(&mut NodeState)>,
    /// The time to confirm.
    timeout: u64,
    /// The states that the snapshots hold, by their numbers.
    snapshots: BTreeMap<u64, NodeState>,
    trouble: Trouble,
    /// What the next looks see instead, one after the other; then the node is seen as it is.
    moments: VecDeque<fn(&mut NodeState)>,
    connections: usize,
    runs: usize,
}

/// A script that changes a node: its steps, or the snapshot that it restores.
type Script = (Arming, Vec<Action>, Option<u64>);

/// The fleet, the scripts that were written, and the answers that were given.
#[derive(Default)]
pub(super) struct Fake {
    nodes: BTreeMap<String, Mutex<Node>>,
    recoveries: Mutex<Vec<(Arming, Recovery)>>,
    scripts: Mutex<Vec<Script>>,
    answers: Mutex<Vec<NodeState>>,
}

impl Fake {
    pub(super) fn new(nodes: &[(&str, Trouble)]) -> Arc<Self> {
        Arc::new(Fake {
            nodes: nodes
                .iter()
                .map(|(name, trouble)| {
                    let node = Node {
                        state: open_node(),
                        armed: None,
                        spoil: None,
                        timeout: 0,
                        snapshots: BTreeMap::new(),
                        trouble: *trouble,
                        moments: VecDeque::new(),
                        connections: 0,
                        runs: 0,
                    };
                    (name.to_string(), Mutex::new(node))
                })
                .collect(),
            ..Fake::default()
        })
    }

    pub(super) fn jobs(&self) -> Vec<Job> {
        self.nodes.keys().map(|name| job(name)).collect()
    }

    pub(super) fn state(&self, node: &str) -> NodeState {
        self.nodes[node].lock().unwrap().state.clone()
    }

    pub(super) fn change(&self, node: &str, change: impl FnOnce(&mut NodeState)) {
        change(&mut self.nodes[node].lock().unwrap().state);
    }

    /// Lets the next looks see something of a moment.
    pub(super) fn moves(&self, node: &str, moments: &[fn(&mut NodeState)]) {
        let mut node = self.nodes[node].lock().unwrap();
        node.moments.extend(moments);
    }

    /// How many recoveries were sent.
    pub(super) fn recoveries(&self) -> usize {
        self.recoveries.lock().unwrap().len()
    }

    /// Lets something go wrong from now on.
    pub(super) fn has(&self, node: &str, trouble: Trouble) {
        self.nodes[node].lock().unwrap().trouble = trouble;
    }

    /// Changes what a snapshot holds.
    pub(super) fn snapshot(&self, node: &str, number: u64, change: impl FnOnce(&mut NodeState)) {
        let mut node = self.nodes[node].lock().unwrap();
        change(node.snapshots.get_mut(&number).unwrap());
    }

    /// Changes what the node comes back as.
    pub(super) fn comes_back_as(&self, node: &str, change: fn(&mut NodeState)) {
        self.nodes[node].lock().unwrap().spoil = Some(change);
    }

    /// The number of connections, and the number of scripts that were run.
    pub(super) fn visits(&self, node: &str) -> (usize, usize) {
        let node = self.nodes[node].lock().unwrap();
        (node.connections, node.runs)
    }
}

/// The way to the fleet.
pub(super) struct Way(pub(super) Arc<Fake>);

struct Line {
    fake: Arc<Fake>,
    node: String,
}

impl Transport for Way {
    fn connect(
        &self,
        destination: &Destination,
        _: &Cancel,
    ) -> Result<Box<dyn Connection>, ConnectError> {
        let mut node = self.0.nodes[&destination.node].lock().unwrap();
        node.connections += 1;
        let changed = node.state.permanent != open_node().permanent;
        match node.trouble {
            Trouble::Down => Err(ConnectError::Refused {
                at: destination.place(),
            }),
            Trouble::LocksOut | Trouble::CutOff if changed => Err(ConnectError::TimedOut {
                at: destination.place(),
                after: Duration::from_secs(10),
            }),
            Trouble::Panics => panic!("a mistake of ours"),
            _ => Ok(Box::new(Line {
                fake: Arc::clone(&self.0),
                node: destination.node.clone(),
            })),
        }
    }
}

impl Connection for Line {
    fn run(
        &mut self,
        script: &str,
        limit: Duration,
        on_stdout: &mut dyn FnMut(&[u8]),
        _: &Cancel,
    ) -> Result<Output, RunError> {
        let at = job(&self.node).destination.place();
        let mut node = self.fake.nodes[&self.node].lock().unwrap();
        node.runs += 1;
        let partial = |stdout: &str| {
            Box::new(Partial {
                stdout: stdout.as_bytes().to_vec(),
                stderr: Vec::new(),
                executed: Executed::Perhaps,
            })
        };
        let lost = |stdout: &str| RunError::Lost {
            at: at.clone(),
            reason: "connection reset".to_string(),
            partial: partial(stdout),
        };
        let said = |stdout: String| Output {
            stdout: stdout.into_bytes(),
            stderr: Vec::new(),
            status: 0,
        };
        if node.trouble == Trouble::CutOff && node.armed.is_some() {
            return Err(lost(""));
        }
        if script == "look" {
            if node.trouble == Trouble::Hangs {
                let partial = partial("");
                return Err(RunError::TimedOut { at, limit, partial });
            }
            if node.timeout == 0 && node.trouble != Trouble::NeverBack {
                let why = match node.trouble {
                    Trouble::Boots => "boot",
                    _ => "timer",
                };
                node.roll_back(why);
            }
            let mut answers = self.fake.answers.lock().unwrap();
            let mut seen = node.state.clone();
            if let Some(moment) = node.moments.pop_front() {
                moment(&mut seen);
            }
            answers.push(seen);
            return Ok(said((answers.len() - 1).to_string()));
        }
        if let Some(number) = script.strip_prefix("disarm ") {
            match node.trouble {
                Trouble::Late => node.roll_back("timer"),
                Trouble::LateByWord | Trouble::LateAndGone | Trouble::Forgets => {
                    let trouble = std::mem::replace(&mut node.trouble, Trouble::None);
                    match trouble {
                        Trouble::LateByWord => {
                            node.armed = None;
                            node.end(RunOutcome::Restored, "timer");
                        }
                        _ => node.roll_back("timer"),
                    }
                    let told = match trouble {
                        Trouble::Forgets => "outcome=armed\n",
                        _ => "outcome=restored\nended=12:00\nwhy=timer\n",
                    };
                    if trouble == Trouble::LateAndGone {
                        node.trouble = Trouble::Down;
                    }
                    return Ok(said(format!("gone {number}\n{told}end\n")));
                }
                Trouble::LostConfirming => {
                    node.trouble = Trouble::None;
                    node.confirm();
                    return Err(lost(""));
                }
                _ => {}
            }
            let gone = match node.confirm() {
                Some(_) => return Ok(said(format!("disarmed {number}\nend\n"))),
                None if node.trouble == Trouble::Late => {
                    "outcome=restored\nended=12:00\nwhy=timer\n"
                }
                None => "outcome=confirmed\n",
            };
            return Ok(said(format!("gone {number}\n{gone}end\n")));
        }
        if script == "purge" {
            if node.trouble == Trouble::CannotPurge {
                return Ok(said("kept\n| Read-only file system\nend\n".to_string()));
            }
            node.state.records = Observed::Known(Records::default());
            return Ok(said("purged\nend\n".to_string()));
        }
        if let Some(number) = script.strip_prefix("back ") {
            if matches!(node.trouble, Trouble::FailsBack(_)) {
                return Ok(said(format!(
                    "still {number}\noutcome=failed\ntrouble=firewalld did not reload\nend\n"
                )));
            }
            node.roll_back("now");
            return Ok(said(format!(
                "gone {number}\noutcome=restored\nended=12:00\nwhy=now\nend\n"
            )));
        }
        if let Some(number) = script.strip_prefix("again ") {
            if matches!(node.trouble, Trouble::FailsBack(_)) {
                return Ok(said(format!(
                    "still {number}\noutcome=failed\ntrouble=no room\nend\n"
                )));
            }
            node.state.records.known_mut().unwrap().lease = None;
            return Ok(said(format!(
                "gone {number}\noutcome=restored\nended=12:00\nwhy=now\nend\n"
            )));
        }
        if let Some(number) = script.strip_prefix("recover ") {
            let recoveries = self.fake.recoveries.lock().unwrap();
            let (arming, recovery) = &recoveries[number.parse::<usize>().unwrap()];
            let answer = node.recover(arming, recovery);
            on_stdout(answer.as_bytes());
            return Ok(said(answer));
        }
        let number = script.strip_prefix("apply ").expect("a script of the fake");
        let (arming, actions, to) =
            self.fake.scripts.lock().unwrap()[number.parse::<usize>().unwrap()].clone();
        let mut stdout = String::new();
        let refused = match node.trouble {
            Trouble::Busy => Some("75\n| eva@desk has been changing this node"),
            Trouble::CannotArm => Some("1\n| No space left on device"),
            Trouble::Stale(0) => None,
            Trouble::Stale(left) => {
                node.trouble = Trouble::Stale(left - 1);
                Some("76\n| another run has changed this node")
            }
            _ => None,
        };
        if let Some(refused) = refused {
            let refused = format!("arm failed {refused}\nend\n");
            on_stdout(refused.as_bytes());
            return Ok(said(refused));
        }
        node.arm(&arming);
        let mut quiet = false;
        let mut say = |line: String, quiet: bool| {
            if !quiet {
                on_stdout(line.as_bytes());
                stdout.push_str(&line);
            }
        };
        say(format!("armed {}\n", arming.last + 1), false);
        if let Some(to) = to {
            say("step 0 begin\n".to_string(), false);
            if node.trouble == Trouble::Fails(0) {
                node.trouble = Trouble::None;
                say(
                    "step 0 failed 1\n| COMMAND_FAILED: no such chain\nend\n".to_string(),
                    false,
                );
                return Ok(said(stdout));
            }
            let records = node.state.records.clone();
            node.state = node.snapshots[&to].clone();
            node.state.records = records;
            say("step 0 done\nend\n".to_string(), false);
            return Ok(said(stdout));
        }
        for (step, action) in actions.iter().enumerate() {
            say(format!("step {step} begin\n"), quiet);
            match node.trouble {
                Trouble::Fails(n) | Trouble::FailsBack(n) if n == step => {
                    if node.trouble == Trouble::Fails(n) {
                        node.trouble = Trouble::None;
                    }
                    say(
                        format!("step {step} failed 1\n| COMMAND_FAILED: no such chain\nend\n"),
                        quiet,
                    );
                    return Ok(said(stdout));
                }
                Trouble::Spoils(n) if n == step => {
                    node.trouble = Trouble::None;
                    // A change that the rollback does not know of.
                    if let Some(before) = &mut node.armed {
                        before.runtime.rich = Observed::Known(Vec::new());
                        before.kernel.v4 = Observed::Known(Tables::default());
                    }
                    say(
                        format!("step {step} failed 1\n| INTERNAL_ERROR\nend\n"),
                        quiet,
                    );
                    return Ok(said(stdout));
                }
                Trouble::LostAfter(n) if n == step => {
                    node.trouble = Trouble::None;
                    return Err(lost(&stdout));
                }
                Trouble::LostThere(n) if n == step => {
                    node.trouble = Trouble::None;
                    quiet = true;
                }
                Trouble::Pretends(n) if n == step => {
                    say(format!("step {step} done\n"), quiet);
                    continue;
                }
                _ => {}
            }
            node.state = plan::simulate(&node.state, action);
            say(format!("step {step} done\n"), quiet);
        }
        if quiet {
            return Err(lost(&stdout));
        }
        say("end\n".to_string(), quiet);
        Ok(said(stdout))
    }
}

impl Node {
    fn arm(&mut self, arming: &Arming) {
        self.timeout = arming.timeout;
        self.snapshots.insert(arming.last + 1, self.state.clone());
        self.armed = Some(self.state.clone());
        let about = |key| {
            let mut about = arming.about.iter();
            about.find(|(k, _)| *k == key).unwrap().1.clone()
        };
        for state in [Some(&mut self.state), self.armed.as_mut()]
            .into_iter()
            .flatten()
        {
            let records = state.records.known_mut().unwrap();
            records.last = arming.last + 1;
            records.snapshots.push(Snapshot {
                number: arming.last + 1,
                run: about("run"),
                operator: about("operator"),
                what: about("what"),
                policy: about("policy"),
                until: "2026-11-22T12:00:00Z".to_string(),
                ..Snapshot::default()
            });
        }
        let number = arming.last + 1;
        self.state.records.known_mut().unwrap().lease = Some(Lease {
            number,
            alive: true,
            left: Some(1),
            restore_failed: false,
            trouble: Vec::new(),
            missing: Vec::new(),
            step: "0".to_string(),
        });
    }

    /// Does a recovery; what jumps to NOWHERE cannot be loaded.
    fn recover(&mut self, arming: &Arming, recovery: &Recovery) -> String {
        if let Recovery::Release { .. } = recovery {
            self.state.records.known_mut().unwrap().lease = None;
            return "step 0 begin\nstep 0 done\nend\n".to_string();
        }
        self.arm(arming);
        let mut answer = format!(
            "armed {}\nstep 0 begin\nstep 0 done\nstep 1 begin\n",
            arming.last + 1
        );
        match self.trouble {
            Trouble::Fails(1) => {
                return answer + "step 1 failed 1\n| firewalld did not reload\nend\n";
            }
            Trouble::Pretends(1) => {}
            _ => {
                let direct = self.state.permanent.direct.known_mut().unwrap();
                let bad = |rule: &DirectRule| rule.args.contains(&"NOWHERE".to_string());
                if let Some(place) = direct.rules.iter().position(bad) {
                    let place = direct.chains.len() + place;
                    answer.push_str(&format!("aside {place} no such chain\n"));
                }
                direct.rules.retain(|rule| !bad(rule));
                self.state.firewalld.known_mut().unwrap().state = "RUNNING".to_string();
            }
        }
        answer + "step 1 done\nstep 2 begin\nstep 2 done\nend\n"
    }

    fn confirm(&mut self) -> Option<NodeState> {
        let before = self.armed.take()?;
        self.end(RunOutcome::Confirmed, "");
        if self.trouble == Trouble::FailsOnceConfirmed {
            self.trouble = Trouble::Fails(0);
        }
        Some(before)
    }

    fn roll_back(&mut self, why: &str) {
        if let Some(before) = self.armed.take() {
            self.state = before;
            if let Some(spoil) = self.spoil {
                spoil(&mut self.state);
            }
            self.end(RunOutcome::Restored, why);
        }
    }

    fn end(&mut self, outcome: RunOutcome, why: &str) {
        let records = self.state.records.known_mut().unwrap();
        records.lease = None;
        let last = records.snapshots.last_mut().unwrap();
        last.outcome = outcome;
        last.ended = "2026-11-22T12:00:02Z".to_string();
        last.late = Some(2);
        last.why = why.to_string();
        last.how = "in place".to_string();
    }
}

impl ReadScripts for Fake {
    fn look(&self, _: &Desired) -> String {
        "look".to_string()
    }

    fn observe(&self, answer: &Output) -> Result<NodeState, String> {
        let number = String::from_utf8_lossy(&answer.stdout);
        let number: usize = number.parse().map_err(|_| "no number".to_string())?;
        Ok(self.answers.lock().unwrap()[number].clone())
    }
}

impl WriteScripts for Fake {
    fn apply(&self, arming: &Arming, actions: &[Action]) -> String {
        let mut scripts = self.scripts.lock().unwrap();
        scripts.push((arming.clone(), actions.to_vec(), None));
        format!("apply {}", scripts.len() - 1)
    }

    fn roll_back(&self, arming: &Arming, _: &NodeState, to: u64) -> String {
        let mut scripts = self.scripts.lock().unwrap();
        scripts.push((arming.clone(), Vec::new(), Some(to)));
        format!("apply {}", scripts.len() - 1)
    }

    fn recover(&self, arming: &Arming, recovery: &Recovery) -> String {
        let mut recoveries = self.recoveries.lock().unwrap();
        recoveries.push((arming.clone(), recovery.clone()));
        format!("recover {}", recoveries.len() - 1)
    }

    fn retry_restore(&self, number: u64) -> String {
        format!("again {number}")
    }

    fn disarm(&self, number: u64) -> String {
        format!("disarm {number}")
    }

    fn purge(&self) -> String {
        "purge".to_string()
    }

    fn revert(&self, number: u64) -> String {
        format!("back {number}")
    }
}

pub(super) fn job(node: &str) -> Job {
    let destination = Destination {
        node: node.to_string(),
        via: Via::Ssh,
        address: "192.0.2.1".to_string(),
        port: 22,
        user: None,
        key_file: None,
        arguments: Default::default(),
        privilege: Privilege::AsIs,
    };
    let requires = Compiled {
        desired: Arc::new(desired()),
        policy: "0123456789abcdef".to_string(),
    };
    Job::new(destination, Arc::new(requires))
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

/// One container that one peer may reach, and that may reach one peer.
pub(super) fn desired() -> Desired {
    let container: IpAddr = "172.20.0.2".parse().unwrap();
    let rules = [
        (
            0,
            "-m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment fwdeploy:cybex/established -j ACCEPT",
        ),
        (
            100,
            "-s 192.0.2.7 -d 172.20.0.2 -p tcp --dport 5000 -m conntrack --ctstate DNAT -m comment --comment fwdeploy:cybex/p2p -j ACCEPT",
        ),
        (
            200,
            "-s 172.20.0.2 -d 192.0.2.7 -m comment --comment fwdeploy:cybex/p2p -j ACCEPT",
        ),
        (
            900,
            "! -s 172.20.0.0/16 -d 172.20.0.0/16 -m comment --comment fwdeploy:cybex/otherwise-in -j REJECT",
        ),
        (
            1000,
            "-s 172.20.0.0/16 ! -d 172.20.0.0/16 -m comment --comment fwdeploy:cybex/otherwise-out -j REJECT",
        ),
    ];
    Desired {
        networks: vec![cybex_network()],
        attachments: vec![cybex_attachment("cybex")],
        rules: rules
            .iter()
            .map(|(priority, text)| {
                DirectRule::ours(Family::V4, *priority, Rule::parse_text(text).unwrap())
            })
            .collect(),
        rich: vec![RichRule::Forward {
            family: Family::V4,
            source: Some(cidr("192.0.2.7").into()),
            service: "5000/tcp".parse().unwrap(),
            to_ports: "5000".parse().unwrap(),
            to: container,
        }],
        ..Desired::default()
    }
}

/// A node without a whitelist.
pub(super) fn open_node() -> NodeState {
    let interfaces = ["docker0", "br-cybex"].map(String::from).to_vec();
    NodeBuilder::new()
        .system(System {
            nft: true,
            busctl: true,
            docker: true,
            ..System::default()
        })
        .firewalld("2.3.1", "nftables")
        .active_zones(BTreeMap::from([("docker".to_string(), interfaces)]))
        .chain(Family::V4, "filter", "DOCKER", &[])
        .chain(Family::V4, "filter", "DOCKER-USER", &["-j RETURN"])
        .chain(
            Family::V4,
            "filter",
            "FORWARD",
            &["-j DOCKER-USER", "-j DOCKER-FORWARD"],
        )
        .chain(Family::V4, "nat", "PREROUTING", &["-j DOCKER"])
        .docker(Docker {
            version: "28.5.2".to_string(),
            containers: vec![Container {
                name: "cybex".to_string(),
                running: true,
                ..Container::default()
            }],
            ..Docker::default()
        })
        .build()
}
