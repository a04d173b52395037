//! SSH as people have it: a table of configurations, each tried with a real sshd, over both transports.
//!
//! docs/ssh.md is written from this table: `UPDATE_MANUAL=1 cargo test --test it ssh_cases`. Here it is tried with this machine's sshd;
//! `generations.rs` tries it with those of other releases.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use fwdeploy::model::SshArguments;
use fwdeploy::transport::Cancel;
use fwdeploy::transport::Client;
use fwdeploy::transport::ConnectOptions;
use fwdeploy::transport::Destination;
use fwdeploy::transport::HostKeyChecking;
use fwdeploy::transport::SshConfig;
use fwdeploy::transport::SystemTransport;
use fwdeploy::transport::Transport;
use tempfile::TempDir;

use crate::transport::sshd::Machine;
use crate::transport::sshd::Password;
use crate::transport::sshd::Sshd;
use crate::transport::sshd::free_port;
use crate::transport::sshd::keygen;
use crate::transport::sshd::run;

/// One configuration.
struct Row {
    topic: &'static str,
    name: &'static str,
    /// Lines of sshd_config of the node, beyond the usual ones; a name in `{}` is a server that several rows share.
    server: &'static str,
    /// Lines of ssh_config, ahead of the usual ones.
    config: &'static str,
    /// What the inventory says to ssh.
    arguments: &'static str,
    /// `ansible_host`.
    host: &'static str,
    user: Option<&'static str>,
    password: Option<&'static str>,
    /// Whether there is no ssh_config at all.
    bare: bool,
    /// The version from which on sshd knows the lines of `server`; before it, sshd objects to them.
    since: (u32, u32),
    /// What the server sees first.
    before: Before,
    /// How long the connection is left alone before the script.
    pause: Duration,
    script: &'static str,
    /// `-T`.
    limit: Duration,
    /// A key exchange that this machine may lack: what has it is let in.
    key_exchange: Option<&'static str>,
    /// What an error says, or nothing: over libssh2 and over the system's ssh.
    expected: [&'static str; 2],
}

/// What a server sees before the case. Such a server is shared with no other case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// Somebody who connects, says nothing, and leaves after two seconds.
    Visitor,
    /// A login that is refused.
    Failure,
}

const SCRIPT: &str = "echo out; echo err >&2; exit 3";

const WEB: &str = "Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n";

fn row(topic: &'static str, name: &'static str) -> Row {
    Row {
        topic,
        name,
        server: "",
        config: WEB,
        arguments: "",
        host: "web",
        user: Some("root"),
        password: None,
        bare: false,
        since: (0, 0),
        before: Before::Nothing,
        pause: Duration::ZERO,
        script: SCRIPT,
        limit: Duration::from_secs(10),
        key_exchange: None,
        expected: ["", ""],
    }
}

impl Row {
    fn server(self, server: &'static str) -> Self {
        Row { server, ..self }
    }
    fn config(self, config: &'static str) -> Self {
        Row { config, ..self }
    }
    fn arguments(self, arguments: &'static str) -> Self {
        Row { arguments, ..self }
    }
    fn host(self, host: &'static str) -> Self {
        Row { host, ..self }
    }
    fn user(self, user: Option<&'static str>) -> Self {
        Row { user, ..self }
    }
    fn password(self, password: &'static str) -> Self {
        Row {
            password: Some(password),
            user: Some("eva"),
            config: "Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile none\n",
            ..self
        }
    }
    fn since(self, major: u32, minor: u32) -> Self {
        Row {
            since: (major, minor),
            ..self
        }
    }
    fn before(self, before: Before) -> Self {
        Row { before, ..self }
    }
    fn pause(self, seconds: u64) -> Self {
        Row {
            pause: Duration::from_secs(seconds),
            ..self
        }
    }
    fn script(self, script: &'static str) -> Self {
        Row { script, ..self }
    }
    fn limit(self, seconds: u64) -> Self {
        Row {
            limit: Duration::from_secs(seconds),
            ..self
        }
    }
    fn key_exchange(self, name: &'static str) -> Self {
        Row {
            key_exchange: Some(name),
            ..self
        }
    }
    fn bare(self) -> Self {
        Row {
            bare: true,
            host: "127.0.0.1",
            config: "",
            ..self
        }
    }
    fn fails(self, ours: &'static str, theirs: &'static str) -> Self {
        Row {
            expected: [ours, theirs],
            ..self
        }
    }
}

