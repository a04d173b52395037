//! What is seen on one node, without judging it.

use crate::engine::job::Job;
use crate::engine::outcome::Outcome;
use crate::engine::outcome::Verdict;
use crate::engine::session::ReadSessions;
use crate::engine::stage::Stage;
use crate::model::NodeState;

/// Returns what is seen on a node in one exec.
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
