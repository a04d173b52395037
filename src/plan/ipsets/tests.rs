use super::*;
use crate::model::File;
use crate::model::Files;
use crate::model::Observed;
use crate::model::Port;
use crate::model::node_builder::NodeBuilder;
use crate::model::rule::Target;
use crate::plan::action::Change;
use crate::plan::simulate::simulate_all;

const CONTAINER: &str = "172.20.0.2";

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn rule(priority: i32, text: &str) -> DirectRule {
    let rule = Rule::parse_text(text).unwrap();
    DirectRule::ours(
        Family::V4,
        priority,
        rule.with_comment("fwdeploy:cybex/p2p".to_string()),
    )
}

/// What a role with these peers compiles to: those that come in, and those outside, which have a port each.
fn desired(inbound: &[&str], outbound: &[(&str, u16)]) -> Desired {
    let mut rules = vec![rule(
        compile::ESTABLISHED,
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    )];
    rules.extend(inbound.iter().map(|peer| {
        let text = format!(
            "-s {peer} -d {CONTAINER} -p tcp --dport 5000 -m conntrack --ctstate DNAT -j ACCEPT"
        );
        rule(compile::INBOUND, &text)
    }));
    rules.extend(outbound.iter().map(|(peer, port)| {
        let text = format!("-s {CONTAINER} -d {peer} -p tcp --dport {port} -j ACCEPT");
        rule(compile::OUTBOUND, &text)
    }));
    let mut rich: Vec<RichRule> = inbound
        .iter()
        .map(|peer| RichRule::Forward {
            family: Family::V4,
            source: Some(RichSource::Net(cidr(peer))),
            service: "5000/tcp".parse().unwrap(),
            to_ports: Port::new(5000).unwrap().into(),
            to: CONTAINER.parse().unwrap(),
        })
        .collect();
    rich.sort();
    Desired {
        rules,
        rich,
        ipsets: Ipsets::Above(2),
        ..Desired::default()
    }
}

const THREE: [&str; 3] = ["192.0.2.1", "192.0.2.2", "198.51.100.0/24"];

fn texts(set: &IpSet) -> Vec<String> {
    set.entries.iter().map(ToString::to_string).collect()
}

fn folded_by(desired: &Desired) -> Desired {
    fold(desired, 2, &IpSets::new())
}

/// A node that has what is wanted.
fn as_wanted(desired: &Desired) -> NodeState {
    let fresh = NodeBuilder::new().build();
    let (sets, _) = permanent(&desired.sets, &fresh);
    let reload = Action::Reload {
        subnets: Vec::new(),
    };
    simulate_all(&fresh, sets.iter().chain([&reload]))
}

#[test]
fn a_large_list_is_one_rule_and_a_set_in_either_place() {
    let folded = folded_by(&desired(&THREE, &[]));
    assert_eq!(folded.rules.len(), 2);
    assert_eq!(folded.rich.len(), 1);
    let mut kinds: Vec<&str> = folded.sets.keys().map(|name| &name[..13]).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["fwdeploy-in4-", "fwdeploy-zone"]);
    for set in folded.sets.values() {
        assert_eq!(texts(set), ["192.0.2.1", "192.0.2.2", "198.51.100.0/24"]);
    }
    let rule = folded.rules[1].to_string();
    let name = folded.sets.keys().next().unwrap();
    assert!(
        rule.contains(&format!("-m set --match-set {name} src -m comment")),
        "{rule}"
    );
    assert!(
        rule.contains("--dport 5000") && rule.contains("--ctstate DNAT"),
        "{rule}"
    );
    assert!(
        folded.rich[0]
            .to_string()
            .contains("source ipset=\"fwdeploy-zone4-")
    );
}

