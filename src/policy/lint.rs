//! Contradictions within a node's roles, found before any connection.
//!
//! An error is a role that no set of rules can implement as written, or that would lock the operator out of the node.
//! A warning is something that works and may not be intended.

mod entries;
mod layout;
mod neighbours;

use crate::policy::context::NodeContext;
use crate::policy::names::bad_name;
use crate::policy::names::is_docker_name;
use crate::role::InputError;
use crate::role::InputErrors;
use crate::role::Policy;
use crate::role::dedup;

/// Looks for everything that contradicts.
///
/// # Errors
/// All that was found, each at the place of the value that its author can change.
pub fn check(policies: &[Policy], node: &NodeContext) -> Result<(), InputErrors> {
    let mut errors = InputErrors::none();
    if let Some(zone) = &node.zone
        && !is_docker_name(&zone.value)
    {
        errors.push(bad_name("zone", zone));
    }
    for (number, policy) in policies.iter().enumerate() {
        layout::check(policy, &mut errors);
        unsettled(policy, &mut errors);
        entries::check_one(policy, node, &mut errors);
        for earlier in &policies[..number] {
            neighbours::check(earlier, policy, &mut errors);
            entries::check_two(earlier, policy, &mut errors);
        }
    }
    dedup(errors).or(())
}

/// Peers that [`Policy::on`] has not put on their list: a whitelist without them would not be the role's.
fn unsettled(policy: &Policy, errors: &mut InputErrors) {
    let inbound = policy.inbound.iter().flat_map(|entry| &entry.listed);
    let outbound = policy.outbound.iter().flat_map(|entry| &entry.listed);
    for peer in inbound.chain(outbound) {
        let text = format!("the addresses of the peer `{}` are not known", peer.value);
        errors.push(InputError::at(peer.location.clone(), text));
    }
}

/// What works and may not be intended: peers that are any host, duplicate entries, and a whitelist with nobody on it.
pub fn warnings(policies: &[Policy]) -> Vec<InputError> {
    policies.iter().flat_map(entries::warnings).collect()
}
