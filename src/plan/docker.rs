//! Plans Docker's side: the networks, and each container at its address.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::desired::Attachment;
use crate::model::desired::Desired;
use crate::model::desired::DesiredNetwork;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::state::Container;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::model::state::Network;
use crate::model::state::View;
use crate::plan::Allowed;
use crate::plan::Permission;
use crate::plan::action::Action;
use crate::plan::action::NetworkSpec;
use crate::plan::after::BRIDGE_NAME;
use crate::plan::finding::Finding;
use crate::plan::finding::Severity;
use crate::plan::finding::command;
use crate::plan::ownership::Ours;

/// What Docker's side needs.
#[derive(Debug, Default)]
pub struct Steps {
    /// Networks that are missing: made before the rules, which need no network, so that Docker is quiet afterwards.
    pub create: Vec<Action>,
    /// What moves containers: done when the rules stand, so that no container is anywhere without its whitelist.
    pub moves: Vec<Action>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// Plans the networks and the containers.
pub fn docker(desired: &Desired, seen: &Docker, allowed: &Allowed) -> Steps {
    let mut steps = Steps::default();
    let mut replaced = BTreeSet::new();
    for wanted in &desired.networks {
        match seen.network(&wanted.name) {
            None => create(&mut steps, wanted, seen),
            Some(network) => {
                let differences = differences(wanted, network);
                if differences.is_empty() {
                    continue;
                }
                if allowed.replace_network == Permission::Granted {
                    replace(&mut steps, desired, wanted, network, seen);
                    replaced.insert(wanted.name.as_str());
                } else {
                    steps
                        .findings
                        .push(differs(wanted, network, &differences, seen));
                }
            }
        }
    }
    for wanted in &desired.attachments {
        attach(
            &mut steps,
            wanted,
            seen,
            replaced.contains(wanted.network.as_str()),
        );
    }
    steps
}

fn spec(wanted: &DesiredNetwork) -> NetworkSpec {
    NetworkSpec {
        name: wanted.name.clone(),
        subnets: wanted.subnets().collect(),
        gateways: wanted.gateway.into_iter().collect(),
        internal: false,
        options: vec![(BRIDGE_NAME.to_string(), wanted.bridge.clone())],
        labels: Vec::new(),
    }
}

fn create(steps: &mut Steps, wanted: &DesiredNetwork, seen: &Docker) {
    let overlap = seen.networks.iter().find_map(|other| {
        let pair = wanted
            .subnets()
            .flat_map(|w| other.subnets.iter().map(move |o| (w, *o)))
            .find(|(w, o)| w.overlaps(*o))?;
        Some((other, pair))
    });
    match overlap {
        Some((other, (subnet, theirs))) => steps.findings.push(
            Finding::new(
                Severity::Refuse,
                "subnet-taken",
                View::Docker,
                format!(
                    "network `{}` cannot have {subnet}: network `{}` has {theirs}",
                    wanted.name, other.name
                ),
            )
            .hint(format!(
                "give `{}` another subnet in the inventory, or remove network `{}` if nothing needs it",
                wanted.name, other.name
            )),
        ),
        None => steps.create.push(Action::CreateNetwork(spec(wanted))),
    }
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
                Finding::new(
                    Severity::Warning,
                    "opened",
                    View::Docker,
                    format!(
                        "container `{}` ({address}) was closed by a role that the node has no longer: without its rules it is open",
                        container.name
                    ),
                )
                .hint("give the node the role back, or stop the container")
            })
        })
        .collect()
}

