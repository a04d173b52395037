//! Inventory and role files → what is required of each selected node. Everything is read and judged before the first connection; what a
//! node's policies amount to is compiled when its turn comes ([`LazyDesired`]).

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::cli::args::SelectionArgs;
use crate::cli::configuration;
use crate::cli::error::CliError;
use crate::cli::lazy_desired::LazyDesired;
use crate::cli::lazy_desired::Recent;
use crate::cli::names;
use crate::cli::names::Lookup;
use crate::cli::names::Wanted;
use crate::cli::pins::Extent;
use crate::cli::pins::LockPlace;
use crate::cli::pins::PinUpdate;
use crate::cli::pins::Pins;
use crate::cli::programs::SystemPrograms;
use crate::cli::sources;
use crate::cli::warning::Warning;
use crate::cli::warning::Warnings;
use crate::engine::Requires;
use crate::inventory::ConnectionVars;
use crate::inventory::InputError;
use crate::inventory::InputErrors;
use crate::inventory::Inventory;
use crate::inventory::InventoryNode;
use crate::inventory::Located;
use crate::inventory::Pattern;
use crate::inventory::Shard;
use crate::model::Date;
use crate::model::Ipsets;
use crate::model::Port;
use crate::model::SshArguments;
use crate::model::host_name::HostName;
use crate::model::host_name::Names;
use crate::policy;
use crate::policy::NodeContext;
use crate::role::LazyPassword;
use crate::role::Policy;
use crate::role::Roles;

/// The variable with the login's password, for messages.
const PASSWORD: &str = "ansible_password";

/// The variable with sudo's password, for messages.
const BECOME_PASSWORD: &str = "ansible_become_password";

/// sshd's port if the inventory does not set `ansible_port`.
const SSH: u16 = 22;

/// Whether the whitelists are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enforcing {
    /// As each role says.
    AsWritten,
    /// None of them: every role is in audit (`--audit`).
    Audit,
}

/// Which of the selected nodes a command does something with, apart from naming them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Used {
    /// All of them. A node without a role whose connection variables cannot be used is left out with a warning.
    All,
    /// Those that have a role.
    WithRole,
}

/// A node that the command uses.
pub(super) struct Member {
    /// Its name.
    pub(super) name: String,
    /// Its connection variables in the inventory.
    pub(super) connection: ConnectionVars,
    /// Its password to log in with, still closed; `None` if the inventory gives none.
    pub(super) password: Option<LazyPassword>,
    /// Its password for sudo, still closed; `None` if the inventory gives none.
    pub(super) become_password: Option<LazyPassword>,
    /// What its roles require; `None` if it has no role.
    pub(super) desired: Option<Arc<LazyDesired>>,
}

impl Member {
    /// What its roles require, for whoever compiles it; `None` if it has no role.
    pub(super) fn requires(&self) -> Option<Arc<dyn Requires>> {
        let desired = self.desired.as_ref()?;
        Some(Arc::clone(desired) as Arc<dyn Requires>)
    }
}

/// The selected nodes, as the files describe them.
pub(super) struct Fleet {
    /// The nodes that the command uses, in the order of the inventory.
    pub(super) members: Vec<Member>,
    /// The other selected nodes, in the same order. None of them has a role, and nobody has read how they are reached.
    pub(super) unused: Vec<String>,
    /// Warnings about things that work but may not be intended.
    pub(super) warnings: Vec<Warning>,
    /// What a run pins of the peers' names, before it changes a node; `None` if nobody was asked for them.
    pub(super) pins: Option<PinUpdate>,
    /// What `--shard` leaves to others; `None` without it.
    pub(super) others: Option<Others>,
}

/// The nodes that are in other shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Others {
    /// The shard of this command.
    pub(super) shard: Shard,
    /// How many they are.
    pub(super) nodes: usize,
    /// Whether any of them has a role.
    pub(super) have_roles: bool,
}

impl Fleet {
    /// Leaves out the nodes that have a role, and returns their names.
    pub(super) fn without_roles(&mut self) -> Vec<String> {
        let members = std::mem::take(&mut self.members);
        let (with, without): (Vec<Member>, Vec<Member>) = members
            .into_iter()
            .partition(|member| member.desired.is_some());
        self.members = without;
        with.into_iter().map(|member| member.name).collect()
    }

    /// The names of the nodes without a role.
    pub(super) fn names_without_role(&self) -> Vec<&str> {
        let without = self.members.iter().filter(|m| m.desired.is_none());
        let unused = self.unused.iter().map(String::as_str);
        without.map(|m| m.name.as_str()).chain(unused).collect()
    }

    /// How many nodes are selected.
    pub(super) fn selected(&self) -> usize {
        self.members.len() + self.unused.len()
    }
}

/// Reads the inventory and resolves the roles of the selected nodes. Names of peers have the addresses that are pinned.
///
/// # Errors
///
/// As [`read_with`].
#[cfg(test)]
pub(super) fn read(
    selection: &SelectionArgs,
    enforcing: Enforcing,
    used: Used,
) -> Result<Fleet, CliError> {
    read_with(selection, enforcing, used, Lookup::Pinned)
}

