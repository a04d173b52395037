//! Listeners on the node: docker-proxy, through which a published port bypasses the forward chain, and programs of
//! the node on a port that is forwarded.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::edge::Direction;
use super::flows::Flows;
use super::input::admitted;
use super::walk::At;
use super::walk::Device;
use super::walk::Near;
use super::walk::Packets;
use super::world::World;
use crate::model::net::Family;
use crate::model::net::Port;
use crate::model::net::Traffic;
use crate::model::networking::Listener;
use crate::model::ranges::Ranges;
use crate::model::state::Container;
use crate::model::state::View;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::severity::Severity;

/// The program that Docker starts for each published port, unless it is disabled (`"userland-proxy": false`).
const PROXY: &str = "docker-proxy";

/// The findings about listeners.
///
/// `first` are the containers that get the packets of a whitelisted one, which are already reported.
pub(super) fn findings(flows: &[Flows], world: &World, first: &BTreeSet<&str>) -> Vec<Finding> {
    let mut out = published(flows, world);
    out.extend(shadowed(flows, world, first));
    out.extend(reached(world));
    out
}

/// A port that a container publishes: `0.0.0.0:8090->8090/tcp`.
struct Published<'a> {
    address: IpAddr,
    port: u16,
    container_port: u16,
    protocol: &'a str,
}

fn parse(text: &str) -> Option<Published<'_>> {
    let (place, to) = text.split_once("->")?;
    let (address, port) = place.rsplit_once(':')?;
    let (container_port, protocol) = to.split_once('/')?;
    Some(Published {
        address: address
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok()?,
        port: port.parse().ok()?,
        container_port: container_port.parse().ok()?,
        protocol,
    })
}

/// The families in which a listener takes packets.
fn families(listener: &Listener) -> &'static [Family] {
    match listener.address {
        Some(IpAddr::V4(_)) => &[Family::V4],
        Some(IpAddr::V6(_)) => &[Family::V6],
        None => &Family::ALL,
    }
}

/// The published ports of managed containers, and the hosts that get in through them.
fn published(flows: &[Flows], world: &World) -> Vec<Finding> {
    let Some(docker) = world.docker else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let managed: BTreeSet<&str> = world
        .desired
        .attachments
        .iter()
        .map(|a| a.container.as_str())
        .collect();
    for container in managed
        .into_iter()
        .filter_map(|name| docker.container(name))
    {
        if container.published.is_empty() {
            continue;
        }
        let open: Vec<Finding> = proxies(container, world)
            .into_iter()
            .filter(|(_, published)| !is_closed_to_node(container, Some(published), world))
            .flat_map(|(listener, published)| opened(container, listener, &published, flows, world))
            .collect();
        if open.is_empty() {
            out.push(harmless(container, world));
        }
        out.extend(open);
    }
    out
}

/// The listeners through which docker-proxy serves a container.
fn proxies<'a>(container: &'a Container, world: &World<'a>) -> Vec<(&'a Listener, Published<'a>)> {
    let listeners = world.state.system.networking.listeners.known();
    let listeners = listeners
        .into_iter()
        .flatten()
        .filter(|l| l.program == PROXY);
    listeners
        .filter_map(|listener| {
            let mut published = container.published.iter().filter_map(|text| parse(text));
            // Older engines report one binding where they have two.
            let same = published.find(|p| {
                p.port == listener.port
                    && p.protocol == listener.protocol
                    && listener.address.is_none_or(|own| {
                        own == p.address || (own.is_unspecified() && p.address.is_unspecified())
                    })
            })?;
            Some((listener, same))
        })
        .collect()
}

/// Whether the guard refuses what programs of the node, such as docker-proxy, send to the container, or to this port of it: `from: node` names
/// each address that it has, and no entry the port.
fn is_closed_to_node(container: &Container, port: Option<&Published>, world: &World) -> bool {
    let open = &world.desired.guard.from_node;
    let is_closed = |address: IpAddr| {
        let mut here = open.iter().filter(|(of, _)| *of == address).peekable();
        let is_named = here.peek().is_some();
        let is_open = |traffic: &Option<Traffic>| match (traffic, port) {
            (None, _) => true,
            (Some(Traffic::Service(service)), Some(port)) => {
                let is_in = Port::new(port.container_port).map(|one| service.ports.contains(one));
                is_in == Some(true) && service.protocol.name() == port.protocol
            }
            (Some(_), _) => false,
        };
        is_named && !here.any(|(_, traffic)| is_open(traffic))
    };
    let endpoints = container.endpoints.iter();
    let mut addresses = endpoints.flat_map(|one| one.address.into_iter().chain(one.address6));
    let mut any = false;
    addresses.all(|address| {
        any = true;
        is_closed(address)
    }) && any
}

