//! How a worker brings its node to the starting state of the cells, and what it must know about it beforehand.

use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use crate::cell::slow;
use crate::fault::Fault;
use crate::matrix::Row;
use crate::state::Seen;
use crate::worker::Known;
use crate::worker::Place;
use crate::worker::Worker;

impl Worker<'_> {
    /// Makes it an unmanaged node.
    pub fn at_first(&self) {
        self.node.make_afresh();
        self.settled();
        self.misplace_the_jump();
    }

    /// Puts the jump where Docker 20.10 to 27 leaves it after a reload of firewalld, so that there is a step for it.
    pub fn misplace_the_jump(&self) {
        self.node
            .sh("iptables -w -D FORWARD -j DOCKER-USER; iptables -w -A FORWARD -j DOCKER-USER");
    }

    /// Learns what becomes of a state by the faults of the world.
    pub fn learn(&self, known: &mut Known, place: Place) {
        for fault in [Fault::FirewalldStopped, Fault::DockerdKilled, Fault::Reboot] {
            if fault == Fault::Reboot {
                self.node.pull_the_plug();
                assert!(self.node.boots(), "{} boots", self.node.name);
            } else {
                self.node.sh(fault.alone());
            }
            known.moved.push(self.settled().state);
            if place == Place::Fresh {
                self.misplace_the_jump();
            }
        }
    }

    /// Learns what a rollback across a subnet leaves to a firewalld that starts after it: Docker 20.10 to 27 then restores the rules of the
    /// network that no longer exists, until Docker itself is restarted.
    pub fn learn_what_docker_remembers(&self, back: &mut Known) {
        self.at_first();
        self.run(Place::One);
        self.run(Place::Subnet);
        self.run_with(&self.args(None, &[]));
        self.node.sh(Fault::FirewalldStopped.alone());
        back.moved.push(self.settled().state);
    }

    /// Waits until everything runs and two looks agree.
    pub fn settled(&self) -> Seen {
        let until = Instant::now() + Duration::from_secs(60) * slow();
        let mut last: Option<Seen> = None;
        loop {
            let seen = self.node.look();
            match (seen, &last) {
                (Some(seen), Some(last)) if seen.starts.len() == 2 && seen.state == last.state => {
                    return seen;
                }
                (seen, _) => last = seen,
            }
            assert!(
                Instant::now() < until,
                "{} does not settle: {last:#?}",
                self.node.name
            );
            sleep(Duration::from_millis(700));
        }
    }

    /// The arguments of the run that leads there, or of a rollback.
    pub fn args(&self, to: Option<Place>, more: &[&str]) -> Vec<String> {
        let [first, second, third] = &self.peers;
        let inventory = self.inventory.to_string_lossy();
        let mut args = vec![if to.is_some() { "run" } else { "rollback" }];
        args.extend([&*inventory, "--known-hosts", &self.known_hosts]);
        args.extend(["-l", &self.node.name, "--json", "-v"]);
        let connect = (5 * slow()).to_string();
        args.extend(["-T", &connect]);
        let command = (40 * slow()).to_string();
        args.extend(["--command-timeout", &command]);
        let peers = match to {
            Some(Place::Two) => format!("{{\"cybex_peers\": [\"{first}\", \"{third}\"]}}"),
            _ => format!("{{\"cybex_peers\": [\"{first}\", \"{second}\"]}}"),
        };
        if to.is_some() {
            args.extend(["-e", &peers]);
        }
        match to {
            Some(Place::Fresh) => panic!("no run leads there"),
            Some(Place::Address) => args.extend(["-e", "cybex_address=172.20.0.9"]),
            Some(Place::Subnet) => args.extend([
                "-e",
                "cybex_subnet=172.21.0.0/16",
                "-e",
                "cybex_address=172.21.0.2",
                "--replace-network",
            ]),
            _ => {}
        }
        args.extend(more);
        args.into_iter().map(String::from).collect()
    }

    /// A run without a fault; returns its output.
    pub fn run(&self, to: Place) -> String {
        self.run_with(&self.args(Some(to), &[]))
    }

    fn run_with(&self, args: &[String]) -> String {
        let output = self
            .node
            .controller(env!("CARGO_BIN_EXE_fwdeploy"))
            .args(args)
            .output();
        let output = output.expect("fwdeploy runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {said}{told}",
            self.node.name
        );
        told
    }

    /// The rows of the plan that leads there, from the steps that the run itself reports.
    pub fn rows(&self, to: Place) -> Vec<Row> {
        let told = self.run(to);
        let mut rows = vec![Row::Arm, Row::Timer];
        let mut kinds: Vec<String> = Vec::new();
        let steps = told
            .lines()
            .filter_map(|l| l.strip_prefix(&format!("{}: step ", self.node.name)));
        for step in steps {
            let Some((number, doing)) = step
                .split_once(" of ")
                .and_then(|(n, rest)| Some((n.parse::<usize>().ok()?, rest.split_once(": ")?.1)))
            else {
                continue;
            };
            if !kinds.iter().any(|k| k == doing) {
                kinds.push(doing.to_string());
                rows.push(Row::Step {
                    number: number - 1,
                    doing: doing.to_string(),
                });
            }
        }
        assert!(rows.len() > 2, "the run tells its steps: {told}");
        rows.extend([Row::Look, Row::Disarm]);
        rows
    }
}
