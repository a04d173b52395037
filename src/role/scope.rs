//! What a template sees: names, each looked up when it is asked for.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::Enumerator;
use minijinja::value::Object;

use crate::role::renderer::Renderer;

/// What every template finds set, whatever the inventory says.
pub(super) const GIVEN: [&str; 7] = [
    "addresses",
    "group_names",
    "groups",
    "hostvars",
    "inventory_hostname",
    "inventory_hostname_short",
    "role_name",
];

/// The names that a template of a node sees.
pub(super) fn scope(renderer: &Arc<Renderer>, node: &str) -> Value {
    Value::from_object(Scope {
        renderer: Arc::clone(renderer),
        node: node.to_string(),
    })
}

#[derive(Debug)]
struct Scope {
    renderer: Arc<Renderer>,
    node: String,
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let (renderer, node) = (&self.renderer, self.node.as_str());
        let fleet = &renderer.fleet;
        match key.as_str()? {
            "inventory_hostname" => Some(Value::from(node)),
            "inventory_hostname_short" => node.split('.').next().map(Value::from),
            "role_name" => Some(Value::from(renderer.role.as_str())),
            "groups" => Some(fleet.groups_value.clone()),
            "group_names" => {
                let groups = fleet.nodes.get(node).map(|member| member.groups.clone());
                Some(Value::from(groups.unwrap_or_default()))
            }
            "hostvars" => Some(Value::from_object(NodeVars {
                renderer: Arc::clone(renderer),
            })),
            "addresses" => {
                let (renderer, node) = (Arc::clone(renderer), node.to_string());
                Some(Value::from_function(move |group: String| {
                    renderer.addresses(&node, &group)
                }))
            }
            name => renderer.look_up(node, name),
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
    renderer: Arc<Renderer>,
}

impl Object for NodeVars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let node = key.as_str()?;
        let renderer = Arc::clone(&self.renderer);
        renderer
            .fleet
            .nodes
            .contains_key(node)
            .then(|| scope(&renderer, node))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.renderer.fleet.nodes.keys().cloned().map(Value::from);
        Enumerator::Values(names.collect())
    }
}