/// A published port through which no host appears to get in.
fn harmless(container: &Container, world: &World) -> Finding {
    let proxied = match world.state.system.networking.listeners.known() {
        _ if is_closed_to_node(container, None, world) => {
            "docker-proxy, as the node itself, reaches it at the ports that have `from: node`"
        }
        Some(_) if proxies(container, world).is_empty() => "the node itself reaches it",
        Some(_) => "the node itself reaches it, and so would another container that is started",
        None => "the node itself reaches it, and any host that reaches docker-proxy on the node",
    };
    Finding::new(
        FindingCode::PublishedPort,
        View::Docker,
        format!(
            "container `{}` publishes {}: the whitelist decides about what Docker forwards to it, but {proxied}",
            container.name,
            container.published.join(", ")
        ),
    )
    .hint("a whitelisted container needs no published port; start it without -p")
}

/// Hosts that reach a container through docker-proxy although no entry lets them in.
fn opened(
    container: &Container,
    listener: &Listener,
    published: &Published,
    flows: &[Flows],
    world: &World,
) -> Vec<Finding> {
    let mut out = Vec::new();
    // Nothing from outside is delivered to a loopback address.
    if listener
        .address
        .is_some_and(|address| address.is_loopback())
    {
        return out;
    }
    for family in families(listener) {
        let mut strangers = Ranges::every(*family);
        for flow in flows.iter().filter(|flow| flow.direction == Direction::In) {
            let port = flow
                .port
                .is_none_or(|port| port == published.container_port);
            if flow.family == *family && port {
                strangers.remove(&flow.peers);
            }
        }
        let packets = |input| Packets {
            family: *family,
            from_peer: true,
            near: Near::Node,
            node: &world.node,
            protocol: Some(&listener.protocol),
            source_port: At::Ephemeral,
            destination_port: At::Port(listener.port),
            input,
            output: Device::None,
            reply: false,
            rewritten: false,
        };
        let mut ways = vec![(packets(world.outside()), strangers.clone(), None)];
        for (name, bridge, subnets) in neighbours(container, *family, world) {
            ways.push((
                packets(Device::Bridge(bridge)),
                subnets.and(&strangers),
                Some(name),
            ));
        }
        for (packets, who, neighbour) in ways {
            let Some((admitted, sure)) = admitted(&packets, who, world) else {
                continue;
            };
            let (severity, lets) = if sure {
                (Severity::NotEnforced, "lets")
            } else {
                (
                    Severity::Warning,
                    "may, as far as its conditions can be judged, let",
                )
            };
            let whom = match neighbour {
                Some(name) => format!("container `{name}`"),
                None => match family {
                    Family::V4 => "a host that is not on the whitelist".to_string(),
                    Family::V6 => "a host that is not on the whitelist, over IPv6,".to_string(),
                },
            };
            let place = match listener.address {
                Some(address) => std::net::SocketAddr::new(address, listener.port).to_string(),
                None => format!("*:{}", listener.port),
            };
            out.push(
                Finding::with_severity(
                    severity,
                    FindingCode::ProxyOpen,
                    View::Docker,
                    format!(
                        "{whom} reaches container `{}` through docker-proxy, which listens on {place}: no forward takes the packets, {admitted} {lets} them in, and they never pass DOCKER-USER",
                        container.name
                    ),
                )
                .hint("start the container without -p; a whitelisted container needs no published port"),
            );
        }
    }
    out
}

/// The other bridges of the node with a container on each: its name, the bridge, the addresses there.
fn neighbours<'a>(
    container: &Container,
    family: Family,
    world: &World<'a>,
) -> Vec<(&'a str, &'a str, Ranges)> {
    let Some(docker) = world.docker else {
        return Vec::new();
    };
    let others = docker.networks.iter().filter(|network| {
        !network.bridge.is_empty() && container.endpoint(&network.name).is_none()
    });
    others
        .filter_map(|network| {
            let mut there = docker
                .containers
                .iter()
                .filter(|c| c.running && c.name != container.name);
            let one = there.find(|c| c.endpoint(&network.name).is_some())?;
            let subnets = Ranges::of(family, network.subnets.iter().copied());
            Some((one.name.as_str(), network.bridge.as_str(), subnets))
        })
        .collect()
}

