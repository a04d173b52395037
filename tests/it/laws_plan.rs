//! The laws of planning (docs/architecture.md): Rest, Enforced, Return, Silence, Ours only, Open door.
//!
//! Each was seen to fail with the code it guards broken on purpose: Rest without `settle` after the additions; Enforced
//! with `admitted` ignored in `firewall::chain_lines`, and with `admits` ignored in `firewall::jump`; Return with `AddRule` as its own undo; Silence with the
//! runtime rich rules left out of `inspect::unreadable`; Ours only with `merged` dropping what it does not know, and with no
//! step ever refused for an edited file; Open door without `locks_out`, and with each of the direct rules, the rich rules and the sources left out of `plan::ssh`.

use std::collections::BTreeMap;

use crate::support::as_told::files_as_told;
use crate::support::node_builder::NodeBuilder;
use crate::support::node_builder::cybex_attachment;
use crate::support::node_builder::cybex_network;
use fwdeploy::model::CHAIN;
use fwdeploy::model::Cidr;
use fwdeploy::model::CtState;
use fwdeploy::model::Desired;
use fwdeploy::model::DirectRule;
use fwdeploy::model::Family;
use fwdeploy::model::File;
use fwdeploy::model::Files;
use fwdeploy::model::Ipsets;
use fwdeploy::model::Match;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::model::RichRule;
use fwdeploy::model::RichSource;
use fwdeploy::model::Rule;
use fwdeploy::model::Sense;
use fwdeploy::model::Settings;
use fwdeploy::model::Target;
use fwdeploy::model::ipset::IpSetEntry;
use fwdeploy::model::ipset::IpSets;
use fwdeploy::model::ipset::SetViews;
use fwdeploy::model::rule::Passthrough;
use fwdeploy::model::settings::Options;
use fwdeploy::model::state::*;
use fwdeploy::plan::Action;
use fwdeploy::plan::Allowed;
use fwdeploy::plan::FindingCode;
use fwdeploy::plan::Permission;
use fwdeploy::plan::Plan;
use fwdeploy::plan::Reload;
use fwdeploy::plan::Severity;
use fwdeploy::plan::fold_into_sets;
use fwdeploy::plan::ownership::Ours;
use fwdeploy::plan::plan;
use fwdeploy::plan::rollback_plan::rollback_plan;
use fwdeploy::plan::simulate;
use fwdeploy::policy::evaluate::Evaluation;
use fwdeploy::policy::evaluate::Flow;
use fwdeploy::policy::evaluate::Packet;
use fwdeploy::policy::evaluate::PacketVerdict;
use fwdeploy::policy::evaluate::Rewritten;
use fwdeploy::policy::evaluate::evaluate;
use proptest::prelude::*;
use proptest::sample::subsequence;

pub(super) const SUBNET: &str = "172.20.0.0/16";
pub(super) const CONTAINER: &str = "172.20.0.2";

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn ours(priority: i32, matches: Vec<Match>, target: Target, what: &str) -> DirectRule {
    let rule = Rule::new(matches, target).with_comment(format!("fwdeploy:cybex/{what}"));
    DirectRule::ours(Family::V4, priority, &rule)
}

fn source(text: &str) -> Match {
    Match::Source(Sense::Is, cidr(text))
}

fn destination(text: &str) -> Match {
    Match::Destination(Sense::Is, cidr(text))
}

/// What a role with these peers, in and out, compiles to.
pub(super) fn desired(inbound: &[u8], outbound: &[u8]) -> Desired {
    let tcp = || Match::Protocol(Sense::Is, "tcp".into());
    let port = |n| Match::DestinationPort(Sense::Is, n, n);
    let state = |s: &[CtState]| Match::State(Sense::Is, s.iter().copied().collect());
    let mut rules = vec![ours(
        0,
        vec![state(&[CtState::Related, CtState::Established])],
        Target::Accept,
        "established",
    )];
    let mut rich = Vec::new();
    for n in inbound {
        let peer = format!("192.0.2.{n}");
        rules.push(ours(
            100,
            vec![
                source(&peer),
                destination(CONTAINER),
                tcp(),
                port(5000),
                state(&[CtState::Dnat]),
            ],
            Target::Accept,
            "p2p",
        ));
        rich.push(RichRule::Forward {
            family: Family::V4,
            source: Some(RichSource::Net(cidr(&peer))),
            service: "5000/tcp".parse().unwrap(),
            to_ports: "5000".parse().unwrap(),
            to: CONTAINER.parse().unwrap(),
        });
    }
    for n in outbound {
        let peer = format!("198.51.100.{n}");
        rules.push(ours(
            200,
            vec![source(CONTAINER), destination(&peer)],
            Target::Accept,
            "trusted",
        ));
    }
    let not = |m: fn(Sense, Cidr) -> Match| m(Sense::Not, cidr(SUBNET));
    let forged = vec![
        Match::In(Sense::Is, "br-cybex".into()),
        Match::Out(Sense::Not, "br-cybex".into()),
        not(Match::Source),
    ];
    rules.insert(1, ours(40, forged, Target::Drop, "forged"));
    rules.push(ours(
        900,
        vec![destination(SUBNET), not(Match::Source)],
        Target::Reject(None),
        "otherwise-in",
    ));
    rules.push(ours(
        1000,
        vec![source(SUBNET), not(Match::Destination)],
        Target::Reject(None),
        "otherwise-out",
    ));
    rich.sort();
    Desired {
        networks: vec![cybex_network()],
        attachments: vec![cybex_attachment("cybex")],
        rules,
        rich,
        ..Desired::default()
    }
}

