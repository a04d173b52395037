//! The daemons asked over their sockets, by `src/node/python`, in every Python at hand: what real ones answered (tests/captures) comes from
//! sockets of the test's own.
//!
//! Seen to fail with the code broken on purpose: no `alarm`, no second attempt, `Content-Length` not compared, an answer at its full
//! length, `-B` or the first statement left out, a look that takes the commands where the process has failed.

use std::collections::BTreeMap;
use std::fs;
use std::fs::Permissions;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use fwdeploy::model::Observed;
use fwdeploy::model::state::Docker;
use fwdeploy::node::probe_script;
use fwdeploy::probe::observe;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::bus::Bus;
use crate::support::bus::Call;
use crate::support::bus::Reply;
use crate::support::captures::Capture;
use crate::support::captures::captures;

const RELEASES: [&str; 4] = ["bullseye", "bookworm", "trixie", "forky"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/docker-api")
}

/// Each Python that is there.
fn pythons() -> Vec<&'static str> {
    let mut found = vec!["python3", "python2", "python2.7", "python3.6"];
    found.retain(|python| {
        let output = Command::new(python).args(["-c", "print(7)"]).output();
        output.is_ok_and(|o| o.stdout == b"7\n")
    });
    assert!(!found.is_empty(), "there is no Python");
    found
}

/// Bodies by path.
type Api = BTreeMap<String, Value>;

/// What the API of a release answered.
fn api(release: &str) -> &'static Api {
    static ALL: LazyLock<BTreeMap<&str, Api>> = LazyLock::new(|| {
        let read = |release| {
            let text = fs::read_to_string(folder().join(format!("{release}.json")));
            let answers = serde_json::from_str(&text.expect("a capture"));
            (release, answers.expect("answers by path"))
        };
        RELEASES.into_iter().map(read).collect()
    });
    &ALL[release]
}

/// An engine: what it sends to a request for a path, as bytes; `None` is silence.
type Engine = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

/// A socket on which an engine listens.
struct Dockerd {
    folder: TempDir,
}

impl Dockerd {
    fn new(engine: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let folder = TempDir::new().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("a socket");
        let engine: Arc<Engine> = Arc::new(engine);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let engine = Arc::clone(&engine);
                thread::spawn(move || serve(stream, &*engine));
            }
        });
        Dockerd { folder }
    }

    /// What a release answered, unless `other` has something else to say to a path.
    fn of(release: &str, other: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let answers = api(release);
        Self::new(move |path| other(path).or_else(|| Some(told(answers, path))))
    }

    fn socket(&self) -> String {
        self.folder.path().join("docker.sock").display().to_string()
    }
}

fn serve(mut stream: UnixStream, engine: &Engine) {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(length) => request.extend(&part[..length]),
        }
    }
    let request = String::from_utf8(request).expect("a request");
    let words: Vec<&str> = request.split(' ').collect();
    assert_eq!(words[0], "GET", "{request}");
    match engine(words[1]) {
        // Whoever asks may have heard enough.
        Some(answer) => drop(stream.write_all(&answer)),
        None => thread::sleep(Duration::from_secs(20)),
    }
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let head = "Content-Type: application/json\r\nServer: Docker/1 (linux)";
    format!("HTTP/1.0 {status}\r\n{head}\r\n\r\n{body}").into_bytes()
}

fn told(answers: &Api, path: &str) -> Vec<u8> {
    match answers.get(path) {
        Some(value) => http("200 OK", &value.to_string()),
        None => http("404 Not Found", r#"{"message":"No such container: x"}"#),
    }
}

/// The program.
fn program() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node/python");
    let part = |name| fs::read_to_string(folder.join(name)).expect("a part");
    [
        "look.py",
        "limits.py",
        "frame.py",
        "docker_api.py",
        "docker.py",
        "bus.py",
        "daemons.py",
    ]
    .map(part)
    .concat()
}

/// Runs the program, as the look does: it gets its signal once it has printed its number, which is not in the output.
fn run(python: &str, program: &str, [docker, bus]: [&str; 2], seconds: u32, zone: &str) -> Output {
    let tools = with_docker_command();
    let mut child = Command::new(python)
        .args([
            "-BEsS",
            "-c",
            program,
            docker,
            bus,
            &seconds.to_string(),
            zone,
        ])
        .env(
            "PATH",
            format!(
                "{}:{}",
                tools.path().display(),
                std::env::var("PATH").unwrap_or_default()
            ),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let stdout = child.stdout.as_mut().expect("a pipe");
    let mut number = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte).is_ok_and(|length| length == 1) && byte != *b"\n" {
        number.extend(byte);
    }
    if let Ok(number) = String::from_utf8(number).expect("a number").parse() {
        let process = Pid::from_raw(number).expect("a process");
        assert_eq!(number, child.id() as i32);
        kill_process(process, Signal::USR1).expect("it runs");
    }
    child.wait_with_output().expect("it ends")
}

