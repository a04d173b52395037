//! Removal: nothing of ours is left in any view, what is foreign stays, and the way back leads to where it began.

use fwdeploy::model::CHAIN;
use fwdeploy::model::Desired;
use fwdeploy::model::DirectRule;
use fwdeploy::model::Family;
use fwdeploy::model::NodeState;
use fwdeploy::model::Observed;
use fwdeploy::model::guard::NftVersion;
use fwdeploy::model::guard::NftablesService;
use fwdeploy::model::guard::mangle::MangleChain;
use fwdeploy::model::guard::mangle::MangleState;
use fwdeploy::model::guard::table::Part;
use fwdeploy::model::ipset::SetViews;
use fwdeploy::model::rule::Passthrough;
use fwdeploy::model::state::Container;
use fwdeploy::model::state::Network;
use fwdeploy::model::state::RichText;
use fwdeploy::model::state::View;
use fwdeploy::plan;
use fwdeploy::plan::Action;
use fwdeploy::plan::Allowed;
use fwdeploy::plan::FindingCode;
use fwdeploy::plan::Permission;
use fwdeploy::plan::Plan;
use fwdeploy::plan::Severity;
use fwdeploy::plan::plan as plan_for;
use fwdeploy::plan::rollback_plan::rollback_plan;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::laws_plan::ALL;
use super::laws_plan::CONTAINER;
use super::laws_plan::SUBNET;
use super::laws_plan::either;
use super::laws_plan::fold;
use super::laws_plan::foreign;
use super::laws_plan::foreign_lines;
use super::laws_plan::refused;
use super::mangle::case;
use super::mangle::settled;

/// A node that a run may have changed, and to how much of its end.
#[derive(Debug, Clone)]
struct Left {
    state: NodeState,
    /// What the roles asked for.
    wanted: Desired,
    /// Whether the run came to its end.
    is_whole: bool,
}

fn left() -> impl Strategy<Value = Left> {
    let nft = prop::sample::select(vec![
        None,
        Some(NftVersion(0, 9, 8)),
        Some(NftVersion(1, 0, 6)),
    ]);
    (
        case(),
        nft,
        prop::option::of(any::<prop::sample::Index>()),
        any::<bool>(),
    )
        .prop_filter_map("the run was refused", |(case, nft, at, is_alone)| {
            let mut state = case.state;
            state.kernel.guard.nft = nft;
            if is_alone {
                // Nothing holds the network that the run makes.
                let docker = state.docker.known_mut()?;
                docker.containers.clear();
                docker.networks.clear();
            }
            let first = plan_for(&state, &case.wanted, &ALL);
            if refused(&first) {
                return None;
            }
            let done = at.map_or(first.actions.len(), |at| at.index(first.actions.len() + 1));
            Some(Left {
                is_whole: done == first.actions.len(),
                state: fold(&state, &first.actions[..done]),
                wanted: case.wanted,
            })
        })
}

/// What the roles still say: nothing, or what they asked for.
fn roles(left: &Left, is_known: bool) -> Desired {
    match is_known {
        true => left.wanted.clone(),
        false => Desired::default(),
    }
}

fn is_tagged(rule: &DirectRule) -> bool {
    let is_in_chain = rule.chain == CHAIN && rule.args.iter().any(|a| a.starts_with("fwdeploy:"));
    is_in_chain || MangleChain::holds(rule)
}

fn rules(state: &NodeState) -> Vec<DirectRule> {
    let views = [&state.permanent.direct, &state.runtime.direct];
    let rules = views.into_iter().flat_map(|d| &d.known().unwrap().rules);
    rules.cloned().collect()
}

fn rich(state: &NodeState) -> Vec<RichText> {
    let views = [&state.permanent.rich, &state.runtime.rich];
    views
        .into_iter()
        .flat_map(|r| r.known().unwrap().clone())
        .collect()
}

fn lines(state: &NodeState, family: Family) -> Vec<String> {
    let tables = state.kernel.tables(family).known().unwrap();
    let chain = tables.chain("filter", CHAIN);
    chain.map_or_else(Vec::new, |chain| {
        chain.rules.iter().map(|line| line.text.clone()).collect()
    })
}

fn is_ours(network: &Network) -> bool {
    network.labels.contains_key("fwdeploy.created")
}

fn is_empty(state: &NodeState, network: &Network) -> bool {
    let containers = &state.docker.known().unwrap().containers;
    !containers
        .iter()
        .any(|container| container.endpoint(&network.name).is_some())
}

