//! What real nodes answered, read again: tests/captures/SUITE-BACKEND/SITUATION.stdout and .stderr.
//!
//! Every capture is read as its situation says, every rule in it reads back as written (law Spelling), and no damage to
//! it makes something unreadable look empty (law Silence).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::LazyLock;

use proptest::prelude::*;

use fwdeploy::model::CHAIN;
use fwdeploy::model::Daemon;
use fwdeploy::model::Family;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::model::RichRule;
use fwdeploy::model::Rule;
use fwdeploy::node::look;
use fwdeploy::probe::observe;

/// What one node answered in one situation.
struct Capture {
    /// `SUITE-BACKEND/SITUATION`.
    name: String,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Capture {
    fn situation(&self) -> &str {
        self.name.split_once('/').unwrap().1
    }

    fn read(&self) -> NodeState {
        observe(&self.stdout, &self.stderr).unwrap_or_else(|why| panic!("{}: {why}", self.name))
    }
}

/// All captures, read once.
fn captures() -> &'static [Capture] {
    static CAPTURES: LazyLock<Vec<Capture>> = LazyLock::new(read_all);
    &CAPTURES
}

fn read_all() -> Vec<Capture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in fs::read_dir(&root).unwrap().map(|entry| entry.unwrap()) {
        if folder.path().is_dir() {
            let files = fs::read_dir(folder.path()).unwrap();
            paths.extend(files.map(|file| file.unwrap().path()));
        }
    }
    paths.retain(|path| path.extension().is_some_and(|e| e == "stdout"));
    paths.sort();
    let captures: Vec<Capture> = paths
        .iter()
        .map(|path| Capture {
            name: path
                .strip_prefix(&root)
                .unwrap()
                .with_extension("")
                .to_string_lossy()
                .into_owned(),
            stdout: fs::read(path).unwrap(),
            stderr: fs::read(path.with_extension("stderr")).unwrap(),
        })
        .collect();
    assert!(!captures.is_empty());
    captures
}

fn unreadable<T>(observed: &Observed<T>) -> bool {
    observed.known().is_none()
}

fn why<T: std::fmt::Debug>(observed: &Observed<T>) -> &str {
    observed.as_result().unwrap_err()
}

/// Whether firewalld runs and answers in that situation.
fn firewalld_answers(situation: &str) -> bool {
    !matches!(
        situation,
        "firewalld-hangs" | "firewalld-stopped" | "docker-stopped" | "both-masked"
    )
}

fn docker_answers(situation: &str) -> bool {
    !matches!(situation, "docker-hangs" | "docker-stopped" | "both-masked")
}

#[test]
fn every_capture_tells_its_situation() {
    for capture in captures() {
        let name = &capture.name;
        let situation = capture.situation();
        let state = capture.read();
        assert_eq!(state.system.uid, 0, "{name}");
        assert_eq!(
            state.system.ssh_connection, "10.77.1.1 50000 10.77.1.11 22",
            "{name}"
        );
        assert!(state.system.systemd >= 247, "{name}");
        assert!(state.system.os.starts_with("Debian GNU/Linux"), "{name}");
        assert!(
            state.system.iptables.starts_with("iptables v1.8."),
            "{name}"
        );
        for (observed, what) in [
            (state.kernel.v4.known().is_some(), "v4"),
            (state.kernel.v6.known().is_some(), "v6"),
            (state.kernel.split == Observed::Known(false), "split"),
            (
                state.kernel.latch == Observed::Known(situation == "others"),
                "latch",
            ),
            (
                state.kernel.ip_forward == Observed::Known(situation != "others"),
                "ip_forward",
            ),
        ] {
            assert!(observed, "{name}: {what}");
        }
        assert_eq!(
            state.firewalld.known().is_some(),
            firewalld_answers(situation),
            "{name}: {:?}",
            state.firewalld
        );
        assert_eq!(
            state.docker.known().is_some(),
            docker_answers(situation),
            "{name}: {:?}",
            state.docker
        );
        if let Some(firewalld) = state.firewalld.known() {
            assert!(name.contains(&firewalld.backend), "{name}");
            assert_eq!(firewalld.default_zone, "public", "{name}");
            let failed = situation == "firewalld-failed";
            assert_eq!(
                firewalld.state == "FAILED",
                failed,
                "{name}: {}",
                firewalld.state
            );
        }
    }
}

