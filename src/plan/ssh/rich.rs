//! What a rich rule (firewalld.richlanguage(5)) does to a new ssh connection.

use std::net::IpAddr;

use crate::model::net::Cidr;
use crate::model::net::Family;
use crate::model::rich::words_of;

use super::Effect;
use super::Visit;
use super::zone::in_ports;

/// A rich rule that the visit may meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    pub priority: i64,
    pub effect: Effect,
    pub certain: bool,
}

/// Judges a rule; `None` if it does nothing to the visit. `serves` tells whether a service is about the visit's port.
///
/// A word that is not understood makes the rule uncertain, never meaningless.
pub(super) fn judge(
    text: &str,
    visit: &Visit,
    serves: &dyn Fn(&str) -> Option<bool>,
) -> Option<Judged> {
    let mut priority = 0;
    let mut effect = None;
    let mut within = String::new();
    let mut negated = false;
    let mut conditions: Vec<Option<bool>> = Vec::new();
    for (key, value) in words_of(text) {
        let Some(value) = value else {
            match key.to_lowercase().as_str() {
                "rule" => {}
                "not" => negated = true,
                "accept" => effect = Some(Effect::Opens),
                "reject" | "drop" => effect = Some(Effect::Shuts),
                // The packet goes to the container, or wherever.
                "forward-port" => effect = Some(Effect::Shuts),
                // How often a rule is met says nothing about this packet; how often a log is written says nothing at all.
                "limit" if effect.is_some() => conditions.push(None),
                "icmp-block" | "icmp-type" | "masquerade" | "tcp-mss-clamp" => {
                    conditions.push(Some(false));
                }
                "source" | "destination" | "service" | "port" | "protocol" | "source-port"
                | "log" | "nflog" | "audit" | "limit" | "mark" => {}
                _ => conditions.push(None),
            }
            if key != "rule" && !key.eq_ignore_ascii_case("not") {
                within = key;
            }
            continue;
        };
        match (within.as_str(), key.as_str()) {
            ("", "priority") => priority = value.parse().ok()?,
            ("", "family") => conditions.push(Some(value == Family::of(&visit.peer).name())),
            ("source", _) => conditions.push(address(&key, &value, visit.peer, negated)),
            ("destination", _) => conditions.push(address(&key, &value, visit.server, negated)),
            ("service", "name") => conditions.push(serves(&value)),
            ("port" | "forward-port", "port") => conditions.push(in_ports(&value, visit.port)),
            ("port" | "forward-port" | "source-port", "protocol") | ("protocol", "value") => {
                conditions.push(Some(value == "tcp"));
            }
            ("source-port", "port") => conditions.push(None),
            ("log" | "nflog" | "audit" | "limit" | "mark" | "reject" | "forward-port", _) => {}
            ("icmp-block" | "icmp-type" | "tcp-mss-clamp", _) => {}
            _ => conditions.push(None),
        }
        negated = false;
    }
    let met = !conditions.contains(&Some(false));
    Some(Judged {
        priority,
        effect: effect.filter(|_| met)?,
        certain: !conditions.contains(&None),
    })
}

/// Whether an address is meant; `None` for sets and for devices' own addresses.
fn address(key: &str, value: &str, address: IpAddr, negated: bool) -> Option<bool> {
    let net: Cidr = (key == "address").then(|| value.parse().ok()).flatten()?;
    Some(net.contains(&address) != negated)
}
