use std::fs;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::tempdir;

use super::*;
use crate::transport::Host;
use crate::transport::HostKind;
use crate::transport::Output;
use crate::transport::RunError;
use crate::transport::SudoProblem;

const AS_IS: Privilege = Privilege::AsIs;

fn root() -> Privilege {
    Privilege::Sudo {
        user: "root".to_owned(),
    }
}

fn place() -> Host {
    Host {
        kind: HostKind::Node,
        node: "edge-1".to_owned(),
        address: "10.0.0.1:22".into(),
    }
}

fn protocol<'a>(
    script: &'a str,
    privilege: &'a Privilege,
    password: Option<&str>,
) -> ScriptProtocol<'a> {
    let password = password.map(|text| Secret::new(text.to_owned()));
    ScriptProtocol::new(script, privilege, password).unwrap()
}

fn hear(protocol: &mut ScriptProtocol<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut heard = Vec::new();
    protocol.hear_stdout(bytes, &mut |piece| heard.extend_from_slice(piece));
    heard
}

fn take_all(protocol: &mut ScriptProtocol<'_>) -> String {
    let mut all = Vec::new();
    while protocol.has_input() {
        let piece = protocol.offer().to_vec();
        protocol.sent(piece.len());
        all.extend(piece);
    }
    String::from_utf8(all).unwrap()
}

fn conclude(protocol: ScriptProtocol<'_>, end: StreamEnd) -> Result<Output, RunError> {
    protocol.conclude(end, &place(), Duration::from_secs(60))
}

fn closed(status: i32) -> StreamEnd {
    StreamEnd::Closed {
        status: Some(status),
        signal: None,
    }
}

#[test]
fn output_is_what_stands_between_the_marks() {
    let mut protocol = protocol("true", &AS_IS, None);
    let (begin, end) = (protocol.begin.clone(), protocol.end.clone());
    assert_eq!(hear(&mut protocol, b"welcome!\nfwdeploy-beg"), b"");
    assert_eq!(hear(&mut protocol, begin.as_bytes()), b"");
    assert_eq!(hear(&mut protocol, b"one\n"), b"one\n");
    protocol.hear_stderr(format!("noise\n{begin}warning\n").as_bytes());
    assert_eq!(hear(&mut protocol, format!("two{end}4").as_bytes()), b"two");
    assert!(!protocol.has_ended());
    assert_eq!(hear(&mut protocol, b"2\nlate"), b"");
    assert!(protocol.has_ended());
    let output = Output {
        stdout: b"one\ntwo".to_vec(),
        stderr: b"warning\n".to_vec(),
        status: 42,
    };
    assert_eq!(conclude(protocol, closed(0)).unwrap(), output);
}

#[test]
fn status_zero_without_the_mark_is_lost() {
    let mut protocol = protocol("true", &AS_IS, None);
    let begin = protocol.begin.clone();
    hear(&mut protocol, format!("{begin}step 1\n").as_bytes());
    take_all(&mut protocol);
    let error = conclude(protocol, closed(0)).unwrap_err();
    assert!(matches!(error, RunError::Lost { .. }), "{error}");
    assert_eq!(error.partial().unwrap().stdout, b"step 1\n");
    assert_eq!(error.executed(), Executed::Perhaps);
}

#[test]
fn a_script_is_offered_only_to_a_shell_that_greeted() {
    let mut protocol = protocol("reboot", &AS_IS, None);
    assert!(!protocol.has_input() && !protocol.is_told());
    hear(&mut protocol, b"Choose: 1) reboot\n");
    assert!(!protocol.has_input());
    let begin = protocol.begin.clone();
    hear(&mut protocol, begin.as_bytes());
    assert!(take_all(&mut protocol).contains("reboot"));
    assert!(protocol.is_told());
}

#[test]
fn a_script_that_was_not_offered_to_its_end_never_ran() {
    let script = "echo\n".repeat(20_000);
    let mut protocol = protocol(&script, &AS_IS, None);
    let begin = protocol.begin.clone();
    hear(&mut protocol, begin.as_bytes());
    let piece = protocol.offer().len();
    protocol.sent(piece);
    let error = conclude(protocol, StreamEnd::Broken("reset".to_owned())).unwrap_err();
    assert_eq!(error.executed(), Executed::Never);
}

