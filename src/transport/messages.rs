//! Every message that a user can see, in one snapshot.

use std::error::Error;
use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::known_hosts::FileLine;
use super::*;

fn place() -> Host {
    Host {
        kind: HostKind::Node,
        node: "edge-1".to_owned(),
        address: "10.0.0.7:2222".into(),
    }
}

fn refused() -> io::Error {
    io::Error::from(io::ErrorKind::PermissionDenied)
}

fn presented() -> Box<Presented> {
    Box::new(Presented {
        algorithm: "ssh-ed25519".to_owned(),
        fingerprint: "SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDXbKV7wSfCEYTDXSM".to_owned(),
        name: "[10.0.0.7]:2222".to_owned(),
    })
}

fn partial(executed: Executed) -> Box<Partial> {
    Box::new(Partial {
        stdout: Vec::new(),
        stderr: Vec::new(),
        executed,
    })
}

#[test]
fn every_way_not_to_connect_says_what_and_where_and_what_to_do() {
    let at = place;
    let user = || "ops".to_owned();
    let after = Duration::from_secs(10);
    let line = || FileLine {
        path: "/home/op/.ssh/known_hosts".into(),
        line: 12,
    };
    let tried = || {
        vec![
            "the agent's key SHA256:abc (op@desk): refused".to_owned(),
            "/home/op/.ssh/id_rsa: refused".to_owned(),
        ]
    };
    let key = |problem| ConnectError::Key {
        at: place(),
        path: PathBuf::from("/keys/deploy"),
        problem,
    };
    let jump = || Host {
        kind: HostKind::JumpHost,
        node: "eva@gw".to_owned(),
        address: "192.0.2.1:22".into(),
    };
    let open_ssh = |kind| ConnectError::OpenSsh {
        at: place(),
        said: "what ssh prints".to_owned(),
        kind,
    };
    let errors = [
        ConnectError::Resolve {
            at: at(),
            source: io::Error::other("Name or service not known"),
        },
        ConnectError::Refused { at: at() },
        ConnectError::TimedOut { at: at(), after },
        ConnectError::NoRoute {
            at: at(),
            source: io::Error::from(io::ErrorKind::HostUnreachable),
        },
        ConnectError::Socket {
            at: at(),
            source: io::Error::other("Too many open files"),
        },
        ConnectError::Handshake {
            at: at(),
            said: "Failed getting banner".to_owned(),
        },
        ConnectError::HandshakeTimedOut {
            at: at(),
            after,
            told: None,
        },
        ConnectError::HandshakeTimedOut {
            at: at(),
            after,
            told: Some("it is `SSH-2.0-OpenSSH_9.2`".to_owned()),
        },
        ConnectError::NoCommon {
            at: at(),
            what: "cipher",
            theirs: "aes128-cbc,3des-cbc".to_owned(),
            ours: "aes256-ctr,aes128-ctr".to_owned(),
        },
        ConnectError::KnownHosts {
            at: at(),
            path: line().path,
            source: refused(),
        },
        ConnectError::HostKeyUnknown {
            at: at(),
            presented: presented(),
            file: Some(line().path),
            malformed: 0,
        },
        ConnectError::HostKeyUnknown {
            at: at(),
            presented: presented(),
            file: None,
            malformed: 2,
        },
        ConnectError::HostKeyCertified {
            at: at(),
            presented: presented(),
            authority: line(),
            why: "it has expired".to_owned(),
        },
        ConnectError::HostKeyChanged {
            at: at(),
            presented: presented(),
            known: line(),
            known_algorithm: "ssh-rsa".to_owned(),
        },
        ConnectError::HostKeyRevoked {
            at: at(),
            presented: presented(),
            location: line(),
        },
        ConnectError::User { at: at() },
        key(KeyProblem::Unreadable(refused())),
        key(KeyProblem::Exposed { mode: 0o644 }),
        key(KeyProblem::NotAKey),
        key(KeyProblem::PublicHalf(
            " (no agent (SSH_AUTH_SOCK is not set))".to_owned(),
        )),
        key(KeyProblem::PassphraseNeeded),
        key(KeyProblem::PassphraseWrong),
        ConnectError::NoKey {
            at: at(),
            looked: vec![
                "no agent (SSH_AUTH_SOCK is not set)".to_owned(),
                "no id_ed25519, id_ecdsa, id_rsa in /home/op/.ssh".to_owned(),
            ],
        },
        ConnectError::Authentication {
            at: at(),
            user: user(),
            tried: tried(),
            accepts: "publickey,password".into(),
        },
        ConnectError::Authentication {
            at: at(),
            user: user(),
            tried: Vec::new(),
            accepts: "password".into(),
        },
        ConnectError::FurtherMethod {
            at: at(),
            user: user().into(),
            key: "/home/op/.ssh/id_rsa".into(),
            wants: "password,keyboard-interactive".into(),
            tried: ["the password: refused".to_owned()].into(),
        },
        ConnectError::TooManyKeys {
            at: at(),
            user: user(),
            tried: tried(),
        },
        ConnectError::HungUp {
            at: at(),
            user: user(),
            said: "the node closed the connection".to_owned(),
        },
        ConnectError::LoginTimedOut {
            at: at(),
            user: user(),
            after,
        },
        ConnectError::Session {
            at: at(),
            said: "alloc failure".to_owned(),
        },
        ConnectError::Authentication {
            at: at(),
            user: user(),
            tried: vec!["the password: refused".to_owned()],
            accepts: "password".into(),
        },
        ConnectError::Config {
            at: at(),
            said: "`Ciphers` is not possible: the algorithms are chosen here".to_owned(),
        },
        ConnectError::Jump {
            at: at(),
            source: Arc::new(ConnectError::Refused { at: jump() }),
        },
        ConnectError::Forward {
            at: at(),
            jump: Box::new(jump()),
            said: "Connection refused".to_owned(),
        },
        ConnectError::Proxy {
            at: at(),
            source: refused(),
        },
        open_ssh(OpenSshFailure::Unreachable),
        open_ssh(OpenSshFailure::HostKey),
        open_ssh(OpenSshFailure::Login),
        open_ssh(OpenSshFailure::Password),
        open_ssh(OpenSshFailure::Question),
        open_ssh(OpenSshFailure::TurnedAway),
        open_ssh(OpenSshFailure::Program),
        ConnectError::Cancelled { at: at() },
    ];
    let mut text = String::new();
    for error in &errors {
        let kind = if error.is_unreachable() {
            "unreachable"
        } else {
            "error"
        };
        show(&mut text, kind, error, error.hint());
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_way_not_to_get_a_status_says_what_and_where_and_what_to_do() {
    let at = place;
    let limit = Duration::from_secs(60);
    let said = || ": sorry".to_owned();
    let lost = |executed| RunError::Lost {
        at: place(),
        reason: "the connection is gone (transport read)".to_owned(),
        partial: partial(executed),
    };
    let mut errors = vec![
        RunError::Closed { at: at() },
        RunError::Start {
            at: at(),
            said: "Channel open failure".to_owned(),
        },
        RunError::NoSession {
            at: at(),
            wanted: "open a session",
            after: Duration::from_secs(10),
        },
        RunError::Shell {
            at: at(),
            end: ShellEnd::Status(1),
            said: said(),
        },
        RunError::Shell {
            at: at(),
            end: ShellEnd::StillRunning(limit),
            said: String::new(),
        },
        RunError::TooMuch {
            at: at(),
            stream: "standard output",
            most: 32 * 1024 * 1024,
            partial: partial(Executed::Perhaps),
        },
        lost(Executed::Never),
        lost(Executed::Perhaps),
        RunError::TimedOut {
            at: at(),
            limit,
            partial: partial(Executed::Perhaps),
        },
        RunError::Cancelled {
            at: at(),
            partial: partial(Executed::Perhaps),
        },
    ];
    for problem in [
        SudoProblem::Missing,
        SudoProblem::PasswordRequired,
        SudoProblem::WrongPassword,
        SudoProblem::TerminalRequired,
        SudoProblem::NotAllowed,
        SudoProblem::Unanswered,
        SudoProblem::Other,
    ] {
        errors.push(RunError::Sudo {
            at: at(),
            user: "root".to_owned(),
            problem,
            said: said(),
        });
    }
    let mut text = String::new();
    for error in &errors {
        show(&mut text, "error", error, error.hint());
    }
    insta::assert_snapshot!(text);
}

fn show(text: &mut String, kind: &str, error: &dyn Error, hint: Option<String>) {
    let source = error
        .source()
        .map_or_else(String::new, |source| format!(": {source}"));
    writeln!(text, "{kind}: {error}{source}").unwrap();
    if let Some(hint) = hint {
        writeln!(text, "hint: {hint}").unwrap();
    }
    text.push('\n');
}
