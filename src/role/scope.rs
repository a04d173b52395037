//! The names that a template can use, each looked up when it is used.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::Enumerator;
use minijinja::value::Object;

use crate::role::fleet_vars::FleetVars;

/// The names that every template finds set, regardless of the inventory.
pub(super) const GIVEN: [&str; 7] = [
    "addresses",
    "group_names",
    "groups",
    "hostvars",
    "inventory_hostname",
    "inventory_hostname_short",
    "role_name",
];

/// What the names of a template lead to, for the rendering of one role.
pub(super) trait Lookup: fmt::Debug + Send + Sync {
    /// The fleet.
    fn fleet(&self) -> &FleetVars;

    /// The name of the role.
    fn role(&self) -> &str;

    /// The value of a variable of a node; an invalid one, which leads back to the mistake, if it has none.
    fn look_up(self: Arc<Self>, node: &str, name: &str) -> Option<Value>;

    /// The addresses of a group's nodes, without the node that asks.
    fn addresses(&self, node: &str, group: &str) -> Result<Value, minijinja::Error>;
}

/// The names that a template of a node sees.
pub(super) fn scope(names: &Arc<dyn Lookup>, node: &str) -> Value {
    Value::from_object(Scope {
        names: Arc::clone(names),
        node: node.to_string(),
    })
}

#[derive(Debug)]
struct Scope {
    names: Arc<dyn Lookup>,
    node: String,
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let (names, node) = (&self.names, self.node.as_str());
        let fleet = names.fleet();
        match key.as_str()? {
            "inventory_hostname" => Some(Value::from(node)),
            "inventory_hostname_short" => node.split('.').next().map(Value::from),
            "role_name" => Some(Value::from(names.role())),
            "groups" => Some(fleet.groups_value.clone()),
            "group_names" => {
                let groups = fleet.nodes.get(node).map(|member| member.groups.clone());
                Some(Value::from(groups.unwrap_or_default()))
            }
            "hostvars" => Some(Value::from_object(NodeVars {
                names: Arc::clone(names),
            })),
            "addresses" => {
                let (names, node) = (Arc::clone(names), node.to_string());
                Some(Value::from_function(move |group: String| {
                    names.addresses(&node, &group)
                }))
            }
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
        known.then(|| scope(&self.names, node))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.names.fleet().nodes.keys().cloned().map(Value::from);
        Enumerator::Values(names.collect())
    }
}
