//! What the rendering of a role has asked of its node: for another node of which all of that is the same, it would make the same.
//!
//! Most nodes of a fleet have their variables from their groups. Their roles are rendered once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::inventory::InventoryNode;
use crate::inventory::location::Located;
use crate::inventory::vars::Var;
use crate::role::schema::Policy;

/// How many results are remembered: the nodes of a group mostly stand together.
const REMEMBERED: usize = 8;

/// What a rendering has asked of its own node.
///
/// What it has asked of other nodes is the same whoever asks, unless noted here.
#[derive(Default)]
pub(super) struct Dependencies {
    /// The variables that were asked for, whether the node has them or not.
    variables: BTreeSet<String>,
    /// Groups whose addresses were asked for. The node is in none of them: each of their nodes gets a list without itself.
    groups: BTreeSet<String>,
    /// Whether the names of its groups were asked for.
    has_group_names: bool,
    /// Whether something was asked for that may be different on every other node.
    is_alone: bool,
}

impl Dependencies {
    /// A variable of the node.
    pub(super) fn variable(&mut self, name: &str) {
        if !self.variables.contains(name) {
            self.variables.insert(name.to_string());
        }
    }

    /// The addresses of a group that the node is not in.
    pub(super) fn group(&mut self, name: &str) {
        if !self.groups.contains(name) {
            self.groups.insert(name.to_string());
        }
    }

    /// The names of the node's groups.
    pub(super) fn group_names(&mut self) {
        self.has_group_names = true;
    }

    /// Something that may be different on every other node, such as its name.
    pub(super) fn alone(&mut self) {
        self.is_alone = true;
    }

    /// Adds those of another rendering for the same node.
    pub(super) fn extend(&mut self, other: Dependencies) {
        self.variables.extend(other.variables);
        self.groups.extend(other.groups);
        self.has_group_names |= other.has_group_names;
        self.is_alone |= other.is_alone;
    }
}

/// What was made for a node, and for which others it is the same.
pub(super) struct Made {
    roles: Vec<Located<String>>,
    variables: BTreeMap<String, Option<Var>>,
    groups: BTreeSet<String>,
    group_names: Option<Vec<String>>,
    /// The policies.
    pub(super) policies: Arc<Vec<Policy>>,
    /// The names of all variables that were asked for, of whichever node.
    pub(super) used: Arc<BTreeSet<String>>,
}

impl Made {
    fn is_for(&self, node: &InventoryNode) -> bool {
        let is_same = |(name, var): (&String, &Option<Var>)| match (var, node.vars.get(name)) {
            (Some(one), Some(other)) => one.is_same(other),
            (None, None) => true,
            _ => false,
        };
        self.roles == node.roles
            && self.variables.iter().all(is_same)
            && !node.groups.iter().any(|group| self.groups.contains(group))
            && self
                .group_names
                .as_ref()
                .is_none_or(|names| *names == node.groups)
    }
}

/// What was made last, the last used first.
#[derive(Default)]
pub(super) struct Remembered(Vec<Made>);

impl Remembered {
    /// What was made for another node, and would be the same for this one.
    pub(super) fn of(&mut self, node: &InventoryNode) -> Option<&Made> {
        let place = self.0.iter().position(|made| made.is_for(node))?;
        self.0[..=place].rotate_right(1);
        self.0.first()
    }

