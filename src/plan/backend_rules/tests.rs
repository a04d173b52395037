use super::*;
use crate::model::node_builder::NodeBuilder;
use crate::model::node_builder::cybex_network;
use crate::model::state::Daemon;
use crate::model::state::Observed;
use crate::model::state::RichText;
use crate::model::state::System;
use crate::plan::action::Action;
use crate::plan::diagnosis::Trouble;
use crate::plan::diagnosis::diagnose;
use crate::plan::preflight;
use crate::plan::simulate::simulate;

const PEER: &str = "192.0.2.7";
const OTHER: &str = "192.0.2.8";

/// The rich rule that forwards a peer.
fn rich(peer: &str, port: u16) -> RichRule {
    RichRule::parse(&format!(
        r#"rule family="ipv4" source address="{peer}" forward-port port="{port}" protocol="tcp" to-port="{port}" to-addr="172.20.0.2""#
    ))
}

fn forward(chain: &str, text: &str, rule: Option<RichRule>) -> Forward {
    let to = text.rsplit(' ').next().and_then(|to| to.split(':').next());
    Forward {
        chain: chain.to_string(),
        text: text.to_string(),
        reached: true,
        to: to.and_then(|to| to.parse().ok()),
        rule,
    }
}

/// As firewalld makes it of the rich rule.
fn made_of(peer: &str, port: u16) -> Forward {
    forward(
        "nat_PRE_public_allow",
        &format!("ip saddr {peer} tcp dport {port} dnat ip to 172.20.0.2:{port}"),
        Some(rich(peer, port)),
    )
}

fn desired() -> Desired {
    Desired {
        networks: vec![cybex_network()],
        attachments: Vec::new(),
        rules: Vec::new(),
        rich: vec![rich(PEER, 5000)],
        ..Desired::default()
    }
}

/// A node whose firewalld believes in these, and whose kernel holds those.
fn node(memory: &[RichRule], forwards: Vec<Forward>) -> NodeState {
    let memory: Vec<RichText> = memory.iter().map(RichText::from).collect();
    NodeBuilder::new()
        .system(System {
            firewalld_daemon: Daemon::Running,
            ..System::default()
        })
        .rich(&memory)
        .backend(Backend {
            forwards,
            ..Backend::default()
        })
        .build()
}

/// The codes of the findings on a node.
fn found(state: &NodeState) -> Vec<&'static str> {
    let ours = Ours::new(&desired(), state);
    let refused = diagnose(&desired(), state);
    let of_tables = |trouble: &&Trouble| {
        matches!(
            trouble,
            Trouble::FirewalldDoubled { .. } | Trouble::FirewalldFlushed(_)
        )
    };
    let refused = refused.iter().filter(of_tables).map(preflight::finding);
    let troubles = troubles(&desired(), state, &ours);
    refused
        .chain(troubles)
        .map(|found| found.code.as_str())
        .collect()
}

fn backend_of(state: &mut NodeState) -> &mut Backend {
    state.kernel.backend.as_mut().unwrap().known_mut().unwrap()
}

#[test]
fn what_the_kernel_holds_as_firewalld_believes_is_nothing_to_say() {
    let own = rich(PEER, 5000);
    assert!(found(&node(&[own], vec![made_of(PEER, 5000)])).is_empty());
    // A forward that firewalld does not have yet is added by the plan.
    assert!(found(&node(&[], Vec::new())).is_empty());
}

#[test]
fn rules_that_are_there_twice_are_refused_and_an_emptied_table_is_a_flushed_one() {
    let mut state = node(&[rich(PEER, 5000)], vec![made_of(PEER, 5000)]);
    backend_of(&mut state).doubled = vec!["filter_INPUT".into()];
    assert_eq!(found(&state), ["firewalld-doubled"]);
    backend_of(&mut state).doubled.clear();
    backend_of(&mut state).bare = vec!["filter_INPUT".into()];
    assert_eq!(found(&state), ["firewalld-flushed"]);
}

#[test]
fn a_forward_that_firewalld_believes_in_and_no_packet_meets_is_lost() {
    let memory = [rich(PEER, 5000)];
    assert_eq!(found(&node(&memory, Vec::new())), ["forward-lost"]);
    // A forward for another peer does not count.
    let seen = vec![made_of(OTHER, 5000)];
    assert!(found(&node(&[memory[0].clone(), rich(OTHER, 5000)], seen)).contains(&"forward-lost"));
    let mut unreached = made_of(PEER, 5000);
    unreached.reached = false;
    assert_eq!(found(&node(&memory, vec![unreached])), ["forward-lost"]);
    // A rule with more matches that leads there may be the one.
    let more = "ip saddr 192.0.2.7 ip daddr 198.51.100.1 tcp dport 5000 dnat ip to 172.20.0.2";
    let seen = node(&memory, vec![forward("nat_PRE_public_allow", more, None)]);
    assert!(!found(&seen).contains(&"forward-lost"));
}

