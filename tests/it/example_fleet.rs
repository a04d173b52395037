//! The example fleet of `inventory/` with the built-in roles, from its files to the rules.

use std::path::Path;

use fwdeploy::inventory::Inventory;
use fwdeploy::model::Desired;
use fwdeploy::model::Port;
use fwdeploy::policy::NodeContext;
use fwdeploy::policy::compile;
use fwdeploy::policy::warnings;
use fwdeploy::report::render;
use fwdeploy::role::Roles;

fn desired(name: &str) -> Desired {
    let inventory = Inventory::load(Path::new("inventory/example.yml"), &[])
        .unwrap_or_else(|errors| panic!("{errors}"));
    let roles = Roles::load(inventory.directory()).unwrap();
    let node = inventory.node(name).unwrap();
    let policies = roles
        .resolve(&inventory, node)
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(warnings(&policies), []);
    let connection = node.connection(&roles.resolver(&inventory)).unwrap();
    let port = connection.port.as_ref().map_or(22, |port| port.value);
    let context = NodeContext {
        ipsets: fwdeploy::model::Ipsets::default(),
        node: name.to_string(),
        zone: connection.zone,
        ssh_port: Port::new(port).unwrap(),
        today: "2027-01-31".parse().unwrap(),
    };
    compile(&policies, &context).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_node_compiles() {
    let inventory = Inventory::load(Path::new("inventory/example.yml"), &[]).unwrap();
    for node in inventory.nodes() {
        assert!(!desired(&node.name).rules.is_empty(), "{}", node.name);
    }
}

#[test]
fn the_node_of_the_story_has_both_chains() {
    insta::assert_snapshot!(render::commands(&desired("tokyo-1")));
}

#[test]
fn a_producer_is_dialled_by_nobody() {
    insta::assert_snapshot!(render::commands(&desired("eos-bp-1")));
}

#[test]
fn a_witness_as_firewalld_keeps_it() {
    insta::assert_snapshot!(render::direct_xml(&desired("cybex-fra-1")));
}

#[test]
fn an_api_node_as_json() {
    insta::assert_snapshot!(render::json(&desired("eos-api-02")));
}

#[test]
fn every_command_reads_back_as_the_rule_that_it_adds() {
    let desired = desired("tokyo-1");
    let script = render::commands(&desired);
    let adds = script.lines().filter(|line| line.contains("--add-rule"));
    let words: Vec<Vec<String>> = adds.map(|line| shlex::split(line).unwrap()).collect();
    assert_eq!(words.len(), desired.rules.len());
    for (words, rule) in words.iter().zip(&desired.rules) {
        assert_eq!(words[8..], *rule.args);
    }
}
