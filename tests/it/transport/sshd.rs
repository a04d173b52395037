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
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use fwdeploy::model::Secret;
use fwdeploy::transport::Cancel;
use fwdeploy::transport::Client;
use fwdeploy::transport::ConnectError;
use fwdeploy::transport::ConnectOptions;
use fwdeploy::transport::Connection;
use fwdeploy::transport::Destination;
use fwdeploy::transport::HostKeyChecking;
use fwdeploy::transport::Output;
use fwdeploy::transport::Privilege;
use fwdeploy::transport::RunError;
use fwdeploy::transport::Secrets;
use fwdeploy::transport::SshConfig;
use fwdeploy::transport::SystemTransport;
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

/// The machine whose sshd is started.
#[derive(Clone, Default)]
pub struct Machine {
    /// The root of another system, of which nothing is changed; this machine otherwise.
    root: Option<PathBuf>,
    version: OnceLock<(u32, u32)>,
}

impl Machine {
    /// Another system, as it lies in this folder.
    pub fn at(root: &Path) -> Self {
        Self {
            root: Some(root.to_owned()),
            version: OnceLock::new(),
        }
    }

    /// The version of its sshd, such as 9.2.
    pub fn version(&self) -> (u32, u32) {
        *self.version.get_or_init(|| {
            // Before 9.2 sshd does not know `-V`, and tells its version with its usage.
            let output = self.sshd().arg("-V").output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let number = said.split_once("OpenSSH_").map(|(_, rest)| rest);
            let (major, rest) = number.and_then(|it| it.split_once('.')).expect(&said);
            let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
            (major.parse().unwrap(), minor.parse().unwrap())
        })
    }

    fn sshd(&self) -> Command {
        match &self.root {
            None => Command::new("/usr/sbin/sshd"),
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg("/usr/sbin/sshd");
                command
            }
        }
    }

    /// What its sshd says against these lines of sshd_config; nothing if it takes them.
    pub fn objection(&self, config: &str) -> String {
        // `-G` and `-T` need host keys or versions; an option on the command line is read like a line.
        let lines = config.lines().flat_map(|line| ["-o", line]);
        let output = self.sshd().arg("-t").args(lines).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let about_keys = |line: &&str| !line.contains("host key") && !line.contains("hostkeys");
        said.lines()
            .filter(about_keys)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// With host keys of these types (`certified` is ed25519 with a certificate) and more lines of sshd_config.
    pub fn with(&self, host_keys: &[&str], config: &str) -> Option<Sshd> {
        let folder = open_folder()?;
        Some(self.launch(folder, host_keys, config, &[]))
    }

    /// The same, where the login shell of root is sh and reads no file of this machine.
    pub fn with_plain_root(&self, host_keys: &[&str], config: &str) -> Option<Sshd> {
        self.with_files(host_keys, "", "", config, None)
    }

    /// With the users of `passwd` (lines of /etc/passwd with a plain password in the second field, or `*`), and these sudoers.
    pub fn with_users(&self, passwd: &str, sudoers: &str) -> Option<Sshd> {
        self.with_files(&["ed25519"], passwd, sudoers, "", None)
    }

    /// With these users and more lines of sshd_config, and with PAM asking for the password.
    pub fn with_pam(&self, passwd: &str, config: &str) -> Option<Sshd> {
        let pam = "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
        let config = format!("UsePAM yes\n{config}");
        self.with_files(&["ed25519"], passwd, "", &config, Some(pam))
    }

    fn with_files(
        &self,
        host_keys: &[&str],
        passwd: &str,
        sudoers: &str,
        config: &str,
        pam: Option<&str>,
    ) -> Option<Sshd> {
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
        Some(self.launch(folder, host_keys, config, &mounts))
    }

    fn launch(&self, folder: TempDir, host_keys: &[&str], config: &str, mounts: &[&str]) -> Sshd {
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
        // From 9.8 on sshd shuts out an address after failed logins, which the tests cause on purpose.
        if self.version() >= (9, 8) {
            lines += "PerSourcePenalties no\n";
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
        let mut script = "set -e\n".to_owned();
        let mut command = match (mounts, &self.root) {
            ([], None) => Command::new("sh"),
            _ => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation", "private", "sh"]);
                command
            }
        };
        let etc = match &self.root {
            None => {
                fs::create_dir_all("/run/sshd").unwrap();
                "/etc"
            }
            Some(root) => {
                // The root with a layer in memory over it, and the folders of the tests at the place where they are here.
                let (layers, shared) = (at("layers"), std::env::temp_dir());
                fs::create_dir(&layers).unwrap();
                script += &format!(
                    "mount -t tmpfs tmpfs {layers}\ncd {layers}\nmkdir upper work root\nmount -t overlay overlay -o lowerdir={root},upperdir={layers}/upper,workdir={layers}/work root\ncd root\nmkdir -p run/sshd .{shared}\nmount --bind {shared} .{shared}\nmount --rbind /dev dev\nmount -t proc proc proc\n",
                    root = root.display(),
                    shared = shared.display(),
                );
                "etc"
            }
        };
        for name in mounts {
            script += &format!("mount --bind {} {etc}/{name}\n", at(name));
        }
        let chroot = self.root.as_ref().map_or("", |_| "chroot . ");
        script += &format!(
            "exec {chroot}/usr/sbin/sshd -D -f {} -E {}",
            at("config"),
            at("log")
        );
        let child = command.arg("-c").arg(script).spawn().unwrap();
        let mut sshd = Sshd {
            folder,
            port,
            child,
        };
        for _ in 0..1000 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return sshd;
            }
            if sshd.child.try_wait().unwrap().is_some() {
                break;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("sshd did not start: {}", sshd.log());
    }
}

