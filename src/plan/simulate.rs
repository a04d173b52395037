//! What a step leaves behind: the model of a node that the laws are tested against.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::CHAIN;
use crate::model::files::File;
use crate::model::guard::mangle::MangleChain;
use crate::model::guard::mangle::MangleJump;
use crate::model::guard::mangle::MangleState;
use crate::model::guard::mangle::TABLE;
use crate::model::guard::mangle::direct_chain;
use crate::model::guard::mangle::kernel_chain;
use crate::model::guard::mangle::to_direct;
use crate::model::ipset::IpSet;
use crate::model::ipset::IpSets;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rule::DirectRule;
use crate::model::rule::Target;
use crate::model::settings::Settings;
use crate::model::state::Chain;
use crate::model::state::Direct;
use crate::model::state::DirectChain;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::model::state::Firewalld;
use crate::model::state::KernelRule;
use crate::model::state::Network;
use crate::model::state::NodeState;
use crate::model::state::Observed;
use crate::model::state::RichText;
use crate::model::state::Tables;
use crate::plan::action::Action;
use crate::plan::action::NetworkSpec;
use crate::plan::action::SetHolder;
use crate::plan::backend_rules;
use crate::plan::printed::Line;
use crate::plan::printed::form;

/// The node after a step that went well. Views that could not be read stay so.
#[must_use]
pub fn simulate(state: &NodeState, action: &Action) -> NodeState {
    simulate_all(state, [action])
}

/// The node after several steps: copied once, however many they are.
pub(super) fn simulate_all<'a>(
    state: &NodeState,
    actions: impl IntoIterator<Item = &'a Action>,
) -> NodeState {
    let mut next = state.clone();
    let mut memory = None;
    for action in actions {
        apply(&mut next, &mut memory, action);
    }
    next
}

/// `memory` is kept as long as nothing but additions changes what firewalld holds.
fn apply(state: &mut NodeState, memory: &mut Option<Memory>, action: &Action) {
    if matches!(action, Action::RemoveRule(_) | Action::Reload { .. }) {
        *memory = None;
    }
    match action {
        Action::SetPermanentDirect { after, .. } => {
            state.permanent.direct = Observed::Known(after.clone());
            if let Some(files) = state.files.known_mut() {
                files.direct.says = Observed::Known(after.clone());
            }
        }
        Action::SetPermanentRich { zone, after, .. } => {
            state.permanent.rich = Observed::Known(after.clone());
            write_rich(state, zone, after);
        }
        Action::SetPermanentSet { name, after, .. } => {
            if let Some(sets) = state.sets.permanent.known_mut() {
                match after {
                    Some(set) => drop(sets.insert(name.clone(), set.clone())),
                    None => drop(sets.remove(name)),
                }
            }
            write_set(state, name, after.as_ref());
        }
        Action::RewriteSet { name, set, .. } => write_set(state, name, Some(set)),
        Action::SetEntries {
            name,
            before,
            after,
        } => set_entries(state, name, before, after),
        Action::SettleSet {
            name,
            holder,
            after,
            ..
        } => settle_set(state, name, holder, after),
        Action::CreateNetwork(spec) => docker(state, |d| {
            d.networks.retain(|n| n.name != spec.name);
            d.networks.push(network(spec));
            d.networks.sort_by(|a, b| a.name.cmp(&b.name));
        }),
        Action::RemoveNetwork(spec) => docker(state, |d| {
            d.networks.retain(|n| n.name != spec.name);
        }),
        Action::Connect {
            container,
            endpoint,
        } => docker(state, |d| connect(d, container, endpoint)),
        Action::Disconnect {
            container,
            endpoint,
        } => docker(state, |d| {
            for c in d.containers.iter_mut().filter(|c| c.name == *container) {
                c.endpoints.retain(|e| e.network != endpoint.network);
            }
        }),
        Action::SetGuard { after, .. } => {
            state.kernel.guard.table = Observed::Known(after.table.clone());
            state.kernel.guard.boot = Observed::Known(after.boot.clone());
        }
        Action::Latch { .. } => state.kernel.latch = Observed::Known(true),
        Action::Unlatch { .. } => state.kernel.latch = Observed::Known(false),
        Action::OwnChain { family } => {
            if let Some(direct) = state.runtime.direct.known_mut() {
                let chain = DirectChain::ours(*family);
                if !direct.chains.contains(&chain) {
                    direct.chains.push(chain);
                }
            }
            kernel(state, *family, |chain| {
                chain.get_or_insert_with(Chain::default);
            });
        }
        Action::DisownChain { family } => {
            if let Some(direct) = state.runtime.direct.known_mut() {
                direct.chains.retain(|c| *c != DirectChain::ours(*family));
            }
        }
        Action::SetKernelChain { family, after, .. } => kernel(state, *family, |chain| {
            *chain = after.as_ref().map(|lines| Chain {
                policy: None,
                rules: lines.clone(),
            });
        }),
        Action::PlaceJump { family, after, .. } => place_jump(state, *family, after),
        Action::AddChain { family, chain } => {
            if let Some(direct) = state.runtime.direct.known_mut() {
                let added = chain.direct(*family);
                if !direct.chains.contains(&added) {
                    direct.chains.push(added);
                }
            }
            change_mangle(state, *family, |mangle| {
                mangle.chains.entry(*chain).or_default();
            });
        }
        Action::RemoveChain { family, chain } => {
            if let Some(direct) = state.runtime.direct.known_mut() {
                direct.chains.retain(|c| *c != chain.direct(*family));
            }
            change_mangle(state, *family, |mangle| {
                mangle.chains.remove(chain);
            });
        }
        Action::SetMangle { family, after, .. } => {
            change_mangle(state, *family, |mangle| mangle.clone_from(after));
        }
        Action::AddRule(rule) => add_rule(state, memory, rule),
        Action::RemoveRule(rule) => remove_rule(state, rule),
        Action::AddRich { zone, rule, .. } => {
            if let Some(rich) = state.runtime.rich.known_mut()
                && !rich.contains(rule)
            {
                rich.push(rule.clone());
            }
            backend_rules::changed(state, zone, &rule.rule, true);
        }
        Action::RemoveRich { zone, rule, .. } => {
            if let Some(rich) = state.runtime.rich.known_mut() {
                rich.retain(|r| r != rule);
            }
            backend_rules::changed(state, zone, &rule.rule, false);
        }
        Action::Reload { .. } => reload(state),
    }
}

