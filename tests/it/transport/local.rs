//! This machine as a node.

use std::fs;
use std::path::Path;
use std::thread;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use fwdeploy::transport::Cancel;
use fwdeploy::transport::ConnectOptions;
use fwdeploy::transport::Connection;
use fwdeploy::transport::Destination;
use fwdeploy::transport::Executed;
use fwdeploy::transport::Privilege;
use fwdeploy::transport::RunError;
use fwdeploy::transport::Secrets;
use fwdeploy::transport::SystemTransport;
use fwdeploy::transport::Transport;
use fwdeploy::transport::Via;

use crate::transport::sshd::LIMIT;
use crate::transport::sshd::Nobody;
use crate::transport::sshd::Says;
use crate::transport::sshd::destination;
use crate::transport::sshd::run;

fn connect() -> Box<dyn Connection> {
    let destination = Destination {
        via: Via::Local,
        ..destination(22)
    };
    let system = SystemTransport::new(ConnectOptions::default(), Box::new(Nobody));
    system.connect(&destination, &Cancel::new()).unwrap()
}

#[test]
fn the_same_script_has_the_same_output_here() {
    let script = "printf 'a\\0b\\nc'; printf 'oops\\377' >&2; cat; echo $LC_ALL; exit 7";
    let output = run(connect().as_mut(), script).unwrap();
    assert_eq!(output.stdout, b"a\0b\ncC\n");
    assert_eq!(output.stderr, b"oops\xff");
    assert_eq!(output.status, 7);
}

#[test]
fn megabytes_in_all_three_directions_do_not_hang_here() {
    let text = "0123456789abcde\n".repeat(128 * 1024);
    let script = format!(
        "head -c 5000000 /dev/zero >&2 &\ncat <<'EOF'\n{text}EOF\nhead -c 5000000 /dev/zero\nwait\n"
    );
    let output = run(connect().as_mut(), &script).unwrap();
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (text.len() + 5_000_000, 5_000_000)
    );
}

#[test]
fn a_killed_shell_is_never_success_here() {
    let error = run(connect().as_mut(), "echo before; kill -KILL $$; sleep 1").unwrap_err();
    let RunError::Lost { partial, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(partial.stdout, b"before\n");
    assert_eq!(partial.executed, Executed::Perhaps);
}

#[test]
fn a_script_at_its_limit_is_ended_here() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("ran");
    let script = format!("echo begun; sleep 2; touch {}", trace.display());
    let limit = Duration::from_millis(500);
    let error = connect()
        .run(&script, limit, &mut |_| {}, &Cancel::new())
        .unwrap_err();
    assert!(matches!(error, RunError::TimedOut { .. }), "{error}");
    assert_eq!(error.partial().unwrap().stdout, b"begun\n");
    sleep(Duration::from_secs(2));
    assert!(!fs::exists(&trace).unwrap());
}

#[test]
fn cancelling_ends_a_script_here() {
    let cancel = Cancel::new();
    let asked = cancel.clone();
    thread::spawn(move || {
        sleep(Duration::from_millis(300));
        asked.cancel();
    });
    let start = Instant::now();
    let error = connect()
        .run("sleep 9", LIMIT, &mut |_| {}, &cancel)
        .unwrap_err();
    assert!(matches!(error, RunError::Cancelled { .. }), "{error}");
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_program_left_in_the_background_does_not_hold_the_answer_here() {
    let start = Instant::now();
    let output = run(connect().as_mut(), "sleep 8 & echo done; exit 4").unwrap();
    assert_eq!(
        (output.stdout.as_slice(), output.status),
        (b"done\n".as_slice(), 4)
    );
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn sudo_runs_a_script_here() {
    if !rustix::process::getuid().is_root() || !Path::new("/usr/bin/sudo").exists() {
        eprintln!("skipped: sudo and root are needed");
        return;
    }
    let privilege = Privilege::Sudo {
        user: "nobody".to_owned(),
    };
    for secrets in [
        Box::new(Nobody) as Box<dyn Secrets>,
        Box::new(Says::new("not asked for")),
    ] {
        let destination = Destination {
            via: Via::Local,
            privilege: privilege.clone(),
            ..destination(22)
        };
        let system = SystemTransport::new(ConnectOptions::default(), secrets);
        let mut connection = system.connect(&destination, &Cancel::new()).unwrap();
        let output = run(connection.as_mut(), "id -un; cat; exit 3").unwrap();
        assert_eq!(
            (output.stdout.as_slice(), output.status),
            (b"nobody\n".as_slice(), 3)
        );
    }
}
