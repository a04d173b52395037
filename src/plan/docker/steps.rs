//! The steps on Docker's side, collected from the planner of each part.

use crate::model::state::Container;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::plan::action::Action;
use crate::plan::finding::Finding;

/// The steps on Docker's side, and the findings about it.
#[derive(Debug, Default)]
pub struct DockerSteps {
    /// Networks that are missing. They are created before the rules, which need no network, so that Docker is idle afterwards.
    pub create: Vec<Action>,
    /// Moves of containers. They follow the rules, so that no container is ever anywhere without its whitelist.
    pub moves: Vec<Action>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// All containers on a network.
pub(in crate::plan) fn attached<'a>(
    seen: &'a Docker,
    network: &'a str,
) -> impl Iterator<Item = (&'a Container, &'a Endpoint)> {
    let containers = seen.containers.iter();
    containers.filter_map(move |c| Some((c, c.endpoint(network)?)))
}
