//! What firewalld's zones, forwards and policies do to the flows of the whitelist.
//!
//! Verified with packets on firewalld 0.9.3 to 2.5: a forward counts only in the zone in which the peer arrives; a forward of a zone
//! precedes its rich rules from the next reload on, and a rich rule of lower priority immediately; a packet after DNAT is
//! accepted before every policy; and with the nftables backend what a container sends must also be accepted by its bridge's zone and
//! the policies, whatever iptables has accepted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::desired::Desired;
use crate::model::net::Cidr;
use crate::model::rich::RichRule;
use crate::model::settings::Options;
use crate::model::settings::Settings;
use crate::model::state::Firewalld;
use crate::model::state::NodeState;
use crate::model::state::RichText;
use crate::model::state::View;
use crate::plan::code::FindingCode;
use crate::plan::finding::Finding;
use crate::plan::finding::command;
use crate::plan::ownership::Ours;
use crate::plan::reach::edge;
use crate::plan::reach::edge::Direction;
use crate::plan::reach::edge::Edge;
use crate::plan::reach::edge::peers;
use crate::plan::reach::landing::Binding;
use crate::plan::reach::landing::Landing;
use crate::plan::reach::landing::Share;
use crate::plan::reach::landing::Sources;
use crate::plan::rich_match;
use crate::plan::rich_match::Action;
use crate::plan::rich_match::Flow;
use crate::plan::rich_match::RichMatch;
use crate::plan::rich_match::in_ports;

/// What is known of firewalld's dispatch on this node.
struct Dispatch<'a> {
    firewalld: &'a Firewalld,
    settings: &'a Settings,
    /// The rich rules of the managed zone, which the settings leave out.
    rich: &'a [RichText],
    /// The zone that holds the whitelist's rich rules.
    managed: &'a str,
    ours: &'a Ours,
    sources: Sources<'a>,
    /// The rich rules of each zone that forward a port.
    forwarding: BTreeMap<&'a str, Vec<RichMatch>>,
    /// The rich rules of each policy.
    guarding: BTreeMap<&'a str, Vec<(&'a str, RichMatch)>>,
    interfaces: &'a dyn Fn(Cidr) -> Option<&'a str>,
}

/// All findings of this kind. `interface` is the interface on which a peer's packets arrive, if that is known.
pub(super) fn findings<'a>(
    desired: &'a Desired,
    state: &'a NodeState,
    ours: &'a Ours,
    edges: &[Edge],
    interface: &'a dyn Fn(Cidr) -> Option<&'a str>,
) -> Vec<Finding> {
    let (Some(firewalld), Some(rich), Some(managed)) = (
        state.firewalld.known(),
        state.runtime.rich.known(),
        state.zone.known(),
    ) else {
        return Vec::new();
    };
    let Ok(settings) = state.runtime.settings.as_result() else {
        return Vec::new();
    };
    let dispatch = Dispatch {
        firewalld,
        settings,
        rich,
        managed,
        ours,
        sources: Sources::of(settings),
        forwarding: settings
            .zones
            .iter()
            .map(|(name, zone)| {
                let rules = zone.all("rules_str").map(RichMatch::parse);
                (name.as_str(), rules.filter(RichMatch::forwards).collect())
            })
            .collect(),
        guarding: settings
            .policies
            .iter()
            .map(|(name, policy)| {
                let rules = policy.all("rich_rules");
                let rules = rules.map(|text| (text, RichMatch::parse(text)));
                (name.as_str(), rules.collect())
            })
            .collect(),
        interfaces: interface,
    };
    let mut out = dispatch.other_zones(edges);
    out.extend(dispatch.taken(edges));
    if firewalld.is_nftables() {
        out.extend(dispatch.refused_on_the_way_out(desired, state, edges));
    }
    out
}

fn found(code: FindingCode, text: String) -> Finding {
    Finding::new(code, View::Runtime, text)
}

