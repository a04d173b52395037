//! Two names of one machine: found when it is read, before anything is changed, and worked on one after the other.

use std::collections::BTreeMap;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::engine::job::Job;
use crate::engine::stop::Stop;

/// How often a wait checks whether the operator gives up.
const STEP: Duration = Duration::from_millis(50);

/// What becomes of a machine that has a second name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecondName {
    /// It is worked on after the first, if it is to get the same.
    Waits,
    /// It is refused: doing it twice is not the same as doing it once.
    Refused,
}

/// Whether a node may be worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claim {
    /// Yes.
    Free,
    /// Yes, after the node of this name: it has to be read again.
    After(String),
    /// No, because of the node of this name.
    Never(String),
}

/// Which machines a run has met, under which names.
pub(super) struct Machines {
    second: SecondName,
    met: Mutex<Met>,
    released: Condvar,
}

#[derive(Default)]
struct Met {
    machines: BTreeMap<String, Machine>,
    /// The first name of a machine, by its other names.
    first_names: BTreeMap<String, String>,
}

struct Machine {
    first: String,
    policy: String,
    /// The name under which it is being worked on.
    at_work: Option<String>,
}

/// Ends the work on a node, also where it panics.
pub(super) struct AtWork<'a> {
    machines: &'a Machines,
    node: &'a str,
}

impl Machines {
    pub(super) fn new(second: SecondName) -> Self {
        Self {
            second,
            met: Mutex::default(),
            released: Condvar::new(),
        }
    }

    /// Begins the work on a node; what is claimed meanwhile is released at its end.
    pub(super) fn at_work<'a>(&'a self, job: &'a Job) -> AtWork<'a> {
        AtWork {
            machines: self,
            node: job.node(),
        }
    }

    /// Claims a machine for a node, once the work on it under another name has ended. A machine that does not say which it is is free.
    pub(super) fn claim(&self, machine: &str, job: &Job, stop: &Stop) -> Claim {
        if machine.is_empty() {
            return Claim::Free;
        }
        let (node, policy) = (job.node(), job.requires.policy());
        let mut met = self.lock();
        loop {
            let Some(known) = met.machines.get_mut(machine) else {
                let known = Machine {
                    first: node.to_string(),
                    policy,
                    at_work: Some(node.to_string()),
                };
                met.machines.insert(machine.to_string(), known);
                return Claim::Free;
            };
            let first = known.first.clone();
            if known.at_work.as_deref() == Some(node) || first == node {
                known.at_work = Some(node.to_string());
                return Claim::Free;
            }
            if self.second == SecondName::Refused || known.policy != policy {
                return Claim::Never(first);
            }
            if known.at_work.is_none() || stop.leave().is_cancelled() {
                known.at_work = Some(node.to_string());
                met.first_names.insert(node.to_string(), first.clone());
                return Claim::After(first);
            }
            let waited = self.released.wait_timeout(met, STEP);
            met = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The first name of the machine that a node turned out to be.
    pub(super) fn first_name(&self, node: &str) -> Option<String> {
        self.lock().first_names.get(node).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut met = self.machines.lock();
        for machine in met.machines.values_mut() {
            if machine.at_work.as_deref() == Some(self.node) {
                machine.at_work = None;
            }
        }
        self.machines.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::thread;

    use super::*;
    use crate::engine::fake::job;
    use crate::engine::job::Compiled;

    #[test]
    fn names_of_one_machine_are_worked_on_one_after_the_other() {
        let machines = Machines::new(SecondName::Waits);
        let (stop, now, most) = (Stop::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let claims = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for name in ["a", "b", "c"] {
                let (machines, stop, now, most, claims) = (&machines, &stop, &now, &most, &claims);
                scope.spawn(move || {
                    let job = job(name);
                    let _at_work = machines.at_work(&job);
                    let claim = machines.claim("m", &job, stop);
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(30));
                    now.fetch_sub(1, Ordering::SeqCst);
                    // A second reading of the same node.
                    assert_eq!(machines.claim("m", &job, stop), Claim::Free);
                    claims.lock().unwrap().push(claim);
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        let claims = claims.into_inner().unwrap();
        let free = claims.iter().filter(|claim| **claim == Claim::Free).count();
        assert_eq!(free, 1, "{claims:?}");
    }

    #[test]
    fn a_second_name_with_other_roles_is_refused_and_so_is_a_second_rollback() {
        let (first, mut other, stop) = (job("a"), job("b"), Stop::default());
        other.requires = Arc::new(Compiled {
            desired: other.requires.desired(),
            policy: "another".to_string(),
        });
        let machines = Machines::new(SecondName::Waits);
        assert_eq!(machines.claim("m", &first, &stop), Claim::Free);
        let never = Claim::Never("a".to_string());
        assert_eq!(machines.claim("m", &other, &stop), never);
        let machines = Machines::new(SecondName::Refused);
        assert_eq!(machines.claim("m", &first, &stop), Claim::Free);
        assert_eq!(machines.claim("m", &job("b"), &stop), never);
        // Those that say nothing are all different.
        for name in ["c", "d"] {
            assert_eq!(machines.claim("", &job(name), &stop), Claim::Free);
        }
    }
}
