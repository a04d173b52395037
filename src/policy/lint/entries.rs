//! Entries: inbound and outbound peers, and their ports.

use std::collections::BTreeSet;

use crate::model::Cidr;
use crate::model::Family;
use crate::model::Peer;
use crate::model::Protocol;
use crate::model::Service;
use crate::model::Traffic;
use crate::policy::context::NodeContext;
use crate::policy::names::is_tag_name;
use crate::policy::names::tag;
use crate::role::Enforce;
use crate::role::Inbound;
use crate::role::InputError;
use crate::role::InputErrors;
use crate::role::Located;
use crate::role::Policy;
use crate::role::shown;

/// The longest comment of an iptables rule (XT_MAX_COMMENT_LEN of linux/netfilter/xt_comment.h, less its NUL).
const COMMENT_MAX: usize = 255;

/// The entries of one role by themselves.
pub fn check_one(policy: &Policy, node: &NodeContext, errors: &mut InputErrors) {
    check_names(policy, errors);
    for entry in &policy.inbound {
        check_ssh(entry, node, errors);
    }
    for peer in peers(policy) {
        check_family(policy, peer, errors);
    }
    for (number, entry) in policy.inbound.iter().enumerate() {
        for earlier in &policy.inbound[..number] {
            check_forwards((policy, earlier), (policy, entry), errors);
        }
    }
}

/// The entries of two roles of one node, the earlier one first.
pub fn check_two(one: &Policy, two: &Policy, errors: &mut InputErrors) {
    for earlier in &one.inbound {
        for entry in &two.inbound {
            check_forwards((one, earlier), (two, entry), errors);
        }
    }
    check_neighbours(one, two, errors);
    check_neighbours(two, one, errors);
}

fn check_names(policy: &Policy, errors: &mut InputErrors) {
    let inbound = policy.inbound.iter().map(|entry| &entry.what);
    let outbound = policy.outbound.iter().map(|entry| &entry.what);
    let names = std::iter::once(("role", &policy.role))
        .chain(inbound.chain(outbound).map(|what| ("`what`", what)));
    for (what, name) in names {
        if !is_tag_name(&name.value) {
            errors.push(
                InputError::at(
                    name.location.clone(),
                    format!("`{}` cannot be the name of a {what}", shown(&name.value)),
                )
                .hint("lower case letters, digits, `_` and `-`, and a letter or digit first"),
            );
        }
        let tag = tag(&policy.role.value, &name.value);
        if tag.len() > COMMENT_MAX {
            errors.push(
                InputError::at(
                    name.location.clone(),
                    format!(
                        "the name makes a comment of {} bytes, and iptables takes {COMMENT_MAX}",
                        tag.len()
                    ),
                )
                .hint("choose a shorter name"),
            );
        }
    }
}

/// The port of the operator's own ssh must stay the node's.
fn check_ssh(entry: &Inbound, node: &NodeContext, errors: &mut InputErrors) {
    let Some(ports) = &entry.ports else { return };
    if entry.from.is_empty() && entry.from_node.is_some() {
        // The node opens the container's port; nothing is forwarded.
        return;
    }
    let is_ssh = |service: Service| {
        service.ports.contains(node.ssh_port) && service.protocol == Protocol::Tcp
    };
    for port in ports {
        let Some(service) = port.value.service().filter(|service| is_ssh(*service)) else {
            continue;
        };
        let text = match service.ports.single() {
            Some(_) => format!(
                "`{service}` is the port at which ssh reaches node `{}`",
                node.node
            ),
            None => format!(
                "`{service}` has port {}, at which ssh reaches node `{}`",
                node.ssh_port, node.node
            ),
        };
        errors.push(
            InputError::at(port.location.clone(), text)
            .label("would be forwarded to the container")
            .hint(
                "ssh from these peers would end in the container and lock you out; choose another port of the node, \
                 and `to_port` for the container's",
            ),
        );
    }
}

