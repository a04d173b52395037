//! One cell: one run, one fault at one step, and what became of the node.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use crate::fault::Fault;
use crate::fault::When;
use crate::matrix::Row;
use crate::node::Node;
use crate::state::Seen;
use crate::state::State;
use crate::words;

/// The confirm timeout of every run.
pub const CONFIRM: Duration = Duration::from_secs(6);

/// How long after the confirm timeout a node may take to be in the state before or after.
const GRACE: Duration = Duration::from_secs(15);

/// How long the controller may take to say how things stand.
const CONTROLLER: Duration = Duration::from_secs(90);

/// How often is looked whether something has happened.
const TICK: Duration = Duration::from_millis(5);

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
}

/// One run with one fault.
pub struct Cell<'a> {
    pub node: &'a Node,
    pub row: &'a Row,
    pub fault: Fault,
    pub when: When,
    /// The arguments of the run.
    pub args: Vec<String>,
    /// How the node stands now.
    pub now: Seen,
    /// What counts as the state before, and as the state after: one state, or all that the fault may make of it.
    pub before: Vec<State>,
    pub after: Vec<State>,
    /// Where what was said and seen is kept.
    pub folder: PathBuf,
}

/// What happened while the run was at work.
struct Course {
    /// When the fault happened.
    fired: Option<Instant>,
    /// Since when no lease has been on the node.
    calm: Option<Instant>,
    /// The exit code; none of a controller that was killed.
    code: Option<i32>,
    /// How long the node took to boot.
    boot: Duration,
    /// What is wrong already.
    wrong: Vec<String>,
}

impl Cell<'_> {
    /// Runs it. What goes wrong is said line by line.
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
            course
                .wrong
                .extend(words::wrong(course.code, &said, &heard, ended, self.fault));
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
                " && mkdir -p -m 700 {folder} && mkdir -p {place} && mount -t tmpfs -o size=2m fault {place} && mkdir {place}/in \
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
                    "; find {folder} -mindepth 1 -delete; cp -a {place}/in/. {folder}/"
                ));
            }
            script.push_str(&format!("; umount {place}"));
        }
        self.node.try_sh(&script);
    }

    /// From the run's beginning to its end, or the controller's.
    fn course(&self) -> Course {
        let file =
            |name: &str| File::create(self.folder.join(name)).expect("a file for what is said");
        let mut child = self
            .node
            .controller(env!("CARGO_BIN_EXE_fwdeploy"))
            .args(&self.args)
            .stdout(file("run.out"))
            .stderr(file("run.err"))
            .spawn()
            .expect("fwdeploy runs");
        let mut course = Course {
            fired: None,
            calm: None,
            code: None,
            boot: Duration::ZERO,
            wrong: Vec::new(),
        };
        let began = Instant::now();
        let mut asked = false;
        let mut plug_in = None;
        loop {
            self.watch(&mut course);
            if !asked && self.node.has("/run/fault/asked") {
                asked = true;
                self.asked(&mut child, &mut course);
                if self.fault == Fault::NetworkLost {
                    plug_in = Some(Instant::now() + CONFIRM + Duration::from_secs(1));
                }
            }
            if plug_in.is_some_and(|at| Instant::now() > at) {
                self.node.cable(true);
                plug_in = None;
            }
            let ended = child.try_wait().expect("it can be waited for");
            if let Some(status) = ended {
                course.code = status.code();
                if plug_in.is_none() {
                    break;
                }
            }
            if ended.is_none() && began.elapsed() > CONTROLLER {
                course.wrong.push(format!(
                    "the controller says nothing within {} s",
                    CONTROLLER.as_secs()
                ));
                let _ = child.kill();
                let _ = child.wait();
                if plug_in.is_some() {
                    self.node.cable(true);
                }
                break;
            }
            sleep(TICK);
        }
        if course.fired.is_none() {
            course
                .wrong
                .push("the fault never happened: the run did not come to this step".to_string());
        }
        course
    }

    fn watch(&self, course: &mut Course) {
        let now = Instant::now();
        if course.fired.is_none() && self.node.has("/run/fault/fired") {
            course.fired = Some(now);
        }
        if self.node.has("/var/lib/fwdeploy/armed") {
            course.calm = None;
        } else {
            course.calm.get_or_insert(now);
        }
    }

    /// The harness's part of the fault.
    fn asked(&self, child: &mut Child, course: &mut Course) {
        match self.fault {
            Fault::NetworkLost => self.node.cable(false),
            Fault::Reboot => {
                let began = Instant::now();
                course.fired.get_or_insert(began);
                self.node.pull_the_plug();
                if !self.node.boots() {
                    course.wrong.push("the node does not boot".to_string());
                }
                course.boot = began.elapsed();
                return;
            }
            Fault::ClockJumped => course.wrong.extend(self.timers_that_the_clock_moves()),
            _ => {}
        }
        if self.fault.kills_the_controller(self.row, self.when) {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.node.write("/run/fault/answered", "");
        if self.fault == Fault::TimerServiceFailing {
            let failed = self.fail_the_service(course);
            if !failed && !self.row.is_early() && *self.row != Row::Disarm {
                course
                    .wrong
                    .push("the service of the timer never started".to_string());
            }
        }
    }

    /// What is wrong with the timers: each must count from now on, whatever the clock says.
    fn timers_that_the_clock_moves(&self) -> Option<String> {
        let said = self.node.try_sh(
            "for timer in $(/usr/bin/systemctl list-units --all --no-legend --plain 'fwdeploy*.timer' | sed 's/ .*//'); do \
             /usr/bin/systemctl show -p TimersMonotonic -p TimersCalendar $timer; done",
        );
        let monotonic =
            said.out.contains("TimersMonotonic={") && !said.out.contains("TimersCalendar={");
        let none = (self.row.is_early() || *self.row == Row::Disarm) && said.out.is_empty();
        (!monotonic && !none).then(|| format!("a timer is not monotonic: {:?}", said.out))
    }

    /// Kills the restore as soon as it appears, once.
    fn fail_the_service(&self, course: &mut Course) -> bool {
        let until = Instant::now() + CONFIRM + Duration::from_secs(5);
        let slice = self.node.unit("");
        while Instant::now() < until {
            self.watch(course);
            let units = fs::read_dir(&slice).into_iter().flatten().flatten();
            for unit in units.map(|u| u.path()) {
                let name = unit
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let at_work = name.starts_with("fwdeploy-")
                    && name.ends_with(".service")
                    && fs::read_to_string(unit.join("cgroup.procs")).is_ok_and(|p| !p.is_empty());
                if at_work && fs::write(unit.join("cgroup.kill"), "1").is_ok() {
                    return true;
                }
            }
            sleep(Duration::from_millis(2));
        }
        false
    }

    /// Waits until the node is as before or as after, with nothing left of the run.
    fn settle(&self, course: &Course) -> Result<Ended, Vec<String>> {
        let Some(fired) = course.fired else {
            return Err(Vec::new());
        };
        // Ahead of the arming and behind the last look nobody is there who would start it again.
        if matches!(self.row, Row::Arm | Row::Disarm) && self.fault.moves_the_world() {
            self.node.try_sh("/usr/bin/systemctl start firewalld");
        }
        let allowed = CONFIRM + GRACE + course.boot;
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

    /// As what the node stands; otherwise what is different, from the nearer of the two.
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

    /// What the node can tell about the run.
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
