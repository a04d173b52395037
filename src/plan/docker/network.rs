//! A managed network: made, compared, and made anew with all that somebody has set on it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::desired::DesiredNetwork;
use crate::model::net::Cidr;
use crate::model::state::Docker;
use crate::model::state::Network;
use crate::model::state::View;
use crate::plan::action::Action;
use crate::plan::action::NetworkSpec;
use crate::plan::code::FindingCode;
use crate::plan::docker::steps::DockerSteps;
use crate::plan::docker::steps::attached;
use crate::plan::finding::Finding;
use crate::plan::simulate::BRIDGE_NAME;

/// The options that turn the families on, which Docker 24 and later take from daemon.json's `default-network-opts` where a
/// network does not say.
pub(super) const IPV4: &str = "com.docker.network.enable_ipv4";
pub(super) const IPV6: &str = "com.docker.network.enable_ipv6";

/// What a network of ours has to be, in Docker's options, with the version that knows each: daemon.json could say otherwise
/// for every network that does not.
const EXPLICIT: [(&str, &str, (u32, u32)); 4] = [
    (
        "com.docker.network.bridge.enable_ip_masquerade",
        "true",
        (24, 0),
    ),
    ("com.docker.network.bridge.inhibit_ipv4", "false", (24, 0)),
    (
        "com.docker.network.bridge.gateway_mode_ipv4",
        "nat",
        (27, 0),
    ),
    (IPV4, "true", (28, 0)),
];

/// The network as it is to be made.
fn spec(wanted: &DesiredNetwork, seen: &Docker) -> NetworkSpec {
    let mut options = BTreeMap::from([(BRIDGE_NAME.to_string(), wanted.bridge.clone())]);
    say_explicitly(&mut options, seen);
    NetworkSpec {
        name: wanted.name.clone(),
        subnets: wanted.subnets().collect(),
        gateways: wanted.gateway.into_iter().collect(),
        options: options.into_iter().collect(),
        ipv6: wanted.subnet6.is_some(),
        ..NetworkSpec::default()
    }
}

/// Says what Docker's own defaults are, where nobody has said anything.
pub(super) fn say_explicitly(options: &mut BTreeMap<String, String>, seen: &Docker) {
    for (name, value, since) in EXPLICIT {
        if seen.major_minor() >= since {
            let option = options.entry(name.to_string());
            option.or_insert_with(|| value.to_string());
        }
    }
}

pub(super) fn create(steps: &mut DockerSteps, wanted: &DesiredNetwork, seen: &Docker) {
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
                FindingCode::SubnetTaken,
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
        None => steps.create.push(Action::CreateNetwork(spec(wanted, seen))),
    }
}

/// Two networks of the wanted name. Docker lets a program make them (before 25, or one of them for a swarm), and then no
/// command by name does what it says.
pub(super) fn twice(wanted: &DesiredNetwork, seen: &Docker) -> Option<Finding> {
    let same: Vec<&Network> = seen
        .networks
        .iter()
        .filter(|network| network.name == wanted.name)
        .collect();
    if same.len() < 2 {
        return None;
    }
    let told: Vec<String> = same
        .iter()
        .map(|network| {
            let subnets: Vec<String> = network.subnets.iter().map(Cidr::to_string).collect();
            format!(
                "{} ({}, {})",
                network.id,
                network.driver,
                subnets.join(" and ")
            )
        })
        .collect();
    Some(
        Finding::new(
            FindingCode::NetworkTwice,
            View::Docker,
            format!(
                "Docker has {} networks named `{}`: {}",
                same.len(),
                wanted.name,
                told.join(", ")
            ),
        )
        .hint("remove the unused one by its ID: `docker network inspect ID` shows its containers, `docker network rm ID` removes it"),
    )
}

/// In what an existing network is not as wanted, each in words.
pub(in crate::plan) fn differences(wanted: &DesiredNetwork, network: &Network) -> Vec<String> {
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
        let seen = gateways(network);
        if !seen.contains(&gateway) {
            out.push(format!("its gateway is not {gateway}"));
        }
    }
    if network.internal {
        out.push("it is internal, so nothing gets in or out".to_string());
    }
    if network.ipv6 && wanted.subnet6.is_none() {
        out.push("it has IPv6, which the role does not filter".to_string());
    }
    out
}

/// The gateways of a network. Docker before 28 tells none that it chose by itself: the first address of the range that it gives
/// addresses from, which is the subnet if there is no other.
pub(super) fn gateways(network: &Network) -> Vec<IpAddr> {
    let chosen = |subnet: &Cidr| {
        let told = network.gateways.iter().find(|g| subnet.contains(g));
        let range = network.ranges.iter().find(|range| subnet.covers(**range));
        let first = match range {
            Some(range) if range != subnet => Some(range.address()),
            _ => subnet.first_usable(),
        };
        told.copied().or(first)
    };
    network.subnets.iter().filter_map(chosen).collect()
}

pub(super) fn differs(
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
        format!("this would disconnect {}", who.join(", "))
    };
    Finding::new(
        FindingCode::NetworkDiffers,
        View::Docker,
        format!(
            "network `{}` differs from the role: {}; it is recreated only with --replace-network: {cost}",
            wanted.name,
            differences.join("; ")
        ),
    )
    .hint("run again with --replace-network; its containers are reattached, and its labels and options are kept")
}
