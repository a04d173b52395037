//! Every way in which the counters of the guards are shown.

use std::time::Duration;

use fwdeploy::engine::Failure;
use fwdeploy::engine::FailureCode;
use fwdeploy::engine::NotBegun;
use fwdeploy::engine::Outcome;
use fwdeploy::engine::Stage;
use fwdeploy::engine::Verdict;
use fwdeploy::model::Attachment;
use fwdeploy::model::Desired;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::model::docker::Docker;
use fwdeploy::model::docker::Network;
use fwdeploy::model::guard::GuardState;
use fwdeploy::model::guard::NftVersion;
use fwdeploy::probe;
use fwdeploy::report::usage::NodeUsage;
use fwdeploy::report::usage::Tally;
use fwdeploy::report::usage::UsageDocument;
use fwdeploy::report::usage::peers;
use fwdeploy::report::usage::peers::Peers;
use fwdeploy::report::usage::peers::Shown;
use fwdeploy::report::usage::refused;
use fwdeploy::report::usage::refused::Refused;

use crate::support::node_builder::NodeBuilder;

/// As `tests/captures/guard/take` found them after it had sent its packets.
const BOOKWORM: &str = include_str!("../captures/guard/bookworm-used.json");
const BULLSEYE: &str = include_str!("../captures/guard/bullseye-used.json");

const ELAPSED: Duration = Duration::from_millis(800);

/// A node whose nft has listed this.
fn state(nft: NftVersion, listed: Option<&str>) -> NodeState {
    let mut state = NodeBuilder::new().build();
    state.kernel.guard = GuardState {
        nft: Some(nft),
        table: Observed::Known(listed.map(|text| probe::guard::table(text).unwrap())),
        usage: Observed::Known(
            listed.map_or_else(Default::default, |text| probe::guard::usage(text).unwrap()),
        ),
        ..GuardState::default()
    };
    // Its bridges are how the node is known to have these addresses.
    let docker = Docker {
        networks: vec![Network {
            name: "cybex".to_string(),
            driver: "bridge".to_string(),
            gateways: ["172.31.8.1", "fd00:8::1", "192.0.2.1"]
                .map(|text| text.parse().unwrap())
                .into(),
            ..Network::default()
        }],
        ..Docker::default()
    };
    state.docker = Observed::Known(docker);
    state
}

fn desired() -> Desired {
    let attachment = |container: &str, address: &str, address6: Option<&str>| Attachment {
        role: "cybex".to_string(),
        container: container.to_string(),
        network: "cybex".to_string(),
        address: address.parse().unwrap(),
        address6: address6.map(|address| address.parse().unwrap()),
    };
    Desired {
        attachments: vec![
            attachment("cybex", "172.31.8.9", Some("fd00:8::9")),
            attachment("\u{1b}[2Jeos", "172.31.9.2", None),
        ],
        ..Desired::default()
    }
}

fn node(name: &str, state: &NodeState) -> NodeUsage {
    let outcome = Outcome::new(name, Verdict::Ok);
    NodeUsage::of(outcome, Some(state), Some(&desired()))
}

/// The same table with a network in audit: it has one chain more.
fn audited() -> String {
    let mut listed: serde_json::Value = serde_json::from_str(BOOKWORM).unwrap();
    let chain = serde_json::json!({"chain": {"family": "inet", "table": "fwdeploy", "name": "audited", "handle": 99}});
    let objects = listed["nftables"].as_array_mut().unwrap();
    let first = objects
        .iter()
        .position(|object| object.get("chain").is_some());
    objects.insert(first.unwrap(), chain);
    listed.to_string()
}

/// A node of each kind.
fn nodes() -> Vec<NodeUsage> {
    let down = Failure::new(
        Stage::Connecting,
        FailureCode::ConnectionRefused,
        "cannot connect to node `cyb-8`: connection refused",
    );
    let mut without_nft = state(NftVersion(1, 0, 6), None);
    without_nft.kernel.guard.nft = None;
    let mut unreadable = state(NftVersion(1, 0, 6), None);
    unreadable.kernel.guard.table = Observed::Unreadable("timed out\u{1b} after 10 s".to_string());
    unreadable.system.uid = 1000;
    let down = Outcome::new("cyb-8", Verdict::Ok).failed(down);
    let skipped = Outcome::not_begun("cyb-9", NotBegun::Stopped);
    vec![
        node("cyb-1", &state(NftVersion(1, 0, 6), Some(BOOKWORM))),
        node("cyb-2", &state(NftVersion(1, 0, 6), Some(BOOKWORM))),
        node("cyb-3", &state(NftVersion(0, 9, 8), Some(BULLSEYE))),
        // nft was upgraded, and no run has replaced the table since.
        node("cyb-4", &state(NftVersion(1, 1, 3), Some(BULLSEYE))),
        node("cyb-5", &without_nft),
        node("cyb-6", &state(NftVersion(1, 0, 6), None)),
        node("cyb-7", &unreadable),
        NodeUsage::of(down, None, None),
        NodeUsage::of(skipped, None, None),
        node("cyb-10", &state(NftVersion(1, 0, 6), Some(&audited()))),
    ]
}

