//! What a rich rule (firewalld.richlanguage(5)), a service or a port of firewalld does to a new flow.

use std::net::IpAddr;

use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rich::words_of;
use crate::model::settings::Settings;

/// What a rich rule does with the packets that it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// It lets them through.
    Accept,
    /// It refuses or drops them.
    Refuse,
    /// It sends them to this port of this address: no address is the node itself, no port is the same port.
    Forward(Option<u16>, Option<IpAddr>),
}

/// A rich rule that matches a flow, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matched {
    /// Its priority; lower goes first.
    pub(super) priority: i64,
    /// Its effect.
    pub(super) action: Action,
    /// Whether it is certain that it matches.
    pub(super) certain: bool,
}

/// The first packet of a flow, as a chain of firewalld sees it.
#[derive(Debug, Clone)]
pub(super) struct Flow<'a> {
    /// The address family.
    pub(super) family: Family,
    /// Its source.
    pub(super) source: Cidr,
    /// Its destination; `None` is some address of the node.
    pub(super) destination: Option<Cidr>,
    /// The protocol; `None` is any.
    pub(super) protocol: Option<&'a str>,
    /// The port that it goes to; `None` is any.
    pub(super) port: Option<u16>,
}

/// A rich rule, read once to be matched with many flows.
#[derive(Debug, Clone)]
pub(super) struct RichMatch {
    priority: i64,
    action: Option<Action>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
enum Condition {
    Family(String),
    /// Whether it is negated comes last.
    Source(Cidr, bool),
    Destination(Cidr, bool),
    /// From an address in a set.
    Set(String, bool),
    Service(String),
    Port(String),
    Protocol(String),
    /// It is never the first packet of a flow.
    Never,
    /// It is not understood, so it may match or not.
    Unknown,
}

impl RichMatch {
    /// Reads a rule. A word that is not understood makes each match uncertain, never the rule meaningless.
    pub(super) fn parse(text: &str) -> Self {
        let mut rule = RichMatch {
            priority: 0,
            action: None,
            conditions: Vec::new(),
        };
        let mut within = String::new();
        let mut negated = false;
        for (key, value) in words_of(text) {
            match value {
                None if key.eq_ignore_ascii_case("not") => negated = true,
                None => {
                    rule.element(&key);
                    if key != "rule" {
                        within = key;
                    }
                }
                Some(value) => {
                    rule.attribute(&within, &key, value, negated);
                    negated = false;
                }
            }
        }
        rule
    }

    fn element(&mut self, key: &str) {
        match key.to_lowercase().as_str() {
            "accept" => self.action = Some(Action::Accept),
            "reject" | "drop" => self.action = Some(Action::Refuse),
            "forward-port" => self.action = Some(Action::Forward(None, None)),
            // A limit decides how often a rule matches, unless it is the limit of a log.
            "limit" if self.action.is_some() => self.conditions.push(Condition::Unknown),
            "icmp-block" | "icmp-type" | "masquerade" | "tcp-mss-clamp" => {
                self.conditions.push(Condition::Never);
            }
            "rule" | "source" | "destination" | "service" | "port" | "protocol" | "source-port"
            | "log" | "nflog" | "audit" | "limit" | "mark" => {}
            _ => self.conditions.push(Condition::Unknown),
        }
    }

    fn attribute(&mut self, within: &str, key: &str, value: String, negated: bool) {
        let address = |make: fn(Cidr, bool) -> Condition| {
            let net = value.parse();
            net.map_or(Condition::Unknown, |net| make(net, negated))
        };
        let condition = match (within, key) {
            ("", "priority") => match value.parse() {
                Ok(priority) => {
                    self.priority = priority;
                    return;
                }
                Err(_) => Condition::Unknown,
            },
            ("", "family") => Condition::Family(value),
            ("source", "address") => address(Condition::Source),
            ("source", "ipset") => Condition::Set(value, negated),
            ("destination", "address") => address(Condition::Destination),
            ("service", "name") => Condition::Service(value),
            ("port" | "forward-port", "port") => Condition::Port(value),
            ("port" | "forward-port" | "source-port", "protocol") | ("protocol", "value") => {
                Condition::Protocol(value)
            }
            ("forward-port", "to-port" | "to-addr") => {
                if let Some(Action::Forward(port, to)) = &mut self.action {
                    match key {
                        "to-port" => *port = value.parse().ok(),
                        _ => *to = value.parse().ok(),
                    }
                }
                return;
            }
            ("log" | "nflog" | "audit" | "limit" | "mark" | "reject", _)
            | ("icmp-block" | "icmp-type" | "tcp-mss-clamp", _) => return,
            _ => Condition::Unknown,
        };
        self.conditions.push(condition);
    }

