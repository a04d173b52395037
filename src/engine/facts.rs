//! Reads the state of one node, without planning.

use crate::engine::job::Job;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::session::ReadSessions;
use crate::engine::stage::Stage;
use crate::model::NodeState;

/// Reads the state of a node in one exec; `None` if it could not be read.
pub(super) fn node(job: &Job, sessions: &ReadSessions<'_>) -> (Outcome, Option<NodeState>) {
    let outcome = Outcome::new(job.node(), Verdict::Ok);
    let seen = sessions
        .open(job, &Stage::Connecting)
        .and_then(|mut session| session.look(&Stage::Looking));
    match seen {
        Ok(state) => (outcome, Some(state)),
        Err(failure) => (outcome.failed(*failure), None),
    }
}
