//! What ends a run before every node was started: a wave with failures, and signals.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;

use crate::support::program::Place;
use crate::support::program::fleet;
use crate::support::program::listener;
use crate::support::program::nobody_came;

/// Three unreachable nodes.
fn unreachable() -> Place {
    let port = listener().1;
    Place::with(&fleet("    a:\n    b:\n    c:\n", port))
}

/// What does not differ from run to run: no port, no duration.
fn steady(text: &str) -> String {
    let line = |line: &str| match line.rfind(" (") {
        Some(at) if line.ends_with(" s)") => line[..at].to_string(),
        _ => line
            .split(' ')
            .map(|word| match word.starts_with("(127.0.0.1:") {
                true => "(PLACE):",
                false => word,
            })
            .collect::<Vec<_>>()
            .join(" "),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

#[test]
fn what_is_no_wave_is_1_and_costs_no_connection() {
    let (listener, port) = listener();
    let place = Place::with(&fleet("    a:\n    b:\n", port));
    let mut told = String::new();
    for wrong in [
        "--serial=",
        "--serial=0",
        "--serial=-1",
        "--serial=1,,2",
        "--serial=1,0%",
        "--serial=150%",
        "--serial=half",
        "--max-fail=",
        "--max-fail=-1",
        "--max-fail=101%",
        "--max-fail=few",
    ] {
        for check in [&[][..], &["--check"]] {
            let mut arguments = vec!["run", "inventory.yml", wrong];
            arguments.extend(check);
            let ran = place.run(&arguments);
            assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{wrong}");
            if check.is_empty() {
                told.push_str(&format!("$ {wrong}\n{}", ran.stderr));
            }
        }
    }
    for arguments in [
        &["--serial", "-1"][..],
        &["--serial", "-10%"],
        &["--serial", "--check"],
        &["--serial"],
        &["--max-fail", "-1"],
        &["--max-fail", "1", "--any-error-fatal"],
    ] {
        let ran = place.run(&[&["run", "inventory.yml"], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    insta::assert_snapshot!(told);
    assert!(nobody_came(&listener));
}

#[test]
fn a_failed_wave_is_the_last_and_the_rest_says_why() {
    let place = unreachable();
    let ran = place.run(&["run", "inventory.yml", "--serial", "1,100%"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    insta::assert_snapshot!("failed_wave", steady(&ran.stdout));
    insta::assert_snapshot!("failed_wave_journey", steady(&ran.stderr));

    let ran = place.run(&["run", "inventory.yml", "--serial", "1,100%", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).expect("one JSON document");
    assert_eq!(document["nodes"][0]["not_begun"], Value::Null);
    for node in 1..3 {
        let node = &document["nodes"][node];
        assert_eq!(node["status"], "skipped");
        assert_eq!(node["not_begun"]["code"], "too-many-failures");
        let why = "wave 1 of 2 had 1 failure, 0 allowed";
        assert_eq!(node["not_begun"]["message"], why);
    }
    assert_eq!(document["summary"]["skipped"], 2);
    assert_eq!(document["summary"]["exit_code"], 4);
}

#[test]
fn as_many_may_fail_as_is_allowed() {
    let place = unreachable();
    for (arguments, fleet) in [
        (&[][..], "3 unreachable"),
        (&["--any-error-fatal"], "1 unreachable, 2 skipped"),
        (&["--max-fail", "1"], "2 unreachable, 1 skipped"),
        (&["--max-fail", "34%"], "2 unreachable, 1 skipped"),
        (&["--max-fail", "33%"], "1 unreachable, 2 skipped"),
        (&["--max-fail", "100%"], "3 unreachable"),
        (&["--serial", "2"], "1 unreachable, 2 skipped"),
        (
            &["--serial", "2", "--max-fail", "1"],
            "2 unreachable, 1 skipped",
        ),
        (
            &["--serial", "2", "--max-fail", "50%"],
            "2 unreachable, 1 skipped",
        ),
        (&["--serial", "2", "--max-fail", "2"], "3 unreachable"),
    ] {
        let ran = place.run(&[&["run", "inventory.yml", "-f", "1"], arguments].concat());
        assert_eq!(ran.code, 4, "{arguments:?}");
        let last = ran.stdout.lines().last().unwrap_or_default();
        let wanted = format!("3 nodes: {fleet} (");
        assert!(last.starts_with(&wanted), "{arguments:?}: {last}");
        // Only where something is left out there is something to say.
        assert_eq!(
            ran.stderr.contains("starting no others"),
            fleet.contains("skipped"),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
    let ran = place.run(&["run", "inventory.yml", "-l", "a", "--any-error-fatal"]);
    assert!(!ran.stderr.contains("starting no others"), "{}", ran.stderr);
}

#[test]
fn a_check_looks_at_all_and_says_the_waves_of_a_run() {
    let place = unreachable();
    let ran = place.run(&["run", "inventory.yml", "--check", "--serial", "1,100%"]);
    assert_eq!(ran.code, 4);
    let says = "note: a check reads all nodes at once; a run deploys them in 2 waves: 1, 2\n";
    assert!(ran.stderr.starts_with(says), "{}", ran.stderr);
    assert!(!ran.stderr.contains("wave 1 of"), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("3 nodes: 3 unreachable"),
        "{}",
        ran.stdout
    );
}

/// Two nodes that accept and stay silent, one of them being processed by a program that handles signals as `env` has set.
struct AtWork {
    listener: TcpListener,
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// As long as this is there, the node is silent.
    _silent: TcpStream,
    _place: Place,
}

impl AtWork {
    fn begin(signals: &str, timeout: &str) -> Self {
        let (listener, port) = listener();
        let place = Place::with(&fleet("    a:\n    b:\n", port));
        let arguments = ["run", "inventory.yml", "--json", "-f", "1", "-T", timeout];
        let program = place.command(&arguments);
        // The parent of this test may ignore signals, and the child would inherit that.
        let mut child = Command::new("env")
            .arg(signals)
            .arg(program.get_program())
            .args(arguments)
            .current_dir(place.0.path())
            .env("HOME", place.0.path())
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (silent, _) = listener.accept().expect("it comes");
        AtWork {
            listener,
            stderr: BufReader::new(child.stderr.take().expect("a pipe")),
            child,
            _silent: silent,
            _place: place,
        }
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }

    /// Reads until a line contains that.
    fn hears(&mut self, says: &str) {
        let mut line = String::new();
        while !line.contains(says) {
            line.clear();
            let read = self.stderr.read_line(&mut line).expect("text");
            assert!(read > 0, "nobody said `{says}`");
        }
    }

    /// The exit code, the document, and how long it took to end.
    fn ends(mut self) -> (Option<i32>, Value, Duration) {
        let begun = Instant::now();
        let mut stdout = String::new();
        let pipe = self.child.stdout.as_mut().expect("a pipe");
        pipe.read_to_string(&mut stdout).expect("text");
        let status = self.child.wait().expect("it ends");
        assert!(nobody_came(&self.listener), "another node was begun");
        let document = serde_json::from_str(&stdout).expect("one JSON document");
        (status.code(), document, begun.elapsed())
    }
}

const HEARD: &str = "--default-signal=INT,TERM,HUP";

#[test]
fn a_signal_begins_no_other_node_and_has_its_code() {
    for (signal, name, code) in [
        (Signal::INT, "Ctrl-C (SIGINT)", 130),
        (Signal::TERM, "SIGTERM", 143),
        (Signal::HUP, "SIGHUP", 129),
    ] {
        let mut work = AtWork::begin(HEARD, "2");
        work.send(signal);
        work.hears(&format!(
            "stopping on {name}: finishing the nodes at work, starting no others"
        ));
        let (ended, document, _) = work.ends();
        assert_eq!(ended, Some(code), "{name}");
        // The node at work was finished: its silence took the whole time limit.
        assert_eq!(document["nodes"][0]["error"]["code"], "no-handshake");
        assert_eq!(document["nodes"][1]["status"], "skipped");
        assert_eq!(document["nodes"][1]["not_begun"]["code"], "stopped");
        assert_eq!(document["summary"]["exit_code"], code);
    }
}

#[test]
fn a_second_signal_leaves_whichever_it_is() {
    for (first, second, name, code) in [
        (Signal::TERM, Signal::TERM, "SIGTERM", 143),
        (Signal::TERM, Signal::HUP, "SIGHUP", 143),
        (Signal::HUP, Signal::INT, "Ctrl-C (SIGINT)", 129),
        (Signal::INT, Signal::TERM, "SIGTERM", 130),
    ] {
        let mut work = AtWork::begin(HEARD, "60");
        work.send(first);
        work.hears("stopping on ");
        work.send(second);
        work.hears(&format!("abandoning the nodes at work on {name}: "));
        let (ended, document, took) = work.ends();
        assert_eq!(ended, Some(code));
        assert_eq!(document["nodes"][0]["error"]["code"], "stopped");
        assert!(took < Duration::from_secs(20), "{took:?}");
    }
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_ignored() {
    let mut work = AtWork::begin("--ignore-signal=HUP", "2");
    work.send(Signal::HUP);
    work.send(Signal::HUP);
    work.send(Signal::TERM);
    // The first that counts.
    work.hears("stopping on SIGTERM");
    assert_eq!(work.ends().0, Some(143));
}
