//! Logging in with key files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use fwdeploy::transport::Cancel;
use fwdeploy::transport::ConnectError;
use fwdeploy::transport::ConnectOptions;
use fwdeploy::transport::Destination;
use fwdeploy::transport::KeyProblem;
use fwdeploy::transport::SystemTransport;
use fwdeploy::transport::Transport;

use crate::transport::sshd::Nobody;
use crate::transport::sshd::Says;
use crate::transport::sshd::Sshd;
use crate::transport::sshd::refusal;
use crate::transport::sshd::run;

fn with_key(sshd: &Sshd, key: PathBuf) -> Destination {
    Destination {
        key_file: Some(key),
        ..sshd.destination()
    }
}

#[test]
fn every_kind_of_key_logs_in() {
    let Some(sshd) = Sshd::start() else { return };
    let kinds: [(&str, &[&str]); 6] = [
        ("ed25519", &["-t", "ed25519"]),
        ("ecdsa", &["-t", "ecdsa"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("rsa_pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("rsa_pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        ("ecdsa_pem", &["-t", "ecdsa", "-m", "PEM"]),
    ];
    for (name, arguments) in kinds {
        let key = sshd.key(name, arguments);
        let connection = sshd.try_connect(&with_key(&sshd, key));
        let mut connection = connection.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            run(connection.as_mut(), "id -u").unwrap().stdout,
            b"0\n",
            "{name}"
        );
    }
}

#[test]
fn an_encrypted_key_needs_its_passphrase_and_says_so() {
    let Some(sshd) = Sshd::start() else { return };
    let kinds: [(&str, &[&str]); 4] = [
        ("openssh", &["-t", "ed25519", "-N", "correct horse"]),
        ("rsa", &["-t", "rsa", "-b", "2048", "-N", "correct horse"]),
        (
            "pem",
            &[
                "-t",
                "rsa",
                "-b",
                "2048",
                "-m",
                "PEM",
                "-N",
                "correct horse",
            ],
        ),
        (
            "pkcs8",
            &["-t", "ecdsa", "-m", "PKCS8", "-N", "correct horse"],
        ),
    ];
    for (name, arguments) in kinds {
        let destination = with_key(&sshd, sshd.key(name, arguments));
        let cancel = Cancel::new();
        let right = SystemTransport::new(sshd.settings(), Box::new(Says::new("correct horse")));
        let connected = right.connect(&destination, &cancel).map(|_| ());
        connected.unwrap_or_else(|error| panic!("{name}: {error}"));

        let wrong = SystemTransport::new(sshd.settings(), Box::new(Says::new("battery staple")));
        let error = refusal(wrong.connect(&destination, &cancel));
        let problem = KeyProblem::PassphraseWrong.to_string();
        assert!(error.to_string().ends_with(&problem), "{name}: {error}");
        assert!(!format!("{error:?}").contains("battery"));

        let error = refusal(sshd.try_connect(&destination));
        assert!(
            matches!(
                error,
                ConnectError::Key {
                    problem: KeyProblem::PassphraseNeeded,
                    ..
                }
            ),
            "{name}: {error}"
        );
        assert!(error.hint().unwrap().contains("ssh-add"));
    }
}

#[test]
fn twenty_connections_ask_for_one_passphrase_once() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.key("id", &["-t", "ed25519", "-a", "4", "-N", "correct horse"]);
    let destination = with_key(&sshd, key);
    let person = Says::new("correct horse");
    let system = SystemTransport::new(sshd.settings(), Box::new(person.clone()));
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
    assert_eq!(person.asked(), 1);
}

#[test]
fn nobody_is_asked_about_a_key_that_the_node_refuses() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.stranger("id", &["-t", "ed25519", "-N", "correct horse"]);
    let person = Says::new("correct horse");
    let system = SystemTransport::new(sshd.settings(), Box::new(person.clone()));
    let error = refusal(system.connect(&with_key(&sshd, key), &Cancel::new()));
    assert!(
        matches!(error, ConnectError::Authentication { .. }),
        "{error}"
    );
    assert_eq!(person.asked(), 0);
}