#[test]
fn a_forward_to_a_managed_address_that_firewalld_does_not_know_is_open() {
    let memory = [rich(PEER, 5000)];
    let with = |forward: Forward| node(&memory, vec![made_of(PEER, 5000), forward]);
    assert_eq!(found(&with(made_of(OTHER, 5000))), ["forward-left"]);
    assert_eq!(found(&with(made_of(PEER, 8090))), ["forward-left"]);
    let all = "tcp dport 5000-5010 dnat ip to 172.20.0.9";
    assert_eq!(
        found(&with(forward("nat_PRE_work_allow", all, None))),
        ["forward-left"]
    );
    let elsewhere = "tcp dport 80 dnat ip to 10.0.0.9";
    assert!(found(&with(forward("nat_PRE_public_allow", elsewhere, None))).is_empty());
    // A forward of another zone that firewalld knows: by a rich rule, by a forward port, in a policy.
    for (kind, key, value) in [
        ("zone", "rules_str", rich(OTHER, 5000).to_string()),
        ("policy", "rich_rules", rich(OTHER, 5000).to_string()),
        (
            "zone",
            "forward_ports",
            "port=5000:proto=tcp:toport=5000:toaddr=172.20.0.2".to_string(),
        ),
    ] {
        let mut state = with(made_of(OTHER, 5000));
        let settings = state.runtime.settings.known_mut().unwrap();
        let all = if kind == "zone" {
            &mut settings.zones
        } else {
            &mut settings.policies
        };
        all.insert("work".into(), [(key, value)].into_iter().collect());
        assert!(found(&state).is_empty(), "{kind} {key}");
    }
}

#[test]
fn a_forward_of_the_same_port_to_elsewhere_counts_only_ahead_and_for_the_same_peers() {
    let memory = [rich(PEER, 5000)];
    let to = |source: &str| {
        let text = format!("{source}tcp dport 5000 dnat ip to 10.0.0.9:5000");
        let address = match source.split(' ').nth(2) {
            Some(net) => format!(r#"source address="{net}" "#),
            None => String::new(),
        };
        let rule = format!(
            r#"rule family="ipv4" {address}forward-port port="5000" protocol="tcp" to-port="5000" to-addr="10.0.0.9""#
        );
        forward("nat_PRE_public_allow", &text, Some(RichRule::parse(&rule)))
    };
    for (source, ahead, says) in [
        ("", true, true),
        ("ip saddr 192.0.2.0/24 ", true, true),
        ("ip saddr 192.0.2.8 ", true, false),
        ("", false, false),
    ] {
        let mut forwards = vec![to(source), made_of(PEER, 5000)];
        if !ahead {
            forwards.reverse();
        }
        let said = found(&node(&memory, forwards)).contains(&"forward-behind");
        assert_eq!(said, says, "{source:?} ahead: {ahead}");
    }
}

#[test]
fn what_could_not_be_read_is_said_and_what_was_not_asked_is_not() {
    let mut state = node(&[rich(PEER, 5000)], Vec::new());
    state.kernel.backend = Some(Observed::Unreadable("nft is not installed".into()));
    assert_eq!(found(&state), ["forwards-unread"]);
    // The other backend is seen in iptables.
    state.firewalld.known_mut().unwrap().backend = "iptables".into();
    assert!(found(&state).is_empty());
    let mut state = node(&[rich(PEER, 5000)], Vec::new());
    state.kernel.backend = None;
    assert!(found(&state).is_empty());
}

#[test]
fn after_each_step_the_tables_are_as_firewalld_believes() {
    let state = node(&[], Vec::new());
    let zone = "public".to_string();
    let add = Action::AddRich {
        zone: zone.clone(),
        rule: RichText::from(&rich(PEER, 5000)),
    };
    let added = simulate(&state, &add);
    assert!(found(&added).is_empty());
    assert_eq!(
        added
            .kernel
            .backend
            .as_ref()
            .unwrap()
            .known()
            .unwrap()
            .forwards
            .len(),
        1
    );
    let remove = Action::RemoveRich {
        zone,
        rule: RichText::from(&rich(PEER, 5000)),
    };
    assert_eq!(simulate(&added, &remove), state);
    // A reload begins afresh.
    let mut wild = node(&[rich(PEER, 5000)], vec![made_of(OTHER, 5000)]);
    backend_of(&mut wild).doubled = vec!["filter_INPUT".into()];
    assert_eq!(
        found(&wild),
        ["firewalld-doubled", "forward-left", "forward-lost"]
    );
    let reload = Action::Reload {
        subnets: Vec::new(),
    };
    assert!(found(&simulate(&wild, &reload)).is_empty());
}