const CHANGED: &str = "Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n UserKnownHostsFile {dir}/changed\n";

fn table() -> Vec<Row> {
    vec![
        row("config", "HostName, Port and IdentityFile of an alias"),
        row("config", "User").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n User root\n").user(None),
        row("config", "the inventory's user wins over the configured one").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n User nobody\n"),
        row("config", "a port from the inventory wins").config("Host web\n HostName 127.0.0.1\n Port 1\n IdentityFile {dir}/id\n").arguments("-o Port={port}"),
        row("config", "tokens in IdentityFile").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/%r_%n\n"),
        row("config", "an IdentityFile that is missing").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/nowhere\n").fails("no key to log in with", "Permission denied"),
        row("config", "the second IdentityFile is the right one").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/stranger\n IdentityFile {dir}/id\n"),
        row("config", "Match with originalhost and exec").config("Match originalhost web exec true\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n"),
        row("config", "Include").config("Include {dir}/included\n"),
        row("config", "a wildcard host with a negation").config("Host w* !wx\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n"),
        row("config", "AddressFamily inet6 for an IPv4 address").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n AddressFamily inet6\n").fails("has no address", "ssh"),
        row("config", "ConnectTimeout at a server that says nothing").config("Host web\n HostName 127.0.0.1\n Port {silent}\n ConnectTimeout 1\n").fails("nothing for 1s", "timed out"),
        row("config", "PubkeyAuthentication no").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n PubkeyAuthentication no\n").fails("nothing was tried", "Permission denied"),
        row("config", "a configuration with a mistake").config("Host web\n Nonsense yes\n").fails("Bad configuration option", "Bad configuration option"),
        row("config", "RevokedHostKeys is refused, and not missed").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n RevokedHostKeys {dir}/none\n").fails("a revoked host key would be accepted", ""),
        row("arguments", "-l, -p and -i").arguments("-l root -p {port} -i {dir}/id").user(None).bare(),
        row("arguments", "-o in every spelling").arguments("-oUser=root -o 'Port {port}' -o IdentityFile=\"{dir}/id\"").user(None).bare(),
        row("arguments", "StrictHostKeyChecking=no and UserKnownHostsFile=/dev/null").arguments("-p {port} -i {dir}/id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null").bare(),
        row("arguments", "-F").arguments("-F {dir}/other_config").bare().host("other"),
        row("arguments", "the options of Ansible's own ssh_args").arguments("-C -o ControlMaster=auto -o ControlPersist=60s -p {port} -i {dir}/id").bare(),
        row("arguments", "PreferredAuthentications without keys").arguments("-p {port} -i {dir}/id -o PreferredAuthentications=password").bare().fails("nothing was tried", "Permission denied"),
        row("arguments", "an option that would be missed").arguments("-p {port} -i {dir}/id -o Ciphers=aes256-ctr").bare().fails("`Ciphers` is not possible", ""),
        row("arguments", "a forward").arguments("-p {port} -i {dir}/id -L 1:127.0.0.1:1").bare().fails("nothing is forwarded here", "nothing is forwarded here"),
        row("host keys", "accept-new").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n StrictHostKeyChecking accept-new\n UserKnownHostsFile {dir}/new\n"),
        row("host keys", "accept-new with HashKnownHosts").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n StrictHostKeyChecking accept-new\n HashKnownHosts yes\n UserKnownHostsFile {dir}/hashed\n"),
        row("host keys", "an unknown key").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n UserKnownHostsFile {dir}/nowhere\n").fails("is unknown", "Host key verification failed"),
        row("host keys", "a changed key").config(CHANGED).fails("is not the one that is known", "Host key verification failed"),
        row("host keys", "a changed key with StrictHostKeyChecking no").config(CHANGED).arguments("-o StrictHostKeyChecking=no").fails("is not the one that is known", ""),
        row("host keys", "HostKeyAlias").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n HostKeyAlias Node-One\n"),
        row("host keys", "HostKeyAlias of another node").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n HostKeyAlias node-two\n").fails("is not the one that is known", "Host key verification failed"),
        row("host keys", "a revoked key").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n UserKnownHostsFile {dir}/revoked\n").fails("is revoked", "Host key verification failed"),
        row("host keys", "@cert-authority").server("{certified}").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n UserKnownHostsFile {dir}/authority\n"),
        row("host keys", "@cert-authority of somebody else").server("{certified}").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n UserKnownHostsFile {dir}/foreign_authority\n").fails("signed by another authority", "Host key verification failed"),
        row("jump hosts", "ProxyJump").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n ProxyJump gw\n"),
        row("jump hosts", "ProxyJump over two hosts").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n ProxyJump gw,gw2\n"),
        row("jump hosts", "a jump host that has a ProxyJump of its own").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n ProxyJump behind\n"),
        row("jump hosts", "-J with a user and a port").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\nHost 127.0.0.1\n IdentityFile {dir}/jump_id\n").arguments("-J root@127.0.0.1:{jump}"),
        row("jump hosts", "ProxyJump=none in the inventory").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n ProxyJump nowhere.invalid\n").arguments("-o ProxyJump=none"),
        row("jump hosts", "ProxyCommand with ssh -W").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n ProxyCommand ssh -F {dir}/config -W %h:%p gw\n"),
        row("jump hosts", "a ProxyCommand that fails").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n ProxyCommand sh -c 'echo no way >&2; exit 1'\n").fails("its ProxyCommand said `no way`", "no way"),
        row("jump hosts", "the host key of the jump host is unknown").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n ProxyJump gw\nHost gw\n UserKnownHostsFile {dir}/nowhere\n").fails("the host key of jump host `gw`", "Host key verification failed"),
        row("jump hosts", "the jump host lets nobody in").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n ProxyJump root@127.0.0.1:{jump}\nHost 127.0.0.1\n IdentityFile {dir}/stranger\n").fails("may not log in on jump host", "a jump host asks"),
        row("jump hosts", "nothing listens behind the jump host").config("Host web\n HostName 127.0.0.1\n Port {closed}\n IdentityFile {dir}/id\n ProxyJump gw\n").fails("jump host `gw`", "ssh"),
        row("jump hosts", "a jump host that forwards nothing").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n ProxyJump shut\n").fails("jump host `shut`", "ssh"),
        row("jump hosts", "a host that is its own jump host").config("Host *\n ProxyJump web\n").fails("jumphost loop", "jumphost loop"),
        row("keys", "an agent in IdentityAgent").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityAgent {dir}/agent\n IdentityFile {dir}/agent_id.pub\n"),
        row("keys", "IdentitiesOnly with an agent of many keys").server("MaxAuthTries 2").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityAgent {dir}/agent\n IdentityFile {dir}/agent_id.pub\n IdentitiesOnly yes\n"),
        row("keys", "IdentityAgent none").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityAgent none\n IdentityFile {dir}/agent_id.pub\n").fails("no key to log in with", "Permission denied"),
        row("keys", "CertificateFile").server("TrustedUserCAKeys {dir}/user_ca.pub").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/stranger\n CertificateFile {dir}/stranger-root.pub\n"),
        row("keys", "a certificate beside its key").server("TrustedUserCAKeys {dir}/user_ca.pub").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/beside\n"),
        row("keys", "a certificate that has expired").server("TrustedUserCAKeys {dir}/user_ca.pub").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/stranger\n CertificateFile {dir}/stranger-old.pub\n").fails("refused", "Permission denied"),
        row("passwords", "the right password").server("{users}").password("right"),
        row("passwords", "the wrong password").server("{users}").password("wrong").fails("the password: refused", "the password: refused"),
        row("passwords", "keyboard-interactive alone").server("{pam}").password("right"),
        row("passwords", "the wrong password for keyboard-interactive").server("{pam}").password("wrong").fails("the answers: refused", "the password: refused"),
        row("passwords", "a node behind a jump host that takes a key").server("{users}").password("right").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile none\n ProxyJump gw\n"),
        row("passwords", "the node's password is not given to a jump host").server("{users}").password("right").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile none\n ProxyJump toll\nHost toll\n HostName 127.0.0.1\n Port {port}\n User eva\n IdentityFile none\n").fails("may not log in on jump host", "a jump host asks `eva@127.0.0.1's password:`"),
        row("hardened", "one cipher").server("Ciphers aes256-gcm@openssh.com"),
        row("hardened", "an RSA host key alone").server("{rsa}"),
        row("hardened", "chacha20-poly1305 alone").server("Ciphers chacha20-poly1305@openssh.com"),
        row("hardened", "rsa-sha2-512 alone, for the host key").server("{rsa-sha2-512}"),
        row("hardened", "rsa-sha2-512 alone, for the user's key").server("PubkeyAcceptedKeyTypes rsa-sha2-512").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id_rsa\n"),
        row("hardened", "RequiredRSASize above the size of the key").server("RequiredRSASize 4096").since(9, 1).config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id_rsa\n").fails("id_rsa: refused", "Permission denied"),
        row("hardened", "host certificates alone").server("{certificates}").config("Host web\n HostName 127.0.0.1\n Port {port}\n IdentityFile {dir}/id\n UserKnownHostsFile {dir}/authority\n"),
        row("hardened", "sntrup761x25519 alone").server("KexAlgorithms sntrup761x25519-sha512@openssh.com").since(8, 5).key_exchange("sntrup761x25519-sha512@openssh.com").fails("no common key exchange", ""),
        row("hardened", "mlkem768x25519 alone").server("KexAlgorithms mlkem768x25519-sha256").since(9, 9).key_exchange("mlkem768x25519-sha256").fails("no common key exchange", "no matching key exchange method"),
        row("hardened", "DisableForwarding and MaxSessions 1").server("DisableForwarding yes\nMaxSessions 1"),
        row("hardened", "a MAC that libssh2 lacks").server("Ciphers aes256-ctr\nMACs umac-128-etm@openssh.com").fails("no common message authentication code", ""),
        row("slow and noisy", "a banner").server("Banner {dir}/banner"),
        row("slow and noisy", "a login shell that prints before the command").server("ForceCommand echo garbage; echo more >&2; eval \"$SSH_ORIGINAL_COMMAND\""),
        row("slow and noisy", "a session that takes two seconds").server("ForceCommand sleep 2; eval \"$SSH_ORIGINAL_COMMAND\""),
        row("slow and noisy", "a login shell that runs nothing").server("ForceCommand echo This account is not available; exit 1").fails("without running what it was given", "without running what it was given"),
        row("slow and noisy", "LoginGraceTime 4, and six seconds after the login").server("LoginGraceTime 4").pause(6),
        row("slow and noisy", "UnusedConnectionTimeout 3, and six seconds after the login").server("UnusedConnectionTimeout 3").since(9, 2).pause(6).fails("the connection is gone", ""),
        row("slow and noisy", "ChannelTimeout session:command=4, and a script that is silent for nine seconds").server("ChannelTimeout session:command=4").since(9, 2).script("sleep 9; echo out; echo err >&2; exit 3").fails("its output ended early", "the connection is gone (ssh ended)"),
        row("crowded", "MaxStartups 1 while somebody else is there").server("MaxStartups 1:100:1").before(Before::Visitor),
        row("crowded", "PerSourcePenalties for a moment").server("PerSourcePenalties authfail:2s min:1s").since(9, 8).before(Before::Failure),
        row("crowded", "PerSourcePenalties for a minute").server("PerSourcePenalties authfail:60s min:1s").since(9, 8).before(Before::Failure).limit(2).fails("it said `Not allowed at this time`", "kex_exchange_identification"),
        row("slow and noisy", "nothing listens").config("Host web\n HostName 127.0.0.1\n Port {closed}\n").fails("connection refused", "Connection refused"),
    ]
}

