//! Waiting for a change whose caller has gone away.

/// Waits until the lock is free.
const WAIT: &str = include_str!("wait.sh");

/// Returns the script that ends when no script of [`apply`](crate::node::apply) runs on the node any more.
///
/// A script whose connection was lost goes on to the end of the step at work. Where the node has no `flock` there is nothing to
/// wait for, and the script ends at once.
pub fn wait() -> String {
    WAIT.to_string()
}
