//! The way to a node: jump hosts, storms, second factors, and the keys of a whole fleet.

use std::fs;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use assert_cmd::Command;
use fwdeploy::model::Secret;
use fwdeploy::model::SshArguments;
use fwdeploy::transport::Cancel;
use fwdeploy::transport::ConnectError;
use fwdeploy::transport::ConnectOptions;
use fwdeploy::transport::Destination;
use fwdeploy::transport::LoginPrompt;
use fwdeploy::transport::Secrets;
use fwdeploy::transport::SshConfig;
use fwdeploy::transport::SystemTransport;
use fwdeploy::transport::Transport;

use crate::transport::sshd::Nobody;
use crate::transport::sshd::Sshd;
use crate::transport::sshd::refusal;
use crate::transport::sshd::run;

/// Tried without the level of the shell: bash runs the file, and what it prints is taken for the server's first words.
#[test]
fn a_proxy_command_is_run_without_the_start_up_files_of_bash() {
    let Some(node) = Sshd::start() else { return };
    let key = node.key("id", &["-t", "ed25519"]);
    let home = node.at("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join(".bashrc"), "echo hello; exit 1\n").unwrap();
    let config = format!(
        "Host web\n ProxyCommand ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i {key} -W %h:%p -p {port} root@127.0.0.1\n HostName 127.0.0.1\n Port {port}\n User root\n IdentityFile {key}\n UserKnownHostsFile {known}\n",
        key = key.display(),
        port = node.port,
        known = node.at("known_hosts").display(),
    );
    fs::write(node.at("ssh_config"), config).unwrap();
    let inventory = node.at("inventory.yml");
    fs::write(&inventory, "all:\n  hosts:\n    web: {}\n").unwrap();
    for level in [None, Some("0")] {
        let mut program = Command::cargo_bin("fwdeploy").unwrap();
        program
            .args(["scan-keys", "--yes", "--ssh-config"])
            .arg(node.at("ssh_config"))
            .arg(&inventory)
            .env("HOME", &home)
            .env("SHELL", "/bin/bash")
            .env_remove("SHLVL");
        if let Some(level) = level {
            program.env("SHLVL", level);
        }
        let output = program.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    }
}

/// A jump host with a configuration that leads through it, and a node behind it with this key.
fn behind_a_jump_host(jump: &Sshd, node: &Sshd) -> (ConnectOptions, PathBuf) {
    let key = jump.key("jump_id", &["-t", "ed25519"]);
    let id = node.key("id", &["-t", "ed25519"]);
    let config = format!(
        "Host gw\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {}\n IdentityAgent none\nMatch originalhost 127.0.0.1\n ProxyJump gw\n",
        jump.port,
        key.display()
    );
    fs::write(node.at("ssh_config"), config).unwrap();
    let settings = ConnectOptions {
        ssh_config: SshConfig::File(node.at("ssh_config")),
        arguments: SshArguments::parse(&format!(
            "-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={}",
            node.at("known_hosts").display()
        ))
        .unwrap(),
        ..node.settings()
    };
    (settings, id)
}

fn logins(sshd: &Sshd) -> usize {
    sshd.log().matches("Accepted publickey").count()
}

/// Tried with a session for each node: 20 logins.
#[test]
fn all_nodes_behind_a_jump_host_share_one_session_there() {
    let (Some(jump), Some(node)) = (Sshd::start(), Sshd::start()) else {
        return;
    };
    let (settings, key) = behind_a_jump_host(&jump, &node);
    let system = SystemTransport::new(settings, Box::new(Nobody));
    let destination = Destination {
        key_file: Some(key),
        ..node.destination()
    };
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut connection = system.connect(&destination, &Cancel::new()).unwrap();
                let said = run(connection.as_mut(), "head -c 3000000 /dev/zero").unwrap();
                assert_eq!(said.stdout.len(), 3_000_000);
            });
        }
    });
    assert_eq!(logins(&node), 20);
    // While one channel is being opened for longer, there may be a second session on a busy machine.
    assert!(logins(&jump) <= 4, "{}", jump.log());
}

