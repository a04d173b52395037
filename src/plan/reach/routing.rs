//! Routing, and the options of a Docker network by which no packet gets in or out whatever the rules say.

use super::edge::Direction;
use super::flows::Flows;
use super::walk::Walk;
use super::world::World;
use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::ranges::Ranges;
use crate::model::state::Network;
use crate::model::state::Observed;
use crate::model::state::View;
use crate::model::step::Act;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;

/// What was found about them, and what could not be found out.
pub(super) fn findings(flows: &[Flows], world: &World) -> Vec<Finding> {
    let mut out = not_judged(world);
    if let Some(docker) = world.docker {
        let wanted = world.desired.networks.iter();
        let there = wanted.filter_map(|wanted| docker.network(&wanted.name));
        for network in there {
            out.extend(options(network));
            out.extend(unmasked(network, flows, world));
        }
    }
    let Some(routing) = world.state.system.networking.routing.known() else {
        return out;
    };
    let v6 = flows.iter().any(|flow| flow.family == Family::V6);
    if v6 && routing.forwarding6 == Some(false) {
        out.push(
            Finding::new(
                FindingCode::NoForwarding,
                View::Kernel,
                "net.ipv6.conf.all.forwarding is 0: over IPv6 nothing reaches a container, whitelisted or not",
            )
            .hint("sysctl -w net.ipv6.conf.all.forwarding=1, and see what turned it off"),
        );
    }
    for rule in &routing.rules {
        if let Some(flow) = flows.iter().find(|flow| turns(rule, flow, world)) {
            let strict = match routing.strict.as_slice() {
                [] => String::new(),
                devices => format!(
                    " (the reverse path filter of {} is strict)",
                    devices.join(", ")
                ),
            };
            out.push(
                Finding::new(
                    FindingCode::PolicyRouting,
                    View::Kernel,
                    format!(
                        "`{rule}` routes {} separately: fwdeploy does not check whether the peer is reached and its answers come back{strict}",
                        flow.named(&flow.peers)
                    ),
                )
                .hint("check `ip route get` for the peer, from the container's address and to it"),
            );
        }
    }
    out
}

/// Whether a routing rule is about the packets of a flow by their addresses or their bridge. Rules for all packets lead to
/// tables that answer for theirs, and rules for marks are about marked ones.
fn turns(rule: &str, flow: &Flows, world: &World) -> bool {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let after = |word: &str| {
        let at = words.iter().position(|w| *w == word)?;
        words.get(at + 1).copied()
    };
    if words.contains(&"fwmark") || words.contains(&"not") {
        return false;
    }
    let net = |text: &str| text.parse::<Cidr>().ok();
    let own = |net: Cidr| net.contains(&flow.container);
    let theirs = |net: Cidr| !flow.peers.and(&Ranges::of(flow.family, [net])).is_empty();
    let from = after("from").and_then(net);
    let to = after("to").and_then(net);
    let bridge = after("iif")
        .is_some_and(|name| world.bridge(flow.container) == super::walk::Device::Bridge(name));
    let family = [from, to]
        .into_iter()
        .flatten()
        .all(|net| net.family() == flow.family);
    family
        && (bridge
            || from.is_some_and(|net| own(net) || theirs(net))
            || to.is_some_and(|net| own(net) || theirs(net)))
}

/// Options of Docker's bridge driver that close a network, or that leave its containers without a way.
fn options(network: &Network) -> Vec<Finding> {
    let option = |name: &str| {
        let full = format!("com.docker.network.bridge.{name}");
        network.options.get(&full).map(String::as_str)
    };
    let warn = |text: String| {
        Finding::new(FindingCode::NetworkOption, View::Docker, text).hint(
            "recreate the network without the option (--replace-network), if it is not wanted",
        )
    };
    let mut out = Vec::new();
    for name in ["gateway_mode_ipv4", "gateway_mode_ipv6"] {
        match option(name) {
            Some("isolated") => out.push(warn(format!(
                "network `{}` has {name}=isolated: nothing gets in or out, whitelisted or not",
                network.name
            ))),
            Some("routed") => out.push(warn(format!(
                "network `{}` has {name}=routed: its containers send from their own addresses, which only hosts with a route to them can answer",
                network.name
            ))),
            _ => {}
        }
    }
    if option("inhibit_ipv4") == Some("true") {
        out.push(warn(format!(
            "network `{}` has inhibit_ipv4=true: its bridge has no address, so its containers have no route out unless another host is their gateway",
            network.name
        )));
    }
    out
}

/// A network that Docker was told not to masquerade, where nobody else does it.
fn unmasked(network: &Network, flows: &[Flows], world: &World) -> Option<Finding> {
    let told = network
        .options
        .get("com.docker.network.bridge.enable_ip_masquerade");
    if told.map(String::as_str) != Some("false") {
        return None;
    }
    let of_network = |flow: &&Flows| {
        flow.direction == Direction::Out
            && network
                .subnets
                .iter()
                .any(|net| net.contains(&flow.container))
    };
    let flow = flows.iter().find(of_network)?;
    let legs = flow.legs(world);
    let leg = legs.iter().find(|leg| leg.hook == "postrouting")?;
    let masks = world
        .at("postrouting", flow.family)
        .filter(|base| base.hook.kind == "nat")
        .any(|base| {
            let mut walk = Walk::new(&world.tables[base.chains], &leg.packets);
            walk.enter(&base.chain, flow.peers.clone());
            walk.met.iter().any(|met| met.step.act == Act::Snat)
        });
    (!masks).then(|| {
        Finding::new(
            FindingCode::NoMasquerade,
            View::Docker,
            format!(
                "network `{}` has enable_ip_masquerade=false and nothing else masquerades it: {} can answer its containers only with a route to {}",
                network.name,
                flow.named(&flow.peers),
                network.subnets.iter().map(Cidr::to_string).collect::<Vec<_>>().join(", ")
            ),
        )
        .hint("recreate the network without the option (--replace-network), if the peers have no such route")
    })
}

/// What the node did not tell, so that nobody takes it for fine.
fn not_judged(world: &World) -> Vec<Finding> {
    let networking = &world.state.system.networking;
    if networking.is_not_asked() {
        return Vec::new();
    }
    fn why<T>(what: &str, seen: &Observed<T>) -> Option<Finding> {
        let why = seen.as_result().err()?;
        let text = format!(
            "{what} could not be read, so their effect on the whitelisted flows is not checked: {why}"
        );
        Some(
            Finding::new(FindingCode::NotJudged, View::Kernel, text)
                .hint(format!("see `{}` on the node", what_shows(what))),
        )
    }
    [
        why("the node's listeners", &networking.listeners),
        why("its routing rules", &networking.routing),
        why("the sets that iptables rules use", &networking.sets),
        why("the tables of nft", &networking.nft),
        why(
            "the tables of the other iptables backend",
            &networking.other,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The command that shows it.
fn what_shows(what: &str) -> &'static str {
    match what {
        "the node's listeners" => "ss -lntup",
        "its routing rules" => "ip rule",
        "the sets that iptables rules use" => "ipset list",
        "the tables of nft" => "nft list ruleset",
        _ => "iptables-legacy-save",
    }
}
