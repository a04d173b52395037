//! Nodes and agents that are malicious, or broken in a way that looks like it.
//!
//! Each is contacted by the program itself, as one node of a run with `-T 3`. Whatever it does, the run ends within two seconds after that time,
//! has taken no more than 64 MiB in addition to what any run takes, and reports the problem.

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use rustix::net::sockopt::set_socket_linger;
use tempfile::tempdir;

use crate::transport::raw::BANNER;
use crate::transport::raw::Offer;
use crate::transport::raw::Raw;
use crate::transport::raw::is_signed;
use crate::transport::raw::method;
use crate::transport::raw::string;
use crate::transport::sshd::keygen;

/// `-T`, and the time for a command.
const TIME: u64 = 3;

const MOST: Duration = Duration::from_secs(TIME + 2);

/// In KiB.
const ROOM: u64 = 64 * 1024;

type Serve = fn(TcpStream) -> io::Result<()>;
type Agent = fn(UnixStream) -> io::Result<()>;

/// What a run came to.
struct Outcome {
    said: String,
    took: Option<Duration>,
    /// The most memory that it had, in KiB.
    room: u64,
}

/// A port at which `serve` gets each connection.
fn port(serve: Serve) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    port
}

fn meet(port: u16, home: &Path, agent: Option<&Path>) -> Outcome {
    let inventory = format!(
        "all:\n  hosts:\n    n1:\n      ansible_host: 127.0.0.1\n      ansible_port: {port}\n      ansible_user: ops\n      fwdeploy_address: 192.0.2.1\n      fwdeploy_roles: [cybex]\n      cybex_peers: [192.0.2.7]\n"
    );
    fs::write(home.join("inventory.yml"), inventory).unwrap();
    let output = fs::File::create(home.join("output")).unwrap();
    let time = TIME.to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fwdeploy"));
    command
        .args(["run", "--check", "--host-key-checking", "accept-new"])
        .args(["-T", &time, "--command-timeout", &time, "--known-hosts"])
        .arg(home.join("known_hosts"))
        .arg(home.join("inventory.yml"))
        .env("HOME", home)
        .env("TMPDIR", home)
        .env_remove("SSH_AUTH_SOCK")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output);
    if let Some(agent) = agent {
        command.env("SSH_AUTH_SOCK", agent);
    }
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut room = 0;
    let took = loop {
        let status = fs::read_to_string(&status).unwrap_or_default();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        room = room.max(most.unwrap_or(0));
        if child.try_wait().unwrap().is_some() {
            break Some(start.elapsed());
        }
        if start.elapsed() > MOST * 2 || room > 16 * ROOM {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        sleep(Duration::from_millis(10));
    };
    Outcome {
        said: fs::read_to_string(home.join("output")).unwrap(),
        took,
        room,
    }
}

/// What a run with a node that hangs up takes.
fn usual_room() -> u64 {
    let home = tempdir().unwrap();
    meet(port(|_| Ok(())), home.path(), None).room
}