/// Foreign rules, in DOCKER-USER or elsewhere.
pub(super) fn foreign() -> Vec<DirectRule> {
    let rule = |chain: &str, priority, text: &str| DirectRule {
        family: Some(Family::V4),
        table: "filter".into(),
        chain: chain.into(),
        priority,
        args: text.split(' ').map(String::from).collect(),
    };
    vec![
        rule(CHAIN, 0, "-s 10.9.0.0/16 -j DROP"),
        rule(CHAIN, 2000, "-s 10.8.0.0/16 -j ACCEPT"),
        rule(CHAIN, 5, "-p tcp -m limit --limit 5/min -j LOG"),
        rule(CHAIN, 7, ODD),
        rule(CHAIN, 0, LIST),
        rule(CHAIN, 1500, ODD_LIST),
        rule("INPUT", 0, "-s 10.7.0.1 -j ACCEPT"),
        rule("INPUT", 1, NO_SSH),
    ]
}

/// Foreign rules that the kernel prints in other words, and in several lines.
const ODD: &str = "-p tcp --dport https --syn -j LOG --log-level warning";
const LIST: &str = "-s 10.5.0.1,10.5.0.2 -d 192.0.2.1 -j DROP";
const ODD_LIST: &str = "-s peer.example -j ACCEPT";

/// How the kernel prints those.
fn printed() -> BTreeMap<Vec<String>, Vec<String>> {
    let lines = |text: &str, lines: &[&str]| {
        let words = text.split(' ').map(String::from).collect();
        (words, lines.iter().map(ToString::to_string).collect())
    };
    BTreeMap::from([
        lines(
            ODD,
            &["-p tcp -m tcp --dport 443 --tcp-flags FIN,SYN,RST,ACK SYN -j LOG"],
        ),
        lines(
            LIST,
            &[
                "-s 10.5.0.1/32 -d 192.0.2.1/32 -j DROP",
                "-s 10.5.0.2/32 -d 192.0.2.1/32 -j DROP",
            ],
        ),
        lines(
            ODD_LIST,
            &["-s 10.4.0.1/32 -j ACCEPT", "-s 10.4.0.2/32 -j ACCEPT"],
        ),
    ])
}

/// A line of the kernel, also one that was written there as it was typed.
fn read(line: &str) -> Rule {
    let words: Vec<String> = line.split(' ').map(String::from).collect();
    let printed = printed().remove(&words);
    Rule::parse_text(printed.as_ref().map_or(line, |lines| &lines[0])).unwrap()
}

/// A rule that asks a set, as the kernel decides by it: a rule for each entry that it holds.
fn each_entry(rule: Rule, state: &NodeState) -> Vec<Rule> {
    let asked = rule.matches().find_map(Match::as_set);
    let Some((name, ends)) = asked.map(|(name, ends)| (name.to_string(), ends.to_string())) else {
        return vec![rule];
    };
    let rest: Vec<Match> = rule
        .matches()
        .filter(|m| m.as_set().is_none())
        .cloned()
        .collect();
    let end = |net| match ends.as_str() {
        "src" => Match::Source(Sense::Is, net),
        _ => Match::Destination(Sense::Is, net),
    };
    let entries = state.sets.kernel.known().unwrap()[&name].entries.iter();
    let more = |entry: &IpSetEntry| match entry {
        IpSetEntry::Net(net) => vec![end(*net)],
        IpSetEntry::Port(address, protocol, port) => vec![
            end(Cidr::host(*address)),
            Match::Protocol(Sense::Is, protocol.name().to_string()),
            Match::DestinationPort(Sense::Is, *port, *port),
        ],
    };
    entries
        .map(|entry| Rule::new(rest.iter().cloned().chain(more(entry)), rule.target.clone()))
        .collect()
}

/// A foreign rule that shuts ssh out.
const NO_SSH: &str = "-p tcp --dport 22 -j DROP";

/// A foreign rich rule that shuts ssh out for one peer.
const NO_PEER: &str = r#"rule family="ipv4" source address="192.0.2.2" reject"#;

/// Rules that are ours but no longer wanted, among them the hand-made ones that operators start from.
fn stale() -> Vec<DirectRule> {
    let rule = |priority, text: &str| DirectRule {
        family: Some(Family::V4),
        table: "filter".into(),
        chain: CHAIN.into(),
        priority,
        args: text.split(' ').map(String::from).collect(),
    };
    vec![
        rule(0, "-m state --state RELATED,ESTABLISHED -j ACCEPT"),
        rule(
            0,
            "-p tcp -s 172.20.0.2 -d 192.0.2.77 --dport 5000 -j ACCEPT",
        ),
        rule(0, "-s 172.20.0.2 -j REJECT"),
        rule(
            200,
            "-s 172.20.0.9/32 -d 192.0.2.9/32 -m comment --comment fwdeploy:old/p2p -j ACCEPT",
        ),
    ]
}

