//! A run and its fault, as they happen.

use std::fs;
use std::fs::File;
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use crate::cell::Cell;
use crate::cell::slow;
use crate::fault::Fault;
use crate::matrix::Row;

/// The interval at which conditions are checked.
const TICK: Duration = Duration::from_millis(5);

/// How long the controller may take to report the condition.
const CONTROLLER: Duration = Duration::from_secs(90);

/// What happened during the run.
pub struct Course {
    /// When the fault happened.
    pub fired: Option<Instant>,
    /// Since when no lease has been on the node.
    pub calm: Option<Instant>,
    /// The exit code; none of a controller that was killed.
    pub code: Option<i32>,
    /// How long the node took to boot.
    pub boot: Duration,
    /// What is wrong already.
    pub wrong: Vec<String>,
}

impl Cell<'_> {
    /// From the run's beginning to its end, or the controller's.
    pub fn course(&self) -> Course {
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
                    plug_in = Some(Instant::now() + self.confirm + Duration::from_secs(1));
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
            if ended.is_none() && began.elapsed() > CONTROLLER * slow() {
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

    pub fn watch(&self, course: &mut Course) {
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
            Fault::TwoPlugs => {
                self.pull_twice(course);
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

    /// Pulls the plug, and once more while the node is rolling back.
    fn pull_twice(&self, course: &mut Course) {
        let began = Instant::now();
        course.fired.get_or_insert(began);
        self.node.pull_the_plug();
        if !self.node.comes_up() {
            course.wrong.push("the node does not boot".to_string());
            return;
        }
        let at_work = self.node.restores();
        // At another moment of the rollback in each row.
        if at_work {
            let row = self.row.to_string();
            sleep(Duration::from_millis(row.len() as u64 * 97 % 1000));
        }
        self.node.pull_the_plug();
        if !self.node.boots() {
            course.wrong.push("the node does not boot".to_string());
        }
        course.boot = began.elapsed();
        let has_lease = !matches!(self.row, Row::Arm | Row::Timer | Row::Disarm);
        if has_lease && !at_work {
            course
                .wrong
                .push("the node was not on its way back after the first boot".to_string());
        }
    }

    /// What is wrong with the timers: each must count from now on, whatever the clock shows.
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
        let until = Instant::now() + self.confirm + Duration::from_secs(5) * slow();
        while Instant::now() < until {
            self.watch(course);
            let restore_unit = self.node.restore_unit();
            if restore_unit.is_some_and(|unit| fs::write(unit.join("cgroup.kill"), "1").is_ok()) {
                return true;
            }
            sleep(Duration::from_millis(2));
        }
        false
    }
}
