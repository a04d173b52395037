//! The networks and containers of two roles on one node: what may be shared, and what must not be.

use crate::policy::names::default_bridge;
use crate::role::InputError;
use crate::role::InputErrors;
use crate::role::Located;
use crate::role::Location;
use crate::role::Policy;

/// Checks two roles of one node, the earlier one first.
pub fn check(one: &Policy, two: &Policy, errors: &mut InputErrors) {
    if one.network.name.value == two.network.name.value {
        check_shared(one, two, errors);
    } else {
        check_apart(one, two, errors);
    }
    check_containers(one, two, errors);
}

/// A setting of a role's network, as text and with its location.
type Said = Option<(String, Location)>;

fn said<T: ToString>(value: Option<&Located<T>>) -> Said {
    value.map(|value| (value.value.to_string(), value.location.clone()))
}

/// Two roles on one network must say the same about it.
fn check_shared(one: &Policy, two: &Policy, errors: &mut InputErrors) {
    let all = |policy: &Policy| -> [(&'static str, Said); 9] {
        let network = &policy.network;
        [
            ("subnet", said(Some(&network.subnet))),
            ("IPv6 subnet", said(network.subnet6.as_ref())),
            ("gateway", said(network.gateway.as_ref())),
            ("bridge", said(network.bridge.as_ref())),
            ("`otherwise`", said(Some(&policy.otherwise))),
            ("`covers`", said(Some(&policy.covers))),
            ("`node`", said(Some(&network.node))),
            ("`log`", said(Some(&network.log))),
            ("`enforce`", said(Some(&policy.enforce))),
        ]
    };
    let network = &two.network.name.value;
    let (first_role, second_role) = (&one.role.value, &two.role.value);
    for ((what, first), (_, second)) in all(one).into_iter().zip(all(two)) {
        match (first, second) {
            (Some((a, first)), Some((b, second))) if a != b => errors.push(
                InputError::at(
                    second,
                    format!(
                        "the network `{network}` has one {what}, and it is `{a}` in role `{first_role}` and `{b}` in \
                         role `{second_role}`"
                    ),
                )
                .context(first, "the other one")
                .hint("use the same in both, or give each role a network of its own"),
            ),
            // A gateway or a bridge that one role names counts for both. IPv6 that one role does not know of is a
            // family in which it would be open.
            (Some((a, place)), None) | (None, Some((a, place))) if what == "IPv6 subnet" => errors
                .push(
                    InputError::at(
                        place,
                        format!(
                            "the network `{network}` has the IPv6 subnet `{a}` in one of the roles `{first_role}` and \
                             `{second_role}`, and none in the other"
                        ),
                    )
                    .hint("give both the same `subnet6`"),
                ),
            _ => {}
        }
    }
    for (gateway_of, other) in [(one, two), (two, one)] {
        if let Some(gateway) = &gateway_of.network.gateway
            && gateway.value == other.container.address.value
        {
            errors.push(
                InputError::at(
                    other.container.address.location.clone(),
                    format!("`{}` is the network's gateway", gateway.value),
                )
                .context(gateway.location.clone(), "the gateway")
                .hint(format!(
                    "another address of `{}`",
                    other.network.subnet.value
                )),
            );
        }
    }
}

/// Two networks must have nothing in common.
fn check_apart(one: &Policy, two: &Policy, errors: &mut InputErrors) {
    let subnets = |policy: &Policy| {
        [
            Some(policy.network.subnet.clone()),
            policy.network.subnet6.clone(),
        ]
    };
    for first in subnets(one).into_iter().flatten() {
        for second in subnets(two).into_iter().flatten() {
            if first.value.overlaps(second.value) {
                errors.push(
                    InputError::at(
                        second.location,
                        format!(
                            "the subnet `{}` of network `{}` overlaps `{}` of network `{}`",
                            second.value,
                            two.network.name.value,
                            first.value,
                            one.network.name.value
                        ),
                    )
                    .context(first.location.clone(), "the other subnet")
                    .hint("give the networks subnets of their own, or both roles the same network"),
                );
            }
        }
    }
    let bridge = |policy: &Policy| match &policy.network.bridge {
        Some(bridge) => bridge.value.clone(),
        None => default_bridge(&policy.network.name.value),
    };
    if bridge(one) == bridge(two) {
        let place = |policy: &Policy| match &policy.network.bridge {
            Some(bridge) => bridge.location.clone(),
            None => policy.network.name.location.clone(),
        };
        errors.push(
            InputError::at(
                place(two),
                format!(
                    "the networks `{}` and `{}` both have the bridge `{}`",
                    one.network.name.value,
                    two.network.name.value,
                    bridge(two)
                ),
            )
            .context(place(one), "the other one")
            .hint("name another `bridge` in one of the roles"),
        );
    }
}

/// One role, one container, one address.
fn check_containers(one: &Policy, two: &Policy, errors: &mut InputErrors) {
    let (first, second) = (&one.container, &two.container);
    let both = format!("roles `{}` and `{}`", one.role.value, two.role.value);
    if first.name.value == second.name.value {
        errors.push(
            InputError::at(
                second.name.location.clone(),
                format!(
                    "{both} are both about the container `{}`",
                    second.name.value
                ),
            )
            .context(first.name.location.clone(), "the other one")
            .hint("one role for each container"),
        );
    }
    let pairs = [
        (Some(&first.address), Some(&second.address)),
        (first.address6.as_ref(), second.address6.as_ref()),
    ];
    for (a, b) in pairs {
        if let (Some(a), Some(b)) = (a, b)
            && a.value == b.value
        {
            errors.push(
                InputError::at(
                    b.location.clone(),
                    format!(
                        "{both} both have the address `{}`, for `{}` and for `{}`",
                        b.value, first.name.value, second.name.value
                    ),
                )
                .context(a.location.clone(), "the other one")
                .hint("one address for each container"),
            );
        }
    }
}
