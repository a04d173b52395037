//! Ctrl-C: once finishes the nodes at work, twice leaves them, three times leaves at once.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use crate::engine::Stop;
use crate::report::progress::Handle;

/// What a shell calls a program that Ctrl-C ended.
pub(super) const INTERRUPTED: u8 = 130;

/// Watches for Ctrl-C and SIGTERM from now on, and returns the wish that they express.
pub(super) fn watch(screen: Handle) -> io::Result<Stop> {
    let drain = Arc::new(AtomicBool::new(false));
    let leave = Arc::new(AtomicBool::new(false));
    let stop = Stop::sharing(Arc::clone(&drain), Arc::clone(&leave));
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for _ in &mut signals {
            if !drain.swap(true, Ordering::SeqCst) {
                screen.note("stopping: the nodes at work are finished, no others are begun; Ctrl-C again leaves them as they are");
            } else if !leave.swap(true, Ordering::SeqCst) {
                screen
                    .note("leaving: what runs on a node may run on there; look at it with --check");
            } else {
                process::exit(i32::from(INTERRUPTED));
            }
        }
    });
    Ok(stop)
}