impl Sshd {
    /// With an ed25519 host key. `None` without root.
    pub fn start() -> Option<Self> {
        Self::with(&["ed25519"], "")
    }

    /// As [`Machine::with`], on this machine.
    pub fn with(host_keys: &[&str], config: &str) -> Option<Self> {
        Machine::default().with(host_keys, config)
    }

    /// As [`Machine::with_users`], on this machine.
    pub fn with_users(passwd: &str, sudoers: &str) -> Option<Self> {
        Machine::default().with_users(passwd, sudoers)
    }

    /// As [`Machine::with_pam`], on this machine.
    pub fn with_pam(passwd: &str, config: &str) -> Option<Self> {
        Machine::default().with_pam(passwd, config)
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

    pub fn destination(&self) -> Destination {
        destination(self.port)
    }

    /// Accepts new host keys, has no agent and no default keys.
    pub fn settings(&self) -> ConnectOptions {
        ConnectOptions {
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
            askpass: None,
        }
    }

    /// A connection as root with a key of its own.
    pub fn connect(&self) -> Box<dyn Connection> {
        let key_file = Some(self.key("login", &["-t", "ed25519"]));
        self.try_connect(&Destination {
            key_file,
            ..self.destination()
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
        self.try_connect(&Destination {
            key_file,
            ..self.destination()
        })
        .unwrap()
    }

    pub fn try_connect(
        &self,
        destination: &Destination,
    ) -> Result<Box<dyn Connection>, ConnectError> {
        SystemTransport::new(self.settings(), Box::new(Nobody)).connect(destination, &Cancel::new())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn destination(port: u16) -> Destination {
    Destination {
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

/// A source of a password to log in with, if there is one, and of nothing else.
pub struct Password(pub Option<&'static str>);

impl Secrets for Password {
    fn passphrase(&self, _: &Path) -> Option<Secret> {
        None
    }

    fn become_password(&self, _: &str) -> Option<Secret> {
        None
    }

    fn login_password(&self, _: &str) -> Option<Secret> {
        self.0.map(Secret::new)
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