/// All peers of a role.
fn peers(policy: &Policy) -> impl Iterator<Item = &Located<Peer>> {
    let inbound = policy.inbound.iter().flat_map(|entry| &entry.from);
    inbound.chain(policy.outbound.iter().flat_map(|entry| &entry.to))
}

/// A peer whose family the container does not have could never be let through.
fn check_family(policy: &Policy, peer: &Located<Peer>, errors: &mut InputErrors) {
    let has = |family| {
        policy
            .side(family)
            .is_some_and(|side| side.container.is_some())
    };
    if peer.value.net.family() == Family::V6 && !has(Family::V6) {
        errors.push(
            InputError::at(
                peer.location.clone(),
                format!(
                    "the peer `{}` is IPv6, and the container `{}` has no IPv6 address",
                    peer.value, policy.container.name.value
                ),
            )
            .context(policy.container.name.location.clone(), "the container")
            .hint("give the role `subnet6` and `address6`, or take the peer away"),
        );
    }
}

/// One port of the node can lead to one place for each peer.
fn check_forwards(one: (&Policy, &Inbound), two: (&Policy, &Inbound), errors: &mut InputErrors) {
    let ((one, earlier), (two, entry)) = (one, two);
    let same_container = one.container.address.value == two.container.address.value;
    let (Some(ports), Some(others)) = (&entry.ports, &earlier.ports) else {
        return;
    };
    let pairs = ports
        .iter()
        .flat_map(|port| others.iter().map(move |other| (port, other)));
    let mut apart = pairs.filter(|(port, other)| {
        let (way, before) = (entry.way(port.value), earlier.way(other.value));
        let same_place = same_container && way.leads_as(before);
        way.meets(before) && !same_place
    });
    let Some((port, other)) = apart.next() else {
        return;
    };
    let Some((first, second)) = overlapping(&earlier.from, &entry.from) else {
        return;
    };
    let leads = |policy: &Policy, entry: &Inbound, port: Traffic| {
        let to = entry.way(port).container.service();
        let to = to.map(|to| to.ports.to_string()).unwrap_or_default();
        format!("`{}` port {to}", policy.container.name.value)
    };
    errors.push(
        InputError::at(
            port.location.clone(),
            format!(
                "the node's port `{}` leads to {} in `{}/{}` and to {} in `{}/{}`, for the same peers",
                port.value,
                leads(one, earlier, other.value),
                one.role.value,
                earlier.what.value,
                leads(two, entry, port.value),
                two.role.value,
                entry.what.value
            ),
        )
        .context(other.location.clone(), "the other one")
        .context(second.location.clone(), format!("overlaps `{}`", first.value.net.short()))
        .hint("choose another port of the node for one of them, and `to_port` for the container's"),
    );
}

/// The first two peers that have an address in common.
///
/// Networks are nested or disjoint, so those of the second list are searched among those that could contain them or be contained.
fn overlapping<'a>(
    one: &'a [Located<Peer>],
    two: &'a [Located<Peer>],
) -> Option<(&'a Located<Peer>, &'a Located<Peer>)> {
    let nets: BTreeSet<Cidr> = one.iter().map(|peer| peer.value.net).collect();
    let second = two.iter().find(|peer| {
        let net = peer.value.net;
        let holder = (0..=net.prefix())
            .filter_map(|prefix| Cidr::around(net.address(), prefix))
            .any(|wider| nets.contains(&wider));
        // Networks inside of this one sort behind its first address, before its last.
        holder
            || nets
                .range(net..)
                .next()
                .is_some_and(|next| net.covers(*next))
    })?;
    let first = one
        .iter()
        .find(|peer| peer.value.net.overlaps(second.value.net))?;
    Some((first, second))
}