/// In what an existing network is not as wanted, each in words.
pub(super) fn differences(wanted: &DesiredNetwork, network: &Network) -> Vec<String> {
    let mut out = Vec::new();
    if network.driver != "bridge" {
        out.push(format!("its driver is {}, not bridge", network.driver));
    }
    let want: BTreeSet<Cidr> = wanted.subnets().collect();
    let have: BTreeSet<Cidr> = network.subnets.iter().copied().collect();
    if want != have {
        let list = |set: &BTreeSet<Cidr>| {
            let texts: Vec<String> = set.iter().map(Cidr::to_string).collect();
            texts.join(" and ")
        };
        out.push(format!("it has {}, not {}", list(&have), list(&want)));
    }
    if let Some(gateway) = wanted.gateway {
        // Docker before 28 tells no gateway that it chose by itself: the first address.
        let own: Vec<_> = wanted.subnets().filter_map(Cidr::first_usable).collect();
        let seen = match network.gateways.as_slice() {
            [] => &own,
            told => told,
        };
        if !seen.contains(&gateway) {
            out.push(format!("its gateway is not {gateway}"));
        }
    }
    if network.internal {
        out.push("it is internal, so that nothing gets in or out".to_string());
    }
    if network.ipv6 && wanted.subnet6.is_none() {
        out.push("it has IPv6, which the role does not close".to_string());
    }
    out
}

fn attached<'a>(
    seen: &'a Docker,
    network: &'a str,
) -> impl Iterator<Item = (&'a Container, &'a Endpoint)> {
    seen.containers
        .iter()
        .filter_map(move |c| Some((c, c.endpoint(network)?)))
}

fn differs(
    wanted: &DesiredNetwork,
    network: &Network,
    differences: &[String],
    seen: &Docker,
) -> Finding {
    let who: Vec<String> = attached(seen, &network.name)
        .map(|(c, e)| match e.address.or(e.fixed) {
            Some(address) => format!("{} ({address})", c.name),
            None => c.name.clone(),
        })
        .collect();
    let cost = if who.is_empty() {
        "nothing is attached to it".to_string()
    } else {
        format!("it would disconnect {}", who.join(", "))
    };
    Finding::new(
        Severity::Refuse,
        "network-differs",
        View::Docker,
        format!(
            "network `{}` is not as wanted: {}; making it anew needs your word: {cost}",
            wanted.name,
            differences.join("; ")
        ),
    )
    .hint("run again with --replace-network; every container gets its place back")
}

/// Detaches everything, makes the network anew, and gives every endpoint its address and aliases back.
fn replace(
    steps: &mut Steps,
    desired: &Desired,
    wanted: &DesiredNetwork,
    network: &Network,
    seen: &Docker,
) {
    let mut back = Vec::new();
    for (container, endpoint) in attached(seen, &network.name) {
        steps.moves.push(Action::Disconnect {
            container: container.name.clone(),
            endpoint: endpoint.clone(),
        });
        let managed = desired
            .attachments
            .iter()
            .find(|a| a.container == container.name && a.network == wanted.name);
        let place = match managed {
            Some(attachment) => at(attachment, Some(endpoint), container),
            None => kept(steps, wanted, container, endpoint),
        };
        back.push(Action::Connect {
            container: container.name.clone(),
            endpoint: place,
        });
    }
    steps
        .moves
        .push(Action::RemoveNetwork(NetworkSpec::of(network)));
    steps.moves.push(Action::CreateNetwork(spec(wanted)));
    steps.moves.extend(back);
}

/// Another container's place on the network made anew: the same fixed address where the new subnet has it.
fn kept(
    steps: &mut Steps,
    wanted: &DesiredNetwork,
    container: &Container,
    endpoint: &Endpoint,
) -> Endpoint {
    let fits = |address: Option<IpAddr>| {
        address.filter(|a| wanted.subnets().any(|subnet| subnet.contains(a)))
    };
    let place = Endpoint {
        address: None,
        address6: None,
        fixed: fits(endpoint.fixed),
        fixed6: fits(endpoint.fixed6),
        ..endpoint.clone()
    };
    if let (Some(address), None) = (endpoint.fixed, place.fixed) {
        steps.findings.push(Finding::new(
            Severity::Warning,
            "address-lost",
            View::Docker,
            format!(
                "container `{}` cannot keep {address} on network `{}`: it is outside the new subnet, so Docker picks another",
                container.name, wanted.name
            ),
        ));
    }
    place
}