/// A port on which the system answers nothing: the queue of its listener is full.
fn silent_port() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let wait = Duration::from_millis(200);
    let waiting = (0..8)
        .filter_map(|_| TcpStream::connect_timeout(&address, wait).ok())
        .collect();
    (listener, waiting)
}

/// Tried with one session alone: the live nodes waited for the dead ones.
#[test]
fn a_dead_node_behind_a_jump_host_delays_no_other() {
    let (Some(jump), Some(node)) = (Sshd::start(), Sshd::start()) else {
        return;
    };
    let (mut settings, key) = behind_a_jump_host(&jump, &node);
    settings.connect_timeout = Duration::from_secs(8);
    let (silent, _waiting) = silent_port();
    let system = SystemTransport::new(settings, Box::new(Nobody));
    let destination = |port| Destination {
        key_file: Some(key.clone()),
        port,
        ..node.destination()
    };
    let dead = destination(silent.local_addr().unwrap().port());
    let live = destination(node.port);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let error = refusal(system.connect(&dead, &Cancel::new()));
                assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
                assert!(error.to_string().contains("through gw"), "{error}");
            });
        }
        thread::sleep(Duration::from_millis(500));
        let since = Instant::now();
        let mut connection = system.connect(&live, &Cancel::new()).unwrap();
        run(connection.as_mut(), "true").unwrap();
        assert!(
            since.elapsed() < Duration::from_secs(7),
            "{:?}",
            since.elapsed()
        );
    });
}

/// Tried without another attempt: most connections failed.
#[test]
fn an_sshd_that_turns_visitors_away_is_visited_again() {
    let Some(sshd) = Sshd::with(&["ed25519"], "MaxStartups 2\nLoginGraceTime 30") else {
        return;
    };
    let key = sshd.key("id", &["-t", "ed25519"]);
    let destination = Destination {
        key_file: Some(key),
        ..sshd.destination()
    };
    let mut settings = sshd.settings();
    settings.connect_timeout = Duration::from_secs(30);
    let system = SystemTransport::new(settings, Box::new(Nobody));
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut connection = system.connect(&destination, &Cancel::new()).unwrap();
                run(connection.as_mut(), "true").unwrap();
            });
        }
    });
    assert!(
        sshd.log().contains("MaxStartups") || sshd.log().contains("drop connection"),
        "nobody was turned away"
    );
}

/// A person at the terminal, with a password from the inventory or without.
#[derive(Clone, Default)]
struct Person {
    password: Option<&'static str>,
    answer: Option<&'static str>,
    asked: Arc<Mutex<Vec<LoginPrompt>>>,
}

impl Secrets for Person {
    fn passphrase(&self, _: &Path) -> Option<Secret> {
        None
    }
    fn become_password(&self, _: &str) -> Option<Secret> {
        None
    }
    fn login_password(&self, _: &str) -> Option<Secret> {
        self.password.map(Secret::new)
    }
    fn answer(&self, question: &LoginPrompt) -> Option<Secret> {
        self.asked.lock().unwrap().push(question.clone());
        self.answer.map(Secret::new)
    }
}

