//! Roles in audit: what is compiled for them, and how a node is planned into audit and out of it.
//!
//! That nothing is refused and everything is recorded is a law: `laws_policy.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use fwdeploy::inventory::Inventory;
use fwdeploy::model::Date;
use fwdeploy::model::Desired;
use fwdeploy::model::Family;
use fwdeploy::model::NodeState;
use fwdeploy::model::Port;
use fwdeploy::model::docker::Container;
use fwdeploy::model::docker::Docker;
use fwdeploy::model::guard::NftVersion;
use fwdeploy::model::state::System;
use fwdeploy::plan::Action;
use fwdeploy::plan::Allowed;
use fwdeploy::plan::FindingCode;
use fwdeploy::plan::Plan;
use fwdeploy::plan::Severity;
use fwdeploy::plan::plan;
use fwdeploy::policy::NodeContext;
use fwdeploy::policy::compile;
use fwdeploy::policy::compile::BETWEEN;
use fwdeploy::policy::compile::ESTABLISHED;
use fwdeploy::policy::compile::FORGED;
use fwdeploy::policy::compile::INBOUND;
use fwdeploy::policy::compile::OUTBOUND;
use fwdeploy::role::Roles;

use super::laws_plan::fold;
use crate::support::node_builder::NodeBuilder;

/// A node with both roles and these variables, on this day.
fn on(day: &str, vars: &str) -> Desired {
    let folder = tempfile::tempdir().unwrap();
    let vars: String = vars.lines().map(|line| format!("      {line}\n")).collect();
    let text = format!(
        "all:\n  hosts:\n    a:\n      ansible_host: 192.0.2.1\n      fwdeploy_roles: [cybex, eos]\n      \
         cybex_peers: [0.0.0.0/0]\n      eos_peers: [203.0.113.7]\n{vars}"
    );
    std::fs::write(folder.path().join("inventory.yml"), text).unwrap();
    compiled(folder.path(), day.parse().unwrap())
}

fn compiled(folder: &Path, today: Date) -> Desired {
    let inventory = Inventory::load(&folder.join("inventory.yml"), &[]).unwrap();
    let roles = Roles::load(inventory.directory()).unwrap();
    let node = inventory.node("a").unwrap();
    let policies = roles.resolve(&inventory, node);
    let context = NodeContext {
        ipsets: fwdeploy::model::Ipsets::default(),
        node: node.name.clone(),
        zone: None,
        ssh_port: Port::new(22).unwrap(),
        today,
    };
    let policies = policies.unwrap_or_else(|errors| panic!("{errors}"));
    compile(&policies, &context).unwrap_or_else(|errors| panic!("{errors}"))
}

const BOTH: &str = "cybex_enforce: audit\neos_enforce: audit";

fn enforced() -> Desired {
    on("2027-01-31", "")
}

fn audited() -> Desired {
    on("2027-01-31", BOTH)
}

/// A node without a whitelist.
fn open_node(nft: Option<NftVersion>) -> NodeState {
    let devices = ["docker0", "br-cybex", "br-eos"].map(String::from).to_vec();
    let containers = ["cybex", "eos"].map(|name| Container {
        name: name.to_string(),
        running: true,
        ..Container::default()
    });
    let mut state = NodeBuilder::new()
        .system(System {
            nft: true,
            busctl: true,
            docker: true,
            ..System::default()
        })
        .firewalld("2.3.1", "nftables")
        .active_zones(BTreeMap::from([("docker".to_string(), devices)]))
        .chain(Family::V4, "filter", "DOCKER", &[])
        .chain(Family::V4, "filter", "DOCKER-USER", &["-j RETURN"])
        .chain(
            Family::V4,
            "filter",
            "FORWARD",
            &["-j DOCKER-USER", "-j DOCKER-FORWARD"],
        )
        .chain(Family::V4, "nat", "PREROUTING", &["-j DOCKER"])
        .docker(Docker {
            version: "28.5.2".to_string(),
            containers: containers.to_vec(),
            ..Docker::default()
        })
        .build();
    state.kernel.guard.nft = nft;
    state
}

const NFT: Option<NftVersion> = Some(NftVersion(1, 0, 6));

fn planned(state: &NodeState, desired: &Desired) -> Plan {
    let plan = plan(state, desired, &Allowed::default());
    let refused: Vec<_> = plan.refusals().collect();
    assert!(refused.is_empty(), "{refused:#?}");
    plan
}

/// The node after a run, which leaves nothing to do.
fn deployed(state: &NodeState, desired: &Desired) -> NodeState {
    let after = fold(state, &planned(state, desired).actions);
    let rest = planned(&after, desired).actions;
    assert!(rest.is_empty(), "{rest:#?}");
    after
}

fn texts(plan: &Plan, code: FindingCode) -> Vec<String> {
    let found = plan.findings.iter().filter(|finding| finding.code == code);
    found.map(|finding| finding.text.clone()).collect()
}

