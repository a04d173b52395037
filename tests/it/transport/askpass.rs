//! What the system's ssh is given to log in with, and how often it tries.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use fwdeploy::transport::Cancel;
use fwdeploy::transport::Client;
use fwdeploy::transport::ConnectOptions;
use fwdeploy::transport::Destination;
use fwdeploy::transport::Secrets;
use fwdeploy::transport::SshConfig;
use fwdeploy::transport::SystemTransport;
use fwdeploy::transport::Transport;

use crate::transport::sshd::Machine;
use crate::transport::sshd::Nobody;
use crate::transport::sshd::Password;
use crate::transport::sshd::Sshd;
use crate::transport::sshd::refusal;
use crate::transport::sshd::run;

const USERS: &str = "eva:open-sesame:1000:1000::/tmp:/bin/sh";

fn settings(sshd: &Sshd) -> ConnectOptions {
    ConnectOptions {
        client: Client::OpenSsh,
        askpass: Some(env!("CARGO_BIN_EXE_fwdeploy").into()),
        ..sshd.settings()
    }
}

fn eva(sshd: &Sshd) -> Destination {
    Destination {
        user: Some("eva".to_owned()),
        ..sshd.destination()
    }
}

/// Tried with the password in the environment of ssh.
#[test]
fn no_argument_and_no_environment_has_the_password() {
    let Some(sshd) = Sshd::with_users(USERS, "") else {
        return;
    };
    // ssh runs this with its own environment, for each login anew.
    let seen = sshd.at("seen");
    let look = format!(
        "tr '\\0' '\\n' </proc/$PPID/cmdline >>{seen}; env >>{seen}",
        seen = seen.display()
    );
    let config = format!(
        "Match exec \"{look}\"\n StrictHostKeyChecking accept-new\n UserKnownHostsFile {}\n",
        sshd.at("known_hosts").display()
    );
    fs::write(sshd.at("ssh_config"), config).unwrap();
    let settings = ConnectOptions {
        ssh_config: SshConfig::File(sshd.at("ssh_config")),
        ..settings(&sshd)
    };
    let system = SystemTransport::new(settings, Box::new(Password(Some("open-sesame"))));
    let mut connection = system.connect(&eva(&sshd), &Cancel::new()).unwrap();
    let output = run(connection.as_mut(), "id -un; env").unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.starts_with("eva\n"), "{printed}");
    assert!(!printed.contains("ASKPASS"), "{printed}");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("SSH_ASKPASS=") && seen.contains("BatchMode=no"));
    assert!(!seen.contains("open-sesame"), "{seen}");
    // Nothing is left of the places where ssh asked.
    let places = seen
        .lines()
        .filter_map(|it| it.strip_prefix("SSH_ASKPASS="));
    let places: Vec<&str> = places.collect();
    assert!(places.len() >= 2, "{places:?}");
    assert!(
        !places
            .iter()
            .any(|it| Path::new(it).parent().unwrap().exists())
    );
}

/// Tried without ending ssh at its second question: it sends an empty password then, and the log has two failures.
#[test]
fn a_wrong_password_is_sent_once() {
    for with_pam in [false, true] {
        let sshd = match with_pam {
            false => Sshd::with_users(USERS, ""),
            true => Sshd::with_pam(USERS, "ChallengeResponseAuthentication yes"),
        };
        let Some(sshd) = sshd else { return };
        let system = SystemTransport::new(settings(&sshd), Box::new(Password(Some("wrong"))));
        let error = refusal(system.connect(&eva(&sshd), &Cancel::new()));
        let said = error.to_string();
        assert!(said.contains("the password: refused"), "{said}");
        assert!(!said.contains("wrong"), "{said}");
        assert!(error.hint().unwrap().contains("offered once"));
        let log = sshd.log();
        // An empty password is logged as `Failed none`.
        assert_eq!(log.matches("Failed ").count(), 1, "{log}");
    }
}

/// Tried with an answer for each process that asks.
#[test]
fn a_jump_host_that_asks_is_sent_nothing() {
    let (Some(jump), Some(node)) = (Sshd::with_users(USERS, ""), Sshd::with_users(USERS, ""))
    else {
        return;
    };
    let config = format!(
        "Host gw\n HostName 127.0.0.1\n Port {}\n User eva\n IdentityFile none\nHost *\n IdentityAgent none\n StrictHostKeyChecking accept-new\n UserKnownHostsFile {}\nMatch originalhost 127.0.0.1\n ProxyJump gw\n",
        jump.port,
        node.at("known_hosts").display()
    );
    fs::write(node.at("ssh_config"), config).unwrap();
    let settings = ConnectOptions {
        ssh_config: SshConfig::File(node.at("ssh_config")),
        ..settings(&node)
    };
    let nobody: Box<dyn Secrets> = Box::new(Nobody);
    for secrets in [Box::new(Password(Some("open-sesame"))), nobody] {
        let system = SystemTransport::new(settings.clone(), secrets);
        let error = refusal(system.connect(&eva(&node), &Cancel::new()));
        let said = error.to_string();
        assert!(
            said.contains("a jump host asks `eva@127.0.0.1's password:`"),
            "{said}"
        );
        assert!(error.hint().unwrap().contains("with a key"));
        let log = jump.log();
        assert!(!log.contains("password for eva"), "{log}");
    }
}

/// Tried without trying again, in the login and in the runs.
#[test]
fn a_crowd_over_the_systems_ssh_gets_in() {
    let machine = Machine::default();
    let Some(sshd) = machine.with_plain_root(&["ed25519"], "MaxStartups 2:100:2") else {
        return;
    };
    let destination = Destination {
        key_file: Some(sshd.key("login", &["-t", "ed25519"])),
        ..sshd.destination()
    };
    let settings = ConnectOptions {
        connect_timeout: Duration::from_secs(60),
        ..settings(&sshd)
    };
    let system = SystemTransport::new(settings, Box::new(Nobody));
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut connection = system.connect(&destination, &Cancel::new()).unwrap();
                for _ in 0..2 {
                    let output = run(connection.as_mut(), "echo once").unwrap();
                    assert_eq!(output.stdout, b"once\n");
                }
            });
        }
    });
    let log = sshd.log().to_lowercase();
    assert!(log.contains("maxstartups"), "{log}");
}

#[test]
fn only_ssh_makes_the_program_ask() {
    let output = Command::new(env!("CARGO_BIN_EXE_fwdeploy"))
        .arg("eva@web's password: ")
        .env("SSH_ASKPASS", "/nowhere/fwdeploy-askpass")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("unrecognized subcommand"), "{said}");
    // Without a socket beside the link nothing is printed.
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("fwdeploy-askpass");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fwdeploy"), &link).unwrap();
    let output = Command::new(&link)
        .arg("eva@web's password: ")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    // What ssh only tells is shown by the program that shows it otherwise, where there is a display.
    for (display, expected) in [(":0", "Confirm user presence\n"), ("", "")] {
        let output = Command::new(&link)
            .arg("Confirm user presence")
            .env("SSH_ASKPASS_PROMPT", "none")
            .env("FWDEPLOY_SSH_ASKPASS", "echo")
            .env("DISPLAY", display)
            .env_remove("WAYLAND_DISPLAY")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}