    /// Matches the rule with a flow; `None` if it does nothing to it.
    pub(super) fn matched(&self, flow: &Flow<'_>, settings: &Settings) -> Option<Matched> {
        let action = self.action.clone()?;
        let mut certain = true;
        for condition in &self.conditions {
            match condition.holds(flow, settings) {
                Some(true) => {}
                Some(false) => return None,
                None => certain = false,
            }
        }
        Some(Matched {
            priority: self.priority,
            action,
            certain,
        })
    }

    /// Whether it forwards a port.
    pub(super) fn forwards(&self) -> bool {
        matches!(self.action, Some(Action::Forward(..)))
    }
}

impl Condition {
    fn holds(&self, flow: &Flow<'_>, settings: &Settings) -> Option<bool> {
        match self {
            Condition::Family(name) => Some(name == flow.family.name()),
            Condition::Source(net, negated) => inside(flow.source, *net, *negated),
            Condition::Destination(net, negated) => inside(flow.destination?, *net, *negated),
            Condition::Set(name, negated) => in_set(settings, name, flow.source, *negated),
            Condition::Service(name) => serves(settings, name, flow),
            Condition::Port(ports) => in_ports(ports, flow.port?),
            Condition::Protocol(name) => flow.protocol.map(|own| own == name),
            Condition::Never => Some(false),
            Condition::Unknown => None,
        }
    }
}

/// Whether all addresses of `these` are in `net` (with `negated`, outside it); `None` if only some are.
fn inside(these: Cidr, net: Cidr, negated: bool) -> Option<bool> {
    if net.covers(these) {
        Some(!negated)
    } else if net.overlaps(these) {
        None
    } else {
        Some(negated)
    }
}

/// Whether all of these addresses are in the set (with `negated`, outside it); `None` if only some are, or if it is not known.
fn in_set(settings: &Settings, name: &str, these: Cidr, negated: bool) -> Option<bool> {
    let set = settings.sets.get(name)?;
    if set.nets.iter().any(|net| net.covers(these)) {
        return Some(!negated);
    }
    let may_hold = set.more || set.nets.iter().any(|net| net.overlaps(these));
    (!may_hold).then_some(negated)
}

/// Whether a port is in `22` or `20-30`; `None` if that is neither.
pub(super) fn in_ports(text: &str, port: u16) -> Option<bool> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    Some((first..=last).contains(&port))
}

/// Whether `22/tcp` or `20-30/tcp` is about the flow; `None` if it may be.
pub(super) fn is_port(text: &str, flow: &Flow<'_>) -> Option<bool> {
    let (ports, protocol) = text.rsplit_once('/')?;
    match flow.protocol {
        Some(own) if own != protocol => Some(false),
        Some(_) => in_ports(ports, flow.port?),
        None => None,
    }
}

/// Whether a service includes the flow; `None` if it is not known.
///
/// A service that was not changed on the node is not queried: it is as the distribution ships it, and of those only
/// `ssh` has port 22.
pub(super) fn serves(settings: &Settings, name: &str, flow: &Flow<'_>) -> Option<bool> {
    let port = flow.port.filter(|_| flow.protocol == Some("tcp"));
    let Some(service) = settings.services.get(name) else {
        return match (name, port) {
            ("ssh", Some(port)) => Some(port == 22),
            (_, Some(22)) => Some(false),
            _ => None,
        };
    };
    let ports: Vec<Option<bool>> = service.all("ports").map(|p| is_port(p, flow)).collect();
    let limited = service.keys().any(|key| key == "destination");
    let whole = flow
        .protocol
        .is_some_and(|own| service.has("protocols", own));
    if !limited && (ports.contains(&Some(true)) || whole) {
        return Some(true);
    }
    let plain = service.keys().all(|key| {
        matches!(
            key,
            "ports" | "protocols" | "modules" | "helpers" | "source_ports"
        )
    });
    (plain && !ports.contains(&None)).then_some(false)
}
