//! The network and the container of one role: names, subnets, addresses.

use std::net::IpAddr;

use crate::model::Cidr;
use crate::model::Family;
use crate::policy::names::DEVICE_NAME_MAX;
use crate::policy::names::bad_name;
use crate::policy::names::default_bridge;
use crate::policy::names::is_docker_name;
use crate::role::Covers;
use crate::role::InputError;
use crate::role::InputErrors;
use crate::role::Located;
use crate::role::Policy;

/// A subnet wider than this is a slip of the pen: a packet to anywhere would be one inside the network.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 16;

/// The networks that each Docker has. None of them takes a fixed address for a container.
const DOCKERS_OWN: [&str; 3] = ["bridge", "host", "none"];

/// Checks one role on its own.
pub fn check(policy: &Policy, errors: &mut InputErrors) {
    for (what, name) in [
        ("network", &policy.network.name),
        ("container", &policy.container.name),
    ] {
        if !is_docker_name(&name.value) {
            errors.push(bad_name(what, name));
        }
    }
    if DOCKERS_OWN.contains(&policy.network.name.value.as_str()) {
        let name = &policy.network.name;
        errors.push(
            InputError::at(
                name.location.clone(),
                format!("the network `{}` is Docker's own", name.value),
            )
            .label("has no fixed addresses")
            .hint("give the container a network of its own: choose another name, and Docker's network is made by that name"),
        );
    }
    if let Some(bridge) = &policy.network.bridge {
        if bridge.value.len() > DEVICE_NAME_MAX {
            errors.push(
                InputError::at(
                    bridge.location.clone(),
                    format!(
                        "`{}` has {} characters, and a network device's name has at most {DEVICE_NAME_MAX}",
                        bridge.value,
                        bridge.value.len()
                    ),
                )
                .hint(format!(
                    "leave `bridge` out to get `{}`",
                    default_bridge(&policy.network.name.value)
                )),
            );
        } else if !is_docker_name(&bridge.value) {
            errors.push(bad_name("bridge", bridge));
        }
    }
    check_family(policy, Family::V4, errors);
    check_family(policy, Family::V6, errors);
    check_v6_pair(policy, errors);
}

/// Subnet, gateway and address of one family.
fn check_family(policy: &Policy, family: Family, errors: &mut InputErrors) {
    let network = &policy.network;
    let container = &policy.container;
    let (subnet, address, gateway) = match family {
        Family::V4 => (
            Some(&network.subnet),
            Some(&container.address),
            network.gateway.as_ref(),
        ),
        Family::V6 => (network.subnet6.as_ref(), container.address6.as_ref(), None),
    };
    let word = match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    let misplaced = |location, text: String, what| {
        InputError::at(location, format!("`{text}` is not an {word} {what}")).hint(match family {
            Family::V4 => "IPv6 goes into `subnet6` and `address6`",
            Family::V6 => "IPv4 goes into `subnet` and `address`",
        })
    };
    let mut subnet = subnet;
    if let Some(wrong) = subnet.filter(|net| net.value.family() != family) {
        errors.push(misplaced(
            wrong.location.clone(),
            wrong.value.to_string(),
            "subnet",
        ));
        subnet = None;
    }
    if let Some(subnet) = subnet {
        check_size(subnet, errors);
    }
    for (what, address) in [("address", address), ("gateway", gateway)] {
        let Some(address) = address else { continue };
        if Family::of(&address.value) != family {
            errors.push(misplaced(
                address.location.clone(),
                address.value.to_string(),
                what,
            ));
        } else if let Some(subnet) = subnet {
            check_inside(what, address, subnet, errors);
            if what == "address" {
                check_free(address, subnet, gateway, errors);
            }
        }
    }
}

fn check_size(subnet: &Located<Cidr>, errors: &mut InputErrors) {
    let (widest, narrowest) = match subnet.value.family() {
        Family::V4 => (WIDEST_V4, 30),
        Family::V6 => (WIDEST_V6, 126),
    };
    let prefix = subnet.value.prefix();
    if prefix < widest || prefix > narrowest {
        errors.push(
            InputError::at(
                subnet.location.clone(),
                format!("`{}` cannot be a Docker network's subnet", subnet.value),
            )
            .hint(format!(
                "a prefix between /{widest} and /{narrowest}; Docker's own are /16"
            )),
        );
    }
}

fn check_inside(
    what: &str,
    address: &Located<IpAddr>,
    subnet: &Located<Cidr>,
    errors: &mut InputErrors,
) {
    if !subnet.value.contains(&address.value) {
        errors.push(
            InputError::at(
                address.location.clone(),
                format!(
                    "the {what} `{}` is outside the subnet `{}`",
                    address.value, subnet.value
                ),
            )
            .context(subnet.location.clone(), "the subnet"),
        );
    }
}

/// The container's address must not be one that the network needs for itself.
fn check_free(
    address: &Located<IpAddr>,
    subnet: &Located<Cidr>,
    gateway: Option<&Located<IpAddr>>,
    errors: &mut InputErrors,
) {
    let value = address.value;
    let taken = |message: String| {
        InputError::at(address.location.clone(), message).hint(format!(
            "another address of `{}`, the third for one",
            subnet.value
        ))
    };
    let default_gateway = subnet.value.first_usable();
    let error = if value == subnet.value.address() {
        taken(format!("`{value}` is the network's own address"))
    } else if value.is_ipv4() && value == subnet.value.last() {
        taken(format!("`{value}` is the network's broadcast address"))
    } else if let Some(gateway) = gateway.filter(|gateway| gateway.value == value) {
        taken(format!("`{value}` is the network's gateway"))
            .context(gateway.location.clone(), "the gateway")
    } else if gateway.is_none() && default_gateway == Some(value) {
        taken(format!(
            "`{value}` is the gateway: Docker takes the first address for it"
        ))
    } else {
        return;
    };
    errors.push(error);
}

/// IPv6 is configured in both places or in neither, so that it is never left open silently.
fn check_v6_pair(policy: &Policy, errors: &mut InputErrors) {
    match (&policy.network.subnet6, &policy.container.address6) {
        (None, Some(address)) => errors.push(
            InputError::at(
                address.location.clone(),
                format!(
                    "`{}` is given, but the network `{}` has no IPv6",
                    address.value, policy.network.name.value
                ),
            )
            .context(policy.network.name.location.clone(), "the network")
            .hint("add `subnet6` to the network, or take `address6` away"),
        ),
        (Some(subnet), None) if policy.covers.value == Covers::Container => errors.push(
            InputError::at(
                subnet.location.clone(),
                format!(
                    "the network has IPv6 and the container `{}` no fixed IPv6 address, so `covers: container` \
                     would leave it open",
                    policy.container.name.value
                ),
            )
            .context(policy.covers.location.clone(), "covers the container alone")
            .hint("give the container an `address6`, or let the role cover the network"),
        ),
        _ => {}
    }
}