/// firewalld changes its memory, and with it all that hold the set in the kernel.
fn set_entries(state: &mut NodeState, name: &str, before: &IpSet, after: &IpSet) {
    let change = |set: &mut IpSet| {
        for gone in before.entries.difference(&after.entries) {
            set.entries.remove(gone);
        }
        for gone in before.odd.difference(&after.odd) {
            set.odd.remove(gone);
        }
        set.entries
            .extend(after.entries.difference(&before.entries));
        set.odd.extend(after.odd.difference(&before.odd).cloned());
    };
    let views = &mut state.sets;
    let plain = [&mut views.runtime, &mut views.kernel].into_iter();
    let plain = plain.filter_map(|sets| sets.known_mut()?.get_mut(name));
    let nft = views.nft.known_mut().into_iter().flatten();
    let nft = nft.filter_map(|(_, sets)| sets.get_mut(name));
    plain.chain(nft).for_each(change);
}

fn settle_set(state: &mut NodeState, name: &str, holder: &SetHolder, after: &IpSet) {
    let sets = match holder {
        SetHolder::Ipset => state.sets.kernel.known_mut(),
        SetHolder::Nft(family) => state
            .sets
            .nft
            .known_mut()
            .and_then(|nft| nft.get_mut(family)),
    };
    if let Some(set) = sets.and_then(|sets| sets.get_mut(name)) {
        set.clone_from(after);
    }
}

/// firewalld creates the sets of its files, and destroys those that are no more in them.
fn reload_sets(state: &mut NodeState) {
    let views = &mut state.sets;
    let Some(sets) = views.permanent.known().cloned() else {
        return;
    };
    let is_nft = state.firewalld.known().is_some_and(Firewalld::is_nftables);
    if let Some(nft) = views.nft.known_mut() {
        if is_nft && nft.is_empty() && !sets.is_empty() {
            nft.insert("inet".to_string(), IpSets::new());
        }
        for held in nft.values_mut() {
            held.clone_from(&sets);
        }
        nft.retain(|_, held| !held.is_empty());
    }
    for view in [&mut views.runtime, &mut views.kernel] {
        if let Some(held) = view.known_mut() {
            held.clone_from(&sets);
        }
    }
    views.runtime_others.clone_from(&views.permanent_others);
}

fn docker(state: &mut NodeState, change: impl FnOnce(&mut Docker)) {
    if let Some(docker) = state.docker.known_mut() {
        change(docker);
    }
}

