//! What real nodes answered, read again: tests/captures/SUITE-BACKEND/SITUATION.stdout and .stderr.
//!
//! Every capture is read as its situation says, and every rule in it reads back as written (law Spelling).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::process::Command;
use std::process::Stdio;

use fwdeploy::model::CHAIN;
use fwdeploy::model::Daemon;
use fwdeploy::model::Desired;
use fwdeploy::model::DirectRule;
use fwdeploy::model::Family;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::model::RichRule;
use fwdeploy::model::Rule;
use fwdeploy::model::state::Firewall;
use fwdeploy::node::probe_script;
use fwdeploy::plan::Action;
use fwdeploy::plan::Allowed;
use fwdeploy::plan::Finding;
use fwdeploy::plan::FindingCode;
use fwdeploy::plan::Permission;
use fwdeploy::plan::Plan;
use fwdeploy::plan::Reload;
use fwdeploy::plan::plan;
use fwdeploy::probe::observe;

use crate::support::captures::captures;

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
        assert_eq!(state.system.ssh_interface, "host0", "{name}");
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
                    let known = "firewalld has no zone `nowhere`; it has: block, dmz, docker, drop";
                    assert!(why(rich).starts_with(known), "{name}: {}", why(rich));
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
            let meant = |rules: Vec<&DirectRule>| -> Vec<Rule> {
                rules.iter().map(|r| r.rule().unwrap().clone()).collect()
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

/// The plan that brings one rule to the node by a reload.
fn by_reload(state: &NodeState, pending: Permission) -> Plan {
    let rule = Rule::parse_text("-s 172.30.0.2 -j REJECT").unwrap();
    let desired = Desired {
        rules: vec![DirectRule::ours(Family::V4, 1000, &rule)],
        ..Desired::default()
    };
    let allowed = Allowed {
        reload: Reload::Always,
        pending,
        ..Allowed::default()
    };
    plan(state, &desired, &allowed)
}

fn codes(plan: &Plan) -> BTreeSet<&'static str> {
    plan.findings.iter().map(|f| f.code.as_str()).collect()
}

/// What Docker and firewalld do by themselves is nothing that waits, and no door that closes.
#[test]
fn on_a_node_that_nobody_touched_nothing_is_pending() {
    for capture in captures() {
        if !["fresh", "article", "whitelisted"].contains(&capture.situation()) {
            continue;
        }
        let plan = by_reload(&capture.read(), Permission::Withheld);
        let reloads = plan.actions.iter();
        let reloads = reloads.filter(|a| matches!(a, Action::Reload { .. }));
        assert_eq!(reloads.count(), 1, "{}: {:?}", capture.name, plan.findings);
        assert!(
            !codes(&plan).contains("pending-permanent"),
            "{}",
            capture.name
        );
    }
}

#[test]
fn what_is_pending_is_seen_and_so_is_the_door_that_it_closes() {
    for capture in captures() {
        if capture.situation() != "pending" {
            continue;
        }
        let name = &capture.name;
        let state = capture.read();
        let settings = |firewall: &Firewall| firewall.settings.known().unwrap().clone();
        let (permanent, runtime) = (settings(&state.permanent), settings(&state.runtime));
        let (after, before) = (&permanent.zones["public"], &runtime.zones["public"]);
        assert!(!after.has("services", "ssh") && before.has("services", "ssh"));
        assert!(after.has("ports", "9100/tcp") && before.has("ports", "9200/udp"));
        assert!(permanent.zones["drop"].has("sources", "198.51.100.0/24"));
        assert!(permanent.services["chat"].has("ports", "7000-7002/tcp"));
        assert!(!runtime.services.contains_key("chat"), "{name}");
        assert!(permanent.policies["guard"].has("target", "DROP"), "{name}");
        assert!(!runtime.policies.contains_key("guard"), "{name}");
        for pending in [Permission::Withheld, Permission::Granted] {
            let plan = by_reload(&state, pending);
            assert!(plan.is_empty(), "{name}");
            assert!(codes(&plan).contains("pending-permanent"), "{name}");
            assert!(codes(&plan).contains("ssh-lost"), "{name}");
        }
    }
}

/// Whether firewalld answers and is well, so that its files can be held against what it tells.
fn files_can_be_compared(situation: &str) -> bool {
    firewalld_answers(situation) && situation != "firewalld-failed"
}

#[test]
fn only_an_edited_file_says_something_else_than_firewalld() {
    for capture in captures() {
        if !files_can_be_compared(capture.situation()) {
            continue;
        }
        let name = &capture.name;
        let state = capture.read();
        let files = state.files.known().unwrap_or_else(|| panic!("{name}"));
        let things = [&files.zones, &files.policies, &files.services];
        for file in things.into_iter().flat_map(|all| all.values()) {
            assert!(file.says.known().is_some(), "{name}: {file:?}");
        }
        let plan = by_reload(&state, Permission::Granted);
        let mut told = plan
            .findings
            .iter()
            .filter(|f| f.code == FindingCode::EditedByHand);
        if capture.situation() != "edited" {
            assert_eq!(told.next(), None, "{name}");
            continue;
        }
        let texts: Vec<&str> = told.clone().map(|f| f.text.as_str()).collect();
        for (path, words) in [
            ("direct.xml", "adds passthrough `ipv4 -t raw -N edited`"),
            (
                "zones/public.xml",
                "adds port `9300/tcp`, removes service `ssh`",
            ),
            ("services/edited.xml", "adds this service"),
        ] {
            let is_told = |t: &&&str| t.contains(path) && t.contains(words);
            assert_eq!(texts.iter().filter(is_told).count(), 1, "{name}: {texts:?}");
        }
        assert_eq!(texts.len(), 3, "{name}: {texts:?}");
        assert!(plan.is_empty(), "{name}");
        let warns = |f: &Finding| {
            f.hint
                .as_ref()
                .unwrap()
                .contains("not open a new ssh connection")
        };
        assert!(told.all(warns), "{name}: {:?}", plan.findings);
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
                rules.push((rule.to_string(), rule.rule().unwrap().clone()));
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
        std::io::Write::write_all(&mut stdin, probe_script(Some("a 'zone'")).as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let state = observe(&output.stdout, &output.stderr)
            .unwrap_or_else(|why| panic!("{shell:?}: {why}"));
        assert_eq!(state.system.ssh_connection, "192.0.2.1 50000 192.0.2.2 22");
        assert!(output.stderr.is_empty(), "{shell:?}");
    }
}
