//! A managed network: created, compared, and recreated with the settings that others have made on it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::desired::DesiredNetwork;
use crate::model::desired::Passage;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::state::Docker;
use crate::model::state::Network;
use crate::model::state::View;
use crate::plan::action::Action;
use crate::plan::action::NetworkSpec;
use crate::plan::code::FindingCode;
use crate::plan::docker::steps::DockerSteps;
use crate::plan::docker::steps::attached;
use crate::plan::finding::Finding;
use crate::plan::passage;
use crate::plan::simulate::BRIDGE_NAME;

/// The options that turn the families on, which Docker 24 and later take from daemon.json's `default-network-opts` where a
/// network does not say.
pub(super) const IPV4: &str = "com.docker.network.enable_ipv4";
pub(super) const IPV6: &str = "com.docker.network.enable_ipv6";

/// The label of the networks that fwdeploy has made: a removal takes away no other.
pub(in crate::plan) const CREATED: (&str, &str) = ("fwdeploy.created", "true");

/// What a managed network must be, in Docker's options, with the version that knows each. Options that are not set explicitly
/// could be overridden by daemon.json.
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
fn spec(wanted: &DesiredNetwork, seen: &Docker, passage: Passage) -> NetworkSpec {
    let mut options = BTreeMap::from([(BRIDGE_NAME.to_string(), wanted.bridge.clone())]);
    let_in(&mut options, wanted, passage);
    say_explicitly(&mut options, seen);
    NetworkSpec {
        name: wanted.name.clone(),
        subnets: wanted.subnets().collect(),
        gateways: wanted.gateway.into_iter().collect(),
        options: options.into_iter().collect(),
        labels: vec![(CREATED.0.to_string(), CREATED.1.to_string())],
        ipv6: wanted.subnet6.is_some(),
        ..NetworkSpec::default()
    }
}

/// Sets Docker's own defaults explicitly where no value is set.
pub(super) fn say_explicitly(options: &mut BTreeMap<String, String>, seen: &Docker) {
    for (name, value, since) in EXPLICIT {
        if seen.major_minor() >= since {
            let option = options.entry(name.to_string());
            option.or_insert_with(|| value.to_string());
        }
    }
}

/// Sets the gateway modes in which Docker lets in what firewalld forwards, where nothing else makes it do so.
pub(super) fn let_in(
    options: &mut BTreeMap<String, String>,
    wanted: &DesiredNetwork,
    passage: Passage,
) {
    if passage == Passage::Unprotected {
        for subnet in wanted.subnets() {
            let option = passage::gateway_mode(subnet.family()).to_string();
            options.insert(option, passage::UNPROTECTED.to_string());
        }
    }
}

pub(super) fn create(
    steps: &mut DockerSteps,
    wanted: &DesiredNetwork,
    seen: &Docker,
    passage: Passage,
) {
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
        None => steps.create.push(Action::CreateNetwork(spec(wanted, seen, passage))),
    }
}

/// Two networks of the desired name. Docker lets a program create them (before 25, or one of them for a swarm), and then no
/// command by name is unambiguous.
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

/// The differences between an existing network and the desired one, each as a text.
pub(in crate::plan) fn differences(
    wanted: &DesiredNetwork,
    network: &Network,
    passage: Passage,
) -> Vec<String> {
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
    if passage == Passage::Unprotected {
        let families = wanted.subnets().map(|subnet| subnet.family());
        for family in families.filter(|family| !passage::is_unprotected(network, *family)) {
            let mode = network.options.get(passage::gateway_mode(family));
            out.push(format!(
                "its {} gateway mode is {}, in which Docker's nftables backend refuses what firewalld forwards, not {}",
                match family {
                    Family::V4 => "IPv4",
                    Family::V6 => "IPv6",
                },
                mode.map_or("nat", String::as_str),
                passage::UNPROTECTED
            ));
        }
    }
    out
}

/// The gateways of a network. Docker before 28 does not report a gateway that it chose by itself: the first address of the range from
/// which it assigns addresses, which is the subnet by default.
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
    passage: Passage,
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
    .hint(if passage == Passage::Unprotected {
        "run again with --replace-network; its containers are reattached, and its labels and other options are kept. For the gateway mode alone, \"bridge-accept-fwmark\": \"0x400/0x400\" in /etc/docker/daemon.json and a restart of Docker do as well, with any bit that nothing else on the node uses"
    } else {
        "run again with --replace-network; its containers are reattached, and its labels and options are kept"
    })
}
