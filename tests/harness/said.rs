//! The output of commands, and waiting.

use std::process::Output;
use std::time::Duration;
use std::time::Instant;

/// The output of a command, with both streams as text.
#[derive(Debug)]
pub struct Said {
    /// The exit status.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Waits until something holds, for as long as services take to come back on a busy machine.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_until_empty(what, || match holds() {
        true => String::new(),
        false => "it does not hold".to_string(),
    });
}

/// Waits until nothing is left of what is asked for, as long as [`wait_until`] does, and tells what stayed.
pub fn wait_until_empty(what: &str, mut left: impl FnMut() -> String) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let left = left();
        if left.is_empty() {
            return;
        }
        assert!(
            Instant::now() < until,
            "waited a minute in vain until {what}: {left}"
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}
