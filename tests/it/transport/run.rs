//! Running scripts: what comes back, and what never counts as success.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use fwdeploy::transport::Cancel;
use fwdeploy::transport::Connection;
use fwdeploy::transport::Destination;
use fwdeploy::transport::Executed;
use fwdeploy::transport::RunError;

use crate::transport::sshd::LIMIT;
use crate::transport::sshd::Sshd;
use crate::transport::sshd::run;

#[test]
fn output_errors_and_status_arrive_byte_for_byte() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection = sshd.connect();
    let output = run(
        connection.as_mut(),
        "printf 'a\\0b\\nc'; printf 'oops\\377' >&2; exit 7",
    )
    .unwrap();
    assert_eq!(output.stdout, b"a\0b\nc");
    assert_eq!(output.stderr, b"oops\xff");
    assert_eq!(output.status, 7);
    let output = run(connection.as_mut(), "").unwrap();
    assert_eq!(
        (output.stdout, output.stderr, output.status),
        (vec![], vec![], 0)
    );
}

#[test]
fn a_connection_runs_script_after_script() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection = sshd.connect();
    for number in 0..20 {
        let output = run(
            connection.as_mut(),
            &format!("echo {number}; exit {number}"),
        )
        .unwrap();
        assert_eq!(output.stdout, format!("{number}\n").into_bytes());
        assert_eq!(output.status, number);
    }
}

#[test]
fn a_script_finds_nothing_on_its_input_and_the_c_locale() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection = sshd.connect();
    let output = run(
        connection.as_mut(),
        "cat; read line; echo $?; echo $LC_ALL; echo end",
    )
    .unwrap();
    assert_eq!(output.stdout, b"1\nC\nend\n");
}

#[test]
fn megabytes_in_all_three_directions_at_once_do_not_hang() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection = sshd.connect();
    let text = "0123456789abcde\n".repeat(192 * 1024);
    let script = format!(
        "head -c 5000000 /dev/zero >&2 &\ncat <<'EOF'\n{text}EOF\nhead -c 5000000 /dev/zero\nwait\n"
    );
    let mut heard = 0;
    let cancel = Cancel::new();
    let output = connection
        .run(&script, LIMIT, &mut |piece| heard += piece.len(), &cancel)
        .unwrap();
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (text.len() + 5_000_000, 5_000_000)
    );
    assert_eq!(heard, output.stdout.len());
    assert!(output.stdout.starts_with(text.as_bytes()));
    assert_eq!(output.status, 0);
}

#[test]
fn rekeying_in_the_middle_changes_nothing() {
    let Some(sshd) = Sshd::with(&["ed25519"], "RekeyLimit 1M") else {
        return;
    };
    let mut connection = sshd.connect();
    let output = run(
        connection.as_mut(),
        "head -c 8000000 /dev/zero | tee /dev/stderr",
    )
    .unwrap();
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (8_000_000, 8_000_000)
    );
}

#[test]
fn output_arrives_while_the_script_runs() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection = sshd.connect();
    let (start, mut first) = (Instant::now(), None);
    let mut hear = |_: &[u8]| {
        first.get_or_insert_with(|| start.elapsed());
    };
    connection
        .run(
            "echo one; sleep 2; echo two",
            LIMIT,
            &mut hear,
            &Cancel::new(),
        )
        .unwrap();
    assert!(first.unwrap() < Duration::from_millis(1500), "{first:?}");
}

#[test]
fn a_quiet_script_outlives_many_signs_of_life() {
    let Some(sshd) = Sshd::start() else { return };
    // The tests' settings send one every two seconds.
    assert_eq!(
        run(sshd.connect().as_mut(), "sleep 7; exit 3")
            .unwrap()
            .status,
        3
    );
}

#[test]
fn a_script_ended_by_a_signal_has_the_shells_status() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection = sshd.connect();
    let output = run(
        connection.as_mut(),
        "echo before; sh -c 'kill -KILL $$'; exit $?",
    )
    .unwrap();
    assert_eq!(
        (output.stdout.as_slice(), output.status),
        (b"before\n".as_slice(), 137)
    );
}

#[test]
fn a_killed_shell_is_never_success() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection = sshd.connect();
    let error = run(
        connection.as_mut(),
        "echo before; sleep 0.5; kill -KILL $$; sleep 1",
    )
    .unwrap_err();
    assert!(matches!(&error, RunError::Lost { .. }), "{error}");
    assert!(error.to_string().contains("signal KILL"), "{error}");
    assert_eq!(error.executed(), Executed::Perhaps);
    assert_eq!(error.partial().unwrap().stdout, b"before\n");
}

#[test]
fn a_cut_connection_is_never_success() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection = sshd.connect();
    // The shell's parent is the sshd of this connection.
    let error = run(
        connection.as_mut(),
        "echo step 1; sleep 0.5; kill -KILL $PPID; sleep 2",
    )
    .unwrap_err();
    let RunError::Lost { partial, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(partial.stdout, b"step 1\n");
    assert_eq!(partial.executed, Executed::Perhaps);
    let error = run(connection.as_mut(), "echo again").unwrap_err();
    assert!(matches!(error, RunError::Closed { .. }), "{error}");
    assert_eq!(error.executed(), Executed::Never);
}