impl<'a> Dispatch<'a> {
    fn landings(&self, edge: &Edge) -> Vec<Landing<'a>> {
        self.sources
            .landings(edge.peer, (self.interfaces)(edge.peer))
    }

    /// Peers that come in by a zone which does not forward them.
    fn other_zones(&self, edges: &[Edge]) -> Vec<Finding> {
        let mut missed: BTreeMap<Landing<'a>, Vec<&Edge>> = BTreeMap::new();
        for edge in edges.iter().filter(|edge| edge.node_port.is_some()) {
            for landing in self.landings(edge) {
                if landing.zone != self.managed && !self.forwards(landing.zone, edge) {
                    missed.entry(landing).or_default().push(edge);
                }
            }
        }
        let told = missed.into_iter().map(|(landing, edges)| {
            let zone = landing.zone;
            let who = peers(&edges);
            let by = landing.by.text();
            match landing.share {
                Share::Unknown => Finding::new(
                    FindingCode::PeerZoneUnknown,
                    View::Runtime,
                    format!("whether {who} comes in through zone `{zone}` {by} is not known: firewalld does not report everything that is in the set. Zone `{zone}` forwards nothing to the container"),
                ),
                Share::Rest | Share::Part => {
                    let part = if landing.share == Share::Part { "a part of " } else { "" };
                    found(
                        FindingCode::PeerInOtherZone,
                        format!("{part}{who} comes in through zone `{zone}`, {by}, and not through zone `{}`, which has the rules that forward it to the container: it does not get in", self.managed),
                    )
                    .hint(self.way_out(&landing))
                }
            }
        });
        told.collect()
    }

    fn way_out(&self, landing: &Landing<'_>) -> String {
        let zone = landing.zone;
        let unbound = match landing.by {
            Binding::Source(source) => format!(
                "{} (and again with --permanent)",
                command([
                    "firewall-cmd",
                    &format!("--zone={zone}"),
                    &format!("--remove-source={source}")
                ])
            ),
            Binding::Interface(interface) => format!(
                "{} (and again with --permanent)",
                command([
                    "firewall-cmd",
                    &format!("--zone={}", self.managed),
                    &format!("--change-interface={interface}")
                ])
            ),
            Binding::Default => {
                return format!("set fwdeploy_zone to `{zone}` if all peers come in through it");
            }
        };
        format!("{unbound}, or set fwdeploy_zone to `{zone}` if all peers come in through it")
    }

    /// Whether a zone itself forwards a flow to its container, by any rule.
    fn forwards(&self, zone: &str, edge: &Edge) -> bool {
        let there = |port: Option<u16>, to: Option<IpAddr>| {
            to == Some(edge.container)
                && edge.port == port.or(edge.node_port.map(crate::model::net::Port::get))
        };
        let flow = arriving(edge);
        let rules = self.forwarding.get(zone).into_iter().flatten();
        let by_rule = rules.into_iter().any(|rule| {
            rule.matched(&flow, self.settings).is_some_and(|matched| {
                matched.certain
                    && matches!(matched.action, Action::Forward(port, to) if there(port, to))
            })
        });
        let options = self.settings.zones.get(zone);
        by_rule
            || options.is_some_and(|options| {
                let forwards = options
                    .all("forward_ports")
                    .filter_map(|t| forward(t, &flow));
                forwards.into_iter().any(|(port, to)| there(port, to))
            })
    }

    /// Forwards of others that take a whitelisted port to somewhere else.
    fn taken(&self, edges: &[Edge]) -> Vec<Finding> {
        let mut taken: BTreeMap<(&str, bool), Vec<&Edge>> = BTreeMap::new();
        let rivals = self.rivals();
        if rivals.is_empty() {
            return Vec::new();
        }
        // In another zone nothing managed competes; if the zone is not known, it is assumed to be the managed one.
        let here = |edge: &Edge| {
            let landings = self.landings(edge);
            landings.is_empty() || landings.iter().any(|landing| landing.zone == self.managed)
        };
        for edge in edges
            .iter()
            .filter(|edge| edge.node_port.is_some() && here(edge))
        {
            let own = (edge.port, Some(edge.container));
            for rival in &rivals {
                if let Some((to, certain)) = rival.to(edge, self.settings)
                    && to != own
                {
                    taken.entry((&rival.text, certain)).or_default().push(edge);
                }
            }
        }
        let told = taken.into_iter().map(|((text, certain), edges)| {
            let when = if certain {
                "takes precedence over the whitelist's own forward"
            } else {
                "takes precedence over the whitelist's own forward whenever firewalld loads it first, at the next reload at the latest"
            };
            found(
                FindingCode::ForwardTaken,
                format!("{text} forwards the same port elsewhere and {when}: {} reaches another destination than the container", peers(&edges)),
            )
            .hint("remove that forward, or give the role another port of the node (`port` with `to_port`)")
        });
        told.collect()
    }

    /// Every forward of the managed zone, and of the policies in front of the node, that is not ours.
    fn rivals(&self) -> Vec<Rival> {
        let mut out = Vec::new();
        let mut add = |whose: &str, text: &str, ahead: bool, rich: Option<&RichRule>| {
            let (kind, what) = match rich {
                None => ("forward port", What::Port(text.to_string())),
                Some(rule) if self.ours.rich(rule) => return,
                Some(_) => {
                    let rule = RichMatch::parse(text);
                    if !rule.forwards() {
                        return;
                    }
                    ("rich rule", What::Rich(rule))
                }
            };
            out.push(Rival {
                text: format!("{kind} `{text}` of {whose}"),
                what,
                ahead,
            });
        };
        let whose = format!("zone `{}`", self.managed);
        if let Some(options) = self.settings.zones.get(self.managed) {
            for text in options.all("forward_ports") {
                add(&whose, text, false, None);
            }
        }
        for rule in self.rich {
            add(&whose, &rule.text, false, Some(&rule.rule));
        }
        for (name, policy) in &self.settings.policies {
            let from =
                policy.has("ingress_zones", self.managed) || policy.has("ingress_zones", "ANY");
            if !from || !policy.has("egress_zones", "HOST") || policy.has("disable", "yes") {
                continue;
            }
            let (whose, ahead) = (format!("policy `{name}`"), priority(policy) < 0);
            for text in policy.all("forward_ports") {
                add(&whose, text, ahead, None);
            }
            for text in policy.all("rich_rules") {
                add(&whose, text, ahead, Some(&RichRule::parse(text)));
            }
        }
        out
    }

    /// With its nftables backend firewalld decides itself about what a bridge sends, after iptables: an accept there is not
    /// final.
    fn refused_on_the_way_out(
        &self,
        desired: &Desired,
        state: &NodeState,
        edges: &[Edge],
    ) -> Vec<Finding> {
        let Some(docker) = state.docker.known() else {
            return Vec::new();
        };
        let mut refused: BTreeMap<String, Vec<&Edge>> = BTreeMap::new();
        for edge in edges.iter().filter(|edge| edge.direction == Direction::Out) {
            let attachment = edge::attachment(desired, edge.container);
            let bridge = attachment
                .and_then(|attachment| docker.network(&attachment.network))
                .map(|network| network.bridge.as_str())
                .filter(|bridge| !bridge.is_empty());
            // A bridge in no zone is another finding (`bridge-unzoned`).
            let Some(zone) = bridge.and_then(|bridge| self.settings.zone_of_interface(bridge))
            else {
                continue;
            };
            if let Some(why) = self.refuses(zone, edge) {
                refused.entry(why).or_default().push(edge);
            }
        }
        let told = refused.into_iter().map(|(why, edges)| {
            found(
                FindingCode::RefusedByFirewalld,
                format!("{why}: the container does not reach {}", peers(&edges)),
            )
            .hint("firewalld's nftables backend decides last about what a bridge sends: change that policy, or bind the bridge to a zone with target ACCEPT, such as `docker`")
        });
        told.collect()
    }

    /// What refuses a flow that a bridge of this zone sends; `None` if it passes.
    fn refuses(&self, zone: &str, edge: &Edge) -> Option<String> {
        let landings = self.landings(edge);
        let to: Vec<&str> = landings
            .iter()
            .filter(|landing| landing.share == Share::Rest)
            .map(|landing| landing.zone)
            .collect();
        let flow = leaving(edge);
        let mut policies: Vec<(&String, &Options)> = self
            .settings
            .policies
            .iter()
            .filter(|(_, policy)| self.is_between(policy, zone, &to))
            .collect();
        policies.sort_by_key(|(_, policy)| priority(policy));
        for (name, policy) in policies {
            match judged(self.settings, policy, &self.guarding[name.as_str()], &flow) {
                RuleVerdict::Passes => return None,
                RuleVerdict::Refused(why) => return Some(format!("policy `{name}` {why}")),
                RuleVerdict::GoesOn => {}
            }
        }
        let options = self.settings.zones.get(zone)?;
        let within = options.has("forward", "yes") && to.contains(&zone);
        (options.one("target") != "ACCEPT" && !within).then(|| {
            let target = Some(options.one("target")).filter(|t| !t.is_empty());
            format!(
                "zone `{zone}` of the container's bridge has target `{}`, which lets nothing through",
                target.unwrap_or("default")
            )
        })
    }

    fn is_between(&self, policy: &Options, from: &str, to: &[&str]) -> bool {
        // firewalld before 2.0 leaves out a policy to a zone that nothing is bound to by name, as often the default zone.
        let bound = |zone: &str| {
            self.firewalld.major_minor() >= (2, 0) || self.firewalld.active_zones.contains_key(zone)
        };
        let into = policy.has("egress_zones", "ANY")
            || to
                .iter()
                .any(|zone| policy.has("egress_zones", zone) && bound(zone));
        let out_of = policy.has("ingress_zones", "ANY") || policy.has("ingress_zones", from);
        out_of && into && !policy.has("disable", "yes")
    }
}