/// A selected node whose files are in order, as far as that can be said without the addresses of names.
struct Prepared<'i> {
    node: &'i InventoryNode,
    /// Several nodes have one value if the same was made for them.
    policies: Arc<Vec<Policy>>,
    doubtful: Vec<InputError>,
    /// How it is reached; `None` if nobody asked, or if that is wrong and it has no role.
    reached: Option<(ConnectionVars, NodeContext)>,
}

/// How many different policies are remembered for the nodes that follow: those of a group mostly stand together.
const REMEMBERED: usize = 8;

/// The policies of the day, each made and judged once for all nodes that share it.
struct Settler<'a> {
    today: Date,
    names: &'a Names,
    enforcing: Enforcing,
    /// Those that other nodes may have too, the last used first.
    known: VecDeque<Settled>,
    recent: Arc<Recent>,
}

/// Policies of the day.
struct Settled {
    /// What they were made of.
    written: Arc<Vec<Policy>>,
    policies: Arc<Vec<Policy>>,
    /// What is to be said about them.
    said: Vec<InputError>,
    /// They are without contradictions on nodes that are reached like these.
    compiled: Vec<Arc<LazyDesired>>,
    recent: Arc<Recent>,
}

impl<'a> Settler<'a> {
    fn new(today: Date, names: &'a Names, enforcing: Enforcing) -> Self {
        Settler {
            today,
            names,
            enforcing,
            known: VecDeque::new(),
            recent: Arc::default(),
        }
    }

    fn settle(&mut self, written: Arc<Vec<Policy>>) -> &mut Settled {
        let mut known = self.known.iter();
        let settled = match known.position(|one| Arc::ptr_eq(&one.written, &written)) {
            Some(place) => self.known.remove(place),
            None => None,
        };
        let settled = settled.unwrap_or_else(|| self.made_of(written));
        self.known.truncate(REMEMBERED - 1);
        self.known.push_front(settled);
        &mut self.known[0]
    }

    fn made_of(&self, written: Arc<Vec<Policy>>) -> Settled {
        // What nobody shares is not kept twice.
        let is_shared = Arc::strong_count(&written) > 1;
        let (own, written) = match is_shared {
            true => (written.to_vec(), written),
            false => (Arc::unwrap_or_clone(written), Arc::default()),
        };
        let settled = own.into_iter().map(|own| own.on(self.today, self.names));
        let (policies, said): (Vec<Policy>, Vec<Vec<InputError>>) = settled.unzip();
        let said = said.into_iter().flatten();
        let said: Vec<InputError> = said.chain(policy::warnings(&policies)).collect();
        let policies = policies.into_iter().map(|policy| match self.enforcing {
            Enforcing::AsWritten => policy,
            Enforcing::Audit => policy.in_audit(),
        });
        Settled {
            written,
            policies: Arc::new(policies.collect()),
            said,
            compiled: Vec::new(),
            recent: Arc::clone(&self.recent),
        }
    }
}

impl Settled {
    /// What they require of a node.
    ///
    /// # Errors
    ///
    /// Every contradiction.
    fn required(&mut self, context: NodeContext) -> Result<Arc<LazyDesired>, InputErrors> {
        if let Some(known) = self.compiled.iter().find(|known| known.is_for(&context)) {
            return Ok(known.shared());
        }
        policy::check(&self.policies, &context)?;
        let made = Arc::new(LazyDesired::new(
            Arc::clone(&self.policies),
            context,
            &self.recent,
        ));
        if self.compiled.len() < REMEMBERED {
            self.compiled.push(Arc::clone(&made));
        }
        Ok(made)
    }
}

impl Prepared<'_> {
    /// The names of the peers that are listed on a day.
    fn names(&self, today: Date) -> impl Iterator<Item = Located<HostName>> {
        let names = self.policies.iter().flat_map(Policy::names);
        names
            .filter(move |(_, until)| until.is_none_or(|until| today <= until))
            .map(|(name, _)| name)
    }
}

