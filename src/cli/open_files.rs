//! The limit of open files.

use rustix::process::Resource;
use rustix::process::Rlimit;

/// Raises the limit of open files as far as so many nodes at a time need, and as the system lets anybody. Who needs more is told
/// by the node that finds no socket.
pub(super) fn allow(forks: usize) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // A socket each, the agent's beside it while logging in, and what every program has.
    let needed = forks as u64 * 2 + 64;
    if limit.current.is_some_and(|current| current < needed) {
        let current = limit.maximum.map_or(needed, |most| most.min(needed));
        let raised = Rlimit {
            current: Some(current),
            maximum: limit.maximum,
        };
        let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    }
}
