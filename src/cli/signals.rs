//! Ctrl-C, SIGTERM and SIGHUP: the first finishes the nodes at work, the second abandons them, the third exits at once.

use std::fs;
use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::thread;

use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use crate::engine::Stop;
use crate::report::progress::Handle;

/// The signals received so far.
pub(super) struct SignalWatch {
    /// Stops the engine.
    pub(super) stop: Stop,
    first: Arc<AtomicI32>,
}

impl SignalWatch {
    /// Returns the exit code for the first signal (128 + its number), if one arrived.
    pub(super) fn exit_code(&self) -> Option<u8> {
        match self.first.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(exit_code(signal)),
        }
    }
}

/// Starts to watch for signals.
///
/// # Errors
///
/// The system refuses to install the signal handlers.
pub(super) fn watch(screen: Handle) -> io::Result<SignalWatch> {
    let drain = Arc::new(AtomicBool::new(false));
    let leave = Arc::new(AtomicBool::new(false));
    let watch = SignalWatch {
        stop: Stop::sharing(Arc::clone(&drain), Arc::clone(&leave)),
        first: Arc::default(),
    };
    let first = Arc::clone(&watch.first);
    let ignored = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let watched = [SIGINT, SIGTERM, SIGHUP];
    let mut signals = Signals::new(watched.iter().filter(|s| !is_ignored(&ignored, **s)))?;
    thread::spawn(move || {
        for signal in &mut signals {
            let name = name(signal);
            if first
                .compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
            {
                drain.store(true, Ordering::SeqCst);
                screen.note(format!(
                    "stopping on {name}: finishing the nodes at work, starting no others; a second signal abandons them, and those that are armed roll themselves back"
                ));
            } else if !leave.swap(true, Ordering::SeqCst) {
                screen.note(format!(
                    "abandoning the nodes at work on {name}: those that are armed roll themselves back; check them with `fwdeploy status`"
                ));
            } else {
                process::exit(i32::from(exit_code(first.load(Ordering::SeqCst))));
            }
        }
    });
    Ok(watch)
}

fn name(signal: i32) -> &'static str {
    match signal {
        SIGINT => "Ctrl-C (SIGINT)",
        SIGHUP => "SIGHUP",
        _ => "SIGTERM",
    }
}

fn exit_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// Whether the program was started with the signal ignored, as `nohup` does; then it stays ignored.
///
/// `status` is the text of /proc/self/status. Without it, no signal counts as ignored.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ignored_from_the_start_is_read_from_the_mask() {
        let status = "Name:\tfwdeploy\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(status, SIGHUP));
        assert!(!is_ignored(status, SIGINT));
        assert!(!is_ignored(status, SIGTERM));
        assert!(!is_ignored("", SIGHUP));
    }

    #[test]
    fn the_exit_codes_are_a_shells() {
        assert_eq!([SIGINT, SIGTERM, SIGHUP].map(exit_code), [130, 143, 129]);
    }
}