/// Reads the inventory and resolves the roles of the selected nodes, and the names of their peers.
///
/// # Errors
///
/// All mistakes in the inventory and `--extra-vars`; if there are none, those in `--limit`; then those in the roles and the connection variables of the
/// nodes that are used; if there are none, names that lead nowhere. A mistake that several nodes share is listed once.
pub(super) fn read_with(
    selection: &SelectionArgs,
    enforcing: Enforcing,
    used: Used,
    lookup: Lookup,
) -> Result<Fleet, CliError> {
    let inventory = inventory(selection)?;
    let (nodes, others) = in_shard(limited(&inventory, selection)?, selection.shard);
    let roles = Roles::load(inventory.directory())?;
    let resolver = roles.resolver(&inventory);
    let today = today();
    let mut errors = InputErrors::none();
    let mut prepared = Vec::new();
    let mut members = Vec::new();
    let mut unused = Vec::new();
    let mut left_out = LeftOut::default();
    let mut warnings = Warnings::default();
    warnings.add_general(configuration::current()?.warnings.iter().cloned());
    warnings.add_general(inventory.warnings().iter().cloned());
    for node in nodes {
        let Some((policies, doubtful)) = errors.take(resolver.resolve_shared(node)) else {
            continue;
        };
        let without_role = node.roles.is_empty();
        let connection = if without_role && used == Used::WithRole {
            unused.push(node.name.clone());
            None
        } else {
            match node.connection(&resolver) {
                Ok(connection) => Some(connection),
                Err(wrong) if without_role => {
                    unused.push(node.name.clone());
                    left_out.add(wrong);
                    None
                }
                Err(wrong) => {
                    errors.extend(wrong);
                    continue;
                }
            }
        };
        let reached = match connection {
            Some(connection) => {
                let context = NodeContext {
                    node: node.name.clone(),
                    zone: connection.zone.clone(),
                    ipsets: connection
                        .ipset_threshold
                        .as_ref()
                        .map_or_else(Ipsets::default, |said| {
                            said.value.map_or(Ipsets::Never, Ipsets::Above)
                        }),
                    ssh_port: ssh_port(&node.name, &connection)?,
                    today,
                };
                Some((connection, context))
            }
            None => None,
        };
        prepared.push(Prepared {
            node,
            policies,
            doubtful,
            reached,
        });
    }
    let (names, pins) = resolve_names(
        selection,
        &prepared,
        today,
        lookup,
        &mut errors,
        &mut warnings,
    )?;
    let mut settler = Settler::new(today, &names, enforcing);
    for one in prepared {
        let Prepared {
            node,
            policies,
            doubtful,
            reached,
        } = one;
        let settled = settler.settle(policies);
        warnings.add(doubtful.into_iter().chain(settled.said.iter().cloned()));
        let Some((connection, context)) = reached else {
            continue;
        };
        let Some(desired) = errors.take(settled.required(context)) else {
            continue;
        };
        members.push(Member {
            name: node.name.clone(),
            become_password: connection
                .escalate_password
                .as_ref()
                .map(|password| resolver.password(node, BECOME_PASSWORD, password)),
            password: connection
                .password
                .as_ref()
                .map(|password| resolver.password(node, PASSWORD, password)),
            connection,
            desired: (!node.roles.is_empty()).then_some(desired),
        });
    }
    let mut warnings = warnings.into_found();
    match left_out.first {
        // Nothing else was asked for.
        Some(_) if members.is_empty() && errors.is_empty() && is_all(others) => {
            errors.extend(left_out.errors);
        }
        Some(first) => warnings.push(Warning {
            error: first,
            nodes: Some(left_out.nodes),
            moved: None,
        }),
        None => {}
    }
    errors = unique(errors);
    Ok(errors.or(Fleet {
        members,
        unused,
        warnings,
        pins,
        others,
    })?)
}

/// Whether no node is left to other shards.
fn is_all(others: Option<Others>) -> bool {
    others.is_none_or(|others| others.nodes == 0)
}

/// What the names of the peers lead to, and what a run pins of it.
fn resolve_names(
    selection: &SelectionArgs,
    prepared: &[Prepared<'_>],
    today: Date,
    lookup: Lookup,
    errors: &mut InputErrors,
    warnings: &mut Warnings,
) -> Result<(Names, Option<PinUpdate>), CliError> {
    let mut wanted = Wanted::default();
    for one in prepared {
        wanted.add(one.names(today));
    }
    let listed = prepared.iter().flat_map(|one| one.policies.iter());
    let is_listed = listed.flat_map(Policy::names).next().is_some();
    let place = || -> Result<LockPlace, CliError> {
        let sources = sources::inventories(selection, configuration::current()?);
        Ok(LockPlace::of(
            &sources.map(|sources| sources.value).unwrap_or_default(),
        ))
    };
    let ask = match lookup {
        Lookup::Pinned | Lookup::PinnedQuietly if !is_listed => {
            return Ok((Names::default(), None));
        }
        Lookup::Pinned | Lookup::PinnedQuietly => {
            let pins = Pins::read(place()?)?;
            let found = names::from_pins(&wanted, &pins.addresses);
            if matches!(lookup, Lookup::Pinned) {
                warnings.extend(found.warnings);
            }
            return Ok((found.names, None));
        }
        Lookup::Asked(ask) => ask,
    };
    let unresolved = wanted.unresolved();
    // Nobody is asked about files that are wrong: everything else is judged first.
    if errors.is_empty() && !wanted.is_empty() {
        let mut settler = Settler::new(today, &unresolved, Enforcing::AsWritten);
        for one in prepared {
            if let Some((_, context)) = &one.reached {
                let settled = settler.settle(Arc::clone(&one.policies));
                if let Err(wrong) = settled.required(context.clone()) {
                    errors.extend(wrong);
                }
            }
        }
    }
    if !errors.is_empty() {
        return Ok((unresolved, None));
    }
    let pins = Pins::read(place()?)?;
    let found = names::resolve(&wanted, &pins.addresses, pins.path(), ask)?;
    warnings.extend(found.warnings);
    let extent = match (&selection.limit, selection.shard) {
        (None, None) => Extent::Whole,
        _ => Extent::Part,
    };
    let update = pins.update(found.names.current.clone(), extent);
    Ok((found.names, Some(update)))
}

/// Nodes without a role whose connection variables cannot be used. One warning says so for all of them.
#[derive(Default)]
struct LeftOut {
    first: Option<InputError>,
    nodes: usize,
    errors: InputErrors,
}

impl LeftOut {
    fn add(&mut self, wrong: InputErrors) {
        self.nodes += 1;
        self.errors.extend(wrong.clone());
        let Some(error) = wrong.into_iter().next() else {
            return;
        };
        self.first.get_or_insert_with(|| {
            let message = format!(
                "left out, because it has no role and cannot be reached: {}",
                error.message()
            );
            let warning = match error.location() {
                Some(location) => InputError::at(location.clone(), message),
                None => InputError::general(message),
            };
            match error.hint_text() {
                Some(hint) => warning.hint(hint),
                None => warning,
            }
        });
    }
}

/// Reads the inventory.
///
/// # Errors
///
/// All mistakes in it and in `--extra-vars`.
pub(super) fn inventory(selection: &SelectionArgs) -> Result<Inventory, CliError> {
    let programs = SystemPrograms::new();
    let sources = sources::of(selection, &programs)?;
    Ok(Inventory::load_sources(
        &sources,
        &sources::extra(selection),
    )?)
}

/// The nodes that `--limit` and `--shard` select, in the order of the inventory. A shard may have none.
///
/// # Errors
///
/// Mistakes in the pattern.
pub(super) fn selected<'i>(
    inventory: &'i Inventory,
    selection: &SelectionArgs,
) -> Result<Vec<&'i InventoryNode>, CliError> {
    let limited = limited(inventory, selection)?;
    Ok(in_shard(limited, selection.shard).0)
}