/// Files, keys, an agent, and the servers that several rows share.
struct World {
    machine: Machine,
    folder: TempDir,
    servers: Mutex<BTreeMap<String, Arc<OnceLock<&'static Sshd>>>>,
    silent: TcpListener,
    closed: u16,
    jump: &'static Sshd,
    agent: std::process::Child,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

impl World {
    fn new(machine: Machine) -> Option<Self> {
        let jump: &'static Sshd = Box::leak(Box::new(machine.with_plain_root(&["ed25519"], "")?));
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            "id",
            "stranger",
            "beside",
            "agent_id",
            "agent_other",
            "agent_more",
            "jump_id",
            "user_ca",
            "foreign",
        ] {
            keygen(folder.path(), name, &["-t", "ed25519"]);
        }
        keygen(folder.path(), "id_rsa", &["-t", "rsa", "-b", "2048"]);
        fs::copy(at("id"), at("root_web")).unwrap();
        fs::write(at("banner"), "Authorised users only.\n").unwrap();
        fs::write(at("none"), "").unwrap();
        let sign = |key: &str, to: &str, more: &[&str]| {
            let mut command = Command::new("ssh-keygen");
            command
                .arg("-q")
                .arg("-s")
                .arg(at("user_ca"))
                .args(["-I", "x", "-n", "root"])
                .args(more);
            assert!(
                command
                    .arg(at(key).with_extension("pub"))
                    .status()
                    .unwrap()
                    .success()
            );
            let made = at(&format!("{key}-cert.pub"));
            if made != at(to) {
                fs::rename(made, at(to)).unwrap();
            }
        };
        sign("stranger", "stranger-root.pub", &[]);
        sign("stranger", "stranger-old.pub", &["-V", "20200101:20200102"]);
        sign("beside", "beside-cert.pub", &[]);
        jump.let_in(&at("jump_id"));
        let agent = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(at("agent"))
            .spawn()
            .unwrap();
        while !at("agent").exists() {
            thread::sleep(Duration::from_millis(5));
        }
        for key in ["agent_other", "agent_more", "agent_id"] {
            let mut add = Command::new("ssh-add");
            add.arg("-q").arg(at(key)).env("SSH_AUTH_SOCK", at("agent"));
            assert!(add.status().unwrap().success());
        }
        Some(World {
            machine,
            folder,
            servers: Mutex::default(),
            silent: TcpListener::bind("127.0.0.1:0").unwrap(),
            closed: free_port(),
            jump,
            agent,
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A server with these lines; cases of one name share one.
    fn server(&self, lines: &'static str, name: &str) -> &'static Sshd {
        let slot = {
            let mut servers = self.servers.lock().unwrap();
            Arc::clone(servers.entry(format!("{name}{lines}")).or_default())
        };
        slot.get_or_init(|| {
            let config = lines.replace("{dir}", &self.folder.path().display().to_string());
            let machine = &self.machine;
            let users = "eva:right:1000:1000::/tmp:/bin/sh";
            let sshd = match lines {
                "{certified}" => machine.with_plain_root(&["certified"], ""),
                "{certificates}" => {
                    let alone = "HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com";
                    machine.with_plain_root(&["certified"], alone)
                }
                "{rsa}" => machine.with_plain_root(&["rsa"], ""),
                "{rsa-sha2-512}" => {
                    machine.with_plain_root(&["rsa"], "HostKeyAlgorithms rsa-sha2-512")
                }
                "{users}" => machine.with_users(users, ""),
                "{pam}" => {
                    let alone = "PasswordAuthentication no\nChallengeResponseAuthentication yes";
                    machine.with_pam(users, alone)
                }
                "{shut}" => machine.with_plain_root(&["ed25519"], "AllowTcpForwarding no"),
                _ => machine.with_plain_root(&["ed25519"], &config),
            };
            let sshd = sshd.unwrap();
            for key in ["id", "id_rsa", "agent_id"] {
                sshd.let_in(&self.at(key));
            }
            if matches!(lines, "{shut}" | "{users}") {
                sshd.let_in(&self.at("jump_id"));
            }
            Box::leak(Box::new(sshd))
        })
    }

    fn fill(&self, text: &str, folder: &Path, sshd: &Sshd) -> String {
        text.replace("{dir}/config", &folder.join("config").display().to_string())
            .replace("{dir}/new", &folder.join("new").display().to_string())
            .replace("{dir}/hashed", &folder.join("hashed").display().to_string())
            .replace(
                "{dir}/changed",
                &folder.join("changed").display().to_string(),
            )
            .replace(
                "{dir}/revoked",
                &folder.join("revoked").display().to_string(),
            )
            .replace(
                "{dir}/authority",
                &folder.join("authority").display().to_string(),
            )
            .replace(
                "{dir}/foreign_authority",
                &folder.join("foreign_authority").display().to_string(),
            )
            .replace(
                "{dir}/included",
                &folder.join("included").display().to_string(),
            )
            .replace(
                "{dir}/other_config",
                &folder.join("other_config").display().to_string(),
            )
            .replace("{dir}", &self.folder.path().display().to_string())
            .replace("{port}", &sshd.port.to_string())
            .replace("{jump}", &self.jump.port.to_string())
            .replace(
                "{silent}",
                &self.silent.local_addr().unwrap().port().to_string(),
            )
            .replace("{closed}", &self.closed.to_string())
    }

    /// Tries a row over one of the transports, and returns the error.
    fn attempt(&self, row: &Row, client: Client) -> String {
        let name = match row.before {
            Before::Nothing => String::new(),
            Before::Visitor | Before::Failure => format!("{client:?} "),
        };
        let sshd = self.server(row.server, &name);
        let shut = self.server("{shut}", "");
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            fs::write(folder.path().join(name), text).unwrap();
        };
        let kind = match row.server {
            "{certified}" | "{certificates}" => "certified",
            "{rsa}" | "{rsa-sha2-512}" => "rsa",
            _ => "ed25519",
        };
        let foreign = fs::read_to_string(self.at("foreign.pub")).unwrap();
        let own = sshd.host_line(kind, &sshd.name());
        let known = [
            own.clone(),
            sshd.host_line(kind, "node-one"),
            format!("node-two {foreign}"),
            self.jump.host_line("ed25519", &self.jump.name()),
            shut.host_line("ed25519", &shut.name()),
        ]
        .concat();
        write("known", known);
        write("changed", format!("{} {foreign}", sshd.name()));
        write(
            "revoked",
            format!("{own}@revoked * {}", own.split_once(' ').unwrap().1),
        );
        write("foreign_authority", format!("@cert-authority * {foreign}"));
        if kind == "certified" {
            write("authority", sshd.host_line("ca", "@cert-authority *"));
        }
        let fill = |text: &str| self.fill(text, folder.path(), sshd);
        let known = folder.path().join("known");
        let usual = format!(
            "\nHost gw\n HostName 127.0.0.1\n Port {{jump}}\n User root\n IdentityFile {{dir}}/jump_id\nHost gw2\n HostName 127.0.0.1\n Port {{jump}}\n User root\n IdentityFile {{dir}}/jump_id\nHost behind\n HostName 127.0.0.1\n Port {{jump}}\n User root\n IdentityFile {{dir}}/jump_id\n ProxyJump gw\nHost shut\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {{dir}}/jump_id\nHost *\n UserKnownHostsFile {}\n GlobalKnownHostsFile none\n StrictHostKeyChecking yes\n IdentityAgent none\n",
            shut.port,
            known.display()
        );
        write("config", fill(&(row.config.to_owned() + &usual)));
        write("included", fill(WEB));
        write(
            "other_config",
            fill(&(WEB.replace("web", "other") + &usual)),
        );
        let settings = ConnectOptions {
            ssh_config: match row.bare {
                true => SshConfig::None,
                false => SshConfig::File(folder.path().join("config")),
            },
            client,
            arguments: SshArguments::default(),
            node_arguments: SshArguments::default(),
            host_key_checking: HostKeyChecking::Strict,
            known_hosts: vec![known],
            key_folder: None,
            agent: None,
            connect_timeout: row.limit,
            keepalive: Duration::from_secs(5),
            askpass: Some(env!("CARGO_BIN_EXE_fwdeploy").into()),
        };
        let destination = Destination {
            address: row.host.to_owned(),
            user: row.user.map(str::to_owned),
            arguments: SshArguments::parse(&fill(row.arguments)).unwrap(),
            ..crate::transport::sshd::destination(22)
        };
        let mut visitor = None;
        match row.before {
            Before::Nothing => {}
            Before::Visitor => {
                let there = TcpStream::connect(("127.0.0.1", sshd.port)).unwrap();
                visitor = Some(thread::spawn(move || {
                    thread::sleep(Duration::from_secs(2));
                    drop(there);
                }));
                thread::sleep(Duration::from_millis(200));
            }
            Before::Failure => {
                let stranger = Destination {
                    key_file: Some(self.at("stranger")),
                    ..sshd.destination()
                };
                assert!(sshd.try_connect(&stranger).is_err(), "{}", row.name);
                // sshd counts it when the process of the connection has ended.
                thread::sleep(Duration::from_millis(500));
            }
        }
        let system = SystemTransport::new(settings, Box::new(Password(row.password)));
        let mut connection = match system.connect(&destination, &Cancel::new()) {
            Ok(connection) => connection,
            Err(error) => return chain(&error),
        };
        if let Some(visitor) = visitor {
            visitor.join().unwrap();
        }
        thread::sleep(row.pause);
        match run(connection.as_mut(), row.script) {
            Ok(output) => {
                assert_eq!(output.status, 3, "{}", row.name);
                assert_eq!(output.stdout, b"out\n", "{}", row.name);
                assert!(output.stderr.ends_with(b"err\n"), "{}", row.name);
            }
            Err(error) => return error.to_string(),
        }
        // What was accepted was written down.
        for (name, begins) in [("new", "[127.0.0.1]:"), ("hashed", "|1|")] {
            if let Ok(text) = fs::read_to_string(folder.path().join(name)) {
                assert!(text.starts_with(begins), "{}: {text}", row.name);
            }
        }
        String::new()
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        write!(text, ": {cause}").unwrap();
        next = cause.source();
    }
    text
}

/// What is expected of a row on this machine.
fn expected(row: &Row, client: Client) -> &'static str {
    let said = of_client(row, client);
    match (row.key_exchange, client) {
        (Some(name), Client::Own) => {
            let session = ssh2::Session::new().unwrap();
            let known = session.supported_algs(ssh2::MethodType::Kex).unwrap();
            if known.contains(&name) { "" } else { said }
        }
        (Some(name), Client::OpenSsh) => {
            let known = Command::new("ssh").args(["-Q", "kex"]).output().unwrap();
            let known = String::from_utf8_lossy(&known.stdout).into_owned();
            match known.lines().any(|line| line == name) {
                true => "",
                false => "no matching key exchange method",
            }
        }
        (None, _) => said,
    }
}

/// What the document says.
fn of_client(row: &Row, client: Client) -> &'static str {
    match client {
        Client::Own => row.expected[0],
        Client::OpenSsh => row.expected[1],
    }
}

const HEAD: &str = "# SSH cases

Each row is tried by `tests/it/transport/table.rs` with a real sshd, over both transports: fwdeploy's own (`--transport libssh2`, the default)
and the system's ssh (`--transport openssh`). This file is written from that table. \"In\" is a login and a script with its outputs and status;
otherwise a part of the message is shown.

`make unit` tries them with the sshd of the machine that it runs on, `make lab` with those of four Debian releases: OpenSSH 8.4 (bullseye), 9.2
(bookworm), 10.0 (trixie) and 10.6 (forky). **Each case has the same result with all of them.** Where the server has a line that came with a
later version, the last column tells that version; an older sshd does not start with such a line, which is tried, too. The client is Debian
12's: OpenSSH 9.2, and libssh2 1.11 with OpenSSL 3.0, which have no `mlkem768x25519`. With OpenSSL 3.5, or OpenSSH 9.9, that case is \"in\".
`PerSourcePenalties` is off except in the cases about it.

| topic | case | libssh2 | openssh | servers |
|---|---|---|---|---|
";

fn document(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    for row in rows {
        let cell = |client| match of_client(row, client) {
            "" => "in".to_owned(),
            "ssh" => "refused".to_owned(),
            said => format!("refused: {}", said.replace('`', "'")),
        };
        let (ours, theirs) = (cell(Client::Own), cell(Client::OpenSsh));
        let servers = match row.since {
            (0, 0) => "all".to_owned(),
            (major, minor) => format!("from {major}.{minor}"),
        };
        let (topic, name) = (row.topic, row.name);
        writeln!(text, "| {topic} | {name} | {ours} | {theirs} | {servers} |").unwrap();
    }
    text
}

#[test]
fn ssh_cases_are_as_the_document_says_over_both_transports() {
    let rows = table();
    assert!(rows.len() >= 40, "{}", rows.len());
    let path = Path::new("docs/ssh.md");
    if std::env::var_os("UPDATE_MANUAL").is_some() {
        fs::write(path, document(&rows)).unwrap();
    }
    assert_eq!(
        fs::read_to_string(path).unwrap_or_default(),
        document(&rows),
        "UPDATE_MANUAL=1"
    );
    each_case_holds_on(Machine::default());
}

/// Tries all cases with the sshd of a machine.
pub fn each_case_holds_on(machine: Machine) {
    let rows = table();
    let Some(world) = World::new(machine) else {
        return;
    };
    let faults = Mutex::new(Vec::new());
    let version = world.machine.version();
    let (known, unknown): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| version >= row.since);
    for row in unknown {
        if world.machine.objection(row.server).is_empty() {
            let (name, (major, minor)) = (row.name, version);
            let fault = format!("{name}: sshd {major}.{minor} knows `{}`", row.server);
            faults.lock().unwrap().push(fault);
        }
    }
    let tries = known
        .into_iter()
        .flat_map(|row| [(row, Client::Own), (row, Client::OpenSsh)]);
    let queue = Mutex::new(tries.collect::<Vec<_>>());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((row, client)) = { queue.lock().unwrap().pop() } {
                    let said = world.attempt(row, client);
                    let expected = expected(row, client);
                    let is_right = match expected {
                        "" => said.is_empty(),
                        part => said.contains(part),
                    };
                    if !is_right {
                        let fault =
                            format!("{} ({client:?}): {expected:?}, and it is: {said}", row.name);
                        faults.lock().unwrap().push(fault);
                    }
                }
            });
        }
    });
    let servers = world.servers.lock().unwrap();
    for sshd in servers.values().filter_map(|slot| slot.get()) {
        sshd.stop();
    }
    world.jump.stop();
    let faults = faults.into_inner().unwrap();
    assert!(
        faults.is_empty(),
        "{}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
