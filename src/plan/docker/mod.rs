//! Plans Docker's side: the networks, and each container at its address.

mod address;
mod attach;
mod beside;
mod dns;
mod network;
mod replace;

use std::collections::BTreeSet;

use crate::model::desired::Desired;
use crate::model::state::Container;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::plan::Allowed;
use crate::plan::Permission;
use crate::plan::action::Action;
use crate::plan::finding::Finding;

pub use beside::beside;
pub use beside::opened;
pub use dns::leaves;
pub(super) use network::differences;

/// What is done on Docker's side, and what was found there.
#[derive(Debug, Default)]
pub struct DockerSteps {
    /// Networks that are missing: made before the rules, which need no network, so that Docker is quiet afterwards.
    pub create: Vec<Action>,
    /// What moves containers: done when the rules stand, so that no container is anywhere without its whitelist.
    pub moves: Vec<Action>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Plans the networks and the containers.
pub fn docker(desired: &Desired, seen: &Docker, allowed: &Allowed) -> DockerSteps {
    let mut steps = DockerSteps::default();
    let mut replaced = BTreeSet::new();
    for wanted in &desired.networks {
        if let Some(finding) = network::twice(wanted, seen) {
            steps.findings.push(finding);
            continue;
        }
        match seen.network(&wanted.name) {
            None => network::create(&mut steps, wanted, seen),
            Some(network) => {
                let differences = differences(wanted, network);
                if differences.is_empty() {
                    continue;
                }
                if allowed.replace_network == Permission::Granted {
                    replace::replace(&mut steps, desired, wanted, network, seen);
                    replaced.insert(wanted.name.as_str());
                } else {
                    let finding = network::differs(wanted, network, &differences, seen);
                    steps.findings.push(finding);
                }
            }
        }
    }
    for wanted in &desired.attachments {
        let replaced = replaced.contains(wanted.network.as_str());
        attach::attach(&mut steps, desired, wanted, seen, replaced);
    }
    steps
}

/// Everybody on a network.
fn attached<'a>(
    seen: &'a Docker,
    network: &'a str,
) -> impl Iterator<Item = (&'a Container, &'a Endpoint)> {
    let containers = seen.containers.iter();
    containers.filter_map(move |c| Some((c, c.endpoint(network)?)))
}
