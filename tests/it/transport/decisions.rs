//! Every decision about a host key, compared with that of the real `ssh`.
//!
//! A table of known_hosts files, each used by both in both modes, with real servers and real names: in a network of its own, with an
//! `/etc/hosts` of its own, sshd listens on port 22 and on 2222. Nothing may be accepted that ssh refuses; where ssh accepts what is
//! refused here, the table has the reason. Where both record a key, both write the same line.
//!
//! It has failed for an authority that is revoked (certificates were never requested), and for the order of the requested types
//! of keys.

use std::fs;
use std::net::Ipv4Addr;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;
use std::thread::sleep;
use std::time::Duration;

use fwdeploy::transport::Cancel;
use fwdeploy::transport::Client;
use fwdeploy::transport::ConnectError;
use fwdeploy::transport::ConnectOptions;
use fwdeploy::transport::Destination;
use fwdeploy::transport::HostKeyChecking;
use fwdeploy::transport::HostKeyChecking::AcceptNew;
use fwdeploy::transport::HostKeyChecking::Strict;
use fwdeploy::transport::SshConfig;
use fwdeploy::transport::SystemTransport;
use fwdeploy::transport::Transport;
use openssl::base64::decode_block;
use openssl::base64::encode_block;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use tempfile::tempdir;

use crate::transport::sshd::Nobody;
use crate::transport::sshd::destination;
use crate::transport::sshd::keygen;

/// Set inside the network of its own.
const INSIDE: &str = "FWDEPLOY_TEST_DECISIONS";

/// Name, address, and host keys: ed25519, ecdsa, rsa, or ed25519 with a certificate.
const SERVERS: [(&str, &str, &[&str]); 5] = [
    ("gw", "127.0.0.1", &["ed", "ec", "rsa"]),
    ("one", "127.0.0.2", &["ed"]),
    ("old", "127.0.0.3", &["rsa"]),
    ("cert", "127.0.0.4", &["certified"]),
    ("two", "127.0.0.5", &["ec", "rsa"]),
];

/// A known_hosts file, and the server that it is used with.
struct Row {
    address: String,
    port: u16,
    /// `{ed}`, `{ec}`, `{rsa}` are the keys of the servers; with a leading `x` those of another server. `{#NAME}` is a hashed name.
    own: String,
    system: String,
    /// Why it may be refused here where ssh accepts.
    stricter: &'static str,
}

fn row(address: &str, port: u16, own: &str) -> Row {
    Row {
        address: address.to_owned(),
        port,
        own: own.to_owned(),
        system: String::new(),
        stricter: "",
    }
}

impl Row {
    fn and_system(mut self, system: &str) -> Self {
        self.system = system.to_owned();
        self
    }

    fn stricter(mut self, why: &'static str) -> Self {
        self.stricter = why;
        self
    }
}

const REVOKED_ON_EVERY_PORT: &str = "a key that is revoked under the bare name is good on no port";
const TABS: &str = "a tab parts a revocation from its name as it parts other columns";

/// The possible entries under one name.
const STATES: [&str; 5] = ["", "{ed}", "{xed}", "{rsa}", "{xrsa}"];