/// A peer inside another managed network of the same node could never be let through: the other network is closed too.
fn check_neighbours(policy: &Policy, other: &Policy, errors: &mut InputErrors) {
    for there in other.sides() {
        let here = policy.side(there.family);
        if here.is_none_or(|here| here.subnet == there.subnet) {
            continue;
        }
        for peer in peers(policy).filter(|peer| there.covered.covers(peer.value.net)) {
            errors.push(
                InputError::at(
                    peer.location.clone(),
                    format!(
                        "the peer `{}` of role `{}` is in the network `{}` of role `{}` on the same node, which is \
                         closed to other networks",
                        peer.value, policy.role.value, other.network.name.value, other.role.value
                    ),
                )
                .context(other.network.name.location.clone(), "that network")
                .hint("put both containers on one network: nothing is filtered inside of it"),
            );
        }
    }
}

/// Peers that are any host, duplicates in one entry, an entry for the node that closes nothing, and a whitelist with nobody on it.
pub fn warnings(policy: &Policy) -> Vec<InputError> {
    let inbound = policy.inbound.iter().map(|entry| {
        let every = "every host may come in";
        (&entry.what, &entry.from, every)
    });
    let outbound = policy.outbound.iter().map(|entry| {
        let every = "every host may be reached";
        (&entry.what, &entry.to, every)
    });
    let mut found = Vec::new();
    for (what, list, every) in inbound.chain(outbound) {
        let name = format!("`{}/{}`", policy.role.value, what.value);
        for peer in list {
            if peer.value.net.is_everything() {
                found.push(
                    InputError::at(
                        peer.location.clone(),
                        format!("`{}` in {name} is not a whitelist: {every}", peer.value),
                    )
                    .hint("list the peers, if they are known"),
                );
            }
        }
        found.extend(listed_twice(&repeated(list), &name));
    }
    found.extend(empty(policy));
    let every_port = policy.inbound.iter().filter(|entry| entry.ports.is_none());
    found.extend(every_port.filter_map(|entry| {
        let place = entry.from_node.clone()?;
        let name = format!("`{}/{}`", policy.role.value, entry.what.value);
        let text = format!(
            "`node` in {name} closes nothing: without a port the node opens every port of the container, as without the entry"
        );
        Some(InputError::at(place, text).hint("give the entry a port, or leave `node` out"))
    }));
    found
}

/// The peers of a list that are in it before.
fn repeated(list: &[Located<Peer>]) -> Vec<&Located<Peer>> {
    // Lists are mostly in order, and are sorted at once.
    let mut places: Vec<usize> = (0..list.len()).collect();
    places.sort_by_key(|place| list[*place].value);
    let again = places
        .windows(2)
        .filter(|pair| list[pair[0]].value == list[pair[1]].value);
    let mut again: Vec<usize> = again.map(|pair| pair[1]).collect();
    again.sort_unstable();
    again.into_iter().map(|place| &list[place]).collect()
}

/// One warning about all peers that a list has more than once.
fn listed_twice(twice: &[&Located<Peer>], name: &str) -> Option<InputError> {
    let first = twice.first()?;
    let peer = first.value;
    let message = match twice.len() - 1 {
        0 => format!("the peer `{peer}` is listed twice in {name}"),
        more => format!("the peer `{peer}` is listed twice in {name}, and {more} more"),
    };
    Some(InputError::at(first.location.clone(), message))
}

/// The warning about a whitelist with nobody on it. In audit it is how one begins.
fn empty(policy: &Policy) -> Option<InputError> {
    let mut inbound = policy.inbound.iter();
    let mut outbound = policy.outbound.iter();
    // A name stands for somebody, also while it has no address.
    let nobody = inbound
        .all(|entry| entry.from.is_empty() && entry.named.is_empty() && entry.from_node.is_none())
        && outbound
            .all(|entry| entry.to.is_empty() && entry.named.is_empty() && entry.to_node.is_none());
    if !nobody || policy.enforce.value == Enforce::Audit {
        return None;
    }
    let role = &policy.role;
    let message = format!(
        "the whitelist of role `{}` is empty: nobody reaches the container `{}`, and it reaches nobody",
        role.value,
        shown(&policy.container.name.value)
    );
    let error = InputError::at(role.location.clone(), message);
    Some(error.hint(format!(
        "set its peers; `fwdeploy role show {}` lists the variables that name them",
        role.value
    )))
}
