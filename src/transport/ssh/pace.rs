//! How many logins one server sees at a time, and what is tried again.
//!
//! sshd closes connections at random when ten are not logged in yet (`MaxStartups 10:30:100`). Many names of one machine, or a proxy
//! command that goes through one host, would be such a storm.

use std::collections::BTreeMap;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use openssl::rand::rand_bytes;

use crate::transport::ConnectError;
use crate::transport::hop::Hop;
use crate::transport::hop::Way;
use crate::transport::wait::Deadline;

/// How many logins one server sees at a time; sshd's own limit is 10.
const AT_A_TIME: usize = 8;

/// How often a refused connection is tried again. An sshd that restarts is back by then, and a wrong port is soon known.
const REFUSED: u32 = 3;

/// The first pause.
const FIRST: Duration = Duration::from_millis(250);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(2);

/// Whether it can help to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Again {
    Never,
    /// Nothing listens: a few times.
    Refused,
    /// The server closed the connection without a word: as long as there is time.
    TurnedAway,
}

/// Why there is no session.
pub(super) struct Halt {
    pub(super) error: Box<ConnectError>,
    pub(super) again: Again,
}

impl From<ConnectError> for Halt {
    fn from(error: ConnectError) -> Self {
        let again = match &error {
            ConnectError::Refused { .. } => Again::Refused,
            ConnectError::Forward { said, .. } if said.contains("connect failed") => Again::Refused,
            _ => Again::Never,
        };
        Self {
            error: Box::new(error),
            again,
        }
    }
}

/// The pauses between the attempts at one server.
#[derive(Default)]
pub(in crate::transport) struct Retries {
    count: u32,
}

impl Retries {
    /// Waits until it is time to try again; `false` if it is not to be tried again.
    pub(in crate::transport) fn wait(&mut self, again: Again, deadline: &Deadline<'_>) -> bool {
        match again {
            Again::Never => return false,
            Again::Refused if self.count >= REFUSED => return false,
            Again::Refused | Again::TurnedAway => {}
        }
        let pause = (FIRST * 2_u32.saturating_pow(self.count)).min(LONGEST);
        self.count += 1;
        // Those that were turned away together do not come back together.
        let mut random = [0];
        let _ = rand_bytes(&mut random);
        let pause = pause.mul_f64(0.5 + f64::from(random[0]) / 255.0);
        if deadline.left() < pause {
            return false;
        }
        let pause = Deadline::new(pause, deadline.cancel);
        while pause.wait(&mut []).is_ok() {}
        !deadline.cancel.is_cancelled()
    }
}

/// Counts the logins that are under way at each server.
#[derive(Default)]
pub(super) struct Pacer {
    busy: Mutex<BTreeMap<String, usize>>,
    left: Condvar,
}

/// A login that is under way.
pub(super) struct Slot<'a> {
    pacer: &'a Pacer,
    server: String,
}

impl Pacer {
    /// Waits for a place at the server, but not longer than the deadline: then it may be tried all the same.
    pub(super) fn enter(&self, hop: &Hop, deadline: &Deadline<'_>) -> Slot<'_> {
        let server = match &hop.way {
            Way::Direct => format!("{}:{}", hop.host, hop.port),
            Way::Jump(chain) => format!("{chain} {}:{}", hop.host, hop.port),
            // One command with different names goes through one host.
            Way::Command { template, .. } => template.clone(),
        };
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while busy.get(&server).is_some_and(|count| *count >= AT_A_TIME) && deadline.check().is_ok()
        {
            let moment = Duration::from_millis(50);
            let waited = self.left.wait_timeout(busy, moment);
            busy = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *busy.entry(server.clone()).or_default() += 1;
        Slot {
            pacer: self,
            server,
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut busy = self
            .pacer
            .busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = busy.get_mut(&self.server) {
            *count -= 1;
        }
        self.pacer.left.notify_all();
    }
}