fn table() -> Vec<Row> {
    let mut rows = Vec::new();
    // A bare name and a port, in each state, met at either port: 44 rows.
    let few = ["", "{ed}", "{xrsa}"];
    for (address, port, bare, with_port) in [
        ("gw", 2222, &STATES[..], &STATES[..]),
        ("gw", 22, &STATES, &STATES[..2]),
        ("one", 2222, &few, &few),
    ] {
        for bare in bare {
            for with_port in with_port {
                let mut own = String::new();
                if !bare.is_empty() {
                    own += &format!("{address} {bare}\n");
                }
                if !with_port.is_empty() {
                    own += &format!("[{address}]:2222 {with_port}\n");
                }
                rows.push(row(address, port, &own));
            }
        }
    }
    rows.extend([
        // Names, addresses, case.
        row("GW", 22, "gw {ed}"),
        row("gw", 22, "GW {ed}"),
        row("GW", 2222, "[gw]:2222 {xed}"),
        row("127.0.0.1", 22, "gw {ed}"),
        row("127.0.0.1", 22, "127.0.0.1 {ed}"),
        row("127.0.0.1", 2222, "[127.0.0.1]:2222 {xed}"),
        row("127.0.0.1", 22, "gw,127.0.0.1 {xed}"),
        row("gw", 22, "127.0.0.1 {xed}"),
        row("gw", 22, "gw {ed}\n127.0.0.1 {xed}"),
        row("::1", 22, "::1 {ed}"),
        row("::1", 2222, "[::1]:2222 {xed}"),
        row("gw", 22, "other,gw,more {ed}"),
        row("gw", 22, "gw,,gw {ed}"),
        row("gw", 22, "other {ed}"),
        row("gw", 22, "gwx {xed}\nxgw {xed}"),
        row("gw", 2222, "gw:2222 {xed}"),
        row("gw", 2222, "[gw]:22 {xed}\n[gw]:222 {xed}"),
        row("gw", 22, "[gw]:22 {xed}"),
        // Wildcards and negations.
        row("gw", 22, "* {ed}"),
        row("gw", 22, "* {xed}"),
        row("gw", 2222, "* {ed}"),
        row("gw", 2222, "* {xed}"),
        row("gw", 2222, "[*]:2222 {ed}"),
        row("gw", 2222, "[*]:2222 {xed}\ngw {ed}"),
        row("gw", 2222, "[g?]:* {ed}"),
        row("gw", 22, "g? {xed}"),
        row("gw", 22, "?gw {xed}"),
        row("gw", 22, "*,!gw {xed}"),
        row("gw", 22, "!gw,* {ed}"),
        row("gw", 2222, "*,!gw {xed}"),
        row("gw", 2222, "*,![gw]:2222 {xed}"),
        row("gw", 2222, "*,![gw]:2222 {ed}"),
        row("gw", 22, "!other {ed}"),
        row("gw", 22, "!!gw,gw {ed}"),
        row("127.0.0.1", 22, "127.0.0.? {xed}"),
        row("127.0.0.1", 22, "127.0.* {ed}"),
        row("gw", 22, "g*w {xed}"),
        row("gw", 22, "g**w {ed}"),
        // Hashed names.
        row("gw", 22, "{#gw} {ed}"),
        row("gw", 22, "{#gw} {xed}"),
        row("GW", 22, "{#gw} {xed}"),
        row("gw", 22, "{#GW} {xed}"),
        row("gw", 2222, "{#[gw]:2222} {ed}"),
        row("gw", 2222, "{#[gw]:2222} {xed}\n{#gw} {ed}"),
        row("gw", 2222, "{#gw} {ed}"),
        row("gw", 2222, "{#gw} {xed}"),
        row("gw", 22, "{#gw},gw {xed}"),
        row("gw", 22, "|1|AAAA|AAAA {xed}"),
        row("gw", 22, "|2|AAAA|AAAA {xed}\ngw {ed}"),
        // Revocations.
        row("gw", 22, "@revoked gw {ed}"),
        row("gw", 22, "@revoked * {ed}\ngw {ed}"),
        row("gw", 22, "gw {ed}\n@revoked gw {xed}"),
        row("gw", 22, "@revoked gw {xed}"),
        row("gw", 22, "@revoked other {ed}\ngw {ed}"),
        row("gw", 2222, "@revoked [gw]:2222 {ed}\ngw {ed}"),
        row("gw", 2222, "@revoked gw {ed}").stricter(REVOKED_ON_EVERY_PORT),
        row("gw", 2222, "@revoked gw {ed}\n[gw]:2222 {ed}").stricter(REVOKED_ON_EVERY_PORT),
        row("gw", 2222, "@revoked *,!gw {ed}\n[gw]:2222 {ed}"),
        row("old", 22, "@revoked * {old}\nold {old}"),
        row("old", 22, "@revoked * rsa-sha2-512 {old blob}\nold {old}"),
        row("old", 22, "@revoked {#old} {old}\nold {old}"),
        row("gw", 22, "@revoked\tgw\t{ed}\ngw {ed}").stricter(TABS),
        row("gw", 22, "@Revoked gw {ed}\ngw {ed}"),
        row("gw", 22, "@revoked @revoked gw {ed}\ngw {ed}"),
        row("gw", 22, " @revoked gw {ed}\ngw {ed}"),
        row("gw", 22, "@revoked gw {rsa}\ngw {ed}"),
        row("gw", 22, "@revoked gw {ed}\ngw {rsa}"),
        // Authorities.
        row("gw", 22, "@cert-authority * {xed}"),
        row("gw", 22, "@cert-authority * {ed}"),
        row("gw", 22, "@cert-authority gw {xed}\ngw {ed}"),
        row("cert", 22, "@cert-authority * {ca}"),
        row("cert", 2222, "@cert-authority * {ca}"),
        row("cert", 22, "@cert-authority other {ca}"),
        row("cert", 22, "@cert-authority * {xed}"),
        row("cert", 22, "@cert-authority * {xed}\ncert {certified}"),
        row("cert", 22, "cert {certified}"),
        row("cert", 22, "cert {ca}"),
        row("cert", 22, "@revoked * {ca}\n@cert-authority * {ca}"),
        row("cert", 22, "@revoked * {certified}\ncert {certified}"),
        row("cert", 22, "@revoked * {ca}"),
        row("cert", 22, "@revoked * {ca}\ncert {certified}"),
        row("cert", 22, "@revoked * {xed}\ncert {certified}"),
        row("cert", 22, "@revoked * {xed}"),
        row("cert", 2222, "@revoked cert {certified}").stricter(REVOKED_ON_EVERY_PORT),
        // Types of keys.
        row("gw", 22, "gw {ec}"),
        row("gw", 22, "gw {xec}"),
        row("gw", 22, "gw {rsa}\ngw {ec}\ngw {ed}"),
        row("gw", 22, "gw {xrsa}\ngw {ed}"),
        row("gw", 22, "gw {xed}\ngw {ed}"),
        row("one", 22, "one {xrsa}"),
        row("one", 22, "one {xec}\none {xrsa}"),
        row("old", 22, "old {xed}"),
        row("two", 22, "two {two-rsa}"),
        row("two", 22, "two {xed}\ntwo {two-rsa}"),
        row("two", 22, "two {two-ec}\ntwo {two-rsa}"),
        row("two", 22, "two {xec}\ntwo {two-rsa}"),
        row("two", 2222, "two {two-rsa}"),
        row("two", 2222, "[two]:2222 {two-rsa}\ntwo {xec}"),
        row("old", 22, "old rsa-sha2-512 {old blob}"),
        row("old", 22, "old rsa-sha2-256 {old blob}"),
        row("old", 22, "old RSA {old blob}"),
        row("old", 22, "old ssh-ed25519 {old blob}"),
        row("one", 22, "one ssh-rsa {one blob}"),
        // Two files.
        row("gw", 22, "").and_system("gw {ed}"),
        row("gw", 22, "").and_system("gw {xed}"),
        row("gw", 22, "gw {ed}").and_system("gw {xed}"),
        row("gw", 22, "gw {xed}").and_system("gw {ed}"),
        row("gw", 22, "gw {ed}").and_system("@revoked * {ed}"),
        row("gw", 22, "@revoked * {ed}").and_system("gw {ed}"),
        row("gw", 2222, "gw {ed}").and_system("[gw]:2222 {xed}"),
        row("gw", 2222, "[gw]:2222 {xed}").and_system("gw {ed}"),
        row("one", 22, "").and_system("one {xrsa}"),
        // Lines that are not as they should be.
        row("gw", 22, "# gw {xed}\n\n   \n"),
        row("gw", 22, "#gw {ed}\ngw {ed} a comment # and more"),
        row("gw", 22, "garbage\ngw {ed}"),
        row("gw", 22, "gw\ngw ssh-ed25519\ngw {ed}"),
        row("gw", 22, "gw ssh-ed25519 !!!!\n"),
        row("gw", 22, "gw ssh-ed25519 AAAA\n"),
        row("gw", 22, "gw {one line cut}"),
        row("gw", 22, "\t gw\t \t{ed}"),
        row("gw", 22, "gw {ed}\r\n"),
        row("gw", 22, "gw {xed}\r\n"),
        row("gw", 22, "gw {ed}\0{xed}"),
        row("gw", 22, "gw\x0c{xed}"),
        row("gw", 22, "gw {xed}\0"),
        row("gw", 22, "gw unknown-type AAAADHVua25vd24tdHlwZQ==\n"),
        row(
            "gw",
            22,
            "gw unknown-type AAAADHVua25vd24tdHlwZQ==\ngw {ed}",
        ),
        row("gw", 22, "gw 1024 35 1234567890 an old one"),
        row("gw", 22, "@strange gw {xed}"),
        row("gw", 22, "@ gw {xed}"),
        row("gw", 22, "gw {ed}{ed}"),
        row("gw", 22, "{a long name},gw {xed}"),
        row("gw", 22, "gw,{a long name} {ed}"),
    ]);
    // ssh knows no key of that type, and takes the node for a new one.
    for row in &mut rows {
        if row.own.contains("unknown-type") && !row.own.contains("{ed}") {
            row.stricter = "a node with a key of a type that nobody knows here is not a new one";
        }
    }
    rows
}

