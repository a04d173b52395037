//! What a zone, and the policies in front of the node, ask a new ssh connection.

use crate::model::settings::Options;
use crate::model::settings::Settings;
use crate::model::state::RichText;
use crate::plan::rich_match::in_ports;
use crate::plan::rich_match::is_port;
use crate::plan::rich_match::serves;

use super::rich;
use super::visit::Effect;
use super::visit::Part;
use super::visit::Visit;

/// A part with its place: priority, then parts that refuse before parts that accept (firewalld.richlanguage(5)).
type Placed = (i64, bool, Part);

/// What the visit is asked from the policies to the zone's target.
pub(super) fn parts(
    settings: &Settings,
    zone: &str,
    rich: &[RichText],
    visit: &Visit,
) -> Vec<Part> {
    let none = Options::default();
    let options = settings.zones.get(zone).unwrap_or(&none);
    let whose = format!("zone `{zone}`");
    let kept = rich.iter().map(|rule| rule.text.as_str());
    let rules = options.all("rules_str").chain(kept);
    let (mut ahead, mut behind): (Vec<_>, Vec<_>) = settings
        .policies
        .iter()
        .filter(|(_, policy)| guards(policy, zone))
        .map(|(name, policy)| (priority(policy), name, policy))
        .partition(|(priority, ..)| *priority < 0);
    ahead.sort_by_key(|(priority, ..)| *priority);
    behind.sort_by_key(|(priority, ..)| *priority);
    let policy = |(_, name, policy): (i64, &String, &Options)| -> Vec<Part> {
        let whose = format!("policy `{name}`");
        let mut parts = placed(settings, &whose, policy, policy.all("rich_rules"), visit);
        match policy.one("target") {
            "ACCEPT" => parts.push(Part::opens(format!("{whose} accepts everything"), true)),
            "REJECT" | "DROP" | "%%REJECT%%" => {
                parts.push(Part::shuts(lack(&whose, policy, visit), true));
            }
            _ => {}
        }
        // firewalld before 2.0 leaves out a policy of the default zone while nothing is bound to that zone by name.
        for part in &mut parts {
            part.certain &= policy.has("ingress_zones", "ANY");
        }
        parts
    };
    let mut out: Vec<Part> = ahead.into_iter().flat_map(policy).collect();
    out.extend(placed(settings, &whose, options, rules, visit));
    out.extend(behind.into_iter().flat_map(policy));
    out.push(match options.one("target") {
        "ACCEPT" => Part::opens(format!("{whose} accepts everything"), true),
        _ => Part::shuts(lack(&whose, options, visit), true),
    });
    out
}

/// Whether a policy is asked about what comes from a zone to the node itself.
fn guards(policy: &Options, zone: &str) -> bool {
    let from = policy.has("ingress_zones", zone) || policy.has("ingress_zones", "ANY");
    from && policy.has("egress_zones", "HOST") && !policy.has("disable", "yes")
}

/// Below 0 a policy precedes the zone.
fn priority(policy: &Options) -> i64 {
    policy.one("priority").parse().unwrap_or(-1)
}

fn lack(whose: &str, options: &Options, visit: &Visit) -> String {
    let target = match options.one("target") {
        "" => "default",
        target => target,
    };
    let service = if visit.port == 22 {
        "service `ssh`".to_string()
    } else {
        format!("a service with port {}/tcp", visit.port)
    };
    format!(
        "{whose} has neither {service} nor port {}/tcp, and its target is `{target}`",
        visit.port
    )
}

/// Everything in a zone or policy but its target, in firewalld's order.
fn placed<'a>(
    settings: &Settings,
    whose: &str,
    options: &Options,
    rules: impl Iterator<Item = &'a str>,
    visit: &Visit,
) -> Vec<Part> {
    let flow = visit.flow();
    let mut out: Vec<Placed> = Vec::new();
    for forward in options.all("forward_ports") {
        let told = |key: &str| forward.split(':').find_map(|word| word.strip_prefix(key));
        let ours = told("proto=") == Some("tcp");
        if let Some(certain) = ours
            .then(|| in_ports(told("port=").unwrap_or_default(), visit.port))
            .and_then(met)
        {
            let text = format!("forward port `{forward}` of {whose} sends it elsewhere");
            out.push((i64::MIN, false, Part::shuts(text, certain)));
        }
    }
    for text in rules {
        if let Some(judged) = rich::judge(text, visit, settings) {
            let does = match judged.effect {
                Effect::Opens => "lets it in",
                Effect::Shuts => "refuses it",
            };
            let part = Part {
                text: format!("rich rule `{text}` of {whose} {does}"),
                effect: judged.effect,
                certain: judged.certain,
            };
            out.push((judged.priority, judged.effect == Effect::Opens, part));
        }
    }
    let open = |what: String, holds: Option<bool>| {
        let part = Part::opens(format!("{what} of {whose} lets it in"), met(holds)?);
        Some((0, true, part))
    };
    let services = options.all("services");
    out.extend(
        services
            .filter_map(|name| open(format!("service `{name}`"), serves(settings, name, &flow))),
    );
    let ports = options.all("ports");
    out.extend(ports.filter_map(|port| open(format!("port `{port}`"), is_port(port, &flow))));
    if options.has("protocols", "tcp") {
        out.extend(open("protocol `tcp`".to_string(), Some(true)));
    }
    let sources = options.all("source_ports").filter(|p| p.ends_with("/tcp"));
    out.extend(sources.filter_map(|port| open(format!("source port `{port}`"), None)));
    out.sort_by_key(|(priority, opens, _)| (*priority, *opens));
    out.into_iter().map(|(.., part)| part).collect()
}

/// Whether a condition counts, and if so whether it is certain: an unknown one counts as uncertain.
fn met(holds: Option<bool>) -> Option<bool> {
    match holds {
        Some(false) => None,
        Some(true) => Some(true),
        None => Some(false),
    }
}
