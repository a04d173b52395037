//! In which of firewalld's zones a peer's packets arrive.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::net::Cidr;
use crate::model::settings::Settings;

/// What puts a packet into a zone (firewalld.zones(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Binding<'a> {
    /// A source of the zone: a network, or `ipset:NAME`.
    Source(&'a str),
    /// The interface that it arrives by.
    Interface(&'a str),
    /// Nothing; it is the default zone.
    Default,
}

impl Binding<'_> {
    /// The binding as a phrase.
    pub(super) fn text(self) -> String {
        match self {
            Binding::Source(source) => format!("by its source `{source}`"),
            Binding::Interface(interface) => format!("by interface `{interface}`"),
            Binding::Default => "because it is the default zone".to_string(),
        }
    }
}

/// How much of a peer arrives in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    /// Every address of the peer that no earlier landing has.
    Rest,
    /// Some addresses of the peer.
    Part,
    /// It is not known whether any: the set cannot be seen into.
    Unknown,
}

/// A zone in which packets of a peer arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Landing<'a> {
    /// The zone.
    pub(super) zone: &'a str,
    /// Why this one.
    pub(super) by: Binding<'a>,
    /// How much of the peer.
    pub(super) share: Share,
}

/// The sources of all zones, in the order in which firewalld asks them.
pub(super) struct Sources<'a> {
    settings: &'a Settings,
    ordered: Vec<(&'a str, &'a str, Meaning)>,
}

enum Meaning {
    Net(Cidr),
    /// The set's networks, and whether it may hold more.
    Set(Networks, bool),
}

/// Networks by the length of their prefix: a lookup in a set of thousands takes as long as in a small one.
#[derive(Default)]
struct Networks(BTreeMap<u8, BTreeSet<IpAddr>>);

impl Networks {
    fn of(nets: &[Cidr]) -> Self {
        let mut out = Networks::default();
        for net in nets {
            out.0.entry(net.prefix()).or_default().insert(net.address());
        }
        out
    }

    /// Whether one of them holds the whole of `net`.
    fn cover(&self, net: Cidr) -> bool {
        self.0.range(..=net.prefix()).any(|(prefix, addresses)| {
            Cidr::around(net.address(), *prefix)
                .is_some_and(|around| addresses.contains(&around.address()))
        })
    }

    /// Whether one of them is a part of `net`.
    fn are_within(&self, net: Cidr) -> bool {
        let inside = net.address()..=net.last();
        let longer = self.0.range(net.prefix()..);
        longer
            .into_iter()
            .any(|(_, addresses)| addresses.range(inside.clone()).next().is_some())
    }
}

impl<'a> Sources<'a> {
    /// Reads them. The hardware address of a sender does not determine a peer's address, so such a source is left out.
    pub(super) fn of(settings: &'a Settings) -> Self {
        let mut ordered = Vec::new();
        for (zone, options) in settings.zones_in_order() {
            for source in options.all("sources") {
                if let Ok(net) = source.parse() {
                    ordered.push((zone, source, Meaning::Net(net)));
                } else if let Some(name) = source.strip_prefix("ipset:") {
                    let set = settings.sets.get(name);
                    let meaning = match set {
                        Some(set) => Meaning::Set(Networks::of(&set.nets), set.more),
                        None => Meaning::Set(Networks::default(), true),
                    };
                    ordered.push((zone, source, meaning));
                }
            }
        }
        Sources { settings, ordered }
    }

    /// Where the packets of a peer arrive. `interface` is the one that they arrive on; without it only sources decide.
    pub(super) fn landings(&self, peer: Cidr, interface: Option<&'a str>) -> Vec<Landing<'a>> {
        let mut out = Vec::new();
        for (zone, source, meaning) in &self.ordered {
            let by = Binding::Source(source);
            let landing = |share| Landing { zone, by, share };
            match meaning {
                Meaning::Net(net) if net.covers(peer) => {
                    out.push(landing(Share::Rest));
                    return out;
                }
                Meaning::Net(net) if net.overlaps(peer) => out.push(landing(Share::Part)),
                Meaning::Net(_) => {}
                Meaning::Set(nets, more) => {
                    if nets.cover(peer) {
                        out.push(landing(Share::Rest));
                        return out;
                    }
                    if nets.are_within(peer) {
                        out.push(landing(Share::Part));
                    } else if *more {
                        out.push(landing(Share::Unknown));
                    }
                }
            }
        }
        if let Some(interface) = interface {
            let (zone, by) = match self.settings.zone_of_interface(interface) {
                Some(zone) => (zone, Binding::Interface(interface)),
                None => (self.settings.default_zone.as_str(), Binding::Default),
            };
            out.push(Landing {
                zone,
                by,
                share: Share::Rest,
            });
        }
        out
    }
}
