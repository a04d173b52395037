//! One cell: one run, one fault at one step, and what became of the node.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use crate::course::Course;
use crate::fault::Fault;
use crate::fault::When;
use crate::matrix::Row;
use crate::matrix::Scenario;
use crate::node::Node;
use crate::state::Seen;
use crate::state::State;
use crate::words;

/// The confirm timeout of a run.
pub const CONFIRM: Duration = Duration::from_secs(6);

/// The confirm timeout of a rollback, which reloads firewalld within its one step.
pub const CONFIRM_ROLLBACK: Duration = Duration::from_secs(15);

/// How long after the confirm timeout a node may take to be in the state before or after.
const GRACE: Duration = Duration::from_secs(15);

/// How many times as long everything may take: `FAULT_MATRIX_SLOW`, or what [`share_the_machine`] has set.
pub fn slow() -> u32 {
    *SLOW.get_or_init(slow_by_environment)
}

/// Gives everything twice the time, because other tests run on this machine. How long a node takes is for the whole matrix to judge.
pub fn share_the_machine() {
    SLOW.get_or_init(|| slow_by_environment().max(2));
}

static SLOW: OnceLock<u32> = OnceLock::new();

fn slow_by_environment() -> u32 {
    let slow = std::env::var("FAULT_MATRIX_SLOW").ok();
    slow.and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// What a node may end as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Before,
    After,
}

/// What became of a cell that went well.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// As what the node ended.
    pub end: End,
    /// How long after the fault.
    pub seconds: f64,
    /// Whether it is so to the letter, and not only as the fault alone would have left it.
    pub exactly: bool,
    /// Whether another tool has flushed the chain and it is still empty.
    pub flushed: bool,
}

/// One run with one fault.
pub struct Cell<'a> {
    pub node: &'a Node,
    pub scenario: Scenario,
    pub row: &'a Row,
    pub fault: Fault,
    pub when: When,
    /// The confirm timeout.
    pub confirm: Duration,
    /// The arguments of the run.
    pub args: Vec<String>,
    /// The present state of the node.
    pub now: Seen,
    /// What counts as the state before, and as the state after: one state, or all that the fault may make of it.
    pub before: Vec<State>,
    pub after: Vec<State>,
    /// The directory for outputs and observations.
    pub folder: PathBuf,
}

