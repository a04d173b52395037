//! Logging in with the keys of an agent.

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use fwdeploy::transport::Cancel;
use fwdeploy::transport::ConnectError;
use fwdeploy::transport::ConnectOptions;
use fwdeploy::transport::Connection;
use fwdeploy::transport::Destination;
use fwdeploy::transport::KeyProblem;
use fwdeploy::transport::SystemTransport;
use fwdeploy::transport::Transport;

use crate::transport::sshd::Nobody;
use crate::transport::sshd::Sshd;
use crate::transport::sshd::refusal;

struct Agent {
    socket: PathBuf,
    child: Child,
}

impl Agent {
    fn start(sshd: &Sshd) -> Self {
        let socket = sshd.at("agent");
        let mut command = Command::new("ssh-agent");
        let child = command
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { socket, child };
        for _ in 0..500 {
            if agent.socket.exists() {
                return agent;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("ssh-agent did not start");
    }

    fn add(&self, key: &Path) {
        let mut command = Command::new("ssh-add");
        let output = command
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn connect(
        &self,
        sshd: &Sshd,
        key_file: Option<PathBuf>,
    ) -> Result<Box<dyn Connection>, ConnectError> {
        let settings = ConnectOptions {
            agent: Some(self.socket.clone()),
            ..sshd.settings()
        };
        let destination = Destination {
            key_file,
            ..sshd.destination()
        };
        SystemTransport::new(settings, Box::new(Nobody)).connect(&destination, &Cancel::new())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_kind_of_key_in_the_agent_logs_in() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let Some(sshd) = Sshd::start() else { return };
        let agent = Agent::start(&sshd);
        agent.add(&sshd.key("id", &["-t", kind]));
        agent
            .connect(&sshd, None)
            .map(|_| ())
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[test]
fn the_third_key_of_the_agent_is_reached() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = Agent::start(&sshd);
    agent.add(&sshd.stranger("one", &["-t", "ed25519"]));
    agent.add(&sshd.stranger("two", &["-t", "ecdsa"]));
    agent.add(&sshd.key("three", &["-t", "ed25519"]));
    agent.connect(&sshd, None).map(|_| ()).unwrap();
}

#[test]
fn too_many_keys_are_named_as_the_reason() {
    let Some(sshd) = Sshd::with(&["ed25519"], "MaxAuthTries 3") else {
        return;
    };
    let agent = Agent::start(&sshd);
    for name in ["a", "b", "c", "d", "e"] {
        agent.add(&sshd.stranger(name, &["-t", "ed25519"]));
    }
    let error = refusal(agent.connect(&sshd, None));
    assert!(matches!(error, ConnectError::TooManyKeys { .. }), "{error}");
    assert!(
        error
            .hint()
            .unwrap()
            .contains("ansible_ssh_private_key_file")
    );
}

#[test]
fn the_agent_spares_the_passphrase_of_the_named_key() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = Agent::start(&sshd);
    let clear = sshd.key("id", &["-t", "ed25519"]);
    agent.add(&clear);
    let mut lock = Command::new("ssh-keygen");
    lock.args(["-q", "-p", "-P", "", "-N", "correct horse", "-f"])
        .arg(&clear);
    assert!(lock.stdout(Stdio::null()).status().unwrap().success());
    // With more unknown keys than sshd accepts attempts, the named key can only be reached by choosing it.
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        agent.add(&sshd.stranger(name, &["-t", "ed25519"]));
    }
    agent
        .connect(&sshd, Some(clear.clone()))
        .map(|_| ())
        .unwrap();
    agent
        .connect(&sshd, Some(clear.with_extension("pub")))
        .map(|_| ())
        .unwrap();
}

#[test]
fn a_public_key_file_without_its_half_in_the_agent_is_told() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = Agent::start(&sshd);
    let key = sshd.key("id", &["-t", "ed25519"]);
    let error = refusal(agent.connect(&sshd, Some(key.with_extension("pub"))));
    let told = matches!(
        error,
        ConnectError::Key {
            problem: KeyProblem::PublicHalf(_),
            ..
        }
    );
    assert!(told, "{error}");
}

#[test]
fn an_agent_that_is_gone_does_not_keep_the_key_file_out() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = Agent::start(&sshd);
    let key = sshd.key("id", &["-t", "ed25519"]);
    let settings = ConnectOptions {
        agent: Some(agent.socket.clone()),
        ..sshd.settings()
    };
    drop(agent);
    let system = SystemTransport::new(settings, Box::new(Nobody));
    let destination = Destination {
        key_file: Some(key),
        ..sshd.destination()
    };
    system
        .connect(&destination, &Cancel::new())
        .map(|_| ())
        .unwrap();
    let text = refusal(system.connect(&sshd.destination(), &Cancel::new())).to_string();
    assert!(text.contains("does not answer"), "{text}");
}

#[test]
fn the_named_key_is_found_behind_more_keys_than_libssh2_has_room_for() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = Agent::start(&sshd);
    for index in 0..80 {
        let stranger = sshd.stranger(&format!("s{index}"), &["-t", "ed25519"]);
        // With 64 letters of each comment 80 keys take 10 KiB, and libssh2 has room for 8.
        let mut comment = Command::new("ssh-keygen");
        comment
            .args(["-q", "-c", "-C", &"c".repeat(300), "-f"])
            .arg(&stranger);
        assert!(comment.stdout(Stdio::null()).status().unwrap().success());
        agent.add(&stranger);
    }
    let key = sshd.key("id", &["-t", "rsa", "-b", "3072"]);
    agent.add(&key);
    let public = key.with_extension("pub");
    agent.connect(&sshd, Some(public)).map(|_| ()).unwrap();
}