/// A folder with a docker command.
fn with_docker_command() -> TempDir {
    let tools = TempDir::new().expect("a folder");
    let path = tools.path().join("docker");
    fs::write(&path, "#!/bin/sh\n").expect("a program");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("a mode");
    tools
}

/// A bus with systemd, and without firewalld. Docker runs.
fn without_firewalld() -> Bus {
    Bus::new(|call| match call.method.as_str() {
        "Get" => property(&call.arguments[1], "active"),
        "NameHasOwner" => Reply::Value("b false".to_string()),
        _ => panic!("{call:?}"),
    })
}

/// A property of a unit that is in this state.
fn property(key: &str, state: &str) -> Reply {
    Reply::Value(match key {
        "MainPID" => "v u 0".to_string(),
        "ActiveEnterTimestamp" => "v t 1700000000000000".to_string(),
        "ActiveState" => format!("v s \"{state}\""),
        _ => "v s \"x\"".to_string(),
    })
}

/// Asks Docker alone, by a socket.
fn look(python: &str, socket: &str, seconds: u32) -> Output {
    let bus = without_firewalld();
    let mut output = run(python, &program(), [socket, &bus.socket()], seconds, "");
    // What is asked of systemd and firewalld comes before and after.
    let text = String::from_utf8(output.stdout).expect("a text");
    let begin = text.find("= docker-version ").map(|at| {
        let said = text[..at].rfind("! docker-version ");
        said.unwrap_or(at)
    });
    let end = text.find("= settling ").unwrap_or(text.len());
    output.stdout = text.as_bytes()[begin.unwrap_or(end)..end].to_vec();
    output
}

/// The frames that the program prints, where it does not give up.
fn frames(python: &str, socket: &str, seconds: u32) -> Vec<u8> {
    let output = look(python, socket, seconds);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.is_empty(),
        "{python}: {said}"
    );
    output.stdout
}

/// Docker as it is read from these frames, in place of those of a node whose other answers do not matter.
fn read(frames: &[u8]) -> Observed<Docker> {
    let capture = captures().iter().find(|c| c.situation() == "fresh");
    let stdout = &capture.expect("a capture").stdout;
    let mut out = Vec::new();
    let mut rest = &stdout[..];
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').expect("a line") + 1;
        let words = String::from_utf8_lossy(&rest[..end]).into_owned();
        let words: Vec<&str> = words.split_whitespace().collect();
        if words == ["fwdeploy-probe", "end"] {
            out.extend(frames);
        }
        let length = match words[0] {
            "=" | "!" => words[words.len() - 1].parse::<usize>().expect("a length") + 1,
            _ => 0,
        };
        let (frame, others) = rest.split_at(end + length);
        if !words[1].starts_with("docker-")
            || words[1] == "docker-told"
            || words[1] == "docker-unit"
        {
            out.extend(frame);
        }
        rest = others;
    }
    observe(&out, b"").expect("a whole answer").docker
}

/// The frames of a capture that are about the engine.
fn asked_of_the_command(release: &str) -> Vec<u8> {
    let text = fs::read(folder().join(format!("{release}.look"))).expect("a capture");
    let start = text.windows(16).position(|w| w == b"= docker-version");
    // How the rules are is no answer of the engine; the base has one of its own.
    let text = String::from_utf8(text[start.expect("a version")..].to_vec()).expect("a text");
    let (first, rest) = text.split_once("= settling 0 ").expect("a question");
    let (_, rest) = rest.split_once("\n= docker-networks ").expect("a question");
    format!("{first}= docker-networks {rest}").into_bytes()
}

#[test]
fn the_socket_and_the_command_give_the_same_state() {
    for release in RELEASES {
        let by_command = read(&asked_of_the_command(release));
        let docker = by_command.known().expect(release);
        assert_eq!((docker.networks.len(), docker.containers.len()), (6, 7));
        let dockerd = Dockerd::of(release, |_| None);
        for python in pythons() {
            let frames = frames(python, &dockerd.socket(), 5);
            assert_eq!(read(&frames), by_command, "{release} {python}");
        }
    }
}

