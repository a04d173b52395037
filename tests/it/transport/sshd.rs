//! A throw-away sshd, and what the tests need around it.

use std::fs;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use fwdeploy::model::Secret;
use fwdeploy::transport::Cancel;
use fwdeploy::transport::Client;
use fwdeploy::transport::ConnectError;
use fwdeploy::transport::Connection;
use fwdeploy::transport::HostKeyChecking;
use fwdeploy::transport::Output;
use fwdeploy::transport::Privilege;
use fwdeploy::transport::RunError;
use fwdeploy::transport::Secrets;
use fwdeploy::transport::Settings;
use fwdeploy::transport::SshConfig;
use fwdeploy::transport::System;
use fwdeploy::transport::Target;
use fwdeploy::transport::Transport;
use fwdeploy::transport::Via;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use tempfile::TempDir;

/// Long enough for a busy machine, short enough that a hanging test is seen.
pub const LIMIT: Duration = Duration::from_secs(30);

pub struct Sshd {
    pub folder: TempDir,
    pub port: u16,
    child: Child,
}

impl Sshd {
    /// With an ed25519 host key. `None` without root.
    pub fn start() -> Option<Self> {
        Self::with(&["ed25519"], "")
    }

    /// With host keys of these types (`certified` is ed25519 with a certificate) and more lines of sshd_config.
    pub fn with(host_keys: &[&str], config: &str) -> Option<Self> {
        let folder = open_folder()?;
        Some(Self::launch(folder, host_keys, config, &[]))
    }

    /// With the users of `passwd` (lines of /etc/passwd with a plain password in the second field, or `*`), and these sudoers.
    pub fn with_users(passwd: &str, sudoers: &str) -> Option<Self> {
        Self::with_files(passwd, sudoers, "", None)
    }

    /// With these users and more lines of sshd_config, and with PAM asking for the password.
    pub fn with_pam(passwd: &str, config: &str) -> Option<Self> {
        let pam = "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
        Self::with_files(passwd, "", &format!("UsePAM yes\n{config}"), Some(pam))
    }

