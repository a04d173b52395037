//! A managed container: brought to its network and address, or why it cannot be.

use crate::model::desired::Attachment;
use crate::model::desired::Desired;
use crate::model::state::Container;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::model::state::Network;
use crate::model::state::View;
use crate::plan::action::Action;
use crate::plan::code::FindingCode;
use crate::plan::docker::address;
use crate::plan::docker::beside;
use crate::plan::docker::place;
use crate::plan::docker::place::found;
use crate::plan::docker::steps::DockerSteps;
use crate::plan::finding::Finding;
use crate::plan::finding::command;
use crate::plan::severity::Severity;

pub(super) fn attach(
    steps: &mut DockerSteps,
    desired: &Desired,
    wanted: &Attachment,
    seen: &Docker,
    replaced: bool,
) {
    let Some(container) = seen.container(&wanted.container) else {
        steps
            .findings
            .extend(beside::missing(desired, wanted, seen));
        return;
    };
    if container.is_going() {
        steps.findings.push(
            found(
                FindingCode::NoContainer,
                format!(
                    "container `{}` is being removed (Docker calls it {}); its rules are already in place for the next one",
                    container.name, container.status
                ),
            )
            .hint(place::start(wanted, Some(container))),
        );
        return;
    }
    if container.network_mode == "host" || container.network_mode.starts_with("container:") {
        steps.findings.push(
            found(
                FindingCode::SharedNetworkStack,
                format!(
                    "container `{}` runs with network mode `{}`: its packets never pass DOCKER-USER",
                    container.name, container.network_mode
                ),
            )
            .hint(place::start(wanted, Some(container))),
        );
        return;
    }
    // A network that is made anew is made without what is in the way.
    if let Some(finding) = address::reserved(desired, wanted, seen).filter(|_| !replaced) {
        steps.findings.push(finding);
        return;
    }
    let claims = address::claims(wanted, container, seen);
    let is_taken = claims.iter().any(|f| f.severity == Severity::Refuse);
    steps.findings.extend(claims);
    if is_taken {
        return;
    }
    if container.is_restarting() {
        steps.findings.push(restarting(wanted, container, seen));
        return;
    }
    for endpoint in &container.endpoints {
        if endpoint.network != wanted.network {
            leave(steps, wanted, container, endpoint, seen);
        }
    }
    let was = container.endpoint(&wanted.network);
    if replaced && was.is_some() {
        return;
    }
    let mut place = place::at(wanted, was, container);
    place.network_id = match seen.network(&wanted.network) {
        Some(network) if !replaced => network.id.clone(),
        _ => String::new(),
    };
    let is_told = was.is_some_and(|e| e.fixed == place.fixed && e.fixed6 == place.fixed6);
    let has = was.is_some_and(|e| e.address == place.address && e.address6 == place.address6);
    if is_told && (has || !container.running) {
        return;
    }
    // Docker says nothing of an address while it starts or ends a container, and detaches none then.
    if let Some(was) = was.filter(|e| is_told && e.address.is_none() && e.address6.is_none()) {
        steps.findings.push(
            Finding::with_severity(
                Severity::Warning,
                FindingCode::ContainerRestarting,
                View::Docker,
                format!(
                    "container `{}` is running but has no address on network `{}` at the moment, although {} is assigned to it",
                    container.name, was.network, wanted.address
                ),
            )
            .hint(format!(
                "if this persists: {}",
                command(["docker", "restart", &container.name])
            )),
        );
        return;
    }
    if let Some(was) = was {
        steps
            .findings
            .extend(place::loses_mac(container, was, seen));
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

/// A container that ends again and again: while it is between two starts it can be neither detached nor attached, so that what
/// it was told counts.
fn restarting(wanted: &Attachment, container: &Container, seen: &Docker) -> Finding {
    let elsewhere: Vec<&str> = container
        .endpoints
        .iter()
        .map(|e| e.network.as_str())
        .filter(|network| *network != wanted.network)
        .filter(|network| !seen.network(network).is_some_and(Network::is_closed))
        .collect();
    let told = container
        .endpoint(&wanted.network)
        .is_some_and(|e| e.fixed == Some(wanted.address) && e.fixed6 == wanted.address6);
    let name = &container.name;
    if told && elsewhere.is_empty() {
        return Finding::with_severity(
            Severity::Note,
            FindingCode::ContainerRestarting,
            View::Docker,
            format!(
                "container `{name}` is in a restart loop; {} is assigned to it whenever it starts",
                wanted.address
            ),
        )
        .hint(format!(
            "{} shows why it ends",
            command(["docker", "logs", name.as_str()])
        ));
    }
    let wrong = if told {
        format!("is also on {}", elsewhere.join(", "))
    } else {
        format!(
            "is not configured to be at {} on network `{}`",
            wanted.address, wanted.network
        )
    };
    Finding::with_severity(
        Severity::NotEnforced,
        FindingCode::ContainerRestarting,
        View::Docker,
        format!("container `{name}` {wrong}, and cannot be moved while it is in a restart loop"),
    )
    .hint(place::stop(container))
}

/// Another network of a managed container is a way around its whitelist.
///
/// Docker's own `bridge` has no names, so nothing depends on it; `none` must be left before any other network can be
/// joined. Any other network is somebody's choice: it is reported, not undone.
fn leave(
    steps: &mut DockerSteps,
    wanted: &Attachment,
    container: &Container,
    endpoint: &Endpoint,
    seen: &Docker,
) {
    let is_closed = seen
        .network(&endpoint.network)
        .is_some_and(Network::is_closed);
    match endpoint.network.as_str() {
        "bridge" | "none" => steps.moves.push(Action::Disconnect {
            container: container.name.clone(),
            endpoint: endpoint.clone(),
        }),
        _ if is_closed => {}
        other => {
            let leave = command(["docker", "network", "disconnect", other, &container.name]);
            let hint = if container.of_compose {
                format!(
                    "{leave}; to make this permanent, {}",
                    place::compose(wanted, &container.service)
                )
            } else {
                leave
            };
            steps.findings.push(
                found(
                    FindingCode::SecondNetwork,
                    format!(
                        "container `{}` is also on network `{other}`, through which it can reach any address",
                        container.name
                    ),
                )
                .hint(hint),
            );
        }
    }
}
