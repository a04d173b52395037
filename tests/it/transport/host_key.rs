//! Is it that node?

use std::fs;
use std::process::Command;
use std::thread;

use fwdeploy::transport::Cancel;
use fwdeploy::transport::ConnectError;
use fwdeploy::transport::ConnectOptions;
use fwdeploy::transport::Destination;
use fwdeploy::transport::HostKeyChecking;
use fwdeploy::transport::HostKeyChecking::AcceptNew;
use fwdeploy::transport::HostKeyChecking::Strict;
use fwdeploy::transport::SystemTransport;
use fwdeploy::transport::Transport;

use crate::transport::sshd::Nobody;
use crate::transport::sshd::Sshd;
use crate::transport::sshd::refusal;

/// Connects with these known hosts, and returns what went wrong and what the file holds afterwards.
fn connect(
    sshd: &Sshd,
    host_key_checking: HostKeyChecking,
    known_hosts: &str,
) -> (Result<(), ConnectError>, String) {
    let key = sshd.at("login");
    if !key.exists() {
        sshd.key("login", &["-t", "ed25519"]);
    }
    fs::write(sshd.at("known_hosts"), known_hosts).unwrap();
    let settings = ConnectOptions {
        host_key_checking,
        ..sshd.settings()
    };
    let destination = Destination {
        key_file: Some(key),
        ..sshd.destination()
    };
    let result =
        SystemTransport::new(settings, Box::new(Nobody)).connect(&destination, &Cancel::new());
    (
        result.map(|_| ()),
        fs::read_to_string(sshd.at("known_hosts")).unwrap(),
    )
}

#[test]
fn an_unknown_node_is_refused_with_its_fingerprint() {
    let Some(sshd) = Sshd::start() else { return };
    let (result, file) = connect(&sshd, Strict, "");
    let error = result.unwrap_err();
    let output = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(sshd.at("host_ed25519.pub"))
        .output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    let fingerprint = output.split(' ').nth(1).unwrap();
    assert!(
        error
            .to_string()
            .contains(&format!("ssh-ed25519 {fingerprint}")),
        "{error}"
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains(&format!("ssh-keyscan -p {} 127.0.0.1", sshd.port)),
        "{hint}"
    );
    assert!(!error.is_unreachable());
    assert_eq!(file, "");
}

#[test]
fn a_new_node_is_written_down_once_and_known_from_then_on() {
    let Some(sshd) = Sshd::start() else { return };
    let (result, file) = connect(&sshd, AcceptNew, "# mine\n");
    result.unwrap();
    let public = fs::read_to_string(sshd.at("host_ed25519.pub")).unwrap();
    let words: Vec<&str> = public.split_whitespace().collect();
    assert_eq!(
        file,
        format!("# mine\n{} {} {}\n", sshd.name(), words[0], words[1])
    );
    let (result, after) = connect(&sshd, Strict, &file);
    result.unwrap();
    assert_eq!(after, file);
    let mut find = Command::new("ssh-keygen");
    find.args(["-F", &sshd.name(), "-f"])
        .arg(sshd.at("known_hosts"));
    assert!(
        find.output().unwrap().status.success(),
        "ssh-keygen does not find the line"
    );
}

#[test]
fn twenty_connections_write_a_new_node_down_once() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.key("login", &["-t", "ed25519"]);
    let destination = Destination {
        key_file: Some(key),
        ..sshd.destination()
    };
    let system = SystemTransport::new(sshd.settings(), Box::new(Nobody));
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                system
                    .connect(&destination, &Cancel::new())
                    .map(|_| ())
                    .unwrap()
            });
        }
    });
    assert_eq!(
        fs::read_to_string(sshd.at("known_hosts"))
            .unwrap()
            .lines()
            .count(),
        1
    );
}

