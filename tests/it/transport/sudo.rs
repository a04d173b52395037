//! Becoming root with a real sudo.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use fwdeploy::transport::Cancel;
use fwdeploy::transport::Destination;
use fwdeploy::transport::Executed;
use fwdeploy::transport::Output;
use fwdeploy::transport::Privilege;
use fwdeploy::transport::RunError;
use fwdeploy::transport::Secrets;
use fwdeploy::transport::SudoProblem;
use fwdeploy::transport::SystemTransport;
use fwdeploy::transport::Transport;

use crate::transport::sshd::LIMIT;
use crate::transport::sshd::Nobody;
use crate::transport::sshd::Says;
use crate::transport::sshd::Sshd;

const PASSWD: &str = "\
free:*:65001:65500::/tmp:/bin/bash
asked:lab word:65002:65500::/tmp:/bin/bash
nobody-there:lab word:65003:65500::/tmp:/bin/bash
tty:*:65004:65500::/tmp:/bin/bash
narrow:*:65005:65500::/tmp:/bin/bash
";

const SUDOERS: &str = "\
Defaults env_reset, !lecture, passwd_timeout=1
Defaults:tty requiretty
Defaults:asked lecture=always
root ALL=(ALL:ALL) ALL
free ALL=(ALL:ALL) NOPASSWD: ALL
asked ALL=(ALL:ALL) ALL
tty ALL=(ALL:ALL) NOPASSWD: ALL
narrow ALL=(ALL:ALL) NOPASSWD: /usr/bin/id
";

fn start() -> Option<Sshd> {
    if !Path::new("/usr/bin/sudo").exists() {
        assert!(std::env::var("CI").is_err(), "the tests of sudo need sudo");
        eprintln!("skipped: there is no sudo on this machine");
        return None;
    }
    Sshd::with_users(PASSWD, SUDOERS)
}

fn run(
    sshd: &Sshd,
    user: &str,
    secrets: Box<dyn Secrets>,
    script: &str,
) -> Result<Output, RunError> {
    let key_file = sshd.at("login");
    if !key_file.exists() {
        sshd.key("login", &["-t", "ed25519"]);
    }
    let destination = Destination {
        user: Some(user.to_owned()),
        key_file: Some(key_file),
        privilege: Privilege::Sudo {
            user: "root".to_owned(),
        },
        ..sshd.destination()
    };
    let system = SystemTransport::new(sshd.settings(), secrets);
    let mut connection = system.connect(&destination, &Cancel::new()).unwrap();
    connection.run(script, LIMIT, &mut |_| {}, &Cancel::new())
}

/// Prints its user, and whatever else is on its standard input.
const WHO: &str = "id -un; cat; echo warning >&2; exit 5";

fn problem(result: Result<Output, RunError>) -> SudoProblem {
    let error = result.unwrap_err();
    assert_eq!(error.executed(), Executed::Never);
    assert!(
        !error.to_string().contains("word") || error.to_string().contains("password"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("lab word"), "{error:?}");
    match error {
        RunError::Sudo { problem, .. } => problem,
        error => panic!("{error}"),
    }
}

fn assert_is_root(output: &Output) {
    assert_eq!(String::from_utf8_lossy(&output.stdout), "root\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "warning\n");
    assert_eq!(output.status, 5);
}

#[test]
fn sudo_without_a_password_runs_as_root() {
    let Some(sshd) = start() else { return };
    assert_is_root(&run(&sshd, "free", Box::new(Nobody), WHO).unwrap());
}

#[test]
fn a_password_that_is_not_needed_reaches_nobody() {
    let Some(sshd) = start() else { return };
    assert_is_root(&run(&sshd, "free", Box::new(Says::new("lab word")), WHO).unwrap());
}

#[test]
fn sudo_with_its_password_runs_as_root() {
    let Some(sshd) = start() else { return };
    assert_is_root(&run(&sshd, "asked", Box::new(Says::new("lab word")), WHO).unwrap());
}

#[test]
fn a_password_that_is_needed_and_not_there_is_told() {
    let Some(sshd) = start() else { return };
    let result = run(&sshd, "asked", Box::new(Nobody), WHO);
    assert!(result.as_ref().unwrap_err().hint().unwrap().contains("-K"));
    assert_eq!(problem(result), SudoProblem::PasswordRequired);
}

#[test]
fn a_wrong_password_is_offered_once() {
    let Some(sshd) = start() else { return };
    let start = Instant::now();
    let result = run(&sshd, "asked", Box::new(Says::new("wrong")), WHO);
    assert_eq!(problem(result), SudoProblem::WrongPassword);
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_user_without_rules_is_told_from_a_wrong_password() {
    let Some(sshd) = start() else { return };
    let result = run(&sshd, "nobody-there", Box::new(Says::new("lab word")), WHO);
    assert_eq!(problem(result), SudoProblem::NotAllowed);
}

#[test]
fn rules_that_allow_something_else_are_told() {
    let Some(sshd) = start() else { return };
    let problem = problem(run(&sshd, "narrow", Box::new(Says::new("lab word")), WHO));
    assert!(
        matches!(
            problem,
            SudoProblem::NotAllowed | SudoProblem::WrongPassword
        ),
        "{problem:?}"
    );
}

#[test]
fn requiretty_is_told() {
    let Some(sshd) = start() else { return };
    let result = run(&sshd, "tty", Box::new(Nobody), WHO);
    assert_eq!(problem(result), SudoProblem::TerminalRequired);
}

#[test]
fn megabytes_pass_through_sudo() {
    let Some(sshd) = start() else { return };
    let script = format!(
        "{}\nhead -c 3000000 /dev/zero | tee /dev/stderr",
        "#\n".repeat(300_000)
    );
    let output = run(&sshd, "asked", Box::new(Says::new("lab word")), &script).unwrap();
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (3_000_000, 3_000_000)
    );
}