/// All that can only be of fwdeploy's, in each view.
fn traces(state: &NodeState) -> Vec<String> {
    let mut out: Vec<String> = rules(state)
        .iter()
        .filter(|r| is_tagged(r))
        .map(ToString::to_string)
        .collect();
    for direct in [&state.permanent.direct, &state.runtime.direct] {
        let chains = direct.known().unwrap().chains.iter();
        out.extend(
            chains
                .filter(|c| MangleChain::is(c))
                .map(|c| c.chain.clone()),
        );
    }
    for family in Family::ALL {
        out.extend(
            lines(state, family)
                .into_iter()
                .filter(|line| line.contains("fwdeploy:")),
        );
        if !MangleState::of(state.kernel.tables(family).known().unwrap()).is_empty() {
            out.push("a chain in mangle".to_string());
        }
    }
    let guard = &state.kernel.guard;
    let boot = guard.boot.known().unwrap();
    if guard.table.known().unwrap().is_some()
        || boot.script.is_some()
        || boot.unit.is_some()
        || boot.is_enabled
    {
        out.push("the guard".to_string());
    }
    if state.kernel.latch != Observed::Known(false) {
        out.push("the latch".to_string());
    }
    let networks = state.docker.known().unwrap().networks.iter();
    out.extend(
        networks
            .filter(|n| is_ours(n) && is_empty(state, n))
            .map(|n| n.name.clone()),
    );
    out
}

/// What is not ours, in each view.
#[derive(Debug, PartialEq)]
struct Others {
    rules: Vec<DirectRule>,
    passthroughs: Vec<Passthrough>,
    rich: Vec<RichText>,
    lines: Vec<String>,
    networks: Vec<Network>,
    containers: Vec<Container>,
}

fn others(state: &NodeState) -> Others {
    let mut rules = rules(state);
    rules.retain(|rule| foreign().contains(rule));
    rules.sort();
    let views = [&state.permanent.direct, &state.runtime.direct];
    let passthroughs = views.map(|direct| direct.known().unwrap().passthroughs.clone());
    let mut rich = rich(state);
    rich.retain(|rule| !rule.text.contains(CONTAINER));
    rich.sort();
    let mut lines = lines(state, Family::V4);
    lines.retain(|line| foreign_lines().contains(line));
    lines.sort();
    let docker = state.docker.known().unwrap();
    let networks = docker.networks.iter();
    let networks = networks.filter(|n| !is_ours(n) || !is_empty(state, n));
    Others {
        rules,
        passthroughs: passthroughs.concat(),
        rich,
        lines,
        networks: networks.cloned().collect(),
        containers: docker.containers.clone(),
    }
}

/// Without the built-in chains that are here only because something was in them once: a node that was read has their policy.
fn with_chains_in_use(state: &NodeState) -> NodeState {
    let mut state = state.clone();
    for family in Family::ALL {
        let tables = state.kernel.tables_mut(family).known_mut().unwrap();
        for table in tables.tables.values_mut() {
            table.retain(|name, chain| {
                let is_guard = MangleChain::of(name).is_some();
                is_guard || name == CHAIN || chain.policy.is_some() || !chain.rules.is_empty()
            });
        }
    }
    state
}

