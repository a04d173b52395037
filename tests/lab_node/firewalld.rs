//! firewalld's permanent configuration, and its rich rules.

use fwdeploy::model::Family;
use fwdeploy::model::rule::DirectRule;
use fwdeploy::model::rule::Passthrough;
use fwdeploy::model::state::Direct;
use fwdeploy::model::state::DirectChain;
use fwdeploy::model::state::RichText;
use fwdeploy::plan::Action;

use crate::node::assert_same;
use crate::node::on_every_node;
use crate::plans::bands;
use crate::plans::permanent;
use crate::plans::rich;
use crate::plans::rule;

#[test]
#[ignore = "needs root and the lab: make lab"]
fn the_permanent_configuration_is_written_as_a_whole_or_not_at_all() {
    on_every_node(|node| {
        let start = node.everything();
        let nasty = "it's \"q\" \\ $x `y` <z> & \u{fc}\t*";
        let foreign = DirectRule {
            chain: "FORWARD".to_string(),
            ..rule(Family::V4, 7, "-p tcp -j ACCEPT")
        };
        let mut commented = rule(Family::V4, -3, "-m comment --comment");
        let more = [nasty.to_string(), "-j".to_string(), "ACCEPT".to_string()];
        commented.args = commented.args.iter().cloned().chain(more).collect();
        let mut after = permanent(vec![DirectChain::ours(Family::V4)], bands());
        // Not in firewalld's grouping, which must not count as a difference.
        after.rules.insert(2, foreign);
        after.rules.push(commented);
        after.rules.push(rule(Family::V6, 0, "-j RETURN"));
        after.passthroughs.push(Passthrough::new(
            "ipv4",
            ["-t", "nat", "-L"].map(String::from).to_vec(),
        ));
        let write = Action::SetPermanentDirect {
            before: Direct::default(),
            after: after.clone(),
        };
        let zone = Action::SetPermanentRich {
            zone: "public".to_string(),
            before: vec![],
            after: vec![
                rich(),
                RichText::new(
                    r#"rule family="ipv4" source address="192.0.2.7" service name="http" log prefix="a b" accept"#,
                ),
            ],
        };
        node.take(&[write.clone(), zone.clone()]);
        let settings = node.call("/config", ".config.direct", "getSettings");
        assert!(settings.contains("fwdeploy:lab/p2p"), "{settings}");
        // What is so already is well.
        node.take(&[write.clone(), zone.clone()]);
        // A change by another program in between is not overwritten.
        let other = Action::SetPermanentDirect {
            before: Direct::default(),
            after: Direct {
                chains: after.chains.clone(),
                ..Direct::default()
            },
        };
        let answer = node.refuses(&[other]);
        assert!(
            answer.contains("has changed since the plan was made; nothing was written"),
            "{answer}"
        );
        let other = Action::SetPermanentRich {
            zone: "public".to_string(),
            before: vec![],
            after: vec![rich()],
        };
        let answer = node.refuses(&[other]);
        assert!(
            answer.contains("have changed since the plan was made; nothing was written"),
            "{answer}"
        );
        // A rule that firewalld cannot read.
        let broken = Action::SetPermanentRich {
            zone: "public".to_string(),
            before: match &zone {
                Action::SetPermanentRich { after, .. } => after.iter().rev().cloned().collect(),
                _ => vec![],
            },
            after: vec![rich(), RichText::new("rule family=\"ipv4\" nonsense")],
        };
        let answer = node.refuses(&[broken]);
        assert!(
            answer.contains("INVALID_RULE") || answer.contains("INVALID"),
            "{answer}"
        );
        let nowhere = Action::SetPermanentRich {
            zone: "nowhere".to_string(),
            before: vec![],
            after: vec![],
        };
        let answer = node.refuses(&[nowhere]);
        assert!(
            answer.contains("no permanent zone nowhere") && answer.contains("INVALID_ZONE"),
            "{answer}"
        );
        node.take_back(&[write, zone]);
        node.sh("rm -f /etc/firewalld/zones/public.xml* /etc/firewalld/direct.xml*");
        let clean = |text: &str| -> String {
            text.lines()
                .filter(|l| !l.contains('<'))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_same(&clean(&start), &clean(&node.everything()), node);
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn rich_rules_come_and_go_at_runtime() {
    on_every_node(|node| {
        let start = node.everything();
        let add = Action::AddRich {
            zone: "public".to_string(),
            rule: rich(),
        };
        node.take(&[add.clone(), add.clone()]);
        assert!(
            node.call("", ".zone", "getRichRules s public")
                .contains("forward-port")
        );
        let broken = Action::AddRich {
            zone: "public".to_string(),
            rule: RichText::new("rule nonsense"),
        };
        assert!(node.refuses(&[broken]).contains("INVALID_RULE"));
        node.take(&[add.undo(), add.undo()]);
        assert_same(&start, &node.everything(), node);
    });
}