#[test]
fn a_password_is_sent_once_and_only_to_the_prompt() {
    let root = root();
    let mut protocol = protocol("id", &root, Some("s3cret"));
    let (login, prompt) = (protocol.login.clone(), protocol.prompt.clone());
    hear(&mut protocol, login.as_bytes());
    protocol.hear_stderr(b"Password: ");
    assert!(!protocol.has_input());
    protocol.hear_stderr(prompt.as_bytes());
    assert_eq!(take_all(&mut protocol), "s3cret\n");
    protocol.hear_stderr(b"\nSorry, try again.\n");
    assert!(!protocol.is_refused());
    protocol.hear_stderr(prompt.as_bytes());
    assert!(protocol.is_refused() && !protocol.has_input());
    let error = conclude(
        protocol,
        StreamEnd::Closed {
            status: None,
            signal: None,
        },
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            RunError::Sudo {
                problem: SudoProblem::WrongPassword,
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.to_string().contains("fwdeploy-sudo"), "{error}");
}

#[test]
fn a_password_of_several_lines_is_none() {
    let root = root();
    for password in ["a\nreboot", "a\rreboot", "a\0reboot"] {
        let mut protocol = protocol("id", &root, Some(password));
        let prompt = protocol.prompt.clone();
        protocol.hear_stderr(prompt.as_bytes());
        assert!(!protocol.has_input());
        assert!(
            protocol
                .command_line()
                .unwrap()
                .contains("sudo -H -u root -n --")
        );
    }
}

#[test]
fn a_shell_that_sudo_let_in_without_asking_never_sees_the_password() {
    let root = root();
    let mut protocol = protocol("id", &root, Some("s3cret"));
    let begin = protocol.begin.clone();
    let prompt = protocol.prompt.clone();
    hear(&mut protocol, begin.as_bytes());
    protocol.hear_stderr(prompt.as_bytes());
    assert!(!take_all(&mut protocol).contains("s3cret"));
}

#[test]
fn no_argument_holds_a_secret_or_the_script() {
    let root = root();
    let line = protocol("rm precious", &root, Some("s3cret"))
        .command_line()
        .unwrap();
    assert!(
        !line.contains("s3cret") && !line.contains("precious"),
        "{line}"
    );
    assert!(
        line.starts_with("exec /bin/sh -c 'echo fwdeploy-login-"),
        "{line}"
    );
    assert!(
        line.contains("\"$@\"' sh env 'LC_ALL=C' sudo -H -u root -S -p fwdeploy-sudo-"),
        "{line}"
    );
    let line = protocol("", &root, None).command_line().unwrap();
    assert!(
        line.contains("\"$@\"' sh env 'LC_ALL=C' sudo -H -u root -n -- /bin/sh -c '"),
        "{line}"
    );
}

#[test]
fn sudo_that_asks_something_else_is_named_without_its_lecture() {
    let root = root();
    let mut protocol = protocol("id", &root, Some("s3cret"));
    let login = protocol.login.clone();
    protocol.hear_stderr(format!("motd\n{login}").as_bytes());
    let lecture = "\nWe trust you have received the usual lecture from the local System\nAdministrator. It usually boils down to these three things:\n\n    #1) Respect the privacy of others.\n    #2) Think before you type.\n    #3) With great power comes great responsibility.\n\nFor security reasons, the password you type will not be visible.\n\n";
    protocol.hear_stderr(lecture.as_bytes());
    protocol.hear_stderr(b"Verification code: ");
    let error = conclude(protocol, StreamEnd::Stopped(Stopped::TimedOut)).unwrap_err();
    assert!(
        matches!(
            error,
            RunError::Sudo {
                problem: SudoProblem::Unanswered,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .ends_with("the password: Verification code:"),
        "{error}"
    );
}

#[test]
fn what_the_login_shell_does_is_not_blamed_on_sudo() {
    let root = root();
    // `exit` in .bashrc, nologin, `exec fish`: none of them executes the command.
    for end in [closed(0), closed(1), StreamEnd::Stopped(Stopped::TimedOut)] {
        let mut protocol = protocol("id", &root, Some("s3cret"));
        protocol.hear_stderr(b"Sorry, only rsync is allowed here\n");
        let error = conclude(protocol, end).unwrap_err();
        assert!(matches!(error, RunError::Shell { .. }), "{error}");
        assert!(
            error.to_string().ends_with("only rsync is allowed here"),
            "{error}"
        );
        assert!(!error.to_string().contains("sudo") && error.hint().is_some());
    }
    // Once the login shell has run it, it is sudo.
    let mut protocol = protocol("id", &root, None);
    let login = protocol.login.clone();
    hear(&mut protocol, login.as_bytes());
    protocol.hear_stderr(
        format!("a motd about sudo\n{login}sudo: a password is required\n").as_bytes(),
    );
    let error = conclude(protocol, closed(1)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("none was given: sudo: a password is required"),
        "{error}"
    );
}

#[test]
fn an_answer_has_an_end() {
    let mib = vec![b'x'; 1024 * 1024];
    let most = |told: &str| {
        let mut protocol = protocol("id", &AS_IS, None);
        let (begin, end) = (protocol.begin.clone(), protocol.end.clone());
        match told {
            "standard output before the script began" => {}
            "standard output in place of the status" => {
                hear(&mut protocol, format!("{begin}{end}").as_bytes());
            }
            _ => {
                hear(&mut protocol, begin.as_bytes());
            }
        }
        let mut said = 0;
        while !protocol.is_too_much() {
            assert!(said < 64, "{told} has no end");
            match told {
                "standard error" => protocol.hear_stderr(&mib),
                _ => drop(hear(&mut protocol, &mib)),
            }
            said += 1;
        }
        let error = conclude(protocol, closed(0)).unwrap_err();
        assert!(error.to_string().ends_with(told), "{error}");
        let partial = error.partial().unwrap();
        assert!(partial.stdout.len() + partial.stderr.len() <= 2 * KEPT);
        said
    };
    assert_eq!(most("standard output"), 33);
    assert_eq!(most("standard error"), 9);
    assert_eq!(most("standard output before the script began"), 2);
    assert_eq!(most("standard output in place of the status"), 2);
}

#[test]
fn what_comes_after_the_status_is_kept_by_nobody() {
    let mut protocol = protocol("id", &AS_IS, None);
    let (begin, end) = (protocol.begin.clone(), protocol.end.clone());
    hear(&mut protocol, format!("{begin}{end}0\n").as_bytes());
    for _ in 0..100 {
        hear(&mut protocol, &[b'x'; 64 * 1024]);
    }
    assert!(protocol.pending.len() < 1024 && !protocol.is_too_much());
}

#[test]
fn every_error_says_where_and_hides_control_characters() {
    let mut protocol = protocol("id", &AS_IS, None);
    hear(
        &mut protocol,
        b"\x1b[31mThis account is currently not available.\n",
    );
    let error = conclude(protocol, closed(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the login shell of node `edge-1` (10.0.0.1:22) ended with status 1 without running what it was given: [31mThis account is currently not available."
    );
    assert!(error.hint().is_some());
}

/// Feeds a shell and returns its output.
fn shell(program: &str, input: &str) -> Option<Vec<u8>> {
    let mut child = Command::new(program)
        .args(if program == "bash" {
            ["--posix", "-s"].as_slice()
        } else {
            &["-s"]
        })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    // A shell that gave up on a syntax error reads no further.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Some(child.wait_with_output().unwrap().stdout)
}

#[test]
fn a_script_cut_anywhere_runs_nothing() {
    let folder = tempdir().unwrap();
    let trace = folder.path().join("ran");
    // Bigger than the 8 KiB that dash reads at a time, with what a cut could turn into something else.
    let filler = "# padding (with { brackets\n".repeat(400);
    let script = format!(
        "touch {trace}\n{filler}case x in a) touch {trace};; *) touch {trace};; esac\ncat <<'EOF' >/dev/null\n)\n}}\nEOF\nif true; then touch {trace}; fi\n",
        trace = trace.display()
    );
    let protocol = protocol(&script, &AS_IS, None);
    let wrapped = protocol.wrapped();
    let whole = wrapped.rfind("\n)").unwrap() + 1;
    for program in ["dash", "bash"] {
        let interesting = (0..whole).filter(|at| *at < 120 || *at > whole - 160 || at % 1013 == 0);
        for cut in interesting {
            let Some(stdout) = shell(program, &wrapped[..cut]) else {
                break;
            };
            assert!(
                !trace.exists(),
                "{program} ran a script cut at {cut} of {whole}"
            );
            assert_eq!(stdout, b"", "{program}, cut at {cut}");
        }
        if let Some(stdout) = shell(program, &wrapped) {
            assert!(trace.exists());
            assert_eq!(stdout, format!("{}0\n", protocol.end).into_bytes());
            fs::remove_file(&trace).unwrap();
        }
    }
}

#[test]
fn a_script_left_open_runs_nothing_and_brings_no_status() {
    let folder = tempdir().unwrap();
    let trace = folder.path().join("ran");
    for open in [
        "cat <<'EOF'\nx",
        "echo 'x",
        "if true; then",
        "(",
        "{",
        "echo $(",
        "case x in",
    ] {
        let script = format!("touch {}\n{open}", trace.display());
        let protocol = protocol(&script, &AS_IS, None);
        for program in ["dash", "bash"] {
            let Some(stdout) = shell(program, &protocol.wrapped()) else {
                continue;
            };
            assert!(!trace.exists(), "{program} ran a script with `{open}`");
            assert_eq!(stdout, b"", "{program}, `{open}`");
        }
    }
}

proptest! {
    #[test]
    fn output_is_the_same_however_it_is_cut(
        body in proptest::collection::vec(prop_oneof![Just(b'f'), Just(b'w'), any::<u8>()], 0..64),
        cuts in proptest::collection::vec(1_usize..40, 1..40),
        repeat in 0_usize..4,
        status in 0_i32..256,
    ) {
        let mut protocol = protocol("", &AS_IS, None);
        // Beginnings of the mark inside the output are the hard case.
        let part = protocol.end.as_bytes()[..20].repeat(repeat);
        let body = [part.as_slice(), &body, &part].concat();
        let all = [protocol.begin.as_bytes(), &body, format!("{}{status}\n", protocol.end).as_bytes()].concat();
        let (mut rest, mut heard) = (all.as_slice(), Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (piece, later) = rest.split_at((*cut).min(rest.len()));
            heard.extend(hear(&mut protocol, piece));
            rest = later;
        }
        prop_assert_eq!(&heard, &body);
        let output = conclude(protocol, closed(0)).unwrap();
        prop_assert_eq!((output.stdout, output.status), (body, status));
    }
}

/// Tried with a search from the beginning for each piece: many minutes.
#[test]
fn a_node_that_sends_very_many_pieces_is_heard_in_linear_time() {
    let began = std::time::Instant::now();
    let privilege = root();
    let mut protocol = protocol("true", &privilege, Some("secret"));
    for _ in 0..300_000 {
        hear(&mut protocol, b"f");
        protocol.hear_stderr(b"f");
    }
    assert!(!protocol.has_input());
    let prompt = protocol.prompt.clone();
    for byte in prompt.bytes() {
        protocol.hear_stderr(&[byte]);
    }
    assert_eq!(take_all(&mut protocol), "secret\n");
    let greeting = protocol.begin.clone();
    for byte in greeting.bytes() {
        hear(&mut protocol, &[byte]);
        protocol.hear_stderr(&[byte]);
    }
    let end = protocol.end.clone();
    hear(&mut protocol, end.as_bytes());
    for _ in 0..300_000 {
        hear(&mut protocol, b"0");
    }
    assert!(!protocol.has_ended());
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}
