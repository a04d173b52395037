//! What real nodes answered when something was broken: it is named, told from what looks alike, and the right recovery is chosen.

use fwdeploy::model::Desired;
use fwdeploy::model::DesiredNetwork;
use fwdeploy::model::Family;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::plan;
use fwdeploy::plan::Allowed;
use fwdeploy::plan::Recovery;
use fwdeploy::plan::Severity;
use fwdeploy::plan::recover::parted;
use fwdeploy::plan::recover::recovery;

use crate::support::captures::captures;

fn desired() -> Desired {
    Desired {
        networks: vec![DesiredNetwork {
            name: "chain".to_string(),
            subnet: "172.20.0.0/16".parse().unwrap(),
            gateway: None,
            subnet6: None,
            bridge: "fw-chain".to_string(),
        }],
        ..Desired::default()
    }
}

fn refusals(state: &NodeState) -> Vec<&'static str> {
    let plan = plan::plan(state, &desired(), &Allowed::default());
    let refusals = plan.findings.iter();
    refusals
        .filter(|f| f.severity == Severity::Refuse)
        .map(|f| f.code.as_str())
        .collect()
}

fn chosen(state: &NodeState) -> Option<Recovery> {
    recovery(state, &desired(), &Allowed::default())
}

#[test]
fn each_broken_node_is_named_and_gets_its_recovery() {
    for capture in captures() {
        let (name, state) = (&capture.name, capture.read());
        let (codes, chosen) = (refusals(&state), chosen(&state));
        match capture.situation() {
            "flushed" => {
                let flushed = name.contains("-iptables");
                assert_eq!(
                    codes.contains(&"firewalld-flushed"),
                    flushed,
                    "{name}: {codes:?}"
                );
                assert!(codes.contains(&"docker-rules-gone"), "{name}: {codes:?}");
                assert!(
                    !codes.contains(&"docker-without-iptables"),
                    "{name}: {codes:?}"
                );
                assert!(!codes.contains(&"docker-deaf"), "{name}: {codes:?}");
            }
            // Docker does not hear of a reload: nothing is done about it.
            "docker-first" => {
                assert!(codes.contains(&"docker-deaf"), "{name}: {codes:?}");
                assert!(codes.contains(&"docker-rules-gone"), "{name}: {codes:?}");
                assert_eq!(chosen, None, "{name}");
            }
            "firewalld-failed" => {
                assert!(codes.contains(&"firewalld-failed"), "{name}: {codes:?}");
                assert!(codes.contains(&"docker-rules-gone"), "{name}: {codes:?}");
            }
            // Stopped in good order, and so on purpose.
            "firewalld-stopped" => {
                assert_eq!(codes, ["firewalld-stopped"], "{name}");
                assert_eq!(chosen, None, "{name}");
            }
            "fresh" | "article" | "whitelisted" => {
                for code in ["docker-rules-gone", "firewalld-flushed"] {
                    assert!(!codes.contains(&code), "{name}: {codes:?}");
                }
                assert_eq!(chosen, None, "{name}");
            }
            _ => {}
        }
    }
}

fn one(situation: &str) -> NodeState {
    let name = format!("trixie-nftables/{situation}");
    let capture = captures().iter().find(|c| c.name == name);
    capture.expect("it was taken").read()
}

#[test]
fn a_docker_that_was_told_to_leave_iptables_alone_has_lost_nothing() {
    let mut state = one("flushed");
    state.docker.known_mut().unwrap().unfiltered = vec![Family::V4];
    assert_eq!(refusals(&state), ["docker-without-iptables"]);
    assert_eq!(chosen(&state), None);
}

#[test]
fn what_cannot_be_mended_keeps_from_mending_the_rest() {
    let mut state = one("flushed");
    state.firewalld.known_mut().unwrap().panic = true;
    assert_eq!(chosen(&state), None);
    let mut state = one("flushed");
    state.system.uid = 1000;
    assert_eq!(chosen(&state), None);
    let mut state = one("flushed");
    state.records = Observed::Unreadable("no answer".to_string());
    assert_eq!(chosen(&state), None);
}

#[test]
fn a_firewalld_is_started_only_if_it_died_and_is_meant_to_run() {
    use fwdeploy::model::Daemon;
    let mut state = one("firewalld-stopped");
    for (how, enabled, starts) in [
        ("failed: signal", true, true),
        ("failed: signal", false, false),
        ("inactive", true, false),
        ("masked", true, false),
    ] {
        state.system.firewalld_daemon = Daemon::Stopped(how.to_string());
        state.system.firewalld_enabled = enabled;
        let chosen = chosen(&state);
        assert_eq!(
            matches!(chosen, Some(Recovery::Start { .. })),
            starts,
            "{how} {enabled}: {chosen:?}"
        );
    }
}

#[test]
fn exactly_what_cannot_be_loaded_is_set_aside_and_told() {
    let state = one("whitelisted");
    let permanent = state.permanent.direct.known().unwrap().clone();
    let (chains, rules) = (permanent.chains.len(), permanent.rules.len());
    assert!(chains > 1 && rules > 3);
    let aside = vec![(chains + 2, "why not".to_string())];
    let (out, kept) = parted(&permanent, &aside);
    assert_eq!(
        (out.chains.len(), &out.rules[..]),
        (0, &permanent.rules[2..3])
    );
    assert_eq!((kept.chains.len(), kept.rules.len()), (chains, rules - 1));
    let unfail = Recovery::Unfail {
        subnets: Vec::new(),
        permanent,
    };
    let changes = unfail.changes(&aside);
    assert_eq!(changes.len(), 2, "{changes:#?}");
    let findings = unfail.findings(&aside, Some(7));
    assert_eq!(findings.len(), 1);
    assert!(findings[0].text.contains("why not"), "{findings:#?}");
    let hint = findings[0].hint.as_deref().unwrap();
    assert!(
        hint.contains("--add-rule ") && hint.contains("snapshots/7/"),
        "{hint}"
    );
}