/// The nodes are given in reverse: whichever was read first, they are in their order.
fn peers_document(nodes: &[NodeUsage], which: Shown, elapsed: Duration, code: u8) -> String {
    let mut bytes = Vec::new();
    let mut document = UsageDocument::begin(&mut bytes, Peers(which)).unwrap();
    for (at, node) in nodes.iter().enumerate().rev() {
        document.put(at, node).unwrap();
    }
    document.end(elapsed, code).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// As [`peers_document`].
fn refused_document(nodes: &[NodeUsage], top: usize, elapsed: Duration, code: u8) -> String {
    let mut bytes = Vec::new();
    let mut document = UsageDocument::begin(&mut bytes, Refused::top(top)).unwrap();
    for (at, node) in nodes.iter().enumerate().rev() {
        document.put(at, node).unwrap();
    }
    document.end(elapsed, code).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn who_was_seen_is_said_in_lines() {
    insta::assert_snapshot!(plain(&peers::text(&nodes(), Shown::All, ELAPSED)));
}

#[test]
fn who_was_never_seen_is_said_alone() {
    let text = plain(&peers::text(&nodes()[..3], Shown::Unused, ELAPSED));
    insta::assert_snapshot!(text);
}

#[test]
fn what_was_refused_is_said_in_lines_that_can_be_pasted() {
    insta::assert_snapshot!(plain(&refused::text(&nodes(), 5, ELAPSED)));
}

#[test]
fn the_fleet_is_told_apart_only_if_there_is_one() {
    let text = plain(&refused::text(&nodes()[..1], 20, ELAPSED));
    assert!(
        !text.contains("over the fleet") && !text.contains("more"),
        "{text}"
    );
    let both = plain(&refused::text(&nodes()[..2], 20, ELAPSED));
    let line = both
        .lines()
        .find(|line| line.contains("2 nodes") && line.contains(":443"));
    assert!(
        line.is_some_and(|line| line.contains("10 packets")),
        "{both}"
    );
}

#[test]
fn what_can_be_pasted_is_read_as_the_peer_that_it_is() {
    let document: serde_json::Value =
        serde_json::from_str(&refused_document(&nodes()[..1], 20, ELAPSED, 0)).unwrap();
    let text = plain(&refused::text(&nodes()[..1], 20, ELAPSED));
    let flows = document["nodes"][0]["refused"].as_array().unwrap();
    assert_eq!(flows.len(), 13);
    for (flow, line) in flows.iter().zip(text.lines().skip(1)) {
        let Some(peer) = flow["entry"]["peer"].as_str() else {
            continue;
        };
        let shown = line
            .split("  ")
            .filter(|cell| !cell.is_empty())
            .nth(1)
            .unwrap();
        let read: Vec<String> = serde_yaml::from_str(&format!("- {}", shown.trim())).unwrap();
        assert_eq!(read, [peer], "{line}");
        assert!(peer == "node" || peer.parse::<fwdeploy::model::Peer>().is_ok());
    }
}

#[test]
fn a_script_reads_who_was_seen() {
    let some = [
        nodes().swap_remove(0),
        nodes().swap_remove(2),
        nodes().swap_remove(6),
    ];
    insta::assert_snapshot!(peers_document(&some, Shown::Unused, ELAPSED, 1));
}

#[test]
fn a_script_reads_what_was_refused() {
    let some = [
        nodes().swap_remove(0),
        nodes().swap_remove(2),
        nodes().swap_remove(7),
    ];
    insta::assert_snapshot!(refused_document(&some, 2, ELAPSED, 4));
}

#[test]
fn no_text_of_a_node_reaches_the_terminal_raw() {
    let all = [
        plain(&peers::text(&nodes(), Shown::All, ELAPSED)),
        plain(&refused::text(&nodes(), 20, ELAPSED)),
        peers_document(&nodes(), Shown::All, ELAPSED, 0),
        refused_document(&nodes(), 20, ELAPSED, 0),
    ];
    for text in all {
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn a_full_memory_is_said() {
    let mut full = state(NftVersion(1, 0, 6), Some(BOOKWORM));
    let usage = full.kernel.guard.usage.known_mut().unwrap();
    let one = usage.refused[0].clone();
    usage.refused.resize(4200, one);
    let full = [node("cyb-1", &full)];
    let text = plain(&refused::text(&full, 1, ELAPSED));
    assert!(
        text.starts_with(
            "cyb-1: 4200 flows refused, and perhaps others for which there was no room\n"
        ),
        "{text}"
    );
    assert!(text.contains("  … and 4199 more (`--top`)\n"), "{text}");
    assert!(refused_document(&full, 1, ELAPSED, 0).contains("\"complete\": false"));
}

#[test]
fn the_exit_code_is_that_of_the_manual() {
    let all = nodes();
    assert_eq!(Tally::of(&all[..6]).exit_code(), 0);
    assert_eq!(Tally::of(&all[..7]).exit_code(), 1);
    assert_eq!(Tally::of(&all[..8]).exit_code(), 4);
    assert_eq!(Tally::of(&all[8..]).exit_code(), 0);
}
