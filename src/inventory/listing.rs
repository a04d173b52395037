//! An inventory as it is declared: its groups as they contain each other, and each node's variables with every place that sets them.

use std::collections::BTreeMap;

use super::assemble::Texts;
use super::error::InputError;
use super::error::InputErrors;
use super::graph::Graph;
use super::layers;
use super::vars::Var;

/// An inventory for `fwdeploy inventory`: what `ansible-inventory` shows of one.
#[derive(Clone, Debug)]
pub struct Listing {
    groups: BTreeMap<String, ListedGroup>,
    nodes: BTreeMap<String, ListedNode>,
    warnings: Vec<InputError>,
}

/// A group with what is right below it.
#[derive(Clone, Debug)]
pub struct ListedGroup {
    /// Its own nodes, in Ansible's order.
    pub nodes: Vec<String>,
    /// The groups right below it, in Ansible's order.
    pub children: Vec<String>,
}

/// A node with its variables.
#[derive(Clone, Debug)]
pub struct ListedNode {
    /// By name: every place that sets the variable, in the order of precedence. The last one holds. Never empty.
    pub vars: BTreeMap<String, Vec<Var>>,
}

impl Listing {
    /// Sorts out what was read.
    pub(super) fn of_texts(texts: &Texts, warnings: Vec<InputError>) -> Result<Self, InputErrors> {
        let graph = Graph::new(&texts.tree)?;
        let name_of_node = |node: &usize| texts.tree.nodes[*node].name.clone();
        let name_of_group = |group: &usize| graph.order[*group].0.to_owned();
        let listed = |position: usize| ListedGroup {
            nodes: graph.members.own[position]
                .iter()
                .map(name_of_node)
                .collect(),
            children: graph.members.children[position]
                .iter()
                .map(name_of_group)
                .collect(),
        };
        let groups = (0..graph.order.len())
            .map(|position| (name_of_group(&position), listed(position)))
            .collect();
        let mut nodes = BTreeMap::new();
        for (node, groups) in texts.tree.nodes.iter().zip(&graph.groups_of) {
            let groups: Vec<_> = groups
                .iter()
                .map(|position| graph.order[*position])
                .collect();
            let mut vars: BTreeMap<String, Vec<Var>> = BTreeMap::new();
            let of_groups = layers::of_groups(&groups, &texts.group_vars);
            let of_node = layers::of_node(&node.name, &node.vars, &texts.node_vars);
            let all = of_groups.into_iter().chain(of_node);
            for (name, var) in all.chain(std::iter::once(&texts.extra)).flatten() {
                vars.entry(name.clone()).or_default().push(var.clone());
            }
            nodes.insert(node.name.clone(), ListedNode { vars });
        }
        Ok(Self {
            groups,
            nodes,
            warnings,
        })
    }

    /// The groups by name, with `all` and `ungrouped`.
    pub fn groups(&self) -> &BTreeMap<String, ListedGroup> {
        &self.groups
    }

    /// The nodes by name.
    pub fn nodes(&self) -> &BTreeMap<String, ListedNode> {
        &self.nodes
    }

    /// What works and may not be meant.
    pub fn warnings(&self) -> &[InputError] {
        &self.warnings
    }
}