/// Those of the nodes that are in the shard, and what is said of the others.
fn in_shard(
    nodes: Vec<&InventoryNode>,
    shard: Option<Shard>,
) -> (Vec<&InventoryNode>, Option<Others>) {
    let Some(shard) = shard else {
        return (nodes, None);
    };
    let (nodes, others): (Vec<_>, Vec<_>) = nodes
        .into_iter()
        .partition(|node| shard.contains(&node.name));
    let others = Others {
        shard,
        nodes: others.len(),
        have_roles: others.iter().any(|node| !node.roles.is_empty()),
    };
    (nodes, Some(others))
}

/// The nodes that `--limit` selects, in the order of the inventory.
fn limited<'i>(
    inventory: &'i Inventory,
    selection: &SelectionArgs,
) -> Result<Vec<&'i InventoryNode>, CliError> {
    Ok(match &selection.limit {
        Some(pattern) => inventory.select(&Pattern::load(pattern)?)?,
        None => inventory.nodes().collect(),
    })
}

/// The day, in UTC.
fn today() -> Date {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Date::at(now.unwrap_or_default().as_secs())
}

/// Keeps one of several equal errors: a mistake in a group is found once for each of its nodes.
pub(super) fn unique(errors: InputErrors) -> InputErrors {
    let mut once = InputErrors::none();
    let mut said = BTreeSet::new();
    for error in errors {
        if said.insert(error.to_string()) {
            once.push(error);
        }
    }
    once
}

fn ssh_port(node: &str, connection: &ConnectionVars) -> Result<Port, CliError> {
    let port = sshd_port(connection);
    Port::new(port).ok_or_else(|| CliError::new(format!("node `{node}` has port 0")))
}

