//! The steps that the tests take: the whitelist of one container, by hand.

use fwdeploy::model::Cidr;
use fwdeploy::model::Family;
use fwdeploy::model::rule::DirectRule;
use fwdeploy::model::rule::split_saved;
use fwdeploy::model::state::Direct;
use fwdeploy::model::state::DirectChain;
use fwdeploy::model::state::RichText;
use fwdeploy::plan::Action;

use crate::node::CONTAINER;
use crate::node::Node;
use crate::node::SUBNET;
use crate::node::peer;

pub(crate) fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

pub(crate) fn rule(family: Family, priority: i32, text: &str) -> DirectRule {
    DirectRule {
        family: Some(family),
        table: "filter".to_string(),
        chain: "DOCKER-USER".to_string(),
        priority,
        args: split_saved(text).unwrap().into(),
    }
}

/// The five bands of the whitelist: peer1 inbound and outbound, all other hosts refused.
pub(crate) fn bands() -> Vec<DirectRule> {
    let peer = peer("peer1");
    let band = |priority, text: &str, what| {
        let (matches, target) = text.split_once(" -j ").unwrap();
        let text = format!("{matches} -m comment --comment fwdeploy:lab/{what} -j {target}");
        rule(Family::V4, priority, &text)
    };
    vec![
        band(
            0,
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "established",
        ),
        band(
            100,
            &format!(
                "-s {peer}/32 -d {CONTAINER}/32 -p tcp --dport 5000 -m conntrack --ctstate DNAT -j ACCEPT"
            ),
            "p2p",
        ),
        band(
            200,
            &format!("-s {CONTAINER}/32 -d {peer}/32 -p tcp --dport 6000 -j ACCEPT"),
            "p2p",
        ),
        band(
            900,
            &format!("-d {SUBNET} ! -s {SUBNET} -j REJECT"),
            "otherwise",
        ),
        band(
            1000,
            &format!("-s {SUBNET} ! -d {SUBNET} -j REJECT"),
            "otherwise",
        ),
    ]
}

pub(crate) fn rich() -> RichText {
    RichText::new(format!(
        "rule family=\"ipv4\" source address=\"{}\" forward-port port=\"5000\" protocol=\"tcp\" to-port=\"5000\" to-addr=\"{CONTAINER}\"",
        peer("peer1")
    ))
}

pub(crate) fn latch() -> Action {
    Action::Latch {
        subnets: vec![cidr(SUBNET)],
    }
}

pub(crate) fn unlatch() -> Action {
    latch().undo()
}

pub(crate) fn own(family: Family) -> Action {
    Action::OwnChain { family }
}

pub(crate) fn families(node: &Node) -> Vec<Family> {
    let with_chain = |f: &Family| {
        node.sh(&format!("{}-save -t filter", f.iptables()))
            .contains(":DOCKER-USER")
    };
    Family::ALL.into_iter().filter(with_chain).collect()
}

pub(crate) fn permanent(chains: Vec<DirectChain>, rules: Vec<DirectRule>) -> Direct {
    Direct {
        chains,
        rules,
        passthroughs: Vec::new(),
    }
}
