//! Plans Docker's side: the networks, and each container at its address.

mod address;
mod attach;
mod beside;
mod dns;
mod network;
mod place;
mod replace;
mod steps;

use std::collections::BTreeSet;

use crate::model::desired::Desired;
use crate::model::state::Docker;
use crate::plan::allowed::Allowed;
use crate::plan::allowed::Permission;
use crate::plan::docker::steps::DockerSteps;

pub use beside::beside;
pub use beside::opened;
pub use dns::leaves;
pub(super) use network::CREATED;
pub(super) use network::differences;
pub(super) use steps::attached;

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
            None => network::create(&mut steps, wanted, seen, desired.passage),
            Some(network) => {
                let differences = differences(wanted, network, desired.passage);
                if differences.is_empty() {
                    continue;
                }
                if allowed.replace_network == Permission::Granted {
                    replace::replace(&mut steps, desired, wanted, network, seen);
                    replaced.insert(wanted.name.as_str());
                } else {
                    let finding =
                        network::differs(wanted, network, &differences, seen, desired.passage);
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