#[test]
fn what_a_container_keeps_secret_stays_on_the_node() {
    for release in RELEASES {
        let whole = serde_json::to_string(api(release)).expect("a text");
        assert!(whole.contains("no-one-shall-read-this"));
        let dockerd = Dockerd::of(release, |_| None);
        let frames = frames("python3", &dockerd.socket(), 5);
        let text = String::from_utf8(frames).expect("a text");
        assert!(!text.contains("no-one-shall-read-this") && !text.contains("SECRET"));
    }
}

#[test]
fn a_daemon_that_does_not_answer_is_waited_for_once() {
    for silent in ["/version", "/networks", "/containers/json?all=1"] {
        let answers = api("bookworm");
        let dockerd = Dockerd::new(move |path| (path != silent).then(|| told(answers, path)));
        for python in pythons() {
            let begun = Instant::now();
            let text = String::from_utf8(frames(python, &dockerd.socket(), 1)).expect("a text");
            assert!(begun.elapsed() < Duration::from_secs(15));
            assert_eq!(text.matches(" 124 0\n").count(), 1, "{python}: {text}");
            let rest = text.split_once(" 124 0\n").expect("silence").1;
            let skipped = rest.matches("docker did not answer within 1 s").count();
            assert_eq!(skipped, rest.matches(" - 0\n").count(), "{python}: {text}");
            assert_eq!(rest.matches("= docker-").count(), skipped);
            assert!(read(text.as_bytes()).known().is_none());
        }
    }
}

/// An engine may begin an answer and then send a byte now and then: that the whole takes long is what counts.
#[test]
fn an_answer_that_never_ends_is_as_late_as_none() {
    let folder = TempDir::new().expect("a folder");
    let socket = folder.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            while stream.write_all(b"H").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        }
    });
    let text = frames("python3", &socket.display().to_string(), 1);
    let text = String::from_utf8(text).expect("a text");
    assert!(text.starts_with("= docker-version 124 0\n"), "{text}");
}