/// firewalld writes the zone's file with the given rules.
fn write_rich(state: &mut NodeState, zone: &str, rules: &[RichText]) {
    let files = state.files.known_mut();
    let file = files.and_then(|files| files.zones.get_mut(zone));
    let says = file.and_then(|file| file.says.known_mut()?.as_mut());
    if let Some(options) = says {
        options.remove("rules_str");
        for rule in rules {
            options.add("rules_str", rule.text.as_str());
        }
    }
}

/// firewalld writes the file of a set, or removes it with the set.
fn write_set(state: &mut NodeState, name: &str, set: Option<&IpSet>) {
    let Some(files) = state.files.known_mut() else {
        return;
    };
    match set {
        Some(set) => {
            let file = File {
                path: format!("/etc/firewalld/ipsets/{name}.xml"),
                says: Observed::Known(Some(set.clone())),
            };
            files.ipsets.insert(name.to_string(), file);
        }
        None => drop(files.ipsets.remove(name)),
    }
}

/// Changes DOCKER-USER in the kernel.
fn kernel(state: &mut NodeState, family: Family, change: impl FnOnce(&mut Option<Chain>)) {
    if let Some(tables) = state.kernel.tables_mut(family).known_mut() {
        let filter = tables.tables.entry("filter".to_string()).or_default();
        let mut chain = filter.remove(CHAIN);
        change(&mut chain);
        if let Some(chain) = chain {
            filter.insert(CHAIN.to_string(), chain);
        }
    }
}

/// Changes what the kernel holds of the guard in table mangle.
fn change_mangle(state: &mut NodeState, family: Family, change: impl FnOnce(&mut MangleState)) {
    if let Some(tables) = state.kernel.tables_mut(family).known_mut() {
        let mut mangle = MangleState::of(tables);
        change(&mut mangle);
        mangle.write(tables);
    }
}

/// Where the kernel holds a direct rule, of those places that are simulated: DOCKER-USER, and what the guard has in table mangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    User,
    Guard(MangleChain),
    /// The built-in chain that leads to that one.
    Hook(MangleChain),
}

impl Place {
    fn of(rule: &DirectRule) -> Option<(Family, Place)> {
        let family = rule.family?;
        if rule.is_in_chain(family) {
            return Some((family, Place::User));
        }
        if rule.table != TABLE {
            return None;
        }
        let hooks = |chain: &MangleChain| chain.hook() == Some(&*rule.chain);
        let guard = MangleChain::of(&rule.chain).map(Place::Guard);
        let hook = || MangleChain::ALL.into_iter().find(hooks).map(Place::Hook);
        Some((family, guard.or_else(hook)?))
    }

    /// Changes the rules of the kernel's chain.
    fn change(
        self,
        state: &mut NodeState,
        family: Family,
        change: impl FnOnce(&mut Vec<KernelRule>),
    ) {
        if self == Place::User {
            return kernel(state, family, |chain| {
                change(&mut chain.get_or_insert_with(Chain::default).rules);
            });
        }
        let Some(tables) = state.kernel.tables_mut(family).known_mut() else {
            return;
        };
        let name = match self {
            Place::Guard(chain) => chain.name().to_string(),
            Place::Hook(chain) => kernel_chain(tables, chain.hook().unwrap_or_default()),
            Place::User => return,
        };
        let table = tables.tables.entry(TABLE.to_string()).or_default();
        change(&mut table.entry(name).or_default().rules);
        // What is left without a rule and was only here for it.
        MangleState::of(tables).write(tables);
    }
}

fn network(spec: &NetworkSpec) -> Network {
    let gateways = if spec.gateways.is_empty() {
        spec.subnets
            .iter()
            .filter_map(|s| Cidr::first_usable(*s))
            .collect()
    } else {
        spec.gateways.clone()
    };
    Network {
        name: spec.name.clone(),
        driver: "bridge".to_string(),
        subnets: spec.subnets.clone(),
        gateways,
        bridge: spec
            .options
            .iter()
            .find(|(k, _)| k == BRIDGE_NAME)
            .map(|(_, v)| v.clone())
            .unwrap_or_default(),
        internal: spec.internal,
        ipv6: spec.ipv6,
        options: spec.options.iter().cloned().collect(),
        labels: spec.labels.iter().cloned().collect(),
        attachable: spec.attachable,
        ranges: spec.ranges.clone(),
        reserved: spec.reserved.iter().cloned().collect(),
        ipam_driver: spec.ipam_driver.clone(),
        ipam_options: spec.ipam_options.iter().cloned().collect(),
        ..Network::default()
    }
}

/// The driver option that names the bridge device (Docker's bridge driver documentation).
pub const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

