//! The names that a template can use, each looked up when it is used.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::Enumerator;
use minijinja::value::Object;
use minijinja::value::Rest;
use minijinja::value::ValueOrKwargs;

use crate::role::fleet_vars::FleetVars;
use crate::role::lookups;

/// The names that every template finds set, regardless of the inventory.
pub(super) const GIVEN: [&str; 14] = [
    "addresses",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "lookup",
    "playbook_dir",
    "q",
    "query",
    "role_name",
    "vars",
];

const PLAY: &str =
    "fwdeploy runs no play, and a policy does not depend on `--limit`: use `groups['all']`";
const FACTS: &str = "fwdeploy gathers no facts: set the value in the inventory";

/// Names that Ansible sets in a play, and what to use instead.
const NOT_GIVEN: [(&str, &str); 11] = [
    ("ansible_play_hosts", PLAY),
    ("ansible_play_hosts_all", PLAY),
    ("ansible_play_batch", PLAY),
    ("ansible_play_name", PLAY),
    ("play_hosts", PLAY),
    ("ansible_facts", FACTS),
    ("ansible_default_ipv4", FACTS),
    ("ansible_all_ipv4_addresses", FACTS),
    ("ansible_fqdn", FACTS),
    ("omit", "leave the key out, or drop the entry by its `when`"),
    ("now", "its value would be another one at each run"),
];

/// The row of a name that Ansible sets and fwdeploy does not.
pub(super) fn not_given(name: &str) -> Option<&'static (&'static str, &'static str)> {
    NOT_GIVEN.iter().find(|(one, _)| *one == name)
}

/// What the names of a template lead to, for the rendering of one role.
pub(super) trait Lookup: fmt::Debug + Send + Sync {
    /// The fleet.
    fn fleet(&self) -> &FleetVars;

    /// The name of the role.
    fn role(&self) -> &str;

    /// The value of a variable of a node; an invalid one, which leads back to the mistake, if it has none.
    fn look_up(self: Arc<Self>, node: &str, name: &str) -> Option<Value>;

    /// The same for who has named the node, by `hostvars`.
    fn look_up_of(self: Arc<Self>, node: &str, name: &str) -> Option<Value>;

    /// Notes that the name of a node was asked for, or something else that no other node has.
    fn asks_for_itself(&self, node: &str);

    /// Notes that the names of a node's groups were asked for.
    fn asks_for_groups(&self, node: &str);

    /// The addresses of a group's nodes, without the node that asks.
    fn addresses(self: Arc<Self>, node: &str, group: &str) -> Result<Value, minijinja::Error>;
}

/// The names that a template of a node sees.
pub(super) fn scope(names: &Arc<dyn Lookup>, node: &str) -> Value {
    Value::from_object(Scope {
        names: Arc::clone(names),
        node: node.to_string(),
        is_named: false,
    })
}

#[derive(Debug)]
struct Scope {
    names: Arc<dyn Lookup>,
    node: String,
    /// Whether a template has named the node, by `hostvars`.
    is_named: bool,
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let (names, node) = (&self.names, self.node.as_str());
        let fleet = names.fleet();
        match key.as_str()? {
            "inventory_hostname" => {
                names.asks_for_itself(node);
                Some(Value::from(node))
            }
            "inventory_hostname_short" => {
                names.asks_for_itself(node);
                node.split('.').next().map(Value::from)
            }
            // Connection variables are rendered for no role.
            "role_name" => Some(names.role())
                .filter(|role| !role.is_empty())
                .map(Value::from),
            "groups" => Some(fleet.groups_value.clone()),
            "group_names" => {
                names.asks_for_groups(node);
                let groups = fleet.nodes.get(node).map(|member| member.groups.clone());
                Some(Value::from(groups.unwrap_or_default()))
            }
            "hostvars" => Some(Value::from_object(NodeVars {
                names: Arc::clone(names),
            })),
            "inventory_file" => {
                names.asks_for_itself(node);
                fleet.file_of(node).map(Value::from)
            }
            "inventory_dir" => {
                names.asks_for_itself(node);
                fleet.folder_of(node).map(Value::from)
            }
            "playbook_dir" => Some(Value::from(fleet.folder.clone())),
            "vars" => Some(Value::from_object(Scope {
                names: Arc::clone(names),
                node: node.to_string(),
                is_named: self.is_named,
            })),
            "lookup" | "query" | "q" => {
                let (names, node) = (Arc::clone(names), node.to_string());
                let as_list = key.as_str() != Some("lookup");
                let is_named = self.is_named;
                Some(Value::from_function(
                    move |plugin: &str, rest: Rest<ValueOrKwargs>| {
                        let variable = |name: &str| match is_named {
                            true => Arc::clone(&names).look_up_of(&node, name),
                            false => Arc::clone(&names).look_up(&node, name),
                        };
                        lookups::call(names.fleet(), &variable, plugin, rest, as_list)
                    },
                ))
            }
            "addresses" => {
                let (names, node) = (Arc::clone(names), node.to_string());
                Some(Value::from_function(move |group: String| {
                    Arc::clone(&names).addresses(&node, &group)
                }))
            }
            name if self.is_named => Arc::clone(names).look_up_of(node, name),
            name => Arc::clone(names).look_up(node, name),
        }
    }

    /// Not to be walked through: that would render every variable.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

/// `hostvars`: the variables of each node, as that node sees them.
#[derive(Debug)]
struct NodeVars {
    names: Arc<dyn Lookup>,
}

impl Object for NodeVars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let node = key.as_str()?;
        let known = self.names.fleet().nodes.contains_key(node);
        known.then(|| {
            Value::from_object(Scope {
                names: Arc::clone(&self.names),
                node: node.to_string(),
                is_named: true,
            })
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        // In the order of the inventory.
        let names = self.names.fleet().groups.get("all").into_iter().flatten();
        Enumerator::Values(names.cloned().map(Value::from).collect())
    }
}
