//! Docker asked over its socket, by `src/node/python/docker_look.py`, in every Python at hand: what real engines answered
//! (tests/captures/docker-api) comes from a socket of the test's own.
//!
//! Seen to fail with the code broken on purpose: no `alarm`, no second attempt, `Content-Length` not compared, an answer at its full
//! length, `-B` or the first statement left out, `docker_look` that never fails.

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
use serde_json::Value;
use tempfile::TempDir;

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

/// Runs the program against a socket, as the look does.
fn look(python: &str, socket: &str, seconds: u32) -> Output {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node/python/docker_look.py");
    Command::new(python)
        .args(["-BEsS", "-c"])
        .arg(fs::read_to_string(program).expect("the program"))
        .args([socket, &seconds.to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("Python runs")
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
    let socket_line = "docker_socket=/var/run/docker.sock\n";
    assert_eq!(look.matches(socket_line).count(), 1);
    let look = look.replace(socket_line, &format!("docker_socket={socket}\n"));
    let script = tools.path().join("script.sh");
    fs::write(
        &script,
        format!("{look}\nexec 4>&1\nlimit_kind=plain\nlook_at_docker\n"),
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
