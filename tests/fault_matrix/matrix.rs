//! The cells of one node, one after the other.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use crate::cell;
use crate::cell::Cell;
use crate::cell::End;
use crate::cell::Ended;
use crate::fault::Fault;
use crate::fault::When;
use crate::node::Node;
use crate::state::Seen;
use crate::state::State;

/// Where what was said in cells that failed is kept.
pub const EVIDENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/fault-matrix");

/// A place in a run at which a fault happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// While the node arms itself, at the first that it asks.
    Arm,
    /// Where it starts the timer.
    Timer,
    /// At a step of the plan, the first of its kind.
    Step { number: usize, doing: String },
    /// At the first question of the fresh look.
    Look,
    /// Where the timer is stopped.
    Disarm,
}

impl Row {
    /// Whether the timer may not be there yet.
    pub fn is_early(&self) -> bool {
        matches!(self, Row::Arm | Row::Timer)
    }

    /// What the shim waits for.
    pub fn wanted(&self, when: When) -> String {
        let when = when.word();
        match self {
            Row::Arm => format!("arm {when} iptables-save -c\n"),
            Row::Timer => format!("arm {when} systemd-run\n"),
            // Docker may have moved it already, so that there is nothing to do.
            Row::Step { number, doing } if doing == "placing the jump" => {
                format!("{number} {when} iptables-save\n")
            }
            Row::Step { number, .. } => format!("{number} {when} changes\n"),
            Row::Look => format!("done {when} busctl\n"),
            // Ahead of the lease's end, or behind the timer's.
            Row::Disarm if when == "before" => "done before date\n".to_string(),
            Row::Disarm => "done after systemctl stop\n".to_string(),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Row::Arm => f.write_str("arming: the snapshot"),
            Row::Timer => f.write_str("arming: the timer"),
            Row::Step { number, doing } => write!(f, "step {}: {doing}", number + 1),
            Row::Look => f.write_str("looking again"),
            Row::Disarm => f.write_str("disarming"),
        }
    }
}

/// What the runs are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// A node that nobody has managed gets its whitelist.
    Adoption,
    /// On a node with a whitelist one peer is replaced by another.
    InPlace,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scenario::Adoption => "adoption",
            Scenario::InPlace => "in place",
        })
    }
}

/// A cell with its place in the matrix.
pub struct Entry {
    pub node: String,
    pub kind: String,
    pub scenario: Scenario,
    pub row: String,
    pub fault: Fault,
    pub when: When,
    pub ended: Result<Ended, Vec<String>>,
}

/// One of the states that the runs lead from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Fresh,
    One,
    Two,
}

/// A state as it is, and as it is after each fault that changes what Docker and firewalld hold when nobody runs anything.
#[derive(Default)]
struct Known {
    plain: State,
    moved: Vec<State>,
}

impl Known {
    /// All of them; the plain one first.
    fn all(&self) -> Vec<State> {
        let mut all = vec![self.plain.clone()];
        all.extend(self.moved.iter().cloned());
        all
    }
}

/// What `FAULT_MATRIX` names: only cells with all these words are run.
pub fn words() -> Vec<String> {
    let words = std::env::var("FAULT_MATRIX").unwrap_or_default();
    words
        .split(',')
        .filter(|w| !w.is_empty())
        .map(String::from)
        .collect()
}

/// Which cells are run: given the scenario, the number of the row and of the fault.
pub type Pick<'a> = &'a (dyn Fn(Scenario, usize, usize) -> bool + Sync);

/// Runs the cells of one node.
pub struct Worker<'a> {
    pub node: Node,
    /// Which of the nodes it is.
    pub number: usize,
    pub inventory: PathBuf,
    pub known_hosts: String,
    /// Three peers' addresses.
    pub peers: [String; 3],
    pub pick: Pick<'a>,
    pub tell: &'a (dyn Fn(&Entry) + Sync),
}

