//! The chain changes hands, and the jump moves.

use fwdeploy::model::Family;
use fwdeploy::plan::Action;

use crate::node::Node;
use crate::node::assert_same;
use crate::node::on_every_node;
use crate::plans::bands;
use crate::plans::families;
use crate::plans::own;

#[test]
#[ignore = "needs root and the lab: make lab"]
fn the_chain_changes_hands_and_back_without_a_line_of_the_kernel_changing() {
    on_every_node(|node| {
        let start = node.everything();
        let kernel = node.kernel();
        let families = families(node);
        for family in &families {
            assert!(!node.owns(*family));
            let taken = node.take(&[own(*family)]);
            eprintln!("   own {family}: {:?}", taken.time);
            assert_same(&kernel, &node.kernel(), node);
            assert!(node.owns(*family));
            // Again: it is so already.
            node.take(&[own(*family)]);
            assert_same(&kernel, &node.kernel(), node);
        }
        let actions: Vec<Action> = bands().into_iter().map(Action::AddRule).collect();
        // In reverse, so that only the bands determine their order.
        let reverse: Vec<Action> = actions.iter().rev().cloned().collect();
        let taken = node.take(&reverse);
        eprintln!("   five rules: {:?}", taken.time);
        let chain = node.chain(Family::V4);
        for (n, band) in bands().iter().enumerate() {
            let there = fwdeploy::model::Rule::parse_text(&chain[n]).unwrap();
            assert_eq!(
                Some(there),
                band.rule().cloned(),
                "{}: {n}: {chain:?}",
                node.name
            );
        }
        // A step that is executed twice has the same effect as once.
        node.take(&actions);
        assert_eq!(chain, node.chain(Family::V4));
        node.take_back(&actions);
        node.take_back(&actions);
        for family in &families {
            let taken = node.take(&[own(*family).undo()]);
            eprintln!("   disown {family}: {:?}", taken.time);
            assert_same(&kernel, &node.kernel(), node);
            node.take(&[own(*family).undo()]);
        }
        assert_same(&start, &node.everything(), node);
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn a_chain_that_was_not_there_is_owned_empty_and_without_a_jump() {
    on_every_node(|node| {
        let before = node.chain(Family::V4);
        let jump: Vec<usize> = places(node);
        let v4 = Family::V4;
        let prepare = [
            Action::PlaceJump {
                family: v4,
                before: jump.clone(),
                after: vec![],
            },
            Action::SetKernelChain {
                family: v4,
                before: Some(before.into_iter().map(Into::into).collect()),
                after: None,
            },
        ];
        let start = node.kernel();
        node.take(&prepare);
        let without = node.kernel();
        assert!(!without.contains(":DOCKER-USER") || families(node) == [Family::V6]);
        node.take(&[own(v4)]);
        assert!(node.owns(v4));
        assert_eq!(node.chain(v4), Vec::<String>::new());
        assert_eq!(places(node), Vec::<usize>::new());
        assert_same(
            &without,
            &node.kernel().replacen(":DOCKER-USER -\n", "", 1),
            node,
        );
        node.take(&[own(v4).undo()]);
        node.take_back(&prepare);
        assert_same(&start, &node.kernel(), node);
    });
}

pub(crate) fn places(node: &Node) -> Vec<usize> {
    let forward = node.forward(Family::V4);
    let places = forward.iter().enumerate();
    places
        .filter(|(_, rule)| *rule == "-j DOCKER-USER")
        .map(|(n, _)| n)
        .collect()
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn the_jump_is_moved_and_doubled_and_comes_back_to_its_place() {
    on_every_node(|node| {
        let start = node.kernel();
        let at = places(node);
        let count = node.forward(Family::V4).len();
        let v4 = Family::V4;
        let move_to = |before: Vec<usize>, after: Vec<usize>| Action::PlaceJump {
            family: v4,
            before,
            after,
        };
        for target in [vec![], vec![count - 1], vec![1], vec![0, 2, 3], vec![0]] {
            let action = move_to(at.clone(), target.clone());
            node.take(std::slice::from_ref(&action));
            assert_eq!(places(node), target, "{}", node.name);
            node.take(&[action.undo()]);
            assert_same(&start, &node.kernel(), node);
        }
        // From several places to one.
        node.take(&[
            move_to(at.clone(), vec![0, 2, 3]),
            move_to(vec![0, 2, 3], at.clone()),
        ]);
        assert_same(&start, &node.kernel(), node);
    });
}

#[test]
#[ignore = "needs root and the lab: make lab"]
fn the_kernel_chain_is_written_as_a_whole() {
    on_every_node(|node| {
        let start = node.kernel();
        let before = node.chain(Family::V4);
        let set = Action::SetKernelChain {
            family: Family::V4,
            before: Some(before.into_iter().map(Into::into).collect()),
            after: Some(vec![
                "-s 172.30.0.9/32 -p tcp -m tcp --dport 1 -m comment --comment \"a \\\"b\\\" $d\" -j ACCEPT".into(),
                "-s 172.30.0.0/24 ! -d 172.30.0.0/24 -j REJECT --reject-with icmp-port-unreachable".into(),
            ]),
        };
        node.take(std::slice::from_ref(&set));
        let chain = node.chain(Family::V4);
        assert_eq!(chain.len(), 2, "{chain:?}");
        assert!(chain[0].contains(r#""a \"b\" $d""#), "{chain:?}");
        node.take(&[set.undo()]);
        assert_same(&start, &node.kernel(), node);
    });
}