fn connect(docker: &mut Docker, container: &str, endpoint: &Endpoint) {
    for c in docker.containers.iter_mut().filter(|c| c.name == container) {
        c.endpoints.retain(|e| e.network != endpoint.network);
        c.endpoints.push(endpoint.clone());
        c.endpoints.sort_by(|a, b| a.network.cmp(&b.network));
    }
}

/// Whether a rule of FORWARD is the unconditional jump to DOCKER-USER.
pub fn is_jump(rule: &KernelRule) -> bool {
    rule.rule.as_ref().is_some_and(|r| {
        r.matches().next().is_none()
            && matches!(&r.target, Target::Jump(name, args) if name == CHAIN && args.is_empty())
    })
}

fn has_jump(state: &NodeState, family: Family) -> bool {
    let tables = state.kernel.tables(family).known();
    let forward = tables.and_then(|t| t.chain("filter", "FORWARD"));
    forward.is_some_and(|chain| chain.rules.iter().any(is_jump))
}

fn place_jump(state: &mut NodeState, family: Family, after: &[usize]) {
    let Some(tables) = state.kernel.tables_mut(family).known_mut() else {
        return;
    };
    let filter = tables.tables.entry("filter".to_string()).or_default();
    let forward = filter.entry("FORWARD".to_string()).or_default();
    forward.rules.retain(|rule| !is_jump(rule));
    for place in after {
        let place = (*place).min(forward.rules.len());
        let jump = KernelRule::new(format!("-j {CHAIN}"));
        forward.rules.insert(place, jump);
    }
}

/// The direct rules of firewalld's memory, counted: thousands of them are added in a time that grows as their number does.
struct Memory {
    held: BTreeSet<DirectRule>,
    /// What the rules of each chain with each priority count when firewalld looks for the place of another one.
    counts: BTreeMap<(Family, Place, i32), usize>,
    /// From firewalld 1.0 on it counts the lines that a list of addresses makes, and not its rules.
    counts_lines: bool,
}

impl Memory {
    fn of(state: &NodeState) -> Option<Self> {
        let direct = state.runtime.direct.known()?;
        let firewalld = state.firewalld.known();
        let mut memory = Memory {
            held: BTreeSet::new(),
            counts: BTreeMap::new(),
            counts_lines: firewalld.is_some_and(|f| f.major_minor() >= (1, 0)),
        };
        for rule in &direct.rules {
            memory.add(state, rule);
        }
        Some(memory)
    }

    fn add(&mut self, state: &NodeState, rule: &DirectRule) {
        self.held.insert(rule.clone());
        if let Some((family, place)) = Place::of(rule)
            && let Some(tables) = state.kernel.tables(family).known()
        {
            let count = if self.counts_lines {
                lines_of(rule, tables)
            } else {
                1
            };
            *self
                .counts
                .entry((family, place, rule.priority))
                .or_default() += count;
        }
    }

    /// The place of a rule of that priority, behind all of the same or a lower one.
    fn place(&self, family: Family, place: Place, priority: i32) -> usize {
        let ahead = self
            .counts
            .range((family, place, i32::MIN)..=(family, place, priority));
        ahead.map(|(_, count)| count).sum()
    }
}

/// firewalld inserts at 1 + the number of its own rules of the same or a lower priority, whatever else the kernel's
/// chain holds (fw_direct.py, 0.6.3 to 2.5).
fn add_rule(state: &mut NodeState, memory: &mut Option<Memory>, rule: &DirectRule) {
    if memory.is_none() {
        *memory = Memory::of(state);
    }
    let Some(memory) = memory.as_mut().filter(|memory| !memory.held.contains(rule)) else {
        return;
    };
    if let Some(direct) = state.runtime.direct.known_mut() {
        direct.rules.push(rule.clone());
    }
    if let Some((family, place)) = Place::of(rule)
        && let Some(tables) = state.kernel.tables(family).known()
    {
        let at = memory.place(family, place, rule.priority);
        let lines: Vec<KernelRule> = form(rule, tables).kernel_rules().collect();
        place.change(state, family, |rules| {
            let at = at.min(rules.len());
            rules.splice(at..at, lines);
        });
    }
    memory.add(state, rule);
}

/// How many lines a rule makes.
fn lines_of(rule: &DirectRule, tables: &Tables) -> usize {
    if rule.rule().is_some() {
        return 1;
    }
    form(rule, tables).lines.len()
}

