//! The cost of planning is linear in the number of rules: a plan of 5,000 peers is compared with one of 500, in comparisons, parsed
//! words and pieces of address ranges. A time would measure the machine; a count measures the code.
//!
//! Seen to fail with a search through all rules for each rule: each forward in `backend_rules::reloaded` (47 times), each added rule
//! in `simulate::add_rule` (85 times), each rule of table nat that a walk meets and each forward in `blocked_peers` (44 times).

use crate::model::Cidr;
use crate::model::CtState;
use crate::model::Desired;
use crate::model::DirectRule;
use crate::model::Family;
use crate::model::Ipsets;
use crate::model::Match;
use crate::model::NodeState;
use crate::model::Observed;
use crate::model::RichRule;
use crate::model::RichSource;
use crate::model::Rule;
use crate::model::Sense;
use crate::model::Target;
use crate::model::backend::Forward;
use crate::model::node_builder::cybex_attachment;
use crate::model::node_builder::cybex_network;
use crate::model::state::Chain;
use crate::model::state::Container;
use crate::model::state::Endpoint;
use crate::model::state::KernelRule;
use crate::model::tally;
use crate::node;
use crate::plan::Action;
use crate::plan::Allowed;
use crate::plan::Plan;
use crate::plan::Reload;
use crate::plan::plan;
use crate::plan::simulate;
use crate::probe::observe;

/// Ten times the peers may cost at most this many times the operations.
const LIMIT: u64 = 30;

const FEW: usize = 500;
const MANY: usize = 5_000;

const SUBNET: &str = "172.20.0.0/16";
const CONTAINER: &str = "172.20.0.2";

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

/// One rule of the whitelist.
fn ours(priority: i32, matches: Vec<Match>, target: Target) -> DirectRule {
    let rule = Rule::new(matches, target).with_comment("fwdeploy:cybex/p2p");
    DirectRule::ours(Family::V4, priority, &rule)
}

/// A role with this many peers, each of them inbound and outbound.
fn desired(peers: usize) -> Desired {
    let is = |make: fn(Sense, Cidr) -> Match, net: &str| make(Sense::Is, cidr(net));
    let not = |make: fn(Sense, Cidr) -> Match| make(Sense::Not, cidr(SUBNET));
    let state = |states: &[CtState]| Match::State(Sense::Is, states.iter().copied().collect());
    let service = || {
        [
            Match::Protocol(Sense::Is, "tcp".into()),
            Match::DestinationPort(Sense::Is, 5000, 5000),
        ]
    };
    // Every second address, because neighbours would be merged into one network.
    let peer = |n: usize| format!("10.{}.{}.{}", n / 16_384, n / 128 % 128, n % 128 * 2);
    let mut rules = vec![ours(
        0,
        vec![state(&[CtState::Related, CtState::Established])],
        Target::Accept,
    )];
    rules.extend((0..peers).map(|n| {
        let mut matches = vec![
            is(Match::Source, &peer(n)),
            is(Match::Destination, CONTAINER),
            state(&[CtState::Dnat]),
        ];
        matches.extend(service());
        ours(100, matches, Target::Accept)
    }));
    rules.extend((0..peers).map(|n| {
        let mut matches = vec![
            is(Match::Source, CONTAINER),
            is(Match::Destination, &peer(n)),
        ];
        matches.extend(service());
        ours(200, matches, Target::Accept)
    }));
    rules.push(ours(
        900,
        vec![is(Match::Destination, SUBNET), not(Match::Source)],
        Target::Reject(None),
    ));
    rules.push(ours(
        1000,
        vec![is(Match::Source, SUBNET), not(Match::Destination)],
        Target::Reject(None),
    ));
    let mut rich: Vec<RichRule> = (0..peers)
        .map(|n| RichRule::Forward {
            family: Family::V4,
            source: Some(cidr(&peer(n)).into()),
            service: "5000/tcp".parse().unwrap(),
            to_ports: "5000".parse().unwrap(),
            to: CONTAINER.parse().unwrap(),
        })
        .collect();
    rich.sort();
    Desired {
        networks: vec![cybex_network()],
        attachments: vec![cybex_attachment("cybex")],
        rules,
        rich,
        // What a rule for each peer costs.
        ipsets: Ipsets::Never,
        ..Desired::default()
    }
}

/// The captured node on which nothing was done yet.
fn fresh(node: &str) -> NodeState {
    let stdout: &[u8] = match node {
        "nftables" => include_bytes!("../../tests/captures/bookworm-nftables/fresh.stdout"),
        _ => include_bytes!("../../tests/captures/bookworm-iptables/fresh.stdout"),
    };
    observe(stdout, &[]).unwrap()
}

/// The node on which all that is wanted was done.
fn as_wanted(node: &str, desired: &Desired) -> NodeState {
    let mut state = fresh(node);
    for action in plan(&state, desired, &allowed(Reload::Always)).actions {
        state = simulate(&state, &action);
    }
    // What firewalld itself makes of the forwards.
    let firewalld = state.firewalld.known().unwrap().backend.clone();
    match &mut state.kernel.backend {
        Some(Observed::Known(backend)) if firewalld == "nftables" => {
            backend.forwards = desired.rich.iter().map(forward).collect();
        }
        _ => {
            let nat = state.kernel.v4.known_mut().unwrap();
            let nat = nat.tables.entry("nat".into()).or_default();
            let chain = Chain {
                policy: None,
                rules: desired.rich.iter().map(dnat).collect(),
            };
            nat.insert("PRE_public_allow".into(), chain);
        }
    }
    state
}