#[test]
fn a_connection_cut_while_sending_runs_nothing() {
    let Some(sshd) = Sshd::start() else { return };
    let trace = sshd.at("ran");
    let proxy = proxy_to(sshd.port, 1_000_000);
    let key_file = Some(sshd.key("login", &["-t", "ed25519"]));
    let destination = Destination {
        port: proxy,
        key_file,
        ..sshd.destination()
    };
    let mut connection = sshd.try_connect(&destination).unwrap();
    let script = format!(
        "touch {}\n{}",
        trace.display(),
        "echo padding\n".repeat(200_000)
    );
    let error = run(connection.as_mut(), &script).unwrap_err();
    assert!(matches!(error, RunError::Lost { .. }), "{error}");
    assert_eq!(error.executed(), Executed::Never);
    sleep(Duration::from_millis(500));
    assert!(!trace.exists());
}

/// Forwards to a port of this machine, and hangs up after so many bytes to it.
fn proxy_to(port: u16, most: u64) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (near, _) = listener.accept().unwrap();
        let far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (mut answers, mut back) = (far.try_clone().unwrap(), near.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut answers, &mut back));
        let _ = std::io::copy(&mut (&near).take(most), &mut &far);
        let _ = (&far).flush();
        let _ = far.shutdown(Shutdown::Both);
        let _ = near.shutdown(Shutdown::Both);
    });
    address.port()
}

#[test]
fn a_syntax_error_runs_nothing_and_is_never_success() {
    let Some(sshd) = Sshd::start() else { return };
    let trace = sshd.at("ran");
    let script = format!("touch {}\nif then fi done )", trace.display());
    let error = run(sshd.connect().as_mut(), &script).unwrap_err();
    assert!(matches!(error, RunError::Lost { .. }), "{error}");
    assert!(
        error.to_string().to_lowercase().contains("syntax error"),
        "{error}"
    );
    assert!(!trace.exists());
}

#[test]
fn a_script_that_takes_too_long_is_left_at_its_limit() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection = sshd.connect();
    let (start, limit) = (Instant::now(), Duration::from_secs(1));
    let result = connection.run("echo begun; sleep 9", limit, &mut |_| {}, &Cancel::new());
    let error = result.unwrap_err();
    assert!(matches!(error, RunError::TimedOut { .. }), "{error}");
    assert_eq!(error.partial().unwrap().stdout, b"begun\n");
    drop(connection);
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_script_that_never_stops_talking_is_left_at_its_limit_or_at_its_measure() {
    let Some(sshd) = Sshd::start() else { return };
    for (script, cut_off) in [
        ("while :; do echo y; sleep 0.01; done", false),
        ("yes", true),
        ("yes >&2", true),
    ] {
        let mut connection = sshd.connect_again();
        // A measure is full in less than a second, on a machine that has nothing else to do.
        let limit = if cut_off {
            LIMIT
        } else {
            Duration::from_secs(2)
        };
        let start = Instant::now();
        let error = connection
            .run(script, limit, &mut |_| {}, &Cancel::new())
            .unwrap_err();
        let told = match &error {
            RunError::TooMuch { .. } => cut_off,
            RunError::TimedOut { .. } => !cut_off,
            _ => false,
        };
        assert!(told, "{error}");
        assert_eq!(error.executed(), Executed::Perhaps);
        assert!(
            start.elapsed() < limit + Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn cancelling_ends_the_wait_at_once() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection = sshd.connect();
    let cancel = Cancel::new();
    let asked = cancel.clone();
    let start = Instant::now();
    thread::spawn(move || {
        sleep(Duration::from_millis(500));
        asked.cancel();
    });
    let error = connection
        .run("sleep 9", LIMIT, &mut |_| {}, &cancel)
        .unwrap_err();
    drop(connection);
    assert!(matches!(error, RunError::Cancelled { .. }), "{error}");
    assert!(
        start.elapsed() < Duration::from_millis(1500),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_program_left_in_the_background_does_not_hold_the_answer() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection = sshd.connect();
    let start = Instant::now();
    let output = run(connection.as_mut(), "sleep 8 & echo done; exit 4").unwrap();
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
fn dropping_a_connection_does_not_wait_for_the_node() {
    let Some(sshd) = Sshd::start() else { return };
    let mut connection: Box<dyn Connection> = sshd.connect();
    run(connection.as_mut(), "true").unwrap();
    let start = Instant::now();
    drop(connection);
    assert!(start.elapsed() < Duration::from_millis(500));
    sleep(Duration::from_millis(300));
    assert!(
        sshd.log().contains("disconnected by user") || sshd.log().contains("Received disconnect"),
        "{}",
        sshd.log()
    );
}

#[test]
fn a_script_is_in_nobodys_process_list() {
    let Some(sshd) = Sshd::start() else { return };
    let script = "needle=in-a-haystack; cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c in-a-hay[s]tack";
    let output = run(sshd.connect().as_mut(), script).unwrap();
    assert_eq!(output.stdout, b"0\n");
}

#[test]
fn a_node_that_refuses_channels_says_so() {
    let Some(sshd) = Sshd::with(&["ed25519"], "MaxSessions 0") else {
        return;
    };
    let mut connection = sshd.connect();
    let error = run(connection.as_mut(), "true").unwrap_err();
    assert!(matches!(error, RunError::Start { .. }), "{error}");
    assert_eq!(error.executed(), Executed::Never);
}

#[test]
fn a_forced_command_never_sees_the_script() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let config = format!("ForceCommand cat >{}", seen.display());
    let Some(sshd) = Sshd::with(&["ed25519"], &config) else {
        return;
    };
    let mut connection = sshd.connect();
    let limit = Duration::from_secs(2);
    let error = connection
        .run("reboot", limit, &mut |_| {}, &Cancel::new())
        .unwrap_err();
    assert!(matches!(error, RunError::Shell { .. }), "{error}");
    assert!(error.hint().unwrap().contains("ForceCommand"));
    assert_eq!(error.executed(), Executed::Never);
    assert_eq!(fs::read(&seen).unwrap(), b"");
}