#[test]
fn a_changed_key_is_refused_even_where_new_ones_are_accepted() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.stranger("host_other", &["-t", "ed25519"]);
    let known = sshd.host_line("other", &sshd.name());
    for checking in [Strict, AcceptNew] {
        let (result, file) = connect(&sshd, checking, &known);
        let error = result.unwrap_err();
        assert!(
            matches!(error, ConnectError::HostKeyChanged { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("known_hosts:1"), "{error}");
        assert!(
            error
                .hint()
                .unwrap()
                .contains(&format!("ssh-keygen -R '{}'", sshd.name()))
        );
        assert_eq!(file, known);
    }
}

#[test]
fn a_revoked_key_is_refused_though_it_is_known() {
    let Some(sshd) = Sshd::start() else { return };
    let known = sshd.host_line("ed25519", &sshd.name()) + &sshd.host_line("ed25519", "@revoked *");
    for checking in [Strict, AcceptNew] {
        let error = connect(&sshd, checking, &known).0.unwrap_err();
        assert!(
            matches!(error, ConnectError::HostKeyRevoked { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("known_hosts:2"), "{error}");
    }
}

#[test]
fn hashed_wildcard_and_bare_lines_are_all_known() {
    let Some(sshd) = Sshd::start() else { return };
    for name in ["[127.0.0.*]:*", "127.0.0.1", "*"] {
        let known = "a malformed line\n".to_owned() + &sshd.host_line("ed25519", name);
        connect(&sshd, Strict, &known)
            .0
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let path = sshd.at("hashed");
    fs::write(&path, sshd.host_line("ed25519", &sshd.name())).unwrap();
    let hashed = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(hashed.status.success());
    connect(&sshd, Strict, &fs::read_to_string(&path).unwrap())
        .0
        .unwrap();
}

#[test]
fn the_type_that_is_known_is_the_type_that_is_asked_for() {
    let Some(sshd) = Sshd::with(&["ed25519", "ecdsa", "rsa"], "") else {
        return;
    };
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let known = sshd.host_line(kind, &sshd.name());
        connect(&sshd, Strict, &known)
            .0
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[test]
fn a_known_node_with_a_key_of_another_type_is_not_taken_for_new() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.stranger("host_rsa", &["-t", "rsa", "-b", "2048"]);
    let known = sshd.host_line("rsa", &sshd.name());
    let (result, file) = connect(&sshd, AcceptNew, &known);
    let error = result.unwrap_err();
    assert!(
        matches!(error, ConnectError::HostKeyChanged { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("(ssh-rsa)"), "{error}");
    assert_eq!(file, known);
}

#[test]
fn a_node_with_a_host_certificate_is_known_by_its_plain_key() {
    let Some(sshd) = Sshd::with(&["certified"], "") else {
        return;
    };
    connect(&sshd, Strict, &sshd.host_line("certified", &sshd.name()))
        .0
        .unwrap();
}

#[test]
fn a_node_is_known_by_the_certificate_of_a_trusted_authority() {
    let Some(sshd) = Sshd::with(&["certified"], "") else {
        return;
    };
    let known = sshd.host_line("ca", "@cert-authority *");
    let (result, file) = connect(&sshd, Strict, &known);
    result.unwrap();
    assert_eq!(file, known);
}

#[test]
fn a_certificate_of_another_authority_is_refused_with_that_reason() {
    let Some(sshd) = Sshd::with(&["certified"], "") else {
        return;
    };
    sshd.stranger("host_other", &["-t", "ed25519"]);
    let known = sshd.host_line("other", "@cert-authority *");
    let error = connect(&sshd, Strict, &known).0.unwrap_err();
    assert!(
        matches!(error, ConnectError::HostKeyCertified { .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.contains("signed by another authority"), "{text}");
}

#[test]
fn known_hosts_that_cannot_be_read_stop_everything() {
    let Some(sshd) = Sshd::start() else { return };
    let settings = ConnectOptions {
        known_hosts: vec![sshd.folder.path().to_owned()],
        ..sshd.settings()
    };
    let system = SystemTransport::new(settings, Box::new(Nobody));
    let error = refusal(system.connect(&sshd.destination(), &Cancel::new()));
    assert!(matches!(error, ConnectError::KnownHosts { .. }), "{error}");
}