/// The ports of other containers that a managed one reaches through docker-proxy: no rule of DOCKER-USER applies to
/// packets to the node itself.
fn reached(world: &World) -> Vec<Finding> {
    let mut out = Vec::new();
    let listeners = world.state.system.networking.listeners.known();
    let managed = &world.desired.attachments;
    for listener in listeners.into_iter().flatten() {
        let loopback = listener
            .address
            .is_some_and(|address| address.is_loopback());
        let Some(name) = publisher(listener, world).filter(|_| !loopback) else {
            continue;
        };
        for wanted in managed.iter().filter(|a| a.container != name) {
            // Two roles on one network reach each other anyway.
            if managed
                .iter()
                .any(|a| a.container == name && a.network == wanted.network)
            {
                continue;
            }
            let addresses = std::iter::once(wanted.address).chain(wanted.address6);
            let open = addresses
                .filter(|a| families(listener).contains(&Family::of(a)))
                .find_map(|address| {
                    let family = Family::of(&address);
                    let packets = Packets {
                        family,
                        from_peer: true,
                        near: Near::Node,
                        node: &world.node,
                        protocol: Some(&listener.protocol),
                        source_port: At::Ephemeral,
                        destination_port: At::Port(listener.port),
                        input: world.bridge(address),
                        output: Device::None,
                        reply: false,
                        rewritten: false,
                    };
                    let from = Ranges::of(family, [crate::model::Cidr::host(address)]);
                    admitted(&packets, from, world)
                });
            if let Some((by, _)) = open {
                out.push(
                    Finding::new(
                        FindingCode::ProxyReached,
                        View::Docker,
                        format!(
                            "container `{}` reaches container `{name}` at port {}/{} of the node: docker-proxy takes the packets, and {by} lets them in",
                            wanted.container, listener.port, listener.protocol
                        ),
                    )
                    .hint("publish that port on 127.0.0.1 if only the node needs it, or set \"userland-proxy\": false in daemon.json, so that Docker forwards it and DOCKER-USER refuses it"),
                );
                break;
            }
        }
    }
    out.dedup();
    out
}

/// Programs of the node that listen at a port which is forwarded: a peer's packets no longer come to them.
fn shadowed(flows: &[Flows], world: &World, first: &BTreeSet<&str>) -> Vec<Finding> {
    let mut told = BTreeSet::new();
    let mut out = Vec::new();
    let Some(listeners) = world.state.system.networking.listeners.known() else {
        return out;
    };
    for flow in flows {
        let Some(port) = flow.node_port else { continue };
        let there = listeners.iter().filter(|listener| {
            listener.port == port
                && flow.protocol.as_deref() == Some(&listener.protocol)
                && families(listener).contains(&flow.family)
                && !listener
                    .address
                    .is_some_and(|address| address.is_loopback())
        });
        for listener in there {
            let publisher = publisher(listener, world);
            let managed = |name: &str| {
                world
                    .desired
                    .attachments
                    .iter()
                    .any(|a| a.container == name)
            };
            if publisher.is_some_and(|name| managed(name) || first.contains(name))
                || !told.insert((port, &listener.protocol, &listener.program))
            {
                continue;
            }
            let who = match (publisher, listener.program.as_str()) {
                (Some(name), _) => format!("container `{name}` publishes"),
                (None, "") => "a program of the node listens on".to_string(),
                (None, program) => format!("`{program}` of the node listens on"),
            };
            out.push(
                Finding::new(
                    FindingCode::ListenerShadowed,
                    View::Kernel,
                    format!(
                        "{who} port {port}/{}, which is forwarded for {}: they reach the whitelisted container there, and all other hosts reach the other",
                        listener.protocol,
                        flow.named(&flow.peers)
                    ),
                )
                .hint("give one of the two another port: `port` with `to_port` in the role forwards another port of the node"),
            );
        }
    }
    out
}

/// The container that a docker-proxy serves.
fn publisher<'a>(listener: &Listener, world: &World<'a>) -> Option<&'a str> {
    if listener.program != PROXY {
        return None;
    }
    let mut containers = world.docker?.containers.iter();
    let found = containers.find(|container| {
        let mut published = container.published.iter().filter_map(|text| parse(text));
        container.running
            && published.any(|p| p.port == listener.port && p.protocol == listener.protocol)
    });
    found.map(|container| container.name.as_str())
}