fn remove_rule(state: &mut NodeState, rule: &DirectRule) {
    let Some(direct) = state.runtime.direct.known_mut() else {
        return;
    };
    let Some(at) = direct.rules.iter().position(|r| r == rule) else {
        return;
    };
    direct.rules.remove(at);
    let Some((family, place)) = Place::of(rule) else {
        return;
    };
    let Some(tables) = state.kernel.tables(family).known() else {
        return;
    };
    let lines: Vec<KernelRule> = form(rule, tables).kernel_rules().collect();
    if place == Place::User && tables.chain("filter", CHAIN).is_none() {
        return;
    }
    place.change(state, family, |rules| {
        for line in &lines {
            let is_it = |held: &KernelRule| Line::from(held) == Line::from(line);
            if let Some(at) = rules.iter().position(is_it) {
                rules.remove(at);
            }
        }
    });
}

/// What the kernel holds of the guard in table mangle if firewalld holds these direct rules. Its jumps are ahead of everything else, and so
/// are those of firewalld that lead to them.
pub(super) fn held(direct: &Direct, family: Family, tables: &Tables) -> MangleState {
    let mut out = MangleState::default();
    for hook in MangleChain::ALL.into_iter().filter_map(MangleChain::hook) {
        if direct_chain(tables, hook).is_some() {
            out.jumps.push(MangleJump {
                chain: hook.to_string(),
                place: 0,
                line: KernelRule::new(to_direct(hook).to_string()),
            });
        }
    }
    for chain in MangleChain::ALL {
        if direct.chains.contains(&chain.direct(family)) {
            out.chains.insert(chain, Vec::new());
        }
    }
    let mut rules: Vec<&DirectRule> = direct.rules.iter().collect();
    rules.retain(|rule| rule.family == Some(family) && MangleChain::holds(rule));
    rules.sort_by_key(|rule| rule.priority);
    for rule in rules {
        let lines: Vec<KernelRule> = form(rule, tables).kernel_rules().collect();
        match MangleChain::of(&rule.chain) {
            Some(chain) => out.chains.entry(chain).or_default().extend(lines),
            None => {
                let chain = kernel_chain(tables, &rule.chain);
                let jumps = out.jumps.iter().filter(|jump| jump.chain == chain);
                let place = jumps.count();
                out.jumps.extend(lines.into_iter().map(|line| MangleJump {
                    chain: chain.clone(),
                    place,
                    line,
                }));
            }
        }
    }
    out
}

fn reload(state: &mut NodeState) {
    let Some(permanent) = state.permanent.direct.known().cloned() else {
        return;
    };
    for family in Family::ALL {
        if permanent.owns(family) {
            let Some(tables) = state.kernel.tables(family).known() else {
                continue;
            };
            let lines: Vec<KernelRule> = permanent
                .chain(family)
                .into_iter()
                .flat_map(|rule| form(rule, tables).kernel_rules().collect::<Vec<_>>())
                .collect();
            kernel(state, family, |chain| {
                // Docker up to 28.2.1 puts its RETURN back at the end.
                let returns = chain
                    .iter()
                    .flat_map(|c| &c.rules)
                    .filter(|k| is_plain_return(k))
                    .take(1)
                    .cloned();
                let rules = lines.into_iter().chain(returns).collect();
                *chain = Some(Chain {
                    policy: None,
                    rules,
                });
            });
            // The step itself puts the jump first: Docker 20.10 to 27 leave it last.
            if has_jump(state, family) {
                place_jump(state, family, &[0]);
            }
        }
    }
    for family in Family::ALL {
        if let Some(tables) = state.kernel.tables_mut(family).known_mut() {
            let after = held(&permanent, family, tables);
            after.write(tables);
        }
    }
    state.runtime.direct = Observed::Known(permanent);
    state.runtime.rich = state.permanent.rich.clone();
    backend_rules::reloaded(state);
    reload_sets(state);
    state.runtime.settings = match (&state.permanent.settings, &state.runtime.settings) {
        (Observed::Known(permanent), Observed::Known(runtime)) => {
            Observed::Known(with_bindings(permanent.clone(), runtime))
        }
        _ => state.permanent.settings.clone(),
    };
}

/// Interfaces that are bound only at runtime are bound again by the program that bound them.
fn with_bindings(mut permanent: Settings, runtime: &Settings) -> Settings {
    for (zone, options) in &runtime.zones {
        for interface in options.all("interfaces") {
            if permanent.zone_of_interface(interface).is_none()
                && let Some(options) = permanent.zones.get_mut(zone)
            {
                options.add("interfaces", interface);
            }
        }
    }
    permanent
}

fn is_plain_return(rule: &KernelRule) -> bool {
    rule.rule
        .as_ref()
        .is_some_and(|r| r.target == Target::Return && r.matches().next().is_none())
}
