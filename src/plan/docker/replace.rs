//! Recreating a managed network: the settings that others have made and the places of its containers are kept as far as possible.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::desired::Desired;
use crate::model::desired::DesiredNetwork;
use crate::model::desired::Passage;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::state::Container;
use crate::model::state::Docker;
use crate::model::state::Endpoint;
use crate::model::state::Network;
use crate::model::state::View;
use crate::plan::action::Action;
use crate::plan::action::NetworkSpec;
use crate::plan::code::FindingCode;
use crate::plan::docker::network::IPV4;
use crate::plan::docker::network::IPV6;
use crate::plan::docker::network::let_in;
use crate::plan::docker::network::say_explicitly;
use crate::plan::docker::place;
use crate::plan::docker::place::setting_lost;
use crate::plan::docker::steps::DockerSteps;
use crate::plan::docker::steps::attached;
use crate::plan::finding::Finding;
use crate::plan::severity::Severity;
use crate::plan::simulate::BRIDGE_NAME;

/// Detaches all containers, recreates the network, and reattaches every endpoint with its address and its other settings.
pub(super) fn replace(
    steps: &mut DockerSteps,
    desired: &Desired,
    wanted: &DesiredNetwork,
    network: &Network,
    seen: &Docker,
) {
    let mut back = Vec::new();
    for (container, endpoint) in attached(seen, &network.name) {
        // Its place is a word in its settings, which nothing can change any more.
        if container.is_going() {
            continue;
        }
        if container.is_restarting() {
            steps.findings.push(
                Finding::with_severity(
                    Severity::Refuse,
                    FindingCode::ContainerRestarting,
                    View::Docker,
                    format!(
                        "network `{}` cannot be recreated: container `{}` is in a restart loop, and Docker cannot detach a container between two starts",
                        wanted.name, container.name
                    ),
                )
                .hint(place::stop(container)),
            );
            continue;
        }
        steps.moves.push(Action::Disconnect {
            container: container.name.clone(),
            endpoint: endpoint.clone(),
        });
        let managed = desired
            .attachments
            .iter()
            .find(|a| a.container == container.name && a.network == wanted.name);
        let place = match managed {
            Some(attachment) => place::at(attachment, Some(endpoint), container),
            None => kept(steps, wanted, container, endpoint),
        };
        steps
            .findings
            .extend(place::loses_mac(container, endpoint, seen));
        back.push(Action::Connect {
            container: container.name.clone(),
            endpoint: Endpoint {
                network_id: String::new(),
                ..place
            },
        });
    }
    let taken: Vec<IpAddr> = desired
        .attachments
        .iter()
        .filter(|a| a.network == wanted.name)
        .flat_map(|a| std::iter::once(a.address).chain(a.address6))
        .collect();
    let carried = carried(steps, wanted, network, seen, &taken, desired.passage);
    steps
        .moves
        .push(Action::RemoveNetwork(NetworkSpec::of(network)));
    steps.moves.push(Action::CreateNetwork(carried));
    steps.moves.extend(back);
}

/// The recreated network, with all settings that others have made and that do not contradict the role. What is lost is reported.
/// `taken` are the addresses of the managed containers.
fn carried(
    steps: &mut DockerSteps,
    wanted: &DesiredNetwork,
    network: &Network,
    seen: &Docker,
    taken: &[IpAddr],
    passage: Passage,
) -> NetworkSpec {
    let mut lost = Vec::new();
    let mut options = BTreeMap::new();
    for (name, value) in &network.options {
        // Other drivers' options mean nothing to a bridge, an isolated gateway is for internal networks, and which families it
        // has is the role's to say.
        let family = name == IPV4 || name == IPV6;
        let isolated = name.contains(".gateway_mode_") && value == "isolated";
        if family || network.driver == "bridge" && !isolated {
            options.insert(name.clone(), value.clone());
        } else {
            lost.push(format!("option `{name}={value}`"));
        }
    }
    let bridge = options.entry(BRIDGE_NAME.to_string());
    bridge.or_insert_with(|| wanted.bridge.clone());
    if let Some(value) = options.get_mut(IPV4) {
        *value = "true".to_string();
    }
    if let Some(value) = options.get_mut(IPV6) {
        *value = wanted.subnet6.is_some().to_string();
    }
    let_in(&mut options, wanted, passage);
    say_explicitly(&mut options, seen);
    let fits = |net: Cidr| wanted.subnets().any(|subnet| subnet.covers(net));
    let mut ranges = Vec::new();
    for range in &network.ranges {
        if fits(*range) {
            ranges.push(*range);
        } else {
            lost.push(format!("range {range}"));
        }
    }
    let is_managed = |a: &IpAddr| Some(*a) == wanted.gateway || taken.contains(a);
    let mut reserved = Vec::new();
    for (name, address) in &network.reserved {
        if fits(Cidr::host(*address)) && !is_managed(address) {
            reserved.push((name.clone(), *address));
        } else {
            lost.push(format!("reserved address `{name}={address}`"));
        }
    }
    let mut gateways: Vec<IpAddr> = wanted.gateway.into_iter().collect();
    for gateway in &network.gateways {
        let family = Family::of(gateway);
        let own = network.subnets.iter().filter_map(|s| s.first_usable());
        // Docker 28 also reports a gateway that it chose by itself, and would choose another one in another subnet.
        let is_chosen = own.into_iter().any(|first| first == *gateway);
        let is_said = gateways.iter().any(|g| Family::of(g) == family);
        if is_said {
            continue;
        }
        if fits(Cidr::host(*gateway)) && !is_chosen && !taken.contains(gateway) {
            gateways.push(*gateway);
        } else if !is_chosen {
            lost.push(format!("gateway {gateway}"));
        }
    }
    // With a range Docker would choose the gateway from it, where the role expects the first address.
    for subnet in wanted.subnets() {
        let ranged = ranges.iter().any(|range| subnet.covers(*range));
        let is_said = gateways.iter().any(|g| subnet.contains(g));
        if ranged && !is_said {
            gateways.extend(subnet.first_usable());
        }
    }
    if !lost.is_empty() {
        steps.findings.push(setting_lost(format!(
            "network `{}` loses {}, which the recreated network cannot have",
            wanted.name,
            lost.join(", ")
        )));
    }
    NetworkSpec {
        name: wanted.name.clone(),
        subnets: wanted.subnets().collect(),
        gateways,
        internal: false,
        options: options.into_iter().collect(),
        ipv6: wanted.subnet6.is_some(),
        ranges,
        reserved,
        id: String::new(),
        ..NetworkSpec::of(network)
    }
}

/// Another container's place on the recreated network: the same fixed address if the new subnet contains it.
fn kept(
    steps: &mut DockerSteps,
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
        mac: String::new(),
        ..endpoint.clone()
    };
    for (was, is) in [
        (endpoint.fixed, place.fixed),
        (endpoint.fixed6, place.fixed6),
    ] {
        if let (Some(address), None) = (was, is) {
            steps.findings.push(Finding::new(
                FindingCode::AddressLost,
                View::Docker,
                format!(
                    "container `{}` cannot keep {address} on network `{}`: it is outside the new subnet, so Docker picks another",
                    container.name, wanted.name
                ),
            ));
        }
    }
    place
}
