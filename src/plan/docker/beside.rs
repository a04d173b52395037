//! Containers beside the managed ones: who relays, who is the wanted one under another name, who can become another.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::desired::Attachment;
use crate::model::desired::Desired;
use crate::model::net::Family;
use crate::model::state::Container;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::model::state::View;
use crate::plan::code::FindingCode;
use crate::plan::docker::place;
use crate::plan::docker::place::found;
use crate::plan::docker::steps::attached;
use crate::plan::finding::Finding;
use crate::plan::finding::command;
use crate::plan::ownership::Ours;
use crate::plan::severity::Severity;

/// The wanted container is not there. It may be there under another name, as Compose and swarms name theirs, and then it is open.
pub(super) fn missing(desired: &Desired, wanted: &Attachment, seen: &Docker) -> Vec<Finding> {
    let in_place = |container: &Container| {
        let endpoint = container.endpoint(&wanted.network);
        endpoint.is_some_and(|e| [e.address, e.fixed].contains(&Some(wanted.address)))
    };
    if let Some(other) = seen.containers.iter().find(|c| in_place(c)) {
        return vec![
            found(
                FindingCode::NoContainer,
                format!(
                    "container `{}` does not exist; container `{}` has its address, so the whitelist applies to that one",
                    wanted.container, other.name
                ),
            )
            .hint(format!(
                "name container `{}` in the inventory, if that is the one",
                other.name
            )),
        ];
    }
    let is_elsewhere = |container: &&Container| {
        let managed = |e: &Endpoint| desired.networks.iter().any(|n| n.name == e.network);
        !container.is_going()
            && resembles(container, &wanted.container)
            && !container.endpoints.iter().any(managed)
            && container.network_mode != "none"
    };
    if let Some(other) = seen.containers.iter().find(is_elsewhere) {
        let networks: Vec<&str> = other.endpoints.iter().map(|e| e.network.as_str()).collect();
        let place = match networks.as_slice() {
            [] => format!("with network mode `{}`", other.network_mode),
            networks => format!("on network {}", networks.join(", ")),
        };
        let hint = if other.of_compose {
            place::compose(wanted, &other.service)
        } else {
            format!(
                "if it is: {}; {}",
                command(["docker", "rename", &other.name, &wanted.container]),
                place::start(wanted, Some(other))
            )
        };
        return vec![
            found(
                FindingCode::ContainerElsewhere,
                format!(
                    "container `{}` does not exist, but `{}` may be the one that is meant; it is {place}, where no whitelist protects it",
                    wanted.container, other.name
                ),
            )
            .hint(hint),
        ];
    }
    vec![
        found(
            FindingCode::NoContainer,
            format!(
                "container `{}` does not exist yet; its rules are already in place",
                wanted.container
            ),
        )
        .hint(place::start(wanted, None)),
    ]
}

/// Whether a container may be the one of that name: the service of that name, or the name between separators, as in
/// `project-wit-1`, `project_wit_1`, `wit.1.x2v…`.
fn resembles(container: &Container, name: &str) -> bool {
    if container.service == name {
        return true;
    }
    let is_edge = |c: Option<char>| c.is_none_or(|c| matches!(c, '-' | '_' | '.'));
    container.name.match_indices(name).any(|(at, part)| {
        is_edge(container.name[..at].chars().next_back())
            && is_edge(container.name[at + part.len()..].chars().next())
    })
}

/// What is on the managed networks beside the managed containers, and what could become one of them.
pub fn beside(desired: &Desired, seen: &Docker) -> Vec<Finding> {
    let mut out = Vec::new();
    for network in &desired.networks {
        for (container, endpoint) in attached(seen, &network.name) {
            let is_managed = desired
                .attachments
                .iter()
                .any(|a| a.network == network.name && a.container == container.name);
            if !is_managed && !container.is_going() {
                out.extend(relay(container, endpoint, seen));
            }
            if container.is_net_admin() {
                out.push(net_admin(container, &network.name, None));
            }
        }
        out.extend(same_mac(&network.name, seen));
    }
    for attachment in &desired.attachments {
        let Some(managed) = seen.container(&attachment.container) else {
            continue;
        };
        let shares = |c: &&Container| {
            let with = c.network_mode.strip_prefix("container:");
            with.is_some_and(|with| with == managed.id && !with.is_empty() || with == managed.name)
        };
        for sidecar in seen.containers.iter().filter(shares) {
            if sidecar.is_net_admin() {
                out.push(net_admin(sidecar, &attachment.network, Some(&managed.name)));
            }
        }
    }
    out
}