#[test]
fn peers_with_a_port_each_are_a_set_of_both() {
    let folded = folded_by(&desired(
        &[],
        &[
            ("192.0.2.1", 5000),
            ("192.0.2.2", 5001),
            ("192.0.2.3", 5002),
            ("198.51.100.0/24", 5003),
        ],
    ));
    assert_eq!(folded.sets.len(), 1);
    let (name, set) = folded.sets.iter().next().unwrap();
    assert_eq!(
        texts(set),
        [
            "192.0.2.1,tcp:5000",
            "192.0.2.2,tcp:5001",
            "192.0.2.3,tcp:5002"
        ]
    );
    let lines: Vec<String> = folded.rules.iter().map(ToString::to_string).collect();
    assert!(
        lines[1].contains(&format!("--match-set {name} dst,dst")),
        "{lines:?}"
    );
    assert!(!lines[1].contains("--dport"), "{lines:?}");
    // A network has no place in such a set, and keeps its rule.
    assert!(lines[2].contains("198.51.100.0/24"), "{lines:?}");
}

#[test]
fn a_small_list_and_what_is_for_everyone_keep_their_rules() {
    let mut few = desired(&THREE[..2], &[("192.0.2.1", 5000)]);
    few.rules.push(DirectRule::ours(
        Family::V4,
        compile::INBOUND,
        Rule::new(
            [Match::Destination(Sense::Is, cidr(CONTAINER))],
            Target::Accept,
        ),
    ));
    let folded = folded_by(&few);
    assert_eq!(folded.rules, few.rules);
    assert_eq!(folded.rich, few.rich);
    assert!(folded.sets.is_empty());
}

/// To see it fail: leave `there` out of `is_large`.
#[test]
fn a_list_that_shrinks_by_a_peer_stays_a_set() {
    let many = folded_by(&desired(&THREE, &[]));
    let two = desired(&THREE[..2], &[]);
    assert_eq!(fold(&two, 2, &many.sets).sets.len(), 2);
    let one = desired(&THREE[..1], &[]);
    assert!(fold(&one, 2, &many.sets).sets.is_empty());
}

#[test]
fn a_name_depends_on_what_the_rules_have_in_common_and_not_on_the_peers() {
    let names =
        |desired: &Desired| -> Vec<String> { folded_by(desired).sets.into_keys().collect() };
    let one = names(&desired(&THREE, &[]));
    assert_eq!(
        one,
        names(&desired(&["192.0.2.1", "192.0.2.2", "192.0.2.9"], &[]))
    );
    let mut other = desired(&THREE, &[]);
    other.rules = other
        .rules
        .iter()
        .map(|rule| {
            let parsed = rule.rule().unwrap().clone();
            DirectRule::ours(
                Family::V4,
                rule.priority,
                parsed.with_comment("fwdeploy:eos/p2p"),
            )
        })
        .collect();
    assert_ne!(one, names(&other));
}

#[test]
fn a_network_within_another_is_no_entry() {
    let folded = folded_by(&desired(
        &["192.0.2.0/24", "192.0.2.7", "198.51.100.1"],
        &[],
    ));
    for set in folded.sets.values() {
        assert_eq!(texts(set), ["192.0.2.0/24", "198.51.100.1"]);
    }
}

#[test]
fn the_first_rule_that_asks_a_set_needs_a_reload_and_a_peer_does_not() {
    let wanted = folded_by(&desired(&THREE, &[]));
    let fresh = NodeBuilder::new().build();
    assert!(need_reload(&wanted, &fresh));
    let there = as_wanted(&wanted);
    assert!(!need_reload(&wanted, &there));
    let other = folded_by(&desired(&["192.0.2.1", "192.0.2.2", "203.0.113.9"], &[]));
    assert!(!need_reload(&other, &there));
    let mut without = there.clone();
    without.sets.kernel.known_mut().unwrap().clear();
    assert!(need_reload(&wanted, &without));
    let mut without = there;
    without.sets.nft.known_mut().unwrap().clear();
    assert!(need_reload(&wanted, &without));
}