/// A foreign line of the kernel.
pub(super) fn foreign_lines() -> Vec<String> {
    [
        "-j RETURN",
        "-j ACCEPT",
        "-s 10.6.0.0/16 -j DROP",
        "-i docker0 -j ACCEPT",
    ]
    .map(String::from)
    .to_vec()
}

fn direct(pool: Vec<DirectRule>) -> impl Strategy<Value = Direct> {
    let count = pool.len();
    (
        subsequence(pool, 0..=count).prop_shuffle(),
        prop::bool::weighted(0.7),
    )
        .prop_map(|(rules, owned)| Direct {
            chains: owned
                .then(|| DirectChain::ours(Family::V4))
                .into_iter()
                .collect(),
            rules,
            passthroughs: vec![Passthrough::new("ipv4", vec!["-t".into(), "nat".into()])],
        })
}

fn rich(pool: Vec<RichRule>) -> impl Strategy<Value = Vec<RichText>> {
    let mut texts: Vec<RichText> = pool.iter().map(RichText::from).collect();
    texts.push(RichText::new(
        r#"rule family="ipv4" source address="192.0.2.99" destination address="172.20.0.2" accept"#,
    ));
    texts.push(RichText::new(r#"rule service name="ssh" accept"#));
    texts.push(RichText::new(NO_PEER));
    let count = texts.len();
    subsequence(texts, 0..=count).prop_shuffle()
}

fn chain(lines: Vec<String>) -> Chain {
    Chain {
        policy: None,
        rules: lines.into_iter().map(KernelRule::new).collect(),
    }
}

/// The kernel's chain: what firewalld believes, now and then with a line lost, moved or added behind its back.
fn kernel_chain(runtime: Direct) -> impl Strategy<Value = Option<Chain>> {
    let lines: Vec<String> = runtime
        .chain(Family::V4)
        .iter()
        .flat_map(|r| match printed().remove(&r.args.to_vec()) {
            Some(lines) => lines,
            None => vec![r.rule().unwrap().to_string()],
        })
        .collect();
    let extra = [
        foreign_lines(),
        vec!["-s 172.20.0.2/32 -j ACCEPT".to_string()],
    ]
    .concat();
    let honest = Just(lines.clone());
    let lossy = {
        let count = lines.len();
        subsequence(lines.clone(), 0..=count).prop_shuffle()
    };
    let count = extra.len();
    (
        prop_oneof![2 => honest, 1 => lossy],
        subsequence(extra, 0..=count),
        any::<prop::sample::Index>(),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(mut lines, extra, at, exists)| {
            for line in extra {
                let at = at.index(lines.len() + 1);
                lines.insert(at, line);
            }
            exists.then(|| chain(lines))
        })
}

fn forward() -> impl Strategy<Value = Chain> {
    let lines = vec![
        "-j DOCKER-USER".to_string(),
        "-j DOCKER-ISOLATION-STAGE-1".to_string(),
        "-o br-cybex -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT".to_string(),
        "-o br-cybex -j DOCKER".to_string(),
        "-i br-cybex ! -o br-cybex -j ACCEPT".to_string(),
    ];
    subsequence(lines, 0..=5)
        .prop_shuffle()
        .prop_map(|mut lines| {
            // What a running Docker always has: without any such jump its rules count as missing.
            lines.push("-o docker0 -j DOCKER".to_string());
            let mut forward = chain(lines);
            forward.policy = Some("DROP".into());
            forward
        })
}

fn docker() -> impl Strategy<Value = Docker> {
    let endpoint = |network: &str, address: &str| Endpoint {
        network: network.into(),
        address: address.parse().ok(),
        fixed: address.parse().ok().filter(|_| network != "bridge"),
        aliases: vec!["seed".into()],
        ..Endpoint::default()
    };
    let places = [
        endpoint("bridge", "172.17.0.2"),
        endpoint("cybex", "172.20.0.2"),
        endpoint("cybex", "172.20.0.7"),
        endpoint("none", ""),
    ];
    let subnet = prop_oneof![Just(None), Just(Some(SUBNET)), Just(Some("172.25.0.0/16"))];
    let bridge = prop::sample::select(vec!["br-cybex", "br-82ef0743df42"]);
    let container = prop::option::of((0..4usize, any::<bool>()));
    (subnet, bridge, container).prop_map(move |(subnet, bridge, container)| {
        let mut docker = Docker {
            version: "20.10.24".into(),
            ..Docker::default()
        };
        if let Some(subnet) = subnet {
            docker.networks.push(Network {
                name: "cybex".into(),
                driver: "bridge".into(),
                subnets: vec![cidr(subnet)],
                gateways: cidr(subnet).first_usable().into_iter().collect(),
                bridge: bridge.into(),
                ..Network::default()
            });
        }
        if let Some((place, running)) = container {
            let mut place = places[place].clone();
            if subnet.is_none() && place.network == "cybex" {
                place = places[0].clone();
            }
            place.address = place.address.filter(|_| running);
            docker.containers.push(Container {
                name: "cybex".into(),
                running,
                network_mode: place.network.clone(),
                endpoints: vec![place],
                ..Container::default()
            });
        }
        docker
    })
}

/// The sets of a node, in each view as in the others or not: some of the wanted entries, now and then one that nobody wants.
fn sets(all: IpSets) -> impl Strategy<Value = SetViews> {
    let view = move || {
        let each = all.clone().into_iter().map(|(name, set)| {
            let entries: Vec<IpSetEntry> = set.entries.iter().copied().collect();
            let count = entries.len();
            let stray = prop::bool::weighted(0.2);
            let whole = Just(entries.clone());
            let entries = prop_oneof![2 => whole, 1 => subsequence(entries, 0..=count)];
            let is_there = prop::bool::weighted(0.8);
            (Just(name), Just(set), entries, stray, is_there).prop_map(
                |(name, set, entries, stray, is_there)| {
                    let stray = stray.then(|| "203.0.113.77".parse().unwrap());
                    let entries = entries.into_iter().chain(stray);
                    is_there.then(|| (name, set.with(entries.collect())))
                },
            )
        });
        let each: Vec<_> = each.collect();
        each.prop_map(|sets| sets.into_iter().flatten().collect::<IpSets>())
    };
    (view(), view(), view(), view(), prop::bool::weighted(0.4)).prop_map(
        |(permanent, runtime, kernel, nft, same)| {
            let (permanent, kernel, nft) = match same {
                true => (runtime.clone(), runtime.clone(), runtime.clone()),
                // What firewalld does not have in memory, it has not created.
                false => {
                    let of = |mut sets: IpSets| {
                        sets.retain(|name, _| runtime.contains_key(name));
                        sets
                    };
                    (permanent, of(kernel), of(nft))
                }
            };
            let nft = [("inet".to_string(), nft)]
                .into_iter()
                .filter(|(_, sets)| !sets.is_empty());
            SetViews {
                permanent: Observed::Known(permanent),
                runtime: Observed::Known(runtime),
                kernel: Observed::Known(kernel),
                nft: Observed::Known(nft.collect()),
                ..SetViews::none()
            }
        },
    )
}

/// What firewalld holds beside: mostly what lets ssh in, in ways that differ.
fn settings() -> impl Strategy<Value = Settings> {
    let public = vec![
        ("services", "ssh"),
        ("services", "dhcpv6-client"),
        ("ports", "20-30/tcp"),
        ("ports", "9100/tcp"),
        ("masquerade", "yes"),
    ];
    let target = prop::sample::select(vec!["default", "default", "default", "ACCEPT", "DROP"]);
    let sources = subsequence(vec!["192.0.2.3", "203.0.113.0/24"], 0..=2);
    (subsequence(public, 0..=5), target, sources).prop_map(|(public, target, sources)| {
        let public: Options = public.into_iter().chain([("target", target)]).collect();
        let sources = sources.into_iter().map(|source| ("sources", source));
        let drop: Options = sources.chain([("target", "DROP")]).collect();
        Settings {
            default_zone: "public".into(),
            zones: [("public".into(), public), ("drop".into(), drop)].into(),
            ..Settings::default()
        }
    })
}

/// Permanent and runtime, the same as often as not.
fn both_settings() -> impl Strategy<Value = (Settings, Settings)> {
    (settings(), settings(), any::<bool>()).prop_map(|(permanent, runtime, same)| {
        let runtime = if same { permanent.clone() } else { runtime };
        (permanent, runtime)
    })
}

/// Edits a file by hand; returns which one.
fn edit(files: &mut Files, which: usize) -> &'static str {
    let zone = |files: &mut Files, name: &str, key: &str, value: &str| {
        let zone = files.zones.get_mut(name).unwrap();
        zone.says
            .known_mut()
            .unwrap()
            .as_mut()
            .unwrap()
            .add(key, value);
    };
    match which {
        0 => zone(files, "public", "ports", "9999/tcp"),
        1 => zone(
            files,
            "public",
            "rules_str",
            "rule service name=\"ftp\" drop",
        ),
        2 => zone(files, "drop", "interfaces", "eth9"),
        3 => files.zones.get_mut("drop").unwrap().says = Observed::Known(None),
        4 => files.default_zone.says = Observed::Known("drop".into()),
        5 => {
            let options = [("ports", "7/tcp")].into_iter().collect();
            let file = File {
                path: "/etc/firewalld/services/chat.xml".into(),
                says: Observed::Known(Some(options)),
            };
            files.services.insert("chat".into(), file);
        }
        _ => {
            let passthrough = Passthrough::new("ipv4", vec!["-N".into(), "x".into()]);
            files
                .direct
                .says
                .known_mut()
                .unwrap()
                .passthroughs
                .push(passthrough);
        }
    }
    [
        "public",
        "public",
        "drop",
        "drop",
        "firewalld.conf",
        "chat",
        "direct.xml",
    ][which]
}

fn touches_files(plan: &Plan) -> bool {
    plan.actions.iter().any(|action| {
        matches!(
            action,
            Action::SetPermanentDirect { .. }
                | Action::SetPermanentRich { .. }
                | Action::SetPermanentSet { .. }
                | Action::Reload { .. }
        )
    })
}

/// Whether a peer's new ssh connection to port 22 gets in, by the memory of the node's firewalld: a second opinion.
fn opens(state: &NodeState, peer: &str) -> bool {
    let settings = state.runtime.settings.known().unwrap();
    let zone = |name: &str| &settings.zones[name];
    if zone("drop").has("sources", peer) {
        return false;
    }
    let rich = |text: &str| {
        let mut rules = state.runtime.rich.known().unwrap().iter();
        rules.any(|r| r.text == text)
    };
    let mut direct = state.runtime.direct.known().unwrap().rules.iter();
    let shut = direct.any(|r| r.args.join(" ") == NO_SSH) || rich(NO_PEER) && peer == "192.0.2.2";
    let public = zone("public");
    let open = public.has("services", "ssh")
        || public.has("ports", "20-30/tcp")
        || public.has("target", "ACCEPT")
        || rich(r#"rule service name="ssh" accept"#);
    open && !shut
}

pub(super) fn node() -> impl Strategy<Value = (NodeState, Desired)> {
    let peers = || subsequence(vec![1u8, 2, 3], 0..=3);
    (peers(), peers())
        .prop_map(|(inbound, outbound)| desired(&inbound, &outbound))
        .prop_flat_map(|wanted| {
            let ipsets = prop_oneof![
                2 => Just(Ipsets::Never),
                1 => Just(Ipsets::Above(1)),
                1 => Just(Ipsets::Above(2)),
            ];
            ipsets.prop_map(move |ipsets| Desired {
                ipsets,
                ..wanted.clone()
            })
        })
        .prop_flat_map(|wanted| {
            let all = desired(&[1, 2, 3], &[1, 2, 3]);
            let folded = fold_into_sets(&all, 2, &IpSets::new());
            let asking = |rule: &&DirectRule| !all.rules.contains(rule);
            let asking: Vec<DirectRule> = folded.rules.iter().filter(asking).cloned().collect();
            let pool = [all.rules.clone(), asking, foreign(), stale()].concat();
            let all = Desired {
                rich: [all.rich, folded.rich.clone()].concat(),
                ..all
            };
            let runtime = direct(pool.clone())
                .prop_flat_map(|runtime| (Just(runtime.clone()), kernel_chain(runtime)));
            (
                Just(wanted),
                direct(pool),
                runtime,
                rich(all.rich.clone()),
                rich(all.rich),
                forward(),
                docker(),
                any::<bool>(),
                // Whether the node reports how its iptables prints a rule.
                any::<bool>(),
                (both_settings(), sets(folded.sets)),
            )
        })
        .prop_map(
            |(
                wanted,
                permanent,
                (runtime, kernel),
                rich_permanent,
                rich_runtime,
                forward,
                docker,
                latch,
                tells,
                ((permanent_settings, runtime_settings), sets),
            )| {
                let dnat = "-m addrtype --dst-type LOCAL -j DOCKER".to_string();
                let nat = BTreeMap::from([("PREROUTING".to_string(), chain(vec![dnat]))]);
                let mut filter = BTreeMap::from([
                    ("FORWARD".to_string(), forward),
                    ("DOCKER".to_string(), chain(vec![])),
                    (
                        "DOCKER-ISOLATION-STAGE-1".to_string(),
                        chain(vec!["-j RETURN".into()]),
                    ),
                ]);
                if let Some(kernel) = kernel {
                    filter.insert(CHAIN.to_string(), kernel);
                }
                let permanent = Firewall {
                    direct: Observed::Known(permanent),
                    rich: Observed::Known(rich_permanent),
                    settings: Observed::Known(permanent_settings),
                };
                let runtime = Firewall {
                    direct: Observed::Known(runtime),
                    rich: Observed::Known(rich_runtime),
                    settings: Observed::Known(runtime_settings),
                };
                let printed = printed().into_iter().map(|(args, lines)| {
                    let lines = lines.into_iter().map(KernelRule::new);
                    (args, Printed::Lines(lines.collect()))
                });
                let state = NodeBuilder::new()
                    .system(System {
                        nft: true,
                        busctl: true,
                        docker: true,
                        ..System::default()
                    })
                    .files(files_as_told(&permanent, &sets, "public"))
                    .firewalls(permanent, runtime)
                    .tables(
                        Family::V4,
                        Tables {
                            tables: BTreeMap::from([
                                ("filter".to_string(), filter),
                                ("nat".to_string(), nat),
                            ]),
                            printed: printed.filter(|_| tells).collect(),
                        },
                    )
                    .latch(latch)
                    .docker(docker)
                    .build();
                let state = NodeState { sets, ..state };
                (state, wanted)
            },
        )
}

pub(super) const ALL: Allowed = Allowed {
    recover: Permission::Withheld,
    replace_network: Permission::Granted,
    reload: Reload::Auto,
    pending: Permission::Granted,
};

pub(super) fn either() -> impl Strategy<Value = Allowed> {
    let reload = prop_oneof![Just(Reload::Never), Just(Reload::Always)];
    let pending = prop_oneof![Just(Permission::Withheld), Just(Permission::Granted)];
    (reload, pending).prop_map(|(reload, pending)| Allowed {
        reload,
        pending,
        ..ALL
    })
}

pub(super) fn fold(state: &NodeState, actions: &[Action]) -> NodeState {
    actions.iter().fold(state.clone(), |s, a| simulate(&s, a))
}

pub(super) fn refused(plan: &Plan) -> bool {
    plan.refusals().next().is_some()
}

/// The state with all that has no order put in order: firewalld's rules are a set but for their priorities.
pub(super) fn facts(state: &NodeState) -> (NodeState, Vec<Option<Rule>>) {
    let mut s = state.clone();
    for firewall in [&mut s.permanent, &mut s.runtime] {
        if let Some(direct) = firewall.direct.known_mut() {
            direct.rules.sort();
            direct.chains.sort();
        }
        if let Some(rich) = firewall.rich.known_mut() {
            rich.sort();
        }
    }
    s.kernel.latch = Observed::Known(false);
    let mut lines = Vec::new();
    if let Some(tables) = s.kernel.v4.known_mut()
        && let Some(chain) = tables
            .tables
            .get_mut("filter")
            .and_then(|t| t.get_mut(CHAIN))
    {
        lines = chain.rules.drain(..).map(|r| r.rule).collect();
        lines.sort();
    }
    // A recreated network gets the values that Docker fills in by itself.
    if let Some(docker) = s.docker.known_mut() {
        for network in &mut docker.networks {
            network.bridge.clear();
        }
    }
    (s, lines)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rest_a_plan_leaves_nothing_to_plan((state, wanted) in node(), allowed in either()) {
        let first = plan(&state, &wanted, &allowed);
        prop_assume!(!refused(&first));
        let done = fold(&state, &first.actions);
        let second = plan(&done, &wanted, &allowed);
        prop_assert!(second.is_empty(), "left over: {:#?}\nafter: {:#?}", second.changes(), first.changes());
        // Nor does a file written by fwdeploy look like an edit by hand.
        prop_assert!(second.findings.iter().all(|f| f.code != FindingCode::EditedByHand), "{:#?}", second.findings);
    }

    #[test]
    fn enforced_nothing_admits_a_stranger_once_a_plan_is_done((state, wanted) in node(), allowed in either()) {
        let plan = plan(&state, &wanted, &allowed);
        prop_assume!(!refused(&plan));
        let done = fold(&state, &plan.actions);
        let tables = done.kernel.v4.known().unwrap();
        let rules = |chain: &str| -> Vec<Rule> {
            let lines = tables.chain("filter", chain).unwrap().rules.iter();
            lines.flat_map(|line| each_entry(read(&line.text), &done)).collect()
        };
        let accepts = |r: &Rule| r.target == Target::Accept && !r.to_string().contains("ESTABLISHED");
        let forward = rules("FORWARD");
        let jump = forward.iter().position(|r| r.to_string() == "-j DOCKER-USER");
        prop_assert!(jump.is_some());
        prop_assert!(!forward[..jump.unwrap()].iter().any(accepts), "{forward:?}");
        for (from, to, inn) in [
            (CONTAINER, "203.0.113.200", "br-cybex"),
            ("203.0.113.200", CONTAINER, "docker0"),
            ("172.20.77.7", "203.0.113.200", "br-cybex"),
        ] {
            let packet = Packet {
                source: from.parse().unwrap(),
                destination: to.parse().unwrap(),
                protocol: "tcp".into(),
                source_port: Some(40000),
                destination_port: Some(5000),
                flow: Flow::New,
                destination_rewritten: Rewritten::No,
                interface_in: Some(inn.into()),
                interface_out: Some("eth0".into()),
            };
            let verdict = evaluate(&rules(CHAIN), &packet);
            prop_assert!(
                matches!(verdict, Evaluation::Decided(PacketVerdict::Reject, _)),
                "{from} to {to}: {verdict:?} by {:#?}", rules(CHAIN).iter().map(Rule::to_string).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn return_the_nodes_own_rollback_from_anywhere_ends_where_it_began(
        (state, wanted) in node(),
        allowed in either(),
        at in any::<prop::sample::Index>(),
        half in any::<bool>(),
    ) {
        let actions = plan(&state, &wanted, &allowed).actions;
        let done = at.index(actions.len() + 1);
        let there = fold(&state, &actions[..done]);
        // The step that was running when the run was cut off may have done nothing, and is undone in any case.
        let begun = done + usize::from(half && done < actions.len());
        let way = rollback_plan(&actions);
        match way.simulate(&there, begun) {
            Some(back) => {
                prop_assert_eq!(facts(&back), facts(&state));
                prop_assert_eq!(back.kernel.latch, Observed::Known(false));
            }
            None => {
                let reloads = actions.iter().any(|a| matches!(a, Action::Reload { .. }));
                prop_assert!(reloads);
            }
        }
        // As a whole only Docker has steps, and each may be done twice.
        let mut back = there;
        for _ in 0..2 {
            back = fold(&back, &way.docker);
            let docker = |s: &NodeState| { let mut s = s.clone(); s.permanent = state.permanent.clone(); s.files = state.files.clone(); s.runtime = state.runtime.clone(); s.kernel = state.kernel.clone(); s.sets = state.sets.clone(); facts(&s) };
            prop_assert_eq!(docker(&back), docker(&state));
        }
    }

    #[test]
    fn silence_an_unreadable_answer_plans_nothing_and_is_not_ok((state, wanted) in node(), which in 0..10usize) {
        let mut state = state;
        fn mute<T>(seen: &mut Observed<T>) { *seen = Observed::Unreadable("timed out after 5 s".into()); }
        match which {
            0 => mute(&mut state.firewalld),
            1 => mute(&mut state.zone),
            2 => mute(&mut state.permanent.direct),
            3 => mute(&mut state.permanent.rich),
            4 => mute(&mut state.runtime.direct),
            5 => mute(&mut state.runtime.rich),
            6 => mute(&mut state.kernel.v4),
            7 => mute(&mut state.docker),
            8 => mute(&mut state.records),
            _ => mute(&mut state.kernel.latch),
        }
        let plan = plan(&state, &wanted, &ALL);
        prop_assert!(plan.is_empty());
        prop_assert!(refused(&plan));
    }

    #[test]
    fn ours_only_what_is_foreign_stays((state, wanted) in node(), allowed in either()) {
        let plan = plan(&state, &wanted, &allowed);
        let owner = Ours::new(&wanted, &state);
        for action in &plan.actions {
            match action {
                Action::SetPermanentDirect { before, after } => {
                    for rule in before.rules.iter().filter(|r| !owner.direct(r)) {
                        prop_assert!(after.rules.contains(rule));
                    }
                    for rule in after.rules.iter().filter(|r| !before.rules.contains(r)) {
                        // A bridge that is there keeps its name, and the rules about it follow.
                        let text = rule.to_string().replace("br-82ef0743df42", "br-cybex");
                        let folded = fold_into_sets(&wanted, 0, &IpSets::new());
                        prop_assert!(wanted.rules.iter().chain(&folded.rules).any(|r| r.to_string() == text));
                    }
                    prop_assert!(before.chains.iter().all(|c| after.chains.contains(c)));
                    prop_assert_eq!(&before.passthroughs, &after.passthroughs);
                }
                Action::SetPermanentRich { before, after, .. } => {
                    for rule in before.iter().filter(|r| !owner.rich(&r.rule)) {
                        prop_assert!(after.contains(rule));
                    }
                }
                Action::SetPermanentSet { name, .. } | Action::SetEntries { name, .. } | Action::SettleSet { name, .. } => {
                    prop_assert!(name.starts_with("fwdeploy-"));
                }
                Action::RemoveRule(rule) => prop_assert!(owner.direct(rule)),
                Action::RemoveRich { rule, .. } => prop_assert!(owner.rich(&rule.rule)),
                Action::SetKernelChain { before: Some(before), after: Some(after), .. } => {
                    let others = |lines: &[KernelRule]| -> Vec<String> {
                        let tracked: Vec<Rule> = state.runtime.direct.known().unwrap().rules.iter().flat_map(|r| {
                            let typed = r.args.join(" ");
                            let printed = printed().remove(&r.args.to_vec()).unwrap_or_default();
                            printed.into_iter().chain([typed]).filter_map(|line| Rule::parse_text(&line).ok())
                        }).collect();
                        let mut out: Vec<String> = lines.iter().map(|line| line.text.clone()).filter(|l| {
                            let rule = read(l);
                            !owner.rule(Family::V4, &rule) && !tracked.contains(&rule)
                        }).collect();
                        out.sort();
                        out
                    };
                    prop_assert_eq!(others(before), others(after));
                }
                Action::Disconnect { container, .. } => prop_assert_eq!(container, "cybex"),
                _ => {}
            }
        }
    }

    #[test]
    fn open_door_whoever_came_in_by_ssh_still_can((state, wanted) in node(), n in 1..5u8, port in prop_oneof![Just(22u16), Just(5000)]) {
        let mut state = state;
        state.system.ssh_connection = format!("192.0.2.{n} 40000 198.51.100.1 {port}");
        let plan = plan(&state, &wanted, &ALL);
        let takes = |rule: &RichRule| matches!(rule, RichRule::Forward { source: Some(RichSource::Net(net)), service, .. }
            if service.ports == fwdeploy::model::PortRange::from(fwdeploy::model::Port::new(port).unwrap()) && net.contains(&format!("192.0.2.{n}").parse().unwrap()));
        // Whatever step the plan is cut off after, no forward of the ssh port for this peer was added by it.
        for cut in 0..=plan.actions.len() {
            let then = fold(&state, &plan.actions[..cut]);
            let before = state.runtime.rich.known().unwrap();
            prop_assert!(then.runtime.rich.known().unwrap().iter().all(|r| !takes(&r.rule) || before.contains(r)));
        }
    }

    /// A run on the node itself did not come by ssh, and others do. To see it fail: leave `locks_others_out` out.
    #[test]
    fn open_door_on_the_node_itself_no_port_of_sshd_is_forwarded((state, wanted) in node(), port in prop_oneof![Just(22u16), Just(5000)], everywhere in any::<bool>()) {
        let mut state = state;
        state.system.networking.listeners = Observed::Known(vec![fwdeploy::model::networking::Listener {
            protocol: "tcp".into(),
            address: (!everywhere).then(|| "198.51.100.1".parse().unwrap()),
            port,
            program: "sshd".into(),
        }]);
        let plan = plan(&state, &wanted, &ALL);
        let takes = |rule: &RichRule| matches!(rule, RichRule::Forward { service, .. }
            if service.ports == fwdeploy::model::PortRange::from(fwdeploy::model::Port::new(port).unwrap()));
        let forwards = wanted.rich.iter().any(takes);
        let said = plan.findings.iter().any(|f| f.code.as_str() == "locks-out" && f.text.contains("sshd, which listens"));
        prop_assert_eq!(said, forwards);
        for cut in 0..=plan.actions.len() {
            let then = fold(&state, &plan.actions[..cut]);
            let before = state.runtime.rich.known().unwrap();
            prop_assert!(then.runtime.rich.known().unwrap().iter().all(|r| !takes(&r.rule) || before.contains(r)));
        }
    }

    #[test]
    fn open_door_no_reload_shuts_out_whoever_could_come_in((state, wanted) in node(), n in 1..4u8) {
        // Refusals that are about something else would hide most cases.
        let allowed = Allowed { reload: Reload::Always, ..ALL };
        let peer = format!("192.0.2.{n}");
        let mut state = state;
        state.system.ssh_connection = format!("{peer} 40000 198.51.100.1 22");
        if !opens(&state, &peer) {
            return Ok(());
        }
        let plan = plan(&state, &wanted, &allowed);
        for cut in 0..=plan.actions.len() {
            let then = fold(&state, &plan.actions[..cut]);
            prop_assert!(opens(&then, &peer), "after {:#?}", plan.actions[..cut].last());
        }
        // And no run is refused for an ssh access that a reload would preserve.
        let reloaded = fold(&state, &[Action::Reload { subnets: vec![] }]);
        let said = plan.findings.iter().any(|f| f.code.as_str() == "ssh-lost");
        prop_assert!(!said || !opens(&reloaded, &peer), "{:#?}", plan.findings);
    }

    #[test]
    fn silence_what_a_reload_would_change_must_be_read_before_it((state, wanted) in node(), permanent in any::<bool>(), allowed in either()) {
        let mut state = state;
        state.system.ssh_connection = "192.0.2.1 40000 198.51.100.1 22".into();
        let view = if permanent { &mut state.permanent } else { &mut state.runtime };
        view.settings = Observed::Unreadable("timed out after 5 s".into());
        let plan = plan(&state, &wanted, &allowed);
        let reloads = plan.actions.iter().any(|a| matches!(a, Action::Reload { .. }));
        prop_assert!(!reloads);
    }

    #[test]
    fn a_pending_change_is_told_before_a_reload_makes_it((state, wanted) in node(), allowed in either()) {
        let plan = plan(&state, &wanted, &allowed);
        let reloads = plan.actions.iter().any(|a| matches!(a, Action::Reload { .. }));
        if !reloads || state.permanent.settings == state.runtime.settings {
            return Ok(());
        }
        prop_assert_eq!(allowed.pending, Permission::Granted);
        let told = |f: &fwdeploy::plan::Finding| f.code.as_str() == "pending-permanent" && f.severity == Severity::Warning;
        prop_assert!(plan.findings.iter().any(told));
    }

    #[test]
    fn ours_only_an_edited_file_is_neither_written_over_nor_loaded((state, wanted) in node(), which in 0..7usize, allowed in either()) {
        let whole = plan(&state, &wanted, &allowed);
        prop_assert!(whole.findings.iter().all(|f| f.code != FindingCode::EditedByHand), "{:#?}", whole.findings);
        let mut state = state;
        let name = edit(state.files.known_mut().unwrap(), which);
        let plan = plan(&state, &wanted, &allowed);
        prop_assert!(!touches_files(&plan), "{:#?}", plan.actions);
        let told: Vec<_> = plan.findings.iter().filter(|f| f.code == FindingCode::EditedByHand).collect();
        prop_assert!(told.len() == 1 && told[0].text.contains(name), "{:#?}", told);
        // Where nothing would be written, it keeps from nothing.
        let stopped = told[0].severity == Severity::Refuse;
        prop_assert_eq!(stopped, touches_files(&whole) || refused(&whole) && stopped);
        prop_assert!(stopped || plan.actions == whole.actions);
    }

    #[test]
    fn silence_a_file_that_is_not_understood_changes_no_plan((state, wanted) in node(), allowed in either(), part in 0..4) {
        let whole = plan(&state, &wanted, &allowed);
        let mut state = state;
        let unread = || Observed::Unreadable("`tarpit` is not known".to_string());
        if part == 0 {
            state.files = Observed::Unreadable("timed out after 5 s".into());
        } else if let Some(files) = state.files.known_mut() {
            match part {
                1 => files.direct.says = Observed::Unreadable("it is cut off".into()),
                2 => files.zones.get_mut("public").unwrap().says = unread(),
                _ => files.zones.clear(),
            }
        }
        prop_assert_eq!(plan(&state, &wanted, &allowed), whole);
    }

    #[test]
    fn a_container_that_loses_its_role_is_named((state, wanted) in node()) {
        let first = plan(&state, &wanted, &ALL);
        prop_assume!(!refused(&first));
        let done = fold(&state, &first.actions);
        let nothing = Desired::default();
        let opened = |plan: &Plan| plan.findings.iter().any(|f| f.code.as_str() == "opened");
        prop_assert!(!opened(&plan(&done, &wanted, &ALL)));
        let docker = done.docker.known().unwrap();
        prop_assert_eq!(opened(&plan(&done, &nothing, &ALL)), docker.container("cybex").is_some());
    }

    #[test]
    fn a_plan_with_a_refusal_does_nothing((state, wanted) in node()) {
        let plan = plan(&state, &wanted, &Allowed::default());
        prop_assert!(!refused(&plan) || plan.is_empty());
        prop_assert!(plan.findings.is_sorted_by_key(|f| std::cmp::Reverse(f.severity)));
        prop_assert!(plan.findings.iter().all(|f| f.severity < Severity::NotEnforced || f.hint.is_some()));
    }
}