/// Tests all of them, a few at a time, and returns for each what is wrong.
fn meet_all<K: Send>(kinds: Vec<K>, meet: impl Fn(K, u64) -> Option<String> + Sync) {
    let usual = usual_room();
    assert!(usual > 0, "no /proc to look at");
    let queue = Mutex::new(kinds);
    let faults = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(kind) = { queue.lock().unwrap().pop() } {
                    let fault = meet(kind, usual);
                    faults.lock().unwrap().extend(fault);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn judge(name: &str, outcome: &Outcome, usual: u64, says: &str) -> Option<String> {
    let room = outcome.room.saturating_sub(usual);
    let fault = match outcome.took {
        None => "it had to be killed".to_owned(),
        Some(took) if took > MOST => format!("it took {took:?}"),
        Some(_) if room > ROOM => format!("it took {room} KiB"),
        // What the clock and the measure end alike has both.
        Some(_) if !says.split('|').any(|says| outcome.said.contains(says)) => {
            format!("it does not say `{says}`")
        }
        Some(_) if outcome.said.contains("panicked") && name != "methods that are no text" => {
            "it panicked".to_owned()
        }
        Some(took) => {
            println!("{name}: {took:.1?}, {room} KiB");
            return None;
        }
    };
    Some(format!(
        "{name}: {fault}, {:?}, {room} KiB: {}",
        outcome.took, outcome.said
    ))
}

fn meet_servers(kinds: Vec<(&'static str, Serve, &'static str)>) {
    meet_all(kinds, |(name, serve, says), usual| {
        let home = tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        keygen(&home.path().join(".ssh"), "id_ed25519", &["-t", "ed25519"]);
        let outcome = meet(port(serve), home.path(), None);
        judge(name, &outcome, usual, says)
    });
}

/// Sends nothing more, and stays until the other side leaves.
fn silence(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(drop)
}

/// Writes the same until it is no longer read.
fn for_ever(mut stream: impl Write, bytes: &[u8]) -> io::Result<()> {
    let many = bytes.repeat((256 * 1024_usize).div_ceil(bytes.len()));
    loop {
        stream.write_all(&many)?;
    }
}

fn drip(mut stream: impl Write, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes.iter().cycle() {
        stream.write_all(&[*byte])?;
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A banner, and a server that is to go on in clear.
fn greeted(stream: TcpStream) -> io::Result<Raw> {
    let mut raw = Raw::new(stream);
    raw.greet()?;
    Ok(raw)
}

fn offering(stream: TcpStream, offer: &Offer) -> io::Result<()> {
    let mut raw = greeted(stream)?;
    raw.write(&Raw::kexinit(offer))?;
    silence(raw.stream())
}

fn packet_of(stream: TcpStream, length: u32) -> io::Result<()> {
    let mut raw = greeted(stream)?;
    raw.stream().write_all(&length.to_be_bytes())?;
    for_ever(raw.stream(), &[4; 1024])
}

fn flood(raw: &mut Raw, payload: &[u8]) -> io::Result<()> {
    loop {
        raw.write(payload)?;
    }
}

#[test]
fn a_server_that_comes_to_no_key_is_left_in_time_and_in_measure() {
    meet_servers(vec![
        ("silence", |mut s| silence(&mut s), "said nothing for 3s"),
        (
            "a door that closes",
            |_| Ok(()),
            "closed the connection|reset by peer",
        ),
        (
            "a reset",
            |s| {
                sleep(Duration::from_millis(100));
                Ok(set_socket_linger(&s, Some(Duration::ZERO))?)
            },
            "reset by peer",
        ),
        (
            "a line without an end",
            |s| for_ever(s, b"A"),
            "does not speak SSH",
        ),
        (
            "lines without a word",
            |s| for_ever(s, b"\r\n"),
            "of unrequested data|does not speak SSH",
        ),
        (
            "a line byte by byte",
            |s| drip(s, b"SSH-2.0-x"),
            "does not speak SSH",
        ),
        (
            "lines without a banner",
            |s| for_ever(s, b"hello\r\n"),
            "says `hello",
        ),
        ("zeros", |s| for_ever(s, b"\0"), "no SSH handshake"),
        (
            "a long line before the banner",
            |mut s| {
                s.write_all(&[b'x'; 100_000])?;
                s.write_all(b"\n")?;
                s.write_all(BANNER)?;
                silence(&mut s)
            },
            "no SSH handshake",
        ),
        (
            "a web server",
            |mut s| s.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            "says `HTTP/1.1 400 Bad Request",
        ),
        (
            "a mail server that waits",
            |mut s| {
                s.write_all(b"220 mail.example.com ESMTP\r\n")?;
                silence(&mut s)
            },
            "says `220 mail.example.com ESMTP",
        ),
        (
            "TLS",
            |mut s| s.write_all(&[21, 3, 1, 0, 2, 2, 70]),
            "does not speak SSH",
        ),
        (
            "the first protocol",
            |mut s| {
                s.write_all(b"SSH-1.5-OpenSSH_2.1\n")?;
                silence(&mut s)
            },
            "SSH-1.5-OpenSSH_2.1",
        ),
        (
            "an sshd with too many guests",
            |mut s| s.write_all(b"Exceeded MaxStartups\r\n"),
            "Exceeded MaxStartups",
        ),
        (
            "silence after the banner",
            |s| silence(greeted(s)?.stream()),
            "SSH-2.0-Hostile_1.0",
        ),
        (
            "no common key exchange",
            |s| {
                let key_exchange = "diffie-hellman-group1-sha1";
                offering(
                    s,
                    &Offer {
                        key_exchange,
                        ..Offer::default()
                    },
                )
            },
            "no common key exchange; it offers: diffie-hellman-group1-sha1",
        ),
        (
            "no common host key",
            |s| {
                offering(
                    s,
                    &Offer {
                        host_key: "ssh-dss",
                        ..Offer::default()
                    },
                )
            },
            "no common host key algorithm; it offers: ssh-dss",
        ),
        (
            "no common cipher",
            |s| {
                offering(
                    s,
                    &Offer {
                        cipher: "aes128-cbc,3des-cbc",
                        ..Offer::default()
                    },
                )
            },
            "no common cipher; it offers: aes128-cbc,3des-cbc",
        ),
        (
            "no common code",
            |s| {
                offering(
                    s,
                    &Offer {
                        mac: "hmac-md5",
                        ..Offer::default()
                    },
                )
            },
            "no common message authentication code; it offers: hmac-md5",
        ),
        (
            "silence after the lists",
            |s| offering(s, &Offer::default()),
            "within 3s",
        ),
        ("an empty packet", |s| packet_of(s, 0), "no SSH handshake"),
        (
            "a packet of 4 GiB",
            |s| packet_of(s, u32::MAX),
            "no SSH handshake",
        ),
        (
            "packets of nonsense",
            |s| packet_of(s, 35_000),
            "no SSH handshake",
        ),
        (
            "half a packet",
            |s| {
                let mut raw = greeted(s)?;
                raw.stream().write_all(&[0, 0, 136, 0, 4])?;
                silence(raw.stream())
            },
            "no SSH handshake",
        ),
        (
            "messages to be ignored, for ever",
            |s| {
                flood(
                    &mut greeted(s)?,
                    &[&[2][..], &string(&[0; 30_000])].concat(),
                )
            },
            "of unrequested data",
        ),
        (
            "lists of nonsense",
            |s| {
                let mut raw = greeted(s)?;
                raw.write(&[&[20][..], &[255; 500]].concat())?;
                silence(raw.stream())
            },
            "no SSH handshake",
        ),
        (
            "a farewell",
            |s| {
                let mut raw = greeted(s)?;
                raw.write(&[&[1, 0, 0, 0, 11][..], &string(b"closed for today"), &[0; 4]].concat())
            },
            "closed for today",
        ),
        (
            "a key that is none",
            |s| {
                let mut raw = greeted(s)?;
                raw.write(&Raw::kexinit(&Offer::default()))?;
                raw.until(30)?;
                raw.write(&[&[31][..], &[255; 64]].concat())?;
                silence(raw.stream())
            },
            "no SSH handshake",
        ),
    ]);
}

#[test]
fn a_server_that_lets_nobody_in_is_left_in_time_and_in_measure() {
    fn answering(stream: TcpStream, answer: &[u8]) -> io::Result<()> {
        let mut raw = Raw::new(stream);
        raw.shake_hands()?;
        loop {
            raw.until(50)?;
            raw.write(answer)?;
        }
    }
    meet_servers(vec![
        (
            "no service",
            |s| {
                let mut raw = Raw::new(s);
                raw.greet()?;
                raw.exchange_keys()?;
                silence(raw.stream())
            },
            "no SSH handshake",
        ),
        (
            "silence while logging in",
            |s| {
                let mut raw = Raw::new(s);
                raw.shake_hands()?;
                silence(raw.stream())
            },
            "took more than 3s",
        ),
        (
            "banners without an end",
            |s| {
                let mut raw = Raw::new(s);
                raw.shake_hands()?;
                raw.until(50)?;
                flood(
                    &mut raw,
                    &[&[53][..], &string(&[b'x'; 1000]), &[0; 4]].concat(),
                )
            },
            "of unrequested data",
        ),
        (
            "small messages without an end",
            |s| {
                let mut raw = Raw::new(s);
                raw.shake_hands()?;
                raw.until(50)?;
                flood(&mut raw, &[61])
            },
            "of unrequested data|took more than 3s",
        ),
        (
            "large messages without an end",
            |s| {
                let mut raw = Raw::new(s);
                raw.shake_hands()?;
                raw.until(50)?;
                flood(&mut raw, &[61; 30_000])
            },
            "of unrequested data",
        ),
        (
            "methods that are no text",
            |s| answering(s, &[&[51][..], &string(b"public\xffkey"), &[0]].concat()),
            "is not text",
        ),
        (
            "methods without number",
            |s| {
                let methods = "keyboard-interactive,".repeat(1000);
                answering(s, &[&[51][..], &string(methods.as_bytes()), &[0]].concat())
            },
            "may not log in",
        ),
        (
            "a length that is not there",
            |s| answering(s, &[51, 255, 255, 255, 255, 0]),
            "was interrupted",
        ),
        (
            "every key refused",
            |s| answering(s, &[&[51][..], &string(b"publickey"), &[0]].concat()),
            "id_ed25519: refused",
        ),
        (
            "a second factor",
            |s| {
                let mut raw = Raw::new(s);
                raw.shake_hands()?;
                let mut methods = "publickey";
                loop {
                    let request = raw.until(50)?;
                    if method(&request) == b"publickey" {
                        methods = "password,keyboard-interactive";
                        // What it asks first is whether the key is wanted: yes, that very one.
                        if !is_signed(&request) {
                            raw.want(&request)?;
                            continue;
                        }
                    }
                    let partial = u8::from(methods != "publickey");
                    raw.write(&[&[51][..], &string(methods.as_bytes()), &[partial]].concat())?;
                }
            },
            "also requires: password,keyboard-interactive",
        ),
        (
            "a door that closes at a key",
            |s| {
                let mut raw = Raw::new(s);
                raw.shake_hands()?;
                raw.until(50)?;
                raw.refuse(b"publickey")?;
                raw.until(50).map(drop)
            },
            "closed the connection|reset by peer",
        ),
    ]);
}

#[test]
fn a_node_that_answers_nonsense_is_left_in_time_and_in_measure() {
    fn logged_in(stream: TcpStream) -> io::Result<Raw> {
        let mut raw = Raw::new(stream);
        raw.log_in()?;
        Ok(raw)
    }
    fn begun(stream: TcpStream) -> io::Result<Raw> {
        let mut raw = Raw::new(stream);
        raw.begin()?;
        Ok(raw)
    }
    /// Reads the script, so it has certainly arrived.
    fn told(stream: TcpStream) -> io::Result<Raw> {
        let mut raw = begun(stream)?;
        raw.until(96)?;
        Ok(raw)
    }
    const CLOSE: [u8; 5] = [97, 0, 0, 0, 0];
    const EOF: [u8; 5] = [96, 0, 0, 0, 0];
    meet_servers(vec![
        (
            "no channel",
            |s| {
                let mut raw = logged_in(s)?;
                raw.until(90)?;
                raw.write(&[&[92, 0, 0, 0, 0, 0, 0, 0, 1][..], &string(b"no"), &[0; 4]].concat())?;
                silence(raw.stream())
            },
            "cannot run anything on node `n1`",
        ),
        (
            "silence after the login",
            |s| silence(logged_in(s)?.stream()),
            "did not open a session within 3s",
        ),
        (
            "a door that closes after the login",
            |s| logged_in(s).map(drop),
            "closed the connection|reset by peer",
        ),
        (
            "no command",
            |s| {
                let mut raw = logged_in(s)?;
                raw.until(90)?;
                raw.confirm(1 << 21)?;
                raw.until(98)?;
                raw.write(&[&[100][..], &[0; 4]].concat())?;
                silence(raw.stream())
            },
            "cannot run anything on node `n1`",
        ),
        (
            "silence after the channel",
            |s| {
                let mut raw = logged_in(s)?;
                raw.until(90)?;
                raw.confirm(1 << 21)?;
                silence(raw.stream())
            },
            "did not start the command within 3s",
        ),
        (
            "silence after the command",
            |s| {
                let mut raw = Raw::new(s);
                raw.open(1 << 21)?;
                silence(raw.stream())
            },
            "without running what it was given",
        ),
        (
            "a greeting without an end",
            |s| {
                let mut raw = Raw::new(s);
                raw.open(1 << 21)?;
                loop {
                    raw.say(&[b'x'; 30_000])?;
                }
            },
            "before the script began",
        ),
        (
            "output without an end",
            |s| {
                let mut raw = begun(s)?;
                loop {
                    raw.say(&[b'x'; 30_000])?;
                }
            },
            "more than 32 MiB on standard output|was not done within 3s",
        ),
        (
            "output without an end, byte by byte",
            |s| {
                let mut raw = begun(s)?;
                loop {
                    raw.say(b"x")?;
                }
            },
            "of unrequested data|was not done within 3s",
        ),
        (
            "errors without an end",
            |s| {
                let mut raw = begun(s)?;
                loop {
                    raw.complain(&[b'x'; 30_000])?;
                }
            },
            "more than 8 MiB on standard error|was not done within 3s",
        ),
        (
            "output of a channel that is not there",
            |s| {
                let mut raw = begun(s)?;
                flood(
                    &mut raw,
                    &[&[94, 0, 0, 0, 9][..], &string(&[b'x'; 1000])].concat(),
                )
            },
            "error",
        ),
        (
            "more than the window",
            |s| {
                let mut raw = logged_in(s)?;
                raw.until(90)?;
                raw.confirm(1 << 21)?;
                flood(
                    &mut raw,
                    &[&[94, 0, 0, 0, 0][..], &string(&[b'x'; 1000])].concat(),
                )
            },
            "error",
        ),
        (
            "small messages without an end after the login",
            |s| flood(&mut logged_in(s)?, &[61]),
            "of unrequested data|did not open a session within 3s",
        ),
        (
            "large messages without an end after the login",
            |s| flood(&mut logged_in(s)?, &[61; 30_000]),
            "of unrequested data",
        ),
        (
            "large messages without an end in the middle of a script",
            |s| flood(&mut begun(s)?, &[61; 30_000]),
            "of unrequested data",
        ),
        (
            "questions without an end",
            |s| {
                let mut raw = begun(s)?;
                flood(
                    &mut raw,
                    &[&[80][..], &string(b"tcpip-forward"), &[1]].concat(),
                )
            },
            "error",
        ),
        (
            "a new key exchange that never goes on",
            |s| {
                let mut raw = begun(s)?;
                raw.write(&Raw::kexinit(&Offer::default()))?;
                silence(raw.stream())
            },
            "error",
        ),
        (
            "no status",
            |s| {
                let mut raw = told(s)?;
                raw.say(b"half an answer\n")?;
                raw.write(&EOF)?;
                raw.write(&CLOSE)?;
                silence(raw.stream())
            },
            "its output ended early",
        ),
        (
            "a signal",
            |s| {
                let mut raw = told(s)?;
                let signal = [
                    &[98, 0, 0, 0, 0][..],
                    &string(b"exit-signal"),
                    &[0],
                    &string(b"KILL"),
                    &[0],
                    &string(b"\xff"),
                    &string(b""),
                ];
                raw.write(&signal.concat())?;
                raw.write(&EOF)?;
                raw.write(&CLOSE)?;
                silence(raw.stream())
            },
            "signal KILL ended the shell",
        ),
        (
            "a status that lies",
            |s| {
                let mut raw = told(s)?;
                let status = [&[98, 0, 0, 0, 0][..], &string(b"exit-status"), &[0; 5]];
                raw.write(&status.concat())?;
                raw.write(&EOF)?;
                raw.write(&CLOSE)?;
                silence(raw.stream())
            },
            "its output ended early",
        ),
        (
            "an end that does not come",
            |s| {
                let mut raw = told(s)?;
                raw.write(&EOF)?;
                silence(raw.stream())
            },
            "error",
        ),
        (
            "a close without an end",
            |s| {
                let mut raw = told(s)?;
                raw.write(&CLOSE)?;
                silence(raw.stream())
            },
            "its output ended early",
        ),
        (
            "a window that never opens",
            |s| {
                let mut raw = logged_in(s)?;
                raw.until(90)?;
                raw.confirm(0)?;
                let request = raw.until(98)?;
                raw.write(&[&[99][..], &[0; 4]].concat())?;
                let text = String::from_utf8_lossy(&request).into_owned();
                let at = text.find("fwdeploy-begin-").unwrap();
                let mark = text[at..].split(';').next().unwrap().to_owned() + "\n";
                raw.say(mark.as_bytes())?;
                silence(raw.stream())
            },
            "was not done within 3s",
        ),
        (
            "output drop by drop",
            |s| {
                let mut raw = told(s)?;
                loop {
                    raw.say(b"x")?;
                    sleep(Duration::from_millis(50));
                }
            },
            "was not done within 3s",
        ),
    ]);
}

fn read_message(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// Lists one key with this comment, whatever the question.
fn list(stream: &mut UnixStream, keys: u32, comment: &[u8]) -> io::Result<()> {
    read_message(stream)?;
    let mut answer = vec![12];
    answer.extend(keys.to_be_bytes());
    for key in 0..keys {
        let mut public = [7; 32];
        public[..4].copy_from_slice(&key.to_be_bytes());
        let blob = [string(b"ssh-ed25519"), string(&public)].concat();
        answer.extend(string(&blob));
        answer.extend(string(comment));
    }
    stream.write_all(&string(&answer))
}

/// Without a key file of its own, so the behaviour of the agent decides.
const ALONE: bool = false;
/// With a key file that gets in where the agent does not.
const WITH_FILE: bool = true;

#[test]
fn an_agent_that_means_harm_is_left_in_time_and_keeps_no_key_file_out() {
    /// Accepts any signature, and refuses the channel.
    fn node(stream: TcpStream) -> io::Result<()> {
        let mut raw = Raw::new(stream);
        raw.shake_hands()?;
        loop {
            let request = raw.until(50)?;
            if method(&request) != b"publickey" {
                raw.refuse(b"publickey")?;
            } else if is_signed(&request) {
                raw.write(&[52])?;
                break;
            } else {
                raw.want(&request)?;
            }
        }
        raw.until(90)?;
        raw.write(&[&[92, 0, 0, 0, 0, 0, 0, 0, 1][..], &string(b"no"), &[0; 4]].concat())?;
        silence(raw.stream())
    }
    fn stay(stream: &mut UnixStream) -> io::Result<()> {
        io::copy(stream, &mut io::sink()).map(drop)
    }
    let in_by_file = "cannot run anything on node `n1`";
    let kinds: Vec<(&str, Agent, bool, &str)> = vec![
        (
            "silence",
            |mut s| stay(&mut s),
            ALONE,
            "no answer within 3s",
        ),
        (
            "silence, with a file",
            |mut s| stay(&mut s),
            WITH_FILE,
            in_by_file,
        ),
        (
            "a door that closes",
            |_| Ok(()),
            ALONE,
            "closed the connection",
        ),
        (
            "a door that closes, with a file",
            |_| Ok(()),
            WITH_FILE,
            in_by_file,
        ),
        (
            "an answer of 4 GiB",
            |mut s| {
                read_message(&mut s)?;
                for_ever(s, &[255])
            },
            ALONE,
            "an answer of 4294967295 bytes",
        ),
        (
            "nonsense",
            |s| for_ever(s, b"\0\0\0\x05hello"),
            ALONE,
            "none of an agent's",
        ),
        (
            "keys that are not there",
            |mut s| {
                read_message(&mut s)?;
                s.write_all(&[0, 0, 0, 5, 12, 255, 255, 255, 255])?;
                stay(&mut s)
            },
            ALONE,
            "list of keys is malformed",
        ),
        (
            "thousands of keys",
            |mut s| {
                list(&mut s, 4000, b"")?;
                loop {
                    read_message(&mut s)?;
                    s.write_all(&[0, 0, 0, 1, 5])?;
                }
            },
            ALONE,
            "the agent did not sign|took more than 3s",
        ),
        (
            "an answer drop by drop",
            |s| drip(s, &[0, 0, 1, 0, 12, 0, 0]),
            ALONE,
            "no answer within 3s",
        ),
        (
            "no signature",
            |mut s| {
                list(&mut s, 1, b"mine")?;
                read_message(&mut s)?;
                s.write_all(&[0, 0, 0, 1, 5])?;
                stay(&mut s)
            },
            ALONE,
            "(mine): the agent did not sign",
        ),
        (
            "silence in place of a signature",
            |mut s| {
                list(&mut s, 2, b"mine")?;
                stay(&mut s)
            },
            ALONE,
            "the agent did not sign (no answer within 3s)",
        ),
        (
            "silence in place of a signature, with a file",
            |mut s| {
                list(&mut s, 2, b"mine")?;
                stay(&mut s)
            },
            WITH_FILE,
            in_by_file,
        ),
        (
            "a signature of nonsense",
            |mut s| {
                list(&mut s, 1, b"mine")?;
                read_message(&mut s)?;
                s.write_all(&string(&[&[14][..], &[255; 200]].concat()))?;
                stay(&mut s)
            },
            ALONE,
            "did not sign",
        ),
        (
            "a comment that is no text",
            |mut s| {
                list(&mut s, 1, b"mi\xff\x1b[31mne")?;
                read_message(&mut s)?;
                s.write_all(&[0, 0, 0, 1, 5])?;
                stay(&mut s)
            },
            ALONE,
            "(mi\u{fffd}[31mne): the agent did not sign",
        ),
        (
            "locked",
            |mut s| {
                list(&mut s, 0, b"")?;
                stay(&mut s)
            },
            ALONE,
            "the agent has no keys",
        ),
    ];
    meet_all(kinds, |(name, serve, file, says), usual| {
        let home = tempdir().unwrap();
        if file {
            fs::create_dir(home.path().join(".ssh")).unwrap();
            keygen(&home.path().join(".ssh"), "id_ed25519", &["-t", "ed25519"]);
        }
        let socket = home.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(move || serve(stream.unwrap()));
            }
        });
        let outcome = meet(port(node), home.path(), Some(&socket));
        let left = fs::read_dir(home.path()).unwrap().flatten();
        let left: Vec<_> = left
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("fwdeploy-"))
            .collect();
        assert!(left.is_empty(), "{name}: {left:?}");
        judge(name, &outcome, usual, says)
    });
}

#[test]
fn what_is_no_agent_is_told() {
    let usual = usual_room();
    let home = tempdir().unwrap();
    let closes: Serve = |s| {
        let mut raw = Raw::new(s);
        raw.shake_hands()?;
        raw.until(50)?;
        raw.refuse(b"publickey")?;
        silence(raw.stream())
    };
    let path = home.path().join("agent");
    let met = |name, says| {
        let outcome = meet(port(closes), home.path(), Some(&path));
        assert_eq!(judge(name, &outcome, usual, says), None);
    };
    met("nothing", "does not answer: No such file");
    fs::write(&path, "").unwrap();
    met("a file", "does not answer: Connection refused");
    fs::remove_file(&path).unwrap();
    // The socket does not accept, and its queue is full.
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let waiting = UnixStream::connect(&path).unwrap();
    met("a queue", "no answer within 3s");
    drop(waiting);
}