#[test]
fn where_a_reload_may_not_be_each_peer_keeps_its_rule() {
    let wanted = desired(&THREE, &[]);
    let fresh = NodeBuilder::new().build();
    let stays = folded(&wanted, &fresh, || Some("something is pending".to_string()));
    assert_eq!(stays.desired.rules, wanted.rules);
    assert_eq!(stays.findings[0].code, FindingCode::IpsetsUnused);
    assert!(stays.findings[0].text.contains("something is pending"));
    let mut old = fresh.clone();
    old.sets.usable = crate::model::Observed::Known(false);
    assert_eq!(
        folded(&wanted, &old, || None).findings[0].code,
        FindingCode::IpsetsUnused
    );
    let mut mute = fresh.clone();
    mute.sets.runtime = crate::model::Observed::Unreadable("timed out".to_string());
    assert_eq!(
        folded(&wanted, &mute, || None).findings[0].code,
        FindingCode::Unreadable
    );
    let never = Desired {
        ipsets: Ipsets::Never,
        ..wanted
    };
    assert!(folded(&never, &mute, || None).findings.is_empty());
}

/// What the steps change, each with the number of entries that come and go.
fn told(actions: &[Action]) -> Vec<String> {
    let mut out: Vec<String> = actions
        .iter()
        .flat_map(Action::changes)
        .map(|change| {
            let words: Vec<&str> = change.text.split(' ').collect();
            format!("{} {} {}", change.sign, change.view, words[words.len() - 1])
        })
        .collect();
    out.dedup();
    out
}

#[test]
fn a_changed_peer_is_one_entry_that_comes_first_and_one_that_goes_last() {
    let there = as_wanted(&folded_by(&desired(&THREE, &[])));
    let wanted = folded_by(&desired(
        &["192.0.2.1", "203.0.113.9", "198.51.100.0/24"],
        &[],
    ));
    let steps = runtime(&wanted.sets, &there);
    assert_eq!(steps.first.len(), 2, "one for each set");
    assert_eq!(told(&steps.first), ["+ runtime 203.0.113.9"]);
    assert_eq!(told(&steps.last), ["- runtime 192.0.2.2"]);
    let then = simulate_all(&there, steps.first.iter().chain(&steps.last));
    assert_eq!(runtime(&wanted.sets, &then), Steps::default());
    assert_eq!(then.sets.kernel.known(), Some(&wanted.sets));
}

#[test]
fn what_is_in_the_way_of_an_entry_goes_before_it() {
    let there = as_wanted(&folded_by(&desired(&THREE, &[])));
    let wanted = folded_by(&desired(&["192.0.2.1", "192.0.2.2", "198.51.100.7"], &[]));
    let steps = runtime(&wanted.sets, &there);
    assert_eq!(
        told(&steps.first[..1]),
        ["- runtime 198.51.100.0/24", "+ runtime 198.51.100.7"]
    );
    assert!(steps.last.is_empty());
}

/// To see it fail: leave `settle` out of `runtime`.
#[test]
fn the_kernel_is_made_to_agree_with_firewalld_first() {
    let wanted = folded_by(&desired(&THREE, &[]));
    let mut there = as_wanted(&wanted);
    for set in there.sets.kernel.known_mut().unwrap().values_mut() {
        set.entries.remove(&"192.0.2.1".parse().unwrap());
        set.entries.insert("10.9.9.9".parse().unwrap());
    }
    let inet = there.sets.nft.known_mut().unwrap().get_mut("inet").unwrap();
    for set in inet.values_mut() {
        set.entries.clear();
    }
    let steps = runtime(&wanted.sets, &there);
    assert_eq!(steps.first.len(), 4);
    assert!(
        steps
            .first
            .iter()
            .all(|a| matches!(a, Action::SettleSet { .. }))
    );
    let then = simulate_all(&there, &steps.first);
    assert_eq!(runtime(&wanted.sets, &then), Steps::default());
}

