//! The example fleet of `inventory/` with the built-in roles, from its files to the rules.

use std::fmt::Write as _;
use std::path::Path;

use fwdeploy::inventory::Inventory;
use fwdeploy::model::Desired;
use fwdeploy::model::Port;
use fwdeploy::policy::NodeContext;
use fwdeploy::policy::compile;
use fwdeploy::policy::warnings;
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
    let port = node.connection.port.as_ref().map_or(22, |port| port.value);
    let context = NodeContext {
        node: name.to_string(),
        zone: node.connection.zone.clone(),
        ssh_port: Port::new(port).unwrap(),
    };
    compile(&policies, &context).unwrap_or_else(|errors| panic!("{errors}"))
}

fn shown(name: &str) -> String {
    let desired = desired(name);
    let mut text = String::new();
    for network in &desired.networks {
        writeln!(text, "network {network:?}").unwrap();
    }
    for attachment in &desired.attachments {
        writeln!(text, "attachment {attachment:?}").unwrap();
    }
    for rule in &desired.rules {
        writeln!(text, "{rule}").unwrap();
    }
    for rule in &desired.rich {
        writeln!(text, "{rule}").unwrap();
    }
    text
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
    insta::assert_snapshot!(shown("tokyo-1"));
}

#[test]
fn a_producer_is_dialled_by_nobody() {
    insta::assert_snapshot!(shown("eos-bp-1"));
}