#[test]
fn what_disappears_while_it_is_asked_is_asked_again() {
    let gone = |path: &str| path.ends_with("/json") && path.starts_with("/containers/");
    for python in pythons() {
        for vanish in [1, 2, 3] {
            let asked = AtomicUsize::new(0);
            let dockerd = Dockerd::of("forky", move |path| {
                let first = gone(path) && asked.fetch_add(1, Ordering::SeqCst) < vanish;
                first.then(|| http("404 Not Found", r#"{"message":"No such container: x"}"#))
            });
            let docker = read(&frames(python, &dockerd.socket(), 5));
            // Three attempts, and not a fourth.
            match (vanish, &docker) {
                (3, Observed::Unreadable(why)) => {
                    assert!(why.contains("No such container"), "{why}");
                }
                (1 | 2, Observed::Known(docker)) => assert_eq!(docker.containers.len(), 7),
                _ => panic!("{python} {vanish}: {docker:?}"),
            }
        }
    }
}

/// Each of these answers to each of the questions: never a state, and never one that looks like nothing.
#[test]
fn a_damaged_answer_of_the_engine_is_never_an_empty_one() {
    // Each case takes a Python, and they take turns.
    let mut pythons = pythons().into_iter().cycle();
    let container = api("trixie").keys().find(|path| path.len() > 40).unwrap();
    for path in ["/version", "/networks", "/containers/json?all=1", container] {
        let whole = api("trixie")[path].to_string();
        let half = whole[..whole.len() / 2].to_string();
        let cut = format!(
            "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n[]",
            whole.len()
        );
        let damaged = [
            http("200 OK", &half),
            http("200 OK", "null"),
            http("200 OK", "{}"),
            http("200 OK", "[null]"),
            http("500 Internal Server Error", r#"{"message":"no memory"}"#),
            http("404 Not Found", "{\"message\":\"page not found\"}"),
            cut.into_bytes(),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n".to_vec(),
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n[]".to_vec(),
        ];
        for answer in damaged {
            let shown = String::from_utf8_lossy(&answer).into_owned();
            let path = path.to_string();
            let dockerd = Dockerd::of("trixie", move |asked| {
                (asked == path).then(|| answer.clone())
            });
            let python = pythons.next().unwrap();
            let output = look(python, &dockerd.socket(), 5);
            let is_left_to_the_command = !output.status.success();
            assert!(
                is_left_to_the_command || read(&output.stdout).known().is_none(),
                "{python}: {shown}: {}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
    }
}

#[test]
fn an_answer_is_read_up_to_its_longest_length() {
    let filled = |length: usize| http("200 OK", &format!("[{}]", " ".repeat(length)));
    for (length, is_read) in [(15 << 20, true), (17 << 20, false)] {
        let long = filled(length);
        let dockerd = Dockerd::of("bookworm", move |path| {
            (path == "/containers/json?all=1").then(|| long.clone())
        });
        let text = String::from_utf8(frames("python3", &dockerd.socket(), 20)).expect("a text");
        assert_eq!(text.contains("= docker-containers 0 "), is_read, "{text}");
        assert_eq!(text.contains("longer than 16 MiB"), !is_read, "{text}");
    }
}

/// Podman listens on the same socket, and its networks and containers are other ones.
#[test]
fn an_engine_of_another_kind_is_left_to_the_command() {
    let podman = r#"{"Components":[{"Name":"Podman Engine","Version":"4.3.1"}],"Version":"4.3.1"}"#;
    for version in [podman, r#"{"Components":[]}"#, "{}", "[]"] {
        let dockerd = Dockerd::of("bookworm", move |path| {
            (path == "/version").then(|| http("200 OK", version))
        });
        assert!(
            !look("python3", &dockerd.socket(), 5).status.success(),
            "{version}"
        );
    }
}

/// Nothing that lies where the look is run is taken for a module, and nothing is written.
#[test]
fn python_neither_reads_nor_writes_where_it_is_run() {
    let dockerd = Dockerd::of("bookworm", |_| None);
    let home = TempDir::new().expect("a folder");
    for module in ["json", "os", "signal", "socket", "sitecustomize"] {
        let text = "raise SystemExit(9)\n";
        fs::write(home.path().join(format!("{module}.py")), text).expect("a file");
    }
    let (output, _) = in_shell(
        &["sh"],
        &dockerd.socket(),
        home.path(),
        &[("PYTHONPATH", ".")],
    );
    assert!(output.contains("\n= docker-containers 0 "), "{output}");
    assert_eq!(fs::read_dir(home.path()).expect("a folder").count(), 5);
}

/// Runs the look's questions to Docker in a shell, with a docker command of the test's own that says which of its subcommands are
/// run; returns the answers, and what was run.
fn in_shell(
    shell: &[&str],
    socket: &str,
    home: &Path,
    environment: &[(&str, &str)],
) -> (String, String) {
    let tools = TempDir::new().expect("a folder");
    let ran = tools.path().join("ran");
    let program = |name: &str, text: &str| {
        let path = tools.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a program");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("a mode");
    };
    program(
        "docker",
        &format!(
            "echo \"$1\" >>{}\ncase $1 in version) echo 20.10.24 ;; esac",
            ran.display()
        ),
    );
    program(
        "systemctl",
        "echo Id=docker.service; echo ActiveState=active",
    );
    let look = probe_script(None);
    let (look, last) = look.trim_end().rsplit_once('\n').expect("lines");
    assert!(last.starts_with("look "), "{last}");
    let bus = without_firewalld();
    let mut look = look.to_string();
    for (line, socket) in [
        ("docker_socket=/var/run/docker.sock\n", socket),
        ("bus_socket=/run/dbus/system_bus_socket\n", &bus.socket()),
    ] {
        assert_eq!(look.matches(line).count(), 1);
        let (name, _) = line.split_once('=').expect("a name");
        look = look.replace(line, &format!("{name}={socket}\n"));
    }
    let script = tools.path().join("script.sh");
    fs::write(
        &script,
        format!(
            "{look}\nexec 4>&1\ntimeout_words=timeout\n{{\nlook_at_daemons 4>&1\n}} | wait_for_daemons\n"
        ),
    )
    .unwrap();
    let path = format!(
        "{}:{}",
        tools.path().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .arg(&script)
        .env("PATH", path)
        .envs(environment.iter().copied())
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let ran = fs::read_to_string(ran).unwrap_or_default();
    (String::from_utf8(output.stdout).expect("a text"), ran)
}

/// Where the program cannot answer, for whatever reason, the docker command is asked; where it can, only it is.
#[test]
fn the_docker_command_is_asked_where_the_socket_is_of_no_use_and_only_there() {
    let home = TempDir::new().expect("a folder");
    let well = Dockerd::of("bookworm", |_| None);
    let broken = Dockerd::of("bookworm", |path| (path == "/networks").then(Vec::new));
    let deaf = home.path().join("deaf.sock");
    drop(UnixListener::bind(&deaf).expect("a socket"));
    let nowhere = home.path().join("nowhere").display().to_string();
    let shells: [&[&str]; 3] = [&["dash"], &["bash", "--posix"], &["busybox", "ash"]];
    for shell in shells {
        for (socket, is_used) in [
            (well.socket(), true),
            (broken.socket(), false),
            (deaf.display().to_string(), false),
            (nowhere.clone(), false),
        ] {
            let (answers, ran) = in_shell(shell, &socket, home.path(), &[]);
            assert_eq!(ran.is_empty(), is_used, "{shell:?} {socket}: {ran}");
            for question in ["version", "firewall", "networks", "containers"] {
                let asked = format!("= docker-{question} 0 ");
                assert_eq!(
                    answers.matches(&asked).count(),
                    1,
                    "{shell:?} {socket}: {answers}"
                );
            }
            assert_eq!(answers.matches("= settling 0 0\n").count(), 1, "{answers}");
            assert_eq!(answers.contains("\n7\n{"), is_used, "{answers}");
        }
    }
}

/// An answer of a capture: its exit code, its text, and what was printed on stderr.
type Section = (String, String, String);

/// The answers of a capture by question.
fn sections(stdout: &[u8]) -> BTreeMap<String, Section> {
    let mut found: BTreeMap<String, Section> = BTreeMap::new();
    let mut rest = stdout;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        let words: Vec<&str> = line.split(' ').collect();
        if !matches!(words[0], "=" | "!") {
            continue;
        }
        let length: usize = words[words.len() - 1].parse().expect("a length");
        let text = String::from_utf8_lossy(&rest[..length]).into_owned();
        rest = &rest[length + 1..];
        let section = found.entry(words[1].to_string()).or_default();
        if words[0] == "!" {
            section.2 = text;
        } else {
            (section.0, section.1) = (words[2].to_string(), text);
        }
    }
    found
}

/// firewalld's files as a capture has them, in a folder of their own.
fn with_files(root: &Path, told: &str) {
    for folder in ["etc/firewalld", "usr/lib/firewalld"] {
        for kind in ["zones", "policies", "services"] {
            fs::create_dir_all(root.join(folder).join(kind)).expect("a folder");
        }
    }
    let mut text = String::new();
    for line in told.lines().rev() {
        if let Some(line) = line.strip_prefix(' ') {
            text = format!("{line}\n{text}");
        } else if let Some(path) = line.strip_prefix("=/") {
            fs::write(root.join(path), std::mem::take(&mut text)).expect("a file");
        } else if let Some((_, path)) = line.split_once(" /") {
            let path = root.join(path);
            if !path.exists() {
                fs::write(path, "").expect("a file");
            }
        }
    }
}

/// What the bus of the node of a capture answers.
fn answers_of(
    told: &BTreeMap<String, Section>,
) -> impl Fn(&Call) -> Reply + Send + Sync + 'static + use<> {
    let told = told.clone();
    move |call: &Call| {
        let answer = |question: &str| match told.get(question) {
            Some((code, text, _)) if code == "0" => Reply::Value(text.trim_end().to_string()),
            Some((code, _, _)) if code == "124" || code == "-" => Reply::Silence,
            Some((_, _, why)) => {
                let why = why.trim_start_matches("Call failed: ");
                Reply::Error(why.replace('"', "\\\""))
            }
            None => Reply::Error(format!("nobody has asked for {question}")),
        };
        let first = || call.arguments[0].as_str();
        let name = call.path.rsplit('/').next().unwrap_or_default();
        let zone = told.get("zone").map_or("", |(_, zone, _)| zone.trim());
        // Where an object is that is not the zone whose place is in the capture.
        let place = |kind: &str| match told.get("permanent-zone") {
            Some(_) if kind == "zone" && first() == zone => answer("permanent-zone"),
            _ => Reply::Value(format!("o \"/there/{kind}/{}\"", first())),
        };
        let kind = call.path.split('/').nth(2).unwrap_or_default();
        let of_place = || match call.path.starts_with("/there/") {
            true => answer(&format!("permanent-{kind}:{name}")),
            false => answer(&format!("permanent-zone:{zone}")),
        };
        match call.method.as_str() {
            "Get" => {
                let unit = name.replace("_2e", ".");
                let question = if unit == "firewalld.service" {
                    "firewalld-unit"
                } else {
                    "docker-unit"
                };
                let blocks = told[question].1.split("\n\n");
                let block = blocks
                    .into_iter()
                    .find(|block| block.contains(&format!("Id={unit}\n")));
                let key = format!("{}=", call.arguments[1]);
                let found = block
                    .expect("a unit")
                    .lines()
                    .find_map(|line| line.strip_prefix(&key));
                match found {
                    Some(text) if call.arguments[1] != "MainPID" => {
                        Reply::Value(format!("v s \"{text}\""))
                    }
                    _ => property(&call.arguments[1], ""),
                }
            }
            "NameHasOwner" => answer("firewalld-owner"),
            "GetAll" if call.path.ends_with("/config") => answer("firewalld-config"),
            "GetAll" => answer("firewalld-properties"),
            "getActiveZones" => answer("active-zones"),
            "queryPanicMode" => answer("panic"),
            "getSettings" if call.interface.ends_with(".direct") => answer("permanent-direct"),
            "getAllChains" => answer("runtime-chains"),
            "getAllRules" => answer("runtime-rules"),
            "getAllPassthroughs" => answer("runtime-passthroughs"),
            "getDefaultZone" => answer("default-zone"),
            "getIPSetNames" => answer("permanent-sets"),
            "getIPSets" => answer("runtime-sets"),
            "getRichRules" if call.arguments.is_empty() => answer("permanent-rich"),
            "getRichRules" => answer("runtime-rich"),
            "getZoneByName" => place("zone"),
            "getPolicyByName" => place("policy"),
            "getServiceByName" => place("service"),
            "getZoneSettings" | "getZoneSettings2" => answer(&format!("runtime-zone:{}", first())),
            "getPolicySettings" => answer(&format!("runtime-policy:{}", first())),
            "getServiceSettings" | "getServiceSettings2" => {
                answer(&format!("runtime-service:{}", first()))
            }
            "getIPSetSettings" => answer(&format!("set:{}", first())),
            "getSettings" | "getSettings2" => of_place(),
            _ => panic!("{call:?}"),
        }
    }
}

/// The program, with firewalld's files in another folder.
fn program_in(root: &Path) -> String {
    let mut program = program();
    for folder in ["/etc/firewalld", "/usr/lib/firewalld"] {
        let (here, there) = (
            format!("b\"{folder}\""),
            format!("b\"{}{folder}\"", root.display()),
        );
        assert_eq!(program.matches(&here).count(), 1);
        program = program.replace(&here, &there);
    }
    program
}

/// What busctl and systemctl printed on each real node, this prints of the same answers.
#[test]
fn the_bus_and_the_commands_give_the_same_answers() {
    let mut pythons = pythons().into_iter().cycle();
    let mut compared = BTreeMap::new();
    for capture in captures() {
        let told = sections(&capture.stdout);
        let root = TempDir::new().expect("a folder");
        let files = told.get("files").map_or("", |(_, text, _)| text);
        with_files(root.path(), files);
        let bus = Bus::new(answers_of(&told));
        let sockets = ["/nowhere", &bus.socket()];
        // Where firewalld does not answer, it is not waited for as long as on the node.
        let is_silent = told.values().any(|(code, _, _)| code == "124");
        let limit = if is_silent { 1 } else { 5 };
        let output = run(
            pythons.next().expect("one"),
            &program_in(root.path()),
            sockets,
            limit,
            told.get("zone").map_or("", |(_, zone, _)| zone.trim()),
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said, "", "{}", capture.name);
        for (question, (code, text, why)) in sections(&output.stdout) {
            // Docker has a socket of its own, and the rest is of files that were not captured.
            if matches!(
                question.as_str(),
                "docker-told" | "file-sums" | "settling" | "zone-names"
            ) {
                continue;
            }
            let text = text.replace(&root.path().display().to_string(), "");
            let expected = told
                .get(&question)
                .unwrap_or_else(|| panic!("{}: {question}", capture.name));
            let sorted = |text: &str| -> Vec<String> {
                let lines = text.lines().filter(|line| !line.starts_with("MainPID="));
                let lines: std::collections::BTreeSet<String> = lines.map(str::to_string).collect();
                lines.into_iter().collect()
            };
            let is_same = match question.as_str() {
                // systemd tells them in an order of its own; folders list in theirs.
                "firewalld-unit" | "docker-unit" | "settings" | "files" => {
                    sorted(&text) == sorted(&expected.1)
                }
                _ => text == expected.1,
            };
            assert!(
                is_same && code == expected.0,
                "{} {question} {code}:\n{text}\n{expected:?}",
                capture.name
            );
            if code == "-" && !is_silent {
                assert_eq!(why, expected.2, "{} {question}", capture.name);
            }
            *compared.entry(question).or_insert(0) += 1;
        }
    }
    for question in [
        "permanent-direct",
        "runtime-zone:docker",
        "permanent-zone:public",
        "runtime-rules",
        "files",
    ] {
        assert!(
            compared.get(question).is_some_and(|count| *count > 3),
            "{question}: {compared:?}"
        );
    }
}

/// A capture of a node on which all answer.
fn whole() -> &'static Capture {
    let found = captures()
        .iter()
        .find(|c| c.name == "bookworm-nftables/fresh");
    found.expect("a capture")
}

/// The same bus, except for the calls that `other` answers.
fn bus_with(other: impl Fn(&Call) -> Option<Reply> + Send + Sync + 'static) -> Bus {
    let answer = answers_of(&sections(&whole().stdout));
    Bus::new(move |call| other(call).unwrap_or_else(|| answer(call)))
}

/// Runs the program against a bus, with no file of firewalld's.
fn ask(python: &str, bus: &Bus, seconds: u32) -> (bool, BTreeMap<String, Section>) {
    let root = TempDir::new().expect("a folder");
    let sockets = ["/nowhere", &bus.socket()];
    let output = run(python, &program_in(root.path()), sockets, seconds, "");
    // With 4 only the docker command is still to be asked.
    let is_answer = output.status.code() == Some(4);
    assert!(is_answer || output.stdout.is_empty(), "{output:?}");
    (is_answer, sections(&output.stdout))
}

#[test]
fn a_firewalld_that_does_not_answer_is_waited_for_once() {
    for python in pythons() {
        let bus = bus_with(|call| (call.method == "getAllRules").then_some(Reply::Silence));
        let begun = Instant::now();
        let (is_answer, told) = ask(python, &bus, 1);
        assert!(is_answer && begun.elapsed() < Duration::from_secs(15));
        assert_eq!(told["runtime-chains"].0, "0");
        assert_eq!(told["runtime-rules"].0, "124");
        for question in ["runtime-passthroughs", "default-zone"] {
            assert_eq!(told[question].0, "-", "{python}");
            assert_eq!(told[question].2, "firewalld did not answer within 1 s");
        }
    }
}

#[test]
fn what_firewalld_refuses_is_told_in_its_own_words() {
    let why = "INVALID_ZONE: \u{e9}";
    let bus =
        bus_with(move |call| (call.method == "getAllRules").then(|| Reply::Error(why.to_string())));
    for python in pythons() {
        let (_, told) = ask(python, &bus, 5);
        let (code, text, said) = &told["runtime-rules"];
        assert_eq!((code.as_str(), text.as_str()), ("1", ""));
        assert_eq!(said, &format!("Call failed: {why}"));
        assert_eq!(told["default-zone"].0, "0");
    }
}

/// Bytes that are no message, or one that is not what its head says, are nothing that is believed.
#[test]
fn what_is_no_answer_of_the_bus_is_left_to_the_commands() {
    let long = [b"l\x02\x01\x01".to_vec(), vec![0xff; 12]].concat();
    let cut = [
        b"l\x02\x01\x01\x08\0\0\0\x01\0\0\0\x08\0\0\0".to_vec(),
        vec![0xff; 16],
    ]
    .concat();
    let noise: Vec<u8> = (0..=255).collect();
    let mut pythons = pythons().into_iter().cycle();
    for bytes in [
        long,
        cut,
        noise,
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ] {
        for method in ["Get", "NameHasOwner", "getAllRules"] {
            let bytes = bytes.clone();
            let bus =
                bus_with(move |call| (call.method == method).then(|| Reply::Bytes(bytes.clone())));
            let (is_answer, told) = ask(pythons.next().expect("one"), &bus, 1);
            assert!(!is_answer && told.is_empty(), "{method}: {told:?}");
        }
    }
}