/// The node with files that firewalld has just written, but the ones that `edit` changes.
fn with_files(state: &NodeState, edit: impl Fn(&mut File<Option<IpSet>>)) -> NodeState {
    let mut state = state.clone();
    let nobody = || Observed::Unreadable("nobody looked".to_string());
    let sets = state.sets.permanent.known().unwrap().iter();
    let files = sets.map(|(name, set)| {
        let mut file = File {
            path: format!("/etc/firewalld/ipsets/{name}.xml"),
            says: Observed::Known(Some(set.clone())),
        };
        edit(&mut file);
        (name.clone(), file)
    });
    state.files = Observed::Known(Files {
        direct: File {
            path: String::new(),
            says: nobody(),
        },
        default_zone: File {
            path: String::new(),
            says: Observed::Unreadable("nobody looked".to_string()),
        },
        zones: BTreeMap::new(),
        policies: BTreeMap::new(),
        services: BTreeMap::new(),
        ipsets: files.collect(),
    });
    state
}

#[test]
fn the_file_of_a_set_that_somebody_has_edited_is_written_again() {
    let wanted = folded_by(&desired(&THREE, &[]));
    let node = as_wanted(&wanted);
    let untouched = with_files(&node, |_| {});
    assert_eq!(
        permanent(&wanted.sets, &untouched),
        (Vec::new(), Vec::new())
    );
    type Edit = fn(&mut File<Option<IpSet>>);
    let edits: [(Edit, &str); 4] = [
        (
            |file| file.says = Observed::Known(None),
            "+ permanent ipset",
        ),
        (
            |file| file.says = Observed::Unreadable("it is cut off".to_string()),
            "+ permanent ipset",
        ),
        (
            |file| {
                let set = file.says.known_mut().unwrap().as_mut().unwrap();
                set.entries.remove(&"192.0.2.1".parse().unwrap());
            },
            "192.0.2.1",
        ),
        (
            |file| {
                let set = file.says.known_mut().unwrap().as_mut().unwrap();
                set.entries.insert("203.0.113.9".parse().unwrap());
            },
            "203.0.113.9",
        ),
    ];
    for (edit, words) in edits {
        let edited = with_files(&node, edit);
        let (steps, stale) = permanent(&wanted.sets, &edited);
        assert_eq!((steps.len(), stale.len()), (2, 0), "{words}");
        let changes = steps[0].changes();
        let squeezed = |change: &Change| {
            let text = change.to_string();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(squeezed(&changes[0]).contains(words), "{changes:?}");
        let then = simulate_all(&edited, &steps);
        assert_eq!(permanent(&wanted.sets, &then), (Vec::new(), Vec::new()));

        // Where more has changed, and where a set has to go, there is no second writing; but firewalld removes no set without a file.
        let mut less = wanted.sets.clone();
        for set in less.values_mut() {
            set.entries.remove(&"192.0.2.2".parse().unwrap());
        }
        let (steps, _) = permanent(&less, &edited);
        assert!(
            steps
                .iter()
                .all(|step| matches!(step, Action::SetPermanentSet { .. })),
            "{steps:?}"
        );
        let (steps, stale) = permanent(&IpSets::new(), &edited);
        assert_eq!((steps.len(), stale.len()), (2, 2), "{words}");
        let then = simulate_all(&edited, steps.iter().chain(&stale));
        assert!(then.files.known().unwrap().ipsets.is_empty());
    }
}

#[test]
fn a_set_that_nobody_wants_leaves_the_files_and_is_empty_after_a_removal() {
    let there = as_wanted(&folded_by(&desired(&THREE, &[])));
    let (sets, stale) = permanent(&IpSets::new(), &there);
    assert!(sets.is_empty());
    assert_eq!(stale.len(), 2);
    let then = simulate_all(&there, stale.iter().chain(&emptied(&there)));
    assert_eq!(then.sets.permanent.known(), Some(&IpSets::new()));
    let memory = then.sets.runtime.known().unwrap();
    assert!(memory.values().all(|set| set.entries.is_empty()));
    assert!(emptied(&then).is_empty());
}