/// firewalld's default for a policy (firewalld.policies(5)).
fn priority(policy: &Options) -> i64 {
    policy.one("priority").parse().unwrap_or(-1)
}

/// The first packet of an inbound flow as PREROUTING sees it.
fn arriving(edge: &Edge) -> Flow<'_> {
    Flow {
        family: edge.family,
        source: edge.peer,
        destination: None,
        protocol: edge.protocol.as_deref(),
        port: edge.node_port.map(crate::model::net::Port::get),
    }
}

/// The first packet of an outbound flow as FORWARD sees it.
fn leaving(edge: &Edge) -> Flow<'_> {
    Flow {
        family: edge.family,
        source: Cidr::host(edge.container),
        destination: Some(edge.peer),
        protocol: edge.protocol.as_deref(),
        port: edge.port,
    }
}

/// Where `port=5000:proto=tcp:toport=22:toaddr=10.0.0.1` sends a flow; `None` if it is not about it.
fn forward(text: &str, flow: &Flow<'_>) -> Option<Place> {
    // An IPv6 address contains colons, and is last.
    let (text, to) = match text.split_once(":toaddr=") {
        Some((text, to)) => (text, Some(to)),
        None => (text, None),
    };
    let told = |key: &str| text.split(':').find_map(|word| word.strip_prefix(key));
    let meant = flow.protocol == told("proto=")
        && in_ports(told("port=").unwrap_or_default(), flow.port?).unwrap_or(true);
    meant.then(|| {
        (
            told("toport=").and_then(|port| port.parse().ok()),
            to.and_then(|to| to.parse().ok()),
        )
    })
}