impl Cell<'_> {
    /// Runs it. Each problem is one line.
    pub fn run(&self) -> Result<Ended, Vec<String>> {
        fs::create_dir_all(&self.folder).expect("a folder for what is said");
        self.prepare();
        let mut course = self.course();
        let settled = self.settle(&course);
        self.keep_evidence();
        let ended = match settled {
            Ok(ended) => Some(ended),
            Err(why) => {
                course.wrong.extend(why);
                None
            }
        };
        if !self.node.ssh_works() {
            course
                .wrong
                .push("ssh from the controller does not work".to_string());
        }
        if let Some(ended) = ended {
            let said = fs::read_to_string(self.folder.join("run.out")).unwrap_or_default();
            let heard = fs::read_to_string(self.folder.join("run.err")).unwrap_or_default();
            // A rollback reloads firewalld, which puts rules in another order.
            let moved = self.fault.moves_the_world() || self.scenario.is_rollback();
            let wrong = words::wrong(course.code, &said, &heard, ended, (self.fault, moved));
            course.wrong.extend(wrong);
        }
        self.tidy(ended.map(|e| e.end));
        match ended {
            Some(ended) if course.wrong.is_empty() => Ok(ended),
            _ => Err(course.wrong),
        }
    }

    /// Lays the fault in wait.
    fn prepare(&self) {
        let mut script = "rm -rf /run/fault; mkdir /run/fault".to_string();
        if let Some((folder, place)) = self.fault.fills() {
            script.push_str(&format!(
                " && mkdir -p -m 700 {folder} && mkdir -p {place} && mount -t tmpfs -o size=32m fault {place} && mkdir {place}/in \
                 && cp -a {folder}/. {place}/in/ && mount --bind {place}/in {folder}"
            ));
        }
        self.node.sh(&script);
        self.node
            .write("/run/fault/fault", &self.fault.script(self.row));
        self.node
            .write("/run/fault/wanted", &self.row.wanted(self.when));
    }

    /// Takes away what [`Cell::prepare`] laid out, and what the fault left.
    fn tidy(&self, end: Option<End>) {
        let mut script = "rm -rf /run/fault".to_string();
        if let Some((folder, place)) = self.fault.fills() {
            script.push_str(&format!("; rm -f {place}/filler; umount {folder}"));
            if end == Some(End::After) || self.fault == Fault::VarFull {
                script.push_str(&format!(
                    "; find {folder}/ -mindepth 1 -delete; cp -a {place}/in/. {folder}/"
                ));
            }
            script.push_str(&format!("; umount {place}"));
        }
        self.node.try_sh(&script);
    }

    fn has_said(&self, word: &str) -> bool {
        fs::read_to_string(self.folder.join("run.out")).is_ok_and(|said| said.contains(word))
    }

    /// Waits until the node is as before or as after, with nothing left of the run.
    fn settle(&self, course: &Course) -> Result<Ended, Vec<String>> {
        let Some(fired) = course.fired else {
            return Err(Vec::new());
        };
        // Before the arming and after the last reading, nothing on the node would start it again.
        // A daemon that restarts comes back by itself.
        if matches!(self.row, Row::Arm | Row::Disarm)
            && self.fault.moves_the_world()
            && self.fault != Fault::FirewalldRestarting
        {
            // One that was killed leaves its table, and firewalld 1.3 would add every rule to it once more.
            self.node.try_sh("systemctl is-active -q firewalld || { nft delete table inet firewalld 2>/dev/null; /usr/bin/systemctl start firewalld; }");
        }
        let allowance = self.confirm + GRACE * slow();
        let mut allowed = allowance + course.boot;
        // One run that consists of two, the second by a reload: the node is armed again, with a new time limit.
        if self.has_said("reloaded-instead") {
            allowed += allowance;
        }
        let least = Instant::now() + Duration::from_secs(5);
        let mut watched = Course {
            calm: course.calm,
            wrong: Vec::new(),
            ..*course
        };
        let mut in_vain = None;
        loop {
            self.watch(&mut watched);
            let looked = Instant::now();
            let wrong = match watched.calm {
                None => vec!["the lease is still there".to_string()],
                Some(calm) => match self.node.look() {
                    None => vec!["the node does not answer".to_string()],
                    Some(seen) => match self.judge(&seen) {
                        Ok(end) => {
                            let at = in_vain.unwrap_or(calm).max(calm).max(fired);
                            let took = at - fired;
                            let these = match end {
                                End::Before => &self.before,
                                End::After => &self.after,
                            };
                            let ended = Ended {
                                end,
                                seconds: took.as_secs_f64(),
                                exactly: these.first() == Some(&seen.state),
                                flushed: seen.state.is_flushed() && !self.now.state.is_flushed(),
                            };
                            return if took > allowed {
                                Err(vec![format!(
                                    "as {end:?} only after {:.1} s",
                                    ended.seconds
                                )])
                            } else {
                                Ok(ended)
                            };
                        }
                        Err(wrong) => wrong,
                    },
                },
            };
            in_vain = Some(looked);
            if Instant::now() > (fired + allowed).max(least) {
                return Err(wrong);
            }
            sleep(Duration::from_millis(if watched.calm.is_some() {
                500
            } else {
                20
            }));
        }
    }

    /// The state that the node is in; otherwise the differences from the nearer of the two.
    fn judge(&self, seen: &Seen) -> Result<End, Vec<String>> {
        let before = State::differences_from_all(&self.before, &seen.state);
        let after = State::differences_from_all(&self.after, &seen.state);
        let mut wrong: Vec<String> = seen.left.iter().map(|l| format!("left: {l}")).collect();
        let end = match (before.is_empty(), after.is_empty()) {
            (true, _) => End::Before,
            (_, true) => End::After,
            _ => {
                let (name, differences) = if before.len() <= after.len() {
                    ("before", before)
                } else {
                    ("after", after)
                };
                wrong.push(format!("neither as before nor as after; from {name}:"));
                wrong.extend(differences.into_iter().take(40));
                End::Before
            }
        };
        if !self.now.starts.keys().eq(seen.starts.keys()) {
            wrong.push(format!(
                "of {:?} only {:?} run",
                self.now.starts, seen.starts
            ));
        } else if !self.fault.starts_containers() && self.now.starts != seen.starts {
            wrong.push(format!(
                "containers were started anew: {:?}, {:?}",
                self.now.starts, seen.starts
            ));
        }
        if wrong.is_empty() {
            Ok(end)
        } else {
            Err(wrong)
        }
    }

    /// Collects what the node can report about the run.
    fn keep_evidence(&self) {
        let said = self.node.try_sh(
            "cat /run/fault/call /run/fault/log; ls -la /run/fwdeploy /var/lib/fwdeploy /var/lib/fwdeploy/* /etc/firewalld; \
             tail -n +1 /var/lib/fwdeploy/snapshots/*/about; systemctl list-units --all --no-legend --plain 'fwdeploy*'; \
             journalctl -q --no-pager -o short-precise -b -n 200 -u 'fwdeploy*' -u firewalld -u docker",
        );
        let _ = fs::write(
            self.folder.join("node.txt"),
            format!("{}{}", said.out, said.err),
        );
    }
}

/// Removes what a cell that went well has kept.
pub fn forget(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}