fn codes(plan: &Plan) -> Vec<FindingCode> {
    plan.findings.iter().map(|finding| finding.code).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_ours_is_left_in_any_view(left in left(), allowed in either(), is_known in any::<bool>()) {
        let roles = roles(&left, is_known);
        let plan = plan::removal(&left.state, &roles, &allowed);
        prop_assume!(!refused(&plan));
        prop_assert_eq!(plan.not_enforced(&Desired::default()).count(), 0);
        let done = fold(&left.state, &plan.actions);
        prop_assert_eq!(traces(&done), Vec::<String>::new());
        // A chain of DOCKER-USER stays with firewalld for the rules of others alone.
        let (permanent, runtime) = (done.permanent.direct.known().unwrap(), done.runtime.direct.known().unwrap());
        let is_used = !permanent.chain(Family::V4).is_empty() || !runtime.chain(Family::V4).is_empty();
        if !traces(&left.state).is_empty() && !is_used {
            prop_assert!(!permanent.owns(Family::V4) && !runtime.owns(Family::V4));
        }
        if left.is_whole {
            for text in rules(&done).iter().map(ToString::to_string).chain(rich(&done).into_iter().map(|r| r.text)) {
                prop_assert!(!text.contains(CONTAINER) && !text.contains(SUBNET), "{text}");
            }
        }
        // Nothing is left to do, and nobody warns of it any more.
        let second = plan::removal(&done, &roles, &allowed);
        prop_assert!(second.is_empty() && !refused(&second), "{:#?}", second);
        prop_assert_eq!(plan::orphaned(&done), None);
    }

    #[test]
    fn what_is_foreign_stays(left in left(), allowed in either(), is_known in any::<bool>()) {
        let plan = plan::removal(&left.state, &roles(&left, is_known), &allowed);
        let done = fold(&left.state, &plan.actions);
        // A reload would load what others have written permanently.
        let reloads = plan.actions.iter().any(|a| matches!(a, Action::Reload { .. }));
        prop_assert!(!reloads);
        prop_assert_eq!(others(&done), others(&left.state));
        let forward = |state: &NodeState| state.kernel.v4.known().unwrap().chain("filter", "FORWARD").cloned();
        prop_assert_eq!(forward(&done), forward(&left.state));
    }

    #[test]
    fn return_from_each_step_leads_to_where_it_began(left in left(), is_known in any::<bool>(), at in any::<prop::sample::Index>()) {
        let actions = plan::removal(&left.state, &roles(&left, is_known), &Allowed::default()).actions;
        let done = at.index(actions.len() + 1);
        let there = fold(&left.state, &actions[..done]);
        let back = rollback_plan(&actions).simulate(&there, done).expect("nothing is reloaded");
        prop_assert_eq!(settled(&with_chains_in_use(&back)), settled(&with_chains_in_use(&left.state)));
    }

    #[test]
    fn the_guard_is_the_last_to_go(left in left()) {
        let actions = plan::removal(&left.state, &Desired::default(), &Allowed::default()).actions;
        let at = actions.iter().position(|a| matches!(a, Action::SetGuard { .. }));
        prop_assert!(at.is_none_or(|at| at + 1 == actions.len()));
    }

    #[test]
    fn silence_what_cannot_be_read_is_neither_removed_nor_ok(left in left(), which in 0..11usize) {
        let mut state = left.state;
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
            9 => mute(&mut state.kernel.guard.table),
            _ => mute(&mut state.kernel.guard.boot),
        }
        let plan = plan::removal(&state, &left.wanted, &ALL);
        prop_assert!(plan.is_empty() && refused(&plan));
    }

    #[test]
    fn rules_of_ip6tables_are_not_forgotten_where_it_cannot_be_read(left in left()) {
        let mut state = left.state;
        state.kernel.v6 = Observed::Unreadable("timed out after 5 s".into());
        let has = rules(&state).iter().any(|rule| is_tagged(rule) && rule.family == Some(Family::V6));
        let plan = plan::removal(&state, &Desired::default(), &ALL);
        prop_assert_eq!(plan.refusals().any(|f| f.code == FindingCode::Unreadable), has);
    }

    #[test]
    fn a_removal_says_that_it_opens_the_node(left in left()) {
        let plan = plan::removal(&left.state, &Desired::default(), &Allowed::default());
        prop_assume!(!refused(&plan));
        let warns = plan.findings.iter().any(|f| f.code == FindingCode::Opened && f.severity == Severity::Warning);
        prop_assert_eq!(warns, !plan.is_empty());
        // And a run over a node without a role warns of what is still there.
        prop_assert_eq!(plan::orphaned(&left.state).is_some(), !traces(&left.state).is_empty());
    }
}

/// A node after a run.
fn deployed(change: impl FnOnce(&mut NodeState)) -> (NodeState, Desired) {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut found = None;
    while found.is_none() {
        let left = left().new_tree(&mut runner).unwrap().current();
        let is_held_by_nft = matches!(left.state.kernel.guard.table.known(), Some(Some(_)));
        let has_container = !left.state.docker.known().unwrap().containers.is_empty();
        if left.is_whole
            && is_held_by_nft
            && has_container
            && !left.wanted.rich.is_empty()
            && !left.wanted.guard.inbound.is_empty()
        {
            found = Some(left);
        }
    }
    let Left {
        mut state, wanted, ..
    } = found.unwrap();
    change(&mut state);
    (state, wanted)
}