/// Tried with `add_otherwise` called for every policy, and with `add_between` as it was.
#[test]
fn a_role_in_audit_has_no_band_that_refuses() {
    let bands = |desired: &Desired| {
        let mut bands: Vec<i32> = desired.rules.iter().map(|rule| rule.priority).collect();
        bands.dedup();
        bands
    };
    assert_eq!(bands(&audited()), [ESTABLISHED, INBOUND, OUTBOUND]);
    assert_eq!(enforced().rich, audited().rich);
    // What is enforced stays closed to what is in audit, and keeps all of its own.
    let mixed = on("2027-01-31", "cybex_enforce: audit");
    let refusing = mixed
        .rules
        .iter()
        .filter(|rule| ![ESTABLISHED, INBOUND, OUTBOUND].contains(&rule.priority));
    for rule in refusing.clone() {
        assert!(rule.to_string().contains("172.21."), "{rule}");
    }
    let between = |desired: &Desired| {
        desired
            .rules
            .iter()
            .filter(|rule| rule.priority == BETWEEN)
            .count()
    };
    assert_eq!((between(&mixed), between(&enforced())), (2, 2));
    assert!(refusing.clone().any(|rule| rule.priority == FORGED));
    assert!(mixed.guard.networks[0].is_audited && !mixed.guard.networks[1].is_audited);
    assert!(!mixed.is_audit() && audited().is_audit() && !enforced().is_audit());
}

#[test]
fn a_node_goes_into_audit_and_out_of_it_in_one_run_each() {
    let state = deployed(&open_node(NFT), &enforced());
    assert!(texts(&planned(&state, &enforced()), FindingCode::Audit).is_empty());

    let into = planned(&state, &audited());
    let first = into.changes()[0].to_string();
    assert_eq!(
        first,
        "~ guard     the rules of table inet fwdeploy, which are enforced: they are in audit from now on"
    );
    let state = deployed(&state, &audited());
    let rest = planned(&state, &audited());
    assert_eq!(
        texts(&rest, FindingCode::Audit),
        ["cybex", "eos"].map(|role| format!(
            "AUDIT: what is on no list of role `{role}` passes and is recorded"
        ))
    );

    // Also after a run with `--audit`, by which the roles are as they were.
    let out = planned(&state, &enforced());
    assert!(matches!(out.actions[0], Action::SetGuard { .. }));
    let first = out.changes()[0].to_string();
    assert_eq!(
        first,
        "~ guard     the rules of table inet fwdeploy, which are in audit: they are enforced from now on"
    );
    assert_eq!(texts(&out, FindingCode::AuditEnds).len(), 1);
    assert_eq!(texts(&out, FindingCode::NodeClosed).len(), 2);
    let state = deployed(&state, &enforced());
    assert!(texts(&planned(&state, &enforced()), FindingCode::AuditEnds).is_empty());
}

#[test]
fn an_audit_is_over_on_the_day_after_its_last_and_enforces_nothing_then() {
    let vars = format!("{BOTH}\ncybex_until: 2027-01-31");
    let (last, over) = (on("2027-01-31", &vars), on("2027-02-01", &vars));
    let state = deployed(&open_node(NFT), &last);
    let plan = planned(&state, &last);
    assert!(texts(&plan, FindingCode::AuditExpired).is_empty());
    assert_eq!(plan.not_enforced(&last).count(), 0);
    let plan = planned(&state, &over);
    assert!(plan.is_empty(), "{:#?}", plan.changes());
    let expired: Vec<_> = plan
        .not_enforced(&over)
        .map(|finding| finding.text.as_str())
        .collect();
    assert_eq!(
        expired,
        [
            "AUDIT, which was to end on 2027-01-31: what is on no list of role `cybex` passes and is recorded"
        ]
    );
    // The node's records compare what the roles require, and that is the same on both days.
    let text = |desired: &Desired| serde_json::to_string(desired).unwrap();
    assert_eq!(text(&last), text(&over));
}

#[test]
fn what_defeats_a_whitelist_counts_only_where_it_is_enforced() {
    let mut state = open_node(NFT);
    if let Some(docker) = state.docker.known_mut() {
        docker.containers[0].network_mode = "host".to_string();
    }
    for (desired, counts) in [(enforced(), true), (audited(), false)] {
        let plan = planned(&state, &desired);
        let severe = plan
            .findings
            .iter()
            .filter(|f| f.severity == Severity::NotEnforced);
        assert!(severe.count() > 0, "{:#?}", plan.findings);
        assert_eq!(plan.not_enforced(&desired).count() > 0, counts);
    }
}

#[test]
fn without_nft_an_audit_refuses_nothing_and_records_nothing() {
    let of_mangle = |plan: &Plan| {
        let texts = plan.changes().into_iter().map(|change| change.to_string());
        texts.filter(|text| text.contains("mangle")).count()
    };
    let latches = |plan: &Plan| {
        let is_latch = |action: &&Action| matches!(action, Action::Latch { .. });
        plan.actions.iter().filter(is_latch).count()
    };
    let state = open_node(None);
    let strict = planned(&state, &enforced());
    assert!(of_mangle(&strict) > 0 && latches(&strict) > 0);
    let plan = planned(&state, &audited());
    assert_eq!(
        (of_mangle(&plan), latches(&plan)),
        (0, 0),
        "{:#?}",
        plan.changes()
    );
    assert!(texts(&plan, FindingCode::Audit)[0].contains("passes and is not recorded"));
    // Switched in either direction.
    let state = deployed(&state, &enforced());
    let state = deployed(&state, &audited());
    deployed(&state, &enforced());
}