/// A container with one leg on a managed network and another elsewhere: nothing is filtered between it and the managed one.
fn relay(container: &Container, here: &Endpoint, seen: &Docker) -> Option<Finding> {
    let leads_out = |e: &&Endpoint| {
        let network = seen.networks.iter().find(|n| n.name == e.network);
        e.network != here.network && !network.is_some_and(|n| n.is_closed())
    };
    let others: Vec<&str> = container
        .endpoints
        .iter()
        .filter(leads_out)
        .map(|e| e.network.as_str())
        .collect();
    if others.is_empty() {
        return None;
    }
    let (severity, when) = if container.running {
        (Severity::NotEnforced, "")
    } else {
        (Severity::Warning, ", when it runs")
    };
    let hint = others
        .iter()
        .map(|other| command(["docker", "network", "disconnect", other, &container.name]))
        .chain([command([
            "docker",
            "network",
            "disconnect",
            &here.network,
            &container.name,
        ])])
        .collect::<Vec<_>>()
        .join(", or ");
    Some(
        Finding::with_severity(
            severity,
            FindingCode::Relay,
            View::Docker,
            format!(
                "container `{}` is on network `{}` and on {}{when}: traffic that reaches it there can be passed on to the whitelisted container, and vice versa",
                container.name,
                here.network,
                others.join(", ")
            ),
        )
        .hint(hint),
    )
}

fn net_admin(container: &Container, network: &str, with: Option<&str>) -> Finding {
    let by = if container.privileged {
        "is privileged"
    } else {
        "has NET_ADMIN"
    };
    let place = match with {
        Some(managed) => format!("shares the network of `{managed}`"),
        None => format!("is on network `{network}`"),
    };
    found(
        FindingCode::NetAdmin,
        format!(
            "container `{}` {place} and {by}: it can take the address, and so the whitelist, of another container there",
            container.name
        ),
    )
    .hint("start it without --privileged and without --cap-add NET_ADMIN, or on a network of its own")
}

/// Two running containers with one MAC address on a bridge: frames for one end at the other.
fn same_mac(network: &str, seen: &Docker) -> Vec<Finding> {
    let mut holders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (container, endpoint) in attached(seen, network) {
        if container.running && !endpoint.mac.is_empty() {
            let holders = holders.entry(endpoint.mac.as_str()).or_default();
            holders.push(&container.name);
        }
    }
    holders
        .into_iter()
        .filter(|(_, names)| names.len() > 1)
        .map(|(mac, names)| {
            found(
                FindingCode::MacTwice,
                format!(
                    "containers {} have the same MAC address {mac} on network `{network}`: packets for one may reach the other",
                    names.join(", ")
                ),
            )
            .hint("start all but one with another --mac-address, or without")
        })
        .collect()
}

/// Containers whose whitelist goes away with the rules of a role that the node has no longer: nothing else tells that
/// they are open from now on.
pub fn opened(desired: &Desired, seen: &Docker, ours: &Ours) -> Vec<Finding> {
    let wanted = desired.managed();
    let is_wanted = |address: IpAddr| wanted.iter().any(|net| net.contains(&address));
    let was_closed = |address: IpAddr| {
        let managed = ours.managed(Family::of(&address));
        managed.iter().any(|net| net.contains(&address))
    };
    seen.containers
        .iter()
        .flat_map(|container| container.endpoints.iter().map(move |e| (container, e)))
        // On a network that is made anew with another subnet, everybody moves.
        .filter(|(_, e)| desired.networks.iter().all(|n| n.name != e.network))
        .filter_map(|(container, endpoint)| {
            let address = endpoint.address.or(endpoint.fixed)?;
            (was_closed(address) && !is_wanted(address)).then(|| {
                found(
                    FindingCode::Opened,
                    format!(
                        "container `{}` ({address}) was protected by a role that the node no longer has: without its rules it is open",
                        container.name
                    ),
                )
                .hint("assign the role to the node again, or stop the container")
            })
        })
        .collect()
}