#[test]
fn a_refused_key_is_named_with_what_the_node_accepts() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.stranger("id", &["-t", "ed25519"]);
    let error = refusal(sshd.try_connect(&with_key(&sshd, key.clone())));
    let text = error.to_string();
    assert!(
        text.contains(&format!("{}: refused", key.display())),
        "{text}"
    );
    assert!(text.contains("accepts: publickey"), "{text}");
    assert!(!error.is_unreachable());
}

#[test]
fn default_keys_are_tried_in_order() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.stranger("id_ed25519", &["-t", "ed25519"]);
    sshd.key("id_rsa", &["-t", "rsa", "-b", "2048"]);
    let settings = ConnectOptions {
        key_folder: Some(sshd.folder.path().to_owned()),
        ..sshd.settings()
    };
    let system = SystemTransport::new(settings, Box::new(Nobody));
    system
        .connect(&sshd.destination(), &Cancel::new())
        .map(|_| ())
        .unwrap();
}

#[test]
fn an_encrypted_default_key_does_not_hide_the_next_one() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.key("id_ed25519", &["-t", "ed25519", "-N", "correct horse"]);
    sshd.key("id_rsa", &["-t", "rsa", "-b", "2048"]);
    let settings = ConnectOptions {
        key_folder: Some(sshd.folder.path().to_owned()),
        ..sshd.settings()
    };
    let system = SystemTransport::new(settings, Box::new(Nobody));
    system
        .connect(&sshd.destination(), &Cancel::new())
        .map(|_| ())
        .unwrap();
}

#[test]
fn without_agent_and_keys_the_error_says_where_they_were_looked_for() {
    let Some(sshd) = Sshd::start() else { return };
    let folder = sshd.at("empty");
    fs::create_dir(&folder).unwrap();
    let settings = ConnectOptions {
        key_folder: Some(folder.clone()),
        ..sshd.settings()
    };
    let system = SystemTransport::new(settings, Box::new(Nobody));
    let error = refusal(system.connect(&sshd.destination(), &Cancel::new()));
    let text = error.to_string();
    assert!(matches!(error, ConnectError::NoKey { .. }), "{text}");
    assert!(
        text.contains("SSH_AUTH_SOCK") && text.contains(folder.to_str().unwrap()),
        "{text}"
    );
}

#[test]
fn a_key_file_that_is_none_is_told_from_a_missing_and_from_an_exposed_one() {
    let Some(sshd) = Sshd::start() else { return };
    let problem = |path: PathBuf| match refusal(sshd.try_connect(&with_key(&sshd, path))) {
        ConnectError::Key { problem, .. } => problem,
        error => panic!("{error}"),
    };
    assert!(matches!(
        problem(sshd.at("nowhere")),
        KeyProblem::Unreadable(_)
    ));
    assert!(matches!(problem(sshd.at("config")), KeyProblem::NotAKey));
    assert!(matches!(
        problem(sshd.folder.path().to_owned()),
        KeyProblem::NotAKey
    ));
    let key = sshd.key("id", &["-t", "ed25519"]);
    assert!(matches!(
        problem(key.with_extension("pub")),
        KeyProblem::PublicHalf(_)
    ));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(problem(key), KeyProblem::Exposed { mode: 0o644 }));
}

#[test]
fn a_user_certificate_beside_the_key_logs_in() {
    let Some(sshd) = Sshd::start() else { return };
    let authority = sshd.stranger("ca", &["-t", "ed25519"]);
    let public = fs::read_to_string(authority.with_extension("pub")).unwrap();
    fs::write(
        sshd.at("authorized_keys"),
        format!("cert-authority {public}"),
    )
    .unwrap();
    let key = sshd.stranger("id", &["-t", "ed25519"]);
    let mut sign = Command::new("ssh-keygen");
    sign.arg("-q")
        .arg("-s")
        .arg(&authority)
        .args(["-I", "ops", "-n", "root"]);
    assert!(
        sign.arg(key.with_extension("pub"))
            .status()
            .unwrap()
            .success()
    );
    sshd.try_connect(&with_key(&sshd, key)).map(|_| ()).unwrap();
}

#[test]
fn a_node_that_takes_only_passwords_says_so() {
    let Some(sshd) = Sshd::with(&["ed25519"], "PubkeyAuthentication no") else {
        return;
    };
    let key = sshd.key("id", &["-t", "ed25519"]);
    let text = refusal(sshd.try_connect(&with_key(&sshd, key))).to_string();
    assert!(
        text.contains("nothing was tried; the node accepts: password"),
        "{text}"
    );
}

