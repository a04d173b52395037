//! The address of a managed container: who else has it, and whether anybody can.

use std::net::IpAddr;

use crate::model::desired::Attachment;
use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::state::Container;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::plan::code::FindingCode;
use crate::plan::docker::network;
use crate::plan::docker::place::found;
use crate::plan::docker::steps::attached;
use crate::plan::finding::Finding;
use crate::plan::finding::command;

/// An address that Docker gives to no container: the container would never start with it.
pub(super) fn reserved(desired: &Desired, wanted: &Attachment, seen: &Docker) -> Option<Finding> {
    let network = seen.network(&wanted.network)?;
    // One that is made anew is as the role says, which is compared before any connection.
    let described = desired.networks.iter().find(|n| n.name == network.name)?;
    let is_kept = described.subnets().all(|s| network.subnets.contains(&s));
    let gateways = network::gateways(network);
    let what = |address: IpAddr| {
        let aux = network.reserved.iter().find(|(_, a)| **a == address);
        if let Some((name, _)) = aux {
            return Some(format!("is reserved on the network (aux-address `{name}`)"));
        }
        if is_kept && described.gateway.is_none() && gateways.contains(&address) {
            return Some("is the network's gateway".to_string());
        }
        let ends = |subnet: &Cidr| {
            address.is_ipv4()
                && !subnet.is_host()
                && subnet.contains(&address)
                && (subnet.address() == address || subnet.last() == address)
        };
        let end = network.subnets.iter().any(ends);
        end.then(|| "is the first or the last address of the subnet".to_string())
    };
    let addresses = std::iter::once(wanted.address).chain(wanted.address6);
    let (address, why) = addresses.filter_map(|a| Some((a, what(a)?))).next()?;
    Some(
        found(
            FindingCode::AddressReserved,
            format!(
                "container `{}` cannot have {address} on network `{}`: it {why}, and Docker would not start the container",
                wanted.container, wanted.network
            ),
        )
        .hint("choose another address in the inventory, or recreate the network without the reservation"),
    )
}

/// Others on the network who have the container's address now, or will have it when they start first.
pub(super) fn claims(wanted: &Attachment, container: &Container, seen: &Docker) -> Vec<Finding> {
    let own = container.endpoint(&wanted.network);
    let addresses = std::iter::once(wanted.address).chain(wanted.address6);
    let mut out = Vec::new();
    for address in addresses {
        let holds = |e: &Endpoint| [e.address, e.address6].contains(&Some(address));
        let told = |e: &Endpoint| [e.fixed, e.fixed6].contains(&Some(address));
        let is_ours = container.running && own.is_some_and(holds);
        for (other, endpoint) in attached(seen, &wanted.network) {
            if other.name == container.name || other.is_going() {
                continue;
            }
            // One that is between two starts takes the address at its next, unless somebody has it.
            let takes = holds(endpoint) || told(endpoint) && other.running && !is_ours;
            let leave = command([
                "docker",
                "network",
                "disconnect",
                &wanted.network,
                &other.name,
            ]);
            if takes {
                out.push(
                    found(
                        FindingCode::AddressTaken,
                        format!(
                            "container `{}` cannot have {address}: container `{}` has it",
                            wanted.container, other.name
                        ),
                    )
                    .hint(format!(
                        "move `{}` away ({leave}), or choose another address",
                        other.name
                    )),
                );
            } else if told(endpoint) {
                let how = if other.running {
                    "is in a restart loop"
                } else {
                    "does not run"
                };
                out.push(
                    found(
                        FindingCode::AddressClaimed,
                        format!(
                            "container `{}`, which {how}, is configured with {address} as well: if it starts first, `{}` does not start",
                            other.name, wanted.container
                        ),
                    )
                    .hint(format!(
                        "if it is not needed: {}; or only detach it: {leave}",
                        command(["docker", "rm", &other.name])
                    )),
                );
            }
        }
    }
    out
}