/// Takes all rules of fwdeploy's away, so that only the guard says what was managed.
fn without_rules(state: &mut NodeState) {
    state.sets = SetViews::none();
    for direct in [&mut state.permanent.direct, &mut state.runtime.direct] {
        direct
            .known_mut()
            .unwrap()
            .rules
            .retain(|rule| !is_tagged(rule) && !rule.to_string().contains(CONTAINER));
    }
    if let Some(files) = state.files.known_mut() {
        files.direct.says = Observed::Known(state.permanent.direct.known().unwrap().clone());
    }
}

fn about_container(state: &NodeState) -> usize {
    rich(state)
        .iter()
        .filter(|rule| rule.text.contains(CONTAINER))
        .count()
}

#[test]
fn the_guard_as_it_was_written_tells_which_rich_rules_are_ours() {
    let (state, _) = deployed(without_rules);
    assert!(about_container(&state) > 0);
    let plan = plan::removal(&state, &Desired::default(), &Allowed::default());
    assert_eq!(about_container(&fold(&state, &plan.actions)), 0);
}

#[test]
fn a_guard_that_somebody_has_changed_proves_nothing_and_what_stays_is_said() {
    let (state, _) = deployed(|state| {
        without_rules(state);
        let table = state
            .kernel
            .guard
            .table
            .known_mut()
            .unwrap()
            .as_mut()
            .unwrap();
        let closed = table.sets.get_mut("closed4").unwrap();
        closed
            .elements
            .insert(vec![Part::Net("10.0.0.0/8".parse().unwrap())]);
    });
    let plan = plan::removal(&state, &Desired::default(), &Allowed::default());
    let done = fold(&state, &plan.actions);
    assert_eq!(about_container(&done), about_container(&state));
    assert!(
        codes(&plan).contains(&FindingCode::NotRemoved),
        "{:#?}",
        plan.findings
    );
    assert_eq!(
        done.kernel.guard.table,
        Observed::Known(None),
        "the guard itself is ours"
    );
}

#[test]
fn the_roles_of_a_node_tell_what_is_ours_where_the_node_does_not() {
    let (state, wanted) = deployed(|state| {
        without_rules(state);
        let table = state
            .kernel
            .guard
            .table
            .known_mut()
            .unwrap()
            .as_mut()
            .unwrap();
        table.sets.get_mut("closed4").unwrap().elements.clear();
    });
    let plan = plan::removal(&state, &wanted, &Allowed::default());
    assert_eq!(about_container(&fold(&state, &plan.actions)), 0);
}

#[test]
fn the_rules_of_an_operator_stay_on_a_node_that_no_run_has_changed() {
    let (mut state, wanted) = deployed(without_rules);
    state.kernel.guard.table = Observed::Known(None);
    state.kernel.guard.boot = Observed::Known(fwdeploy::model::guard::GuardBoot::default());
    let docker = state.docker.known_mut().unwrap();
    docker
        .networks
        .iter_mut()
        .for_each(|network| network.labels.clear());
    // Of his own hand, about the same container.
    let own =
        r#"rule family="ipv4" source address="192.0.2.99" destination address="172.20.0.2" accept"#;
    for rich in [&mut state.permanent.rich, &mut state.runtime.rich] {
        *rich = Observed::Known(vec![RichText::new(own)]);
    }
    for kernel in Family::ALL {
        let tables = state.kernel.tables_mut(kernel).known_mut().unwrap();
        if let Some(chain) = tables
            .tables
            .get_mut("filter")
            .and_then(|t| t.get_mut(CHAIN))
        {
            chain.rules.retain(|line| !line.text.contains("fwdeploy:"));
        }
    }
    let plan = plan::removal(&state, &wanted, &Allowed::default());
    assert!(plan.is_empty(), "{:#?}", plan.changes());
    assert!(!codes(&plan).contains(&FindingCode::Opened));
}

