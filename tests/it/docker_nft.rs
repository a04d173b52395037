//! Docker 29 with its nftables backend, and a docker command that is older than its engine.
//!
//! The node is the capture of a fresh forky with other answers about Docker: its tables are those of `tests/captures/docker-nft`, where
//! packets were sent through them. No node with such a Docker was available.

use std::fs;

use crate::guard::guard;
use crate::support::captures::captures;
use fwdeploy::model::Attachment;
use fwdeploy::model::CHAIN;
use fwdeploy::model::Daemon;
use fwdeploy::model::Desired;
use fwdeploy::model::DesiredNetwork;
use fwdeploy::model::DirectRule;
use fwdeploy::model::Family;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::model::RichRule;
use fwdeploy::model::Rule;
use fwdeploy::model::guard::Guard;
use fwdeploy::model::guard::NftVersion;
use fwdeploy::model::state::Chain;
use fwdeploy::model::state::DirectChain;
use fwdeploy::model::state::KernelRule;
use fwdeploy::plan::Action;
use fwdeploy::plan::Allowed;
use fwdeploy::plan::FindingCode;
use fwdeploy::plan::GuardKind;
use fwdeploy::plan::Permission;
use fwdeploy::plan::Plan;
use fwdeploy::plan::Severity;
use fwdeploy::plan::plan;
use fwdeploy::plan::rollback_plan::rollback_plan;
use fwdeploy::plan::simulate;
use fwdeploy::probe::observe;

/// What a node answers, question by question: exit code, stdout, stderr.
struct Answers(Vec<(String, String, String, String)>);

impl Answers {
    /// The answers of a fresh node of this suite.
    fn fresh(suite: &str) -> Self {
        let capture = captures()
            .iter()
            .find(|capture| capture.name == format!("{suite}-nftables/fresh"))
            .unwrap();
        let text = std::str::from_utf8(&capture.stdout).unwrap();
        let mut rest = text.split_once('\n').unwrap().1;
        let (mut out, mut said) = (Vec::new(), String::new());
        while rest != "fwdeploy-probe end\n" {
            let (header, body) = rest.split_once('\n').unwrap();
            let words: Vec<&str> = header.split(' ').collect();
            let length: usize = words.last().unwrap().parse().unwrap();
            let answer = body[..length].to_string();
            rest = &body[length + 1..];
            match words[0] {
                "!" => said = answer,
                _ => out.push((
                    words[1].to_string(),
                    words[2].to_string(),
                    answer,
                    std::mem::take(&mut said),
                )),
            }
        }
        Answers(out)
    }

    fn of(&mut self, question: &str) -> &mut (String, String, String, String) {
        let mut all = self.0.iter_mut();
        all.find(|(name, ..)| name == question).unwrap()
    }

    fn with(mut self, question: &str, answer: impl Into<String>) -> Self {
        self.of(question).2 = answer.into();
        self
    }

    fn failed(mut self, question: &str, code: u8, said: &str) -> Self {
        let answer = self.of(question);
        answer.1 = code.to_string();
        answer.2 = String::new();
        answer.3 = said.to_string();
        self
    }

    fn read(&self) -> NodeState {
        let mut text = "fwdeploy-probe 1 5\n".to_string();
        for (name, code, answer, said) in &self.0 {
            if !said.is_empty() {
                text += &format!("! {name} {}\n{said}\n", said.len());
            }
            text += &format!("= {name} {code} {}\n{answer}\n", answer.len());
        }
        text += "fwdeploy-probe end\n";
        observe(text.as_bytes(), b"").unwrap()
    }
}