#[test]
fn the_reason_says_what_to_do_about() {
    for capture in captures() {
        let name = &capture.name;
        let state = capture.read();
        let firewalld = &state.system.firewalld_daemon;
        let docker = &state.system.docker_daemon;
        match capture.situation() {
            "zone-unknown" => {
                assert_eq!(state.zone, Observed::Known("nowhere".to_string()), "{name}");
                for rich in [&state.permanent.rich, &state.runtime.rich] {
                    assert_eq!(why(rich), "firewalld has no zone `nowhere`", "{name}");
                }
                assert!(state.permanent.direct.known().is_some(), "{name}");
            }
            "firewalld-hangs" => {
                assert_eq!(
                    firewalld.trouble("firewalld").unwrap(),
                    "firewalld does not answer: timed out after 5 s",
                    "{name}"
                );
                assert_eq!(why(&state.runtime.direct), why(&state.firewalld), "{name}");
            }
            "docker-hangs" => assert_eq!(
                why(&state.docker),
                "docker does not answer: timed out after 5 s",
                "{name}"
            ),
            "firewalld-stopped" => {
                assert_eq!(
                    why(&state.permanent.direct),
                    "firewalld is not running (inactive)",
                    "{name}"
                );
            }
            "docker-stopped" => {
                assert_eq!(
                    why(&state.docker),
                    "docker is not running (inactive)",
                    "{name}"
                );
                assert_eq!(
                    why(&state.zone),
                    "firewalld is not running (masked)",
                    "{name}"
                );
            }
            "both-masked" => {
                assert_eq!(*firewalld, Daemon::Stopped("masked".to_string()), "{name}");
                assert_eq!(*docker, Daemon::Stopped("masked".to_string()), "{name}");
            }
            _ => assert_eq!(
                (firewalld, docker),
                (&Daemon::Running, &Daemon::Running),
                "{name}"
            ),
        }
    }
}

#[test]
fn a_whitelisted_node_holds_the_same_rules_in_all_three_views() {
    for capture in captures() {
        if capture.situation() != "whitelisted" {
            continue;
        }
        let name = &capture.name;
        let state = capture.read();
        let permanent = state.permanent.direct.known().unwrap();
        let runtime = state.runtime.direct.known().unwrap();
        for family in Family::ALL {
            assert!(permanent.owns(family) && runtime.owns(family), "{name}");
            let meant = |rules: Vec<&fwdeploy::model::DirectRule>| -> Vec<Rule> {
                rules.iter().map(|r| r.rule().unwrap()).collect()
            };
            let permanent = meant(permanent.chain(family));
            assert_eq!(permanent.len(), 5, "{name}");
            assert_eq!(permanent, meant(runtime.chain(family)), "{name}");
            let tables = state.kernel.tables(family).known().unwrap();
            let kernel = &tables.chain("filter", CHAIN).unwrap().rules;
            let kernel: Vec<Rule> = kernel.iter().filter_map(|r| r.rule.clone()).collect();
            assert_eq!(permanent, kernel[..5], "{name}");
        }
        let rich = state.permanent.rich.known().unwrap();
        assert_eq!(state.runtime.rich.known(), Some(rich), "{name}");
        assert!(matches!(rich[0].rule, RichRule::Forward { .. }), "{name}");
        let docker = state.docker.known().unwrap();
        let network = docker.network("chain").unwrap();
        assert_eq!(network.bridge, "fw-chain", "{name}");
        assert!(network.ipv6, "{name}");
        let endpoint = docker
            .container("cybex")
            .unwrap()
            .endpoint("chain")
            .unwrap();
        assert_eq!(endpoint.address, "172.20.0.2".parse().ok(), "{name}");
        assert_eq!(endpoint.fixed, endpoint.address, "{name}");
        assert_eq!(endpoint.address6, "fd00:20::2".parse().ok(), "{name}");
        assert_eq!(endpoint.fixed6, endpoint.address6, "{name}");
        assert_eq!(endpoint.aliases, ["witness"], "{name}");
    }
}

#[test]
fn published_ports_and_stopped_containers_are_seen() {
    for capture in captures() {
        if capture.situation() != "article" {
            continue;
        }
        let name = &capture.name;
        let state = capture.read();
        let docker = state.docker.known().unwrap();
        let cybex = docker.container("cybex").unwrap();
        assert!(cybex.running, "{name}");
        assert_eq!(cybex.published[0], "0.0.0.0:8090->8090/tcp", "{name}");
        assert!(
            cybex.endpoint("chain").unwrap().aliases.is_empty(),
            "{name}"
        );
        let eos = docker.container("eos").unwrap();
        assert!(!eos.running, "{name}");
        assert_eq!(eos.published, ["127.0.0.1:8888->8888/tcp"], "{name}");
        assert_eq!(eos.endpoint("chain").unwrap().address, None, "{name}");
        assert_eq!(eos.network_mode, "chain", "{name}");
    }
}

