//! The cells of one node, one after the other.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use crate::cell;
use crate::cell::Cell;
use crate::cell::End;
use crate::fault::Fault;
use crate::fault::When;
use crate::matrix::EVIDENCE;
use crate::matrix::Entry;
use crate::matrix::Row;
use crate::matrix::Scenario;
use crate::matrix::names;
use crate::matrix::words;
use crate::node::Node;
use crate::state::Seen;
use crate::state::State;
use crate::table::Record;

/// One of the states that the runs lead from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Fresh,
    One,
    Two,
    /// As `One`, with the container at another address.
    Address,
    /// As `One`, with the network on another subnet.
    Subnet,
}

impl Place {
    const COUNT: usize = 5;
}

/// A state as it is, and as it is after each fault that changes what Docker and firewalld hold when there is no run.
#[derive(Clone, Default)]
pub struct Known {
    pub plain: State,
    pub moved: Vec<State>,
}

impl Known {
    /// All of them; the plain one first.
    fn all(&self) -> Vec<State> {
        let mut all = vec![self.plain.clone()];
        all.extend(self.moved.iter().cloned());
        all
    }
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
    /// Cells that went well in a run that was broken off.
    pub done: &'a [Record],
}

impl Worker<'_> {
    /// Runs them all.
    pub fn work(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut known =
            [const { None }; Place::COUNT].map(|none: Option<Known>| none.unwrap_or_default());
        // Each state is learned plain before anything has moved.
        self.at_first();
        known[Place::Fresh as usize].plain = self.settled().state;
        let adoption = self.rows(Place::One);
        known[Place::One as usize].plain = self.settled().state;
        let in_place = self.rows(Place::Two);
        known[Place::Two as usize].plain = self.settled().state;
        if self.picks(Scenario::InPlace, &in_place) {
            self.learn(&mut known[Place::Two as usize], Place::Two);
        }
        // Docker does one thing with networks of its own lifetime and another with those that it finds when it starts.
        self.at_first();
        self.run(Place::One);
        self.learn(&mut known[Place::One as usize], Place::One);
        if self.picks(Scenario::Adoption, &adoption) {
            self.at_first();
            self.learn(&mut known[Place::Fresh as usize], Place::Fresh);
        }
        self.all(Scenario::Adoption, &adoption, &known, &mut entries);
        self.all(Scenario::InPlace, &in_place, &known, &mut entries);
        for (scenario, place) in [
            (Scenario::Address, Place::Address),
            (Scenario::Subnet, Place::Subnet),
        ] {
            let rows = scenario.rollback_rows();
            if self.picks(scenario, &rows) {
                self.at_first();
                self.run(Place::One);
                self.run(place);
                known[place as usize].plain = self.settled().state;
                self.learn(&mut known[place as usize], place);
                if scenario == Scenario::Subnet {
                    let back = &mut known[Place::One as usize];
                    self.learn_what_docker_remembers(back);
                }
                self.all(scenario, &rows, &known, &mut entries);
            }
        }
        entries
    }

    /// Whether any cell of the scenario is run.
    fn picks(&self, scenario: Scenario, rows: &[Row]) -> bool {
        let mut cells = rows
            .iter()
            .enumerate()
            .flat_map(|row| Fault::ALL.into_iter().enumerate().map(move |f| (row, f)));
        cells.any(|((r, row), (f, fault))| {
            (self.pick)(scenario, r, f) && self.is_wanted(scenario, row, fault)
        })
    }

    fn is_wanted(&self, scenario: Scenario, row: &Row, fault: Fault) -> bool {
        let (node, row_name) = (&self.node.name, row.to_string());
        let is_done = |r: &Record| r.is_done(node, scenario, &row_name, fault);
        names(&words(), &self.label(scenario, row, fault)) && !self.done.iter().any(is_done)
    }

    fn label(&self, scenario: Scenario, row: &Row, fault: Fault) -> String {
        format!("{} {scenario}, {row}, {fault}", self.node.name)
    }

    fn all(
        &self,
        scenario: Scenario,
        rows: &[Row],
        known: &[Known; Place::COUNT],
        entries: &mut Vec<Entry>,
    ) {
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
        known: &[Known; Place::COUNT],
        place: &mut Option<Place>,
        entries: &mut Vec<Entry>,
    ) {
        if !self.is_wanted(scenario, row, fault) {
            return;
        }
        // Ahead of a call and behind it by turns, in another turn on the next node.
        let when = match (r + self.number / 2) % 2 {
            1 if !(fault == Fault::TimerServiceFailing && *row == Row::Timer) => When::After,
            _ => When::Before,
        };
        // Docker 20.10 to 27 restores rules of networks that no longer exist when firewalld starts, until Docker is restarted.
        if *place == Some(Place::Fresh) && fault.moves_the_world() {
            self.node.sh("systemctl restart docker");
        }
        let (from, seen) = self.ready(scenario, *place, known);
        let to = match from {
            Place::One => Place::Two,
            _ => Place::One,
        };
        let (was, will) = (&known[from as usize], &known[to as usize]);
        let mut before = vec![seen.state.clone()];
        let mut after = vec![will.plain.clone()];
        if fault.moves_the_world() {
            before.extend(was.all());
            after = will.all();
        } else if scenario.is_rollback() {
            // It reloads firewalld, and Docker adds the rules of a recreated network as new ones.
            before.extend(was.all());
            after = will.all();
        } else if seen.state != was.plain {
            after = will.all();
        }
        if fault == Fault::ChainFlushed {
            // Before the snapshot it belongs to the state before; it stays where no rollback is due, or the node is not read again.
            match row {
                Row::Arm | Row::Timer => before.push(seen.state.flushed()),
                // Docker's own `RETURN` is behind the rules of a chain that was recreated, unless it was removed before.
                Row::Step { .. } if scenario == Scenario::Adoption => {
                    let without: Vec<State> = after.iter().map(State::without_return).collect();
                    after.extend(without);
                }
                Row::Disarm => {
                    before.push(seen.state.flushed());
                    after.extend(will.all().iter().map(State::flushed));
                }
                _ => {}
            }
        }
        let name = format!("{}-{scenario}-{row}-{fault}", self.node.name);
        let name = name.replace([' ', '/', ':'], "_");
        let folder = PathBuf::from(EVIDENCE).join(name);
        let confirm = scenario.confirm();
        let cell = Cell {
            scenario,
            confirm,
            node: &self.node,
            row,
            fault,
            when,
            args: self.args(
                (!scenario.is_rollback()).then_some(to),
                &["--confirm-timeout", &confirm.as_secs().to_string()],
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
    fn ready(
        &self,
        scenario: Scenario,
        place: Option<Place>,
        known: &[Known; Place::COUNT],
    ) -> (Place, Seen) {
        let home = match scenario {
            Scenario::Adoption => Place::Fresh,
            Scenario::InPlace => Place::One,
            Scenario::Address => Place::Address,
            Scenario::Subnet => Place::Subnet,
        };
        let mut place = match (place, scenario) {
            (Some(Place::Two), Scenario::InPlace) => place,
            // What is to be rolled back is the last run.
            (Some(Place::One), _) if scenario.is_rollback() => {
                self.run(home);
                Some(home)
            }
            _ => place.filter(|place| *place == home),
        };
        for _ in 0..4 {
            let at = place.unwrap_or_else(|| {
                self.at_first();
                if home != Place::Fresh {
                    self.run(Place::One);
                }
                if scenario.is_rollback() {
                    self.run(home);
                }
                home
            });
            if at == Place::Fresh {
                self.misplace_the_jump();
            }
            // What the last fault has set in motion may still be moving.
            let until = Instant::now() + Duration::from_secs(10) * cell::slow();
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
}
