//! The program in a folder of its own, and ports of this machine that it may or must not come to.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::process::Stdio;

use assert_cmd::cargo::cargo_bin;
use tempfile::TempDir;

/// A directory of its own, which is also the home of the program's user.
pub struct Place(pub TempDir);

/// What a run left behind.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    /// With an inventory of that text.
    pub fn with(inventory: &str) -> Self {
        let place = Place(TempDir::new().expect("a folder"));
        place.file("inventory.yml", inventory);
        place
    }

    pub fn file(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("a file");
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cargo_bin("fwdeploy"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR")
            .env_remove("CLICOLOR_FORCE")
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ANSIBLE_") {
                command.env_remove(name);
            }
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }
}

pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("the program starts");
    Ran {
        code: output.status.code().expect("it exits by itself"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A port of this machine with a listener, which records connections.
pub fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

pub fn nobody_came(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).expect("a setting");
    listener.accept().is_err()
}

/// An inventory of cybex nodes on a port of this machine.
pub fn fleet(names: &str, port: u16) -> String {
    format!(
        "all:\n  vars:\n    fwdeploy_roles: [cybex]\n    ansible_host: 127.0.0.1\n    ansible_port: {port}\n    \
         cybex_peers: [192.0.2.7]\n  hosts:\n{names}"
    )
}