fn parts(rule: &RichRule) -> (Cidr, std::net::IpAddr) {
    match rule {
        RichRule::Forward {
            source: Some(RichSource::Net(source)),
            to,
            ..
        } => (*source, *to),
        _ => panic!("no forward of one peer"),
    }
}

fn forward(rule: &RichRule) -> Forward {
    Forward {
        chain: "nat_PRE_public_allow".into(),
        text: rule.to_string(),
        reached: true,
        to: Some(parts(rule).1),
        rule: Some(rule.clone()),
    }
}

fn dnat(rule: &RichRule) -> KernelRule {
    let (source, to) = parts(rule);
    KernelRule::new(format!(
        "-s {source} -p tcp -m tcp --dport 5000 -j DNAT --to-destination {to}:5000"
    ))
}

fn allowed(reload: Reload) -> Allowed {
    Allowed {
        reload,
        ..Allowed::default()
    }
}

/// What is measured, and on which node.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    node: &'static str,
    /// The state that is planned for, and the policy.
    before: fn(&str, usize) -> (NodeState, Desired),
    reload: Reload,
    /// Whether there is something to do.
    acts: bool,
}

const CASES: [Case; 5] = [
    Case {
        name: "first run, by one reload",
        node: "nftables",
        before: |node, peers| (fresh(node), desired(peers)),
        reload: Reload::Auto,
        acts: true,
    },
    Case {
        name: "first run, rule by rule",
        node: "nftables",
        before: |node, peers| (fresh(node), desired(peers)),
        reload: Reload::Never,
        acts: true,
    },
    Case {
        name: "as wanted, nftables",
        node: "nftables",
        before: |node, peers| (as_wanted(node, &desired(peers)), desired(peers)),
        reload: Reload::Auto,
        acts: false,
    },
    Case {
        name: "as wanted, iptables",
        node: "iptables",
        before: |node, peers| (as_wanted(node, &desired(peers)), desired(peers)),
        reload: Reload::Auto,
        acts: false,
    },
    Case {
        name: "half of the peers leave, rule by rule",
        node: "iptables",
        before: |node, peers| (as_wanted(node, &desired(peers)), desired(peers / 2)),
        reload: Reload::Never,
        acts: true,
    },
];

/// What is counted: the plan, its findings, how much of it is satisfied, and the script that applies it.
fn planned(state: &NodeState, desired: &Desired, allowed: &Allowed) -> Plan {
    let plan = plan(state, desired, allowed);
    plan.changes();
    plan.satisfied(desired, state);
    node::apply(&plan.actions);
    plan
}

/// The operations of one case with this many peers.
fn cost(case: &Case, peers: usize) -> u64 {
    let (state, desired) = (case.before)(case.node, peers);
    let mut plan = Plan::default();
    let count = tally::count(|| plan = planned(&state, &desired, &allowed(case.reload)));
    let refused: Vec<_> = plan.refusals().collect();
    assert!(refused.is_empty(), "{}: {refused:?}", case.name);
    assert_eq!(!plan.is_empty(), case.acts, "{}", case.name);
    count
}

#[test]
fn ten_times_the_peers_cost_at_most_thirty_times_the_operations() {
    let mut wrong = Vec::new();
    for case in &CASES {
        let (few, many) = (cost(case, FEW), cost(case, MANY));
        let told = format!(
            "{}: {few} for {FEW} peers, {many} for {MANY} ({} times)",
            case.name,
            many / few
        );
        println!("{told}");
        if many > few * LIMIT {
            wrong.push(told);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A run of thousands of calls would not end before it has to be confirmed.
#[test]
fn many_calls_are_one_reload_and_with_a_container_that_moves_very_many_are() {
    let reloads = |peers: usize, moves: bool| {
        let mut state = fresh("nftables");
        let docker = state.docker.known_mut().unwrap();
        docker.containers.clear();
        if moves {
            docker.containers.push(Container {
                name: "cybex".to_string(),
                id: "c1".to_string(),
                running: true,
                status: "running".to_string(),
                network_mode: "bridge".to_string(),
                endpoints: vec![Endpoint {
                    network: "bridge".to_string(),
                    address: Some("172.17.0.2".parse().unwrap()),
                    ..Endpoint::default()
                }],
                ..Container::default()
            });
        }
        let plan = plan(&state, &desired(peers), &allowed(Reload::Auto));
        let is_move = |action: &Action| matches!(action, Action::Connect { .. });
        assert_eq!(plan.actions.iter().any(is_move), moves, "{peers}");
        plan.actions
            .iter()
            .any(|action| matches!(action, Action::Reload { .. }))
    };
    // Three calls for each peer.
    for (peers, moves, wanted) in [
        (80, false, false),
        (84, false, true),
        (84, true, false),
        (330, true, false),
        (340, true, true),
    ] {
        assert_eq!(reloads(peers, moves), wanted, "{peers} {moves}");
    }
}