/// The place that a role wants for a container, with the names it is known by.
fn at(wanted: &Attachment, was: Option<&Endpoint>, container: &Container) -> Endpoint {
    let running = |address: Option<IpAddr>| address.filter(|_| container.running);
    Endpoint {
        network: wanted.network.clone(),
        address: running(Some(wanted.address)),
        fixed: Some(wanted.address),
        address6: running(wanted.address6),
        fixed6: wanted.address6,
        aliases: was.map(|e| e.aliases.clone()).unwrap_or_default(),
        links: was.map(|e| e.links.clone()).unwrap_or_default(),
    }
}

fn attach(steps: &mut Steps, wanted: &Attachment, seen: &Docker, replaced: bool) {
    let Some(container) = seen.container(&wanted.container) else {
        steps.findings.push(
            Finding::new(
                Severity::Note,
                "no-container",
                View::Docker,
                format!(
                    "container `{}` does not exist yet; its rules stand before it does",
                    wanted.container
                ),
            )
            .hint(format!(
                "start it with --network {} --ip {}",
                wanted.network, wanted.address
            )),
        );
        return;
    };
    if container.network_mode == "host" || container.network_mode.starts_with("container:") {
        steps.findings.push(
            Finding::new(
                Severity::Defeat,
                "shared-network-stack",
                View::Docker,
                format!(
                    "container `{}` runs with network mode `{}`: its packets never pass DOCKER-USER",
                    container.name, container.network_mode
                ),
            )
            .hint(format!(
                "start it again with --network {} --ip {}",
                wanted.network, wanted.address
            )),
        );
        return;
    }
    let taken = attached(seen, &wanted.network).find(|(other, e)| {
        other.name != container.name
            && (e.address == Some(wanted.address) || e.fixed == Some(wanted.address))
    });
    if let Some((other, _)) = taken {
        steps.findings.push(
            Finding::new(
                Severity::Refuse,
                "address-taken",
                View::Docker,
                format!(
                    "container `{}` cannot have {}: container `{}` has it",
                    container.name, wanted.address, other.name
                ),
            )
            .hint(format!(
                "move `{}` away ({}), or choose another address",
                other.name,
                command([
                    "docker",
                    "network",
                    "disconnect",
                    &wanted.network,
                    &other.name
                ])
            )),
        );
        return;
    }
    for endpoint in &container.endpoints {
        if endpoint.network != wanted.network {
            leave(steps, container, endpoint, seen);
        }
    }
    if replaced && container.endpoint(&wanted.network).is_some() {
        return;
    }
    let was = container.endpoint(&wanted.network);
    let place = at(wanted, was, container);
    let right = was.is_some_and(|e| {
        e.fixed == place.fixed
            && e.fixed6 == place.fixed6
            && (!container.running || (e.address == place.address && e.address6 == place.address6))
    });
    if right {
        return;
    }
    if let Some(was) = was {
        steps.moves.push(Action::Disconnect {
            container: container.name.clone(),
            endpoint: was.clone(),
        });
    }
    steps.moves.push(Action::Connect {
        container: container.name.clone(),
        endpoint: place,
    });
}

/// Another network of a managed container is a way around its whitelist.
///
/// Docker's own `bridge` has no names, so nothing depends on it; `none` must be left before any other network can be
/// joined. Any other network is somebody's choice: it is reported, not undone.
fn leave(steps: &mut Steps, container: &Container, endpoint: &Endpoint, seen: &Docker) {
    let internal = seen
        .network(&endpoint.network)
        .is_some_and(|network| network.internal);
    match endpoint.network.as_str() {
        "bridge" | "none" => steps.moves.push(Action::Disconnect {
            container: container.name.clone(),
            endpoint: endpoint.clone(),
        }),
        _ if internal => {}
        other => steps.findings.push(
            Finding::new(
                Severity::Defeat,
                "second-network",
                View::Docker,
                format!(
                    "container `{}` is also on network `{other}`, by which it reaches anybody",
                    container.name
                ),
            )
            .hint(command([
                "docker",
                "network",
                "disconnect",
                other,
                &container.name,
            ])),
        ),
    }
}