    fn with_files(passwd: &str, sudoers: &str, config: &str, pam: Option<&str>) -> Option<Self> {
        let folder = open_folder()?;
        let at = |name: &str| folder.path().join(name);
        let (mut users, mut shadow) = (String::new(), String::new());
        let root =
            "root:*:0:0:root:/root:/bin/sh\nsshd:*:65500:65500::/run/sshd:/usr/sbin/nologin\n";
        for line in root.lines().chain(passwd.lines()) {
            let mut fields: Vec<&str> = line.split(':').collect();
            let password = if fields[1] == "*" {
                "*".to_owned()
            } else {
                crypt(fields[1])
            };
            shadow += &format!("{}:{password}:19000:0:99999:7:::\n", fields[0]);
            fields[1] = "x";
            users += &(fields.join(":") + "\n");
        }
        fs::write(at("passwd"), users).unwrap();
        fs::write(at("shadow"), shadow).unwrap();
        fs::write(at("sudoers"), sudoers).unwrap();
        for (name, mode) in [("passwd", 0o644), ("shadow", 0o600), ("sudoers", 0o440)] {
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut mounts = vec!["passwd", "shadow", "sudoers"];
        if let Some(pam) = pam {
            fs::create_dir(at("pam.d")).unwrap();
            fs::write(at("pam.d/sshd"), pam).unwrap();
            mounts.push("pam.d/sshd");
        }
        Some(Self::launch(folder, &["ed25519"], config, &mounts))
    }

    fn launch(folder: TempDir, host_keys: &[&str], config: &str, mounts: &[&str]) -> Self {
        fs::create_dir_all("/run/sshd").unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let port = free_port();
        let mut lines = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nLogLevel VERBOSE\nMaxStartups 200\nAuthorizedKeysFile {}\n{config}\n",
            at("authorized_keys")
        );
        // The first line of a name counts.
        if config.contains("UsePAM yes") {
            lines = lines.replace("UsePAM no\n", "");
        }
        if config.contains("MaxStartups") {
            lines = lines.replace("MaxStartups 200\n", "");
        }
        for kind in host_keys {
            let certified = *kind == "certified";
            let algorithm = if certified { "ed25519" } else { kind };
            let path = keygen(folder.path(), &format!("host_{kind}"), &["-t", algorithm]);
            lines += &format!("HostKey {}\n", path.display());
            if certified {
                let authority = keygen(folder.path(), "host_ca", &["-t", "ed25519"]);
                let mut sign = Command::new("ssh-keygen");
                sign.arg("-q")
                    .arg("-s")
                    .arg(&authority)
                    .args(["-I", "edge-1", "-h"]);
                assert!(
                    sign.arg(path.with_extension("pub"))
                        .status()
                        .unwrap()
                        .success()
                );
                lines += &format!("HostCertificate {}-cert.pub\n", path.display());
            }
        }
        fs::write(at("config"), lines).unwrap();
        fs::write(at("authorized_keys"), "").unwrap();
        let mut script = String::new();
        for name in mounts {
            script += &format!("mount --bind {} /etc/{name} && ", at(name));
        }
        script += &format!(
            "exec /usr/sbin/sshd -D -f {} -E {}",
            at("config"),
            at("log")
        );
        let mut command = match mounts {
            [] => Command::new("sh"),
            _ => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation", "private", "sh"]);
                command
            }
        };
        let child = command.arg("-c").arg(script).spawn().unwrap();
        let sshd = Self {
            folder,
            port,
            child,
        };
        for _ in 0..500 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return sshd;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("sshd did not start: {}", sshd.log());
    }

    /// Ends it, also where it is shared.
    pub fn stop(&self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new key, let in.
    pub fn key(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let path = self.stranger(name, arguments);
        self.let_in(&path);
        path
    }

    /// A new key, not let in.
    pub fn stranger(&self, name: &str, arguments: &[&str]) -> PathBuf {
        keygen(self.folder.path(), name, arguments)
    }

    pub fn let_in(&self, key: &Path) {
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        let path = self.at("authorized_keys");
        fs::write(&path, fs::read_to_string(&path).unwrap() + &public).unwrap();
    }

    /// The line of known_hosts for one of the host keys.
    pub fn host_line(&self, kind: &str, name: &str) -> String {
        let public = fs::read_to_string(self.at(&format!("host_{kind}.pub"))).unwrap();
        format!("{name} {public}")
    }

    pub fn name(&self) -> String {
        format!("[127.0.0.1]:{}", self.port)
    }

    pub fn target(&self) -> Target {
        target(self.port)
    }

    /// Accepts new host keys, has no agent and no default keys.
    pub fn settings(&self) -> Settings {
        Settings {
            ssh_config: SshConfig::None,
            client: Client::Own,
            arguments: Default::default(),
            node_arguments: Default::default(),
            host_key_checking: HostKeyChecking::AcceptNew,
            known_hosts: vec![self.at("known_hosts")],
            key_folder: None,
            agent: None,
            connect_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(2),
        }
    }

    /// A connection as root with a key of its own.
    pub fn connect(&self) -> Box<dyn Connection> {
        let key_file = Some(self.key("login", &["-t", "ed25519"]));
        self.try_connect(&Target {
            key_file,
            ..self.target()
        })
        .unwrap()
    }

    /// A connection with the key that the first one made.
    pub fn connect_again(&self) -> Box<dyn Connection> {
        let key = self.at("login");
        if !key.exists() {
            self.key("login", &["-t", "ed25519"]);
        }
        let key_file = Some(key);
        self.try_connect(&Target {
            key_file,
            ..self.target()
        })
        .unwrap()
    }

    pub fn try_connect(&self, target: &Target) -> Result<Box<dyn Connection>, ConnectError> {
        System::new(self.settings(), Box::new(Nobody)).connect(target, &Cancel::new())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn target(port: u16) -> Target {
    Target {
        node: "edge-1".to_owned(),
        via: Via::Ssh,
        address: "127.0.0.1".to_owned(),
        port,
        user: Some("root".to_owned()),
        key_file: None,
        arguments: Default::default(),
        privilege: Privilege::AsIs,
    }
}

/// Runs a script with the usual limit and without a callback.
pub fn run(connection: &mut dyn Connection, script: &str) -> Result<Output, RunError> {
    connection.run(script, LIMIT, &mut |_| {}, &Cancel::new())
}

/// The error of a connection that must not come about.
pub fn refusal(result: Result<Box<dyn Connection>, ConnectError>) -> ConnectError {
    match result {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub fn keygen(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let passphrase: &[&str] = if arguments.contains(&"-N") {
        &[]
    } else {
        &["-N", ""]
    };
    let mut command = Command::new("ssh-keygen");
    command
        .arg("-q")
        .args(arguments)
        .args(passphrase)
        .args(["-C", name])
        .arg("-f")
        .arg(&path);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    path
}

fn crypt(password: &str) -> String {
    let output = Command::new("openssl")
        .args(["passwd", "-6", password])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn open_folder() -> Option<TempDir> {
    if !rustix::process::getuid().is_root() {
        assert!(
            std::env::var("CI").is_err(),
            "the tests with a real sshd need root"
        );
        eprintln!("skipped: a real sshd needs root");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    Some(folder)
}

/// A source of secrets that never answers.
pub struct Nobody;

impl Secrets for Nobody {
    fn passphrase(&self, _: &Path) -> Option<Secret> {
        None
    }

    fn become_password(&self, _: &str) -> Option<Secret> {
        None
    }
}

/// A source of secrets that always gives the same answer, and remembers the questions.
#[derive(Clone)]
pub struct Says(pub &'static str, pub Arc<Mutex<Vec<String>>>);

impl Says {
    pub fn new(word: &'static str) -> Self {
        Self(word, Arc::default())
    }

    pub fn asked(&self) -> usize {
        self.1.lock().unwrap().len()
    }

    fn say(&self, about: String) -> Option<Secret> {
        self.1.lock().unwrap().push(about);
        Some(Secret::new(self.0.to_owned()))
    }
}

impl Secrets for Says {
    fn passphrase(&self, key: &Path) -> Option<Secret> {
        self.say(key.display().to_string())
    }

    fn become_password(&self, node: &str) -> Option<Secret> {
        self.say(node.to_owned())
    }
}