/// The keys under their names in the table.
struct Keys(Vec<(String, String)>);

impl Keys {
    fn fill(&self, text: &str) -> Vec<u8> {
        let mut text = text.to_owned();
        for (name, key) in &self.0 {
            text = text.replace(&format!("{{{name}}}"), key);
        }
        while let Some((before, rest)) = text.split_once("{#") {
            let (name, after) = rest.split_once('}').unwrap();
            text = format!("{before}{}{after}", hashed(name));
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.into_bytes()
    }
}

fn hashed(name: &str) -> String {
    let salt = [9; 20];
    let key = PKey::hmac(&salt).unwrap();
    let mut signer = Signer::new(MessageDigest::sha1(), &key).unwrap();
    let hash = signer.sign_oneshot_to_vec(name.as_bytes()).unwrap();
    format!("|1|{}|{}", encode_block(&salt), encode_block(&hash))
}

struct Servers(Vec<Child>);

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn public(path: &Path) -> (String, String) {
    let text = fs::read_to_string(path.with_extension("pub")).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    (words[0].to_owned(), words[1].to_owned())
}

/// The servers, and the entries of the table for their keys.
fn start(folder: &Path) -> (Servers, Keys) {
    fs::create_dir_all("/run/sshd").unwrap();
    let mut keys = Vec::new();
    let mut make = |name: &str, arguments: &[&str]| {
        let path = keygen(folder, name, arguments);
        let (algorithm, blob) = public(&path);
        keys.push((name.to_owned(), format!("{algorithm} {blob}")));
        keys.push((format!("{name} blob"), blob));
        path
    };
    make("xed", &["-t", "ed25519"]);
    make("xec", &["-t", "ecdsa"]);
    make("xrsa", &["-t", "rsa", "-b", "2048"]);
    let ca = make("ca", &["-t", "ed25519"]);
    let mut children = Vec::new();
    for (name, address, kinds) in SERVERS {
        let mut lines = format!(
            "ListenAddress {address}:22\nListenAddress {address}:2222\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nMaxStartups 500\n"
        );
        if name == "gw" {
            lines += "ListenAddress [::1]:22\nListenAddress [::1]:2222\n";
        }
        for kind in kinds {
            // Those of the first server have the bare names.
            let label = match (name, *kind) {
                ("gw", kind) => kind.to_owned(),
                ("cert", _) => "certified".to_owned(),
                ("two", kind) => format!("two-{kind}"),
                (name, _) => name.to_owned(),
            };
            let algorithm = match *kind {
                "ec" => "ecdsa",
                "rsa" => "rsa",
                _ => "ed25519",
            };
            let bits: &[&str] = if *kind == "rsa" { &["-b", "2048"] } else { &[] };
            let path = make(&label, &[&["-t", algorithm], bits].concat());
            lines += &format!("HostKey {}\n", path.display());
            if name == "cert" {
                let mut sign = Command::new("ssh-keygen");
                sign.arg("-q").arg("-s").arg(&ca);
                sign.args(["-I", "cert", "-h", "-n", "cert"]);
                sign.arg(path.with_extension("pub"));
                assert!(sign.status().unwrap().success());
                lines += &format!("HostCertificate {}-cert.pub\n", path.display());
            }
        }
        let config = folder.join(format!("config_{name}"));
        fs::write(&config, lines).unwrap();
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-e", "-f"]).arg(&config);
        children.push(sshd.stderr(Stdio::null()).spawn().unwrap());
    }
    let servers = Servers(children);
    for (name, address, _) in SERVERS {
        let address: Ipv4Addr = address.parse().unwrap();
        let up = (0..500).any(|_| {
            sleep(Duration::from_millis(10));
            TcpStream::connect((address, 2222)).is_ok()
        });
        assert!(up, "{name} did not start");
    }
    let mut keys = Keys(keys);
    let ed = keys.0.iter().find(|(name, _)| name == "xed").unwrap();
    let cut = ed.1[..ed.1.len() - 3].to_owned();
    keys.0.push(("one line cut".to_owned(), cut));
    keys.0.push(("a long name".to_owned(), "n".repeat(1100)));
    (servers, keys)
}

fn of_ssh(row: &Row, checking: HostKeyChecking, folder: &Path) -> bool {
    let mut ssh = Command::new("ssh");
    let checking = match checking {
        Strict => "yes",
        AcceptNew => "accept-new",
    };
    ssh.args(["-F", "none", "-o", "BatchMode=yes"])
        .args(["-o", "PreferredAuthentications=none"])
        .args(["-o", "UpdateHostKeys=no"])
        .args(["-o", &format!("StrictHostKeyChecking={checking}")])
        .arg("-o")
        .arg(format!(
            "UserKnownHostsFile={}",
            folder.join("own").display()
        ))
        .arg("-o")
        .arg(format!(
            "GlobalKnownHostsFile={}",
            folder.join("system").display()
        ))
        .args([
            "-p",
            &row.port.to_string(),
            "-l",
            "root",
            &row.address,
            "true",
        ])
        .stdin(Stdio::null());
    let output = ssh.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match (
        said.contains("Permission denied"),
        said.contains("Host key verification failed"),
    ) {
        (true, false) => true,
        (false, true) => false,
        _ => panic!("ssh says: {said}"),
    }
}

fn of_ours(row: &Row, checking: HostKeyChecking, folder: &Path) -> Result<(), String> {
    let settings = ConnectOptions {
        ssh_config: SshConfig::None,
        client: Client::Own,
        arguments: Default::default(),
        node_arguments: Default::default(),
        host_key_checking: checking,
        known_hosts: ["own", "system"].map(|name| folder.join(name)).to_vec(),
        key_folder: None,
        agent: None,
        connect_timeout: Duration::from_secs(20),
        keepalive: Duration::ZERO,
        askpass: None,
    };
    let destination = Destination {
        address: row.address.clone(),
        ..destination(row.port)
    };
    match SystemTransport::new(settings, Box::new(Nobody)).connect(&destination, &Cancel::new()) {
        Err(ConnectError::NoKey { .. }) => Ok(()),
        Err(
            error @ (ConnectError::HostKeyUnknown { .. }
            | ConnectError::HostKeyChanged { .. }
            | ConnectError::HostKeyRevoked { .. }
            | ConnectError::HostKeyCertified { .. }),
        ) => Err(error.to_string()),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("logged in without a key"),
    }
}

/// Tests one row in both modes, and returns what is wrong.
fn compare(row: &Row, keys: &Keys) -> Vec<String> {
    let mut faults = Vec::new();
    let mut was_stricter = false;
    for checking in [Strict, AcceptNew] {
        let folders = [tempdir().unwrap(), tempdir().unwrap()];
        // In the table of states the only key of that server is `{ed}`.
        let key = |text: &str| match row.address.as_str() {
            "one" => keys.fill(&text.replace("{ed}", "{one}")),
            _ => keys.fill(text),
        };
        for folder in &folders {
            fs::write(folder.path().join("own"), key(&row.own)).unwrap();
            fs::write(folder.path().join("system"), key(&row.system)).unwrap();
        }
        let theirs = of_ssh(row, checking, folders[0].path());
        let ours = of_ours(row, checking, folders[1].path());
        let at = format!(
            "{}:{} {checking:?} with {:?} and {:?}",
            row.address, row.port, row.own, row.system
        );
        match (&ours, theirs) {
            (Ok(()), false) => faults.push(format!("{at}: accepted, and ssh refuses")),
            (Err(_), true) if !row.stricter.is_empty() => was_stricter = true,
            (Err(why), true) => faults.push(format!("{at}: ssh accepts, and here: {why}")),
            (Ok(()), true) if row.stricter.is_empty() => {
                let file = |index: usize| fs::read(folders[index].path().join("own")).unwrap();
                if file(0) != file(1) {
                    faults.push(format!(
                        "{at}: ssh writes {:?}, and here: {:?}",
                        String::from_utf8_lossy(&file(0)),
                        String::from_utf8_lossy(&file(1))
                    ));
                }
            }
            (Ok(()), true) | (Err(_), false) => {}
        }
    }
    if !row.stricter.is_empty() && !was_stricter {
        faults.push(format!("{:?}: nothing is stricter here", row.own));
    }
    faults
}

#[test]
fn no_host_key_is_accepted_that_ssh_refuses() {
    if !rustix::process::getuid().is_root() {
        assert!(
            std::env::var("CI").is_err(),
            "a network of its own needs root"
        );
        eprintln!("skipped: a network of its own needs root");
        return;
    }
    if std::env::var_os(INSIDE).is_none() {
        let folder = tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        let mut lines = "127.0.0.1 localhost\n".to_owned();
        for (name, address, _) in SERVERS {
            lines += &format!("{address} {name}\n");
        }
        fs::write(&hosts, lines).unwrap();
        fs::set_permissions(&hosts, fs::Permissions::from_mode(0o644)).unwrap();
        let script = "ip link set lo up && mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--mount", "--propagation", "private"])
            .args(["sh", "-c", script, "sh"])
            .arg(&hosts)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("decisions::no_host_key_is_accepted_that_ssh_refuses")
            .env(INSIDE, "yes");
        assert!(command.status().unwrap().success());
        return;
    }

    let folder = tempdir().unwrap();
    let (_servers, keys) = start(folder.path());
    assert!(decode_block(&keys.0[1].1).is_ok());
    let rows = table();
    let decisions = rows.len() * 2;
    assert!(decisions >= 144, "{decisions}");
    let queue = Mutex::new(rows);
    let faults = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(row) = { queue.lock().unwrap().pop() } {
                    let found = compare(&row, &keys);
                    faults.lock().unwrap().extend(found);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(
        faults.is_empty(),
        "{} of {decisions}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    println!("{decisions} decisions");
}