impl Worker<'_> {
    /// Runs them all.
    pub fn work(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut known = [Known::default(), Known::default(), Known::default()];
        // Each state is learned plain before anything has moved.
        self.at_first();
        known[Place::Fresh as usize].plain = self.settled().state;
        let adoption = self.rows(Place::One);
        known[Place::One as usize].plain = self.settled().state;
        let in_place = self.rows(Place::Two);
        known[Place::Two as usize].plain = self.settled().state;
        self.learn(&mut known[Place::Two as usize], Place::Two);
        // Docker does one thing with networks of its own lifetime and another with those that it finds when it starts.
        self.at_first();
        self.run(Place::One);
        self.learn(&mut known[Place::One as usize], Place::One);
        self.at_first();
        self.learn(&mut known[Place::Fresh as usize], Place::Fresh);
        self.all(Scenario::Adoption, &adoption, &known, &mut entries);
        self.all(Scenario::InPlace, &in_place, &known, &mut entries);
        entries
    }

    fn all(&self, scenario: Scenario, rows: &[Row], known: &[Known; 3], entries: &mut Vec<Entry>) {
        let mut place = None;
        // What moves the world comes last: until then the states are compared to the letter.
        for moving in [false, true] {
            for (r, row) in rows.iter().enumerate() {
                for (f, fault) in Fault::ALL.into_iter().enumerate() {
                    if fault.moves_the_world() == moving && (self.pick)(scenario, r, f) {
                        self.one(scenario, (r, row), fault, known, &mut place, entries);
                    }
                }
            }
        }
    }

    fn one(
        &self,
        scenario: Scenario,
        (r, row): (usize, &Row),
        fault: Fault,
        known: &[Known; 3],
        place: &mut Option<Place>,
        entries: &mut Vec<Entry>,
    ) {
        let label = format!("{scenario}, {row}, {fault}");
        if !words().iter().all(|w| label.contains(w)) {
            return;
        }
        // Ahead of a call and behind it by turns, in another turn on the next node.
        let when = match (r + self.number / 2) % 2 {
            1 if !(fault == Fault::TimerServiceFailing && *row == Row::Timer) => When::After,
            _ => When::Before,
        };
        let (from, seen) = self.ready(scenario, *place, known);
        let to = match (scenario, from) {
            (Scenario::Adoption, _) | (_, Place::Two) => Place::One,
            _ => Place::Two,
        };
        let (was, will) = (&known[from as usize], &known[to as usize]);
        let mut before = vec![seen.state.clone()];
        let mut after = vec![will.plain.clone()];
        if fault.moves_the_world() {
            before.extend(was.all());
            after = will.all();
        } else if seen.state != was.plain {
            after = will.all();
        }
        let name = format!("{}-{scenario}-{row}-{fault}", self.node.name);
        let name = name.replace([' ', '/', ':'], "_");
        let folder = PathBuf::from(EVIDENCE).join(name);
        let cell = Cell {
            node: &self.node,
            row,
            fault,
            when,
            args: self.args(
                to,
                &["--confirm-timeout", &cell::CONFIRM.as_secs().to_string()],
            ),
            now: seen,
            before,
            after,
            folder: folder.clone(),
        };
        let ended = cell.run();
        *place = match &ended {
            Ok(ended) => {
                cell::forget(&folder);
                Some(if ended.end == End::After { to } else { from })
            }
            Err(wrong) => {
                let _ = fs::write(folder.join("wrong.txt"), wrong.join("\n"));
                None
            }
        };
        let entry = Entry {
            node: self.node.name.clone(),
            kind: self.node.kind(),
            scenario,
            row: row.to_string(),
            fault,
            when,
            ended,
        };
        (self.tell)(&entry);
        entries.push(entry);
    }

    /// Makes the node ready for the next cell: as it is, if that is well known, and otherwise afresh.
    fn ready(&self, scenario: Scenario, place: Option<Place>, known: &[Known; 3]) -> (Place, Seen) {
        let mut place = place.filter(|p| (*p == Place::Fresh) == (scenario == Scenario::Adoption));
        for _ in 0..4 {
            let at = place.unwrap_or_else(|| {
                self.at_first();
                if scenario == Scenario::InPlace {
                    self.run(Place::One);
                    return Place::One;
                }
                Place::Fresh
            });
            if at == Place::Fresh {
                self.misplace_the_jump();
            }
            // What the last fault has set in motion may still be moving.
            let until = Instant::now() + Duration::from_secs(10);
            let mut seen = self.node.look();
            while Instant::now() < until {
                match seen {
                    Some(seen)
                        if seen.left.is_empty()
                            && State::differences_from_all(
                                &known[at as usize].all(),
                                &seen.state,
                            )
                            .is_empty() =>
                    {
                        return (at, seen);
                    }
                    _ => sleep(Duration::from_millis(500)),
                }
                seen = self.node.look();
            }
            let differences = seen.map(|s| {
                (
                    State::differences_from_all(&known[at as usize].all(), &s.state),
                    s.left,
                )
            });
            eprintln!(
                "{}: made afresh, for it is not as it should be: {differences:#?}",
                self.node.name
            );
            place = None;
        }
        panic!(
            "{}: four times made afresh, and still another node",
            self.node.name
        );
    }

    /// Makes it a node that nobody has managed.
    fn at_first(&self) {
        self.node.make_afresh();
        self.settled();
        self.misplace_the_jump();
    }

    /// Where Docker 20.10 to 27 leaves it after a reload of firewalld, so that there is a step for it.
    fn misplace_the_jump(&self) {
        self.node
            .sh("iptables -w -D FORWARD -j DOCKER-USER; iptables -w -A FORWARD -j DOCKER-USER");
    }

    /// Learns what becomes of a state by the faults of the world.
    fn learn(&self, known: &mut Known, place: Place) {
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

    /// Waits until everything runs and two looks agree.
    fn settled(&self) -> Seen {
        let until = Instant::now() + Duration::from_secs(60);
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

    fn args(&self, to: Place, more: &[&str]) -> Vec<String> {
        let [first, second, third] = &self.peers;
        let peers = match to {
            Place::Fresh => panic!("no run leads there"),
            Place::One => format!("{{\"cybex_peers\": [\"{first}\", \"{second}\"]}}"),
            Place::Two => format!("{{\"cybex_peers\": [\"{first}\", \"{third}\"]}}"),
        };
        let inventory = self.inventory.to_string_lossy();
        let mut args = vec![
            "run",
            &inventory,
            "--known-hosts",
            &self.known_hosts,
            "-l",
            &self.node.name,
        ];
        args.extend([
            "-e",
            &peers,
            "--json",
            "-v",
            "-T",
            "5",
            "--command-timeout",
            "40",
        ]);
        args.extend(more);
        args.into_iter().map(String::from).collect()
    }

    /// A run that nothing happens to; what it told.
    fn run(&self, to: Place) -> String {
        let output = self
            .node
            .controller(env!("CARGO_BIN_EXE_fwdeploy"))
            .args(self.args(to, &[]))
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

    /// The rows of the plan that leads there, as the run itself tells its steps.
    fn rows(&self, to: Place) -> Vec<Row> {
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