#[test]
fn a_key_that_is_the_first_of_two_factors_is_not_called_refused() {
    let config = "AuthenticationMethods publickey,password\nPasswordAuthentication yes";
    let Some(sshd) = Sshd::with(&["ed25519"], config) else {
        return;
    };
    let key = sshd.key("id", &["-t", "ed25519"]);
    let error = refusal(sshd.try_connect(&with_key(&sshd, key.clone())));
    assert!(
        matches!(error, ConnectError::FurtherMethod { .. }),
        "{error}"
    );
    let text = error.to_string();
    let took = format!("it accepted {}, and also requires: password", key.display());
    assert!(text.ends_with(&took), "{text}");
    assert!(
        error
            .hint()
            .unwrap()
            .contains("AuthenticationMethods publickey")
    );
    // A key that is no factor at all is refused as ever.
    let stranger = sshd.stranger("stranger", &["-t", "ed25519"]);
    let error = refusal(sshd.try_connect(&with_key(&sshd, stranger)));
    assert!(
        matches!(error, ConnectError::Authentication { .. }),
        "{error}"
    );
}

#[test]
fn two_keys_log_in_where_two_are_wanted() {
    let config = "AuthenticationMethods publickey,publickey";
    let Some(sshd) = Sshd::with(&["ed25519"], config) else {
        return;
    };
    sshd.key("id_ed25519", &["-t", "ed25519"]);
    let settings = |sshd: &Sshd| ConnectOptions {
        key_folder: Some(sshd.folder.path().to_owned()),
        ..sshd.settings()
    };
    let system = SystemTransport::new(settings(&sshd), Box::new(Nobody));
    let error = refusal(system.connect(&sshd.destination(), &Cancel::new()));
    assert!(
        matches!(error, ConnectError::Authentication { .. }),
        "{error}"
    );
    sshd.key("id_rsa", &["-t", "rsa", "-b", "2048"]);
    let system = SystemTransport::new(settings(&sshd), Box::new(Nobody));
    system
        .connect(&sshd.destination(), &Cancel::new())
        .map(|_| ())
        .unwrap();
}

#[test]
fn an_old_sshd_is_told_what_it_lacks() {
    for (config, what) in [
        (
            "Ciphers aes128-cbc,3des-cbc",
            "no common cipher; it offers: aes128-cbc,3des-cbc",
        ),
        (
            "KexAlgorithms diffie-hellman-group14-sha1",
            "no common key exchange; it offers: diffie-hellman-group14-sha1",
        ),
        (
            "Ciphers aes128-ctr\nMACs hmac-sha1",
            "no common message authentication code; it offers: hmac-sha1",
        ),
    ] {
        let Some(sshd) = Sshd::with(&["ed25519"], config) else {
            return;
        };
        let key = sshd.key("id", &["-t", "ed25519"]);
        let error = refusal(sshd.try_connect(&with_key(&sshd, key)));
        assert!(error.to_string().contains(what), "{error}");
        assert!(!error.hint().unwrap().contains("ansible_port"));
    }
}

#[test]
fn an_sshd_of_ten_years_ago_is_reached() {
    // What CentOS 7's OpenSSH 7.4 has in common with this side, each alone.
    for config in [
        "KexAlgorithms curve25519-sha256@libssh.org\nCiphers chacha20-poly1305@openssh.com",
        "KexAlgorithms diffie-hellman-group-exchange-sha256\nCiphers aes256-gcm@openssh.com",
        "KexAlgorithms ecdh-sha2-nistp256\nCiphers aes128-ctr\nMACs hmac-sha2-256-etm@openssh.com",
        "KexAlgorithms diffie-hellman-group14-sha256\nCiphers aes192-ctr\nMACs hmac-sha2-512",
    ] {
        let Some(sshd) = Sshd::with(&["ed25519"], config) else {
            return;
        };
        let key = sshd.key("id", &["-t", "ed25519"]);
        let mut connection = sshd.try_connect(&with_key(&sshd, key)).unwrap();
        let said = run(connection.as_mut(), "head -c 3000000 /dev/zero").unwrap();
        assert_eq!(said.stdout.len(), 3_000_000, "{config}");
    }
}
