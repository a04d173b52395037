//! A policy, a day and the addresses of names → the peers that are listed on that day.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::inventory::error::InputError;
use crate::inventory::location::Located;
use crate::model::Cidr;
use crate::model::Date;
use crate::model::Family;
use crate::model::Peer;
use crate::model::host_name::HostName;
use crate::model::host_name::Names;
use crate::model::peer::About;
use crate::model::peer::KnownPeer;
use crate::role::schema::ListedPeer;
use crate::role::schema::PeerHost;
use crate::role::schema::Policy;

/// How many days before its last one a peer is said to be about to go.
pub const SOON: i64 = 14;

impl Policy {
    /// The names among the peers, each with the last day on which it is listed, if it has one.
    pub fn names(&self) -> impl Iterator<Item = (Located<HostName>, Option<Date>)> {
        let inbound = self.inbound.iter().flat_map(|entry| &entry.listed);
        let outbound = self.outbound.iter().flat_map(|entry| &entry.listed);
        inbound
            .chain(outbound)
            .filter_map(|peer| match &peer.value.host {
                PeerHost::Name(name) => Some((
                    Located::new(name.clone(), peer.location.clone()),
                    peer.value.about.until,
                )),
                PeerHost::Net(_) => None,
            })
    }

    /// The policy of a day: a name is each of its addresses of which the container has the family, and peers whose last day is over are on no
    /// list any more. With what is to be said about that.
    ///
    /// A name that is not among `names` stays where it is, and no rules can be made of the policy.
    #[must_use]
    pub fn on(mut self, today: Date, names: &Names) -> (Self, Vec<InputError>) {
        let mut day = Day {
            today,
            names,
            families: self
                .sides()
                .filter(|side| side.container.is_some())
                .map(|side| side.family)
                .collect(),
            said: Vec::new(),
            known: BTreeSet::from_iter(std::mem::take(&mut self.known)),
        };
        for entry in &mut self.inbound {
            day.settle(&mut entry.from, &mut entry.listed, &mut entry.named);
        }
        for entry in &mut self.outbound {
            day.settle(&mut entry.to, &mut entry.listed, &mut entry.named);
        }
        self.known = day.known.into_iter().collect();
        (self, day.said)
    }
}

/// What decides about a policy's peers, and what was found out.
struct Day<'a> {
    today: Date,
    names: &'a Names,
    /// Those that the container has an address of.
    families: Vec<Family>,
    said: Vec<InputError>,
    known: BTreeSet<KnownPeer>,
}

impl Day<'_> {
    /// Moves the peers of an entry that are listed on the day to the others.
    fn settle(
        &mut self,
        peers: &mut Vec<Located<Peer>>,
        listed: &mut Vec<Located<ListedPeer>>,
        named: &mut Vec<Located<HostName>>,
    ) {
        let mut by_name = Vec::new();
        let mut unknown = Vec::new();
        for peer in std::mem::take(listed) {
            let is_over = self.is_over(&peer);
            let ListedPeer { host, port, about } = &peer.value;
            match host {
                PeerHost::Net(net) => {
                    // The rules of one that has gone are still on nodes, and are shown when they go.
                    self.know([*net], about);
                    if !is_over {
                        let (net, port) = (*net, *port);
                        peers.push(Located::new(Peer { net, port }, peer.location));
                    }
                }
                PeerHost::Name(name) => {
                    let earlier = self.names.earlier.get(name).into_iter().flatten();
                    self.know_name(name, earlier.copied(), about);
                    if is_over {
                        continue;
                    }
                    let Some(current) = self.names.current.get(name) else {
                        unknown.push(peer);
                        continue;
                    };
                    let usable = current.iter().copied();
                    let usable = usable.filter(|one| self.families.contains(&Family::of(one)));
                    let usable: Vec<IpAddr> = usable.collect();
                    if usable.is_empty() && !current.is_empty() {
                        self.said.push(
                            InputError::at(
                                peer.location.clone(),
                                format!("the name `{name}` has IPv6 addresses only, and the container has none: nobody is let in"),
                            )
                            .hint("give the role `subnet6` and `address6`, or take the peer away"),
                        );
                    }
                    self.know_name(name, usable.iter().copied(), about);
                    let (port, location) = (*port, &peer.location);
                    by_name.extend(usable.into_iter().map(|address| {
                        let net = Cidr::host(address);
                        Located::new(Peer { net, port }, location.clone())
                    }));
                    named.push(Located::new(name.clone(), location.clone()));
                }
            }
        }
        *listed = unknown;
        if by_name.is_empty() {
            return;
        }
        // Nobody can help that two names lead to one address, or a name to one that is listed.
        let mut seen: BTreeSet<Peer> = peers.iter().map(|peer| peer.value).collect();
        by_name.retain(|peer| seen.insert(peer.value));
        peers.extend(by_name);
    }

    /// Returns whether a peer's last day is over, and says so, or that it soon will be.
    fn is_over(&mut self, peer: &Located<ListedPeer>) -> bool {
        let about = &peer.value.about;
        let Some(until) = about.until else {
            return false;
        };
        let left = self.today.days_to(until);
        let who = match about.label() {
            Some(label) => format!("`{}` ({label})", peer.value),
            None => format!("`{}`", peer.value),
        };
        let error = |text| InputError::at(peer.location.clone(), text);
        if left < 0 {
            self.said.push(
                error(format!(
                    "the peer {who} is on no list any more: its last day was {until}"
                ))
                .hint("remove it, or give it a later `until`"),
            );
        } else if left <= SOON {
            let days = match left {
                0 => "today".to_string(),
                1 => "in 1 day".to_string(),
                n => format!("in {n} days"),
            };
            self.said.push(
                error(format!("the last day of the peer {who} is {until}, {days}"))
                    .hint("give it a later `until` if it stays"),
            );
        }
        left < 0
    }

    fn know(&mut self, nets: impl IntoIterator<Item = Cidr>, about: &About) {
        self.known.extend(nets.into_iter().map(|net| KnownPeer {
            net,
            about: about.clone(),
        }));
    }

    /// The name is what the peer is called, unless it has another one.
    fn know_name(
        &mut self,
        name: &HostName,
        addresses: impl IntoIterator<Item = IpAddr>,
        about: &About,
    ) {
        let about = About {
            name: about.name.clone().or_else(|| Some(name.to_string())),
            ..about.clone()
        };
        self.know(addresses.into_iter().map(Cidr::host), &about);
    }
}