/// Where a forward sends: a port, and an address; no address is the node itself.
type Place = (Option<u16>, Option<IpAddr>);

enum What {
    /// A forward of a zone or policy, in firewall-cmd's words.
    Port(String),
    Rich(RichMatch),
}

/// A foreign forward.
struct Rival {
    text: String,
    what: What,
    /// Whether all of its policy precedes the zone's rules.
    ahead: bool,
}

impl Rival {
    /// Where it sends a flow (a port and an address), and whether it certainly takes precedence over the managed one; `None` if it does
    /// not match the flow.
    fn to(&self, edge: &Edge, settings: &Settings) -> Option<(Place, bool)> {
        let flow = arriving(edge);
        let same = |port: Option<u16>| port.or(flow.port);
        match &self.what {
            What::Port(text) => {
                forward(text, &flow).map(|(port, to)| ((same(port), to), self.ahead))
            }
            What::Rich(rule) => {
                let matched = rule.matched(&flow, settings)?;
                let Action::Forward(port, to) = matched.action else {
                    return None;
                };
                let ahead = self.ahead || (matched.priority < 0 && matched.certain);
                Some(((same(port), to), ahead))
            }
        }
    }
}

enum RuleVerdict {
    Passes,
    Refused(String),
    GoesOn,
}

/// What a policy does to a flow: rich rules by priority, of equal priority those that refuse first; services and ports among those
/// that accept at priority 0; the target last.
fn judged(
    settings: &Settings,
    policy: &Options,
    rules: &[(&str, RichMatch)],
    flow: &Flow<'_>,
) -> RuleVerdict {
    // Priority, what accepts behind what refuses, certain, and the rule if it refuses.
    let mut parts: Vec<(i64, bool, bool, Option<&str>)> = Vec::new();
    for (text, rule) in rules {
        if let Some(matched) = rule.matched(flow, settings) {
            match matched.action {
                Action::Accept => parts.push((matched.priority, true, matched.certain, None)),
                Action::Refuse => {
                    parts.push((matched.priority, false, matched.certain, Some(text)));
                }
                // A forward is not a verdict in FORWARD.
                Action::Forward(..) => {}
            }
        }
    }
    let met = |holds: Option<bool>| (holds != Some(false)).then_some(holds == Some(true));
    let services = policy.all("services");
    let services = services.filter_map(|name| met(rich_match::serves(settings, name, flow)));
    let ports = policy.all("ports");
    let ports = ports.filter_map(|port| met(rich_match::is_port(port, flow)));
    let whole = policy
        .all("protocols")
        .map(|name| flow.protocol.map(|own| own == name));
    let whole = whole.filter_map(met);
    let source_ports = policy.all("source_ports").filter_map(|_| met(None));
    for certain in services.chain(ports).chain(whole).chain(source_ports) {
        parts.push((0, true, certain, None));
    }
    parts.sort_by_key(|(priority, accepts, ..)| (*priority, *accepts));
    for (_, _, certain, refused) in parts {
        match refused {
            None if certain => return RuleVerdict::Passes,
            None => {}
            Some(text) => {
                let perhaps = if certain { "" } else { "may refuse it: " };
                return RuleVerdict::Refused(format!("{perhaps}has the rich rule `{text}`"));
            }
        }
    }
    match policy.one("target") {
        "ACCEPT" => RuleVerdict::Passes,
        target @ ("REJECT" | "DROP" | "%%REJECT%%") => {
            RuleVerdict::Refused(format!("has target `{}`", target.trim_matches('%')))
        }
        _ => RuleVerdict::GoesOn,
    }
}

#[cfg(test)]
mod tests;
