//! Whether the ssh peer of this connection could open a new connection after a reload.
//!
//! What firewalld evaluates for such a connection, in its order, is a list of parts for each view: direct rules, policies,
//! the zone. The common beginning of both lists is not changed by a reload. From the first difference on, the permanent list must let
//! the peer in, and what cannot be determined counts against it.

mod direct;
mod rich;
mod visit;
mod zone;

use crate::model::net::Cidr;
use crate::model::settings::Settings;
use crate::model::state::System;
use crate::plan::views::Side;
use crate::plan::views::Views;

use visit::Effect;
use visit::Part;
use visit::Visit;

/// Why the peer could not open a new connection after a reload, as a sentence; `None` if it could, or if a reload changes
/// nothing for it.
pub(super) fn lost(system: &System, backend: &str, views: &Views<'_>) -> Option<String> {
    let visit = match Visit::of(system)? {
        Ok(visit) => visit,
        Err(why) => return Some(why),
    };
    let (permanent, runtime) = match (views.permanent.settings, views.runtime.settings) {
        (Ok(permanent), Ok(runtime)) => (permanent, runtime),
        (Err(why), _) | (_, Err(why)) => {
            return Some(format!(
                "cannot determine whether {} could open a new ssh connection: {why}",
                visit.peer
            ));
        }
    };
    let bound = visit.interface.as_deref();
    let bound = bound.and_then(|interface| runtime.zone_of_interface(interface));
    let now = zones(runtime, &visit, None);
    let then = zones(permanent, &visit, bound);
    then.into_iter().find_map(|zone| {
        let same = now.iter().find(|name| **name == zone).or(now.first())?;
        let before = parts(&views.runtime, runtime, views.zone, backend, same, &visit);
        let after = parts(
            &views.permanent,
            permanent,
            views.zone,
            backend,
            zone,
            &visit,
        );
        let part = closed(&before, &after)?;
        let perhaps = if part.certain { "" } else { "perhaps " };
        Some(format!(
            "{}, the address of this connection, could {perhaps}not open a new ssh connection to port {}: {}",
            visit.peer, visit.port, part.text
        ))
    })
}

/// The part of the list after the reload that cuts off ssh.
fn closed<'a>(before: &[Part], after: &'a [Part]) -> Option<&'a Part> {
    let pairs = before.iter().zip(after);
    let same = pairs.take_while(|(before, after)| before == after).count();
    // What decides already in what both begin with, decides as it did before.
    if before.len() == same && after.len() == same || after[..same].iter().any(|p| p.certain) {
        return None;
    }
    let decides = after[same..]
        .iter()
        .find(|part| part.certain || part.effect == Effect::Shuts)?;
    (decides.effect == Effect::Shuts).then_some(decides)
}

/// All that the visit is asked in one view, up to the zone's last word.
fn parts(
    side: &Side<'_>,
    settings: &Settings,
    managed: &str,
    backend: &str,
    zone: &str,
    visit: &Visit,
) -> Vec<Part> {
    let mut parts = direct::parts(side.direct, backend, visit);
    let rich = if zone == managed { side.rich } else { &[] };
    parts.extend(zone::parts(settings, zone, rich, visit));
    parts
}

/// The zones that the visit may fall into: by its address if one is bound to a zone, else by its interface.
///
/// `bound` is the zone that holds the interface at runtime. NetworkManager binds it there again after a reload; an interface that
/// is not bound again falls into the default zone. So without a permanent binding both count.
fn zones<'a>(settings: &'a Settings, visit: &Visit, bound: Option<&'a str>) -> Vec<&'a str> {
    let mut out: Vec<&str> = Vec::new();
    let mut certain = false;
    for (zone, options) in &settings.zones {
        for source in options.all("sources") {
            match source.parse::<Cidr>() {
                Ok(net) if net.contains(&visit.peer) => certain = true,
                Ok(_) => continue,
                // A set of addresses, or a device's own address: the peer may be meant.
                Err(_) => {}
            }
            out.push(zone);
        }
    }
    if !certain {
        let default = settings.default_zone.as_str();
        match &visit.interface {
            Some(interface) => match settings.zone_of_interface(interface) {
                Some(zone) => out.push(zone),
                None => out.extend(bound.into_iter().chain([default])),
            },
            None => {
                let named = settings.zones.iter();
                let named = named.filter(|(_, o)| o.all("interfaces").next().is_some());
                out.extend(named.map(|(zone, _)| zone.as_str()));
                out.push(default);
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|zone| seen.insert(*zone));
    out
}

#[cfg(test)]
mod tests;
