//! The limit on open files.

use rustix::process::Resource;
use rustix::process::Rlimit;

/// Raises the soft limit to what `forks` connections at a time need, but not above the hard limit. If that is too low, the node
/// for which no socket can be opened reports it.
pub(super) fn allow(forks: usize) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // Each connection has a socket, and a second one to the agent while logging in; 64 are for everything else.
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