/// Returns the port of a node's sshd: that of `ansible_ssh_args`, `ansible_port`, that of the other arguments of ssh, or 22.
pub(super) fn sshd_port(connection: &ConnectionVars) -> u16 {
    let of = |arguments: &Located<SshArguments>| arguments.value.value("port")?.parse().ok();
    let first = connection.ssh_args.as_ref().and_then(of);
    let own = connection.port.as_ref().map(|port| port.value);
    let more = connection.ssh_more_args.iter().find_map(of);
    first.or(own).or(more).unwrap_or(SSH)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn selection(text: &str, limit: Option<&str>) -> (tempfile::TempDir, SelectionArgs) {
        let folder = tempfile::tempdir().unwrap();
        let inventory = folder.path().join("inventory.yml");
        fs::write(&inventory, text).unwrap();
        let selection = SelectionArgs {
            limit: limit.map(str::to_string),
            ..SelectionArgs::all_of(inventory)
        };
        (folder, selection)
    }

    /// What Ansible users have in one inventory with their nodes, and no one asks fwdeploy to use.
    const STRANGE: [&str; 8] = [
        "ansible_connection: winrm",
        "ansible_connection: docker",
        "ansible_connection: ansible.netcommon.network_cli",
        "ansible_become_method: runas",
        "ansible_host:",
        "ansible_host: 'no host!'",
        "ansible_port: http",
        "ansible_host: '{{ nowhere }}'",
    ];

    /// To see it fail: read how a node is reached while the inventory is read.
    #[test]
    fn only_a_node_that_is_used_is_judged_by_how_it_is_reached() {
        for vars in STRANGE {
            let text = format!(
                "all:\n  vars: {{cybex_peers: [192.0.2.7]}}\n  hosts:\n    a: {{fwdeploy_roles: [cybex]}}\n    strange: {{{vars}}}\n    other: {{{vars}, fwdeploy_roles: [cybex]}}\n"
            );
            // Outside of `--limit`, with and without a role.
            let (_folder, limited) = selection(&text, Some("a"));
            let fleet = read(&limited, Enforcing::AsWritten, Used::All)
                .ok()
                .unwrap();
            assert_eq!(fleet.warnings.len(), 0, "{vars}");
            // Selected, without a role.
            let (_folder, limited) = selection(&text, Some("a,strange"));
            let fleet = read(&limited, Enforcing::AsWritten, Used::All)
                .ok()
                .unwrap();
            let names: Vec<&str> = fleet.members.iter().map(|m| m.name.as_str()).collect();
            assert_eq!(
                (names, fleet.unused),
                (vec!["a"], vec!["strange".to_string()])
            );
            let warning = fleet.warnings[0].error.to_string();
            assert!(warning.contains("inventory.yml:5:"), "{vars}: {warning}");
            let fleet = read(&limited, Enforcing::AsWritten, Used::WithRole)
                .ok()
                .unwrap();
            assert_eq!(fleet.warnings.len(), 0, "{vars}");
            // Alone, and with a role: it is used.
            for (limit, line) in [("strange", 5), ("a,other", 6)] {
                let (_folder, limited) = selection(&text, Some(limit));
                let error = read(&limited, Enforcing::AsWritten, Used::All)
                    .err()
                    .unwrap();
                let CliError::Input(errors) = error else {
                    panic!("{vars}: not a mistake in the input")
                };
                let at = format!("inventory.yml:{line}:");
                assert!(errors.to_string().contains(&at), "{vars}: {errors}");
            }
        }
    }

    #[test]
    fn nodes_that_are_left_out_are_one_warning() {
        let text = "all:
  vars: {cybex_peers: [192.0.2.7]}
  hosts:
    a: {fwdeploy_roles: [cybex]}
    \"w[1:500]\": {ansible_connection: winrm}
    d: {ansible_port: x}
";
        let (_folder, selection) = selection(text, None);
        let fleet = read(&selection, Enforcing::AsWritten, Used::All)
            .ok()
            .unwrap();
        let counts: Vec<_> = fleet.warnings.iter().map(|warning| warning.nodes).collect();
        assert_eq!(counts, [Some(501)]);
        assert_eq!(fleet.selected(), 502);
    }

    /// A variable that nobody asks for is not rendered, whatever is in it.
    #[test]
    fn what_nobody_asks_for_is_not_rendered() {
        let text = "all:
  vars: {cybex_peers: [192.0.2.7], deep: '{{ 1 / 0 }}', cybex_image: '{{ nope }}', x: {y: ['{{ nope | nofilter }}']}}
  hosts:
    a: {fwdeploy_roles: [cybex], z: '{{ }}'}
";
        let (_folder, selection) = selection(text, None);
        assert!(read(&selection, Enforcing::AsWritten, Used::All).is_ok());
    }

    /// To see it fail: keep nothing in `LazyDesired::desired`, and everything.
    #[test]
    fn a_policy_that_nodes_share_is_compiled_once_and_that_of_one_node_is_let_go() {
        let text = "all:
  vars: {fwdeploy_roles: [cybex], cybex_peers: [198.51.100.1]}
  hosts:
    \"n[1:4]\": {ansible_host: 192.0.2.1}
    port: {ansible_host: 192.0.2.1, ansible_port: 2222}
    zone: {ansible_host: 192.0.2.1, fwdeploy_zone: public}
    own: {ansible_host: 192.0.2.1, cybex_peers: [198.51.100.1, 198.51.100.2]}
";
        let (_folder, selection) = selection(text, None);
        let fleet = read(&selection, Enforcing::AsWritten, Used::All).unwrap();
        let compiled = |name: &str| {
            let member = fleet.members.iter().find(|member| member.name == name);
            member.unwrap().requires().unwrap().desired()
        };
        let first = compiled("n1");
        for name in ["n2", "n3", "n4"] {
            assert!(Arc::ptr_eq(&first, &compiled(name)), "{name}");
        }
        // The same rules, judged for another port of ssh, and other ones.
        assert_eq!(compiled("port"), first);
        assert!(!Arc::ptr_eq(&compiled("port"), &first));
        assert_eq!(compiled("zone").zone.as_deref(), Some("public"));
        let weak = |name: &str| Arc::downgrade(&compiled(name));
        assert_eq!(weak("own").strong_count(), 0);
        drop(first);
        assert_eq!(weak("n1").strong_count(), 1, "kept for the next node");
    }

    #[test]
    fn a_flag_puts_every_role_in_audit() {
        let folder = tempfile::tempdir().unwrap();
        let inventory = folder.path().join("inventory.yml");
        let text = "all:
  hosts:
    a: {ansible_host: 192.0.2.1, fwdeploy_roles: [cybex]}
    b: {ansible_host: 192.0.2.2, fwdeploy_roles: [cybex, eos], eos_enforce: audit}
    c: {ansible_host: 192.0.2.3}
";
        fs::write(&inventory, text).unwrap();
        let selection = SelectionArgs::all_of(inventory);
        let audits = |enforcing| {
            let members = read(&selection, enforcing, Used::All)
                .unwrap()
                .members
                .into_iter();
            let desired = members.map(|member| member.requires());
            let roles = |requires: Arc<dyn Requires>| {
                let desired = requires.desired();
                (desired.audits.len(), desired.is_audit())
            };
            desired
                .map(|desired| desired.map(roles))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            audits(Enforcing::AsWritten),
            [Some((0, false)), Some((1, false)), None]
        );
        assert_eq!(
            audits(Enforcing::Audit),
            [Some((1, true)), Some((2, true)), None]
        );
    }

    mod of_names {
        use std::collections::BTreeSet;
        use std::net::IpAddr;
        use std::sync::Mutex;

        use super::*;
        use crate::inventory::LOCK_FILE as FILE;
        use crate::model::Desired;
        use crate::model::peer::label;

        /// What names lead to: `a.org` to 203.0.113.7, `two.org` to an address of each family, `six.org` to IPv6 only.
        fn answer(name: &HostName) -> Result<Vec<IpAddr>, String> {
            let addresses: &[&str] = match name.as_str() {
                "a.org" | "same.org" => &["203.0.113.7"],
                "two.org" => &["203.0.113.8", "2001:db8::8"],
                "six.org" => &["2001:db8::9"],
                "there.org" => &["172.21.0.9"],
                _ => return Err("not known".to_string()),
            };
            Ok(addresses.iter().map(|one| one.parse().unwrap()).collect())
        }

        fn nobody(name: &HostName) -> Result<Vec<IpAddr>, String> {
            panic!("`{name}` was asked for")
        }

        fn asked(selection: &SelectionArgs) -> Result<Fleet, CliError> {
            let lookup = Lookup::Asked(answer);
            read_with(selection, Enforcing::AsWritten, Used::All, lookup)
        }

        fn one_node(vars: &str) -> (tempfile::TempDir, SelectionArgs) {
            let text = format!(
                "all:\n  hosts:\n    a:\n      ansible_host: 192.0.2.1\n      fwdeploy_roles: [cybex]\n{vars}"
            );
            selection(&text, None)
        }

        fn desired(fleet: &Fleet) -> Arc<Desired> {
            fleet.members[0].requires().unwrap().desired()
        }

        /// The peers of all rules.
        fn peers(fleet: &Fleet) -> BTreeSet<String> {
            let desired = desired(fleet);
            let rules = desired.rules.iter().map(ToString::to_string);
            let words = rules.flat_map(|rule| {
                let words = rule.split(' ').map(str::to_string);
                words.collect::<Vec<_>>()
            });
            words
                .filter(|word| word.contains("203.0.113.") || word.contains("2001:"))
                .collect()
        }

        fn messages(fleet: &Fleet) -> Vec<String> {
            let warnings = fleet.warnings.iter();
            let messages = warnings.map(|warning| warning.error.message().to_string());
            messages.collect()
        }

        fn errors(result: Result<Fleet, CliError>) -> String {
            match result.err().expect("an error") {
                CliError::Input(errors) => errors.to_string(),
                CliError::Other { message, .. } => message,
            }
        }

        #[test]
        fn a_name_is_as_good_as_its_addresses_wherever_a_peer_stands() {
            let names = one_node(
                "      cybex_peers: [a.org, { address: 'A.org:5001', owner: Acme }, { address: a.org, port: 5002, name: fra }]\n",
            );
            let plain = one_node(
                "      cybex_peers: [203.0.113.7, '203.0.113.7:5001', '203.0.113.7:5002']\n",
            );
            let names = asked(&names.1).ok().unwrap();
            let plain = asked(&plain.1).ok().unwrap();
            assert_eq!(
                *desired(&names),
                Desired {
                    known: desired(&names).known.clone(),
                    ..(*desired(&plain)).clone()
                }
            );
            // The addresses carry the name, unless the peer has another one.
            let labels: BTreeSet<String> = desired(&names)
                .known
                .iter()
                .filter_map(|one| one.about.label())
                .collect();
            assert_eq!(
                labels,
                ["a.org", "a.org, Acme", "fra"].map(str::to_string).into()
            );
        }

        /// To see it fail: leave `by_name.retain` out of `settle.rs`.
        #[test]
        fn names_that_lead_to_one_address_or_to_a_listed_one_are_no_duplicates() {
            let (_folder, merged) = one_node(
                "      cybex_peers: [a.org, same.org, 203.0.113.7, 203.0.113.0/24]\n      cybex_trusted: [a.org]\n",
            );
            let (_folder, plain) = one_node(
                "      cybex_peers: [203.0.113.7, 203.0.113.0/24]\n      cybex_trusted: [203.0.113.7]\n",
            );
            let (merged, plain) = (asked(&merged).ok().unwrap(), asked(&plain).ok().unwrap());
            assert_eq!(messages(&merged), messages(&plain));
            assert_eq!(desired(&merged).rules, desired(&plain).rules);
            assert_eq!(desired(&merged).rich, desired(&plain).rich);
            assert_eq!(desired(&merged).guard, desired(&plain).guard);
            // What is written twice is still told.
            let (_folder, twice) =
                one_node("      cybex_peers: [a.org, 203.0.113.7, 203.0.113.7]\n");
            let told = messages(&asked(&twice).ok().unwrap());
            assert!(
                told.iter().any(|text| text.contains("listed twice")),
                "{told:?}"
            );
        }

        #[test]
        fn an_address_of_a_family_that_the_container_lacks_is_left_out() {
            let (_folder, only4) = one_node("      cybex_peers: [two.org, six.org]\n");
            let fleet = asked(&only4).ok().unwrap();
            assert_eq!(peers(&fleet), ["203.0.113.8/32".to_string()].into());
            assert_eq!(
                messages(&fleet),
                [
                    "the name `six.org` has IPv6 addresses only, and the container has none: nobody is let in"
                ]
            );
            let (_folder, both) = one_node(
                "      cybex_peers: [two.org, six.org]\n      cybex_subnet6: 'fd00:20::/64'\n      cybex_address6: 'fd00:20::2'\n",
            );
            let fleet = asked(&both).ok().unwrap();
            let all = ["203.0.113.8/32", "2001:db8::8/128", "2001:db8::9/128"];
            assert_eq!(peers(&fleet), all.map(str::to_string).into());
            assert_eq!(messages(&fleet), [""; 0]);
        }

        /// To see it fail: leave the first `compile` out of `names`.
        #[test]
        fn nobody_is_asked_before_everything_else_is_right() {
            for wrong in [
                // A role, a connection, a rule, and a peer.
                "      cybex_prot: 1\n",
                "      ansible_port: http\n",
                "      cybex_port: 22\n",
                "      cybex_rpc_clients: [203.0.113.300]\n",
                "      cybex_rpc_clients: ['2001:db8::1']\n",
                "      cybex_rpc_clients: [fra-2]\n",
            ] {
                let (_folder, selection) =
                    one_node(&format!("      cybex_peers: [a.org]\n{wrong}"));
                let lookup = Lookup::Asked(nobody);
                let text = errors(read_with(
                    &selection,
                    Enforcing::AsWritten,
                    Used::All,
                    lookup,
                ));
                assert!(text.contains("inventory.yml:7:"), "{wrong}: {text}");
                assert_eq!(text.matches("inventory.yml:7:").count(), 1, "{text}");
            }
        }

        #[test]
        fn all_names_of_a_run_are_asked_for_once() {
            static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());
            fn count(name: &HostName) -> Result<Vec<IpAddr>, String> {
                ASKED.lock().unwrap().push(name.to_string());
                answer(name)
            }
            let text = "all:
  vars: {fwdeploy_roles: [cybex], cybex_peers: [a.org, two.org], cybex_seeds: [A.ORG.]}
  hosts:
    \"n[1:50]\": {ansible_host: 192.0.2.1}
    other: {ansible_host: 192.0.2.2, cybex_peers: [{address: same.org, until: 2020-01-01}]}
";
            let (_folder, selection) = selection(text, None);
            let lookup = Lookup::Asked(count);
            let fleet = read_with(&selection, Enforcing::AsWritten, Used::All, lookup);
            assert_eq!(fleet.ok().unwrap().members.len(), 51);
            let mut asked = ASKED.lock().unwrap().clone();
            asked.sort();
            // Not for the peer whose last day is over.
            assert_eq!(asked, ["a.org", "two.org"]);
        }

        #[test]
        fn a_name_that_does_not_resolve_is_an_error_at_its_place() {
            let (_folder, selection) = one_node("      cybex_peers: [a.org, gone.org]\n");
            let text = errors(asked(&selection));
            assert!(
                text.contains(
                    "inventory.yml:6:28: the name `gone.org` does not resolve: not known"
                ),
                "{text}"
            );
        }

        #[test]
        fn a_name_that_leads_into_another_managed_network_is_refused_like_its_address() {
            let text = "all:
  hosts:
    a: {ansible_host: 192.0.2.1, fwdeploy_roles: [cybex, eos], cybex_peers: [there.org], eos_subnet: 172.21.0.0/16, eos_address: 172.21.0.2}
";
            let (_folder, selection) = selection(text, None);
            let text = errors(asked(&selection));
            assert!(
                text.contains("the peer `172.21.0.9` of role `cybex` is in the network"),
                "{text}"
            );
        }

        #[test]
        fn a_run_pins_what_names_lead_to_and_other_commands_use_that() {
            let (folder, selection) = one_node("      cybex_peers: [a.org]\n");
            let pinned = |used| {
                read_with(&selection, Enforcing::AsWritten, used, Lookup::Pinned)
                    .ok()
                    .unwrap()
            };
            let before = pinned(Used::WithRole);
            assert_eq!(peers(&before), BTreeSet::new());
            // It is not a whitelist of nobody.
            assert_eq!(
                messages(&before),
                ["no run has used the name `a.org` yet: its addresses are not known here"]
            );
            let run = asked(&selection).ok().unwrap();
            assert!(!folder.path().join(FILE).exists());
            run.pins.as_ref().unwrap().write().ok().unwrap();
            let after = pinned(Used::All);
            assert_eq!(desired(&after), desired(&run));
            assert_eq!(messages(&after), [""; 0]);
            assert!(after.pins.is_none());
        }

        /// To see it fail: fill `earlier` with nothing in `names::resolve`.
        #[test]
        fn an_address_that_a_name_had_is_shown_with_it_while_it_goes() {
            let (folder, selection) =
                one_node("      cybex_peers: [a.org, {address: two.org, until: 2020-01-01}]\n");
            let lock = "version: 1\ninventories:\n  - sources: [inventory.yml]\n    names: {a.org: [203.0.113.1], two.org: [203.0.113.2]}\n";
            fs::write(folder.path().join(FILE), lock).unwrap();
            let fleet = asked(&selection).ok().unwrap();
            assert_eq!(peers(&fleet), ["203.0.113.7/32".to_string()].into());
            let label = |net: &str| label(&desired(&fleet).known, net.parse().unwrap());
            for (net, name) in [
                ("203.0.113.1", "a.org"),
                ("203.0.113.2", "two.org"),
                ("203.0.113.7", "a.org"),
            ] {
                assert_eq!(label(net).as_deref(), Some(name), "{net}");
            }
            let told = messages(&fleet);
            assert_eq!(
                told[0],
                "the name `a.org` has moved from 203.0.113.1 to 203.0.113.7"
            );
            assert!(
                told[1].contains("the peer `two.org` is on no list any more"),
                "{told:?}"
            );
        }

        #[test]
        fn only_a_run_over_all_nodes_forgets_the_names_of_others() {
            let text = "all:
  hosts:
    a: {ansible_host: 192.0.2.1, fwdeploy_roles: [cybex], cybex_peers: [a.org]}
    b: {ansible_host: 192.0.2.2, fwdeploy_roles: [cybex], cybex_peers: [two.org]}
";
            let (folder, all) = selection(text, None);
            let lock = folder.path().join(FILE);
            let write = |selection: &SelectionArgs| {
                asked(selection)
                    .ok()
                    .unwrap()
                    .pins
                    .unwrap()
                    .write()
                    .ok()
                    .unwrap();
                let text = fs::read_to_string(&lock).unwrap_or_default();
                let names = text
                    .lines()
                    .filter_map(|line| line.trim().split_once(".org:"));
                names.map(|(name, _)| name.to_string()).collect::<Vec<_>>()
            };
            let limited = |limit: &str| SelectionArgs {
                limit: Some(limit.to_string()),
                ..SelectionArgs::all_of(folder.path().join("inventory.yml"))
            };
            assert_eq!(write(&limited("a")), ["a"]);
            assert_eq!(write(&limited("b")), ["a", "two"]);
            let inventory = folder.path().join("inventory.yml");
            fs::write(&inventory, text.replace("[a.org]", "[203.0.113.7]")).unwrap();
            assert_eq!(write(&limited("a")), ["a", "two"]);
            assert_eq!(write(&all), ["two"]);
            fs::write(
                &inventory,
                text.replace("a.org", "203.0.113.7")
                    .replace("two.org", "203.0.113.7"),
            )
            .unwrap();
            assert_eq!(write(&all), [""; 0]);
            assert!(!lock.exists());
        }

        /// To see it fail: leave the shard out of `Extent::Part`.
        #[test]
        fn a_shard_keeps_the_names_of_the_others() {
            let text = "all:
  vars: {fwdeploy_roles: [cybex]}
  hosts:
    a: {ansible_host: 192.0.2.1, cybex_peers: [a.org]}
    b: {ansible_host: 192.0.2.2, cybex_peers: [two.org]}
";
            let (folder, all) = selection(text, None);
            let lock = folder.path().join(FILE);
            let write = |selection: &SelectionArgs| {
                let fleet = asked(selection).ok().unwrap();
                let peers = fleet.members.len();
                fleet.pins.unwrap().write().ok().unwrap();
                let text = fs::read_to_string(&lock).unwrap_or_default();
                (peers, text.matches(".org:").count())
            };
            assert_eq!(write(&all), (2, 2));
            // In some shard of these is one node, in another none.
            let mut sizes = BTreeSet::new();
            for shard in ["1/3", "2/3", "3/3", "1/1"] {
                let shard = SelectionArgs {
                    shard: Some(Shard::parse(shard).unwrap()),
                    ..SelectionArgs::all_of(folder.path().join("inventory.yml"))
                };
                let (size, names) = write(&shard);
                sizes.insert(size);
                assert_eq!(names, 2);
            }
            assert!(sizes.contains(&0), "{sizes:?}");
        }

        #[test]
        fn a_file_without_names_is_not_read_by_what_asks_for_none() {
            let (folder, selection) = one_node("      cybex_peers: [203.0.113.7]\n");
            fs::write(folder.path().join(FILE), "broken: [").unwrap();
            assert!(read(&selection, Enforcing::AsWritten, Used::All).is_ok());
            assert!(errors(asked(&selection)).contains(FILE));
        }
    }
}
