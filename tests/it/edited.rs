//! Files of firewalld that were edited by hand, on nodes that are otherwise as they answered: see tests/captures/README.md.

use fwdeploy::model::CHAIN;
use fwdeploy::model::Desired;
use fwdeploy::model::DesiredNetwork;
use fwdeploy::model::DirectRule;
use fwdeploy::model::Family;
use fwdeploy::model::File;
use fwdeploy::model::Files;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::model::Rule;
use fwdeploy::model::rule::Passthrough;
use fwdeploy::model::settings::Options;
use fwdeploy::model::state::Direct;
use fwdeploy::plan::Allowed;
use fwdeploy::plan::Finding;
use fwdeploy::plan::FindingCode;
use fwdeploy::plan::Permission;
use fwdeploy::plan::Plan;
use fwdeploy::plan::Recovery;
use fwdeploy::plan::Reload;
use fwdeploy::plan::Severity;
use fwdeploy::plan::plan;
use fwdeploy::plan::recover::recovery;
use fwdeploy::plan::simulate;

use crate::support::as_told::files_as_told;
use crate::support::captures::captures;

/// A node whose files match firewalld's memory.
fn node(situation: &str) -> NodeState {
    let name = format!("trixie-nftables/{situation}");
    let capture = captures().iter().find(|c| c.name == name);
    let mut state = capture.expect("it was taken").read();
    state.files = Observed::Known(files_as_told(&state.permanent, &state.sets, "public"));
    state
}

/// A node with an edited file.
fn edited(situation: &str, edit: impl FnOnce(&mut Files)) -> NodeState {
    let mut state = node(situation);
    edit(state.files.known_mut().unwrap());
    state
}

fn zone<'a>(files: &'a mut Files, name: &str) -> &'a mut Options {
    let zone = files.zones.get_mut(name).unwrap();
    zone.says.known_mut().unwrap().as_mut().unwrap()
}

fn network() -> DesiredNetwork {
    DesiredNetwork {
        name: "chain".into(),
        subnet: "172.20.0.0/16".parse().unwrap(),
        gateway: None,
        subnet6: None,
        bridge: "fw-chain".into(),
    }
}

/// A rule to be written permanently, or nothing that is not there.
fn planned(state: &NodeState, something: bool, allowed: &Allowed) -> Plan {
    let rule = Rule::parse_text("-s 172.30.0.2 -j REJECT").unwrap();
    let rule = DirectRule::ours(Family::V4, 1000, &rule);
    let desired = Desired {
        rules: something.then_some(rule).into_iter().collect(),
        ..Desired::default()
    };
    plan(state, &desired, allowed)
}

fn told(plan: &Plan) -> Vec<&Finding> {
    plan.findings
        .iter()
        .filter(|f| f.code == FindingCode::EditedByHand)
        .collect()
}