#[test]
fn a_network_goes_only_if_we_made_it_and_nothing_is_on_it() {
    let (mut state, _) = deployed(|_| {});
    let docker = state.docker.known_mut().unwrap();
    let mut network = docker.network("cybex").unwrap().clone();
    for (label, has_containers, goes) in [
        (Some("true"), false, true),
        (Some("true"), true, false),
        (Some("no"), false, false),
        (None, false, false),
    ] {
        let mut state = state.clone();
        let docker = state.docker.known_mut().unwrap();
        network.labels.clear();
        network
            .labels
            .extend(label.map(|value| ("fwdeploy.created".to_string(), value.to_string())));
        docker.networks.retain(|n| n.name != "cybex");
        docker.networks.push(network.clone());
        for container in &mut docker.containers {
            // A container that does not run needs its network all the same, to start again.
            container.running = false;
            container
                .endpoints
                .retain(|e| has_containers || e.network != "cybex");
        }
        let plan = plan::removal(&state, &Desired::default(), &Allowed::default());
        let done = fold(&state, &plan.actions);
        let is_there = done.docker.known().unwrap().network("cybex").is_some();
        assert_eq!(is_there, !goes, "{label:?} {has_containers}");
        let mut findings = plan.findings.iter();
        // A set stays in firewalld's memory, which is told as well.
        let is_told = findings.any(|f| f.code == FindingCode::NotRemoved && f.view == View::Docker);
        assert_eq!(is_told, !goes, "{label:?} {has_containers}");
    }
}

#[test]
fn a_later_run_brings_it_all_back() {
    let (state, wanted) = deployed(|_| {});
    let allowed = Allowed {
        replace_network: Permission::Granted,
        ..Allowed::default()
    };
    let removed = fold(&state, &plan::removal(&state, &wanted, &allowed).actions);
    let again = plan_for(&removed, &wanted, &allowed);
    assert!(!again.is_empty() && !refused(&again));
    let back = fold(&removed, &again.actions);
    assert_eq!(back.kernel.guard.table, state.kernel.guard.table);
    assert!(plan_for(&back, &wanted, &allowed).is_empty());
}

#[test]
fn files_that_somebody_has_added_to_the_unit_stay_and_are_said() {
    let (state, _) =
        deployed(|state| state.kernel.guard.boot.known_mut().unwrap().is_changed = true);
    let plan = plan::removal(&state, &Desired::default(), &Allowed::default());
    assert!(codes(&plan).contains(&FindingCode::NotRemoved));
    let done = fold(&state, &plan.actions);
    let second = plan::removal(&done, &Desired::default(), &Allowed::default());
    assert!(second.is_empty(), "{:#?}", second.changes());
}

/// What `nftables.service` runs, by the lines of its commands.
fn service(commands: &[&str]) -> Observed<Option<NftablesService>> {
    Observed::Known(Some(NftablesService {
        commands: commands.iter().map(ToString::to_string).collect(),
    }))
}

#[test]
fn what_flushes_the_guard_loads_it_again_as_far_as_it_is_understood() {
    let debian = [
        "ExecStart=/usr/sbin/nft -f /etc/nftables.conf",
        "ExecStop=/usr/sbin/nft flush ruleset",
    ];
    let allowed = Allowed::default();
    let drop_in = |state: &NodeState| state.kernel.guard.boot.known().unwrap().drop_in.clone();
    // It appears after the guard has been set, as when the package is installed.
    let (state, wanted) = deployed(|state| state.kernel.guard.nftables_service = service(&debian));
    assert_eq!(drop_in(&state), None);
    let plan = plan_for(&state, &wanted, &allowed);
    assert_eq!(
        plan.changes()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [
            "+ guard     a drop-in of nftables.service, which loads the table again when that flushes all tables"
        ]
    );
    let mut state = fold(&state, &plan.actions);
    assert!(
        drop_in(&state)
            .unwrap()
            .contains("ExecStop=\nExecStop=/usr/sbin/nft 'flush ruleset; include")
    );
    assert!(plan_for(&state, &wanted, &allowed).is_empty());

    // Somebody has replaced a command: it is left alone, and said.
    let own = [
        "ExecStart=/usr/sbin/nft -f /etc/nftables.conf",
        "ExecStop=",
        "ExecStop=/bin/true",
    ];
    state.kernel.guard.nftables_service = service(&own);
    let plan = plan_for(&state, &wanted, &allowed);
    assert!(codes(&plan).contains(&FindingCode::GuardFlushed));
    let mut state = fold(&state, &plan.actions);
    assert_eq!(drop_in(&state), None);
    assert!(plan_for(&state, &wanted, &allowed).is_empty());

    // A removal takes the drop-in with it, also if only that is left.
    state.kernel.guard.nftables_service = service(&debian);
    let state = fold(&state, &plan_for(&state, &wanted, &allowed).actions);
    assert!(drop_in(&state).is_some());
    let plan = plan::removal(&state, &Desired::default(), &Allowed::default());
    let done = fold(&state, &plan.actions);
    assert_eq!(drop_in(&done), None);
}