    /// Remembers what was made for a node, if it may be the same for another one.
    pub(super) fn add(
        &mut self,
        node: &InventoryNode,
        depends: Dependencies,
        policies: &Arc<Vec<Policy>>,
        used: &Arc<BTreeSet<String>>,
    ) {
        if depends.is_alone {
            return;
        }
        let variables = depends.variables.into_iter().map(|name| {
            let var = node.vars.get(&name).cloned();
            (name, var)
        });
        self.0.truncate(REMEMBERED - 1);
        let made = Made {
            roles: node.roles.clone(),
            variables: variables.collect(),
            groups: depends.groups,
            group_names: depends.has_group_names.then(|| node.groups.clone()),
            policies: Arc::clone(policies),
            used: Arc::clone(used),
        };
        self.0.insert(0, made);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use crate::inventory::Inventory;
    use crate::role::Resolver;
    use crate::role::Roles;

    /// Nodes `a` to `e` of the groups `g`, `h` and of none; `vars` are those of all of them, and `own` those of single ones.
    fn with<T>(vars: &str, own: [&str; 5], look: impl FnOnce(&Inventory, &Roles) -> T) -> T {
        let [a, b, c, d, e] = own;
        let text = format!(
            "all:\n  vars:\n    fwdeploy_roles: [cybex]\n{vars}\n  children:\n    g:\n      hosts:\n        a: {{ansible_host: 192.0.2.1{a}}}\n        b: {{ansible_host: 192.0.2.2{b}}}\n    h:\n      hosts:\n        c: {{ansible_host: 192.0.2.3{c}}}\n        d: {{ansible_host: 192.0.2.4{d}}}\n  hosts:\n    e: {{ansible_host: 192.0.2.5{e}}}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.yml");
        fs::write(&path, text).unwrap();
        let inventory = Inventory::load(&path, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        look(&inventory, &Roles::built_in())
    }

    /// How many times something was made for the nodes, in their order.
    fn made(resolver: &Resolver<'_>, inventory: &Inventory) -> usize {
        let mut all = Vec::new();
        for node in inventory.nodes() {
            let (policies, _) = resolver.resolve_shared(node).unwrap();
            if !all.iter().any(|known| Arc::ptr_eq(known, &policies)) {
                all.push(policies);
            }
        }
        all.len()
    }

    /// What nodes have their variables from, and how many times their roles are rendered.
    const CASES: [(&str, [&str; 5], usize); 19] = [
        ("    x: 1", [""; 5], 1),
        ("    cybex_peers: [198.51.100.1, 198.51.100.2]", [""; 5], 1),
        // The same value, written in two places.
        (
            "    cybex_peers: [198.51.100.1]",
            ["", "", ", cybex_peers: [198.51.100.1]", "", ""],
            2,
        ),
        (
            "    cybex_peers: \"{{ groups['g'] | map('extract', hostvars, 'ansible_host') | list }}\"",
            [""; 5],
            1,
        ),
        (
            "    cybex_peers: \"{{ groups['all'] | map('extract', hostvars, 'ansible_host') | list }}\"",
            [""; 5],
            1,
        ),
        // Without the node itself.
        ("    cybex_peers: \"{{ addresses('g') }}\"", [""; 5], 3),
        ("    cybex_peers: \"{{ addresses('all') }}\"", [""; 5], 5),
        (
            "    cybex_peers: \"{{ addresses('ungrouped') }}\"",
            [""; 5],
            5,
        ),
        (
            "    cybex_peers: \"{{ groups['all'] | difference([inventory_hostname]) | map('extract', hostvars, 'ansible_host') | list }}\"",
            [""; 5],
            5,
        ),
        (
            "    cybex_peers: \"{{ [hostvars['a'].ansible_host] if 'g' in group_names else [] }}\"",
            [""; 5],
            3,
        ),
        ("    cybex_peers: \"{{ [ansible_host] }}\"", [""; 5], 5),
        (
            "    cybex_peers: \"{{ [vars['ansible_host']] }}\"",
            [""; 5],
            5,
        ),
        (
            "    cybex_peers: \"{{ [lookup('vars', 'ansible_host')] }}\"",
            [""; 5],
            5,
        ),
        (
            "    cybex_peers: \"{{ [more] if more is defined else [] }}\"",
            ["", ", more: 198.51.100.1", "", "", ""],
            2,
        ),
        // A variable that the role has a default of: for the node itself the default, for others nothing.
        (
            "    cybex_peers: \"{{ [hostvars['b'].cybex_rpc_port | default(1)] | map('string') | map('regex_replace', '^', '198.51.100.') | map('regex_replace', '8090', '9') | list }}\"",
            [""; 5],
            5,
        ),
        (
            "    cybex_peers: \"{{ [hostvars['b'].peer] }}\"\n    peer: \"{{ base }}\"\n    base: 198.51.100.1",
            ["", ", base: 198.51.100.7", "", "", ""],
            1,
        ),
        (
            "    cybex_peers: \"{{ [hostvars['b'].peer] }}\"\n    peer: \"198.51.100.{{ cybex_rpc_port | default(7) | string | replace('8090', '9') }}\"",
            [""; 5],
            5,
        ),
        (
            "    cybex_port: \"{{ 5000 + number }}\"\n    number: 1",
            ["", ", number: 2", "", ", number: 2", ""],
            3,
        ),
        (
            "    cybex_container: \"c-{{ inventory_hostname_short }}\"",
            [""; 5],
            5,
        ),
    ];

    /// To see it fail: leave a call of `variable`, `group`, `group_names` or `alone` out of `renderer.rs`.
    #[test]
    fn a_node_shares_what_was_made_for_another_only_if_it_would_be_the_same() {
        for (vars, own, times) in CASES {
            with(vars, own, |inventory, roles| {
                // Whoever comes first.
                let nodes: Vec<_> = inventory.nodes().collect();
                for first in 0..nodes.len() {
                    let resolver = roles.resolver(inventory);
                    for step in 0..nodes.len() {
                        let node = nodes[(first + step) % nodes.len()];
                        let alone = roles.resolver(inventory).resolve_all(node);
                        let shared = resolver.resolve_all(node);
                        assert_eq!(shared, alone, "{vars}: {} after {first}", node.name);
                    }
                }
                let resolver = roles.resolver(inventory);
                assert_eq!(made(&resolver, inventory), times, "{vars}");
            });
        }
    }

    #[test]
    fn a_thousand_nodes_with_the_variables_of_their_group_have_one_policy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.yml");
        let text = "all:\n  vars: {fwdeploy_roles: [cybex], cybex_peers: [198.51.100.1]}\n  hosts:\n    n[1:1000]:\n      ansible_host: 192.0.2.1\n";
        fs::write(&path, text).unwrap();
        let inventory = Inventory::load(&path, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        let roles = Roles::built_in();
        assert_eq!(made(&roles.resolver(&inventory), &inventory), 1);
    }
}