#[test]
fn each_edit_is_told_with_its_file_and_in_words() {
    type Edit = fn(&mut Files);
    let edits: [(Edit, &str, &str); 10] = [
        (
            |f| zone(f, "public").add("ports", "9100/tcp"),
            "zones/public.xml",
            "adds port `9100/tcp`",
        ),
        (
            |f| zone(f, "public").remove("services"),
            "zones/public.xml",
            "removes service `ssh`",
        ),
        (
            |f| zone(f, "public").remove("forward"),
            "zones/public.xml",
            "removes forwarding within the zone",
        ),
        (
            |f| zone(f, "public").add("interfaces", "eth7"),
            "zones/public.xml",
            "adds interface `eth7`",
        ),
        (
            |f| {
                zone(f, "public").add(
                    "rules_str",
                    "rule family=\"ipv4\" source not address=\"192.0.2.1\" drop",
                )
            },
            "zones/public.xml",
            "adds rich rule `rule family=\"ipv4\" source NOT address=\"192.0.2.1\" drop`",
        ),
        (
            |f| {
                zone(f, "docker").remove("target");
                zone(f, "docker").add("target", "DROP");
            },
            "zones/docker.xml",
            "changes target from `ACCEPT` to `DROP`",
        ),
        (
            |f| f.default_zone.says = Observed::Known("drop".into()),
            "firewalld.conf",
            "changes the default zone from `public` to `drop`",
        ),
        (
            |f| f.zones.get_mut("docker").unwrap().says = Observed::Known(None),
            "zones/docker.xml",
            "removes this zone",
        ),
        (
            |f| {
                let file = File {
                    path: "/etc/firewalld/services/chat.xml".into(),
                    says: Observed::Known(Some(Options::default())),
                };
                f.services.insert("chat".into(), file);
            },
            "services/chat.xml",
            "adds this service",
        ),
        (
            |f| {
                let rule = Rule::parse_text("-j DROP").unwrap();
                let rule = DirectRule::ours(Family::V6, 3, &rule);
                f.direct.says.known_mut().unwrap().rules.push(rule);
            },
            "direct.xml",
            "adds rule `ipv6 filter DOCKER-USER 3 -j DROP`",
        ),
    ];
    assert!(told(&planned(&node("fresh"), true, &Allowed::default())).is_empty());
    for (edit, path, words) in edits {
        let state = edited("fresh", edit);
        let allowed = Allowed {
            pending: Permission::Granted,
            reload: Reload::Always,
            ..Allowed::default()
        };
        for allowed in [Allowed::default(), allowed] {
            let plan = planned(&state, true, &allowed);
            assert!(plan.is_empty(), "{words}");
            let [finding] = told(&plan)[..] else {
                panic!("{words}: {:?}", plan.findings);
            };
            assert_eq!(finding.severity, Severity::Refuse, "{words}");
            assert!(
                finding.text.starts_with(&format!("/etc/firewalld/{path} ")),
                "{finding:?}"
            );
            assert!(finding.text.contains(words), "{words}: {finding:?}");
        }
        let idle = planned(&state, false, &Allowed::default());
        let told = told(&idle);
        assert_eq!(told.len(), 1, "{words}");
        assert_eq!(told[0].severity, Severity::Warning, "{words}");
        // A command that always writes is refused.
        assert_eq!(idle.refusals_to_write().len(), 1, "{words}");
    }
}