#[test]
fn a_second_factor_is_asked_for_and_a_password_is_given_once() {
    let users = "eva:right:1000:1000::/tmp:/bin/sh";
    let both =
        "AuthenticationMethods publickey,keyboard-interactive\nKbdInteractiveAuthentication yes";
    let asks =
        "PasswordAuthentication no\nPubkeyAuthentication no\nKbdInteractiveAuthentication yes";
    // The server; the password of the inventory; the answer at the terminal; whether it lets in; how often a person is asked.
    let cases = [
        (both, None, Some("right"), true, 1),
        (both, None, Some("wrong"), false, 1),
        (both, None, None, false, 1),
        (both, Some("right"), None, true, 0),
        (asks, Some("right"), None, true, 0),
        (asks, Some("wrong"), Some("right"), false, 0),
        (asks, None, Some("right"), false, 0),
    ];
    let mut servers: Vec<(&str, Sshd)> = Vec::new();
    for (config, password, answer, lets_in, asked) in cases {
        if !servers.iter().any(|(lines, _)| *lines == config) {
            let Some(sshd) = Sshd::with_pam(users, config) else {
                return;
            };
            servers.push((config, sshd));
        }
        let (_, sshd) = servers.iter().find(|(lines, _)| *lines == config).unwrap();
        let key = sshd.at("id");
        if !key.exists() {
            sshd.key("id", &["-t", "ed25519"]);
        }
        let person = Person {
            password,
            answer,
            ..Person::default()
        };
        let destination = Destination {
            user: Some("eva".to_owned()),
            key_file: Some(key),
            ..sshd.destination()
        };
        let system = SystemTransport::new(sshd.settings(), Box::new(person.clone()));
        let result = system.connect(&destination, &Cancel::new());
        let name = format!("{config:?} {password:?} {answer:?}");
        let questions = person.asked.lock().unwrap().clone();
        assert_eq!(questions.len(), asked, "{name}: {questions:?}");
        if let Some(question) = questions.first() {
            assert!(
                question.text.contains("assword") && !question.echo,
                "{question:?}"
            );
            assert!(question.at.contains("edge-1"), "{question:?}");
        }
        match result {
            Ok(mut connection) => {
                assert!(lets_in, "{name}");
                assert_eq!(run(connection.as_mut(), "id -un").unwrap().stdout, b"eva\n");
            }
            Err(error) => {
                assert!(!lets_in, "{name}: {error}");
                let text = format!("{error} {error:?} {:?}", error.hint());
                assert!(!text.contains("wrong") && error.hint().is_some(), "{text}");
            }
        }
    }
}

fn scan(node: &Sshd, arguments: &[&str]) -> (Output, String) {
    let mut command = Command::cargo_bin("fwdeploy").unwrap();
    command
        .arg("scan-keys")
        .arg(node.at("inventory.yml"))
        .arg("--known-hosts")
        .arg(node.at("kh"));
    let output = command.args(arguments).output().unwrap();
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    (output, String::from_utf8(text).unwrap())
}

/// Tried with the comparison removed: the changed key was written.
#[test]
fn scan_keys_shows_all_keys_and_writes_new_ones_on_a_yes_only() {
    let (Some(jump), Some(node)) = (Sshd::start(), Sshd::start()) else {
        return;
    };
    behind_a_jump_host(&jump, &node);
    let inventory = format!(
        "all:\n  hosts:\n    direct: {{ansible_host: 127.0.0.1, ansible_port: {}}}\n    lost: {{ansible_host: 127.0.0.1, ansible_port: 1}}\n",
        node.port
    );
    fs::write(node.at("inventory.yml"), inventory).unwrap();
    let none = ["--ssh-config", "none", "-l", "direct"];
    let read = || fs::read_to_string(node.at("kh")).unwrap_or_default();

    let (output, text) = scan(&node, &none);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("SHA256:") && text.contains("  new"), "{text}");
    assert!(text.contains("--yes") && read().is_empty(), "{text}");

    let (output, text) = scan(&node, &[&none[..], &["--yes"]].concat());
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(
        read(),
        node.host_line("ed25519", &node.name())
            .replace(" host_ed25519", "")
    );

    let (output, text) = scan(&node, &[&none[..], &["--yes"]].concat());
    assert_eq!(
        (output.status.code(), text.contains("  known")),
        (Some(0), true),
        "{text}"
    );

    // Through the jump host, whose key has to be known first.
    let config = node.at("ssh_config").display().to_string();
    let through = ["--ssh-config", &config, "-l", "direct", "--yes"];
    let (output, text) = scan(&node, &through);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("the host key of jump host `gw`"), "{text}");
    fs::write(node.at("kh"), jump.host_line("ed25519", &jump.name())).unwrap();
    let (output, text) = scan(&node, &through);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(read().lines().count(), 2);
    assert_eq!(logins(&jump), 1);

    // A key that is not the known one stays as it is, and a node that is not reached is told.
    node.stranger("host_other", &["-t", "ed25519"]);
    fs::write(node.at("kh"), node.host_line("other", &node.name())).unwrap();
    let before = read();
    let (output, text) = scan(&node, &["--ssh-config", "none", "--yes"]);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("CHANGED") && text.contains("lost  failed"),
        "{text}"
    );
    assert_eq!(read(), before);
}
