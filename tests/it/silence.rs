//! Law Silence: an answer that is damaged, late, missing or cut off is unreadable, and never looks empty.
//!
//! Over what real nodes answered: see tests/captures/README.md.

use std::env;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::process::Stdio;

use proptest::prelude::*;

use fwdeploy::model::Daemon;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::node::probe_script;
use fwdeploy::probe::observe;

use crate::support::captures::captures;

fn unreadable<T>(observed: &Observed<T>) -> bool {
    observed.known().is_none()
}

/// One section of a capture, unchanged.
#[derive(Clone)]
struct Section {
    name: String,
    code: String,
    text: Vec<u8>,
}

/// A capture as its sections, without stderr.
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
        // Whether the node is in motion, and which zones exist, only improves a reading.
        "kernel-moved" | "settling" | "zone-names" => true,
        // A file without a sum counts as one that was not there: where it is, it is not written over.
        "file-sums" => true,
        "addresses" | "routes-ipv4" | "routes-ipv6" => unreadable(&state.system.routing),
        "resolvers" => unreadable(&state.system.resolvers),
        "listeners" => unreadable(&state.system.networking.listeners),
        "routing" => unreadable(&state.system.networking.routing),
        "sets" => unreadable(&state.system.networking.sets) && unreadable(&state.sets.kernel),
        "permanent-sets" => unreadable(&state.sets.permanent),
        "runtime-sets" => unreadable(&state.sets.runtime),
        "nft-rules" => unreadable(&state.system.networking.nft) && unreadable(&state.sets.nft),
        "other6-save" => unreadable(&state.system.networking.other),
        // `None` is a reading that did not query it.
        "firewalld-nft" => state.kernel.backend.as_ref().is_none_or(unreadable),
        // Docker's configuration explains why its chains are missing; that they are missing is known from the kernel.
        "docker-told" => true,
        // Without these there is no state at all.
        "uid" | "tools" | "connection" => false,
        "firewalld-unit" => firewalld || state.system.firewalld_daemon == Daemon::Running,
        // Then nobody knows whether it has a second name.
        "machine" => state.system.machine.is_empty(),
        // Without it every interface counts.
        "ssh-interface" => state.system.ssh_interface.is_empty(),
        "settings" => unreadable(&state.permanent.settings) && unreadable(&state.runtime.settings),
        "files" => unreadable(&state.files),
        _ if question.starts_with("permanent-") && question.contains(':') => {
            unreadable(&state.permanent.settings)
        }
        _ if question.starts_with("runtime-") && question.contains(':') => {
            unreadable(&state.runtime.settings)
        }
        "docker-unit" => unreadable(&state.docker) || state.system.docker_daemon == Daemon::Running,
        "records" => unreadable(&state.records),
        "ip_forward" => unreadable(&state.kernel.ip_forward),
        "iptables-save" => unreadable(&state.kernel.v4),
        "ip6tables-save" => unreadable(&state.kernel.v6),
        "other-save" => {
            unreadable(&state.kernel.split) && unreadable(&state.system.networking.other)
        }
        "nft-tables" => unreadable(&state.kernel.latch),
        "nft-version" | "guard-table" => unreadable(&state.kernel.guard.table),
        "guard-files" => unreadable(&state.kernel.guard.boot),
        "firewalld-owner" | "firewalld-properties" => {
            firewalld
                && unreadable(&state.zone)
                && unreadable(&state.permanent.direct)
                && unreadable(&state.permanent.rich)
                && unreadable(&state.runtime.direct)
                && unreadable(&state.runtime.rich)
        }
        "panic" => firewalld,
        "firewalld-config" => firewalld && unreadable(&state.permanent.settings),
        "default-zone" => firewalld && unreadable(&state.runtime.settings),
        "active-zones" => {
            firewalld
                && unreadable(&state.permanent.settings)
                && unreadable(&state.runtime.settings)
        }
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
            // Saved rules are whole tables or not; a table's last line shows it.
            let middle = text.rfind("COMMIT").unwrap_or(text.len() / 2);
            half[at].text.truncate(middle);
            let damages = [
                ("removed", removed),
                ("failed", failed),
                ("late", late),
                ("garbled", garbled),
                ("half", half),
            ];
            // All five on every question of every capture take minutes; so each has its turn.
            let (damage, sections) = &damages[(turn + at) % damages.len()];
            // A part of a free text looks like a whole one; the frame shows the difference.
            let free = matches!(question, "zone" | "connection" | "tools" | "ssh-interface");
            // Half of `20.10.24` is a version, half of a list may be whole lines, half of `0` and a newline is `0`.
            let whole_half = matches!(question, "nft-tables" | "docker-version") || middle <= 1;
            if free && matches!(*damage, "garbled" | "half") || whole_half && *damage == "half" {
                continue;
            }
            if let Ok(state) = observe(&put_together(sections), b"") {
                assert!(
                    is_told_as_unreadable(question, &state),
                    "{}: `{question}` {damage}: {state:#?}",
                    capture.name
                );
            }
        }
    }
}

/// The program itself, with every tool failing: one that does not list its tables has not reported that there are none.
#[test]
fn a_tool_that_fails_has_not_said_that_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for tool in ["nft", "iptables-save", "ip6tables-save", "busctl", "docker"] {
        let path = folder.path().join(tool);
        fs::write(&path, "#!/bin/sh\necho 'no memory' >&2\nexit 1\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    let mut paths = vec![folder.path().to_path_buf()];
    paths.extend(env::split_paths(&env::var_os("PATH").unwrap()));
    let answer = Command::new("sh")
        .args(["-c", &probe_script(None)])
        .env("PATH", env::join_paths(paths).unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let state = observe(&answer.stdout, b"").unwrap();
    for question in ["nft-tables", "nft-rules", "firewalld-nft", "iptables-save"] {
        assert!(
            is_told_as_unreadable(question, &state),
            "{question}: {state:#?}"
        );
    }
}

#[test]
fn what_is_cut_off_anywhere_is_an_error() {
    for capture in captures() {
        // A prime, so that the cuts fall on every kind of place in some capture.
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