/// Whoever reloads firewalld next would open the node, whether or not a run has anything to do.
#[test]
fn an_edit_that_takes_from_the_whitelist_stops_a_node_that_is_in_order() {
    let rule = Rule::parse_text("-s 172.30.0.2 -j REJECT").unwrap();
    let wanted = Desired {
        rules: vec![DirectRule::ours(Family::V4, 1000, &rule)],
        networks: vec![network()],
        ..Desired::default()
    };
    let planned = |state: &NodeState| plan(state, &wanted, &Allowed::default());
    let fresh = node("fresh");
    let first = planned(&fresh);
    let done = first.actions.iter().fold(fresh, |s, a| simulate(&s, a));
    assert!(planned(&done).is_empty() && !first.is_empty());
    let direct = |files: &mut Files, edit: fn(&mut Direct)| {
        edit(files.direct.says.known_mut().unwrap());
    };
    type Edit<'a> = &'a dyn Fn(&mut Files);
    let taking: [(Edit<'_>, &str); 3] = [
        (
            &|f| direct(f, |direct| direct.rules.clear()),
            "(drift: `+ permanent ipv4 filter DOCKER-USER 1000 -s 172.30.0.2",
        ),
        (
            &|f| direct(f, |direct| *direct = Direct::default()),
            "(drift: `+ permanent ",
        ),
        (
            &|f| {
                direct(f, |direct| {
                    let words = "-t filter -I DOCKER-USER -j ACCEPT".split(' ');
                    let words = words.map(String::from).collect();
                    direct.passthroughs.push(Passthrough::new("ipv4", words));
                });
            },
            "the whitelist would not be enforced (",
        ),
    ];
    for (edit, words) in taking {
        let mut state = done.clone();
        edit(state.files.known_mut().unwrap());
        let plan = planned(&state);
        assert!(plan.is_empty());
        let [finding] = told(&plan)[..] else {
            panic!("{words}: {:?}", plan.findings);
        };
        assert_eq!(finding.severity, Severity::Refuse, "{words}");
        let hint = finding.hint.as_deref().unwrap();
        assert!(hint.starts_with("do not reload firewalld yet"), "{hint}");
        assert!(hint.contains(words), "{words}: {hint}");
    }
    let mut state = done;
    zone(state.files.known_mut().unwrap(), "public").add("ports", "9100/tcp");
    assert_eq!(told(&planned(&state))[0].severity, Severity::Warning);
}

#[test]
fn the_hint_tells_whether_ssh_outlives_the_edit() {
    let hint = |edit: fn(&mut Files)| {
        let plan = planned(&edited("fresh", edit), true, &Allowed::default());
        told(&plan)[0].hint.clone().unwrap()
    };
    let harmless = hint(|f| zone(f, "public").add("ports", "9100/tcp"));
    assert!(
        harmless.starts_with("load it with `firewall-cmd --reload`"),
        "{harmless}"
    );
    for shuts in [
        hint(|f| zone(f, "public").remove("services")),
        hint(|f| {
            zone(f, "public").add(
                "rules_str",
                "rule priority=\"-1\" service name=\"ssh\" drop",
            )
        }),
        hint(|f| {
            let rule = Rule::parse_text("-p tcp --dport 22 -j DROP").unwrap();
            let mut rule = DirectRule::ours(Family::V4, 0, &rule);
            rule.chain = "INPUT".into();
            assert_ne!(rule.chain, CHAIN);
            f.direct.says.known_mut().unwrap().rules.push(rule);
        }),
    ] {
        assert!(shuts.starts_with("do not reload firewalld yet"), "{shuts}");
        assert!(shuts.contains("not open a new ssh connection"), "{shuts}");
    }
}

/// firewalld before 0.9 does not report settings: the direct configuration and the zone's rich rules can still be compared.
#[test]
fn of_an_old_firewalld_what_is_ours_is_compared() {
    let old = |edit: fn(&mut Files)| {
        let mut state = edited("whitelisted", edit);
        state.permanent.settings = Observed::Unreadable("firewalld before 0.9".into());
        planned(&state, true, &Allowed::default())
    };
    assert!(told(&old(|_| {})).is_empty());
    assert!(told(&old(|f| zone(f, "public").add("ports", "9100/tcp"))).is_empty());
    let plan = old(|f| zone(f, "public").remove("rules_str"));
    assert!(
        told(&plan)[0].text.contains("removes rich rule `"),
        "{plan:?}"
    );
    let plan = old(|f| f.direct.says.known_mut().unwrap().rules.clear());
    assert!(told(&plan)[0].text.contains("removes rule `"), "{plan:?}");
}

#[test]
fn a_recovery_loads_no_edit_unseen_but_where_the_edit_is_what_mends() {
    let edit = |files: &mut Files| {
        let direct = files.direct.says.known_mut().unwrap();
        direct
            .passthroughs
            .push(Passthrough::new("ipv4", vec!["-N".into(), "x".into()]));
    };
    let desired = Desired {
        networks: vec![network()],
        ..Desired::default()
    };
    let allowed = Allowed {
        recover: Permission::Granted,
        pending: Permission::Granted,
        ..Allowed::default()
    };
    let chosen = |state: &NodeState| recovery(state, &desired, &allowed);
    assert!(matches!(
        chosen(&node("flushed")),
        Some(Recovery::Reload { .. })
    ));
    let flushed = edited("flushed", edit);
    assert_eq!(chosen(&flushed), None);
    assert_eq!(told(&plan(&flushed, &desired, &allowed)).len(), 1);
    let failed = edited("firewalld-failed", edit);
    assert!(matches!(chosen(&failed), Some(Recovery::Unfail { .. })));
}

/// `--set-default-zone` changes firewalld's memory and its file; what it reports of its file does not change up to 1.3.
#[test]
fn a_default_zone_that_firewalld_has_set_itself_is_no_edit() {
    let replaced = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    let fresh = captures().iter().filter(|c| c.situation() == "fresh");
    let mut seen = 0;
    for capture in fresh {
        let text = String::from_utf8(capture.stdout.clone()).unwrap();
        // Another zone whose name is as long.
        let edited = replaced(&text, "\n DefaultZone=public", "\n DefaultZone=docker");
        let set = replaced(&edited, "\ns \"public\"\n", "\ns \"docker\"\n");
        for (text, edits) in [(&text, 0), (&set, 0), (&edited, 1)] {
            let state = fwdeploy::probe::observe(text.as_bytes(), b"").unwrap();
            let plan = planned(&state, true, &Allowed::default());
            assert_eq!(
                told(&plan).len(),
                edits,
                "{}: {:?}",
                capture.name,
                told(&plan)
            );
        }
        // Nor does a reload change it.
        let state = fwdeploy::probe::observe(set.as_bytes(), b"").unwrap();
        if let (Some(permanent), Some(runtime)) = (
            state.permanent.settings.known(),
            state.runtime.settings.known(),
        ) {
            assert_eq!(
                permanent.default_zone, runtime.default_zone,
                "{}",
                capture.name
            );
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
}