/// Law Spelling: `parse(render(x)) == x`, for every rule of every capture.
#[test]
fn every_rule_reads_back_as_written() {
    for capture in captures() {
        let name = &capture.name;
        let state = capture.read();
        let mut rules: Vec<(String, Rule)> = Vec::new();
        for family in Family::ALL {
            let tables = state.kernel.tables(family).known().unwrap();
            for chain in tables.tables.values().flat_map(BTreeMap::values) {
                for rule in &chain.rules {
                    let read = rule.rule.clone();
                    let read = read.unwrap_or_else(|| panic!("{name}: {}", rule.text));
                    rules.push((rule.text.clone(), read));
                }
            }
        }
        for view in [&state.permanent, &state.runtime] {
            for rule in view.direct.known().map_or(&[][..], |direct| &direct.rules) {
                rules.push((rule.to_string(), rule.rule().unwrap()));
            }
            for rich in view.rich.known().map_or(&[][..], Vec::as_slice) {
                assert_eq!(RichRule::parse(&rich.rule.to_string()), rich.rule, "{name}");
            }
        }
        for (text, rule) in rules {
            assert_eq!(
                Rule::parse_args(&rule.args()).as_ref(),
                Ok(&rule),
                "{name}: {text}"
            );
            assert_eq!(
                Rule::parse_text(&rule.to_string()).as_ref(),
                Ok(&rule),
                "{name}: {text}"
            );
        }
    }
}

/// One section of a capture, as it stands.
#[derive(Clone)]
struct Section {
    name: String,
    code: String,
    text: Vec<u8>,
}

/// A capture as its sections, without what was said on stderr.
fn sections(stdout: &[u8]) -> Vec<Section> {
    let mut found = Vec::new();
    let mut rest = stdout;
    let mut line = || {
        let end = rest.iter().position(|b| *b == b'\n').unwrap();
        let line = String::from_utf8(rest[..end].to_vec()).unwrap();
        rest = &rest[end + 1..];
        let length = line.rsplit(' ').next().unwrap().parse::<usize>();
        let text = match (line.starts_with(['=', '!']), length) {
            (true, Ok(length)) => {
                let text = rest[..length].to_vec();
                rest = &rest[length + 1..];
                text
            }
            _ => Vec::new(),
        };
        (line, text)
    };
    loop {
        let (header, text) = line();
        if header == "fwdeploy-probe end" {
            return found;
        }
        if let ["=", name, code, _] = header.split(' ').collect::<Vec<_>>()[..] {
            found.push(Section {
                name: name.to_string(),
                code: code.to_string(),
                text,
            });
        }
    }
}

fn put_together(sections: &[Section]) -> Vec<u8> {
    let mut out = b"fwdeploy-probe 1 5\n".to_vec();
    for section in sections {
        let length = section.text.len();
        out.extend(format!("= {} {} {length}\n", section.name, section.code).bytes());
        out.extend(&section.text);
        out.push(b'\n');
    }
    out.extend(b"fwdeploy-probe end\n");
    out
}

/// Whether all is unreadable that the question feeds.
fn is_told_as_unreadable(question: &str, state: &NodeState) -> bool {
    let firewalld = unreadable(&state.firewalld);
    match question {
        // These only inform, or say how a daemon is that does not answer.
        "os" | "kernel" | "systemd" | "iptables" => true,
        // Without these there is no state at all.
        "uid" | "tools" | "connection" => false,
        "firewalld-unit" => firewalld || state.system.firewalld_daemon == Daemon::Running,
        "docker-unit" => unreadable(&state.docker) || state.system.docker_daemon == Daemon::Running,
        "ip_forward" => unreadable(&state.kernel.ip_forward),
        "iptables-save" => unreadable(&state.kernel.v4),
        "ip6tables-save" => unreadable(&state.kernel.v6),
        "other-save" => unreadable(&state.kernel.split),
        "nft-tables" => unreadable(&state.kernel.latch),
        "firewalld-owner" | "firewalld-properties" => {
            firewalld
                && unreadable(&state.zone)
                && unreadable(&state.permanent.direct)
                && unreadable(&state.permanent.rich)
                && unreadable(&state.runtime.direct)
                && unreadable(&state.runtime.rich)
        }
        "firewalld-config" | "default-zone" | "active-zones" | "panic" => firewalld,
        "zone" => {
            unreadable(&state.zone)
                && unreadable(&state.permanent.rich)
                && unreadable(&state.runtime.rich)
        }
        "permanent-direct" => unreadable(&state.permanent.direct),
        "permanent-zone" | "permanent-rich" => unreadable(&state.permanent.rich),
        "runtime-chains" | "runtime-rules" | "runtime-passthroughs" => {
            unreadable(&state.runtime.direct)
        }
        "runtime-rich" => unreadable(&state.runtime.rich),
        "docker-version" | "docker-firewall" | "docker-networks" | "docker-containers" => {
            unreadable(&state.docker)
        }
        other => panic!("what does `{other}` feed?"),
    }
}