fn tables(name: &str) -> String {
    let path = format!("tests/captures/docker-nft/{name}.json");
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// The network `cybex` with these options.
fn network(options: &str) -> String {
    format!(
        r#"{{"name":"cybex","id":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","driver":"bridge","ipam":[{{"Subnet":"172.31.8.0/24","Gateway":"172.31.8.1"}}],"internal":false,"ipv6":false,"options":{{"com.docker.network.bridge.name":"br-cybex"{options}}},"labels":{{}},"ipam_driver":"default","ipam_options":null,"attachable":false}}"#
    )
}

/// A node with Docker 29 on nft: its tables, and the options of its network `cybex` if it has one.
fn answers(release: &str, mode: &str, options: Option<&str>) -> Answers {
    let mut answers = Answers::fresh("forky");
    let rules = answers.of("nft-rules").2.clone();
    let rules = rules.strip_suffix("end\n").unwrap();
    let rules = format!("{rules}{}end\n", tables(&format!("{release}-{mode}")));
    let networks = answers.of("docker-networks").2.clone();
    let networks = match options {
        Some(options) => networks.replacen("3\n", "4\n", 1) + &network(options) + "\n",
        None => networks,
    };
    answers
        .with("docker-version", "29.7.2\n")
        .with(
            "docker-firewall",
            r#"{"Driver":"nftables+firewalld","Info":[["ReloadedAt","2026-11-25T22:34:01Z"]]}"#,
        )
        .with("docker-networks", networks)
        .with("iptables-save", "")
        .with("ip6tables-save", "")
        .with(
            "nft-tables",
            "table inet firewalld\ntable ip docker-bridges\ntable ip6 docker-bridges\n",
        )
        .with("nft-rules", rules)
        .with(
            "active-zones",
            r#"a{sa{sas}} 2 "docker" 2 "interfaces" 2 "docker0" "br-cybex" "sources" 0 "public" 2 "interfaces" 0 "sources" 0"#,
        )
}

const NAT: &str = r#","com.docker.network.bridge.gateway_mode_ipv4":"nat""#;
const UNPROTECTED: &str = r#","com.docker.network.bridge.gateway_mode_ipv4":"nat-unprotected""#;

/// One container on a closed network: one peer may come in and be reached.
fn desired() -> Desired {
    let guard = guard();
    let of_first = |container: &std::net::IpAddr| {
        *container == "172.31.8.9".parse::<std::net::IpAddr>().unwrap()
    };
    let rule = |priority, text: &str| {
        DirectRule::ours(Family::V4, priority, Rule::parse_text(text).unwrap())
    };
    Desired {
        networks: vec![DesiredNetwork {
            name: "cybex".to_string(),
            subnet: "172.31.8.0/24".parse().unwrap(),
            gateway: None,
            subnet6: None,
            bridge: "br-cybex".to_string(),
        }],
        attachments: vec![Attachment {
            role: "cybex".to_string(),
            container: "wit".to_string(),
            network: "cybex".to_string(),
            address: "172.31.8.9".parse().unwrap(),
            address6: None,
        }],
        rules: vec![
            rule(
                0,
                "-m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment fwdeploy:node/established -j ACCEPT",
            ),
            rule(
                100,
                "-s 203.0.113.7 -d 172.31.8.9 -p tcp --dport 5000 -m conntrack --ctstate DNAT -m comment --comment fwdeploy:cybex/p2p -j ACCEPT",
            ),
            rule(
                200,
                "-s 172.31.8.9 -d 203.0.113.7 -p tcp --dport 5000 -m comment --comment fwdeploy:cybex/p2p -j ACCEPT",
            ),
            rule(
                900,
                "! -s 172.31.8.0/24 -d 172.31.8.0/24 -m comment --comment fwdeploy:cybex/otherwise-in -j REJECT",
            ),
            rule(
                1000,
                "-s 172.31.8.0/24 ! -d 172.31.8.0/24 -m comment --comment fwdeploy:cybex/otherwise-out -j REJECT",
            ),
        ],
        rich: vec![RichRule::parse(
            "rule family=\"ipv4\" source address=\"203.0.113.7\" forward-port port=\"5000\" protocol=\"tcp\" to-port=\"5000\" to-addr=\"172.31.8.9\"",
        )],
        guard: Guard {
            networks: vec![fwdeploy::model::guard::GuardedNetwork {
                subnets: vec!["172.31.8.0/24".parse().unwrap()],
                closed: ["172.31.8.0/24".parse().unwrap()].into(),
                ..guard.networks[0].clone()
            }],
            inbound: guard
                .inbound
                .into_iter()
                .filter(|flow| of_first(&flow.container))
                .collect(),
            outbound: guard
                .outbound
                .into_iter()
                .filter(|flow| of_first(&flow.container))
                .collect(),
            ..Guard::default()
        },
        ..Desired::default()
    }
}

fn found(plan: &Plan, code: FindingCode) -> &fwdeploy::plan::Finding {
    let mut all = plan.findings.iter();
    all.find(|finding| finding.code == code)
        .unwrap_or_else(|| panic!("no {}: {:?}", code.as_str(), plan.findings))
}

fn planned(state: &NodeState) -> Plan {
    plan(state, &desired(), &Allowed::default())
}

fn fold(state: &NodeState, actions: &[Action]) -> NodeState {
    actions
        .iter()
        .fold(state.clone(), |state, action| simulate(&state, action))
}

/// Plans, and holds the laws Rest and Return for this plan. Its findings are of a node that works.
fn holds(state: &NodeState, allowed: &Allowed) -> Plan {
    let plan_now = plan(state, &desired(), allowed);
    let refusals: Vec<_> = plan_now.refusals().collect();
    assert!(refusals.is_empty(), "{refusals:?}");
    let unwanted = [
        "admits-after-reload",
        "docker-nftables",
        "docker-refuses",
        "docker-rules-gone",
        "docker-unfiltered",
        "docker-without-iptables",
        "foreign-accept",
        "foreign-drop",
        "isolation-lost",
        "kept-behind",
        "no-masquerade",
    ];
    for finding in &plan_now.findings {
        assert!(!unwanted.contains(&finding.code.as_str()), "{finding:?}");
    }
    assert_eq!(
        found(&plan_now, FindingCode::GuardAlone).severity,
        Severity::Note
    );
    for action in &plan_now.actions {
        let is_of_chain = match action {
            Action::AddRule(rule) => rule.chain == CHAIN,
            Action::SetPermanentDirect { after, .. } => {
                after.rules.iter().any(|rule| rule.chain == CHAIN)
            }
            Action::OwnChain { .. } | Action::SetKernelChain { .. } | Action::PlaceJump { .. } => {
                true
            }
            _ => false,
        };
        assert!(!is_of_chain, "{action:?}");
    }
    let after = fold(state, &plan_now.actions);
    let rest = plan(&after, &desired(), &Allowed::default());
    assert!(rest.actions.is_empty(), "{:?}", rest.actions);
    // Everything but the rules of the chain: the network, the attachment, one rich rule. The container does not exist yet.
    assert_eq!(rest.satisfied(&desired(), &after), 3);
    let way = rollback_plan(&plan_now.actions);
    for done in 0..=plan_now.actions.len() {
        let there = fold(state, &plan_now.actions[..done]);
        let back = way.simulate(&there, done).unwrap();
        assert_eq!(back.kernel.guard.table, state.kernel.guard.table);
        assert_eq!(
            back.docker.known().unwrap().networks.len(),
            state.docker.known().unwrap().networks.len()
        );
        assert_eq!(back.permanent.rich, state.permanent.rich);
    }
    plan_now
}

/// The script of the guard that a plan sets.
fn script(plan: &Plan) -> String {
    let set = plan.actions.iter().find_map(|action| match action {
        Action::SetGuard { after, .. } => after.table.as_ref(),
        _ => None,
    });
    set.unwrap_or_else(|| panic!("{:?}", plan.actions)).script()
}

const RELEASES: [&str; 2] = ["bookworm", "forky"];

#[test]
fn with_a_mark_the_guard_marks_what_peers_send_and_the_network_stays() {
    for release in RELEASES {
        let state = answers(release, "mark", Some(NAT)).read();
        assert_eq!(GuardKind::of(&state), GuardKind::Nft);
        let plan = holds(&state, &Allowed::default());
        assert!(script(&plan).contains("meta mark set meta mark | 0x400\n"));
        assert!(
            !plan.actions.iter().any(Action::changes_docker),
            "{:?}",
            plan.actions
        );
        let note = found(&plan, FindingCode::GuardAlone);
        assert!(note.text.contains("the mark 0x400/0x400"), "{}", note.text);
    }
}

#[test]
fn with_a_mark_a_new_network_keeps_the_ordinary_gateway_mode() {
    let plan = holds(&answers("forky", "mark", None).read(), &Allowed::default());
    let create = plan
        .changes()
        .iter()
        .map(ToString::to_string)
        .find(|c| c.contains("network"))
        .unwrap();
    assert_eq!(modes(&plan), ["nat"], "{create}");
}

/// The gateway modes of the networks that a plan creates.
fn modes(plan: &Plan) -> Vec<String> {
    let specs = plan.actions.iter().filter_map(|action| match action {
        Action::CreateNetwork(spec) => Some(spec),
        _ => None,
    });
    let options = specs.flat_map(|spec| &spec.options);
    let modes = options.filter(|(name, _)| name.contains("gateway_mode"));
    modes.map(|(_, value)| value.clone()).collect()
}

#[test]
fn without_a_mark_a_new_network_is_unprotected_and_the_guard_marks_nothing() {
    let plan = holds(&answers("forky", "nat", None).read(), &Allowed::default());
    assert_eq!(modes(&plan), ["nat-unprotected"]);
    assert!(!script(&plan).contains("meta mark"));
}

#[test]
fn ipv6_is_let_in_the_same_way() {
    let mut desired = desired();
    desired.networks[0].subnet6 = "fd00:8::/64".parse().ok();
    let plan = plan(
        &answers("forky", "nat", None).read(),
        &desired,
        &Allowed::default(),
    );
    assert_eq!(
        modes(&plan),
        ["nat-unprotected", "nat-unprotected"],
        "{:?}",
        plan.findings
    );
}

#[test]
fn an_unprotected_network_is_used_as_it_is() {
    for release in RELEASES {
        let state = answers(release, "unprotected", Some(UNPROTECTED)).read();
        let plan = holds(&state, &Allowed::default());
        assert!(
            !plan.actions.iter().any(Action::changes_docker),
            "{:?}",
            plan.actions
        );
        assert!(!script(&plan).contains("meta mark"));
    }
}

#[test]
fn another_network_is_recreated_only_if_that_is_allowed() {
    let state = answers("forky", "nat", Some(NAT)).read();
    let plan = planned(&state);
    let differs = found(&plan, FindingCode::NetworkDiffers);
    assert_eq!(differs.severity, Severity::Refuse);
    assert!(
        differs.text.contains("its IPv4 gateway mode is nat, "),
        "{}",
        differs.text
    );
    assert!(
        differs
            .hint
            .as_ref()
            .unwrap()
            .contains("\"bridge-accept-fwmark\": \"0x400/0x400\"")
    );
    assert!(plan.is_empty());
    let allowed = Allowed {
        replace_network: Permission::Granted,
        ..Allowed::default()
    };
    assert_eq!(modes(&holds(&state, &allowed)), ["nat-unprotected"]);
}

#[test]
fn what_is_not_understood_is_refused() {
    let good = || answers("forky", "mark", Some(NAT));
    let refused = |state: &NodeState, says: &str| {
        let plan = planned(state);
        let finding = found(&plan, FindingCode::DockerNftables);
        assert_eq!(finding.severity, Severity::Refuse);
        assert!(finding.text.contains(says), "{}", finding.text);
        assert!(finding.hint.is_some() && plan.is_empty());
    };
    let mut state = good().read();
    state.kernel.guard.nft = None;
    refused(&state, "nft is not installed");
    state.kernel.guard.nft = Some(NftVersion(0, 9, 3));
    refused(&state, "nft 0.9.3 cannot hold the guard");
    let mut state = good().read();
    state.firewalld.known_mut().unwrap().backend = "iptables".to_string();
    refused(&state, "firewalld's iptables backend");
    refused(
        &good().failed("nft-rules", 1, "no memory").read(),
        "no memory",
    );
    let mut two = good();
    let rules =
        two.of("nft-rules")
            .2
            .replacen("1024]}, \"right\": 1024", "2048]}, \"right\": 2048", 1);
    refused(&two.with("nft-rules", rules).read(), "several marks");
}

#[test]
fn a_mark_that_no_packet_can_have_is_none() {
    let mut odd = answers("forky", "mark", None);
    let rules = odd
        .of("nft-rules")
        .2
        .replace("1024]}, \"right\": 1024", "1]}, \"right\": 2");
    let plan = holds(&odd.with("nft-rules", rules).read(), &Allowed::default());
    assert_eq!(modes(&plan), ["nat-unprotected"]);
    assert!(!script(&plan).contains("meta mark"));
}

#[test]
fn dockers_tables_are_missed() {
    let gone = answers("forky", "mark", Some(NAT));
    let mut gone = gone.with("nft-tables", "table inet firewalld\n");
    let rules = gone.of("nft-rules").2.clone();
    let rules: Vec<&str> = rules
        .lines()
        .filter(|line| !line.contains("docker-bridges"))
        .collect();
    let plan = planned(&gone.with("nft-rules", rules.join("\n") + "\n").read());
    let finding = found(&plan, FindingCode::DockerRulesGone);
    assert!(
        finding.text.contains("`ip docker-bridges`"),
        "{}",
        finding.text
    );
    assert!(finding.hint.as_ref().unwrap().starts_with("restart Docker"));
}

#[test]
fn what_docker_drops_against_its_own_settings_is_said() {
    for (mode, options) in [("nat", UNPROTECTED), ("mark", NAT)] {
        let mut answers = answers("forky", mode, Some(options));
        // The mark is in the chain of the other bridge alone.
        let rules = answers.of("nft-rules").2.clone();
        let of_cybex = r#""chain": "filter-forward-in__br-cybex""#;
        let line = rules.lines().map(|line| {
            let rules: Vec<&str> = line.split(r#", {"rule": "#).collect();
            let kept = rules
                .iter()
                .filter(|rule| !(rule.contains(of_cybex) && rule.contains("ALLOW FW MARK")));
            kept.copied().collect::<Vec<_>>().join(r#", {"rule": "#)
        });
        let rules = line.collect::<Vec<_>>().join("\n") + "\n";
        let plan = planned(&answers.with("nft-rules", rules).read());
        let finding = found(&plan, FindingCode::DockerRefuses);
        assert_eq!(finding.severity, Severity::Warning, "{mode}");
        assert!(
            finding.text.contains("`filter-forward-in__br-cybex`"),
            "{}",
            finding.text
        );
    }
}

/// A daemon that was switched without a reboot leaves the jump and the policy, and fwdeploy has left its rules.
#[test]
fn what_the_other_backend_has_left_is_cleared_or_said() {
    let mut state = answers("forky", "mark", Some(NAT)).read();
    // Its files are as firewalld knows them.
    state.files = Observed::Unreadable("nobody looked".to_string());
    let stale = desired().rules;
    for firewall in [&mut state.permanent, &mut state.runtime] {
        let direct = firewall.direct.known_mut().unwrap();
        direct.chains.push(DirectChain::ours(Family::V4));
        direct.rules.extend(stale.iter().cloned());
    }
    let lines: Vec<String> = stale
        .iter()
        .map(|rule| rule.rule().unwrap().to_string())
        .collect();
    let chain = |rules: Vec<KernelRule>, policy: Option<&str>| Chain {
        policy: policy.map(String::from),
        rules,
    };
    let filter = [
        (
            CHAIN.to_string(),
            chain(lines.into_iter().map(KernelRule::new).collect(), None),
        ),
        (
            "FORWARD".to_string(),
            chain(vec![KernelRule::new("-j DOCKER-USER")], Some("DROP")),
        ),
    ];
    state
        .kernel
        .v4
        .known_mut()
        .unwrap()
        .tables
        .insert("filter".to_string(), filter.into());
    let plan = planned(&state);
    assert!(plan.refusals().next().is_none(), "{:?}", plan.findings);
    let dropped = found(&plan, FindingCode::ForeignDrop);
    assert!(
        dropped.text.contains("the policy of `FORWARD`"),
        "{}",
        dropped.text
    );
    assert!(
        dropped
            .hint
            .as_ref()
            .unwrap()
            .contains("iptables -P FORWARD ACCEPT")
    );
    let after = fold(&state, &plan.actions);
    assert!(after.permanent.direct.known().unwrap().rules.is_empty());
    assert!(after.runtime.direct.known().unwrap().rules.is_empty());
    assert!(planned(&after).is_empty());
}

/// What the gateway mode opens, the guard closes only for the containers of the roles.
#[test]
fn the_other_containers_of_a_network_are_not_opened() {
    let mut desired = desired();
    desired.guard.networks[0].closed = ["172.31.8.9/32".parse().unwrap()].into();
    let plan = |mode: &str, options| {
        let state = answers("forky", mode, options).read();
        plan(&state, &desired, &Allowed::default())
    };
    for (mode, options) in [("nat", None), ("unprotected", Some(UNPROTECTED))] {
        let plan = plan(mode, options);
        let finding = found(&plan, FindingCode::DockerNftables);
        assert!(finding.text.contains("br-cybex"), "{}", finding.text);
        assert_eq!(finding.severity, Severity::Refuse);
        assert!(plan.is_empty());
    }
    assert!(plan("mark", Some(NAT)).refusals().next().is_none());
}

/// Docker drops what is sent to a container's own address, whatever mark it has got by then.
#[test]
fn an_entry_without_a_port_is_refused_by_dockers_table() {
    let state = answers("forky", "mark", Some(NAT)).read();
    let mut desired = desired();
    let text =
        "-s 198.51.100.9 -d 172.31.8.9 -m comment --comment fwdeploy:cybex/trusted -j ACCEPT";
    let rule = Rule::parse_text(text).unwrap();
    desired
        .rules
        .insert(1, DirectRule::ours(Family::V4, 100, &rule));
    let plan = plan(&state, &desired, &Allowed::default());
    let finding = found(&plan, FindingCode::PortlessRefused);
    assert!(finding.text.contains("docker-bridges"), "{}", finding.text);
}

const OLD_CLI: &str = "template: :1:7: executing \"\" at <.FirewallBackend>: can't evaluate field FirewallBackend in type *types.Info\n";

/// docker 20.10 does not know the field; what its engine filters with is in the kernel.
#[test]
fn an_old_docker_command_does_not_hide_the_backend() {
    let nft = || answers("forky", "mark", Some(NAT)).failed("docker-firewall", 1, OLD_CLI);
    let state = nft().read();
    assert_eq!(state.docker.known().unwrap().firewall, "nftables");
    holds(&state, &Allowed::default());
    let iptables = Answers::fresh("forky").failed("docker-firewall", 1, OLD_CLI);
    let state = iptables.read();
    assert_eq!(state.docker.known().unwrap().firewall, "");
    assert!(planned(&state).refusals().next().is_none());
    // Rules of both, or nothing to tell from.
    let mut both = Answers::fresh("forky");
    let rules = both.of("iptables-save").2.clone();
    let unclear = [
        nft().with("iptables-save", rules),
        nft().failed("nft-tables", 1, "no"),
    ];
    for unclear in unclear {
        let plan = planned(&unclear.read());
        let silent = found(&plan, FindingCode::DockerSilent);
        assert!(
            silent.text.contains("can't evaluate field"),
            "{}",
            silent.text
        );
        assert!(
            silent
                .hint
                .as_ref()
                .unwrap()
                .contains("older than its engine")
        );
    }
    // Another trouble is none of these.
    let other = Answers::fresh("forky").failed("docker-firewall", 1, "permission denied");
    assert!(matches!(other.read().docker, Observed::Unreadable(_)));
}

#[test]
fn a_docker_command_that_is_too_old_is_named() {
    for said in [
        "template: :1:7: executing \"\" at <.Attachable>: map has no entry for key \"Attachable\"",
        "Error response from daemon: client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version",
    ] {
        for question in ["docker-networks", "docker-version"] {
            let state = Answers::fresh("forky").failed(question, 1, said).read();
            assert_ne!(state.system.docker_daemon, Daemon::Missing);
            let plan = planned(&state);
            let silent = found(&plan, FindingCode::DockerSilent);
            let hint = silent.hint.as_ref().unwrap();
            assert!(hint.contains("docker-ce-cli"), "{question}: {hint}");
        }
    }
}

/// firewalld accepts direct rules there, says `success`, and has none of them in force.
#[test]
fn a_node_without_iptables_is_refused_with_the_name_of_the_package() {
    let missing = |answers: Answers| {
        answers
            .failed("iptables-save", 127, "iptables-save is not installed")
            .failed("ip6tables-save", 127, "ip6tables-save is not installed")
    };
    for answers in [
        missing(Answers::fresh("forky")).with("docker-told", ""),
        missing(answers("forky", "mark", Some(NAT))),
    ] {
        let plan = planned(&answers.read());
        let finding = found(&plan, FindingCode::NoIptables);
        assert_eq!(finding.severity, Severity::Refuse);
        assert!(
            finding
                .hint
                .as_ref()
                .unwrap()
                .contains("package `iptables`")
        );
        assert!(plan.is_empty());
    }
}