/// Law Silence: whatever happens to one answer, what it feeds is unreadable and not empty.
#[test]
fn a_damaged_answer_is_never_an_empty_one() {
    for (turn, capture) in captures().iter().enumerate() {
        let whole = sections(&capture.stdout);
        for at in 0..whole.len() {
            let question = whole[at].name.as_str();
            let mut removed = whole.clone();
            removed.remove(at);
            let mut failed = whole.clone();
            failed[at].code = "1".to_string();
            let mut late = whole.clone();
            late[at].code = "124".to_string();
            let mut garbled = whole.clone();
            garbled[at].code = "0".to_string();
            garbled[at].text = b"\x1b[1mhello\xff".to_vec();
            let mut half = whole.clone();
            let text = String::from_utf8_lossy(&half[at].text).into_owned();
            // Saved rules are whole tables or not; a table's last line tells.
            let middle = text.rfind("COMMIT").unwrap_or(text.len() / 2);
            half[at].text.truncate(middle);
            let damages = [
                ("removed", removed),
                ("failed", failed),
                ("late", late),
                ("garbled", garbled),
                ("half", half),
            ];
            // All five on every question of every capture take a minute; so each has its turn.
            for (damage, sections) in damages.into_iter().cycle().skip(turn + at).take(2) {
                // Free texts cannot be told from half of them; the frame tells.
                let free = matches!(question, "zone" | "connection" | "tools");
                // Half of `20.10.24` is a version, half of a list may be whole lines, half of `0` and a newline is `0`.
                let whole_half = matches!(question, "nft-tables" | "docker-version") || middle <= 1;
                if free && matches!(damage, "garbled" | "half") || whole_half && damage == "half" {
                    continue;
                }
                if let Ok(state) = observe(&put_together(&sections), b"") {
                    assert!(
                        is_told_as_unreadable(question, &state),
                        "{}: `{question}` {damage}: {state:#?}",
                        capture.name
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_cut_off_anywhere_is_an_error() {
    for capture in captures() {
        // A prime, so that over all captures every kind of place is met.
        for end in (0..capture.stdout.len()).step_by(61) {
            let cut = observe(&capture.stdout[..end], b"Connection reset by peer\n");
            let said = cut.expect_err(&capture.name).to_string();
            assert!(said.ends_with("(`Connection reset by peer`)"), "{said}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_it_panic(stdout in any::<Vec<u8>>(), stderr in any::<Vec<u8>>()) {
        let _ = observe(&stdout, &stderr);
    }

    #[test]
    fn no_text_of_an_answer_makes_it_panic(
        which in any::<prop::sample::Index>(),
        question in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let captures = captures();
        let mut sections = sections(&captures[which.index(captures.len())].stdout);
        let question = question.index(sections.len());
        let text = &mut sections[question].text;
        let at = at.index(text.len() + 1);
        text.splice(at..(at + bytes.len()).min(text.len()), bytes);
        let _ = observe(&put_together(&sections), b"");
    }
}

#[test]
fn some_nodes_in_full() {
    for name in [
        "bullseye-iptables/fresh",
        "bookworm-nftables/article",
        "trixie-nftables/firewalld-failed",
        "forky-nftables/whitelisted",
        "bookworm-nftables/both-masked",
    ] {
        let capture = captures().iter().find(|c| c.name == name).unwrap();
        let json = serde_json::to_string_pretty(&capture.read()).unwrap();
        insta::assert_snapshot!(name.replace('/', "-"), json);
    }
}

/// The script itself: whatever this machine is, it answers in a whole frame, in every shell there is.
#[test]
fn every_shell_runs_the_script() {
    for shell in [&["sh"][..], &["dash"], &["bash"], &["busybox", "sh"]] {
        let child = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-s", "--", "192.0.2.1 50000 192.0.2.2 22"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            continue;
        };
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, look(Some("a 'zone'")).as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let state = observe(&output.stdout, &output.stderr)
            .unwrap_or_else(|why| panic!("{shell:?}: {why}"));
        assert_eq!(state.system.ssh_connection, "192.0.2.1 50000 192.0.2.2 22");
        assert!(output.stderr.is_empty(), "{shell:?}");
    }
}
